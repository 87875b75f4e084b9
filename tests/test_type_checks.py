"""isinstance and issubclass: of classes that answer themselves, abstract classes, protocols, unions, tensor types."""

import abc
import collections.abc
import numbers
import typing

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, counters, reset


class Duck(abc.ABC):
    """Says itself what its subclasses are."""

    @classmethod
    def __subclasshook__(cls, candidate):
        return True if hasattr(candidate, "quack") else NotImplemented


class Quacking:
    """Derives from nothing."""

    def quack(self):
        return "quack"


class Registering(abc.ABC):
    """Has a virtual subclass."""


@Registering.register
class Registered:
    """A virtual subclass."""


class Checking(type):
    """Answers in Python."""

    def __instancecheck__(cls, item):
        return item == 3

    def __subclasscheck__(cls, candidate):
        if candidate is bool:
            raise KeyError("bool")
        return candidate is str


class Checked(metaclass=Checking):
    """Has no instances."""


class CheckedByAnObject:
    """An object that isinstance and issubclass ask."""

    def __instancecheck__(self, item):
        return item == 3

    def __subclasscheck__(self, candidate):
        return candidate is str


@typing.runtime_checkable
class HasSize(typing.Protocol):
    """A protocol of an attribute."""

    size: int


@typing.runtime_checkable
class Quacks(typing.Protocol):
    """A protocol of a method."""

    def quack(self): ...


class Claiming:
    """Says that it is a dict."""

    @property
    def __class__(self):
        return dict


class Hooked:
    """Says that it is a str."""

    def __getattribute__(self, name):
        return str if name == "__class__" else object.__getattribute__(self, name)


def _sized(cls):
    item = cls()
    item.size = 4
    return item


CANDIDATES = (
    *(Duck, Registering, Checked, HasSize, Quacks, CheckedByAnObject(), int, dict, str, object, type, numbers.Number),
    *(collections.abc.Sized, collections.abc.Hashable, (int, (str, list)), int | str, typing.Sequence, ()),
)


def name_of(candidate):
    if isinstance(candidate, CheckedByAnObject):
        return type(candidate).__name__
    return getattr(candidate, "__name__", str(candidate))


@pytest.mark.parametrize("candidate", CANDIDATES, ids=name_of)
def test_isinstance(candidate):
    def program(x):
        items = [
            *(Quacking(), _sized(Quacking), Registered(), Claiming(), Hooked(), 3, 3.5, "text", [], int, len, x),
            *(_sized(Registered), True, None, (1,)),
        ]
        return x + 1, list(
            isinstance(item, candidate) for item in items
        )  # a list would be built in this frame from 3.12 on

    check(program, torch.ones(2), graphs=1, recaptures=None)  # a copy of a union is another object


@pytest.mark.parametrize("candidate", CANDIDATES, ids=name_of)
def test_issubclass(candidate):
    def program(x):
        answers = []
        for cls in (Quacking, Registered, Claiming, int, str, bool, list, 5):
            try:
                answers.append(issubclass(cls, candidate))
            except (TypeError, KeyError) as error:
                answers.append((type(error).__name__, str(error)))
        return x + 1, answers

    check(program, torch.ones(2), graphs=1, recaptures=None)


def test_a_class_registered_between_calls():
    class Base(abc.ABC):
        pass

    class Late:
        pass

    class Derived(Base):
        pass

    def program(x, item):
        return x + 1 if isinstance(item, Base) else x

    captured = capture(program, backend="eager")
    x = torch.zeros(1)
    assert [captured(x, item).item() for item in (Late(), Late(), Derived())] == [0, 0, 1]
    Base.register(Late)
    assert [captured(x, item).item() for item in (Late(), Late(), Derived())] == [1, 1, 1]


class Unequal(type):
    """No class of this kind may be compared."""

    def __eq__(cls, other):
        raise AssertionError("compared")

    __hash__ = type.__hash__


class Uncompared(metaclass=Unequal):
    """A class that is only looked at."""

    def __add__(self, other):
        return "sum", type(other).__name__


def test_classes_are_never_compared():
    def program(x):
        items = Uncompared(), 3
        return x + 1, Uncompared() + 1, [isinstance(item, Uncompared) for item in items]

    one_graph(program, torch.ones(2))


def test_a_class_attribute_that_raises_reaches_the_program():
    class Raising:
        @property
        def __class__(self):
            raise RuntimeError("asked")

    def program(x, item):
        try:
            return x, isinstance(item, bool)
        except RuntimeError as error:
            return x + 1, str(error)

    item = Raising()
    captured = capture(program, backend="eager")
    before = counters().tracer_bugs
    for _ in range(2):
        assert captured(torch.ones(1), item)[1] == "asked"
    assert counters().tracer_bugs == before


LEGACY = (
    *(torch.FloatTensor, torch.DoubleTensor, torch.HalfTensor, torch.BFloat16Tensor, torch.LongTensor, torch.IntTensor),
    *(torch.ByteTensor, torch.BoolTensor, torch.CharTensor, torch.ShortTensor, torch.cuda.FloatTensor, torch.Tensor),
)


def test_legacy_tensor_types():
    def program(x, parameter):
        tensors = [x, x.double(), x.half(), x.bfloat16(), x.long(), x > 0, x.to("meta"), x.to(torch.uint8), parameter]
        return x + 1, [[isinstance(tensor, kind) for kind in LEGACY] for tensor in tensors], isinstance(3, LEGACY[0])

    one_graph(program, torch.ones(2), torch.nn.Parameter(torch.ones(2)))


def test_legacy_type_of_a_sparse_tensor():
    def program(x):
        sparse = x.to_sparse()
        return isinstance(sparse, torch.sparse.FloatTensor), isinstance(sparse, torch.FloatTensor)

    check(program, torch.eye(2))


class ComparedClasses(type):
    """Classes that compare by their names and, without a `__hash__`, cannot be hashed."""

    def __eq__(cls, other):
        return cls.__name__ == getattr(other, "__name__", None)


class CountedClasses(type):
    """Counts how often its classes are hashed."""

    hashes: list[str] = []

    def __hash__(cls):
        CountedClasses.hashes.append(cls.__name__)
        return 7


class Compared(metaclass=ComparedClasses):
    def __init__(self, number=3):
        self.number = number


class Counted(metaclass=CountedClasses):
    def __init__(self, number=3):
        self.number = number


@pytest.mark.parametrize("cls", [Compared, Counted])
@pytest.mark.parametrize("door", ["instance", "lazy instance", "class", "call", "argument", "check", "base", "key"])
def test_metaclasses_that_say_which_classes_are_equal(cls, door):
    """The tracer keeps tables by class: it asks no metaclass of the program for a hash."""

    class Derived(cls):
        pass

    given, made = cls(), {"class": cls}
    programs = {
        "instance": lambda x: x * given.number,
        "lazy instance": lambda x: x * isinstance(made["class"](), int),
        "class": lambda x: x * len(cls.__name__),
        "call": lambda x: x * cls(4).number,
        "argument": lambda x: x * [given][0].number,
        "check": lambda x: x * isinstance(given, cls) + issubclass(Derived, cls),
        "base": lambda x: x * Derived(5).number,
        "key": lambda x: x * len([kind for kind in (int, cls, Derived) if kind == cls]),
    }
    program = programs[door]
    expected = program(torch.ones(2))
    CountedClasses.hashes.clear()
    captured = capture(program, strict=True)
    for _ in range(2):
        assert torch.equal(captured(torch.ones(2)), expected)
    assert CountedClasses.hashes == []
    assert counters().tracer_bugs == 0


T = typing.TypeVar("T")


@pytest.mark.parametrize("kinds", [int | T, T | int, typing.Union[int, T], typing.Union[T, int], typing.Optional[T], T])  # noqa: UP007, UP045
def test_unions_are_asked_in_their_order(kinds):
    """What comes behind the member that answers is not looked at."""

    def asked(function, *args):
        try:
            return function(*args)
        except TypeError as error:
            return str(error)

    def program(x):
        return x + 1, asked(isinstance, 1, kinds), asked(isinstance, "a", kinds), asked(issubclass, int, kinds)

    check(program, torch.ones(2), recaptures=None)


class Unnamed(type):
    """Its classes do not say where they come from."""

    @property
    def __module__(cls):
        raise ZeroDivisionError("asked for the module")


def test_classes_that_do_not_say_where_they_come_from():
    cls = Unnamed("Hidden", (), {"number": 4})

    def program(x):
        one = cls()
        one.other = 3
        return x * one.number, one.other, isinstance(one, cls)

    reset()
    captured = capture(program, strict=True)
    for _ in range(2):
        assert captured(torch.ones(1))[1:] == (3, True)
    assert counters().tracer_bugs == 0


FUNCTIONS = frozenset([torch.add, torch.nn.functional.relu, len, torch.ops.aten.sin.default])


def test_functions_of_c_in_a_set():
    def program(x, function):
        table = {torch.mul: 2, len: 3}
        known = sum(1 for member in FUNCTIONS if callable(member))
        return x + known + table.get(function, 0) if function in FUNCTIONS else x - table.get(function, 0)

    captured = capture(program, strict=True, fullgraph=True)
    for function in (torch.add, torch.mul, len, torch.nn.functional.relu, torch.ops.aten.sin.default, torch.add):
        assert torch.equal(captured(torch.ones(2), function), program(torch.ones(2), function))


class OfTheProgram:
    pass


def test_subscripts_of_typing():
    def program(x):
        def inner(
            a: typing.Union[int, OfTheProgram],  # noqa: UP007
            b: typing.Callable[[int, OfTheProgram], typing.List[OfTheProgram]] | None = None,  # noqa: UP006, UP035
            c: typing.Optional[typing.Tuple[OfTheProgram, ...]] = None,  # noqa: UP006, UP035, UP045
        ) -> typing.Dict[str, OfTheProgram]:  # noqa: UP006, UP035
            return x + a

        forms = [typing.Literal["a", 1], typing.ClassVar[OfTheProgram], typing.Annotated[int, "meters"]]
        pairs = [collections.abc.Callable[[OfTheProgram], int], typing.Type[OfTheProgram]]  # noqa: UP006, UP035
        return inner(1), inner.__annotations__, forms, pairs, typing.get_args(forms[0])

    one_graph(program, torch.ones(2))


def test_subscript_that_typing_refuses():
    def program(x):
        try:
            return typing.List[int, int], x + 1  # noqa: UP006, UP035
        except TypeError as error:
            return str(error), x - 1

    check(program, torch.ones(2), breaks=[])


def test_fx_is_not_tracing():
    def program(x):
        return x + 1 if torch.fx._symbolic_trace.is_fx_tracing() else x - 1

    one_graph(program, torch.ones(2))


def test_setting_of_anomalies_that_stays():
    def program(x):
        with torch.autograd.set_detect_anomaly(torch.is_anomaly_enabled()):
            return x + 1

    captured = capture(program, fullgraph=True)
    assert torch.equal(captured(torch.ones(2)), torch.full((2,), 2.0))


class Unchecked(typing.Protocol):
    def quack(self): ...


@typing.runtime_checkable
class HasColour(typing.Protocol):
    colour: str

    def quack(self): ...


class ConcreteColour(HasColour):
    colour = "blue"


class Coloured:
    colour = "red"

    def quack(self):
        return "quack"


@pytest.mark.parametrize("candidate", (Unchecked, HasColour, ConcreteColour), ids=name_of)
@pytest.mark.parametrize("ask, asked", ((issubclass, (int, Coloured, ConcreteColour)), (isinstance, (3, Coloured()))))
def test_protocols_refuse_what_they_cannot_answer(ask, asked, candidate):
    """Programs may not ask about a class where a protocol has data, though abc may, on behalf of isinstance."""

    def program(x):
        answers = []
        for each in asked:
            try:
                answers.append(ask(each, candidate))
            except TypeError as error:
                answers.append(str(error))
        return x + 1, answers

    check(program, torch.ones(2), recaptures=None)
