"""Guards as a person reads them: a row for each thing of the user's, a row for all the code of a module.

A capture of a real model asks a thousand questions, most of them whether a class, a function or a
module's name is still what it was. Tensors and values are told one by one, alike ones of many layers in
one row; the attributes of an object that were found in their places are one row; so is the code of a
module. What is asked exactly is in `explain.guard_words`. Nothing here evaluates a guard.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from os.path import basename
from typing import Any, Final, NamedTuple

from tracer.guards.explain import expected_words, guard_words
from tracer.guards.guard_set import Guard
from tracer.guards.source import Source

MEANT_TO_VARY: Final = frozenset({"tensor", "equal", "expression", "same as", "not same as", "set items"})
"""Checks of the user's data: told one by one. The others ask whether things are in their places."""

FEW: Final = 2
"""An object with no more parts than this is told part by part."""

PLAIN: Final = (bool, int, float, complex, str, bytes, tuple, type(None))

_INDEX: Final = re.compile(r"\[(\d+)\]|(?<=\.)(\d+)(?=\.|$)")


class Row(NamedTuple):
    """One line of a digest: the thing, what is asked of it, the user's line that first needed it."""

    thing: str
    words: str
    line: str


def digest(guards: Iterable[Guard]) -> list[Row]:
    """The guards in a few rows: the user's data first, then the code relied on, then torch's settings."""
    data: dict[Source, list[Guard]] = {}
    code: dict[str, list[Guard]] = {}
    values: list[Guard] = []
    settings: list[Row] = []
    for guard in guards:
        if guard.source is None:
            if guard.check == "state":
                settings.append(Row("torch", f"settings: {expected_words(guard)}", _line(guard)))
            else:
                values.append(guard)
            continue
        anchor = anchor_of(guard.source)
        if anchor is None or (anchor is guard.source and _is_code(anchor, guard)):
            code.setdefault(home_of(guard.source), []).append(guard)
        else:
            data.setdefault(anchor, []).append(guard)
    rows = [row for anchor, found in data.items() for row in _object_rows(anchor, found)]
    rows += [Row("sizes", guard_words(guard), _line(guard)) for guard in values]
    rows += [Row(home, _code_words(found), _line(found[0])) for home, found in sorted(code.items())]
    return rows + settings


def table(rows: Iterable[Row], widest: int = 66) -> str:
    """Rows in three columns, none of the first two wider than `widest`; what is longer pushes the rest on."""
    rows = list(rows)
    thing, words = (
        max((len(text) for text in texts if len(text) <= widest), default=0)
        for texts in ([row.thing for row in rows], [row.words for row in rows])
    )
    return "\n".join(f"{row.thing:<{thing}}  {row.words:<{words}}  {row.line}".rstrip() for row in rows)


# Whose is it? -----------------------------------------------------------------------------------------


def anchor_of(source: Source) -> Source | None:
    """The user's variable that a path starts from: an argument, a closure's variable or a global.

    None for paths from classes, functions and modules, which are code.
    """
    path = _path(source)
    if path[0].accessor == "argument":
        return path[0]
    for before, step in pairwise(path):
        if step.accessor == "contents" or (before.accessor == "globals" and step.accessor == "item"):
            return step
    return None


def _path(source: Source) -> list[Source]:
    path = [source]
    while path[-1].base is not None:
        path.append(path[-1].base)
    return path[::-1]


def _is_code(anchor: Source, guard: Guard) -> bool:
    """Whether a guard of a global or a closure's variable itself is about a class, function or module."""
    if anchor.base is None:
        return False
    return guard.check in ("same object", "absent", "keys") or (
        guard.check == "equal" and type(guard.expected) not in PLAIN
    )


def home_of(source: Source) -> str:
    """The module whose code a path leads through."""
    path = _path(source)
    target = path[0].key() if path[0].accessor == "object" else path[0].key
    if isinstance(target, types.CodeType):
        return basename(target.co_filename)
    if isinstance(target, types.ModuleType):
        return target.__name__
    if isinstance(target, dict):
        return _module_with(target)
    name = getattr(target, "__module__", None)
    return name if isinstance(name, str) else "builtins"


def _module_with(namespace: dict[str, Any]) -> str:
    name = namespace.get("__name__")
    return name if isinstance(name, str) else "a namespace"


# Rows ------------------------------------------------------------------------------------------------


def _line(guard: Guard) -> str:
    return "" if guard.line is None else guard.line.text


def _object_rows(anchor: Source, guards: list[Guard]) -> Iterator[Row]:
    """The rows of one variable: the object's build in one row, then its data."""
    data = [guard for guard in guards if guard.check in MEANT_TO_VARY]
    build = [guard for guard in guards if guard.check not in MEANT_TO_VARY]
    tensors = {guard.source for guard in data if guard.check == "tensor"}
    build = [guard for guard in build if guard.source not in tensors]
    parts: dict[Source, list[Guard]] = {}
    for guard in build:
        assert guard.source is not None
        parts.setdefault(guard.source, []).append(guard)
    if len(parts) > FEW:
        yield Row(anchor.text, _build_words(anchor, build), _line(build[0]))
    else:
        texts: dict[str, list[Guard]] = {}
        for part, found in parts.items():
            texts.setdefault(part.text, []).extend(found)
        for text, found in texts.items():
            yield Row(text, ", ".join(dict.fromkeys(_part_words(guard) for guard in found)), _line(found[0]))
    yield from _alike(data)


def _build_words(anchor: Source, guards: list[Guard]) -> str:
    """`Mlp, same structure as captured (2 modules, 5 dicts, 22 facts)`."""
    name = next((expected_words(guard) for guard in guards if guard.source is anchor and guard.check == "type"), "")
    modules = sum(guard.check == "no hooks" for guard in guards)
    dicts = {step for guard in guards if guard.source for step in _path(guard.source) if step.accessor == "dict"}
    counts = [_count(modules, "module"), _count(len(dicts), "dict"), _count(len(guards), "fact")]
    return f"{name}, same structure as captured ({', '.join(filter(None, counts))})".removeprefix(", ")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""


_PARTS: dict[str, Callable[[Guard], str]] = {
    "type": expected_words,
    "length": lambda guard: f"length {guard.expected}",
    "keys": lambda guard: f"keys {', '.join(map(repr, guard.expected))}" if guard.expected else "empty",
    "no hooks": lambda guard: "no hooks",
    "absent": lambda guard: f"without {guard.expected!r}",
    "same object": lambda guard: f"still {expected_words(guard)}",
}


def _part_words(guard: Guard) -> str:
    return _PARTS[guard.check](guard) if guard.check in _PARTS else guard_words(guard)


def _alike(guards: list[Guard]) -> Iterator[Row]:
    """Data, the same question about the same place of many layers in one row."""
    groups: dict[tuple[str, ...], list[Guard]] = {}
    for guard in guards:
        assert guard.source is not None
        pattern = _INDEX.sub("[*]", guard.source.text)
        kind = expected_words(guard) if guard.check == "tensor" else guard.check
        groups.setdefault((pattern, kind), []).append(guard)
    for found in groups.values():
        texts = [guard.source.text for guard in found if guard.source]
        told = dict.fromkeys(expected_words(guard) for guard in found)
        expected = ", ".join(list(told)[:4]) + (", ..." if len(told) > 4 else "")
        words = expected if found[0].check == "tensor" else f"{_SIGNS.get(found[0].check, 'is')} {expected}"
        yield Row(ranges(texts), words, _line(found[0]))


_SIGNS = {"equal": "==", "not same as": "is not", "set items": "has the members"}


def ranges(texts: list[str]) -> str:
    """Texts that differ in their indices as one: `layers[0..35].norm.weight`."""
    columns = list(zip(*(map(int, (a or b for a, b in _INDEX.findall(text))) for text in texts), strict=True))
    spans = iter([_span(sorted(set(column))) for column in columns])
    return _INDEX.sub(lambda found: f"[{next(spans)}]" if found[1] else next(spans), texts[0])


def _span(indices: list[int]) -> str:
    first, last = indices[0], indices[-1]
    if len(indices) == last - first + 1:
        return f"{first}..{last}" if last > first else str(first)
    return f"{first}, ... {last}"


# Code ------------------------------------------------------------------------------------------------


def _code_words(guards: list[Guard]) -> str:
    """`3 classes, 12 functions and names as captured (41 facts)`."""
    kinds: dict[str, set[int]] = {}
    for guard in guards:
        assert guard.source is not None
        kinds.setdefault(_kind(guard.source), set()).add(_identity(guard))
    counts = [_count(len(kinds.get(kind, ())), kind) for kind in ("class", "function", "name")]
    *most, last = [count.replace("classs", "classes") for count in counts if count]
    said = f"{', '.join(most)} and {last}" if most else last
    return f"{said} as captured ({_count(len(guards), 'fact')})"


def _kind(source: Source) -> str:
    root = source.root
    target = root.key() if root.accessor == "object" else None
    if isinstance(target, type):
        return "class"
    path = _path(source)
    if len(path) > 1 and path[1].accessor == "globals":
        return "name"
    return "function" if isinstance(target, types.FunctionType | types.CodeType) else "name"


def _identity(guard: Guard) -> int:
    """What is counted once: a class, a function, or a name of a module."""
    source = guard.source
    assert source is not None
    if _kind(source) != "name":
        return id(source.root)
    return hash((source, guard.expected)) if guard.check == "absent" else id(source)
