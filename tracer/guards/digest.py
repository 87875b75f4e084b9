"""A digest of guards for people: a few rows instead of a thousand guards.

Most guards of a real model ask whether a class, a function or a global name is still what it was. The digest has a row
for every tensor and constant of the user's data (one row for the same attribute of many layers), a row for the
structure of each object, and a row for all the code of a module. `explain.guard_words` has the exact words of a single
guard. Nothing here evaluates a guard.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from passes.places import file_name
from tracer.guards.costs import seconds_in_words
from tracer.guards.explain import expected_words, guard_words
from tracer.guards.guard_set import Guard
from tracer.guards.source import Source

DATA_CHECKS: Final = frozenset({"tensor", "equal", "expression", "same as", "not same as", "set items", "set order"})
"""Checks of the user's data, which have rows of their own. The others ask whether a structure is unchanged."""

_FACTS_OF_MANY: Final = {"expression": "sizes", "aliasing": "memory"}
"""What the checks are about that have no source of their own."""

FEW: Final = 2
"""An object with no more parts than this has a row for each part."""

PLAIN: Final = (bool, int, float, complex, str, bytes, tuple, type(None))

_INDEX: Final = re.compile(r"\[(\d+)\]|(?<=\.)(\d+)(?=\.|$)")


class Row(NamedTuple):
    """One line of a digest: the thing, what its guards say, the user's line that first needed them, and the guards."""

    thing: str
    words: str
    line: str
    guards: Sequence[Guard] = ()


def digest(guards: Iterable[Guard]) -> list[Row]:
    """The guards as rows: first the user's data, then the code that the capture relied on, then torch's settings."""
    data: dict[Source, list[Guard]] = {}
    code: dict[str, list[Guard]] = {}
    values: list[Guard] = []
    settings: list[Row] = []
    for guard in guards:
        if guard.source is None:
            if guard.check == "state":
                settings.append(Row("torch", f"settings: {expected_words(guard)}", _line(guard), [guard]))
            else:
                values.append(guard)
            continue
        anchor = anchor_of(guard.source)
        if anchor is None or (anchor is guard.source and _is_code(anchor, guard)):
            code.setdefault(home_of(guard.source), []).append(guard)
        else:
            data.setdefault(anchor, []).append(guard)
    rows = [row for anchor, group in data.items() for row in _object_rows(anchor, group)]
    rows += [Row(_FACTS_OF_MANY[guard.check], guard_words(guard), _line(guard), [guard]) for guard in values]
    rows += [Row(home, _code_words(group), _line(group[0]), group) for home, group in sorted(code.items())]
    return rows + settings


def table(rows: Iterable[Row], widest: int = 66, seconds: Mapping[int, float] | None = None) -> str:
    """Rows as lines of three columns; a fourth has the sum of the `seconds` of a row's guards, given by their ids.

    A text wider than `widest` shifts the rest of its line.
    """
    rows = list(rows)
    columns = [[*row[:3], *([] if seconds is None else [_cost(row.guards, seconds)])] for row in rows]
    widths = [
        max((len(text) for text in column if len(text) <= widest), default=0) for column in zip(*columns, strict=True)
    ]
    lines = ("  ".join(f"{text:<{width}}" for text, width in zip(texts, widths, strict=True)) for texts in columns)
    return "\n".join(line.rstrip() for line in lines)


def _cost(guards: Sequence[Guard], seconds: Mapping[int, float]) -> str:
    return seconds_in_words(sum(seconds[id(guard)] for guard in guards))


# Data or code -----------------------------------------------------------------------------------------


def anchor_of(source: Source) -> Source | None:
    """The user's variable at which a path starts: an argument, a variable of a closure or a global.

    None for paths that start at classes, functions and modules, which are code.
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
    """Whether a guard of a global, or of a closure's variable, is about a class, a function or a module."""
    if anchor.base is None:
        return False
    return guard.check in ("same object", "absent", "present", "keys") or (
        guard.check == "equal" and type(guard.expected) not in PLAIN
    )


def home_of(source: Source) -> str:
    """The name of the module to whose code a path belongs."""
    path = _path(source)
    target = path[0].key() if path[0].accessor == "object" else path[0].key
    if isinstance(target, types.CodeType):
        return file_name(target.co_filename)
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
    """The rows of one variable: the structure of the object in one row, then its data."""
    data = [guard for guard in guards if guard.check in DATA_CHECKS]
    tensors = {guard.source for guard in data if guard.check == "tensor"}
    structure = [guard for guard in guards if guard.check not in DATA_CHECKS and guard.source not in tensors]
    parts: dict[Source, list[Guard]] = {}
    for guard in structure:
        assert guard.source is not None
        parts.setdefault(guard.source, []).append(guard)
    if len(parts) > FEW:
        yield Row(anchor.text, _structure_words(anchor, structure), _line(structure[0]), structure)
    else:
        by_text: dict[str, list[Guard]] = {}
        for part, group in parts.items():
            by_text.setdefault(part.text, []).extend(group)
        for text, group in by_text.items():
            yield Row(text, ", ".join(dict.fromkeys(_part_words(guard) for guard in group)), _line(group[0]), group)
    yield from _data_rows(data)


def _structure_words(anchor: Source, guards: list[Guard]) -> str:
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
    "keys": lambda guard: f"keys {expected_words(guard)[1:-1].removesuffix(',')}" if guard.expected else "empty",
    "no hooks": lambda guard: "no hooks",
    "unseen end": lambda guard: f"{f'its {guard.expected} ' if guard.expected else ''}ends unseen",
    "absent": lambda guard: f"without {expected_words(guard)}",
    "present": lambda guard: f"has {expected_words(guard)}",
    "same object": lambda guard: f"still {expected_words(guard)}",
}


def _part_words(guard: Guard) -> str:
    return _PARTS[guard.check](guard) if guard.check in _PARTS else guard_words(guard)


def _data_rows(guards: list[Guard]) -> Iterator[Row]:
    """The rows of data: one for the same check of the same attribute of many layers."""
    groups: dict[tuple[str, ...], list[Guard]] = {}
    for guard in guards:
        assert guard.source is not None
        pattern = _INDEX.sub("[*]", guard.source.text)
        kind = expected_words(guard) if guard.check == "tensor" else guard.check
        groups.setdefault((pattern, kind), []).append(guard)
    for group in groups.values():
        texts = [guard.source.text for guard in group if guard.source]
        values = dict.fromkeys(expected_words(guard) for guard in group)
        expected = ", ".join(list(values)[:4]) + (", ..." if len(values) > 4 else "")
        words = expected if group[0].check == "tensor" else f"{_SIGNS.get(group[0].check, 'is')} {expected}"
        yield Row(ranges(texts), words, _line(group[0]), group)


_SIGNS = {"equal": "==", "not same as": "is not", "set items": "has the members", "set order": "lists"}


def ranges(texts: list[str]) -> str:
    """One text for texts that differ in their indices: `layers[0..35].norm.weight`."""
    columns = list(zip(*(map(int, (a or b for a, b in _INDEX.findall(text))) for text in texts), strict=True))
    spans = iter([_span(sorted(set(column))) for column in columns])
    return _INDEX.sub(lambda match: f"[{next(spans)}]" if match[1] else next(spans), texts[0])


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
    things = f"{', '.join(most)} and {last}" if most else last
    return f"{things} as captured ({_count(len(guards), 'fact')})"


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
    """The same number for all guards of one class, function or name of a module, which are counted once."""
    source = guard.source
    assert source is not None
    if _kind(source) != "name":
        return id(source.root)
    return hash((source, guard.expected)) if guard.check in ("absent", "present") else id(source)
