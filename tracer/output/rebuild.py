"""Expressions that make a value of the trace real again, one function for each kind.

A value from outside is its access path. One born in the trace is built once per call of the program,
so that identity and sharing are what they were.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from tracer.interpret.generators import GeneratorValue
from tracer.output.emitter import Emitter, Unrebuildable
from tracer.values.base import MISSING, UNREAD, Lazy, Value
from tracer.values.containers import DictValue, DictView, ListValue, SetValue, TupleValue
from tracer.values.exceptions import TracebackValue
from tracer.values.functions import BoundMethod, CellValue, FunctionValue
from tracer.values.item import Item
from tracer.values.iterators import (
    EnumerateIterator,
    FilterIterator,
    ItemsIterator,
    IteratorValue,
    MapIterator,
    ReversedIterator,
    SequenceIterator,
    TableIterator,
    ZipIterator,
)
from tracer.values.objects import ExceptionValue, ObjectValue, PartialValue, SuperValue
from tracer.values.protocols.attributes import AttributeDict
from tracer.values.tensors import TensorValue


def expression(emitter: Emitter, item: Item) -> str:
    """Source text whose value is the item. Raises Unrebuildable."""
    if not isinstance(item, Value):
        return _raw(emitter, item)
    if type(item) is Lazy:
        if isinstance(item.known, Value):
            return expression(emitter, item.known)
        return emitter.parameter(_source(item))
    known = emitter.made.get(id(item))
    if known is not None:
        if known == "":
            raise Unrebuildable(f"a {item.cls.__name__} that contains itself")
        return known
    if item.source is not None:
        return emitter.parameter(item.source)
    if type(item) is TensorValue:
        name = emitter.output(item)
        for attribute, part in item.attributes.items():
            if part is not MISSING:
                emitter.say(f"{name}.{attribute} = {expression(emitter, part)}")
        return name
    builder = next((build for kind, build in BUILDERS if isinstance(item, kind)), None)
    if builder is None:
        raise Unrebuildable(f"a {item.cls.__name__}", getattr(item, "birth", None))
    outermost = not emitter.waiting
    emitter.waiting.append(None)
    emitter.made[id(item)] = ""
    text = emitter.made[id(item)] = builder(emitter, item)
    while outermost and emitter.waiting:
        fill = emitter.waiting.pop()
        if fill is not None:
            fill()
    return text


def _source(item: Value) -> Any:
    assert item.source is not None
    return item.source


def _raw(emitter: Emitter, item: Any) -> str:
    kind = type(item)
    if kind is tuple:
        return _tuple_text(emitter, item)
    if kind is torch.Size and any(type(size) is not int for size in item):
        return f"{_class(emitter, torch.Size)}({_tuple_text(emitter, item)})"
    if kind is slice:
        return f"slice({', '.join(expression(emitter, part) for part in (item.start, item.stop, item.step))})"
    if kind in (torch.SymInt, torch.SymFloat, torch.SymBool):
        return emitter.symbol(item)
    return emitter.constant(item)


def _tuple_text(emitter: Emitter, items: Iterable[Item]) -> str:
    parts = [expression(emitter, part) for part in items]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _items(emitter: Emitter, items: Iterable[Item]) -> str:
    return ", ".join(expression(emitter, part) for part in items)


def _pairs(emitter: Emitter, items: dict[Item, Item]) -> str:
    return ", ".join(f"{expression(emitter, key)}: {expression(emitter, part)}" for key, part in items.items())


def _class(emitter: Emitter, cls: type) -> str:
    return emitter.constant(cls, cls.__name__)


# Containers ------------------------------------------------------------------------------------------


def contains_itself(value: Value) -> bool:
    """Whether a value born in the trace can be reached from itself."""
    seen: set[int] = set()
    waiting = parts_of(value)
    while waiting:
        part = waiting.pop()
        if part is value:
            return True
        if id(part) not in seen:
            seen.add(id(part))
            waiting += parts_of(part)
    return False


def parts_of(value: Value) -> list[Value]:
    """The values that building `value` needs, of those that must be built themselves."""
    if value.source is not None:
        return []
    parts: list[Item] = []
    if isinstance(value, (ListValue, TupleValue, SetValue)):
        parts += value.items
    elif isinstance(value, DictValue):
        parts += [*value.items, *value.items.values()]
    elif isinstance(value, FunctionValue):
        parts += [*value.defaults, *value.keyword_defaults.values(), *(cell.content for cell in value.closure)]
    elif isinstance(value, BoundMethod):
        parts += [value.function, value.instance]
    elif isinstance(value, PartialValue):
        parts += [value.function, *value.arguments, *value.keywords.values()]
    if isinstance(value, ObjectValue):
        parts += [*value.attributes.values(), *(value.fields or {}).values()]
    parts = [part.known if type(part) is Lazy else part for part in parts]
    parts += [inner for part in parts if type(part) is tuple for inner in part]
    return [part for part in parts if isinstance(part, Value)]


def _fill_later(emitter: Emitter, value: ObjectValue, empty: str, fill: Callable[[str], None]) -> str:
    """A container that contains itself: made empty, and filled when everything else that it needs is made."""
    name = emitter.assign("cycle", empty)
    emitter.made[id(value)] = name
    emitter.waiting.append(lambda: fill(name))
    return name


def _list(emitter: Emitter, value: ListValue) -> str:
    base = list if issubclass(value.cls, list) else deque

    def fill(name: str) -> None:
        emitter.say(f"{_class(emitter, base)}.extend({name}, [{_items(emitter, value.items)}])")

    if value.cls is base and contains_itself(value):
        empty = "[]" if base is list else f"{_class(emitter, deque)}((), {value.maxlen})"
        return _fill_later(emitter, value, empty, fill)
    if value.cls is list:
        return emitter.assign("items", f"[{_items(emitter, value.items)}]")
    if value.cls is deque:
        return emitter.assign("items", f"{_class(emitter, deque)}([{_items(emitter, value.items)}], {value.maxlen})")
    name = _instance(emitter, value, f"{_class(emitter, base)}.__new__({_class(emitter, value.cls)})")
    fill(name)
    return name


def _tuple(emitter: Emitter, value: TupleValue) -> str:
    text = _tuple_text(emitter, value.items)
    if value.cls is tuple:
        return emitter.assign("items", text) if contains_itself(value) else text
    cls = _class(emitter, value.cls)
    if value.cls.__module__.startswith("torch.return_types"):
        return emitter.assign("result", f"{cls}({text})")
    return _instance(emitter, value, f"tuple.__new__({cls}, {text})")


def _dict(emitter: Emitter, value: DictValue) -> str:
    cls = value.cls
    if cls is types.MappingProxyType:
        return emitter.assign("mapping", f"{_class(emitter, cls)}({{{_pairs(emitter, value.items)}}})")
    base = OrderedDict if issubclass(cls, OrderedDict) else dict

    def fill(name: str) -> None:
        for key, part in value.items.items():
            keyed = f"{expression(emitter, key)}, {expression(emitter, part)}"
            emitter.say(f"{_class(emitter, base)}.__setitem__({name}, {keyed})")

    if cls is dict and contains_itself(value):
        return _fill_later(emitter, value, "{}", fill)
    if cls is dict:
        return emitter.assign("mapping", f"{{{_pairs(emitter, value.items)}}}")
    if cls is defaultdict:
        known = value.field("default_factory")
        factory = expression(emitter, None if known is UNREAD else known)
        text = f"{_class(emitter, cls)}({factory}, {{{_pairs(emitter, value.items)}}})"
        return emitter.assign("mapping", text)
    name = _instance(emitter, value, f"{_class(emitter, base)}.__new__({_class(emitter, cls)})")
    fill(name)
    return name


def _set(emitter: Emitter, value: SetValue) -> str:
    return emitter.assign("members", f"{_class(emitter, value.cls)}([{_items(emitter, value.items)}])")


def _view(emitter: Emitter, value: DictView) -> str:
    return f"{expression(emitter, value.dictionary)}.{value.kind}()"


# Instances -------------------------------------------------------------------------------------------


def _instance(emitter: Emitter, value: ObjectValue, made: str) -> str:
    """Assign `made`, then set the attributes; the name is known before, so that parts may refer to it."""
    name = emitter.assign(value.cls.__name__.lower(), made)
    emitter.made[id(value)] = name
    for attribute, item in own_attributes(value):
        emitter.say(setting(name, value, attribute, expression(emitter, item)))
    return name


def own_attributes(value: ObjectValue) -> list[tuple[str, Item]]:
    """What a value has in its dictionary and in its slots."""
    pairs = [*value.attributes.items(), *(value.fields or {}).items()]
    return [(name, item) for name, item in pairs if item is not MISSING]


def setting(name: str, value: ObjectValue, attribute: str, text: str) -> str:
    """The statement that sets one of them without calling the program's descriptors."""
    is_field = value.fields is not None and attribute in value.fields
    if not is_field and hasattr(type(inspect.getattr_static(value.cls, attribute, None)), "__set__"):
        return f"object.__getattribute__({name}, '__dict__')[{attribute!r}] = {text}"
    return f"object.__setattr__({name}, {attribute!r}, {text})"


def _object(emitter: Emitter, value: ObjectValue) -> str:
    base = "object"
    if issubclass(value.cls, types.SimpleNamespace):
        base = _class(emitter, types.SimpleNamespace)
    return _instance(emitter, value, f"{base}.__new__({_class(emitter, value.cls)})")


def _exception(emitter: Emitter, value: ExceptionValue) -> str:
    arguments = value.arguments if isinstance(value.arguments, tuple) else value.arguments.items
    cls = _class(emitter, value.cls)
    name = _instance(emitter, value, f"{cls}.__new__({', '.join([cls, *(expression(emitter, a) for a in arguments)])})")
    emitter.say(f"{name}.args = {_tuple_text(emitter, arguments)}")
    if value.cause is not None:
        emitter.say(f"{name}.__cause__ = {expression(emitter, value.cause)}")
    if value.handling is not None:
        emitter.say(f"{name}.__context__ = {expression(emitter, value.handling)}")
    if value.suppress:
        emitter.say(f"{name}.__suppress_context__ = True")
    if value.traceback:
        emitter.say(f"{emitter.constant(trace_back)}({name}, {emitter.constant(value.traceback, 'places')})")
    return name


def trace_back(exception: BaseException, places: tuple[tuple[types.CodeType, int], ...]) -> None:
    """Give an exception the traceback of having been raised at the last of `places` and passed on by the others."""
    following: types.TracebackType | None = None
    for code, line in reversed(places):
        following = types.TracebackType(following, frame_like(code), -1, line)
    exception.__traceback__ = following


def frame_like(code: types.CodeType) -> types.FrameType:
    """A frame, finished already, that names the function of `code`."""
    named = _own_frame.__code__.replace(
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
    )
    return types.FunctionType(named, globals())()


def _own_frame() -> types.FrameType:
    return sys._getframe()


def _traceback(emitter: Emitter, value: TracebackValue) -> str:
    return f"{expression(emitter, value.exception)}.__traceback__"


def _attribute_dict(emitter: Emitter, value: AttributeDict) -> str:
    return f"object.__getattribute__({expression(emitter, value.owner)}, '__dict__')"


def _super(emitter: Emitter, value: SuperValue) -> str:
    return f"super({_class(emitter, value.start)}, {expression(emitter, value.instance)})"


# Callables -------------------------------------------------------------------------------------------


def _partial(emitter: Emitter, value: PartialValue) -> str:
    arguments = [expression(emitter, value.function), *(expression(emitter, part) for part in value.arguments)]
    if value.keywords:
        arguments.append(f"**{{{_pairs(emitter, value.keywords)}}}")
    return emitter.assign("partial", f"{_class(emitter, functools.partial)}({', '.join(arguments)})")


def _function(emitter: Emitter, value: FunctionValue) -> str:
    code = emitter.constant(value.code, f"code_of_{value.name}")
    space = emitter.constant(value.globals, "globals_")
    name = emitter.fresh(value.name)
    emitter.made[id(value)] = name
    cells = _tuple_text(emitter, value.closure)
    defaults = _tuple_text(emitter, value.defaults) if value.defaults else "None"
    maker = emitter.constant(types.FunctionType, "FunctionType")
    emitter.say(f"{name} = {maker}({code}, {space}, {value.name!r}, {defaults}, {cells if value.closure else None})")
    for cell in value.closure:
        _fill_cell(emitter, cell)
    if value.keyword_defaults:
        emitter.say(f"{name}.__kwdefaults__ = {{{_pairs(emitter, value.keyword_defaults)}}}")
    if value.annotations is not None and value.annotations.items:
        emitter.say(f"{name}.__annotations__ = {expression(emitter, value.annotations)}")
    for attribute, item in own_attributes(value):
        emitter.say(f"{name}.{attribute} = {expression(emitter, item)}")
    return name


def _cell(emitter: Emitter, value: CellValue) -> str:
    """An empty cell; its content is put in when the function that closes over it exists."""
    return emitter.assign("cell", f"{emitter.constant(types.CellType, 'CellType')}()")


def _fill_cell(emitter: Emitter, cell: CellValue) -> None:
    if cell.source is None and cell.content is not MISSING and id(cell) not in emitter.filled:
        emitter.filled.add(id(cell))
        emitter.say(f"{expression(emitter, cell)}.cell_contents = {expression(emitter, cell.content)}")


def cell_expression(emitter: Emitter, cell: CellValue) -> str:
    """A cell with its content, for a continuation's closure."""
    text = expression(emitter, cell)
    _fill_cell(emitter, cell)
    return text


def _method(emitter: Emitter, value: BoundMethod) -> str:
    function, instance = expression(emitter, value.function), expression(emitter, value.instance)
    if isinstance(value.function, (types.FunctionType, Value)):
        return f"{emitter.constant(types.MethodType, 'MethodType')}({function}, {instance})"
    if isinstance(value.function, types.ClassMethodDescriptorType):
        return f"{function}.__get__(None, {instance})"
    # The class must be named: CPython 3.11 reads it, unchecked, for methods that receive their defining class.
    cls = value.instance.cls if isinstance(value.instance, Value) else type(value.instance)
    return f"{function}.__get__({instance}, {_class(emitter, cls)})"


# Iterators -------------------------------------------------------------------------------------------


def _sequence_iterator(emitter: Emitter, value: SequenceIterator) -> str:
    if value.sequence is None:
        return emitter.assign("iterator", "iter(())")
    owner = _storage(value)
    name = emitter.assign("iterator", f"{_class(emitter, owner)}.__iter__({expression(emitter, value.sequence)})")
    if value.index and owner is deque:
        emitter.say(f"{emitter.constant(advance)}({name}, {value.index})")
    elif value.index:
        emitter.say(f"{name}.__setstate__({value.index})")
    return name


def _storage(value: SequenceIterator | ReversedIterator) -> type:
    """The builtin class whose iterator it is; one of a deque does not survive changes."""
    sequence = value.sequence
    assert sequence is not None
    kind = next(kind for kind in (list, tuple, deque) if issubclass(sequence.cls, kind))
    if kind is deque and sequence.source is not None and sequence.changed:
        raise Unrebuildable("an iterator of a deque that has changed", value.birth)
    return kind


def _reversed_iterator(emitter: Emitter, value: ReversedIterator) -> str:
    if value.sequence is None:
        return emitter.assign("iterator", "reversed(())")
    owner = _storage(value)
    last = len(value.sequence.items) - 1
    made = "reversed" if owner is tuple else f"{_class(emitter, owner)}.__reversed__"
    name = emitter.assign("iterator", f"{made}({expression(emitter, value.sequence)})")
    if owner is not deque and value.index != last:
        emitter.say(f"{name}.__setstate__({value.index})")
    elif value.index != last:
        emitter.say(f"{emitter.constant(advance)}({name}, {last - value.index})")
    return name


def _table_iterator(emitter: Emitter, value: TableIterator) -> str:
    read = "" if value.kind in ("keys", "elements") else f".{value.kind}()"
    if value.table is None:
        return emitter.assign("iterator", "iter(set())" if value.kind == "elements" else f"iter({{}}{read})")
    payload = value.table.items
    if value.table.source is not None and value.table.changed and list(payload) != value.keys:
        raise Unrebuildable("an iterator of a dict or set that has changed", value.birth)
    name = emitter.assign("iterator", f"iter({expression(emitter, value.table)}{read})")
    if value.index:
        emitter.say(f"{emitter.constant(advance)}({name}, {value.index})")
    return name


def advance(iterator: Iterator[Any], count: int) -> None:
    """Skip what the trace has taken from an iterator already."""
    for _ in range(count):
        next(iterator)


def _items_iterator(emitter: Emitter, value: ItemsIterator) -> str:
    rest = value.items[value.index :]
    if isinstance(rest, range):
        return emitter.assign("iterator", f"iter({rest!r})")
    if value.cls is reversed:
        return emitter.assign("iterator", f"reversed({_tuple_text(emitter, rest[::-1])})")
    if value.cls is type(iter("")):
        return emitter.assign("iterator", f"iter({''.join(rest)!r})")
    return emitter.assign("iterator", f"iter([{_items(emitter, rest)}])")


def _enumerate(emitter: Emitter, value: EnumerateIterator) -> str:
    return emitter.assign("iterator", f"enumerate({expression(emitter, value.inner)}, {value.count})")


def _zip(emitter: Emitter, value: ZipIterator) -> str:
    inners = "".join(f"{expression(emitter, inner)}, " for inner in value.inners)
    return emitter.assign("iterator", f"zip({inners}strict={value.strict})")


def _map(emitter: Emitter, value: MapIterator) -> str:
    return emitter.assign("iterator", f"map({_items(emitter, [value.function, *value.inners])})")


def _filter(emitter: Emitter, value: FilterIterator) -> str:
    return emitter.assign("iterator", f"filter({_items(emitter, [value.function, value.inner])})")


def _running(emitter: Emitter, value: IteratorValue) -> str:
    raise Unrebuildable("a generator that is running", value.birth)


Builder = Callable[[Emitter, Any], str]

BUILDERS: tuple[tuple[type, Builder], ...] = (
    (AttributeDict, _attribute_dict),
    (ListValue, _list),
    (TupleValue, _tuple),
    (DictValue, _dict),
    (SetValue, _set),
    (ExceptionValue, _exception),
    (PartialValue, _partial),
    (FunctionValue, _function),
    (CellValue, _cell),
    (TracebackValue, _traceback),
    (BoundMethod, _method),
    (SuperValue, _super),
    (DictView, _view),
    (SequenceIterator, _sequence_iterator),
    (ReversedIterator, _reversed_iterator),
    (TableIterator, _table_iterator),
    (ItemsIterator, _items_iterator),
    (EnumerateIterator, _enumerate),
    (ZipIterator, _zip),
    (MapIterator, _map),
    (FilterIterator, _filter),
    (GeneratorValue, _running),
    (ObjectValue, _object),
)
"""First kind that fits."""
