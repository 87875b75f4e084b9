"""Attention written out by hand, as models write it, to `scaled_dot_product_attention`.

The spellings are every combination of how the scores are made, scaled and masked, and how the softmax is
taken. A mask that is filled in becomes one that is added. One difference is left: a row whose every score is
masked with minus infinity gives NaN by hand, and zeros fused. Where masks are filled in, such rows would get
other gradients too, so those spellings are for inference only.
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

from passes.rewrite.match import Match
from passes.rewrite.rule import RewriteRule
from passes.rewrite.verify import tensor

# Each step takes what came before and the step's own parameters.
PRODUCTS: Final[dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]]] = {
    "matmul": (lambda q, k: torch.matmul(q, k.transpose(-2, -1)), torch.matmul),
    "einsum": (
        lambda q, k: torch.einsum("bhid,bhjd->bhij", q, k),
        lambda weights, v: torch.einsum("bhij,bhjd->bhid", weights, v),
    ),
}
ABSORBING: Final = -1e9  # beside it, scores are lost: it makes no difference whether it is added or put in their place
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
    if hidden is not None and mask is not None:
        mask = torch.where(hidden, value, mask)
    elif hidden is not None:
        mask = torch.zeros(hidden.shape, dtype=q.dtype, device=q.device).masked_fill(hidden, value)
    if shown is not None:
        mask = torch.full(shown.shape, value, dtype=q.dtype, device=q.device).masked_fill(shown, 0.0)
    if q.dim() == 4:
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    return functional.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask, scale=scale)[0]


def _fusible(match: Match) -> str:
    q, k, v, result = match.meta("q"), match.meta("k"), match.meta("v"), match.result
    assert q is not None and k is not None and v is not None and result is not None
    if not q.rank == k.rank == v.rank or q.rank not in (3, 4):
        return f"of {q.name}, {k.name} and {v.name}"
    if not q.dtype == k.dtype == v.dtype == result.dtype:
        return f"{q.name}, {k.name} and {v.name} give {result.name}"
    if q.shape[:-2] != k.shape[:-2] or k.shape[:-1] != v.shape[:-1]:
        return f"{q.name}, {k.name} and {v.name} are broadcast"
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
    # By hand, a row filled with -inf throughout gives NaN; torch's fused attention gives zeros.
    filled = "value" in match.constants and (value > ABSORBING or value == -math.inf)
    return f"a row that is masked whole is not the same with {value} added" if filled else ""


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


def _rule(name: str, masks: tuple[str, ...], softmax: str, gradients: bool) -> RewriteRule:
    spellings = itertools.product(PRODUCTS, SCALINGS, masks, (softmax,))
    functions = tuple(itertools.starmap(_by_hand, spellings))
    return RewriteRule(name, functions, fused_attention, EXAMPLE, _fusible, DTYPES[softmax], gradients=gradients)


ATTENTION: Final = tuple(
    rule
    for softmax in SOFTMAXES
    for rule in (
        _rule(f"attention, softmax {softmax}", ("added", "none"), softmax, True),
        _rule(
            f"attention with a filled mask, softmax {softmax}", ("filled", "chosen", "added and filled"), softmax, False
        ),
    )
)
