"""Which tests pass on which Python and torch, and the table of it: docs/platforms.md.

`python -m tests.platforms FILE...` runs test files one by one with the Python that runs it, and writes the numbers to
docs/platforms.json; with no file it runs those of FILES. `python -m tests.platforms --write` makes the page of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
NUMBERS = ROOT / "docs" / "platforms.json"
PAGE = ROOT / "docs" / "platforms.md"
FILES = (
    *("test_tiny", "test_code_decode", "test_code_emit", "test_code_analyse", "test_resume_code", "test_resume"),
    *("test_conformance", "test_conformance_captured", "test_hook", "test_dispatch", "test_guards"),
    *("test_guards_native", "test_torch_facts", "test_autograd_functions", "test_modules", "test_tensors"),
)
MINUTES = 10
"""How long one file may take."""
HEAD = """# Platforms

Which tests pass on which version of Python and torch, as `passed` or `passed / failed`; skipped tests do not count.
Written by `python -m tests.platforms`, from runs; a dash is a file that was not run there, `late` one that took too
long. Supported are Python 3.11 to 3.13, torch 2.13 and 2.14. `.ci/run` tests 3.11, 3.12 and 3.13 with torch 2.13, and
`make matrix` torch 2.14 as well. No rulebook of 2.14 is shipped yet: operators are evaluated on fake tensors there.
What takes more captures or breaks more often on a later version of CPython than on the one before is pinned by name in
`tests/pins/python3.12` and `python3.13`: comprehensions are inlined from 3.12 on, so that a break in one is a break in
each iteration, and from 3.13 on `functools.singledispatchmethod` keeps the methods that it binds in a weak dictionary.

"""


def platform() -> str:
    """The pair of this process."""
    return "Python {}.{}".format(*sys.version_info[:2]) + f", torch {torch.__version__.partition('+')[0]}"


def counts(file: str) -> dict[str, int] | None:
    """How many tests of a file pass and fail here; None if it does not end in time."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"--junitxml={report}"]
        try:
            subprocess.run(
                [*command, f"tests/{file}.py"], cwd=ROOT, timeout=MINUTES * 60, capture_output=True, check=False
            )
        except subprocess.TimeoutExpired:
            return None
        suite = xml.parse(report).getroot()[0]
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    return {"passed": int(suite.attrib["tests"]) - failed - int(suite.attrib["skipped"]), "failed": failed}


def page(numbers: dict[str, dict[str, dict[str, int] | None]]) -> str:
    """The page: a row for each file, a column for each pair."""
    pairs = sorted(numbers)
    files = sorted({file for rows in numbers.values() for file in rows})
    lines = ["| file | " + " | ".join(pairs) + " |", "| --- |" + " --- |" * len(pairs)]
    lines += [f"| `{file}` | " + " | ".join(cell(numbers[pair], file) for pair in pairs) + " |" for file in files]
    return HEAD + "\n".join(lines) + "\n"


def cell(rows: dict[str, dict[str, int] | None], file: str) -> str:
    """The numbers of a file in one pair."""
    if file not in rows:
        return "-"
    row = rows[file]
    if row is None:
        return "late"
    return f"{row['passed']} / {row['failed']}" if row["failed"] else str(row["passed"])


def main(arguments: list[str]) -> None:
    """Run the files, or those named, and write numbers and page. A file that there is not is an error."""
    parser = argparse.ArgumentParser(prog="python -m tests.platforms", description=__doc__)
    parser.add_argument("files", nargs="*", default=FILES, metavar="FILE", help="test file; default: those of FILES")
    parser.add_argument("--write", action="store_true", help="run nothing, and write the page of the numbers there are")
    options = parser.parse_args(arguments)
    files = [] if options.write else [Path(argument).stem for argument in options.files]
    if missing := [file for file in files if not (ROOT / "tests" / f"{file}.py").is_file()]:
        parser.error(f"no test file: {', '.join(missing)}")
    for file in files:
        row = counts(file)
        numbers = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
        numbers.setdefault(platform(), {})[file] = row
        NUMBERS.write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n")
        print(file, row, flush=True)
    PAGE.write_text(page(json.loads(NUMBERS.read_text())))


if __name__ == "__main__":
    main(sys.argv[1:])
