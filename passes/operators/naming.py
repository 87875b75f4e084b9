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

from passes.meta import TensorMeta
from passes.operators.outcome import Wrapped
from passes.operators.spellings import OPERATORS, PARAMETERS

Named = dict[str, Any]

# What the numbers mean that schemas have as defaults for a dtype.
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
DEFAULTS: Final[dict[str, tuple[Any, ...]]] = {
    "ScalarType": SCALAR_TYPES,
    "MemoryFormat": (torch.contiguous_format, torch.preserve_format, torch.channels_last, torch.channels_last_3d),
}
NUMBERS: Final = (bool, int, float, complex)
SIZES: Final = (int, torch.SymInt)
# What may be given for a parameter of each type that schemas know; types that are not here take anything.
TAKES: Final[dict[str, tuple[type, ...]]] = {
    "Tensor": (torch.Tensor, TensorMeta),
    "number": NUMBERS,
    "int": (int, torch.SymInt, torch.dtype, torch.layout, torch.memory_format),
    "float": (float, int, torch.SymFloat),
    "bool": (bool,),
    "str": (str,),
    "Device": (torch.device, str, int),
}
# Special methods whose schemas go by the operator's name in torch. `__and__` and its like have schemas of their own.
SPECIAL_METHODS: Final = {
    f"__{name}__": OPERATORS[name.removeprefix("r")]
    for name in ("truediv", "rtruediv", "matmul", "invert", "pow", "rpow")
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
    owner = getattr(target, "__self__", None)
    if getattr(target, "__name__", "") == "__get__" and owner is not None:  # a property of tensors
        return f"torch.Tensor.{owner.__name__}"
    name = resolve_name(target)
    if name is None:
        module = getattr(target, "__module__", None) or "torch"
        name = f"{module}.{getattr(target, '__qualname__', type(target).__qualname__)}"
    return name.replace("torch._VariableFunctionsClass.", "torch.")


def named_arguments(target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Named:
    """The arguments of a call by name, in the schema's order and with its defaults.

    Where no schema fits, by the names of a Python function's parameters; where there are none, by position.
    """
    return named_by(chosen_schema(target, args, kwargs), target, args, kwargs)


def chosen_schema(target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, int]:
    """The schema that a call follows (None if there is none), and which way its sizes are read (0: as given)."""
    for way, positional in enumerate((args, *_sizes_in_a_list(args))):
        for strict in (True, False):
            for schema in schemas_of(target):
                if fits(schema, positional, kwargs, strict):
                    return schema, way
    return None, 0


def named_by(
    choice: tuple[Any, int], target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Named:
    """The arguments of a call by name, for the schema that `chosen_schema` found for a call of this kind."""
    schema, way = choice
    if schema is None:
        return bound_to_signature(target, args, kwargs)
    return bound_to_schema(schema, args if way == 0 else list(_sizes_in_a_list(args))[way - 1], kwargs)


def _sizes_in_a_list(args: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The arguments of `x.view(2, 3)` as `x.view([2, 3])` would have them, and those of `torch.ones(2, 3)`."""
    for start in (1, 0):
        sizes = args[start:]
        if len(sizes) > 1 and all(type(size) in SIZES for size in sizes):
            yield (*args[:start], list(sizes))


def schemas_of(target: Callable[..., Any]) -> Sequence[Any]:
    """The schemas that a call of `target` may follow."""
    if isinstance(target, torch._ops.OpOverload):
        return (target._schema,)
    return _schemas_by_name(target)


@lru_cache(maxsize=1 << 14)
def _schemas_by_name(target: Callable[..., Any]) -> Sequence[Any]:
    """Schemas of operators on tensors that have the name of a function; TorchScript's on dictionaries apart."""
    if isinstance(target, torch._ops.OpOverloadPacket):
        return torch._C._jit_get_schemas_for_operator(target._qualified_op_name)
    name = getattr(target, "__name__", "")
    if name == "__get__":
        return ()
    for qualified in (_find_builtin(target), f"aten::{SPECIAL_METHODS.get(name, name)}", f"aten::{name.strip('_')}"):
        schemas = torch._C._jit_get_schemas_for_operator(qualified) if qualified else ()
        if fitting := [schema for schema in schemas if "Tensor" in str(schema) and "Dict(" not in str(schema)]:
            return fitting
    return ()


def fits(schema: Any, args: Sequence[Any], kwargs: Mapping[str, Any], strict: bool) -> bool:
    """Whether the arguments can be those of `schema`; `strict` refuses numbers in the place of tensors."""
    parameters = schema.arguments
    kwargs = in_schema_names(schema, kwargs)
    positional = [parameter for parameter in parameters if not parameter.kwarg_only]
    if len(args) > len(positional):
        return False
    by_name = {parameter.name: value for parameter, value in zip(positional, args, strict=False)}
    if kwargs.keys() & by_name.keys() or not kwargs.keys() <= {parameter.name for parameter in parameters}:
        return False
    by_name.update(kwargs)
    return all(
        takes(str(parameter.type), by_name[parameter.name], strict)
        if parameter.name in by_name
        else parameter.has_default_value()
        for parameter in parameters
    )


def in_schema_names(schema: Any, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keyword arguments by the schema's names for them: `axis` is `dim`, and `input` mostly `self`."""
    if PARAMETERS.keys().isdisjoint(kwargs):
        return kwargs
    names = {parameter.name for parameter in schema.arguments}
    return {name if name in names else PARAMETERS.get(name, name): value for name, value in kwargs.items()}


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
    kwargs = in_schema_names(schema, kwargs)
    named: Named = {}
    for index, parameter in enumerate(schema.arguments):
        name = parameter.name
        if index < len(args):
            value = args[index]
        elif name in kwargs:
            value = kwargs[name]
        else:
            value = default_of(parameter)
        named[name] = in_schema_form(str(parameter.type), value)
    return named


def in_schema_form(kind: str, value: Any) -> Any:
    """An argument as a parameter of type `kind` gets it: numbers for tensors marked, sequences as lists."""
    kind = kind.removeprefix("Optional[")
    if kind.startswith("List[") and value is not None:
        return list(value) if isinstance(value, list | tuple) else [value]
    return Wrapped(value) if kind.startswith("Tensor") and isinstance(value, NUMBERS) else value


def default_of(parameter: Any) -> Any:
    """A parameter's default in the form in which it would be given."""
    default = parameter.default_value
    meanings = DEFAULTS.get(str(parameter.real_type).removeprefix("Optional[").removesuffix("]"))
    return meanings[default] if meanings and type(default) is int else default


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
    except (TypeError, ValueError):  # written in C, and without a signature
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
