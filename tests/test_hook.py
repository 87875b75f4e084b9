"""Interception of nested frames: what is handed to a cache, what never is, and what else goes on in the process."""

from __future__ import annotations

import functools
import gc
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import pytest
import torch

from tracer.dispatch import hook
from tracer.dispatch.hook import is_capturable, nested_frames, never_capture


class Cache:
    """Answers with the name and the values; or, given an interceptor, by running the original."""

    def __init__(self, answer: Callable[..., Any] | None = None) -> None:
        self.answer = answer
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def call_bound(self, function: Any, /, *values: Any) -> Any:
        self.calls.append((function.__name__, values))
        if self.answer is not None:
            return self.answer(function, *values)
        return function.__name__, values


def fresh(function: FunctionType) -> FunctionType:
    """The function with a code object of its own, about which nothing has been decided."""
    return FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )


def leaf(x):
    return x


def caller(x):
    return leaf(x)


def handler_for(cache: Cache, *functions: Callable[..., Any]) -> Callable[[CodeType], Cache | None]:
    codes = {id(function.__code__) for function in functions}  # type: ignore[attr-defined]
    return lambda code: cache if id(code) in codes else None


def test_frames_are_intercepted_whether_python_c_or_the_interceptor_calls_them():
    cache = Cache()
    interceptor = hook.interceptor(handler_for(cache, leaf))
    assert interceptor(leaf, 1) == ("leaf", (1,))
    assert interceptor(caller, 2) == ("leaf", (2,))
    assert interceptor(list, map(leaf, [3, 4])) == [("leaf", (3,)), ("leaf", (4,))]
    assert interceptor(sorted, [3, 4], key=functools.partial(leaf)) == [3, 4]
    assert [leaf(5), caller(6)] == [5, 6]


def test_cache_receives_the_parameters_in_order():
    def everything(a, b=2, /, *rest, key, other=4, **named):
        raise AssertionError("runs natively")

    cache = Cache()
    interceptor = hook.interceptor(handler_for(cache, everything))
    interceptor(everything, 1, key=3)
    interceptor(everything, 1, 2, 3, 4, key=5, other=6, more=7)
    assert [values for _, values in cache.calls] == [(1, 2, 3, 4, (), {}), (1, 2, 5, 6, (3, 4), {"more": 7})]
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'key'"):
        interceptor(everything, 1)
    assert len(cache.calls) == 2


def test_many_parameters():
    names = [f"p{i}" for i in range(40)]
    space: dict[str, Any] = {}
    exec(f"def many({', '.join(names)}): pass", space)
    cache = Cache()
    assert hook.interceptor(handler_for(cache, space["many"]))(space["many"], *range(40)) == ("many", tuple(range(40)))


def test_cache_receives_the_function_with_its_closure():
    def make(n):
        def inner(x):
            return n + x

        return inner

    first, second = make(1), make(2)
    cache = Cache(lambda function, x: (function.__closure__[0].cell_contents, x))
    interceptor = hook.interceptor(handler_for(cache, first))
    assert interceptor(lambda: (first(5), second(6))) == ((1, 5), (2, 6))


def test_handler_is_called_once_for_each_code_object():
    asked: list[str] = []
    own_leaf = fresh(leaf)

    def handler(code):
        asked.append(code.co_name)

    interceptor = hook.interceptor(handler)
    for _ in range(3):
        interceptor(own_leaf, 1)
    assert asked == ["leaf"]
    hook.forget()
    interceptor(own_leaf, 1)
    assert asked == ["leaf", "leaf"]
    hook.interceptor(handler)(own_leaf, 1)
    assert len(asked) == 3, "decisions belong to an interceptor"


def test_original_is_not_intercepted_again_but_its_callees_are():
    cache = Cache(lambda function, *values: interceptor.run_original(function, *values))
    interceptor = hook.interceptor(handler_for(cache, leaf, caller))
    assert interceptor(caller, 7) == 7
    assert cache.calls == [("caller", (7,)), ("leaf", (7,))]


def test_recursion_is_intercepted_at_every_level():
    def down(n):
        return 0 if n == 0 else 1 + down(n - 1)

    cache = Cache(lambda function, *values: interceptor.run_original(function, *values))
    interceptor = hook.interceptor(handler_for(cache, down))
    assert interceptor(down, 5) == 5
    assert [values for _, values in cache.calls] == [(5,), (4,), (3,), (2,), (1,), (0,)]


def test_run_original_leaves_out_one_frame_only():
    cache = Cache()
    interceptor = hook.interceptor(handler_for(cache, leaf))
    assert interceptor.run_original(leaf, 1) == 1
    with pytest.raises(TypeError):
        interceptor.run_original(leaf)
    assert interceptor(leaf, 1) == ("leaf", (1,))
    assert interceptor.run_original(len, (1, 2)) == 2
    assert interceptor.run_original(list, map(leaf, [1])) == [("leaf", (1,))]


def test_nothing_is_intercepted_while_a_cache_or_handler_runs():
    cache = Cache(lambda function, x: leaf(x))
    interceptor = hook.interceptor(handler_for(cache, leaf))
    assert interceptor(leaf, 3) == 3
    assert len(cache.calls) == 1
    assert interceptor(leaf, 4) == 4, "active again afterwards"
    assert len(cache.calls) == 2


def test_exceptions_of_function_cache_and_handler_reach_the_caller():
    def fails(x):
        raise KeyError(x)

    interceptor = hook.interceptor(lambda code: None)
    with pytest.raises(KeyError):
        interceptor(fails, 1)
    cache = Cache(lambda function, x: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        hook.interceptor(handler_for(cache, leaf))(leaf, 1)

    def broken(code):
        raise LookupError("handler")

    with pytest.raises(LookupError, match="handler"):
        hook.interceptor(broken)(fresh(leaf), 1)
    with pytest.raises(TypeError, match="weak reference"):
        hook.interceptor(lambda code: 5)(fresh(leaf), 1)  # type: ignore[arg-type,return-value]
    with pytest.raises(AttributeError, match="call_bound"):
        hook.interceptor(lambda code: threading)(fresh(leaf), 1)  # type: ignore[arg-type,return-value]
    assert leaf(1) == 1


def test_contexts_nest():
    first, second = Cache(), Cache()
    outer = hook.interceptor(handler_for(first, leaf))
    inner = hook.interceptor(handler_for(second, leaf))
    with nested_frames(outer):
        leaf(1)
        with nested_frames(inner):
            leaf(2)
        with nested_frames(None):
            leaf(3)
        with pytest.raises(ValueError):  # noqa: SIM117
            with nested_frames(inner):
                raise ValueError
        leaf(4)
    leaf(5)
    assert [values for _, values in first.calls] == [(1,), (4,)]
    assert [values for _, values in second.calls] == [(2,)]


def test_never_capture_excludes_a_code_object():
    own_leaf = fresh(leaf)
    cache = Cache()
    interceptor = hook.interceptor(handler_for(cache, own_leaf))
    interceptor(own_leaf, 1)
    never_capture(own_leaf.__code__)
    assert interceptor(own_leaf, 2) == 2
    hook.forget()
    assert interceptor(own_leaf, 3) == 3
    assert len(cache.calls) == 1


def test_generators_class_bodies_and_comprehensions_run_as_usual():
    asked: list[str] = []

    def numbers(n):
        yield from range(n)

    def program(n):
        class Local:
            inside = n

        return list(numbers(n)), [leaf(each) for each in range(n)], list(each for each in range(n)), Local.inside  # noqa: C400

    interceptor = hook.interceptor(lambda code: asked.append(code.co_name))
    assert interceptor(program, 2) == ([0, 1], [0, 1], [0, 1], 2)
    assert asked[0] == "program" and set(asked) <= {"program", "leaf"}


def code_in(filename: str) -> CodeType:
    return leaf.__code__.replace(co_filename=filename)


def test_file_decides_whether_a_function_is_captured():
    import json

    assert is_capturable(leaf.__code__)
    assert is_capturable(torch.nn.Linear.forward.__code__)
    assert is_capturable(code_in(f"{hook.SITE_PACKAGES}/transformers/models/bert.py"))
    assert not is_capturable(torch.nn.Module.__call__.__code__)
    assert not is_capturable(torch.nn.functional.softmax.__code__)
    assert not is_capturable(json.dumps.__code__)
    assert not is_capturable(is_capturable.__code__)
    assert not is_capturable(compile("x = 1", "module.py", "exec"))


def test_threads_are_independent():
    cache = Cache()
    interceptor = hook.interceptor(handler_for(cache, leaf))
    results: list[Any] = []
    with nested_frames(interceptor):
        thread = threading.Thread(target=lambda: results.append(caller(1)))
        thread.start()
        thread.join()
        results.append(caller(2))
    assert results == [1, ("leaf", (2,))]


def test_torch_compile_around_and_inside():
    compiled: list[int] = []

    def backend(graph, inputs):
        compiled.append(len(graph.graph.nodes))
        return graph.forward

    def inner(x):
        return x + 1

    def outer(x):
        torch._dynamo.graph_break()
        found = interceptor(list, map(leaf, [1]))
        return found, x * 2

    cache = Cache()
    interceptor = hook.interceptor(handler_for(cache, leaf))
    x = torch.ones(2)
    for _ in range(2):
        assert torch.equal(interceptor(torch.compile(inner, backend=backend), x), x + 1)
    assert len(compiled) == 1
    # A frame that we let run as usual is still compiled when torch is asked to.
    natively = fresh(inner)
    interceptor(natively, x)
    torch.compile(natively, backend=backend)(x)
    assert len(compiled) == 2
    found, doubled = torch.compile(outer, backend=backend)(x)
    assert found == [("leaf", (1,))] and torch.equal(doubled, x * 2)
    assert interceptor(leaf, 3) == ("leaf", (3,))


def test_caches_are_held_weakly():
    made: list[weakref.ref[Cache]] = []
    kept: list[Cache] = []

    def handler(code):
        kept.append(Cache())
        made.append(weakref.ref(kept[-1]))
        return kept[-1]

    own_leaf = fresh(leaf)
    interceptor = hook.interceptor(handler)
    for _ in range(2):
        assert interceptor(own_leaf, 1) == ("leaf", (1,))
    kept.clear()
    gc.collect()
    assert made[0]() is None
    assert interceptor(own_leaf, 1) == ("leaf", (1,))
    assert len(made) == 2


def test_code_objects_and_interceptors_are_freed():
    def handler(code):
        return None

    own_leaf = fresh(leaf)
    interceptor = hook.interceptor(handler)
    interceptor(own_leaf, 1)
    gone = weakref.ref(own_leaf.__code__), weakref.ref(handler)
    del own_leaf, interceptor, handler
    gc.collect()
    assert [each() for each in gone] == [None, None]


def test_nothing_is_intercepted_below_an_import(tmp_path, monkeypatch):
    (tmp_path / "freshly_imported.py").write_text("def made():\n    return 1\n\nvalue = made()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    cache = Cache()

    def importing():
        import freshly_imported

        return freshly_imported.value, freshly_imported.made()

    interceptor = hook.interceptor(lambda code: cache if code.co_name == "made" else None)
    assert interceptor(importing) == (1, ("made", ()))


def test_what_cpython_starts_on_its_own_account_runs_as_usual():
    log: list[Any] = []

    def helper(what):
        log.append(what)

    class Finalized:
        def __del__(self):
            helper("finalizer")

        def method(self, number):
            raise AssertionError("intercepted")

    def died(reference):
        helper("weak reference")

    def collects(phase, details):
        helper(phase)

    def handles(number, frame):
        helper(number)

    def program():
        kept, value = Finalized(), Finalized()
        assert kept.method(1) == ("method", (kept, 1))
        assert helper(1) == ("helper", (1,))
        reference = weakref.ref(value, died)
        del value
        del reference
        other = Finalized()
        weakref.finalize(other, helper, "finalize")
        del other
        gc.callbacks.append(collects)
        gc.collect()
        gc.callbacks.remove(collects)
        handler = signal.signal(signal.SIGUSR1, handles)
        signal.raise_signal(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, handler)
        return helper(2)

    functions = (helper, Finalized.__del__, Finalized.method, died, collects, handles)
    cache = Cache()
    result = hook.interceptor(handler_for(cache, *functions))(program)
    assert result == ("helper", (2,))
    assert [name for name, _ in cache.calls] == ["method", "helper", "helper"]
    assert {"weak reference", "finalizer", "finalize", "start", "stop", signal.SIGUSR1} == set(log)


AUDITED = """
import sys
from tracer import capture, counters, graph_break

calls = []

def hook(event, arguments):
    if event == "counted":
        calls.append(event)

def program(x):
    graph_break()
    sys.audit("counted")
    graph_break()
    return x + 1

sys.addaudithook(hook)
captured = capture(program)
assert [captured(number) for number in range(20)] == list(range(1, 21))
assert len(calls) == 20 and counters().tracer_bugs == 0
codes = [cache.code.co_name for cache in captured.frame_cache.on_miss.__self__.living]
assert codes and "hook" not in codes, codes
"""


def test_audit_hooks_are_not_captured():
    subprocess.run([sys.executable, "-c", AUDITED], check=True)
