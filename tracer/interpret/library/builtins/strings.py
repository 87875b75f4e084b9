"""str.join, str.format and `%` when what is formatted is a traced value.

The template is always a real string; each piece is the `str`, `repr` or `format` of one value.
"""

from __future__ import annotations

import _string  # type: ignore[import-not-found]
import codecs
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tracer.interpret.policy import helper, immutable, polyfill, pure, unless

immutable(str, bytes)
pure(bytes.fromhex, str.maketrans, bytes.maketrans)

ERROR_HANDLERS = frozenset(
    {
        *("strict", "ignore", "replace", "xmlcharrefreplace", "backslashreplace", "namereplace"),
        *("surrogateescape", "surrogatepass"),
    }
)
"""What the codecs of Python itself do on an error; others are the program's."""


@unless(str.encode, bytes.decode, bytes)
def asks_codecs(text: Any = b"", encoding: Any = "utf-8", errors: Any = "strict") -> str:
    """Why encoding or decoding a text runs code of the program, or "": a codec or error handler that it registered."""
    if not (isinstance(encoding, str) and isinstance(errors, str)):
        return ""
    if errors not in ERROR_HANDLERS:
        return f"calls the error handler {errors!r}"
    try:
        codec = codecs.lookup(encoding)
    except LookupError:
        return f"asks for the codec {encoding!r}"
    encode: Any = codec[0]  # a plain tuple will do for a codec
    module = getattr(encode, "__module__", None) or type(encode.__self__).__module__
    return "" if module.partition(".")[0] in ("encodings", "_codecs", "codecs") else f"calls the codec {encoding!r}"


@unless(str.format, str.format_map, int.__format__, float.__format__, complex.__format__, format)
def asks_the_locale(*args: Any, **kwargs: Any) -> str:
    """Why formatting asks the locale, or "": the specification "n" is somewhere."""
    words = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, str)]
    is_local = any(word.endswith("n") or "n}" in word for word in words)
    return "depends on the locale" if is_local else ""


DIRECTIVES = re.compile(
    r"([^%]*)"  # text
    r"(?:(%)(\((?:[^()]|\([^()]*\))*\))?([-+ #0]*)(\*|\d+)?"  # %, (key), flags, width
    r"(\.(?:\*|\d*))?([hlL]?)(.)?)?",  # precision, size that means nothing, kind
    re.DOTALL,
)


@polyfill(str.join, pure=True)
def join(self: str, iterable: Iterable[Any], /) -> str:
    kind = type(iterable)
    if getattr(kind, "__iter__", None) is None and (hasattr(kind, "__iter__") or not hasattr(kind, "__getitem__")):
        raise TypeError("can only join an iterable")
    items = [*iter(iterable)]
    for position, item in enumerate(items):
        if not isinstance(item, str):
            raise TypeError(f"sequence item {position}: expected str instance, {type(item).__name__} found")
    result = ""
    for position, item in enumerate(items):
        result = result + self + item if position else "" + item
    return result


@helper
def parse_template(template: str) -> tuple[Any, ...]:
    """(text, field, specification, conversion) of each piece of a `str.format` template; what is wrong behind them."""
    return until_wrong(_string.formatter_parser(template))


@helper
def parse_field(field: str) -> tuple[Any, ...]:
    """Name or number a field begins with; (is attribute, name or key) of each step; what is wrong behind them."""
    first, steps = _string.formatter_field_name_split(field)
    return first, *until_wrong(steps)


def until_wrong(parts: Iterator[Any]) -> tuple[tuple[Any, ...], str]:
    """What a parser yields, and the message of the error it ends in ("" for none)."""
    seen = []
    try:
        for part in parts:
            seen.append(part)
    except ValueError as error:
        return tuple(seen), str(error)
    return tuple(seen), ""


@helper
def parse_directives(template: str) -> tuple[Any, ...]:
    """(text, "%", "(key)", flags, width, precision, size, kind) and end of each piece of a `%` template."""
    return tuple([(*match.groups(""), match.end()) for match in DIRECTIVES.finditer(template)])


# str.format ------------------------------------------------------------------------------------------


@polyfill(str.format, pure=True)
def format_template(self: str, /, *args: Any, **kwargs: Any) -> str:
    return fill(self, args, kwargs, [None], 2)


@polyfill(str.format_map, pure=True)
def format_map(self: str, mapping: Mapping[str, Any], /) -> str:
    return fill(self, None, mapping, [None], 2)


def fill(template: str, args: tuple[Any, ...] | None, named: Any, numbering: list[int | None], depth: int) -> str:
    """`numbering` holds the next automatic number, None before the first field, -1 once fields are numbered by hand."""
    if depth == 0:
        raise ValueError("Max string recursion exceeded")
    result = ""
    pieces, wrong = parse_template(template)
    for literal, field, spec, conversion in pieces:
        result += literal
        if field is not None:
            value = convert(field_value(field, args, named, numbering), conversion)
            if "{" in spec:
                spec = fill(spec, args, named, numbering, depth - 1)
            result += format(value, spec)
    if wrong:
        raise ValueError(wrong)
    return result


def field_value(field: str, args: tuple[Any, ...] | None, named: Any, numbering: list[int | None]) -> Any:
    """The value of a replacement field such as `0.name[key]`."""
    first, steps, wrong = parse_field(field)
    if first == "" or isinstance(first, int):
        first = field_number(first, numbering)
        if args is None:
            raise ValueError("Format string contains positional fields")
        if first >= len(args):
            raise IndexError(f"Replacement index {first} out of range for positional args tuple")
        value = args[first]
    else:
        value = named[first]
    for is_attribute, step in steps:
        value = getattr(value, step) if is_attribute else value[step]
    if wrong:
        raise ValueError(wrong)
    return value


def field_number(number: Any, numbering: list[int | None]) -> int:
    """The index of a positional field, numbered by hand or automatically, never both."""
    automatic = number == ""
    following = numbering[0]
    if automatic and following == -1:
        raise ValueError("cannot switch from manual field specification to automatic field numbering")
    if not automatic and following is not None and following >= 0:
        raise ValueError("cannot switch from automatic field numbering to manual field specification")
    if not automatic:
        numbering[0] = -1
        return number
    number = following or 0
    numbering[0] = number + 1
    return number


def convert(value: Any, conversion: str | None) -> Any:
    """A value after the conversion of its field: `!s`, `!r`, `!a`, or none."""
    if conversion is None:
        return value
    if conversion == "s":
        return str(value)
    if conversion == "r":
        return repr(value)
    if conversion == "a":
        return ascii(value)
    raise ValueError(f"Unknown conversion specifier {conversion!s}")


# The % operator --------------------------------------------------------------------------------------


@polyfill(str.__mod__, pure=True)
def percent(self: str, values: Any, /) -> str:
    if not isinstance(self, str):
        return NotImplemented
    arguments = [*tuple.__iter__(values)] if isinstance(values, tuple) else [values]
    by_name = hasattr(type(values), "__getitem__") and not isinstance(values, (tuple, str))
    result, used = "", 0
    for text, percent_sign, key, flags, width, precision, size, kind, end in parse_directives(self):
        result += text
        if not percent_sign:
            continue
        if key:
            if not by_name:
                raise TypeError("format requires a mapping")
            arguments, used = [values[key[1:-1]]], 0
        if width == "*":
            width, used = str(take_number(arguments, used)), used + 1
        if precision == ".*":
            precision, used = f".{max(take_number(arguments, used), 0)}", used + 1
        if not kind:
            raise ValueError("incomplete format")
        directive = f"%{flags}{width}{precision}{kind}"
        if directive + size == "%%":
            result += "%"
            continue
        if kind == "(" and directive == "%(":
            raise ValueError("incomplete format key") if by_name else TypeError("format requires a mapping")
        value = take(arguments, used)
        if kind not in "diouxXeEfFgGcrsa":
            raise ValueError(f"unsupported format character '{kind}' ({ord(kind):#x}) at index {end - 1}")
        result += one_directive(directive, kind, value)
        used += 1
    if used < len(arguments) and not by_name:
        raise TypeError("not all arguments converted during string formatting")
    return result


def take(arguments: list[Any], used: int) -> Any:
    """The next argument of a `%` template."""
    if used >= len(arguments):
        raise TypeError("not enough arguments for format string")
    return arguments[used]


def take_number(arguments: list[Any], used: int) -> int:
    """The next argument of a `%` template, for a `*` in it: an integer."""
    number = take(arguments, used)
    if not isinstance(number, int):
        raise TypeError("* wants int")
    return number


def one_directive(directive: str, kind: str, value: Any) -> str:
    """One value by one directive: text by str, repr or ascii, numbers as the raw number they are."""
    if kind in "sra":
        text = str(value) if kind == "s" else repr(value) if kind == "r" else ascii(value)
        return formatted(directive[:-1] + "s", text)
    if kind in "diu" and isinstance(value, int):
        return formatted(directive, int(value))
    if kind in "eEfFgG" and isinstance(value, (int, float)):
        return formatted(directive, float(value))
    if not isinstance(value, (int, float, complex, str, bytes)) and value is not None:
        value = number_for(kind, value)
    return formatted(directive, value)


@helper
def formatted(directive: str, value: Any) -> str:
    """A literal by one directive. CPython does it: with a symbol, `%` here would come back to this polyfill."""
    return directive % (value,)


def number_for(kind: str, value: Any) -> Any:
    """The number that a directive makes of an object by its special methods."""
    cls = type(value)
    if kind in "eEfFgG":
        if not hasattr(cls, "__float__") and not hasattr(cls, "__index__"):
            raise TypeError(f"must be real number, not {cls.__name__}")
        return float(value)
    if kind in "diu":
        if not hasattr(cls, "__int__") and not hasattr(cls, "__index__"):
            raise TypeError(f"%{kind} format: a real number is required, not {cls.__name__}")
        return int(value)
    if not hasattr(cls, "__index__"):
        complaint = "requires int or char" if kind == "c" else f"format: an integer is required, not {cls.__name__}"
        raise TypeError(f"%{kind} {complaint}")
    return operator.index(value)
