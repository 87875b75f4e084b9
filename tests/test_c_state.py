"""What CPython keeps in C, where residual programs cannot see it: methods' classes, exceptions' fields, buffers.

Each of these once ended the process or lost a value: a residual program that rebuilds such an object, or frees it,
must leave in C what the original would have left.
"""

import array
import queue
import re
import subprocess
import sys
import types

import torch

from tests.check import check
from tracer import capture, graph_break

# Methods that receive their defining class -----------------------------------------------------------


def test_method_of_an_array_bound_before_a_break():
    def program(x, numbers):
        extend = numbers.extend
        graph_break()
        extend(numbers[0:1])
        return x + 1, numbers.tolist()

    check(program, make=lambda: (torch.ones(2), array.array("i", [1, 2])), recaptures=None)


def test_method_of_a_regular_expression_bound_before_a_break():
    def program(x):
        match = re.compile("a+").match
        graph_break()
        return x + 1, match("aab").span()

    check(program, torch.ones(2), recaptures=None)


def test_method_of_a_queue_bound_before_a_break():
    def program(x, waiting):
        get = waiting.get
        graph_break()
        return x + 1, get()

    waiting = queue.SimpleQueue()
    waiting.put("item")
    assert capture(program)(1, waiting) == (2, "item")


class Table(dict):
    pass


def test_class_method_in_c_bound_before_a_break():
    def program(x):
        from_keys = Table.fromkeys
        graph_break()
        return x + 1, from_keys("ab")

    check(program, torch.ones(2), recaptures=None)


# Fields that an exception's __init__ sets -------------------------------------------------------------


class Countdown:
    """Looks like a generator, and ends by raising StopIteration itself."""

    def __init__(self):
        self.steps = 0

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value):
        self.steps += 1
        if self.steps == 1:
            return "first"
        raise StopIteration(value * 2)

    def throw(self, kind, *rest):
        raise kind

    def close(self):
        pass


def test_awaiting_a_generator_look_alike():
    async def waits():
        return await types.coroutine(Countdown)() + 100

    def program():
        coroutine = waits()
        coroutine.send(None)
        try:
            coroutine.send(20)
        except StopIteration as stop:
            return stop.value
        return None

    assert program() == capture(program)() == 140


def test_stop_iteration_raised_by_a_captured_function_ends_yield_from():
    def stop(value):
        raise StopIteration(value)

    def results(ending):
        class Iterator:
            def __iter__(self):
                return self

            def __next__(self):
                ending(8)

        def generator():
            return (yield from Iterator())

        try:
            next(generator())
        except StopIteration as end:
            return end.value

    assert results(stop) == results(capture(stop)) == 8


def test_system_exit_raised_by_a_captured_function_keeps_its_code():
    code = "from tracer import capture\ndef leave(status):\n    raise SystemExit(status)\ncapture(leave)(3)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 3


def test_import_error_rebuilt_behind_a_break_keeps_its_message():
    def program(x):
        error, several = ImportError("no such module"), SystemExit(1, 2)
        graph_break()
        return x + 1, error, error.msg, str(error), several.code

    check(program, torch.ones(2), recaptures=None)


def test_fields_are_those_that_init_derived():
    class Stop(StopIteration):
        def __init__(self, ignored, value):
            super().__init__(value)

    def program(x):
        stop = StopIteration(1)
        stop.args = (2,)
        bare = StopIteration.__new__(StopIteration, 5)
        return x + 1, stop.value, Stop(3, 4).value, bare.value, bare.args

    check(program, torch.ones(2), graphs=1, breaks=[])


# Locals whose end can be seen -------------------------------------------------------------------------


def test_memoryview_keeps_its_array_from_being_resized():
    def program(numbers):
        view = memoryview(numbers)
        errors = []
        for change, arguments in (
            (numbers.append, (numbers[0],)),
            (numbers.extend, (numbers[0:1],)),
            (numbers.pop, (0,)),
            (numbers.__imul__, (0,)),
        ):
            try:
                change(*arguments)
            except BufferError as error:
                errors.append(str(error))
        return errors

    check(program, make=lambda: (array.array("i", [1, 2]),), recaptures=None)


def test_memoryview_in_a_pair_keeps_its_array_from_being_resized():
    def views(numbers):
        yield memoryview(numbers), len(numbers)

    def program(numbers):
        view, count = next(iter(opaque(views(numbers))))
        graph_break()
        try:
            numbers.append(count)
        except BufferError as error:
            return str(error)
        return numbers

    check(program, make=lambda: (array.array("i", [1, 2]),), recaptures=None)


@torch.compiler.disable
def opaque(values):
    return list(values)


def test_generator_from_outside_is_closed_when_the_function_returns():
    def program(x, log):
        generator = opaque_generator(log)
        opaque_next(generator)
        graph_break()
        log.append("before the return")
        return x + 1

    log = []
    capture(program)(torch.ones(2), log)
    assert log == ["started", "before the return", "closed"]


@torch.compiler.disable
def opaque_generator(log):
    def steps():
        try:
            log.append("started")
            yield 1
        finally:
            log.append("closed")

    return steps()


@torch.compiler.disable
def opaque_next(generator):
    return next(generator)


class Resource:
    def __init__(self, log):
        self.log = log

    def __del__(self):
        self.log.append("freed")


def test_object_with_a_finalizer_is_freed_when_the_function_returns():
    def program(x, log):
        resource = Resource(log)
        graph_break()
        log.append("before the return")
        return x + 1

    def plain_and_captured(function):
        log = []
        function(torch.ones(2), log)
        return log

    assert plain_and_captured(program) == plain_and_captured(capture(program)) == ["before the return", "freed"]
