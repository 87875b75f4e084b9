"""Fourier transforms: what each function of torch.fft gives, told from sizes and dimensions, against the real one."""

import random

import pytest
import torch

from passes.meta import meta_of
from passes.rules.language import Undefined
from passes.rules.primitives import transforms
from tests.test_rules_primitives import any_tensor

ONE_DIMENSION = {
    "fft": transforms.line_spectrum,
    "ifft": transforms.line_spectrum,
    "rfft": transforms.half_spectrum,
    "irfft": transforms.signal,
    "hfft": transforms.hermitian_signal,
    "ihfft": transforms.half_spectrum,
}
MANY_DIMENSIONS = {
    "fftn": transforms.spectrum,
    "ifftn": transforms.spectrum,
    "rfftn": transforms.half_spectrum,
    "irfftn": transforms.signal,
    "hfftn": transforms.hermitian_signal,
    "ihfftn": transforms.hermitian_spectrum,
}
DTYPES = (torch.float32, torch.float64, torch.int64, torch.complex64, torch.complex64)
SIZES = (1, 2, 3, 4, 5)


def any_input(draw: random.Random) -> torch.Tensor:
    tensor = any_tensor(draw, sizes=SIZES, dtype=draw.choice(DTYPES))
    if tensor.dim() == 4 and draw.random() < 0.3:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    if tensor.is_complex() and draw.random() < 0.3:
        return tensor.conj()
    return torch._neg_view(tensor) if tensor.is_floating_point() and draw.random() < 0.1 else tensor


def check(name: str, tell, tensor: torch.Tensor, sizes, dims) -> None:
    try:
        result = getattr(torch.fft, name)(tensor, sizes, dims)
    except (RuntimeError, IndexError):
        with pytest.raises((Undefined, IndexError)):
            tell(meta_of(tensor), sizes, dims)
        return
    prediction = tell(meta_of(tensor), sizes, dims)
    assert prediction[:3] == (tuple(result.shape), result.stride(), result.storage_offset())
    assert prediction.dtype is result.dtype
    if name == "ihfftn":
        assert prediction.is_conj == result.is_conj()


@pytest.mark.parametrize("name", ONE_DIMENSION)
def test_along_one_dimension(name):
    draw = random.Random(name)
    for _ in range(200):
        tensor = any_input(draw)
        dim = draw.randrange(-tensor.dim(), tensor.dim()) if tensor.dim() else -1
        check(name, ONE_DIMENSION[name], tensor, draw.choice((None, None, 1, 2, 3, 4, 7)), dim)


@pytest.mark.parametrize("name", MANY_DIMENSIONS)
def test_along_many_dimensions(name):
    draw = random.Random(name)
    for _ in range(200):
        tensor = any_input(draw)
        rank = tensor.dim()
        dims = tuple(draw.sample(range(rank), draw.randint(0, rank))) if draw.random() < 0.7 else None
        count = draw.randint(0, rank) if dims is None else len(dims)
        sizes = tuple(draw.choice((-1, 1, 2, 3, 4, 7)) for _ in range(count)) if draw.random() < 0.6 else None
        check(name, MANY_DIMENSIONS[name], tensor, sizes, dims)
