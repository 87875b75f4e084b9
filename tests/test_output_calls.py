"""Warnings, printed lines and log messages leave a graph whole: they are written behind it, as the plain program writes
them, in their order and attributed to their lines. What would show that they are late breaks the graph."""

import contextlib
import io
import logging
import sys
import warnings

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, counters, reset

BACKENDS = ["eager", "aot_eager", lambda gm, inputs: gm.forward]


def deprecated(x):
    warnings.warn("use another", DeprecationWarning, stacklevel=2)
    return x * 2


def recorded(function, *args):
    """What a call warns of, with the lines and the modules that the warnings are attributed to."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        result = function(*args)
    return result, [(str(each.message), each.category, each.filename, each.lineno) for each in seen]


@pytest.mark.parametrize("backend", BACKENDS)
def test_warnings_leave_one_graph(backend):
    def program(x):
        warnings.warn("first", stacklevel=1)
        y = deprecated(x)
        warnings.warn(RuntimeWarning("second", x.shape[0]), stacklevel=1)
        return torch.nn.functional.softmax(y)  # warns of the implicit dimension

    report = check(program, torch.ones(3), backend=backend, fullgraph=True, graphs=1)
    assert [len(outcome.warnings) for outcome in report.outcomes] == [4, 4]


def test_warnings_are_attributed_to_their_lines():
    def program(x):
        y = deprecated(x)
        warnings.warn("here", stacklevel=1)
        return y + sum(deprecated(each) for each in (x, y))

    captured = capture(program, strict=True, fullgraph=True)
    for _ in range(2):
        (plain, expected), (result, seen) = recorded(program, torch.ones(2)), recorded(captured, torch.ones(2))
        assert seen == expected and torch.equal(plain, result)


def test_a_warning_is_shown_once_by_default():
    def program(x):
        warnings.warn("once", stacklevel=1)
        return x + 1

    captured = capture(program, fullgraph=True)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        captured(torch.ones(2))
        captured(torch.ones(2))
    assert len(seen) == 1


def test_a_warning_that_becomes_an_error_later_is_raised_where_it_is_issued():
    def program(x, seen):
        try:
            warnings.warn("careful", stacklevel=1)
        except UserWarning as error:
            seen.append(str(error))
        return x + 1

    captured, seen = capture(program, strict=True, fullgraph=True), []
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        captured(torch.ones(2), seen)
    assert seen == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(captured(torch.ones(2), seen), torch.full((2,), 2.0))
    assert seen == ["careful"]


def test_warnings_that_the_program_looks_at_are_in_order():
    def program(x, seen):
        before = len(seen)
        warnings.warn("careful", stacklevel=1)
        return x + len(seen) - before

    for captured in (program, capture(program, strict=True)):
        for _ in range(2):
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                assert torch.equal(captured(torch.ones(2), seen), torch.full((2,), 2.0))


def test_code_of_the_program_that_shows_warnings_runs_in_order(monkeypatch):
    shown = []

    def program(x, items):
        items.append(1)
        warnings.warn(f"number {len(items)}", stacklevel=1)
        items.append(2)
        return x + len(shown)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *rest: shown.append(str(message)))
        items = []
        assert torch.equal(capture(program, strict=True)(torch.ones(2), items), torch.full((2,), 2.0))
    assert shown == ["number 1"] and items == [1, 2]


def test_an_operator_that_fails_after_a_warning_fails_after_it():
    def program(x, index):
        warnings.warn("before", stacklevel=1)
        return x[index]

    captured = capture(program, strict=True)
    captured(torch.ones(3), torch.tensor([0, 2]))
    with pytest.raises(IndexError), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        captured(torch.ones(3), torch.tensor([7]))
    assert [str(each.message) for each in seen] == ["before"]


class Loud(UserWarning):
    def __init__(self, *args):
        super().__init__(*args)
        spoken.append(args)


spoken = []


@pytest.mark.parametrize("warning", [Loud, "no warning", int])
def test_warnings_that_run_code_or_are_refused_are_cpythons(warning):
    def program(x):
        try:
            warnings.warn("careful", warning, stacklevel=1)
        except TypeError as error:
            return x + len(str(error))
        return x + len(spoken)

    check(program, torch.ones(2), recaptures=None)


# Printing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_prints_leave_one_graph(backend):
    def program(x):
        print("start", x.shape, 1.5, None, sep="|", end="!\n")
        y = x * 2
        print(y, "and", x, flush=True)
        z = y + 1
        print()
        return z

    report = one_graph(program, torch.ones(2), backend=backend, fullgraph=True)
    assert "start|torch.Size([2])|1.5|None!\ntensor([2., 2.]) and tensor([1., 1.])" in report.outcomes[-1].output


def test_a_tensor_is_printed_before_it_changes():
    def program(x):
        y = x * 2
        print(y)
        y.add_(1)
        print(y)
        return y

    check(program, torch.ones(2), recaptures=None)


def test_the_order_of_output_on_both_sides_of_breaks():
    def program(x, stream):
        print("one")
        warnings.warn("two", stacklevel=1)
        print("three", x.sum().item())
        print("four")
        print("five", file=sys.stderr)
        return x + 1

    check(program, torch.ones(2), None, recaptures=None)


def test_a_stream_of_the_programs_own_is_written_to_in_time():
    class Stream(io.StringIO):
        def write(self, text):
            return super().write(f"{text}{len(items)}")

    def program(x):
        items.append(1)
        print("a", end="")
        items.append(2)
        return x + 1

    def outcome(function):
        items.clear()
        stream = Stream()
        with contextlib.redirect_stdout(stream):
            function(torch.ones(2))
        return stream.getvalue()

    captured = capture(program, strict=True)
    with contextlib.redirect_stdout(io.StringIO()):
        captured(torch.ones(2))
    assert outcome(captured) == outcome(program) == outcome(capture(program, strict=True))


items = []


def test_objects_that_print_while_they_are_printed():
    class Talking:
        def __str__(self):
            print("inside", end=" ")
            return "text"

    def program(x):
        print("outside", Talking(), end=".")
        return x + 1

    check(program, torch.ones(2), recaptures=None)


# Logging ---------------------------------------------------------------------------------------------


logger = logging.getLogger("bytegraph.tests.output")


def log_of(function, *args, handlers=()):
    """What a call writes to the log, with the line and the function that each message is attributed to."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter("%(levelname)s %(lineno)d %(funcName)s %(message)s"))
    before = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [handler, *handlers], False  # without those that pytest adds
    logger.setLevel(logging.INFO)
    try:
        function(*args)
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])
    return handler.stream.getvalue()


@pytest.mark.parametrize("backend", BACKENDS)
def test_log_messages_leave_one_graph(backend):
    def helper(x):
        logger.warning("size %d of %s", x.shape[0], "x", stacklevel=2)
        return x * 2

    def program(x):
        logger.info("begun")
        logger.debug("silent")
        y = helper(x)
        logger.log(logging.ERROR, "done")
        return y

    reset()
    captured = capture(program, strict=True, fullgraph=True, backend=backend)
    expected = log_of(program, torch.ones(3))
    assert expected.count("\n") == 3
    assert [log_of(captured, torch.ones(3)) for _ in range(2)] == [expected, expected]
    assert counters().graphs == 1


def test_a_handler_of_the_programs_own_is_called_in_time():
    class Counting(logging.Handler):
        def emit(self, record):
            seen.append((record.getMessage(), len(items)))

    def program(x, items):
        items.append(1)
        logger.info("one")
        items.append(2)
        results.append(x + len(seen))

    seen, items, results = [], [], []
    captured = capture(program, strict=True)
    log_of(captured, torch.ones(2), items)
    items.clear()
    log_of(captured, torch.ones(2), items, handlers=[Counting()])
    assert seen == [("one", 1)]
    assert [result.tolist() for result in results] == [[1, 1], [2, 2]]


@pytest.mark.parametrize("ask", [lambda: logger.isEnabledFor("high"), lambda: logger.log("high", "a message")])
def test_level_that_is_no_number_is_the_error_of_the_program(ask):
    def program(x):
        y = x + 1
        try:
            return y, ask()
        except TypeError as error:
            return y, str(error)

    check(program, torch.ones(2), recaptures=None)
    assert counters().tracer_bugs == 0
