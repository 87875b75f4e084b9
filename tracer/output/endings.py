"""What a captured stretch lets go of: it dies when the residual program ends or writes back, so its end must not show.

The instructions that let go of an object whose end shows are run by CPython: where the frame itself loses it,
`interpret/letting_go.py` breaks; where a change of an object from outside does, the change is found here and becomes
the instruction that breaks. What was let go of and shows no end today is guarded.
"""

from __future__ import annotations

import gc
import operator
import sys
import types
from collections.abc import Collection, Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from tracer._native import ends_visibly
from tracer.effects.log import Namespace
from tracer.guards.source import Source, constant, module, stored_keys
from tracer.guards.source import function as function_source
from tracer.interpret.letting_go import held_by, items_of, real
from tracer.reasons import VISIBLE_END
from tracer.values.base import MISSING, UNREAD, Lazy, Value, is_literal_class
from tracer.values.cells import CellValue
from tracer.values.dicts import DictValue
from tracer.values.exceptions import ExceptionValue
from tracer.values.kinds import reachable
from tracer.values.lists import ListValue
from tracer.values.objects import ObjectValue
from tracer.values.rebuilding import Unrebuildable
from tracer.values.sets import SetValue
from tracer.values.weak_references import WeakReference

if TYPE_CHECKING:
    from tracer.interpret.frame import Frame
    from tracer.interpret.trace import Trace
    from tracer.values.item import Item


class Lost(NamedTuple):
    """An object that a change replaced, and where a guard finds it: at `source`, or under `key` of the dict there."""

    object: object
    source: Source | None
    key: str | None = None


def guard_ends(trace: Trace, frame: Frame) -> None:
    """Guard that nothing shows its end that the trace let go of. Raises Unrebuildable where something does."""
    kept = held_by(frame)
    _refuse_new_references(trace, kept)
    if trace.owns_arguments:
        items = {id(item) for item in items_of(frame)}  # a literal of the same value may stay where another object goes
        literals = [each for each in trace.arguments if each.is_literal and id(each) not in items]
        lost = [each for each in literals if not _is_literal(trace, each.object, each.source)]
        for argument in (*lost, *_dropped(trace, kept)):
            trace.guard(argument.source, "unseen end")
    changes = list(trace.effects.changed.values())
    for change in changes:
        kept |= {id(real(item)) for item in _content(change)}
    for change in changes:
        for lost in _lost(trace, frame, change):
            _guard_end(trace, change, lost, kept)


def _refuse_new_references(trace: Trace, kept: set[int]) -> None:
    """Raise Unrebuildable where the trace has made a weak reference by which the end of a lost argument shows."""
    new = [(each.birth, each) for each in trace.references.values() if each.birth is not None]
    for argument in _dropped(trace, kept) if new else ():
        births = [birth for birth, reference in new if _leads_to(argument.source, reference)]
        if births:
            raise Unrebuildable(type(argument.object).__name__, min(births), VISIBLE_END)


def _leads_to(source: Source | None, reference: WeakReference) -> bool:
    """Whether the path to what a weak reference refers to comes through `source`."""
    place = reference.referent.source if isinstance(reference.referent, Value) else None
    while place is not None and place is not source:
        place = place.base
    return place is not None


def _ends_visibly(trace: Trace, seen: object) -> bool:
    """Whether the end of a lost object shows, also by what it holds: the values of the trace hold that, too."""
    source = getattr(trace.known.get(id(seen)), "source", None)
    references = (reference for reference in trace.references.values() if reference.birth is not None)
    return ends_visibly(seen) or any(_leads_to(source, reference) for reference in references)


def require_callbacks(trace: Trace) -> None:
    """Raise Unrebuildable where the trace made a weak reference with a callback that its program does not make: it may
    be in a variable that nothing reads again, and call back behind the break.
    """
    for reference in trace.references.values():
        if reference.birth is not None and reference.callback is not None and not reference.is_made:
            raise Unrebuildable("a weak reference", reference.birth, VISIBLE_END)


def is_kept_alive(trace: Trace, frame: Frame, passed: Collection[types.CodeType]) -> bool:
    """Whether an exception that lasts keeps the frame alive, and in it an object whose end shows; otherwise guarded.

    `passed` are the code objects of the frames that such exceptions have passed through. What a residual program makes
    has a traceback with frames that hold nothing.
    """
    if frame.code.native not in passed or not trace.owns_arguments:
        return False
    kept = held_by(frame)
    if any(id(obj) in kept for obj in trace.watched):
        return True
    for argument in trace.arguments:
        if id(argument.object) in kept and not _is_literal(trace, argument.object, argument.source):
            trace.guard(argument.source, "unseen end")
    return False


def is_kept_by_a_change(trace: Trace, frame: Frame) -> bool:
    """Whether an object from outside was made to hold an exception that has passed through the frame: it keeps alive
    what the frame will hold behind a break, too.
    """
    contents = [item for change in trace.effects.changed.values() for item in _content(change)]
    values = [item for item in contents if isinstance(item, Value)]
    return any(
        isinstance(part, ExceptionValue) and any(place[0] == frame.code.native for place in part.traceback)
        for value in values
        for part in (value, *reachable(value))
    )


def lets_go_of_arguments(trace: Trace, frame: Frame) -> bool:
    """Whether the frame loses an argument of which nobody knows that it ends unseen, as the caller holds it."""
    return not trace.owns_arguments and any(_dropped(trace, held_by(frame)))


def _dropped(trace: Trace, kept: set[int]) -> Iterator[Lazy]:
    """The arguments that the frame has lost; a literal has no end."""
    for argument in trace.arguments:
        if id(argument.object) not in kept and not _is_literal(trace, argument.object, argument.source):
            yield argument


def _is_literal(trace: Trace, obj: object, source: Source | None) -> bool:
    return is_literal_class(type(obj)) and (trace.guards.has(source, "equal") or trace.guards.has(source, "type"))


def end_in_order(trace: Trace, frame: Frame) -> None:
    """Make sure that what the frame holds when it returns dies in the order of its variables.

    What a residual program was handed over dies in the order of its parameters. Raises Unrebuildable where that is
    another one and shows, so that CPython returns from the frame.
    """
    if len(trace.watched) < 2:
        return
    watched = {id(obj) for obj in trace.watched}
    held = [id(real(item)) for item in frame.slots if id(real(item)) in watched]
    dying = [obj for index, obj in enumerate(held) if obj not in held[index + 1 :]]
    handed_over = [id(argument.object) for argument in trace.arguments if id(argument.object) in dying]
    if [obj for index, obj in enumerate(handed_over) if obj not in handed_over[index + 1 :]] != dying:
        raise Unrebuildable("the variables of the frame", trace.step, VISIBLE_END)


def _guard_end(trace: Trace, change: Any, lost: Lost, kept: set[int]) -> None:
    seen = lost.object
    if id(seen) in kept:
        return
    if _ends_visibly(trace, seen):
        step = trace.effects.steps[id(change)]
        raise Unrebuildable(f"{type(seen).__name__}", step, VISIBLE_END)
    source = lost.source
    if source is None:
        return
    place = source if lost.key is None else source.child("item", lost.key)
    if not _is_literal(trace, seen, place):
        trace.guard(source, "unseen end", lost.key)


def _content(change: Any) -> Iterable[Item]:
    """The items that a changed thing holds now, as far as the trace knows them."""
    if isinstance(change, CellValue):
        return (change.content,)
    if isinstance(change, Namespace):
        return change.names.values()
    parts: list[Item] = list(change.attributes.values()) if isinstance(change, ObjectValue) else []
    parts += (getattr(change, "fields", None) or {}).values()
    if isinstance(change, DictValue):
        parts += [*change.items.keys(), *change.items.values()]
    elif isinstance(change, ListValue):
        parts += [*change.items, *change.tail]
    elif isinstance(change, SetValue):
        parts += change.items
    return parts


def _lost(trace: Trace, frame: Frame, change: Any) -> Iterator[Lost]:
    """What a changed thing may have held before and does not hold now."""
    if isinstance(change, Namespace):
        yield from _lost_by_namespace(frame, change)
    elif isinstance(change, CellValue):
        cell: Any = change.object
        before = next(iter(gc.get_referents(cell)), MISSING)  # that of an empty cell cannot be asked for
        if before is not MISSING and before is not real(change.content):
            yield Lost(before, change.source.child("contents"))  # type: ignore[union-attr]
    else:
        yield from _lost_by_container(change)
        if isinstance(change, ObjectValue):
            yield from _lost_attributes(change)


def _lost_by_container(change: Any) -> Iterator[Lost]:
    """What a list, deque, dict or set lost: if anything, the guard is on all that it holds.

    Of a dict that has the keys that it had, the guard is on the items that were replaced.
    """
    if not isinstance(change, ListValue | DictValue | SetValue) or not change.changed:
        return
    if isinstance(change, ListValue) and change.tail:
        return
    now = {id(real(item)) for item in _content(change)}
    before: Any = change.object
    if isinstance(change, DictValue) and _has_its_keys(change):
        yield from _lost_items(change, now)
        return
    stored = [*dict.keys(before), *dict.values(before)] if isinstance(change, DictValue) else list(before)
    lost = [obj for obj in stored if id(obj) not in now]
    yield from (Lost(obj, None) for obj in lost)
    if lost:
        yield Lost(before, change.source)


def _has_its_keys(change: DictValue) -> bool:
    """Whether a dict still has the keys that the real one has, the same objects; new ones come after them."""
    return len(change.items) >= len(change.before) and all(map(operator.is_, change.before, change.items))


def _lost_items(change: DictValue, now: set[int]) -> Iterator[Lost]:
    """The items that a dict lost under keys that it still has."""
    stored = {id(key): item for key, item in dict.items(change.object)}  # type: ignore[arg-type]
    keys = stored_keys(change.object)
    for position, (key, real_key) in enumerate(zip(change.before, keys, strict=True)):
        item = stored[id(real_key)]
        if id(item) not in now:
            yield Lost(item, change.place(key, position))


def _lost_attributes(change: ObjectValue) -> Iterator[Lost]:
    source = change.source
    assert source is not None
    if change.rewritten:
        yield Lost(object.__getattribute__(change.object, "__dict__"), source.child("dict"))
    for name in change.written:
        field = change.field(name)
        if field is not UNREAD:
            before = _stored_outside(change.object, name)
            if before is not MISSING and before is not real(field):
                yield Lost(before, source.child("getattr", name))
        elif change.cls.__dictoffset__:
            before = object.__getattribute__(change.object, "__dict__").get(name, MISSING)
            if before is MISSING or before is not real(change.attributes.get(name, MISSING)):
                yield Lost(before, source.child("dict"), name)


def _stored_outside(obj: object, name: str) -> object:
    try:
        return object.__getattribute__(obj, name)
    except AttributeError:
        return MISSING


def _lost_by_namespace(frame: Frame, space: Namespace) -> Iterator[Lost]:
    if type(space.holder) is ContextVar:
        before = ContextVar.get(space.holder, space.holder)
        if before is not space.holder and any(before is not real(item) for item in space.names.values()):
            yield Lost(before, constant(space.holder).child("held"))
        return
    source = _namespace_source(frame, space.holder)
    stored: Any = space.holder if isinstance(space.holder, dict) else vars(space.holder)
    for name, item in space.names.items():
        before = stored.get(name, MISSING)
        if before is not real(item):
            yield Lost(before, source, name)


def _namespace_source(frame: Frame, holder: Any) -> Source | None:
    """The path to a dictionary of globals."""
    if holder is frame.globals:
        return function_source(frame.code.native).child("globals")
    loaded = sys.modules.get(holder.get("__name__", "")) if isinstance(holder, dict) else None
    if isinstance(loaded, types.ModuleType) and vars(loaded) is holder:
        return module(loaded.__name__).child("dict")
    return None
