"""`with` blocks: the user's context managers, and torch's modes, with and without breaks inside."""

import contextlib
import sys

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, graph_break


class Recording:
    """A context manager that writes down what happens to it, and can swallow exceptions."""

    def __init__(self, log, swallow=False):
        self.log, self.swallow = log, swallow

    def __enter__(self):
        self.log.append("enter")
        return self

    def __exit__(self, kind, value, trace):
        self.log.append(("exit", kind.__name__ if kind else None, str(value)))
        return self.swallow


@contextlib.contextmanager
def noted(log, name):
    log.append(f"{name} begins")
    try:
        yield name
    finally:
        log.append(f"{name} ends")


def test_context_manager_of_the_user():
    def program(x, log):
        with Recording(log) as recording:
            y = x + 1
            recording.log.append("body")
        return y

    one_graph(program, torch.ones(2), [])


def test_exception_is_swallowed():
    def program(x, log):
        with Recording(log, swallow=True):
            x = x + 1
            raise ValueError("swallowed")
        return x * 2

    one_graph(program, torch.ones(2), [])


def test_exception_passes_through():
    def program(x, log):
        with Recording(log):
            raise ValueError("passed on")

    check(program, torch.ones(2), [], recaptures=None)


def test_return_from_within():
    def program(x, log):
        with Recording(log), Recording(log):
            return x + len(log)

    one_graph(program, torch.ones(2), [])


def test_generator_context_managers():
    def program(x, log):
        with noted(log, "outer") as outer, noted(log, "inner") as inner:
            x = x + len(outer) * len(inner)
        return x

    one_graph(program, torch.ones(2), [])


def test_suppress_and_nullcontext_and_exit_stack():
    def program(x, log):
        with contextlib.suppress(KeyError), contextlib.nullcontext(3) as three:
            x = x * three
            {}["missing"]
        with contextlib.ExitStack() as stack:
            for name in ("a", "b"):
                stack.enter_context(noted(log, name))
            x = x + len(log)
        return x

    check(program, torch.ones(2), [])


def test_no_grad():
    def program(x):
        with torch.no_grad():
            y = x * 2
        return y, x * 3, torch.is_grad_enabled()

    one_graph(program, torch.ones(2, requires_grad=True))


def test_enable_grad_inside_no_grad():
    def program(x):
        with torch.no_grad():
            with torch.enable_grad():
                y = x * 2
            z = x * 3
        return y, z

    one_graph(program, torch.ones(2, requires_grad=True))


def test_no_grad_as_decorator():
    @torch.no_grad()
    def frozen(x):
        return x * 2

    def program(x):
        return frozen(x) + x

    one_graph(program, torch.ones(2, requires_grad=True))


def test_captured_function_decorated_with_no_grad():
    @torch.no_grad()
    @capture(strict=True)
    def program(x):
        return x * 2

    assert not program(torch.ones(2, requires_grad=True)).requires_grad


def test_set_grad_enabled_outlives_the_program():
    def program(x):
        torch.set_grad_enabled(False)
        return x * 2

    check(program, torch.ones(2, requires_grad=True), recaptures=None)


def test_set_grad_enabled_as_context():
    def program(x, train):
        with torch.set_grad_enabled(train):
            return x * 2

    one_graph(program, torch.ones(2, requires_grad=True), False)
    one_graph(program, torch.ones(2, requires_grad=True), True)


def test_inference_mode():
    def program(x):
        with torch.inference_mode():
            y = x * 2
        return y, y.is_inference()

    check(program, torch.ones(2), gradients=False)


def test_autocast():
    def program(x, weight):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = x @ weight
        return y, x @ weight

    one_graph(program, torch.ones(2, 3), torch.ones(3, 2))


def test_no_grad_is_left_when_an_exception_passes():
    def program(x):
        try:
            with torch.no_grad():
                raise ValueError
        except ValueError:
            return x * 2, torch.is_grad_enabled()

    one_graph(program, torch.ones(2, requires_grad=True))


def test_break_inside_no_grad():
    def program(x):
        with torch.no_grad():
            y = x * 2
            graph_break()
            z = y + x
        return y, z, x * 3

    check(program, torch.ones(2, requires_grad=True), graphs=2, breaks=["explicit"])


def test_exception_after_a_break_inside_no_grad():
    def program(x):
        with torch.no_grad():
            y = x * 2
            graph_break()
            raise ValueError("still without gradients")

    check(program, torch.ones(2, requires_grad=True), recaptures=None)
    assert torch.is_grad_enabled()


def test_break_inside_a_users_context():
    def program(x, log):
        with Recording(log) as outer, noted(log, "inner"):
            y = x + len(log)
            graph_break()
            outer.log.append("after")
        return y * 2

    # A generator that is running cannot be rebuilt behind a break: it is made, and left, natively.
    breaks = ["explicit", "escaping-generator", "unsupported-iterator", "unsupported-iterator"]
    check(program, torch.ones(2), [], breaks=breaks)


def test_exception_swallowed_after_a_break():
    def program(x, log):
        with Recording(log, swallow=True):
            y = x + 1
            graph_break()
            raise ValueError("swallowed")
        return y * 2, log

    check(program, torch.ones(2), [], breaks=["explicit"])


def test_context_manager_given_as_argument():
    def program(recording, x):
        with recording:
            return x + 1

    one_graph(program, Recording([]), torch.ones(2))


def test_default_dtype_is_guarded():
    captured = capture(lambda x: x + torch.ones(2), strict=True)
    assert captured(torch.ones(2)).dtype is torch.float32
    torch.set_default_dtype(torch.float64)
    assert captured(torch.ones(2)).dtype is torch.float64


def test_grad_mode_is_guarded():
    captured = capture(lambda x: (x * 2, torch.is_grad_enabled()), strict=True)
    x = torch.ones(2, requires_grad=True)
    assert captured(x)[1] is True
    with torch.no_grad():
        y, enabled = captured(x)
    assert enabled is False and not y.requires_grad
    assert captured(x)[0].requires_grad


class Doubling:
    def __enter__(self):
        self.factor = 2
        return self

    def __exit__(self, *exception):
        self.factor = 3


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
def test_exit_stack_of_contexts_and_callbacks(backend):
    def program(x):
        calls = []
        with contextlib.ExitStack() as stack:
            doubling = stack.enter_context(Doubling())
            stack.enter_context(torch.no_grad())
            stack.callback(calls.append, torch.is_grad_enabled())
            y = x * doubling.factor
        return y, x * doubling.factor, calls, torch.is_grad_enabled()

    one_graph(program, torch.ones(2, requires_grad=True), backend=backend)


def test_exit_stack_suppresses_replaces_and_hands_over():
    def program(x):
        def fail():
            raise KeyError("replaced")

        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(ValueError))
            y = x * 2
            raise ValueError
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(fail)
                raise ValueError("first")
        except KeyError as error:
            context = error.__context__
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            later = stack.pop_all()
        enabled = torch.is_grad_enabled()
        later.close()
        return y + 1, str(context), enabled, torch.is_grad_enabled()

    one_graph(program, torch.ones(2, requires_grad=True))


def test_what_is_handled_is_asked_of_sys():
    def program(x):
        before = sys.exc_info()
        try:
            raise ValueError("handled")
        except ValueError as error:
            kind, value, traceback = sys.exc_info()
            same = value is error
        return x + 1, before, kind, same, traceback is not None, sys.exc_info()

    one_graph(program, torch.ones(2))


def test_what_a_caller_handles_is_seen():
    def program(x):
        with contextlib.ExitStack():
            return x + 1, sys.exc_info()[0]

    captured = capture(program, strict=True)
    for _ in range(2):
        assert captured(torch.ones(2))[1] is None
        try:
            raise ValueError
        except ValueError:
            assert captured(torch.ones(2))[1] is ValueError


def test_what_is_handled_is_seen_after_a_break():
    def program(x):
        try:
            raise ValueError("handled")
        except ValueError:
            x = x + 1
            graph_break()
            kind = sys.exc_info()[0]
        return x * 2, kind, sys.exc_info()[0]

    check(program, torch.ones(2))
