// Folds the calls of a graph by module and by repetition, and gives what is visible a place in layers.
"use strict";
const ALIKE = 3; // this many equal neighbours become one row

function segments(module) {
  return module ? module.match(/\[[^\]]*\]|[^.[\]]+/g) || [module] : [];
}

// The calls as a tree: {node} or {name, path, children, size, form}. A module called twice is there twice, as only calls
// that follow each other are one group.
function folded(nodes) {
  const calls = nodes.map((node, index) => ({ node, index, parts: segments(node.module) }));
  return grouped(calls.filter(({ node }) => node.kind.startsWith("call_")), 0, "");
}

function grouped(calls, depth, path) {
  const children = [];
  for (let first = 0; first < calls.length; ) {
    const name = calls[first].parts[depth];
    let last = first + 1;
    while (last < calls.length && name !== undefined && calls[last].parts[depth] === name) last += 1;
    const run = calls.slice(first, last);
    if (name === undefined || run.length === 1) {
      children.push(leaf(run[0]));
    } else {
      const here = `${path}/${name}@${run[0].node.name}`;
      const inner = grouped(run, depth + 1, here);
      children.push(inner.length === 1 && inner[0].children ? { ...inner[0], name: joined(name, inner[0].name) }
        : group(name, here, inner));
    }
    first = last;
  }
  return repeated(children, path);
}

function joined(outer, inner) {
  return inner.startsWith("[") ? outer + inner : `${outer}.${inner}`;
}

function leaf(call) {
  return { node: call.node, index: call.index, size: 1, form: `${call.node.operator} ${call.node.meta}` };
}

function group(name, path, children) {
  const size = children.reduce((sum, child) => sum + child.size, 0);
  return { name, path, children, size, form: `(${children.map((child) => child.form).join(",")})` };
}

function repeated(children, path) {
  const result = [];
  for (let first = 0; first < children.length; ) {
    let last = first + 1;
    while (last < children.length && children[first].children && children[last].form === children[first].form) last += 1;
    const run = children.slice(first, last);
    if (run.length < ALIKE) result.push(...run);
    else {
      const name = `${run[0].name} … ${run[run.length - 1].name}`;
      result.push({ ...group(name, `${path}/alike@${firstName(run[0])}`, run), alike: run.length });
    }
    first = last;
  }
  return result;
}

function firstName(item) {
  return item.children ? firstName(item.children[0]) : item.node.name;
}

// The paths of the groups around a node, the outermost first; null if it is not in there.
function around(items, name) {
  for (const item of items) {
    if (item.node && item.node.name === name) return [];
    const inner = item.children ? around(item.children, name) : null;
    if (inner) return [item.path, ...inner];
  }
  return null;
}

// What is to be seen when the groups in `open` are open: items, and edges between their numbers.
function visible(nodes, items, open) {
  const shown = [];
  const holder = new Map(); // number of a node in the graph: number of the item that shows it
  const settle = (item, number) => {
    if (item.node) holder.set(item.index, number);
    else item.children.forEach((child) => settle(child, number));
  };
  const walk = (item) => {
    if (item.children && open.has(item.path)) {
      item.children.forEach(walk);
      return;
    }
    settle(item, shown.length);
    shown.push(item);
  };
  items.forEach(walk);
  const edges = new Map();
  const users = new Map();
  nodes.forEach((node, index) => node.inputs.forEach((used) => users.set(used, [...(users.get(used) || []), index])));
  nodes.forEach((node, index) => {
    if (node.kind === "placeholder" || node.kind === "get_attr") {
      const homes = new Set((users.get(index) || []).map((user) => holder.get(user)));
      if (homes.size < 2 && /[.[]/.test(node.source || "")) return; // a parameter of one item belongs to it
    } else if (node.kind !== "output") return;
    holder.set(index, shown.length);
    shown.push({ node, index, size: 1 });
  });
  nodes.forEach((node, index) => node.inputs.forEach((used) => {
    const [from, to] = [holder.get(used), holder.get(index)];
    if (from !== undefined && to !== undefined && from !== to) edges.set(`${from} ${to}`, [from, to]);
  }));
  return { shown, edges: [...edges.values()] };
}

// Layers by the longest path, and an order within each by the middle of the neighbours above, then below.
function layered(count, edges) {
  const above = Array.from({ length: count }, () => []);
  const below = Array.from({ length: count }, () => []);
  edges.forEach(([from, to]) => { above[to].push(from); below[from].push(to); });
  const layer = new Array(count).fill(0);
  const waiting = above.map((list) => list.length);
  const ready = waiting.flatMap((number, item) => (number ? [] : [item]));
  for (let next = 0; next < ready.length; next += 1) {
    for (const item of below[ready[next]]) {
      layer[item] = Math.max(layer[item], layer[ready[next]] + 1);
      waiting[item] -= 1;
      if (!waiting[item]) ready.push(item);
    }
  }
  for (let item = 0; item < count; item += 1) { // inputs stand just above who uses them
    if (!above[item].length && below[item].length) layer[item] = Math.min(...below[item].map((user) => layer[user])) - 1;
  }
  const lowest = Math.min(0, ...layer);
  const rows = [];
  layer.forEach((row, item) => { (rows[row - lowest] ||= []).push(item); });
  const place = new Array(count).fill(0);
  const spread = (row) => row.forEach((item, index) => { place[item] = index - (row.length - 1) / 2; });
  const all = rows.filter(Boolean);
  all.forEach(spread);
  for (const [order, near] of [[all, above], [[...all].reverse(), below], [all, above]]) {
    for (const row of order) {
      const middle = new Map(row.map((item) => [item, near[item].length
        ? near[item].reduce((sum, other) => sum + place[other], 0) / near[item].length : place[item]]));
      row.sort((left, right) => middle.get(left) - middle.get(right));
      spread(row);
    }
  }
  return { layer: layer.map((row) => row - lowest), place };
}
