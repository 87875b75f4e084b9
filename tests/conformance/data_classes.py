"""dataclasses, namedtuples, typing.NamedTuple, SimpleNamespace."""

from __future__ import annotations

import dataclasses
import types
from collections import namedtuple
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from .catalogue import program, raising


@dataclass
class Item:
    name: str
    price: float = 1.0
    tags: list = field(default_factory=list)
    kind: ClassVar[str] = "item"

    def total(self, n):
        return self.price * n


@dataclass(frozen=True, order=True)
class Version:
    major: int
    minor: int = 0
    note: str = field(default="", compare=False)


@dataclass
class Special(Item):
    bonus: int = 0

    def __post_init__(self):
        self.price += self.bonus


@dataclass(slots=True)
class Compact:
    a: int
    b: int = 2


@dataclass
class Scaled:
    size: int
    factor: dataclasses.InitVar[int] = 2
    scaled: int = field(init=False)
    hidden: int = field(default=0, repr=False, kw_only=True)

    def __post_init__(self, factor):
        self.scaled = self.size * factor


Pair = namedtuple("Pair", "left right")
Triple = namedtuple("Triple", ["a", "b", "c"], defaults=(2, 3))


class Named(NamedTuple):
    x: int
    y: str = "y"

    def both(self):
        return f"{self.x}{self.y}"


@program((Item("a", 2.0),))
def argument(item):
    item.tags.append("seen")
    item.price *= 2
    return item, item.total(3), item.kind


@program()
def construction():
    return Item("a"), Item("b", 3.0, ["t"]), Item(name="c", tags=[1]), Item("d").tags is not Item("d").tags


@program(raising(TypeError))
def missing_field():
    return Item()


@program()
def equality_and_repr():
    return Item("a") == Item("a"), Item("a") != Item("b"), repr(Item("a")), Item("a") == "a", repr(Version(1))


@program()
def frozen():
    version = Version(1, 2)
    messages = []
    try:
        version.major = 2
    except dataclasses.FrozenInstanceError as error:
        messages.append(str(error))
    try:
        del version.minor
    except dataclasses.FrozenInstanceError as error:
        messages.append(str(error))
    return messages, hash(version) == hash(Version(1, 2)), {version: 1}[Version(1, 2)]


@program()
def order():
    versions = [Version(2), Version(1, 5), Version(1, 0), Version(1, 5, "n")]
    return sorted(versions), max(versions), Version(1) < Version(1, 1), Version(1) >= Version(1, 0, "x")


@program(raising(TypeError))
def order_against_other_class():
    return Version(1) < 5


@program((Item("a", 2.0, ["x"]),))
def replace_and_convert(item):
    changed = dataclasses.replace(item, price=5.0)
    return changed, changed.tags is item.tags, dataclasses.asdict(item), dataclasses.astuple(item)


@program()
def nested_asdict():
    @dataclass
    class Outer:
        items: list
        by_name: dict
        pair: tuple

    outer = Outer([Item("a")], {"b": Item("b")}, (Item("c"), 1))
    return dataclasses.asdict(outer), dataclasses.astuple(outer)


@program()
def inheritance():
    return Special("s", 1.0, bonus=4), [f.name for f in dataclasses.fields(Special)], isinstance(Special("s"), Item)


@program()
def with_slots():
    compact = Compact(1)
    compact.b = 5
    return compact, hasattr(compact, "__dict__"), Compact.__slots__


@program()
def init_only_and_computed():
    return Scaled(3), Scaled(3, 5), Scaled(1, hidden=7).hidden, repr(Scaled(2))


@program()
def fields_and_queries():
    return (
        [(f.name, f.default is dataclasses.MISSING) for f in dataclasses.fields(Item)],
        dataclasses.is_dataclass(Item),
        dataclasses.is_dataclass(Item("a")),
        dataclasses.is_dataclass(5),
    )


@program()
def made_in_function():
    @dataclass
    class Local:
        x: int
        y: int = 2

        @property
        def total(self):
            return self.x + self.y

    return Local(1).total, Local(1, y=5) == Local(1, 5), Local(3)


@program()
def iterate_fields():
    item = Item("n", 2.0)
    return {f.name: getattr(item, f.name) for f in dataclasses.fields(item)}, vars(item)


@program()
def eq_false_and_unhashable():
    @dataclass(eq=False)
    class Identity:
        x: int

    try:
        hash(Item("a"))
    except TypeError as error:
        return Identity(1) == Identity(1), str(error)


@program((Pair(1, [2]),))
def namedtuple_argument(pair):
    left, right = pair
    pair.right.append(3)
    return left, right, pair, pair[0], pair.left, pair.right is right


@program()
def namedtuple_methods():
    pair = Pair(1, right=2)
    return (
        pair,
        pair._replace(left=5),
        pair._asdict(),
        Pair._fields,
        Pair._make([3, 4]),
        repr(pair),
        pair == (1, 2),
        pair < Pair(1, 3),
        hash(pair) == hash((1, 2)),
        pair + (3,),
        pair.index(2),
        len(pair),
        isinstance(pair, tuple),
        type(pair[:]),
    )


@program()
def namedtuple_defaults():
    return Triple(1), Triple(1, 5), Triple(1, c=9), Triple._field_defaults


@program()
def namedtuple_errors():
    messages = []
    for action in (
        lambda: Pair(1),
        lambda: Pair(1, 2, 3),
        lambda: Pair(1, 2)._replace(middle=1),
        lambda: Pair._make([1]),
    ):
        try:
            action()
        except (TypeError, ValueError) as error:
            messages.append(str(error))
    try:
        Pair(1, 2).left = 3
    except AttributeError as error:
        messages.append(str(error))
    return messages


@program()
def typed_namedtuple():
    named = Named(1)
    return named, named.both(), Named(2, "z").both(), named._replace(x=9), Named.__annotations__


@program()
def namedtuple_subclass():
    class Point(Pair):
        __slots__ = ()

        def __add__(self, other):
            return Point(self.left + other.left, self.right + other.right)

    return Point(1, 2) + Point(3, 4), type(Point(1, 2)._replace(left=2)).__name__


@program()
def namedtuple_made_in_function():
    Local = namedtuple("Local", "a b")
    local = Local(b=1, a=2)
    return local.a, local.b, tuple(local)


@program()
def simple_namespace():
    space = types.SimpleNamespace(a=1, b=[2])
    space.c = 3
    del space.a
    return space, space == types.SimpleNamespace(b=[2], c=3), repr(space), vars(space)


@program()
def match_on_dataclass():
    results = []
    for thing in (Item("a", 2.0), Version(1), Pair(1, 2), Compact(3, 4)):
        match thing:
            case Item(name, price):
                results.append((name, price))
            case Version(major=m):
                results.append(m)
            case Pair(left, right):
                results.append(left + right)
            case Compact(a, b=4):
                results.append(a)
    return results


@program()
def post_init_validation():
    @dataclass
    class Range:
        low: int
        high: int

        def __post_init__(self):
            if self.low > self.high:
                raise ValueError(f"{self.low} > {self.high}")

    try:
        Range(2, 1)
    except ValueError as error:
        return Range(1, 2), str(error)
