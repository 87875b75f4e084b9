"""with statements: classes, contextlib, several managers, suppression, errors on the way in and out."""

from __future__ import annotations

import contextlib

from .catalogue import program, raising


class Recorder:
    """Notes what happens to it; swallows exceptions of the given kinds."""

    def __init__(self, log, name="manager", swallow=()):
        self.log, self.name, self.swallow = log, name, swallow

    def __enter__(self):
        self.log.append(f"enter {self.name}")
        return self.name.upper()

    def __exit__(self, kind, value, trace):
        self.log.append((f"exit {self.name}", kind, value.args if value else None))
        return kind is not None and issubclass(kind, self.swallow)


@program(([],))
def plain(log):
    with Recorder(log) as name:
        log.append(name)
    return "after"


@program(([],))
def without_target(log):
    with Recorder(log):
        log.append("body")


@program(([],))
def swallowed(log):
    with Recorder(log, swallow=ValueError):
        raise ValueError("gone")
    return "after"


@program(raising(KeyError, []))
def not_swallowed(log):
    with Recorder(log, swallow=ValueError):
        raise KeyError("stays")


@program(([],))
def two_managers(log):
    with Recorder(log, "a") as a, Recorder(log, "b") as b:
        log.append((a, b))
    with (
        Recorder(log, "c") as c,
        Recorder(log, "d"),
    ):
        log.append(c)


@program(([],))
def inner_swallows(log):
    with Recorder(log, "outer"):
        with Recorder(log, "inner", ValueError):
            raise ValueError(1)
        log.append("between")


@program(([],))
def outer_swallows(log):
    with Recorder(log, "outer", ValueError), Recorder(log, "inner"):
        raise ValueError(1)
    return log


@program(([],))
def return_from_body(log):
    def inner():
        with Recorder(log):
            return "value"

    return inner()


@program(([],))
def break_and_continue_from_body(log):
    for i in range(4):
        with Recorder(log, str(i)):
            if i == 1:
                continue
            if i == 2:
                break
            log.append("end")
    return i


@program(([],))
def loop_inside(log):
    with Recorder(log):
        for i in range(3):
            if i == 2:
                break
            log.append(i)
        else:
            log.append("else")


@program(([],))
def enter_raises(log):
    class Broken:
        def __enter__(self):
            raise ValueError("enter")

        def __exit__(self, *error):
            log.append("never")

    try:
        with Recorder(log), Broken():
            log.append("never")
    except ValueError as error:
        log.append(str(error))


@program(([],))
def exit_raises(log):
    class Broken:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            raise KeyError("exit")

    try:
        with Broken():
            raise ValueError("body")
    except KeyError as error:
        log.append((error.args, error.__context__.args))


@program()
def not_a_manager():
    class Half:
        def __enter__(self):
            return self

    messages = []
    for thing in (5, Half(), None):
        try:
            with thing:
                pass
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def methods_are_looked_up_on_the_type():
    class Manager:
        def __enter__(self):
            return "class"

        def __exit__(self, *error):
            return None

    manager = Manager()
    manager.__enter__ = lambda: "instance"
    with manager as got:
        return got


@program()
def target_kinds():
    class Manager:
        def __enter__(self):
            return (1, [2, 3])

        def __exit__(self, *error):
            return None

    class Holder:
        pass

    holder, items = Holder(), [None]
    with Manager() as (a, (b, c)):
        pass
    with Manager() as holder.value:
        pass
    with Manager() as items[0]:
        pass
    with Manager() as (d, [*e]):
        pass
    return a, b, c, holder.value, items, d, e


@program(([],))
def contextmanager_function(log):
    @contextlib.contextmanager
    def manager(name):
        log.append(f"enter {name}")
        try:
            yield name * 2
        finally:
            log.append(f"exit {name}")

    with manager("x") as value:
        log.append(value)
    return len(log)


@program(([],))
def contextmanager_handles(log):
    @contextlib.contextmanager
    def manager():
        try:
            yield
        except ValueError as error:
            log.append(error.args)

    with manager():
        raise ValueError("handled")
    try:
        with manager():
            raise KeyError("not handled")
    except KeyError as error:
        log.append(error.args)


@program()
def contextmanager_without_yield():
    @contextlib.contextmanager
    def manager():
        return
        yield

    try:
        with manager():
            pass
    except RuntimeError as error:
        return str(error)


@program()
def contextmanager_yields_twice():
    @contextlib.contextmanager
    def manager():
        yield 1
        yield 2

    try:
        with manager():
            pass
    except RuntimeError as error:
        return str(error)


@program(([],))
def contextmanager_as_decorator(log):
    @contextlib.contextmanager
    def manager():
        log.append("enter")
        yield
        log.append("exit")

    @manager()
    def inner(x):
        log.append(x)
        return x + 1

    return inner(1), inner(2)


@program()
def suppress():
    seen = []
    with contextlib.suppress(ValueError, KeyError):
        seen.append("before")
        raise KeyError("x")
    with contextlib.suppress():
        seen.append("nothing")
    return seen


@program((True,), (False,))
def null_context(flag):
    log = []
    with Recorder(log) if flag else contextlib.nullcontext("null") as value:
        return value, log


@program(([],))
def exit_stack(log):
    with contextlib.ExitStack() as stack:
        names = [stack.enter_context(Recorder(log, str(i))) for i in range(3)]
        stack.callback(log.append, "callback")
        log.append(names)


@program(([],))
def exit_stack_with_exception(log):
    with contextlib.ExitStack() as stack:
        stack.enter_context(Recorder(log, "a", ValueError))
        stack.enter_context(Recorder(log, "b"))
        raise ValueError("in stack")
    return "swallowed"


@program(([],))
def exit_stack_pop_all(log):
    with contextlib.ExitStack() as stack:
        stack.callback(log.append, "one")
        kept = stack.pop_all()
        log.append("body")
    log.append("left")
    kept.close()


@program(([],))
def closing(log):
    class Thing:
        def close(self):
            log.append("closed")

    with contextlib.closing(Thing()) as thing:
        log.append(type(thing).__name__)


@program(([],))
def context_decorator_class(log):
    class Manager(contextlib.ContextDecorator):
        def __enter__(self):
            log.append("enter")
            return self

        def __exit__(self, *error):
            log.append("exit")

    @Manager()
    def inner():
        log.append("body")

    inner()
    inner()


@program(([],))
def manager_in_generator(log):
    def items():
        with Recorder(log, "generator"):
            yield 1
            yield 2

    for item in items():
        log.append(item)


@program(([],))
def exception_handled_then_with(log):
    try:
        raise ValueError("first")
    except ValueError:
        with Recorder(log):
            log.append("inside handler")


@program(([],))
def nested_functions_and_finally(log):
    def inner():
        with Recorder(log, "a"):
            try:
                with Recorder(log, "b"):
                    raise ValueError("x")
            finally:
                log.append("finally")

    try:
        inner()
    except ValueError:
        log.append("caught")


@program(([],))
def abstract_context_manager(log):
    class Manager(contextlib.AbstractContextManager):
        def __exit__(self, *error):
            log.append(error)

    with Manager() as manager:
        return type(manager).__name__


@program(({"depth": 0},))
def state_restored(state):
    @contextlib.contextmanager
    def deeper():
        previous = state["depth"]
        state["depth"] = previous + 1
        try:
            yield previous + 1
        finally:
            state["depth"] = previous

    seen = []
    with deeper() as a:
        seen.append((a, state["depth"]))
        with deeper() as b:
            seen.append((b, state["depth"]))
    return seen
