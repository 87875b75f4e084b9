"""Numbers that numpy computes are constants; its arrays are its own."""

import numpy as np
import torch

from tests.check import check, one_graph
from tracer import graph_break


def test_functions_of_numbers():
    def program(x):
        width = int(np.prod(x.shape))
        return x * np.sqrt(x.shape[-1]) + np.log(3.0) / np.mean([1, 2]), x.view(width), np.float32(2) * x

    one_graph(program, torch.ones(2, 3))


def test_a_number_of_numpy_across_a_break():
    def program(x):
        scale = np.sqrt(x.shape[0])
        graph_break()
        return x / scale + np.int64(3)

    check(program, torch.ones(4), breaks=["explicit"])


def test_arrays_break():
    check(lambda x: x + torch.from_numpy(np.ones(2, dtype="float32")), torch.ones(2))
