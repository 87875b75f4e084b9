"""Printed text with what differs from run to run replaced: durations, addresses, folders of this machine."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

VARYING = (
    (re.compile(r"\b\d+(\.\d+)? ?(ns|µs|us|ms|s)\b"), "<time>"),
    (re.compile(r"0x[0-9a-f]{6,}"), "<address>"),
    (re.compile(r"\b\d+ facts?\)"), "<facts>)"),
    (re.compile(re.escape(str(ROOT)) + "/"), ""),
    (re.compile(r"\S*/site-packages/"), ""),
)
"""Patterns of figures that differ from run to run, and what replaces them."""


def normalized(text: str) -> str:
    """`text` without what differs from run to run and without spaces at the end of lines; it ends in one newline."""
    for pattern, replacement in VARYING:
        text = pattern.sub(replacement, text)
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"
