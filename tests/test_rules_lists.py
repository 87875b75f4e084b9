"""Rules of the shipped book about lists of tensors of any length, and others whose evidence once lacked what varies."""

import functools
import itertools
from typing import Any

import pytest
import torch

from passes.meta import meta_of
from passes.operators.difference import outcome_difference
from passes.operators.modes import Modes
from passes.operators.outcome import ListArg
from passes.operators.stand_ins import REAL
from passes.operators.trial import attempt
from passes.rules.book import Rulebook, shipped_folder
from tests.rulebooks import needs_book

pytestmark = needs_book
FACTS = ("shape", "stride", "dtype", "storage_offset", "requires_grad")
MATRICES = [torch.rand(2, 3), torch.rand(4, 3).t(), torch.rand(4, 10)[:, ::2], torch.rand(5, 6)]
OTHERS = [torch.rand(3, 4).t(), torch.rand(()), torch.rand(0, 2), torch.rand(2, 3, 4).permute(2, 0, 1), torch.rand(7)]
ONE_BY_ONE = ("abs", "exp", "neg", "sqrt")
BETWEEN = ("add", "div", "mul", "sub")


@functools.cache
def book() -> Rulebook:
    """The shipped book."""
    return Rulebook(shipped_folder())


def metas(argument: Any) -> Any:
    """Arguments as an evaluator is given them."""
    if isinstance(argument, torch.Tensor):
        return meta_of(argument)
    if isinstance(argument, list | tuple):
        return (ListArg if isinstance(argument, list) else tuple)(map(metas, argument))
    return argument


def is_told(function: Any, *arguments: Any) -> bool:
    """Whether the book predicts what the real operator does with a call. Fails if it predicts anything else."""
    args = metas(arguments)
    outcome = book().answer(function, args, (), Modes())
    if outcome is None:
        return False
    real = attempt(REAL, function, args, (), Modes())
    assert outcome_difference(outcome, real, FACTS, every_write=True) is None, (outcome, real)
    return True


@pytest.mark.parametrize("length", [1, 2, 5, 20])
@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_lists_are_changed_one_by_one(name, length):
    tensors = list(itertools.islice(itertools.cycle(OTHERS), length))
    assert is_told(getattr(torch.ops.aten, f"_foreach_{name}_").default, tensors)
    assert is_told(getattr(torch, f"_foreach_{name}"), tensors)


@pytest.mark.parametrize("name", [*ONE_BY_ONE, *BETWEEN])
def test_functions_that_change_lists_hand_over_what_they_were_given(name):
    """A list or a tuple, of which rules know no difference: no rule answers, and a trial tells."""
    function, other = getattr(torch, f"_foreach_{name}_"), () if name in ONE_BY_ONE else (2.0,)
    assert book().answer(function, metas((OTHERS, *other)), (), Modes()) is None
    assert type(function(tuple(map(torch.clone, OTHERS)), *other)) is tuple


@pytest.mark.parametrize("name", BETWEEN)
def test_overloads_take_lists_or_numbers(name):
    others = {"List": [each.clone() for each in OTHERS], "Scalar": 2.0}
    for overload, other in others.items():
        assert is_told(getattr(getattr(torch.ops.aten, f"_foreach_{name}"), overload), OTHERS, other)


@pytest.mark.parametrize("name", ["abs", "exp", "norm"])
def test_an_empty_list_is_refused(name):
    assert book().answer(getattr(torch, f"_foreach_{name}"), (ListArg(),), (), Modes()) is None


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_product_of_any_number_of_matrices(count):
    assert is_told(torch._VF.chain_matmul, MATRICES[:count])


@pytest.mark.parametrize("size", [(4, 5), (3, 4, 5), (2, 2, 2), (5, 1, 3)])
def test_a_grid_has_the_sizes_of_the_result(size):
    dims = len(size)
    image, grid = torch.rand(2, 3, *(4, 2, 6)[:dims]), torch.rand(2, *size, dims)
    assert is_told(torch.grid_sampler, image, grid, 0, 0, False)
    assert is_told(torch.grid_sampler, image.transpose(-1, -2), grid.transpose(1, 2), 0, 0, False)


@pytest.mark.parametrize(("shape", "indices"), [((2, 3), (2, 1)), ((2, 3), (1, 5)), ((1, 3), (4, 0)), ((0, 3), (0, 2))])
def test_indices_along_a_dimension_broadcast_in_the_others(shape, indices):
    chosen = torch.zeros(indices, dtype=torch.int64)
    assert is_told(torch.take_along_dim, torch.rand(shape), chosen, 1)
    assert is_told(torch.take_along_dim, torch.rand(shape[::-1]).t(), chosen, -1)


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("columns", [0, 3])
@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
def test_a_product_of_nothing_has_the_shape_of_what_is_added(rows, columns):
    for function in (torch.addmv, torch.ops.aten.addmv.default):
        for added in (torch.rand(rows), torch.rand(1)):
            assert is_told(function, added, torch.rand(rows, columns), torch.rand(columns))


@pytest.mark.parametrize("parameters", [torch.bfloat16, torch.float32])
def test_gradients_of_parameters_have_their_type(parameters):
    x = torch.rand(2, 3, 4, dtype=torch.bfloat16)
    weight, mean, variance = torch.rand(3, 3).to(parameters)
    for each in (weight, None):
        call = (x, x, each, mean, variance, mean, variance, True, 1e-5, [True, True, True])
        assert is_told(torch.ops.aten.native_batch_norm_backward.default, *call)
