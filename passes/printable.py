"""Text that a terminal only shows: what stands in a file of somebody else's gives it no command."""

from __future__ import annotations

import re
from typing import Final

COMMANDS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but for tabs and ends of lines, marks of the direction of writing, and halves of characters."""


def printable(text: str) -> str:
    """The text with a question mark for each character that would be a command."""
    return COMMANDS.sub("?", text)
