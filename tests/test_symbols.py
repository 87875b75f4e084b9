"""A size or an int that has become symbolic is an int to the program: nothing of torch's symbols shows.

Each program is called with several ints, plainly and captured, by history (the second int makes a symbol) and with
`dynamic=True`; results are compared with their types.
"""

import copy
import decimal
import fractions
import functools
import json
import math
import numbers
import operator
import pickle
from importlib import import_module

import numpy
import pytest
import torch

from tests.same import differences
from tracer import capture, counters, reset
from tracer.values import shapes
from tracer.values.shapes import History

INTS = (3, 4, 6, 1, 0, -2, 40)


class Doubled:
    """Meets a symbol in its reflected methods."""

    def __radd__(self, other):
        return type(other), other * 2

    def __eq__(self, other):
        return type(other) is int and other > 2

    def __hash__(self):
        return 7


def outcome(function, *args):
    try:
        return function(*args)
    except Exception as error:
        return type(error), str(error)


PROGRAMS = {
    "class": lambda x, n: (n.__class__ is int, type(n), isinstance(n, int), isinstance(n, torch.SymInt)),
    "abstract": lambda x, n: (isinstance(n, numbers.Integral), issubclass(type(n), numbers.Number), callable(n)),
    "foreign": lambda x, n: (hasattr(n, "node"), hasattr(n, "__sym_max__"), getattr(n, "node", "none")),
    "missing": lambda x, n: n.node,
    "missing call": lambda x, n: n.sin(),
    "set": lambda x, n: setattr(n, "node", 1),
    "names": lambda x, n: dir(n) == dir(3),
    "parts": lambda x, n: (n.real, n.imag, n.numerator, n.denominator, n.__doc__ == int.__doc__),
    "int": lambda x, n: (
        n.__int__(),
        n.__index__(),
        n.__float__(),
        n.__bool__(),
        n.__trunc__(),
        int(n),
        int(n, base=10),
    ),
    "conversions": lambda x, n: (int(n), float(n), complex(n), bool(n), complex(n) == n, str(n), repr(n), ascii(n)),
    "methods": lambda x, n: (n.bit_length(), n.bit_count(), n.conjugate(), n.as_integer_ratio(), n.__hash__()),
    "bytes": lambda x, n: (n.to_bytes(2, "big", signed=True), int.to_bytes(n, 4, "little", signed=True), bytes([n])),
    "class method": lambda x, n: n.from_bytes(b"ab", "big") + n,
    "dunders": lambda x, n: (n.__add__(1), n.__pow__(2), n.__format__("d"), n.__rsub__(10), n.__eq__(3), n.__lt__(9)),
    "dunders of others": lambda x, n: (n.__add__(1.5), n.__eq__("a"), (5).__sub__(n), (2.5).__mul__(n), n.__and__(1)),
    "unbound": lambda x, n: (int.__mul__(n, 2), int.__neg__(n), float.__add__(1.0, n), object.__repr__ is not None),
    "identity": lambda x, n: (n is True, n is None, n is n, n is not False),
    "bools": lambda x, n: (n == True, n + True, n * False, True - n, n < True, n != False, n & True),  # noqa: E712
    "floats": lambda x, n: (n == 3.0, n < 3.5, n <= 3.5, n > 3.5, n >= 3.5, n == 2.5, n != 2.5, 3.5 < n, 3.0 >= n),
    "extreme floats": lambda x, n: (n < math.inf, n == math.nan, n != math.nan, n > -math.inf, n < 1e30, n == 1e300),
    "other kinds": lambda x, n: (n == "3", n != None, n == (3,), n == 3j, n == 3 + 0j, n == b"", n == ...),  # noqa: E711
    "unordered": lambda x, n: n < "a",
    "unordered complex": lambda x, n: n < 3j,
    "derived floats": lambda x, n: (n / 2, n * 0.5, n + 1.5, -n / 3, (n / 2) * 3, n / 2 > 1, math.sqrt(abs(n))),
    "zero division": lambda x, n: (outcome(lambda: 10 // n), outcome(lambda: 10 % n), outcome(lambda: 1 / n)),
    "quotients": lambda x, n: (
        n // 2,
        n % 2,
        n // -3,
        n % -3,
        -n // 2,
        divmod(n, 4),
        divmod(-7, n or 1),
        divmod(n, 2.0),
    ),
    "shifts": lambda x, n: (n << 70, n >> 1, n << 1, (n << 70) >> 69, outcome(lambda: 1 << n)),
    "powers": lambda x, n: (n**2, n**100, 2 ** abs(n), n**0, n**0.5, outcome(lambda: n**-1), pow(n, 3), (-n) ** 3),
    "modular powers": lambda x, n: (outcome(lambda: pow(n, -1, 7)), pow(base=n, exp=2, mod=5), pow(3, abs(n), mod=7)),
    "bits": lambda x, n: (n & 6, n | 8, n ^ 5, ~n, 6 & n, n & n),
    "signs": lambda x, n: (+n, -n, abs(n), abs(-n), not n, round(n), round(n, -1), math.floor(n), math.ceil(n)),
    "large": lambda x, n: (n + 2**70, n * 2**62, n - 2**63, n < 2**63, n == 2**64, n**8 * 10**12, 2**70 > n),
    "grown": lambda x, n: [n := n * n for _ in range(6)],
    "formats": lambda x, n: (f"{n} {n!r} {n:05d} {n:x}", format(n, "b"), "%d %s %05.1f" % (n, n, n), "{:>4}".format(n)),
    "text": lambda x, n: ("ab" * n, n * "c", b"x" * n, [0] * n, n * (1, 2), "abc"[n:], str(n).zfill(3), chr(65 + n)),
    "hash": lambda x, n: (hash(n), hash((n, 1)), hash(x.new_zeros(abs(n), 2).shape)),
    "keys": lambda x, n: (n in {3, 4}, {n: 1}, {3: "a", 4: "b"}.get(n), {n, 3, 3.0}, n in {3.0: 1}, {(n, 1): 2}),
    "members": lambda x, n: (
        n in [1, 3],
        n in (4,),
        [1, 3, 4].count(n),
        outcome(lambda: [4, 3].index(n)),
        n in range(5),
    ),
    "shapes as keys": lambda x, n: ({x.new_zeros(abs(n)).shape: 1}, x.new_zeros(abs(n)).shape in {(3,), (4,)}),
    "tuples": lambda x, n: (
        (n, 1) == (3, 1),
        (1, (n, 2)) != (1, (4, 2)),
        (n, 1) < (3, 2),
        (1, n) >= (1, 4),
        (0, (n,)) > (0, (3,)),
        (n,) == (True,),
        (n, "a") == (n, 3.0),
        (n,) < (3.5,),
        (n, 2) <= (4,),
    ),
    "tuples as operands": lambda x, n: (
        operator.lt((n,), (4,)),
        (n,).__gt__((3,)),
        max((n, 1), (3, 2)),
        sorted([(n, "b"), (3, "a"), (4, "c")]),
        (1, (n,)) in [(1, (3,)), (1, (6,))],
        ((n,), 2).index(2),
        outcome(lambda: (n,) < ("a",)),
        outcome(lambda: (1, (n,)) > (1, n)),
    ),
    "order of shapes": lambda x, n: (
        x.new_zeros(abs(n), 2).shape < (4, 1),
        x.new_zeros(abs(n)).shape >= x.new_zeros(3).shape,
        x.new_zeros(abs(n), 2).shape == (n, 2),
    ),
    "ranges": lambda x, n: (range(n), list(range(n, 9, 3)), range(9)[n:], len(range(abs(n))), [*enumerate("ab", n)]),
    "math": lambda x, n: (
        math.gcd(n, 6),
        math.factorial(abs(n)),
        math.log2(abs(n) + 1),
        math.isqrt(abs(n)),
        math.pi * n,
    ),
    "more math": lambda x, n: (
        math.comb(9, abs(n)),
        math.prod([n, 2]),
        math.isclose(n, 3),
        math.fsum([n, 0.5]),
        math.hypot(n, 4),
    ),
    "sums": lambda x, n: (
        sum([n, 1]),
        sum([n], 0.5),
        min(n, 3),
        max(n, 3.5),
        sorted([n, 3, 1]),
        max([1, n], key=lambda i: -i),
    ),
    "fractions": lambda x, n: (fractions.Fraction(n, 7), fractions.Fraction(1, 3) + n, n * fractions.Fraction(1, 2)),
    "decimals": lambda x, n: (decimal.Decimal(n), decimal.Decimal("1.5") * n, n + decimal.Decimal(2)),
    "copies": lambda x, n: (copy.copy(n), copy.deepcopy([n]), pickle.loads(pickle.dumps(n)), json.dumps({"n": n})),
    "numpy": lambda x, n: (
        [(type(number), number.item()) for number in (n + numpy.int64(2), numpy.float32(1.5) * n, -numpy.int64(n))],
        *(
            x * numpy.int64(n),
            bool(x.new_zeros(abs(n)).shape[0] + numpy.int64(1) == 4),
            numpy.arange(abs(n)).sum().item(),
        ),
    ),
    "operators": lambda x, n: (
        operator.add(n, 1),
        operator.index(n),
        operator.truediv(n, 4),
        operator.mod(n, 3),
        operator.neg(n),
    ),
    "in place": lambda x, n: [
        n := operator.iadd(n, 2),
        operator.imul(n, 3),
        operator.ilshift(n, 1),
        operator.ifloordiv(n, 2),
    ],
    "reflected": lambda x, n: (n + Doubled(), n == Doubled(), Doubled() == n, outcome(lambda: n - Doubled())),
    "types": lambda x, n: (
        outcome(lambda: n + "a"),
        outcome(lambda: n[0]),
        outcome(lambda: n()),
        outcome(lambda: len(n)),
    ),
    "more types": lambda x, n: (
        outcome(lambda: [*n]),
        outcome(lambda: 1 in n),
        outcome(lambda: "a" + n),
        outcome(lambda: n @ n),
    ),
    "match": lambda x, n: matched(n),
    "branches": lambda x, n: ("many" if n > 3 else "few", n or 9, n and 8, [i for i in range(5) if i < n]),
    "tensors": lambda x, n: (x + n, x * (n == 3), x * (n / 2), x - (n > 3), x.new_full((2,), n), torch.tensor([n, 1])),
    "sizes": lambda x, n: (
        x.new_zeros(abs(n), 3).numel() / 2,
        x.new_zeros(n * n).shape[0] ** 3,
        x.expand(abs(n), -1).nbytes,
    ),
}


def matched(n):
    match n:
        case 3:
            return "three"
        case int(real=4):
            return "four"
        case bool() | float():
            return "odd"
        case int():
            return "int"


def results(function, ints):
    return [outcome(function, torch.ones(1), n) for n in ints]


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_symbol_is_an_int(name, dynamic):
    program = PROGRAMS[name]

    def with_tensor(x, n):
        y = x + n
        return program(x, n), y

    reset()
    captured = capture(with_tensor, dynamic=dynamic, strict=True, recompile_limit=len(INTS) + 1)
    assert not differences(results(with_tensor, INTS), results(captured, INTS))
    assert not differences(results(with_tensor, INTS[::-1]), results(captured, INTS[::-1]))
    assert counters().tracer_bugs == 0


SLICES = [slice(None, None, -step) for step in (1, 2, 3, 5)] + [slice(-n, 9, 2) for n in (1, 2, 4, 6, 3)]
SLICES += [slice(0, n) for n in (3, 4, 5, 1)] + [slice("a"), slice(1.5, None), slice(2**70)]


@pytest.mark.parametrize("dynamic", [None, True])
def test_bounds_of_slices_from_outside_vary(dynamic):
    """A slice that comes with the call is what its bounds are now, wherever they are read."""

    def program(x, part, holder):
        inner = holder[0]
        return (
            *(
                x + 1,
                outcome(part.indices, 7),
                outcome(lambda: list(range(7))[part]),
                (part.start, part.stop, part.step),
            ),
            *(part == slice(0, 4), outcome(lambda: "abcdefg"[inner]), repr(part), inner),
            *(outcome(lambda: x[: inner.stop] if type(inner.stop) is int and inner.stop > 0 else x),),
        )

    reset()
    captured = capture(program, dynamic=dynamic, strict=True, recompile_limit=50)
    for part in SLICES * 2:
        expected = program(torch.arange(8), part, [part])
        assert not differences(expected, captured(torch.arange(8), part, [part]), "result")
    assert counters().tracer_bugs == 0


def test_int_of_thousands_of_digits():
    def program(n, table):
        return n % 1000, n + 1, table[n], (n, 2**20000)

    captured = capture(program, strict=True)
    for n in (1, 10**5000, 10**6000 + 1):
        assert captured(n, {n: 3}) == program(n, {n: 3})
    assert counters().tracer_bugs == 0


def test_floats_compared_with_a_size_leave_it_symbolic():
    captured = capture(lambda x: x * (1 if 2.5 < x.shape[0] < math.inf and x.shape[0] != 7.5 else 2), strict=True)
    for rows in (3, 4, 5, 6):
        assert captured(torch.ones(rows)).tolist() == [1.0] * rows
    assert counters().captures == 2


class Logged(torch.Tensor):
    """Notes what its `__torch_function__` is called for."""

    calls: list[str] = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.calls.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_capturing_asks_no_torch_function():
    def program(x, y):
        z = y * 2
        return x + 1, z

    seen = []
    for function in (program, capture(program)):
        for _ in range(2):
            x = torch.ones(2).as_subclass(Logged)
            Logged.calls.clear()
            function(x, torch.ones(2))
            seen.append(list(Logged.calls))
    assert seen == [["add"]] * 4


def test_attributes_of_constants_of_the_program_are_no_symbols():
    """Each Fraction of a loop is another object, reached by no path: none of their numbers is one that has changed."""

    def harmonic(x, count):
        total = fractions.Fraction(0)
        for number in range(1, count):
            total += fractions.Fraction(1, number)
        return x * total.numerator / total.denominator, total

    reset()
    captured = capture(harmonic)
    for count in (20, 20):
        assert differences(harmonic(torch.ones(2), count), captured(torch.ones(2), count), "result") == []
    (entry,) = captured.frame_cache.entries
    checks = [(guard.check, guard.source.text if guard.source else "") for guard in entry.guards]
    assert not [row for row in checks if row[0] == "expression" or (row[0] == "equal" and "numerator" in row[1])]


class Label:
    def __str__(self):
        return "name"


class Numbered:
    def __init__(self, number):
        self.number = number


PERCENT = {
    "beside an object": lambda n: "%s/%d" % (Label(), n),
    "each kind": lambda n: "%s %r %a %5x %c %o" % (n, n, n, n, n + 60, n),
    "by name": lambda n: "%(a)d %(b)s" % {"a": n, "b": Label()},
    "width": lambda n: "%s %*d" % (Label(), n, 3),
    "floating point": lambda n: "%s %.*f %e" % (Label(), 2, n, n),
}


@pytest.mark.parametrize("name", PERCENT)
def test_percent_makes_text_of_a_symbol(name):
    @capture(strict=True)
    def program(x, numbered):
        return x + 1, PERCENT[name](numbered.number), PERCENT[name](x.shape[0])

    for number in (3, 4, 5):
        text = PERCENT[name](number)
        assert program(torch.ones(number), Numbered(number))[1:] == (text, text)


@pytest.mark.parametrize(
    "name, captures", [("mark_dynamic", 1), ("maybe_mark_dynamic", 1), ("mark_unbacked", 1), ("mark_static", 4)]
)
def test_marks_on_a_tensor_say_which_sizes_vary(name, captures):

    mark = getattr(import_module("torch._dynamo.decorators"), name)
    captured = capture(lambda x: x.sum(0) * x.shape[0])
    reset()
    for size in (4, 5, 6, 7):
        x = torch.ones(size, 3)
        mark(x, 0)
        assert torch.equal(captured(x), x.sum(0) * size)
    assert counters().captures == captures


@pytest.mark.parametrize("door", ["in", "index", "sorted", "dict"])
def test_numbers_that_the_program_compares_with_each_other_do_not_all_become_symbols(monkeypatch, door):
    """Each symbol costs milliseconds, and is fixed by a guard in the end where the number itself is asked for."""
    made = []
    symbol = shapes.Shapes.symbol
    monkeypatch.setattr(shapes.Shapes, "symbol", lambda *args, **kwargs: made.append(1) or symbol(*args, **kwargs))
    programs = {
        "in": lambda x, numbers: x * ((7 in numbers) + 2),
        "index": lambda x, numbers: x * numbers.index(numbers[-1]),
        "sorted": lambda x, numbers: x * sorted(numbers)[3],
        "dict": lambda x, numbers: x * {number: place for place, number in enumerate(numbers)}[numbers[5]],
    }
    program = programs[door]
    reset()
    captured = capture(program)
    for start in (0, 200, 500):
        numbers = list(range(start, start + 200))
        assert torch.equal(captured(torch.ones(2), numbers), program(torch.ones(2), numbers))
    assert len(made) <= 2 * 2 * shapes.FEW


def test_numbers_that_operators_are_given_become_symbols_however_many_there_are():
    """As the lengths of a batch do, by which a tensor is split."""

    def program(x, lengths):
        return [part * 2 for part in x.split(lengths)]

    reset()
    captured = capture(program)
    for turn in range(4):
        lengths = [2 + (place + turn) % 3 for place in range(48)]
        x = torch.arange(float(sum(lengths)))
        assert not differences(captured(x, lengths), program(x, lengths))
    assert counters().captures == 2


class Plan:
    def __init__(self, sizes):
        self.sizes = sizes


@functools.lru_cache
def plan(*sizes):
    return Plan(list(sizes))


def test_numbers_of_different_objects_with_one_name_are_not_taken_for_one_that_varies():
    inputs = []

    def program(x):
        y = x.reshape(plan(2, 3).sizes) + x.reshape(plan(3, 2).sizes).sum() + x.reshape(plan(6, 1).sizes).sum()
        torch._dynamo.graph_break()
        return y * plan(2, 3).sizes[1]

    def backend(module, examples):
        inputs.extend(examples)
        return module.forward

    plan(2, 3), plan(3, 2), plan(6, 1)
    reset()
    captured = capture(program, backend=backend, strict=True)
    for _ in range(2):
        assert torch.equal(captured(torch.ones(6)), torch.full((2, 3), 39.0))
    assert (counters().captures, counters().graphs, counters().tracer_bugs) == (2, 2, 0)
    assert all(isinstance(example, torch.Tensor) for example in inputs)


def test_each_trace_of_a_capture_takes_the_same_numbers_for_symbols():
    history = History()
    history.begin_capture()
    assert [history.changes("n", value) for value in (2, 3)] == [0, 0]  # two objects at one place
    history.begin_trace()
    assert history.changes("n", 2) == 0
    assert history.changed_dimensions("x", (2, 3)) == frozenset()
    history.begin_capture()
    assert history.changes("n", 4) == 1
    assert history.changed_dimensions("x", (2, 4)) == {1}
