"""In what two outcomes, metas or tensors differ, as data and in words."""

import torch

from passes.meta import TensorMeta
from passes.operators.difference import meta_difference, outcome_difference, strides_that_matter, tensor_difference
from passes.operators.outcome import New, Outcome, Same

ROWS = TensorMeta((2, 3), (3, 1))
COLUMNS = ROWS.replace(stride=(1, 2))


def words(expected: Outcome, actual: Outcome, **more: object) -> str:
    difference = outcome_difference(expected, actual, **more)
    return "" if difference is None else difference.words


def test_the_first_fact_in_which_metas_differ():
    difference = meta_difference(ROWS, COLUMNS.replace(dtype=torch.float64))
    assert difference is not None
    assert (difference.kind, difference.expected, difference.actual) == ("stride", (3, 1), (1, 2))
    assert meta_difference(ROWS, ROWS) is None and meta_difference(ROWS, COLUMNS, ("shape", "dtype")) is None


def test_forms_memory_and_writes_of_outcomes():
    new, view = Outcome(New(ROWS), {}), Outcome(New(ROWS, 0), {})
    assert words(new, new) == ""
    assert words(new, Outcome((New(ROWS), None), {})) == "the result: ('tensor', None) instead of tensor"
    assert words(new, view) == "the result: memory of argument 0 instead of new memory"
    assert words(Outcome(Same(1), {}), new) == "the result: new memory instead of argument 1 itself"
    assert words(new, Outcome(New(COLUMNS), {})) == "stride (1, 2) instead of (3, 1)"
    assert words(new, Outcome(New(ROWS), {1: ROWS})) == "argument 1: written to instead of left alone"
    written = Outcome(New(ROWS), {0: ROWS})
    assert words(written, Outcome(New(ROWS), {0: COLUMNS})) == (
        "argument 0 after the call: stride (1, 2) instead of (3, 1)"
    )
    assert words(written, new) == ""
    assert words(written, new, every_write=True) == "argument 0: left alone instead of written to"


def test_arguments_that_share_memory_are_one():
    expected, actual = Outcome(New(ROWS, 0), {0: ROWS}), Outcome(New(ROWS, 1), {1: ROWS})
    assert words(expected, actual, owner=lambda index: 0) == ""
    assert words(expected, actual) == "the result: memory of argument 1 instead of memory of argument 0"


def test_strides_of_real_tensors_count_where_there_are_two_elements():
    one, other = torch.empty_strided((1, 3), (3, 1)), torch.empty_strided((1, 3), (9, 1))
    assert strides_that_matter(one) == strides_that_matter(other) == (1,)
    assert strides_that_matter(torch.empty(0, 3)) == ()
    assert tensor_difference(one, other, ("shape", "strides")) is None
    difference = tensor_difference(torch.ones(2, 3), torch.ones(3, 2).t(), ("shape", "dtype", "strides"))
    assert difference is not None and difference.words == "strides (1, 2) instead of (3, 1)"
