"""A random program as data: what it does, its arguments, what changes between its calls, and how it is captured."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """`body` are the statements of a function of `x`, `y` (tensors), `n` (a number) and `extra` (anything).

    `arguments` is the source of their list. Each of `changes` is executed before a further call, in the module of the
    program, with that list as `args`. With `keep`, the results of earlier calls stay alive.

    `door` says what is captured and how it is called: "function"; "keywords", by which it is called; "module", one
    whose `forward` calls the function; "handler", a function that handles its errors; "C", a function that has C code
    call it. `breaks` forces breaks: "none", "every other" or "everywhere", of the instructions that may break.
    """

    body: str
    arguments: str = "[torch.ones(2, 2), torch.full((2, 2), 0.25), 2, [1]]"
    changes: tuple[str, ...] = ("pass",)
    backend: str = "eager"
    dynamic: bool | None = None
    keep: bool = True
    door: str = "function"
    breaks: str = "none"

    @property
    def source(self) -> str:
        """The function's definition."""
        head = "def program(x, y, n, extra, late=4, *, key=1.5):\n"
        head += "    global scale, shared, box, noisy, items, log, config\n"
        return head + textwrap.indent(self.body, "    ")

    def __str__(self) -> str:
        """The program as it is reported, which is also the source of a test's expression."""
        lines = [f"Program(\n    body={_block(self.body)},"]
        lines.append(f"    arguments={self.arguments!r},")
        lines.append("    changes=(" + "".join(f"\n        {change!r}," for change in self.changes) + "\n    ),")
        lines.append(f"    backend={self.backend!r},\n    dynamic={self.dynamic!r},\n    keep={self.keep!r},")
        lines.append(f"    door={self.door!r},\n    breaks={self.breaks!r},\n)")
        return "\n".join(lines)


def _block(text: str) -> str:
    return '"""\\\n' + text + '\n"""'
