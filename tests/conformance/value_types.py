"""Subclasses of built-in types, named tuples, formatting and comparison of everything with everything."""

from __future__ import annotations

import collections
import enum
import typing

from tests.conformance.catalogue import program


class Stack(list):
    limit = 3

    def push(self, x):
        if len(self) < self.limit:
            self.append(x)
        return self

    def __getitem__(self, key):
        found = super().__getitem__(key)
        return Stack(found) if isinstance(key, slice) else found


class Bag(dict):
    def __missing__(self, key):
        return f"no {key}"

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name, value):
        self[name] = value


class Upper(dict):
    def __setitem__(self, key, value):
        super().__setitem__(key.upper(), value)

    def update(self, *args, **kwargs):
        for key, value in dict(*args, **kwargs).items():
            self[key] = value


class Tags(set):
    def add(self, x):
        super().add(x.lower())


class Meters(int):
    def __add__(self, other):
        return Meters(int(self) + int(other))

    def __repr__(self):
        return f"{int(self)}m"


class Celsius(float):
    unit = "C"

    def __str__(self):
        return f"{float(self):.1f}{self.unit}"


class Name(str):
    __slots__ = ()

    def shout(self):
        return self.upper() + "!"


class Recent(collections.deque):
    def newest(self):
        return self[-1]


class Point(typing.NamedTuple):
    x: int
    y: int = 0

    @property
    def total(self):
        return self.x + self.y

    def moved(self, by):
        return self._replace(x=self.x + by)


class Tuple3(tuple):
    def __new__(cls, a, b=0, c=0):
        return super().__new__(cls, (a, b, c))

    @property
    def first(self):
        return self[0]


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 5

    @property
    def label(self):
        return self.name.title()

    @classmethod
    def top(cls):
        return max(cls)


class Mode(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE


class Money:
    def __init__(self, amount):
        self.amount = amount

    def __format__(self, spec):
        return f"<{self.amount:{spec or 'd'}}>"

    def __str__(self):
        return f"${self.amount}"

    def __repr__(self):
        return f"Money({self.amount!r})"

    def __index__(self):
        return self.amount

    def __bool__(self):
        return self.amount > 0

    def __lt__(self, other):
        return self.amount < other.amount

    def __eq__(self, other):
        return self.amount == getattr(other, "amount", NotImplemented)

    __hash__ = None


@program()
def list_subclass():
    stack = Stack([1]).push(2).push(3).push(4)
    stack.extra = "kept"
    return stack, stack[1:], type(stack[:2]).__name__, type(stack + [9]).__name__, len(stack), stack.extra, 2 in stack


@program()
def dict_subclass():
    bag = Bag(a=1)
    bag.b = 2
    bag["c"] = 3
    return bag, bag.a, bag["zz"], bag.get("zz"), "zz" in bag, bag.other, list(bag), len(bag)


@program()
def dict_with_own_setitem():
    table = Upper(a=1)
    table["b"] = 2
    table.update({"c": 3}, d=4)
    table |= {"e": 5}
    return table, list(table), dict(table)


@program()
def set_subclass():
    tags = Tags(["A"])
    tags.add("B")
    tags |= {"C"}
    return sorted(tags), type(tags).__name__, type(tags | {"D"}).__name__, "b" in tags


@program()
def number_subclasses():
    distance = Meters(3) + 4
    heat = Celsius(20)
    return (
        distance,
        type(distance).__name__,
        repr(distance),
        distance * 2,
        str(heat),
        heat + 1,
        heat.unit,
        f"{heat:.2f}",
    )


@program()
def string_subclass():
    name = Name("ann")
    return name.shout(), name + "x", type(name + "x").__name__, name == "ann", {name: 1}["ann"], f"{name:>5}", len(name)


@program()
def deque_subclass():
    recent = Recent([1, 2, 3], maxlen=2)
    recent.append(4)
    recent.appendleft(0)
    return recent, recent.newest(), recent.maxlen, list(recent)


@program()
def named_tuples():
    point = Point(1)
    x, y = point
    return (
        point.total,
        point.moved(3),
        point._asdict(),
        point._fields,
        point == (1, 0),
        x + y,
        point[0],
        point[::-1],
        Point._make([4, 5]),
        repr(point),
        point < Point(2),
        Point(**{"x": 1, "y": 2}),
        isinstance(point, tuple),
        hash(point) == hash((1, 0)),
    )


@program()
def tuple_subclass():
    made = Tuple3(1, c=3)
    return made, made.first, made[1:], type(made[1:]).__name__, made + (4,), len(made), made == (1, 0, 3)


@program()
def integer_enumeration():
    return (
        Level.LOW + 1,
        Level(5),
        Level["LOW"] is Level.LOW,
        Level.HIGH > Level.LOW,
        Level.LOW.label,
        Level.top(),
        sorted([Level.HIGH, Level.LOW]),
        [1, 2, 3][Level.LOW],
        f"{Level.LOW}",
        f"{Level.LOW!r}",
        Level.LOW == 1,
        {1: "one"}[Level.LOW],
        list(Level),
        Level.LOW in Level,
    )


@program()
def flags():
    mode = Mode.READ | Mode.WRITE
    return (
        mode is Mode.BOTH,
        Mode.READ in mode,
        mode & Mode.READ,
        bool(mode & ~mode),
        mode.name,
        Mode(0),
        mode ^ Mode.READ,
    )


@program()
def wrong_enumeration_values():
    messages = []
    for action in (lambda: Level(9), lambda: Level["NO"], lambda: Level.NO):
        try:
            action()
        except (ValueError, KeyError, AttributeError) as error:
            messages.append((type(error).__name__, str(error)))
    return messages


@program()
def formatting_of_own_objects():
    money = Money(12)
    return (
        f"{money}",
        f"{money:x}",
        f"{money!s:>5}",
        f"{money!r}",
        "%s and %r" % (money, money),
        "{0} {0!r} {1[a]} {2.amount}".format(money, {"a": 1}, money),
        str([money, {"m": money}]),
        f"{[money]}",
        "{:{width}}|{:<{width}}".format("a", "b", width=4),
    )


@program()
def formatting_of_containers():
    items = [1, "a", None, (1,), {2: 3}, {4}]
    return (
        f"{items}",
        "%s" % (items,),
        "%(x)s %(y)05.1f" % {"x": items, "y": 2.5},
        str({"k": items}),
        f"{items!r:.5}",
        f"{3.14159:.3}",
    )


@program()
def index_protocol():
    return (
        [0, 1, 2, 3][Money(2)],
        "abc"[Money(1)],
        [5] * Money(2),
        list(range(Money(3))),
        (1, 2, 3)[: Money(2)],
        hex(Money(255)),
    )


@program()
def truth_of_own_objects():
    return [
        bool(Money(0)),
        bool(Money(1)),
        not Money(0),
        Money(0) or "else",
        Money(1) and "then",
        all([Money(1)]),
        any([Money(0)]),
    ]


@program()
def comparison_of_own_objects():
    coins = [Money(3), Money(1), Money(2)]
    return (
        [c.amount for c in sorted(coins)],
        min(coins).amount,
        max(coins, key=lambda c: -c.amount).amount,
        Money(1) == Money(1),
        Money(1) != Money(1),
        Money(1) in coins,
        coins.index(Money(2)),
        coins == [Money(3), Money(1), Money(2)],
        (Money(1), 2) == (Money(1), 2),
        {"a": Money(1)} == {"a": Money(1)},
        [Money(1)] < [Money(2)],
    )


@program()
def comparison_without_order():
    messages = []
    for action in (
        lambda: Money(1) <= Money(2),
        lambda: [1] < (1,),
        lambda: sorted([1, "a"]),
        lambda: {} < {},
        lambda: None < 1,
    ):
        try:
            action()
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def singletons():
    return (
        None is None,
        True is not False,
        type(None)() is None,
        bool(0) is False,
        NotImplemented is NotImplemented,
        ... is Ellipsis,
    )


@program()
def conversion_protocols():
    class Anything:
        def __int__(self):
            return 3

        def __float__(self):
            return 2.5

        def __complex__(self):
            return 1j

        def __len__(self):
            return 4

        def __iter__(self):
            return iter("ab")

        def __bytes__(self):
            return b"x"

        def __round__(self, n=None):
            return ("round", n)

        def __abs__(self):
            return "abs"

        def __reversed__(self):
            return iter("ba")

        def __contains__(self, x):
            return x == "yes"

        def __call__(self, *a):
            return a

        def __neg__(self):
            return "neg"

        def __divmod__(self, other):
            return "divmod"

    thing = Anything()
    return (
        int(thing),
        float(thing),
        complex(thing),
        len(thing),
        list(thing),
        tuple(thing),
        set(thing) == {"a", "b"},
        round(thing),
        round(thing, 2),
        abs(thing),
        list(reversed(thing)),
        "yes" in thing,
        "no" in thing,
        thing(1, 2),
        -thing,
        divmod(thing, 2),
        [*thing],
        dict.fromkeys(thing),
        ",".join(thing),
        max(thing),
    )


@program()
def unpacking_everything():
    a, *b = {"x": 1, "y": 2}
    (c, d), e = "ab", [*range(2)]
    *f, g = Point(7, 8)
    return a, b, c, d, e, f, g, {**{"a": 1}, "b": 2}, [*"ab", *{1: 2}], (*[], 1)


@program()
def chained_maps():
    chain = collections.ChainMap({"a": 1}, {"a": 2, "b": 3})
    chain["c"] = 4
    return chain["a"], chain["b"], sorted(chain), chain.maps, len(chain)


@program()
def ordered_dictionaries():
    ordered = collections.OrderedDict(a=1, b=2, c=3)
    ordered.move_to_end("a")
    ordered["b"] = 5
    last = ordered.popitem()
    first = ordered.popitem(last=False)
    return ordered, last, first, ordered == {"c": 3}, list(reversed(collections.OrderedDict(x=1, y=2)))


@program()
def default_dictionaries():
    table = collections.defaultdict(lambda: [0], {"z": [9]})
    table["a"].append(1)
    missing = "b" in table, table.get("b")
    del table["z"]
    return dict(table), missing, table.default_factory(), collections.defaultdict(int, a=1) == {"a": 1}


@program()
def order_of_sets():
    numbers = {40, 8, 16, 0, 24}
    numbers.discard(8)
    numbers.add(32)
    letters = set("hello world")
    merged = letters | {"z"} - {"l"}
    return list(numbers), list(letters), list(merged), list(numbers ^ {0, 1}), list(frozenset([9, 1, 17]) & {17, 9})


@program(({5, 13, 21, 29, 3},))
def order_of_a_set_argument(numbers):
    before = list(numbers)
    return before, [n for n in numbers if n > 5], sum(numbers), list(numbers | {100}), 13 in numbers


@program()
def match_statements():
    def kind(x):
        match x:
            case {"type": "a", **rest}:
                return "mapping", rest
            case Point(x=0) | Point(y=0):
                return "axis"
            case Point(x, y) if x == y:
                return "diagonal", x
            case [1, *others]:
                return "sequence", others
            case Level.HIGH:
                return "high"
            case str() as text:
                return "text", text
            case int(n):
                return "number", n
            case None | True:
                return "single"
            case _:
                return "else"

    return [
        kind(x)
        for x in (
            {"type": "a", "b": 1},
            Point(0, 5),
            Point(2, 2),
            Point(1, 2),
            [1, 2, 3],
            Level.HIGH,
            "s",
            4,
            None,
            2.5,
            [2],
            {},
        )
    ]
