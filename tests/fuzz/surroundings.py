"""The module that a random program runs in: classes, functions and state that programs use and changes change.

SOURCE is executed anew for the plain and for the captured run of a program, so that each has its own state. Nothing in
it knows of captures.
"""

SOURCE = """
import collections
import contextlib
import copy
import dataclasses
import functools
import itertools
import math
import random
import typing
import warnings
import weakref

import numpy
import torch

log = []
scale = 2
names = ("first", "second")
config = {"scale": 3, "shift": 1.5, "on": True}
items = [torch.full((2, 2), 0.5)]
shared = torch.arange(4.0).reshape(2, 2)
deque = collections.deque([1, 2, 3], maxlen=3)
counts = collections.Counter()
Point = collections.namedtuple("Point", "left right")


global_hooks = []


class Count(int):
    pass


class Tagged(torch.Tensor):
    pass


class Base:
    factor = 2

    def scaled(self, value):
        return value * self.factor


class Box(Base):
    made = 0

    def __init__(self, value, count=0):
        self.value = value
        self.count = count
        Box.made += 1

    def __len__(self):
        return self.count + 1

    def __iter__(self):
        yield self.value
        yield self.value * self.count

    def __getitem__(self, key):
        return self.value[key] if isinstance(key, int) else key

    def __contains__(self, item):
        return item == self.count

    def __call__(self, value):
        self.count += 1
        return value + self.value

    def __enter__(self):
        log.append(("enter", self.count))
        return self

    def __exit__(self, kind, error, traceback):
        log.append(("exit", kind and kind.__name__))
        return kind is ValueError

    def __add__(self, other):
        return Box(self.value + (other.value if isinstance(other, Box) else other), self.count)

    def __eq__(self, other):
        return isinstance(other, Box) and self.count == other.count

    __hash__ = object.__hash__

    @property
    def double(self):
        log.append("double")
        return self.value * 2

    @double.setter
    def double(self, value):
        self.value = value / 2

    @classmethod
    def of(cls, value):
        return cls(value, cls.factor)

    @staticmethod
    def helper(value, by=2):
        return value - by


class Noisy(Box):
    def __del__(self):
        log.append("gone")

    def __getattr__(self, name):
        log.append(name)
        if name.startswith("missing"):
            raise AttributeError(name)
        return 7


class Slotted:
    __slots__ = ("value", "count", "__weakref__")

    def __init__(self, value):
        self.value, self.count = value, 1

    def scaled(self, value):
        return value * self.count


class Doubling:  # a data descriptor: what is stored is doubled when it is read
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        return self if instance is None else instance.__dict__["_" + self.name] * 2

    def __set__(self, instance, value):
        log.append(("set", self.name))
        instance.__dict__["_" + self.name] = value


class Named(type):
    def __call__(cls, *args):
        log.append(("made", cls.__name__))
        return super().__call__(*args)


class Typed(metaclass=Named):
    value = Doubling()
    other = 1

    def __init__(self, value):
        self.value = value

    def scaled(self, value, by=None):
        return value * (self.other if by is None else by)


class CustomError(ValueError):
    def __init__(self, number, code):
        super().__init__(number)
        self.code = code


class Scaled(torch.autograd.Function):
    scale = 2

    @staticmethod
    def forward(ctx, value):
        ctx.save_for_backward(value)
        return value * 2

    @staticmethod
    def backward(ctx, gradient):
        log.append("scaled backward")
        return gradient * Scaled.scale + ctx.saved_tensors[0]


class Chained:
    calls = 0

    def __call__(self, value):
        self.calls += 1
        return Box(value, self.calls)


@dataclasses.dataclass
class Record:
    value: torch.Tensor
    count: int = 1
    tags: list = dataclasses.field(default_factory=list)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.linear = torch.nn.Linear(2, 2)
        self.drop = torch.nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(2, 2))
        self.calls = 0
        self.flag = True

    def forward(self, value):
        self.calls += 1
        self.seen.add_(1)
        value = self.linear(value)
        return self.drop(value) + self.seen if self.flag else value


box = Box(torch.ones(2, 2), 1)
noisy = Noisy(torch.ones(2, 2), 2)
slotted = Slotted(torch.ones(2, 2))
record = Record(torch.ones(2, 2))
typed = Typed(torch.ones(2, 2))
chained = Chained()
net = Net()
net.eval()


def helper(value, by=3, *, plus=1):
    return value * by + plus


def other(value, by=5, *, plus=0):
    return value - by + plus


def make_counter(start):
    total = start

    def counter(value):
        nonlocal total
        total += 1
        return value * total

    return counter


counter = make_counter(4)


def make_closing(inner):
    def closing(value):
        return inner(value) + 1

    return closing


closing = make_closing(helper)


def numbers(value, count=3):
    try:
        for index in range(count):
            received = yield value + index
            if received is not None:
                log.append(("received", received))
    finally:
        log.append("numbers closed")


def delegating(value):
    result = yield from numbers(value, 2)
    log.append(result)
    yield value


@contextlib.contextmanager
def logged(name):
    log.append(("open", name))
    try:
        yield name
    except KeyError:
        log.append(("caught", name))
    finally:
        log.append(("close", name))


@functools.lru_cache(maxsize=4)
def cached(number):
    log.append(("computed", number))
    return [number]


def double_hook(module, inputs, output):
    return output * 2
"""
