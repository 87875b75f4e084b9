"""Attention written out by hand, as models write it, to `scaled_dot_product_attention`.

The spellings are every combination of how the scores are made, scaled and masked, and how the softmax is
taken. A mask that is filled in becomes one that is added. Torch's operator gives zeros for a row whose every score is
minus infinity, where the spelled out softmax gives NaN, and knows nothing of scores that a filled mask took the place
of. So rows that are masked whole are given queries that lead to the same: NaN, or zeros, whose scores are all alike.
Its backward computes the weights again from the logarithm of their sum, in which a row that is masked whole by large
numbers has lost them; so a mask that is added and may do that is left alone where gradients are needed.
It also gives zeros for a query that is NaN, so NaN and infinities of queries, all of which give NaN, are added to the
result. One difference is left: a row whose every score is minus infinity because every key holds an infinity.

A mask that is filled in also hides keys that are NaN or infinite, which an added one does not, and stops gradients. So
those spellings are rules of their own, for inference with finite numbers.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from passes.rewrite.inputs import tensor
from passes.rewrite.match import Match
from passes.rewrite.rule import RewriteRule

# Each step takes what came before and the step's own parameters.
PRODUCTS: Final[dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]]] = {
    "matmul": (lambda q, k: torch.matmul(q, k.transpose(-2, -1)), torch.matmul),
    "einsum": (
        lambda q, k: torch.einsum("bhid,bhjd->bhij", q, k),
        lambda weights, v: torch.einsum("bhij,bhjd->bhid", weights, v),
    ),
}
ABSORBING: Final = -1e9
"""From here down, a score has no weight beside one that is not masked, whatever it was."""
MODERATE: Final = 100.0
"""How much a mask may take from the largest score of a row, so that the logarithm of the sum has its digits."""
ABSORBED: Final = 1e9
"""Scores up to this are lost in the rounding when they are added to a value with a larger last digit."""
SCALINGS: Final = ("scores", "query", "none")
MASKS: Final[dict[str, Callable[..., Tensor]]] = {
    "added": lambda scores, mask: scores + mask,
    "filled": lambda scores, hidden, value: scores.masked_fill(hidden, value),
    "chosen": lambda scores, shown, value: torch.where(shown, scores, value),
    "added and filled": lambda scores, mask, hidden, value: (scores + mask).masked_fill(hidden, value),
    "none": lambda scores: scores,
}
SOFTMAXES: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "plain": lambda scores, v: scores.softmax(-1),
    "in float": lambda scores, v: scores.softmax(-1, dtype=torch.float32),
    "in float and back": lambda scores, v: scores.softmax(-1, dtype=torch.float32).to(torch.bfloat16),
}


def _by_hand(products: str, scaling: str, mask: str, softmax: str) -> Callable[..., Tensor]:
    """One way to write attention: a function of q, k, v, what its mask takes, and `scale` if it has one."""
    scores_of, result_of = PRODUCTS[products]
    masked, normalised = MASKS[mask], SOFTMAXES[softmax]
    mask_names = list(inspect.signature(masked).parameters)[1:]
    names = ["q", "k", "v", *mask_names, *(["scale"] if scaling != "none" else [])]

    def attention(*args: Any, **named: Any) -> Tensor:
        q, k, v, *rest = [*args, *(named[name] for name in names[len(args) :])]
        if scaling == "query":
            q = q * rest[-1]
        scores = scores_of(q, k)
        if scaling == "scores":
            scores = scores * rest[-1]
        return result_of(normalised(masked(scores, *rest[: len(mask_names)]), v), v)

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    attention.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    attention.__name__ = f"attention_{products}_{scaling}_{mask}_{softmax}".replace(" ", "_")
    return attention


def fused_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float = 1.0,
    mask: Tensor | None = None,
    hidden: Tensor | None = None,
    shown: Tensor | None = None,
    value: float = 0.0,
) -> Tensor:
    """The replacement: torch's fused attention with the mask that the spelling computes."""
    if shown is not None:
        hidden = ~shown
    if hidden is None:
        q = q if mask is None else _failing(q, mask)
    elif mask is None:
        whole = hidden.all(-1, keepdim=True)
        q = q.masked_fill(whole, math.nan if value == -math.inf else 0.0)
        mask = torch.zeros(hidden.shape, dtype=q.dtype, device=q.device).masked_fill(hidden & ~whole, value)
    else:
        mask = torch.where(hidden, value, mask)
        q = _failing(q, mask)
    if q.dim() == 4:
        result = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    else:
        result = functional.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask, scale=scale)[0]
    if hidden is not None and value != -math.inf:
        return result
    # Not the infinity norm, which takes half the time of the attention itself.
    return result + 0 * q.detach().abs().amax(-1, keepdim=True)


def _failing(q: Tensor, mask: Tensor) -> Tensor:
    """The queries, NaN where a mask is minus infinity throughout: added, so that gradients are NaN as well."""
    whole = mask.amax(-1, keepdim=True) == -math.inf
    return q + torch.zeros(whole.shape, dtype=q.dtype, device=q.device).masked_fill(whole, math.nan)


def _fusible(match: Match) -> str:
    q, k, v, result = match.meta("q"), match.meta("k"), match.meta("v"), match.result
    assert q is not None and k is not None and v is not None and result is not None
    if not q.rank == k.rank == v.rank or q.rank not in (3, 4):
        return f"of {q.name}, {k.name} and {v.name}"
    if not q.dtype == k.dtype == v.dtype == result.dtype:
        return f"{q.name}, {k.name} and {v.name} give {result.name}"
    if q.shape[:-2] != k.shape[:-2] or k.shape[:-1] != v.shape[:-1]:
        return f"{q.name}, {k.name} and {v.name} are broadcast"
    if any(type(size) is int and size == 0 for meta in (q, k, v) for size in meta.shape):
        return "torch's fused attention writes beyond the memory of empty tensors"
    scores = (*q.shape[:-1], k.shape[-2])
    for name in ("mask", "hidden", "shown"):
        meta = match.meta(name)
        if meta is None:
            continue
        if name == "mask" and meta.dtype != q.dtype:
            return f"the mask is {meta.name}"
        wide = (1,) * (len(scores) - meta.rank) + tuple(meta.shape)
        if len(wide) != len(scores) or any(size not in (1, whole) for size, whole in zip(wide, scores, strict=True)):
            return f"the mask is {meta.name} for scores of {list(scores)}"
    scale, value = match.constants.get("scale", 1.0), match.constants.get("value", 0.0)
    if not isinstance(scale, int | float) or not isinstance(value, int | float):
        return "the scale is no number"
    if "value" in match.constants:
        return _unlike_added(match, value, q.dtype)
    return _unlike_backward(match) if "mask" in match.inputs and result.requires_grad else ""


def _unlike_backward(match: Match) -> str:
    """Why gradients may differ where a mask is added; "" where a constant mask leaves a score in each row as it is."""
    meta, mask = match.meta("mask"), match.tensor("mask")
    assert meta is not None
    if mask is None:
        return "a row that is masked whole may have other gradients"
    whole = mask.numel() and not (mask.amax(-1) >= -MODERATE).all()
    return "a row that is masked whole has other gradients" if whole else ""


def _unlike_added(match: Match, value: float, dtype: torch.dtype) -> str:
    """Why filling a value in is not what adding it is; "" where it is, for rows that are not masked whole."""
    if not value <= ABSORBING:
        return f"a row that is masked in part is not the same with {value} added"
    if "mask" in match.inputs and (value == -math.inf or abs(value) * torch.finfo(dtype).eps < ABSORBED):
        return f"a row that is masked whole is not the same with {value} added"
    return ""


EXAMPLE: Final = {
    "q": tensor(2, 2, 5, 8),
    "k": tensor(2, 2, 6, 8),
    "v": tensor(2, 2, 6, 8),
    "mask": tensor(5, 6),
    "hidden": tensor(5, 6, dtype=torch.bool),
    "shown": tensor(5, 6, dtype=torch.bool),
    "scale": 0.4375,
    "value": -3.0e38,
}
DTYPES: Final[dict[str, tuple[torch.dtype, ...]]] = {
    "plain": (torch.float32, torch.float64, torch.bfloat16),
    "in float": (torch.float32,),
    "in float and back": (torch.bfloat16,),
}
"""What each way to take the softmax is met with."""


def _rule(name: str, masks: tuple[str, ...], softmax: str, **details: Any) -> RewriteRule:
    spellings = itertools.product(PRODUCTS, SCALINGS, masks, (softmax,))
    functions = tuple(itertools.starmap(_by_hand, spellings))
    return RewriteRule(
        f"{name}, softmax {softmax}", functions, fused_attention, EXAMPLE, _fusible, DTYPES[softmax], **details
    )


ATTENTION: Final = tuple(_rule("attention", ("added", "none"), softmax) for softmax in SOFTMAXES)
FILLED: Final = ("filled", "chosen", "added and filled")
FILLED_NAME: Final = "attention with a filled mask"
FINITE: Final = ("q", "k", "v", "mask")
FILLED_ATTENTION: Final = tuple(
    _rule(FILLED_NAME, FILLED, softmax, gradients=False, finite=FINITE) for softmax in SOFTMAXES
)
