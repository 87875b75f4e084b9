// The first page: numbers, breaks, recaptures, captures, events; and the tree of functions beside every page.
"use strict";
function overviewPage() {
  const captures = DATA.entries;
  const sum = (count) => captures.reduce((total, capture) => total + count(capture), 0);
  const stages = {};
  captures.forEach((capture) => Object.entries(capture.seconds).forEach(([stage, spent]) => {
    stages[stage] = (stages[stage] || 0) + spent;
  }));
  return [
    make("h1", {}, DATA.title),
    make("p", { class: "faint" }, DATA.versions),
    make("p", {}, `${many(sum((capture) => (capture.ops ? 1 : 0)), "graph")} with ${many(sum((capture) => capture.ops), "operator")}, `,
      `${many(captures.length, "capture")}, ${many(sum((capture) => (capture.broke ? 1 : 0)), "graph break")}; `,
      `${many(sum((capture) => capture.hits), "later call")} answered by them.`),
    section("Graph breaks, those that most calls ran into first", DATA.breaks.length &&
      table(["where", "why", "calls", "what would remove it"], DATA.breaks.map((broke) => [
        make("div", {}, placed(broke.cause), make("div", {}, broke.entries.map((index) => [link(index, "program", null, numbered(index)), " "]))),
        `${broke.reason}${broke.detail ? ` (${broke.detail})` : ""}`, broke.calls,
        make("ul", {}, broke.remedies.map((remedy) => make("li", {}, remedy)))]), [2])),
    section("Functions that are not captured any more", DATA.limits.length &&
      table(["where", "captures", "what changes", "what to do"], DATA.limits.map(({ place, limit, guard, hint }) => [place, limit, guard, hint]), [1])),
    section("Captured again, and what was different", DATA.recaptures.length &&
      table(["capture", "the call", "the capture before", "earlier captures"], DATA.recaptures.map(({ entry, place, why: [[now, before], ...others] }) => {
        const differences = others.map(([is, was]) => (was ? `${is}, captured ${was}` : is));
        return [link(entry, "guards", null, `${entry + 1}. ${place}`), now, before,
          differences.length ? make("span", { title: differences.join("\n") }, `${differences.length} differed, too`) : ""];
      }))),
    section("Captures", table(["where", "operators", "answered", "guards", "guards, a call", "time to capture"], captures.map((capture, index) => [
      link(index, capture.graph ? "graph" : "program", null, numbered(index)), capture.ops, capture.hits, capture.guards.length,
      capture.checks === null ? "" : shortTime(capture.checks),
      milliseconds(Object.values(capture.seconds).reduce((total, spent) => total + spent, 0))]), [1, 2, 3, 4, 5])),
    section("Time by stage", table(["stage", "time"], Object.entries(stages).map(([stage, spent]) => [stage, milliseconds(spent)]), [1])),
    section("Compiled after a capture, such as for backward()", DATA.compiled_later && backendText(DATA.compiled_later)),
    section("What else was reported", DATA.events.length && table(["kind", "details"], DATA.events.map((event) =>
      [event.kind, make("pre", {}, Object.entries(event.details).map(([key, value]) => `${key}: ${value}`).join("\n"))]))),
  ];
}

// The place of a capture behind its number, which tells captures of one function apart.
function numbered(index) {
  return `${index + 1}. ${DATA.entries[index].place}`;
}

function section(title, content) {
  return content ? make("section", {}, make("h2", {}, title), content) : null;
}

function treeOf(branches) {
  return make("ul", {}, branches.map((branch) => make("li", {},
    make("span", { class: "faint" }, branch.name),
    branch.entries.length ? make("ul", {}, branch.entries.map((index) => make("li", {}, captureLink(index)))) : null,
    branch.inner.length ? treeOf(branch.inner) : null)));
}

function captureLink(index) {
  const capture = DATA.entries[index];
  const words = capture.native ? "natively" : many(capture.ops, "operator");
  return make("a", { href: address(index, capture.graph ? "graph" : "program"), "data-capture": index },
    `${index + 1}. ${capture.place.split(", ").pop()}: ${words}`, capture.broke ? make("span", { class: "warn", title: "a graph break" }, "\u00a0⚠") : null);
}
