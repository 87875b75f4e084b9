"""Programs of x-transformers: a decoder and an encoder of one layer with each option, and its wrappers."""

from collections.abc import Iterator
from typing import Any, Final

import torch
import x_transformers
from x_transformers import AutoregressiveWrapper, Decoder, Encoder, TransformerWrapper

from benchmarks.zoo.program import Build, calling_new, evaluating

SMALL: Final[dict[str, Any]] = {"dim": 16, "depth": 1, "heads": 2}
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    **{
        name: {name: True}
        for name in (
            *("rotary_pos_emb", "alibi_pos_bias", "rel_pos_bias", "dynamic_pos_bias", "use_rmsnorm", "use_scalenorm"),
            *("use_simple_rmsnorm", "ff_relu_squared", "attn_qk_norm", "gate_residual", "sandwich_norm"),
            *("macaron", "rotary_xpos", "attn_flash", "attn_on_attn", "residual_attn", "zero_init_branch_output"),
            *("attn_laser", "attn_softclamp_logits", "attn_gate_values", "attn_head_scale"),
        )
    },
    "ff_glu": {"ff_glu": True, "ff_swish": True},
    "talking_heads": {"attn_pre_talking_heads": True, "attn_post_talking_heads": True},
    "attn_sparse_topk": {"attn_sparse_topk": 3},
    "attn_kv_heads": {"attn_kv_heads": 1},
    "shift_tokens": {"shift_tokens": 1},
    "attn_num_mem_kv": {"attn_num_mem_kv": 2},
    "num_residual_streams": {"num_residual_streams": 2},
    "attn_use_cope": {"attn_use_cope": True, "attn_cope_max_pos": 8},
}
CAUSAL: Final = ("attn_use_cope", "rotary_xpos")
"""Options that an encoder refuses."""


def decoder(**options: Any) -> Any:
    layers = Decoder(**SMALL, attn_dim_head=8, **options)
    return TransformerWrapper(num_tokens=20, max_seq_len=16, attn_layers=layers)


def encoder(**options: Any) -> Any:
    return Encoder(**SMALL, attn_dim_head=8, **options)


def sequence_to_sequence() -> Any:
    sizes = {"num_tokens": 20, "depth": 1, "heads": 2, "max_seq_len": 16}
    sides = {f"{side}_{name}": size for side in ("enc", "dec") for name, size in sizes.items()}
    return x_transformers.XTransformer(dim=16, **sides)


def programs() -> Iterator[tuple[str, Build]]:
    torch.manual_seed(0)
    tokens, hidden = torch.randint(0, 20, (2, 8)), torch.randn(2, 8, 16)
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[0, 5:] = False
    for name, options in OPTIONS.items():
        yield f"decoder, {name}", calling_new(evaluating(lambda options=options: decoder(**options)), tokens)
        if name not in CAUSAL:
            yield f"encoder, {name}", calling_new(evaluating(lambda options=options: encoder(**options)), hidden)
    yield (
        "decoder with a mask",
        calling_new(evaluating(decoder), tokens, mask, use=lambda model, tokens, mask: model(tokens, mask=mask)),
    )
    yield "decoder, training", calling_new(decoder, tokens, use=lambda model, tokens: model(tokens).sum())
    yield "AutoregressiveWrapper", calling_new(evaluating(lambda: AutoregressiveWrapper(decoder())), tokens)
    yield (
        "cross attention",
        calling_new(
            evaluating(lambda: Decoder(**SMALL, cross_attend=True)),
            hidden,
            use=lambda model, hidden: model(hidden, context=hidden),
        ),
    )
    image = {"image_size": 16, "patch_size": 8, "num_classes": 4}
    yield (
        "ViTransformerWrapper",
        calling_new(
            evaluating(lambda: x_transformers.ViTransformerWrapper(**image, attn_layers=encoder())),
            torch.randn(1, 3, 16, 16),
        ),
    )
    numbers = {"dim_in": 4, "dim_out": 3, "max_seq_len": 16}
    yield (
        "ContinuousTransformerWrapper",
        calling_new(
            evaluating(lambda: x_transformers.ContinuousTransformerWrapper(**numbers, attn_layers=encoder())),
            torch.randn(2, 8, 4),
        ),
    )
    yield (
        "XTransformer",
        calling_new(
            evaluating(sequence_to_sequence),
            tokens,
            mask,
            use=lambda model, tokens, mask: model(tokens, tokens, mask=mask),
        ),
    )
