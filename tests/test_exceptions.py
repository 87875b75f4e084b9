"""Exceptions raised, caught and let through by a captured program."""

import traceback

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, graph_break


class Refused(ValueError):
    """An exception with an attribute of its own."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def refuse(x, code):
    raise Refused(f"refused {tuple(x.shape)}", code)


def test_exception_caught_in_the_same_function():
    def program(x):
        try:
            raise ValueError("inside")
        except ValueError as error:
            return x + 1, str(error)

    one_graph(program, torch.ones(2))


def test_exception_caught_two_calls_up():
    def middle(x):
        return refuse(x + 1, 7)

    def program(x):
        try:
            return middle(x)
        except Refused as error:
            return x * error.code, error.args

    one_graph(program, torch.ones(2))


def test_except_clauses_are_tried_in_order():
    def program(x, which):
        try:
            if which == "key":
                {}["missing"]
            elif which == "index":
                [][3]
            elif which == "zero":
                1 // 0
            elif which == "attribute":
                x.no_such_attribute
            else:
                int("nonsense")
        except KeyError as error:
            return x + 1, repr(error)
        except (IndexError, ZeroDivisionError) as error:
            return x + 2, repr(error)
        except AttributeError as error:
            return x + 3, str(error)
        except Exception as error:
            return x + 4, str(error)

    for which in ("key", "index", "zero", "attribute", "value"):
        check(program, torch.ones(2), which, breaks=[])


def test_else_and_finally_run():
    def program(x, log):
        try:
            y = x + 1
        except ValueError:
            log.append("except")
        else:
            log.append("else")
            y = y * 2
        finally:
            log.append("finally")
        return y

    one_graph(program, torch.ones(2), [])


def test_finally_overrides_return():
    def program(x):
        for factor in (1, 2, 3):
            try:
                return x * factor
            finally:
                if factor < 3:
                    continue

    one_graph(program, torch.ones(2))


def test_exception_leaves_the_program_after_mutations():
    def program(items, x):
        items.append(x + 1)
        if len(items) > 1:
            raise RuntimeError(f"{len(items)} items")
        return x

    check(program, [1], torch.ones(2), recaptures=None)


def test_exception_from_a_callee_leaves_the_program():
    def program(x):
        return refuse(x * 2, code=3)

    report = check(program, torch.ones(2), recaptures=None)
    assert report.outcomes[-1].exception.code == 3


def test_raise_from_and_context():
    def program(x):
        try:
            {}["missing"]
        except KeyError as error:
            raise ValueError("outer") from error

    check(program, torch.ones(2), recaptures=None)


def test_raise_from_none():
    def program(x):
        try:
            {}["missing"]
        except KeyError:
            raise ValueError("outer") from None

    check(program, torch.ones(2), recaptures=None)


def test_bare_raise_passes_the_exception_on():
    def program(x, log):
        try:
            try:
                refuse(x, 1)
            except Refused:
                log.append("inner")
                raise
        except ValueError as error:
            log.append(type(error).__name__)
        return x + 1

    one_graph(program, torch.ones(2), [])


def test_name_of_the_exception_is_unbound_after_the_handler():
    def program(x):
        try:
            raise ValueError
        except ValueError as error:
            pass
        try:
            error
        except UnboundLocalError as unbound:
            return x + 1, str(unbound)

    one_graph(program, torch.ones(2))


def test_operator_error_has_the_original_message():
    def program(x, y):
        return x @ y

    check(program, torch.ones(2, 3), torch.ones(2, 3), recaptures=None)


def test_operator_error_that_is_caught():
    def program(x, y):
        try:
            return x @ y
        except RuntimeError as error:
            return x + 1, str(error)

    check(program, torch.ones(2, 3), torch.ones(2, 3), recaptures=None)


def test_operator_error_names_the_line_of_the_user():
    def program(x, index):
        y = x + 1
        return y[index]  # the line that fails

    captured = capture(program, strict=True)
    captured(torch.ones(3), torch.tensor([0]))
    with pytest.raises(IndexError) as caught:
        captured(torch.ones(3), torch.tensor([9]))
    text = "".join(traceback.format_exception(caught.value))
    assert "test_exceptions.py" in text and "the line that fails" in text


def test_assertion_with_a_message():
    def program(x, size):
        assert x.shape[0] == size, f"expected {size}, found {x.shape[0]}"
        return x + 1

    one_graph(program, torch.ones(2), 2)
    check(program, torch.ones(2), 3, recaptures=None)


def test_wrong_arguments_raise_the_original_error():
    def program(x, *, scale):
        return x * scale

    captured = capture(program, strict=True)
    for args, kwargs in (((), {}), ((1, 2), {"scale": 1}), ((1,), {"scale": 1, "other": 2})):
        with pytest.raises(TypeError) as expected:
            program(*args, **kwargs)
        with pytest.raises(TypeError) as raised:
            captured(*args, **kwargs)
        assert str(raised.value) == str(expected.value)


def test_exception_on_both_sides_of_a_break():
    def program(x, log):
        try:
            y = x + 1
            graph_break()
            log.append(y)
            raise ValueError("after the break")
        except ValueError as error:
            log.append(str(error))
            y = x * 2
        finally:
            log.append("finally")
        return y

    check(program, torch.ones(2), [], breaks=["explicit"])


def test_break_within_an_except_handler():
    def program(x):
        try:
            raise ValueError("first")
        except ValueError as error:
            y = x + 1
            graph_break()
            return y * 2, str(error)

    check(program, torch.ones(2), breaks=["explicit"])


def test_bare_raise_after_a_break_in_a_handler():
    def program(x):
        try:
            raise ValueError("first")
        except ValueError:
            x = x + 1
            graph_break()
            raise

    check(program, torch.ones(2), recaptures=None)


def test_break_within_finally():
    def program(x, log):
        try:
            y = x + 1
        finally:
            graph_break()
            log.append("finally")
        return y + 1

    check(program, torch.ones(2), [], breaks=["explicit"])


def test_stop_iteration_of_an_exhausted_iterator():
    def program(x):
        numbers = iter([1])
        next(numbers)
        try:
            next(numbers)
        except StopIteration as stop:
            return x + 1, stop.value
        return x

    one_graph(program, torch.ones(2))


def test_exception_group():
    def program(x):
        try:
            raise ExceptionGroup("several", [ValueError("a"), TypeError("b")])
        except* ValueError as group:
            x = x + len(group.exceptions)
        except* TypeError as group:
            x = x * 10
        return x

    check(program, torch.ones(2), recaptures=None)


FROM_OUTSIDE = (KeyError, ValueError)


class Classes(tuple):
    """A tuple that says of its items something else than what it holds."""

    def __iter__(self):
        return iter(())


def natively_given():
    graph_break()
    return ValueError


def refused(x, classes):
    try:
        return refuse(x, 3)
    except classes:
        return x + 1


def refused_among_two(x, one):
    try:
        return refuse(x, 3)
    except (one, KeyError):
        return x + 2


@pytest.mark.parametrize("classes", [(KeyError, Refused), Classes((ValueError,)), FROM_OUTSIDE, ValueError])
def test_the_classes_that_are_caught_come_from_outside(classes):
    one_graph(refused, torch.ones(2), classes)


def test_classes_that_were_captured_are_guarded():
    captured = capture(refused)
    x = torch.ones(2)
    assert torch.equal(captured(x, (ValueError,)), x + 1)
    with pytest.raises(Refused):
        captured(x, (KeyError,))
    for wrong in ([ValueError], ((ValueError,),), (ValueError, 3), 3):
        with pytest.raises(TypeError, match="catching classes that do not inherit from BaseException is not allowed"):
            captured(x, wrong)
    assert torch.equal(captured(x, FROM_OUTSIDE), x + 1)


def test_caught_classes_among_others():
    def program(x):
        try:
            return refuse(x, 3)
        except (*FROM_OUTSIDE, TypeError):
            return x + 1

    one_graph(program, torch.ones(2))
    one_graph(refused_among_two, torch.ones(2), ValueError)
    check(lambda x: refused_among_two(x, natively_given()), torch.ones(2), breaks=["explicit"] * 2)
