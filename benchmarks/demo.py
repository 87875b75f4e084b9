"""`python -m benchmarks.demo`: one real transformer captured, shown and measured.

Qwen3 with random weights is captured from its bytecode. The demo prints an overview, an excerpt of the graph,
the graph breaks (none), the guards, and the benchmark figures for this model.
"""

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table

import tracer
from benchmarks.subjects import Subject, qwen3
from benchmarks.suite import QUICK, run
from benchmarks.table import table
from tracer.guards.digest import digest

MEASURED = ("overhead per call", "first capture", "replay")


@dataclass(frozen=True)
class Shown:
    """One capture of a model as it is shown: `facts` by name, messages of breaks, the graph, and the guards in rows."""

    model: str
    facts: dict[str, Any]
    breaks: list[str]
    graph: str
    guards: list[tuple[str, str, str]]


def summary(subject: Subject) -> Shown:
    """Capture the subject, call it again, and compare its output with eager's."""
    model = subject.program
    captured = tracer.capture(model)
    with torch.no_grad():
        expected = subject.call()()
        tracer.reset()
        start = time.perf_counter()
        output = subject.call(captured)()
        seconds = time.perf_counter() - start
        subject.call(captured)()
    counters = tracer.counters()
    entries = captured.entries
    operators: Counter[str] = Counter()
    for entry in entries:
        for node in entry.graph_module.graph.nodes:
            if node.op in ("call_function", "call_method"):
                operators[node.target if isinstance(node.target, str) else node.target.__name__] += 1
    facts = {
        "modules": sum(1 for _ in model.modules()),
        "parameters": sum(1 for _ in model.parameters()),
        "graphs": counters.graphs,
        "operators in the graph": counters.ops,
        "most frequent": ", ".join(f"{count} {name}" for name, count in operators.most_common(7)),
        "breaks": sum(counters.breaks.values()),
        "guards": sum(len(entry.guards) for entry in entries),
        "first call": f"{seconds * 1000:.0f} ms, capture included",
        "second call": "hit the cache" if counters.hits and counters.captures == 1 else "captured again",
        "equal to eager, bit for bit": torch.equal(output.last_hidden_state, expected.last_hidden_state),
    }
    return Shown(
        model=type(model).__name__,
        facts=facts,
        breaks=[entry.broke.message for entry in entries if entry.broke is not None],
        graph=captured.dump(what="graph"),
        guards=[(row.thing, row.words, row.line) for entry in entries for row in digest(entry.guards)],
    )


def excerpt(text: str, first: int, last: int) -> str:
    """The header of a graph, its `first` and its `last` lines, and how many lines are left out."""
    lines = text[text.index("def ") :].rstrip().splitlines()
    body = next(index for index, line in enumerate(lines) if line.startswith("    #"))
    header, rest = lines[:body], lines[body:]
    if len(header) > 6:
        header = [*header[:3], f"    # ... {len(header) - 4} more lines of parameters ...", header[-1]]
    if len(rest) > first + last:
        rest = [*rest[:first], f"    # ... {len(rest) - first - last} more lines ...", *rest[-last:]]
    return "\n".join(header + rest)


def few_of_each(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """A few rows about tensors, a few about values and a few about code."""
    kinds = {"tensors": ("torch.",), "values": ("==",), "others": ("",)}
    by_kind: dict[str, list[tuple[str, str, str]]] = {kind: [] for kind in kinds}
    for row in rows:
        kind = next(kind for kind, starts in kinds.items() if row[1].startswith(starts))
        by_kind[kind].append(row)
    return [*by_kind["tensors"][:10], *by_kind["values"][:4], *by_kind["others"][:3], *by_kind["others"][-4:]]


def in_words(value: Any) -> str:
    """A fact as it is printed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value == 0 else str(value)


def show(shown: Shown, console: Console) -> None:
    overview = Table(title=f"{shown.model}, captured from its bytecode", show_header=False, title_justify="left")
    for name, value in shown.facts.items():
        overview.add_row(name, in_words(value))
    console.print(overview)
    for message in shown.breaks:
        console.print(message)
    console.print(Panel(Syntax(excerpt(shown.graph, 6, 21), "python"), title="the graph", title_align="left"))
    guards = Table(title="the guards, checked natively at each call", title_justify="left", show_header=False)
    for width in (46, 60, 28):
        guards.add_column(max_width=width, no_wrap=True)
    chosen = [row for row in shown.guards if row in few_of_each(shown.guards)]
    for row in chosen:
        guards.add_row(*row)
    if len(chosen) < len(shown.guards):
        guards.add_row(f"... {len(shown.guards) - len(chosen)} more rows", '`dump(what="guards")` shows them all')
    console.print(guards)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print what was captured as JSON, and measure nothing")
    parser.add_argument("--layers", type=int, default=36, help="layers of the model (36)")
    chosen = parser.parse_args(words)
    shown = summary(qwen3(chosen.layers))
    if chosen.json:
        print(json.dumps(shown.__dict__, indent=2))
        return 0
    console = Console()
    if not console.is_terminal:
        console = Console(width=150)
    show(shown, console)
    rows = []
    with console.status("measuring against eager and TorchDynamo, about two minutes ...") as status:
        for only in MEASURED:
            for row in run(QUICK, only):
                rows.append(row)
                status.update(f"measured {row.group}, {row.name} ...")
    console.print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
