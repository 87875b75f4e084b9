"""Values as JSON text: constants, containers and the facts of tensors, written and read.

Many calls share few different values, and a dictionary-encoded column of text holds each of these once. Knows nothing
of operators, calls or files. Reading executes nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import EllipsisType, NoneType
from typing import Any, Final

import torch

from passes.meta import CPU, DTYPE_BY_NAME, DTYPES, TensorMeta, torch_names
from passes.operators.outcome import Argument, DictArg, ListArg, SliceArg, Wrapped, leaves

Json = Any


@dataclass(frozen=True, slots=True)
class Opaque:
    """An argument of which only the type was recorded: a generator, an array of another library, a function."""

    type_name: str


@dataclass(frozen=True, slots=True)
class NumberOf:
    """A number that was returned. It is data, so only its type was recorded."""

    type_name: str


@dataclass(frozen=True, slots=True)
class TensorAt:
    """The place of tensor number `index`, of the arguments or of the result."""

    index: int


LAYOUTS: Final[dict[torch.layout, str]] = torch_names(torch.layout)
MEMORY_FORMATS: Final[dict[torch.memory_format, str]] = torch_names(torch.memory_format)
LAYOUT_BY_NAME: Final = {name: layout for layout, name in LAYOUTS.items()}
MEMORY_FORMAT_BY_NAME: Final = {name: memory_format for memory_format, name in MEMORY_FORMATS.items()}

# The name of a tensor's fact in its JSON object, how to read it, and the value that is left out.
OPTIONAL_FACTS: Final[tuple[tuple[str, Callable[[torch.Tensor], Json], Json], ...]] = (
    ("storage_offset", lambda tensor: 0 if tensor.layout is not torch.strided else tensor.storage_offset(), 0),
    ("device", lambda tensor: str(tensor.device), CPU.type),
    ("layout", lambda tensor: LAYOUTS[tensor.layout], "strided"),
    ("requires_grad", lambda tensor: tensor.requires_grad, False),
    ("conj", lambda tensor: tensor.is_conj(), False),
    ("neg", lambda tensor: tensor.is_neg(), False),
    ("nested", lambda tensor: tensor.is_nested, False),
)


dumps: Final[Callable[[Json], str]] = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def tensor_text(tensor: torch.Tensor, most_integers: int = 0) -> str:
    """The facts of a tensor as JSON, with the elements if it has at most `most_integers` integers.

    `{"dtype":"f32","size":[2,16],"stride":[16,1]}`: other facts are left out if they have their usual value (see
    OPTIONAL_FACTS), and so are strides of layouts that have none.
    """
    facts: dict[str, Json] = {"dtype": DTYPES[tensor.dtype]}
    if not tensor.is_nested:
        facts["size"] = list(tensor.shape)
        if tensor.layout is torch.strided:
            facts["stride"] = list(tensor.stride())
    for name, read, usual in OPTIONAL_FACTS:
        fact = read(tensor)
        if fact != usual:
            facts[name] = fact
    if 0 < tensor.numel() <= most_integers and holds_integers(tensor):
        facts["values"] = leaves(tensor.tolist())
    return dumps(facts)


def holds_integers(tensor: torch.Tensor) -> bool:
    """Whether the elements are integers or truth values that lie in the CPU's memory."""
    whole = not (tensor.dtype.is_floating_point or tensor.dtype.is_complex or tensor.is_quantized)
    return whole and tensor.layout is torch.strided and tensor.device.type == CPU.type


@lru_cache(maxsize=1 << 16)
def tensor_meta(text: str) -> TensorMeta:
    """The meta that `tensor_text` wrote. Whether a tensor is a leaf is not recorded; it counts as one.

    Raises ValueError for a nested tensor, which has no sizes.
    """
    facts = json.loads(text)
    if facts.get("nested"):
        raise ValueError(f"a nested tensor has no TensorMeta: {text}")
    sizes = [*facts["size"], *facts.get("stride", ()), facts.get("storage_offset", 0)]
    if any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError(f"these are not the facts of a tensor: {text}")
    return TensorMeta(
        tuple(facts["size"]),
        tuple(facts["stride"]) if "stride" in facts else None,
        DTYPE_BY_NAME[facts["dtype"]],
        storage_offset=facts.get("storage_offset", 0),
        device=torch.device(facts.get("device", CPU.type)),
        layout=LAYOUT_BY_NAME[facts.get("layout", "strided")],
        requires_grad=facts.get("requires_grad", False),
        is_conj=facts.get("conj", False),
        is_neg=facts.get("neg", False),
    )


def _float_json(value: float) -> Json:
    return float(value) if math.isfinite(value) else {"float": repr(float(value))}


def _sequence_json(values: Sequence[Any], index_of: Callable[[torch.Tensor], int]) -> list[Json]:
    return [value_json(value, index_of) for value in values]


# How a value of each type is written. A value that JSON lacks becomes an object with one key: its kind.
WRITERS: Final[dict[type, Callable[[Any, Callable[[torch.Tensor], int]], Json]]] = {
    NoneType: lambda value, index_of: None,
    bool: lambda value, index_of: value,
    int: lambda value, index_of: int(value),
    str: lambda value, index_of: str(value),
    float: lambda value, index_of: _float_json(value),
    complex: lambda value, index_of: {"complex": [_float_json(value.real), _float_json(value.imag)]},
    list: _sequence_json,
    tuple: lambda value, index_of: {"tuple": _sequence_json(value, index_of)},
    dict: lambda value, index_of: {"dict": [_sequence_json(pair, index_of) for pair in value.items()]},
    slice: lambda value, index_of: {"slice": _sequence_json((value.start, value.stop, value.step), index_of)},
    EllipsisType: lambda value, index_of: {"ellipsis": True},
    torch.Tensor: lambda value, index_of: {"tensor": index_of(value)},
    torch.dtype: lambda value, index_of: {"dtype": DTYPES[value]},
    torch.device: lambda value, index_of: {"device": str(value)},
    torch.layout: lambda value, index_of: {"layout": LAYOUTS[value]},
    torch.memory_format: lambda value, index_of: {"memory_format": MEMORY_FORMATS[value]},
    Wrapped: lambda value, index_of: {"wrapped": value_json(value.number, index_of)},
    NumberOf: lambda value, index_of: {"number": value.type_name},
}
# How each kind of object is read.
READERS: Final[dict[str, Callable[[Json], Argument]]] = {
    "float": float,
    "complex": lambda parts: complex(*map(value_of, parts)),
    "tuple": lambda parts: tuple(map(value_of, parts)),
    "dict": lambda pairs: DictArg((value_of(key), value_of(item)) for key, item in pairs),
    "slice": lambda parts: SliceArg(*map(value_of, parts)),
    "ellipsis": lambda _: ...,
    "tensor": TensorAt,
    "dtype": DTYPE_BY_NAME.__getitem__,
    "device": torch.device,
    "layout": LAYOUT_BY_NAME.__getitem__,
    "memory_format": MEMORY_FORMAT_BY_NAME.__getitem__,
    "wrapped": lambda number: Wrapped(value_of(number)),
    "number": NumberOf,
    "object": Opaque,
}


def value_json(value: Any, index_of: Callable[[torch.Tensor], int]) -> Json:
    """An argument or a result as JSON; `index_of` numbers the tensors in it."""
    for kind in type(value).__mro__:
        if writer := WRITERS.get(kind):
            return writer(value, index_of)
    return {"object": f"{type(value).__module__}.{type(value).__qualname__}"}


def value_text(value: Any, index_of: Callable[[torch.Tensor], int]) -> str:
    """An argument as the text that a corpus stores; tensors are written as their numbers."""
    return dumps(value_json(value, index_of))


def value_of(json_value: Json) -> Argument:
    """The value that `value_json` wrote, in the forms of passes/operators/outcome.py, with TensorAt for tensors."""
    if isinstance(json_value, list):
        return ListArg(map(value_of, json_value))
    if isinstance(json_value, dict):
        ((kind, content),) = json_value.items()
        return READERS[kind](content)
    return json_value


@lru_cache(maxsize=1 << 16)
def value_from(text: str) -> Argument:
    """As `value_of`, from text."""
    return value_of(json.loads(text))
