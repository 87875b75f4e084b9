"""Bounds on what was measured, and what is beyond them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from passes.diagnose.measure import CUT, DEAD, SATURATED, Record

VANISHING, EXPLODING, ZERO, CLIPPED, NOT_FINITE = "vanishing", "exploding", "zero gradient", "clipped", "not finite"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a fault begins.

    `derivative` is a share of the largest derivative; `saturated`, `dead` and `cut` are shares of the units;
    `orders` is by how many powers of ten gradients may grow or shrink through all layers or steps; `steps`
    is how many of these it takes to speak of a trend; `clipped` is what must be left of a gradient.
    """

    derivative: float = 0.05
    saturated: float = 0.3
    dead: float = 0.25
    cut: float = 0.5
    orders: float = 3.0
    steps: int = 3
    clipped: float = 0.99

    def __post_init__(self) -> None:
        """Raises ValueError naming a bound that makes no sense."""
        for name in ("derivative", "saturated", "dead", "cut", "clipped"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, not {getattr(self, name)}")
        if self.orders <= 0 or self.steps < 2:
            raise ValueError(f"orders must be positive and steps 2 or more, not {self.orders} and {self.steps}")


@dataclass(frozen=True, slots=True)
class TrainingFinding:
    """One fault: its kind, the operator or parameter, the user's line, the figure, and what to do about it."""

    kind: str
    name: str
    line: str
    figure: float
    words: str
    hint: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}, {self.words}{f' ({self.line})' if self.line else ''}"


UNIT_FAULTS: Final = {
    SATURATED: ("{:.0%} of the values have next to no derivative", "scale the weights or the inputs down, normalise"),
    DEAD: ("{:.0%} of the units were never above zero", "lower the learning rate or the bias, use a leaky unit"),
    CUT: ("{:.0%} of the values are cut off, and their gradients with them", "widen the limits"),
}
TRENDS: Final = {
    VANISHING: "residual connections, normalisation, another initialisation or activation; gates in a recurrence",
    EXPLODING: "a smaller initialisation, normalisation, or clipping",
}


def find(records: Iterable[Record], bounds: Bounds) -> list[TrainingFinding]:
    """Every fault among the records, those of units first, then gradients."""
    operators = list(records)
    return [*_units(operators, bounds), *_gradients(operators, bounds), *_trends(operators, bounds)]


def _units(records: Sequence[Record], bounds: Bounds) -> Iterator[TrainingFinding]:
    limits = {SATURATED: bounds.saturated, DEAD: bounds.dead, CUT: bounds.cut}
    for record in records:
        if record.fault and record.norms and record.share > limits[record.fault]:
            words, hint = UNIT_FAULTS[record.fault]
            yield TrainingFinding(
                record.fault, record.title, record.line, record.share, words.format(record.share), hint
            )


def _gradients(records: Sequence[Record], bounds: Bounds) -> Iterator[TrainingFinding]:
    reached = any(record.norms for record in records)
    for record in records:
        broken = [norm for norm in record.norms if not math.isfinite(norm)]
        if broken:
            words = f"its gradient is {broken[0]} in {len(broken)} of {len(record.norms)} batches"
            yield TrainingFinding(
                NOT_FINITE, record.name, record.line, broken[0], words, "look at the values before it"
            )
        if not record.is_parameter or broken:
            continue
        if reached and not any(record.norms):
            words = "no gradient reached it" if not record.norms else "its gradient is exactly zero in every batch"
            yield TrainingFinding(
                ZERO, record.name, record.line, 0.0, words, "is it used, detached, or behind dead units?"
            )
        clipped = [ratio for ratio in record.kept if ratio < bounds.clipped]
        if 2 * len(clipped) > len(record.kept):
            left = sum(clipped) / len(clipped)
            words = f"{left:.2g} of its gradient is left in {len(clipped)} of {len(record.kept)} batches"
            yield TrainingFinding(
                CLIPPED, record.name, record.line, left, words, "a higher limit, or a lower learning rate"
            )


def _trends(records: Sequence[Record], bounds: Bounds) -> Iterator[TrainingFinding]:
    layers = [record for record in records if record.weights and record.norm and math.isfinite(record.norm)]
    steps: dict[tuple[str, ...], list[Record]] = {}
    for record in layers:
        steps.setdefault((*record.weights, record.line), []).append(record)
    for chain in steps.values():
        yield from _trend(chain, "steps", bounds)
    yield from _trend([chain[0] for chain in steps.values() if len(chain) == 1], "layers", bounds)


def _trend(chain: Sequence[Record], what: str, bounds: Bounds) -> Iterator[TrainingFinding]:
    """Whether gradients shrink or grow on their way from the last of a chain to the first."""
    if len(chain) < bounds.steps:
        return
    ordered = sorted(chain, key=lambda record: record.depth)
    orders = -slope([math.log10(record.norm or 1.0) for record in ordered]) * (len(ordered) - 1)
    if abs(orders) < bounds.orders:
        return
    kind = EXPLODING if orders > 0 else VANISHING
    first, last = ordered[0], ordered[-1]
    words = f"its gradient is {first.norm:.1e}, and {last.norm:.1e} {len(ordered) - 1} {what} on at {last.title}"
    yield TrainingFinding(kind, first.title, first.line, 10**orders, words, TRENDS[kind])


def slope(values: Sequence[float]) -> float:
    """Slope of the straight line through equidistant values, by least squares."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    above = sum((index - middle) * (value - mean) for index, value in enumerate(values))
    return above / sum((index - middle) ** 2 for index in range(len(values)))
