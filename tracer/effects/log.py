"""What the traced program changed: an append-only list of the things to write back.

Tracing never touches a user's object. A value that is changed keeps its new state itself and is
recorded here once, in the order of first change; output/ turns the list into statements.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tracer.guards.source import Source
    from tracer.reasons import Reason

DELETED = type(
    "Deleted", (), {"__repr__": lambda self: "DELETED", "__doc__": "Marks a name removed from a namespace."}
)()


class Namespace:
    """Names written on an object known by identity: a module's globals, a class, a function; a ContextVar has one."""

    __slots__ = ("holder", "names", "source")

    def __init__(self, holder: object, source: Source | None) -> None:
        self.holder = holder
        self.source = source
        self.names: dict[str, Any] = {}


class CacheCall(NamedTuple):
    """A call of a function behind functools.lru_cache, with its result.

    `guarded`: the guards find that very result in the cache. Otherwise it is a literal, and the program compares it.
    `is_made`: the call was made while tracing, and the program's first run leaves it out.
    """

    function: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    result: Any = None
    guarded: bool = False
    is_made: bool = False


class OutputCall(NamedTuple):
    """A call that writes output and changes no object of the program: a warning, a printed line, a log message.

    The residual program makes it after its graph, in the order of the log. `is_possible`, with `asked` as arguments,
    says at the beginning of the program whether it shows in no other way then; if not, the original runs. Arguments
    are items, or sources for objects as they are at the call. `step` is the instruction of the captured frame that it
    is made at, `node` the graph's last node by then if tensors are written out, which must not change before.
    `looks_at_lists` says that `is_possible` is also given the lists from outside that the program looked into.
    """

    function: Callable[..., Any]
    args: Sequence[Any]
    is_possible: Callable[..., bool]
    asked: Sequence[Any]
    step: int
    node: Any = None
    looks_at_lists: bool = False


class Draw:
    """A call for a number that each run draws for itself, from a clock or a generator of random numbers.

    `name` is the function's, `owner` the generator that it changes, None for a clock. `begins` says that the graph had
    no call by then. What is drawn is a symbol whose number nothing is known of, for `reason`.
    """

    __slots__ = ("args", "begins", "function", "name", "owner", "reason")

    def __init__(
        self, function: Callable[..., Any], args: Sequence[Any], name: str, reason: Reason, owner: Any, begins: bool
    ) -> None:
        self.function = function
        self.args = args
        self.name = name
        self.reason = reason
        self.owner = owner
        self.begins = begins


def place_of(holder: Any) -> Any:
    """The object that stores the names of a module, class, function or globals dictionary, whichever way it is reached.

    That is a dictionary; a class stands for its own, which nothing else leads to.
    """
    return holder.__dict__ if isinstance(holder, (types.ModuleType, types.FunctionType)) else holder


class EffectLog:
    """Everything that must be written back, in order of first change.

    `place` says which line of the user's program runs now; the last to change a thing is kept. `step` says which
    instruction of the captured frame runs; `steps` has the first that changed a thing. `stored` has for every
    real dictionary, or class, that was changed (by its identity) the value or namespace that keeps the new state: a
    dictionary of attributes can be reached as such, or through its owner, and only one of them may be changed.
    `places` is how many those are.
    `changes` counts all changes of objects from outside.
    `watch`, if it is set, is told of every change, also of values born in the trace.
    """

    def __init__(self, place: Callable[[], Any] = lambda: None, step: Callable[[], int] = lambda: 0) -> None:
        self.changed: dict[int, Any] = {}
        self.namespaces: dict[int, Namespace] = {}
        self.stored: dict[int, Any] = {}
        self.places = 0
        self.changes = 0
        self.cached_calls: list[CacheCall] = []
        self.output_calls: list[OutputCall] = []
        self.draws: list[Draw] = []
        self.steps: dict[int, int] = {}
        self.watch: Callable[[Any], None] | None = None
        self._place = place
        self._step = step
        self._lines: dict[tuple[int, str | None], Any] = {}

    def record(self, value: Any, name: str | None = None) -> None:
        """`value` (its attribute `name`) differs from the object it came from; those born in the trace have none."""
        if self.watch is not None:
            self.watch(value)
        if value.source is not None:
            self.changes += 1
            if id(value) not in self.changed:
                self.changed[id(value)] = value
                self.steps[id(value)] = self._step()
            self._lines[id(value), name] = self._place()

    def store(self, place: object, value: Any) -> None:
        """The new state of a real dictionary or class is kept by `value`."""
        self.stored[id(place)] = value
        self.places = len(self.stored)

    def line_of(self, value: Any, name: str | None = None) -> Any:
        """The user's line that changed a value or a namespace, None when it is not known."""
        return self._lines.get((id(value), name))

    def write(self, holder: object, name: str, item: Any) -> None:
        """`name` of `holder` (a globals dict, module, class or function) was set, or deleted with DELETED."""
        place = place_of(holder)
        space = self.namespaces.get(id(place))
        if space is None:
            space = self.namespaces[id(place)] = Namespace(place, None)
            self.store(place, space)
            self.changed[id(space)] = space
            self.steps[id(space)] = self._step()
        self._lines[id(space), name] = self._place()
        space.names[name] = item
        self.changes += 1
        if self.watch is not None:
            self.watch(space)

    def take_back(self, holder: object, name: str) -> None:
        """`name` of `holder`, which the trace wrote to, is again what it was before the first write."""
        space = self.namespaces[id(place_of(holder))]
        del space.names[name]
        self.changes += 1
        if self.watch is not None:
            self.watch(space)

    def contents(self) -> Iterator[Any]:
        """The values that were changed, and the items that were written to namespaces."""
        for change in self.changed.values():
            if isinstance(change, Namespace):
                yield from change.names.values()
            else:
                yield change

    def read(self, holder: object, name: str, default: Any) -> Any:
        """What the trace wrote to `name`, else `default`."""
        space = self.namespaces.get(id(place_of(holder))) if self.namespaces else None
        return default if space is None else space.names.get(name, default)

    def __bool__(self) -> bool:
        return bool(self.changed) or bool(self.output_calls) or self.changes_generators

    @property
    def changes_generators(self) -> bool:
        """Whether random numbers are drawn from a generator of Python."""
        return any(draw.owner is not None for draw in self.draws)
