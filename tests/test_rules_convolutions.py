"""Layouts of convolutions: one law for one to three spatial dimensions, all dtypes and layouts, and for gradients."""

import random

import pytest
import torch

from passes.infer.assessment.assess import difference_of
from passes.infer.trials.observe import observe
from passes.meta import meta_of
from passes.operators.outcome import ListArg
from passes.rules.answer import Answerer
from passes.rules.book import Rulebook, shipped_folder
from passes.rules.primitives.windows import convolved_strides, transposed_convolved_strides
from tests.rulebooks import needs_book

LAYOUTS = ("row-major", "channels last", "transposed", "matrices", "sliced", "channels last, sliced", "expanded")
DTYPES = (torch.float32, torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64)


def laid(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    if layout == "channels last":
        return tensor.movedim(1, -1).contiguous().movedim(-1, 1)
    if layout == "transposed":
        return tensor.transpose(0, 1).contiguous().transpose(0, 1)
    if layout == "matrices":
        return tensor.mT.contiguous().mT
    if layout == "sliced":
        return torch.cat([tensor, tensor], 1)[:, : tensor.shape[1]]
    if layout == "channels last, sliced":
        return laid(torch.cat([tensor, tensor], 1), "channels last")[:, : tensor.shape[1]]
    return tensor[:1].expand_as(tensor) if layout == "expanded" else tensor


def matter(tensor: torch.Tensor, strides: tuple[int, ...]) -> bool:
    """Whether strides differ in a dimension that has more than one element."""
    return tensor.numel() > 0 and any(
        size > 1 and one != other for size, one, other in zip(tensor.shape, tensor.stride(), strides, strict=True)
    )


@pytest.mark.parametrize("seed", range(4))
def test_strides_of_convolutions_and_of_their_gradients(seed):
    draw = random.Random(seed)
    compared = 0
    for _ in range(150):
        dims, groups, dtype = draw.choice((1, 2, 3, 3)), draw.choice((1, 1, 2)), draw.choice(DTYPES)
        transposed, batch = draw.random() < 0.4, draw.choice((1, 2, 3, 16))
        stride, dilation = [draw.choice((1, 1, 2))] * dims, [draw.choice((1, 1, 2))] * dims
        more = [draw.choice((0, 0, 1)) if transposed else 0] * dims
        channels, out = groups * draw.choice((1, 2, 3)), groups * draw.choice((1, 2))
        kernel, sizes = ([draw.choice(each) for _ in range(dims)] for each in ((1, 1, 2, 3, 4), (1, 4, 7)))
        x = laid(torch.ones(batch, channels, *sizes, dtype=dtype), draw.choice(LAYOUTS))
        shape = (channels, out // groups) if transposed else (out, channels // groups)
        weight = laid(torch.ones(*shape, *kernel, dtype=dtype), draw.choice(LAYOUTS))
        settings = (stride, [0] * dims, dilation, transposed, more, groups)

        def expected(of, x=x, weight=weight, stride=stride, more=more, dilation=dilation, groups=groups):
            operands = tuple(of.shape), meta_of(x), meta_of(weight)
            return transposed_convolved_strides(*operands, tuple(stride), tuple(more), tuple(dilation), groups)

        try:
            result = torch.ops.aten.convolution(x, weight, None, *settings)
            gradient = laid(torch.ones_like(result, memory_format=torch.contiguous_format), draw.choice(LAYOUTS))
            gradients = torch.ops.aten.convolution_backward(gradient, x, weight, [out], *settings, [True, True, True])
        except RuntimeError:
            continue
        for tensor in (result, *gradients[:2]):
            assert not matter(tensor, expected(tensor)), (x.shape, x.stride(), weight.shape, weight.stride(), settings)
        compared += 1
    assert compared > 40


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_an_input_without_a_batch(dims):
    call = getattr(torch.nn.functional, f"conv{dims}d")
    for layout in LAYOUTS:
        x = laid(torch.ones(2, 3, *(5,) * dims), layout)[1]
        weight = laid(torch.ones(4, 3, *(3,) * dims), layout)
        result = call(x, weight)
        assert convolved_strides(tuple(result.shape), meta_of(x), meta_of(weight), 1, 1, 1) == result.stride()


@needs_book
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_shipped_rule_knows_layouts_of_input_and_weight(dims, dtype, groups):
    (rule,) = Rulebook(shipped_folder()).rules("aten::convolution", "aten")
    answerer = Answerer(rule)
    ones, zeros = ListArg((1,) * dims), ListArg((0,) * dims)
    answered = 0
    for first in LAYOUTS:
        for second in LAYOUTS:
            x = laid(torch.ones(2, 2 * groups, *(5,) * dims, dtype=dtype), first)
            weight = laid(torch.ones(4, 2, *(3,) * dims, dtype=dtype), second)
            arguments = {"input": meta_of(x), "weight": meta_of(weight), "bias": None, "stride": ones}
            arguments |= {"padding": zeros, "dilation": ones, "transposed": False}
            arguments |= {"output_padding": zeros, "groups": groups}
            answer = answerer.answer(arguments)
            if answer is not None:
                assert difference_of(answer, observe("aten::convolution", "aten", arguments, (0, 1))) is None
                answered += 1
    assert answered > 40
