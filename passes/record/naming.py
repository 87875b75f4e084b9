"""Names: what an operator is called in a corpus, and its arguments by name with the schema's defaults.

Knows nothing of tensors' facts or of files. What is found here is asked for once per different call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import torch
from torch.jit._builtins import _find_builtin
from torch.overrides import resolve_name

from passes.record.values import Wrapped

Named = dict[str, Any]

# The numbers that schemas have as defaults for a dtype.
SCALAR_TYPES: Final = (
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.float32,
    torch.float64,
    torch.complex32,
    torch.complex64,
    torch.complex128,
    torch.bool,
)
NUMBERS: Final = (bool, int, float, complex)
# What may be given for a parameter of each type that schemas know; types that are not here take anything.
TAKES: Final[dict[str, tuple[type, ...]]] = {
    "Tensor": (torch.Tensor,),
    "number": NUMBERS,
    "int": (int, torch.dtype, torch.layout, torch.memory_format),
    "float": (float, int),
    "bool": (bool,),
    "str": (str,),
    "Device": (torch.device, str, int),
}
# Python's operators as torch's schemas name them.
SPECIAL_METHODS: Final = {
    "__truediv__": "div",
    "__rtruediv__": "div",
    "__matmul__": "matmul",
    "__invert__": "bitwise_not",
    "__pow__": "pow",
    "__rpow__": "pow",
}


def operator_name(target: Callable[..., Any]) -> str:
    """`aten::sum.dim_IntList` for an overload, `torch.Tensor.add_` or `torch._C._nn.linear` for a function."""
    if isinstance(target, torch._ops.OpOverload):
        schema = target._schema
        return f"{schema.name}.{schema.overload_name}" if schema.overload_name else schema.name
    if isinstance(target, torch._ops.OpOverloadPacket):
        return target._qualified_op_name
    return _function_name(target)


@lru_cache(maxsize=1 << 14)
def _function_name(target: Callable[..., Any]) -> str:
    name = resolve_name(target)
    if name is not None:
        return name.removesuffix(".__get__")
    owner = getattr(target, "__self__", None)
    if getattr(target, "__name__", "") in ("__get__", "__set__") and owner is not None:  # a property of tensors
        return f"torch.Tensor.{owner.__name__}"
    return f"{getattr(target, '__module__', None) or 'builtins'}.{getattr(target, '__qualname__', type(target))}"


def named_arguments(target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Named:
    """The arguments of a call by name, in the schema's order and with its defaults.

    Where no schema fits, by the names of a Python function's parameters; where there are none, by position.
    """
    for given in (args, *_sizes_in_a_list(args)):
        for strict in (True, False):
            for schema in schemas_of(target):
                if fits(schema, given, kwargs, strict):
                    return bound_to_schema(schema, given, kwargs)
    return bound_to_signature(target, args, kwargs)


def _sizes_in_a_list(args: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The arguments of `x.view(2, 3)` as `x.view([2, 3])` would have them, and those of `torch.ones(2, 3)`."""
    for start in (1, 0):
        sizes = args[start:]
        if len(sizes) > 1 and all(type(size) is int for size in sizes):
            yield (*args[:start], list(sizes))


def schemas_of(target: Callable[..., Any]) -> Sequence[Any]:
    """The schemas that a call of `target` may follow."""
    if isinstance(target, torch._ops.OpOverload):
        return (target._schema,)
    return _schemas_by_name(target)


@lru_cache(maxsize=1 << 14)
def _schemas_by_name(target: Callable[..., Any]) -> Sequence[Any]:
    if isinstance(target, torch._ops.OpOverloadPacket):
        return torch._C._jit_get_schemas_for_operator(target._qualified_op_name)
    name = getattr(target, "__name__", "")
    if name in ("__get__", "__set__"):
        return ()
    for qualified in (_find_builtin(target), f"aten::{SPECIAL_METHODS.get(name, name)}", f"aten::{name.strip('_')}"):
        if qualified and (found := torch._C._jit_get_schemas_for_operator(qualified)):
            return found
    return ()


def fits(schema: Any, args: Sequence[Any], kwargs: Mapping[str, Any], strict: bool) -> bool:
    """Whether the arguments can be those of `schema`; `strict` refuses numbers in the place of tensors."""
    parameters = schema.arguments
    positional = [parameter for parameter in parameters if not parameter.kwarg_only]
    if len(args) > len(positional):
        return False
    given = {parameter.name: value for parameter, value in zip(positional, args, strict=False)}
    if kwargs.keys() & given.keys() or not kwargs.keys() <= {parameter.name for parameter in parameters}:
        return False
    given.update(kwargs)
    return all(
        takes(str(parameter.type), given[parameter.name], strict)
        if parameter.name in given
        else parameter.has_default_value()
        for parameter in parameters
    )


def takes(kind: str, value: Any, strict: bool) -> bool:
    """Whether a parameter whose type a schema writes as `kind` takes `value`."""
    if kind.startswith("Optional["):
        return value is None or takes(kind.removeprefix("Optional[").removesuffix("]"), value, strict)
    if kind.startswith("List["):
        inner = kind.removeprefix("List[").removesuffix("]")
        if isinstance(value, list | tuple):
            return all(takes(inner, part, strict) for part in value)
        return inner != "Tensor" and takes(inner, value, strict)
    if kind == "bool" or type(value) is bool:
        return (kind in ("bool", "number") and type(value) is bool) or (kind == "Tensor" and not strict)
    if kind == "Tensor" and not strict and isinstance(value, NUMBERS):
        return True
    return kind not in TAKES or isinstance(value, TAKES[kind])


def bound_to_schema(schema: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Named:
    """Arguments that fit `schema` by name; what is not given is the default, or None for factories' options."""
    named: Named = {}
    for index, parameter in enumerate(schema.arguments):
        name = parameter.name
        if index < len(args):
            value = args[index]
        elif name in kwargs:
            value = kwargs[name]
        else:
            value = default_of(parameter)
        wraps = isinstance(value, NUMBERS) and str(parameter.type) in ("Tensor", "Optional[Tensor]")
        named[name] = Wrapped(value) if wraps else value
    return named


def default_of(parameter: Any) -> Any:
    """A parameter's default in the form in which it would be given."""
    default = parameter.default_value
    if type(default) is int and "ScalarType" in str(parameter.real_type):
        return SCALAR_TYPES[default]
    return default


def bound_to_signature(target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Named:
    """Arguments by the names of a Python function's parameters, or `0`, `1`, ... where it has none."""
    if getattr(target, "__name__", "") == "__get__":
        return {"self": args[0]}
    signature = _signature(target)
    if signature is not None:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return dict(_by_position(args, kwargs))
        bound.apply_defaults()
        return bound.arguments
    return dict(_by_position(args, kwargs))


@lru_cache(maxsize=1 << 14)
def _signature(target: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):  # written in C, and nothing told of its parameters
        return None


def _by_position(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((str(index), value) for index, value in enumerate(args))
    yield from kwargs.items()


def written_by_schema(target: Callable[..., Any]) -> frozenset[str]:
    """The names of the arguments that an overload's schema says are written to."""
    if not isinstance(target, torch._ops.OpOverload):
        return frozenset()
    return frozenset(
        parameter.name
        for parameter in target._schema.arguments
        if parameter.alias_info is not None and parameter.alias_info.is_write
    )
