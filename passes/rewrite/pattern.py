"""Patterns as data: what a captured graph looks like with its inputs, and chosen constants, left open.

A pattern can be written to JSON and read back, shown, and counted; it remembers the file and line of the
function that it was captured from. Knows nothing of how it is looked for, or of who captured it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.fx import Graph, Node

from passes.errors import RuleError
from passes.places import line_name
from passes.rewrite.forms import Form, form_of, slots_of


@dataclass(frozen=True, slots=True)
class Input:
    """Stands for any tensor, the same one wherever the name stands."""

    name: str


@dataclass(frozen=True, slots=True)
class Open:
    """Stands for any constant, the same one wherever the name stands."""

    name: str


@dataclass(frozen=True, slots=True)
class Result:
    """Stands for what call number `index` of the pattern gives."""

    index: int


@dataclass(frozen=True)
class Pattern:
    """Calls in the order in which they are made; nodes among their arguments are Input or Result.

    `outputs` are the numbers of the calls whose results the pattern gives.
    """

    name: str
    file: str
    line: int
    calls: tuple[Form, ...]
    outputs: tuple[int, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the tensors that are left open, in the order in which they are used."""
        return self._names(Input)

    @property
    def constants(self) -> tuple[str, ...]:
        """The names of the constants that are left open."""
        return self._names(Open)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The finite numbers among the arguments of its calls, and their negatives."""
        values = {value for call in self.calls for _, value in slots_of(call.arguments) if type(value) in (int, float)}
        return tuple(sorted({sign * float(value) for value in values if math.isfinite(value) for sign in (1, -1)}))

    def _names(self, kind: type) -> tuple[str, ...]:
        values = (value for call in self.calls for _, value in slots_of(call.arguments))
        return tuple(dict.fromkeys(value.name for value in values if isinstance(value, kind)))  # type: ignore[attr-defined]

    @property
    def place(self) -> str:
        """Where its function was written: `attention.py:31`."""
        return line_name(self.file, self.line)

    def __len__(self) -> int:
        return len(self.calls)

    def __str__(self) -> str:
        lines = [f"pattern {self.name}({', '.join((*self.inputs, *self.constants))})   # {self.place}"]
        for index, call in enumerate(self.calls):
            arguments = ", ".join(f"{name}={_text(value)}" for name, value in call.arguments.items())
            lines.append(f"    %{index} = {call.operator}({arguments})")
        return "\n".join([*lines, f"    return {', '.join(f'%{index}' for index in self.outputs)}"])

    def to_json(self) -> dict[str, Any]:
        """The pattern as plain data for JSON."""
        return {
            "name": self.name,
            "file": self.file,
            "line": self.line,
            "calls": [
                {
                    "operator": call.operator,
                    "arguments": {name: encoded(value) for name, value in call.arguments.items()},
                }
                for call in self.calls
            ],
            "outputs": list(self.outputs),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Pattern:
        """The pattern that `to_json` wrote. Raises RuleError for other data."""
        try:
            calls = tuple(
                Form(call["operator"], {name: decoded(value) for name, value in call["arguments"].items()})
                for call in data["calls"]
            )
            return Pattern(data["name"], data["file"], data["line"], calls, tuple(data["outputs"]))
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise RuleError(f"no pattern: {type(error).__name__}: {error}") from error


def pattern_of(function: Callable[..., Any], graph: Graph, constants: Mapping[str, Any]) -> Pattern:
    """The pattern that a captured function is. The targets of its placeholders are the function's parameters.

    A constant that equals one of `constants` is left open under that name. Raises RuleError when one of
    these does not occur, when two are equal, or when an output is no result of a call.
    """
    code = function.__code__
    where = f"{line_name(code.co_filename, code.co_firstlineno)} {function.__name__}"
    _told_apart(where, constants)
    numbers: dict[Node, Result | Input] = {}
    calls: list[Form] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            numbers[node] = Input(str(node.target))
        elif node.op == "output":
            outputs = node.args[0]
        else:
            form = form_of(node)
            if form is None:
                raise RuleError(f"{where}: {node.format_node()} cannot be part of a pattern")
            calls.append(
                Form(form.operator, {key: _opened(value, numbers, constants) for key, value in form.arguments.items()})
            )
            numbers[node] = Result(len(calls) - 1)
    results = [numbers[output] for output in outputs]  # type: ignore[union-attr]
    if not results or not all(isinstance(result, Result) for result in results):
        raise RuleError(f"{where}: what a pattern gives must be results of operators")
    pattern = Pattern(function.__name__, code.co_filename, code.co_firstlineno, *_used(calls, results))
    missing = [name for name in constants if name not in pattern.constants]
    if missing:
        raise RuleError(
            f"{where}: the constant {missing[0]}={constants[missing[0]]!r} does not occur in the captured graph"
        )
    return pattern


def _used(calls: list[Form], results: Sequence[Any]) -> tuple[tuple[Form, ...], tuple[int, ...]]:
    """The calls that the results depend on (a form may skip a call), counted anew."""
    needed: set[int] = set()
    waiting = [result.index for result in results]
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += [value.index for _, value in slots_of(calls[index].arguments) if isinstance(value, Result)]
    number = {index: Result(position) for position, index in enumerate(sorted(needed))}

    def renumbered(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(renumbered, value))
        return number[value.index] if isinstance(value, Result) else value

    kept = tuple(
        Form(calls[index].operator, {key: renumbered(value) for key, value in calls[index].arguments.items()})
        for index in sorted(needed)
    )
    return kept, tuple(number[result.index].index for result in results)


def _told_apart(where: str, constants: Mapping[str, Any]) -> None:
    names = list(constants)
    for index, name in enumerate(names):
        for other in names[:index]:
            if same_constant(constants[name], constants[other]):
                raise RuleError(f"{where}: the example gives {other} and {name} the same value {constants[name]!r}")


def _opened(value: Any, numbers: Mapping[Node, Any], constants: Mapping[str, Any]) -> Any:
    if isinstance(value, Node):
        return numbers[value]
    for name, example in constants.items():
        if same_constant(value, example):
            return Open(name)
    if isinstance(value, tuple):
        return tuple(_opened(part, numbers, constants) for part in value)
    return value


def same_constant(one: Any, other: Any) -> bool:
    """Whether two constants mean the same: 2 and 2.0 do, True and 1 or 0.0 and -0.0 do not.

    The last digits of floats may differ.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        if one == other == 0:
            return math.copysign(1, one) == math.copysign(1, other)
        return one == other or math.isclose(one, other, rel_tol=1e-9)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same_constant, one, other))
    return type(one) is type(other) and bool(one == other)


# JSON --------------------------------------------------------------------------------------------

NAMED: Final = {
    repr(value): value
    for value in vars(torch).values()
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format)
}
MARKS: Final[dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "input": (Input, lambda value: value.name, Input),
    "constant": (Open, lambda value: value.name, Open),
    "result": (Result, lambda value: value.index, Result),
    "tuple": (tuple, lambda value: [encoded(part) for part in value], lambda parts: tuple(map(decoded, parts))),
    "slice": (
        slice,
        lambda value: [encoded(part) for part in (value.start, value.stop, value.step)],
        lambda parts: slice(*map(decoded, parts)),
    ),
    "device": (torch.device, str, torch.device),
    "torch": (torch.dtype, repr, NAMED.__getitem__),
    "layout": (torch.layout, repr, NAMED.__getitem__),
    "memory format": (torch.memory_format, repr, NAMED.__getitem__),
    "float": (float, repr, float),
    "ellipsis": (type(...), lambda value: None, lambda _: ...),
}


def encoded(value: Any) -> Any:
    """An argument of a pattern's call as JSON has it: plain values as they are, the others as {kind: value}."""
    if value is None or isinstance(value, bool | int | str):
        return value
    for mark, (kind, write, _) in MARKS.items():
        if isinstance(value, kind):
            return {mark: write(value)}
    raise RuleError(f"a pattern cannot be written to JSON with {value!r} in it")


def decoded(data: Any) -> Any:
    """What `encoded` was given."""
    if isinstance(data, dict):
        ((mark, value),) = data.items()
        return MARKS[mark][2](value)
    return data


def _text(value: Any) -> str:
    if isinstance(value, Input | Open):
        return value.name
    if isinstance(value, Result):
        return f"%{value.index}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))}{',' if len(value) == 1 else ''})"
    return repr(value)
