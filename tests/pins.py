"""Pinned results: what a test measures is compared with a table in tests/pins. `pytest --update-pins` writes it.

A test that measures something for each of its parameters, such as the reasons why a program is refused, calls
`pin(value, usual)`. The table of its file, tests/pins/<file>.json, has a line for each parameter whose value is not the
usual one. A new refusal fails a test, and so does one that is gone: its line is to be taken out.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "pins"
PROPERTY = "pin"


def read(table: str) -> dict[str, Any]:
    """The values that are not the usual ones, by the id of the test's parameters. `table` is the file's stem."""
    path = FOLDER / f"{table}.json"
    return json.loads(path.read_text()) if path.exists() else {}


@pytest.fixture
def pin(request: pytest.FixtureRequest) -> Callable[[Any, Any], None]:
    """Compare a value, made of what JSON has, with the pinned one, or with `usual` if none is pinned."""
    table, key = request.path.stem, request.node.callspec.id

    def compare(value: Any, usual: Any) -> None:
        if request.config.getoption("--update-pins"):
            request.node.user_properties.append((PROPERTY, (table, key, value != usual, value)))
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
                table, key, unusual, value = pinned
                lines = self.tables.setdefault(table, read(table))
                lines.pop(key, None)
                lines.update({key: value} if unusual else {})

    def pytest_sessionfinish(self) -> None:
        for table, lines in self.tables.items():
            FOLDER.mkdir(exist_ok=True)
            rows = [f"  {json.dumps(key)}: {json.dumps(lines[key])}" for key in sorted(lines)]
            (FOLDER / f"{table}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
