"""Shortening: calls of primitives as Python that calls nothing, since most of the time of an evaluation goes to calls.

What is asked is the same, for arguments in the rule's domain. Knows only source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from passes.rules.rule import EVERYWHERE, Rule, identifier

# Primitives that Python has operators for, of arguments that need no brackets.
SIMPLE_CALL: Final = re.compile(r"\b_(rank|is_none|is_tensor|is_empty|any_requires_grad)\(([\w.\[\]]+(?:, \w+)*)\)")
IN_PYTHON: Final = {
    "rank": "_len({})",
    "is_none": "({} is None)",
    "is_tensor": "(_type({}) is _Meta)",
    "is_empty": "(0 in {}.shape)",
}
# Kinds of arguments that are a tensor, and of those that neither are nor hold one.
OF_TENSORS: Final = frozenset(("tensor", "conj", "neg"))
WITHOUT_TENSORS: Final = frozenset(
    ("none", "bool", "int", "float", "complex", "ints", "str", "dtype", "device", "layout", "memory_format")
)


# Where it begins a statement it is asked whatever the arguments are.
VIEWABLE: Final = re.compile(r"if (?:not )?_is_viewable\((\w+, \w+)\)")


def viewed_once(lines: Sequence[str]) -> Iterator[str]:
    """Lines in which a view is made once, where it is asked first whether it can be made."""
    arguments = ""
    for number, line in enumerate(lines):
        found = VIEWABLE.match(line)
        if not arguments and found and _is_viewed(found[1], lines[number + 1 :]):
            arguments = found[1]
            yield f"_viewed = _view_if_any({arguments})"
        if arguments:
            line = line.replace(f"not _is_viewable({arguments})", "_viewed is None")
            line = line.replace(f"_is_viewable({arguments})", "_viewed is not None")
            line = line.replace(f"_view({arguments})", "_viewed")
        yield line


def _is_viewed(arguments: str, lines: Sequence[str]) -> bool:
    """Whether lines make the view; its arguments are the operator's, which stay what they are."""
    return EVERYWHERE.isdisjoint(arguments.split(", ")) and any(f"_view({arguments})" in line for line in lines)


def shortened(source: str, rule: Rule) -> str:
    """The rule's source with simple calls written out."""
    kinds = {identifier(parameter): frozenset(kinds) for parameter, kinds in rule.domain.kinds.items()}
    return SIMPLE_CALL.sub(partial(_short, kinds), source)


def _short(kinds: dict[str, frozenset[str]], found: re.Match[str]) -> str:
    name, arguments = found.groups()
    if name in IN_PYTHON:
        return IN_PYTHON[name].format(arguments)
    asked = [_requires_grad(each, kinds.get(each, frozenset())) for each in arguments.split(", ")]
    told = " or ".join(dict.fromkeys(filter(None, asked)))
    return f"({told})" if " " in told else told or "False"


def _requires_grad(name: str, kinds: frozenset[str]) -> str:
    """The question whether an argument of these kinds requires a gradient; nothing where it cannot."""
    if not kinds or not kinds <= OF_TENSORS | WITHOUT_TENSORS:
        return f"_any_requires_grad({name})"
    if kinds <= OF_TENSORS:
        return f"{name}.requires_grad"
    if "tensor" not in kinds:
        return ""
    there = f"{name} is not None" if kinds <= OF_TENSORS | {"none"} else f"_type({name}) is _Meta"
    return f"{there} and {name}.requires_grad"
