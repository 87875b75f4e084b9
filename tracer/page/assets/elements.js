// Makes elements, and the words that are the same on every part of the page.
"use strict";
const MOST_ROWS = 500;
const DATA = JSON.parse(document.getElementById("data").textContent);

// An element with attributes, handlers (`onclick`) and children; texts become text, never markup.
function make(name, attributes, ...children) {
  const space = ["svg", "g", "rect", "path", "text", "title"].includes(name) ? "http://www.w3.org/2000/svg" : null;
  const element = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(key, value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) element.append(child);
  return element;
}

function table(headings, rows, numbers = []) {
  const mark = (index) => (numbers.includes(index) ? { class: "number" } : {});
  const head = make("tr", {}, headings.map((text, index) => make("th", mark(index), text)));
  const body = rows.map((row) => make("tr", {}, row.map((cell, index) =>
    make("td", { ...mark(index), "data-label": headings[index] }, make("div", {}, cell)))));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, body)));
}

// A table of the first rows, and a button for the others: browsers need seconds for thousands of rows.
function longTable(headings, items, row, numbers = []) {
  const shown = table(headings, items.slice(0, MOST_ROWS).map(row), numbers);
  if (items.length <= MOST_ROWS) return shown;
  const button = make("button", { type: "button", onclick: () => frame.replaceChildren(table(headings, items.map(row), numbers)) },
    `show the other ${items.length - MOST_ROWS}`);
  const frame = make("div", {}, shown, button);
  return frame;
}

function placeText(place) {
  if (!place) return "";
  const { name } = DATA.files[place[0]];
  return /^cell \d+$/.test(name) ? `${name}, line ${place[1]}` : `${name}:${place[1]}`;
}

function sourceLine(place) {
  return place ? (DATA.files[place[0]].lines[place[1]] || "").trim() : "";
}

// A place with the text of its line, and the whole path as a hint.
function placed(place) {
  if (!place) return "";
  const title = `${DATA.files[place[0]].path}:${place[1]} in ${place[2]}`;
  return make("span", { title }, placeText(place), " ", make("code", { class: "faint" }, sourceLine(place)));
}

function link(index, part, name, text) {
  return make("a", { href: address(index, part, name) }, text);
}

function address(index, part, name) {
  return `#capture-${index}/${part}${name ? "/" + encodeURIComponent(name) : ""}`;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; unit += 1) count /= 1024;
  return `${unit ? count.toFixed(1) : count} ${units[unit]}`;
}

function milliseconds(seconds) {
  return `${(seconds * 1000).toFixed(seconds < 0.01 ? 2 : 1)} ms`;
}

function shortTime(seconds) {
  const nanoseconds = seconds * 1e9;
  return nanoseconds < 1000 ? `${nanoseconds.toFixed(0)} ns` : `${(nanoseconds / 1000).toFixed(1)} µs`;
}

// How large a group is, and of how many equal ones it consists.
function sizeOf({ alike, size }) {
  return `${alike ? `${alike} alike, ` : ""}${many(size, "operator")}`;
}

// "1 graph", "2 graphs".
function many(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
