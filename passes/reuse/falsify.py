"""A variant tried on data: whether it gives what the plain call gives, bit for bit, in the memory it was given.

What schemas and dispatch cannot show shows here: an `out=` that resizes on its way, reads what it has written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import torch

from passes.meta import CPU, TensorMeta
from passes.operators.modes import entered
from passes.operators.outcome import OPERATOR_ERRORS
from passes.operators.stand_ins import REAL
from passes.operators.trial import materialise, random_numbers_put_back
from passes.reuse.calls import GraphCall, byte_count, concrete

LIMIT: Final = 1 << 25  # bytes of all tensors of a call that is tried
FILLS: Final[tuple[Callable[[torch.Tensor], torch.Tensor], ...]] = (torch.Tensor.uniform_, torch.Tensor.normal_)


def agree(plain: GraphCall, variant: GraphCall, written: int, order: list[int]) -> bool | None:
    """Whether two calls give equal bits on random data, the second in its tensor argument number `written`.

    `order` says which tensor of the first call each of the second is; those beyond are memory to write to.
    None when nothing can be found out: too large, not on the CPU, or the plain call raises on such data.
    """
    metas = [concrete(meta) for meta in variant.metas]
    if any(meta.device != CPU or meta.stride is None for meta in metas) or sum(map(byte_count, metas)) > LIMIT:
        return None
    verdicts = [_agree(plain, variant, written, order, fill) for fill in FILLS]
    certain = [verdict for verdict in verdicts if verdict is not None]
    return all(certain) if certain else None


def _agree(plain: GraphCall, variant: GraphCall, written: int, order: list[int], fill: Any) -> bool | None:
    with random_numbers_put_back():
        data = [_filled(concrete(meta), fill) for meta in plain.metas]
        metas = enumerate(variant.metas)
        inputs = [_copy(data[i]) if (i := order[n]) < len(data) else _filled(concrete(meta), fill) for n, meta in metas]
    with random_numbers_put_back(), entered(plain.modes):
        try:
            expected = _run(plain, iter(map(_copy, data)))
        except OPERATOR_ERRORS:
            return None
    target = inputs[written]
    place = target.data_ptr()
    with random_numbers_put_back(), entered(plain.modes):
        try:
            outcome = _run(variant, iter(inputs))
        except OPERATOR_ERRORS:
            return False
    return outcome is target and outcome.data_ptr() == place and _same_bits(expected.detach(), outcome.detach())


def _run(call: GraphCall, tensors: Iterator[Any]) -> Any:
    def tensor(meta: TensorMeta) -> Any:
        return next(tensors)

    args = [materialise(concrete(argument), tensor) for argument in call.args]
    kwargs = {name: materialise(concrete(argument), tensor) for name, argument in call.kwargs}
    if type(call.target) is tuple:
        return getattr(args[0], call.target[1])(*args[1:], **kwargs)
    return call.target(*args, **kwargs)


def _filled(meta: TensorMeta, fill: Any) -> torch.Tensor:
    """A tensor like `meta` with random numbers; integers and masks, which may be indices, stay zero."""
    tensor = REAL.make(meta)
    if meta.dtype.is_floating_point:
        with torch.no_grad(), torch.inference_mode(meta.is_inference):
            fill(torch.empty(0, dtype=meta.dtype).set_(tensor.untyped_storage()))  # type: ignore[call-overload]
    return tensor


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor with the same data in memory of its own. Autograd has no part in the data."""
    storage = tensor.untyped_storage().clone()
    copied = torch.empty(0, dtype=tensor.dtype)
    copied.set_(storage, tensor.storage_offset(), tensor.shape, tensor.stride())  # type: ignore[call-overload]
    return copied


def _same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    same = (left == right) | ((left != left) & (right != right))
    return left.shape == right.shape and left.stride() == right.stride() and bool(same.all())
