"""Faults of compiled graphs as wholes: results that share memory or have another type, arguments and constants that are
touched, other sizes, other values, training. Each is found, by the kind of its difference, and the script shows it.
"""

import pytest
import torch
from torch import nn
from torch.fx import Graph, GraphModule

from backends.crosscheck.api import crosscheck
from backends.crosscheck.calls import ConcreteCall
from backends.crosscheck.sizes import other_sizes
from tests import compiler_faults as faults
from tests.test_crosscheck_faults import assert_fails, first_finding

X = torch.linspace(-2, 3, 24).reshape(4, 6)
ROW = torch.linspace(-1, 1, 32)
WANTED = X.clone().requires_grad_()


def views(x):
    doubled = x * 2
    return doubled, doubled[0]


def several(x):
    return x * 2, x * 3


def one(x):
    return x * 2


def sine(x):
    return torch.sin(x)


def sine_and_cosine(x):
    return torch.sin(x), torch.cos(x)


def without_gradients(x):
    with torch.no_grad():
        return torch.sin(x) * 2


# What is captured, its input, the compiler, the kind of the difference, and what was varied.
FAULTS = {
    "results that share memory are copied": (views, X, faults.changing(torch.clone), "aliasing", "values"),
    "results share memory": (several, X, faults.running(faults.in_one_memory), "aliasing", "values"),
    "one buffer at each call": (one, X, faults.in_one_buffer, "overwritten", "repeat"),
    "a number for a tensor": (
        lambda x: x.sum(), X, faults.changing(lambda part: part.item()), "type", "values"),
    "a parameter": (one, X, faults.changing(nn.Parameter), "type", "values"),
    "a subclass": (one, X, faults.changing(faults.tagged), "type", "values"),
    "an array": (one, X, faults.changing(lambda part: part.numpy()), "type", "values"),
    "the sign of zero": (
        lambda x: torch.neg(x), torch.tensor([0.0, 1, 2]), faults.changing(lambda part: part + 0.0), "sign", "values"),
    "strides": (lambda x: x.t() + 1, X, faults.changing(faults.contiguous), "strides", "values"),
    "a result that asks for gradients": (
        one, X, faults.changing(faults.differentiable), "requires_grad", "values"),
    "a detached result": (one, WANTED, faults.changing(faults.detached), "requires_grad", "training"),
    "an input written to with its own values": (
        lambda x: x.relu(), X, faults.running(faults.writing_back), "written", "values"),
    "an input that asks for gradients": (
        lambda x: x.relu(), X, faults.running(faults.asking_for_gradients), "requires_grad", "values"),
    "an input with a gradient": (
        lambda x: x.relu(), X, faults.running(faults.leaving_gradients), "grad", "values"),
    "an input with other strides": (
        lambda x: x.relu(), X, faults.running(faults.moving_inputs), "strides", "values"),
    "where gradients are recorded": (
        sine, X, faults.wrong_where(lambda _: torch.is_grad_enabled()), "values", "values"),
    "where inputs require gradients": (
        without_gradients, WANTED, faults.wrong_where(lambda inputs: inputs[0].requires_grad), "values", "training"),
    "a size of one": (
        lambda x: x.softmax(0), X, faults.wrong_where(lambda inputs: 1 in inputs[0].shape), "values", "size"),
    "a size of zero": (
        lambda x: x.sum(0), X, faults.wrong_where(lambda inputs: 0 in inputs[0].shape), "values", "size"),
    "a large size": (
        lambda x: x.exp(), ROW, faults.wrong_where(lambda inputs: inputs[0].numel() > 4096), "values", "size"),
    "another number of threads": (
        lambda x: x.cumsum(0), X,
        faults.wrong_where(lambda _, count=torch.get_num_threads(): torch.get_num_threads() != count),
        "values", "threads"),
    "a number of the first call": (one, X, faults.with_first_mean, "values", "other values"),
    "the addresses of inputs": (one, X, faults.remembering_addresses, "values", "other values"),
    "random numbers of the compilation": (
        lambda x: torch.dropout(x, 0.5, True), X, faults.with_first_numbers, "values", "other values"),
    "a constant slope": (sine, WANTED, faults.applying(faults.ConstantSlope), "gradient", "gradients"),
    "backward twice": (sine, WANTED, faults.applying(faults.SpentSlope), "gradient", "gradients"),
    "a gradient that is missing": (
        sine_and_cosine, WANTED, faults.applying(faults.OnesForNone), "gradient", "gradients"),
    "backward in bfloat16": (sine, WANTED, faults.applying(faults.HalfPrecisionSlope), "gradient", "gradients"),
}  # fmt: skip
# Those whose scripts have parts of their own.
SCRIPTS = (
    "results share memory",
    "one buffer at each call",
    "the sign of zero",
    "a detached result",
    "an input written to with its own values",
    "an input with a gradient",
    "a size of one",
    "a number of the first call",
    "random numbers of the compilation",
    "a constant slope",
    "backward twice",
    "a gradient that is missing",
)


def found(name, folder):
    program, tensor, candidate, _, _ = FAULTS[name]
    copy = tensor.detach().clone().requires_grad_(tensor.requires_grad)
    return first_finding(program, [copy], folder, candidate=candidate)


@pytest.mark.parametrize("name", FAULTS)
def test_found(name, tmp_path):
    finding = found(name, tmp_path)
    assert finding is not None, "not found"
    assert (finding.difference.kind, finding.variation.kind) == FAULTS[name][3:], finding
    assert finding.script is not None, finding.why


def test_scripts_fail_by_their_own_assertion(tmp_path):
    assert_fails(*(found(name, tmp_path).path for name in SCRIPTS))


def test_a_result_that_is_returned_twice():
    """Captured graphs return each value once; a graph by hand need not."""
    graph = Graph()
    doubled = graph.call_method("mul", (graph.placeholder("x"), 2))
    graph.output((doubled, doubled))
    module = GraphModule({}, graph)
    assert crosscheck(module, [X], candidate=faults.replaying).ok
    report = crosscheck(module, [X], candidate=faults.changing(lambda part: part.view_as(part)), shrink=0.0)
    assert report.first.difference.kind == "identity"


def test_a_constant_that_is_written_to():
    graph = Graph()
    graph.output((graph.call_method("mul", (graph.placeholder("x"), graph.get_attr("weight"))),))
    module = nn.Module()
    module.register_buffer("weight", torch.ones(6))
    module = GraphModule(module, graph)
    report = crosscheck(module, [X], candidate=faults.running(faults.writing_constants), shrink=0.0)
    assert report.first.difference.kind == "constant" and "weight" in report.first.difference.what
    assert torch.equal(module.weight, torch.ones(6))


def test_a_compiler_that_cannot_go_backward_again_is_not_wrong(tmp_path):
    """AOTAutograd's backward of dropout cannot be differentiated, and says so."""
    copy = X.clone().requires_grad_()
    assert first_finding(lambda x: torch.dropout(x.tanh(), 0.5, True), [copy], tmp_path, candidate="aot_eager") is None


def test_zeros_for_gradients_that_are_missing_will_do(tmp_path):
    """As AOTAutograd gives them: for an exponential that is infinite, they make NaN."""
    tensor = torch.tensor([0.0, 1000.0], requires_grad=True)
    options = {"candidate": "aot_eager", "check_gradients": False}
    assert first_finding(lambda x: (x.exp(), x * 2), [tensor], tmp_path, **options) is None


def test_an_operator_without_derivative_is_no_fault_of_a_compiler(tmp_path):
    tensor = X.clone().requires_grad_()
    options = {"candidate": "aot_eager", "check_gradients": False}
    assert first_finding(lambda x: (x // 0.7, x * 2), [tensor], tmp_path, **options) is None


def test_where_a_greater_zero_is_chosen_either_will_do(tmp_path):
    """Kernels that differ by the number of elements differ in the sign of maximum(-0, 0)."""
    zeros = torch.tensor([0.0, -0.0, 1.0])
    other = faults.running(lambda module, inputs: tuple(part + 0.0 for part in module(*inputs)))
    assert first_finding(lambda x: torch.maximum(x, -x), [zeros], tmp_path, candidate=other) is None


def test_sizes_are_not_varied_where_kernels_believe_them(tmp_path):
    """oneDNN ends the process for weights of an LSTM that do not fit each other."""
    graph = Graph()
    x, hidden, weights = (graph.placeholder(name) for name in ("x", "hidden", "weights"))
    graph.output(graph.call_function(torch.lstm, (x, hidden, weights)))
    assert not list(other_sizes(ConcreteCall(GraphModule({}, graph), (X, X, X))))
    graph = Graph()
    graph.output((graph.call_function(torch.sin, (graph.placeholder("x"),)),))
    words = [words for words, _ in other_sizes(ConcreteCall(GraphModule({}, graph), (X,)))]
    assert words[:2] == ["1 for sizes of 4", "0 for sizes of 4"] and len(words) == 6
