"""Models of vit-pytorch and x-transformers, small and with random weights.

vit_pytorch imports torchvision for the image augmentations of its self-supervised trainers, which no
model here uses, and torchvision's wheels pull another build of torch. So an empty stand-in takes its
place while vit_pytorch is imported, and is gone afterwards.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import nn
from x_transformers import (
    ContinuousTransformerWrapper,
    Decoder,
    Encoder,
    TransformerWrapper,
    ViTransformerWrapper,
    XTransformer,
)

from tests.models_huggingface import VOCABULARY, images, tokens


@contextmanager
def stand_in_torchvision() -> Iterator[None]:
    """An importable, empty `torchvision.transforms` for the duration, unless torchvision is there."""
    try:
        import torchvision  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
    except ModuleNotFoundError:
        package, transforms = ModuleType("torchvision"), ModuleType("torchvision.transforms")
        package.transforms = transforms  # type: ignore[attr-defined]
        names = {"torchvision": package, "torchvision.transforms": transforms}
        sys.modules.update(names)
        try:
            yield
        finally:
            for name in names:
                del sys.modules[name]
    else:
        yield


with stand_in_torchvision():
    from vit_pytorch import MAE, SimpleViT, ViT
    from vit_pytorch.cait import CaiT
    from vit_pytorch.cct import CCT
    from vit_pytorch.cross_vit import CrossViT
    from vit_pytorch.crossformer import CrossFormer
    from vit_pytorch.cvt import CvT
    from vit_pytorch.deepvit import DeepViT
    from vit_pytorch.levit import LeViT
    from vit_pytorch.max_vit import MaxViT
    from vit_pytorch.nest import NesT
    from vit_pytorch.parallel_vit import ViT as ParallelViT
    from vit_pytorch.pit import PiT
    from vit_pytorch.rvt import RvT
    from vit_pytorch.simple_vit_with_register_tokens import SimpleViT as RegisterViT
    from vit_pytorch.t2t import T2TViT
    from vit_pytorch.twins_svt import TwinsSVT
    from vit_pytorch.vit_for_small_dataset import ViT as SmallDatasetViT
    from vit_pytorch.xcit import XCiT

Arguments = Callable[[], tuple[Any, ...]]

PATCHES = {"image_size": 32, "patch_size": 8, "num_classes": 10, "dim": 32, "depth": 2, "heads": 2, "mlp_dim": 64}


def picture() -> tuple[Any, ...]:
    return (images(),)


def large_picture() -> tuple[Any, ...]:
    return (images(64),)


def text() -> tuple[Any, ...]:
    return (tokens(8),)


def vectors() -> tuple[Any, ...]:
    return (torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(5)),)


def masked_autoencoder() -> nn.Module:
    return MAE(encoder=ViT(**PATCHES, pool="mean"), decoder_dim=32, masking_ratio=0.75, decoder_depth=1)


def decoder(**choices: Any) -> Callable[[], nn.Module]:
    """A language model whose decoder layers are made with these choices of x-transformers."""

    def build_decoder() -> nn.Module:
        layers = Decoder(dim=32, depth=2, heads=2, attn_dim_head=16, **choices)
        return TransformerWrapper(num_tokens=VOCABULARY, max_seq_len=16, attn_layers=layers)

    return build_decoder


def encoder(**choices: Any) -> Callable[[], nn.Module]:
    """A text encoder whose layers are made with these choices of x-transformers."""

    def build_encoder() -> nn.Module:
        layers = Encoder(dim=32, depth=2, heads=2, attn_dim_head=16, **choices)
        return TransformerWrapper(num_tokens=VOCABULARY, max_seq_len=16, attn_layers=layers)

    return build_encoder


def translator() -> nn.Module:
    sizes = {"num_tokens": VOCABULARY, "depth": 1, "heads": 2, "max_seq_len": 16}
    return XTransformer(
        dim=32,
        **{f"enc_{key}": value for key, value in sizes.items()},
        **{f"dec_{key}": value for key, value in sizes.items()},
    )


TABLE: dict[str, tuple[Callable[[], nn.Module], Arguments]] = {
    "vit-pytorch": (lambda: ViT(**PATCHES), picture),
    "vit-pytorch-mean": (lambda: ViT(**PATCHES, pool="mean"), picture),
    "simple-vit": (lambda: SimpleViT(**PATCHES), picture),
    "register-vit": (lambda: RegisterViT(**PATCHES), picture),
    "parallel-vit": (lambda: ParallelViT(**PATCHES, num_parallel_branches=2), picture),
    "small-dataset-vit": (lambda: SmallDatasetViT(**PATCHES), picture),
    "deep-vit": (lambda: DeepViT(**PATCHES), picture),
    "cait": (lambda: CaiT(**PATCHES, cls_depth=1), picture),
    "xcit": (lambda: XCiT(**PATCHES, cls_depth=1), picture),
    "mae": (masked_autoencoder, picture),
    "rvt": (lambda: RvT(**PATCHES), picture),
    "pit": (
        lambda: PiT(image_size=32, patch_size=8, dim=32, num_classes=10, depth=(1, 1), heads=2, mlp_dim=64),
        picture,
    ),
    "levit": (
        lambda: LeViT(image_size=64, num_classes=10, stages=2, dim=(16, 32), depth=1, heads=(2, 2), mlp_mult=2),
        large_picture,
    ),
    "t2t-vit": (
        lambda: T2TViT(
            dim=32, image_size=32, depth=1, heads=2, mlp_dim=64, num_classes=10, t2t_layers=((7, 4), (3, 2))
        ),
        picture,
    ),
    "cct": (
        lambda: CCT(
            img_size=(32, 32),
            embedding_dim=32,
            n_conv_layers=1,
            kernel_size=7,
            stride=2,
            padding=3,
            pooling_kernel_size=3,
            pooling_stride=2,
            pooling_padding=1,
            num_layers=2,
            num_heads=2,
            mlp_ratio=2.0,
            num_classes=10,
            positional_embedding="learnable",
        ),
        picture,
    ),
    "cross-vit": (
        lambda: CrossViT(
            image_size=32,
            num_classes=10,
            depth=1,
            sm_dim=16,
            sm_patch_size=8,
            sm_enc_depth=1,
            sm_enc_heads=2,
            sm_enc_mlp_dim=32,
            lg_dim=32,
            lg_patch_size=16,
            lg_enc_depth=1,
            lg_enc_heads=2,
            lg_enc_mlp_dim=64,
            cross_attn_depth=1,
            cross_attn_heads=2,
        ),
        picture,
    ),
    "cross-former": (
        lambda: CrossFormer(
            num_classes=10,
            dim=(32, 32, 32, 32),
            depth=(1, 1, 1, 1),
            global_window_size=(2, 2, 1, 1),
            local_window_size=(2, 2, 2, 1),
        ),
        large_picture,
    ),
    "cvt": (
        lambda: CvT(num_classes=10, s1_emb_dim=16, s2_emb_dim=16, s3_emb_dim=32, s2_depth=1, s3_depth=1),
        large_picture,
    ),
    "twins-svt": (
        lambda: TwinsSVT(
            num_classes=10,
            s1_emb_dim=16,
            s1_local_patch_size=4,
            s1_global_k=4,
            s2_emb_dim=16,
            s2_local_patch_size=4,
            s2_global_k=2,
            s3_emb_dim=32,
            s3_local_patch_size=2,
            s3_global_k=2,
            s3_depth=1,
            s4_emb_dim=32,
            s4_local_patch_size=1,
            s4_global_k=1,
            s4_depth=1,
        ),
        large_picture,
    ),
    "max-vit": (
        lambda: MaxViT(num_classes=10, dim_conv_stem=16, dim=16, dim_head=8, depth=(1, 1), window_size=2),
        picture,
    ),
    "nest": (
        lambda: NesT(
            image_size=32, patch_size=4, dim=16, heads=2, num_hierarchies=2, block_repeats=(1, 1), num_classes=10
        ),
        picture,
    ),
    "x-decoder": (decoder(), text),
    "x-decoder-rotary": (decoder(rotary_pos_emb=True, ff_glu=True), text),
    "x-decoder-alibi": (decoder(alibi_pos_bias=True, alibi_num_heads=1), text),
    "x-decoder-rmsnorm": (decoder(use_rmsnorm=True, ff_swish=True, attn_qk_norm=True), text),
    "x-decoder-grouped": (decoder(attn_kv_heads=1, ff_no_bias=True), text),
    "x-encoder": (encoder(), text),
    "x-encoder-bias": (encoder(rel_pos_bias=True, sandwich_norm=True), text),
    "x-encoder-scalenorm": (encoder(use_scalenorm=True, attn_pre_talking_heads=True), text),
    "x-continuous": (
        lambda: ContinuousTransformerWrapper(
            dim_in=32, dim_out=16, max_seq_len=16, attn_layers=Encoder(dim=32, depth=1, heads=2, attn_dim_head=16)
        ),
        vectors,
    ),
    "x-vit": (
        lambda: ViTransformerWrapper(
            image_size=32, patch_size=8, num_classes=10, attn_layers=Encoder(dim=32, depth=2, heads=2, attn_dim_head=16)
        ),
        picture,
    ),
    "x-translator": (translator, lambda: (tokens(8), tokens(8))),
}


def build(name: str) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """The model of this name in eval mode, with the arguments and keyword arguments of one call."""
    make, arguments = TABLE[name]
    return make().eval(), arguments(), {}
