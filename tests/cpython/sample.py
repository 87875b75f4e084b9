"""The fixed sample that is run before a change is handed in: some tests of every module, and what is pinned of them.

`sample.txt` has the id of one test in each line. It is chosen from a full run: of each module the first tests in the
order of their hashes that were measured and took little time, so that a new choice changes few lines.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parent / "sample.txt"
PINNED = Path(__file__).parent / "pinned.json"
TESTS = 5
"""Tests of one module."""
SECONDS = 1.0
"""A test of the sample takes less, both captured calls together."""


def read() -> frozenset[str]:
    """The ids of the sample."""
    return frozenset(SAMPLE.read_text().split())


def pinned() -> dict[str, Any]:
    """`share`: the percentage that must be the same; `failing`: "mode test" to the outcome of a test known to fail."""
    return json.loads(PINNED.read_text())


def choose(report: dict[str, Any]) -> list[str]:
    """The ids of a sample out of the JSON of a full run."""
    chosen: set[str] = set()
    for module in report["modules"]:
        own = f"test.{module['module']}."  # a module may load the tests of another
        names = [name for name, result in module["tests"].items() if name.startswith(own) and suits(result)]
        chosen.update(sorted(names, key=lambda name: zlib.crc32(name.encode()))[:TESTS])
    return sorted(chosen)


def suits(result: dict[str, Any]) -> bool:
    """Whether a test was the same, in little time."""
    return result["outcome"] == "same" and result["seconds"] < SECONDS
