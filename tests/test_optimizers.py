"""Steps of torch.optim, gradients that are cleared and clipped, and learning rates, in one graph each.

Plain and captured programs train the same model; parameters and the optimizer's state must be equal to the last bit.
"""

import pytest
import torch
from torch import nn

from tests.check import BACKENDS
from tests.same import differences
from tracer import capture, counters, reset

OPTIM = torch.optim

WHOLE = {
    "SGD": lambda p, **k: OPTIM.SGD(p, lr=0.1, **k),
    "SGD with momentum": lambda p, **k: OPTIM.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, **k),
    "Adam": lambda p, **k: OPTIM.Adam(p, **k),
    "Adam with all": lambda p, **k: OPTIM.Adam(p, amsgrad=True, weight_decay=0.1, maximize=True, **k),
    "AdamW": lambda p, **k: OPTIM.AdamW(p, **k),
    "Adadelta": lambda p, **k: OPTIM.Adadelta(p, **k),
    "Adagrad": lambda p, **k: OPTIM.Adagrad(p, **k),
    "Adamax": lambda p, **k: OPTIM.Adamax(p, **k),
    "NAdam": lambda p, **k: OPTIM.NAdam(p, **k),
    "RMSprop": lambda p, **k: OPTIM.RMSprop(p, momentum=0.9, centered=True, **k),
    "Rprop": lambda p, **k: OPTIM.Rprop(p, **k),
}
"""Those whose step is one graph."""

BRANCHING = {
    "ASGD": lambda p, **k: OPTIM.ASGD(p, **k),
    "RAdam": lambda p, **k: OPTIM.RAdam(p, **k),
    "Adafactor": lambda p, **k: OPTIM.Adafactor(p, **k),
}
"""Those that branch on a count of steps, or on data, in a tensor: a break."""


def parameters():
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3, 3)), nn.Parameter(torch.randn(2, 2))]


def steps(make, wrap, before=lambda optimizer, call: None, calls=4):
    """Parameters and state after some steps, of which `before` may change something; one parameter has no gradient."""
    values = parameters()
    optimizer = make(values)
    step = wrap(optimizer.step)
    for call in range(calls):
        for value in values[:2]:
            value.grad = torch.randn_like(value)
        before(optimizer, call)
        assert step() is None
    return [value.detach() for value in values], [dict(optimizer.state[value]) for value in values]


def compare(run, graphs=None, **options):
    """Run plainly and captured, and compare; `graphs` were captured, None for any number, without internal errors."""
    reset()
    expected = run(lambda function: function)
    observed = run(lambda function: capture(function, strict=True, **options))
    assert not differences(expected, observed, "run")
    assert counters().tracer_bugs == 0
    if graphs is not None:
        assert (counters().graphs, dict(counters().breaks)) == (graphs, {})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("lists", [False, True], ids=["loop", "foreach"])
@pytest.mark.parametrize("name", WHOLE)
def test_a_step_is_one_graph(name, lists, backend):
    compare(
        lambda wrap: steps(lambda values: WHOLE[name](values, foreach=lists), wrap),
        graphs=1 if name in ("SGD", "Adagrad") else 2,  # others make their state in the first step
        fullgraph=True,
        backend=BACKENDS[backend],
    )


def test_a_step_of_muon_is_one_graph():
    compare(lambda wrap: steps(lambda values: OPTIM.Muon(values), wrap), graphs=2, fullgraph=True)


@pytest.mark.parametrize("name", BRANCHING)
def test_a_step_that_branches_on_data_is_right(name):
    compare(lambda wrap: steps(BRANCHING[name], wrap, calls=8))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_changes_between_steps_is_guarded(backend):
    def change(optimizer, call):
        group = optimizer.param_groups[0]
        values = group["params"]
        if call == 2:
            group["lr"] = 0.05
        if call == 3:
            values[0].grad = None
        if call == 4:
            del optimizer.state[values[1]]["momentum_buffer"]
        if call == 5:
            group["momentum"] = 0.0
        if call == 6:
            values[2].grad = torch.ones_like(values[2])

    make = WHOLE["SGD with momentum"]
    compare(lambda wrap: steps(make, wrap, change, calls=8), fullgraph=True, backend=BACKENDS[backend])


def test_counts_of_steps_do_not_capture_again():
    compare(lambda wrap: steps(WHOLE["Adam"], wrap, calls=12), graphs=2, fullgraph=True)


def test_a_step_raises_where_a_count_of_steps_does():
    def run(wrap):
        def change(optimizer, call):
            for state in optimizer.state.values():
                state["step"].fill_(-1)

        try:
            return steps(WHOLE["Adam"], wrap, change)
        except ZeroDivisionError as error:
            return str(error), torch.is_grad_enabled()

    compare(run, fullgraph=True)


def test_several_groups_dtypes_and_hooks():
    def run(wrap):
        values = [*parameters(), nn.Parameter(torch.ones(2, dtype=torch.float64))]
        groups = [{"params": values[:1], "lr": 0.1}, {"params": values[1:], "weight_decay": 0.0}]
        optimizer = OPTIM.AdamW(groups, lr=0.01, foreach=True)
        calls = []
        optimizer.register_step_pre_hook(lambda *arguments: calls.append("before"))
        optimizer.register_step_post_hook(lambda *arguments: calls.append("after"))
        step = wrap(optimizer.step)
        for _ in range(3):
            for value in values:
                value.grad = torch.ones_like(value)
            step()
        return [value.detach() for value in values], calls

    compare(run, graphs=2, fullgraph=True)


def test_a_closure_computes_the_loss():
    def run(wrap):
        values = parameters()
        optimizer = OPTIM.SGD(values, lr=0.1)
        step, losses = wrap(optimizer.step), []
        for _ in range(3):
            for value in values:
                value.grad = torch.ones_like(value)
            losses.append(step(lambda: (values[0] ** 2).sum()).detach())
        return [value.detach() for value in values], losses

    compare(run, graphs=1, fullgraph=True)


def test_a_rate_in_a_tensor():
    make = lambda values: OPTIM.Adam(values, lr=torch.tensor(0.1))  # noqa: E731
    compare(lambda wrap: steps(make, wrap), graphs=2, fullgraph=True)


def train(around, make=WHOLE["AdamW"], calls=4):
    """A program that trains: `around(model, optimizer)` gives the function that is captured, called after backward."""

    def run(wrap):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        optimizer = make(model.parameters())
        function, results = wrap(around(model, optimizer)), []
        for call in range(calls):
            model(torch.randn(5, 3, generator=torch.Generator().manual_seed(call))).square().sum().backward()
            results.append(function())
            results.append([None if value.grad is None else value.grad.clone() for value in model.parameters()])
            optimizer.zero_grad()
        return results, [value.detach() for value in model.parameters()]

    return run


AROUND = {
    "zero_grad": lambda model, optimizer: lambda: optimizer.zero_grad(),
    "zero_grad to zeros": lambda model, optimizer: lambda: optimizer.zero_grad(set_to_none=False),
    "zero_grad of a module": lambda model, optimizer: lambda: model.zero_grad(),
    "clip": lambda model, optimizer: lambda: nn.utils.clip_grad_norm_(model.parameters(), 0.5),
    "clip in lists": lambda model, optimizer: lambda: nn.utils.clip_grad_norm_(model.parameters(), 0.5, foreach=True),
    "clip values": lambda model, optimizer: lambda: nn.utils.clip_grad_value_(model.parameters(), 0.1),
    "all": lambda model, optimizer: (
        lambda: (
            nn.utils.clip_grad_norm_(model.parameters(), 0.5),
            optimizer.step(),
            optimizer.zero_grad(),
        )
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", AROUND)
def test_gradients_are_cleared_and_clipped_in_a_graph(name, backend):
    graphs = 0 if name in ("zero_grad", "zero_grad of a module") else 2 if name == "all" else 1
    compare(train(AROUND[name]), graphs=graphs, fullgraph=True, backend=BACKENDS[backend])


RATES = OPTIM.lr_scheduler
SCHEDULERS = {
    "StepLR": lambda optimizer: RATES.StepLR(optimizer, 2),
    "CosineAnnealingLR": lambda optimizer: RATES.CosineAnnealingLR(optimizer, 5),
    "ExponentialLR": lambda optimizer: RATES.ExponentialLR(optimizer, 0.9),
    "OneCycleLR": lambda optimizer: RATES.OneCycleLR(optimizer, 0.1, total_steps=20),
    "LambdaLR": lambda optimizer: RATES.LambdaLR(optimizer, lambda epoch: 0.95**epoch),
    "SequentialLR": lambda optimizer: RATES.SequentialLR(
        optimizer, [RATES.ConstantLR(optimizer), RATES.ExponentialLR(optimizer, 0.9)], [3]
    ),
    "CosineAnnealingWarmRestarts": lambda optimizer: RATES.CosineAnnealingWarmRestarts(optimizer, 2),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_learning_rates_change_in_the_graph_of_a_step(name):
    def around(model, optimizer):
        scheduler = SCHEDULERS[name](optimizer)

        def function():
            optimizer.step()
            scheduler.step()
            return scheduler.get_last_lr()

        return function

    compare(train(around), fullgraph=True)


def test_averages_of_parameters():
    def around(model, optimizer):
        average = [value.detach().clone() for value in model.parameters()]

        @torch.no_grad()
        def function():
            optimizer.step()
            for mean, value in zip(average, model.parameters(), strict=True):
                mean.lerp_(value, 0.1)
            return [mean.clone() for mean in average]

        return function

    compare(train(around), graphs=2, fullgraph=True)


@pytest.mark.parametrize("method", [OPTIM.swa_utils.get_ema_multi_avg_fn(0.9), None], ids=["ema", "swa"])
def test_averaged_models_are_right(method):
    def around(model, optimizer):
        average = OPTIM.swa_utils.AveragedModel(model, multi_avg_fn=method)

        def function():
            optimizer.step()
            average.update_parameters(model)
            return [value.detach().clone() for value in average.parameters()]

        return function

    compare(train(around))


def test_a_scaler_is_right():
    def around(model, optimizer):
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)

        def function():
            scaler.scale(torch.ones(()))
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            return scaler.get_scale()

        return function

    compare(train(around))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closure_whose_loss_cannot_be_differentiated_any_more(backend):
    def run(wrap):
        values = parameters()
        optimizer = OPTIM.SGD(values, lr=0.1)
        for value in values:
            value.grad = torch.ones_like(value)
        loss = wrap(optimizer.step)(lambda: (values[0] @ values[1]).sum())
        try:
            loss.backward()
        except RuntimeError:
            return loss.detach(), [value.detach() for value in values]
        return "differentiated"

    compare(run, graphs=1, fullgraph=True, backend=BACKENDS[backend])
