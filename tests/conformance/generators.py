"""Generators: send, throw, close, return values, yield from, clean-up."""

from __future__ import annotations

from .catalogue import program, raising


@program((4,), (0,))
def simple(n):
    def count(n):
        i = 0
        while i < n:
            yield i
            i += 1

    return list(count(n)), [x * 2 for x in count(n)], sum(count(n))


@program()
def send_values():
    def average():
        total, count, value = 0.0, 0, None
        while True:
            item = yield value
            total += item
            count += 1
            value = total / count

    g = average()
    return next(g), g.send(10), g.send(20), g.send(3)


@program()
def send_to_unstarted():
    def inner():
        yield 1

    try:
        inner().send(1)
    except TypeError as error:
        return str(error)


@program()
def return_value():
    def inner():
        yield 1
        return "done"

    g = inner()
    next(g)
    try:
        next(g)
    except StopIteration as stop:
        return stop.value, stop.args


@program()
def yield_from_result():
    def inner(n):
        for i in range(n):
            yield i
        return n * 100

    def outer():
        a = yield from inner(2)
        b = yield from inner(1)
        yield (a, b)

    return list(outer())


@program()
def yield_from_iterables():
    def outer():
        yield from [1, 2]
        yield from "ab"
        yield from (x for x in (3,))
        yield from range(0)
        result = yield from {}
        yield result

    return list(outer())


@program()
def yield_from_forwards_send():
    def inner():
        got = []
        while len(got) < 2:
            got.append((yield len(got)))
        return got

    def outer():
        result = yield from inner()
        yield result

    g = outer()
    return next(g), g.send("a"), g.send("b")


@program()
def yield_from_forwards_throw():
    def inner():
        try:
            yield 1
        except ValueError as error:
            yield ("inner", error.args)

    def outer():
        yield from inner()
        yield "after"

    g = outer()
    return next(g), g.throw(ValueError("x")), next(g)


@program()
def throw_caught():
    def inner():
        while True:
            try:
                yield "waiting"
            except KeyError as error:
                yield ("caught", error.args[0])

    g = inner()
    return next(g), g.throw(KeyError("k")), next(g), g.throw(KeyError, "z")


@program()
def throw_not_caught():
    def inner():
        yield 1
        yield 2

    g = inner()
    next(g)
    try:
        g.throw(RuntimeError("boom"))
    except RuntimeError as error:
        return error.args, list(g)


@program()
def throw_before_start():
    def inner():
        try:
            yield 1
        except ValueError:
            yield 2

    g = inner()
    try:
        g.throw(ValueError("early"))
    except ValueError as error:
        return error.args, next(g, "over")


@program()
def close_runs_finally():
    seen = []

    def inner():
        try:
            yield 1
            yield 2
        finally:
            seen.append("closed")

    g = inner()
    next(g)
    g.close()
    g.close()
    return seen, list(g)


@program()
def close_sees_generator_exit():
    seen = []

    def inner():
        try:
            yield 1
        except GeneratorExit:
            seen.append("exit")
            raise

    g = inner()
    next(g)
    g.close()
    return seen


@program()
def close_ignored():
    def inner():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    g = inner()
    next(g)
    try:
        g.close()
    except RuntimeError as error:
        return str(error)


@program()
def close_forwards_to_inner():
    seen = []

    def inner():
        try:
            yield 1
        finally:
            seen.append("inner")

    def outer():
        try:
            yield from inner()
        finally:
            seen.append("outer")

    g = outer()
    next(g)
    g.close()
    return seen


@program()
def stop_iteration_inside_becomes_runtime_error():
    def inner():
        yield 1
        raise StopIteration("no")

    g = inner()
    next(g)
    try:
        next(g)
    except RuntimeError as error:
        return str(error), type(error.__cause__).__name__


@program()
def next_of_exhausted_inside():
    def inner():
        empty = iter(())
        yield next(empty, "default")
        yield next(empty)

    g = inner()
    first = next(g)
    try:
        next(g)
    except RuntimeError as error:
        return first, str(error)


@program(raising(ZeroDivisionError))
def exception_leaves_the_generator():
    def inner():
        yield 1
        yield 1 / 0

    return list(inner())


@program()
def exhausted_after_exception():
    def inner():
        yield 1
        raise ValueError("v")

    g = inner()
    next(g)
    try:
        next(g)
    except ValueError:
        pass
    return list(g)


@program()
def finally_order():
    seen = []

    def inner():
        try:
            seen.append("start")
            yield 1
            seen.append("middle")
            yield 2
        finally:
            seen.append("end")

    for x in inner():
        seen.append(x)
    return seen


@program()
def break_then_continue_iterating():
    def inner():
        yield from range(6)

    g = inner()
    first = []
    for x in g:
        if x == 2:
            break
        first.append(x)
    return first, list(g)


@program((10,))
def pipeline(n):
    def numbers(n):
        yield from range(n)

    def odd(items):
        for item in items:
            if item % 2:
                yield item

    def squared(items):
        for item in items:
            yield item * item

    return list(squared(odd(numbers(n))))


@program(([1, [2, [3, [4]], 5]],))
def recursive_flatten(items):
    def flatten(item):
        if isinstance(item, list):
            for part in item:
                yield from flatten(part)
        else:
            yield item

    return list(flatten(items))


@program()
def tree_walk():
    tree = (((None, 1, None), 2, (None, 3, None)), 4, (None, 5, None))

    def walk(node):
        if node is not None:
            left, value, right = node
            yield from walk(left)
            yield value
            yield from walk(right)

    return list(walk(tree))


@program()
def infinite_with_islice():
    def fibonacci():
        a, b = 0, 1
        while True:
            yield a
            a, b = b, a + b

    result = []
    for x in fibonacci():
        if x > 50:
            break
        result.append(x)
    return result


@program()
def two_interleaved():
    def count(tag):
        for i in range(3):
            yield f"{tag}{i}"

    a, b = count("a"), count("b")
    return [next(a), next(b), next(b), next(a), *a, *b]


@program()
def generator_closes_over_state():
    log = []

    def inner():
        nonlocal total
        for i in range(3):
            total += i
            log.append(total)
            yield total

    total = 10
    return list(inner()), total, log


@program()
def generator_with_arguments():
    def inner(a, *rest, step=1, **named):
        yield a
        yield from rest
        yield step
        yield sorted(named)

    return list(inner(1, 2, 3, step=4, z=5, y=6))


@program()
def yield_as_expression():
    def inner():
        x = (yield 1) or "none"
        y = [(yield x), (yield 2)]
        yield y

    g = inner()
    return next(g), g.send(None), g.send("b"), g.send("c")


@program()
def yield_inside_with():
    seen = []

    class Manager:
        def __enter__(self):
            seen.append("enter")
            return self

        def __exit__(self, *error):
            seen.append(("exit", error[0]))

    def inner():
        with Manager():
            yield 1
            yield 2

    g = inner()
    values = [next(g), next(g)]
    g.close()
    return values, [item if isinstance(item, str) else (item[0], item[1].__name__) for item in seen]


@program()
def yield_inside_try_except():
    def inner():
        for i in range(3):
            try:
                yield 10 // (i - 1)
            except ZeroDivisionError:
                yield "zero"

    return list(inner())


@program()
def generator_attributes():
    def inner():
        yield 1

    g = inner()
    before = g.gi_running, g.gi_frame is None, g.__name__
    list(g)
    return before, g.gi_frame is None, iter(g) is g


@program()
def class_with_generator_iter():
    class Numbers:
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            for i in range(self.n):
                yield i

    numbers = Numbers(3)
    return list(numbers), list(numbers), max(numbers), [*numbers], dict.fromkeys(numbers)


@program()
def yield_from_custom_iterator():
    class Down:
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            return self

        def __next__(self):
            if self.n == 0:
                raise StopIteration("empty")
            self.n -= 1
            return self.n

    def inner():
        result = yield from Down(3)
        yield result

    return list(inner())


@program()
def unpack_generator():
    def inner():
        yield 1
        yield 2
        yield 3

    a, *b = inner()
    c, d, e = inner()
    return a, b, c, d, e, {*inner()}, (*inner(),)


@program()
def throw_replaces_with_other_exception():
    def inner():
        try:
            yield
        except ValueError as error:
            raise KeyError("new") from error

    g = inner()
    next(g)
    try:
        g.throw(ValueError("old"))
    except KeyError as error:
        return error.args, error.__cause__.args


@program()
def return_in_finally_of_generator():
    def inner():
        try:
            yield 1
            raise ValueError("lost")
        finally:
            return "kept"  # noqa: B012

    g = inner()
    next(g)
    try:
        next(g)
    except StopIteration as stop:
        return stop.value


@program()
def context_of_handled_exception_inside():
    import sys

    def inner():
        try:
            raise ValueError("inside")
        except ValueError:
            yield sys.exc_info()[0]
            yield sys.exc_info()[0]

    g = inner()
    try:
        raise KeyError("outside")
    except KeyError:
        first = next(g)
        between = sys.exc_info()[0]
        second = next(g)
    return first, between, second, sys.exc_info()
