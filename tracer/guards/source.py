"""Access paths: how an object from outside that a capture relied on is reached again at the next call.

A `Source` is a root (an argument, the function called, an object held weakly, an imported module) or one step
(`accessor`, `key`) from another source. Equal paths are the same object, so sources compare by identity. The table
ACCESSORS says what each step means to a person (text), to the reference evaluator (getter) and to the native guard
program (number). Nothing here knows which checks are made of a value, nor about graphs, nor about tensors beyond their
sizes.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from enum import Enum
from itertools import islice
from types import CodeType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from passes.operators.wrapper_layouts import layout_or_none
from passes.references import OwnReference
from tracer.guards import iterators
from tracer.guards.arrays import tensor_of
from tracer.guards.words import shown


class Strong:
    """A reference to an object that has no weak references. Called, like a weak reference, it gives the object."""

    __slots__ = ("object",)

    def __init__(self, target: object) -> None:
        self.object = target

    def __call__(self) -> object:
        return self.object


def hold(target: object) -> Any:
    """A weak reference to `target` if its type supports them, else a `Strong` one. Calling it gives the object."""
    return OwnReference(target) if type(target).__weakrefoffset__ else Strong(target)


class Source:
    """One access path. The root functions below and `child` make them; equal paths are one object."""

    __slots__ = ("__weakref__", "_text", "accessor", "base", "children", "key")

    base: Source | None
    accessor: str
    key: Any
    children: dict[tuple[str, Any], Source]

    def __init__(self, base: Source | None, accessor: str, key: Any) -> None:
        self.base = base
        self.accessor = accessor
        self.key = key
        self.children = {}
        self._text: str | None = None

    def child(self, accessor: str, key: Any = None) -> Source:
        """The path one step further than this one; the same object every time.

        `key` is a constant, a class or a function. An entry of a dictionary whose key is an instance has the accessor
        "item of", whose key is the source of that instance.
        """
        step = (accessor, key)
        child = self.children.get(step)
        if child is None:
            self.children[step] = child = Source(self, accessor, key)
        return child

    @property
    def root(self) -> Source:
        """The source from which the access path starts."""
        source = self
        while source.base is not None:
            source = source.base
        return source

    @property
    def text(self) -> str:
        """The path as the user would write it: `self.layers[0].fc.weight`."""
        if self._text is None:
            self._text = ACCESSORS[self.accessor].text(self)
        return self._text

    def __repr__(self) -> str:
        return f"Source({self.text})"

    def __reduce__(self) -> Any:
        raise TypeError("an access path belongs to its process and cannot be pickled")


_NAMED_ROOTS: WeakValueDictionary[tuple[str, Any], Source] = WeakValueDictionary()
_OBJECT_ROOTS: WeakValueDictionary[int, Source] = WeakValueDictionary()


def _named_root(accessor: str, key: Any) -> Source:
    source = _NAMED_ROOTS.get((accessor, key))
    if source is None:
        _NAMED_ROOTS[accessor, key] = source = Source(None, accessor, key)
    return source


def argument(name: str) -> Source:
    """The parameter `name` of the frame, or its default. `*args` is a tuple, `**kwargs` a dict."""
    return _named_root("argument", name)


def function(code: CodeType | None = None) -> Source:
    """The function object that is called. `code`, if given, names its closure cells in texts."""
    return _named_root("function", code)


def module(name: str) -> Source:
    """The imported module `sys.modules[name]`."""
    return _named_root("module", name)


def constant(target: object) -> Source:
    """A root at `target` itself, a function, class or module known by identity; held weakly if its type allows it."""
    source = _OBJECT_ROOTS.get(id(target))
    if source is None or source.key() is not target:
        _OBJECT_ROOTS[id(target)] = source = Source(None, "object", hold(target))
    return source


def kept(target: object) -> Source:
    """A root at an object that was made while tracing; the source keeps it alive, as nothing else may."""
    return Source(None, "object", Strong(target))


def is_rooted_in(source: Source, objects: Mapping[int, object]) -> bool:
    """Whether a path starts at one of `objects`, by their identity."""
    root = source.root
    return root.accessor == "object" and id(root.key()) in objects


# The value of each step ---------------------------------------------------------------------------


class Absent(LookupError):
    """A path leads nowhere: a key, attribute, index or referent is gone, or the type of its holder changed."""


_ABSENT = object()


def _stored_item(mapping: Any, key: Any) -> Any:
    item = dict.get(mapping, key, _ABSENT)  # `dict.__getitem__` would ask the `__missing__` of a subclass
    if item is _ABSENT:
        raise Absent(key)
    return item


def _stored_index(sequence: Any, index: int) -> Any:
    kind: Any = list if issubclass(type(sequence), list) else tuple
    return kind.__getitem__(sequence, index)


def class_attribute(cls: Any, name: str) -> Any:
    """The attribute `name` as the classes of `cls.__mro__` store it, without calling descriptors. Raises Absent."""
    for owner in type.__getattribute__(cls, "__mro__"):
        stored = type.__getattribute__(owner, "__dict__")
        if name in stored:
            return stored[name]
    raise Absent(name)


_SIZED: tuple[Any, ...] = (dict, list, tuple, set, frozenset, deque, str)


def stored_length(container: object) -> int | None:
    """The number of items that `container` stores, whatever `__len__` of a subclass says; None for other objects."""
    return next((kind.__len__(container) for kind in _SIZED if issubclass(type(container), kind)), None)


def _length(container: object) -> int:
    length = stored_length(container)
    if length is None:
        raise Absent(f"{type(container).__name__} has no items")
    return length


def stored_keys(mapping: Any) -> Any:
    """The keys of a dictionary in order. An OrderedDict keeps an order of its own."""
    kind: Any = OrderedDict if isinstance(mapping, OrderedDict) else dict
    return kind.keys(mapping)


def _nth_key(mapping: Any, index: int) -> Any:
    for key in islice(stored_keys(mapping), index, None):
        return key
    raise Absent(index)


def _object(_: Any, key: Any) -> Any:
    target = key()
    if target is None and not isinstance(key, Strong):
        raise Absent("the object is gone")
    return target


def _held(variable: Any, _: Any) -> Any:
    return ContextVar.get(variable, variable)


# The text of each step ------------------------------------------------------------------------------

_MODULE_TABLES = frozenset({"_modules", "_parameters", "_buffers"})


def _base_text(source: Source) -> str:
    assert source.base is not None
    return source.base.text


def _is_namespace(source: Source) -> bool:
    """Whether the entries of this dictionary are, to the user, attributes of its owner."""
    if source.accessor != "item":
        return source.accessor in ("dict", "globals", "builtins")
    base = source.base
    return base is not None and base.accessor == "dict" and source.key in _MODULE_TABLES


def _object_text(source: Source) -> str:
    target = source.key()
    if target is None and not isinstance(source.key, Strong):
        return "<gone>"
    if isinstance(target, ModuleType) or hasattr(type(target), "__getattr__"):  # which would be code of the program
        name = vars(target).get("__name__") if isinstance(target, ModuleType) else None
    else:
        name = getattr(target, "__qualname__", None) or getattr(target, "__name__", None)
    name = target.name if type(target) is ContextVar else str(target) if isinstance(target, Enum) else name
    return name if isinstance(name, str) else f"<{type(target).__name__}>"


def _globals_text(source: Source) -> str:
    assert source.base is not None
    if source.base.accessor == "function":
        return ""
    target = source.base.key() if source.base.accessor == "object" else None
    return getattr(target, "__module__", None) or f"{source.base.text}.__globals__"


def _item_text(source: Source) -> str:
    assert source.base is not None
    base = source.base.text
    if not _is_namespace(source.base):
        return f"{base}[{shown(source.key)}]"
    if _is_namespace(source):
        return base
    if not isinstance(source.key, str):
        return f"{base}[{shown(source.key)}]"
    if not source.key.isidentifier():
        return f"{base}[{source.key}]"
    return f"{base}.{source.key}" if base else source.key


def _cell_text(source: Source) -> str:
    base = source.base
    assert base is not None
    target = base.key if base.accessor == "function" else base.key() if base.accessor == "object" else None
    code = getattr(target, "__code__", target)
    if isinstance(code, CodeType) and source.key < len(code.co_freevars):
        return code.co_freevars[source.key]
    return f"{base.text}.__closure__[{source.key}]"


class Accessor(NamedTuple):
    """One kind of step: its number in the native guard program, its text for people, and the getter of its value."""

    number: int
    text: Callable[[Source], str]
    get: Callable[[Any, Any], Any]


ACCESSORS: dict[str, Accessor] = {
    # roots: `get` receives the frame
    "argument": Accessor(0, lambda s: s.key, lambda frame, name: frame.locals[name]),
    "function": Accessor(1, lambda s: s.key.co_name if s.key else "function", lambda frame, _: frame.function),
    "object": Accessor(2, _object_text, _object),
    "module": Accessor(3, lambda s: s.key, lambda _, name: sys.modules[name]),
    # functions
    "globals": Accessor(4, _globals_text, lambda f, _: f.__globals__),
    "builtins": Accessor(5, lambda s: "builtins", lambda f, _: f.__builtins__),
    "cell": Accessor(6, _cell_text, lambda f, index: f.__closure__[index]),
    "contents": Accessor(7, _base_text, lambda cell, _: cell.cell_contents),
    # instances
    "type": Accessor(8, lambda s: f"type({_base_text(s)})", lambda value, _: type(value)),
    "dict": Accessor(9, _base_text, lambda value, _: object.__getattribute__(value, "__dict__")),
    "class attribute": Accessor(10, lambda s: f"{_base_text(s)}.{s.key}", class_attribute),
    "getattr": Accessor(11, lambda s: f"{_base_text(s)}.{s.key}", getattr),
    # containers: the items that they store, whatever a subclass overrides
    "item": Accessor(12, _item_text, _stored_item),
    "index": Accessor(13, lambda s: f"{_base_text(s)}[{s.key}]", _stored_index),
    "key": Accessor(14, lambda s: f"list({_base_text(s)})[{s.key}]", _nth_key),
    "deque item": Accessor(15, lambda s: f"{_base_text(s)}[{s.key}]", deque.__getitem__),
    "length": Accessor(16, lambda s: f"len({_base_text(s)})", lambda value, _: _length(value)),
    "item of": Accessor(17, lambda s: f"{_base_text(s)}[{s.key.text}]", _stored_item),
    # tensors
    "size": Accessor(18, lambda s: f"{_base_text(s)}.size({s.key})", lambda tensor, dim: tensor.size(dim)),
    "stride": Accessor(19, lambda s: f"{_base_text(s)}.stride({s.key})", lambda tensor, dim: tensor.stride(dim)),
    "storage offset": Accessor(
        20, lambda s: f"{_base_text(s)}.storage_offset()", lambda tensor, _: tensor.storage_offset()
    ),
    # classes
    "subclasses": Accessor(26, lambda s: f"{_base_text(s)}.__subclasses__()", lambda cls, _: type.__subclasses__(cls)),
    # weak references
    "call": Accessor(21, lambda s: f"{_base_text(s)}()", lambda reference, _: reference()),
    # iterators: what they are going to give
    "upcoming": Accessor(22, lambda s: iterators.place_words(_base_text(s), s.key), iterators.upcoming),
    "has upcoming": Accessor(
        23, lambda s: f"there is {iterators.place_words(_base_text(s), s.key)}", iterators.has_upcoming
    ),
    "leaf": Accessor(24, lambda s: f"iterator {s.key} of {_base_text(s)}", iterators.leaf),
    "form": Accessor(25, lambda s: f"the form of {_base_text(s)}", lambda iterator, _: iterators.form(iterator)),
    # arrays of numpy and tensors of subclasses: the plain tensor that has their memory
    "memory": Accessor(27, _base_text, lambda array, _: tensor_of(array)),
    # tensors that hold tensors: all that is known of one without its values
    "layout": Accessor(29, lambda s: f"the layout of {_base_text(s)}", lambda tensor, _: layout_or_none(tensor)),
    # context variables: what one holds in the context of the thread; one that holds nothing leads to itself
    "held": Accessor(28, lambda s: f"{_base_text(s)}.get()", _held),
}
