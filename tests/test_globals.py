"""Global variables and builtins, read, written and guarded."""

import torch

from tests.check import check, one_graph
from tracer import capture, graph_break

FACTOR = 3
TABLE: dict[str, object] = {"a": 1}
ITEMS: list[object] = []
WEIGHT = torch.ones(2)
CALLS = 0


def helper(x):
    return x * FACTOR


def test_global_constant_and_function():
    one_graph(lambda x: helper(x) + FACTOR, torch.ones(2))


def test_global_constant_is_guarded(monkeypatch):
    captured = capture(lambda x: helper(x), strict=True)
    torch.testing.assert_close(captured(torch.ones(2)), torch.full((2,), 3.0))
    monkeypatch.setitem(globals(), "FACTOR", 4)
    torch.testing.assert_close(captured(torch.ones(2)), torch.full((2,), 4.0))


def test_global_function_is_guarded(monkeypatch):
    captured = capture(lambda x: helper(x), strict=True)
    captured(torch.ones(2))
    monkeypatch.setitem(globals(), "helper", lambda x: x - 1)
    torch.testing.assert_close(captured(torch.ones(2)), torch.zeros(2))


def test_code_of_a_global_function_is_guarded(monkeypatch):
    captured = capture(lambda x: helper(x), strict=True)
    captured(torch.ones(2))
    monkeypatch.setattr(helper, "__code__", (lambda x: x - 1).__code__)
    torch.testing.assert_close(captured(torch.ones(2)), torch.zeros(2))


def test_builtin_shadowed_by_a_global(monkeypatch):
    captured = capture(lambda x: x + len([1, 2]), strict=True)
    torch.testing.assert_close(captured(torch.ones(2)), torch.full((2,), 3.0))
    monkeypatch.setitem(globals(), "len", lambda items: 10)
    torch.testing.assert_close(captured(torch.ones(2)), torch.full((2,), 11.0))


def test_global_tensor_is_read_at_each_call(monkeypatch):
    captured = capture(lambda x: x + WEIGHT, strict=True)
    torch.testing.assert_close(captured(torch.ones(2)), torch.full((2,), 2.0))
    monkeypatch.setitem(globals(), "WEIGHT", torch.full((2,), 5.0))
    torch.testing.assert_close(captured(torch.ones(2)), torch.full((2,), 6.0))


def test_global_is_assigned():
    def program(x):
        global CALLS
        CALLS += 1
        return x + CALLS

    check(program, torch.ones(2), graphs=1, breaks=[])


def test_global_is_created_and_deleted():
    def program(x):
        global FRESH, GONE
        FRESH = x + 1
        GONE = 3
        y = FRESH * GONE
        del GONE
        return y

    check(program, torch.ones(2), graphs=1, breaks=[])


def test_deleted_global_raises_name_error():
    def program(x):
        global MISSING_GLOBAL
        MISSING_GLOBAL = x
        del MISSING_GLOBAL
        return MISSING_GLOBAL

    check(program, torch.ones(2), recaptures=None)


def test_global_containers_are_changed():
    def program(x):
        TABLE["b"] = x + 1
        ITEMS.append(TABLE)
        return len(ITEMS)

    check(program, torch.ones(2), graphs=1, breaks=[])


def test_globals_on_both_sides_of_a_break():
    def program(x):
        global CALLS
        CALLS = "before"
        y = x + 1
        graph_break()
        ITEMS.append(CALLS)
        CALLS = "after"
        return y + 1

    check(program, torch.ones(2), graphs=2, breaks=["explicit"])


def test_absence_of_a_global_is_guarded(monkeypatch):
    def program(x):
        try:
            return x + NOT_THERE_YET
        except NameError as error:
            return x - 1, str(error)

    captured = capture(program, strict=True)
    plain, observed = program(torch.ones(2)), captured(torch.ones(2))
    assert observed[1] == plain[1]
    monkeypatch.setitem(globals(), "NOT_THERE_YET", 2)
    torch.testing.assert_close(captured(torch.ones(2)), torch.full((2,), 3.0))
