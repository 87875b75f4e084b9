"""The generator protocol inside a captured program: handled exceptions, chains, delegation, attributes, the end.

Each program is compared with the plain run by `check`, which calls it again from the cache.
"""

import sys
import types

import pytest

from tests.check import check


def reraise_after_a_yield():
    def items():
        try:
            raise KeyError("k")
        except KeyError:
            yield 1
            raise

    generator = items()
    next(generator)
    try:
        next(generator)
    except KeyError as error:
        return repr(error)


def caller_handles_another_exception_meanwhile():
    def items():
        try:
            raise KeyError("inner")
        except KeyError:
            yield 1
            try:
                raise
            except KeyError as error:
                yield error.args

    generator = items()
    seen = [next(generator)]
    try:
        raise ValueError("outer")
    except ValueError:
        seen.append(next(generator))
        try:
            raise
        except ValueError as error:
            seen.append(error.args)
    return seen


def generator_sees_what_its_caller_handles():
    def items():
        while True:
            try:
                raise
            except (RuntimeError, ValueError, TypeError) as error:
                yield type(error).__name__, error.args

    generator = items()
    seen = [next(generator)]
    try:
        raise ValueError(1)
    except ValueError:
        seen.append(next(generator))
    try:
        raise TypeError(2)
    except TypeError:
        seen.append(next(generator))
    return [name for name, _ in seen]


def thrown_exception_gets_what_the_generator_handles():
    def items():
        try:
            raise KeyError("k")
        except KeyError:
            yield

    generator = items()
    next(generator)
    try:
        generator.throw(ValueError("v"))
    except ValueError as error:
        return repr(error.__context__)


def thrown_exception_ignores_what_the_caller_handles():
    def items():
        yield

    generator = items()
    next(generator)
    try:
        raise KeyError("k")
    except KeyError:
        try:
            generator.throw(ValueError("v"))
        except ValueError as error:
            return repr(error.__context__)


def exception_thrown_through_a_delegate():
    log = []

    def inner():
        try:
            raise KeyError("inner")
        except KeyError:
            try:
                yield 1
            except ValueError as error:
                log.append(repr(error.__context__))
                raise TypeError("t") from error

    def outer():
        try:
            raise IndexError("outer")
        except IndexError:
            yield from inner()

    generator = outer()
    next(generator)
    try:
        generator.throw(ValueError("v"))
    except TypeError as error:
        return log, repr(error.__cause__), repr(error.__context__)


class Full:
    """An iterator with all of a generator's methods."""

    def __init__(self, log):
        self.log = log

    def __iter__(self):
        return self

    def __next__(self):
        self.log.append("next")
        return 1

    def send(self, value):
        self.log.append(("send", value))
        if value == "stop":
            raise StopIteration("result")
        return value

    def throw(self, *args):
        self.log.append(("throw", [arg if isinstance(arg, type) else repr(arg) for arg in args]))
        if args[0] is IndexError:
            raise StopIteration("caught")
        if args[0] is KeyError:
            return "kept"
        raise args[0]

    def close(self):
        self.log.append("close")


class OnlyNext:
    """An iterator without send, throw and close."""

    def __iter__(self):
        return self

    def __next__(self):
        return 7


class OnlyClose(OnlyNext):
    """Its close is an attribute of the instance, and raises."""

    def __init__(self, log):
        def close():
            log.append("closing")
            raise OSError("in close")

        self.close = close


def delegate(iterator, log):
    try:
        result = yield from iterator
        log.append(("result", result))
        yield "after"
    except (ValueError, AttributeError, OSError) as error:
        log.append(("caught", type(error).__name__, str(error)))
        yield "handled"
    finally:
        log.append("finally")


def send_reaches_any_iterator():
    log = []
    generator = delegate(Full(log), log)
    seen = [next(generator), generator.send(5), generator.send(None), generator.send("stop")]
    generator.close()
    return seen, log


def send_to_an_iterator_without_send():
    log = []
    generator = delegate(OnlyNext(), log)
    return next(generator), generator.send(3), list(generator), log


def send_to_a_list_iterator():
    log = []
    generator = delegate([1, 2, 3], log)
    return next(generator), generator.send(3), log


def throw_reaches_any_iterator():
    log = []
    generator = delegate(Full(log), log)
    seen = [next(generator), generator.throw(KeyError), generator.throw(KeyError, "k"), generator.throw(IndexError)]
    generator.close()
    return seen, log


def throw_into_an_iterator_that_raises_it():
    log = []
    generator = delegate(Full(log), log)
    seen = next(generator), generator.throw(ValueError("v"))
    generator.close()
    return seen, log


def throw_into_an_iterator_without_throw():
    log = []
    generator = delegate(OnlyNext(), log)
    seen = next(generator), generator.throw(ValueError("v"))
    generator.close()
    return seen, log


def close_reaches_any_iterator():
    log = []
    generator = delegate(Full(log), log)
    next(generator)
    generator.close()
    return log


def close_that_raises():
    log = []
    generator = delegate(OnlyClose(log), log)
    next(generator)
    try:
        generator.close()
    except RuntimeError as error:
        log.append(str(error))
    generator.close()
    return log


def throw_exit_closes_the_delegate():
    log = []
    generator = delegate(Full(log), log)
    next(generator)
    try:
        generator.throw(GeneratorExit)
    except GeneratorExit:
        return log


def close_of_nested_generators():
    log = []

    def inner():
        try:
            yield 1
        finally:
            log.append("inner")

    def outer():
        try:
            yield from inner()
        finally:
            log.append("outer")

    generator = outer()
    next(generator)
    generator.close()
    return log


def exit_is_ignored():
    def items():
        while True:
            try:
                yield 1
            except GeneratorExit:
                pass

    generator = items()
    next(generator)
    try:
        generator.close()
    except RuntimeError as error:
        return str(error)


def resumed_while_it_runs():
    errors = []

    def items():
        for use in (lambda: next(generator), lambda: generator.throw(KeyError), generator.close):
            try:
                use()
            except ValueError as error:
                errors.append(str(error))
        yield generator.gi_running, generator.gi_suspended

    generator = items()
    return next(generator), generator.gi_running, generator.gi_suspended, errors


def attributes_of_a_generator():
    def inner():
        yield 1

    def outer():
        yield from source

    source = inner()
    generator = outer()
    seen = [generator.gi_suspended, generator.gi_yieldfrom, generator.__name__, generator.__qualname__]
    next(generator)
    seen += [generator.gi_suspended, generator.gi_yieldfrom is source, generator.gi_code is outer.__code__]
    seen += [item for item in generator]
    return [*seen, generator.gi_yieldfrom, generator.gi_frame, generator.gi_running]


def name_of_a_renamed_function():
    def items():
        yield 1

    items.__name__ = "renamed"
    items.__qualname__ = "elsewhere.renamed"
    return items().__name__, items().__qualname__


def value_of_stop_iteration():
    def items():
        yield 1
        return (2, 3)

    generator = items()
    next(generator)
    try:
        next(generator)
    except StopIteration as stop:
        first = stop.value, stop.args
    try:
        next(generator)
    except StopIteration as stop:
        return first, stop.value, stop.args


def stop_iteration_inside():
    def items():
        yield 1
        raise StopIteration("early")

    try:
        return list(items())
    except RuntimeError as error:
        return str(error), repr(error.__cause__), error.__cause__ is error.__context__, error.__suppress_context__


def stop_iteration_of_next_inside():
    def items():
        yield next(iter(()))

    try:
        return list(items())
    except RuntimeError as error:
        return str(error), repr(error.__cause__)


def class_whose_construction_fails_is_thrown():
    class Refusing(Exception):
        def __init__(self):
            raise ValueError("no instance")

    def items():
        try:
            yield 1
        except ValueError as error:
            yield str(error)

    generator = items()
    return next(generator), generator.throw(Refusing)


def thrown_things_that_are_no_exceptions():
    def items():
        yield 1

    errors = []
    for args in ((1,), ("text",), (ValueError("v"), "value"), (int,)):
        generator = items()
        next(generator)
        try:
            generator.throw(*args)
        except TypeError as error:
            errors.append(str(error))
        errors.append(list(generator))
    return errors


def throw_before_the_start():
    def items():
        try:
            yield 1
        except ValueError:
            yield 2

    generator = items()
    try:
        generator.throw(ValueError("v"))
    except ValueError as error:
        return str(error), list(generator)


PROGRAMS = [value for value in list(globals().values()) if getattr(value, "__module__", "") == __name__]
PROGRAMS = [program for program in PROGRAMS if isinstance(program, types.FunctionType) and program is not delegate]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_protocol(program):
    check(program, recaptures=None)


def test_exc_info_inside_a_generator():
    def program():
        def items():
            try:
                raise KeyError("k")
            except KeyError:
                yield sys.exc_info()[0]
                yield sys.exc_info()[0]
            yield sys.exc_info()[0]

        try:
            raise ValueError
        except ValueError:
            return list(items()), sys.exc_info()[0]

    check(program, recaptures=None)
