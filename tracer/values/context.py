"""What a value may cause: the one view of a running trace that values, and their protocols, are given.

Calls go through `machine`. Nothing here knows how a trace is kept.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

import torch

from tracer.effects.log import EffectLog
from tracer.guards.source import Source
from tracer.reasons import Reason
from tracer.values.item import Item
from tracer.values.machine import Machine
from tracer.values.recipes import Recipe
from tracer.values.set_orders import SetOrders
from tracer.values.shapes import Shapes


class Context(Protocol):
    """One trace, as values see it."""

    machine: Machine
    effects: EffectLog
    """What the program has changed."""
    shapes: Shapes | None
    """Symbols for the sizes that vary; None when every size is a number."""
    known: dict[int, Any]
    """Values of objects from outside, by the identity of the object."""
    class_attributes: dict[tuple[type, str], Item]
    """What classes store, as far as it was read."""
    keyed: dict[int, Any]
    """Objects from outside that are keys of payloads, by their identity: each is guarded to be none of the others."""
    keyed_fixed: dict[int, Any]
    """The same, of keys of dicts from outside: these are guarded to be the objects that they are."""
    references: dict[int, Any]
    """Weak references that the trace knows, by the identity of the real one that is the same as long as they live."""
    looked_up: list[tuple[Source, Any, Any]]
    """The dicts from outside in which a raw key was found, the key, and the lazy item there."""
    hashed: dict[int, list[Any]]
    """Keys with a `__hash__` of their own, by their hash."""
    opened: set[int]
    """Containers that are being made real, by their identity."""
    owners: list[Any]
    """Instances whose dictionary the trace has as a value, which refers to its owner."""
    born: Any
    """Classes that the program has made (values/born_classes.py), by their stand-ins."""
    recipes: dict[int, Recipe]
    """How immutable objects that differ from call to call are made again, by the identity of the object."""
    function_modes: Any
    """The modes of torch functions that the program has entered, the innermost last."""
    overrides: bool
    """Whether the `__torch_function__` of a class is asked what an operator does with its instances."""
    wrappers: Any
    """The stand-ins for tensors that hold others, and for those that they meet; None while there are none."""
    requiring: list[torch.Tensor]
    """Inputs that require gradients only since a write of the program."""
    of_process: str
    """What the trace holds that no other process need have: an order of a set, a hash or an address; "" for nothing."""
    set_orders: SetOrders
    """From which sets from outside the orders of sets come."""
    stop_value: Item
    """What the iterator that ended last returned."""

    @property
    def handled(self) -> Item:
        """The exception that the program is handling, None when there is none."""
        ...

    @property
    def step(self) -> int:
        """The step of the root frame that runs now: where a value that cannot be rebuilt was made."""
        ...

    def guard(self, source: Source | None, check: str, expected: object = None) -> None:
        """Assume a fact about what `source` leads to."""
        ...

    def constant(self, obj: object, source: Source | None) -> Item:
        """`obj` as a raw constant, guarded by equality (or a symbol that stands for it)."""
        ...

    def note_place(self, literal: object, source: Source) -> None:
        """Note a path by which the trace has come to a literal from outside."""
        ...

    def places_of(self, literal: object) -> list[Source]:
        """The paths by which the trace has come to a literal from outside."""
        ...

    def is_of_code(self, literal: object) -> bool:
        """Whether a code object that the trace has run holds a literal, as one of its constants or inside of one."""
        ...

    def wrap(self, obj: object, source: Source) -> Item:
        """The item for an object from outside."""
        ...

    def key(self, item: Item) -> Item:
        """An item as the key of a payload. Raises TypeError in the program when it is unhashable."""
        ...

    def wrap_key(self, key: object, source: Source | None) -> Item:
        """The key of a payload for a real object's key; None as `source` when no path leads to it."""
        ...

    def stop(self, reason: Reason, detail: str = "") -> NoReturn:
        """Break the graph here."""
        ...
