"""Patterns, matching, hazards, and the pipeline."""

import json
import operator

import pytest
import torch
from torch import nn

import tracer
from passes.rewrite.inputs import tensor
from passes.rewrite.pattern import Pattern, RuleError
from passes.rewrite.rule import RewriteRule
from passes.rewrite.rules import STANDARD
from passes.rewrite.rules.redundant import REDUNDANT
from tests.rewriting import gradients, rewritten
from tracer.events import LOG
from tracer.rewriting import RULES, check_rule, patterns, pipeline, rewrite, rewrite_rule, rewriting

X, Y = torch.randn(3, 4), torch.randn(3, 4)


def square_sum(x, y):
    return x * x + y


def addcmul(x, y):
    return torch.addcmul(y, x, x)


PAIR = {"x": tensor(3, 4), "y": tensor(3, 4)}
SQUARE_SUM = RewriteRule("square sum", (square_sum,), addcmul, PAIR)


@pytest.mark.parametrize(
    "program",
    [
        lambda x, y: x * x + y,
        lambda x, y: torch.add(y, torch.mul(x, x)),
        lambda x, y: y.add(x.square()),
        lambda x, y: operator.add(x**2, y),
        lambda x, y: torch.pow(x, 2.0) + y,
    ],
)
def test_spellings_and_operand_orders_are_one(program):
    report = rewritten([SQUARE_SUM], program, X, Y)
    assert report.counts == {"square sum": 1}
    assert "torch.addcmul" in report.after


@pytest.mark.parametrize("program", [lambda x, y: x * y + y, lambda x, y: x**3 + y, lambda x, y: x * x - y])
def test_what_is_not_the_pattern_is_left(program):
    report = rewritten([SQUARE_SUM], program, X, Y)
    assert report.idle == ["square sum"]
    assert not report.diff


def test_open_constants_are_bound_once():
    def scaled_twice(x, a):
        return (x * a).sin() * a

    def swapped(x, a):
        return a * torch.sin(a * x)

    rule = RewriteRule("twice", (scaled_twice,), swapped, {"x": tensor(3), "a": 0.37})
    assert rewritten([rule], lambda x: (x * 3.0).sin() * 3.0, X).counts["twice"] == 1
    assert rewritten([rule], lambda x: (x * 3.0).sin() * 4.0, X).counts["twice"] == 0


def test_conditions_on_metas():
    wide = RewriteRule(
        "wide", (square_sum,), addcmul, PAIR, where=lambda match: "" if match.meta("x").shape[-1] > 4 else "narrow"
    )
    report = rewritten([wide], lambda x, y: x * x + y, X, Y)
    assert [refusal.why for refusal in report.refusals] == ["narrow"]
    assert "wide not at test_rewrite.py" in str(report)
    assert rewritten([wide], lambda x, y: x * x + y, torch.ones(2, 9), torch.ones(2, 9)).counts["wide"] == 1


def test_several_outputs():
    def both(x, y):
        return (x + y).sin(), (x - y).cos()

    def swapped(x, y):
        return torch.sin(y + x), torch.cos(-(y - x))

    rule = RewriteRule("both", (both,), swapped, PAIR)
    report = rewritten([rule], lambda x, y: (x - y).cos() * (x + y).sin(), X, Y)
    assert report.counts["both"] == 1
    assert len(report.firings[0].removed) == 4


# Hazards -----------------------------------------------------------------------------------------


def test_a_write_between_is_not_crossed():
    def program(x, y):
        z = x.clone()
        square = z * z
        z.add_(1)
        return square + y, z

    report = rewritten([SQUARE_SUM], program, X, Y)
    assert "add writes to what it reads" in [refusal.why for refusal in report.refusals]


def test_a_write_through_a_view_is_seen():
    def program(x, y):
        z = x.clone()
        row = z[0]
        square = z * z
        row.zero_()
        return square + y

    assert "zero writes to what it reads" in [
        refusal.why for refusal in rewritten([SQUARE_SUM], program, X, Y).refusals
    ]


def test_a_write_to_something_else_does_not_matter():
    def program(x, y):
        other = y.clone()
        square = x * x
        other.add_(1)
        return square + y, other

    assert rewritten([SQUARE_SUM], program, X, Y).counts["square sum"] == 1


def test_an_intermediate_that_is_used_elsewhere_stays():
    report = rewritten([SQUARE_SUM], lambda x, y: ((s := x * x) + y, s), X, Y)
    assert [refusal.why for refusal in report.refusals] == ["mul is used elsewhere"]


def test_modes_are_not_mixed():
    def program(x, y):
        with torch.no_grad():
            square = x * x
        return square + y

    assert rewritten([SQUARE_SUM], program, X, Y).refusals[0].why == "a mode changes within it"


def test_a_result_keeps_its_layout():
    def transposed_sum(x, y):
        return x + y.t()

    def flipped(x, y):
        return (x.t() + y).t()

    rule = RewriteRule("flip", (transposed_sum,), flipped, {"x": tensor(3, 4), "y": tensor(4, 3)})
    other, square = torch.randn(4, 3), torch.randn(4, 4)
    for program, args in [
        (lambda x, y: x + y.t(), (X, other)),
        (lambda x, y: (x + y.t()).view(12), (X, other)),
        (lambda x, y: x + y.t(), (square, square)),
        (lambda x, y: (x + y.t()).view(16).sin(), (square, square)),
    ]:
        assert rewritten([rule], program, *args).counts["flip"] == 1


def test_what_is_returned_does_not_become_its_argument():
    def program(x):
        return x.view(3, 4), x * 1.0

    report = rewritten([REDUNDANT], program, X)
    assert report.counts["redundant views and casts"] == 0
    captured = tracer.capture(program, backend=rewriting("eager", [REDUNDANT]))
    view, copy = captured(X)
    assert view is not X and copy.data_ptr() != X.data_ptr()


# Rules as data, and their checks -------------------------------------------------------------------


def test_patterns_are_data():
    (found,) = patterns(SQUARE_SUM)
    assert found.place.startswith("test_rewrite.py:") and len(found) == 2 and found.inputs == ("x", "y")
    again = Pattern.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found and str(again) == str(found)
    for rule in STANDARD:
        for pattern in patterns(rule) if isinstance(rule, RewriteRule) else ():
            assert Pattern.from_json(json.loads(json.dumps(pattern.to_json()))) == pattern


@pytest.mark.parametrize("data", [{}, {"name": 3}, {**patterns(SQUARE_SUM)[0].to_json(), "calls": [3]}, []])
def test_other_data_is_no_pattern(data):
    with pytest.raises(RuleError, match="no pattern"):
        Pattern.from_json(data)


def test_a_decorated_function_is_a_rule():
    @rewrite_rule(addcmul, PAIR, name="decorated")
    def pattern(x, y):
        return x * x + y

    assert pattern.name == "decorated" and check_rule(pattern) > 30


@pytest.mark.parametrize(
    "pattern, replacement, example, message",
    [
        (square_sum, lambda x, y: (x, torch.sin(y)), PAIR, "results of operators, each its own"),
        (square_sum, lambda x, y: (torch.sin(x), torch.sin(y)), PAIR, "gives 1 tensors, the replacement 2"),
        (square_sum, lambda x, y: (x * x + y).sum(), PAIR, r"f32\[3, 4\], of the replacement f32\[\]"),
        (square_sum, lambda x, z: x + z, PAIR, "takes z, which the pattern has no use of"),
        (square_sum, addcmul, {"x": tensor(3)}, "gives no y"),
        (lambda x: x, torch.sin, {"x": tensor(3)}, "no tensor operation"),
        (lambda x: x if x.sum() > 0 else -x, lambda x: -x, {"x": tensor(3)}, "captured whole"),
        (lambda x, a: x + 1, lambda x: 1 + x, {"x": tensor(3), "a": 0.5}, "a=0.5 does not occur"),
        (lambda x, a, b: x * a + b, lambda x: x, {"x": tensor(3), "a": 2, "b": 2.0}, "the same value"),
        (lambda x, y: (x.sin(), y.sin()), lambda x, y: (x.sin(), y.sin()), PAIR, "share no tensor"),
        (square_sum, lambda x, y: y.addcmul_(x, x), PAIR, "writes to a tensor"),
        (lambda x: x + X, lambda x: x, {"x": tensor(3, 4)}, "not an argument|tensor of its own"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_when_it_is_made(pattern, replacement, example, message):
    with pytest.raises(RuleError, match=message):
        RULES.spellings(RewriteRule("wrong", (pattern,), replacement, example))


@pytest.mark.parametrize(
    "replacement, message",
    [
        (lambda x, y: torch.addcmul(y, x, x, value=1.01), "float32 inputs, contiguous: result 0 differs"),
        (lambda x, y: x.detach() * x + y, "the gradient of x differs"),
        (lambda x, y: (x.t().contiguous().t() ** 2 if x.is_contiguous() else x) + y, "transposed: result 0 differs"),
        (lambda x, y: (x**2 if x.dtype is torch.float32 else x) + y, "float64 inputs, contiguous: result 0 differs"),
    ],
)
def test_a_wrong_rule_is_found_before_its_first_use(replacement, message):
    rule = RewriteRule("wrong", (square_sum,), replacement, PAIR)
    with pytest.raises(RuleError, match=message):
        check_rule(rule)
    with pytest.raises(RuleError, match=message.partition(":")[0]):
        tracer.capture(lambda x, y: x * x + y, backend=rewriting("eager", [rule]))(X, Y)


# Pipelines ---------------------------------------------------------------------------------------


def test_the_report_tells_where_and_what():
    report = rewritten([SQUARE_SUM], lambda x, y: (x * x + y).relu(), X, Y)
    (firing,) = report.firings
    assert firing.line.startswith("test_rewrite.py:") and firing.place == patterns(SQUARE_SUM)[0].place
    assert report.calls == (3, 2)
    assert "-    mul = x * x" in report.diff and "+    addcmul = torch.addcmul(y, x, x)" in report.diff
    assert "square sum  1" in str(report)


def test_what_was_captured_stays_as_it_was():
    captured = tracer.capture(lambda x, y: x * x + y, backend=rewriting("eager", [SQUARE_SUM]))
    captured(X, Y)
    assert "x * x" in captured.dump(what="graph")
    module = captured.entries[0].graph_module
    new, report = rewrite(module, [SQUARE_SUM])
    assert "addcmul" in new.code and "addcmul" not in module.code and report.counts["square sum"] == 1
    torch.testing.assert_close(new(X, Y), module(X, Y))


def test_gradients_of_rewritten_graphs():
    def program(x, w):
        y = x * x + w
        return y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)

    captured = tracer.capture(program, backend=rewriting("eager", [SQUARE_SUM, *STANDARD]))
    for found, expected in zip(gradients(captured, X, Y), gradients(program, X, Y), strict=True):
        torch.testing.assert_close(found, expected)


def test_an_inner_backend_compiles_the_rewritten_graph():
    seen = []

    def keep(module, inputs):
        seen.append(module)
        return module.forward

    backend = rewriting(keep, [SQUARE_SUM])
    torch.testing.assert_close(tracer.capture(lambda x, y: x * x + y, backend=backend)(X, Y), X * X + Y)
    assert "addcmul" in seen[0].code
    values = [node.meta["val"].shape for node in seen[0].graph.nodes if node.op == "call_function"]
    assert values == [X.shape]


def test_sizes_that_are_symbols():
    def program(x, w):
        return w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)) * x.sum(0).mean()

    def repeated(x):
        return x.sum(0).sin()

    def unrolled(x):
        return sum(x[row] for row in range(x.shape[0])).sin()

    fixed = RewriteRule("unrolled", (repeated,), unrolled, {"x": tensor(3, 4)})
    backend = rewriting("eager", [*STANDARD, fixed])
    captured = tracer.capture(program, backend=backend)
    summed = tracer.capture(lambda x: x.sum(0).sin(), backend=backend)
    for rows in (3, 5, 9):
        x, w = torch.randn(rows, 4), torch.rand(4)
        torch.testing.assert_close(captured(x, w), program(x, w))
        torch.testing.assert_close(summed(x), x.sum(0).sin(), rtol=1e-4, atol=1e-5)
    norms, sums = backend.reports[0::2], backend.reports[1::2]
    assert [report.counts["RMSNorm"] for report in norms] == [1, 1]
    assert [report.counts["unrolled"] for report in sums] == [1, 0]
    assert "depends on a size that is a symbol" in sums[1].refusals[-1].why


def test_folded_constants_reach_compilers_that_trace_again():
    captured = tracer.capture(lambda x: x + torch.arange(4).float().cos(), passes=STANDARD, backend="aot_eager")
    torch.testing.assert_close(captured(X), X + torch.arange(4).float().cos())


def test_capture_takes_passes():
    captured = tracer.capture(lambda x, y: x * x + y, passes=[SQUARE_SUM])
    torch.testing.assert_close(captured(X, Y), X * X + Y)
    event = LOG.recent("rewrite")[-1]
    assert event.details["fired"] == {"square sum": 1} and event.details["calls"] == (2, 1)


def test_what_is_no_pass_is_refused():
    with pytest.raises(TypeError, match="a pass is a RewriteRule or a GraphPass, not 3"):
        tracer.capture(lambda x: x, passes=[3])
    with pytest.raises(TypeError, match="a pass is a RewriteRule or a GraphPass, not 'dead code'"):
        pipeline(["dead code"])


def test_a_module_in_a_captured_function_is_rewritten():
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(4))

        def forward(self, x):
            return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))

    model = Norm()
    backend = rewriting("eager", STANDARD)
    torch.testing.assert_close(tracer.capture(model, backend=backend)(X), model(X))
    assert backend.reports[0].counts["RMSNorm"] == 1
