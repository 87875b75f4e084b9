"""Primitives of operators that ATen composes of others, compared with those operators in drawn layouts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch

from passes.meta import meta_of
from passes.operators.modes import current_modes
from passes.rules.language import Undefined
from passes.rules.primitives.composites import block_diagonal, kronecker
from passes.rules.primitives.contractions import contracted_along
from passes.rules.primitives.shapes import diagonals
from passes.rules.primitives.transforms import resynthesized, spectrogram
from passes.rules.primitives.windows import convolved
from tests.evaluation import encode, observe, plain
from tests.rulebooks import needs_book
from tracer.interpret.evaluator import EVALUATOR


def drawn(draw: random.Random, shape: Sequence[int]) -> torch.Tensor:
    """A tensor of this shape with its dimensions in any order in memory, or expanded."""
    order = draw.sample(range(len(shape)), len(shape))
    laid_out = torch.rand([shape[dim] for dim in order]).permute([order.index(dim) for dim in range(len(shape))])
    return laid_out[:1].expand(shape) if shape and shape[0] and draw.random() < 0.2 else laid_out


def sizes(draw: random.Random, most: int, least: int = 0) -> list[int]:
    return [draw.choice((0, 1, 2, 3)) for _ in range(draw.randint(least, most))]


def test_kronecker_products_are_laid_out_as_torch_lays_them_out_and_refused_as_torch_refuses_them():
    draw = random.Random(0)
    refused = 0
    for _ in range(300):
        one, other = drawn(draw, sizes(draw, 3)), drawn(draw, sizes(draw, 3))
        try:
            product = kronecker(meta_of(one), meta_of(other))
        except Undefined:
            product = None
        try:
            real = torch.kron(one, other)
        except RuntimeError:
            real = None
            refused += 1
        assert (product and product[:2]) == (None if real is None else (tuple(real.shape), real.stride()))
    assert refused


def test_tensordot_leaves_the_dimensions_that_neither_list_names():
    draw = random.Random(1)
    for _ in range(200):
        shape = sizes(draw, 4, 1)
        dims = draw.sample(range(len(shape)), draw.randint(0, len(shape)))
        other = [shape[dim] for dim in dims] + sizes(draw, 2)
        order = draw.sample(range(len(other)), len(other))
        other_dims = [order.index(place) - draw.choice((0, len(other))) for place in range(len(dims))]
        other = [other[place] for place in order]
        real = torch.tensordot(drawn(draw, shape), drawn(draw, other), (dims, other_dims))
        assert contracted_along(shape, other, dims, other_dims) == tuple(real.shape)


def test_blocks_and_diagonals_have_the_sizes_that_torch_gives_them():
    draw = random.Random(2)
    for _ in range(100):
        blocks = [drawn(draw, sizes(draw, 2)) for _ in range(draw.randint(1, 4))]
        assert block_diagonal([meta_of(block) for block in blocks]) == tuple(torch.block_diag(*blocks).shape)
        vectors = drawn(draw, sizes(draw, 3, 1))
        dims = [dim - draw.choice((0, vectors.dim() + 1)) for dim in draw.sample(range(vectors.dim() + 1), 2)]
        offset = draw.randint(-2, 2)
        real = torch.diag_embed(vectors, offset, *dims)
        assert diagonals(vectors.shape, offset, *dims) == tuple(real.shape)


def test_frames_of_a_signal_and_the_signal_of_frames():
    draw = random.Random(3)
    for _ in range(60):
        signal = torch.rand(draw.choice(((24,), (33,), (2, 32), (1, 40))))
        length, hop, onesided = draw.choice((8, 7, 12)), draw.choice((None, 2, 3)), draw.choice((None, True, False))
        options = {"window": torch.ones(length), "onesided": onesided, "return_complex": True}
        real = torch.stft(signal, length, hop, center=False, **options)
        result = spectrogram(meta_of(signal), length, hop, None, meta_of(options["window"]), onesided)
        assert result == (tuple(real.shape), real.stride(), 0)
        center, samples = draw.random() < 0.5, draw.choice((None, 5, 60))
        again = torch.istft(
            real if center else real.clone(), length, hop, None, torch.ones(length), center, False, onesided, samples
        )
        assert resynthesized(real.shape, length, hop, center, samples) == tuple(again.shape)


def test_of_no_channels_a_convolution_makes_none():
    for sizes_of in ((3,), (3, 4), (3, 4, 5)):
        weight = torch.zeros(5, 0, *(2 for _ in sizes_of))
        real = getattr(torch.nn.functional, f"conv{len(sizes_of)}d")(torch.zeros(2, 0, *sizes_of), weight)
        assert convolved((2, 0, *sizes_of), tuple(weight.shape), (1,), (0,), (1,)) == tuple(real.shape)


def transposed(*shape: int) -> torch.Tensor:
    return torch.rand(*shape).mT


EMPTY = (torch.zeros(1, 0, 3), torch.zeros(1, 0, 3), torch.zeros(5, 0, 3))
CALLS = {
    "kron": (torch.kron, torch.rand(3, 8)[:, ::2], torch.rand(2, 5)),
    "tensordot": (torch._VF.tensordot, transposed(3, 4), torch.rand(4, 5, 3), [0, 1], [0, -1]),
    "block_diag": (torch._VF.block_diag, [torch.rand(2, 3), torch.rand(4), torch.rand(())]),
    "diag_embed": (torch.diag_embed, transposed(3, 4), 1, 0, 2),
    "inner": (torch.inner, torch.rand(2, 3, 4), torch.rand(5, 4)),
    "vecdot": (torch.linalg.vecdot, transposed(3, 4), torch.rand(4, 3)),
    "quantile": (torch.quantile, torch.rand(3, 4, 5), torch.tensor([0.1, 0.5]), 1),
    "broadcast_tensors": (torch._VF.broadcast_tensors, [transposed(3, 4), torch.rand(3), torch.rand(2, 4, 3)]),
    "solve, batches of vectors": (torch.linalg.solve, torch.eye(3).repeat(4, 1, 1), torch.rand(4, 3)),
    "solve, one matrix for a batch": (torch.linalg.solve, torch.eye(2).repeat(3, 1, 1).mT, torch.rand(2, 2)),
    "isin": (torch.isin, transposed(3, 4), 0.5),
    "rrelu": (torch.rrelu, transposed(3, 4), 0.1, 0.3, False),
    "a packet": (torch.ops.aten._unsafe_index, torch.rand(4, 3, 2), [torch.zeros(2, 2, dtype=torch.int64).t()]),
    "the gradients of a convolution without channels": (
        torch.ops.aten.convolution_backward.default,
        *EMPTY,
        *([5], [1], [1], [1], False, [0], 1, [True, True, True]),
    ),
}


@needs_book
@pytest.mark.parametrize("name", CALLS)
def test_rules_predict_calls_in_layouts_of_their_own(name):
    target, *args = CALLS[name]
    outcome = EVALUATOR.evaluate(target, encode(tuple(args)), (), current_modes())
    assert outcome.trial is None
    assert plain(outcome) == plain(observe(target, *args))


@needs_book
@pytest.mark.parametrize(
    "call",
    [
        lambda book: book(torch._C._nn.glu, torch.rand(3), -1),
        lambda book: book(torch.heaviside, torch.rand(3), torch.rand(3).double()),
        lambda book: book(torch.layer_norm, torch.rand(2, 3), [4]),
        lambda book: book(torch.nn.functional.conv1d, torch.rand(2, 1, 5), torch.rand(4, 3, 2)),
        lambda book: book(torch.Tensor.masked_fill_, torch.rand(3), torch.ones(2, 3, dtype=torch.bool), 1),
        lambda book: book(torch.amax, torch.rand(0, 3), ()),
    ],
)
def test_rules_do_not_answer_calls_that_the_kernel_refuses(call):
    def book(target, *args):
        with pytest.raises((RuntimeError, IndexError)):
            target(*args)
        return EVALUATOR.book.answer(target, encode(args), (), current_modes())

    assert call(book) is None
