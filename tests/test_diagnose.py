"""`diagnose`: each fault on a model that was made to have it, and nothing on models that have none."""

import sys

import pytest
import torch
from torch import nn

from passes.diagnose.findings import Bounds
from tracer import counters
from tracer.diagnosis import diagnose


def deep(activation, layers, gain, width=32):
    """A deep net whose weights have a standard deviation of `gain` over the root of the width, and no bias."""
    parts = []
    for _ in range(layers):
        parts += [nn.Linear(width, width), activation()]
    model = nn.Sequential(*parts, nn.Linear(width, 4))
    for part in model:
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, 0, gain / width**0.5)
            nn.init.zeros_(part.bias)
    return model


def batches(count=3, rows=64, width=32):
    return [torch.randn(rows, width) for _ in range(count)]


class Recurrent(nn.Module):
    """h = w x + h u, with u a rotation times `gain`: gradients grow by `gain` from step to step."""

    def __init__(self, gain):
        super().__init__()
        self.u = nn.Parameter(nn.init.orthogonal_(torch.empty(16, 16)) * gain)
        self.w = nn.Linear(8, 16)

    def forward(self, x):
        h = torch.zeros(x.shape[1], 16)
        for t in range(x.shape[0]):
            h = self.w(x[t]) + h @ self.u
        return h.square().mean()


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.body, self.head = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False), nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.body(x)[:, 0])


HEALTHY = {
    "tanh": lambda: (deep(nn.Tanh, 4, 1.3), batches()),
    "relu": lambda: (deep(nn.ReLU, 6, 2**0.5), batches()),
    "sigmoid": lambda: (deep(nn.Sigmoid, 1, 1.0), batches()),
    "rotation": lambda: (Recurrent(1.0), [torch.randn(20, 4, 8)]),
    "convolution": lambda: (Convolutional(), [torch.randn(8, 3, 12, 12), torch.randn(8, 3, 12, 12)]),
    "attention": lambda: (Attentive(), [torch.randn(4, 6, 16), torch.randn(4, 6, 16)]),
}


@pytest.mark.parametrize("make", HEALTHY.values(), ids=HEALTHY)
def test_nothing_is_found_on_a_healthy_model(make):
    model, given = make()
    diagnosis = diagnose(model, *given)
    assert diagnosis.healthy, list(map(str, diagnosis.findings))
    assert "nothing found" in diagnosis.table()


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.Tanh])
def test_saturated(activation):
    diagnosis = diagnose(deep(activation, 3, 40.0), *batches())
    found = diagnosis.of("saturated")
    assert len(found) == 3 and all(finding.figure > 0.8 for finding in found)
    assert "of the values have next to no derivative" in str(found[0])


def test_dead_units():
    model = deep(nn.ReLU, 2, 2**0.5)
    with torch.no_grad():
        model[0].bias[:16] = -100
    found = diagnose(model, *batches()).of("dead")
    assert len(found) == 1 and 0.5 <= found[0].figure < 0.7 and found[0].name == "relu"


def test_a_unit_is_dead_over_all_batches_only():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 2))
    nn.init.eye_(model[0].weight)
    signs = torch.tensor([1.0, 1.0, -1.0, -1.0])
    assert diagnose(model, signs.expand(3, 4)).of("dead")[0].figure == 0.5
    assert not diagnose(model, signs.expand(3, 4), -signs.expand(3, 4)).of("dead")
    assert not diagnose(model, signs.expand(3, 4), -signs.expand(5, 4)).of("dead")


def test_dead_channels_of_a_convolution():
    model = Convolutional()
    with torch.no_grad():
        model.norm.bias[:4] = -100
    (found,) = diagnose(model, torch.randn(8, 3, 12, 12)).of("dead")
    assert found.figure == 0.5 and "test_diagnose.py" in found.line and "torch.relu" in found.line


def test_cut_off():
    model = nn.Sequential(nn.Linear(8, 8), nn.Hardtanh(-0.01, 0.01), nn.Linear(8, 2))
    (found,) = diagnose(model, torch.randn(32, 8)).of("cut off")
    assert found.figure > 0.8


def test_gradients_that_vanish_or_explode_layer_by_layer():
    (found,) = diagnose(deep(nn.Sigmoid, 10, 1.0), *batches()).of("vanishing")
    assert found.figure < 1e-4 and "10 layers on" in found.words and "self[0].weight" in found.name
    (found,) = diagnose(deep(nn.Identity, 10, 8.0), *batches()).of("exploding")
    assert found.figure > 1e4 and "10 layers on" in found.words


@pytest.mark.parametrize("gain, kind", [(2.0, "exploding"), (0.5, "vanishing")])
def test_through_the_steps_of_a_recurrence(gain, kind):
    diagnosis = diagnose(Recurrent(gain), torch.randn(20, 4, 8))
    found = diagnosis.of(kind)
    assert {finding.kind for finding in diagnosis.findings} == {kind}
    assert any("self.u" in finding.name and "steps on" in finding.words for finding in found)
    assert all("h = self.w(x[t]) + h @ self.u" in finding.line for finding in found)
    assert found[0].figure == pytest.approx(gain**19, rel=1.0)


def test_a_parameter_without_gradient():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.b(self.a(x).detach() + x)

    found = diagnose(Detached(), torch.randn(8, 4)).of("zero gradient")
    assert {finding.name for finding in found} == {"self.a.weight", "self.a.bias"}


def test_gradients_that_are_not_finite():
    model = nn.Linear(4, 1)
    diagnosis = diagnose(lambda x: torch.sqrt((model(x) * 0).sum()), torch.randn(8, 4))
    assert diagnosis.of("not finite")


@pytest.mark.parametrize("limit, clipped", [(1e-3, True), (1e6, False)])
def test_a_step_that_clips(limit, clipped):
    model = nn.Linear(4, 2)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        optimiser.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
        optimiser.step()
        return loss

    before = model.weight.clone()
    found = diagnose(step, torch.randn(8, 4), torch.randn(8, 4)).of("clipped")
    assert len(found) == (2 if clipped else 0)
    assert all(finding.figure < 0.1 for finding in found)
    assert not torch.equal(before, model.weight)  # the step's own effects happen


def test_grad_is_left_alone():
    model = nn.Linear(4, 2)
    diagnose(model, torch.randn(8, 4))
    assert model.weight.grad is None and not model.weight._backward_hooks
    model(torch.randn(2, 4)).sum().backward()
    before = model.weight.grad.clone()
    diagnose(model, torch.randn(8, 4))
    assert torch.equal(model.weight.grad, before)
    assert counters().tracer_bugs == 0


def test_losses_and_batches_of_every_kind():
    model = nn.Linear(4, 2)

    def step(x, y):
        return {"loss": (model(x) - y).square().mean()}

    x, y = torch.randn(8, 4), torch.randn(8, 2)
    norms = [diagnose(step, batch).records[-1].norm for batch in ((x, y), {"x": x, "y": y})]
    assert norms[0] == norms[1] is not None


def test_bounds():
    model = deep(nn.Tanh, 2, 1.3)
    assert diagnose(model, *batches(), bounds=Bounds(saturated=0.001)).of("saturated")
    with pytest.raises(ValueError, match="dead must be above 0 and at most 1, not 2"):
        Bounds(dead=2)


def test_table_and_plot(tmp_path):
    diagnosis = diagnose(deep(nn.Sigmoid, 10, 1.0), *batches())
    text = diagnosis.table()
    assert "gradient norm" in text and "vanishing" in text and "self[0].weight" in text and "hint:" in text
    pytest.importorskip("matplotlib")
    diagnosis.plot(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib(tmp_path, monkeypatch):
    diagnosis = diagnose(nn.Linear(4, 2), torch.randn(3, 4))
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ImportError, match="plots need matplotlib"):
        diagnosis.plot(tmp_path / "plot.png")


def test_bad_input():
    with pytest.raises(ValueError, match="at least one batch"):
        diagnose(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="no gradient came"):
        diagnose(lambda x: x + 1, torch.ones(2))
