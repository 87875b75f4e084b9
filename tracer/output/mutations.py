"""Statements that write back what the traced program changed, in the order of first change.

Each object gets its final state with as few writes as tell it; nothing that could call user code is
used, because the traced program has already been through its `__setattr__` and `__setitem__`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from tracer.effects.log import DELETED, EffectLog, Namespace
from tracer.guards.source import Source
from tracer.output.emitter import Emitter
from tracer.output.rebuild import expression, setting
from tracer.values.base import MISSING, UNREAD, Lazy, Value
from tracer.values.containers import DictValue, ListValue, SetValue
from tracer.values.functions import CellValue
from tracer.values.item import Item
from tracer.values.objects import ObjectValue
from tracer.values.tensors import TensorValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracer.interpret.trace import Trace


def emit_mutations(emitter: Emitter, effects: EffectLog) -> None:
    """Every change of `effects`, as statements. Raises Unrebuildable."""
    for value in list(effects.changed.values()):
        _remark(emitter, effects, value)
        for kind, write in WRITERS:
            if isinstance(value, kind):
                write(emitter, value)
        if isinstance(value, Namespace):
            _namespace(emitter, value, effects)
        if isinstance(value, ObjectValue):
            _attributes(emitter, value, effects)
    emitter.remark = ""


def _remark(emitter: Emitter, effects: EffectLog, value: Any, name: str | None = None) -> None:
    """The comment of the next statements: the user's line that made the change."""
    line = effects.line_of(value, name)
    emitter.remark = "" if line is None else line.text


def guard_aliases(trace: Trace) -> None:
    """Guard that what was changed is not reached by another path too, which this trace took for another object."""
    for value in trace.effects.changed.values():
        if isinstance(value, ObjectValue):
            for other in trace.known.values():
                if other is not value and other.cls is value.cls and isinstance(other.source, Source):
                    trace.guard(value.source, "not same as", other.source)


def _namespace(emitter: Emitter, space: Namespace, effects: EffectLog) -> None:
    holder = emitter.constant(space.holder, "namespace")
    for name, item in space.names.items():
        _remark(emitter, effects, space, name)
        if isinstance(space.holder, dict):
            deleted = f"{holder}.pop({name!r}, None)"
            emitter.say(deleted if item is DELETED else f"{holder}[{name!r}] = {expression(emitter, item)}")
        elif item is not DELETED:
            setter = "type.__setattr__" if isinstance(space.holder, type) else "setattr"
            emitter.say(f"{setter}({holder}, {name!r}, {expression(emitter, item)})")
        elif name in vars(space.holder):
            deleter = "type.__delattr__" if isinstance(space.holder, type) else "delattr"
            emitter.say(f"{deleter}({holder}, {name!r})")


def _cell(emitter: Emitter, cell: CellValue) -> None:
    place = f"{expression(emitter, cell)}.cell_contents"
    emitter.say(f"del {place}" if cell.content is MISSING else f"{place} = {expression(emitter, cell.content)}")


def _unchanged(item: Item, source: Source | None) -> bool:
    """Whether an item is still what `source` led to."""
    return item is UNREAD or (
        isinstance(item, Value) and item.source is source and (type(item) is Lazy or item.source is not None)
    )


def _list(emitter: Emitter, value: ListValue) -> None:
    if not value.changed:
        return
    assert value.source is not None
    real: Any = value.object
    name = expression(emitter, value)
    if value.tail:
        owner = emitter.constant(deque, "deque") if isinstance(real, deque) else "list"
        emitter.say(f"{owner}.extend({name}, [{', '.join(expression(emitter, item) for item in value.tail)}])")
        return
    items = value.items
    before = len(real)
    kept = len(items) >= before and all(
        _unchanged(item, value.source.child(value.step, index)) for index, item in enumerate(items[:before])
    )
    parts = [expression(emitter, item) for item in (items[before:] if kept else items)]
    if kept and not parts:
        return
    if isinstance(real, deque):
        owner = emitter.constant(deque, "deque")
        if not kept:
            emitter.say(f"{owner}.clear({name})")
        emitter.say(f"{owner}.extend({name}, [{', '.join(parts)}])")
    elif kept:
        emitter.say(f"list.extend({name}, [{', '.join(parts)}])")
    else:
        emitter.say(f"list.__setitem__({name}, slice(None), [{', '.join(parts)}])")


def _dict(emitter: Emitter, value: DictValue) -> None:
    if not value.changed:
        return
    assert value.source is not None
    real: Any = value.object
    base = emitter.constant(OrderedDict, "OrderedDict") if isinstance(real, OrderedDict) else "dict"
    _table(emitter, expression(emitter, value), base, value)


def _table(emitter: Emitter, name: str, base: str, value: DictValue) -> None:
    """Make the dict `name` hold what `value` does."""
    before, items = value.before, value.items
    surviving = [key for key in before if key in items]
    if list(items)[: len(surviving)] == surviving:
        for key in before:
            if key not in items:
                emitter.say(f"{base}.__delitem__({name}, {expression(emitter, key)})")
    else:
        emitter.say(f"{base}.clear({name})")
        surviving = []
    unchanged = {key for key in surviving if _unchanged(items[key], value.place(key))}
    for key, item in items.items():
        if key not in unchanged:
            emitter.say(f"{base}.__setitem__({name}, {expression(emitter, key)}, {expression(emitter, item)})")


def _set(emitter: Emitter, value: SetValue) -> None:
    if not value.changed:
        return
    real: Any = value.object
    name = expression(emitter, value)
    gone = [element for element in set.__iter__(real) if element not in value.items]
    new = [element for element in value.items if isinstance(element, Value) or element not in real]
    for element in gone:
        emitter.say(f"set.discard({name}, {expression(emitter, element)})")
    for element in new:
        emitter.say(f"set.add({name}, {expression(emitter, element)})")


def _attributes(emitter: Emitter, value: ObjectValue, effects: EffectLog) -> None:
    if not value.written and not value.rewritten:
        return
    name = expression(emitter, value)
    if value.rewritten:
        dictionary = value.dictionary
        _table(emitter, expression(emitter, dictionary), "dict", dictionary)
    for attribute, again in value.written.items():
        _remark(emitter, effects, value, attribute)
        field = value.field(attribute)
        if field is UNREAD and value.rewritten:
            continue
        item = value.attributes.get(attribute, MISSING) if field is UNREAD else field
        if isinstance(value, TensorValue):
            emitter.say(f"{name}.{attribute} = {expression(emitter, item)}")
            continue
        if (again or item is MISSING) and _had(value, attribute):
            emitter.say(f"object.__delattr__({name}, {attribute!r})")
        if item is not MISSING:
            emitter.say(setting(name, value, attribute, expression(emitter, item)))


def _had(value: ObjectValue, attribute: str) -> bool:
    """Whether the real object has the attribute, in its dictionary or in a slot."""
    if value.field(attribute) is UNREAD:
        return attribute in object.__getattribute__(value.object, "__dict__")
    try:
        object.__getattribute__(value.object, attribute)
    except AttributeError:
        return False
    return True


WRITERS: tuple[tuple[type, Callable[[Emitter, Any], None]], ...] = (
    (CellValue, _cell),
    (ListValue, _list),
    (DictValue, _dict),
    (SetValue, _set),
)
