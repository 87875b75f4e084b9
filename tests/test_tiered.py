"""The `tiered` backend: eager at once; compiled when that is right and faster; never twice, never wrong, never slower.

Compilers here are functions, so that what they make and when is known, and programs are timed by a clock that counts
runs. No test depends on real time: NET only ends the tests of a program that hangs.
"""

import copy
import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

import tracer
from backends.tiered import backend as tiered
from backends.tiered.background import BACKGROUND, BackgroundQueue
from backends.tiered.program import CHECKS, ROUNDS, SAMPLED, TRAINING_ROUNDS
from backends.tiered.transport import Unsendable, read_graph, write_graph
from backends.tiered.worker import NICENESS, CompileWorker, WorkerFailed, _started
from passes.node_meta import META
from passes.processes import command_of, environment
from tests.graphs import Sketch
from tracer import capture, explain
from tracer.events import LOG

FINAL = ("compiled", "refused", "failed")
NET = 300  # seconds


class Clock:
    """Stands in for the module `time`: the eager program takes one second, another as long as it adds here."""

    def __init__(self):
        self.seconds = 0.0

    def perf_counter(self):
        return self.seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock, compile_handover = Clock(), tiered.compile_handover

    def compile_eagerly(*arguments):
        eager = compile_handover(*arguments)

        def run(*inputs):
            clock.seconds += 1.0
            return eager(*inputs)

        return run

    monkeypatch.setattr(tiered, "compile_handover", compile_eagerly)
    monkeypatch.setattr("backends.tiered.program.time", clock)
    monkeypatch.setattr("backends.tiered.trial.time", clock)
    return clock


@pytest.fixture(autouse=True)
def forget():
    yield
    tracer.reset()


def slow(x):
    """What a compiler can make faster: x + 200 in two hundred steps."""
    for _ in range(200):
        x = x + 1
    return x


def at_once(module, example_inputs):
    """The right compiler for `slow`."""
    return lambda x: (x + 200,)


def settled(captured, *args):
    """Call until the last word is spoken: the entry's tier."""
    captured(*args)
    assert BACKGROUND.wait(NET)
    (entry,) = captured.entries
    for _ in range(CHECKS + 2 * ROUNDS + TRAINING_ROUNDS):
        captured(*args)
    assert entry.tier.state in FINAL
    return entry.tier


def states(kind="tier"):
    return [event.details["state"] for event in LOG.recent(kind)]


def test_compiled_takes_eagers_place():
    x, calls = torch.zeros(4), []

    def compiler(module, example_inputs):
        def program(x):
            calls.append(threading.current_thread())
            return (x + 200,)

        return program

    captured = capture(slow, backend="tiered", options={"compiler": compiler})
    tier = settled(captured, x)
    assert tier.state == "compiled" and tier.seconds["compiled"] < tier.seconds["eager"]
    assert states() == ["compiling", "checking", "timing", "compiled"]
    before = len(calls)
    assert torch.equal(captured(x), x + 200) and len(calls) == before + 1
    assert set(calls) == {threading.current_thread()}


def test_the_first_call_does_not_wait():
    go_on = threading.Event()

    def compiler(module, example_inputs):
        go_on.wait(NET)
        return lambda x: (x + 200,)

    captured = capture(slow, backend="tiered", options={"compiler": compiler})
    for _ in range(3):
        assert torch.equal(captured(torch.zeros(2)), torch.full((2,), 200.0))
    assert captured.entries[0].tier.state == "compiling" and threading.active_count() > 1
    go_on.set()
    assert settled(captured, torch.zeros(2)).state == "compiled"


def test_explain_tells_the_tier():
    captured = capture(slow, backend="tiered", options={"compiler": at_once})
    settled(captured, torch.zeros(2))
    found = explain(captured, torch.zeros(2))
    assert "compiled (compile" in found.numbers and "tier\n  compiled (" in str(found.entries[0])


def test_what_is_no_faster_is_refused(clock):
    def compiler(module, example_inputs):
        def program(x):
            clock.seconds += 1.0
            return (x + 200,)

        return program

    tier = settled(capture(slow, backend="tiered", options={"compiler": compiler}), torch.zeros(2))
    assert tier.state == "refused" and "no faster" in tier.reason


@pytest.mark.parametrize(
    "error, words",
    [
        (KeyError("no such kernel"), "no such kernel"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "Keyboard"),
    ],
    ids=["KeyError", "SystemExit", "KeyboardInterrupt"],
)
def test_an_error_of_the_compiler_leaves_eager_and_one_event(error, words):
    """Also an exception that would end a thread: what is compiled next is compiled."""

    def compiler(module, example_inputs):
        raise error

    captured = capture(slow, backend="tiered", options={"compiler": compiler})
    tier = settled(captured, torch.zeros(2))
    assert tier.state == "failed" and words in tier.reason and "failed" in str(explain(captured, torch.zeros(2)))
    assert torch.equal(captured(torch.zeros(2)), torch.full((2,), 200.0))
    assert states() == ["compiling", "failed"]
    other = capture(lambda x: slow(x), backend="tiered", options={"compiler": at_once})
    assert settled(other, torch.zeros(2)).state == "compiled"


def test_a_compiled_program_that_exits_is_refused():
    def compiler(module, example_inputs):
        return lambda x: sys.exit(3)

    tier = settled(capture(slow, backend="tiered", options={"compiler": compiler}), torch.zeros(2))
    assert tier.state == "refused" and "SystemExit: 3" in tier.reason


@pytest.mark.parametrize("right_calls", [0, 3, 10, 40, 300])
def test_a_program_that_turns_wrong_is_refused_at_a_sample(right_calls):
    """However late: while it is checked and timed, callers get the eager results, and later one call in SAMPLED is
    compared."""
    calls = [0]

    def compiler(module, example_inputs):
        def program(x):
            calls[0] += 1
            return (x + 200 + (calls[0] > right_calls),)

        return program

    captured, x = capture(slow, backend="tiered", options={"compiler": compiler}), torch.zeros(2)
    captured(x)
    assert BACKGROUND.wait(NET)
    count = right_calls + 2 * SAMPLED
    wrong = [not torch.equal(captured(x), x + 200) for _ in range(count)]
    tier = captured.entries[0].tier
    assert tier.state == "refused" and "its results differ: output 0" in tier.reason
    assert sum(wrong) < min(SAMPLED, max(right_calls, 1)) and not any(wrong[-SAMPLED:])
    assert states()[-1] == "refused"


def test_work_that_raises_leaves_the_rest_to_another_thread(monkeypatch):
    queue, done, errors = BackgroundQueue(), threading.Event(), []
    monkeypatch.setattr(threading, "excepthook", lambda raised: errors.append(raised.exc_type))
    begun = threading.Event()

    def fail():
        begun.wait(NET)
        raise KeyError

    queue.add(fail)
    queue.add(done.set)
    begun.set()
    assert done.wait(NET) and errors == [KeyError]


# Wrong results ------------------------------------------------------------------------------------------


def changes(x):
    y = slow(x)
    x.add_(1)
    return y, y.t(), y.view(-1)


def sound(x):
    y = x + 200
    x.add_(1)
    return y, y.t(), y.view(-1)


def wrong_values(x):
    y, transposed, flat = sound(x)
    y[0, 0] += 1
    return y, transposed, flat


def wrong_dtype(x):
    return tuple(output.double() for output in sound(x))


def wrong_strides(x):
    y, transposed, flat = sound(x)
    return y, transposed.contiguous(), flat


def missed_alias(x):
    y, transposed, flat = sound(x)
    return y, transposed, flat.clone()


def missed_change(x):
    y = x + 200
    return y, y.t(), y.view(-1)


def one_too_few(x):
    return sound(x)[:2]


def drawing(x):
    torch.rand(1)
    return sound(x)


def raising(x):
    raise RuntimeError("illegal instruction")


@pytest.mark.parametrize(
    "program, words",
    [
        (wrong_values, "output 0: values differ by up to 1"),
        (wrong_dtype, "output 0: dtype torch.float64 instead of torch.float32"),
        (wrong_strides, "share memory"),
        (missed_alias, "share memory"),
        (missed_change, "input 0: values differ"),
        (one_too_few, "2 outputs instead of 3"),
        (drawing, "random numbers"),
        (raising, "could not be checked: RuntimeError: illegal instruction"),
    ],
)
def test_what_computes_something_else_is_refused(program, words):
    captured = capture(changes, backend="tiered", options={"compiler": lambda module, example_inputs: program})
    tier = settled(captured, torch.zeros(2, 3))
    assert tier.state == "refused" and words in tier.reason
    x = torch.zeros(2, 3)
    assert all(map(torch.equal, captured(x), changes(torch.zeros(2, 3)))) and torch.equal(x, torch.ones(2, 3))
    assert states().count("refused") == 1


def test_outputs_have_the_strides_of_the_eager_ones():
    """Whatever the compiler's are: what follows may view them."""

    def program(x):
        return slow(x) @ x.t(), x * 3

    def laid_out_otherwise(module, example_inputs):
        return lambda x: [((x + 200) @ x.t()).t().contiguous().t(), x * 3]

    x = torch.randn(4, 4, requires_grad=True)
    captured = capture(program, backend="tiered", options={"compiler": laid_out_otherwise})
    tier = settled(captured, x)
    assert tier.state == "compiled", tier.reason
    product, _ = captured(x)
    assert product.is_contiguous()
    (gradient,) = torch.autograd.grad(product.sum(), x)
    (expected,) = torch.autograd.grad(program(x)[0].sum(), x)
    torch.testing.assert_close(gradient, expected)


def test_what_is_right_is_not_refused_for_its_changes():
    captured = capture(changes, backend="tiered", options={"compiler": lambda module, example_inputs: sound})
    assert settled(captured, torch.zeros(2, 3)).state == "compiled"


def test_inputs_change_once_a_call_and_random_numbers_are_drawn_once():
    """Over all states: also while both programs are run."""

    def program(x):
        x.add_(1)
        return slow(torch.rand_like(x)) + x

    def compiler(module, example_inputs):
        def fast(x):
            x.add_(1)
            return (torch.rand_like(x) + 200 + x,)

        return fast

    captured = capture(program, backend="tiered", options={"compiler": compiler})
    x, own = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    captured(torch.zeros(3, dtype=torch.float64))
    assert BACKGROUND.wait(NET)
    for seed in range(25):
        torch.manual_seed(seed)
        found, state = captured(x), torch.get_rng_state()
        torch.manual_seed(seed)
        torch.testing.assert_close(found, program(own))
        assert torch.equal(torch.get_rng_state(), state) and torch.equal(x, own)
    assert captured.entries[0].tier.state == "compiled"


# Training -----------------------------------------------------------------------------------------------


class Scaled(torch.autograd.Function):
    """x + 200, whose gradient is `factor`."""

    factor = 1.0

    @staticmethod
    def forward(ctx, x):
        return x + 200

    @staticmethod
    def backward(ctx, gradient):
        return gradient * Scaled.factor


@pytest.mark.parametrize("factor, state", [(1.0, "compiled"), (2.0, "refused")])
def test_gradients_are_checked(monkeypatch, factor, state):
    monkeypatch.setattr(Scaled, "factor", factor)
    hooked = []
    x = torch.zeros(4, requires_grad=True)
    x.register_hook(hooked.append)
    options = {"compiler": lambda module, example_inputs: lambda x: (Scaled.apply(x),)}
    captured = capture(slow, backend="tiered", options=options)
    tier = settled(captured, x)
    assert tier.state == state and ("gradient 0" in tier.reason) == (state == "refused")
    assert x.grad is None and not hooked
    captured(x).sum().backward()
    assert torch.equal(x.grad, torch.ones(4))


def test_training_with_aot_eager():
    """Parameters as inputs, a backward compiled in the background, dropout under a seed."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2))
    plain = copy.deepcopy(model)
    x = torch.randn(6, 4)
    captured = capture(model, backend="tiered", options={"compiler": "aot_eager"})
    for seed in range(40):
        outputs = []
        for each in (captured, plain):
            torch.manual_seed(seed)
            outputs.append(each(x))
            outputs[-1].square().sum().backward()
        torch.testing.assert_close(*outputs)
        if seed == 2:
            assert BACKGROUND.wait(NET)
    assert captured.entries[0].tier.state in FINAL
    assert "no faster" in captured.entries[0].tier.reason or captured.entries[0].tier.state == "compiled"
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_sizes_that_vary_and_that_the_compiler_narrows():
    lengths = []

    def compiler(module, example_inputs):
        (node,) = module.graph.find_nodes(op="placeholder")
        assert node.meta["val"].shape[0] < 6  # which torch's ShapeEnv notes

        def program(*inputs):
            lengths.append(len(inputs[0]))
            return (inputs[0] + 200,)

        return program

    captured = capture(slow, backend="tiered", dynamic=True, options={"compiler": compiler})
    for size in [3, 4, 5, 6, 7] * 8:
        x = torch.randn(size, 2)
        torch.testing.assert_close(captured(x), slow(x))
        assert BACKGROUND.wait(NET)
    assert len(captured.entries) == 1 and captured.entries[0].tier.state == "compiled"
    assert set(lengths) == {3, 4, 5}


# Life times ---------------------------------------------------------------------------------------------


def test_a_model_that_waits_for_its_compiler_can_be_collected():
    begun, go_on, compiled = threading.Event(), threading.Event(), []

    def compiler(module, example_inputs):
        compiled.append(module)
        begun.set()
        go_on.wait(NET)
        return module.forward

    options = {"compiler": compiler}
    first = capture(lambda x: x + 1, backend="tiered", options=options)
    first(torch.ones(2))
    assert begun.wait(NET)
    model = nn.Linear(3, 3)
    captured = capture(model, backend="tiered", options=options)
    captured(torch.ones(3))
    alive = weakref.ref(model), weakref.ref(model.weight)
    del model, captured
    tracer.reset()
    gc.collect()
    assert [reference() for reference in alive] == [None, None]
    go_on.set()
    assert BACKGROUND.wait(NET) and len(compiled) == 1


def test_the_process_ends_while_something_compiles():
    program = """
import threading, torch
from tracer import capture
begun = threading.Event()
def compiler(module, inputs):
    begun.set()
    while True: max(1, 2); len([]); (lambda: 0)()
f = capture(lambda x: x + 1, backend="tiered", options={"compiler": compiler})
f(torch.ones(2)); begun.wait(); print("done")
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=NET)
    assert found.returncode == 0 and found.stdout == "done\n" and not found.stderr


# Another process ----------------------------------------------------------------------------------------


def test_graphs_survive_the_journey():
    sketch = Sketch(x=torch.randn(2, 3), w=torch.randn(3, 3))
    x, w = sketch.inputs
    y = sketch.call(torch._C._nn.linear, x, w)
    y = sketch.call(("method", "view"), y, 3, -1)
    y = sketch.call(torch.sum, y, dim=[0], dtype=torch.float64)
    sketch.builder.output([y])
    module = read_graph(write_graph(sketch.builder.graph, lambda node: node.meta.get(META)), "meta")
    assert str(module.graph) == str(sketch.builder.graph)
    assert [node.meta["meta"] for node in module.graph.nodes] == [
        node.meta.get(META) for node in sketch.builder.graph.nodes
    ]


def test_what_only_this_process_knows_is_not_sent():
    sketch = Sketch(x=torch.ones(2))
    sketch.builder.output([sketch.builder.call(lambda x: x, sketch.inputs, None, None)])
    with pytest.raises(Unsendable, match="lambda"):
        write_graph(sketch.builder.graph, lambda node: None)


@pytest.mark.parametrize(
    "code, words", [("import os; os._exit(3)", "status 3"), ('print(\'{"error": "E: no"}\')', "E: no")]
)
def test_a_worker_that_crashes_or_fails(monkeypatch, code, words):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    monkeypatch.setattr(
        "backends.tiered.worker._started", lambda: subprocess.Popen([sys.executable, "-c", code], **pipes)
    )
    with pytest.raises(WorkerFailed, match=words):
        CompileWorker().compile({"graph": []})


def test_a_worker_gives_way_from_its_start_and_runs_one_compiler():
    process = _started()
    try:
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == NICENESS
        environ = Path(f"/proc/{process.pid}/environ")
        while process.poll() is None and not environ.read_bytes():
            pass  # it has not begun to run Python yet
        assert b"TORCHINDUCTOR_COMPILE_THREADS=1\0" in environ.read_bytes()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("module", ["backends.tiered.worker", "passes.infer.worker"])
def test_processes_of_ours_are_not_hidden_by_a_folder_of_the_users(module, tmp_path, monkeypatch):
    for package in ("backends", "passes"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    done = subprocess.run(command_of(module), env=environment(), input="", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_inductor_through_a_worker():
    def program(x, y):
        for _ in range(30):
            x = torch.sigmoid(x + y) * 2
        return x

    x, y = torch.randn(64, 64), torch.randn(64, 64)
    captured = capture(program, backend="tiered")
    tier = settled(captured, x, y)
    torch.testing.assert_close(captured(x, y), program(x, y))
    assert tier.state == "compiled" and tier.seconds["worker"] > 0, str(tier)
