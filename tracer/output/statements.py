"""A statement of a residual program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracer.interpret.location import Location

COMMENT_COLUMN = 54


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a residual program: its text, the names that it reads (once for each mention) and assigns to.

    The text of a compound statement has several lines; all but the first carry their indentation. `origin` is the
    user's line that it stands for; one that `runs_graph` stands for all lines of the graph.
    """

    text: str
    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()
    comment: str = ""
    origin: Location | None = None
    runs_graph: bool = False

    @property
    def line(self) -> str:
        """The statement with its comment, or the user's line, as it is printed."""
        comment = self.comment or ("" if self.origin is None else self.origin.text)
        return f"{self.text:<{COMMENT_COLUMN}}  # {comment}" if comment else self.text
