"""Runs programs of public libraries plainly, captured by bytegraph and by TorchDynamo, and writes docs/zoo.md.

`--library NAME` runs one library and `--program TEXT` the programs whose names contain a text; what earlier runs kept
of the others in `STORE` stays on the page. Libraries that are not installed are named and left out: nothing is
installed here.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from benchmarks.zoo.outcome import Outcome, by_bytegraph, by_dynamo, is_worse, run
from benchmarks.zoo.page import Row, Table, page
from benchmarks.zoo.program import Build

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "zoo.md"
STORE: Final = ROOT / "build" / "zoo.json"
LIBRARIES: Final[dict[str, tuple[str, ...]]] = {
    "torchmetrics": ("torchmetrics",),
    "kornia": ("kornia",),
    "torch_geometric": ("torch_geometric",),
    "tensordict": ("tensordict",),
    "x_transformers": ("x-transformers",),
    "lucidrains": (*("rotary-embedding-torch", "vector-quantize-pytorch", "local-attention", "lion-pytorch"),),
    "transformers": ("transformers", "vit-pytorch"),
}
"""The files of programs, `<name>_programs.py`, and the distributions that each imports."""


def missing_of(library: str) -> list[str]:
    """The distributions of a library that are not installed."""
    return [name for name in LIBRARIES[library] if not next(iter(metadata.distributions(name=name)), None)]


def rows(library: str, wanted: str) -> Iterator[Row]:
    """Run the programs of a library; those that raise plainly are left out."""
    programs: Iterator[tuple[str, Build]] = importlib.import_module(f"benchmarks.zoo.{library}_programs").programs()
    for name, build in programs:
        if wanted in name:
            plain = run(build, lambda program: program)
            if not any(result.raised for result in plain):
                yield Row(name, by_bytegraph(build, plain), by_dynamo(build, plain))


def stored() -> dict[str, Table]:
    """The tables of earlier runs."""
    found: dict[str, Any] = json.loads(STORE.read_text()) if STORE.exists() else {}
    return {
        library: Table(
            table["versions"],
            tuple(Row(row["program"], Outcome(**row["bytegraph"]), Outcome(**row["dynamo"])) for row in table["rows"]),
        )
        for library, table in found.items()
    }


def merged(table: Table | None, new: list[Row], versions: str) -> Table:
    """A table with rows of a new run in the place of the old ones of the same programs."""
    by_name = {row.program: row for row in (table.rows if table else ())} | {row.program: row for row in new}
    return Table(versions, tuple(by_name.values()))


def keep(tables: dict[str, Table]) -> None:
    """Store the tables and write the page, after each library, as a run may be ended before it has come to all."""
    STORE.parent.mkdir(exist_ok=True)
    STORE.write_text(json.dumps({name: asdict(table) for name, table in tables.items()}, indent=1))
    run_so_far = {library: tables[library] for library in LIBRARIES if library in tables}
    PAGE.write_text(page(run_so_far, [library for library in LIBRARIES if library not in tables]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--library", choices=LIBRARIES, help="run the programs of this library only")
    parser.add_argument("--program", default="", metavar="TEXT", help="run the programs whose names contain this")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    tables = stored()
    for library in [chosen.library] if chosen.library else LIBRARIES:
        if missing := missing_of(library):
            print(f"{library}: not installed: {', '.join(missing)}")
            continue
        new: list[Row] = []
        for row in rows(library, chosen.program):
            new.append(row)
            mark = "->" if is_worse(row.bytegraph, row.dynamo) else "  "
            print(f"{mark} {library}, {row.program}: {row.bytegraph}; TorchDynamo: {row.dynamo}", flush=True)
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES[library])
        tables[library] = merged(None if not chosen.program else tables.get(library), new, versions)
        keep(tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
