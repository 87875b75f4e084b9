"""FrameCache and CapturedFunction: binding arguments, choosing entries, standing in for a function."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import sys
import threading
import weakref
from typing import Any

import pytest

from tests.guard_probe import Point
from tracer._native import Interceptor
from tracer.dispatch.cache import RETRY, RUN_ORIGINAL, CapturedFunction, Entry, FrameCache, explain_misses, frame_cache
from tracer.guards.guard_set import Guard, GuardSet
from tracer.guards.source import argument
from tracer.reasons import TracerBug


def run_original(*_: Any) -> object:
    return RUN_ORIGINAL


def captured(function, on_miss=run_original, **options) -> CapturedFunction:
    return CapturedFunction(function, frame_cache(function.__code__, on_miss, **options))


def entry(program, *rows, inputs=()) -> Entry:
    guards = GuardSet()
    for row in rows:
        guards.add(*row)
    return Entry(guards, inputs, program)


# Binding ---------------------------------------------------------------------------------------------


def plain(a, b):
    return a, b


def defaults(a, b=2, /, c=3, *, d, e=5):
    return a, b, c, d, e


def everything(a, b=2, *rest, c, d=4, **others):
    return a, b, rest, c, d, others


def nothing():
    return ()


CALLS = [
    (plain, [((1, 2), {}), ((1,), {"b": 2}), ((), {"b": 2, "a": 1})], [((1,), {}), ((1, 2, 3), {}), ((1,), {"a": 1})]),
    (
        defaults,
        [((1,), {"d": 4}), ((1, 8, 9), {"d": 4, "e": 0}), ((1,), {"c": 7, "d": 4})],
        [((1,), {}), ((), {"d": 1})],
    ),
    (defaults, [], [((1,), {"b": 1, "d": 4}), ((1, 2, 3, 4), {"d": 4}), ((1,), {"d": 4, "z": 1})]),
    (everything, [((1,), {"c": 3}), ((1, 2, 3, 4), {"c": 3, "z": 9, "d": 0}), ((), {"a": 1, "c": 2})], [((1,), {})]),
    (nothing, [((), {})], [((1,), {}), ((), {"a": 1})]),
]


@pytest.mark.parametrize(("function", "fitting", "others"), CALLS)
def test_arguments_are_bound_as_by_cpython(function, fitting, others):
    seen = []

    def on_miss(cache, called, values):
        seen.append(dict(zip(called.__code__.co_varnames, values)))
        return RUN_ORIGINAL

    stand_in = captured(function, on_miss)
    for args, kwargs in fitting:
        assert stand_in(*args, **kwargs) == function(*args, **kwargs)
        expected = inspect.signature(function).bind(*args, **kwargs)
        expected.apply_defaults()
        assert seen[-1] == expected.arguments
    count = len(seen)
    for args, kwargs in others:
        with pytest.raises(TypeError) as original:
            function(*args, **kwargs)
        with pytest.raises(TypeError) as found:
            stand_in(*args, **kwargs)
        assert str(found.value) == str(original.value)
    assert len(seen) == count


def test_star_arguments_are_last_as_in_the_code_object():
    values = []
    captured(everything, lambda cache, function, found: values.append(found))(1, 2, 3, c=4, z=5)
    assert values == [(1, 2, 4, 4, (3,), {"z": 5})]
    assert everything.__code__.co_varnames == ("a", "b", "c", "d", "rest", "others")


def test_defaults_are_read_at_the_call():
    def function(a=1):
        return a

    stand_in = captured(function, lambda cache, called, values: values)
    assert stand_in() == (1,)
    function.__defaults__ = (2,)
    assert stand_in() == (2,)


def test_keyword_names_that_are_not_interned():
    name = "".join(["a", "lpha"])

    def function(alpha):
        return alpha

    assert captured(function)(**{name: 1}) == 1


def test_many_arguments():
    names = [f"p{i}" for i in range(200)]
    space: dict[str, Any] = {}
    exec(f"def function({', '.join(names)}): return [{', '.join(names)}]", space)
    stand_in = captured(space["function"])
    stand_in.frame_cache.add(entry(lambda *values: values, inputs=[argument(name) for name in reversed(names)]))
    assert stand_in(*range(200)) == tuple(reversed(range(200)))


def test_call_bound():
    cache = frame_cache(everything.__code__, run_original)
    assert cache.call_bound(everything, 1, 2, 3, 4, (5, 6), {"z": 7}) == everything(1, 2, 5, 6, c=3, d=4, z=7)
    cache.add(entry(lambda *values: values, inputs=[argument("rest"), argument("a")]))
    assert cache.call_bound(everything, 1, 2, 3, 4, (5, 6), {}) == ((5, 6), 1)
    with pytest.raises(TypeError, match="6 parameters"):
        cache.call_bound(everything, 1, 2)


# Entries ---------------------------------------------------------------------------------------------


def test_most_recently_hit_entry_is_tried_first():
    stand_in = captured(plain)
    a, b = argument("a"), argument("b")
    for n in range(4):
        stand_in.frame_cache.add(entry(lambda b, n=n: (n, b), (a, "equal", n), inputs=[b]))
    assert [stand_in(n, "b") for n in (2, 0, 2, 3)] == [(2, "b"), (0, "b"), (2, "b"), (3, "b")]
    order = [found.function(None)[0] for found in stand_in.frame_cache.entries]
    assert order == [3, 2, 0, 1]
    assert [found.hits for found in stand_in.frame_cache.entries] == [1, 2, 1, 0]
    assert stand_in(7, 8) == (7, 8)
    cache = stand_in.frame_cache
    assert (cache.hits, cache.misses, cache.originals) == (4, 1, 1)


def test_retry_runs_the_entry_that_on_miss_added():
    def on_miss(cache, function, values):
        cache.add(entry(lambda b: ("captured", b), (argument("a"), "equal", values[0]), inputs=[argument("b")]))
        return RETRY

    stand_in = captured(plain, on_miss, strict=True)
    assert stand_in(1, 2) == ("captured", 2)
    assert stand_in(1, 3) == ("captured", 3)
    assert stand_in(2, 3) == ("captured", 3)
    assert stand_in.frame_cache.misses == 2


def test_retry_without_a_fitting_entry_runs_the_original():
    assert captured(plain, lambda *_: RETRY)(1, 2) == (1, 2)


def test_on_miss_may_return_the_result_or_raise():
    assert captured(plain, lambda cache, function, values: ("answer", values))(1, 2) == ("answer", (1, 2))

    def refuse(*_: Any):
        raise KeyError("refused")

    with pytest.raises(KeyError, match="refused"):
        captured(plain, refuse)(1, 2)


def test_entry_without_a_program_runs_the_original():
    stand_in = captured(plain)
    stand_in.frame_cache.add(entry(None, (argument("a"), "equal", 1)))
    assert stand_in(1, b=2) == (1, 2)
    assert stand_in.frame_cache.hits == 1


def test_errors_of_a_program_reach_the_caller():
    def program(a):
        raise LookupError(a)

    stand_in = captured(plain)
    stand_in.frame_cache.add(entry(program, inputs=[argument("a")]))
    with pytest.raises(LookupError, match="1"):
        stand_in(1, 2)


def test_recompile_limit():
    events = []

    def on_miss(cache, function, values):
        cache.add(entry(lambda: "captured", (argument("a"), "equal", values[0])))
        return RETRY

    stand_in = captured(plain, on_miss, recompile_limit=2, on_limit=lambda *call: events.append(call))
    results = [stand_in(n, 0) for n in (0, 1, 2, 3, 1)]
    assert results == ["captured", "captured", (2, 0), (3, 0), "captured"]
    assert events == [(stand_in.frame_cache, plain, (2, 0))]
    stand_in.frame_cache.clear()
    assert stand_in(5, 0) == "captured"


def test_dead_entries_do_not_count_towards_the_limit():
    class Local:
        pass

    def on_miss(cache, function, values):
        cache.add(entry(lambda: "captured", (argument("a"), "type", type(values[0]))))
        return RETRY

    stand_in = captured(plain, on_miss, recompile_limit=1)
    assert stand_in(Local(), 0) == "captured"
    del Local
    gc.collect()
    assert stand_in(5, 0) == "captured"
    assert len(stand_in.frame_cache.entries) == 1


def test_remove_clear_and_disable():
    stand_in = captured(plain, lambda *_: "missed")
    cache, one = stand_in.frame_cache, entry(lambda: "captured")
    cache.add(one)
    assert stand_in(1, 2) == "captured"
    assert cache.remove(one) and not cache.remove(one)
    assert stand_in(1, 2) == "missed"
    cache.enabled = False
    assert stand_in(1, 2) == (1, 2)
    cache.add(entry(lambda: "captured"))
    assert stand_in(1, 2) == "captured"
    cache.clear()
    assert cache.entries == [] and stand_in(1, 2) == (1, 2)


def test_entry_belongs_to_one_cache():
    one = entry(lambda: 0)
    frame_cache(plain.__code__, run_original).add(one)
    with pytest.raises(ValueError, match="belongs to one cache"):
        frame_cache(plain.__code__, run_original).add(one)


def test_entry_removed_while_it_runs():
    stand_in = captured(plain)

    def program(a):
        stand_in.frame_cache.clear()
        gc.collect()
        return a

    stand_in.frame_cache.add(entry(program, inputs=[argument("a")]))
    assert stand_in([1], 2) == [1]
    assert stand_in.frame_cache.entries == []


def test_recursion_through_the_same_entry():
    stand_in = captured(plain)
    stand_in.frame_cache.add(entry(lambda a: a if a <= 0 else stand_in(a - 1, 0) + 1, inputs=[argument("a")]))
    assert stand_in(20, 0) == 20


def test_guard_whose_evaluation_calls_the_captured_function():
    class Reentrant:
        @property
        def value(self):
            return 1 if done.append(1) or len(done) > 3 else stand_in(self, 0) or 1

    done: list[int] = []
    stand_in = captured(plain)
    a = argument("a")
    stand_in.frame_cache.add(
        entry(
            lambda x: 0,
            (a, "type", Reentrant),
            (a.child("dict"), "absent", "z"),
            (a.child("getattr", "value"), "equal", 1),
            inputs=[a],
        )
    )
    assert stand_in(Reentrant(), 0) == 0


def test_strict_mode_raises_if_the_reference_disagrees():
    class TwoFaced(list):
        """Shows the native program other rows than the reference evaluator."""

        shown = 0

        def __iter__(self):
            self.shown += 1
            return iter([Guard(argument("a"), "equal", 1 if self.shown == 1 else 2, None)])

    stand_in = captured(plain, strict=True)
    stand_in.frame_cache.add(Entry(TwoFaced(), [], lambda: 0))
    with pytest.raises(TracerBug, match="a is 1, captured with 2"):
        stand_in(1, 0)
    with pytest.raises(TracerBug, match="finds none"):
        stand_in(2, 0)


def test_frames_of_an_original_function_are_intercepted():
    def inner(x):
        return "as written", x

    def outer(x):
        return inner(x)

    inner_cache = frame_cache(inner.__code__, lambda cache, function, values: ("intercepted", *values))
    interceptor = Interceptor(lambda code: inner_cache if code is inner.__code__ else None)
    skipped = entry(None, (argument("x"), "equal", 2))
    for calls in ("captured", "bound"):
        cache = frame_cache(outer.__code__, run_original, interceptor=interceptor)
        cache.add(Entry(skipped.guards, [], None))
        call = cache if calls == "captured" else cache.call_bound
        assert call(outer, 1) == ("intercepted", 1)
        assert call(outer, 2) == ("intercepted", 2)
        cache.interceptor = None
        assert call(outer, 1) == ("as written", 1)
    with pytest.raises(TypeError, match="Interceptor"):
        cache.interceptor = 5


def test_explain_misses():
    stand_in = captured(plain)
    stand_in.frame_cache.add(entry(lambda: 0, (argument("a"), "equal", 1)))
    ((_, failure),) = explain_misses(stand_in.frame_cache, plain, (2, 0))
    assert failure.guard.check == "equal" and failure.difference == ("a is 2", "with 1")
    assert failure.words == "a is 2, captured with 1"


# Standing in for a function ---------------------------------------------------------------------------


def documented(a: int, b: int = 2) -> int:
    """Adds."""
    return a + b


original_documented = documented
documented = captured(documented)


def test_captured_function_keeps_name_doc_and_signature():
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__", "__defaults__", "__code__"):
        assert getattr(documented, name) == getattr(original_documented, name), name
    assert inspect.signature(documented) == inspect.signature(original_documented)
    assert inspect.getsource(documented) == inspect.getsource(original_documented)
    assert inspect.unwrap(documented) is original_documented
    assert documented.__wrapped__ is original_documented
    assert callable(documented) and repr(documented).startswith("<captured <function documented")
    assert "__wrapped__" in dir(documented)


def test_attributes_are_those_of_the_function():
    documented.note = "set"
    assert original_documented.note == "set" == documented.note
    assert documented.__dict__ is original_documented.__dict__
    del documented.note
    assert not hasattr(original_documented, "note")
    with pytest.raises(AttributeError, match="note"):
        documented.note
    wrapper = functools.wraps(documented)(lambda: 0)
    assert wrapper.__name__ == "documented" and wrapper.__wrapped__ is documented
    with pytest.raises((AttributeError, TypeError)):
        documented.__wrapped__ = None


def test_captured_function_is_pickled_by_name_and_copied_as_itself():
    assert pickle.loads(pickle.dumps(documented)) is documented
    assert copy.copy(documented) is documented
    assert copy.deepcopy([documented])[0] is documented
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(captured(lambda: 0))


class Holder:
    @captured
    def method(self, x):
        return self, x

    @staticmethod
    @captured
    def static(x):
        return x

    @classmethod
    @captured
    def of_class(cls, x):
        return cls, x


def test_methods():
    holder = Holder()
    assert holder.method(1) == (holder, 1)
    bound = holder.method
    assert inspect.ismethod(bound) and bound.__self__ is holder and bound.__func__ is Holder.__dict__["method"]
    assert bound(x=2) == (holder, 2)
    assert Holder.method(holder, 3) == (holder, 3)
    assert holder.static(4) == Holder.static(4) == 4
    assert holder.of_class(5) == Holder.of_class(5) == (Holder, 5)
    assert list(inspect.signature(bound).parameters) == ["x"]


class Subclass(CapturedFunction):
    __slots__ = ()

    @property
    def entries(self):
        return self.frame_cache.entries

    def dump(self):
        return f"dump of {self.__name__}"


def test_subclass_of_captured_function_calls_and_binds_alike():
    stand_in = Subclass(original_documented, frame_cache(original_documented.__code__, run_original))
    assert stand_in.entries == [] and stand_in.dump() == "dump of documented"
    assert stand_in(1, b=5) == 6
    assert stand_in.__doc__ == "Adds." and stand_in.__module__ == __name__
    assert Subclass.__flags__ & (1 << 11) and Subclass.__flags__ & (1 << 17)


def test_cache_of_another_function_is_refused():
    with pytest.raises(ValueError, match="another function"):
        CapturedFunction(plain, frame_cache(nothing.__code__, run_original))
    with pytest.raises(TypeError):
        CapturedFunction(print, frame_cache(nothing.__code__, run_original))
    with pytest.raises(TypeError):
        FrameCache(plain, run_original)
    with pytest.raises(TypeError, match="callable or None"):
        Entry([], [], 5)
    with pytest.raises(TypeError, match="not an Entry"):
        frame_cache(plain.__code__, run_original).add(5)


# Memory and threads ------------------------------------------------------------------------------------


def test_cycles_are_collected():
    def make():
        def function(x):
            return stand_in, x

        stand_in = captured(function, lambda cache, called, values: (cache, stand_in))
        a = argument("x")
        made = Entry([(a, "equal", 1, None)], [a], lambda x: (stand_in, made), compiled=stand_in)
        stand_in.frame_cache.add(made)
        stand_in(1)
        stand_in(2)
        return [weakref.ref(thing) for thing in (stand_in, stand_in.frame_cache, made, function)]

    gone = make()
    gc.collect()
    assert [reference() for reference in gone] == [None] * 4


def test_reference_counts_are_unchanged_by_calls():
    def function(self, x, *rest, key=None, **others):
        return x

    stand_in = captured(function)
    s, x = argument("self"), argument("x")
    program = entry(
        lambda *values: values[-1],
        (s, "type", Point),
        (s.child("dict").child("item", "x"), "equal", 1),
        inputs=[
            x,
            argument("rest"),
            argument("others"),
            s.child("dict").child("item", "y"),
            s.child("getattr", "__doc__"),
            x,
        ],
    )
    stand_in.frame_cache.add(program)
    point, thing, other = Point(1, object()), object(), object()
    watched = (point, thing, other, point.y, function, stand_in.frame_cache, program)

    def calls():
        for _ in range(100):
            assert stand_in(point, thing, other, key=other, more=other) is thing
            stand_in(other, thing)
            stand_in(Point(1, 5), thing)

    calls()
    before = [sys.getrefcount(each) for each in watched]
    calls()
    assert [sys.getrefcount(each) for each in watched] == before


def test_threads_share_a_cache():
    a = argument("a")
    lock = threading.Lock()

    def on_miss(cache, function, values):
        if not lock.acquire(blocking=False):
            return RUN_ORIGINAL
        try:
            cache.add(entry(lambda a, b: (a, b), (a, "equal", values[0]), inputs=[a, argument("b")]))
            return RETRY
        finally:
            lock.release()

    stand_in = captured(plain, on_miss, recompile_limit=50)
    wrong = []

    def work(seed):
        for n in range(3000):
            key = (n * seed) % 40
            if stand_in(key, n) != (key, n):
                wrong.append(n)
            if n % 500 == 0:
                stand_in.frame_cache.clear()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
