"""str, repr and format of traced values."""

from __future__ import annotations

from tracer.interpret.call import call
from tracer.interpret.constants import computed
from tracer.interpret.library.builtins.strings import asks_codecs, asks_the_locale
from tracer.interpret.policy import Polyfill, lookaside, pure, row_of
from tracer.interpret.trace import Trace
from tracer.reasons import DATA_TO_PYTHON, UNSUPPORTED_CALL, UNSUPPORTED_OPERATION
from tracer.values.base import LITERALS, Value, realise, type_of
from tracer.values.class_attributes import class_name, special
from tracer.values.concrete import concrete
from tracer.values.exceptions import ExceptionValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.literal_objects import LiteralObject
from tracer.values.protocols.iteration import unpack
from tracer.values.protocols.special_methods import call_special, call_stored, is_of_program
from tracer.values.raising import throw
from tracer.values.tensors import TensorValue

pure(ord)


@lookaside(ascii)
def _ascii(trace: Trace, item: Item) -> Item:
    return host(trace, ascii, item) if type(item) in LITERALS else _escaped(trace, _text(trace, item, "__repr__"))


def _escaped(trace: Trace, text: Item) -> str:
    return concrete(trace, text).encode("ascii", "backslashreplace").decode("ascii")


@lookaside(str)
def _str(trace: Trace, *args: Item, **kwargs: Item) -> Item:
    if len(args) == 1 and not kwargs:
        return _text(trace, args[0], "__str__")
    if not args and tuple(kwargs) == ("object",):
        return _text(trace, kwargs["object"], "__str__")
    constants = [concrete(trace, arg) for arg in args]
    named = {name: concrete(trace, arg) for name, arg in kwargs.items()}
    options = {name: value for name, value in named.items() if name != "object"}
    impurity = asks_codecs(b"", *constants[1:], **options) if constants[1:] or options else ""
    if impurity:
        trace.stop(UNSUPPORTED_CALL, f"str() {impurity}")
    return host(trace, str, *constants, **named)


@lookaside(repr)
def _repr(trace: Trace, item: Item) -> Item:
    return _text(trace, realise(trace, item), "__repr__")


def _text(trace: Trace, item: Item, name: str) -> Item:
    """The text of an item by `__str__` or `__repr__`: Python methods are interpreted, constants are left to CPython."""
    if isinstance(item, TensorValue):
        trace.stop(DATA_TO_PYTHON, "the text of a tensor")
    method = special(trace, item, name)
    if is_of_program(trace, item, name) and not _is_library(method):
        text = realise(trace, call_stored(trace, method, item, name))
        if not issubclass(type_of(trace, text), str):
            throw(trace, TypeError, f"{name} returned non-string (type {class_name(text)})")
        return text
    if name == "__str__" and method is object.__str__:
        return _text(trace, item, "__repr__")
    if isinstance(item, ExceptionValue) and not issubclass(item.cls, TEXT_FROM_FIELDS):
        return _exception_text(trace, item, name)
    try:
        return host(trace, str if name == "__str__" else repr, concrete(trace, item))
    except NotConcrete:
        if isinstance(row_of(method), Polyfill):
            return call(trace, method, [item])
        trace.stop(UNSUPPORTED_OPERATION, f"the text of a {class_name(item)}")


TEXT_FROM_FIELDS = (OSError, SyntaxError, UnicodeError, ImportError, BaseExceptionGroup)
"""Exceptions whose text depends on more than their arguments."""


def _is_library(method: Item) -> bool:
    return getattr(method, "__module__", None) == "enum"


def _exception_text(trace: Trace, item: ExceptionValue, name: str) -> Item:
    arguments = unpack(trace, item.arguments)
    if name == "__repr__":
        inner = ", ".join(call(trace, repr, [part]) for part in arguments)
        return f"{item.cls.__name__}({inner})"
    if not arguments:
        return ""
    if len(arguments) == 1:
        return call(trace, repr if issubclass(item.cls, KeyError) else str, [arguments[0]])
    return call(trace, repr, [item.arguments])


@lookaside(format)
def _format(trace: Trace, item: Item, spec: Item = "") -> Item:
    item, spec = realise(trace, item), realise(trace, spec)
    if is_of_program(trace, item, "__format__"):
        text = realise(trace, call_special(trace, item, "__format__", spec))
        if not issubclass(type_of(trace, text), str):
            throw(trace, TypeError, f"__format__ must return a str, not {class_name(text)}")
        return text
    if not isinstance(item, Value) or (isinstance(item, LiteralObject) and spec != ""):
        item, spec = concrete(trace, item), concrete(trace, spec)
        if isinstance(item, (int, float, complex)) and asks_the_locale(spec):
            trace.stop(UNSUPPORTED_CALL, "a format depends on the locale")
        return host(trace, format, item, spec)
    if spec == "":
        return call(trace, str, [item])
    if special(trace, item, "__format__") is object.__format__ and isinstance(spec, str):
        throw(trace, TypeError, f"unsupported format string passed to {class_name(item)}.__format__")
    trace.stop(UNSUPPORTED_OPERATION, f"a format of a {class_name(item)}")


@lookaside(bytes)
def _bytes(trace: Trace, *args: Item, **kwargs: Item) -> Item:
    if len(args) == 1 and not kwargs and is_of_program(trace, args[0], "__bytes__"):
        result = realise(trace, call_special(trace, args[0], "__bytes__"))
        if not issubclass(type_of(trace, result), bytes):
            throw(trace, TypeError, f"__bytes__ returned non-bytes (type {class_name(result)})")
        return result
    return computed(trace, bytes, args, kwargs)
