"""What the check covers, and that it leaves everything as it was."""

import json

import pytest
import torch
from torch import nn
from torch.fx import Graph, GraphModule

from backends.crosscheck.api import crosscheck
from backends.crosscheck.calls import ConcreteCall, alias_preserving
from backends.crosscheck.candidates import CompilerCandidate
from backends.crosscheck.layouts import LAYOUTS, gaps, gaps_written, laid_out
from backends.crosscheck.operators import is_torchs
from backends.crosscheck.sweep import CrosscheckTrial, Variation
from backends.handover import BadOptions
from backends.registry import UnknownBackend, list_backends
from tests import planted  # noqa: F401  (registers the operators)
from tracer import capture

X = torch.linspace(-2, 3, 24).reshape(4, 6)


def checked(program, *args, **options):
    """The reports of a program's graphs, and what the program returned."""
    reports = []
    result = capture(program, backend="crosscheck", options={"report": reports.append, "shrink": 0.0, **options})(*args)
    return reports, result


def program(x, weight):
    noise = torch.rand(x.shape)
    x.add_(noise)
    with torch.no_grad():
        hidden = torch.relu(x @ weight)
    view = hidden.t()
    view.mul_(2)
    return hidden, view, torch.nn.functional.dropout(hidden, 0.5)


def test_the_program_does_what_it_does_without():
    """Results, mutation, aliasing, random numbers."""
    outcomes = []
    for run in (program, lambda *args: checked(program, *args)[1]):
        torch.manual_seed(3)
        x = X.clone()
        hidden, view, dropped = run(x, torch.ones(6, 3))
        assert view.untyped_storage().data_ptr() == hidden.untyped_storage().data_ptr()
        outcomes.append((x, hidden.clone(), dropped, torch.rand(2)))
    for plain, found in zip(*outcomes):
        assert torch.equal(plain, found)


def test_a_right_program_has_no_findings():
    reports, _ = checked(program, X.clone(), torch.ones(6, 3))
    assert [report.ok for report in reports] == [True]
    assert reports[0].checked == reports[0].calls > 5
    assert json.loads(json.dumps(reports[0].to_json(), default=str))["ok"] is True


MODELS = {
    "convolutions": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2)),
        lambda: (torch.randn(2, 3, 8, 8),),
    ),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        lambda: (torch.randn(2, 5, 16),),
    ),
    "recurrent": (lambda: nn.LSTM(4, 8, 2), lambda: (torch.randn(5, 2, 4),)),
    "bfloat16": (
        lambda: nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8)).bfloat16(),
        lambda: (torch.randn(3, 8).bfloat16(),),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_without_false_alarm(name):
    torch.manual_seed(0)
    make, inputs = MODELS[name]
    model, given = make(), inputs()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    reports, _ = checked(model, *given, check_gradients=True, most=9)
    assert reports and all(report.ok for report in reports), "\n".join(map(str, reports))
    expected, _ = make(), None
    assert all(before[key].shape == value.shape for key, value in model.state_dict().items())


def test_a_compiler_with_gradients():
    """AOTAutograd's graphs, forward and backward, whole."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2))
    reports, _ = checked(model, X.clone(), candidate="aot_eager")
    assert reports[0].ok and reports[0].candidate == "aot_eager", reports[0]
    # Values, in training, seven ways of going backward, again, poison, other values, threads, five layouts, six sizes,
    # five contents.
    assert reports[0].variations == 36


def no_grad_compiler(graph_module, example_inputs):
    """Forgets to scale what flows back."""

    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            ctx.save_for_backward(*inputs)
            return graph_module(*inputs)[0]

        @staticmethod
        def backward(ctx, gradient):
            return tuple(torch.ones_like(one) for one in ctx.saved_tensors)

    return lambda *inputs: (Backward.apply(*inputs),)


def test_wrong_gradients_of_a_compiler():
    reports, _ = checked(lambda x: torch.sin(x) * 2, X.clone().requires_grad_(), candidate=no_grad_compiler)
    assert reports[0].first.difference.kind == "gradient"


def test_strides_and_aliases_of_a_compiler():
    def restrided(graph_module, example_inputs):
        return lambda *inputs: tuple(part.contiguous() for part in graph_module(*inputs))

    def cloning(graph_module, example_inputs):
        return lambda *inputs: tuple(part.clone() for part in graph_module(*inputs))

    strides = checked(lambda x: x.t() + 1, X.clone(), candidate=restrided)[0][0]
    aliases = checked(lambda x: x.t(), X.clone(), candidate=cloning)[0][0]
    assert strides.first.difference.kind == "strides"
    assert aliases.first.difference.kind == "aliasing"


def test_a_mutation_that_a_compiler_loses():
    def functional(graph_module, example_inputs):
        return lambda *inputs: graph_module(*(one.clone() for one in inputs))

    reports, _ = checked(lambda x: x.add_(1).sum(), X.clone(), candidate=functional)
    assert "after the call" in reports[0].first.difference.what or reports[0].first.difference.kind == "aliasing"


def test_an_error_of_a_compiler_is_a_finding():
    def failing(graph_module, example_inputs):
        raise RuntimeError("no such instruction")

    reports, _ = checked(lambda x: x + 1, X.clone(), candidate=failing)
    assert reports[0].first.difference.kind == "error" and "no such instruction" in str(reports[0])


def test_a_stale_read_of_the_program_itself():
    """`empty` and a read of it: the operator that first reads it is named."""

    def reads(x):
        out = torch.empty(x.shape)
        out[:2] = x[:2]
        return out.sum()

    def fills(x):
        out = torch.empty(x.shape)
        out.copy_(x)
        return out.sum()

    assert checked(fills, X.clone())[0][0].ok
    finding = checked(reads, X.clone())[0][0].first
    assert finding.difference.kind == "uninitialised" and "out.sum()" in finding.line


def test_a_dtype_as_candidate():
    reports, result = checked(lambda x: torch.softmax(x @ x.t(), -1), X.clone(), dtype=torch.bfloat16)
    assert reports[0].ok and reports[0].candidate == "torch.bfloat16"
    assert result.dtype is torch.float32


def test_latent_bugs_of_torch_are_no_findings():
    """GELU writes a strided `out=` elsewhere (see REAL_BUGS in test_crosscheck_operators): told, and not counted."""
    reports, _ = checked(lambda x: torch.nn.functional.gelu(x), X.clone())
    assert reports[0].ok
    assert [finding.operator for finding in reports[0].latent] == ["gelu"]
    assert is_torchs(ConcreteCall(torch.add, ())) and not is_torchs(ConcreteCall(torch.ops.planted.prefix, ()))


def test_by_hand():
    graph = Graph()
    x = graph.placeholder("x")
    graph.output((graph.call_method("clamp", (x,), {"min": 0.5}),))
    report = crosscheck(GraphModule({}, graph), [X])
    assert report.ok and report.calls == 1


def test_modules_in_a_graph():
    model = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)).double().float()
    before = model[1].running_mean.clone()
    report = crosscheck(torch.fx.symbolic_trace(model), [X])
    assert report.ok and torch.equal(model[1].running_mean, before), report


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"layout": True}, BadOptions, "no option 'layout'"),
        ({"candidate": "nonsense"}, UnknownBackend, "nonsense"),
        ({"candidate": "crosscheck"}, BadOptions, "itself"),
        ({"dtype": torch.int32}, BadOptions, "floating dtype"),
    ],
    ids=["option", "candidate", "itself", "dtype"],
)
def test_bad_options(options, error, words):
    with pytest.raises(error, match=words):
        capture(lambda x: x + 1, backend="crosscheck", options=options)(X)


def test_listed():
    assert "crosscheck" in list_backends()


# Parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_have_the_values_and_poisoned_gaps(layout):
    tensor = torch.arange(1.0, 121.0).reshape(2, 3, 4, 5)
    other = laid_out(tensor, layout)
    assert torch.equal(other, tensor if layout != "expanded" else tensor[:1].expand(tensor.shape))
    assert gaps(other).isnan().all() and gaps(other).numel() > 0
    assert gaps_written(other) == 0
    other.as_strided((1,), (1,), other.untyped_storage().nbytes() // 4 - 1).fill_(0)
    assert gaps_written(other) == 1


def test_copies_share_memory_as_the_originals_do():
    base = torch.arange(12.0).reshape(3, 4)
    left, right, alone = base[:, :2], base.t()[1], torch.ones(2)
    copies = alias_preserving([left, right, alone])
    one, other, third = copies[id(left)], copies[id(right)], copies[id(alone)]
    one.fill_(7)
    assert other[0] == 7 and third[0] == 1 and base[0, 0] == 0
    assert (one.stride(), other.stride()) == (left.stride(), right.stride())


def test_each_variation_alone():
    """A row of the table for each bug: an operator that has it, and the row that shows it."""

    def examined(target, variation, *args):
        with torch.no_grad():
            return CrosscheckTrial(ConcreteCall(target, args), CompilerCandidate(), torch.get_rng_state()).examine(
                variation
            )

    assert examined(torch.ops.planted.row_sums, Variation("layout", "transposed"), X).kind == "values"
    assert examined(torch.ops.planted.prefix, Variation("poison"), X).kind == "uninitialised"
    assert examined(torch.ops.planted.mean_of_rows, Variation("repeat"), X).kind == "nondeterministic"
    assert examined(lambda x: x.as_strided((30,), (1,), 0).fill_(0), Variation("values"), X.clone()) is None
    assert examined(writes_around, Variation("layout", "sliced"), X.clone()).kind == "outside"
    assert examined(few_threads, Variation("threads"), X).kind == "values"


def writes_around(x):
    x.untyped_storage().fill_(0)
    return x + 0


def few_threads(x):
    return x + (torch.get_num_threads() == EXPECTED_THREADS)


EXPECTED_THREADS = torch.get_num_threads()


def test_a_compiler_that_is_not_deterministic():
    counter = [0]

    def noisy(graph_module, example_inputs):
        def run(*inputs):
            counter[0] += 1
            return tuple(part + 1e-6 * (counter[0] % 2) * part.abs().max() * 50 for part in graph_module(*inputs))

        return run

    reports, _ = checked(lambda x: x * 2, X.clone(), candidate=noisy, layouts=False)
    assert reports[0].first.difference.kind in ("nondeterministic", "values")
