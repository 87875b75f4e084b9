"""docs/zoo.md: a table of the libraries, and the programs in which bytegraph has more graphs than TorchDynamo."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass
from typing import Final

import torch

from benchmarks.zoo.outcome import KINDS, Outcome, is_worse

HEAD: Final = """# Programs of public libraries

Written by `python -m benchmarks.zoo` (`make zoo`) with torch {torch} on {machine}. Each program is called three
times: plainly, captured by bytegraph, and compiled by TorchDynamo, both with a backend that replays graphs eagerly,
from the same random seed. *One*: every capture is one graph. *Several*: graphs with breaks between them. *None*: no
graph. *Wrong*: a result differs from the plain one, in a bit or in what the tensor says of itself. *Error*: a call
raises that does not plainly. Programs that raise plainly are left out. Libraries that are not installed are skipped.

| library | programs | {kinds_of_dynamo} | {kinds_of_bytegraph} |
| --- | --- | {lines} |
"""


CAUSES: Final = {
    ("kornia", "box_blur"): "kornia pools in place of convolving where `is_compiling()`, which rounds otherwise",
}
"""Why results differ, by library and program, where that was looked into."""

LOOP: Final = (
    "a loop with a break in it TorchDynamo leaves to CPython, but for what it calls; here its pieces are graphs, too"
)
CURVES: Final = (
    *("multiclass_auroc", "multiclass_average_precision", "multiclass_roc", "multiclass_roc, unchecked"),
    *("multilabel_roc", "multiclass_precision_recall_curve", "multiclass_precision_recall_curve, unchecked"),
    "multilabel_precision_recall_curve",
)
REASONS: Final = {
    **{("torchmetrics", name): LOOP for name in CURVES},
    ("kornia", "ColorJitter"): f"{LOOP}, of two turns each, as they are drawn at random",
    ("kornia", "canny"): "a local that nothing reads any more lives on in all turns but the first, and is handed over",
}
"""Why there are more graphs than TorchDynamo's, by library and program, where that was looked into."""


@dataclass(frozen=True)
class Row:
    """A program and what became of it on both sides."""

    program: str
    bytegraph: Outcome
    dynamo: Outcome


@dataclass(frozen=True)
class Table:
    """The rows of a library's programs, with the versions that they were run with."""

    versions: str
    rows: tuple[Row, ...]


def page(tables: dict[str, Table], missing: list[str]) -> str:
    """The page as Markdown."""
    head = HEAD.format(
        torch=torch.__version__,
        machine=f"{platform.system()}, {platform.machine()}",
        kinds_of_dynamo=" | ".join(f"TorchDynamo: {kind}" for kind in KINDS),
        kinds_of_bytegraph=" | ".join(f"bytegraph: {kind}" for kind in KINDS),
        lines=" | ".join(["---"] * (2 * len(KINDS))),
    )
    everything = Table("", tuple(row for table in tables.values() for row in table.rows))
    lines = [_line(f"{name} ({table.versions})", table) for name, table in tables.items()]
    text = head + "".join([*lines, _line("all", everything)])
    if missing:
        text += f"\nNot run: {', '.join(missing)}.\n"
    return text + _worse(tables) + _unlike(tables)


def _line(name: str, table: Table) -> str:
    theirs, ours = (Counter(getattr(row, side).kind for row in table.rows) for side in ("dynamo", "bytegraph"))
    counts = [str(count[kind]) for count in (theirs, ours) for kind in KINDS]
    return f"| {' | '.join([name, str(len(table.rows)), *counts])} |\n"


def _worse(tables: dict[str, Table]) -> str:
    """The programs in which bytegraph does worse than TorchDynamo, with the breaks, which say why."""
    text = "\n## Fewer graphs in TorchDynamo\n\n| program | TorchDynamo | bytegraph | breaks of bytegraph | reason |\n"
    text += "| --- | --- | --- | --- | --- |\n"
    for name, table in tables.items():
        for row in table.rows:
            if is_worse(row.bytegraph, row.dynamo):
                detail = row.bytegraph.detail.replace("|", "\\|")
                ours, reason = _shown(row.bytegraph), REASONS.get((name, row.program), "")
                text += f"| {name}, {row.program} | {_shown(row.dynamo)} | {ours} | {detail} | {reason} |\n"
    return text


def _unlike(tables: dict[str, Table]) -> str:
    """What is wrong or an error on either side."""
    text = "\n## Wrong results and errors\n\n| program | side | kind | difference | cause |\n"
    text += "| --- | --- | --- | --- | --- |\n"
    for name, table in tables.items():
        for row in table.rows:
            for side, outcome in (("bytegraph", row.bytegraph), ("TorchDynamo", row.dynamo)):
                if outcome.kind in ("wrong", "error"):
                    detail = " ".join(outcome.detail.split())[:160].replace("|", "\\|")
                    cause = CAUSES.get((name, row.program), "")
                    text += f"| {name}, {row.program} | {side} | {outcome.kind} | {detail} | {cause} |\n"
    return text


def _shown(outcome: Outcome) -> str:
    count = f"{outcome.graphs} {'graph' if outcome.graphs == 1 else 'graphs'}"
    return count if outcome.kind in ("one", "several", "none") else f"{outcome.kind}, {count}"
