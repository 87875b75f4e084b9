"""Functions that ATen composes of others: shapes, layouts and types of their results, against the real ones."""

import random

import torch

from passes.meta import meta_of
from passes.rules.primitives import composites
from tests.test_rules_primitives import DTYPES, any_tensor, strided

TRIES = 400


def any_input(draw: random.Random, rank: int | None = None) -> torch.Tensor:
    tensor = any_tensor(draw, rank, dtype=draw.choice(DTYPES))
    if tensor.is_complex() and draw.random() < 0.3:
        return tensor.conj()
    return torch._neg_view(tensor) if tensor.is_floating_point() and draw.random() < 0.1 else tensor


def test_rotated():
    draw = random.Random(0)
    for _ in range(TRIES):
        tensor = any_input(draw, draw.randint(2, 4))
        rank = tensor.dim()
        turns, dims = draw.randint(-5, 5), [dim - draw.choice((0, rank)) for dim in draw.sample(range(rank), 2)]
        assert composites.rotated(meta_of(tensor), turns, dims) == strided(torch.rot90(tensor, turns, dims))


def test_differences():
    draw = random.Random(0)
    for _ in range(TRIES):
        tensor = any_input(draw, draw.randint(1, 4))
        times, dim = draw.randint(0, 4), draw.randrange(-tensor.dim(), tensor.dim())
        shape = list(tensor.shape)
        shape[dim] = draw.randint(0, 2)
        dtype = tensor.dtype if draw.random() < 0.5 else draw.choice(DTYPES)
        before, after = (torch.zeros(shape, dtype=dtype) if draw.random() < 0.5 else None for _ in range(2))
        try:
            result = torch.diff(tensor, times, dim, before, after)
        except RuntimeError:  # half precision, or truth values that were promoted
            continue
        metas = [part if part is None else meta_of(part) for part in (before, after)]
        told = composites.differences(meta_of(tensor), times, dim, *metas)
        if result is not tensor:
            assert told[:4] == (*strided(result), result.dtype)


def test_combined():
    for elements in range(6):
        for count in range(5):
            for repeated in (False, True):
                tensor = torch.zeros(elements)
                result = torch.combinations(tensor, count, repeated)
                assert composites.combined(meta_of(tensor), count, repeated) == tuple(result.shape)


def test_in_chunks():
    draw = random.Random(0)
    for _ in range(TRIES):
        dim, chunks = draw.randint(0, 2), draw.randint(1, 4)
        leading = [draw.randint(1, 3) for _ in range(dim)]
        own = ([draw.randint(1, 4) for _ in range(draw.randint(1, 3))] for _ in range(draw.randint(1, 3)))
        tensors = [torch.zeros(*leading, *sizes) for sizes in own]
        told = composites.in_chunks(tuple(map(meta_of, tensors)), dim, chunks)
        assert told == tuple(torch._chunk_cat(tensors, dim, chunks).shape)
