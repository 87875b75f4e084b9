"""What happens around a capture: signal handlers, deep recursion, forks, internal errors."""

import contextlib
import os
import signal
import sys
import threading

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, counters, graph_break, reset
from tracer.captured import captured_form
from tracer.dispatch import engine as engines
from tracer.dispatch.capturing import begin_capture, end_capture, is_capturing
from tracer.dispatch.engine import Engine
from tracer.events import LOG
from tracer.options import Options
from tracer.reasons import TracerBug


def hiding_internal_errors(function, **options):
    """`function` captured as in use, where an internal error is only counted."""
    return captured_form(Engine(Options(raise_bugs=False, **options)), function)


# Signals ---------------------------------------------------------------------------------------------


class Timeout(Exception):
    pass


class Handler:
    """A signal handler that is no function."""

    def __call__(self, number, frame):
        raise Timeout(number)

    def method(self, number, frame):
        raise Timeout(number)


def raise_timeout(number, frame):
    raise Timeout(number)


def interrupted_at(monkeypatch, module, name):
    """Send this process an alarm when `module.name` is called, once."""
    original = getattr(module, name)
    pending = [True]

    def function(*args, **kwargs):
        if pending:
            pending.clear()
            signal.raise_signal(signal.SIGALRM)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, function)


@pytest.fixture
def alarm_handler():
    before = signal.getsignal(signal.SIGALRM)
    yield lambda handler: signal.signal(signal.SIGALRM, handler)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("handler", [raise_timeout, Handler(), Handler().method], ids=["function", "object", "method"])
def test_exception_of_a_signal_handler_leaves_a_capture(monkeypatch, alarm_handler, handler):
    alarm_handler(handler)
    interrupted_at(monkeypatch, engines, "capture_frame")
    log = []

    def program(x):
        log.append("ran")
        return x + 1

    reset()
    captured = hiding_internal_errors(program, backend=lambda module, inputs: module.forward)
    with pytest.raises(Timeout) as raised:
        captured(torch.ones(2))
    assert raised.value.args == (signal.SIGALRM,) and raised.value.__context__ is None
    assert log == [] and counters().tracer_bugs == 0
    assert signal.getsignal(signal.SIGALRM) is handler or signal.getsignal(signal.SIGALRM) == handler
    assert not is_capturing()
    assert captured(torch.ones(2)).tolist() == [2.0, 2.0] and log == ["ran"]
    assert counters().graphs == 1


def test_exception_of_a_signal_handler_while_cpython_computes_for_the_program(monkeypatch, alarm_handler):
    alarm_handler(raise_timeout)

    def program(text):
        try:
            return len(text)
        except Exception as error:  # noqa: BLE001  (the timeout must get past it, as it arrives before the program runs)
            return error

    from tracer.values import wrap

    interrupted_at(monkeypatch, wrap, "wrap")
    with pytest.raises(Timeout):
        capture(program)("text")


def test_handler_that_returns_or_sets_another_one(monkeypatch, alarm_handler):
    seen = []

    def second(number, frame):
        seen.append("second")

    def first(number, frame):
        seen.append(frame is not None)
        signal.signal(signal.SIGALRM, second)

    alarm_handler(first)
    interrupted_at(monkeypatch, engines, "capture_frame")
    assert capture(lambda x: x + 1)(torch.ones(1)).tolist() == [2.0]
    assert seen == [True] and signal.getsignal(signal.SIGALRM) is second


def test_keyboard_interrupt_leaves_a_capture(monkeypatch):
    def interrupt(request):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engines, "capture_frame", interrupt)
        captured = capture(lambda x: x + 1)
        with pytest.raises(KeyboardInterrupt):
            captured(torch.ones(1))
    assert not is_capturing() and captured(torch.ones(1)).tolist() == [2.0]


# Internal errors -------------------------------------------------------------------------------------


def test_internal_error_under_fullgraph_is_raised(monkeypatch):
    def fail(request):
        raise TracerBug("planted")

    monkeypatch.setattr(engines, "capture_frame", fail)
    assert hiding_internal_errors(lambda x: x + 1)(torch.ones(1)).tolist() == [2.0]
    with pytest.raises(TracerBug, match="planted"):
        hiding_internal_errors(lambda x: x + 1, fullgraph=True)(torch.ones(1))


# Recursion -------------------------------------------------------------------------------------------


def down(x, n):
    return x if n == 0 else down(x + 1, n - 1)


def down_with_a_break(x, n):
    if n == 0:
        return x
    graph_break()
    return down_with_a_break(x + 1, n - 1) + 1


class Countdown:
    def __init__(self, n):
        self.n = n

    def __add__(self, other):
        return self if self.n == 0 else Countdown(self.n - 1) + other


def numbers(n):
    yield n
    if n:
        yield from numbers(n - 1)


def sorted_down(n):
    return 0 if n == 0 else sorted([n], key=lambda item: sorted_down(n - 1))[0]


def endless(n):
    return endless(n)


def test_deep_recursion_is_one_graph():
    one_graph(lambda x: down(x, 600), torch.zeros(2))


def test_deep_recursion_through_special_methods():
    check(lambda: (Countdown(300) + 1).n, breaks=[])


def test_deep_recursion_through_generators():
    check(lambda: sum(numbers(300)), breaks=[])


def test_deep_recursion_through_builtin_functions():
    check(lambda: sorted_down(200), breaks=[])


def test_deep_recursion_with_a_break_at_each_level():
    captured = capture(down_with_a_break)
    assert captured(torch.zeros(2), 800).tolist() == [1600.0, 1600.0]
    assert captured(torch.zeros(2), 600).tolist() == [1200.0, 1200.0]


def test_endless_recursion_raises_what_it_raises_plainly():
    limit = sys.getrecursionlimit()
    with pytest.raises(RecursionError):
        capture(endless)(1)
    assert sys.getrecursionlimit() == limit


@contextlib.contextmanager
def nobody():
    yield


@contextlib.contextmanager
def another_thread_that_captures():
    """It waits within a captured function meanwhile."""
    started, ended = threading.Event(), threading.Event()

    def waits(x):
        started.set()
        ended.wait()
        return x + 1

    thread = threading.Thread(target=capture(waits), args=(torch.ones(1),))
    thread.start()
    started.wait()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("beside", [nobody, another_thread_that_captures], ids=["alone", "beside another thread"])
def test_high_recursion_limit_does_not_overflow_the_stack(beside):
    usual = sys.getrecursionlimit()
    with beside():
        sys.setrecursionlimit(60_000)
        try:
            assert capture(down_with_a_break)(torch.zeros(1), 20_000).tolist() == [40_000.0]
        finally:
            sys.setrecursionlimit(usual)


# Forks -----------------------------------------------------------------------------------------------


def in_a_child(task):
    """Whether `task()` is true in a forked process, which has five seconds for it."""
    process = os.fork()
    if process == 0:
        signal.alarm(5)
        os._exit(0 if task() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def captures():
    before = counters().graphs
    result = capture(lambda x: x.sin())(torch.zeros(2))
    return counters().graphs == before + 1 and result.tolist() == [0.0, 0.0] and not is_capturing()


def test_fork_while_another_thread_captures():
    begun, end = threading.Event(), threading.Event()

    def hold():
        assert begin_capture()
        with LOG._lock:
            begun.set()
            end.wait()
        end_capture()

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait()
    try:
        assert in_a_child(captures)
    finally:
        end.set()
        thread.join()
    assert captures()


def test_fork_during_a_pause_of_the_collector():
    import gc

    from tracer.pauses import no_collections

    begun, end = threading.Event(), threading.Event()

    def hold():
        with no_collections():
            begun.set()
            end.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait()
    try:
        assert not gc.isenabled() and in_a_child(gc.isenabled)
    finally:
        end.set()
        thread.join()
    assert gc.isenabled()
