"""Grouped-query attention with keys and values repeated for each query head, to torch's operator, which repeats none.

The spellings are every combination of how heads are repeated and of whether there is a mask.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

from torch import Tensor
from torch.nn import functional

from passes.rewrite.inputs import tensor
from passes.rewrite.match import Match
from passes.rewrite.rule import RewriteRule

# Each takes keys or values, the sizes with the repetitions as a dimension of their own, and those with it merged.
EXPANDED: Final[dict[str, Callable[..., Tensor]]] = {
    "indexed": lambda x, repeated, merged: x[:, :, None].expand(repeated).reshape(merged),
    "sliced": lambda x, repeated, merged: x[:, :, None, :, :].expand(repeated).reshape(merged),
    "unsqueezed": lambda x, repeated, merged: x.unsqueeze(2).expand(repeated).reshape(merged),
}


def _expanded(repetition: str, masked: bool) -> Callable[..., Tensor]:
    """Attention with heads repeated by one of the ways of EXPANDED."""
    repeat = EXPANDED[repetition]

    def without(q: Tensor, k: Tensor, v: Tensor, repeated: Any, merged: Any, causal: Any, scale: Any) -> Tensor:
        keys, values = repeat(k, repeated, merged), repeat(v, repeated, merged)
        return functional.scaled_dot_product_attention(q, keys, values, is_causal=causal, scale=scale)

    def within(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, repeated: Any, merged: Any, scale: Any) -> Tensor:
        keys, values = repeat(k, repeated, merged), repeat(v, repeated, merged)
        return functional.scaled_dot_product_attention(q, keys, values, attn_mask=mask, scale=scale)

    attention = within if masked else without
    attention.__name__ = f"attention_of_{repetition}_heads" + "_with_a_mask" * masked
    return attention


def attention_of_interleaved_heads(q: Tensor, k: Tensor, v: Tensor, count: Any, causal: Any, scale: Any) -> Tensor:
    """Attention with heads repeated by `repeat_interleave`."""
    keys, values = k.repeat_interleave(count, 1), v.repeat_interleave(count, 1)
    return functional.scaled_dot_product_attention(q, keys, values, is_causal=causal, scale=scale)


def attention_of_interleaved_heads_with_a_mask(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor, count: Any, scale: Any
) -> Tensor:
    """Attention with heads repeated by `repeat_interleave`, and a mask."""
    keys, values = k.repeat_interleave(count, 1), v.repeat_interleave(count, 1)
    return functional.scaled_dot_product_attention(q, keys, values, attn_mask=mask, scale=scale)


def grouped_attention(
    q: Tensor, k: Tensor, v: Tensor, scale: float | None, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """The replacement: torch's operator, told that several query heads share each head of keys and values."""
    return functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=True
    )


def _grouped(match: Match) -> str:
    q, k, v, result = match.meta("q"), match.meta("k"), match.meta("v"), match.result
    assert q is not None and k is not None and v is not None and result is not None
    if not q.rank == k.rank == v.rank == 4 or k.shape != v.shape or q.symbolic or k.symbolic:
        return f"of {q.name}, {k.name} and {v.name}"
    batch, heads, length, width = (int(size) for size in k.shape)
    if 0 in (*q.shape, *k.shape) or q.shape[0] != batch or int(q.shape[1]) % heads:
        return f"of {q.name} and {k.name}"
    count = int(q.shape[1]) // heads
    expected: dict[str, Any] = {
        "repeated": (batch, heads, count, length, width),
        "merged": (batch, q.shape[1], length, width),
        "count": count,
    }
    for name, wanted in expected.items():
        actual = match.constants.get(name, wanted)
        if isinstance(actual, tuple):  # -1 is a size that stays, or the one that is left over
            actual = tuple(size if part == -1 else part for part, size in zip(actual, wanted, strict=False))
        if actual != wanted:
            return f"{k.name} is not repeated for the heads of {q.name}"
    return ""


GROUPED_ATTENTION: Final = RewriteRule(
    "grouped attention",
    (
        *itertools.starmap(_expanded, itertools.product(EXPANDED, (False, True))),
        *(attention_of_interleaved_heads, attention_of_interleaved_heads_with_a_mask),
    ),
    grouped_attention,
    {
        "q": tensor(2, 6, 5, 8),
        "k": tensor(2, 2, 7, 8),
        "v": tensor(2, 2, 7, 8),
        "mask": tensor(5, 7),
        "repeated": (2, 2, 3, 7, 8),
        "merged": (2, 6, 7, 8),
        "count": 3,
        "causal": True,
        "scale": 0.4375,
    },
    _grouped,
)
