"""Programs of small libraries by one author: rotary embeddings, vector quantisation, local attention, the Lion step."""

from collections.abc import Iterator
from typing import Any, Final

import torch
import vector_quantize_pytorch as quantize
from lion_pytorch import Lion
from local_attention import LocalAttention, LocalTransformer
from rotary_embedding_torch import RotaryEmbedding, apply_rotary_emb
from torch import nn

from benchmarks.zoo.program import Build, calling_new, evaluating

CODES: Final = {"dim": 8, "codebook_size": 16}
QUANTIZERS: Final = {
    "VectorQuantize": lambda: quantize.VectorQuantize(**CODES),
    "VectorQuantize, cosine": lambda: quantize.VectorQuantize(**CODES, use_cosine_sim=True),
    "VectorQuantize, low dimension": lambda: quantize.VectorQuantize(**CODES, codebook_dim=4),
    "VectorQuantize, heads": lambda: quantize.VectorQuantize(**CODES, heads=2, codebook_dim=4),
    "VectorQuantize, k-means": lambda: quantize.VectorQuantize(
        dim=8, codebook_size=4, kmeans_init=True, kmeans_iters=2
    ),
    "VectorQuantize, orthogonal": lambda: quantize.VectorQuantize(**CODES, orthogonal_reg_weight=1.0),
    "VectorQuantize, learned": lambda: quantize.VectorQuantize(**CODES, learnable_codebook=True, ema_update=False),
    "ResidualVQ": lambda: quantize.ResidualVQ(**CODES, num_quantizers=2),
    "GroupedResidualVQ": lambda: quantize.GroupedResidualVQ(**CODES, num_quantizers=2, groups=2),
    "RandomProjectionQuantizer": lambda: quantize.RandomProjectionQuantizer(**CODES, num_codebooks=2, codebook_dim=4),
    "FSQ": lambda: quantize.FSQ(levels=[3, 3], dim=8),
    "ResidualFSQ": lambda: quantize.ResidualFSQ(dim=8, levels=[3, 3], num_quantizers=2),
    "LFQ": lambda: quantize.LFQ(**CODES),
    "ResidualLFQ": lambda: quantize.ResidualLFQ(**CODES, num_quantizers=2),
    "LatentQuantize": lambda: quantize.LatentQuantize(levels=[3, 3], dim=8),
    "SimVQ": lambda: quantize.SimVQ(**CODES),
    "ResidualSimVQ": lambda: quantize.ResidualSimVQ(**CODES, num_quantizers=2),
}


def programs() -> Iterator[tuple[str, Build]]:
    torch.manual_seed(0)
    hidden = torch.randn(1, 6, 8)
    for name, constructor in QUANTIZERS.items():
        yield name, calling_new(evaluating(constructor), hidden)
        yield f"{name}, training", calling_new(constructor, hidden)
    yield from _rotations(torch.randn(1, 2, 8, 16))
    yield (
        "LocalAttention",
        calling_new(
            lambda: LocalAttention(dim=8, window_size=4, causal=True), torch.randn(1, 2, 8, 8), use=_attend_to_itself
        ),
    )
    yield (
        "LocalAttention, padded",
        calling_new(
            lambda: LocalAttention(dim=8, window_size=4, look_forward=1, autopad=True),
            torch.randn(1, 2, 7, 8),
            use=_attend_to_itself,
        ),
    )
    sizes = {"num_tokens": 20, "max_seq_len": 16, "dim": 16, "depth": 1, "heads": 2, "dim_head": 8}
    yield (
        "LocalTransformer",
        calling_new(
            evaluating(lambda: LocalTransformer(**sizes, local_attn_window_size=4)), torch.randint(0, 20, (2, 8))
        ),
    )
    yield "Lion, a step", _lion


def _rotations(queries: torch.Tensor) -> Iterator[tuple[str, Build]]:
    yield (
        "rotate_queries_or_keys",
        calling_new(lambda: RotaryEmbedding(dim=8), queries, use=lambda rotary, q: rotary.rotate_queries_or_keys(q)),
    )
    yield (
        "rotate_queries_and_keys, xpos",
        calling_new(
            lambda: RotaryEmbedding(dim=8, use_xpos=True),
            queries,
            use=lambda rotary, q: rotary.rotate_queries_and_keys(q, q),
        ),
    )
    yield (
        "rotate_queries_with_cached_keys",
        calling_new(
            lambda: RotaryEmbedding(dim=8, interpolate_factor=2.0),
            queries,
            use=lambda rotary, q: rotary.rotate_queries_with_cached_keys(q, q),
        ),
    )
    yield (
        "get_axial_freqs",
        calling_new(
            lambda: RotaryEmbedding(dim=8, freqs_for="pixel", max_freq=10),
            torch.randn(1, 4, 4, 32),
            use=lambda rotary, image: apply_rotary_emb(rotary.get_axial_freqs(4, 4), image),
        ),
    )


def _attend_to_itself(attention: Any, hidden: torch.Tensor) -> torch.Tensor:
    return attention(hidden, hidden, hidden)


def _lion() -> tuple[Any, tuple[Any, ...]]:
    model = nn.Linear(4, 2)
    return _step, (model, Lion(model.parameters(), lr=0.01, weight_decay=0.1), torch.randn(3, 4))


def _step(model: nn.Linear, optimizer: torch.optim.Optimizer, x: torch.Tensor) -> torch.Tensor:
    optimizer.zero_grad()
    model(x).pow(2).sum().backward()
    optimizer.step()
    return model.weight
