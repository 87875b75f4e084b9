"""What can be observed of one call, and the first difference between two observations.

Compares types, values, signs of zero, order, aliasing among mutable objects, instance state, function closures and
exceptions with their chains. Knows nothing of who made the calls.
"""

from __future__ import annotations

import copy
import copyreg
import math
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any

from .catalogue import Call, Program

ATOMS = (int, str, bytes, bool, type(None), type(...), type(NotImplemented), types.CodeType, types.ModuleType)


@dataclass(frozen=True)
class Observation:
    """Result or exception of a call, its arguments and the watched globals afterwards."""

    result: Any
    error: BaseException | None
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    watched: dict[str, Any]


def observe(function: Callable[..., Any], program: Program, call: Call) -> Observation:
    """Call `function` in the place of `program.function` on copies of the arguments; globals are restored."""
    arguments, keywords = copy.deepcopy((call.arguments, call.keywords))
    namespace = vars(sys.modules[program.function.__module__])
    before = {name: copy.deepcopy(namespace[name]) for name in program.watches if name in namespace}
    result, error = None, None
    try:
        result = function(*arguments, **keywords)
    except (Exception, GeneratorExit) as raised:  # noqa: BLE001  a program may raise anything; it is compared
        error = raised
    watched = {name: namespace[name] for name in program.watches if name in namespace}
    for name in program.watches:
        namespace.pop(name, None)
    namespace.update(before)
    return Observation(result, error, arguments, keywords, watched)


def difference(left: Observation, right: Observation) -> str | None:
    """First difference in words, None when there is none; aliasing is tracked across the whole observation."""
    comparison = Comparison()
    for name in ("error", "result", "arguments", "keywords", "watched"):
        mismatch = comparison.difference(getattr(left, name), getattr(right, name), name)
        if mismatch:
            return mismatch
    return None


class Comparison:
    """Walks two object graphs side by side; remembers pairs already met, so cycles end and aliases must agree.

    Without `aliases` only cycles matter: for results that were made anew.
    """

    def __init__(self, aliases: bool = True) -> None:
        self.aliases = aliases
        self.partner: dict[int, int] = {}
        self.owner: dict[int, int] = {}
        self.alive: list[Any] = []

    def difference(self, left: Any, right: Any, path: str) -> str | None:
        if left is right and isinstance(left, (*ATOMS, type, types.BuiltinFunctionType)):
            return None
        if not self.same_type(type(left), type(right)):
            return f"{path}: {type(left)} and {type(right)}"
        if isinstance(left, float):
            equal = (left == right and math.copysign(1, left) == math.copysign(1, right)) or (
                left != left and right != right
            )
            return None if equal else f"{path}: {left!r} and {right!r}"
        if isinstance(left, complex):
            return self.each([left.real, left.imag], [right.real, right.imag], path)
        if type(left) in ATOMS:
            return None if left == right else f"{path}: {left!r} and {right!r}"
        if isinstance(left, type):
            return None if self.same_type(left, right) else f"{path}: {left!r} and {right!r}"
        if type(left) is not tuple:
            if id(left) in self.partner or id(right) in self.owner:
                agree = self.partner.get(id(left)) == id(right) and self.owner.get(id(right)) == id(left)
                if not self.aliases and not agree:
                    return self.parts(left, right, path)
                return None if agree else f"{path}: aliases something else than its partner does"
            self.partner[id(left)], self.owner[id(right)] = id(right), id(left)
            self.alive += [left, right]
        return self.parts(left, right, path)

    def parts(self, left: Any, right: Any, path: str) -> str | None:
        """Contents of two objects of the same type."""
        if isinstance(left, BaseException):
            return self.exceptions(left, right, path)
        if isinstance(left, types.FunctionType):
            return self.functions(left, right, path)
        if isinstance(left, types.MethodType):
            return self.each((left.__func__, left.__self__), (right.__func__, right.__self__), path)
        if isinstance(left, types.CellType):
            return self.cells(left, right, path)
        if isinstance(left, (range, slice)):
            return None if left == right else f"{path}: {left!r} and {right!r}"
        if isinstance(left, (list, tuple, deque)):
            return self.each(left, right, path) or self.state(left, right, path)
        if isinstance(left, (dict, types.MappingProxyType)):
            return self.mapping(left, right, path) or self.state(left, right, path)
        if isinstance(left, (set, frozenset)):
            return self.sets(left, right, path) or self.state(left, right, path)
        if isinstance(left, ATOMS) and type(left).__eq__ in {atom.__eq__ for atom in ATOMS} and left != right:
            return f"{path}: {left!r} and {right!r}"
        state = self.state(left, right, path)
        if state or self.has_state(left):
            return state
        if type(left).__eq__ is not object.__eq__ and left != right:
            return f"{path}: {left!r} and {right!r}"
        return None

    @staticmethod
    def same_type(left: type, right: type) -> bool:
        """The same class, or the class that each of two runs of one function has made."""
        if left is right:
            return True
        local = "<locals>" in left.__qualname__ or left.__module__ == right.__module__
        return local and (left.__qualname__, left.__module__) == (right.__qualname__, right.__module__)

    def each(self, left: Iterable[Any], right: Iterable[Any], path: str) -> str | None:
        lefts, rights = [*left], [*right]
        if len(lefts) != len(rights):
            return f"{path}: lengths {len(lefts)} and {len(rights)}: {lefts!r} and {rights!r}"
        for index, pair in enumerate(zip(lefts, rights, strict=True)):
            mismatch = self.difference(*pair, f"{path}[{index}]")
            if mismatch:
                return mismatch
        return None

    def mapping(self, left: Any, right: Any, path: str) -> str | None:
        """Keys in order and values as they are stored, whatever a subclass overrides."""
        kind: Any = next(base for base in (OrderedDict, dict, types.MappingProxyType) if isinstance(left, base))
        keys, other_keys = [*kind.keys(left)], [*kind.keys(right)]
        mismatch = self.each(keys, other_keys, f"{path} keys")
        if mismatch:
            return mismatch
        for key, other_key in zip(keys, other_keys, strict=True):
            mismatch = self.difference(
                kind.__getitem__(left, key), kind.__getitem__(right, other_key), f"{path}[{key!r}]"
            )
            if mismatch:
                return mismatch
        return None

    def sets(self, left: Set[Any], right: Set[Any], path: str) -> str | None:
        plain = all(isinstance(item, (*ATOMS, float, tuple, frozenset)) for item in left)
        if plain and left != right:
            return f"{path}: {left!r} and {right!r}"
        return None if len(left) == len(right) else f"{path}: sizes {len(left)} and {len(right)}"

    def exceptions(self, left: BaseException, right: BaseException, path: str) -> str | None:
        for name in ("args", "__cause__", "__context__", "__suppress_context__"):
            mismatch = self.difference(getattr(left, name), getattr(right, name), f"{path}.{name}")
            if mismatch:
                return mismatch
        if isinstance(left, BaseExceptionGroup):
            mismatch = self.each(left.exceptions, right.exceptions, f"{path}.exceptions")  # type: ignore[attr-defined]
            if mismatch:
                return mismatch
        return self.state(left, right, path)

    def functions(self, left: types.FunctionType, right: types.FunctionType, path: str) -> str | None:
        for name in (
            "__name__",
            "__qualname__",
            "__code__",
            "__defaults__",
            "__kwdefaults__",
            "__closure__",
            "__doc__",
        ):
            mismatch = self.difference(getattr(left, name), getattr(right, name), f"{path}.{name}")
            if mismatch:
                return mismatch
        return self.state(left, right, path)

    def cells(self, left: types.CellType, right: types.CellType, path: str) -> str | None:
        contents: list[list[Any]] = []
        for cell in (left, right):
            try:
                contents.append([cell.cell_contents])
            except ValueError:
                contents.append([])
        return self.each(*contents, f"{path}.cell_contents")

    @staticmethod
    def slots(value: Any) -> list[str]:
        return [name for name in copyreg._slotnames(type(value)) if hasattr(value, name)]  # type: ignore[attr-defined]

    def has_state(self, value: Any) -> bool:
        return isinstance(getattr(value, "__dict__", None), dict) or bool(self.slots(value))

    def state(self, left: Any, right: Any, path: str) -> str | None:
        """Attributes in `__dict__` (their order too) and in slots."""
        mine, other = getattr(left, "__dict__", None), getattr(right, "__dict__", None)
        if isinstance(mine, dict) and isinstance(other, dict):
            mismatch = self.mapping(mine, other, f"{path}.__dict__")
            if mismatch:
                return mismatch
        names = self.slots(left)
        if names != self.slots(right):
            return f"{path}: slots {names} and {self.slots(right)}"
        return self.each([getattr(left, n) for n in names], [getattr(right, n) for n in names], f"{path} slots")
