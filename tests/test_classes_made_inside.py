"""Classes that a captured function makes: class statements, `type` with three arguments, namedtuple, enumerations."""

import abc
import collections
import enum
import typing
from typing import Any

import pytest
import torch

from tests.check import BACKENDS, check
from tracer import capture

Content = typing.TypeVar("Content")


def plain_class(x: Any) -> Any:
    class Scale:
        factor = 3

        def __init__(self, value: Any) -> None:
            self.value = value

        def run(self) -> Any:
            return self.value * self.factor

    return Scale(x).run()


def variables_of_the_function(x: Any) -> Any:
    y = x + 1

    class Holder:
        doubled = y * 2

        def run(self) -> Any:
            return self.doubled + y

    return Holder().run()


def inheritance(x: Any) -> Any:
    class Base:
        def __init__(self, value: Any) -> None:
            self.value = value

        @property
        def more(self) -> Any:
            return self.value + 1

        @more.setter
        def more(self, value: Any) -> None:
            self.value = value - 1

    class Derived(Base):
        __slots__ = ("extra",)

        def __init__(self, value: Any) -> None:
            super().__init__(value * 2)
            self.extra = 2

        @staticmethod
        def sine(value: Any) -> Any:
            return value.sin()

        @classmethod
        def make(cls, value: Any) -> Any:
            return cls(value)

        def __add__(self, other: Any) -> Any:
            return self.sine(self.value + other.more) * self.extra

    first, second = Derived(x), Derived.make(x)
    second.more = x * 3
    return first + second, isinstance(first, Base), issubclass(Derived, Base), Derived.__mro__[1].__name__


def attributes_of_the_class(x: Any) -> Any:
    class Counter:
        """Counts."""

        count: int = 0

    Counter.count += 2
    Counter.step = x + 1  # type: ignore[attr-defined]
    del Counter.count
    facts = (Counter.__name__, Counter.__doc__, Counter.__module__, dict(Counter.__annotations__), repr(Counter))
    return vars(Counter)["step"] * 2, hasattr(Counter, "count"), "step" in vars(Counter), facts


def by_type(x: Any) -> Any:
    made = type("Made", (dict,), {"bias": 1, "run": lambda self, value: value + self.bias + self["a"]})
    instance: Any = made(a=2)
    return instance.run(x), made.__name__


def abstract(x: Any) -> Any:
    class Base(abc.ABC):
        @abc.abstractmethod
        def run(self) -> Any: ...

    class Derived(Base):
        def run(self) -> Any:
            return x + 1

    try:
        Base()  # type: ignore[abstract]
    except TypeError as error:
        return Derived().run(), str(error)
    return None


def generic(x: Any) -> Any:
    class Box(typing.Generic[Content]):
        def __init__(self, value: Any) -> None:
            self.value = value

    return Box(x).value * 2


def exception(x: Any) -> Any:
    class Refusal(Exception):
        pass

    try:
        raise Refusal("no", 2)
    except Refusal as refusal:
        return x * refusal.args[1], str(refusal)


def context_manager(x: Any) -> Any:
    class Manager:
        def __enter__(self) -> Any:
            return 3

        def __exit__(self, *exception: Any) -> bool:
            return True

    with Manager() as factor:
        x = x * factor
        raise ValueError
    return x


def iterator(x: Any) -> Any:
    class Countdown:
        def __init__(self, count: int) -> None:
            self.count = count

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> int:
            if not self.count:
                raise StopIteration
            self.count -= 1
            return self.count

    for number in Countdown(3):
        x = x + number
    return x


def module(x: Any) -> Any:
    class Doubling(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = 2

        def forward(self, value: Any) -> Any:
            return value * self.factor

    return Doubling()(x)


def named_tuple(x: Any) -> Any:
    pair = collections.namedtuple("pair", "a b", defaults=[3])  # type: ignore[misc]
    one = pair(x + 1)
    other = one._replace(b=x * 2)
    return one.a * one.b + other[1], len(one), pair._fields, one._asdict()["b"], pair._make([1, 2]).b


def typed_named_tuple(x: Any) -> Any:
    class Pair(typing.NamedTuple):
        a: torch.Tensor
        b: int = 2

        def product(self) -> Any:
            return self.a * self.b

    return Pair(x).product(), Pair._field_defaults


def enumeration(x: Any) -> Any:
    class Color(enum.Enum):
        RED = 1
        BLUE = 2

        def scale(self) -> Any:
            return x * self.value * 2

    return Color.BLUE.scale(), Color(1).name, [color.value for color in Color], Color["RED"] is Color.RED


def subscripts(x: Any) -> Any:
    class Column:
        def __class_getitem__(cls, key: Any) -> Any:
            return f"{cls.__name__}[{key.__name__}]"

    class Ordered(Column):
        pass

    return x + 1, Column[int], Ordered[str]


def annotations_on_demand(x: Any) -> Any:
    Plain = type("Plain", (), {})
    facts: list[Any] = []
    for _ in range(2):
        facts.append("__annotations__" in Plain.__dict__)
        facts.append(Plain.__annotations__ is Plain.__dict__["__annotations__"])
        del Plain.__annotations__
    return x + 1, facts


PROGRAMS = (
    *(plain_class, variables_of_the_function, inheritance, attributes_of_the_class, by_type, abstract, generic),
    *(exception, context_manager, iterator, module, named_tuple, typed_named_tuple, enumeration),
    *(subscripts, annotations_on_demand),
)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_class_made_inside_is_part_of_one_graph(program: Any, backend: str):
    check(program, torch.randn(3, requires_grad=True), graphs=1, breaks=[], backend=BACKENDS[backend])


def test_a_class_that_leaves_is_made_by_each_call():
    def program(x: Any) -> Any:
        offset = x + 1

        class Holder:
            def __init__(self, value: Any) -> None:
                self.value = value

            def run(self) -> Any:
                return self.value * 2 + offset

            @property
            def itself(self) -> Any:
                return Holder

        return Holder(x + 1)

    captured = capture(program, backend="eager", fullgraph=True, strict=True)
    for _ in range(2):
        x = torch.randn(3)
        first, second, plain = captured(x), captured(x), program(x)
        assert type(first) is not type(second)
        assert type(first).__name__ == "Holder" and type(first).__qualname__ == type(plain).__qualname__
        assert type(first).__module__ == __name__ and list(vars(type(first))) == list(vars(type(plain)))
        assert torch.equal(first.run(), plain.run()) and first.itself is type(first)


def test_a_named_tuple_that_leaves_is_of_a_class_of_its_own():
    def program(x: Any) -> Any:
        pair = collections.namedtuple("pair", "a b")  # type: ignore[misc]
        return pair(x, 2)

    captured = capture(program, backend="eager", fullgraph=True)
    first, second = captured(torch.ones(2)), captured(torch.ones(2))
    assert type(first) is not type(second) and first._fields == second._fields == ("a", "b")
    assert type(first).__module__ == __name__


def test_an_exception_of_a_class_made_inside_leaves():
    def program(x: Any) -> Any:
        class Refusal(ValueError):
            pass

        y = x + 1
        raise Refusal(y.shape[0])

    captured = capture(program, backend="eager")
    for _ in range(2):
        with pytest.raises(ValueError, match="3") as caught:
            captured(torch.ones(3))
        assert type(caught.value).__name__ == "Refusal"


def test_state_that_a_class_body_reads_is_guarded():
    settings = {"factor": 2}

    def program(x: Any) -> Any:
        class Scale:
            factor = settings["factor"]

        return x * Scale.factor

    captured = capture(program, backend="eager", fullgraph=True)
    x = torch.randn(3)
    assert torch.equal(captured(x), x * 2)
    settings["factor"] = 5
    assert torch.equal(captured(x), x * 5)


@pytest.mark.parametrize("kind", ["metaclass", "init_subclass"])
def test_a_class_whose_birth_runs_code_of_the_program_breaks(kind: str):
    class Meta(type):
        def __call__(cls, *args: Any) -> Any:
            return super().__call__(*args)

    class Noted:
        made: list[str] = []

        def __init_subclass__(cls) -> None:
            Noted.made.append(cls.__name__)

    def metaclass(x: Any) -> Any:
        class Made(metaclass=Meta):
            pass

        return x + 1, isinstance(Made(), Made)

    def init_subclass(x: Any) -> Any:
        class Made(Noted):
            pass

        return x + 1, Made.__name__, len(Noted.made)

    program = {"metaclass": metaclass, "init_subclass": init_subclass}[kind]
    captured, x = capture(program, backend="eager"), torch.randn(3)
    Noted.made.clear()
    plain = program(x)
    Noted.made.clear()
    assert captured(x)[1:] == plain[1:]
