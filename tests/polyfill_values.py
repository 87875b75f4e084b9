"""Objects that polyfills are tried on: odd equalities, overridden access, every hook. Knows nothing of polyfills."""

from __future__ import annotations

from collections import OrderedDict

NAN = float("nan")


class Always:
    """Equal to everything; less than nothing."""

    def __eq__(self, other):
        return True

    def __lt__(self, other):
        return False

    def __repr__(self):
        return "Always()"


class Never:
    def __eq__(self, other):
        return False

    def __hash__(self):
        return 1


class ByItem:
    """A sequence of the old kind."""

    def __init__(self, *items):
        self.items = items

    def __getitem__(self, index):
        return self.items[index]

    def __len__(self):
        return len(self.items)


class Shown:
    """An instance with every hook a polyfill may ask for."""

    def __init__(self, value=1):
        self.value = value
        self.inner = {"k": [value]}

    def __round__(self, digits=None):
        return ("round", digits)

    def __floor__(self):
        return "floor"

    def __ceil__(self):
        return "ceil"

    def __trunc__(self):
        return "trunc"

    def __abs__(self):
        return "abs"

    def __index__(self):
        return 3

    def __divmod__(self, other):
        return "divmod" if other == 1 else NotImplemented

    def __rdivmod__(self, other):
        return "rdivmod" if other == 1 else NotImplemented

    def __format__(self, specification):
        return f"<{specification}>"

    def __repr__(self):
        return "Shown()"

    def __reversed__(self):
        return iter("own")

    def method(self, *args, **kwargs):
        return args, kwargs


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a = [1]


class Reads(OrderedDict):
    """Overrides access, as `ModelOutput` does."""

    def __getitem__(self, key):
        return ("read", super().__getitem__(key))

    def __setitem__(self, key, value):
        super().__setitem__(key, ("written", value))


class Table(dict):
    def __getitem__(self, key):
        return "overridden"

    def __contains__(self, key):
        return False

    def __missing__(self, key):
        return "missing"


class Items(list):
    def __getitem__(self, index):
        return "overridden"

    def __iter__(self):
        return iter("overridden")


class Tags(set):
    pass


def odd(x):
    return x % 2


def stop(x):
    raise StopIteration(x)


def fail(x):
    raise ValueError(x)


def some(x):
    if x == 3:
        raise ValueError("three")
    return x


class Countdown:
    def __init__(self, n):
        self.n = n

    def __call__(self):
        self.n -= 1
        if self.n < -5:
            raise StopIteration
        return self.n
