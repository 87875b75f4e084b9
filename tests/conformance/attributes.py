"""Attribute access: descriptors, __getattr__, __getattribute__, slots, getattr, setattr, delattr, hasattr."""

from __future__ import annotations

from .catalogue import program, raising


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a


@program((Slotted([1]),))
def slots_of_an_argument(thing):
    thing.a.append(2)
    thing.b = thing.a
    return thing


@program()
def slots():
    thing = Slotted(1)
    messages = []
    for action in (lambda: thing.b, lambda: setattr(thing, "c", 1), lambda: delattr(thing, "b")):
        try:
            action()
        except AttributeError as error:
            messages.append(str(error))
    thing.b = 2
    del thing.a
    return messages, hasattr(thing, "a"), thing.b, hasattr(thing, "__dict__")


@program()
def slots_inherited():
    class A:
        __slots__ = ("x",)

    class B(A):
        __slots__ = ("y", "__dict__")

    class C(A):
        pass

    b, c = B(), C()
    b.x, b.y, b.z = 1, 2, 3
    c.x, c.other = 4, 5
    return b.__dict__, c.__dict__, b.x + b.y, c.x


@program()
def data_descriptor_wins():
    class Data:
        def __get__(self, instance, owner):
            return ("get", instance is None, owner.__name__)

        def __set__(self, instance, value):
            instance.__dict__["stored"] = value

        def __delete__(self, instance):
            instance.__dict__["deleted"] = True

    class Thing:
        x = Data()

    thing = Thing()
    thing.__dict__["x"] = "shadow"
    thing.x = 5
    del thing.x
    return thing.x, Thing.x, thing.__dict__


@program()
def non_data_descriptor_loses():
    class NonData:
        def __get__(self, instance, owner=None):
            return "descriptor"

    class Thing:
        x = NonData()

    thing = Thing()
    first = thing.x
    thing.x = "instance"
    second = thing.x
    del thing.x
    return first, second, thing.x


@program()
def set_only_descriptor():
    class SetOnly:
        def __set__(self, instance, value):
            instance.__dict__["x"] = value * 2

    class Thing:
        x = SetOnly()

    thing = Thing()
    before = type(thing.x).__name__
    thing.x = 4
    return before, thing.x


@program()
def validated_descriptor():
    class Positive:
        def __set_name__(self, owner, name):
            self.name = "_" + name

        def __get__(self, instance, owner):
            return self if instance is None else getattr(instance, self.name)

        def __set__(self, instance, value):
            if value <= 0:
                raise ValueError(f"{self.name[1:]} must be positive")
            setattr(instance, self.name, value)

    class Order:
        price = Positive()
        count = Positive()

        def __init__(self, price, count):
            self.price, self.count = price, count

    order = Order(2, 3)
    try:
        order.price = -1
    except ValueError as error:
        return order.price * order.count, str(error), vars(order)


@program()
def lazy_attribute():
    log = []

    class Lazy:
        def __init__(self, function):
            self.function, self.name = function, function.__name__

        def __get__(self, instance, owner):
            log.append("computed")
            value = instance.__dict__[self.name] = self.function(instance)
            return value

    class Thing:
        @Lazy
        def value(self):
            return [1]

    thing = Thing()
    return thing.value is thing.value, log


@program()
def getattr_fallback():
    class Thing:
        present = 1

        def __getattr__(self, name):
            if name.startswith("x"):
                return name * 2
            raise AttributeError(f"no {name}")

    thing = Thing()
    results = [thing.present, thing.xy, getattr(thing, "other", "default"), hasattr(thing, "x"), hasattr(thing, "o")]
    try:
        thing.other
    except AttributeError as error:
        results.append(str(error))
    return results


@program()
def getattribute():
    log = []

    class Thing:
        def __init__(self):
            self.x = 1

        def __getattribute__(self, name):
            log.append(name)
            if name == "magic":
                return 42
            return super().__getattribute__(name)

    thing = Thing()
    return thing.x, thing.magic, thing.__dict__, log


@program()
def getattribute_then_getattr():
    class Thing:
        def __getattribute__(self, name):
            if name == "a":
                raise AttributeError(name)
            return object.__getattribute__(self, name)

        def __getattr__(self, name):
            return ("fallback", name)

    thing = Thing()
    thing.a = 1
    return thing.a, thing.b


@program()
def setattr_and_delattr():
    log = []

    class Thing:
        def __setattr__(self, name, value):
            log.append(("set", name, value))
            super().__setattr__(name, value)

        def __delattr__(self, name):
            log.append(("delete", name))
            object.__delattr__(self, name)

    thing = Thing()
    thing.a = 1
    thing.a += 1
    setattr(thing, "b", 3)
    del thing.a
    return log, thing.__dict__


@program()
def delegating_proxy():
    class Proxy:
        def __init__(self, target):
            object.__setattr__(self, "_target", target)

        def __getattr__(self, name):
            return getattr(self._target, name)

        def __setattr__(self, name, value):
            setattr(self._target, name, value)

    class Thing:
        x = 1

        def go(self):
            return self.x

    thing = Thing()
    proxy = Proxy(thing)
    proxy.x = 5
    return proxy.go(), thing.x, vars(proxy) == {"_target": thing}


@program()
def dynamic_names():
    class Thing:
        pass

    thing = Thing()
    for i, name in enumerate(("a", "b c", "1")):
        setattr(thing, name, i)
    return thing.__dict__, getattr(thing, "b c"), getattr(thing, "zz", None), getattr(thing, "1")


@program()
def getattr_default_only_for_attribute_error():
    class Thing:
        @property
        def broken(self):
            raise ValueError("inside")

    try:
        getattr(Thing(), "broken", "default")
    except ValueError as error:
        return str(error)


@program()
def hasattr_lets_other_errors_through():
    class Thing:
        @property
        def broken(self):
            raise KeyError("inside")

        @property
        def absent(self):
            raise AttributeError("inside")

    try:
        hasattr(Thing(), "broken")
    except KeyError as error:
        return error.args, hasattr(Thing(), "absent")


@program()
def attribute_on_dict_of_instance():
    class Thing:
        def __init__(self):
            self.a = 1

    thing = Thing()
    thing.__dict__["b"] = 2
    thing.__dict__.update(c=3)
    space = vars(thing)
    space["d"] = 4
    del space["a"]
    return thing.b, thing.c, thing.d, hasattr(thing, "a"), space is thing.__dict__


@program()
def dict_replaced():
    class Thing:
        pass

    thing = Thing()
    thing.a = 1
    thing.__dict__ = {"b": 2}
    return hasattr(thing, "a"), thing.b


@program()
def augmented_attribute():
    class Thing:
        items = [1]
        n = 1

    thing = Thing()
    thing.items += [2]
    thing.n += 1
    return Thing.items, Thing.n, thing.__dict__, thing.items is Thing.items


@program(raising(AttributeError))
def attribute_of_builtin():
    (5).x = 1


@program()
def messages():
    class Thing:
        __slots__ = ()

    results = []
    for action in (
        lambda: Thing().x,
        lambda: setattr(Thing(), "x", 1),
        lambda: delattr(Thing(), "x"),
        lambda: Thing.x,
        lambda: (1).real.x,
        lambda: setattr(int, "x", 1),
        lambda: getattr(Thing(), 5),
        lambda: "abc".nothing,
        lambda: None.upper(),
        lambda: (lambda: 0).x,
    ):
        try:
            results.append(action())
        except (AttributeError, TypeError) as error:
            results.append((type(error).__name__, str(error)))
    return results


@program()
def class_attribute_through_metaclass():
    class Meta(type):
        def __getattr__(cls, name):
            return f"{cls.__name__}.{name}"

    class Thing(metaclass=Meta):
        pass

    thing = Thing()
    return Thing.anything, hasattr(thing, "anything")


@program()
def dir_and_vars():
    class Thing:
        x = 1

        def __init__(self):
            self.y = 2

        def go(self): ...

    names = [name for name in dir(Thing()) if not name.startswith("_")]
    return names, vars(Thing())


@program()
def method_lookup_ignores_instance_for_dunder():
    class Thing:
        def __len__(self):
            return 1

    thing = Thing()
    thing.__len__ = lambda: 2
    return len(thing), thing.__len__()


@program()
def bound_builtin_methods():
    items = []
    add = items.append
    add(1)
    add(2)
    upper = "abc".upper
    get = {"a": 1}.get
    return items, upper(), get("a"), get("b", 0), list.append(items, 3), items, str.upper("x")


@program()
def function_descriptor():
    def greet(self, other):
        return self, other

    bound = greet.__get__("self")
    return bound("other"), type(bound).__name__, greet.__get__(None, int) is greet
