"""No false alarm: forty architectures with candidates that are exact, in inference, in training, under autocast, in
bfloat16 and with sizes that vary.

Each architecture is checked in one of the five ways, `ARCHITECTURES=all` checks each in all of them.
"""

import os

import pytest
import torch
from torch.utils._pytree import tree_map

from tests import models
from tracer import capture

NAMES = sorted(
    [
        *models.NAMES["torch"],
        *models.NAMES["huggingface"][::3],
        *models.NAMES["libraries"][::3],
    ]
)
WAYS = ("inference", "training", "autocast", "bfloat16", "dynamic")


def forwarding(module, example_inputs):
    """The graph itself: right in everything."""
    return module.forward


def in_bfloat16(value):
    return value.bfloat16() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def alarms(name, way):
    """What a check of an exact candidate reports for each graph of one call, and how many graphs it looked at."""
    model, args, kwargs = models.build(name)
    if way == "bfloat16":
        model, args, kwargs = model.bfloat16(), *tree_map(in_bfloat16, (args, kwargs))
    model.train(way == "training")
    reports = []
    options = {"candidate": forwarding, "report": reports.append, "shrink": 0.0, "most": 3}
    captured = capture(model, backend="crosscheck", options=options, dynamic=True if way == "dynamic" else None)
    with torch.set_grad_enabled(way == "training"), torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
        captured(*args, **kwargs)
    return [finding for report in reports for finding in report.findings], len(reports)


def chosen():
    every = os.environ.get("ARCHITECTURES") == "all"
    for number, name in enumerate(NAMES):
        yield from ((name, way) for place, way in enumerate(WAYS) if every or place == number % len(WAYS))


@pytest.mark.parametrize("name, way", [*chosen()])
def test_no_false_alarm(name, way):
    findings, graphs = alarms(name, way)
    assert not findings, "\n".join(map(str, findings))
    assert graphs


def test_there_are_forty():
    assert len(NAMES) >= 40
