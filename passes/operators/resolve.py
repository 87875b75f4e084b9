"""Names back into calls: the operator that a corpus means by a name, and the arguments it is to be called with.

The inverse of passes/operators/naming.py. Knows nothing of tensors: arguments pass through as they are.
"""

from __future__ import annotations

import importlib
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch

from passes.operators.naming import default_of, operator_name, schemas_of
from passes.operators.outcome import Wrapped
from passes.operators.targets import is_operator, refusal

Target = Callable[..., Any]

LATE: Final = {"torch_nn": "torch.nn.modules.linear_cross_entropy"}  # namespaces that torch fills at their first use
ROOTS: Final = {"torch": torch, "_operator": operator, "operator": operator}
NAMESPACES: Final = frozenset(
    (
        *("torch", "torch.Tensor", "torch.TensorBase", "torch.functional", "torch.nn.functional"),
        *("torch.fft", "torch.linalg", "torch.special", "torch._C._nn", "torch._C._linalg", "torch._C._sparse"),
        *("operator", "_operator"),
    )
)
"""Where functions are looked up by their names; operators of the dispatcher are asked for there."""
VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
NOT_GIVEN: Final = object()  # the default of a parameter that has none


class UnknownOperator(LookupError):
    """A name that no operator of this process has."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operator. `type` is as schemas write it, empty where there is no schema."""

    name: str
    type: str = ""
    default: Any = NOT_GIVEN
    by_keyword: bool = False
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD

    @property
    def is_optional(self) -> bool:
        """Whether None may be given for it."""
        return self.type.startswith("Optional[")


@lru_cache(maxsize=1 << 14)
def resolve(op: str, level: str) -> Target:
    """What is called `op` in a corpus at this level, the inverse of `operator_name`.

    Names come from files: only operators are found by them (passes/operators/targets.py), not whatever else torch's
    namespaces reach. Raises UnknownOperator if there is none: the library that registers it may not be imported.
    """
    for target in (_overload(op),) if "::" in op else _functions(op):
        if target is not None and is_operator(target) and operator_name(target) == op:
            return target
    where = "is its library imported?" if "::" in op else "it is no function that can be found by its name"
    raise UnknownOperator(f"no operator {op!r} at the level {level!r}: {where}")


def _overload(op: str) -> Target | None:
    """`aten::sum.dim_IntList`, `mylib::op` or, for what was called as `torch.ops.mylib.op`, the packet."""
    namespace, _, name = op.partition("::")
    packet_name, _, overload = name.partition(".")
    if namespace in LATE:
        importlib.import_module(LATE[namespace])
    if refusal(namespace, packet_name) is not None:
        return None
    packet = getattr(getattr(torch.ops, namespace), packet_name)
    if (overload or "default") in packet.overloads():
        return getattr(packet, overload or "default")
    return None if overload else packet


def _functions(op: str) -> Iterator[Target | None]:
    """`torch.Tensor.add_`, `torch._C._nn.linear`, the getter of a property, or what a Python function hides."""
    if op.rpartition(".")[0] not in NAMESPACES:
        return
    root, *names = op.split(".")
    target: Any = ROOTS.get(root)
    for name in names:
        target = getattr(target, name, None)
    yield target.__get__ if inspect.isgetsetdescriptor(target) or isinstance(target, property) else target
    yield getattr(torch._C._VariableFunctions, names[-1], None) if names else None  # type: ignore[attr-defined]


@lru_cache(maxsize=1 << 14)
def parameters(target: Target, names: tuple[str, ...]) -> tuple[Parameter, ...]:
    """What is known of the parameters that a call of `target` with arguments of these names was bound to.

    Of the schema with these names, else of the Python signature; else `0`, `1`, ... are taken by position,
    other names by keyword.
    """
    for schema in schemas_of(target):
        if tuple(parameter.name for parameter in schema.arguments) == names:
            return tuple(_of_schema(schema))
    signature = _signature(target)
    if signature is not None and set(names) <= set(signature.parameters):
        return tuple(
            Parameter(name, by_keyword=declared.kind is inspect.Parameter.KEYWORD_ONLY, kind=declared.kind)
            for name, declared in ((name, signature.parameters[name]) for name in names)
        )
    unnamed = getattr(target, "__name__", "") == "__get__"
    return tuple(Parameter(name, by_keyword=not (unnamed or name.isdecimal())) for name in names)


def _of_schema(schema: Any) -> Iterator[Parameter]:
    for parameter in schema.arguments:
        default = default_of(parameter) if parameter.has_default_value() else NOT_GIVEN
        yield Parameter(parameter.name, str(parameter.type), default, parameter.kwarg_only)


def _signature(target: Target) -> inspect.Signature | None:
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):  # written in C, and without a signature
        return None


def positional(target: Target, named: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments and keywords with which a call of `target` is `named`: the inverse of `named_arguments`.

    Overloads and their packets get every argument. Other functions do not get keywords with the value that
    the schema has as default anyway, nor a None at the end: their Python bindings do not take all that the
    schema has. They do get other defaults, which need not be those of the binding.
    """
    declared = parameters(target, tuple(named))
    values = [_unwrapped(value) for value in named.values()]
    takes_all = isinstance(target, torch._ops.OpOverload | torch._ops.OpOverloadPacket)
    if not takes_all:
        while values and values[-1] is None and declared[-1].default is None:
            declared, values = declared[:-1], values[:-1]
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for parameter, value in zip(declared, values, strict=True):
        if parameter.kind in VARIADIC:
            _spread(parameter, value, args, kwargs)
        elif not parameter.by_keyword:
            args.append(value)
        elif takes_all or not _may_be_left_out(parameter, value):
            kwargs[parameter.name] = value
    return tuple(args), kwargs


def _may_be_left_out(parameter: Parameter, value: Any) -> bool:
    if parameter.by_keyword and value is None:
        return True
    return type(value) is type(parameter.default) and not isinstance(value, torch.Tensor) and value == parameter.default


def _spread(parameter: Parameter, value: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Give what `*args` or `**kwargs` collected one by one."""
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        args.extend(value)
    else:
        kwargs.update(value)


def _unwrapped(value: Any) -> Any:
    if type(value) is Wrapped:
        return value.number
    if type(value) is list and any(type(part) is Wrapped for part in value):
        return [_unwrapped(part) for part in value]
    return value
