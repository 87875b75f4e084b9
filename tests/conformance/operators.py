"""Comparisons, boolean operators, operator overloading: reflected, in-place, NotImplemented, truth."""

from __future__ import annotations

from .catalogue import program, raising


class Vector:
    def __init__(self, *values):
        self.values = values

    def __add__(self, other):
        if not isinstance(other, Vector):
            return NotImplemented
        return Vector(*(a + b for a, b in zip(self.values, other.values)))

    def __mul__(self, k):
        return Vector(*(a * k for a in self.values))

    __rmul__ = __mul__

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __eq__(self, other):
        return isinstance(other, Vector) and self.values == other.values

    def __hash__(self):
        return hash(self.values)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, i):
        return self.values[i]

    def __matmul__(self, other):
        return sum(a * b for a, b in zip(self.values, other.values))

    def __bool__(self):
        return any(self.values)

    def __contains__(self, x):
        return x in self.values

    def __repr__(self):
        return f"Vector{self.values}"


@program((Vector(1, 2), Vector(3, 4)))
def vector(a, b):
    return (
        a + b,
        2 * a,
        a * 2,
        -a,
        a - b,
        a @ b,
        a == b,
        a == Vector(1, 2),
        len(a),
        a[0],
        1 in a,
        bool(Vector(0)),
        list(a),
    )


@program((1, 2, 3), (3, 2, 1), (1, 1, 2))
def chained(a, b, c):
    return a < b < c, a < b > c, a == b == c, a <= b < c != a, a < b in [b], 1 < a < 3, not a < b < c


@program()
def chained_evaluates_once():
    log = []

    def note(x):
        log.append(x)
        return x

    return note(1) < note(2) < note(3), note(5) < note(4) < note(9), log


@program()
def boolean_operators():
    return (
        0 or "a",
        "" or [] or None,
        1 and 2,
        [] and 1,
        None and 1 / 0,
        1 or 1 / 0,
        not [],
        not "a",
        (1 and 0) or 5,
        1 if [] else 2,
        "a" and "b" and "c",
        not not 5,
    )


@program()
def short_circuit():
    log = []

    def note(x, answer):
        log.append(x)
        return answer

    if note(1, False) and note(2, True) or note(3, True):
        log.append("taken")
    if note(4, True) or note(5, True):
        log.append("taken")
    if not (note(6, False) or note(7, False)):
        log.append("taken")
    return log


@program()
def truth():
    class ByBool:
        def __init__(self, b):
            self.b = b

        def __bool__(self):
            return self.b

    class ByLen:
        def __init__(self, n):
            self.n = n

        def __len__(self):
            return self.n

    class Both:
        def __bool__(self):
            return True

        def __len__(self):
            return 0

    class Neither:
        pass

    things = [
        ByBool(True),
        ByBool(False),
        ByLen(0),
        ByLen(2),
        Both(),
        Neither(),
        0,
        0.0,
        "",
        "0",
        [],
        [0],
        None,
        ...,
        0j,
    ]
    return (
        [bool(t) for t in things],
        [1 if t else 0 for t in things],
        [not t for t in things],
        len([t for t in things if t]),
    )


@program(raising(TypeError))
def bool_must_return_bool():
    class Bad:
        def __bool__(self):
            return 1

    return not Bad()


@program()
def and_or_return_objects():
    class Falsy:
        def __bool__(self):
            return False

    falsy, items = Falsy(), [1]
    return (falsy or items) is items, (falsy and items) is falsy, (items and falsy) is falsy, (items or falsy) is items


@program()
def all_binary_methods():
    names = "add sub mul truediv floordiv mod pow lshift rshift and or xor matmul".split()

    def method(name):
        return lambda self, other: (name, other)

    Ops = type("Ops", (), {f"__{n}__": method(n) for n in names} | {f"__r{n}__": method("r" + n) for n in names})
    o = Ops()
    return [
        o + 1,
        o - 1,
        o * 1,
        o / 1,
        o // 1,
        o % 1,
        o**1,
        o << 1,
        o >> 1,
        o & 1,
        o | 1,
        o ^ 1,
        o @ 1,
        1 + o,
        1 - o,
        1 * o,
        1 / o,
        1 // o,
        1 % o,
        1**o,
        1 << o,
        1 >> o,
        1 & o,
        1 | o,
        1 ^ o,
        1 @ o,
        divmod(Divides(), 2),
        divmod(2, Divides()),
    ]


class Divides:
    def __divmod__(self, other):
        return "divmod", other

    def __rdivmod__(self, other):
        return "rdivmod", other


@program()
def in_place_methods():
    class Acc:
        def __init__(self):
            self.log = []

        def __iadd__(self, x):
            self.log.append(("iadd", x))
            return self

        def __imul__(self, x):
            return ("replaced", x)

        def __sub__(self, x):
            return ("sub", x)

        def __isub__(self, x):
            return NotImplemented

    a = b = Acc()
    a += 1
    same = a is b
    a -= 2
    c = b
    c *= 3
    return same, a, b.log, c


@program()
def all_in_place():
    x = 100
    x += 5
    x -= 3
    x *= 2
    x //= 3
    x %= 50
    x **= 2
    x <<= 2
    x >>= 1
    x &= 0xFF
    x |= 0x100
    x ^= 0x11
    y = x
    y /= 2
    return x, y


@program()
def not_implemented_order():
    log = []

    class A:
        def __add__(self, other):
            log.append("A.add")
            return NotImplemented

        def __eq__(self, other):
            log.append("A.eq")
            return NotImplemented

        def __lt__(self, other):
            log.append("A.lt")
            return NotImplemented

    class B:
        def __radd__(self, other):
            log.append("B.radd")
            return "B"

        def __eq__(self, other):
            log.append("B.eq")
            return NotImplemented

        def __gt__(self, other):
            log.append("B.gt")
            return "gt"

    return A() + B(), A() == B(), A() != B(), A() < B(), log


@program()
def subclass_reflected_goes_first():
    class A:
        def __add__(self, other):
            return "A.add"

        def __radd__(self, other):
            return "A.radd"

    class B(A):
        def __radd__(self, other):
            return "B.radd"

    class C(A):
        pass

    return A() + B(), B() + A(), A() + A(), A() + C()


@program()
def subclass_comparison_goes_first():
    class A:
        def __lt__(self, other):
            return "A.lt"

        def __gt__(self, other):
            return "A.gt"

    class B(A):
        def __gt__(self, other):
            return "B.gt"

    return A() < B(), B() < A(), A() < A()


@program()
def unsupported():
    class A:
        pass

    messages = []
    for action in (
        lambda: A() + A(),
        lambda: A() < A(),
        lambda: 1 - A(),
        lambda: -A(),
        lambda: A()[0],
        lambda: A()(),
        lambda: 1 in A(),
        lambda: len(A()),
        lambda: A() ** 2,
        lambda: 1 @ 2,
        lambda: ~1.5,
        lambda: iter(A()),
        lambda: [] + 1,
        lambda: "a" - "b",
        lambda: 1 + None,
        lambda: "a" * 1.5,
        lambda: abs(A()),
        lambda: int(A()),
        lambda: hash([]),
        lambda: 5 in 5,
        lambda: 1 < None,
    ):
        try:
            action()
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def default_equality():
    class A:
        pass

    a, b = A(), A()
    return a == a, a == b, a != b, a != a, hash(a) == hash(a), a in [b], a in [a]


@program()
def eq_without_hash():
    class A:
        def __eq__(self, other):
            return True

    try:
        hash(A())
    except TypeError as error:
        return str(error), A() != 5, A.__hash__


@program()
def rich_comparisons_return_anything():
    class A:
        def __lt__(self, other):
            return ["lt", other]

        def __eq__(self, other):
            return "maybe"

    return A() < 1, A() == 2, A() != 2, 1 > A(), bool(A() == 1)


@program()
def unary_and_call():
    class A:
        def __pos__(self):
            return "pos"

        def __invert__(self):
            return "invert"

        def __abs__(self):
            return "abs"

        def __neg__(self):
            return "neg"

    a = A()
    return +a, ~a, abs(a), -a


@program()
def contains_protocols():
    class ByContains:
        def __contains__(self, x):
            return x  # any object: its truth is taken

    class ByIter:
        def __iter__(self):
            return iter([1, 2])

    class ByItem:
        def __getitem__(self, i):
            return [5, 6][i]

    return 1 in ByContains(), "" in ByContains(), 2 in ByIter(), 9 in ByIter(), 6 in ByItem(), 7 not in ByItem()


@program()
def set_to_none():
    class A:
        __contains__ = None
        __iter__ = None
        __hash__ = None
        __add__ = None

    messages = []
    for action in (lambda: 1 in A(), lambda: list(A()), lambda: hash(A()), lambda: A() + 1):
        try:
            action()
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def power_with_modulus():
    class A:
        def __pow__(self, e, m=None):
            return ("pow", e, m)

    return A() ** 2, pow(A(), 2), pow(A(), 2, 5)


@program()
def precedence():
    return (
        2 + 3 * 4**2 // 5 % 7 - -1,
        not 1 == 2,
        1 < 2 == True,
        5 & 3 | 4 ^ 1,
        1 << 2 + 1,
        -(2**2),
        2**-1,
        (1, 2) + (3,) * 2,
    )  # noqa: E712
