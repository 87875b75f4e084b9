"""What a caller does with the results of calls that are made from a template, or with what they read.

Each program is captured with and without templates, which must give the same, and must do what the plain program does.
"""

import pytest
import torch
from torch import nn

from tests.check import check
from tests.test_templates import same_as_interpreted
from tracer.interpret.templates import calls

BLOCKS = 8


def list_of_two(x):
    y = x.sin().relu()
    return [y, y * 2]


def table_of_one(x):
    return {"a": x.sin().relu()}


def one_tensor(x):
    return x.sin().relu()


def one_list_twice(x, parts):
    return x.sin().relu(), [parts, parts]


def view_of_a_sum(x):
    return (x.sin() + 1).view(1, -1)


def list_appended_by_the_caller(x):
    lengths = []
    for _ in range(BLOCKS):
        out = list_of_two(x)
        lengths.append(len(out))
        out.append(x)
        x = out[0] + len(out)
    return x, lengths


def lists_appended_later(x):
    kept, lengths = [], []
    for number in range(BLOCKS):
        out = list_of_two(x)
        kept.append(out)
        lengths.append(len(out))
        x = out[0] + len(out)
        if number == 4:
            for each in kept:
                each.append(x)
    return x, lengths, kept


def key_added_by_the_caller(x):
    names = []
    for _ in range(BLOCKS):
        out = table_of_one(x)
        names.append(list(out))
        out["b"] = 1
        x = out["a"] + len(out)
    return x, names


def reshaped_later(x):
    kept, shapes = [], []
    for number in range(BLOCKS):
        out = one_tensor(x)
        kept.append(out)
        shapes.append(out.shape)
        x = out + 1
        if number == 4:
            for each in kept:
                each.unsqueeze_(0)
    return x, shapes


def gradients_required_later(x):
    kept, required = [], []
    for number in range(BLOCKS):
        out = one_tensor(x)
        kept.append(out)
        required.append(out.requires_grad)
        if number == 4:
            for each in kept:
                each.requires_grad_()
        x = out.detach() + 1
    return x, required


def attribute_set_by_the_caller(x):
    marks = []
    for number in range(BLOCKS):
        out = one_tensor(x)
        marks.append(getattr(out, "mark", None))
        out.mark = number
        x = out + 1
    return x, marks


def inner_list_changed_by_the_caller(x):
    lengths = []
    for _ in range(BLOCKS):
        x, parts = one_list_twice(x, [1])
        lengths.append((len(parts), len(parts[0]), parts[0] is parts[1]))
        parts.append(2)
        parts[0].append(5)
    return x, lengths


def view_written_by_the_caller(x):
    kept = []
    for number in range(BLOCKS):
        out = view_of_a_sum(x)
        if number == 5:
            out.mul_(2)
        kept.append((out, out._base.sum()))
        x = out[0] / 2
    return x, kept


@pytest.mark.parametrize(
    "program",
    [
        *(list_appended_by_the_caller, lists_appended_later, key_added_by_the_caller, reshaped_later),
        *(gradients_required_later, attribute_set_by_the_caller, inner_list_changed_by_the_caller),
        view_written_by_the_caller,
    ],
    ids=lambda program: program.__name__,
)
def test_a_result_that_is_changed(monkeypatch, program):
    same_as_interpreted(monkeypatch, program, torch.ones(3))
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    check(program, torch.ones(3), recaptures=None)


class Buffered(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.register_buffer("seen", torch.ones(4))

    def forward(self, x):
        return x + torch.relu(self.fc(x)) * self.seen


class Writing(nn.Module):
    """Writes to buffers of blocks before and after they are called."""

    def __init__(self, before, after):
        super().__init__()
        self.blocks = nn.ModuleList(Buffered() for _ in range(BLOCKS))
        self.before, self.after = before, after

    def forward(self, x):
        for number, block in enumerate(self.blocks):
            if number in self.before:
                block.seen.add_(1)
            x = block(x)
            if number in self.after:
                block.seen.mul_(2)
        return x, [block.seen.sum() for block in self.blocks]


@pytest.mark.parametrize(
    ("before", "after"),
    [((2, 5), ()), ((), (2, 5)), (range(8), ()), ((), range(8)), (range(8), range(8)), ((7,), (0, 1))],
)
def test_buffers_that_are_written_in_between(monkeypatch, before, after):
    model = Writing(before, after)
    same_as_interpreted(monkeypatch, model, torch.ones(2, 4))
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    check(model, torch.ones(2, 4), recaptures=None)
