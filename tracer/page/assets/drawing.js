// Draws a graph that can be zoomed and folded, and the memory that is alive over time.
"use strict";
const BOX = { width: 210, height: 38, across: 234, down: 66 };
const MOST_DRAWN = 1500;

function label(item) {
  if (item.children) return [item.name, sizeOf(item)];
  const { node } = item;
  if (node.kind === "output") return ["output", ""];
  return [node.operator || node.source || node.name, node.meta || ""];
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

// `choose` is called with an item that was clicked; `now` is the name of the node to be marked.
function drawing(nodes, items, open, now, choose) {
  const { shown, edges } = visible(nodes, items, open);
  if (shown.length > MOST_DRAWN) return make("p", {}, `${shown.length} boxes are too many to draw: fold some modules.`);
  const { layer, place } = layered(shown.length, edges);
  const x = (item) => place[item] * BOX.across;
  const y = (item) => layer[item] * BOX.down;
  const lines = edges.map(([from, to]) => {
    const [top, bottom] = [y(from) + BOX.height, y(to)];
    const middle = (top + bottom) / 2;
    return make("path", { class: "edge", d: `M${x(from)} ${top}C${x(from)} ${middle} ${x(to)} ${middle} ${x(to)} ${bottom}` });
  });
  const boxes = shown.map((item, index) => {
    const kind = item.children ? "group" : { placeholder: "input", get_attr: "input", output: "output" }[item.node.kind] || "";
    const marked = !item.children && item.node.name === now ? " now" : "";
    const [first, second] = label(item);
    return make("g", { class: `item ${kind}${marked}`, transform: `translate(${x(index) - BOX.width / 2} ${y(index)})`,
      onclick: () => choose(item) },
      make("title", {}, item.children ? `${item.name}: open`
        : [item.node.code || item.node.source || item.node.name, item.node.meta].filter(Boolean).join("\n")),
      make("rect", { class: "box", width: BOX.width, height: BOX.height, rx: 5 }),
      make("text", { x: 8, y: 16 }, cut(first, 27)),
      make("text", { x: 8, y: 31, class: "faint" }, cut(second, 27)));
  });
  const wide = Math.max(...shown.map((_, index) => Math.abs(x(index))), 0) + BOX.across / 2;
  const high = Math.max(...shown.map((_, index) => y(index)), 0) + BOX.down;
  const half = Math.max(wide, Math.min(330, window.innerWidth / 2)); // so that few boxes are as large as text, and no larger
  const view = { x: -half, y: -10, width: 2 * half, height: Math.max(Math.min(high, 900), 220) };
  const svg = make("svg", { class: "drawing", preserveAspectRatio: "xMidYMin meet" }, lines, boxes);
  movable(svg, view);
  return svg;
}

function movable(svg, view) {
  const show = () => svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
  let grip = null;
  let moved = 0;
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const by = event.deltaY > 0 ? 1.15 : 1 / 1.15;
    const frame = svg.getBoundingClientRect();
    const [right, down] = [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
    view.x += view.width * right * (1 - by);
    view.y += view.height * down * (1 - by);
    view.width *= by;
    view.height *= by;
    show();
  }, { passive: false });
  svg.addEventListener("pointerdown", (event) => { grip = [event.clientX, event.clientY]; moved = 0; });
  svg.addEventListener("pointerup", () => { grip = null; });
  svg.addEventListener("pointerleave", () => { grip = null; });
  svg.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const scale = view.width / svg.getBoundingClientRect().width;
    view.x -= (event.clientX - grip[0]) * scale;
    view.y -= (event.clientY - grip[1]) * scale;
    moved += Math.abs(event.clientX - grip[0]) + Math.abs(event.clientY - grip[1]);
    grip = [event.clientX, event.clientY];
    show();
  });
  svg.addEventListener("click", (event) => { if (moved > 4) event.stopPropagation(); }, true); // a drag chooses nothing
  show();
}

// Bytes alive at each operator, as steps; a click chooses the operator there.
function memoryChart(alive, choose) {
  const [wide, high] = [900, 160];
  const most = Math.max(...alive, 1);
  const step = wide / alive.length;
  const points = alive.map((count, index) => `${index * step} ${high - (count / most) * high}H${(index + 1) * step}`);
  const chart = make("svg", { viewBox: `0 -4 ${wide} ${high + 8}`, class: "memory", preserveAspectRatio: "none", onclick: (event) => {
    const frame = event.currentTarget.getBoundingClientRect();
    choose(Math.min(alive.length - 1, Math.floor(((event.clientX - frame.left) / frame.width) * alive.length)));
  } }, make("path", { class: "area", d: `M0 ${high}L${points.join("L")}V${high}Z` }));
  return make("div", {}, make("div", { class: "faint" }, bytes(most)), chart,
    make("div", { class: "faint scale" }, make("span", {}, "0 B, at the first operator"), make("span", {}, `at operator ${alive.length}`)));
}
