"""The operator module, every function."""

from __future__ import annotations

import operator as o

from .catalogue import program, raising


@program((7, 3), (-7, 3), (7.5, -2.0))
def arithmetic(a, b):
    return o.add(a, b), o.sub(a, b), o.mul(a, b), o.truediv(a, b), o.floordiv(a, b), o.mod(a, b), o.pow(a, 2)


@program(
    (6, 3),
)
def bits(a, b):
    return o.and_(a, b), o.or_(a, b), o.xor(a, b), o.lshift(a, b), o.rshift(a, 1), o.inv(a), o.invert(b)


@program((5,), (-5,), (0,))
def unary(a):
    return o.neg(a), o.pos(a), o.abs(a), o.not_(a), o.truth(a), o.index(a)


@program((1, 2), (2, 2), ("a", "b"))
def comparisons(a, b):
    return o.lt(a, b), o.le(a, b), o.eq(a, b), o.ne(a, b), o.ge(a, b), o.gt(a, b), o.is_(a, b), o.is_not(a, b)


@program(([1, 2, 3, 2],))
def sequences(items):
    o.setitem(items, 0, 9)
    o.delitem(items, 1)
    return (
        o.getitem(items, 0),
        o.contains(items, 3),
        o.concat(items, [4]),
        o.countOf(items, 2),
        o.indexOf(items, 2),
        o.length_hint(items),
        o.length_hint(iter(items), 5),
        items,
    )


@program(raising(ValueError))
def index_of_missing():
    return o.indexOf([1, 2], 3)


@program(([1],))
def in_place(items):
    same = o.iadd(items, [2])
    same = o.imul(same, 2)
    same = o.iconcat(same, (3,))
    return (
        same is items,
        items,
        o.iadd(1, 2),
        o.isub(5, 2),
        o.imul(2, 3),
        o.itruediv(1, 4),
        o.ifloordiv(7, 2),
        o.imod(7, 4),
        o.ipow(2, 5),
        o.iand(6, 3),
        o.ior(6, 3),
        o.ixor(6, 3),
        o.ilshift(1, 3),
        o.irshift(8, 2),
    )


@program()
def itemgetter():
    second = o.itemgetter(1)
    both = o.itemgetter(0, -1)
    return (
        second("abc"),
        both([1, 2, 3]),
        o.itemgetter("k")({"k": 5}),
        o.itemgetter(slice(1, None))([1, 2, 3]),
        sorted([(1, "b"), (2, "a")], key=second),
        repr(both),
    )


@program(raising(IndexError))
def itemgetter_missing():
    return o.itemgetter(5)([1])


@program()
def attrgetter():
    class A:
        x = 1

        class b:
            y = "deep"

    return o.attrgetter("x")(A()), o.attrgetter("b.y")(A), o.attrgetter("x", "b.y")(A())


@program(raising(AttributeError))
def attrgetter_missing():
    return o.attrgetter("real.missing")(5)


@program()
def methodcaller():
    return (
        o.methodcaller("upper")("abc"),
        o.methodcaller("split", ",", maxsplit=1)("a,b,c"),
        list(map(o.methodcaller("strip"), [" a ", "b "])),
    )


@program()
def matmul():
    class M:
        def __init__(self, n):
            self.n = n

        def __matmul__(self, other):
            return ("matmul", self.n, other.n)

        def __imatmul__(self, other):
            self.n += other.n
            return self

    return o.matmul(M(1), M(2)), o.imatmul(M(1), M(2)).n


@program()
def call():
    return o.call(max, 1, 2), o.call(dict, a=1), o.call(lambda *a, **k: (a, k), 1, b=2)


@program()
def dunder_names():
    return o.__add__(1, 2), o.__getitem__([1], 0), o.__contains__("abc", "b"), o.__not__(0)


@program(raising(TypeError))
def wrong_types():
    return o.add(1, "a")
