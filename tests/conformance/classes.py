"""Classes: methods, properties, class bodies, decorators, instances as arguments and results."""

from __future__ import annotations

from .catalogue import program, raising


class Point:
    """A class of the module, for programs that receive or return instances."""

    kind = "point"

    def __init__(self, x, y=0):
        self.x, self.y = x, y

    def moved(self, dx, dy):
        return Point(self.x + dx, self.y + dy)

    def shift(self, dx):
        self.x += dx
        return self

    @property
    def length(self):
        return abs(self.x) + abs(self.y)

    @classmethod
    def origin(cls):
        return cls(0)

    @staticmethod
    def distance(a, b):
        return abs(a.x - b.x) + abs(a.y - b.y)


@program((Point(1, 2),))
def instance_argument(point):
    return point.x, point.moved(1, 1), point.length, point.kind


@program((Point(1, 2),))
def instance_is_mutated(point):
    point.shift(3).shift(4)
    point.note = ["new"]
    del point.y
    return point


@program()
def instance_is_returned():
    return Point(3, 4), [Point.origin()], Point.distance(Point(1, 1), Point(2, 3))


@program()
def class_and_static_methods():
    class Child(Point):
        kind = "child"

        @classmethod
        def name(cls):
            return cls.kind

    return type(Child.origin()) is Child, Child.name(), Child(1).name(), Child(1).origin().kind


@program()
def bound_methods():
    point = Point(1)
    method = point.shift
    method(2)
    unbound = Point.shift
    unbound(point, 3)
    return point.x, method.__self__ is point, method.__func__ is unbound, method == point.shift, method is point.shift


@program()
def class_attributes():
    class Counter:
        total = 0
        items = []

        def __init__(self):
            Counter.total += 1
            self.items.append(self.total)

    a, b = Counter(), Counter()
    a.total = "mine"
    return Counter.total, a.total, b.total, Counter.items, a.items is b.items, "total" in vars(b)


@program()
def property_with_setter_and_deleter():
    class Box:
        def __init__(self):
            self._value = 1

        @property
        def value(self):
            """The value."""
            return self._value

        @value.setter
        def value(self, new):
            if new < 0:
                raise ValueError("negative")
            self._value = new

        @value.deleter
        def value(self):
            self._value = None

    box = Box()
    box.value = 5
    first = box.value
    try:
        box.value = -1
    except ValueError as error:
        message = str(error)
    box.value += 2
    second = box.value
    del box.value
    return first, second, message, box.value, Box.value.__doc__


@program()
def property_without_setter():
    class Box:
        @property
        def value(self):
            return 1

    messages = []
    try:
        Box().value = 2
    except AttributeError as error:
        messages.append(str(error))
    try:
        del Box().value
    except AttributeError as error:
        messages.append(str(error))
    return messages


@program()
def property_raises_attribute_error():
    class Box:
        @property
        def value(self):
            return self.missing

        def __getattr__(self, name):
            return f"fallback {name}"

    return Box().value


@program()
def property_made_by_call():
    class Box:
        def get(self):
            return self.__dict__.get("v", 0)

        def put(self, v):
            self.__dict__["v"] = v

        value = property(get, put, doc="documented")

    box = Box()
    box.value = 3
    return box.value, Box.value.fget is Box.get, Box.value.__doc__


@program()
def call_protocol():
    class Adder:
        def __init__(self, n):
            self.n = n

        def __call__(self, x, *, times=1):
            return (x + self.n) * times

    add = Adder(3)
    return add(1), add(1, times=2), callable(add), list(map(add, [1, 2]))


@program()
def class_made_by_type():
    def greet(self):
        return f"I am {self.name}"

    Thing = type("Thing", (Point,), {"greet": greet, "name": "thing", "x": None})
    return Thing(1).greet(), Thing.__name__, Thing.__bases__ == (Point,), issubclass(Thing, Point)


@program()
def class_decorator():
    def tagged(tag):
        def decorate(cls):
            cls.tag = tag
            return cls

        return decorate

    @tagged("outer")
    @tagged("inner")
    class Thing:
        pass

    return Thing.tag


@program()
def class_body_statements():
    class Thing:
        values = []
        for i in range(3):
            values.append(i)
        if len(values) > 2:
            big = True
        else:
            small = True
        try:
            broken = 1 / 0
        except ZeroDivisionError:
            broken = "no"
        with_default = (lambda x=i: x)()
        del i

    return Thing.values, Thing.big, Thing.broken, hasattr(Thing, "small"), hasattr(Thing, "i"), Thing.with_default


@program()
def class_annotations():
    class Thing:
        x: int
        y: "str" = "default"

        def method(self, a: int) -> str:
            return str(a)

    return Thing.__annotations__, Thing.y, hasattr(Thing, "x"), Thing.method.__annotations__


@program()
def nested_classes():
    class Outer:
        class Inner:
            value = 1

            class Deep:
                pass

        def make(self):
            return self.Inner()

    return Outer().make().value, Outer.Inner.Deep.__qualname__


@program()
def name_mangling():
    class Thing:
        def __init__(self):
            self.__secret = 5

        def __hidden(self):
            return self.__secret

        def show(self):
            return self.__hidden()

    thing = Thing()
    return thing.show(), list(vars(thing)), hasattr(thing, "__secret")


@program()
def monkey_patching():
    class Thing:
        def go(self):
            return "original"

    thing = Thing()
    before = thing.go()
    Thing.go = lambda self: "patched"
    after = thing.go()
    thing.go = lambda: "instance"
    instance = thing.go()
    del thing.go
    return before, after, instance, thing.go()


@program()
def class_reassigned():
    class A:
        def who(self):
            return "A"

    class B:
        def who(self):
            return "B"

    thing = A()
    thing.__class__ = B
    return thing.who(), type(thing).__name__


@program()
def linked_list():
    class Node:
        def __init__(self, value, following=None):
            self.value, self.following = value, following

    head = None
    for i in range(4):
        head = Node(i, head)
    values, node = [], head
    while node is not None:
        values.append(node.value)
        node = node.following
    return values, head


@program()
def self_reference():
    class Thing:
        pass

    thing = Thing()
    thing.me = thing
    thing.items = [thing]
    return thing


@program()
def method_as_default_and_callback():
    class Bus:
        def __init__(self):
            self.handlers = {}

        def on(self, name):
            def decorate(function):
                self.handlers.setdefault(name, []).append(function)
                return function

            return decorate

        def emit(self, name, *items):
            return [handler(*items) for handler in self.handlers.get(name, ())]

    bus = Bus()

    @bus.on("add")
    def add(a, b):
        return a + b

    @bus.on("add")
    def multiply(a, b):
        return a * b

    return bus.emit("add", 3, 4), bus.emit("none")


@program(raising(AttributeError))
def missing_attribute():
    class Thing:
        pass

    return Thing().missing


@program()
def repr_and_str():
    class Thing:
        def __repr__(self):
            return "Thing()"

    class Both(Thing):
        def __str__(self):
            return "both"

    return str(Thing()), repr(Both()), str(Both()), f"{Both()}", f"{Both()!r}", [Both()].__repr__(), "%s" % Both()
