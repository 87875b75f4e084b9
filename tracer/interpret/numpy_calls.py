"""Calls of numpy's functions: run by numpy on numbers; on arrays, torch._numpy's functions are interpreted.

What torch._numpy does not have, or refuses, breaks the graph, so that numpy itself does it.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch

from tracer.interpret.actions import compute
from tracer.interpret.constant_data import constant_data
from tracer.interpret.constants import describe, note_recipes
from tracer.interpret.functions import interpret_function
from tracer.interpret.trace import Trace
from tracer.reasons import SKIPPED_FUNCTION
from tracer.values.base import LITERALS, NUMPY_SCALARS, Value, class_of, numpy, realise
from tracer.values.concrete import concrete
from tracer.values.host import host_numpy
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.lists import ListValue
from tracer.values.numpy_arrays import TENSOR, NumpyArray, array_model
from tracer.values.objects import ObjectValue
from tracer.values.raising import Raised
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue

Args = Sequence[Item]
Kwargs = Mapping[str, Item]

MODEL: Final = "torch._numpy"
"""The package that models numpy."""

FROM_TENSORS: Final = frozenset({"array", "asarray"})
"""Functions that make an array of a tensor; others give a tensor if they are given one."""

GIVES_NUMBERS: Final = frozenset(
    {"sum", "prod", "mean", "std", "var", "max", "min", "amax", "amin", "argmax", "argmin", "all", "any", "ptp"}
    | {"median", "trace", "dot", "norm", "det", "__getitem__", "item"}
)
"""Functions and methods, ufuncs apart, that give a number where the result has no dimensions."""

MAKES_ARRAYS: Final = frozenset({"array", "asarray", "zeros", "ones", "empty", "full"})
"""Functions that give an array even where the result has no dimensions."""

SINGLE: Final = frozenset({torch.float32, torch.float16, torch.complex64})
"""Dtypes that numpy computes in only if it is given one of them."""

COMBINES: Final = frozenset(
    {"outer", "dot", "inner", "vdot", "kron", "tensordot", "einsum", "convolve", "correlate", "cross", "where"}
    | {"concatenate", "stack", "vstack", "hstack", "dstack", "column_stack", "row_stack", "append", "select", "choose"}
)
"""Functions, ufuncs apart, that make one array of several, of whose dtypes torch makes another than numpy."""

GIVES_VIEWS: Final = frozenset(
    {"__getitem__", "transpose", "reshape", "ravel", "squeeze", "expand_dims", "swapaxes", "moveaxis", "rollaxis"}
    | {"asarray", "ascontiguousarray", "view", "T", "real", "atleast_1d", "atleast_2d", "atleast_3d"}
    | {"split", "array_split", "hsplit", "vsplit", "dsplit"}
)
"""Functions, methods and attributes that give views of their argument, or the argument itself, where they can."""

NOT_MODELLED: Final = frozenset(
    {"dtype", "strides", "data", "flags", "__str__", "__repr__", "__array__", "__hash__"}
    | {"median", "percentile", "quantile"}
)
"""Functions, attributes and methods of an array that torch._numpy answers in another way than numpy."""


def is_of_model(function: Any) -> bool:
    """Whether a Python function belongs to torch._numpy."""
    module = function.__module__
    return isinstance(module, str) and (module == MODEL or module.startswith(f"{MODEL}."))


@functools.cache
def models() -> dict[Any, Any]:
    """The functions of numpy that torch._numpy has, and its own for each."""
    import torch._numpy as model  # only programs that use numpy need it

    pairs: tuple[tuple[Any, Any], ...] = (
        (numpy, model),
        (numpy.linalg, model.linalg),
        (numpy.fft, model.fft),
    )
    return {
        getattr(real, name): function
        for real, modelled in pairs
        for name, function in vars(modelled).items()
        if isinstance(function, types.FunctionType)
        and is_of_model(function)
        and not name.startswith("_")
        and not isinstance(getattr(real, name, None), type(None) | type)
    }


def is_modelled(function: types.FunctionType) -> bool:
    """Whether a Python function is one of numpy's that torch._numpy has."""
    return str(function.__module__).partition(".")[0] == "numpy" and function in models()


def call_numpy(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """numpy computes with numbers as constants; with arrays torch._numpy does, in the graph."""
    if not isinstance(function, types.BuiltinFunctionType | types.FunctionType):
        try:
            real_args = [concrete(trace, arg) for arg in args]
            real_kwargs = {name: concrete(trace, arg) for name, arg in kwargs.items()}
            result = host_numpy(trace, function, *real_args, **real_kwargs)
            if type(result) in LITERALS or isinstance(result, NUMPY_SCALARS):
                note_recipes(trace, result, function, real_args, real_kwargs)
                return result
        except NotConcrete:
            pass
    modelled = models().get(function)
    if modelled is None:
        trace.stop(SKIPPED_FUNCTION, describe(function))
    return call_model(trace, modelled, args, kwargs)


def call_method_of_array(trace: Trace, method: types.MethodDescriptorType, args: Args, kwargs: Kwargs) -> Item:
    """A method of an array: that of torch._numpy's."""
    modelled = getattr(array_model(), method.__name__, None)
    if not isinstance(args[0], NumpyArray) or not isinstance(modelled, types.FunctionType):
        trace.stop(SKIPPED_FUNCTION, describe(method))
    return call_model(trace, modelled, args, kwargs)


def call_method_of_number(trace: Trace, method: types.MethodDescriptorType, args: Args, kwargs: Kwargs) -> Item:
    """A method of a number of numpy: one that is computed in the graph is an array to torch._numpy."""
    if args and isinstance(realise(trace, args[0]), NumpyArray):
        return call_method_of_array(trace, method, args, kwargs)
    return compute(trace, method, args, kwargs)


def runs_model(trace: Trace) -> bool:
    """Whether a function of torch._numpy runs now."""
    frame: Any = trace.frame
    return str(frame.globals.get("__name__", "")).startswith(MODEL)


def call_model(trace: Trace, function: types.FunctionType, args: Args, kwargs: Kwargs) -> Item:
    """A function of torch._numpy, called by the program in the name of one of numpy, or by another of torch._numpy."""
    if runs_model(trace):
        return interpret_function(trace, function, args, kwargs)
    name = function.__name__
    if name in NOT_MODELLED:
        trace.stop(SKIPPED_FUNCTION, f"numpy.ndarray.{name}")
    arguments = [_argument(trace, arg, name) for arg in args]
    function = _without_write(trace, function, arguments)
    _refuse_steps_back(trace, name, arguments)
    named = {key: _argument(trace, arg, name) for key, arg in kwargs.items()}
    try:
        result = interpret_function(trace, function, arguments, named)
    except Raised as raised:
        trace.stop(SKIPPED_FUNCTION, f"numpy.{name}: {raised.value.cls.__name__}")
    if not any(part is Ellipsis for part in arguments):
        _note_numbers(trace, result, name)
    _check_precision(trace, result, [*arguments, *named.values()], name)
    is_number = isinstance(result, NumpyArray) and result.is_number
    if is_number and (data := constant_data(trace, result.tensor)) is not None:
        return data.numpy()[()]
    if is_number or (name not in GIVES_VIEWS and not name.startswith("__i")):
        _copy_views(trace, result, arguments)
    return result


def _check_precision(trace: Trace, result: Item, arguments: Args, name: str) -> None:
    """A break where numpy computes in another dtype: in float64 with integers, or with arrays of several dtypes."""
    parts = list(arguments)
    for argument in arguments:
        parts += argument.all(trace) if isinstance(argument, (ListValue, TupleValue)) else ()
    dtypes = [part.tensor.meta.dtype if isinstance(part, NumpyArray) else part for part in parts]
    is_single = isinstance(result, NumpyArray) and result.tensor.meta.dtype in SINGLE
    plain_lists = [part for part in parts if _is_list_of_numbers(trace, part)]
    mixed = {dtype for dtype in dtypes if isinstance(dtype, torch.dtype) and dtype is not torch.bool}
    if name in COMBINES and len(mixed) + len(plain_lists) > 1:
        trace.stop(SKIPPED_FUNCTION, f"numpy.{name} of arrays of several dtypes")
    if is_single and not any(type(dtype) is str or dtype in SINGLE for dtype in dtypes if not isinstance(dtype, Value)):
        trace.stop(SKIPPED_FUNCTION, f"numpy.{name} of integers")


def _is_list_of_numbers(trace: Trace, item: Item) -> bool:
    """Whether an argument is an array written as a list."""
    if isinstance(item, (ListValue, TupleValue)):
        return not any(isinstance(part, NumpyArray) for part in item.all(trace))
    return type(item) is tuple


def _copy_views(trace: Trace, result: Item, arguments: Args) -> None:
    """Copy the memory of a new array where numpy would give no view of an argument."""
    bases = {id(part.tensor.base) for part in arguments if isinstance(part, NumpyArray)}
    is_new = isinstance(result, NumpyArray) and not any(result is part for part in arguments)
    if is_new and id(result.tensor.base) in bases:
        result.attributes[TENSOR] = trace.machine.tensor_op(trace, torch.clone, (result.tensor,))


def _refuse_steps_back(trace: Trace, name: str, arguments: Args) -> None:
    """A break at slices with negative steps, of which no tensor is a view."""
    if name not in ("__getitem__", "__setitem__"):
        return
    index = arguments[1]
    for part in (
        index.all(trace) if isinstance(index, (ListValue, TupleValue)) else index if type(index) is tuple else (index,)
    ):
        part = realise(trace, part)
        if class_of(part) is slice:
            step = realise(trace, trace.machine.call(trace, getattr, [part, "step"]))
            if step is not None and not (type(step) is int and step > 0):
                trace.stop(SKIPPED_FUNCTION, "an array is sliced backwards")


def _without_write(trace: Trace, function: types.FunctionType, args: Args) -> types.FunctionType:
    """`__add__` for the `__iadd__` of a number of numpy, which does not change."""
    target, name = args[0] if args else None, function.__name__
    is_write = name.startswith("__i") and name not in ("__iter__", "__invert__", "__index__", "__int__")
    if not (is_write and isinstance(target, NumpyArray) and target.has_no_dimensions):
        return function
    if target.is_number is None:
        trace.stop(SKIPPED_FUNCTION, f"numpy.ndarray.{name} of an array without dimensions or a number")
    return getattr(array_model(), f"__{name[3:]}") if target.is_number else function


def _argument(trace: Trace, item: Item, name: str) -> Item:
    """An argument as torch._numpy takes it: dtypes as those of torch, numbers of numpy as arrays."""
    item = realise(trace, item)
    if isinstance(item, TensorValue):
        if name not in FROM_TENSORS:
            trace.stop(SKIPPED_FUNCTION, f"numpy.{name} of a tensor")
        return array_of(trace, item)
    if isinstance(item, (ListValue, TupleValue)):
        if any(isinstance(realise(trace, part), TensorValue) for part in item.all(trace)):
            trace.stop(SKIPPED_FUNCTION, f"numpy.{name} of tensors")
        return item
    real: Any = item.object if isinstance(item, ObjectValue) and not isinstance(item, NumpyArray) else item
    if isinstance(real, numpy.dtype) or (isinstance(real, type) and issubclass(real, numpy.generic)):
        return _torch_dtype(trace, real)
    if isinstance(real, numpy.generic):
        tensor = trace.machine.call(trace, torch.tensor, [real.item()], {"dtype": _torch_dtype(trace, real.dtype)})
        return NumpyArray(trace, tensor, is_number=True)
    return item


def _torch_dtype(trace: Trace, real: Any) -> torch.dtype:
    dtype = getattr(torch, numpy.dtype(real).name, None)
    if not isinstance(dtype, torch.dtype):
        trace.stop(SKIPPED_FUNCTION, f"an array of {real}")
    return dtype


def array_of(trace: Trace, tensor: TensorValue) -> NumpyArray:
    """What `tensor.numpy()` gives: an array of the same memory. A break where numpy cannot have it."""
    tensor.touch(trace)
    meta = tensor.meta
    is_plain = meta.device.type == "cpu" and not (meta.is_conj or meta.is_neg or meta.dtype is torch.bfloat16)
    if meta.requires_grad or not is_plain:
        trace.stop(SKIPPED_FUNCTION, "an array of a tensor that numpy cannot take")
    return NumpyArray(trace, trace.machine.tensor_op(trace, torch.Tensor.detach, (tensor,)))


def _note_numbers(trace: Trace, result: Item, name: str) -> None:
    """Note of results without dimensions whether they are numbers."""
    is_number = name in GIVES_NUMBERS or name.startswith("__") or isinstance(getattr(numpy, name, None), numpy.ufunc)
    parts = result.all(trace) if isinstance(result, (ListValue, TupleValue)) else [result]
    for part in parts:
        if isinstance(part, NumpyArray) and part.is_number is None and (is_number or name in MAKES_ARRAYS):
            part.is_number = is_number
