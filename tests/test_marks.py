"""Marks on functions, ours and those of torch.compiler: what a call is in the graph, and what a later call sees."""

import zlib

import pytest
import torch

import tracer
from tests.check import check, one_graph
from tracer import capture, counters, explain, export, reset
from tracer.mark_tables import ALLOWED, DISALLOWED, SUBSTITUTES

BACKENDS = ["eager", "aot_eager", lambda module, inputs: module.forward]
MARKS = {
    "ours": (tracer.allow_in_graph, tracer.assume_constant_result, tracer.nonstrict_trace),
    "torch's": (
        torch.compiler.allow_in_graph,
        torch.compiler.assume_constant_result,
        torch._dynamo.nonstrict_trace,
    ),
}
every_backend = pytest.mark.parametrize("backend", BACKENDS, ids=["eager", "aot_eager", "forward"])
whoever_marks = pytest.mark.parametrize("marks", MARKS.values(), ids=MARKS)


@pytest.fixture(autouse=True)
def no_marks_are_left():
    marks = [dict(table) for table in (ALLOWED, DISALLOWED, SUBSTITUTES)]
    yield
    for table, before in zip((ALLOWED, DISALLOWED, SUBSTITUTES), marks, strict=True):
        table.clear()
        table.update(before)
    reset()


def x():
    return torch.linspace(-1, 1, 4)


def calls_in(captured):
    return [getattr(node.target, "__name__", node.target) for node in captured.entries[0].graph.nodes][1:-1]


# allow_in_graph --------------------------------------------------------------------------------------


@every_backend
@whoever_marks
def test_an_allowed_function_is_a_node(backend, marks):
    @marks[0]
    def scaled(x, factor=2.0):
        for _ in range(3):
            x = x * factor
        return x, {"negative": -x, "more": [x + 1]}

    def program(x):
        result, others = scaled(x + 1, factor=3.0)
        return result + others["negative"] * others["more"][0]

    report = check(program, x().requires_grad_(), graphs=1, breaks=[], backend=backend)
    assert "scaled" in calls_in(report.captured)


@every_backend
@whoever_marks
def test_an_allowed_method_is_given_its_object(backend, marks):
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        @marks[0]
        def __call__(self, x):
            return x * self.factor

    small, large = Scale(2), Scale(30)
    captured = capture(lambda scale, x: scale(x + 1) - 1, backend=backend, fullgraph=True, strict=True)
    for scale in (small, large, small):
        assert torch.equal(captured(scale, x()), (x() + 1) * scale.factor - 1)
    assert counters().captures == 2


def test_allowed_functions_may_come_in_a_list_and_be_written_in_c():
    def first(x):
        return x + 1

    def second(x):
        return x * 2

    assert tracer.allow_in_graph([first, second]) == [first, second]
    report = one_graph(lambda x: second(first(x)), x(), ops=2)
    assert calls_in(report.captured) == ["first", "second"]
    with pytest.raises(TypeError, match="callable"):
        tracer.allow_in_graph(3)


# disallow_in_graph, and breaks -----------------------------------------------------------------------


@every_backend
def test_a_disallowed_operator_ends_the_graph(backend):
    def program(x):
        return torch.add(torch.sub(torch.add(x, 1), 1), 1)

    assert tracer.disallow_in_graph(torch.sub) is torch.sub
    check(program, x(), graphs=2, breaks=["disabled"], backend=backend)
    tracer.allow_in_graph(torch.sub)
    check(program, x(), graphs=1, breaks=[], backend=backend)


def test_a_disallowed_method_builtin_or_python_function_ends_the_graph():
    def inner(x):
        return x.sin() * 2

    tracer.disallow_in_graph([torch.Tensor.cos, inner, len])
    check(lambda x: x.cos() + 1, x(), breaks=["disabled"])
    check(lambda x: inner(x + 1) + 1, x(), breaks=["disabled"], graphs=3)
    check(lambda x: x + len([1, 2]), x(), breaks=["disabled"])


def test_the_marks_of_torch_end_the_graph():
    torch._dynamo.disallow_in_graph(torch.atan)
    try:
        check(lambda x: torch.atan(x + 1) + 1, x(), breaks=["disabled"], graphs=2)
    finally:
        torch._dynamo.allow_in_graph(torch.atan)
    check(lambda x: torch.atan(x + 1) + 1, x(), breaks=[], graphs=1)

    def program(x):
        x = x + 1
        torch._dynamo.graph_break()
        return x * 2

    check(program, x(), breaks=["explicit"], graphs=2)

    @torch.compiler.disable
    def native(x):
        return x * 2

    check(lambda x: native(x + 1) + 1, x(), breaks=["disabled"], graphs=2)


# assume_constant_result ------------------------------------------------------------------------------

LOG = []


@every_backend
@whoever_marks
def test_a_constant_result_is_computed_once_also_of_tensors_of_the_graph(backend, marks):
    @marks[1]
    def largest(x, others):
        LOG.append(type(x))
        return int(x.max().item() + others[0].max().item())

    LOG.clear()
    captured = capture(lambda x: x * largest(x * 3, [x + 1]), backend=backend, fullgraph=True, strict=True)
    for _ in range(2):
        assert torch.equal(captured(x()), x() * 5)
    assert LOG == [torch.Tensor] and counters().captures == 1
    assert torch.equal(captured(x() * 9), x() * 45)  # as it was: nobody looks again


@every_backend
@whoever_marks
def test_a_constant_result_may_hold_tensors_and_belong_to_a_method(backend, marks):
    class Table:
        size = 4

        @marks[1]
        def positions(self):
            return {"positions": [torch.arange(self.size) * 1.0], "count": self.size}

    table = Table()

    def program(x):
        made = table.positions()
        return x * made["positions"][0] + made["count"]

    check(program, x().requires_grad_(), graphs=1, breaks=[], backend=backend, fullgraph=True)
    exported = export(program, x())
    assert torch.equal(exported(x() + 1), program(x() + 1))


def test_a_constant_result_of_a_tensor_that_was_written_to_breaks():
    @tracer.assume_constant_result
    def first(x):
        return float(x[0])

    def program(x):
        x.add_(1)
        return x * first(x)

    check(program, x(), breaks=["data-to-python"], recaptures=None)


# nonstrict_trace -------------------------------------------------------------------------------------


@every_backend
@whoever_marks
def test_a_nonstrict_function_takes_modules_and_pytrees(backend, marks):
    @marks[2]
    def applied(module, inputs, scale):
        torch._dynamo.graph_break()
        exec("y = 1")
        return {"out": module(inputs["x"]) * scale, "count": len(inputs)}

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(4, 4)

        def forward(self, x):
            made = applied(self.inner, {"x": x + 1, "y": x}, 3)
            return made["out"] * made["count"]

    torch.manual_seed(0)
    net = Net()
    report = check(net, x(), graphs=1, breaks=[], backend=backend, fullgraph=True)
    assert report.captured.__wrapped__.inner.weight.grad is not None
    with torch.no_grad():
        net.inner.weight.mul_(2)
    torch.testing.assert_close(capture(net, backend=backend, fullgraph=True)(x()), net(x()))


def test_other_objects_of_a_nonstrict_call_are_guarded():
    @tracer.nonstrict_trace
    def multiplied(x, n, text):
        return x * n if text == "times" else x

    captured = capture(lambda x, n, text: multiplied(x, n, text) + 1, fullgraph=True, strict=True)
    for n, text in ((2, "times"), (3, "times"), (3, "once")):
        assert torch.equal(captured(x(), n, text), multiplied(x(), n, text) + 1)


# substitute_in_graph ---------------------------------------------------------------------------------


def test_a_substitute_is_interpreted_instead():
    @tracer.substitute_in_graph(zlib.crc32, skip_signature_check=True)
    def crc32(data, value=0, /):
        return len(data)

    def program(x):
        return x * zlib.crc32(b"abc") + crc32(b"ab")

    captured = capture(program, fullgraph=True, strict=True)
    assert torch.equal(captured(x()), x() * 3 + 2)
    assert crc32(b"abc") == zlib.crc32(b"abc")
    with pytest.raises(ValueError, match="already"):
        tracer.substitute_in_graph(zlib.crc32, skip_signature_check=True)(lambda data: 1)


@pytest.mark.parametrize("register", [tracer.substitute_in_graph, torch.compiler.substitute_in_graph])
def test_a_substitute_of_a_python_function_computes_with_tensors(register):
    def original(x, power=2):
        return eval("x * x * x if power == 3 else x * x")

    @register(original)
    def substitute(x, power=2):
        result = x
        for _ in range(power - 1):
            result = result * x
        return result

    one_graph(lambda x: original(x + 1, power=3), x().requires_grad_(), ops=3)
    one_graph(lambda x: substitute(x), x(), ops=1)


def test_a_substitute_that_folds_runs_the_original_on_constants():
    def original(n):
        return eval("n + 1")

    @tracer.substitute_in_graph(original, can_constant_fold_through=True)
    def substitute(n):
        return n + 100

    captured = capture(lambda x: x * original(1) + original(x), fullgraph=True)
    assert torch.equal(captured(x()), x() * 2 + x() + 100)


def test_a_substitute_must_take_what_the_original_takes():
    def original(x, power=2):
        return x

    with pytest.raises(TypeError, match="does not take what original"):
        tracer.substitute_in_graph(original)(lambda x: x)
    with pytest.raises(TypeError, match="expects a function"):
        tracer.substitute_in_graph(int)


def test_the_reason_of_a_break_at_a_mark_names_the_function():
    tracer.disallow_in_graph(torch.sinh)
    explanation = explain(lambda x: torch.sinh(x + 1), x())
    assert "disallow_in_graph" in str(explanation) and "sinh" in explanation.breaks[0].detail


def test_an_explanation_lists_what_would_remove_each_break():
    def program(x):
        if x.sum() > 0:
            x = x + 1
        return x * len(str(x.max().item()))

    remedies = explain(program, x()).remedies.splitlines()
    assert [line.partition(": ")[2] for line in remedies] == [
        "use torch.where, torch.cond or torch._check",
        "move the branch out of the captured function",
        "keep the value in a tensor (no .item(), .tolist(), .numpy(), int(), float() on it)",
    ]
    assert all("test_marks.py:" in line for line in remedies)
    assert not explain(lambda x: x + 1, x()).remedies
