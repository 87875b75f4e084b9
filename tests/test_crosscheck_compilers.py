"""Compilers that are wrong in what they do with a whole graph: found at the operator and the line, with a script."""

import operator

import pytest
import torch
from torch.nn import functional

from tests import faults
from tests.test_crosscheck_faults import assert_fails, assert_found, first_finding

X, POSITIVE = faults.X, faults.POSITIVE


def remembering(module, example_inputs):
    """Gives what the first rectification of this shape gave."""
    results = {}

    def remembered(x):
        return results.setdefault(tuple(x.shape), torch.relu(x)).clone()

    for node in module.graph.nodes:
        if getattr(node.target, "__name__", None) == "relu":
            node.target = remembered
    module.recompile()
    return module.forward


def in_one_buffer(x, buffer=[]):
    """The result in the memory of the one before."""
    if not buffer or buffer[0].shape != x.shape:
        buffer[:] = [torch.empty_like(x)]
    return buffer[0].copy_(torch.relu(x))


def overwriting(x):
    result = torch.relu(x)
    x.zero_()
    return result


def moving_a_read(module, example_inputs):
    """Puts a sine behind the write that follows it."""
    named = {getattr(node.target, "__name__", node.target): node for node in module.graph.nodes}
    if {"add_", "sin"} <= named.keys():
        named["add_"].next.prepend(named["sin"])
    module.recompile()
    return module.forward


def merging(module, example_inputs):
    """Takes two calls with the same arguments for one, those that draw random numbers as well."""
    calls = {}
    for node in list(module.graph.nodes):
        if node.op == "call_function" and node.target is not operator.getitem:
            other = calls.setdefault((node.target, node.args, tuple(node.kwargs.items())), node)
            if other is not node:
                node.replace_all_uses_with(other)
                module.graph.erase_node(node)
    module.recompile()
    return module.forward


def reversing(module, example_inputs):
    forward = module.forward
    return lambda *inputs: tuple(reversed(forward(*inputs)))


def forgetting_the_last(module, example_inputs):
    forward = module.forward
    return lambda *inputs: forward(*inputs)[:-1]


def baking(module, example_inputs):
    """Takes all inputs but the first for constants."""
    forward, constants = module.forward, [value.clone() for value in example_inputs[1:]]
    return lambda *inputs: forward(inputs[0], *constants)


def baking_attributes_of_calls(module, example_inputs):
    """Scales by the largest value that it was compiled with."""
    forward, largest = module.forward, float(example_inputs[0].flatten()[0])
    return lambda *inputs: tuple(part * float(inputs[0].flatten()[0]) / largest for part in forward(*inputs))


def detaching(module, example_inputs):
    forward = module.forward
    return lambda *inputs: tuple(part.detach() for part in forward(*inputs))


def without_gradients(module, example_inputs):
    forward = module.forward

    def run(*inputs):
        torch.set_grad_enabled(False)
        return forward(*inputs)

    return run


def seeding(x, p, training):
    torch.manual_seed(1234)
    return functional.dropout(x, p, training)


def read_then_written(x):
    sine = torch.sin(x)
    x.add_(1)
    return sine + x


def two_draws(x):
    first = torch.rand_like(x)
    second = torch.rand_like(x)
    return first - second + x


def two_results(x):
    sine = torch.sin(x)
    cosine = torch.cos(x)
    return sine, cosine


def two_rectified(x):
    return torch.relu(x), torch.relu(-x)


def chain(x):
    hidden = torch.sin(x)
    rectified = torch.relu(hidden)
    return rectified + 1


def product(x, y):
    hidden = torch.relu(x)
    return torch.mul(hidden, y)


def used_again(x):
    rectified = torch.relu(x)
    return rectified * x


def dropped(x):
    kept = functional.dropout(x, 0.5)
    return kept + torch.rand_like(x)


def raising_another_error(x):
    raise SystemError("no such instruction")


def missing_a_key(x):
    return {}[len(x)]


RELU = "rectified = torch.relu(hidden)"
COMPILERS = {
    "results remembered by shape": (two_rectified, remembering, "relu", "values", "torch.relu(-x)"),
    "one buffer for all results": (
        two_rectified, faults.swap("relu", in_one_buffer), "relu", "overwritten", "torch.relu(-x)"),
    "an argument overwritten": (used_again, faults.swap("relu", overwriting), "relu", "values", "torch.relu(x)"),
    "a read behind a write": (read_then_written, moving_a_read, "", "values", ""),
    "draws merged": (two_draws, merging, "rand_like", "aliasing", "second = torch.rand_like(x)"),
    "results in another order": (two_results, reversing, "cos", "values", "cosine = torch.cos(x)"),
    "a result forgotten": (two_results, forgetting_the_last, "sin", "outputs", "sine = torch.sin(x)"),
    "inputs baked in": (product, baking, "mul", "values", "return torch.mul(hidden, y)"),
    "a value baked in": (chain, baking_attributes_of_calls, "sin", "values", "hidden = torch.sin(x)"),
    "random numbers begun anew": (dropped, faults.swap("dropout", seeding), "dropout", "values", "0.5"),
    "another kind of error": (chain, faults.swap("relu", raising_another_error), "relu", "error", RELU),
    "a key that is missing": (chain, faults.swap("relu", missing_a_key), "relu", "error", RELU),
    "an array for a tensor": (chain, faults.swap("relu", lambda x: torch.relu(x).numpy()), "relu", "type", RELU),
    "a number for a tensor": (
        lambda x: torch.sum(x), faults.swap("sum", lambda x: x.sum().item()), "sum", "type", "torch.sum(x)"),
    "nothing for a tensor": (chain, faults.swap("relu", lambda x: None), "relu", "type", RELU),
    "a tensor without memory": (
        chain, faults.swap("relu", lambda x: torch.relu(x).to("meta")), "relu", "device", RELU),
    "gradients lost": (two_results, detaching, "sin", "requires_grad", "sine = torch.sin(x)"),
    "gradients turned off": (two_results, without_gradients, "sin", "state", "sine = torch.sin(x)"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPILERS)
def test_found_named_and_written(name, tmp_path):
    program, candidate, target, kind, line = COMPILERS[name]
    wanted = kind in ("gradient", "requires_grad", "state")
    inputs = (X.clone().requires_grad_(wanted), POSITIVE)[: program.__code__.co_argcount]
    finding = first_finding(program, inputs, tmp_path, candidate=candidate)
    assert_found(finding, target, kind, line)
    assert_fails(finding.path)
