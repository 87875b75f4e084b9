"""enum: Enum, IntEnum, StrEnum, Flag, auto, members with methods."""

from __future__ import annotations

import enum

from .catalogue import program, raising


class Color(enum.Enum):
    RED = 1
    GREEN = 2
    CRIMSON = 1

    @property
    def pretty(self):
        return self.name.title()

    @classmethod
    def default(cls):
        return cls.GREEN


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


class Mode(enum.StrEnum):
    TRAIN = enum.auto()
    EVAL = "evaluation"


class Permission(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    EXECUTE = enum.auto()
    ALL = READ | WRITE | EXECUTE


class Planet(enum.Enum):
    EARTH = (5.0, 6.0)
    MARS = (1.0, 3.0)

    def __init__(self, mass, radius):
        self.mass, self.radius = mass, radius

    @property
    def gravity(self):
        return self.mass / self.radius**2


@program((Color.RED,), (Color.GREEN,))
def member_argument(color):
    return color, color.name, color.value, color.pretty, color is Color.RED, color == Color.GREEN


@program((1,), (2,), raising(ValueError, 7))
def by_value(value):
    return Color(value)


@program(("RED",), raising(KeyError, "BLUE"))
def by_name(name):
    return Color[name]


@program()
def iteration():
    return list(Color), len(Color), [c.name for c in Color], list(Color.__members__), Color.RED in Color


@program()
def aliases():
    return Color.CRIMSON is Color.RED, Color.CRIMSON.name


@program()
def class_method():
    return Color.default(), Color.RED.default()


@program()
def branches():
    def describe(color):
        if color is Color.RED:
            return "warm"
        elif color == Color.GREEN:
            return "cool"
        return "unknown"

    return describe(Color.RED), describe(Color.GREEN), describe(1)


@program()
def as_dict_keys():
    table = {Color.RED: "r", Color.GREEN: "g"}
    return table[Color(1)], Color.GREEN in table, {Color.RED, Color.CRIMSON}


@program()
def int_enum():
    return (
        Level.LOW + 1,
        Level.HIGH > Level.LOW,
        Level.LOW == 1,
        sorted([Level.HIGH, Level.LOW]),
        int(Level.HIGH),
        [
            10,
            20,
        ][Level.LOW],
    )


@program()
def str_enum():
    return (
        Mode.TRAIN.value,
        Mode.EVAL == "evaluation",
        Mode("train"),
        f"{Mode.EVAL}",
        Mode.TRAIN.upper(),
        str(Mode.EVAL),
    )


@program()
def flags():
    rw = Permission.READ | Permission.WRITE
    return (
        rw,
        Permission.READ in rw,
        Permission.EXECUTE in rw,
        rw & Permission.READ,
        rw ^ Permission.READ,
        ~Permission.READ,
        bool(rw & Permission.EXECUTE),
        rw | Permission.EXECUTE == Permission.ALL,
        rw.value,
        list(rw),
        Permission(0),
    )


@program()
def with_init():
    return Planet.EARTH.mass, round(Planet.MARS.gravity, 4), Planet((1.0, 3.0))


@program()
def printed():
    return repr(Color.RED), str(Color.RED), f"{Color.GREEN}", f"{Level.HIGH}", f"{Level.HIGH!r}", repr(Permission.READ)


@program()
def matched():
    def describe(thing):
        match thing:
            case Color.RED:
                return "red"
            case Level.HIGH:
                return "high"
            case Mode.TRAIN:
                return "train"
        return None

    return [describe(t) for t in (Color.RED, Color.GREEN, Level.HIGH, 10, "train", Mode.EVAL)]


@program()
def made_in_function():
    class Local(enum.Enum):
        A = enum.auto()
        B = enum.auto()

    return [m.value for m in Local], Local.A < Local.B if hasattr(Local.A, "__lt__") and False else None


@program()
def functional():
    Animal = enum.Enum("Animal", "CAT DOG")
    return [a.name for a in Animal], Animal.CAT.value


@program()
def not_comparable():
    try:
        return Color.RED < Color.GREEN
    except TypeError as error:
        return str(error)


@program()
def immutable_members():
    try:
        Color.RED = 5
    except AttributeError as error:
        return str(error)


@program()
def hash_and_identity():
    return Color.RED is Color(1), hash(Color.RED) == hash(Color.CRIMSON), Color.RED != Level.LOW, Color.RED == 1
