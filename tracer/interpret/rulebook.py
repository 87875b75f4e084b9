"""The rulebook that the tracer uses, opened when the first operator is evaluated: importing the rules takes a while."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

import torch

from passes.errors import RuleError
from passes.meta import CPU
from passes.operators.evaluate import Book
from passes.rules.book import Rulebook, misfit, shipped_folder
from tracer.events import Event, emit
from tracer.options import RULES_VARIABLE

OFF: Final = ("", "0", "off", "none")
SHIPPED_BOOK: Final = shipped_folder()
WARNINGS: Final = logging.getLogger("bytegraph")  # which prints them, whatever filters the program sets for its own


def book_at_start() -> Rulebook | None:
    """The book that the environment names, else the one that is shipped for this torch, if there is one.

    Raises RuleError, after reporting it as an event, if the environment names a folder without a book.
    """
    choice = os.environ.get(RULES_VARIABLE)
    if choice is None:
        return shipped_book()
    if choice.lower() in OFF:
        return None
    try:
        return book_in(choice)
    except RuleError as error:
        _refuse(f"{RULES_VARIABLE}: {error}")
        WARNINGS.warning("%s: %s", RULES_VARIABLE, error)
        raise


def shipped_book() -> Rulebook | None:
    """The book that is shipped for this version of torch; None, after a warning, when there is none."""
    if SHIPPED_BOOK.is_dir():
        return book_in(SHIPPED_BOOK)
    words = "no rulebook is shipped for torch %s on %s: operators are evaluated on fake tensors, which is slower"
    WARNINGS.warning(words, torch.__version__, CPU.type)
    return None


def book_in(folder: str | os.PathLike[str]) -> Rulebook:
    """The book in a folder, which reports files that it cannot read as events.

    Raises RuleError if there is none, or if it was made for another torch or device.
    """
    book = Rulebook(Path(folder), _refuse)
    if words := misfit(book.title):
        raise RuleError(f"{book.folder}: {words}")
    return book


def is_shipped(book: Book | None) -> bool:
    """Whether this is the book that is shipped for this version of torch."""
    return isinstance(book, Rulebook) and book.folder == SHIPPED_BOOK


def files_of(book: Book | None) -> str | None:
    """A book's folder and what its files are like, as a text; None if they are gone."""
    if book is None:
        return "none"
    assert isinstance(book, Rulebook), f"{book!r} is in no folder"
    try:
        return f"{book.folder} {book.files_hash}"
    except OSError:
        return None


def _refuse(words: str) -> None:
    emit(Event("rules refused", {"why": words}))
