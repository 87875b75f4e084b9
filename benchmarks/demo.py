"""`python -m benchmarks.demo`: one real transformer captured, shown and measured.

Qwen3 with random weights is captured from its bytecode; printed are a summary, an excerpt of the
graph, breaks (none), guards in words and the figures of the benchmark that concern it.
"""

import argparse
import json
import sys
import time
from collections import Counter
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


def summary(subject: Subject) -> dict[str, Any]:
    """What one capture of the subject amounts to, its output compared with eager's."""
    tracer.reset()
    captured = tracer.capture(subject.program)
    with torch.no_grad():
        start = time.perf_counter()
        found = subject.call(captured)()
        seconds = time.perf_counter() - start
        expected = subject.call()()
        subject.call(captured)()
    counted = tracer.counters()
    (entry,) = captured.entries
    operators = Counter(
        node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        for node in entry.graph_module.graph.nodes
        if node.op in ("call_function", "call_method")
    )
    return {
        "model": type(subject.program).__name__,
        "modules": sum(1 for _ in subject.program.modules()),
        "parameters": sum(1 for _ in subject.program.parameters()),
        "graphs": counted.graphs,
        "operators": counted.ops,
        "breaks": dict(counted.breaks),
        "most frequent operators": dict(operators.most_common(6)),
        "seconds of the first call": round(seconds, 4),
        "second call": f"{counted.hits} hits, {counted.captures} captures",
        "equal to eager bit for bit": torch.equal(found.last_hidden_state, expected.last_hidden_state),
        "graph": captured.dump(what="graph"),
        "guards": captured.dump(what="guards"),
    }


def excerpt(text: str, first: int, last: int = 0) -> str:
    """The first and the last lines of a long text, and how many are left out."""
    lines = text.rstrip().splitlines()
    if len(lines) <= first + last + 1:
        return "\n".join(lines)
    tail = lines[-last:] if last else []
    return "\n".join([*lines[:first], f"    # ... {len(lines) - first - last} more lines ...", *tail])


def show(facts: dict[str, Any], console: Console) -> None:
    overview = Table(title=f"{facts['model']}, captured from bytecode", show_header=False)
    for name, value in facts.items():
        if name not in ("graph", "guards", "model"):
            overview.add_row(name, "none" if value == {} else str(value))
    console.print(overview)
    console.print(Panel(Syntax(excerpt(facts["graph"], 24, 4), "python", word_wrap=True), title="graph (excerpt)"))
    console.print(Panel(excerpt(facts["guards"], 14), title="guards (excerpt)"))


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print the facts as JSON, and measure nothing")
    parser.add_argument("--layers", type=int, default=36, help="layers of the model (36)")
    chosen = parser.parse_args(words)
    facts = summary(qwen3(chosen.layers))
    if chosen.json:
        print(json.dumps(facts, indent=2))
        return 0
    console = Console()
    show(facts, console)
    with console.status("measuring against eager and TorchDynamo ..."):
        rows = [row for only in ("added per call", "first capture", "replay") for row in run(QUICK, only)]
    console.print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
