"""The rulebook that the tracer uses, opened when the first operator is evaluated: importing the rules takes a while."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import torch

from passes.rules.book import SHIPPED, Rulebook

VARIABLE: Final = "BYTEGRAPH_RULES"
OFF: Final = ("", "0", "off", "none")
SHIPPED_BOOK: Final = SHIPPED / f"torch-{'.'.join(torch.__version__.split('.')[:2])}-cpu"


def book_at_start() -> Rulebook | None:
    """The book that the environment names, else the one that is shipped for this torch, if there is one."""
    choice = os.environ.get(VARIABLE)
    if choice is not None:
        return None if choice.lower() in OFF else Rulebook(choice)
    return shipped_book()


def shipped_book() -> Rulebook | None:
    """The book that is shipped for this version of torch, None when there is none."""
    return Rulebook(SHIPPED_BOOK) if SHIPPED_BOOK.is_dir() else None


def book_in(folder: str | os.PathLike[str]) -> Rulebook:
    """The book in a folder. Raises RuleError if there is none."""
    return Rulebook(Path(folder))
