"""Stretches of a graph that repeat, as the layers of a model do.

What repeats is found by comparing calls: two stretches are one if each call of the one is that of the other on the same
constants, and on the values in the same places. Nothing here knows what is done with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import torch
from torch.fx import Node

SHORTEST: Final = 8
"""Calls of a stretch, at least."""
LEAST_SAVED: Final = 64
"""Calls that are repetitions of others, at least, for a stretch to be of use."""
CANDIDATES: Final = 3
"""Distances between repetitions that are tried, those first that most calls are at, and the longer ones."""

Call = tuple[Node, Sequence[Node]]
"""A call of a graph, and the nodes that are used by it for the last time."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive calls, from `start` to before `end`.

    `inputs` are the values from elsewhere that they use, in the order of their first use, `outputs` their results that
    are used elsewhere, and `dying` the inputs that are used here for the last time. `form` is equal for stretches that
    are repetitions of one.
    """

    start: int
    end: int
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    dying: tuple[Any, ...]
    form: Any


def repetitions(calls: Sequence[Call]) -> Iterator[list[Stretch]]:
    """Groups of consecutive stretches that are one, in the order of the graph; what is in none of them is left out."""
    keys = _keys(calls)
    yield from _in_range(calls, keys, 0, len(calls))


def _keys(calls: Sequence[Call]) -> list[Any]:
    """What is equal for calls of one operator, for each call."""
    return [(node.target, *node.kwargs) for node, _ in calls]


def _in_range(calls: Sequence[Call], keys: list[Any], start: int, end: int) -> Iterator[list[Stretch]]:
    if end - start < 2 * SHORTEST or end - start < LEAST_SAVED:
        return
    begin, stop, period = _longest_run(keys, start, end)
    if stop - begin - period < LEAST_SAVED:
        return
    yield from _in_range(calls, keys, start, begin)
    stretches = [_stretch(calls, first, first + period) for first in range(begin, stop - period + 1, period)]
    for _, group in groupby(stretches, key=lambda stretch: stretch.form):
        members = list(group)
        if (len(members) - 1) * period >= LEAST_SAVED:
            yield members
    yield from _in_range(calls, keys, stop, end)


def _longest_run(keys: list[Any], start: int, end: int) -> tuple[int, int, int]:
    """Where calls repeat: (start, end, period), of the run with most repetitions; (0, 0, 0) if there is none."""
    last: dict[Any, int] = {}
    distances: Counter[int] = Counter()
    for place in range(start, end):
        key = keys[place]
        if key in last and place - last[key] >= SHORTEST:
            distances[place - last[key]] += 1
        last[key] = place
    runs = [(0, 0, 0)]
    likely = sorted(distances, key=lambda period: distances[period] * period, reverse=True)
    for period in likely[:CANDIDATES]:
        runs += ((begin, stop, period) for begin, stop in _runs(keys, start, end, period))
    return max(runs, key=lambda run: (run[1] - run[0]) // run[2] * run[2] - run[2] if run[2] else 0)


def _runs(keys: list[Any], start: int, end: int, period: int) -> Iterator[tuple[int, int]]:
    """Where each call is the one `period` calls before, as a start and an end that include the first repetition."""
    begin = start
    for place in range(start, end - period + 1):
        if place == end - period or keys[place] != keys[place + period]:
            if place - begin >= period:
                yield begin, place + period
            begin = place + 1


def _stretch(calls: Sequence[Call], start: int, end: int) -> Stretch:
    nodes = [node for node, _ in calls[start:end]]
    describe = _Describer({node: place for place, node in enumerate(nodes)})
    form: list[Any] = []
    outputs = []
    for node, dying in calls[start:end]:
        kwargs = [(name, describe(value)) for name, value in node.kwargs.items()]
        form.append((node.op, node.target, bool(node.users), [describe(value) for value in node.args], kwargs))
        form.append(sorted(describe(each) for each in dying if each.op not in NOT_COMPUTED))
        if not describe.places.keys() >= node.users.keys():
            outputs.append(node)
    dead = [each for _, dying in calls[start:end] for each in dying if each in describe.inputs]
    form.append([describe(node) for node in outputs])
    return Stretch(
        start,
        end,
        tuple(describe.inputs),
        tuple(outputs),
        tuple(each for each in dead if each.op not in NOT_COMPUTED),
        form,
    )


NOT_COMPUTED: Final = ("placeholder", "get_attr")
VALUES: Final = (bool, int, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)
"""Types of constants that are the same if they are equal."""


class _Describer:
    """Describes arguments of one stretch: nodes by where they come in it, constants by what they are."""

    def __init__(self, places: dict[Node, int]) -> None:
        self.places = places
        self.inputs: dict[Node, int] = {}

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        if kind is Node:
            place = self.places.get(value)
            return self.inputs.setdefault(value, -1 - len(self.inputs)) if place is None else place
        if kind in VALUES:
            return kind, value
        if kind is float:
            return kind, value.hex()
        if isinstance(value, tuple | list):
            return [kind, *map(self, value)]
        if isinstance(value, dict):
            return [kind, *((name, self(part)) for name, part in value.items())]
        if kind is slice:
            return [kind, self(value.start), self(value.stop), self(value.step)]
        return kind, id(value)
