"""Types: promotion, and what operators make of their input's type (c10 ScalarType.h, ATen TypeProperties.cpp)."""

from __future__ import annotations

from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.operators.outcome import Wrapped
from passes.rules.language import primitive, undefined
from passes.rules.primitives.iterator import flat

TO_COMPLEX: Final = {
    torch.float16: torch.complex32,
    torch.bfloat16: torch.complex64,
    torch.float32: torch.complex64,
    torch.float64: torch.complex128,
}
TO_REAL: Final = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}
KIND_OF_NUMBER: Final = {bool: 0, int: 1, float: 2, complex: 3}


def kind(dtype: torch.dtype) -> int:
    """0 for bool, 1 for integers, 2 for floats, 3 for complex numbers."""
    if dtype.is_complex:
        return 3
    return 2 if dtype.is_floating_point else int(dtype is not torch.bool)


KINDS: Final = {dtype: kind(dtype) for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}
SMALL: Final = (torch.float16, torch.bfloat16)


@primitive("*Operand -> Dtype")
def promoted(*values: Any) -> torch.dtype:
    """Type that the operands have together: tensors with dimensions first, then those without, then numbers.

    A lower kind (bool, integer, float, complex) never changes a higher one (torch.result_type).
    """
    operands = flat(values)
    first = operands[0] if operands else None
    if type(first) is TensorMeta:
        dtype = first.dtype
        for other in operands[1:]:
            if type(other) is TensorMeta:
                if other.dtype is not dtype:
                    break
            elif KIND_OF_NUMBER.get(type(other.number if type(other) is Wrapped else other), 4) > KINDS[dtype]:
                break
        else:  # most calls are such
            return dtype
    with_dims: torch.dtype | None = None
    without: torch.dtype | None = None
    number: torch.dtype | None = None
    for operand in operands:
        if isinstance(operand, TensorMeta):
            if operand.shape:
                with_dims = operand.dtype if with_dims is None else _promote(with_dims, operand.dtype)
            else:
                without = operand.dtype if without is None else _promote(without, operand.dtype)
        elif operand is not None:
            number_dtype = dtype_of_number(operand)
            number = number_dtype if number is None else _promote(number, number_dtype)
    return _combined(with_dims, _combined(without, number))


def _promote(left: torch.dtype, right: torch.dtype) -> torch.dtype:
    return left if left is right else torch.promote_types(left, right)


def _combined(higher: torch.dtype | None, lower: torch.dtype | None) -> Any:
    """`combine_categories` of ATen/native/TypeProperties.cpp."""
    if higher is None or lower is None or higher is lower:
        return lower if higher is None else higher
    if higher.is_complex:
        return higher
    if higher.is_floating_point:
        return TO_COMPLEX[higher] if lower.is_complex else higher
    if higher is torch.bool or KINDS[lower] >= 2:
        return torch.promote_types(higher, lower)
    return higher


def dtype_of_number(operand: Any) -> torch.dtype:
    """The dtype of a tensor made of a Python number: bool, int64, the default dtype, or its complex type."""
    number = operand.number if isinstance(operand, Wrapped) else operand
    if isinstance(number, bool | torch.SymBool):
        return torch.bool
    if isinstance(number, int | torch.SymInt):
        return torch.int64
    if isinstance(number, float | torch.SymFloat):
        return torch.get_default_dtype()
    if isinstance(number, complex):
        return TO_COMPLEX[torch.get_default_dtype()]
    undefined("no number")


@primitive("*Operand -> Dtype")
def promoted_alike(*tensors: Any) -> torch.dtype:
    """Type of tensors together, whatever their dimensions (torch.promote_types)."""
    dtype = None
    for tensor in flat(tensors):
        if tensor is not None:
            dtype = tensor.dtype if dtype is None else _promote(dtype, tensor.dtype)
    return undefined("no tensor") if dtype is None else dtype


@primitive("Strided, *Operand -> Bool")
def unwritable(written: Any, *operands: Any) -> bool:
    """Whether the type that a tensor and operands have together is not cast to that of the tensor (torch.can_cast)."""
    return not torch.can_cast(promoted(written, *operands), written.dtype)


@primitive("Dtype -> Dtype")
def floating(dtype: torch.dtype) -> torch.dtype:
    """The type itself if it has fractions, else the default one."""
    return torch.get_default_dtype() if KINDS[dtype] < 2 else dtype


@primitive("Dtype -> Dtype")
def summed(dtype: torch.dtype) -> torch.dtype:
    """int64 for integers and truth values, as sums have it."""
    return torch.int64 if KINDS[dtype] < 2 else dtype


@primitive("Dtype -> Dtype")
def real(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the real part: float32 for complex64; others are as they are."""
    return TO_REAL.get(dtype, dtype)


@primitive("Dtype -> Dtype")
def as_complex_type(dtype: torch.dtype) -> torch.dtype:
    """The complex dtype of a real floating one. Undefined for integers."""
    return dtype if dtype.is_complex else TO_COMPLEX.get(dtype) or undefined("no float")


@primitive("Dtype -> Dtype")
def wide(dtype: torch.dtype) -> torch.dtype:
    """float32 for half precision: what statistics are kept in."""
    return torch.float32 if dtype in SMALL else dtype


@primitive("Dtype -> Bool")
def is_floating(dtype: torch.dtype) -> bool:
    """Whether a dtype is a real floating one."""
    return dtype.is_floating_point


@primitive("Dtype -> Bool")
def is_complex(dtype: torch.dtype) -> bool:
    """Whether a dtype is complex."""
    return dtype.is_complex


@primitive("Dtype -> Bool")
def is_integral(dtype: torch.dtype) -> bool:
    """An integer type, bool included."""
    return KINDS[dtype] < 2


@primitive("Dtype -> Bool")
def is_small(dtype: torch.dtype) -> bool:
    """Half precision, of either sort."""
    return dtype in SMALL


@primitive("-> Dtype")
def default_dtype() -> torch.dtype:
    """The process's default dtype."""
    return torch.get_default_dtype()


@primitive("Dtype -> Int")
def element_size(dtype: torch.dtype) -> int:
    """Bytes of one element."""
    return dtype.itemsize
