"""The pages of the documentation: their blocks, and running the programs that they show.

    python -m tests.documents PAGE REPORT     runs the Python blocks of a page and writes what each printed, as JSON

A page's Python blocks are one program, `example.py`, whose lines are those of all blocks in their order: that is what
its graphs, guards and tracebacks name. It is written beside the report.
"""

import contextlib
import io
import itertools
import json
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.printed import portable

ROOT = Path(__file__).parent.parent
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if not path.name.startswith("."))
GUIDES = [ROOT / "docs" / "debugging.md", ROOT / "docs" / "recipes.md", *sorted((ROOT / "docs" / "howto").glob("*.md"))]
EXAMPLE = "example.py"

FENCE = re.compile(r"^```(\S*)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, the line of its opening fence, the block right after it.

    `next` is None where other text than empty lines follows.
    """

    language: str
    text: str
    line: int
    next: "Block | None" = None


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page in their order. Raises ValueError for a block that is not closed."""
    lines = text.splitlines()
    spans: list[tuple[str, int, int]] = []  # language, and the lines of both fences, counted from 0
    opened: tuple[str, int] | None = None
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if fence and opened is None:
            opened = fence[1], number
        elif fence and opened is not None:
            spans.append((*opened, number))
            opened = None
    if opened is not None:
        raise ValueError(f"the block that begins in line {opened[1] + 1} is not closed")
    result: list[Block] = []
    for (language, first, last), following in reversed(list(itertools.zip_longest(spans, spans[1:]))):
        adjacent = following is not None and not "".join(lines[last + 1 : following[1]]).strip()
        body = "\n".join(lines[first + 1 : last])
        result.insert(0, Block(language, body, first + 1, result[0] if adjacent else None))
    return result


def prose(text: str) -> str:
    """A page with its fenced blocks blanked out; lines keep their numbers."""
    lines, inside = [], False
    for line in text.splitlines():
        fence = FENCE.match(line)
        lines.append("" if inside or fence else line)
        inside ^= bool(fence)
    return "\n".join(lines)


def programs(text: str) -> list[Block]:
    """The Python blocks of a page."""
    return [block for block in blocks(text) if block.language == "python"]


def printed_by(programs: list[Block], folder: Path) -> Iterator[str]:
    """Run these blocks as the main module, written to `folder`, and give what each of them printed.

    An exception of a block propagates.
    """
    file = folder / EXAMPLE
    file.write_text("\n".join(block.text for block in programs))
    module = types.ModuleType("__main__")
    module.__file__ = str(file)
    sys.modules["__main__"] = module
    above = 0
    for block in programs:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile("\n" * above + block.text, file, "exec"), vars(module))
        above += block.text.count("\n") + 1
        yield output.getvalue()


def with_outputs(text: str, outputs: list[str]) -> str:
    """A page whose text blocks after Python blocks show these outputs, one for each Python block.

    Raises ValueError for an output that names the folder of this checkout.
    """
    lines = text.splitlines()
    for block, output in reversed(list(zip(programs(text), outputs, strict=True))):
        if block.next is not None and block.next.language == "text":
            first = block.next.line
            lines[first : first + len(block.next.text.splitlines())] = portable(output).rstrip().splitlines()
    return "\n".join(lines) + "\n"


def agrees(shown: str, printed: str) -> bool:
    """Whether a block shows what was printed. A line `...` in it stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line) + "\n" for line in shown.splitlines())
    return re.fullmatch(pattern, printed) is not None


if __name__ == "__main__":
    page, report = map(Path, sys.argv[1:])
    report.write_text(json.dumps(list(printed_by(programs(page.read_text()), report.parent))))
