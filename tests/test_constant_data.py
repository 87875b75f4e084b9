"""Reads of tensors that are computed from numbers of the program alone are constants: no break, no symbol."""

import numpy as np
import pytest
import torch

from tests.check import BACKENDS, check, one_graph


def rates(x):
    return [x * rate.item() for rate in torch.linspace(0, 0.1, 3)]


def branch(x):
    return x * 2 if torch.arange(3).sum() > 2 else x


def sizes(x):
    return x.view(torch.tensor([2, 2]).tolist()), x[int(torch.tensor(5) / 2)]


def written_elsewhere(x):
    table = torch.ones(3)
    y = x.clone()
    y.add_(1)
    return y * float(table.sum())


def numbers_of_numpy(x):
    anchors = np.array([[10, 13], [16, 30]])
    if anchors.sum() > 5:
        x = x * anchors.max()
    first, second = np.array([2.0, 3.0])
    return x * first + second, [x[index] for index in np.argsort(np.array([3, 1, 2]))], x.view(*np.array([2, 2]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "program", [rates, branch, sizes, written_elsewhere, numbers_of_numpy], ids=lambda program: program.__name__
)
def test_constant_data_is_known_while_tracing(program, backend):
    one_graph(program, torch.arange(4.0, requires_grad=True), backend=BACKENDS[backend])


def test_calls_that_repeat_with_other_constants():
    def layer(x, scale):
        return torch.sin(x) * scale.item()

    def program(x):
        scales = (torch.tensor(2.0), torch.tensor(2.0), torch.tensor(2.0), torch.tensor(3.0), torch.tensor(4.0))
        return [layer(x, scale) for scale in scales]

    one_graph(program, torch.ones(3))


def test_data_that_is_written_or_drawn_is_no_constant():
    def written(x):
        table = torch.zeros(2)
        table[0] = x.sum()
        return x + 1 if table.sum() > 2 else x - 1

    def written_through_a_view(x):
        table = torch.zeros(2)
        table[0].add_(x.sum())
        return x + 1 if table.sum() > 2 else x - 1

    def drawn(x):
        return x + 1 if torch.rand(()) > 0.5 else x - 1

    def left_as_found(x):
        return x + 1 if torch.empty(2).fill_(1).sum() > 5 else x - 1

    for program in (written, written_through_a_view, drawn, left_as_found):
        for fill in (0.0, 2.0):
            check(program, torch.full((2,), fill), breaks=["data-dependent-jump"], recaptures=None)
