"""The public interface: forms of `capture`, what a captured callable shows, backends, explanations."""

import __future__

import functools
import inspect
import json
import re
import subprocess
import sys

import networkx
import pytest
import torch

import tracer
from tests.models_torch import Mlp
from tracer import capture, counters, disable, explain, graph_break, is_capturing, reset
from tracer.entry import Entry


def example(x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
    """Scale and shift."""
    return x * scale + 1


def test_names_that_are_public():
    names = "capture disable graph_break is_capturing reset counters explain GraphBreakError".split()
    assert set(names) <= set(tracer.__all__)
    assert all(hasattr(tracer, name) for name in tracer.__all__)


def test_decorator_with_and_without_parentheses():
    for captured in (capture(example), capture()(example), capture(backend="eager")(example)):
        assert torch.equal(captured(torch.ones(2)), torch.full((2,), 3.0))


def test_captured_function_keeps_name_doc_and_signature():
    captured = capture(example)
    assert captured.__name__ == "example" and captured.__doc__ == "Scale and shift."
    assert captured.__wrapped__ is example and captured.__module__ == __name__
    assert captured.__qualname__ == example.__qualname__
    assert inspect.signature(captured) == inspect.signature(example)
    assert "example" in repr(captured)


def test_every_sort_of_callable():
    class Adder:
        def __init__(self, amount):
            self.amount = amount

        def __call__(self, x):
            return x + self.amount

        def method(self, x):
            return x - self.amount

    x = torch.ones(1)
    for callable_, expected in {
        Adder(2): 3,
        Adder(2).method: -1,
        (lambda x: x * 5): 5,
        functools.partial(example, scale=4.0): 5,
        torch.relu: 1,
        capture(example): 3,
    }.items():
        captured = capture(callable_, strict=True)
        assert captured(x).item() == expected
        assert captured(x).item() == expected


def test_is_capturing():
    seen = []

    def program(x):
        if is_capturing():
            return x + 1
        return x - 1

    assert not is_capturing()
    assert torch.equal(capture(program)(torch.ones(2)), torch.full((2,), 2.0))
    assert torch.equal(program(torch.ones(2)), torch.zeros(2))
    assert not is_capturing() and not seen


def test_torch_is_told_that_a_capture_is_going_on():
    captured = capture(lambda x: (x + 1, torch.compiler.is_compiling()))
    assert captured(torch.ones(2))[1] is True
    assert not torch.compiler.is_compiling()


def test_disable_runs_natively_and_is_a_decorator():
    seen = []

    @disable
    def native(x):
        seen.append(is_capturing())
        return x + 1

    captured = capture(lambda x: native(x) * 2)
    assert captured(torch.ones(1)).item() == 4
    assert seen == [False]
    assert native(torch.ones(1)).item() == 2


def test_graph_break_outside_of_a_capture_does_nothing():
    assert graph_break("anything") is None


def test_reset_forgets():
    captured = capture(example)
    captured(torch.ones(2))
    reset()
    assert counters().captures == 0 and counters().hits == 0
    captured(torch.ones(2))
    assert counters().captures == 1


def test_backend_sees_graph_and_inputs():
    received = []

    def backend(graph_module, example_inputs):
        received.append((graph_module, example_inputs))
        return graph_module.forward

    captured = capture(Mlp().eval(), backend=backend)
    captured(torch.randn(3, 16))
    ((graph_module, example_inputs),) = received
    assert isinstance(graph_module, torch.fx.GraphModule)
    assert all(isinstance(value, torch.Tensor) for value in example_inputs)
    placeholders = [node for node in graph_module.graph.nodes if node.op == "placeholder"]
    assert len(placeholders) == len(example_inputs) == 5
    linear = next(node for node in graph_module.graph.nodes if "linear" in str(node.target))
    assert tuple(linear.meta["tensor_meta"].shape) == (3, 32)
    assert "models_torch.py" in linear.meta["stack_trace"]
    outputs = graph_module(*example_inputs)
    assert isinstance(outputs, (tuple, list)) and outputs[0].shape == (3, 16)


def test_backend_of_torch_by_name():
    captured = capture(example, backend="aot_eager")
    x = torch.ones(2, requires_grad=True)
    captured(x).sum().backward()
    assert torch.equal(x.grad, torch.full((2,), 2.0))


def test_error_in_a_backend_surfaces_as_itself():
    def backend(graph_module, example_inputs):
        raise KeyError("from the backend")

    with pytest.raises(KeyError, match="from the backend"):
        capture(example, backend=backend)(torch.ones(2))


def test_error_of_a_compiled_graph_surfaces_as_itself():
    def backend(graph_module, example_inputs):
        def compiled(*inputs):
            raise KeyError("at run time")

        return compiled

    with pytest.raises(KeyError, match="at run time"):
        capture(example, backend=backend)(torch.ones(2))


def test_entries():
    captured = capture(example)
    for _ in range(3):
        captured(torch.ones(2))
    captured(torch.ones(2, 2), scale=3.0)
    first, second = sorted(captured.entries, key=lambda entry: -entry.hits)
    assert first.hits == 2 and second.hits == 0
    assert isinstance(first.graph_module, torch.fx.GraphModule)
    assert "torch.Tensor" in str(first.guards)
    compile(first.program, "program", "exec")


def test_dump_of_a_graph_is_runnable_python(tmp_path):
    captured = capture(example)
    captured(torch.ones(2))
    text = captured.dump(what="graph")
    assert "f32[2] stride (1,)" in text
    assert "return x * scale + 1" in text
    namespace: dict = {"torch": torch}
    exec(compile(text, "graph", "exec", flags=__future__.annotations.compiler_flag), namespace)
    (graph,) = (value for value in namespace.values() if inspect.isfunction(value))
    assert torch.equal(graph(torch.ones(2))[0], torch.full((2,), 3.0))
    captured.dump(tmp_path / "all.txt", what="all")
    written = (tmp_path / "all.txt").read_text()
    assert text in written and "guard" in written.lower()


def test_dump_of_several_graphs_is_one_module():
    captured = capture(lambda x, scale: torch.relu(x) * scale)
    for scale in (2, 3):
        captured(torch.ones(2), scale)
    captured(torch.ones(2, dtype=torch.int64), 2)
    namespace = {}
    exec(captured.dump(what="graph"), namespace)
    assert captured.dump(what="graph").count("import torch") == 1
    assert [captured.entries[number].why for number in range(3)] == [
        line.partition(": ")[2] for line in captured.dump(what="graph").splitlines() if line.startswith("# entry")
    ]
    (number,) = [number for number, entry in enumerate(captured.entries) if entry.why == "first call"]
    assert namespace[f"graph_{number}"](torch.ones(2))[0].tolist() == [2, 2]


def test_repr_of_an_entry_says_what_it_is():
    captured = capture(example)
    captured(torch.ones(2))
    captured(torch.ones(2))
    (entry,) = captured.entries
    assert repr(entry) == f"<entry {entry.number}, {entry.place}: 2 operators, 1 hits; first call>"
    for x in (torch.ones(2, 3).t(), torch.ones(2).long(), torch.ones(2).int()):
        captured(x)
    assert sum(repr(entry).endswith("; 2 more>") for entry in captured.entries) == 1
    assert repr(Entry((), (), None)).startswith("<entry ") and "of no capture" in repr(Entry((), (), None))


def test_a_difference_from_several_entries_is_told_once():
    captured = capture(example)
    for x in (torch.ones(2), torch.ones(2).double(), torch.ones(3)):
        captured(x)
    newest = max(captured.entries, key=lambda entry: entry.number)
    assert newest.why == "x: size(0) is 3, captured with 2" and repr(newest).endswith(f"; {newest.why}>")


@pytest.mark.parametrize("passes", [3, object()])
def test_passes_that_are_none_are_named(passes):
    with pytest.raises(TypeError, match="passes are rewrite rules and graph passes"):
        capture(example, passes=passes)


@pytest.mark.parametrize("what", ["graph", "guards", "program", "bytecode", "all"])
def test_every_kind_of_dump_says_something(what):
    captured = capture(example)
    captured(torch.ones(2))
    assert len(captured.dump(what=what)) > 20


def test_dump_of_an_unknown_kind():
    with pytest.raises(ValueError, match="guards"):
        capture(example).dump(what="nonsense")


def test_graph_as_networkx_dot_and_json():
    captured = capture(example)
    captured(torch.ones(2))
    (entry,) = captured.entries
    network = entry.to_networkx()
    assert isinstance(network, networkx.DiGraph) and networkx.is_directed_acyclic_graph(network)
    assert entry.to_dot().startswith("digraph")
    assert json.loads(entry.to_json())


def test_explanation_counts_and_times():
    explanation = explain(example, torch.ones(2))
    assert explanation.graphs == 1 and explanation.ops == 2 and not explanation.breaks
    told = str(explanation)
    assert "test_api.py" in told and "f32[2]" in told
    for number in ("graphs", "ops", "breaks"):
        assert number in told


def test_explanation_of_a_captured_module_is_of_the_module():
    captured = capture(Mlp().eval())
    explanation = explain(captured, torch.randn(2, 16))
    assert explanation.graphs == 1 and "_wrapped__" not in str(explanation)
    assert "tracer.api" not in str(explanation)


def test_captured_modules_do_not_share_entries():
    modules = [capture(torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(count)])) for count in range(1, 12)]
    for module in modules:
        module(torch.ones(1, 2))
        module(torch.ones(1, 2))
        assert len(module.entries) == 1
    assert counters().misses == 0 and counters().captures == len(modules)


def test_a_break_in_a_called_function_names_its_line():
    def helper(x):
        graph_break()
        return x + 1

    (broke, *_) = explain(lambda x: helper(x * 2), torch.ones(2)).breaks
    assert "graph_break()" in broke.message and "in helper" in broke.message


def test_explanation_of_a_captured_function_tells_why_it_was_captured_again():
    captured = capture(example)
    captured(torch.ones(2))
    explanation = explain(captured, torch.ones(2, 2))
    assert explanation.captures == 2
    assert explanation.recompiles == ["x: rank is 2, captured with 1"]


class Doubling:
    def __call__(self, x):
        return x * 2

    def method(self, x):
        return x * 3


@pytest.mark.parametrize("made", [lambda: torch.nn.Linear(2, 2), Doubling, lambda: Doubling().method])
def test_explanation_of_what_is_captured_tells_of_its_own_captures(made):
    """Its backend with them: another one would be told of otherwise."""
    seen = []

    def backend(graph_module, inputs):
        seen.append(graph_module)
        return graph_module.forward

    captured, x = capture(made(), backend=backend), torch.ones(2, 2)
    captured(x)
    explanation = explain(captured, x)
    assert len(seen) == 1
    assert explanation.graphs == 1 and explanation.hits >= 1


def test_explanation_leaves_the_function_alone():
    calls = []

    def program(x):
        calls.append(1)
        return x + 1

    explain(program, torch.ones(2))
    assert len(calls) == 1


def test_import_is_light():
    """Beyond our own modules, `import tracer` brings hardly any that `import torch` does not; `make bench` times it."""
    code = "import sys, torch\nbefore = set(sys.modules)\nimport tracer\nprint(*(set(sys.modules) - before))\n"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    foreign = {module for module in modules if module.split(".")[0] not in ("tracer", "passes", "backends")}
    light = {"_decimal", "decimal", "fractions", "sysconfig"}
    assert {module for module in foreign if not module.startswith("_sysconfigdata")} <= light
    assert not {module for module in modules if module.startswith(("passes.infer", "passes.record", "tracer.commands"))}


def test_attributes_set_on_a_captured_function_are_the_originals():
    """As in the plain program, in which both names stand for one function."""

    def step(x):
        step.calls += 1
        return x * step.calls

    plain = step
    step = capture(step)
    step.calls = 0
    assert plain.calls == 0 and vars(step) == vars(plain) == {"calls": 0}
    assert [step(torch.ones(1)).item() for _ in range(3)] == [1, 2, 3]
    assert plain.calls == step.calls == 3
    del step.calls
    assert not hasattr(plain, "calls")
    plain.note = "n"
    assert step.note == "n"


def test_calls_of_a_captured_module_run_no_python_before_the_program():
    net = torch.nn.ReLU()
    captured = capture(net)
    captured(torch.ones(2))
    frames = []
    sys.setprofile(lambda frame, event, argument: event == "call" and frames.append(frame.f_code.co_name))
    try:
        captured(torch.ones(2))
    finally:
        sys.setprofile(None)
    assert len(captured.entries) == 1 and captured.entries[0].hits == 1
    assert captured.entries[0].function.__name__ in frames
    assert "call" not in frames and len(frames) == 2  # of the program and its graph


def test_captured_modules_take_arguments_as_plain_ones():
    class Net(torch.nn.Module):
        def forward(self, x, *others, scale=1, **names):
            return x * scale + len(others), sorted(names)

    net = Net()
    captured = capture(net)
    x = torch.ones(2)
    for args, kwargs in [((x,), {}), ((), {"x": x}), ((x, 1, 2), {"scale": 3, "self_": 4}), ((x,), {"scale": x})]:
        expected, names = net(*args, **kwargs)
        for call in (captured, captured.__call__, functools.partial(type(captured).__call__, captured)):
            result, others = call(*args, **kwargs)
            assert torch.equal(result, expected) and names == others
    with pytest.raises(TypeError) as plainly:
        net()
    with pytest.raises(TypeError, match=re.escape(str(plainly.value))):
        captured()


def test_class_of_a_captured_module_may_be_given_another_call():
    captured = capture(torch.nn.ReLU())
    cls = type(captured)
    call = cls.__call__

    class Below(cls):
        def __call__(self, x):
            return super().__call__(x) + 10

    below = object.__new__(Below)
    object.__setattr__(below, "__dict__", captured.__dict__)
    assert below(torch.ones(1)).item() == 11
    cls.__call__ = lambda self, x: call(self, x) + 1
    assert captured(torch.ones(1)).item() == 2 and below(torch.ones(1)).item() == 12
    del cls.__call__
    assert captured(torch.ones(1)).item() == 1  # that of nn.Module


def test_attributes_set_on_captured_modules_and_objects_are_the_originals():
    class Scale:
        def __call__(self, x):
            return x * self.factor

    for plain in (torch.nn.Linear(2, 2), Scale()):
        captured = capture(plain)
        captured.factor = 3
        assert plain.factor == 3
        plain.factor = 4
        assert captured.factor == 4
