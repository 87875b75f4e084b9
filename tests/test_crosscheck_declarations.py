"""Operators that are not what they declare: each is found unasked, by itself and in what a compiler compiles, at its
line, by a script that fails by its own assertion. What is as it declares is not reported.
"""

import pytest
import torch

from backends.gradients import check_gradients
from tests import lying_operators
from tests.compiler_faults import replaying
from tests.faults import X
from tests.test_crosscheck_faults import assert_fails, first_finding

ops = torch.ops.lying
WANTED = X.clone().requires_grad_()

# A program, its input, and the kind of the difference.
LIES = {
    "returns its argument": (lambda x: ops.same(x * 2), X, "shared"),
    "returns a view of it": (lambda x: ops.first_row(x * 2), X, "shared"),
    "returns one tensor twice": (lambda x: ops.twice(x * 2), X, "shared"),
    "returns a tensor and its view": (lambda x: ops.two_views(x * 2), X, "shared"),
    "does not return what it writes to": (lambda x: ops.never_writes_(x * 2), X, "apart"),
    "returns one memory at each call": (lambda x: ops.same_buffer(x * 2), X, "overwritten"),
    "writes to its second argument": (lambda x: ops.write_second(x, x + 1), X, "mutation"),
    "writes to a view of its argument": (lambda x: ops.write_to_view_of(x * 2), X, "mutation"),
    "writes to one of a list": (lambda x: ops.rectified_list([x + 1, x + 2]), X, "mutation"),
    "makes its argument larger": (lambda x: ops.grown(x * 2), X, "mutation"),
    "transposes its argument": (lambda x: ops.transposed_itself(x * 2), X, "mutation"),
    "one dimension too many": (lambda x: ops.wrong_rank(x * 2), X, "fake"),
    "another size": (lambda x: ops.wrong_size(x * 2), X, "fake"),
    "another dtype": (lambda x: ops.wrong_dtype(x * 2), X, "fake"),
    "other strides": (lambda x: ops.wrong_strides(x * 2), X, "fake"),
    "another number of results": (lambda x: ops.wrong_count(x * 2), X, "fake"),
    "writes to the gradient it is given": (lambda x: ops.spoils_gradient(x * 2), WANTED, "backward"),
    "writes to its argument in backward": (lambda x: ops.spoils_saved(x * 2), WANTED, "backward"),
    "another gradient each second time": (lambda x: ops.counts_backwards(x * 2), WANTED, "backward"),
    "another result by the number of threads": (lambda x: ops.threaded(x * 2), X, "values"),
}
SLOPES = {
    "half of the gradient": lambda x: ops.half_derivative(x * 2),
    "no gradient": lambda x: ops.no_gradient(x * 2),
    "gradients of one another": lambda x: ops.swapped_gradients(x * 2, x + 1),
}


@pytest.mark.parametrize("candidate", [None, replaying], ids=["operators", "whole"])
@pytest.mark.parametrize("name", LIES)
def test_found_named_and_written(name, candidate, tmp_path):
    program, tensor, kind = LIES[name]
    options = {} if candidate is None else {"candidate": candidate}
    finding = first_finding(
        program, [tensor.detach().clone().requires_grad_(tensor.requires_grad)], tmp_path, **options
    )
    assert finding is not None, "not found"
    assert finding.operator.removeprefix("torch.ops.lying.") in program.__code__.co_names, finding
    assert finding.difference.kind == kind, finding
    assert f'"{name}"' in finding.line
    assert finding.script is not None, finding.why
    if candidate is None:
        assert_fails(finding.path)


@pytest.mark.parametrize("name", SLOPES)
def test_wrong_gradients_are_found_by_slopes(name, tmp_path):
    report = check_gradients(SLOPES[name], [WANTED], folder=tmp_path, shrink=1.0, verify=False)
    assert report.findings and f'"{name}"' in report.findings[0].line
    assert_fails(report.findings[0].path)


@torch.library.custom_op("honest::shifted_", mutates_args={"x"})
def shifted_(x: torch.Tensor, by: float) -> None:
    x.add_(by)


def keep_factor(ctx, inputs, output):
    ctx.save_for_backward(inputs[1])
    ctx.factor = inputs[0]


@torch.library.custom_op("honest::times", mutates_args=())
def times(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x * y


times.register_fake(lambda x, y: torch.empty_like(x))
times.register_autograd(
    lambda ctx, gradient: (gradient * ctx.saved_tensors[0], gradient * ctx.factor), setup_context=keep_factor
)

lying_operators.define(
    "columns(Tensor x) -> Tensor[]",  # of one memory, which have no element in common
    lambda x: list(torch.cat([x, x * 2, x * 3], 1).split(x.shape[1], 1)),
    lambda x: list(x.new_empty(len(x), 3 * x.shape[1]).split(x.shape[1], 1)),
)
lying_operators.define("view_of(Tensor(a) x) -> Tensor(a)", lambda x: x.view(-1), lambda x: x.view(-1))
lying_operators.define("copy_for_a_view(Tensor(a) x) -> Tensor(a)", lambda x: x.clone(), torch.empty_like)
lying_operators.define("itself_(Tensor(a!) x) -> Tensor(a!)", lambda x: x.add_(1), lambda x: x)
lying_operators.define("without_fake(Tensor x) -> Tensor", lambda x: x[x > 0].clone())


@pytest.mark.parametrize("candidate", [None, replaying], ids=["operators", "whole"])
@pytest.mark.parametrize(
    "program",
    [
        lambda x: ops.columns(x * 2),
        lambda x: torch.ops.honest.times(x, x + 1),
        lambda x: (ops.view_of(x * 2), ops.copy_for_a_view(x * 3)),
        lambda x: ops.itself_(x * 2),
        lambda x: ops.without_fake(x * 2),
        lambda x: (y := x * 2, torch.ops.honest.shifted_(y, 1.0))[0],
    ],
)
@pytest.mark.parametrize("trains", [False, True])
def test_no_false_alarm(program, candidate, trains, tmp_path):
    options = {} if candidate is None else {"candidate": candidate}
    options |= {"layouts": False, "check_gradients": False}
    finding = first_finding(program, [X.clone().requires_grad_(trains)], tmp_path, shrink=0.0, **options)
    assert finding is None or finding.variation.kind not in ("writes",), finding
