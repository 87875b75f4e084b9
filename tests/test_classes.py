"""Instances, properties, descriptors, inheritance and special methods in captured programs."""

import collections
import concurrent.futures
import ctypes
import dataclasses
import decimal
import enum
import threading
import typing

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture


class Mode(enum.Enum):
    """Two members, one with behaviour."""

    ADD = "add"
    SCALE = "scale"

    def apply(self, x):
        return x + 1 if self is Mode.ADD else x * 2


class Flags(enum.IntFlag):
    """Bits that combine."""

    A = 1
    B = 2


@dataclasses.dataclass
class Batch:
    """A dataclass with a default factory and a method."""

    data: torch.Tensor
    names: list = dataclasses.field(default_factory=list)
    scale: float = 2.0

    def scaled(self):
        return self.data * self.scale


@dataclasses.dataclass(frozen=True)
class Setting:
    """A frozen dataclass that checks itself."""

    width: int
    depth: int = 1

    def __post_init__(self):
        if self.width < 1:
            raise ValueError("width")


class Pair(typing.NamedTuple):
    """A named tuple with a property."""

    left: torch.Tensor
    right: torch.Tensor

    @property
    def total(self):
        return self.left + self.right


class Vector:
    """Special methods of every sort."""

    def __init__(self, *values):
        self.values = list(values)

    def __add__(self, other):
        return Vector(*(a + b for a, b in zip(self.values, other.values)))

    def __rmul__(self, factor):
        return Vector(*(factor * value for value in self.values))

    def __iadd__(self, number):
        self.values = [value + number for value in self.values]
        return self

    def __getitem__(self, index):
        return self.values[index]

    def __setitem__(self, index, value):
        self.values[index] = value

    def __len__(self):
        return len(self.values)

    def __bool__(self):
        return len(self.values) > 0

    def __contains__(self, value):
        return any(value is own for own in self.values)

    def __eq__(self, other):
        return isinstance(other, Vector) and len(self) == len(other)

    def __hash__(self):
        return len(self.values)

    def __call__(self, x):
        return x + len(self)

    def __iter__(self):
        return iter(self.values)


class Once:
    """A descriptor that computes a value the first time and keeps it in the instance."""

    def __init__(self, function):
        self.function = function

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner):
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.function(instance)
        return value


class Checked:
    """A data descriptor that checks what is assigned."""

    def __get__(self, instance, owner):
        return instance.__dict__["_width"]

    def __set__(self, instance, value):
        if value < 0:
            raise ValueError(f"negative width {value}")
        instance.__dict__["_width"] = value


class Base:
    """Methods of every kind, and attributes made on demand."""

    width = Checked()
    count = 0

    def __init__(self, width=1):
        self.width = width

    @Once
    def table(self):
        return [self.width, self.width * 2]

    @property
    def area(self):
        return self.width**2

    @staticmethod
    def double(x):
        return x * 2

    @classmethod
    def make(cls, width):
        return cls(width)

    def describe(self, x):
        return x + self.width

    def __getattr__(self, name):
        if name.startswith("plus_"):
            return lambda x: x + int(name[5:])
        raise AttributeError(f"no {name}")


class Derived(Base):
    """Overrides and calls up."""

    def describe(self, x):
        return super().describe(x) * 10

    @classmethod
    def make(cls, width):
        return super().make(width + 1)


def test_method_kinds():
    def program(base, x):
        return (
            base.double(x),
            Base.double(x),
            base.make(3).width,
            type(base).make(4).describe(x),
            Base.describe(base, x),
        )

    one_graph(program, Derived(2), torch.ones(2))


def test_properties_and_descriptors():
    def program(base, x):
        base.width += 3
        return x + base.area, base.table, base.table is base.table, base.plus_4(x), "table" in vars(base)

    one_graph(program, Base(2), torch.ones(2))


def test_descriptor_error():
    def program(base, x):
        try:
            base.width = -1
        except ValueError as error:
            return x + base.width, str(error)

    one_graph(program, Base(2), torch.ones(2))


def test_missing_attribute():
    def program(base, x):
        try:
            return base.absent
        except AttributeError as error:
            return x + 1, str(error), getattr(base, "absent", None), hasattr(base, "width")

    check(program, Base(2), torch.ones(2), breaks=[])


def test_instance_attribute_shadows_the_class():
    def program(base, x):
        before = base.count
        base.count = 5
        return x + before + base.count + type(base).count

    one_graph(program, Base(1), torch.ones(2))


def test_bound_method_as_program():
    one_graph(Derived(3).describe, torch.ones(2))
    one_graph(Base.double, torch.ones(2))
    one_graph(Derived.make(2).double, torch.ones(2))


def test_method_captured_in_the_class_body():
    class Model:
        def __init__(self, scale):
            self.scale = scale

        @capture(strict=True)
        def forward(self, x):
            return x * self.scale

        @staticmethod
        @capture(strict=True)
        def shift(x):
            return x + 1

        @classmethod
        @capture(strict=True)
        def named(cls, x):
            return x, cls.__name__

    two, three = Model(2), Model(3)
    x = torch.ones(1)
    assert [two.forward(x).item(), three.forward(x).item(), two.forward(x).item()] == [2, 3, 2]
    assert two.shift(x).item() == 2 and Model.named(x)[1] == "Model"


def test_special_methods():
    def program(x):
        vector = Vector(x, x + 1)
        total = vector + 2 * vector
        total += 1
        total[0] = total[1] * 3
        first, second = total
        facts = bool(vector), len(total), x in vector, vector == total, vector != 3, {vector: 1}[total]
        return first, second, total(x), facts, [*total]

    one_graph(program, torch.ones(2))


def test_instance_born_inside_is_returned():
    def program(x):
        vector = Vector(x * 2)
        vector.extra = {"self": vector}
        return vector

    one_graph(program, torch.ones(2))


def test_dataclasses():
    def program(batch, x):
        made = Batch(batch.scaled() + x, scale=3.0)
        made.names.append("made")
        changed = dataclasses.replace(made, scale=4.0)
        setting = Setting(3)
        return (
            changed,
            changed.scaled(),
            setting,
            setting == Setting(3, 1),
            [field.name for field in dataclasses.fields(made)],
        )

    check(program, Batch(torch.ones(2)), torch.ones(2), breaks=[])


def test_frozen_dataclass_refuses():
    def program(setting, x):
        try:
            setting.width = 3
        except dataclasses.FrozenInstanceError as error:
            return x + setting.width, str(error)

    check(program, Setting(2), torch.ones(2), breaks=[])


def test_named_tuples():
    Point = collections.namedtuple("Point", "x y", defaults=[5])

    def program(x, pair):
        made = Pair(x, right=pair.total)
        point = Point(1)._replace(x=x)
        left, right = made
        return made, point, point._asdict(), made.total, made._fields, made[0] is left, point.y

    one_graph(program, torch.ones(2), Pair(torch.ones(2), torch.zeros(2)))


def test_enums():
    def program(x, mode, flags):
        names = [member.name for member in Mode]
        x = mode.apply(x) if mode in (Mode.ADD, Mode.SCALE) else x
        return x, names, Mode("add") is Mode.ADD, Mode["SCALE"].value, bool(flags & Flags.A), flags | Flags.B

    for mode, flags in ((Mode.ADD, Flags.A), (Mode.SCALE, Flags.B)):
        one_graph(program, torch.ones(2), mode, flags)


def test_enum_member_is_guarded():
    captured = capture(lambda x, mode: mode.apply(x), strict=True)
    assert captured(torch.ones(1), Mode.SCALE).item() == 2
    assert captured(torch.full((1,), 3.0), Mode.ADD).item() == 4


def test_subclasses_of_builtins():
    class Names(list):
        def joined(self):
            return "-".join(self)

    class Table(dict):
        def __missing__(self, key):
            return key * 2

        def __getattr__(self, name):
            return self[name]

    names, table = Names(["a", "b"]), Table(scale=3)

    def program(x):
        names.append("c")
        table["new"] = x
        return x * table.scale, table["zz"], names.joined(), len(table), isinstance(names, list)

    check(program, torch.ones(2), breaks=[])


def test_isinstance_with_abstract_classes_and_tuples():
    def program(x, items):
        abstract = isinstance(items, collections.abc.Sequence), isinstance(items, (str, collections.abc.Mapping))
        return x + 1, abstract, isinstance(x, (int, torch.Tensor)), type(items) is list, issubclass(Derived, Base)

    one_graph(program, torch.ones(2), [1])


def test_change_of_a_method_is_noticed(monkeypatch):
    class Shape:
        def area(self, x):
            return x * 2

    captured = capture(lambda shape, x: shape.area(x), strict=True)
    shape = Shape()
    assert captured(shape, torch.ones(1)).item() == 2
    monkeypatch.setattr(Shape, "area", lambda self, x: x * 5)
    assert captured(shape, torch.ones(1)).item() == 5
    shape.area = lambda x: x * 7
    assert captured(shape, torch.ones(1)).item() == 7
    shape.__class__ = type("Other", (Shape,), {"area": lambda self, x: x * 9})
    del shape.area
    assert captured(shape, torch.ones(1)).item() == 9


def test_slots_and_class_without_dict():
    class Slotted:
        __slots__ = ("width", "items")

        def __init__(self, width):
            self.width = width

    def program(x):
        slotted = Slotted(3)
        slotted.items = [x * slotted.width]
        return slotted, hasattr(slotted, "other")

    one_graph(program, torch.ones(2))


def test_metaclass_call_and_new():
    class Counting(type):
        def __call__(cls, *args):
            instance = super().__call__(*args)
            instance.tagged = True
            return instance

    class Thing(metaclass=Counting):
        def __new__(cls, value):
            instance = super().__new__(cls)
            instance.early = value
            return instance

        def __init__(self, value):
            self.late = value * 2

    def program(x):
        thing = Thing(x)
        return thing.early, thing.late, thing.tagged

    check(program, torch.ones(2))


def test_constants_compared_with_instances():
    activation = torch.nn.ReLU()

    def program(x):
        compared = activation == "relu", "relu" != activation, 2 == activation
        return activation(x), compared, activation in ("relu", 1, None)

    one_graph(program, torch.ones(2))


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda gm, inputs: gm.forward])
def test_attributes_of_a_thread_local_are_part_of_one_graph(backend):
    local = threading.local()
    local.scale = 3

    def program(x):
        scale = getattr(local, "scale", 1)
        local.scale = scale + 1
        local.other = [x]
        del local.other
        missing = not hasattr(local, "other") and isinstance(local, threading.local) and "scale" in vars(local)
        return x * scale + missing

    captured = capture(program, strict=True, fullgraph=True, backend=backend)
    assert [captured(torch.ones(1)).item() for _ in range(2)] == [4, 5]
    assert vars(local) == {"scale": 5}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # another thread has another dictionary
        assert pool.submit(captured, torch.ones(1)).result().item() == 2
    assert vars(local) == {"scale": 5}


def test_a_missing_attribute_of_a_thread_local():
    local = threading.local()

    def program(x, name):
        try:
            delattr(local, name) if name == "deleted" else getattr(local, name)
        except AttributeError as error:
            return x + 1, str(error), error.name

    check(program, torch.ones(1), "read")
    check(program, torch.ones(1), "deleted")


class OfEachThread(threading.local):
    def __init__(self):
        self.count = len(started)
        started.append(self)


started = []


def test_a_thread_local_class_of_the_programs_own_runs_its_init_in_each_thread():
    local = OfEachThread()

    def program(x):
        local.count += 1
        return x + local.count

    captured = capture(program, strict=True)
    assert [captured(torch.ones(1)).item() for _ in range(2)] == [2, 3]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(captured, torch.ones(1)).result().item() == 3
    assert len(started) == 2


class OwnContext(decimal.Context):
    pass


@pytest.mark.parametrize("cls", (decimal.Context, OwnContext), ids=lambda cls: cls.__name__)
def test_class_of_c_that_sets_attributes_in_its_own_way(cls):
    """Signals and traps of decimal contexts are no descriptors of their class: only its C code finds them."""

    def program(x, context):
        context.prec += 1
        context.flags = {signal: True for signal in context.flags}
        refused = []
        for name, item in (("flags", ["x"]), ("traps", {0: 1}), ("prec", "y"), ("nothing", 1)):
            try:
                setattr(context, name, item)
            except (AttributeError, KeyError, TypeError) as error:
                refused.append((name, type(error)))
        return x * context.prec, sum(context.flags.values()), refused, sorted(getattr(context, "__dict__", ()))

    def made_inside(x):
        context = cls(prec=5)
        return program(x, context)

    check(made_inside, torch.ones(2), recaptures=None)


def test_a_metaclass_of_c_sets_attributes_in_its_own_way():
    def program(x, values):
        class Pair(ctypes.Structure):
            pass

        Pair._fields_ = [("first", ctypes.c_int), ("second", ctypes.c_int)]
        pair = Pair(*values)
        return x * pair.second, pair.first, ctypes.sizeof(Pair)

    check(program, torch.ones(2), [3, 4], recaptures=None)


def test_a_metaclass_of_c_sets_attributes_of_a_class_from_outside():
    def program(x, cls):
        y = x + 1
        cls._fields_ = [("first", ctypes.c_int)]
        return y * cls(3).first, ctypes.sizeof(cls)

    captured = capture(program)
    for _ in range(2):
        result, size = captured(torch.ones(2), type("Single", (ctypes.Structure,), {}))
        assert result.tolist() == [6.0, 6.0]
        assert size == ctypes.sizeof(ctypes.c_int)


@pytest.mark.parametrize("name", ["__set__", "__delete__"])
def test_class_attribute_that_becomes_a_data_descriptor(name):
    class Field:
        def __get__(self, instance, owner=None):
            return 5

    class Holder:
        field = Field()

    captured = capture(lambda x, holder: x + holder.field, backend="eager")
    holder, x = Holder(), torch.zeros(1)
    vars(holder)["field"] = 9
    assert captured(x, holder).item() == 9
    setattr(Field, name, lambda *args: None)
    assert captured(x, holder).item() == 5
    delattr(Field, name)
    assert captured(x, holder).item() == 9
