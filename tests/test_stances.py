"""`stance` and `run`: which calls are captured, which use a capture, and which run the original."""

import gc

import pytest
import torch

from tests.check import check
from tracer import capture, counters, is_capturing, reset, run, stance
from tracer.dispatch.stances import stance_now


@pytest.fixture(autouse=True)
def default_stance():
    reset()
    yield
    stance("default")
    torch.compiler.set_stance("default")
    reset()
    gc.collect()


def program(x, n=1):
    return x * 2 if is_capturing() else x * n * 2


@pytest.fixture(params=["eager", "aot_eager", "forward"])
def captured(request):
    backend = request.param if request.param != "forward" else lambda module, inputs: module.forward
    return capture(program, backend=backend)


X, LONGER = torch.ones(2), torch.ones(3)
EAGER = 5.0
"""What the original gives for n = 5, and no capture does."""


def is_eager(result):
    return bool((result == 2 * EAGER).all())


def test_force_eager_runs_all_originals(captured):
    captured(X, 5)
    with stance("force_eager"):
        assert is_eager(captured(X, 5)) and is_eager(captured(LONGER, 5))
        assert counters().captures == 1 and counters().hits == 0
    assert not is_eager(captured(X, 5)) and counters().hits == 1


def test_force_eager_reaches_modules_and_methods():
    class Net(torch.nn.Module):
        def forward(self, x):
            return program(x, 5)

    net = capture(Net())
    assert not is_eager(net(X))
    with stance("force_eager"):
        assert is_eager(net(X))
    assert not is_eager(net(X))


@pytest.mark.parametrize("choose", [stance, torch.compiler.set_stance], ids=["ours", "torch's"])
def test_eager_on_recompile_uses_what_is_captured(captured, choose):
    captured(X, 5)
    choose("eager_on_recompile")
    assert not is_eager(captured(X, 5)) and is_eager(captured(LONGER, 5)) and counters().captures == 1
    choose("default")
    assert not is_eager(captured(LONGER, 5)) and counters().captures == 2


@pytest.mark.parametrize("choose", [stance, torch.compiler.set_stance], ids=["ours", "torch's"])
def test_fail_on_recompile_says_why(captured, choose):
    captured(X, 5)
    with choose("fail_on_recompile"):
        assert not is_eager(captured(X, 5))
        with pytest.raises(RuntimeError, match=r"no capture of program, .*(.|\n)*x: size\(0\) is 3, captured with 2"):
            captured(LONGER, 5)
        with pytest.raises(RuntimeError, match="not called before"):
            capture(lambda x: x + 1)(X)
    assert not is_eager(captured(LONGER, 5))


def test_eager_then_compile_learns_what_varies_from_the_first_call(captured):
    with stance("eager_then_compile"):
        assert is_eager(captured(X, 5)) and counters().captures == 0
        assert not is_eager(captured(LONGER, 5)) and counters().captures == 1
        captured(torch.ones(7), 5)
    assert counters().captures == 1 and counters().hits == 1


def test_a_stance_is_a_call_a_block_or_a_decorator(captured):
    @stance("force_eager")
    def eager(x):
        return captured(x, 5)

    assert stance_now() == "default" and is_eager(eager(X)) and not is_eager(captured(X, 5))
    stance("force_eager")
    assert is_eager(captured(X, 5))
    with stance("eager_on_recompile"):
        assert stance_now() == "eager_on_recompile"
    assert stance_now() == "force_eager"
    stance("default")
    with pytest.raises(ValueError, match="eager_then_compile, not 'lazy'"):
        stance("lazy")
    with pytest.raises(ZeroDivisionError), stance("force_eager"):
        raise ZeroDivisionError
    assert stance_now() == "default"


def test_a_captured_function_that_sets_the_stance_breaks():
    def sets(x):
        y = x + 1
        with stance("eager_on_recompile"):
            z = y * 2
        return z

    check(sets, X, recaptures=None)
    assert stance_now() == "default" and "global-state" in counters().breaks


def test_run_captures_nothing_new(captured):
    assert is_eager(run(captured)(X, 5)) and counters().captures == 0
    captured(X, 5)
    for uses in (run(captured), run(program)):
        assert not is_eager(uses(X, 5)) and is_eager(uses(LONGER, 5))
    assert counters().captures == 1 and run(program).__name__ == "program"
    assert not is_eager(captured(LONGER, 5)) and counters().captures == 2
    with stance("force_eager"):
        assert is_eager(run(captured)(X, 5))
    with pytest.raises(TypeError, match="callable"):
        run(3)


def test_run_of_modules_and_methods():
    class Net(torch.nn.Module):
        def forward(self, x):
            return program(x, 5)

    net = capture(Net())
    assert is_eager(run(net)(X))
    net(X)
    assert not is_eager(run(net)(X)) and not is_eager(run(net.__call__)(X))


def test_plain_words_are_the_stances_of_torch():
    captured = capture(program)
    captured(X, 5)
    with stance("native"):
        assert is_eager(captured(X, 5))
        with stance("capture"):
            assert not is_eager(captured(X, 5))
    with stance("fail on recapture"), pytest.raises(RuntimeError, match="no capture of program"):
        captured(X.double(), 5)
    with pytest.raises(ValueError, match="one of capture, native, fail on recapture, default"):
        stance("fast")
