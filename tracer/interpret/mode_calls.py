"""Calls of operators while a TorchFunctionMode is entered: its `__torch_function__` is called, as torch calls it.

As with tensors of a subclass, torch's own code says which function, arguments and keywords that is given.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.tensor_overrides import Asked, AskingTensor, Probing
from tracer.interpret.trace import Trace
from tracer.reasons import TENSOR_SUBCLASS
from tracer.values.base import MISSING
from tracer.values.class_attributes import class_name
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.tuples import make_tuple

NO_KEYWORDS: Mapping[str, Item] = {}


class AskingMode(TorchFunctionMode):
    """A mode that stands for one of the trace in a call of torch's own code."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise Asked(func, args, kwargs, tuple(types))


@cache
def _asking_functions() -> frozenset[Any]:
    """Functions of C that ask modes, besides those that are operators to the call policy."""
    functions = (*torch.overrides.get_testing_overrides(), *_device_constructors(), torch._C._set_grad_enabled)
    return frozenset(function for function in functions if not isinstance(function, types.FunctionType))


def asks_modes(function: Any) -> bool:
    """Whether a callable with a lookaside is a function of C that asks modes."""
    return function in _asking_functions()


def tensor_op_in_modes(
    trace: Trace, target: Any, args: Sequence[Item], kwargs: Mapping[str, Item] = NO_KEYWORDS
) -> Item:
    """`tensor_op` for an operation that the program writes as an operator, an item or an attribute."""
    if trace.function_modes:
        function = getattr(torch.Tensor, target[1]) if isinstance(target, tuple) else target
        answer = ask_modes(trace, function, args, kwargs)
        if answer is not MISSING:
            return answer
    return tensor_op(trace, target, args, kwargs)


def ask_modes(trace: Trace, function: Any, args: Sequence[Item], kwargs: Mapping[str, Item] = NO_KEYWORDS) -> Item:
    """What the innermost mode makes of a call of a function of C; MISSING if that asks no mode."""
    probing = Probing(trace)
    refusal = "a mode is asked about arguments that only the trace knows"
    real_args, real_kwargs = probing.real_arguments(args, kwargs, refusal)
    try:
        with AskingMode():
            function(*real_args, **real_kwargs)
    except Asked as asked:
        if any(cls is AskingTensor for cls in asked.classes):
            trace.stop(TENSOR_SUBCLASS, "a mode is asked about a tensor of a subclass")
        return mode_answer(trace, asked.function, asked.classes, *probing.given(asked))
    except (TypeError, ValueError, RuntimeError, IndexError):  # which the call itself is going to raise
        trace.stop(TENSOR_SUBCLASS, "an operator that refuses its arguments in a mode")
    return MISSING


def mode_answer(
    trace: Trace, function: Any, classes: tuple[type, ...], args: Sequence[Item], kwargs: Mapping[str, Item] | None
) -> Item:
    """`__torch_function__(function, classes, args, kwargs)` of the innermost mode, in those around it."""
    entered = trace.function_modes
    mode = entered[-1]
    question: list[Item] = [function, classes, make_tuple(list(args))]
    if kwargs is not None:
        question.append(DictValue(dict, dict(kwargs)))
    trace.function_modes = entered[:-1]
    try:
        method = get_attribute(trace, mode.item, "__torch_function__")
        result = trace.machine.call(trace, method, question)
    finally:
        trace.function_modes = entered
    if result is NotImplemented:
        trace.stop(TENSOR_SUBCLASS, f"{class_name(mode.item)} does not implement an operator")
    return result


def outside_modes(trace: Trace, compute: Callable[[], Item]) -> Item:
    """What is computed as if no mode were entered."""
    entered, trace.function_modes = trace.function_modes, ()
    try:
        return compute()
    finally:
        trace.function_modes = entered
