"""Inheritance and construction: super in all forms, __new__, metaclasses, __init_subclass__, abstract classes."""

from __future__ import annotations

import abc

from .catalogue import program


@program()
def super_without_arguments():
    class Base:
        def __init__(self, x):
            self.x = x

        def name(self):
            return "base"

    class Child(Base):
        def __init__(self, x, y):
            super().__init__(x)
            self.y = y

        def name(self):
            return "child of " + super().name()

    return Child(1, 2), Child(1, 2).name()


@program()
def super_with_arguments():
    class A:
        def who(self):
            return "A"

    class B(A):
        def who(self):
            return "B" + super(B, self).who()

    class C(B):
        def who(self):
            return "C" + super(B, self).who() + super(C, self).who()

    return C().who()


@program()
def super_in_classmethod_and_static():
    class A:
        @classmethod
        def make(cls, *items):
            return [cls.__name__, *items]

    class B(A):
        @classmethod
        def make(cls, *items):
            return super().make("b", *items)

    class C(B):
        def make_more(self):
            return super().make(1)

    return B.make(), C.make(2), C().make_more()


@program()
def diamond():
    log = []

    class A:
        def go(self):
            log.append("A")

    class B(A):
        def go(self):
            log.append("B")
            super().go()

    class C(A):
        def go(self):
            log.append("C")
            super().go()

    class D(B, C):
        def go(self):
            log.append("D")
            super().go()

    D().go()
    return log, [k.__name__ for k in D.__mro__]


@program()
def cooperative_init():
    class Base:
        def __init__(self, **rest):
            self.rest = rest

    class Left(Base):
        def __init__(self, *, left, **rest):
            super().__init__(**rest)
            self.left = left

    class Right(Base):
        def __init__(self, *, right, **rest):
            super().__init__(**rest)
            self.right = right

    class Both(Left, Right):
        pass

    return Both(left=1, right=2, other=3)


@program()
def super_attribute_and_property():
    class A:
        level = 1

        @property
        def value(self):
            return 10 * self.level

    class B(A):
        level = 2

        @property
        def value(self):
            return super().value + super().level

    return B().value


@program()
def super_missing():
    class A:
        def go(self):
            return super().go()

    try:
        A().go()
    except AttributeError as error:
        return str(error)


@program()
def super_in_nested_function():
    class A:
        def go(self):
            return "A"

    class B(A):
        def go(self):
            def inner():
                return super(B, self).go()

            return inner() + [super().go() for _ in [0]][0] if False else inner()

    return B().go()


@program()
def dunder_class_cell():
    class A:
        def kind(self):
            return __class__.__name__

    class B(A):
        pass

    return B().kind()


@program()
def new_and_init():
    log = []

    class Thing:
        def __new__(cls, *items):
            log.append(("new", items))
            made = super().__new__(cls)
            made.early = True
            return made

        def __init__(self, *items):
            log.append(("init", items))
            self.items = items

    return Thing(1, 2), log


@program()
def new_returns_something_else():
    class Thing:
        def __new__(cls):
            return 5

        def __init__(self):
            raise ValueError("never")

    return Thing()


@program()
def singleton():
    class Only:
        made = None

        def __new__(cls):
            if cls.made is None:
                cls.made = super().__new__(cls)
            return cls.made

    return Only() is Only()


@program()
def subclass_of_builtin():
    class Text(str):
        def shout(self):
            return Text(self.upper() + "!")

    class Numbers(list):
        def total(self):
            return sum(self)

        def append(self, item):
            super().append(item * 2)

    class Table(dict):
        def __missing__(self, key):
            self[key] = value = key * 2
            return value

    class Number(int):
        def __add__(self, other):
            return Number(int(self) + other + 1)

    class Pair(tuple):
        def __new__(cls, a, b):
            return super().__new__(cls, (a, b))

        @property
        def first(self):
            return self[0]

    numbers = Numbers([1, 2])
    numbers.append(3)
    table = Table(a=1)
    return (
        Text("hi").shout(),
        type(Text("hi").shout()) is Text,
        numbers,
        numbers.total(),
        table["x"],
        table,
        table.get("nothing"),
        Number(3) + 4,
        type(Number(3) * 2).__name__,
        Pair(1, 2).first,
        Pair(1, 2),
    )


@program()
def init_must_return_none():
    class Thing:
        def __init__(self):
            return 5

    try:
        Thing()
    except TypeError as error:
        return str(error)


@program()
def object_takes_no_arguments():
    class Thing:
        pass

    try:
        Thing(1)
    except TypeError as error:
        return str(error)


@program()
def metaclass():
    log = []

    class Meta(type):
        def __new__(mcls, name, bases, namespace, **options):
            log.append(("new", name, sorted(options)))
            namespace["added"] = len(bases)
            return super().__new__(mcls, name, bases, namespace)

        def __init__(cls, name, bases, namespace, **options):
            log.append(("init", name))
            super().__init__(name, bases, namespace)

        def __call__(cls, *items):
            log.append(("call", cls.__name__))
            return super().__call__(*items)

        @property
        def shout(cls):
            return cls.__name__.upper()

    class Base(metaclass=Meta):
        pass

    class Child(Base, flag=1):
        def __init__(self, x):
            self.x = x

    return Child(5).x, Child.added, Base.added, Child.shout, type(Child) is Meta, log


@program()
def metaclass_prepare():
    class Order(dict):
        pass

    class Meta(type):
        @classmethod
        def __prepare__(mcls, name, bases):
            return Order(prepared=name)

    class Thing(metaclass=Meta):
        seen = prepared  # noqa: F821
        x = 1

    return Thing.seen, Thing.prepared


@program()
def metaclass_operators():
    class Meta(type):
        def __len__(cls):
            return 3

        def __iter__(cls):
            return iter("xyz")

        def __getitem__(cls, key):
            return (cls.__name__, key)

        def __contains__(cls, key):
            return key == "in"

        def __instancecheck__(cls, thing):
            return thing == "special"

        def __subclasscheck__(cls, other):
            return other is int

    class Thing(metaclass=Meta):
        pass

    return (
        len(Thing),
        list(Thing),
        Thing["k"],
        "in" in Thing,
        isinstance("special", Thing),
        isinstance(5, Thing),
        issubclass(int, Thing),
        issubclass(str, Thing),
    )


@program()
def init_subclass():
    registered = []

    class Plugin:
        def __init_subclass__(cls, /, name=None, **rest):
            super().__init_subclass__(**rest)
            registered.append((cls.__name__, name))
            cls.tag = name

    class A(Plugin, name="a"):
        pass

    class B(A):
        pass

    return registered, A.tag, B.tag


@program()
def set_name():
    class Field:
        def __set_name__(self, owner, name):
            self.owner, self.name = owner.__name__, name

    class Thing:
        x = Field()
        y = Field()

    return Thing.x.owner, Thing.x.name, Thing.y.name


@program()
def abstract_classes():
    class Shape(abc.ABC):
        @abc.abstractmethod
        def area(self):
            return 0

        @property
        @abc.abstractmethod
        def name(self): ...

        def describe(self):
            return f"{self.name} {self.area()}"

    class Square(Shape):
        name = "square"

        def area(self):
            return super().area() + 4

    try:
        Shape()
    except TypeError as error:
        message = str(error)
    return Square().describe(), message, isinstance(Square(), Shape)


@program()
def abstract_registration():
    class Sized(abc.ABC):
        @classmethod
        def __subclasshook__(cls, other):
            return True if hasattr(other, "size") else NotImplemented

    class A:
        size = 1

    class B:
        pass

    Sized.register(B)
    return isinstance(A(), Sized), issubclass(B, Sized), isinstance(5, Sized)


@program()
def multiple_inheritance_conflict():
    class A:
        pass

    class B(A):
        pass

    try:
        type("C", (A, B), {})
    except TypeError as error:
        return str(error).splitlines()[0]
