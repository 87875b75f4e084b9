"""The primitives of rules against the real operators, on tensors of any layout."""

import itertools
import random

import pytest
import torch

import passes.rules.primitives  # noqa: F401  # registers the primitives
from passes.meta import TensorMeta, meta_of
from passes.operators.outcome import SliceArg, Wrapped
from passes.rules.language import PRIMITIVES, Undefined
from passes.rules.primitives import indexing, iterator, layouts, shapes, types, views, windows

SIZES = (0, 1, 1, 2, 3, 5)
DTYPES = (torch.float32, torch.float64, torch.int64, torch.int32, torch.bool, torch.float16, torch.complex64)


def any_tensor(draw: random.Random, rank: int | None = None, sizes=SIZES, dtype=torch.float32) -> torch.Tensor:
    """A tensor with dimensions permuted, sliced, expanded, or as it comes."""
    rank = draw.randrange(5) if rank is None else rank
    shape = [draw.choice(sizes) for _ in range(rank)]
    order = draw.sample(range(rank), rank)
    wide = [shape[dim] * draw.choice((1, 1, 2)) for dim in order]
    tensor = torch.zeros(wide, dtype=dtype)
    for place, dim in enumerate(order):
        if wide[place] != shape[dim]:
            tensor = tensor.narrow(place, 0, wide[place])[(slice(None),) * place + (slice(None, None, 2),)]
    back = sorted(range(rank), key=order.__getitem__)
    tensor = tensor.permute(back) if rank else tensor
    if rank and draw.random() < 0.2 and tensor.shape[0] == 1:
        tensor = tensor.expand(draw.choice((1, 3)), *tensor.shape[1:])
    return tensor


def strided(tensor: torch.Tensor) -> tuple:
    return tuple(tensor.shape), tensor.stride(), tensor.storage_offset()


def broadcastable(draw: random.Random, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    shape = tensor.shape[draw.randrange(tensor.dim() + 1) :]
    other = any_tensor(draw, len(shape), (2,), dtype)
    index = [slice(0, 1) if draw.random() < 0.3 or size == 0 else slice(None) for size in shape]
    wanted = [1 if part == slice(0, 1) else size for part, size in zip(index, shape)]
    order = draw.sample(range(len(shape)), len(shape))
    made = torch.zeros([wanted[dim] for dim in order], dtype=dtype)
    assert other.dim() == len(shape)
    return made.permute(sorted(range(len(shape)), key=order.__getitem__)) if shape else made


@pytest.mark.parametrize("seed", range(400))
def test_iterator_gives_the_strides_of_a_sum(seed):
    draw = random.Random(seed)
    left = any_tensor(draw, dtype=draw.choice(DTYPES))
    right = broadcastable(draw, left, draw.choice(DTYPES))
    result = left + right
    metas = meta_of(left), meta_of(right)
    shape = iterator.broadcast(*metas)
    assert shape == tuple(result.shape)
    assert types.promoted(*metas) is result.dtype
    assert iterator.iterated_as(shape, result.dtype, *metas) == result.stride()


@pytest.mark.parametrize("seed", range(100))
def test_iterator_with_a_number(seed):
    draw = random.Random(seed)
    tensor = any_tensor(draw, dtype=draw.choice((torch.float32, torch.int64)))
    for number in (2, 1.5):
        result = tensor + number
        meta = meta_of(tensor)
        assert types.promoted(meta, Wrapped(number)) is result.dtype
        assert iterator.iterated_as(meta.shape, result.dtype, meta, Wrapped(number)) == result.stride()


@pytest.mark.parametrize("seed", range(150))
def test_layout_of_copies(seed):
    tensor = any_tensor(random.Random(seed))
    meta = meta_of(tensor)
    assert layouts.preserved(meta) == torch.empty_like(tensor).stride()
    assert layouts.is_contiguous(meta) == tensor.is_contiguous()
    if tensor.dim() == 4:
        assert layouts.is_channels_last(meta) == tensor.is_contiguous(memory_format=torch.channels_last)
        if tensor.numel():
            assert layouts.suggested(meta.shape, meta) == torch.nn.functional.max_pool2d(tensor, 1).stride()


@pytest.mark.parametrize("seed", range(150))
def test_views(seed):
    draw = random.Random(seed)
    tensor = any_tensor(draw, draw.randrange(1, 5))
    meta, rank = meta_of(tensor), tensor.dim()
    dim, other = draw.randrange(-rank, rank), draw.randrange(-rank, rank)
    start, end, step = draw.randrange(-4, 5), draw.randrange(-4, 7), draw.randrange(1, 3)
    sizes = [draw.choice((-1, size)) if size != 1 else draw.choice((1, 4)) for size in tensor.shape]
    pairs = [
        (views.transpose(meta, dim, other), tensor.transpose(dim, other)),
        (views.unsqueeze(meta, dim), tensor.unsqueeze(dim)),
        (views.squeeze(meta, dim), tensor.squeeze(dim)),
        (views.squeeze_all(meta), tensor.squeeze()),
        (views.slice_(meta, dim, start, end, step), torch.ops.aten.slice(tensor, dim, start, end, step)),
        (views.expand(meta, sizes), tensor.expand(sizes)),
        (views.movedim(meta, dim, other), tensor.movedim(dim, other)),
    ]
    if tensor.shape[dim]:
        pairs.append((views.select(meta, dim, -1), tensor.select(dim, -1)))
        pairs.append((views.unfold(meta, dim, 1, step), tensor.unfold(dim, 1, step)))
    if rank > 1 and dim % rank != other % rank:
        pairs.append((views.diagonal(meta, start, dim, other), tensor.diagonal(start, dim, other)))
    for ours, theirs in pairs:
        assert tuple(ours) == strided(theirs)


@pytest.mark.parametrize("seed", range(150))
def test_view_is_possible_exactly_where_torch_views(seed):
    draw = random.Random(seed)
    tensor = any_tensor(draw, draw.randrange(1, 5), (1, 2, 3, 4))
    meta = meta_of(tensor)
    for shape in ([-1], [1, -1], [-1, 2], [2, -1], list(tensor.shape[::-1])):
        try:
            expected = strided(tensor.view(shape))
        except RuntimeError:
            with pytest.raises(Undefined):
                views.view(meta, shape)
        else:
            assert tuple(views.view(meta, shape)) == expected


@pytest.mark.parametrize("seed", range(100))
def test_indexing(seed):
    draw = random.Random(seed)
    tensor = any_tensor(draw, draw.randrange(1, 5), (2, 3))
    index = torch.zeros([draw.choice((1, 2)) for _ in range(draw.randrange(1, 3))], dtype=torch.int64)
    parts = [
        draw.choice((0, slice(None), slice(1, None), None, index)) for _ in range(draw.randrange(1, tensor.dim() + 1))
    ]
    key = tuple(parts)
    asked = tuple(
        meta_of(part)
        if isinstance(part, torch.Tensor)
        else SliceArg(part.start, part.stop, part.step)
        if isinstance(part, slice)
        else part
        for part in key
    )
    result = tensor[key]
    ours = indexing.item(meta_of(tensor), asked)
    assert tuple(ours.shape) == tuple(result.shape)
    assert tuple(ours.stride) == result.stride()
    assert indexing.is_basic(asked) == (result._base is not None)


@pytest.mark.parametrize(
    "key, hangs",
    [
        (TensorMeta((3,), (1,), torch.int64), False),
        (TensorMeta((), (), torch.int64), True),
        (TensorMeta((3,), (1,), torch.bool), True),
        ((None, SliceArg(1, None, None)), False),
        ((None, SliceArg(TensorMeta((), (), torch.int64), None, None)), True),
        ((0, True), True),
    ],
)
def test_keys_whose_values_decide_what_comes_out(key, hangs):
    assert indexing.hangs_on_values(key) == hangs


def test_windows():
    x, weight = torch.zeros(2, 4, 11, 9), torch.zeros(6, 4, 3, 2)
    convolved = torch.nn.functional.conv2d(x, weight, None, (2, 1), (1, 0), (1, 2))
    assert windows.convolved(x.shape, weight.shape, (2, 1), (1, 0), (1, 2)) == tuple(convolved.shape)
    pooled = torch.nn.functional.max_pool2d(x, 3, 2, 1, 1, True)
    assert windows.pooled(x.shape, (3,), (2,), (1,), (1,), True, 2) == tuple(pooled.shape)


def test_joins_and_products():
    left, right = torch.zeros(2, 3, 4), torch.zeros(2, 5, 4)
    assert shapes.joined((meta_of(left), meta_of(right)), 1) == (2, 8, 4)
    nothing = meta_of(torch.zeros(0))
    assert shapes.joined((nothing, meta_of(left)), 1) == (2, 3, 4)
    assert shapes.joined((nothing, nothing), 2) == tuple(torch.cat([torch.zeros(0)] * 2, 2).shape) == (0,)
    assert shapes.product((2, 1, 3, 4), (5, 4, 6)) == (2, 5, 3, 6)
    with pytest.raises(Undefined):
        shapes.joined((meta_of(left), meta_of(right)), 0)


def test_what_cannot_be_written_in_place():
    shapes = [(), (1,), (3,), (4,), (2, 3), (1, 3), (2, 1), (0, 3), (2, 2, 3)]
    for written, other in itertools.product(shapes, shapes):
        tensors = torch.zeros(written), torch.zeros(other)
        assert iterator.outgrown(*map(meta_of, tensors)) == is_refused(*tensors), (written, other)
    dtypes = (torch.bool, torch.int32, torch.float16, torch.float64, torch.complex64)
    for written, other in itertools.product(dtypes, dtypes):
        for shape in ((2,), ()):
            tensors = torch.ones(2, dtype=written), torch.ones(shape, dtype=other)
            assert types.unwritable(*map(meta_of, tensors)) == is_refused(*tensors), (written, other, shape)


def is_refused(written: torch.Tensor, other: torch.Tensor) -> bool:
    try:
        written.mul_(other)
    except RuntimeError:
        return True
    return False


def test_every_primitive_says_what_it_is():
    for each in PRIMITIVES.values():
        assert each.gives, each.name
