"""Pinned results: what a test measures is compared with a table in tests/pins. `pytest --update-pins` writes it.

A test that measures something for each of its parameters, such as the reasons why a program is refused, calls
`pin(value, usual)`. The table of its file, tests/pins/<file>.json, has a line for each parameter whose value is not the
usual one. A new refusal fails a test, and so does one that is gone: its line is to be taken out.

The tables are those of the lowest version of CPython; a folder, such as tests/pins/python3.12, has the lines in which
another version differs from the one before it.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "pins"
BASE = (3, 11)
FOLDERS = [FOLDER, *(FOLDER / f"python3.{minor}" for minor in range(BASE[1] + 1, sys.version_info[1] + 1))]
"""Those of the versions up to the running one, whose own is the last: `--update-pins` writes there."""
PROPERTY = "pin"


def lines_of(path: Path) -> dict[str, Any]:
    """The lines of a table; none if there is no such file."""
    return json.loads(path.read_text()) if path.exists() else {}


def read(table: str) -> dict[str, Any]:
    """The values that are not the usual ones, by the id of the test's parameters. `table` is the file's stem."""
    return merged(FOLDERS, table)


def merged(folders: list[Path], table: str) -> dict[str, Any]:
    """The lines of a table in some folders, of which later ones come before earlier ones."""
    lines: dict[str, Any] = {}
    for folder in folders:
        lines |= lines_of(folder / f"{table}.json")
    return lines


@pytest.fixture
def pin(request: pytest.FixtureRequest) -> Callable[[Any, Any], None]:
    """Compare a value, made of what JSON has, with the pinned one, or with `usual` if none is pinned."""
    table, key = request.path.stem, request.node.callspec.id

    def compare(value: Any, usual: Any) -> None:
        if request.config.getoption("--update-pins"):
            request.node.user_properties.append((PROPERTY, (table, key, usual, value)))
            return
        pinned = read(table).get(key, usual)
        assert value == pinned, (
            f"{value} is not what tests/pins/{table}.json says of {key}, {pinned}. If this change is meant, run "
            f"`.venv/bin/python -m pytest --update-pins tests/{table}.py` and review the table"
        )

    return compare


class PinWriter:
    """Writes what the tests of a run pinned; lines of tests that did not run stay."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, pinned in report.user_properties if report.when == "call" else ():
            if name == PROPERTY:
                table, key, usual, value = pinned
                lines = self.tables.setdefault(table, lines_of(FOLDERS[-1] / f"{table}.json"))
                lines.pop(key, None)
                expected = merged(FOLDERS[:-1], table).get(key, usual)
                lines.update({key: value} if value != expected else {})

    def pytest_sessionfinish(self) -> None:
        for table, lines in self.tables.items():
            path = FOLDERS[-1] / f"{table}.json"
            if not lines and not path.exists():
                continue
            path.parent.mkdir(exist_ok=True)
            rows = [f"  {json.dumps(key)}: {json.dumps(lines[key])}" for key in sorted(lines)]
            path.write_text("{\n" + ",\n".join(rows) + "\n}\n")
