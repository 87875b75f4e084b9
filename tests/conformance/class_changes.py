"""Classes that change while a program runs, and what instances see of it; properties, slots, super and descriptors."""

from __future__ import annotations

import dataclasses
import functools

from tests.conformance.catalogue import program


class Base:
    level = 1
    shared = []

    def __init__(self, x=0):
        self.x = x

    @classmethod
    def make(cls, x):
        made = cls(x)
        made.kind = cls.__name__
        return made

    @staticmethod
    def double(x):
        return 2 * x

    @property
    def twice(self):
        return 2 * self.x

    @twice.setter
    def twice(self, value):
        self.x = value // 2

    @twice.deleter
    def twice(self):
        self.x = None

    def describe(self):
        return f"base {self.x}"


class Derived(Base):
    level = 2

    def __init__(self, x=0, y=0):
        super().__init__(x)
        self.y = y

    @classmethod
    def make(cls, x):
        made = super().make(x)
        made.y = x + 1
        return made

    @property
    def twice(self):
        return super().twice + 1

    def describe(self):
        return f"derived of {super().describe()}"


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a


class Mixed(Slotted):
    __slots__ = ("c", "__dict__")


class Meter:
    def __get__(self, instance, owner):
        return self if instance is None else instance.__dict__.get("_meter", 0)

    def __set__(self, instance, value):
        instance.__dict__["_meter"] = value * 10

    def __delete__(self, instance):
        instance.__dict__.pop("_meter", None)


class Metered:
    meter = Meter()


class Lazy:
    def __init__(self):
        self.calls = 0

    @functools.cached_property
    def value(self):
        self.calls += 1
        return [self.calls]


class Counting:
    made = 0

    def __new__(cls, *args):
        cls.made += 1
        return super().__new__(cls)

    def __init__(self, *args):
        self.number = self.made


@dataclasses.dataclass(order=True)
class Version:
    major: int
    minor: int = 0
    tags: list = dataclasses.field(default_factory=list, compare=False)

    def __post_init__(self):
        self.text = f"{self.major}.{self.minor}"


@program()
def property_set_and_deleted():
    thing = Base(3)
    thing.twice = 11
    before = thing.x, thing.twice
    del thing.twice
    return before, thing.x


@program()
def property_of_subclass_has_no_setter():
    thing = Derived(3)
    try:
        thing.twice = 4
    except AttributeError as error:
        return thing.twice, str(error)


@program()
def super_in_class_methods():
    made = Derived.make(5)
    return type(made).__name__, made.x, made.y, made.kind, Base.make(1).kind, made.describe()


@program()
def super_attributes():
    thing = Derived(1)
    outer = super(Derived, thing)
    return outer.level, outer.describe(), outer.double(4), super(Derived, Derived).make(2).kind


@program()
def super_misses():
    thing = Base(1)
    messages = []
    for action in (
        lambda: super(Base, thing).nothing,
        lambda: super(Derived, thing),
        lambda: super(Base, thing).describe,
    ):
        try:
            action()
        except (AttributeError, TypeError) as error:
            messages.append(str(error))
    return messages


@program()
def class_attribute_set_on_class_and_instance():
    class Local:
        count = 0

    a, b = Local(), Local()
    Local.count += 1
    a.count += 10
    Local.count += 1
    del a.count
    return a.count, b.count, Local.count, "count" in vars(a)


@program()
def class_attribute_added_and_removed():
    class Local:
        pass

    thing = Local()
    Local.extra = 5
    seen = thing.extra, hasattr(thing, "extra")
    del Local.extra
    return seen, hasattr(thing, "extra"), hasattr(Local, "extra")


@program()
def method_replaced_on_class():
    class Local:
        def go(self):
            return "old"

    thing = Local()
    before = thing.go()
    Local.go = lambda self: "new"
    after = thing.go()
    thing.go = lambda: "own"
    return before, after, thing.go(), Local().go()


@program()
def subclass_sees_change_of_base():
    class Low:
        value = 1

    class High(Low):
        pass

    Low.value = 2
    first = High.value, High().value
    High.value = 3
    return first, Low.value, High().value


@program()
def shared_list_of_class():
    class Local:
        items = []

    a, b = Local(), Local()
    a.items.append(1)
    b.items.append(2)
    a.items = [9]
    return Local.items, a.items, b.items


@program()
def slots():
    thing = Slotted(1)
    unset = hasattr(thing, "b")
    thing.b = 2
    del thing.a
    messages = []
    for action in (lambda: thing.a, lambda: setattr(thing, "z", 1), lambda: thing.__dict__):
        try:
            action()
        except AttributeError as error:
            messages.append(str(error))
    return unset, thing.b, hasattr(thing, "a"), messages


@program()
def slots_beside_a_dictionary():
    thing = Mixed(1)
    thing.b, thing.c, thing.free = 2, 3, 4
    return thing.a, thing.b, thing.c, vars(thing), thing


@program()
def data_descriptor():
    thing = Metered()
    before = thing.meter
    thing.meter = 3
    during = thing.meter
    del thing.meter
    return before, during, thing.meter, type(Metered.meter).__name__, vars(thing)


@program()
def cached_property_once():
    thing = Lazy()
    first, second = thing.value, thing.value
    del thing.value
    return first is second, thing.value, thing.calls, "value" in vars(thing)


@program()
def counting_instances():
    class Local(Counting):
        made = 0

    numbers = [Local().number, Local(1).number, Local(2, 3).number]
    return numbers, Local.made


@program()
def data_class_order_and_fields():
    versions = [Version(2, 1), Version(1, 5, ["x"]), Version(1, 5)]
    low, *_ = sorted(versions)
    return (
        versions[1] == versions[2],
        low.text,
        Version(1) < Version(1, 1) <= Version(1, 1),
        [field.name for field in dataclasses.fields(Version)],
        dataclasses.asdict(versions[1]),
        dataclasses.astuple(versions[0]),
        repr(versions[0]),
    )


@program()
def data_class_replace():
    first = Version(1, 2, ["a"])
    second = dataclasses.replace(first, minor=9)
    return second, second.text, second.tags is first.tags, dataclasses.is_dataclass(second)


@program()
def data_class_factory_is_fresh():
    a, b = Version(1), Version(1)
    a.tags.append("x")
    return a.tags, b.tags, a == b


@program()
def frozen_data_class():
    @dataclasses.dataclass(frozen=True)
    class Point:
        x: int

    point = Point(1)
    messages = []
    for action in (lambda: setattr(point, "x", 2), lambda: delattr(point, "x")):
        try:
            action()
        except dataclasses.FrozenInstanceError as error:
            messages.append(str(error))
    object.__setattr__(point, "x", 5)
    return messages, point.x


@program()
def vars_are_alive():
    thing = Base(1)
    space = vars(thing)
    thing.new = 2
    space["other"] = 3
    del space["x"]
    return thing.other, hasattr(thing, "x"), space, space is thing.__dict__, list(space)


@program()
def attribute_order():
    thing = Base(1)
    thing.a = 1
    thing.b = 2
    del thing.a
    thing.a = 3
    thing.x = 9
    return list(vars(thing)), vars(thing)


@program((Base(5),))
def attributes_of_an_argument(thing):
    thing.new = [thing.x]
    del thing.x
    thing.x = "again"
    thing.new.append(thing)
    return list(vars(thing)), hasattr(thing, "gone"), thing.new[1] is thing


@program((Base(5),))
def dictionary_of_an_argument(thing):
    space = thing.__dict__
    space["y"] = 1
    space.update(x=2, z=3)
    return thing.y, thing.x, space.pop("z"), "z" in space, list(space), hasattr(thing, "z")


@program((Slotted(1),))
def slots_of_an_argument(thing):
    thing.b = thing.a + 1
    del thing.a
    return thing.b, hasattr(thing, "a")


@program()
def getattr_sees_missing_only():
    class Ghost:
        real = 1

        def __getattr__(self, name):
            if name.startswith("g"):
                return name.upper()
            raise AttributeError(name)

    ghost = Ghost()
    return ghost.real, ghost.go, getattr(ghost, "other", "none"), hasattr(ghost, "x"), hasattr(ghost, "gx")


@program()
def setattr_hook():
    class Loud:
        def __init__(self):
            object.__setattr__(self, "log", [])
            self.x = 1

        def __setattr__(self, name, value):
            self.log.append((name, value))
            super().__setattr__(name, value)

    loud = Loud()
    loud.x += 1
    return loud.log, loud.x


@program()
def operators_of_subclasses():
    class Number:
        def __init__(self, n):
            self.n = n

        def __add__(self, other):
            return ("add", self.n, getattr(other, "n", other))

        def __radd__(self, other):
            return ("radd", self.n, other)

        def __iadd__(self, other):
            self.n += other
            return self

        def __eq__(self, other):
            return self.n == getattr(other, "n", other)

    class Special(Number):
        def __radd__(self, other):
            return ("special", self.n, getattr(other, "n", other))

    a = Number(1)
    a += 5
    return Number(1) + Special(2), Special(1) + Number(2), 5 + Number(3), a.n, a == 6, a != 6, sum([Number(1)])


@program()
def instance_method_stays_bound():
    thing = Base(4)
    method = thing.describe
    thing.x = 5
    return method(), method.__self__ is thing, method.__func__ is Base.describe, method == thing.describe


@program()
def class_of_instance():
    thing = Derived(1)
    return (
        thing.__class__ is Derived,
        type(thing).__mro__,
        Derived.__bases__,
        isinstance(thing, (int, Base)),
        issubclass(Derived, Base),
        Derived.__name__,
        Derived.__module__ == Base.__module__,
        Derived.__qualname__,
    )


@program()
def call_of_init_again():
    thing = Derived(1, 2)
    thing.z = 3
    thing.__init__(7)
    return vars(thing)


@program()
def object_init_takes_nothing():
    class Empty:
        pass

    class Only:
        def __init__(self, x):
            super().__init__(x)

    messages = []
    for action in (lambda: Empty(1), lambda: Only(1), lambda: object(1)):
        try:
            action()
        except TypeError as error:
            messages.append(str(error))
    return messages
