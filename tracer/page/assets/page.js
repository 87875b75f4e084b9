// Shows what the address names, searches, and changes between dark and light.
"use strict";
const MOST_FOUND = 50;

function show() {
  const [, number, part, name] = location.hash.match(/^#capture-(\d+)(?:\/(\w+))?(?:\/(.+))?$/) || [];
  const known = number !== undefined && DATA.entries[number];
  const chosen = name === undefined ? null : decodeURIComponent(name);
  const content = known ? capturePage(Number(number), part, chosen) : overviewPage();
  document.getElementById("main").replaceChildren(...content.filter(Boolean));
  document.querySelectorAll("nav a").forEach((each) => each.classList.toggle("now", each.dataset.capture === number));
  document.getElementById("found").hidden = true;
  const row = chosen && document.getElementById(`operator-${chosen}`);
  if (row) row.scrollIntoView({ block: "center" });
  else window.scrollTo(0, 0);
}

// Everything that has a word: [text, address].
function* findable() {
  for (const [index, capture] of DATA.entries.entries()) {
    yield [capture.place, address(index, "program")];
    for (const node of capture.graph ? capture.graph.nodes : []) {
      if (node.code) yield [`${node.code}   ${placeText(node.line)} ${sourceLine(node.line)}`, address(index, "operators", node.name)];
    }
    for (const guard of capture.guards) yield [`${guard.words}   ${placeText(guard.line)}`, address(index, "guards")];
  }
}

function search(words) {
  const found = [];
  for (const [text, where] of words ? findable() : []) {
    if (text.toLowerCase().includes(words.toLowerCase())) found.push(make("a", { href: where }, text));
    if (found.length === MOST_FOUND) break;
  }
  const box = document.getElementById("found");
  box.replaceChildren(...(found.length ? found : ["nothing found"]));
  box.hidden = !words;
}

document.getElementById("search").addEventListener("input", (event) => search(event.target.value.trim()));
document.getElementById("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).getPropertyValue("--paper").trim() === "#14171f";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});
window.addEventListener("hashchange", show);
document.getElementById("tree").append(treeOf(DATA.tree));
show();
