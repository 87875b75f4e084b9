"""The rows of the call policy: what the tracer does with callables that it does not simply interpret.

A row says of one callable (or of all functions of a module, all methods of a class) which of these it is:

- a **lookaside**: a function of the tracer runs in its place, on the values of the trace;
- a **polyfill**: its result is computed by interpreting a Python function that does the same;
- **pure**: CPython runs it while tracing, if its arguments are constants, and its result is a constant;
- an **operator**: a call becomes a node of the graph;
- **refused**: a call breaks the graph, with a catalogued reason;
- **interpreted**, although its module is refused.

The files of `tracer/interpret/library` register the rows, one file per Python module; `tracer/interpret/deciders.py`
asks for them. Nothing here knows about traces, values or graphs.
"""

from __future__ import annotations

import enum
import sys
import types
from collections.abc import Callable
from typing import Any, TypeVar

from tracer.reasons import Reason
from tracer.values.base import NUMPY_SCALARS

Function = TypeVar("Function", bound=Callable[..., Any])


class PolicyRow:
    """What is done with a callable. `file` is the name of the module that registered it."""

    def __init__(self, file: str) -> None:
        self.file = file


class Lookaside(PolicyRow):
    """`handler(trace, *args, **kwargs)` runs instead; its arguments are realised first, unless `lazy`.

    A method is left to CPython where its receiver is of a class that `excluding` names.
    """

    def __init__(
        self, file: str, handler: Callable[..., Any], lazy: bool = False, excluding: type | tuple[()] = ()
    ) -> None:
        super().__init__(file)
        self.handler = handler
        self.lazy = lazy
        self.excluding = excluding


class Polyfill(PolicyRow):
    """`body` is interpreted instead. A `pure` original is run by CPython when its arguments are constants.

    `returns_items`: the result of the original is, or holds, one of its arguments or their items. One `of_literals` is
    run by CPython when its arguments are literals, or containers that are known to hold nothing else.
    """

    def __init__(self, file: str, body: Callable[..., Any], pure: bool, returns_items: bool, of_literals: bool) -> None:
        super().__init__(file)
        self.body = body
        self.pure = pure
        self.returns_items = returns_items
        self.of_literals = of_literals


class Pure(PolicyRow):
    """CPython runs it on constants. `scope` says which callables the row is about, if it is about several."""

    def __init__(self, file: str, scope: str = "") -> None:
        super().__init__(file)
        self.scope = scope


class Operator(PolicyRow):
    """A call is a node of the graph."""

    def __init__(self, file: str, scope: str = "") -> None:
        super().__init__(file)
        self.scope = scope


class Refused(PolicyRow):
    """A call breaks the graph for `reason`."""

    def __init__(self, file: str, reason: Reason, scope: str = "") -> None:
        super().__init__(file)
        self.reason = reason
        self.scope = scope


class Interpreted(PolicyRow):
    """Interpreted (a class: instantiated) like any other, although the row of its module refuses it."""


ROWS: dict[Any, PolicyRow] = {}
"""By callable."""

COMPILED_BY_CYTHON = "cython_function_or_method"
"""The name of the class of functions compiled by Cython, of which each version of Cython has one."""

NAMED: dict[tuple[str, str], Lookaside] = {}
"""By module and qualified name: functions and classes of modules that are not imported for the sake of a row."""

MODULES: dict[str, Pure | Operator | Refused | Interpreted] = {}
"""By module: all of its functions without a row of their own. A refusal covers the modules below it, too, apart from
those that are interpreted all the same."""

IMMUTABLE: dict[type, Pure] = {}
"""By class: all C methods of its instances without a row of their own."""

EXCEPTIONS: dict[Any, Callable[..., str]] = {}
"""By pure callable: says of a call why it is not pure after all, such as by its codec or locale; "" if it is."""

ITERATORS: dict[int, type] = {}
"""By the id of its code: the class of iterators, written in C, that a generator function of the library stands for."""

PROTOCOLS: dict[str, Callable[..., Any]] = {}
"""By name: Python functions that stand for what CPython does in C without there being a function for it."""


def _registering() -> str:
    """The module that registers a row: the caller of the caller."""
    return sys._getframe(2).f_globals["__name__"]


def _register(row: PolicyRow, callables: tuple[Any, ...]) -> None:
    for function in callables:
        earlier = ROWS.get(function)
        assert earlier is None, f"{function} has rows in {earlier.file} and {row.file}"
        ROWS[function] = row


# What a file of the library says ---------------------------------------------------------------------


def lookaside(*callables: Any, lazy: bool = False, excluding: type | tuple[()] = ()) -> Callable[[Function], Function]:
    """Run the decorated function, `f(trace, *args, **kwargs)`, when the program calls one of `callables`.

    Its arguments arrive realised, unless `lazy`. Methods are left to CPython for receivers of a class `excluding`.
    """
    file = _registering()

    def register(handler: Function) -> Function:
        _register(Lookaside(file, handler, lazy, excluding), callables)
        return handler

    return register


def named_lookaside(module: str, name: str) -> Callable[[Function], Function]:
    """As `lookaside`, for a function or class by module and qualified name: its module is not imported."""
    file = _registering()

    def register(handler: Function) -> Function:
        assert (module, name) not in NAMED, f"{module}.{name} has two rows"
        NAMED[module, name] = Lookaside(file, handler)
        return handler

    return register


def polyfill(
    *originals: Any, pure: bool = False, returns_items: bool = False, of_literals: bool = False
) -> Callable[[Function], Function]:
    """Interpret the decorated function, plain Python, when the program calls one of `originals`.

    `pure`: CPython runs the original when its arguments are constants. `returns_items`: the result is, or holds,
    one of the original's arguments or their items, so that a copy would not do. `of_literals`: CPython runs an original
    that changes nothing when its arguments are literals, or lists, deques or dicts that are known to hold only such.
    """
    file = _registering()

    def register(body: Function) -> Function:
        _register(Polyfill(file, body, pure, returns_items, of_literals), originals)
        return body

    return register


def protocol(name: str) -> Callable[[Function], Function]:
    """Interpret the decorated function for what CPython does in C without there being a function for it."""

    def register(body: Function) -> Function:
        assert name not in PROTOCOLS, f"the protocol {name} has two bodies"
        PROTOCOLS[name] = body
        return body

    return register


def stands_for(cls: type) -> Callable[[Function], Function]:
    """Let the program take what the decorated generator function makes for an iterator of `cls`, written in C."""

    def register(function: Function) -> Function:
        ITERATORS[id(function.__code__)] = cls  # type: ignore[attr-defined]
        return function

    return register


def pure(*callables: Any) -> None:
    """Leave functions to CPython when their arguments are constants, and classes whose instances are immutable."""
    _register(Pure(_registering()), callables)


def unless(*callables: Any) -> Callable[[Function], Function]:
    """Ask the decorated function, given the real arguments, whether a call of one of these pure `callables` is pure.

    It returns "", or in a few words what else the result depends on or what else the call does.
    """

    def register(reason: Function) -> Function:
        for function in callables:
            assert function not in EXCEPTIONS, f"{function} has two exceptions"
            EXCEPTIONS[function] = reason
        return reason

    return register


def helper(function: Function) -> Function:
    """A function of a polyfill that is to be run, not interpreted: its arguments and results are constants."""
    _register(Pure(_registering()), (function,))
    return function


def pure_module(*names: str) -> None:
    """Leave the C functions of whole modules to CPython when their arguments are constants."""
    file = _registering()
    for name in names:
        _register_module(name, Pure(file, f"C functions of the module {name}"))


def immutable(*classes: type) -> None:
    """Leave the C methods of immutable objects to CPython when the other arguments are constants."""
    file = _registering()
    for cls in classes:
        assert cls not in IMMUTABLE, f"{cls} has two rows"
        IMMUTABLE[cls] = Pure(file, f"C methods of {cls.__module__}.{cls.__qualname__}")


def operators(*functions: Any) -> None:
    """Make a call of one of `functions` a node of the graph."""
    _register(Operator(_registering()), functions)


def operator_modules(*names: str) -> None:
    """Make a call of any C function of these modules a node of the graph."""
    file = _registering()
    for name in names:
        _register_module(name, Operator(file, f"C functions of the module {name}"))


def refuse(reason: Reason, *callables: Any) -> None:
    """Break the graph where one of `callables` is called."""
    _register(Refused(_registering(), reason), callables)


def refuse_modules(reason: Reason, *names: str) -> None:
    """Break the graph where a function of one of these modules, or of one below it, is called."""
    file = _registering()
    for name in names:
        _register_module(name, Refused(file, reason, f"the module {name}"))


def interpret(*callables: Any) -> None:
    """Interpret functions, and instantiate classes, of a refused module all the same."""
    _register(Interpreted(_registering()), callables)


def interpret_modules(*names: str) -> None:
    """Interpret the functions of these modules, and of those below them, although a module above is refused."""
    file = _registering()
    for name in names:
        _register_module(name, Interpreted(file))


def _register_module(name: str, row: Pure | Operator | Refused | Interpreted) -> None:
    assert name not in MODULES, f"the module {name} has two rows"
    MODULES[name] = row


# What the deciders ask -------------------------------------------------------------------------------


def row_of(function: Any) -> PolicyRow | None:
    """The row of a callable: its own, that of its class, or that of its module. None if it has none."""
    row = ROWS.get(function)
    if row is not None:
        return row
    kind = type(function)
    if kind is types.FunctionType:
        return NAMED.get((function.__module__, function.__qualname__)) or refusing_row(function.__module__)
    if issubclass(kind, types.BuiltinFunctionType):
        return MODULES.get(function.__module__) or refusing_row(function.__module__)
    if kind in (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType):
        return IMMUTABLE.get(function.__objclass__) or _numpy_row(function.__objclass__)
    if isinstance(function, type):
        return _row_of_class(function)
    named = NAMED.get((function.__module__, function.__qualname__)) if kind.__name__ == COMPILED_BY_CYTHON else None
    return named or refusing_row(getattr(function, "__module__", None))


def _numpy_row(cls: type) -> Pure | None:
    return Pure(__name__, "numbers of numpy") if issubclass(cls, NUMPY_SCALARS) else None


def _row_of_class(cls: type) -> PolicyRow | None:
    if issubclass(cls, enum.Enum) and cls.__members__:
        return Pure(__name__, "enumerations, whose call looks a member up")
    module = cls.__dict__.get("__module__") if type(cls) is type else None  # no code of the program is asked for it
    named = NAMED.get((module, cls.__qualname__)) if type(module) is str else None
    return named or _numpy_row(cls)


def refusing_row(module: object) -> Refused | None:
    """The row that refuses the functions of a module: its own, or that of a module above it."""
    while module and isinstance(module, str):
        row = MODULES.get(module)
        if isinstance(row, (Refused, Interpreted)):
            return row if isinstance(row, Refused) else None
        module = module.rpartition(".")[0]
    return None
