"""f-strings, format specifications, str.format, printf-style formatting, repr and str."""

from __future__ import annotations

from .catalogue import program, raising


@program((3, "text"), (-2.5, None))
def f_string(a, b):
    return f"{a} and {b!r}, {a=}, {b!s:>6}|{a!a}|{{}}{a}{b}"


@program((3.14159,))
def nested_specification(x):
    width, precision = 10, 3
    return f"{x:{width}.{precision}f}|{x:>{width}}|{x:{'<'}{width}.2e}|{'nested':{'*^12'}}"


@program()
def integer_specifications():
    n = 1234567
    return [
        format(n, s)
        for s in (
            "d",
            ",",
            "_",
            "x",
            "X",
            "#x",
            "o",
            "#b",
            "e",
            ".2f",
            "10d",
            "<10",
            "^10",
            "+d",
            " d",
            "012",
            "n",
            "%",
            "g",
            "_x",
            "*^15,",
        )
    ]


@program()
def float_specifications():
    x = -1234.56789
    return [
        format(x, s)
        for s in (
            "",
            "f",
            ".2f",
            "e",
            ".1E",
            "g",
            ".3g",
            "%",
            ".1%",
            "+.1f",
            "012.2f",
            ",.2f",
            "_.1f",
            ">12",
            "<12.1f",
            "^15.3e",
            "=+12.1f",
            "n",
        )
    ]


@program()
def special_floats():
    return (
        f"{float('inf')} {float('-inf'):f} {float('nan'):.2f} {-0.0} {1e16} {1e15} {1e-5} {0.1 + 0.2} {1.0:g} {5e-324}"
    )


@program()
def string_specifications():
    return [format("abc", s) for s in ("", "s", "10", ">10", "^10", "*<10", ".2", "10.1", "-^7")]


@program()
def bool_none_and_others():
    return f"{True} {True:d} {True:5} {None} {[1, 'a']} {(1,)} { {'k': 1} } {...} {1j:.1f} {b'x'} {int}"


@program()
def wrong_specifications():
    messages = []
    for value, spec in (
        (1, "s"),
        ("a", "d"),
        (1.5, "d"),
        ("a", "+"),
        (None, "5"),
        ([], "x"),
        (1, "z,"),
        ("a", "=5"),
        (1, ".2d"),
        (1, "q"),
    ):
        try:
            format(value, spec)
        except (ValueError, TypeError) as error:
            messages.append((type(error).__name__, str(error)))
    return messages


@program()
def custom_format():
    class Money:
        def __init__(self, n):
            self.n = n

        def __format__(self, spec):
            return f"<{self.n}|{spec}>"

        def __str__(self):
            return "str"

        def __repr__(self):
            return "repr"

    m = Money(5)
    return f"{m}", f"{m:abc}", f"{m!r:>6}", f"{m!s}", "{:x{}}".format(m, 1), format(m), str(m), "%s %r" % (m, m)


@program()
def format_must_return_string():
    class Bad:
        def __format__(self, spec):
            return 5

        def __str__(self):
            return 6

    messages = []
    for action in (lambda: f"{Bad()}", lambda: str(Bad())):
        try:
            action()
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def str_format():
    class A:
        x = [1, {"k": 2}]

    return (
        "{} {}".format(1, "a"),
        "{1} {0} {1}".format("x", "y"),
        "{name!r:>5} {a.x[0]}".format(name="n", a=A),
        "{0[k]} {0[j]}".format({"k": 1, "j": 2}),
        "{:{}.{}}".format(3.14159, 8, 2),
        "{{}} {}".format(1),
        "{:>{width}}".format("r", width=4),
        "{a}{b}".format_map({"a": 1, "b": 2}),
        "{0.x[1][k]}".format(A),
    )


@program()
def str_format_errors():
    messages = []
    for template, arguments, named in (
        ("{}", (), {}),
        ("{a}", (), {}),
        ("{0} {}", (1, 2), {}),
        ("{} {0}", (1, 2), {}),
        ("{", (1,), {}),
        ("}", (), {}),
        ("{0.missing}", (1,), {}),
        ("{0[5]}", ([],), {}),
        ("{!x}", (1,), {}),
        ("{0!}", (1,), {}),
    ):
        try:
            template.format(*arguments, **named)
        except (IndexError, KeyError, ValueError, AttributeError) as error:
            messages.append((type(error).__name__, error.args))
    return messages


@program()
def printf_style():
    return (
        "%d %i %5d|%-5d|%05d|%+d" % (1, 2, 3, 4, 5, 6),
        "%s %r %a %10s|%-10s|%.2s" % ("x", "y", "é", "r", "l", "cut"),
        "%f %.2f %e %g %8.3f" % (1.5, 2.345, 1234.5, 0.0001, 3.14159),
        "%x %X %#x %o %c %c %%" % (255, 255, 255, 8, 97, "z"),
        "%(a)s %(b)03d" % {"a": 1, "b": 2},
        "%*d|%-*s|" % (5, 42, 4, "x"),
        "%s" % (None,),
        "%s" % [1, 2],
        "plain" % (),
    )


@program()
def printf_errors():
    messages = []
    for template, arguments in (
        ("%d", "x"),
        ("%s %s", (1,)),
        ("%s", (1, 2)),
        ("%y", 1),
        ("%(a)s", {}),
        ("%(a)s", 1),
        ("%", 1),
        ("x", 1),
        ("%c", "ab"),
    ):
        try:
            template % arguments
        except (TypeError, ValueError, KeyError) as error:
            messages.append((type(error).__name__, str(error)))
    return messages


@program()
def conversions_in_f_strings():
    text = 'quote " and \n newline é'
    return f"{text!r} {text!a} {text!s}", f"{'single'!r}", f"{b'by'!r}", f"{1.0!r:>8}"


@program((5,))
def expressions(n):
    items = [1, 2, 3]
    return (
        f"{n + 1} {n if n > 3 else 'small'} {items[0]} {items[-1:]} {len(items)} {[i * n for i in items]}"
        f"{(lambda x: x * 2)(n)} {n!r:^{n}} {dict(a=n)['a']} {n:=^9}"
    )


@program()
def concatenated_literals():
    a = "A"
    return f"x{a}y{a}{a}", f""  # noqa: F541


@program()
def debug_expressions():
    x, y = 3, "s"
    return f"{x=} {y=} {x + 1 = } {y=!s} {x=:>5}"


@program()
def evaluation_order():
    log = []

    def note(x):
        log.append(x)
        return x

    text = f"{note(1)}{note('a'):{note('>')}{note(3)}}{note(2)}"
    return text, log


@program(raising(ZeroDivisionError))
def error_inside():
    return f"{1 / 0}"


@program()
def reprs():
    recursive = [1]
    recursive.append(recursive)
    return (
        repr("it's"),
        repr('say "x"'),
        repr("tab\t\\"),
        repr(b"\x00a'"),
        repr([1, "a", None, 2.0, (1,), (), {}, set(), {1}, {"a": [1]}]),
        repr(range(3)),
        repr(slice(1, None, 2)),
        repr(recursive),
        repr(frozenset([1])),
        str(1.0),
        repr("\u00e9\u2028"),
        ascii("é"),
        repr({"b": 1, "a": 2}),
    )


@program()
def multi_line():
    value = 5
    return f"""first {value}
    second {value * 2}
    """


@program()
def join_and_format_loop():
    rows = [("a", 1), ("bb", 22)]
    return "\n".join(f"{name:<5}|{n:>4}" for name, n in rows)
