"""Pinned results: what a test measures is compared with a table in tests/pins. `pytest --update-pins` writes it.

A test that measures something for each of its parameters, such as the reasons why a program is refused, calls
`pin(value, usual)`. The table of its file, tests/pins/<file>.json, has a line for each parameter whose value is not the
usual one. A new refusal fails a test, and so does one that is gone: its line is to be taken out.

The tables are those of the lowest version of CPython; a folder, such as tests/pins/python3.12, has the lines in which
another version differs from them.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "pins"
BASE = (3, 11)
FOLDER_OF_VERSION = FOLDER / "python{}.{}".format(*sys.version_info[:2])
WRITTEN = FOLDER if sys.version_info[:2] == BASE else FOLDER_OF_VERSION
"""Where `--update-pins` writes."""
PROPERTY = "pin"


def lines_of(path: Path) -> dict[str, Any]:
    """The lines of a table; none if there is no such file."""
    return json.loads(path.read_text()) if path.exists() else {}


def read(table: str) -> dict[str, Any]:
    """The values that are not the usual ones, by the id of the test's parameters. `table` is the file's stem."""
    return lines_of(FOLDER / f"{table}.json") | lines_of(FOLDER_OF_VERSION / f"{table}.json")


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
                is_base = sys.version_info[:2] == BASE
                lines = self.tables.setdefault(table, lines_of(WRITTEN / f"{table}.json"))
                lines.pop(key, None)
                expected = usual if is_base else lines_of(FOLDER / f"{table}.json").get(key, usual)
                lines.update({key: value} if value != expected else {})

    def pytest_sessionfinish(self) -> None:
        for table, lines in self.tables.items():
            WRITTEN.mkdir(exist_ok=True)
            rows = [f"  {json.dumps(key)}: {json.dumps(lines[key])}" for key in sorted(lines)]
            (WRITTEN / f"{table}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
