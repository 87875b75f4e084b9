"""An exception that lasts keeps the frames that it has passed through, and with them what their variables hold."""

import pytest
import torch

from tests.check import BACKENDS
from tracer import capture, counters, graph_break, reset


def waiting(log):
    try:
        yield 1
    finally:
        log.append("closed")


class Finalised:
    def __init__(self, log):
        self.log = log

    def __del__(self):
        self.log.append("gone")


def generator_and_kept_error(x, log, errors):
    generator = waiting(log)
    next(generator)
    try:
        raise ValueError(1)
    except ValueError as error:
        errors.append(error)
    return x + 1


def finaliser_and_kept_error(x, log, errors):
    finalised = Finalised(log)
    try:
        raise ValueError(1)
    except ValueError as error:
        errors.append(error)
    return x + 1


def returned_error(x, log, errors):
    generator = waiting(log)
    next(generator)
    try:
        x = x + 1
        raise ValueError(1)
    except ValueError as error:
        kept = error
    return x * 2, errors.append(kept)


def error_in_an_object(x, log, errors):
    finalised = Finalised(log)
    try:
        [][1]
    except IndexError as error:
        errors.append({"error": [error]})
    return x + 1


def context_of_an_error(x, log, errors):
    finalised = Finalised(log)
    try:
        try:
            raise ValueError(1)
        except ValueError:
            {}["key"]
    except KeyError as error:
        errors.append(error)
    return x + 1


def break_behind_the_error(x, log, errors):
    generator = waiting(log)
    next(generator)
    try:
        raise ValueError(1)
    except ValueError as error:
        errors.append(error)
    graph_break()
    return x + 1


def error_of_a_callee(x, log, errors):
    def callee():
        raise ValueError(1)

    finalised = Finalised(log)
    try:
        callee()
    except ValueError as error:
        errors.append(error)
    return x + 1


def variable_of_a_callee(x, log, errors):
    def callee():
        finalised = Finalised(log)
        raise ValueError(1)

    try:
        callee()
    except ValueError as error:
        errors.append(error)
    return x + 1


def error_without_traceback(x, log, errors):
    finalised = Finalised(log)
    errors.append(ValueError(1))
    return x + 1


def error_that_is_dropped(x, log, errors):
    finalised = Finalised(log)
    try:
        raise ValueError(1)
    except ValueError as error:
        errors.append(str(error))
    return x + 1


def generator_made_after_the_error(x, log, errors):
    try:
        raise ValueError(1)
    except ValueError as error:
        errors.append(error)
        generator = waiting(log)
        next(generator)
    return x + 1


def finaliser_made_behind_a_break(x, log, errors):
    try:
        raise ValueError(1)
    except ValueError as error:
        errors.append({"error": error})
    graph_break()
    finalised = Finalised(log)
    return x + 1


def generator_made_in_a_callee(x, log, errors):
    def callee():
        generator = waiting(log)
        next(generator)
        raise ValueError(1)

    try:
        callee()
    except ValueError as error:
        errors.append(error)
    return x + 1


PROGRAMS = [generator_and_kept_error, finaliser_and_kept_error, returned_error, error_in_an_object]
PROGRAMS += [context_of_an_error, break_behind_the_error, error_of_a_callee, variable_of_a_callee]
PROGRAMS += [generator_made_after_the_error, finaliser_made_behind_a_break, generator_made_in_a_callee]
PROGRAMS += [error_without_traceback, error_that_is_dropped]


def ends(program):
    """What has ended when the program returns, and when its errors are dropped, in two calls."""
    seen = []
    for _ in range(2):
        log, errors = [], []
        program(torch.ones(2), log, errors)
        seen.append(list(log))
        errors.clear()
        seen.append(list(log))
    return seen


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_kept_frame_holds_lives_on(program, backend):
    reset()
    assert ends(capture(program, backend=BACKENDS[backend])) == ends(program)
    assert not counters().tracer_bugs


def test_error_that_leaves_the_function_keeps_it():
    def program(x, log):
        generator = waiting(log)
        next(generator)
        x.add_(1)
        raise ValueError(1)

    for function in (program, capture(program)):
        log = []
        with pytest.raises(ValueError, match="1") as raised:
            function(torch.ones(2), log)
        assert log == []
        del raised
        assert log == ["closed"]
