"""`python -m benchmarks`: measure everything, print a table, write JSON.

A full run takes a quarter of an hour, `--quick` has fewer rounds and fewer small modules; `--only NAME` runs one
measurement; `--json` prints JSON, no table; `--check` ends with status 1 when a target is missed by more than
`--slack`; `--pages` measures nothing and rewrites the printed parts of README.md and docs/, the figures from the last
full run. A full run rewrites docs/benchmarks.md.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import backends, crosscheck, inference, record, reuse, rewrite, rules, scale, unseen
from benchmarks.pages import PAGES, RESULTS, write
from benchmarks.suite import MEASUREMENTS, QUICK, Effort, Row, run
from benchmarks.table import as_json, table

for each in (record, rules, inference, unseen, backends, rewrite, reuse, crosscheck, scale):
    MEASUREMENTS.update(each.MEASUREMENTS)
PARTIAL = RESULTS.with_name("partial.json")


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and fewer small modules")
    parser.add_argument("--only", metavar="NAME", help=f"one of: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--output", type=Path, help="where the JSON is written")
    parser.add_argument("--check", action="store_true", help="fail when a target is missed")
    parser.add_argument("--pages", action="store_true", help="rewrite the printed parts of README.md and docs/")
    parser.add_argument("--slack", type=float, default=1.5, help="factor on each target for --check")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    chosen = arguments(words)
    if chosen.pages:
        write(*PAGES)
        return 0
    rows: list[Row] = []
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)
        for row in run(QUICK if chosen.quick else Effort(), chosen.only):
            rows.append(row)
            progress.update(task, description=f"measured {row.group}: {row.name}")
    text = as_json(rows)
    output = chosen.output or (PARTIAL if chosen.quick or chosen.only else RESULTS)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text + "\n")
    if output == RESULTS:
        write("docs/benchmarks.md")
    if chosen.json:
        print(text)
    else:
        Console().print(table(rows))
        print(f"written to {output}")
    missed = [
        row
        for row in rows
        if row.limit is not None and row.bytegraph and row.bytegraph.median > row.limit * chosen.slack
    ]
    return 1 if chosen.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
