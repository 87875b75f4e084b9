"""Facts: calls whose result follows from argument metadata alone.

They read a tensor's metadata (`x.size(0)`, `torch.numel(x)`), or make a tensor of numbers (`torch.tensor([1, 2])`).
Nothing is run here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import torch

from passes.meta import CPU, TensorMeta
from passes.operators.modes import Modes, sets_modes
from passes.operators.outcome import Arguments, Keywords, ListArg, Target, leaves

Answer = Callable[[TensorMeta], Any]

KINDS: Final = {bool: 0, int: 1, float: 2}
UNSIGNED: Final = (torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64)

# By the name of the method.
ANSWERS: Final[dict[str, Answer]] = {
    "size": lambda meta: torch.Size(meta.shape),  # pyright: ignore[reportArgumentType]
    "stride": lambda meta: meta.stride,
    "dim": lambda meta: len(meta.shape),
    "ndimension": lambda meta: len(meta.shape),
    "numel": lambda meta: math.prod(meta.shape),
    "nelement": lambda meta: math.prod(meta.shape),
    "storage_offset": lambda meta: meta.storage_offset,
    "element_size": lambda meta: meta.dtype.itemsize,
    "is_floating_point": lambda meta: meta.dtype.is_floating_point,
    "is_complex": lambda meta: meta.dtype.is_complex,
    "is_signed": lambda meta: meta.dtype not in UNSIGNED,
    "is_conj": lambda meta: meta.is_conj,
    "is_neg": lambda meta: meta.is_neg,
    "is_inference": lambda meta: meta.is_inference,
}
INDEXED: Final = {"size": lambda meta: meta.shape, "stride": lambda meta: meta.stride}  # with a dimension
FUNCTIONS: Final[dict[Any, str]] = {
    torch.numel: "numel",
    torch.is_floating_point: "is_floating_point",
    torch.is_complex: "is_complex",
    torch.is_conj: "is_conj",
    torch.is_neg: "is_neg",
    torch.is_inference: "is_inference",
    **{getattr(torch.Tensor, name): name for name in ANSWERS if name != "stride"},
}


def may_be_fact(target: Target) -> bool:
    """Whether some calls are answered here."""
    if type(target) is tuple:
        return target[0] == "method" and target[1] in ANSWERS
    if sets_modes(target):
        return True
    return target is torch.tensor or target in FUNCTIONS


def tensor_of_numbers(target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> TensorMeta | None:
    """What `torch.tensor` makes of nested lists of numbers; None for other calls, and for what it may refuse."""
    keywords = dict(kwargs)
    if target is not torch.tensor or len(args) != 1 or not keywords.keys() <= {"dtype", "device", "requires_grad"}:
        return None
    shape = _shape_of(args[0])
    device = keywords.get("device")
    if shape is None or device not in (None, CPU.type, CPU):
        return None
    dtype = keywords.get("dtype")
    if dtype is None:
        kind = max((KINDS[type(number)] for number in leaves((args[0],))), default=2)
        dtype = (torch.bool, torch.int64, modes.default_dtype)[kind]
    grad = bool(keywords.get("requires_grad"))
    if grad and not dtype.is_floating_point:
        return None
    strides = [math.prod(max(size, 1) for size in shape[dim + 1 :]) for dim in range(len(shape))]
    return TensorMeta(shape, tuple(strides), dtype, requires_grad=grad, is_inference=modes.inference)


def _shape_of(data: Any) -> tuple[int, ...] | None:
    """The sizes of nested sequences of numbers, all alike; None if they are not."""
    if type(data) in KINDS:
        return ()
    if type(data) not in (tuple, ListArg):
        return None
    inner = {_shape_of(part) for part in data}
    if len(inner) > 1 or None in inner:
        return None
    return (len(data), *(inner.pop() if inner else ()))  # type: ignore[misc]


def fact(target: Target, args: Arguments) -> tuple[Any] | None:
    """What a call tells of a strided tensor, or returns that sets a mode, in a tuple of one; None for other calls."""
    if type(target) is not tuple and sets_modes(target):
        return (None,)
    if not args or type(args[0]) is not TensorMeta or args[0].stride is None:
        return None
    name = target[1] if type(target) is tuple and target[0] == "method" else FUNCTIONS.get(target)
    if name is None or name not in ANSWERS:
        return None
    answer = ANSWERS[name]
    if len(args) == 1:
        return (answer(args[0]),)
    sizes = INDEXED[name](args[0]) if name in INDEXED else ()
    if len(args) == 2 and type(args[1]) is int and -len(sizes) <= args[1] < len(sizes):
        return (sizes[args[1]],)
    return None
