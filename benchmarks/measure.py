"""How time is measured: contestants take turns for many rounds; results are medians with quartiles.

Nothing here knows what is measured. Every contestant runs in every round, so that a slow spell of the machine
hits all of them; differences and ratios are taken round by round.
"""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Contestant = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a list of samples."""

    median: float
    low: float
    high: float
    samples: int


def spread(samples: Sequence[float]) -> Spread:
    """Median and quartiles; a single sample is its own median and quartiles."""
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0], 1)
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median, low, high, len(samples))


def differences(samples: Sequence[float], baseline: Sequence[float]) -> Spread:
    """`samples` minus `baseline`, round by round."""
    return spread([one - other for one, other in zip(samples, baseline, strict=True)])


def ratios(samples: Sequence[float], baseline: Sequence[float]) -> Spread:
    """`samples` over `baseline`, round by round."""
    return spread([one / other for one, other in zip(samples, baseline, strict=True)])


def repeat(contestant: Contestant, times: int) -> float:
    """Seconds per call, averaged over `times` calls in a row."""
    calls = range(times)
    start = time.perf_counter()
    for _ in calls:
        contestant()
    return (time.perf_counter() - start) / times


def calls_in(contestant: Contestant, seconds: float) -> int:
    """How many calls take about `seconds`; at least one."""
    contestant()
    once = min(repeat(contestant, 1) for _ in range(3))
    return max(1, int(seconds / max(once, 1e-7)))


def interleaved(contestants: dict[str, Contestant], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds per call of each contestant in each round; a contestant's turn takes about `seconds`.

    The garbage collector is off meanwhile. All contestants make the same number of calls in a turn, and each
    goes first in a round as often as the others.
    """
    times = min(calls_in(contestant, seconds) for contestant in contestants.values())
    order = tuple(contestants)
    samples: dict[str, list[float]] = {name: [] for name in order}
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            first = turn % len(contestants)
            for name in (*order[first:], *order[:first]):
                samples[name].append(repeat(contestants[name], times))
    finally:
        gc.enable()
    return samples


def first_calls(prepare: Callable[[], Contestant], rounds: int) -> list[float]:
    """Seconds of the first call of each of `rounds` newly prepared contestants, after an uncounted warm-up."""
    samples = []
    for turn in range(rounds + 1):
        contestant = prepare()
        gc.collect()
        seconds = repeat(contestant, 1)
        if turn:
            samples.append(seconds)
    return samples
