"""Subclasses of torch.Tensor with `__torch_function__`: the class is asked what an operator does, as torch asks it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.check import BACKENDS, check
from tracer import capture, graph_break

each_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)


class Plain(torch.Tensor):
    """What torch.Tensor does, with results of this class."""


class Tagged(torch.Tensor):
    """Multiplies in a way of its own, and hands its tag on."""

    @staticmethod
    def __new__(cls, data, tag=None):
        return torch.Tensor._make_subclass(cls, data)

    def __init__(self, data, tag=None):
        self.tag = tag

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        result = super().__torch_function__(func, types, args, kwargs or {})
        if func is torch.Tensor.mul:
            return result + 1
        if isinstance(result, cls):
            tags = [arg.tag for arg in args if isinstance(arg, cls) and hasattr(arg, "tag")]
            result.tag = tags[0] if tags else None
        return result

    @property
    def double(self):
        return self * 2

    def triple(self, number):
        return self * 3 + number


CALLS = []


class Logged(torch.Tensor):
    """Notes each call; its results are plain tensors."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        CALLS.append((func.__name__, [kind.__name__ for kind in types], sorted(kwargs or {})))
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))


class Doubling(torch.Tensor):
    """Has an operator of its own."""

    def __add__(self, other):
        return super().__add__(other * 2)


class Weight(nn.Parameter):
    """A parameter with a method and attributes."""

    def scaled(self):
        return self * self.factor


def values(cls, **options):
    return (torch.arange(6.0, **options).reshape(2, 3) + 1).as_subclass(cls)


def made(*classes):
    return lambda: tuple(values(cls) for cls in classes)


def weight(factor=3.0):
    parameter = Weight(torch.ones(3))
    parameter.factor = factor
    return parameter


def computes(x):
    return 2 - x, 2**x, x @ x.T, x == 1, x[0], x[:, 1:], -x, x.sum(), F.relu(x), torch.stack([x, x]), x // 2, abs(x)


def by_functions(x):
    rows = F.linear(x, torch.ones(4, 3)), F.layer_norm(x, (3,)), F.softmax(x, -1)
    return rows, torch.einsum("ij->j", x), F.pad(x, (1, 1)), torch.add(x, x, alpha=2)


def asks_for_facts(x):
    kinds = type(x) is Plain, isinstance(x, Plain), isinstance(x, torch.Tensor), isinstance(x, nn.Parameter)
    sizes = x.shape, x.size(), x.size(0), x.ndim, x.dim(), len(x), x.numel()
    return x + 1, kinds, sizes, x.dtype, x.device, x.requires_grad, x.is_leaf, hasattr(x, "unknown")


def in_containers(x):
    return x.max(0), x.split(1), torch.sort(x), x.unbind(), list(x)


def writes(x):
    y = x.add_(1)
    x[0] = 3
    x += 1
    return x, y is x


def converts(x):
    alias = x.as_subclass(torch.Tensor)
    alias.mul_(2)
    return alias, torch.Tensor(alias), x.detach(), x.clone(), x.data, torch.zeros_like(x), x.new_zeros(2), x


def makes(x):
    y = torch.Tensor(x).as_subclass(torch.Tensor) if type(x) is Plain else x
    made = Tagged(y, "tag")
    return Plain(y), Plain([1.0, 2.0]), Plain(2, 3).shape, made, made.tag, made.double, made.triple(2).tag


def breaks(x):
    y = x * 2
    graph_break()
    return y + 1, type(y)


PROGRAMS = (computes, by_functions, asks_for_facts, in_containers, writes, converts)


@each_backend
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_the_default_is_part_of_one_graph(program, backend):
    check(program, make=made(Plain), fullgraph=True, backend=backend)


@each_backend
def test_instances_are_made_in_one_graph(backend):
    check(makes, make=made(torch.Tensor), fullgraph=True, backend=backend)


@each_backend
def test_goes_on_behind_a_break(backend):
    check(breaks, make=made(Plain), graphs=2, breaks=["explicit"], backend=backend)


def tagged(x):
    x.seen = True
    return x * 2, x + 1, x.tag, (x + 1).tag, x.double, torch.mul(x, 2), x.sum().tag, x.seen


@each_backend
def test_the_programs_own_is_interpreted(backend):
    def make():
        return (Tagged(torch.arange(6.0), "a"),)

    check(tagged, make=make, fullgraph=True, backend=backend)


def logs(x):
    return F.gelu(x * 2, approximate="tanh").sum(-1), F.relu(x), x.shape, x == 1, 2 - x, torch.cat([x, x]), len(CALLS)


@each_backend
def test_calls_are_those_that_torch_makes(backend):
    captured = capture(logs, fullgraph=True, backend=backend)
    logged = []
    for function in (logs, captured, captured):
        x = values(Logged)
        CALLS.clear()
        *tensors, shape, equal, rest, joined, count = function(x)
        logged.append((list(CALLS), shape, count, [tensor.tolist() for tensor in (*tensors, equal, rest, joined)]))
    assert logged[0] == logged[1] == logged[2]
    assert len(logged[0][0]) == 6


def several_classes(a, b, c):
    return a + b, b + a, torch.cat([c, a]), c.clone().add_(a), torch.where(c > 1, c, a), a + 1, c + b


@each_backend
def test_the_subclass_is_asked_first(backend):
    class Derived(Plain):
        pass

    check(several_classes, make=made(Doubling, Doubling, torch.Tensor), fullgraph=True, backend=backend)
    check(several_classes, make=made(Plain, Derived, torch.Tensor), fullgraph=True, backend=backend)


def squares(x):
    return (x * x).sum()


@each_backend
def test_gradients_reach_what_it_was_made_of(backend):
    captured = capture(squares, fullgraph=True, backend=backend)
    for factor in (1.0, 2.0):
        gradients = []
        for function in (squares, captured):
            leaf = torch.full((3,), factor, requires_grad=True)
            result = function(leaf.as_subclass(Plain))
            assert type(result) is Plain
            result.backward()
            gradients.append(leaf.grad)
        assert torch.equal(*gradients)


def scaled(parameter, x):
    kinds = isinstance(parameter, nn.Parameter), type(parameter)
    return x * parameter, parameter.scaled(), parameter.factor, parameter.requires_grad, kinds


@each_backend
def test_a_class_of_parameters_is_part_of_one_graph(backend):
    check(scaled, make=lambda: (weight(), torch.ones(3)), fullgraph=True, backend=backend)
    captured = capture(scaled, fullgraph=True, backend=backend)
    for factor in (2.0, 5.0):
        assert torch.equal(captured(weight(factor), torch.ones(3))[1], torch.full((3,), factor))


def adds_one(x):
    return x + 1


def test_guards_the_class_and_what_it_does():
    class Changing(torch.Tensor):
        pass

    captured = capture(adds_one, fullgraph=True)
    assert type(captured(torch.ones(2))) is torch.Tensor
    assert type(captured(torch.ones(2).as_subclass(Plain))) is Plain
    assert type(captured(torch.ones(2).as_subclass(Changing))) is Changing
    Changing.__torch_function__ = classmethod(lambda cls, func, types, args=(), kwargs=None: func.__name__)
    assert captured(torch.ones(2).as_subclass(Changing)) == "add"
    assert captured(torch.ones(3).as_subclass(Plain)).shape == (3,)
    with torch._C.DisableTorchFunctionSubclass():
        assert type(capture(adds_one)(torch.ones(2).as_subclass(Plain))) is torch.Tensor


def test_guards_what_an_instance_says():
    captured = capture(tagged, fullgraph=True)
    assert [captured(Tagged(torch.ones(2), tag))[3] for tag in ("a", "b", "a")] == ["a", "b", "a"]


def turns(x):
    x.t_()
    return x * 2


def needs_gradients(x):
    x.requires_grad_()
    return x * 2


@pytest.mark.parametrize("program", [turns, needs_gradients], ids=lambda program: program.__name__)
def test_runs_natively(program):
    check(program, make=made(Plain), recaptures=None, gradients=False)


DISABLERS = (torch._C.DisableTorchFunctionSubclass, torch._C.DisableTorchFunction)


@each_backend
@pytest.mark.parametrize("disabler", DISABLERS, ids=lambda disabler: disabler.__name__)
def test_overrides_are_disabled_in_a_block_of_the_captured_function(disabler, backend):
    def program(x):
        with disabler():
            inside = torch.sin(x) * 2
            with disabler():
                nested = inside + 1
            after = nested - x
        return inside, nested, after, x * 2

    check(program, torch.ones(2), graphs=1, breaks=[], backend=backend)
    check(program, make=made(Doubling), graphs=1, breaks=[], gradients=False, backend=backend)


def test_overrides_stay_disabled_over_a_break_in_the_block():
    def program(x):
        y = x + 1
        with torch._C.DisableTorchFunctionSubclass():
            inside = y * 2
            graph_break()
            also = y * 3
        return inside, also, y * 4

    check(program, make=made(Plain), recaptures=None, gradients=False)

    def raising(x):
        try:
            with torch._C.DisableTorchFunction():
                y = x * 2
                raise ValueError
        except ValueError:
            return y, x * 3

    check(raising, make=made(Plain), recaptures=None, gradients=False)


def test_a_disabler_that_is_entered_by_hand_runs_natively():
    def program(x):
        disabler = torch._C.DisableTorchFunctionSubclass()
        disabler.__enter__()
        y = x * 2
        disabler.__exit__(None, None, None)
        return y, x * 3

    check(program, make=made(Plain), recaptures=None, gradients=False)


class Refusing(torch.Tensor):
    """Refuses everything."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return NotImplemented


def test_raises_what_torch_raises():
    with pytest.raises(TypeError, match="unsupported operand"):
        adds_one(torch.ones(2).as_subclass(Refusing))
    with pytest.raises(TypeError, match="unsupported operand"):
        capture(adds_one)(torch.ones(2).as_subclass(Refusing))


class Wrapped:
    """No tensor, but operators take it."""

    def __init__(self, tensor):
        self.tensor = tensor

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        plain = [arg.tensor if isinstance(arg, cls) else arg for arg in args]
        return func(*plain, **(kwargs or {})), func.__name__


def of_no_tensor(x, held):
    made = Wrapped(x)
    return torch.add(made, 1), torch.sum(made, dim=0), F.relu(made), x + made, torch.mul(held, x)[0], made.tensor


@each_backend
def test_an_object_that_is_no_tensor_is_asked(backend):
    check(of_no_tensor, make=lambda: (torch.ones(3), Wrapped(torch.arange(3.0))), fullgraph=True, backend=backend)


def test_guards_that_an_object_is_asked():
    class Changing(Wrapped):
        pass

    def adds(held):
        return torch.add(held, 1)[0]

    captured = capture(adds, fullgraph=True)
    assert torch.equal(captured(Changing(torch.ones(2))), torch.full((2,), 2.0))
    Changing.__torch_function__ = classmethod(lambda cls, func, types, args=(), kwargs=None: ["other"])
    assert captured(Changing(torch.ones(2))) == "other"


class Redefining(nn.Parameter):
    """A parameter with an operator of its own, which no override hides."""

    def __add__(self, other):
        return other


def test_a_parameter_that_redefines_operators_breaks():
    check(adds_one, make=lambda: (Redefining(torch.ones(2)),), breaks=["tensor-subclass"])
