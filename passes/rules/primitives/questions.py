"""Questions: what conditions ask of arguments beyond comparisons."""

from __future__ import annotations

from typing import Any

import torch

from passes.meta import TensorMeta
from passes.operators.outcome import Wrapped
from passes.rules.language import primitive


@primitive("Any -> Bool")
def is_tensor(value: Any) -> bool:
    """Whether an argument is a tensor."""
    return isinstance(value, TensorMeta)


@primitive("Any -> Bool")
def is_none(value: Any) -> bool:
    """Whether an argument is None."""
    return value is None


@primitive("Any -> Bool")
def is_sequence(value: Any) -> bool:
    """Whether an argument is a tuple or a list."""
    return isinstance(value, tuple)


@primitive("Any -> Bool")
def is_integer(value: Any) -> bool:
    """A Python int, bool not counted."""
    value = value.number if isinstance(value, Wrapped) else value
    return isinstance(value, int) and not isinstance(value, bool)


@primitive("Any -> Bool")
def is_float(value: Any) -> bool:
    """Whether an argument is a Python float."""
    value = value.number if isinstance(value, Wrapped) else value
    return isinstance(value, float)


@primitive("Strided -> Bool")
def is_empty(tensor: Any) -> bool:
    """No elements."""
    return 0 in tensor.shape


@primitive("Strided -> Bool")
def repeats(tensor: Any) -> bool:
    """A stride 0 where there is more than one element: the same memory seen again."""
    return any(stride == 0 and size > 1 for size, stride in zip(tensor.shape, tensor.stride, strict=True))


@primitive("*Operand -> Bool")
def any_requires_grad(*operands: Any) -> bool:
    """Whether a tensor among the operands, or in lists among them, requires a gradient."""
    for operand in operands:
        if type(operand) is TensorMeta:
            if operand.requires_grad:
                return True
        elif isinstance(operand, tuple) and any_requires_grad(*operand):
            return True
    return False


@primitive("Any -> Bool")
def is_complex_number(value: Any) -> bool:
    """Whether an argument is a Python complex number."""
    value = value.number if isinstance(value, Wrapped) else value
    return isinstance(value, complex)


@primitive("Tensors -> Bool")
def alike(tensors: Any) -> bool:
    """Whether tensors have one shape, one type and the same strides, dense ones (what fast paths of lists ask)."""
    present = [tensor for tensor in tensors if tensor is not None]
    facts = {(tensor.shape, tensor.stride, tensor.dtype) for tensor in present}
    return len(facts) <= 1


@primitive("Ints -> Bool")
def any_positive(numbers: Any) -> bool:
    """Whether one of the numbers is greater than 0."""
    return any(number > 0 for number in numbers)


@primitive("Ints -> Bool")
def any_negative(numbers: Any) -> bool:
    """Whether one of the numbers is less than 0."""
    return any(number < 0 for number in numbers)


@primitive("Tensors -> Bool")
def any_mask(tensors: Any) -> bool:
    """Whether there is a tensor of truth values, or of bytes, which count as such, among indices."""
    return any(tensor is not None and tensor.dtype in (torch.bool, torch.uint8) for tensor in tensors)
