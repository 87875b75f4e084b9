"""Cause, context, suppression, notes, tracebacks, and exception groups."""

from __future__ import annotations

import traceback

from .catalogue import program, raising


@program()
def explicit_cause():
    try:
        try:
            raise ValueError("cause")
        except ValueError as error:
            raise KeyError("effect") from error
    except KeyError as error:
        return error.__cause__.args, error.__context__ is error.__cause__, error.__suppress_context__


@program()
def implicit_context():
    try:
        try:
            raise ValueError("first")
        except ValueError:
            raise KeyError("second")  # noqa: B904
    except KeyError as error:
        return error.__cause__, error.__context__.args, error.__suppress_context__


@program()
def suppressed_context():
    try:
        try:
            raise ValueError("first")
        except ValueError:
            raise KeyError("second") from None
    except KeyError as error:
        return error.__cause__, error.__context__.args, error.__suppress_context__


@program()
def cause_given_as_class():
    try:
        raise KeyError("k") from ValueError
    except KeyError as error:
        return type(error.__cause__), error.__cause__.args


@program()
def cause_must_be_exception():
    try:
        raise KeyError("k") from 5
    except TypeError as error:
        return str(error)


@program(raising(KeyError))
def chain_leaves_the_function():
    try:
        raise ValueError("inner")
    except ValueError as error:
        raise KeyError("outer") from error


@program(raising(KeyError))
def context_leaves_the_function():
    try:
        {}["a"]
    finally:
        [].append(1)


@program()
def context_in_finally():
    try:
        try:
            raise ValueError("body")
        finally:
            raise KeyError("finally")
    except KeyError as error:
        return error.__context__.args


@program()
def long_chain():
    def build(n):
        try:
            if n == 0:
                raise ValueError(0)
            build(n - 1)
        except ValueError as error:
            raise ValueError(n) from error

    try:
        build(3)
    except ValueError as error:
        chain = []
        while error is not None:
            chain.append(error.args)
            error = error.__cause__
        return chain


@program()
def context_is_not_set_outside_handlers():
    try:
        raise ValueError
    except ValueError:
        pass
    try:
        raise KeyError
    except KeyError as error:
        return error.__context__


@program()
def context_from_exit():
    class Manager:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            raise KeyError("exit")

    try:
        with Manager():
            raise ValueError("body")
    except KeyError as error:
        return error.__context__.args


@program()
def notes():
    error = ValueError("v")
    error.add_note("first")
    try:
        try:
            raise error
        except ValueError as caught:
            caught.add_note("second")
            raise
    except ValueError as final:
        return final.__notes__, final is error


@program()
def with_traceback_is_itself():
    error = ValueError("v")
    return error.with_traceback(None) is error, error.__traceback__


@program(may_break=True)
def traceback_lines():
    def inner():
        raise ValueError("deep")

    try:
        inner()
    except ValueError as error:
        frames = traceback.extract_tb(error.__traceback__)
        return [(frame.name, frame.line) for frame in frames]


@program(may_break=True)
def traceback_text():
    try:
        raise ValueError("shown")
    except ValueError as error:
        return traceback.format_exception_only(type(error), error)


@program(may_break=True)
def traceback_is_present():
    try:
        raise ValueError
    except ValueError as error:
        return error.__traceback__ is not None, error.__traceback__.tb_frame.f_code.co_name


@program()
def group_is_split_by_except_star():
    seen = []
    try:
        raise ExceptionGroup("several", [ValueError(1), TypeError(2), ValueError(3)])
    except* ValueError as group:
        seen.append(("value", [e.args for e in group.exceptions]))
    except* TypeError as group:
        seen.append(("type", [e.args for e in group.exceptions]))
    return seen


@program()
def except_star_of_a_plain_exception():
    try:
        raise ValueError("single")
    except* ValueError as group:
        result = type(group).__name__, group.exceptions[0].args
    return result


@program()
def rest_of_the_group_is_raised():
    try:
        try:
            raise ExceptionGroup("g", [ValueError(1), KeyError(2)])
        except* ValueError:
            pass
    except ExceptionGroup as group:
        return group.message, [type(e).__name__ for e in group.exceptions]


@program()
def nested_group():
    seen = []
    inner = ExceptionGroup("inner", [ValueError(1), TypeError(2)])
    try:
        try:
            raise ExceptionGroup("outer", [inner, ValueError(3)])
        except* ValueError as group:
            seen.append(len(group.exceptions))
            seen.append([type(e).__name__ for e in group.exceptions])
    except* TypeError as group:
        seen.append(group.exceptions[0].message)
    return seen


@program()
def raise_inside_except_star():
    try:
        try:
            raise ExceptionGroup("g", [ValueError(1)])
        except* ValueError as group:
            raise KeyError("from handler") from group
    except KeyError as error:
        return error.args, error.__cause__.message


@program()
def raise_inside_two_except_stars():
    try:
        try:
            raise ExceptionGroup("g", [ValueError(1), TypeError(2)])
        except* ValueError:
            raise KeyError("first")
        except* TypeError:
            raise IndexError("second")
    except ExceptionGroup as group:
        return [(type(e).__name__, e.args) for e in group.exceptions], group.message


@program()
def except_star_else_finally():
    seen = []
    try:
        seen.append("body")
    except* ValueError:
        seen.append("no")
    else:
        seen.append("else")
    finally:
        seen.append("finally")
    return seen


@program()
def group_methods():
    group = ExceptionGroup("g", [ValueError(1), ExceptionGroup("h", [KeyError(2), ValueError(3)])])
    matched, rest = group.split(ValueError)
    picked = group.subgroup(lambda e: isinstance(e, KeyError))
    return (
        matched.message,
        len(matched.exceptions),
        rest.exceptions[0].exceptions[0].args,
        picked.exceptions[0].message,
        group.subgroup(OSError),
        str(group),
        repr(group.derive([ValueError()])),
    )


@program(raising(ExceptionGroup))
def group_leaves_the_function():
    raise ExceptionGroup("all", [ValueError(1), TypeError("t")])


@program()
def wrong_groups():
    messages = []
    for arguments in ((), ("m",), ("m", []), ("m", [1]), ("m", 5), (5, [ValueError()])):
        try:
            ExceptionGroup(*arguments)
        except (TypeError, ValueError) as error:
            messages.append((type(error).__name__, str(error)))
    return messages


@program()
def exception_state():
    import sys

    states = [sys.exc_info()[0]]
    try:
        raise ValueError
    except ValueError:
        states.append(sys.exc_info()[0])
        try:
            raise KeyError
        except KeyError:
            states.append(sys.exc_info()[0])
        states.append(sys.exc_info()[0])
    states.append(sys.exc_info()[0])
    return states


@program()
def exception_being_handled():
    import sys

    states = [sys.exception()]
    try:
        raise ValueError("outer")
    except ValueError as error:
        states.append(sys.exception() is error)
        try:
            raise KeyError("inner")
        except KeyError:
            states.append(str(sys.exception()))
        states.append(str(sys.exception()))
    states.append(sys.exception())
    return states


@program()
def exception_while_handling_in_call():
    def handle(error):
        try:
            return {}[error.args[0]]
        except KeyError as inner:
            return type(inner.__context__).__name__

    try:
        raise ValueError("key")
    except ValueError as error:
        return handle(error)


@program()
def exception_equality_and_repr():
    a, b = ValueError(1, "x"), ValueError(1, "x")
    return a == b, repr(a), str(a), str(ValueError()), str(ValueError("one")), str(KeyError("k")), a.args == b.args


@program()
def keyboard_interrupt_is_not_exception():
    try:
        try:
            raise KeyboardInterrupt
        except Exception:  # noqa: BLE001
            return "wrong"
    except BaseException as error:  # noqa: BLE001
        return type(error).__name__
