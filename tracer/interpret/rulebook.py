"""The rulebook that the tracer uses, opened when the first operator is evaluated: importing the rules takes a while."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import torch

from passes.errors import RuleError
from passes.rules.book import SHIPPED, Rulebook
from tracer.events import Event, emit

VARIABLE: Final = "BYTEGRAPH_RULES"
OFF: Final = ("", "0", "off", "none")
SHIPPED_BOOK: Final = SHIPPED / f"torch-{'.'.join(torch.__version__.split('.')[:2])}-cpu"


def book_at_start() -> Rulebook | None:
    """The book that the environment names, else the one that is shipped for this torch, if there is one.

    Raises RuleError, after reporting it as an event, if the environment names a folder without a book.
    """
    choice = os.environ.get(VARIABLE)
    if choice is None:
        return shipped_book()
    if choice.lower() in OFF:
        return None
    try:
        return book_in(choice)
    except RuleError as error:
        _refuse(f"{VARIABLE}: {error}")
        raise


def shipped_book() -> Rulebook | None:
    """The book that is shipped for this version of torch, None when there is none."""
    return book_in(SHIPPED_BOOK) if SHIPPED_BOOK.is_dir() else None


def book_in(folder: str | os.PathLike[str]) -> Rulebook:
    """The book in a folder, which reports files that it cannot read as events. Raises RuleError if there is none."""
    return Rulebook(Path(folder), _refuse)


def _refuse(words: str) -> None:
    emit(Event("rules refused", {"why": words}))
