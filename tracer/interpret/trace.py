"""One trace: the state that all frames of one capture share.

The graph, the guards and the effect log grow here and nowhere else. What acts on a trace is in other modules.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NoReturn, Protocol

import torch

from backends.handover import Writes
from passes.operators.modes import Modes, current_modes
from passes.operators.verify import Prediction
from tracer.code.decode import Code, Op
from tracer.effects.log import EffectLog
from tracer.graph.builder import GraphBuilder
from tracer.guards.guard_set import GuardSet
from tracer.guards.source import Source, is_rooted_in
from tracer.interpret.location import Location
from tracer.options import DEFAULTS, Options
from tracer.reasons import TOO_LONG, GraphBreak, Reason
from tracer.values import keys, wrap
from tracer.values.base import Lazy, Value
from tracer.values.born_classes import BornClasses
from tracer.values.item import Item
from tracer.values.machine import Machine
from tracer.values.objects import ObjectValue
from tracer.values.recipes import Recipe
from tracer.values.set_orders import SetOrders
from tracer.values.shapes import Shapes
from tracer.values.tensors import TensorValue
from tracer.values.weak_references import WeakReference

STRETCH = 50_000
"""Turns after which a trace asks whether they have added to the graph: one node for each TURNS_OF_A_NODE of them."""

TURNS_OF_A_NODE = 1_000

TURN_LIMIT = 1_000_000
"""Turns that one trace follows, whatever they add to the graph."""


class Running(Protocol):
    """The frame that runs now, as far as a trace looks into it."""

    caller: Running | None
    code: Code
    ops: list[Op]
    index: int
    slots: list[Item]
    protected: bool
    depth: int
    globals: dict[str, Any]
    module: Source | Literal[False] | None

    def find_module(self) -> Source | None:
        """The source of the module whose code runs, None without one."""
        ...

    def clear(self) -> None:
        """Let go of everything that the frame holds."""
        ...

    @property
    def user(self) -> Running:
        """The frame itself, or the nearest frame of the user's that it was called from."""
        ...

    @property
    def handled_here(self) -> bool:
        """Whether the frame has a handler around the instruction running now that an exception does not just pass."""
        ...


def _holds(constants: tuple[Any, ...], literal: object) -> bool:
    return any(one is literal or (type(one) is tuple and _holds(one, literal)) for one in constants)


class InputWrite(NamedTuple):
    """An input that the graph writes to, the line that does it first, and whether a write changes the tensor's meta,
    or is one that autograd differentiates.
    """

    value: TensorValue
    line: Location | None
    redefines: bool
    differentiated: bool


class EnteredMode(NamedTuple):
    """A TorchFunctionMode that the trace has entered, and the step at which it did."""

    item: Item
    step: int


class ChangedSetting(NamedTuple):
    """A setting of the process that the graph has changed: the function that sets it, what it was when the frame began,
    and what it is now.
    """

    setter: Any
    first: Any
    now: Any


class DataRead(NamedTuple):
    """A call that reads data from a tensor as a symbol: the step of the captured frame that makes it, or calls what
    makes it, why it would break without symbols, and its operator.
    """

    step: int
    reason: Reason
    detail: str


@dataclass
class CachedCalls:
    """Of functions behind functools.lru_cache, by function and key: `results` that are literals or being computed, the
    calls that the traces of this capture have `made`, and those that this trace has `interpreted`. `computes` says that
    it interprets one.
    """

    results: dict[tuple[int, Any], Item] = field(default_factory=dict)
    made: set[tuple[int, Any]] = field(default_factory=set)
    interpreted: set[tuple[int, Any]] = field(default_factory=set)
    computes: bool = False


class Trace:
    """Implements `tracer.values.context.Context`, which describes the fields that values use.

    `operands_overlap` says that an operator wrote to a tensor while it read another view of the same memory: what it
    does then is known to its kernel alone; `inputs_overlap`, that the graph writes to an input that shares memory with
    another input. `owns_arguments` says that the caller of the captured frame has let go of
    its `arguments`; `watched` are those whose end a program can see. `protected` says that a handler of the program is
    around an operator of the graph: when the graph raises, the original runs from its beginning. `error_modes` are
    those that an error leaves set when it leaves the frame: of an operator outside of all blocks. `lasting` is the
    name of the first operator that stands in the way of a repetition, as what it does cannot be undone, and
    `lasting_node` its node;
    `only_writes` says that all such operators only write to inputs, `counts_writes` that the versions of these count
    them, and `writes` when the backend's programs write.
    `draws` says that random numbers are drawn, which are put back, `draws_on_devices` from other generators than the
    CPU's, too. `refusing` are the nodes whose error a handler
    waits for, `assertions` those that stand for branches whose other way raises. `reads_in_backward` says that a hook
    reads tensors besides its gradient, as they are when autograd runs it: a compiler would keep them, or inputs that
    they can be computed from, as they are before. `runs_backward` says that the graph calls autograd,
    `applies_functions` that it has a torch.autograd.Function, whose `backward` is code of the program, `moves_memory`
    that it gives a tensor the memory of another, `writes_to_stale` that it may write to a view whose history autograd
    has not made again; `leaves` are those of autograd that the graph makes, `leaf_views` the tensors of which it makes
    views that are leaves, as they are made without gradients, where a compiler would return others. `asked_places`
    counts the questions for the paths to a literal, `instantiated` the calls that a template stood for,
    `guarded_kernels` how many kernels of attention, as the frame began, are guarded.
    """

    __slots__ = (
        "_located_at",
        "_located_in",
        "_location",
        "_locations",
        "actions",
        "answers_compiling",
        "applies_functions",
        "arguments",
        "asked_places",
        "assertions",
        "autocast_depth",
        "born",
        "cached",
        "class_attributes",
        "codes",
        "constant_reads",
        "counts_writes",
        "data_read",
        "depth",
        "draws",
        "draws_on_devices",
        "effects",
        "error_modes",
        "first_modes",
        "frame",
        "function_facts",
        "function_modes",
        "generators",
        "globals",
        "graph",
        "guarded_devices",
        "guarded_kernels",
        "guards",
        "handling",
        "hashed",
        "inputs",
        "inputs_overlap",
        "instantiated",
        "keyed",
        "keyed_fixed",
        "known",
        "lasting",
        "lasting_node",
        "leaf_views",
        "leaves",
        "literals",
        "looked_up",
        "machine",
        "modes",
        "moves_memory",
        "next_look",
        "nodes",
        "of_process",
        "only_writes",
        "opened",
        "operands_overlap",
        "options",
        "overrides",
        "owners",
        "owns_arguments",
        "predictions",
        "probes",
        "protected",
        "reads_in_backward",
        "recipes",
        "references",
        "refusing",
        "replays",
        "requiring",
        "run_original",
        "runs_backward",
        "set_orders",
        "settings",
        "shapes",
        "step",
        "stop_value",
        "stops_while",
        "turns",
        "views",
        "watched",
        "wrappers",
        "writes",
        "writes_to_stale",
        "written",
    )

    def __init__(self, machine: Machine, shapes: Shapes | None = None, options: Options = DEFAULTS) -> None:
        self.machine = machine
        self.options = options
        self.predictions: list[Prediction] = []  # what rules said
        self.guards = GuardSet()
        self.graph = GraphBuilder()
        self.effects = EffectLog(lambda: self.location, lambda: self.step)
        self.known: dict[int, Any] = {}
        self.inputs: list[tuple[Source, Any, Any]] = []
        self.written: dict[Source, InputWrite] = {}
        self.operands_overlap = self.inputs_overlap = self.reads_in_backward = self.owns_arguments = False
        self.runs_backward = self.applies_functions = self.moves_memory = self.writes_to_stale = False
        self.leaves, self.leaf_views = list[TensorValue](), list[TensorValue]()
        self.arguments: list[Lazy] = []
        self.watched: Sequence[object] = ()
        self.requiring: list[torch.Tensor] = []
        self.modes: Modes = current_modes()
        self.first_modes = self.error_modes = self.modes
        self.protected = self.draws = self.draws_on_devices = self.probes = self.answers_compiling = False
        self.lasting: str | None = None
        self.lasting_node: Any = None
        self.of_process, self.set_orders = "", SetOrders()
        self.only_writes = self.counts_writes = self.replays = self.overrides = True
        self.writes = Writes.COUNTED
        self.refusing: list[Any] = []
        self.assertions: list[Any] = []
        self.run_original: Any = None
        self.frame: Running | None = None
        self.handling: list[Item] = [None]  # of the root frame and of each generator that runs: what it handles
        self.stop_value: Item = None
        self.stops_while: tuple[Source, str, object] | None = None
        self.step, self.turns, self.next_look = 0, 0, STRETCH  # at so many turns progress is looked at
        self.nodes, self._located_at = 0, 0  # nodes: of the graph, after the last STRETCH of turns
        self.depth = sys.getrecursionlimit()  # how deeply calls may be nested
        self.generators: list[Any] = []
        self.wrappers: Any = None
        self.owners: list[Any] = []
        self.autocast_depth = self.asked_places = self.instantiated = self.guarded_kernels = self.constant_reads = 0
        self.settings: dict[Any, ChangedSetting] = {}  # of the process, by the function that tells it
        self.guarded_devices: tuple[str, ...] = ()  # what of them is guarded, by interpret/device_guards.py
        self.views: dict[int, list[TensorValue]] = {}
        self.class_attributes: dict[tuple[type, str], Item] = {}
        self.globals: dict[int, dict[str, Item]] = {}
        self.actions: dict[Any, Any] = {}  # of callables called before
        self.function_facts: dict[int, Any] = {}
        self.function_modes: tuple[EnteredMode, ...] = ()
        self.looked_up: list[tuple[Source, Any, Lazy]] = []
        self.hashed: dict[int, list[ObjectValue]] = {}
        self.keyed: dict[int, Value] = {}
        self.keyed_fixed: dict[int, Value] = {}
        self.references: dict[int, WeakReference] = {}
        self.opened, self.cached = set[int](), CachedCalls()
        self.recipes: dict[int, Recipe] = {}
        self.born = BornClasses()
        self.codes: set[Code] = set()  # of all frames
        self.literals: dict[int, tuple[object, dict[Source, None]]] = {}  # by identity, with the paths to each
        self.shapes = shapes
        self.data_read: DataRead | None = None  # the last one
        self._locations: dict[tuple[int, int | None], Location] = {}
        self._located_in: Any = None  # where `location` was asked for last, and what it was
        self._location: Location | None = None

    def close(self) -> None:
        """Let go of everything, so that no collector is needed to free what the program was given."""
        for generator in self.generators:
            generator.frame.clear()
        if self.frame is not None:
            self.frame.clear()
        for value in (*self.known.values(), *self.owners):
            value.let_go()
        self.graph.outermost.made.clear()
        for name in self.__slots__:
            delattr(self, name)

    @property
    def location(self) -> Location | None:
        """The user's line that runs now."""
        if self.frame is None:
            return None
        frame = self.frame.user
        ops, index = frame.ops, frame.index
        if ops is self._located_in and index == self._located_at:
            return self._location
        line = ops[index - 1].line if index else ops[0].line
        place = (id(frame.code), line)
        location = self._locations.get(place)
        if location is None:
            location = self._locations[place] = Location(frame.code, line or 0)
        self._located_in, self._located_at, self._location = ops, index, location
        return location

    @property
    def stopped_at(self) -> Location | None:
        """The user's line that runs now, with the positions of its instruction."""
        if self.frame is None:
            return None
        frame = self.frame.user
        op = frame.ops[max(frame.index - 1, 0)]
        return Location(frame.code, op.line or frame.code.native.co_firstlineno, op.positions)

    @property
    def module(self) -> Source | None:
        """The source of the module whose code runs: of the user's or, inside it, one of torch's."""
        frame = self.frame
        if frame is None:
            return None
        return frame.find_module() if frame.module is False else frame.module

    @property
    def handled(self) -> Item:
        """The exception that the program handles: that of the innermost generator that handles one itself."""
        return next((exception for exception in reversed(self.handling) if exception is not None), None)

    def guard(self, source: Source | None, check: str, expected: object = None) -> None:
        """Assume a fact about what `source` leads to, for the sake of the line that runs now.

        What the trace has made itself is what it is.
        """
        if self.born.parts and source is not None and is_rooted_in(source, self.born.parts):
            return
        self.guards.add(source, check, expected, self.location)

    def constant(self, obj: Any, source: Source | None) -> Item:
        """`obj` as a raw constant, guarded by equality (or a symbol that stands for it)."""
        if source is not None:
            symbol = self._symbol(obj, source) if type(obj) is int or type(obj) is float else None
            if symbol is not None:
                return symbol
            self.guard(source, "equal", obj)
            self.note_place(obj, source)
        return obj

    def note_place(self, literal: object, source: Source) -> None:
        """Note a path by which the trace has come to a literal from outside."""
        self.literals.setdefault(id(literal), (literal, {}))[1][source] = None

    def places_of(self, literal: object) -> list[Source]:
        """The paths by which the trace has come to a literal from outside."""
        self.asked_places += 1
        row = self.literals.get(id(literal))
        return [] if row is None else list(row[1])

    def is_of_code(self, literal: object) -> bool:
        """Whether a code object that the trace has run holds a literal, as one of its constants or inside of one."""
        return any(_holds(code.native.co_consts, literal) for code in self.codes)

    def _symbol(self, number: Any, source: Source) -> Item:
        """The symbol for a number that is known to vary, else None."""
        if self.shapes is None:
            return None
        if type(number) is int:
            return self.shapes.integer(self.guard, number, source)
        return self.shapes.floating(self.guard, number, source)

    def wrap(self, obj: object, source: Source) -> Item:
        """The item for an object from outside."""
        return wrap.wrap(self, obj, source)

    def key(self, item: Item) -> Item:
        """An item as the key of a payload. Raises TypeError in the program when it is unhashable."""
        return keys.as_key(self, item)

    def wrap_key(self, key: object, source: Source | None) -> Item:
        """The key of a payload for a real object's key; None as `source` when no path leads to it."""
        return keys.wrap_key(self, key, source)

    def look_at_progress(self) -> None:
        """A break after many turns (backward jumps and calls) that computed with hardly any tensor.

        Such a stretch runs natively in a fraction of the time; and it is counted, not timed, so that each capture of a
        program ends at the same place.
        """
        self.next_look += STRETCH
        before, self.nodes = self.nodes, self.graph.call_count
        if self.nodes - before < STRETCH // TURNS_OF_A_NODE or self.turns >= TURN_LIMIT:
            self.stop(TOO_LONG, f"{self.turns} turns of loops and calls")

    def stop(self, reason: Reason, detail: str = "") -> NoReturn:
        """Break the graph here."""
        raise GraphBreak(reason, detail)

    def stop_while(self, fact: tuple[Source, str, object], reason: Reason, detail: str) -> NoReturn:
        """Break the graph here as long as `fact`, a source with a check and what it expects, holds.

        The trace that ends in front of the break does not come to ask for it, and is given it.
        """
        self.guard(*fact)
        self.stops_while = fact
        self.stop(reason, detail)
