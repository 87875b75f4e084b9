"""Functions that ATen composes of others: shapes, layouts and types of their results, against the real ones."""

import random

import torch

from passes.meta import meta_of
from passes.operators.modes import Modes
from passes.operators.outcome import ListArg
from passes.rules.book import Rulebook, shipped_folder
from passes.rules.primitives import composites
from tests.rulebooks import needs_book
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


def test_grids():
    draw = random.Random(0)
    for _ in range(TRIES):
        dtype = draw.choice(DTYPES)
        tensors = [any_tensor(draw, draw.randint(0, 1), dtype=dtype) for _ in range(draw.randint(1, 4))]
        metas = tuple(map(meta_of, tensors))
        for primitive, indexing in ((composites.grid, "ij"), (composites.exchanged_grid, "xy")):
            told = [primitive(metas, place) for place in range(len(tensors))]
            assert told == [*map(strided, torch.meshgrid(*tensors, indexing=indexing))]


@needs_book
def test_the_shipped_rule_of_meshgrid_gives_a_view_of_each_tensor():
    tensors = [torch.zeros(4)[::2], torch.zeros(3), torch.zeros(())]
    for keywords in (("indexing", "ij"),), (("indexing", "xy"),):
        metas = ListArg(map(meta_of, tensors))
        told = Rulebook(shipped_folder()).answer(torch._VF.meshgrid, (metas,), keywords, Modes())
        real = torch._VF.meshgrid(tensors, **dict(keywords))
        assert [each.alias_of for each in told.result] == [0, 1, 2]
        assert [(each.meta.shape, each.meta.stride) for each in told.result] == [strided(each)[:2] for each in real]
