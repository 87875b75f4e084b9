"""Why an entry is not written, and why a file is not used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

Part = TypeVar("Part")


class Unstorable(Exception):
    """An entry holds something that is not written as data: `what` it is, in words to count by, and its `detail`."""

    def __init__(self, what: str, detail: str = "") -> None:
        super().__init__(f"{what}: {detail}" if detail else what)
        self.what = what
        self.detail = detail


class BadFile(Exception):
    """A file is no capture of ours: it is damaged, cut short, of another format, or made to deceive."""


class Unfit(Exception):
    """A stored entry is sound, and not one for this call: something that it refers to is another here, or missing."""


def part_of(data: Mapping[str, Any], name: str, kind: type[Part]) -> Part:
    """A part of a file that has to be a list or a dictionary. Raises BadFile for anything else."""
    part = data.get(name)
    if type(part) is not kind:
        raise BadFile(f"no {name}")
    return part
