"""Statements that write back what the traced program changed, in the order of first change.

Each object is brought to its final state with as few writes as possible. No statement calls user code, because the
traced program has already been through its `__setattr__` and `__setitem__`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tracer.effects.log import DELETED, EffectLog, Namespace
from tracer.guards.source import Source
from tracer.output.emitter import ProgramEmitter
from tracer.values.base import MISSING, UNREAD, Lazy, Value
from tracer.values.cells import CellValue
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.iterators import advance
from tracer.values.lists import ListValue
from tracer.values.objects import ObjectValue, setting
from tracer.values.outside_iterators import OutsideIterator
from tracer.values.rebuilding import Fragment, Unrebuildable, fragment, listed, literal
from tracer.values.sets import SetValue
from tracer.values.tensors import TensorValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracer.interpret.trace import Trace


def emit_mutations(emitter: ProgramEmitter, effects: EffectLog) -> None:
    """Emit every change in `effects`. Raises Unrebuildable.

    Iterators are advanced first, over containers as they were: the trace takes no item from one that it has changed.
    """
    for value in sorted(effects.changed.values(), key=lambda value: not isinstance(value, OutsideIterator)):
        _remark(emitter, effects, value)
        for kind, write in WRITERS:
            if isinstance(value, kind):
                write(emitter, value)
        if isinstance(value, Namespace):
            _namespace(emitter, value, effects)
        if isinstance(value, ObjectValue):
            _attributes(emitter, value, effects)
    emitter.origin = None


def _remark(emitter: ProgramEmitter, effects: EffectLog, value: Any, name: str | None = None) -> None:
    """Note the user's line that made the change with the next statements."""
    emitter.origin = effects.line_of(value, name)


def guard_aliases(trace: Trace) -> None:
    """Guard that no object that was changed is also reached by a path that this trace took for another object."""
    for value in trace.effects.changed.values():
        if isinstance(value, ObjectValue):
            for other in trace.known.values():
                if other is not value and other.cls is value.cls and isinstance(other.source, Source):
                    trace.guard(value.source, "not same as", other.source)


def _namespace(emitter: ProgramEmitter, space: Namespace, effects: EffectLog) -> None:
    holder = emitter.constant(space.holder, "namespace")
    for name, item in space.names.items():
        _remark(emitter, effects, space, name)
        place = holder, literal(name)
        if type(space.holder) is ContextVar:
            emitter.say(fragment("{}.set({})", holder, emitter.expression(item)))
            continue
        if isinstance(space.holder, dict):
            if item is DELETED:
                emitter.say(fragment("{}.pop({}, None)", *place))
            else:
                emitter.say(fragment("{}[{}] = {}", *place, emitter.expression(item)))
        elif item is not DELETED:
            setter = "type.__setattr__({}, {}, {})" if isinstance(space.holder, type) else "setattr({}, {}, {})"
            emitter.say(fragment(setter, *place, emitter.expression(item)))
        else:
            emitter.say(fragment("{}({}, {})", emitter.constant(drop_name), *place))


def _cell(emitter: ProgramEmitter, cell: CellValue) -> None:
    place = fragment("{}.cell_contents", emitter.expression(cell))
    if cell.content is MISSING:
        emitter.say(fragment("del {}", place))
    else:
        emitter.say(fragment("{} = {}", place, emitter.expression(cell.content)))


def _unchanged(item: Item, source: Source | None) -> bool:
    """Whether an item is still what `source` led to."""
    return item is UNREAD or (
        isinstance(item, Value) and item.source is source and (type(item) is Lazy or item.source is not None)
    )


def _list(emitter: ProgramEmitter, value: ListValue) -> None:
    if not value.changed:
        return
    assert value.source is not None
    real: Any = value.object
    name = emitter.expression(value)
    if value.tail:
        emitter.say(fragment("{}.extend({}, [{}])", _class(emitter, real, deque), name, _listed(emitter, value.tail)))
        return
    items = value.items
    before = len(real)
    kept = len(items) >= before and all(
        _unchanged(item, value.source.child(value.step, index)) for index, item in enumerate(items[:before])
    )
    rest = items[before:] if kept else items
    parts = _listed(emitter, rest)
    if kept and not rest:
        return
    if isinstance(real, deque) and not kept:
        emitter.say(fragment("{}.clear({})", _class(emitter, real, deque), name))
    if isinstance(real, deque) or kept:
        emitter.say(fragment("{}.extend({}, [{}])", _class(emitter, real, deque), name, parts))
    else:
        emitter.say(fragment("list.__setitem__({}, slice(None), [{}])", name, parts))


def _listed(emitter: ProgramEmitter, items: Iterable[Item]) -> Fragment:
    return listed(emitter.expression(item) for item in items)


def _class(emitter: ProgramEmitter, obj: Any, special: type) -> Fragment:
    """The builtin class whose methods change `obj`: `special`, or the one that needs no name of its own."""
    if isinstance(obj, special):
        return emitter.constant(special, special.__name__)
    return Fragment("list" if special is deque else "dict")


def _dict(emitter: ProgramEmitter, value: DictValue) -> None:
    if not value.changed:
        return
    assert value.source is not None
    base = _class(emitter, value.object, OrderedDict)
    _table(emitter, emitter.expression(value), base, value)


def _table(emitter: ProgramEmitter, name: Fragment, base: Fragment, value: DictValue) -> None:
    """Emit the writes that make the dict `name` equal to `value`, in items and order."""
    before, items = value.before, value.items
    surviving = [key for key in before if key in items]
    if list(items)[: len(surviving)] == surviving:
        for key in before:
            if key not in items:
                emitter.say(fragment("{}.__delitem__({}, {})", base, name, emitter.expression(key)))
    else:
        emitter.say(fragment("{}.clear({})", base, name))
        surviving = []
    positions = {key: position for position, key in enumerate(before)}
    unchanged = {key for key in surviving if _unchanged(items[key], value.place(key, positions[key]))}
    for key, item in items.items():
        if key not in unchanged:
            entry = listed([name, emitter.expression(key), emitter.expression(item)])
            emitter.say(fragment("{}.__setitem__({})", base, entry))


def _set(emitter: ProgramEmitter, value: SetValue) -> None:
    """The changes one by one, as they and their order decide how the set lists its members from then on."""
    name = emitter.expression(value) if value.changes else Fragment("")
    for method, *operands in value.changes:
        parts = (_operand(emitter, value, name, operand) for operand in operands)
        if method in ("add", "discard"):
            parts = map(emitter.expression, operands)
        emitter.say(fragment("set.{}({})", Fragment(method), listed([name, *parts])))


def _operand(emitter: ProgramEmitter, value: SetValue, name: Fragment, operand: Any) -> Fragment:
    """What a method of a set is given: itself, another, or an iterable of elements, of the kind that it was."""
    if operand is value:
        return name
    if isinstance(operand, list | dict):
        elements = fragment("[{}]", _listed(emitter, operand))
        return elements if isinstance(operand, list) else fragment("dict.fromkeys({})", elements)
    if isinstance(operand, SetValue) and operand.source is None and operand.filled is None and _has_objects(operand):
        raise Unrebuildable("a set of objects that lists its members as only its history explains")
    return emitter.expression(operand)


def _has_objects(value: SetValue) -> bool:
    return any(isinstance(element, Value) for element in value.items)


def _attributes(emitter: ProgramEmitter, value: ObjectValue, effects: EffectLog) -> None:
    if not value.written and not value.rewritten:
        return
    name = emitter.expression(value)
    if value.rewritten:
        dictionary = value.dictionary
        _table(emitter, emitter.expression(dictionary), Fragment("dict"), dictionary)
    for attribute, again in value.written.items():
        _remark(emitter, effects, value, attribute)
        field = value.field(attribute)
        if field is UNREAD and value.rewritten:
            continue
        item = value.attributes.get(attribute, MISSING) if field is UNREAD else field
        if again or item is MISSING:
            drop = drop_attribute if field is UNREAD else drop_field
            emitter.say(fragment("{}({}, {})", emitter.constant(drop), name, literal(attribute)))
        if isinstance(value, TensorValue) and item is not MISSING:
            emitter.say(fragment("{}.{} = {}", name, Fragment(attribute), emitter.expression(item)))
        elif item is not MISSING:
            emitter.say(setting(name, value, attribute, emitter.expression(item)))


def drop_name(holder: Any, name: str) -> None:
    """Delete a name of a module, class or function, if it is there: calls of one program may begin with and without."""
    if name in vars(holder):
        (type.__delattr__ if isinstance(holder, type) else delattr)(holder, name)


def drop_attribute(instance: object, name: str) -> None:
    """Delete an attribute in an instance's dictionary, if it is there."""
    object.__getattribute__(instance, "__dict__").pop(name, None)


def drop_field(instance: object, name: str) -> None:
    """Delete what a slot or C member holds, if it holds something."""
    with suppress(AttributeError):
        object.__delattr__(instance, name)


def _iterator(emitter: ProgramEmitter, value: OutsideIterator) -> None:
    arguments = emitter.constant(advance), emitter.expression(value), literal(value.taken)
    emitter.say(fragment("{}({}, {})", *arguments))


WRITERS: tuple[tuple[type, Callable[[ProgramEmitter, Any], None]], ...] = (
    (CellValue, _cell),
    (ListValue, _list),
    (DictValue, _dict),
    (SetValue, _set),
    (OutsideIterator, _iterator),
)
