"""Printed text with what differs from run to run replaced: durations, addresses, folders of this machine."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

VARYING = (
    (re.compile(r"\b\d+(\.\d+)? ?(ns|µs|us|ms|s)\b"), "<time>"),
    (re.compile(r"0x[0-9a-f]{6,}"), "<address>"),
    (re.compile(r"\b\d+ facts?\)"), "<facts>)"),
    (re.compile(r"\S*/site-packages/"), ""),
)
"""Patterns of figures that differ from run to run, and what replaces them."""


def portable(text: str) -> str:
    """`text` with the files of this checkout named from its root, as pages and snapshots must show them.

    Raises ValueError, with the line, if it names the folder of the checkout otherwise.
    """
    text = text.replace(f"{ROOT}/", "")
    for line in text.splitlines():
        if str(ROOT) in line:
            raise ValueError(f"the path of this checkout would be written to a file that others read: {line}")
    return text


def normalized(text: str) -> str:
    """`text` without what differs from run to run and without spaces at the end of lines; it ends in one newline."""
    text = portable(text)
    for pattern, replacement in VARYING:
        text = pattern.sub(replacement, text)
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"
