"""Backward operators that are told which gradients to compute: None, or a tensor, in the place of the others."""

import itertools

import pytest

from passes.infer.assessment.assess import difference_of
from passes.infer.trials.observe import observe
from passes.meta import TensorMeta
from passes.operators.outcome import ListArg
from passes.rules.answer import Answerer
from passes.rules.book import Rulebook, shipped_folder
from passes.rules.primitives.layouts import contiguous
from tests.rulebooks import needs_book


def floats(*shape: int) -> TensorMeta:
    return TensorMeta(shape, contiguous(shape))


GRID = ("grad_output", "input", "grid")
PLANES = dict(zip(GRID, (floats(2, 3, 2, 4), floats(2, 3, 4, 5), floats(2, 2, 4, 2)), strict=True))
VOLUMES = dict(zip(GRID, (floats(2, 3, 2, 4, 3), floats(2, 3, 4, 5, 3), floats(2, 2, 4, 3, 3)), strict=True))
MODES = {"interpolation_mode": 0, "padding_mode": 0, "align_corners": False}
ROWS = {"grad_out": floats(4, 6), "input": floats(4, 6), "normalized_shape": ListArg((6,))}
ROWS |= {"mean": floats(4, 1), "rstd": floats(4, 1), "weight": floats(6), "bias": floats(6)}
CASES = {
    "aten::grid_sampler_2d_backward": (PLANES | MODES, 2),
    "aten::grid_sampler_3d_backward": (VOLUMES | MODES, 2),
    "aten::native_layer_norm_backward": (ROWS, 3),
}


@needs_book
@pytest.mark.parametrize("op", CASES)
def test_a_gradient_that_is_not_asked_for_is_what_the_operator_makes_of_it(op):
    arguments, count = CASES[op]
    tensors = sum(isinstance(value, TensorMeta) for value in arguments.values())
    (rule,) = Rulebook(shipped_folder()).rules(op, "aten")
    answered = 0
    for mask in itertools.product((True, False), repeat=count):
        call = observe(op, "aten", arguments | {"output_mask": ListArg(mask)}, tuple(range(tensors)))
        answer = Answerer(rule).answer(call.arguments)
        assert answer is None or difference_of(answer, call) is None, mask
        answered += answer is not None
    assert answered >= 1
