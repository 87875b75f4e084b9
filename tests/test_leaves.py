"""Leaves of autograd that a captured function makes: is_leaf, requires_grad and the gradients that reach them."""

import pytest
import torch
from torch import nn

from tests.check import check, one_graph
from tracer import capture

BACKENDS = ("eager", "aot_eager", lambda module, _: module.forward)
FACTORIES = {
    "ones": lambda x: torch.ones(3, requires_grad=True),
    "tensor": lambda x: torch.tensor([1.0, 2.0, 3.0], requires_grad=True),
    "randperm": lambda x: torch.randperm(3, dtype=torch.float32, requires_grad=True),
    "like": lambda x: torch.zeros_like(x, requires_grad=True),
    "new": lambda x: x.new_full((3,), 2.0, requires_grad=True),
    "detached": lambda x: (x * 2).detach().requires_grad_(),
    "attribute": lambda x: set_attribute(x.detach() * 2),
    "parameter": lambda x: nn.Parameter(x.detach() * 2),
    "empty": lambda x: torch.empty(3, requires_grad=True).detach().fill_(2).requires_grad_(True),
}


def set_attribute(tensor):
    tensor.requires_grad = True
    return tensor


@pytest.fixture(params=[torch.arange(1.0, 4.0), torch.arange(1.0, 4.0).requires_grad_()], ids=["plain", "gradient"])
def x(request):
    return request.param


@pytest.mark.parametrize("make", FACTORIES.values(), ids=FACTORIES)
@pytest.mark.parametrize("backend", BACKENDS, ids=["eager", "aot_eager", "forward"])
def test_a_leaf_made_inside_stays_a_leaf(make, backend, x):
    def program(x):
        leaf = make(x)
        return leaf, (leaf * leaf * x).sum(), leaf.view(3, 1)

    check(program, x, backend=backend)


def under_no_grad(x):
    with torch.no_grad():
        leaf = x * 2
        with torch.enable_grad():
            other = torch.ones(3, requires_grad=True)
            product = other * leaf
    leaf.requires_grad_()
    return leaf, other, product, leaf * product


def gradients_off_for_a_stretch(x):
    torch.set_grad_enabled(False)
    leaf, doubled = torch.ones(3, requires_grad=True), x * 2
    torch.set_grad_enabled(True)
    return leaf, doubled, leaf * doubled


def detached_in_place(x):
    doubled = x * 2
    doubled.detach_()
    return doubled, doubled * x


def no_leaf_any_more(x):
    leaf = x.detach().clone().requires_grad_()
    leaf.requires_grad_(False)
    return leaf, leaf * x


def of_an_argument(x):
    x.requires_grad_(True)
    return x, x * 2


def argument_without_gradient(x):
    x.requires_grad_(False)
    return x, x * 2


def retained(x):
    doubled = x * 2
    if doubled.requires_grad:
        doubled.retain_grad()
    return doubled, doubled.sum()


def hooked(x):
    leaf = torch.ones(3, requires_grad=True)
    leaf.register_hook(lambda gradient: gradient * 3)
    return leaf, (leaf * x).sum()


def backward_inside(x):
    leaf = torch.ones(3, requires_grad=True)
    (leaf * leaf * x.detach()).sum().backward()
    return leaf.grad.clone() * x.detach(), leaf


def written_to(x):
    leaf, target = torch.ones(3, requires_grad=True), torch.zeros(3)
    target.add_(leaf)
    return target * x, leaf


PROGRAMS = (
    *(under_no_grad, gradients_off_for_a_stretch, detached_in_place, no_leaf_any_more, of_an_argument),
    *(argument_without_gradient, retained, hooked, backward_inside, written_to),
)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
@pytest.mark.parametrize("backend", BACKENDS, ids=["eager", "aot_eager", "forward"])
def test_autograd_state_is_that_of_the_plain_run(program, backend, x):
    check(program, x, backend=backend)


def test_the_replay_makes_leaves_in_one_graph(x):
    one_graph(lambda x: torch.ones(3, requires_grad=True) * x, x)


def test_compilers_get_one_graph_without_leaves(x):
    one_graph(lambda x: (torch.ones(3) * x).detach() + torch.zeros_like(x), x, backend="aot_eager")


@pytest.mark.parametrize("backend", BACKENDS, ids=["eager", "aot_eager", "forward"])
def test_resized_tensors(backend):
    check(lambda x, out: torch.add(x, 1, out=out), torch.ones(3), torch.zeros(0), backend=backend)
    check(lambda x, out: torch.mm(x, x, out=out) + out, torch.ones(2, 2), torch.zeros(3), backend=backend)
    check(lambda x: x.resize_(2) * 2, torch.ones(3), backend=backend)


def test_a_fitting_out_stays_in_the_graph():
    one_graph(lambda x, out: torch.add(x, 1, out=out), torch.ones(3), torch.zeros(3), backend="aot_eager")


WRITES = {
    "product": lambda x, w: x.mul_(w),
    "saved result": lambda x, w: x.mul_(w).exp_(),
    "row": lambda x, w: x[0].mul_(w[0]) + x.sum(),
    "item": lambda x, w: x.__setitem__(0, w[1]),
    "chained": lambda x, w: (x.add_(w), x.mul_(x.clone()))[1],
    "without gradients": lambda x, w: torch.no_grad()(x.mul_)(w),
}


@pytest.mark.parametrize("state", ["constant", "leaf", "intermediate", "view"])
@pytest.mark.parametrize("backend", BACKENDS, ids=["eager", "aot_eager", "forward"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_writes_to_an_argument_are_differentiated(write, backend, state):
    def make():
        x, w = torch.arange(1.0, 5.0).view(2, 2), torch.full((2, 2), 3.0, requires_grad=True)
        if state != "constant":
            x.requires_grad_()
        return {"intermediate": lambda: x * 2, "view": lambda: (x * 2).view(2, 2)}.get(state, lambda: x)(), w

    check(lambda x, w: (write(x, w), x * w), make=make, backend=backend, recaptures=None)


def test_a_write_to_a_buffer_is_compiled():
    """Only tensors that require gradients keep a graph from being compiled."""
    compiled = []

    def backend(module, inputs):
        compiled.append(module)
        return module.forward

    program = capture(lambda x, w, total: (total.add_(x), x * w)[1], backend=backend)
    program(torch.ones(2), torch.ones(2, requires_grad=True), torch.zeros(2))
    assert len(compiled) == 1
    program = capture(lambda x, w: x.mul_(w), backend=backend)
    program(torch.ones(2), torch.ones(2, requires_grad=True))
    assert len(compiled) == 1


@pytest.mark.parametrize("backend", BACKENDS, ids=["eager", "aot_eager", "forward"])
@pytest.mark.parametrize("value", [True, False, 1, None])
def test_requires_grad_is_refused_as_plainly(value, backend):
    """Of a tensor that is no leaf, even where it stays what it is, and by what is no bool."""

    def program(x, leaf):
        outcomes = []
        for tensor in (x, leaf * 1, leaf):
            try:
                tensor.requires_grad = value
                outcomes.append(tensor.requires_grad)
            except (RuntimeError, TypeError) as error:
                outcomes.append((type(error), str(error)))
        return outcomes

    captured = capture(program, backend=backend)
    for _ in range(2):
        makes = [[torch.ones(2, requires_grad=True) * 2, torch.ones(2)] for _ in range(2)]
        assert captured(*makes[0]) == program(*makes[1])
        assert makes[0][1].requires_grad == makes[1][1].requires_grad


def stepped(x, weight):
    weight.data -= 0.5 * x
    before = weight.data
    weight.data += 1
    weight.data = weight.data.mul_(2)
    return weight * x, before, weight.data


def stepped_view(x, weight):
    row = weight[1:]
    row.data *= 3
    row.data = weight.detach()[1:]
    return row * 2, weight * x


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
@pytest.mark.parametrize("program", [stepped, stepped_view])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_data_that_is_changed_in_place_and_set_to_itself(program, requires_grad, backend):
    check(
        program,
        torch.arange(3.0),
        torch.ones(3, requires_grad=requires_grad),
        graphs=1,
        breaks=[],
        backend=backend,
    )


@pytest.mark.parametrize(
    "other",
    [lambda weight: weight.data[:2], lambda weight: weight.data.clone(), lambda weight: weight.data.flip(0)]
    + [lambda weight: weight.data[None], lambda weight: weight.detach()[::2]],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_data_of_other_memory_or_form(other, backend):
    def program(weight):
        weight.data = other(weight)
        return weight * 2, weight.shape

    breaks = [] if backend == "eager" else ["tensor-storage"]
    check(program, torch.ones(4, requires_grad=True), breaks=breaks, backend=backend, recaptures=None)
