"""try, except, else, finally in all nestings; raising; user-defined exceptions."""

from __future__ import annotations

from .catalogue import program, raising


@program((2,), (0,), ("x",))
def all_clauses(x):
    seen = []
    try:
        seen.append("try")
        y = 10 / x
    except ZeroDivisionError:
        seen.append("zero")
        y = None
    except TypeError as error:
        seen.append(type(error).__name__)
        y = "type"
    else:
        seen.append("else")
    finally:
        seen.append("finally")
    return y, seen


@program((0,), (1,), (2,), (3,))
def return_from_each_clause(where):
    def inner():
        try:
            if where == 0:
                return "try"
            if where == 1:
                raise ValueError
        except ValueError:
            return "except"
        else:
            if where == 2:
                return "else"
        finally:
            seen.append("finally")
        return "end"

    seen = []
    return inner(), seen


@program()
def finally_overrides_return():
    def inner():
        try:
            return 1
        finally:
            return 2  # noqa: B012

    return inner()


@program()
def finally_swallows_exception():
    def inner():
        try:
            raise ValueError
        finally:
            return "swallowed"  # noqa: B012

    return inner()


@program()
def finally_in_loop_with_break_and_continue():
    seen = []
    for i in range(5):
        try:
            if i == 1:
                continue
            if i == 3:
                break
            seen.append(i)
        finally:
            seen.append(-i)
    else:
        seen.append("else")
    return seen


@program()
def continue_in_finally():
    seen = []
    for i in range(3):
        try:
            if i == 1:
                raise ValueError(i)
            seen.append(i)
        finally:
            continue  # noqa: B012
    return seen


@program((0,), (1,), (2,), (3,), (4,))
def nested_three_deep(where):
    seen = []

    def maybe(k, error):
        if where == k:
            raise error(k)

    try:
        try:
            try:
                maybe(0, KeyError)
                maybe(1, ValueError)
                maybe(2, TypeError)
            except KeyError:
                seen.append("inner")
            finally:
                seen.append("f1")
                maybe(3, IndexError)
        except ValueError:
            seen.append("middle")
        else:
            seen.append("else")
        finally:
            seen.append("f2")
    except (TypeError, IndexError) as error:
        seen.append(("outer", error.args))
    return seen


@program()
def try_in_except():
    try:
        raise ValueError("a")
    except ValueError as first:
        try:
            raise KeyError("b")
        except KeyError as second:
            return first.args, second.args, second.__context__ is first


@program()
def try_in_finally():
    seen = []
    try:
        try:
            raise ValueError("a")
        finally:
            try:
                raise KeyError("b")
            except KeyError:
                seen.append("handled inside")
    except ValueError as error:
        seen.append(error.__context__)
    return seen


@program()
def try_in_else():
    try:
        pass
    except ValueError:
        return "no"
    else:
        try:
            raise ValueError("from else")
        except ValueError as error:
            return str(error)


@program()
def exception_in_else_is_not_handled():
    try:
        try:
            pass
        except ValueError:
            return "wrong"
        else:
            raise ValueError("else")
    except ValueError as error:
        return str(error)


@program()
def name_is_deleted_after_except():
    error = "outer"
    try:
        raise ValueError
    except ValueError as error:
        pass
    try:
        return error
    except UnboundLocalError:
        return "unbound"


@program()
def name_deleted_in_except():
    try:
        raise ValueError
    except ValueError as error:
        del error
    return "fine"


@program()
def bare_except():
    try:
        raise KeyError("k")
    except:  # noqa: E722
        return "caught"


@program()
def bare_raise():
    seen = []
    try:
        try:
            raise ValueError("again")
        except ValueError:
            seen.append(1)
            raise
    except ValueError as error:
        seen.append(error.args)
    return seen


@program()
def bare_raise_without_exception():
    try:
        raise
    except RuntimeError as error:
        return str(error)


@program()
def reraise_in_called_function():
    def again():
        raise

    try:
        try:
            raise KeyError("deep")
        except KeyError:
            again()
    except KeyError as error:
        return error.args


@program()
def raise_class_and_instance():
    results = []
    for thing in (ValueError, ValueError("x", 1)):
        try:
            raise thing
        except ValueError as error:
            results.append((error.args, error is thing))
    return results


@program()
def raise_something_else():
    results = []
    for thing in (1, "text", None, int, object()):
        try:
            raise thing
        except TypeError as error:
            results.append(str(error))
    return results


@program()
def except_with_something_else():
    try:
        try:
            raise ValueError
        except 5:  # noqa: B030
            pass
    except TypeError as error:
        return str(error)


@program()
def except_clause_is_evaluated_late():
    seen = []

    def kind(which):
        seen.append(which)
        return which

    try:
        raise KeyError
    except kind(ValueError):
        pass
    except kind(LookupError):
        seen.append("here")
    except kind(TypeError):
        pass
    return seen


@program()
def tuple_of_types_nested():
    kinds = (ValueError, (KeyError, IndexError))
    try:
        try:
            raise IndexError("i")
        except kinds:
            return "accepted"
    except TypeError as error:
        return str(error), error.__context__.args


@program()
def subclass_is_caught():
    class Base(Exception):
        pass

    class Derived(Base):
        pass

    results = []
    for kind in (Base, Derived):
        try:
            raise kind("x")
        except Derived:
            results.append("derived")
        except Base:
            results.append("base")
    return results


@program()
def custom_init_and_str():
    class Failure(Exception):
        def __init__(self, code, detail="none"):
            super().__init__(code)
            self.code, self.detail = code, detail

        def __str__(self):
            return f"{self.code}: {self.detail}"

    try:
        raise Failure(4, detail="bad")
    except Failure as error:
        return str(error), error.args, error.code, repr(error), vars(error)


@program(raising(LookupError, "x"))
def uncaught_custom(x):
    class Missing(LookupError):
        pass

    raise Missing(x, [1])


@program(raising(ValueError, 3), (2,))
def uncaught_from_depth(n):
    def inner(k):
        if k == 3:
            raise ValueError("too deep", k)
        return k

    def middle(k):
        return inner(k) + 1

    return middle(n)


@program(raising(ValueError, []))
def argument_mutated_before_raising(items):
    items.append(1)
    try:
        raise ValueError("after mutation")
    finally:
        items.append(2)


@program(([],))
def loop_with_exceptions(results):
    for text in ("1", "x", "3", None):
        try:
            value = int(text)
        except ValueError as error:
            results.append(str(error))
        except TypeError:
            results.append("type")
        else:
            results.append(value)
    return len(results)


@program()
def exception_in_loop_iterator():
    def items():
        yield 1
        raise ValueError("iterator")

    seen = []
    try:
        for item in items():
            seen.append(item)
        else:
            seen.append("else")
    except ValueError as error:
        seen.append(str(error))
    return seen


@program()
def retry_loop():
    attempts = []

    def flaky():
        attempts.append(len(attempts))
        if len(attempts) < 3:
            raise ConnectionError(len(attempts))
        return "up"

    while True:
        try:
            return flaky(), attempts
        except ConnectionError as error:
            attempts.append(error.args[0])


@program()
def builtin_exceptions():
    def attempt(function):
        try:
            return function()
        except Exception as error:  # noqa: BLE001
            return type(error).__name__, error.args

    number, text = 5, "a"
    return [
        attempt(lambda: [][0]),
        attempt(lambda: {}["k"]),
        attempt(lambda: 1 // 0),
        attempt(lambda: 1.0 / 0),
        attempt(lambda: 1 % 0),
        attempt(lambda: "a" + 1),
        attempt(lambda: 1 + "a"),
        attempt(lambda: None.x),
        attempt(lambda: int("z")),
        attempt(lambda: [].pop()),
        attempt(lambda: {}.popitem()),
        attempt(lambda: (1, 2).index(3)),
        attempt(lambda: [1].remove(3)),
        attempt(lambda: next(iter(()))),
        attempt(lambda: len(5)),
        attempt(lambda: number()),
        attempt(lambda: number[0]),
        attempt(lambda: iter(5)),
        attempt(lambda: {[]: 1}),
        attempt(lambda: "abc".index("z")),
        attempt(lambda: chr(-1)),
        attempt(lambda: float("x")),
        attempt(lambda: 2 ** "a"),
        attempt(lambda: -"a"),
        attempt(lambda: 1 < "a"),
        attempt(lambda: undefined_name),  # noqa: F821
        attempt(lambda: (lambda x: x)()),
        attempt(lambda: b"\xff".decode()),
        attempt(lambda: 10.0**400),
        attempt(lambda: [1, 2, 3][::0]),
        attempt(lambda: [1, 2][text]),
        attempt(lambda: "%d" % "x"),
        attempt(lambda: object().missing),
        attempt(lambda: range(1, 2, 0)),
        attempt(lambda: 1 << -1),
        attempt(lambda: {1}.remove(2)),
    ]


@program()
def attributes_of_errors():
    results = []
    try:
        {}["missing"]
    except KeyError as error:
        results.append(error.args)
    try:
        (5).nothing
    except AttributeError as error:
        results.append((error.name, error.obj))
    try:
        undefined_name  # noqa: B018, F821
    except NameError as error:
        results.append(error.name)
    try:
        import nowhere_to_be_found  # noqa: F401
    except ImportError as error:
        results.append((error.name, type(error).__name__))
    return results


@program()
def handler_changes_variable_used_later():
    x = 1
    try:
        x = 2
        raise ValueError
        x = 3  # type: ignore
    except ValueError:
        y = x
    return x, y


@program((True,), (False,))
def exit_through_with_and_finally(fail):
    seen = []

    class Manager:
        def __enter__(self):
            seen.append("enter")

        def __exit__(self, kind, value, traceback):
            seen.append(("exit", kind))
            return False

    def inner():
        for i in range(2):
            try:
                with Manager():
                    if fail:
                        raise ValueError(i)
                    return i
            except ValueError:
                seen.append("handled")
            finally:
                seen.append("finally")
        return "none"

    return inner(), seen


@program()
def stop_iteration_from_plain_function():
    def inner():
        raise StopIteration(5)

    try:
        inner()
    except StopIteration as stop:
        return stop.value


@program()
def while_true_with_try():
    n = 0
    while True:
        try:
            n += 1
            if n == 3:
                continue
            if n > 5:
                break
        finally:
            n += 10 if n == 4 else 0
    return n
