"""Real objects equal to items: what a pure C function is given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete, kind_of


def concrete(context: Context, item: Item, instances: bool = False) -> Any:
    """A real object equal to the item; containers are copied.

    With `instances`, an unchanged object from outside stands for itself. Raises NotConcrete.
    """
    return kind_of(item).constant(context, item, instances)


def concrete_parts(context: Context, container: Any, parts: Iterable[Item], instances: bool) -> list[Any]:
    """Real objects equal to what a container holds; one that holds itself is not concrete."""
    if id(container) in context.opened:
        raise NotConcrete
    context.opened.add(id(container))
    try:
        return [concrete(context, part, instances) for part in parts]
    finally:
        context.opened.discard(id(container))
