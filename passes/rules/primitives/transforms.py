"""Fourier transforms as torch.fft has them: sizes and layouts of the steps that each function takes.

After ATen/native/SpectralOps.cpp (which sizes and dimensions are meant, and what is cut or padded) and
ATen/native/mkl/SpectralOps.cpp (how results lie in memory). `sizes` and `dims` are as they were given: several, one
(for transforms along one dimension) or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from passes.rules.language import primitive, undefined
from passes.rules.primitives.iterator import iterated
from passes.rules.primitives.layouts import by_stride, preserved, suggested, transformed
from passes.rules.primitives.shapes import wrapped
from passes.rules.primitives.types import as_complex_type, floating, is_integral, real
from passes.rules.primitives.views import Product, Strided, transpose, unsqueeze

Ints = tuple[Any, ...]


@primitive("Ints, Dims -> Ints")
def halved(shape: Sequence[Any], dims: Any) -> Ints:
    """Sizes of the half of a spectrum of real numbers that is not symmetric: along the last of these dimensions."""
    order = [dims] if isinstance(dims, int) else list(dims)
    if not order or not 0 <= order[-1] < len(shape):
        undefined("no such dimension")
    last = order[-1]
    return (*shape[:last], shape[last] // 2 + 1, *shape[last + 1 :])


@primitive("Tensor, Given, Given -> Product")
def spectrum(tensor: Any, sizes: Any, dims: Any) -> Product:
    """Complex to complex: fftn and ifftn."""
    lengths, chosen = _asked(tensor, sizes, dims)
    return _complex(_whole(_fitted(_as_complex(tensor), lengths, chosen), chosen), tensor)


@primitive("Tensor, Given, Given -> Product")
def line_spectrum(tensor: Any, sizes: Any, dims: Any) -> Product:
    """To complex, of real numbers as they are: fft and ifft."""
    lengths, chosen = _asked(tensor, sizes, dims)
    return _complex(_laid_out(_fitted(_as_fractions(tensor), lengths, chosen), chosen), tensor)


@primitive("Tensor, Given, Given -> Product")
def half_spectrum(tensor: Any, sizes: Any, dims: Any) -> Product:
    """Real to complex, without the half that is symmetric: rfft, rfftn and, along one dimension, ihfft."""
    lengths, chosen = _asked(tensor, sizes, dims)
    return _complex(_half(_fitted(_as_real(tensor), lengths, chosen), chosen), tensor)


@primitive("Tensor, Given, Given -> Product")
def hermitian_spectrum(tensor: Any, sizes: Any, dims: Any) -> Product:
    """Real to complex along the last of the dimensions, and complex along the others, if any: ihfftn."""
    lengths, chosen = _asked(tensor, sizes, dims)
    half = _half(_fitted(_as_real(tensor), lengths, chosen), chosen[-1:])
    if len(chosen) == 1:
        return _complex(half, tensor)._replace(is_conj=True)
    return _complex(_whole(half, chosen[:-1]), tensor)


@primitive("Tensor, Given, Given -> Product")
def signal(tensor: Any, sizes: Any, dims: Any) -> Product:
    """Complex to real: irfft and irfftn."""
    lengths, chosen, length = _halved(tensor, sizes, dims)
    return _real_signal(_fitted(_as_complex(tensor), lengths, chosen), chosen, length, tensor)


@primitive("Tensor, Given, Given -> Product")
def hermitian_signal(tensor: Any, sizes: Any, dims: Any) -> Product:
    """Complex to real, of the conjugate, which is a copy if it is not one already: hfft and hfftn."""
    lengths, chosen, length = _halved(tensor, sizes, dims)
    source = _as_complex(tensor)
    if len(chosen) == 1 and tensor.is_conj and lengths[0] <= tensor.shape[chosen[0]]:
        return _real_signal(_fitted(source._replace(is_lazy=False), lengths, chosen), chosen, length, tensor)
    fitted = _fitted(source, lengths, chosen)
    if len(chosen) == 1:
        fitted = fitted._replace(stride=preserved(fitted))
    return _real_signal(fitted, chosen, length, tensor)


def _complex(place: Strided, tensor: Any) -> Product:
    return Product(*place, as_complex_type(floating(tensor.dtype)))


def _asked(tensor: Any, sizes: Any, dims: Any) -> tuple[list[Any], Ints]:
    """Sizes along the dimensions of a transform, and these (`canonicalize_fft_shape_and_dim_args`)."""
    rank = len(tensor.shape)
    explicit = None if sizes is None else (sizes,) if isinstance(sizes, int) else tuple(sizes)
    if isinstance(dims, int):
        dims = (dims,)
    if dims is None:
        first = 0 if explicit is None else rank - len(explicit)
        chosen = tuple(range(first, rank))
    else:
        chosen = tuple(wrapped(dim, rank) for dim in dims)
    if explicit is None:
        explicit = (-1,) * len(chosen)
    if (chosen and not rank) or len(explicit) != len(chosen) or len(set(chosen)) != len(chosen) or len(chosen) > rank:
        undefined("sizes and dimensions do not fit")
    lengths = [tensor.shape[dim] if size == -1 else size for size, dim in zip(explicit, chosen, strict=True)]
    if any(length < 1 for length in lengths):
        undefined("a size of 0")
    return lengths, chosen


def _halved(tensor: Any, sizes: Any, dims: Any) -> tuple[list[Any], Ints, Any]:
    """As `_asked` of a half spectrum, and the size of what it is a spectrum of, along the last dimension."""
    lengths, chosen = _asked(tensor, sizes, dims)
    if not chosen:
        undefined("nothing to transform")
    last = sizes if sizes is None or isinstance(sizes, int) else sizes[-1]
    length = 2 * (tensor.shape[chosen[-1]] - 1) if last is None or last == -1 else last
    if length < 1:
        undefined("a size of 0")
    return [*lengths[:-1], length // 2 + 1], chosen, length


class _Source(NamedTuple):
    """What is cut and padded: a tensor, or its copy in another type. `is_lazy` ones are copied once they are cut."""

    shape: Ints
    stride: Ints
    is_lazy: bool


def _as_complex(tensor: Any) -> _Source:
    return _cast(tensor, not tensor.dtype.is_complex)


def _as_real(tensor: Any) -> _Source:
    if tensor.dtype.is_complex:
        undefined("complex numbers")
    return _as_fractions(tensor)


def _as_fractions(tensor: Any) -> _Source:
    return _cast(tensor, is_integral(tensor.dtype))


def _cast(tensor: Any, is_copied: bool) -> _Source:
    if is_copied:
        return _Source(tensor.shape, preserved(tensor), False)
    return _Source(tensor.shape, tensor.stride, tensor.is_conj or tensor.is_neg)


def _fitted(source: _Source, lengths: Sequence[Any], dims: Ints) -> Strided:
    """Cut to these sizes, or padded, which copies (`resize_fft_input`)."""
    shape, cut = list(source.shape), list(source.shape)
    for dim, length in zip(dims, lengths, strict=True):
        cut[dim] = length if length < cut[dim] else cut[dim]
        shape[dim] = length
    part = Strided(tuple(cut), source.stride, 0)
    if source.is_lazy:
        part = part._replace(stride=preserved(part))
    return part if shape == cut else Strided(tuple(shape), suggested(shape, part), 0)


@primitive("Tensor, Int, Given, Given, Tensor?, Given -> Strided")
def spectrogram(signal: Any, length: Any, hop: Any, width: Any, window: Any, onesided: Any) -> Strided:
    """torch.stft of (samples,) or (batch, samples): a spectrum of each frame, with the frames as last dimension.

    After ATen/native/SpectralOps.cpp. A hop of None is a quarter of the frame's length; one side of the spectrum is
    computed of real numbers unless `onesided` denies it. Frames overlap in memory until a window, which may be
    narrower, makes copies of them.
    """
    step = length // 4 if hop is None else hop
    is_complex = signal.dtype.is_complex or (window is not None and window.dtype.is_complex)
    if len(signal.shape) not in (1, 2) or length <= 0 or step <= 0 or signal.shape[-1] < length:
        undefined("no frame fits")
    if onesided and is_complex:
        undefined("one side of a spectrum of complex numbers")
    batch = signal if len(signal.shape) == 2 else unsqueeze(signal, 0)
    place = batch.stride[-1]
    shape = (batch.shape[0], 1 + (signal.shape[-1] - length) // step, length)
    frames = Strided(shape, (batch.stride[0], step * place, place), 0)
    if window is not None or (width is not None and width < length):
        frames = Strided(shape, iterated(shape, frames, Strided((length,), (1,), 0)), 0)
    bins = length if is_complex or onesided is False else length // 2 + 1
    spectra = transpose(_laid_out(frames, (2,), (*shape[:2], bins)), 1, 2)
    return spectra if len(signal.shape) == 2 else Strided(spectra.shape[1:], spectra.stride[1:], 0)


@primitive("Ints, Int, Given, Bool, Given -> Ints")
def resynthesized(shape: Sequence[Any], length: Any, hop: Any, center: Any, samples: Any) -> Ints:
    """Shape of torch.istft of (bins, frames) or (batch, bins, frames): `samples`, or as many as the frames cover."""
    if len(shape) not in (2, 3):
        undefined("ranks do not fit")
    step = length // 4 if hop is None else hop
    covered = length + step * (shape[-1] - 1)
    if center:
        covered = covered - 2 * (length // 2)
    return (*shape[:-2], covered if samples is None else samples)


def _laid_out(tensor: Strided, dims: Ints, shape: Ints | None = None) -> Strided:
    """A transform along `dims`, the last of which is the innermost one."""
    shape = tensor.shape if shape is None else shape
    return Strided(shape, transformed(shape, tensor, dims), 0)


def _whole(tensor: Strided, dims: Ints) -> Strided:
    if not dims:
        return Strided(tensor.shape, preserved(tensor), 0)
    return _laid_out(tensor, by_stride(tensor, dims, False))


def _half(tensor: Strided, dims: Ints) -> Strided:
    if not dims:
        undefined("nothing to transform")
    shape = list(tensor.shape)
    shape[dims[-1]] = shape[dims[-1]] // 2 + 1
    return _laid_out(tensor, by_stride(tensor, dims, True), tuple(shape))


def _real_signal(tensor: Strided, dims: Ints, length: Any, explicit: Any) -> Product:
    """Along all dimensions but the last as complex numbers, then to real ones of another size."""
    *others, last = dims
    tensor = _whole(tensor, tuple(others)) if others else tensor
    shape = (*tensor.shape[:last], length, *tensor.shape[last + 1 :])
    return Product(*_laid_out(tensor, (last,), shape), real(floating(explicit.dtype)))
