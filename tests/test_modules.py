"""torch.nn.Module as program and inside programs: containers, hooks, modes, buffers, the wrapper's manners."""

import copy
import functools
import inspect
import pickle
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from tests.check import check, one_graph
from tests.models_torch import Mlp, Routed
from tracer import capture, counters, explain, reset


class Counted(nn.Module):
    """Counts its calls in an attribute and in a buffer."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.calls = 0
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.seen += 1
        self.last = self.fc(x)
        return self.last * self.calls


class Shared(nn.Module):
    """One child under two names."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.second = self.first
        self.bias = self.first.bias

    def forward(self, x):
        return self.second(self.first(x)) + self.bias, self.first is self.second


class Stack(nn.Module):
    """Every container, indexed and iterated in several ways."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.named = nn.ModuleDict({"relu": nn.ReLU(), "gelu": nn.GELU()})
        self.body = nn.Sequential(OrderedDict(fc=nn.Linear(2, 2), act=nn.Tanh()))
        self.scales = nn.ParameterList([nn.Parameter(torch.full((2,), 2.0)), nn.Parameter(torch.ones(2))])
        self.optional = None

    def forward(self, x):
        for index, layer in enumerate(self.layers):
            x = layer(x) * self.scales[index % len(self.scales)]
        for layer in self.layers[1:]:
            x = layer(x)
        for name, activation in self.named.items():
            x = activation(x) if name != "skipped" else x
        if self.optional is not None:
            x = self.optional(x)
        return self.body(x) + self.body.fc(x) + self.body[0](x) + len(self.layers) + ("relu" in self.named)


def test_module_as_program():
    one_graph(Mlp(), torch.randn(3, 16))
    one_graph(Stack(), torch.randn(3, 2))
    one_graph(Shared(), torch.randn(3, 2))
    one_graph(Routed(), torch.randn(3, 8), keywords={"branch": "large"})


def test_module_as_argument_and_global():
    def program(model, x):
        return model(x) + model.fc1.weight.sum(), model.training, model.activation

    one_graph(program, Mlp().eval(), torch.randn(3, 16))


def test_state_of_the_module_is_changed():
    check(Counted(), torch.randn(3, 2), calls=3, recaptures=None, gradients=False)


def test_training_mode_is_guarded():
    model = Mlp()
    captured = capture(model, strict=True)
    x = torch.randn(3, 16)
    torch.manual_seed(0)
    train = captured(x)
    model.eval()
    assert torch.equal(captured(x), model(x)) and not torch.equal(captured(x), train)


def test_batch_norm_in_training():
    one_graph(nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(inplace=True)).train(), torch.randn(4, 3))


def test_parameter_replaced():
    model = Mlp()
    captured = capture(model.eval(), strict=True)
    x = torch.randn(3, 16)
    captured(x)
    model.fc1.weight = nn.Parameter(torch.zeros_like(model.fc1.weight))
    assert torch.equal(captured(x), model(x))
    model.fc2.bias = None
    assert torch.equal(captured(x), model(x))


def test_parameters_updated_in_place_need_no_new_capture():
    model = Mlp().eval()
    captured = capture(model, strict=True)
    x = torch.randn(3, 16)
    captured(x)
    with torch.no_grad():
        model.fc1.weight.zero_()
    assert torch.equal(captured(x), model(x))
    assert counters().captures == 1


def test_submodule_replaced():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    captured = capture(model, strict=True)
    x = torch.randn(3, 2)
    captured(x)
    model[1] = nn.Tanh()
    assert torch.equal(captured(x), model(x))
    model.append(nn.Linear(2, 4))
    assert torch.equal(captured(x), model(x))


def test_one_capture_serves_other_instances():
    model = Mlp().eval()
    captured = capture(lambda model, x: model(x), strict=True)
    x = torch.randn(3, 16)
    for instance in (model, copy.deepcopy(model), Mlp().eval(), model):
        assert torch.equal(captured(instance, x), instance(x))
    assert counters().captures == 1


def test_forward_hooks():
    model = Mlp()
    log = []
    model.fc1.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    model.fc1.register_forward_hook(lambda module, args, out: out * 2)
    model.register_forward_hook(lambda module, args, kwargs, out: log.append(len(log)), with_kwargs=True)
    one_graph(model.eval(), torch.randn(3, 16), recaptures=1)  # the length of the log has changed


def test_hook_added_and_removed_between_calls():
    model = Mlp().eval()
    captured = capture(model, strict=True)
    x = torch.randn(3, 16)
    plain = captured(x)
    handle = model.fc2.register_forward_hook(lambda module, args, out: out + 100)
    assert torch.equal(captured(x), model(x)) and not torch.equal(captured(x), plain)
    handle.remove()
    assert torch.equal(captured(x), plain)


def test_global_module_hook():
    model = Mlp().eval()
    captured = capture(model, strict=True)
    x = torch.randn(3, 16)
    captured(x)
    seen = []
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, args, out: seen.append(type(module).__name__)
    )
    try:
        captured(x)
    finally:
        handle.remove()
    assert seen == ["Linear", "Dropout", "Linear", "Mlp"]


def test_backward_hook():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    log = []
    model[0].register_full_backward_hook(lambda module, inputs, outputs: log.append(outputs[0].sum().item()))
    check(model, torch.randn(3, 2, requires_grad=True))


def test_walk_over_parameters_and_modules():
    def program(model, x):
        for name, parameter in model.named_parameters():
            if name.endswith("weight"):
                x = x + parameter.sum()
        kinds = [type(module).__name__ for module in model.modules()]
        return x, kinds, len(list(model.children())), list(model.state_dict())

    check(program, Mlp(), torch.randn(16), breaks=[])


def test_module_built_inside():
    def program(x):
        torch.manual_seed(3)
        return nn.Linear(2, 3)(x)

    check(program, torch.randn(2), recaptures=None)


def test_functional_call():
    model = Mlp().eval()

    def program(parameters, x):
        return torch.func.functional_call(model, parameters, (x,))

    check(program, {"fc1.bias": torch.zeros(32)}, torch.randn(3, 16), recaptures=None)


def test_parametrized_module():
    model = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    check(model, torch.randn(2, 3))


def test_lazy_module():
    check(nn.Sequential(nn.LazyLinear(3), nn.ReLU()), torch.randn(2, 5), recaptures=None)


def test_checkpointed_module():
    block = Mlp().eval()

    def program(x):
        return torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)

    check(program, torch.randn(2, 16, requires_grad=True), recaptures=None)


def test_module_is_callable_with_keywords_only():
    one_graph(Mlp().eval(), keywords={"x": torch.randn(3, 16)})


def test_getattr_of_the_user_is_the_fallback():
    class Dynamic(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def __getattr__(self, name):
            if name == "factor":
                return 3
            return super().__getattr__(name)

        def forward(self, x):
            return self.fc(x) * self.factor

    one_graph(Dynamic(), torch.randn(2))


def test_captured_module_behaves_like_the_module():
    model = Counted()
    captured = capture(model)
    captured(torch.randn(3, 2))
    assert captured.calls == 1 and model.calls == 1
    assert list(captured.state_dict()) == list(model.state_dict())
    assert [id(parameter) for parameter in captured.parameters()] == [id(parameter) for parameter in model.parameters()]
    captured.eval()
    assert not model.training
    captured.fc.bias = None
    assert model.fc.bias is None
    captured.calls = 7
    assert model.calls == 7
    captured.load_state_dict(model.state_dict())
    assert captured.double().fc.weight.dtype is torch.float64
    assert pickle.loads(pickle.dumps(model)).calls == 7
    assert isinstance(captured, nn.Module)


@pytest.mark.parametrize("twice", [copy.copy, copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_of_captured_modules_are_captured(twice):
    model = Mlp().eval()
    captured = capture(model, fullgraph=True)
    copied = twice(captured)
    x = torch.randn(3, 16)
    assert torch.equal(copied(x), model(x))
    assert copied.__wrapped__ is not model and len(copied.entries) == 1
    assert (copied.fc1 is model.fc1) == (twice is copy.copy)
    assert not captured.entries


def test_a_module_that_is_captured_with_a_nameless_backend_is_pickled_plain_with_a_warning():
    captured = capture(Mlp(), backend=lambda module, inputs: module.forward)
    with pytest.warns(UserWarning, match="a captured Mlp is pickled as the plain one, as backend=.* has no name"):
        plain = pickle.loads(pickle.dumps(captured))
    assert type(plain) is Mlp


def test_forward_of_a_captured_module_is_captured():
    model = Mlp().eval()
    captured = capture(model)
    x = torch.randn(3, 16)
    assert torch.equal(captured.forward(x), model(x))
    assert len(captured.entries) == 1 and captured.entries[0].ops


def test_captured_module_inside_another():
    inner = capture(Mlp().eval(), strict=True)
    outer = nn.Sequential(inner, nn.ReLU())
    x = torch.randn(3, 16)
    assert torch.equal(outer(x), F.relu(inner(x)))


def test_captured_forward_in_a_class():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        @capture(strict=True)
        def forward(self, x):
            return self.fc(x).relu()

    first, second = Model(), Model()
    x = torch.randn(3, 2)
    for model in (first, second, first):
        assert torch.equal(model(x), model.fc(x).relu())


@pytest.mark.parametrize("name", ["fc1", "fc2"])
def test_guard_names_the_parameter_as_a_person_would(name):
    text = str(explain(Mlp().eval(), torch.randn(3, 16)))
    assert f"self.{name}.weight" in text
    assert "_parameters" not in text and "_modules" not in text


def test_a_module_is_made_after_torch_compile_was_used():
    """torch.compile replaces Module.__init__ for good."""
    layers = torch.nn.ModuleList([torch.nn.Linear(2, 2) for _ in range(3)])
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2))

    def program(x):
        for layer in layers[1:]:
            x = layer(x)
        return x, len(torch.nn.ModuleList())

    one_graph(program, torch.ones(2))


def test_a_captured_module_has_the_place_of_its_forward():
    captured = capture(Counted())
    captured(torch.ones(2, 2))
    first = Counted.forward.__code__.co_firstlineno
    assert captured.entries[0].place == f"Counted, test_modules.py:{first}"
    assert {guard.line.line for guard in captured.entries[0].guards if guard.line} <= {first, *range(first, first + 6)}


def without_gradients(forward):
    @functools.wraps(forward)
    def wrapper(*args):
        with torch.no_grad():
            return forward(*args)

    return wrapper


class Decorated(nn.Module):
    """Its `forward` is written here, and behind a function of a decorator."""

    @without_gradients
    def forward(self, x):
        return x + 1


def test_a_forward_behind_a_decorator_has_the_place_where_it_is_written():
    captured = capture(Decorated())
    captured(torch.ones(2))
    written = inspect.unwrap(Decorated.forward).__code__.co_firstlineno
    assert captured.entries[0].place == f"Decorated, test_modules.py:{written}"


class Tapped(nn.Module):
    """Takes the results of its layers by hooks that are there for one call only."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        results = []
        handles = [
            layer.register_forward_hook(lambda module, args, result: results.append(result))
            for layer in (self.first, self.second)
        ]
        handles.append(self.first.register_forward_pre_hook(lambda module, args: (args[0] * 2,)))
        try:
            y = self.second(self.first(x))
        finally:
            for handle in handles:
                handle.remove()
        return y + results[0] * results[1]


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
def test_hooks_that_are_registered_and_removed_in_forward(backend):
    reset()
    tapped, x = Tapped(), torch.ones(2, 3)
    captured = capture(tapped, backend=backend, fullgraph=True)
    for _ in range(3):
        number = RemovableHandle.next_id
        plain = tapped(x)
        count = RemovableHandle.next_id - number
        torch.testing.assert_close(captured(x), plain, rtol=0, atol=0)
        assert RemovableHandle.next_id == number + 2 * count
        assert not tapped.first._forward_hooks and not tapped.first._forward_pre_hooks


def test_a_hook_from_outside_is_removed():
    layer, x = nn.Linear(3, 3), torch.ones(2, 3)

    def program(handle):
        before = layer(x)
        handle.remove()
        return before, layer(x)

    captured = capture(program)
    for run in (program, captured, captured):
        handle = layer.register_forward_hook(lambda module, args, result: result + 1)
        with_hook, without = run(handle)
        assert torch.equal(with_hook, without + 1) and not layer._forward_hooks
