"""Which decider of the call policy takes a callable, and why: for people who wonder what a capture does with a call."""

from __future__ import annotations

import builtins
import difflib
import functools
import importlib
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from tracer.guards.source import constant
from tracer.interpret import deciders
from tracer.interpret.actions import class_method_of
from tracer.interpret.constants import describe
from tracer.interpret.construct import class_refusal, is_allocated
from tracer.interpret.deciders import Decider, deciders_for, decision
from tracer.interpret.functions import interpret_function
from tracer.interpret.interpreter import MACHINE
from tracer.interpret.policy import ROWS, Lookaside, Operator, PolicyRow, Polyfill, Pure, Refused, refusing_row, row_of
from tracer.interpret.trace import Trace
from tracer.reasons import DISABLED, UNSUPPORTED_CALL, Reason
from tracer.values.base import Value
from tracer.values.class_attributes import METHOD_DESCRIPTORS
from tracer.values.item import Item
from tracer.values.methods import descriptors_of

ROOT: Final = Path(__file__).parent.parent.parent
ALLOCATION: Final = "tracer/interpret/construct.py"
LIBRARY: Final = Path(__file__).parent / "library"


NEAREST: Final = 3
"""Names that are suggested for one that leads nowhere."""


class UnknownName(ValueError):
    """A dotted name that leads to no object; the message says where it ends and what is spelled like it."""


@dataclass(frozen=True, slots=True)
class CallExplanation:
    """What a capture does with a call of one callable.

    `decider` is the name of the function of `tracer/interpret/deciders.py` that takes it, `takes` says what that
    decider takes, `why` what it saw, `where` the file (and line) that says so, and `passed` which deciders were asked
    before. If the call comes to a call of something else, such as the function of a method, `then` explains that.
    """

    name: str
    decider: str
    takes: str
    why: str
    where: str
    passed: tuple[str, ...]
    then: CallExplanation | None = None

    def __str__(self) -> str:
        rows = (
            ("taken by", f"{self.decider}: {self.takes}"),
            ("because", self.why),
            ("see", self.where),
            ("passed by", ", ".join(self.passed)),
        )
        text = "\n".join([self.name, *(f"  {title:9}  {words}" for title, words in rows if words)])
        return f"{text}\n\nwhich comes to a call of {self.then}" if self.then is not None else text


def explain_call(function: Callable[..., Any] | str) -> CallExplanation:
    """Say which decider of the call policy takes a callable, and why.

    `function` is the callable, or its dotted name ("torch.nn.functional.relu", "str.join"); modules are imported to
    find it, and nothing else is run. Raises UnknownName, a ValueError, for a name that leads to no object.
    """
    real: Any = resolve(function) if isinstance(function, str) else function
    item: Item = Trace(MACHINE).wrap(real, constant(real)) if callable(real) else real
    return _explained(item, real, function if isinstance(function, str) else _name(real))


def _explained(item: Item, real: Any, name: str) -> CallExplanation:
    decider, action = decision(item)
    order = deciders_for(type(item))
    why, where = _reason(decider, action, real)
    leads_to = LEADS_TO.get(decider)
    then = None
    if leads_to is not None and not why:
        inner = leads_to(item)
        then = _explained(inner, inner, _name(inner))
    passed = tuple(earlier.__name__ for earlier in order[: order.index(decider)])
    takes = (decider.__doc__ or "").partition("\n")[0]
    return CallExplanation(name, decider.__name__, takes, why, where, passed, then)


LEADS_TO: Final[dict[Decider, Callable[[Any], Item]]] = {
    deciders.bound_method: lambda method: method.function,
    deciders.nested_function_with_row: lambda function: function.object,
    deciders.partial_object: lambda partial: partial.function,
    deciders.callable_object: lambda value: inspect.getattr_static(value.cls, "__call__"),
    deciders.bound_special_method: lambda method: descriptors_of(method)[0],
    deciders.method_of_a_constant: lambda method: descriptors_of(method)[0],
    deciders.class_method: class_method_of,
    deciders.cached_function: lambda function: function.__wrapped__,
    deciders.wrapped_function: lambda wrapper: wrapper.__func__,
    deciders.python_call_method: lambda function: inspect.getattr_static(type(function), "__call__"),
}
"""Deciders whose action makes another call, to the callable of that."""


def _name(function: Any) -> str:
    if isinstance(function, Value):
        return f"a {function.cls.__qualname__}"
    return describe(function) if hasattr(function, "__qualname__") else f"a {type(function).__qualname__}"


# Why -------------------------------------------------------------------------------------------------


def _reason(decider: Decider, action: Any, function: Any) -> tuple[str, str]:
    """What a decider saw in a callable, and the file that says so."""
    if decider is deciders.disabled_function:
        return f"it is marked with disable(); {_break(DISABLED)}", ""
    if decider is deciders.disallowed_callable:
        return f"it is marked with disallow_in_graph(); {_break(DISABLED)}", ""
    if decider is deciders.refused_class:
        refusal = class_refusal(function)
        assert refusal is not None
        row = refusing_row(function.__module__)
        return _break(refusal[0]), _file_of(row.file) if row is not None else ""
    if action is interpret_function or decider is deciders.function_of_the_trace:
        return "it is written in Python, and no row or mark is about it", _lines(function)
    if decider is deciders.unknown_callable:
        return f"no row is about it; {_break(UNSUPPORTED_CALL)}", f"docs/howto/c_function.md, {_home(function)}"
    if decider is deciders.callable_object and not _has_python_call(function):
        return f"its __call__ is written in C, and nothing says what it does; {_break(UNSUPPORTED_CALL)}", ""
    if decider is deciders.instantiated_class and not is_allocated(function):
        return f"its __new__ is written in C, and nothing says what it does; {_break(UNSUPPORTED_CALL)}", ALLOCATION
    row = row_of(function) if decider in BY_ROW else None
    return ("", "") if row is None else (_words(row), _file_of(row.file))


def _has_python_call(function: Any) -> bool:
    """Whether the class of an object says in Python, or in a row, what a call of the object does."""
    method = inspect.getattr_static(type(function), "__call__")
    return type(method) not in METHOD_DESCRIPTORS or isinstance(row_of(method), Lookaside)


BY_ROW: Final[frozenset[Decider]] = frozenset(
    {
        *(deciders.lookaside, deciders.tensor_operator, deciders.pure_function, deciders.polyfill),
        *(deciders.refused_function, deciders.refused_callable),
    }
)
"""Deciders that take a callable because of its row."""


def _words(row: PolicyRow) -> str:
    """A row in a sentence."""
    scope = f" (the row is about {row.scope})" if isinstance(row, Pure | Operator | Refused) and row.scope else ""
    match row:
        case Lookaside():
            return f"{_body(row.handler)} of the tracer runs in its place"
        case Polyfill():
            body = f"{_body(row.body)} is interpreted"
            if row.of_literals:
                return f"CPython runs it on containers of literals that the trace knows; on anything else {body}"
            return f"it is pure, so CPython runs it on constants; on anything else {body}" if row.pure else body
        case Pure():
            return f"it is pure: on constants CPython runs it, anything else breaks the graph{scope}"
        case Operator():
            return f"it is an operator on tensors{scope}"
        case Refused():
            return _break(row.reason) + scope
        case _:
            raise AssertionError(f"no decider takes a callable because of a row like {row}")


def _body(function: Any) -> str:
    return f"{function.__name__.replace('<lambda>', 'a function')} ({_lines(function)})"


def _break(reason: Reason) -> str:
    return f"the graph breaks with {reason.id}: {reason.what}"


def _lines(function: Any) -> str:
    """File and line of a Python function."""
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    return "" if code is None else f"{_relative(Path(code.co_filename))}:{code.co_firstlineno}"


def _file_of(module: str) -> str:
    path = getattr(sys.modules.get(module), "__file__", None)
    return module if path is None else _relative(Path(path))


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _home(function: Any) -> str:
    """The file in which a row about a callable belongs."""
    owner = getattr(function, "__objclass__", function)
    module = getattr(owner, "__module__", None) or "builtins"
    name = module.partition(".")[0].lstrip("_")
    folder = LIBRARY / name
    return _relative(folder) if folder.is_dir() else _relative(LIBRARY / f"{name}.py")


# Names -----------------------------------------------------------------------------------------------


def resolve(name: str) -> Any:
    """The object that a dotted name leads to. Modules are imported; attributes of other objects are read, not computed.

    Raises UnknownName.
    """
    first, *rest = name.split(".")
    if not first:
        raise UnknownName(f"cannot find {name!r}: give the dotted name of a function, such as 'torch.relu'")
    value: Any
    if hasattr(builtins, first):
        value = getattr(builtins, first)
    else:
        value = _imported(first)
        if value is None:
            complaint = f"no module or built-in function is called {first!r}"
            raise UnknownName(_unknown(name, complaint, first, _modules(), _names_of_rows()))
    path = first
    for part in rest:
        inner = _attribute(value, path, part)
        if inner is None:
            raise UnknownName(_unknown(name, f"{path} has no {part!r}", part, dir(value)))
        (value,) = inner
        path = f"{path}.{part}"
    return value


def _attribute(holder: Any, path: str, name: str) -> tuple[Any] | None:
    """An attribute of an object, in a tuple of one; None if it has none."""
    if isinstance(holder, types.ModuleType | torch._ops.OpOverloadPacket):
        try:
            return (getattr(holder, name),)  # torch.ops and lazy packages look up or import attributes
        except (AttributeError, RuntimeError):
            module = _imported(f"{path}.{name}") if isinstance(holder, types.ModuleType) else None
            return None if module is None else (module,)
    try:
        stored = inspect.getattr_static(holder, name)
    except AttributeError:
        return None
    return (getattr(holder, name),) if isinstance(stored, BINDING) else (stored,)


BINDING: Final = (
    *(types.FunctionType, staticmethod, classmethod, types.ClassMethodDescriptorType, types.BuiltinFunctionType),
    *(types.MethodDescriptorType, types.WrapperDescriptorType, functools.partialmethod),
)
"""Types of what a class stores that become callables when they are read from the class, without running anything."""


def _imported(name: str) -> types.ModuleType | None:
    """A module; None if there is none of this name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise UnknownName(f"importing {name} failed: {error}") from error
    except ImportError as error:
        raise UnknownName(f"importing {name} failed: {error}") from error


def _modules() -> set[str]:
    loaded = {name for name in sys.modules if "." not in name}
    return {*sys.stdlib_module_names, *loaded, *dir(builtins)}


PUBLIC: Final = {"torch._C.TensorBase": "torch.Tensor", "torch._VariableFunctionsClass": "torch", "torch._C": "torch"}
"""Where people find what C has elsewhere."""


def _names_of_rows() -> Iterator[str]:
    """Dotted names of callables that a row is about."""
    for function in ROWS:
        module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
        owner = getattr(function, "__objclass__", None)
        if owner is not None:
            module, name = owner.__module__, f"{owner.__qualname__}.{getattr(function, '__name__', '')}"
        dotted = f"{module}.{name}".removeprefix("builtins.")
        for private, public in PUBLIC.items():
            dotted = dotted.replace(f"{private}.", f"{public}.")
        if name and not any(part.startswith("_") for part in dotted.split(".")):
            yield dotted


def _unknown(name: str, complaint: str, part: str, names: Iterable[str], dotted: Iterable[str] = ()) -> str:
    """The message: names that are spelled like `part`, and dotted names that end like `name`."""
    last = name.rpartition(".")[2]
    endings = sorted(
        {each for each in dotted if each.rpartition(".")[2] == last and each != name},
        key=lambda each: (len(each), each),
    )
    similar = [*endings, *difflib.get_close_matches(part, names, n=NEAREST)][:NEAREST]
    suggestion = f"; did you mean {' or '.join(map(repr, similar))}?" if similar else ""
    return f"cannot find {name}: {complaint}{suggestion}"
