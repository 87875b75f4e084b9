"""Windows: what convolutions, pooling and resampling make (ATen/native/ConvUtils.h, Pool.h, UpSample.h).

Lists of settings have one entry for each spatial dimension; one entry alone serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch

from passes.rules.language import primitive, undefined
from passes.rules.primitives.layouts import compact, contiguous, like_channels_last, suggested_by_either

Ints = tuple[Any, ...]
MOST_DIMENSIONS: Final = 64  # that a tensor has
# Whether oneDNN computes with a dtype, which the processor decides.
ONEDNN_HAS: Final = {
    torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
    torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
}
SMALL_INPUT: Final = 20480  # elements of the first four dimensions: up to these torch has kernels of its own


def _each(values: Any, count: int) -> Ints:
    numbers = (values,) if isinstance(values, int) else tuple(values)
    if len(numbers) == 1 and count < MOST_DIMENSIONS:
        return numbers * count
    if len(numbers) != count:
        undefined("another number of spatial dimensions")
    return numbers


@primitive("Ints, Ints, IntOrInts, IntOrInts, IntOrInts -> Ints")
def convolved(shape: Sequence[Any], weight: Sequence[Any], stride: Any, padding: Any, dilation: Any) -> Ints:
    """Shape of a convolution of (N, C, *spatial) or (C, *spatial) with a weight (out, in, *kernel).

    The padding may be "valid", which is none, or "same", with which sizes stay. Of no channels come none, however many
    the weight has.
    """
    dims = len(weight) - 2
    if dims < 1 or len(shape) not in (dims + 1, dims + 2):
        undefined("ranks do not fit")
    if weight[0] == 0 or (shape[-dims - 1] != weight[1] and (weight[1] == 0 or shape[-dims - 1] % weight[1] != 0)):
        undefined("no weight, or one for other channels")
    channels = weight[0] if weight[1] != 0 else 0
    if padding == "same":
        return (*shape[: -dims - 1], channels, *shape[-dims:])
    padding = 0 if padding == "valid" else padding
    steps, pads, spread = _each(stride, dims), _each(padding, dims), _each(dilation, dims)
    sizes = []
    for size, kernel, step, pad, gap in zip(shape[-dims:], weight[2:], steps, pads, spread, strict=True):
        room = size + 2 * pad - gap * (kernel - 1) - 1
        if step <= 0 or room < 0:
            undefined("the kernel does not fit")
        sizes.append(room // step + 1)
    return (*shape[: -dims - 1], channels, *sizes)


@primitive("Ints, Ints, IntOrInts, IntOrInts, IntOrInts, IntOrInts, Int -> Ints")
def transposed_convolved(
    shape: Sequence[Any],
    weight: Sequence[Any],
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
) -> Ints:
    """Shape of a transposed convolution; the weight is (in, out / groups, *kernel)."""
    dims = len(weight) - 2
    if dims < 1 or len(shape) not in (dims + 1, dims + 2):
        undefined("ranks do not fit")
    if weight[0] == 0 or shape[-dims - 1] != weight[0]:
        undefined("no weight, or one for other channels")
    settings = (_each(stride, dims), _each(padding, dims), _each(output_padding, dims), _each(dilation, dims))
    sizes = [
        (size - 1) * step - 2 * pad + gap * (kernel - 1) + more + 1
        for size, kernel, step, pad, more, gap in zip(shape[-dims:], weight[2:], *settings, strict=True)
    ]
    return (*shape[: -dims - 1], weight[1] * groups, *sizes)


class Laid(NamedTuple):
    """Sizes and strides of a tensor inside an operator."""

    shape: Ints
    stride: Ints


@primitive("Ints, Tensor, Tensor, IntOrInts, IntOrInts, Int -> Strides")
def convolved_strides(shape: Sequence[Any], input: Any, weight: Any, stride: Any, dilation: Any, groups: Any) -> Ints:
    """Strides of what a convolution computes: channels-last where torch suggests it for the input or the weight.

    After ATen/native/Convolution.cpp. With one spatial dimension the input is made contiguous, and the weight gets
    another dimension as it lies. With three, oneDNN alone keeps the format. What has no batch gets one of size 1.
    """
    rank = len(weight.shape)
    if 0 in input.shape or 0 in weight.shape:
        return contiguous(shape)
    if len(shape) == rank - 1 and len(input.shape) == rank - 1:
        first = input.shape[0] * input.stride[0]
        batch = input.replace(shape=(1, *input.shape), stride=(first, *input.stride))
        return convolved_strides((1, *shape), batch, weight, stride, dilation, groups)[1:]
    if rank == 3:
        wide = _with_height(input.shape, compact(input.shape, input.stride)), _with_height(weight.shape, weight.stride)
        batch, channels, _, places = suggested_by_either((*shape[:2], 1, shape[2]), *wide)
        return batch, channels, places
    asked = rank == 5 and (like_channels_last(input) or like_channels_last(weight))
    if asked and not _by_onednn(input, weight, stride, dilation, groups):
        return contiguous(shape)
    return suggested_by_either(shape, input, weight)


@primitive("Ints, Tensor, Tensor, IntOrInts, IntOrInts, IntOrInts, Int -> Strides")
def transposed_convolved_strides(
    shape: Sequence[Any], input: Any, weight: Any, stride: Any, output_padding: Any, dilation: Any, groups: Any
) -> Ints:
    """As `convolved_strides`; with three spatial dimensions, oneDNN pads no output by as much as a stride."""
    dims = len(weight.shape) - 2
    steps, more = _each(stride, dims), _each(output_padding, dims)
    if dims == 3 and any(each >= step for each, step in zip(more, steps, strict=True)):
        return contiguous(shape)
    return convolved_strides(shape, input, weight, stride, dilation, groups)


def _with_height(shape: Sequence[Any], strides: Sequence[Any]) -> Laid:
    """A tensor of three dimensions with one of size 1 before the last."""
    if len(shape) != 3:
        undefined("no batch of sequences")
    return Laid((*shape[:2], 1, shape[2]), (*strides[:2], shape[2] * strides[2], strides[2]))


def _by_onednn(input: Any, weight: Any, stride: Any, dilation: Any, groups: Any) -> bool:
    """Whether oneDNN computes a convolution of five dimensions on this CPU (ConvParams::use_mkldnn)."""
    if input.dtype in ONEDNN_HAS:
        return bool(ONEDNN_HAS[input.dtype]())
    height, width = weight.shape[-2:]
    large = input.shape[0] > 1 or groups > 1 or (height > 3 and width > 3) or math.prod(input.shape[:4]) > SMALL_INPUT
    if input.dtype is not torch.float32 or not large:
        return False
    settings = (*_each(stride, 3), *_each(dilation, 3))
    return (
        any(number != 1 for number in settings)
        or input.shape[0] >= 16
        or (height != 1 or width != 1)
        or torch.get_num_threads() > 1
    )


@primitive("Ints, IntOrInts, IntOrInts, IntOrInts, IntOrInts, Bool, Rank -> Ints")
def pooled(
    shape: Sequence[Any], kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any, dims: Any
) -> Ints:
    """Shape of pooling over the last `dims` dimensions; no stride means the kernel's size."""
    if len(shape) not in (dims + 1, dims + 2):
        undefined("ranks do not fit")
    if len(shape) == dims + 1 and shape[0] == 0:
        undefined("no channels, and no batch that may be empty")
    kernels = _each(kernel, dims)
    steps = kernels if stride is None or (not isinstance(stride, int) and not stride) else _each(stride, dims)
    pads, spread = _each(padding, dims), _each(dilation, dims)
    sizes = []
    for size, width, step, pad, gap in zip(shape[-dims:], kernels, steps, pads, spread, strict=True):
        if step <= 0:
            undefined("no stride")
        room = size + 2 * pad - gap * (width - 1) - 1
        count = (room + (step - 1 if ceil_mode else 0)) // step + 1
        if ceil_mode and (count - 1) * step >= size + pad:
            count -= 1
        if count < 1:
            undefined("the kernel does not fit")
        sizes.append(count)
    return (*shape[:-dims], *sizes)


@primitive("Ints, IntOrInts, Rank -> Ints")
def resized(shape: Sequence[Any], sizes: Any, dims: Any) -> Ints:
    """With other sizes in the last `dims` dimensions."""
    if len(shape) < dims:
        undefined("too few dimensions")
    return (*shape[: len(shape) - dims], *_each(sizes, dims))


@primitive("Ints, Ints -> Ints")
def scaled(shape: Sequence[Any], factors: Sequence[Any]) -> Ints:
    """(N, C, *spatial) with every spatial size times its factor, rounded down."""
    dims = len(shape) - 2
    if len(factors) != dims:
        undefined("a factor for each spatial dimension")
    return (*shape[:2], *(math.floor(size * factor) for size, factor in zip(shape[2:], factors, strict=True)))


@primitive("Ints, Ints -> Ints")
def adapted(shape: Sequence[Any], sizes: Any) -> Ints:
    """The last dimensions with the sizes given, None for the size there is (adaptive pooling)."""
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    kept = len(shape) - len(sizes)
    if kept < 0:
        undefined("too few dimensions")
    return (*shape[:kept], *(old if new is None else new for old, new in zip(shape[kept:], sizes, strict=True)))


@primitive("Ints, IntOrInts, IntOrInts, IntOrInts, IntOrInts -> Ints")
def unfolded(shape: Sequence[Any], kernel: Any, dilation: Any, padding: Any, stride: Any) -> Ints:
    """Shape of im2col: (N, channels times kernel, places of the kernel)."""
    if len(shape) not in (3, 4):
        undefined("ranks do not fit")
    kernels, gaps, pads, steps = (_each(each, 2) for each in (kernel, dilation, padding, stride))
    places = 1
    for size, width, gap, pad, step in zip(shape[-2:], kernels, gaps, pads, steps, strict=True):
        places = places * ((size + 2 * pad - gap * (width - 1) - 1) // step + 1)
    return (*shape[:-3], shape[-3] * math.prod(kernels), places)
