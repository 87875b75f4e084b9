"""The parts of README.md that are printed by programs: `python -m benchmarks --readme` writes them anew.

Each stands between two markers. The figures come from the JSON that the last run of the benchmarks
wrote; the example and the journey of one call are run here and now.
"""

import dis
import inspect
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import tracer
from benchmarks import train
from benchmarks.measure import Spread
from benchmarks.table import amount

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = Path(__file__).parent / "results" / "latest.json"


def section(name: str, text: str) -> tuple[int, int]:
    """Where the part `name` of `text` begins and ends, its markers left out. Raises ValueError without markers."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    return text.index(begin) + len(begin), text.index(end)


def block(text: str, language: str = "") -> str:
    return f"```{language}\n{text.strip()}\n```\n"


# The example -----------------------------------------------------------------------------------------


def example(readme: str) -> str:
    """What the first Python program of the README prints."""
    program = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert program is not None, "README.md has no Python program"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "example.py"
        file.write_text(program[1])
        found = subprocess.run([sys.executable, file], check=True, capture_output=True, text=True, cwd=ROOT)
    return block(found.stdout, "python")


# The journey -----------------------------------------------------------------------------------------


def journey(_: str) -> str:
    """One call of `train.step`: what each stage makes of it, as it is printed."""
    torch.manual_seed(0)
    tracer.reset()
    model, x = train.Mlp(), torch.ones(2, 16)
    captured = tracer.capture(train.step)
    captured(model, x)
    (entry,) = captured.entries
    explained = tracer.explain(train.step, train.Mlp(), x)
    rest = explained.entries[1]
    captured(model, x)
    again = captured.entries[0]
    parts = [
        ("The function, line by line", block(inspect.getsource(train.step), "python")),
        ("1. Its bytecode, up to the branch", block(bytecode(train.step, 18))),
        ("2. The graph: modules and wrappers are gone, operators at the boundary to C are left", graph(entry)),
        ("3. The guards, checked natively at the next call", block(str(entry.guards))),
        ("4. What ends the graph", block(entry.broke.message)),
        ("5. The residual program, which runs when the guards hold", block(entry.program, "python")),
        ("6. The continuation, captured like any function", graph(rest)),
        ("7. The next call: a guard does not hold", block(f"captured again, because {again.why}")),
    ]
    return "\n".join(f"**{title}**\n\n{text}" for title, text in parts)


def graph(entry: Any) -> str:
    text = entry.graph_text
    return block(text[text.index("def ") :], "python")


def bytecode(function: Callable[..., Any], lines: int) -> str:
    text = io.StringIO()
    dis.dis(function, file=text)
    found = [line for line in text.getvalue().splitlines() if not re.search(r"RESUME|PRECALL|CACHE", line)]
    return "\n".join([*found[:lines], "     ..."])


# The figures -----------------------------------------------------------------------------------------


def figures(readme: str) -> str:
    """A table of the last results: medians of TorchDynamo and ours, and the targets. Kept as it is without results."""
    if not RESULTS.exists():
        begin, end = section("figures", readme)
        return readme[begin:end]
    document = json.loads(RESULTS.read_text())
    facts = document["measured on"]
    lines = ["| what | | TorchDynamo | bytegraph | target |", "| --- | --- | --- | --- | --- |"]
    for row in document["rows"]:
        dynamo, ours = (_median(row[who], row["unit"]) for who in ("dynamo", "bytegraph"))
        limit = "" if row["limit"] is None else f"≤ {amount(row['limit'], row['unit'])}"
        lines.append(f"| {row['group']} | {row['name']} | {dynamo} | {ours} | {limit} |")
    machine = f"torch {facts['torch']}, Python {facts['python']}, {facts['machine']}, {facts['threads']} thread"
    lines += [
        "",
        f"Medians, measured on {facts['time'][:10]} by `make bench` with {machine}; its output has the quartiles.",
    ]
    return "\n".join(lines) + "\n"


def _median(spread: dict[str, Any] | None, unit: str) -> str:
    return "" if spread is None else amount(Spread(**spread).median, unit)


SECTIONS: dict[str, Callable[[str], str]] = {"example": example, "journey": journey, "figures": figures}


def rewritten(readme: str, names: tuple[str, ...] = tuple(SECTIONS)) -> str:
    """The README with these parts written anew."""
    for name in names:
        begin, end = section(name, readme)
        readme = readme[:begin] + SECTIONS[name](readme) + readme[end:]
    return readme
