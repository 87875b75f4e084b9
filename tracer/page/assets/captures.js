// One capture: its graph, operators, program beside the source, guards, memory and times.
"use strict";
const opened = new Map(); // number of a capture: paths of its open groups

function capturePage(index, part, name) {
  const capture = DATA.entries[index];
  const parts = Object.keys(PARTS).filter((each) => PARTS[each].fits(capture));
  const chosen = parts.includes(part) ? part : parts[0];
  return [
    make("h1", {}, numbered(index)),
    make("p", { class: "faint" }, `${many(capture.ops, "operator")}, ${many(capture.hits, "later call")} answered`, capture.native ? ", runs natively" : ""),
    make("p", {}, "captured: ", capture.why || "first call"),
    capture.broke ? brokeText(capture.broke) : null,
    make("div", { class: "tabs" }, parts.map((each) =>
      make("a", { href: address(index, each), class: each === chosen ? "chosen" : "" }, each))),
    PARTS[chosen].draw(capture, index, name),
  ];
}

function brokeText(broke) {
  return make("div", {}, make("p", { class: "warn" }, `graph break: ${broke.reason}`, broke.detail ? ` (${broke.detail})` : ""),
    make("p", {}, "at ", placed(broke.cause), broke.cause.join() === broke.frame.join() ? "" : [", called from ", placed(broke.frame)]),
    make("ul", {}, broke.remedies.map((remedy) => make("li", {}, remedy))));
}

function openedOf(capture, index, items, name) {
  if (!opened.has(index)) opened.set(index, new Set(items.length === 1 && items[0].children ? [items[0].path] : []));
  const open = opened.get(index);
  (name && around(items, name) || []).forEach((path) => open.add(path));
  return open;
}

function graphPart(capture, index, name) {
  const { nodes } = capture.graph;
  const items = folded(nodes);
  const open = openedOf(capture, index, items, name);
  const frame = make("div", { class: "frame" });
  const draw = () => frame.replaceChildren(drawing(nodes, items, open, name, (item) => {
    if (item.children) { open.add(item.path); draw(); } else location.hash = address(index, "operators", item.node.name);
  }));
  const all = (list, act) => list.forEach((item) => { if (item.children) { act(item.path); all(item.children, act); } });
  draw();
  return make("div", {}, make("p", {},
    make("button", { type: "button", onclick: () => { open.clear(); draw(); } }, "fold all"), " ",
    make("button", { type: "button", onclick: () => { all(items, (path) => open.add(path)); draw(); } }, "open all"),
    make("span", { class: "faint" }, " a click opens a module, the wheel zooms, dragging moves")), frame);
}

function operatorsPart(capture, index, name) {
  const { nodes } = capture.graph;
  const items = folded(nodes);
  const open = openedOf(capture, index, items, name);
  const inputs = nodes.filter((node) => node.kind === "placeholder" || node.kind === "get_attr");
  return make("div", {},
    make("details", {}, make("summary", {}, `inputs and constants: ${inputs.length}`), longTable(["name", "comes from", "meta"],
      inputs, (node) => [make("code", {}, node.name), node.source || "a constant", node.meta || ""])),
    make("div", { class: "list" }, items.map((item) => rowsOf(item, 0, index, open, name))));
}

function rowsOf(item, depth, index, open, name) {
  const indent = { style: `padding-left:${depth * 16}px` };
  if (item.node) {
    const { node } = item;
    return make("div", { class: `row${node.name === name ? " now" : ""}`, id: `operator-${node.name}` },
      make("div", indent, link(index, "operators", node.name, make("code", {}, node.code || node.name))),
      make("div", {}, make("code", {}, node.meta || ""), node.told ? toldBy(node.told) : null),
      make("div", {}, placed(node.line)));
  }
  const inner = make("div", {});
  const button = make("button", { class: "fold", type: "button", "aria-label": "open or fold" });
  const show = () => {
    button.textContent = open.has(item.path) ? "▾" : "▸";
    inner.replaceChildren(...(open.has(item.path) ? item.children.map((child) => rowsOf(child, depth + 1, index, open, name)) : []));
  };
  const turn = () => { if (!open.delete(item.path)) open.add(item.path); show(); };
  button.addEventListener("click", turn);
  show();
  return make("div", {}, make("div", { class: "row group" }, make("div", indent, button, item.name),
    make("div", { class: "faint" }, sizeOf(item)), make("div", {})), inner);
}

// Who said what an operator returns; a click shows the rule.
function toldBy({ words, rule }) {
  if (rule === null) return make("div", { class: "faint" }, `told by ${words}`);
  return unfolding(`told by ${words}`, () => DATA.rules[rule]);
}

// A line that unfolds into a text, which is put into the page only then.
function unfolding(title, text) {
  const inside = make("pre", { class: "code" });
  const details = make("details", { class: "faint", ontoggle: () => { if (!inside.textContent) inside.append(text()); } },
    make("summary", {}, title), make("div", { class: "scroll" }, inside));
  return details;
}

// The program and the user's lines side by side; a click on a line lights up those it belongs to.
function programPart(capture) {
  const key = (place) => `${place[0]}:${place[1]}`;
  const [file, first] = capture.file;
  const wanted = new Map();
  for (let line = first; line <= capture.last; line += 1) wanted.set(`${file}:${line}`, [file, line]);
  capture.links.flat().forEach((place) => wanted.set(key(place), place));
  const ordered = [...wanted.values()].sort((left, right) => left[0] - right[0] || left[1] - right[1]);
  const left = capture.program.map((text, row) => textLine(row + 1, text, capture.links[row].length));
  const right = new Map(ordered.map((place) => [key(place),
    textLine(place[1], DATA.files[place[0]].lines[place[1]] || "", capture.links.some((links) => links.some((each) => key(each) === key(place))))]));
  const light = (rows, keys) => {
    left.forEach((line, row) => line.classList.toggle("lit", rows.has(row)));
    right.forEach((line, each) => line.classList.toggle("lit", keys.has(each)));
  };
  left.forEach((line, row) => line.addEventListener("click", () =>
    light(new Set([row]), new Set(capture.links[row].map(key)))));
  right.forEach((line, each) => line.addEventListener("click", () =>
    light(new Set(capture.links.flatMap((links, row) => (links.some((place) => key(place) === each) ? [row] : []))), new Set([each]))));
  const source = [];
  ordered.forEach((place, index) => {
    if (!index || ordered[index - 1][0] !== place[0]) source.push(make("div", { class: "text-line faint" }, DATA.files[place[0]].name));
    else if (ordered[index - 1][1] !== place[1] - 1) source.push(make("div", { class: "text-line faint" }, "  ⋮"));
    source.push(right.get(key(place)));
  });
  return make("div", {}, make("p", { class: "faint" }, "left what runs instead of the function, right the source; click on a line"),
    make("div", { class: "sides code" }, make("div", { class: "program" }, left), make("div", { class: "source" }, source)));
}

function textLine(number, text, linked) {
  return make("div", { class: `text-line${linked ? " linked" : ""}` }, make("span", { class: "at" }, String(number)), text);
}

function guardsPart(capture) {
  const frame = make("div", {});
  const draw = (words) => {
    const guards = capture.guards.filter((guard) => `${guard.words} ${placeText(guard.line)} ${sourceLine(guard.line)}`.includes(words));
    if (dearest.checked) guards.sort((left, right) => right.seconds - left.seconds);
    frame.replaceChildren(longTable(["what must hold", "needed by", ...(measured ? ["alone"] : [])], guards, (guard) =>
      [guard.words, placed(guard.line), ...(measured ? [shortTime(guard.seconds)] : [])], [2]));
  };
  const measured = capture.checks !== null;
  const dearest = make("input", { type: "checkbox", oninput: () => draw(filter.value) });
  const filter = make("input", { type: "search", placeholder: "only those with", oninput: () => draw(filter.value) });
  draw("");
  return make("div", {}, make("p", {}, `${many(capture.guards.length, "guard")} `, filter,
    measured ? make("label", {}, " ", dearest, " the slowest first") : ""),
    make("p", { class: "faint" }, measured
      ? `A call that this capture answers spends ${shortTime(capture.checks)} on all of them. The last column is the time of each alone; together they share what they read.`
      : "Not timed: no call was answered by this capture while the report was made."), frame);
}

function memoryPart(capture, index) {
  const { memory, nodes } = capture.graph;
  const peak = Math.max(...memory.alive, 0);
  const at = nodes[memory.alive.indexOf(peak)];
  const computed = nodes.map(({ name, operator }, position) => ({ name, operator, alive: memory.alive[position] })).filter(({ operator }) => operator);
  return make("div", {},
    make("p", {}, `At most ${bytes(peak)} at once, at `, link(index, "operators", at.name, at.name), `, besides ${bytes(memory.given)} given to the graph.`),
    memoryChart(computed.map(({ alive }) => alive), (position) => {
      location.hash = address(index, "operators", computed[position].name);
    }),
    make("h2", {}, "Memory made, the largest first"),
    table(["made by", "bytes", "until", "values that share it"], memory.lives.slice(0, 100).map((life) =>
      [link(index, "operators", life.maker, life.maker), bytes(life.bytes), nodes[life.last].name, life.values.join(", ")]), [1]),
    capture.memory ? make("pre", {}, capture.memory) : null);
}

function timesPart(capture) {
  const stages = Object.entries(capture.seconds);
  const most = Math.max(...stages.map(([, spent]) => spent), 1e-9);
  return make("div", {},
    table(["stage", "time"], stages.map(([stage, spent]) =>
      [stage, make("span", {}, make("span", { class: "bar", style: `width:${(200 * spent) / most}px` }), milliseconds(spent))])),
    make("p", {}, `${many(capture.restarts, "trace")} discarded.`),
    capture.tier ? make("pre", {}, capture.tier) : null);
}

function backendPart(capture) {
  return backendText(capture.backend);
}

function backendText({ name, lines, parts }) {
  const none = !lines.length && !parts.length;
  return make("div", {}, make("p", {}, "backend ", make("code", {}, name)),
    none ? make("p", { class: "faint" }, "It says nothing of what it did. A callable that a backend returns may have a function backend_report, whose lines are shown here.") : null,
    make("ul", {}, lines.map((line) => make("li", {}, line))),
    parts.map((part) => unfolding(part.title, () => part.text)));
}

const PARTS = {
  graph: { fits: (capture) => capture.graph, draw: graphPart },
  operators: { fits: (capture) => capture.graph, draw: operatorsPart },
  program: { fits: () => true, draw: programPart },
  guards: { fits: () => true, draw: guardsPart },
  memory: { fits: (capture) => capture.graph, draw: memoryPart },
  backend: { fits: (capture) => capture.backend, draw: backendPart },
  times: { fits: () => true, draw: timesPart },
};
