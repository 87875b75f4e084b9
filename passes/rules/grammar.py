"""The answers of rules that are not expressions: what form a result has, and whose memory a tensor has.

    form   = unknown | part | [each] * expression | (each) * expression
    part   = tensor_NUMBER | None | (part, ...) | [part, ...]
    memory = unknown | none | kept | new | same PLACE | view PLACE
    PLACE  = PARAMETER | PARAMETER[i] | PARAMETER[NUMBER]

They come from files, so each is taken apart here and refused where it is not of this grammar. Nothing is evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from passes.errors import RuleError

UNKNOWN: Final = "unknown"
KEPT: Final = "kept"  # the memory of what is not written to after all
OPENINGS: Final = {"[each] * ": list, "(each) * ": tuple}
PREFIX: Final = "tensor_"
WITHOUT_PLACE: Final = ("none", KEPT, "new", UNKNOWN)
WITH_PLACE: Final = ("same", "view")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a result: tensor number `tensor`; or a list or tuple, `kind`, of `parts`; or, with neither, None."""

    tensor: int | None = None
    kind: type | None = None
    parts: tuple[Part, ...] = ()

    def tensors(self) -> Iterator[int]:
        """The numbers of the tensors in it, left to right."""
        if self.tensor is not None:
            yield self.tensor
        for part in self.parts:
            yield from part.tensors()


@dataclass(frozen=True, slots=True)
class Many:
    """A list or tuple, `kind`, of as many tensors as the expression `count` says, alike but for their number `i`."""

    kind: type
    count: str


@dataclass(frozen=True, slots=True)
class MemoryAnswer:
    """Whose memory a tensor has: `kind` is `new`, `none`, `kept`, `unknown`, or `same` or `view` of a parameter.

    `index` says which tensor of a list: a number, or `i` for the one with the number of the output.
    """

    kind: str
    parameter: str = ""
    index: str = ""


@lru_cache(maxsize=1 << 10)
def form_of(text: str) -> Part | Many | None:
    """The form that an answer says a result has, None where it is unknown. Raises RuleError for what is no form."""
    if text == UNKNOWN:
        return None
    for opening, kind in OPENINGS.items():
        if text.startswith(opening):
            return Many(kind, text.removeprefix(opening))
    try:
        return _part(ast.parse(text, mode="eval").body, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise error if isinstance(error, RuleError) else RuleError(f"{text[:80]!r} is no form of a result") from error


def _part(node: ast.expr, text: str) -> Part:
    match node:
        case ast.Constant(value=None):
            return Part()
        case ast.Name(id=name) if name.startswith(PREFIX) and name[len(PREFIX) :].isdecimal():
            return Part(int(name[len(PREFIX) :]))
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            kind = tuple if isinstance(node, ast.Tuple) else list
            return Part(None, kind, tuple(_part(element, text) for element in elements))
        case _:
            raise RuleError(f"{text!r}, column {node.col_offset + 1}: {ast.unparse(node)!r} is no part of a result")


@lru_cache(maxsize=1 << 10)
def memory_of(text: str) -> MemoryAnswer:
    """What an answer says of a tensor's memory. Raises RuleError for what says nothing of it."""
    kind, _, place = text.partition(" ")
    if not place and kind in WITHOUT_PLACE and text == kind:
        return MemoryAnswer(kind)
    parameter, bracket, rest = place.partition("[")
    index = rest.removesuffix("]")
    indexed = rest.endswith("]") and (index == "i" or (index.isascii() and index.isdecimal()))
    if kind not in WITH_PLACE or not parameter or bool(bracket) != indexed:
        raise RuleError(f"{text!r} does not say whose memory a tensor has: {WITHOUT_PLACE}, `same x`, `view x[i]`")
    return MemoryAnswer(kind, parameter, index)
