"""The match statement, every kind of pattern."""

from __future__ import annotations

from dataclasses import dataclass

from .catalogue import program, raising


@dataclass
class Point:
    x: int
    y: int


class Plain:
    def __init__(self, a):
        self.a = a


class Shape:
    __match_args__ = ("kind", "size")

    def __init__(self, kind, size):
        self.kind, self.size = kind, size


class Colors:
    RED = 1
    BLUE = "blue"


@program((1,), (-1,), ("a",), (None,), (True,), (2.5,), (b"b",), (1j,), ([],))
def literals(thing):
    match thing:
        case None:
            return "none"
        case True:
            return "true"
        case 1:
            return "one"
        case -1:
            return "minus one"
        case "a":
            return "letter"
        case 2.5:
            return "float"
        case b"b":
            return "bytes"
        case 0 + 1j:
            return "complex"
    return "no match"


@program((1,), (3,), ("x",), ("y",))
def alternatives(thing):
    match thing:
        case 1 | 2 | 3:
            return "small"
        case ("x" | "y") as found:
            return "letter", found
        case _:
            return "other"


@program((5,))
def capture(thing):
    match thing:
        case captured:
            return captured, thing


@program(([],), ([1],), ([1, 2],), ((1, 2, 3),), ("ab",), (range(4),), ({1},), (b"ab",))
def sequences(thing):
    match thing:
        case []:
            return "empty"
        case [one]:
            return "one", one
        case (a, b):
            return "two", a, b
        case [first, *rest]:
            return first, rest
        case _:
            return "not a sequence"


@program(([1, 2, 3],), ([1, 9, 3],), ([3],))
def stars(thing):
    results = []
    match thing:
        case [1, *_, 3]:
            results.append("one to three")
    match thing:
        case [*start, 3]:
            results.append(start)
    match thing:
        case [1, *middle, last]:
            results.append((middle, last))
    match thing:
        case [*everything]:
            results.append(everything)
    return results


@program(([1, [2, [3, 4]]],), ([1, [2, 3]],), ([(1, 2), {"k": [5]}],))
def nested(thing):
    match thing:
        case [a, [b, [c, d]]]:
            return a + b + c + d
        case [(a, b), {"k": [c]}]:
            return a, b, c
        case [int(a), [*rest]]:
            return a, rest


@program(({},), ({"a": 1},), ({"a": 1, "b": 2},), ({"kind": "x", "v": [1, 2]},), (5,), ({"a": 2, "z": None},))
def mappings(thing):
    match thing:
        case {"kind": "x", "v": [first, *_]}:
            return first
        case {"a": 1, "b": b}:
            return "a and b", b
        case {"a": 1, **rest}:
            return "a", rest
        case {"a": value, "z": None}:
            return value
        case {}:
            return "any mapping"
    return "none"


@program((Point(0, 0),), (Point(0, 5),), (Point(3, 3),), (Point(1, 2),), (5,), (Shape("box", 2),))
def classes(thing):
    match thing:
        case Point(0, 0):
            return "origin"
        case Point(x=0, y=y):
            return "on y", y
        case Point(x, y) if x == y:
            return "diagonal", x
        case Point():
            return "point"
        case Shape("box", size=n):
            return "box", n
        case int(n):
            return "int", n


@program((1,), ("s",), (2.0,), ([1],), ({"a": 1},), (None,), (True,), ((1,),), ({1},), (b"x",))
def builtin_classes(thing):
    match thing:
        case bool(b):
            return "bool", b
        case int(i) | float(i):
            return "number", i
        case str() as s:
            return "str", s
        case list([x]):
            return "list", x
        case dict(d):
            return "dict", d
        case tuple((x,)):
            return "tuple", x
        case set() | frozenset():
            return "set"
        case bytes(x):
            return x
        case _:
            return "other"


@program((1,), ("blue",), (3,))
def values(thing):
    match thing:
        case Colors.RED:
            return "red"
        case Colors.BLUE:
            return "blue"
        case _:
            return "unknown"


@program((5,), (50,), (-5,), (0,))
def guards(n):
    match n:
        case x if x < 0:
            return "negative"
        case 0:
            return "zero"
        case x if x < 10:
            return "small", x
        case x:
            return "large", x


@program()
def guard_side_effects():
    log = []

    def check(label, answer):
        log.append(label)
        return answer

    match 5:
        case x if check("first", False):
            pass
        case 6 if check("never", True):
            pass
        case x if check("second", True):
            log.append(x)
    return log


@program(([1, 2],))
def as_patterns(thing):
    match thing:
        case [int() as a, (1 | 2) as b] as whole:
            return a, b, whole is thing


@program((5,))
def no_match_falls_through(thing):
    match thing:
        case "x":
            return 1
        case [_]:
            return 2
    return "through"


@program()
def match_tuple_subject():
    results = []
    for a, b in ((0, 1), (1, 0), (2, 2)):
        match a, b:
            case 0, y:
                results.append(("zero", y))
            case x, 0:
                results.append((x, "zero"))
            case x, y:
                results.append(x * y)
    return results


@program()
def bindings_survive_a_failed_pattern():
    match [1, 2, 3]:
        case [a, b, 4]:
            pass
        case [a, *_]:
            b = "kept"
    return a, b


@program(raising(TypeError))
def too_many_positional():
    match Plain(1):
        case Plain(x):
            return x


@program()
def attribute_missing():
    match Plain(1):
        case Plain(b=2):
            return "no"
        case Plain(a=1):
            return "yes"


@program()
def custom_sequence_and_mapping():
    import collections.abc

    class Sequence(collections.abc.Sequence):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return "ab"[i]

    class Mapping(collections.abc.Mapping):
        def __len__(self):
            return 1

        def __iter__(self):
            return iter("k")

        def __getitem__(self, key):
            return {"k": 1}[key]

    results = []
    for thing in (Sequence(), Mapping()):
        match thing:
            case [a, b]:
                results.append((a, b))
            case {"k": v}:
                results.append(v)
    return results


@program((("add", ("mul", 2, 3), ("neg", 4)),))
def evaluator(tree):
    def evaluate(node):
        match node:
            case int() | float():
                return node
            case ("add", left, right):
                return evaluate(left) + evaluate(right)
            case ("mul", left, right):
                return evaluate(left) * evaluate(right)
            case ("neg", operand):
                return -evaluate(operand)
            case unknown:
                raise ValueError(unknown)

    return evaluate(tree)


@program(("go north",), ("take key lamp",), ("quit",), ("dance",))
def commands(text):
    match text.split():
        case ["go", ("north" | "south") as direction]:
            return direction
        case ["take", *things]:
            return things
        case ["quit"]:
            return None
        case [other]:
            return "unknown " + other


@program()
def match_in_loop():
    seen = []
    for item in (1, "skip", 2, "stop", 3):
        match item:
            case "skip":
                continue
            case "stop":
                break
            case n:
                seen.append(n)
    return seen


@program()
def default_dict_is_not_filled():
    from collections import defaultdict

    table = defaultdict(int)
    match table:
        case {"missing": x}:
            return x
    return dict(table)
