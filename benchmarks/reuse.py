"""The effect of donated inputs on peak memory and time; the cost of the backward graph over that of the forward one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from benchmarks.measure import Spread, interleaved, ratios, spread
from benchmarks.suite import Effort, Row
from passes.autodiff import linearize, transpose
from passes.network.flops import compare
from tracer import capture


@dataclass(frozen=True)
class Ratio:
    """A ratio of two measurements of one quantity. `limit` is the most it may be; None where there is no limit."""

    name: str
    value: Spread
    limit: float | None


class Activations(nn.Module):
    """A chain of elementwise operators, as in a hand-written activation, which can run in one buffer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = 0.7978845608 * (x * 2 + 0.044715)
        return (torch.tanh(inner) + 1.0) * 0.5 - 0.25


def block() -> nn.Module:
    return nn.Sequential(nn.Linear(256, 1024), nn.SiLU(), nn.Linear(1024, 256), nn.Hardtanh(), nn.Sigmoid())


SUBJECTS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "elementwise chain, 64 KiB": (Activations, (128, 128)),
    "elementwise chain, 16 MiB": (Activations, (2048, 2048)),
    "feed-forward block, 512 rows": (block, (512, 256)),
}


def measure(rounds: int, seconds: float) -> Iterator[Ratio]:
    """Peak memory and time of a call with a donated input over one without; backward graph over forward graph."""
    for name, (build, shape) in SUBJECTS.items():
        model, x = build().eval(), torch.randn(shape)
        parameter = "x" if isinstance(model, Activations) else "input"
        plain, donating = capture(model), capture(model, donate=(parameter,))
        with torch.no_grad():
            plain(x.clone()), donating(x.clone())
            reuse = donating.entries[0].memory.reuse
            yield Ratio(f"peak memory, donated / plain: {name}", spread([reuse.peak_after / reuse.peak_before]), 1.0)
            calls = {"plain": lambda plain=plain, x=x: plain(x), "donating": lambda run=donating, x=x: run(x)}
            samples = interleaved(calls, rounds, seconds)
        yield Ratio(f"time, donated / plain: {name}", ratios(samples["donating"], samples["plain"]), None)
    captured = capture(block())
    captured(torch.randn(512, 256))
    linearized = linearize(captured.entries[0].graph_module)
    costs = compare(linearized.forward, transpose(linearized.linear))
    yield Ratio("flops, backward / forward: feed-forward block", spread([costs.flops_ratio]), None)
    yield Ratio("bytes, backward / forward: feed-forward block", spread([costs.bytes_ratio]), None)


def reused(effort: Effort) -> Iterator[Row]:
    """The ratios of `measure` as rows."""
    for ratio in measure(min(15, effort.rounds), effort.seconds):
        yield Row("donated inputs and derivatives", ratio.name, "x", None, None, ratio.value, ratio.limit)


MEASUREMENTS: Final = {"reuse": reused}
