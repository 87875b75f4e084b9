"""Helpers of the recorder's tests: record a program, and look at what was recorded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from passes.record import Corpus, record
from passes.record.calls import Call


def recorded(folder: Path, program: Callable[[], object], **options: Any) -> list[Call]:
    """The calls of a program, by operator."""
    with record(folder, **options):
        program()
    return sorted(Corpus(folder).calls(), key=lambda call: call.op)


def only(calls: list[Call], op: str) -> Call:
    (found,) = [call for call in calls if call.op == op]
    return found
