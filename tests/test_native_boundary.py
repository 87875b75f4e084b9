"""What must not end the process: C++ exceptions that would cross into C, and objects that only look like ours."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.guard_probe import identity
from tracer._native import Interceptor
from tracer.dispatch.cache import RUN_ORIGINAL, CapturedFunction, Entry, frame_cache
from tracer.guards.guard_set import GuardSet
from tracer.guards.source import argument

X = argument("x")

LITTLE_MEMORY = """
import resource
from tests.guard_probe import identity
from tracer.dispatch.cache import Entry, frame_cache
from tracer.guards.source import argument

def limit(more):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))

rows = ((argument("x"), "equal", 1, None),) * 6_000_000
cache = frame_cache(identity.__code__, lambda *_: "missed")
limit(512 << 20)
try:
    cache.add(Entry(rows, [], None))
except MemoryError:
    limit(1 << 40)
    print("MemoryError", cache.entries, cache(identity, 1))
"""


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer reserves memory itself")
def test_memory_that_runs_out_in_c_plus_plus_is_a_memory_error():
    outcome = subprocess.run([sys.executable, "-c", LITTLE_MEMORY], capture_output=True, text=True, check=False)
    assert outcome.stdout == "MemoryError [] missed\n", outcome.stderr


def test_interceptor_is_told_by_its_type_and_not_by_its_name():
    namesake = type("tracer._native.Interceptor", (), {})
    cache = frame_cache(identity.__code__, lambda *_: RUN_ORIGINAL)
    for value in (namesake(), namesake, 1):
        with pytest.raises(TypeError, match="expected an Interceptor or None"):
            cache.interceptor = value
    cache.interceptor = Interceptor(lambda code: None)
    assert cache(identity, 3) == 3


def guards_of_one() -> GuardSet:
    guards = GuardSet()
    guards.add(X, "equal", 1)
    return guards


def test_entry_whose_inputs_are_an_iterator():
    cache = frame_cache(identity.__code__, lambda *_: "missed")
    cache.add(Entry(guards_of_one(), iter([X, X]), lambda *values: values))
    assert CapturedFunction(identity, cache)(1) == (1, 1)


def test_entry_in_a_cache_cannot_be_initialised_again():
    cache = frame_cache(identity.__code__, lambda *_: "missed")
    entry = Entry(guards_of_one(), [X], lambda *values: values)
    cache.add(entry)
    with pytest.raises(ValueError, match="cannot be initialised again"):
        entry.__init__(guards_of_one(), [X] * 100, lambda *values: values)
    assert CapturedFunction(identity, cache)(1) == (1,)


def test_access_path_of_any_length():
    path = X
    for _ in range(100_000):
        path = path.child("getattr", "next")
    cache = frame_cache(identity.__code__, lambda *_: "missed")
    with pytest.raises(RecursionError):
        cache.add(Entry([(path, "equal", 1, None)], [], None))
    assert cache.entries == []
