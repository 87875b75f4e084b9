"""Arrays of numpy: the ways from tensors to arrays and back. Its functions are in numpy_calls.py."""

from __future__ import annotations

from typing import Any

import torch

from tracer.interpret.functions import interpret_function
from tracer.interpret.numpy_calls import array_of
from tracer.interpret.policy import lookaside, named_lookaside
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.trace import Trace
from tracer.reasons import DATA_TO_PYTHON, SKIPPED_FUNCTION, TENSOR_STORAGE
from tracer.values.base import numpy
from tracer.values.concrete import concrete
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.numpy_arrays import NumpyArray
from tracer.values.protocols.truth import truth
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue


@lookaside(torch.Tensor.numpy)
def _numpy(trace: Trace, tensor: Item, *, force: Item = False) -> Item:
    if not isinstance(tensor, TensorValue) or truth(trace, force):
        trace.stop(DATA_TO_PYTHON, "numpy")
    return array_of(trace, tensor)


@lookaside(torch.from_numpy)
def _from_numpy(trace: Trace, array: Item) -> Item:
    if not isinstance(array, NumpyArray) or array.is_number is not False:
        trace.stop(SKIPPED_FUNCTION, "torch.from_numpy")
    return _in_memory_of(trace, array)


@lookaside(torch.tensor)
def _tensor(trace: Trace, data: Item, **options: Item) -> Item:
    if not isinstance(data, NumpyArray):
        return tensor_op(trace, torch.tensor, (data,), options)
    return _converted(trace, tensor_op(trace, torch.clone, (data.tensor,)), options)


@lookaside(torch.as_tensor)
def _as_tensor(trace: Trace, data: Item, **options: Item) -> Item:
    if not isinstance(data, NumpyArray):
        return tensor_op(trace, torch.as_tensor, (data,), options)
    if data.has_no_dimensions and data.is_number is not False:
        trace.stop(SKIPPED_FUNCTION, "torch.as_tensor of a number of numpy")
    return _converted(trace, _in_memory_of(trace, data), options)


def tensor_of_array(trace: Trace, array: NumpyArray, dtype: torch.dtype) -> Item:
    """What a tensor class of `dtype` makes of an array: a tensor in its memory, or a copy in another dtype.

    A number of numpy without dimensions may be taken for a size.
    """
    if array.has_no_dimensions:
        trace.stop(SKIPPED_FUNCTION, "a tensor class of an array without dimensions")
    if array.tensor.meta.dtype is dtype:
        return _in_memory_of(trace, array)
    return tensor_op(trace, torch.Tensor.to, (array.tensor,), {"dtype": dtype})


def _in_memory_of(trace: Trace, array: NumpyArray) -> Item:
    """A tensor in the memory of an array. It counts its writes anew, as `data` does and `detach` does not.

    Its storage begins and ends with the array, which is another storage than that of the tensor that the array is a
    view of: no operator of a graph makes one.
    """
    if not _is_whole(array.tensor):
        trace.stop(TENSOR_STORAGE, "a tensor in the memory of a part of an array")
    return tensor_op(trace, getattr, (array.tensor, "data"))


def _is_whole(tensor: TensorValue) -> bool:
    """Whether a tensor has all of its storage."""
    meta, base = tensor.meta, tensor.base
    if tensor is not base and (meta.storage_offset != 0 or meta.element_count != base.meta.element_count):
        return False
    real = base.object
    return not isinstance(real, torch.Tensor) or real.untyped_storage().nbytes() == real.nbytes


@named_lookaside("torch._numpy._ndarray", "ndarray")
def _ndarray(trace: Trace, tensor: Item = None) -> Item:
    """The model of an array: nobody knows yet whether one without dimensions is a number."""
    if not isinstance(tensor, TensorValue):
        trace.stop(SKIPPED_FUNCTION, "numpy.ndarray")
    return NumpyArray(trace, tensor, None if not tensor.meta.shape else False)


@named_lookaside("torch._numpy._util", "_coerce_to_tensor")
def _coerce_to_tensor(trace: Trace, data: Item, *rest: Item, **options: Item) -> Item:
    """What `array` makes of its argument; of numbers with numpy's dtypes, for which it would set the default dtype."""
    from torch._numpy._util import _coerce_to_tensor as original  # only programs that use numpy need it

    if not isinstance(data, TensorValue):
        dtype = _dtype_of_numbers(trace, data)
        data = tensor_op(trace, torch.tensor, (data,), {"dtype": dtype})
    return interpret_function(trace, original, [data, *rest], options)


def _dtype_of_numbers(trace: Trace, data: Item) -> torch.dtype:
    """The dtype that numpy gives to numbers in nested lists."""
    try:
        return NUMPY_DTYPES[numpy.asarray(concrete(trace, data)).dtype.name]
    except (NotConcrete, KeyError, ValueError):
        trace.stop(SKIPPED_FUNCTION, "an array of objects that are no numbers")


NUMPY_DTYPES: dict[str, torch.dtype] = {
    "bool": torch.bool,
    "int64": torch.int64,
    "float64": torch.float64,
    "complex128": torch.complex128,
}


@named_lookaside("torch._numpy._dtypes_impl", "default_dtypes")
def _default_dtypes(trace: Trace) -> Item:
    """numpy's own dtypes, whatever torch.compile is told to use."""
    from torch._numpy._dtypes_impl import DefaultDTypes  # only programs that use numpy need it

    return TupleValue(DefaultDTypes, [torch.float64, torch.complex128, torch.int64])


def _converted(trace: Trace, tensor: Item, options: dict[str, Any]) -> Item:
    """A tensor as `dtype=` and `device=` ask for it."""
    choices = {name: option for name, option in options.items() if option is not None}
    if not choices:
        return tensor
    if not choices.keys() <= {"dtype", "device"}:
        trace.stop(SKIPPED_FUNCTION, "a tensor of an array with these options")
    return tensor_op(trace, torch.Tensor.to, (tensor,), choices)
