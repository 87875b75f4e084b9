"""How time is taken: contestants by turns, many rounds, medians with quartiles.

Nothing here knows what is measured. Contestants are run one after the other in every round, so that
a slow spell of the machine hits all of them; differences and ratios are taken round by round.
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
    """Median and quartiles; of one sample, that sample three times."""
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0], 1)
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median, low, high, len(samples))


def differences(samples: Sequence[float], baseline: Sequence[float]) -> Spread:
    """What `samples` add to `baseline`, round by round."""
    return spread([one - other for one, other in zip(samples, baseline, strict=True)])


def ratios(samples: Sequence[float], baseline: Sequence[float]) -> Spread:
    """`samples` over `baseline`, round by round."""
    return spread([one / other for one, other in zip(samples, baseline, strict=True)])


def repeat(contestant: Contestant, times: int) -> float:
    """Seconds per call, of so many calls in a row."""
    calls = range(times)
    start = time.perf_counter()
    for _ in calls:
        contestant()
    return (time.perf_counter() - start) / times


def calls_in(contestant: Contestant, seconds: float) -> int:
    """How many calls take about so long; at least one."""
    contestant()
    once = min(repeat(contestant, 1) for _ in range(3))
    return max(1, int(seconds / max(once, 1e-7)))


def interleaved(contestants: dict[str, Contestant], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds per call of each contestant in each round; a contestant's turn takes about `seconds`.

    The collector is off meanwhile, all contestants make the same number of calls in a turn, and each
    is as often the first of a round as the others.
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
    """Seconds that the first call of a newly prepared contestant takes, after one that does not count."""
    samples = []
    for turn in range(rounds + 1):
        contestant = prepare()
        gc.collect()
        seconds = repeat(contestant, 1)
        if turn:
            samples.append(seconds)
    return samples
