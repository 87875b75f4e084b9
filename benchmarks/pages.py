"""The parts of README.md and docs/ that programs print: `make pages` rewrites them.

Each part stands between two markers. The figures come from the JSON that the last full run of the benchmarks
wrote, the reasons from the catalogue; the example and the journey of one call are run when the page is written.
"""

import contextlib
import copy
import dis
import inspect
import io
import json
import re
import subprocess
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import tracer
from benchmarks import train
from benchmarks.breaks import GROUPS, BreakGroup
from benchmarks.measure import Spread
from benchmarks.table import amount
from tracer.reasons import REASONS

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "latest.json"


def span(name: str, text: str) -> tuple[int, int]:
    """Where the part `name` of a page begins and ends, between its markers. Raises ValueError without markers."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    return text.index(begin) + len(begin), text.index(end)


def block(text: str, language: str = "") -> str:
    return f"```{language}\n{text.strip()}\n```\n"


# The example -----------------------------------------------------------------------------------------


def example(page: str) -> str:
    """What the first Python program of the page prints."""
    program = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert program is not None, "the page has no Python program"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "example.py"
        file.write_text(program[1])
        process = subprocess.run([sys.executable, file], check=True, capture_output=True, text=True, cwd=ROOT)
    return block(process.stdout, "python")


# The journey -----------------------------------------------------------------------------------------


def journey(_: str) -> str:
    """One call of `train.step`, as each stage prints what it made of the call before it."""
    torch.manual_seed(0)
    tracer.reset()
    model, x = train.Mlp(), torch.ones(2, 16)
    captured = tracer.capture(train.step)
    captured(model, x)
    (entry,) = captured.entries
    continuation = tracer.explain(train.step, train.Mlp(), x).entries[1]
    captured(model, x)
    recapture = captured.entries[0]
    parts = [
        ("The function, line by line", block(inspect.getsource(train.step), "python")),
        ("1. Its bytecode, up to the branch", block(bytecode(train.step, 18))),
        ("2. The graph: modules and Python wrappers are gone, operators at the boundary to C are left", graph(entry)),
        ("3. The guards, checked natively at the next call", block(str(entry.guards))),
        ("4. What ends the graph", block(entry.broke.message)),
        ("5. The residual program, which runs when the guards hold", block(entry.program, "python")),
        ("6. The continuation, captured like any function", graph(continuation)),
        ("7. The next call: a guard fails", block(f"captured again, because {recapture.why}")),
    ]
    return "\n".join(f"**{title}**\n\n{text}" for title, text in parts)


def graph(entry: Any) -> str:
    text = entry.graph_text
    return block(text[text.index("def ") :], "python")


def bytecode(function: Callable[..., Any], lines: int) -> str:
    text = io.StringIO()
    dis.dis(function, file=text)
    shown = [line for line in text.getvalue().splitlines() if not re.search(r"RESUME|PRECALL|CACHE", line)]
    return "\n".join([*shown[:lines], "     ..."])


# The figures -----------------------------------------------------------------------------------------

SECTIONS = {
    "Calls": ("overhead per call", "warm call / eager"),
    "First capture": ("first capture", "capture with an empty memo", "import"),
    "Backends": (
        "inductor: warm call / torch.compile",
        "inductor: training step / torch.compile",
        "first call, time outside Inductor",
        "cold start: first result",
        "cold start: until the final state",
        "cold start: call while compiling / eager",
        "tiered: final state / eager",
    ),
    "Graph passes": ("rewritten graph / captured", "donated inputs and derivatives"),
    "Crosscheck": ("crosscheck",),
    "Operator rules": ("one evaluation", "rules", "inference"),
    "Scale": (
        "first call at once",
        "processes that captured",
        "processes that refused a file",
        "many modules",
        "many modules: exponent of growth",
        "many functions",
    ),
    "Recording": ("recording overhead", "corpus size per call", "query a million rows"),
}
"""The sections of the page, and the groups of rows that stand in each."""
OTHERS = "Others"
COLUMNS = "| measured | subject | TorchDynamo | bytegraph | limit |\n| --- | --- | --- | --- | --- |\n"


def figures(page: str) -> str:
    """Tables of the last results: medians of TorchDynamo and bytegraph, and the limits. Without results, unchanged."""
    if not RESULTS.exists():
        begin, end = span("figures", page)
        return page[begin:end]
    document = json.loads(RESULTS.read_text())
    facts = document["measured on"]
    place = {group: title for title, groups in SECTIONS.items() for group in groups}
    tables: dict[str, list[str]] = {title: [] for title in (*SECTIONS, OTHERS)}
    for row in document["rows"]:
        tables[place.get(row["group"], OTHERS)].append(figure(row))
    machine = f"torch {facts['torch']}, Python {facts['python']}, {facts['machine']}, {facts['threads']} thread"
    measured = (
        f"Medians, measured on {facts['time'][:10]} by `make bench` with {machine}; its output has the quartiles."
    )
    parts = [f"## {title}\n\n{COLUMNS}{''.join(rows)}" for title, rows in tables.items() if rows]
    return "\n".join([f"{measured}\n", *parts])


def figure(row: dict[str, Any]) -> str:
    """One measurement as a row of a table."""
    dynamo, ours = (_median(row[contestant], row["unit"]) for contestant in ("dynamo", "bytegraph"))
    limit = "" if row["limit"] is None else f"≤ {amount(row['limit'], row['unit'])}"
    return f"| {row['group']} | {row['name']} | {dynamo} | {ours} | {limit} |\n"


HIGHLIGHTS = {
    "overhead per call": ("x + 1, 8 floats", "GPT-2, 12 layers", "Qwen3, 36 layers"),
    "first capture": ("GPT-2, 12 layers", "Qwen3, 36 layers"),
    "warm call / eager": ("GPT-2, 12 layers", "Qwen3, 36 layers", "128 modules of torch.nn"),
}
"""The measurements, and the subjects of each, that README.md shows."""


def highlights(_: str) -> str:
    """The rows of docs/benchmarks.md that HIGHLIGHTS names, without their limits."""
    shown: list[str] = []
    for line in (ROOT / "docs" / "benchmarks.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) > 1 and cells[1] in HIGHLIGHTS.get(cells[0], ()):
            shown.append(f"| {' | '.join(cells[:4])} |\n")
    return "| measured | subject | TorchDynamo | bytegraph |\n| --- | --- | --- | --- |\n" + "".join(shown)


def _median(spread: dict[str, Any] | None, unit: str) -> str:
    return "" if spread is None else amount(Spread(**spread).median, unit)


# The reasons -----------------------------------------------------------------------------------------


def reasons(_: str) -> str:
    """The catalogue in groups, each with the break of an example. Raises ValueError for a reason in none, or in two."""
    listed = [name for group in GROUPS for name in group.reasons]
    if sorted(listed) != sorted(REASONS):
        raise ValueError(f"not once in a group of benchmarks/breaks.py: {sorted(set(listed) ^ set(REASONS))}")
    return "\n".join(map(group_of_reasons, GROUPS))


def group_of_reasons(group: BreakGroup) -> str:
    rows = [f"| `{name}` | {REASONS[name].what} | {REASONS[name].hint} |\n" for name in group.reasons]
    table = "| reason | what happened | what to do |\n| --- | --- | --- |\n" + "".join(rows)
    parts = [f"## {group.title}", "\n".join(textwrap.wrap(group.about, 118))]
    parts += [block(inspect.getsource(group.example), "python").rstrip(), block(message_of(group)).rstrip(), table]
    return "\n\n".join(parts)


def message_of(group: BreakGroup) -> str:
    """What a capture prints about the first break of a group's example. Raises ValueError for one of another group."""
    tracer.reset()
    captured = tracer.capture(group.example)
    with contextlib.suppress(ValueError), warnings.catch_warnings(action="ignore"):
        captured(*copy.deepcopy(group.arguments))
    broke = captured.entries[0].broke
    if broke is None or broke.reason.id not in group.reasons:
        raise ValueError(f"{group.example.__name__} does not break for a reason of {group.title!r}: {broke}")
    return broke.message


# The pages -------------------------------------------------------------------------------------------

PAGES: dict[str, dict[str, Callable[[str], str]]] = {
    "README.md": {"example": example, "highlights": highlights},
    "docs/journey.md": {"journey": journey},
    "docs/breaks.md": {"reasons": reasons},
    "docs/benchmarks.md": {"figures": figures},
}
"""The parts of each page, and what prints them."""


def written(page: str) -> str:
    """The text of a page of PAGES with its printed parts written again."""
    text = (ROOT / page).read_text()
    for name, printed in PAGES[page].items():
        begin, end = span(name, text)
        text = text[:begin] + printed(text) + text[end:]
    return text


def write(*pages: str) -> None:
    """Write the printed parts of these pages again. Raises ValueError for a page that names this checkout's folder."""
    for page in pages:
        text = written(page)
        if str(ROOT) in text:
            raise ValueError(f"{page} would name {ROOT}, a folder of this machine")
        (ROOT / page).write_text(text)
