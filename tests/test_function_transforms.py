"""torch.func inside a captured function: vmap, grad, vjp, jvp, Jacobians, functional_call, in one graph."""

import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import func, nn

from tests.check import BACKENDS, check, one_graph
from tracer import capture, counters, reset

SETTINGS = SimpleNamespace(factor=2.0)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


SCALE = torch.full((4,), 1.5)
MODEL = nn.Linear(4, 2)


def pair(a, b):
    return a * b, (a.sum(), {"b": b})


PROGRAMS = {
    "vmap": lambda x: torch.vmap(lambda a: (a * 2).sum())(x) + 1,
    "vmap of two, dimensions": lambda x: torch.vmap(lambda a, b: a @ b, in_dims=(0, 1), out_dims=0)(x, x.t()),
    "vmap, unbatched argument": lambda x: torch.vmap(lambda a, b: a + b, in_dims=(0, None))(x, x[0]),
    "vmap, closure": lambda x: torch.vmap(lambda a: a * SCALE + x.sum())(x),
    "vmap, structures": lambda x: torch.vmap(pair, out_dims=(1, (0, {"b": 0})))(x, x),
    "vmap, chunks": lambda x: torch.vmap(lambda a: a.sin(), chunk_size=2)(x),
    "vmap of vmap": lambda x: torch.vmap(torch.vmap(lambda a: a * a + 1))(x),
    "vmap, keywords": lambda x: torch.vmap(lambda a, bias: a + bias)(x, bias=SCALE),
    "vmap, dictionary": lambda x: torch.vmap(lambda d: d["a"] * d["b"][0])({"a": x, "b": [x]}),
    "grad": lambda x: func.grad(lambda a: a.sin().sum())(x) * 2,
    "grad of two": lambda x: func.grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(x, x + 1),
    "grad, auxiliary": lambda x: func.grad(lambda a: ((a**2).sum(), a + 1), has_aux=True)(x),
    "grad and value": lambda x: func.grad_and_value(lambda a: (a**3).sum())(x),
    "grad of grad": lambda x: func.grad(lambda a: func.grad(lambda b: (b**3).sum())(a).sum())(x),
    "grad, closure": lambda x: func.grad(lambda s: (s * x).sum() * SCALE.sum())(x),
    "grad, dictionary": lambda x: func.grad(lambda d: (d["a"] * d["b"]).sum())({"a": x, "b": x * 2}),
    "grad without gradients outside": lambda x: func.grad(lambda a: (a * x).sum())(x.detach()),
    "vmap of grad": lambda x: torch.vmap(func.grad(lambda a: (a**2).sum()))(x),
    "vjp": lambda x: (lambda out, pull: (out, pull(out * 2)))(*func.vjp(lambda a: a.sin() * SCALE, x)),
    "jvp": lambda x: func.jvp(lambda a: a.sin() * SCALE, (x,), (torch.ones_like(x),)),
    "jacrev": lambda x: func.jacrev(lambda a: a.sin())(x[0]),
    "jacfwd": lambda x: func.jacfwd(lambda a: a.sin() * a.sum())(x[0]),
    "hessian": lambda x: func.hessian(lambda a: (a**3).sum())(x[0]),
    "functional_call": lambda x: func.functional_call(MODEL, {"weight": MODEL.weight * 2}, (x,)),
    "grad of functional_call": lambda x: func.grad(lambda p: func.functional_call(MODEL, p, (x,)).pow(2).sum())(
        {name: value.detach() for name, value in MODEL.named_parameters()}
    ),
    "per-sample gradients": lambda x: torch.vmap(
        func.grad(lambda p, a: F.mse_loss(func.functional_call(MODEL, p, (a,)), a[:2])), in_dims=(None, 0)
    )({name: value.detach() for name, value in MODEL.named_parameters()}, x),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_graph(name, backend):
    x = torch.arange(12.0).reshape(3, 4) / 4
    PROGRAMS[name](x)  # functorch loads decompositions, with warnings, when it is first used
    rounds = backend == "aot_eager" and name == "vmap, structures"  # its backward adds up in another order
    one_graph(PROGRAMS[name], x.requires_grad_(), backend=backend, gradients=not rounds)


def test_what_a_transformed_function_reads_is_guarded(backend):
    captured = capture(lambda x: torch.vmap(lambda a: a * SETTINGS.factor)(x), backend=backend, fullgraph=True)
    try:
        for factor in (2.0, 5.0):
            SETTINGS.factor = factor
            assert torch.equal(captured(torch.ones(2, 3)), torch.full((2, 3), factor))
    finally:
        SETTINGS.factor = 2.0


def test_what_a_transformed_function_changes_is_written_back(backend):
    def program(x, log):
        def inner(a):
            log.append("called")
            return a * len(log)

        return torch.vmap(inner)(x)

    one_graph(program, torch.ones(2, 3), [], backend=backend)


def test_sizes_that_vary(backend):
    captured = capture(lambda x: torch.vmap(lambda a: a * a.shape[0] + a.sum())(x), backend=backend, fullgraph=True)
    for size in (3, 4, 5, 6):
        x = torch.randn(2, size)
        assert torch.allclose(captured(x), x * size + x.sum(1, keepdim=True))


def test_tensor_left_outside_of_a_transformed_function():
    def program(x, log):
        func.grad(lambda a: (log.append(a), (a * 2).sum())[1])(x)
        return len(log)

    reset()
    assert capture(program)(torch.ones(3), []) == 1
    assert "higher-order" in counters().breaks


def test_writes_through_a_transform():
    def program(x):
        torch.vmap(lambda a: a.add_(1))(x)
        return x * 2

    check(program, torch.ones(2, 3), recaptures=None)


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_random_numbers_in_vmap(randomness):
    one_graph(lambda x: torch.vmap(lambda a: F.dropout(a, 0.5), randomness=randomness)(x), torch.ones(4, 5))


# Ensembles: modules with the same structure as one function of stacked parameters ---------------------


class Member(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(4, 3), 2.0
        self.register_buffer("shift", torch.randn(3))

    def forward(self, x):
        return (self.layer(x) + self.shift).relu() * self.scale


@pytest.mark.parametrize("shared", [True, False], ids=["one input for all", "an input for each"])
def test_ensemble(shared, backend):
    members = [Member() for _ in range(3)]
    parameters, buffers = func.stack_module_state(members)
    skeleton = copy.deepcopy(members[0]).to("meta")

    def member(parameters, buffers, x):
        return func.functional_call(skeleton, (parameters, buffers), (x,))

    def program(parameters, buffers, x):
        return torch.vmap(member, in_dims=(0, 0, None if shared else 0))(parameters, buffers, x)

    reset()
    captured = capture(program, backend=backend, fullgraph=True)
    try:
        for factor in (2.0, 5.0):
            skeleton.scale = factor
            for one in members:
                one.scale = factor
            x = torch.randn(5, 4) if shared else torch.randn(3, 5, 4)
            out = captured(parameters, buffers, x)
            wanted = torch.stack([one(x if shared else x[index]) for index, one in enumerate(members)])
            assert torch.allclose(out, wanted, atol=1e-6)
            given = torch.autograd.grad(out.pow(2).sum(), list(parameters.values()))
            right = torch.autograd.grad(wanted.pow(2).sum(), [p for one in members for p in one.parameters()])
            assert torch.allclose(given[0], torch.stack(right[0::2]), atol=1e-4)
            assert torch.allclose(given[1], torch.stack(right[1::2]), atol=1e-4)
    finally:
        skeleton.scale = 2.0
    assert counters().graphs == 2 and not counters().breaks


def test_ensemble_that_is_closed_over(backend):
    members = [Member() for _ in range(3)]
    parameters, buffers = func.stack_module_state(members)
    skeleton = copy.deepcopy(members[0]).to("meta")

    def program(x):
        def member(parameters, buffers):
            return func.functional_call(skeleton, (parameters, buffers), (x,))

        return torch.vmap(member)(parameters, buffers).mean(0)

    captured = capture(program, backend=backend, fullgraph=True)
    x = torch.randn(5, 4)
    for _ in range(2):
        assert torch.allclose(captured(x), program(x))
        with torch.no_grad():
            buffers["shift"].add_(1)
        parameters["layer.bias"] = parameters["layer.bias"].detach() * 2


def test_stacking_in_the_captured_function_is_right():
    members = [Member() for _ in range(2)]
    skeleton = copy.deepcopy(members[0]).to("meta")

    def program(x):
        state = func.stack_module_state(members)
        return torch.vmap(lambda p, b: func.functional_call(skeleton, (p, b), (x,)))(*state)

    captured, x = capture(program), torch.randn(5, 4)
    for _ in range(2):
        assert torch.allclose(captured(x), program(x))
        with torch.no_grad():
            members[0].layer.weight.mul_(2)
