"""What exceptions carry: names, objects, codes, notes, tracebacks; and how they are linked to each other."""

from __future__ import annotations

from tests.conformance.catalogue import program


class Refused(Exception):
    def __init__(self, code, *, reason=None):
        super().__init__(f"refused: {code}")
        self.code = code
        self.reason = reason


class Terse(ValueError):
    def __init__(self, a, b):
        self.total = a + b


@program()
def attribute_error_fields():
    thing = object()
    try:
        thing.nothing
    except AttributeError as error:
        return error.name, error.obj is thing, error.args


@program()
def attribute_error_by_hand():
    error = AttributeError("text", name="n", obj=5)
    plain = AttributeError("text")
    return error.name, error.obj, error.args, plain.name, plain.obj


@program()
def name_error_fields():
    try:
        return not_defined_anywhere  # noqa: F821
    except NameError as error:
        return error.name, error.args


@program()
def wrong_keywords():
    messages = []
    for make in (
        lambda: ValueError(a=1),
        lambda: AttributeError("x", wrong=1),
        lambda: KeyError("x", k=1),
    ):
        try:
            make()
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def stop_iteration_value():
    def numbers():
        yield 1
        return "done"

    iterator = numbers()
    next(iterator)
    try:
        next(iterator)
    except StopIteration as stop:
        return stop.value, stop.args, StopIteration().value, StopIteration(1, 2).value


@program()
def exit_code():
    codes = []
    for arguments in ((), (3,), ("bye", 2)):
        try:
            raise SystemExit(*arguments)
        except SystemExit as error:
            codes.append(error.code)
    return codes


@program()
def operating_system_errors():
    error = OSError(2, "no such thing", "file.txt")
    return type(error).__name__, error.errno, error.strerror, error.filename, error.args, str(error)


@program()
def plain_os_error():
    error = OSError("just text")
    return type(error).__name__, error.errno, error.args, str(error)


@program()
def unicode_errors():
    try:
        b"\xff".decode("utf-8")
    except UnicodeDecodeError as error:
        return error.encoding, error.object, error.start, error.end, error.reason, str(error)


@program()
def notes():
    error = ValueError("x")
    before = hasattr(error, "__notes__")
    error.add_note("first")
    error.add_note("second")
    try:
        error.add_note(3)
    except TypeError as wrong:
        return before, error.__notes__, str(wrong)


@program()
def notes_while_passing():
    def inner():
        raise KeyError("k")

    try:
        try:
            inner()
        except KeyError as error:
            error.add_note("seen")
            raise
    except KeyError as error:
        return error.__notes__, error.args


@program()
def attributes_of_own_errors():
    try:
        raise Refused(7, reason="why")
    except Refused as error:
        return error.code, error.reason, str(error), error.args, vars(error)


@program()
def own_init_does_not_call_super():
    error = Terse(1, b=2)
    return error.args, error.total, str(error), repr(error)


@program()
def arguments_replaced():
    error = ValueError("a", "b")
    error.args = ["c", "d"]
    return error.args, str(error)


@program()
def with_traceback_gives_the_error():
    error = ValueError("x")
    return error.with_traceback(None) is error, error.__traceback__


@program()
def traceback_is_there_after_raising():
    try:
        raise ValueError("x")
    except ValueError as error:
        kept = error
        inside = error.__traceback__ is None
    return inside, kept.__traceback__ is None, kept.with_traceback(None).__traceback__


@program()
def cause_and_context():
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise ValueError("second") from first
    except ValueError as second:
        return (
            type(second.__cause__).__name__,
            second.__cause__ is second.__context__,
            second.__suppress_context__,
            second.__cause__.args,
        )


@program()
def context_only():
    try:
        try:
            {}["a"]
        finally:
            [].pop()
    except IndexError as error:
        return type(error.__context__).__name__, error.__cause__, error.__suppress_context__


@program()
def context_set_by_hand():
    error, other = ValueError(1), KeyError(2)
    error.__cause__ = other
    suppressed = error.__suppress_context__
    error.__context__ = None
    return error.__cause__ is other, suppressed, error.__context__


@program()
def raised_again_in_another_handler():
    kept = ValueError("kept")
    try:
        try:
            raise kept
        except ValueError:
            pass
        try:
            raise KeyError("k")
        except KeyError:
            raise kept
    except ValueError as error:
        return error is kept, type(error.__context__).__name__


@program()
def from_none():
    try:
        try:
            raise KeyError
        except KeyError:
            raise ValueError from None
    except ValueError as error:
        return error.__cause__, type(error.__context__).__name__, error.__suppress_context__


@program()
def name_is_unbound_behind_the_handler():
    try:
        raise ValueError
    except ValueError as error:
        del error
    try:
        return error  # noqa: F821
    except UnboundLocalError as wrong:
        return str(wrong)


@program()
def error_in_error_init():
    class Bad(Exception):
        def __init__(self):
            raise RuntimeError("inside")

    try:
        raise Bad
    except RuntimeError as error:
        return str(error), error.__context__


@program()
def errors_are_equal_by_identity():
    a, b = ValueError(1), ValueError(1)
    return a == b, a == a, a in [b], {a: 1}.get(b)


@program()
def text_of_errors():
    errors = (KeyError("k"), KeyError(), ValueError(), ValueError(1, 2), Refused(3), StopIteration(5), OSError(1, "x"))
    return [str(e) for e in errors], [repr(e) for e in errors], [f"{e!s:>5}|{e!r}" for e in errors[:2]]


@program()
def returned_in_finally():
    def leave():
        try:
            raise ValueError
        finally:
            return "swallowed"  # noqa: B012

    return leave()


@program()
def not_an_exception():
    messages = []
    for wrong in (5, "text", int, None):
        try:
            raise wrong
        except TypeError as error:
            messages.append(str(error))
    try:
        try:
            raise ValueError
        except "text":
            pass
    except TypeError as error:
        messages.append(str(error))
    return messages


@program()
def tuple_of_kinds():
    kinds = (KeyError, ValueError)
    try:
        int("x")
    except kinds as error:
        return type(error).__name__, str(error)


@program()
def assertion_text():
    try:
        assert [] == 1, ("left", "right")
    except AssertionError as error:
        return error.args


@program()
def generator_cleanup_order():
    log = []

    def numbers():
        try:
            yield 1
        except GeneratorExit:
            log.append("exit")
            raise
        finally:
            log.append("finally")

    iterator = numbers()
    next(iterator)
    iterator.close()
    return log
