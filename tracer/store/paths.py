"""Access paths, objects and metas as numbered tables, which guards, programs and graphs refer to by number.

The writer fills the tables as it is asked; the reader makes entries of them when they are asked for, in the process and
for the call at hand.
"""

from __future__ import annotations

import abc
import enum
import operator
import types
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import torch

from passes.meta import FACT_NAMES, TensorMeta
from passes.references import OwnReference
from tracer.code.resume import origin
from tracer.guards import iterators
from tracer.guards import source as sources
from tracer.guards.explain import UNREACHABLE, CallFrame
from tracer.guards.guard_set import Guard
from tracer.guards.source import ACCESSORS, Absent, Source, class_attribute
from tracer.interpret.location import Location
from tracer.store.errors import BadFile, Unfit, Unstorable, part_of
from tracer.store.objects import BUILTIN_FUNCTION, fingerprint, import_path, look_up, part, parts
from tracer.store.sizes import LONGEST_TEXT, SIZES, SizeReader, VaryingSize, read_varying, write_size
from tracer.store.values import ValueReader, ValueWriter

ROOTS: Final = ("argument", "function", "object", "module")
STORED_STEPS: Final = frozenset(ACCESSORS) - {"memory", "layout", "subclasses"}
"""Steps that a file may have: no other code than CPython's runs when they are taken."""
STEPS_OF_ITERATORS: Final = frozenset({"upcoming", "has upcoming", "leaf", "form"})
STEPS_TO_ASK: Final = (*STEPS_OF_ITERATORS, "getattr", "call")
"""Steps of which only what they start from tells whether they run code of the program."""
DEPTH: Final = 200
"""Steps of one access path, at most."""
FURTHEST: Final = 10_000
"""How many items in advance of an iterator are looked at, at most."""
HELD: Final = ("type", "same object")
"""Checks whose expected value is an object known by identity."""
GETTERS_OF_SETTINGS: Final = ("_get_", "_is_", "get_", "is_")
"""How the functions of C begin that tell a setting of torch: an access path may call those."""
FIELD_TYPES: Final = (types.GetSetDescriptorType, types.MemberDescriptorType)


class TableWriter(ValueWriter):
    """Writes sources, objects and metas into its tables, and their numbers where they are used."""

    def __init__(self, guards: Iterable[Guard] = (), code: types.CodeType | None = None) -> None:
        self.pins = _pins(guards, None if code is None else written_code(code))
        self.sources: list[int] = []
        self.steps: list[Any] = []
        self.objects: list[Any] = []
        self.targets: list[Any] = []
        """What the rows of `objects` stand for."""
        self.metas: list[Any] = []
        self.lines: list[Any] = []
        self.symbols: list[Any] = []
        self.symbol_sources: Mapping[Any, Source] = {}
        self._places: dict[Any, int] = {}
        self._alive: list[Any] = []
        self._sought: set[int] = set()

    def source(self, source: Source) -> int:
        """The number of an access path."""
        place = self._places.get(source)
        if place is None:
            row = -1 if source.base is None else self.source(source.base), self._step(source)
            place = self._places[source] = len(self.sources) // 2
            self.sources += row
        return place

    def _step(self, source: Source) -> int:
        """The number of the last step of an access path, which many have in common."""
        step = self._step_row(source)
        name = repr(step)
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = len(self.steps)
            self.steps.append(step)
        return place

    def _step_row(self, source: Source) -> list[Any]:
        accessor, key = source.accessor, source.key
        if accessor not in STORED_STEPS:
            raise Unstorable(f"an access path by {accessor!r}", source.text)
        if accessor == "function":
            return [accessor, None]
        if accessor == "object":
            target = key()
            if target is None:
                raise Unstorable("an object that is gone")
            return [accessor, self.object(target)]
        if accessor == "item of":
            return [accessor, self.source(key)]
        return [accessor, self.value(key)]

    def object(self, target: Any) -> int:
        """The number of an object known by identity."""
        place = self._places.get(id(target))
        if place is None:
            row = [self._way_to(target), fingerprint(target)]
            place = self._places[id(target)] = len(self.objects)
            self.targets.append(target)
            self.objects.append(row)
        return place

    def _way_to(self, target: Any) -> list[Any]:
        """How another process finds its own: by a name, or at the end of a path that a guard compares it at."""
        if isinstance(target, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
            raise Unstorable("an operator known by identity", str(target))
        path = import_path(target)
        if path is not None:
            return ["name", *path]
        pin = self.pins.get(id(target))
        if pin is not None and id(target) not in self._sought:
            self._sought.add(id(target))
            how, place, name = pin
            if place is None:
                return [how]
            return [how, self.source(place)] if isinstance(place, Source) else [how, self.object(place), name]
        if isinstance(target, types.ModuleType):
            return ["module"]
        raise Unstorable("an object that no access path leads to", f"a {type(target).__qualname__}: {target!r:.200}")

    def meta(self, meta: TensorMeta) -> int:
        """The number of a TensorMeta."""
        place = self._places.get(meta)
        if place is None:
            place = self._places[meta] = len(self.metas)
            self._alive.append(meta)
            self.metas.append([self.value(fact) for fact in meta.facts])
        return place

    def compared_meta(self, meta: TensorMeta) -> int:
        """The number of a TensorMeta that a guard compares with, in which sizes that vary are no expressions."""
        if not meta.symbolic:
            return self.meta(meta)
        key = "compared", meta
        place = self._places.get(key)
        if place is None:
            facts = [_without_symbols(fact) for fact in meta.facts]
            place = self._places[key] = len(self.metas)
            self._alive.append(meta)
            self.metas.append([self.value(fact) for fact in facts])
        return place

    def symbol(self, symbol: Any) -> int:
        """The number of a symbol that sizes are computed from. Raises Unstorable for one that stands for data."""
        key = "symbol", symbol
        place = self._places.get(key)
        if place is None:
            source = self.symbol_sources.get(symbol)
            if source is None:
                raise Unstorable("a number that is read from a tensor", str(symbol))
            place = self._places[key] = len(self.symbols)
            self.symbols.append([self.source(source), source.accessor == "size"])
        return place

    def line(self, line: Any) -> int:
        """The number of a user's line; -1 for none."""
        if line is None:
            return -1
        key = "line", line.file, line.line, line.function
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.lines)
            self.lines.append(list(key[1:]))
        return place

    def other(self, value: Any) -> Any:
        if type(value) is torch.SymInt:
            return ["size of", write_size(value, self.symbol)]
        if type(value) is VaryingSize:
            return ["varies", str(value)]
        if type(value) is OwnReference:  # a key of a dictionary that equals only itself
            return ["o", self.object(value())]
        if isinstance(value, TensorMeta):
            return ["m", self.meta(value)]
        if isinstance(value, Source):
            return ["@", self.source(value)]
        if isinstance(value, enum.Enum):
            return ["o", self.object(value)] if import_path(type(value)) is None else self._member(value)
        if isinstance(value, tuple) and hasattr(type(value), "_fields"):
            return ["named", self.object(type(value)), *map(self.value, value)]
        if isinstance(value, (type, types.FunctionType, types.CodeType, BUILTIN_FUNCTION, types.ModuleType)):
            return ["o", self.object(value)]
        return super().other(value)

    def _member(self, member: enum.Enum) -> list[Any]:
        return ["member", self.object(type(member)), member._name_]


def _without_symbols(fact: Any) -> Any:
    """A fact of a meta, with sizes that vary as text."""
    if type(fact) is tuple:
        return tuple(map(_without_symbols, fact))
    return VaryingSize(str(fact)[:LONGEST_TEXT]) if type(fact) is torch.SymInt else fact


def written_code(code: types.CodeType) -> types.CodeType:
    """The code object that the user wrote, where `code` is the rest of it after a graph break."""
    entered = origin(code)
    return code if entered is None else entered.code


def _pins(guards: Iterable[Guard], code: types.CodeType | None) -> dict[int, tuple[str, Any, str]]:
    """How to find the code of the entry, objects that guards compare with what a path leads to, or with its type, and
    the parts of those, by the ids of the objects.
    """
    pins: dict[int, tuple[str, Any, str]] = {} if code is None else {id(code): ("code", None, "")}
    waiting: list[Any] = [] if code is None else [code]
    for source, check, expected, _ in guards:
        if source is not None and (check in HELD or type(expected) is types.CodeType):
            target: Any = expected() if check in HELD else expected  # pyright: ignore[reportCallIssue]
            pins.setdefault(id(target), ("type at" if check == "type" else "at", source, ""))
            waiting.append(target)
    while waiting:
        target = waiting.pop()
        for name, each in parts(target):
            if id(each) not in pins:
                pins[id(each)] = "part", target, name
                waiting.append(each)
    return pins


class StoredCode(NamedTuple):
    """As much of a code object as a line of it is known by."""

    filename: str
    name: str


class TableReader(ValueReader):
    """Reads the tables of one file, for one call."""

    def __init__(self, data: dict[str, Any], call: CallFrame, code: types.CodeType) -> None:
        self.call = call
        self.code = code
        self._object_rows, self._meta_rows = part_of(data, "objects", list), part_of(data, "metas", list)
        self._objects: dict[int, Any] = {}
        self._sought: set[Any] = set()
        self._metas: list[TensorMeta | None] = [None] * len(self._meta_rows)
        self.lines = [_line(row) for row in part_of(data, "lines", list)]
        self.paths = _checked_paths(part_of(data, "sources", list))
        """Two numbers for each access path: that which it goes on from, -1 for none, and its last step."""
        self.sources: list[Source | None] = [None] * (len(self.paths) // 2)
        """The access paths that something has asked for."""
        self._depths: list[int] = [0] * len(self.sources)
        self._step_rows = part_of(data, "steps", list)
        self._steps: list[tuple[str, Any] | None] = [None] * len(self._step_rows)
        self._roots: dict[int, Source] = {}
        self._refuse_code()
        self.sizes = SizeReader(part_of(data, "symbols", list), self.source, self.resolve)

    def source(self, place: Any) -> Source:
        """The access path with a number. Raises BadFile, and Unfit if it starts at an object that is not here."""
        if type(place) is not int or not 0 <= place < len(self.sources):
            raise BadFile(f"no access path {place!r}")
        source = self.sources[place]
        if source is not None:
            return source
        missing: list[int] = []
        while place >= 0 and self.sources[place] is None:
            missing.append(place)
            place = self.paths[2 * place]
        base = None if place < 0 else self.sources[place]
        depth = 0 if place < 0 else self._depths[place] + 1
        for number in reversed(missing):
            if depth > DEPTH:
                raise BadFile("an access path without end")
            base = self.sources[number] = self._further(base, self.paths[2 * number + 1], number)
            self._depths[number] = depth
            depth += 1
        assert base is not None
        return base

    def _further(self, base: Source | None, number: int, place: int) -> Source:
        """The access path `place`, by the step with a number."""
        accessor, key = self._step(number)
        if (base is None) is not (accessor in ROOTS):
            raise BadFile(f"an access path by {accessor!r}")
        if base is None:
            return self._roots[number]
        if accessor == "item of":
            if key >= place:
                raise BadFile("an access path with a key behind it")
            key = self.source(key)
        if accessor in STEPS_TO_ASK:
            self._require_harmless(base, accessor, key)
        return base.child(accessor, key)

    def all_steps(self) -> list[Any]:
        """The steps of access paths, as pairs: the number of the path that gives it is the key of an "item of"."""
        for number in range(len(self._steps)):
            self._step(number)
        return self._steps

    def _refuse_code(self) -> None:
        """Refuse access paths with steps that would run code of the program. Raises BadFile, and Unfit."""
        rows = enumerate(self._step_rows)
        asked = {number for number, row in rows if type(row) is list and len(row) == 2 and row[0] in STEPS_TO_ASK}
        if asked:
            for place, number in enumerate(self.paths[1::2]):
                if number in asked:
                    self.source(place)

    def _step(self, number: int) -> tuple[str, Any]:
        if number >= len(self._steps):
            raise BadFile(f"an access path goes on by {number!r}")
        step = self._steps[number]
        if step is None:
            step = self._steps[number] = self._read_step(number)
        return step

    def _read_step(self, number: int) -> tuple[str, Any]:
        accessor, key = _row(self._step_rows[number], 2)
        if type(accessor) is not str or accessor not in STORED_STEPS:
            raise BadFile(f"an access path by {accessor!r}")
        if accessor in ROOTS:
            root = self._roots[number] = self._root(accessor, key)
            return accessor, root.key
        if accessor == "item of":
            if type(key) is not int or key < 0:
                raise BadFile(f"no access path {key!r}")
            return accessor, key
        key = self.value(key)
        if (accessor in TEXT_KEYS and type(key) is not str) or (accessor in INT_KEYS and type(key) is not int):
            raise BadFile(f"{key!r} for {accessor!r}")
        try:
            hash(key)
        except TypeError as error:
            raise BadFile(f"a key that is none: {error}") from None
        return accessor, key

    def _root(self, accessor: str, key: Any) -> Source:
        if accessor == "function":
            return sources.function(self.code)
        if accessor == "object":
            return sources.constant(self.object(key))
        if type(key) is not str:
            raise BadFile(f"{key!r} for {accessor!r}")
        if accessor == "module":
            return sources.module(key)
        if key not in self.call.locals:
            raise BadFile(f"no parameter {key!r}")
        return sources.argument(key)

    def _require_harmless(self, base: Source, accessor: str, key: Any) -> None:
        """Refuse a step that would run code of the program: a property, or any function but a getter of torch's."""
        holder = self.resolve(base)
        if accessor == "getattr":
            if not _is_plain_field(holder, key):
                raise BadFile(f"{base.text}.{key} is computed")
        elif accessor in STEPS_OF_ITERATORS:
            if not all(map(iterators.is_over_builtin, iterators.leaves(holder))) or (key or 0) > FURTHEST:
                raise BadFile(f"{base.text} is followed too far, or no iterator over a builtin container")
        elif not (isinstance(holder, weakref.ref) or _tells_a_setting(holder)):
            raise BadFile(f"{base.text} is called")

    def resolve(self, source: Source) -> Any:
        """What an access path leads to in this call. Raises Unfit if it leads nowhere."""
        try:
            return self.call.resolve(source)
        except UNREACHABLE:
            raise Unfit(f"there is no {source.text}") from None

    def release(self) -> None:
        """Let go of the call and its objects: what is read from now on refers to none."""
        self.call = CallFrame(None, {})
        self._objects.clear()

    def object(self, place: Any) -> Any:
        """The object with a number: this process's own. Raises Unfit if it is another, or none."""
        if type(place) is not int or not 0 <= place < len(self._object_rows):
            raise BadFile(f"no object {place!r}")
        if place not in self._objects:
            how, wanted = _row(self._object_rows[place], 2)
            if type(how) is not list or type(wanted) is not list or not how:
                raise BadFile("an object without a description")
            target = self._find(how, wanted)
            try:
                same = fingerprint(target) == wanted
            except Unstorable:
                same = False
            if not same:
                raise Unfit(f"another {wanted[0] if wanted else 'object'} is in the place of one that was captured")
            self._objects[place] = target
        return self._objects[place]

    def _find(self, how: list[Any], wanted: list[Any]) -> Any:
        kind, *rest = how
        try:
            if kind == "module" and not rest:
                return self.resolve(sources.module(_text(wanted[1])))
            if kind == "name":
                return look_up(*map(_text, rest))
            if kind == "code" and not rest:
                return written_code(self.code)
        except (Absent, IndexError, TypeError) as error:
            raise Unfit(str(error)) from None
        if kind == "part" and len(rest) == 2 and type(rest[1]) is str:
            return self._part(*rest)
        if kind in ("at", "type at") and len(rest) == 1:
            target = self.resolve(self.source(rest[0]))
            return type(target) if kind == "type at" else target
        raise BadFile(f"an object found by {kind!r}")

    def _part(self, place: Any, name: str) -> Any:
        """A part of another object, which comes before it in the table of its file."""
        if place in self._sought:
            raise BadFile("an object that is a part of itself")
        self._sought.add(place)
        try:
            return part(self.object(place), name)
        except Absent as error:
            raise Unfit(str(error)) from None
        finally:
            self._sought.discard(place)

    def meta(self, place: Any) -> TensorMeta:
        """The TensorMeta with a number."""
        if type(place) is not int or not 0 <= place < len(self._metas):
            raise BadFile(f"no meta {place!r}")
        meta = self._metas[place]
        if meta is None:
            facts = list(map(self.value, _row(self._meta_rows[place], len(FACT_NAMES))))
            _check_facts(facts)
            by_name = dict(zip(FACT_NAMES, facts, strict=True))
            meta = self._metas[place] = TensorMeta(**by_name)
        return meta

    def line(self, place: Any) -> Location | None:
        """The user's line with a number."""
        if type(place) is not int or not -1 <= place < len(self.lines):
            raise BadFile(f"no line {place!r}")
        return None if place < 0 else self.lines[place]

    def other(self, tag: Any, rest: list[Any]) -> Any:
        if tag == "m":
            return self.meta(*rest)
        if tag == "varies":
            return read_varying(*rest)
        if tag == "size of":
            return self.sizes.size(*rest)
        if tag == "@":
            return self.source(*rest)
        if tag == "o":
            return self.object(*rest)
        if tag == "member":
            cls = self.object(rest[0])
            if not (isinstance(cls, type) and issubclass(cls, enum.Enum)):
                raise BadFile("a member of no enumeration")
            members = type.__getattribute__(cls, "_member_map_")
            if rest[1] not in members:
                raise Unfit(f"{cls.__name__} has no {rest[1]}")
            return members[rest[1]]
        if tag == "named":
            cls = self.object(rest[0])
            if not (isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")):
                raise BadFile("a named tuple of another class")
            return tuple.__new__(cls, map(self.value, rest[1:]))
        return super().other(tag, rest)


TEXT_KEYS: Final = frozenset({"class attribute", "getattr"})
INT_KEYS: Final = frozenset(
    {"cell", "index", "key", "deque item", "size", "stride", "upcoming", "has upcoming", "leaf"}
)
C_METHOD: Final = types.WrapperDescriptorType


def _is_plain_field(holder: Any, name: str) -> bool:
    """Whether reading an attribute runs no code of the program. Raises Unfit if there is none."""
    cls = type(holder)
    if type(class_attribute(cls, "__getattribute__")) is not C_METHOD:
        return False
    if isinstance(holder, enum.EnumMeta) and name in type.__getattribute__(holder, "_member_map_"):
        return True
    stored = _stored(cls, name)
    if stored is not None:
        return type(stored) in FIELD_TYPES
    if isinstance(holder, type):
        stored = _stored(holder, name)
    else:
        stored = object.__getattribute__(holder, "__dict__").get(name) if cls.__dictoffset__ else None
    if stored is None:
        raise Unfit(f"there is no {name}")
    return not isinstance(holder, type) or _stored(type(stored), "__get__") is None or type(stored) in FUNCTIONS


FUNCTIONS: Final = (types.FunctionType, types.BuiltinFunctionType, staticmethod)


def _stored(cls: type, name: str) -> Any:
    """What the classes of `cls` store under a name; None where that is nothing."""
    try:
        return class_attribute(cls, name)
    except Absent:
        return None


def _tells_a_setting(target: Any) -> bool:
    return target is abc.get_cache_token or (
        type(target) is BUILTIN_FUNCTION
        and isinstance(target.__module__, str)
        and target.__module__.partition(".")[0] == "torch"
        and target.__name__.startswith(GETTERS_OF_SETTINGS)
    )


SIZES_OF_METAS: Final = {*SIZES, VaryingSize}


def _check_facts(facts: list[Any]) -> None:
    shape, stride, offset, dtype, device, layout, *flags = facts
    sizes = (
        [*shape, *(stride or ()), offset] if isinstance(shape, tuple) and isinstance(stride, tuple | None) else [None]
    )
    if not (
        SIZES_OF_METAS.issuperset(map(type, sizes))
        and (stride is None or len(stride) == len(shape))
        and isinstance(dtype, torch.dtype)
        and isinstance(device, torch.device)
        and isinstance(layout, torch.layout)
        and all(type(flag) is bool for flag in flags)
    ):
        raise BadFile("a meta that is none")


def _checked_paths(rows: list[Any]) -> list[int]:
    """The table of access paths. Raises BadFile unless each goes on from one before it."""
    if len(rows) % 2 or not set(map(type, rows)) <= {int}:
        raise BadFile("an access path that is none")
    bases, steps = rows[::2], rows[1::2]
    if rows and (min(bases) < -1 or min(steps) < 0 or not all(map(operator.lt, bases, range(len(bases))))):
        raise BadFile("an access path goes on from none")
    return rows


def _row(row: Any, length: int) -> list[Any]:
    if type(row) is not list or len(row) != length:
        raise BadFile("a row of another length")
    return row


def _line(row: Any) -> Location:
    file, line, function = _row(row, 3)
    if type(line) is not int or not all(type(text) is str and text.isprintable() for text in (file, function)):
        raise BadFile("a line that is none")
    return Location(StoredCode(file, function), line)


def _text(data: Any) -> str:
    if type(data) is not str:
        raise TypeError("a name is a text")
    return data
