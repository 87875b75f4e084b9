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

from tracer.interpret.generators import GeneratorValue
from tracer.values.attribute_dicts import AttributeDict
from tracer.values.base import MISSING, UNREAD, Lazy, Value
from tracer.values.cells import CellValue
from tracer.values.dict_views import DictView
from tracer.values.dicts import DictValue
from tracer.values.exceptions import ExceptionValue
from tracer.values.functions import FunctionValue
from tracer.values.item import Item
from tracer.values.items_iterators import ItemsIterator
from tracer.values.iterators import IteratorValue
from tracer.values.kinds import kind_of
from tracer.values.lists import ListValue
from tracer.values.methods import BoundMethod
from tracer.values.nested_iterators import EnumerateIterator, FilterIterator, MapIterator, ZipIterator
from tracer.values.objects import ObjectValue
from tracer.values.partials import PartialValue
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment, listed, literal, tuple_of
from tracer.values.sequence_iterators import ReversedIterator, SequenceIterator
from tracer.values.sets import SetValue
from tracer.values.super_objects import SuperValue
from tracer.values.table_iterators import TableIterator
from tracer.values.tracebacks import TracebackValue
from tracer.values.tuples import TupleValue


def _items(emitter: Emitter, items: Iterable[Item]) -> Fragment:
    return listed(emitter.expression(item) for item in items)


def _tuple_of_items(emitter: Emitter, items: Iterable[Item]) -> Fragment:
    return tuple_of(emitter.expression(item) for item in items)


def _pairs(emitter: Emitter, items: dict[Item, Item]) -> Fragment:
    return listed(fragment("{}: {}", emitter.expression(key), emitter.expression(part)) for key, part in items.items())


def _class(emitter: Emitter, cls: type) -> Fragment:
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
    parts = [part.known if type(part) is Lazy else part for part in kind_of(value).parts(value)]
    parts += [inner for part in parts if type(part) is tuple for inner in part]
    return [part for part in parts if isinstance(part, Value)]


def _fill_later(emitter: Emitter, value: ObjectValue, empty: Fragment, fill: Callable[[Fragment], None]) -> Fragment:
    """A container that contains itself: made empty, and filled when everything else that it needs is made."""
    name = emitter.assign("cycle", empty)
    emitter.bind(value, name)
    emitter.later(lambda: fill(name))
    return name


def _list(emitter: Emitter, value: ListValue) -> Fragment:
    base = list if issubclass(value.cls, list) else deque

    def fill(name: Fragment) -> None:
        emitter.say(fragment("{}.extend({}, [{}])", _class(emitter, base), name, _items(emitter, value.items)))

    if value.cls is base and contains_itself(value):
        limit = literal(value.maxlen)
        empty = Fragment("[]") if base is list else fragment("{}((), {})", _class(emitter, deque), limit)
        return _fill_later(emitter, value, empty, fill)
    if value.cls is list:
        return emitter.assign("items", fragment("[{}]", _items(emitter, value.items)))
    if value.cls is deque:
        cls, items = _class(emitter, deque), _items(emitter, value.items)
        return emitter.assign("items", fragment("{}([{}], {})", cls, items, literal(value.maxlen)))
    name = _instance(emitter, value, fragment("{}.__new__({})", _class(emitter, base), _class(emitter, value.cls)))
    fill(name)
    return name


def _tuple(emitter: Emitter, value: TupleValue) -> Fragment:
    items = _tuple_of_items(emitter, value.items)
    if value.cls is tuple:
        return emitter.assign("items", items) if contains_itself(value) else items
    cls = _class(emitter, value.cls)
    if value.cls.__module__.startswith("torch.return_types"):
        return emitter.assign("result", fragment("{}({})", cls, items))
    return _instance(emitter, value, fragment("tuple.__new__({}, {})", cls, items))


def _dict(emitter: Emitter, value: DictValue) -> Fragment:
    cls = value.cls
    if cls is types.MappingProxyType:
        return emitter.assign("mapping", fragment("{}({{{}}})", _class(emitter, cls), _pairs(emitter, value.items)))
    base = OrderedDict if issubclass(cls, OrderedDict) else dict

    def fill(name: Fragment) -> None:
        for key, part in value.items.items():
            pair = listed([name, emitter.expression(key), emitter.expression(part)])
            emitter.say(fragment("{}.__setitem__({})", _class(emitter, base), pair))

    if cls is dict and contains_itself(value):
        return _fill_later(emitter, value, Fragment("{}"), fill)
    if cls is dict:
        return emitter.assign("mapping", fragment("{{{}}}", _pairs(emitter, value.items)))
    if cls is defaultdict:
        field = value.field("default_factory")
        factory = emitter.expression(None if field is UNREAD else field)
        parts = _class(emitter, cls), factory, _pairs(emitter, value.items)
        return emitter.assign("mapping", fragment("{}({}, {{{}}})", *parts))
    name = _instance(emitter, value, fragment("{}.__new__({})", _class(emitter, base), _class(emitter, cls)))
    fill(name)
    return name


def _set(emitter: Emitter, value: SetValue) -> Fragment:
    return emitter.assign("members", fragment("{}([{}])", _class(emitter, value.cls), _items(emitter, value.items)))


def _view(emitter: Emitter, value: DictView) -> Fragment:
    return fragment("{}.{}()", emitter.expression(value.dictionary), Fragment(value.kind))


# Instances -------------------------------------------------------------------------------------------


def _instance(emitter: Emitter, value: ObjectValue, made: Fragment) -> Fragment:
    """Assign `made`, then set the attributes; the name is known before, so that parts may refer to it."""
    name = emitter.assign(value.cls.__name__.lower(), made)
    emitter.bind(value, name)
    for attribute, item in own_attributes(value):
        emitter.say(setting(name, value, attribute, emitter.expression(item)))
    return name


def own_attributes(value: ObjectValue) -> list[tuple[str, Item]]:
    """What a value has in its dictionary and in its slots."""
    pairs = [*value.attributes.items(), *(value.fields or {}).items()]
    return [(name, item) for name, item in pairs if item is not MISSING]


def setting(name: Fragment, value: ObjectValue, attribute: str, item: Fragment) -> Fragment:
    """The statement that sets one of them without calling the program's descriptors."""
    is_field = value.fields is not None and attribute in value.fields
    if not is_field and hasattr(type(inspect.getattr_static(value.cls, attribute, None)), "__set__"):
        return fragment("object.__getattribute__({}, '__dict__')[{}] = {}", name, literal(attribute), item)
    return fragment("object.__setattr__({}, {}, {})", name, literal(attribute), item)


def _object(emitter: Emitter, value: ObjectValue) -> Fragment:
    base = Fragment("object")
    if issubclass(value.cls, types.SimpleNamespace):
        base = _class(emitter, types.SimpleNamespace)
    return _instance(emitter, value, fragment("{}.__new__({})", base, _class(emitter, value.cls)))


def _exception(emitter: Emitter, value: ExceptionValue) -> Fragment:
    arguments = value.arguments if isinstance(value.arguments, tuple) else value.arguments.items
    cls = _class(emitter, value.cls)
    new = fragment("{}.__new__({})", cls, listed([cls, *(emitter.expression(argument) for argument in arguments)]))
    name = _instance(emitter, value, new)
    emitter.say(fragment("{}.args = {}", name, _tuple_of_items(emitter, arguments)))
    if value.cause is not None:
        emitter.say(fragment("{}.__cause__ = {}", name, emitter.expression(value.cause)))
    if value.handling is not None:
        emitter.say(fragment("{}.__context__ = {}", name, emitter.expression(value.handling)))
    if value.suppress:
        emitter.say(fragment("{}.__suppress_context__ = True", name))
    if value.traceback:
        places = emitter.constant(trace_back), name, emitter.constant(value.traceback, "places")
        emitter.say(fragment("{}({}, {})", *places))
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


def _traceback(emitter: Emitter, value: TracebackValue) -> Fragment:
    return fragment("{}.__traceback__", emitter.expression(value.exception))


def _attribute_dict(emitter: Emitter, value: AttributeDict) -> Fragment:
    return fragment("object.__getattribute__({}, '__dict__')", emitter.expression(value.owner))


def _super(emitter: Emitter, value: SuperValue) -> Fragment:
    return fragment("super({}, {})", _class(emitter, value.start), emitter.expression(value.instance))


# Callables -------------------------------------------------------------------------------------------


def _partial(emitter: Emitter, value: PartialValue) -> Fragment:
    arguments = [emitter.expression(value.function), *(emitter.expression(part) for part in value.arguments)]
    if value.keywords:
        arguments.append(fragment("**{{{}}}", _pairs(emitter, value.keywords)))
    return emitter.assign("partial", fragment("{}({})", _class(emitter, functools.partial), listed(arguments)))


def _function(emitter: Emitter, value: FunctionValue) -> Fragment:
    code = emitter.constant(value.code, f"code_of_{value.name}")
    space = emitter.constant(value.globals, "globals_")
    name = emitter.fresh(value.name)
    emitter.bind(value, name)
    cells = _tuple_of_items(emitter, value.closure)
    defaults = _tuple_of_items(emitter, value.defaults) if value.defaults else literal(None)
    maker = emitter.constant(types.FunctionType, "FunctionType")
    parts = [code, space, literal(value.name), defaults, cells if value.closure else literal(None)]
    emitter.assign_to(name, fragment("{}({})", maker, listed(parts)))
    for cell in value.closure:
        _fill_cell(emitter, cell)
    if value.keyword_defaults:
        emitter.say(fragment("{}.__kwdefaults__ = {{{}}}", name, _pairs(emitter, value.keyword_defaults)))
    if value.annotations is not None and value.annotations.items:
        emitter.say(fragment("{}.__annotations__ = {}", name, emitter.expression(value.annotations)))
    for attribute, item in own_attributes(value):
        emitter.say(fragment("{}.{} = {}", name, Fragment(attribute), emitter.expression(item)))
    return name


def _cell(emitter: Emitter, value: CellValue) -> Fragment:
    """An empty cell; its content is put in when the function that closes over it exists."""
    return emitter.assign("cell", fragment("{}()", emitter.constant(types.CellType, "CellType")))


def _fill_cell(emitter: Emitter, cell: CellValue) -> None:
    if cell.source is None and cell.content is not MISSING and emitter.first_time(cell):
        emitter.say(fragment("{}.cell_contents = {}", emitter.expression(cell), emitter.expression(cell.content)))


def cell_expression(emitter: Emitter, cell: CellValue) -> Fragment:
    """A cell with its content, for a continuation's closure."""
    name = emitter.expression(cell)
    _fill_cell(emitter, cell)
    return name


def _method(emitter: Emitter, value: BoundMethod) -> Fragment:
    function, instance = emitter.expression(value.function), emitter.expression(value.instance)
    if isinstance(value.function, (types.FunctionType, Value)):
        return fragment("{}({}, {})", emitter.constant(types.MethodType, "MethodType"), function, instance)
    if isinstance(value.function, types.ClassMethodDescriptorType):
        return fragment("{}.__get__(None, {})", function, instance)
    # The class must be named: CPython 3.11 reads it, unchecked, for methods that receive their defining class.
    cls = value.instance.cls if isinstance(value.instance, Value) else type(value.instance)
    return fragment("{}.__get__({}, {})", function, instance, _class(emitter, cls))


# Iterators -------------------------------------------------------------------------------------------


def _sequence_iterator(emitter: Emitter, value: SequenceIterator) -> Fragment:
    if value.sequence is None:
        return emitter.assign("iterator", Fragment("iter(())"))
    owner = _storage(value)
    maker = _class(emitter, owner), emitter.expression(value.sequence)
    name = emitter.assign("iterator", fragment("{}.__iter__({})", *maker))
    if value.index and owner is deque:
        _advance(emitter, name, value.index)
    elif value.index:
        emitter.say(fragment("{}.__setstate__({})", name, literal(value.index)))
    return name


def _storage(value: SequenceIterator | ReversedIterator) -> type:
    """The builtin class whose iterator it is; one of a deque does not survive changes."""
    sequence = value.sequence
    assert sequence is not None
    kind = next(kind for kind in (list, tuple, deque) if issubclass(sequence.cls, kind))
    if kind is deque and sequence.source is not None and sequence.changed:
        raise Unrebuildable("an iterator of a deque that has changed", value.birth)
    return kind


def _reversed_iterator(emitter: Emitter, value: ReversedIterator) -> Fragment:
    if value.sequence is None:
        return emitter.assign("iterator", Fragment("reversed(())"))
    owner = _storage(value)
    last = len(value.sequence.items) - 1
    maker = Fragment("reversed") if owner is tuple else fragment("{}.__reversed__", _class(emitter, owner))
    name = emitter.assign("iterator", fragment("{}({})", maker, emitter.expression(value.sequence)))
    if owner is not deque and value.index != last:
        emitter.say(fragment("{}.__setstate__({})", name, literal(value.index)))
    elif value.index != last:
        _advance(emitter, name, last - value.index)
    return name


def _table_iterator(emitter: Emitter, value: TableIterator) -> Fragment:
    read = "" if value.kind in ("keys", "elements") else f".{value.kind}()"
    if value.table is None:
        return emitter.assign("iterator", Fragment("iter(set())" if value.kind == "elements" else f"iter({{}}{read})"))
    payload = value.table.items
    if value.table.source is not None and value.table.changed and list(payload) != value.keys:
        raise Unrebuildable("an iterator of a dict or set that has changed", value.birth)
    name = emitter.assign("iterator", fragment("iter({}{})", emitter.expression(value.table), Fragment(read)))
    if value.index:
        _advance(emitter, name, value.index)
    return name


def _advance(emitter: Emitter, iterator: Fragment, count: int) -> None:
    emitter.say(fragment("{}({}, {})", emitter.constant(advance), iterator, literal(count)))


def advance(iterator: Iterator[Any], count: int) -> None:
    """Skip what the trace has taken from an iterator already."""
    for _ in range(count):
        next(iterator)


def _items_iterator(emitter: Emitter, value: ItemsIterator) -> Fragment:
    rest = value.items[value.index :]
    if isinstance(rest, range):
        items = literal(rest)
    elif value.cls is reversed:
        return emitter.assign("iterator", fragment("reversed({})", _tuple_of_items(emitter, rest[::-1])))
    elif value.cls is type(iter("")):
        items = literal("".join(rest))
    else:
        items = fragment("[{}]", _items(emitter, rest))
    return emitter.assign("iterator", fragment("iter({})", items))


def _enumerate(emitter: Emitter, value: EnumerateIterator) -> Fragment:
    parts = emitter.expression(value.inner), emitter.expression(value.count)
    return emitter.assign("iterator", fragment("enumerate({}, {})", *parts))


def _zip(emitter: Emitter, value: ZipIterator) -> Fragment:
    strict = Fragment(f"strict={value.strict}")
    inners = [emitter.expression(inner) for inner in value.inners]
    return emitter.assign("iterator", fragment("zip({})", listed([*inners, strict])))


def _map(emitter: Emitter, value: MapIterator) -> Fragment:
    return emitter.assign("iterator", fragment("map({})", _items(emitter, [value.function, *value.inners])))


def _filter(emitter: Emitter, value: FilterIterator) -> Fragment:
    return emitter.assign("iterator", fragment("filter({})", _items(emitter, [value.function, value.inner])))


def _running(emitter: Emitter, value: IteratorValue) -> Fragment:
    raise Unrebuildable("a generator that is running", value.birth)


Builder = Callable[[Emitter, Any], Fragment]

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
