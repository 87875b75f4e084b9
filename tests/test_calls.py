"""How captured programs call and are called: argument kinds, callables of every sort, builtins."""

import functools
import math
import operator
import sys
import types

import pytest
import torch
from torch.nn import functional as F

from tests.check import check, one_graph
from tracer import capture


def positional_only(a, b=2, /, c=3, *rest, d, e=5, **more):
    return a * b + c * d + e + sum(rest) + sum(more.values())


def test_every_kind_of_argument():
    def program(x):
        return (
            positional_only(x, d=1),
            positional_only(x, 3, 4, 5, 6, d=x, e=7, f=8),
            positional_only(*[x, 2], **{"d": 1, "zzz": 3}),
        )

    one_graph(program, torch.ones(2))


def test_captured_function_takes_every_kind_of_argument():
    x = torch.ones(2)
    one_graph(positional_only, x, keywords={"d": x})
    one_graph(positional_only, x, 3, 4, 5, keywords={"d": 2, "f": 8})


def test_mutable_keyword_default():
    def program(x, *, table={"scale": 2}):
        return x * table["scale"]

    one_graph(program, torch.ones(2))


def test_defaults_are_guarded():
    def program(x, scale=2):
        return x * scale

    captured = capture(program, strict=True)
    assert captured(torch.ones(1)).item() == 2
    program.__defaults__ = (5,)
    assert captured(torch.ones(1)).item() == 5


def test_partial_and_operator_functions():
    def scaled(x, scale, offset=0):
        return x * scale + offset

    half = functools.partial(scaled, scale=0.5, offset=1)

    def program(x, table):
        getter, attribute, method = (
            operator.itemgetter("a", "b"),
            operator.attrgetter("shape"),
            operator.methodcaller("sum"),
        )
        return (
            half(x),
            half(x, offset=3),
            getter(table),
            attribute(x),
            method(x),
            functools.reduce(operator.add, [x, x, x]),
        )

    one_graph(program, torch.ones(2), {"a": 1, "b": 2})


def test_lru_cache():
    calls = []

    @functools.lru_cache
    def table(n):
        calls.append(n)
        return tuple(range(n))

    def program(x):
        return x + sum(table(4)) + sum(table(4))

    check(program, torch.ones(2), recaptures=None, gradients=False)


def test_builtins_compute_with_constants():
    def program(x, values):
        numbers = [
            abs(-2),
            min(values),
            max(values, key=lambda v: -v),
            sum(values, start=1),
            round(2.567, 1),
            pow(2, 3),
        ]
        numbers += [
            divmod(7, 2),
            len(values),
            bool(values),
            int("12"),
            float("1.5"),
            chr(97),
            ord("b"),
            hash("a") == hash("a"),
        ]
        checks = [
            isinstance(x, torch.Tensor),
            issubclass(bool, int),
            callable(len),
            hasattr(x, "shape"),
            hasattr(x, "nope"),
        ]
        text = [
            repr(values),
            str(1.5),
            "{:>4}".format(3),
            "%d-%s" % (1, "a"),
            ",".join(map(str, values)),
            "A b".split(),
        ]
        sets = [
            frozenset(values) & {1},
            set(values) | {9},
            {1, 2} <= set(values),
            dict(a=1) | {"b": 2},
            list(zip(values, values)),
        ]
        slices = [
            values[::-1],
            values[slice(1, None)],
            "abc"[1],
            (1, 2) + (3,),
            [0] * 2,
            b"ab"[0],
            type(values).__name__,
        ]
        return x + numbers[0], numbers, checks, text, sets, slices

    one_graph(program, torch.ones(2), [1, 2, 3])


def test_math_on_python_numbers():
    def program(x, n):
        return x * math.sqrt(n) + math.prod([1, 2, 3]) - math.pi * math.floor(2.5) / math.log(n, 2)

    one_graph(program, torch.ones(2), 16)


def test_functionals_become_operators():
    def program(x, weight, bias):
        y = F.linear(x, weight, bias)
        y = F.gelu(F.layer_norm(F.relu(y), (3,)))
        return (
            F.softmax(F.dropout(y, 0.5, training=False), dim=-1),
            F.pad(y, (1, 1)),
            F.cross_entropy(y, torch.tensor([0, 1])),
        )

    one_graph(program, torch.ones(2, 4), torch.ones(3, 4), torch.zeros(3))


def test_operators_of_tensors():
    def program(x, y):
        return [
            x + y, x - y, x * y, x / y, x // y, x % y, x**2, 2**x, -x, +x, abs(x), x @ y, 1 + x, 1 - x, 2 / x,
            3 // x, 3 % x,
            x == y, x != y, x < y, x <= y, x > y, x >= y, x > 1, (x > 0) & (y > 0), (x > 0) | (y > 0),
            (x > 0) ^ (y > 0), ~(x > 0), x.int() << 1, x.int() >> 1,
        ]  # fmt: skip

    one_graph(program, torch.arange(1.0, 4.0), torch.arange(2.0, 5.0))


def test_indexing_of_tensors():
    def program(x, index):
        return (
            x[0],
            x[-1, ...],
            x[:, 1:],
            x[None],
            x[..., None, 0],
            x[::2, [0, 1]],
            x[index],
            x[index, :2],
            x[(0, 1)],
            x[x.shape[0] - 1],
        )

    one_graph(program, torch.arange(12.0).reshape(3, 4), torch.tensor([0, 2]))


def test_tensor_attributes_are_constants():
    def program(x):
        facts = (
            x.shape,
            x.dtype,
            x.device,
            x.ndim,
            x.requires_grad,
            x.is_leaf,
            x.layout,
            x.itemsize,
            x.is_floating_point(),
        )
        return x.T + x.mT, x.real, x.grad, x.grad_fn, facts, x.size(0), x.stride(), x.is_contiguous(), x.element_size()

    one_graph(program, torch.ones(2, 2))


def test_tensors_are_constructed_in_the_graph():
    def program(x):
        made = torch.zeros(2), torch.ones_like(x), x.new_full((2,), 3), torch.arange(3), torch.eye(2), torch.empty(0)
        return (
            made,
            torch.tensor([1.0, 2.0]),
            torch.tensor(3),
            torch.full_like(x, 2),
            torch.linspace(0, 1, 3),
            torch.as_tensor(2.5),
        )

    one_graph(program, torch.ones(2))


def test_constructed_tensors_are_new_in_every_call():
    captured = capture(lambda x: torch.tensor([1.0, 2.0]).add_(x), strict=True)
    assert torch.equal(captured(torch.ones(2)), captured(torch.ones(2)))


def test_operators_return_named_tuples_and_lists():
    def program(x):
        top = x.max(dim=-1)
        values, indices = torch.topk(x, 2)
        return (
            top,
            top.values,
            top.indices,
            values,
            indices,
            torch.sort(x),
            x.split(1, dim=1),
            torch.unbind(x),
            x.aminmax(),
        )

    one_graph(program, torch.arange(6.0).reshape(2, 3))


def test_numbers_mixed_with_tensors():
    def program(x, number):
        return x * number, number * x, number + 1, x.to(torch.float64) / number, torch.add(x, number, alpha=2)

    for number in (2, 2.5, True):
        one_graph(program, torch.ones(2), number)
    check(program, torch.ones(2), 2 + 1j, gradients=False)


def test_float_arguments_are_guarded_bit_for_bit():
    captured = capture(lambda x, factor: x * factor, strict=True)
    assert math.copysign(1, captured(torch.ones(1), 0.0).item()) == 1
    assert math.copysign(1, captured(torch.ones(1), -0.0).item()) == -1
    assert captured(torch.ones(1), float("nan")).isnan()
    assert captured(torch.ones(1), 1).item() == 1
    assert captured(torch.ones(1, dtype=torch.int64), 1).dtype is torch.int64
    assert captured(torch.ones(1, dtype=torch.int64), 1.0).dtype is torch.float32
    assert captured(torch.ones(1, dtype=torch.int64), True).dtype is torch.int64


def test_function_given_as_argument():
    def program(function, x):
        return function(x) + 1

    captured = capture(program, strict=True)
    for function in (torch.relu, torch.neg, lambda x: x * 3, abs, torch.nn.ReLU(), torch.Tensor.exp):
        torch.testing.assert_close(captured(function, -torch.ones(2)), program(function, -torch.ones(2)))


def test_dtype_and_device_arguments():
    def program(x, dtype, device):
        return x.to(dtype), torch.zeros(1, dtype=dtype, device=device), dtype.is_floating_point, str(dtype), device.type

    for dtype in (torch.float64, torch.int32):
        one_graph(program, torch.ones(2), dtype, torch.device("cpu"))


def test_capture_names_the_option_that_it_refuses():
    for wrong in ({"backend": 3}, {"fullgraph": 1}, {"dynamic": "yes"}, {"recompile_limit": "8"}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            capture(lambda x: x, **wrong)
    with pytest.raises(ValueError, match="recompile_limit"):
        capture(lambda x: x, recompile_limit=0)
    with pytest.raises(TypeError):
        capture(3)
    with pytest.raises((ValueError, LookupError), match="eager"):
        capture(lambda x: x, backend="no such backend")(torch.ones(1))


def test_functions_marked_for_torch_compile_are_operators_and_constants_wherever_they_are_defined():
    def program(x):
        def shifted(x):
            return x.relu() + 1

        torch.compiler.allow_in_graph(shifted)
        return shifted

    shifted = program(None)
    constant = torch.compiler.assume_constant_result(lambda: [3].pop())
    one_graph(lambda x: shifted(x) * constant(), torch.ones(2), ops=2)


def activated(x):
    return F.gelu(x) + 1


def test_torch_dynamo_may_be_half_imported_by_another_thread(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._dynamo.trace_rules", types.ModuleType("torch._dynamo.trace_rules"))
    one_graph(lambda x: activated(x) * 2, torch.ones(2))


def changes_a_default(x, function):
    before = function()
    function.__kwdefaults__["first"] = x
    return before, function(), function(first=3), function.__kwdefaults__ is function.__kwdefaults__


def deletes_a_default(x, function):
    given = function.__kwdefaults__.pop("second")
    try:
        return function(), x
    except TypeError as error:
        return str(error), x + given
    finally:
        function.__kwdefaults__["second"] = given


def replaces_defaults(x, function):
    function.__kwdefaults__ = {"first": x, "second": 4}
    return function()


@pytest.mark.parametrize(
    "program", [changes_a_default, deletes_a_default, replaces_defaults], ids=lambda program: program.__name__
)
def test_calls_read_the_keyword_defaults_as_they_are_then(program):
    def outcome(call):
        def function(*, first=1, second=2):
            return first, second

        results = [repr(call(torch.full((1,), float(number)), function)) for number in range(3)]
        return [*results, repr(function.__kwdefaults__)]

    assert outcome(capture(program)) == outcome(program)


def test_keyword_that_is_no_parameter_is_refused_in_the_words_of_the_running_python():
    """From Python 3.13 on they name the parameter that may be meant."""

    def program(x, name):
        def function(value, /, *, option=1, extent=2):
            return value

        try:
            return function(x, **{"value": 1, name: 2})
        except TypeError as error:
            return str(error)

    for name in ("opton", "extend", "value", "quite_another"):
        check(program, torch.ones(2), name)
