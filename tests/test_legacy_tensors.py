"""Spellings of old PyTorch: tensor classes that are called, Variable, tensor classes given to isinstance."""

import torch
from torch.autograd import Variable

from tests.check import check, one_graph


def test_tensor_classes_of_sizes_and_numbers():
    def program(x):
        blank = torch.FloatTensor(2, 3).fill_(1.0) + torch.Tensor(x.size()).zero_()
        return blank, torch.Tensor([1, 2.5]), torch.LongTensor([[1, 2]]), torch.DoubleTensor(), torch.Tensor((3, 4))

    one_graph(program, torch.ones(2, 3))


def test_a_tensor_class_called_with_a_tensor_breaks():
    check(lambda x: torch.FloatTensor(x) + 1, torch.ones(2), breaks=["unsupported-call"])


def test_variable_is_a_detached_tensor_of_the_same_memory():
    def program(x):
        hidden = x * 2
        variable = Variable(hidden)
        variable.add_(1)
        return hidden.sum() + variable.sum(), variable.requires_grad, Variable(hidden[0])

    one_graph(program, torch.ones(3, requires_grad=True))


def test_isinstance_takes_tensor_classes_and_variable():
    def program(x):
        kinds = (torch.FloatTensor, torch.LongTensor, Variable, (int, (str, torch.DoubleTensor)))
        return x + 1, [isinstance(item, kind) for item in (x, x.long(), x.double(), 3) for kind in kinds]

    one_graph(program, torch.ones(2))
