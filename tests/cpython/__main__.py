"""`python -m tests.cpython [modules or tests]`: run CPython's test suite captured, and print what is not the same.

    python -m tests.cpython                            all modules, in an hour
    python -m tests.cpython --sample                   the fixed sample; fails for what is not pinned
    python -m tests.cpython test_list test_dict        some modules
    python -m tests.cpython test.test_list.ListTest.test_basic

The exit status is 1 where a test is not the same (of the sample: where it is not pinned to fail).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.cpython import sample
from tests.cpython.report import as_json, differences, summary, unpinned
from tests.cpython.runner import MODES, Settings, Suite, modules_of

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "BYTEGRAPH_RAISE_BUGS": "0",
}
"""What a run depends on: the order of sets, threads of torch; internal errors are counted, not raised."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("names", nargs="*", help="modules, or ids of tests")
    line.add_argument("--sample", action="store_true", help="run the fixed sample, and compare with what is pinned")
    line.add_argument("--choose-sample", metavar="JSON", help="write the sample, chosen from the JSON of a full run")
    line.add_argument(
        "--minutes", type=float, default=60, help="budget of time; what was not the same takes a quarter more"
    )
    line.add_argument("--mode", nargs="+", choices=MODES, default=list(MODES))
    line.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    line.add_argument("--limit", type=float, default=20, help="seconds for each run of a test")
    line.add_argument("--json", type=Path, help="write the whole report to this file")
    line.add_argument("--excluded-too", action="store_true", help="run tests that are excluded as well")
    line.add_argument("--backend", default="eager")
    line.add_argument("--strict", action="store_true", help="check each guard verdict twice")
    line.add_argument("--package", default="test", help="another package of tests, found below --search")
    line.add_argument("--search", type=Path, help="the folder that has the package")
    line.add_argument("--full", action="store_true", help="print each difference with its whole message")
    return line


def selection(args: Any) -> tuple[list[str], frozenset[str] | None]:
    """The modules to run, and the ids of the tests (None: all)."""
    if args.sample:
        tests = sample.read()
    elif not args.names:
        return modules_of(args.package), None
    else:
        tests = frozenset(name for name in args.names if name.count(".") > 1)
        if not tests:
            return [name.removeprefix(f"{args.package}.") for name in args.names], None
    return sorted({name.split(".")[1] for name in tests}), tests


def run() -> int:
    """Run, print, and answer the exit status."""
    args = parser().parse_args()
    if args.choose_sample:
        names = sample.choose(json.loads(Path(args.choose_sample).read_text()))
        sample.SAMPLE.write_text("\n".join(names) + "\n")
        print(f"{len(names)} tests are in {sample.SAMPLE}")
        return 0
    if args.search is None and importlib.util.find_spec("test.support") is None:
        print("CPython's `test` package is not installed with this interpreter: its tests are skipped.")
        return 0
    modules, only = selection(args)
    settings = Settings(
        args.minutes * 60,
        args.jobs,
        tuple(args.mode),
        args.package,
        limit=args.limit,
        excluded_too=args.excluded_too or bool(only and not args.sample),
        backend=args.backend,
        strict=args.strict,
        search=args.search and args.search.resolve(),
    )
    began = time.time()
    suite = Suite(settings, modules, only)

    def progress(line: str) -> None:
        print(f"{time.time() - began:6.0f} s  {line}", file=sys.stderr, flush=True)
        if args.json:
            args.json.write_text(json.dumps(as_json(suite.runs), indent=1))

    suite.report = progress
    runs = suite.measure()
    progress("finished")
    if args.full:
        print(*(json.dumps(row, indent=1).replace("\\n", "\n") for row in differences(runs)), sep="\n")
    print(summary(runs))
    if not args.sample:
        return bool(differences(runs))
    wrong = unpinned(runs, sample.pinned())
    for line in wrong:
        print(f"not pinned: {line}")
    return bool(wrong)


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        arguments = [sys.executable, "-m", "tests.cpython", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, **ENVIRONMENT})
    sys.exit(run())
