"""Graph breaks by kind of cause, each with a small program that has one: what docs/breaks.md shows.

The programs are run when the page is written, so that it shows what a capture prints.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tracer import disable


@dataclass(frozen=True)
class BreakGroup:
    """Reasons with one kind of cause: what they have in common, what helps, and a program with its arguments."""

    title: str
    about: str
    example: Callable[..., Any]
    arguments: tuple[Any, ...]
    reasons: tuple[str, ...]


def normalized(x):
    return x / len(str(x.norm().item()))


def announced(x):
    y = x * 2
    warnings.warn("doubled", stacklevel=2)
    return y + 1


def trained(weight, x):
    loss = (x @ weight).sum()
    try:
        loss.backward()
    except RuntimeError:
        return loss
    return weight.grad.norm()


def replaced(x):
    y = x * 2
    y.data = y.double()
    return y + 1


def widened(x):
    torch.set_num_threads(torch.get_num_threads() + 1)
    return x + torch.ones(3)


@disable
def logged(x):
    return x


def with_log(x):
    return logged(x * 2) + 1


def paired(x, iterator):
    return x * next(iterator)


def checked(x):
    y = x.sum(0)
    if y.dim() == 0:
        raise ValueError("a matrix is needed")
    return y


GROUPS = (
    BreakGroup(
        "The value of a tensor is needed",
        "A graph is made without data. A number that is read from a tensor, and a size that depends on data, is a "
        "symbol there, with which the graph can compute. The instruction that needs the number itself runs natively, "
        "and the graph ends before it. Keep the computation in tensors: `torch.where` instead of `if`.",
        normalized,
        (torch.ones(3),),
        ("data-dependent-jump", "data-to-python", "data-dependent-operator", "data-dependent-index"),
    ),
    BreakGroup(
        "Something happens while the function runs",
        "Tracing runs no side effect of the program: output, clocks, random numbers and waiting happen between "
        "graphs, once for each call. Move them before or after the captured function.",
        announced,
        (torch.ones(3),),
        (
            *("printing", "input-output", "warning", "clock", "python-random", "random-state", "device-state"),
            *("waiting", "import-statement"),
        ),
    ),
    BreakGroup(
        "Gradients",
        "A whole step of training can be one graph, which calls autograd itself. It ends where gradients go on to "
        "tensors that were computed before it, where inputs have hooks, where a handler waits for errors, and, under "
        "backends that compile, in front of each call of autograd.",
        trained,
        (torch.ones(2, 3, requires_grad=True), torch.ones(4, 2)),
        ("backward", "gradient-state", "autograd-function", "tensor-hook"),
    ),
    BreakGroup(
        "A tensor that a graph cannot represent",
        "A graph knows a tensor by its meta (shape, strides, dtype, ...). What lies outside of it, such as the "
        "storage, an attribute of the user's or a subclass with operators of its own, is handled natively.",
        replaced,
        (torch.ones(3),),
        ("tensor-subclass", "tensor-layout", "tensor-storage", "tensor-attribute", "tensor-identity"),
    ),
    BreakGroup(
        "State of torch",
        "Settings of the process and modes change what all later operators do, those outside of the captured function"
        " among them. Set them before it is called, and apply transforms to the captured function.",
        widened,
        (torch.ones(3),),
        ("context-manager", "torch-function-mode", "function-transform", "higher-order", "global-state"),
    ),
    BreakGroup(
        "A call that is not followed",
        "Python functions are interpreted down to the C functions that they call. The graph ends at C functions that "
        "no row is about, at functions that are marked or belong to modules that are never captured, and at custom "
        "operators whose results nobody can predict. `python -m tracer why NAME` says which step decides about a "
        "call.",
        with_log,
        (torch.ones(3),),
        ("explicit", "disabled", "unsupported-call", "skipped-function", "error-in-handler", "no-fake-kernel"),
    ),
    BreakGroup(
        "Python that cannot be traced or repeated",
        "The residual program must rebuild what the function made and repeat what it changed. Where that is "
        "impossible, or where a program looks at its own frames, the statement runs natively. Plain functions, lists "
        "and attributes are what is traced best.",
        paired,
        (torch.ones(3), map(abs, [1, 2, 3])),
        (
            *("unsupported-attribute", "unsupported-operation", "unsupported-opcode", "unsupported-iterator"),
            *("unsupported-mutation", "escaping-generator", "escaping-object", "visible-end", "coroutine"),
            *("class-definition", "frame-inspection", "frame-object", "debugger", "exception-state"),
        ),
    ),
    BreakGroup(
        "The call ends in an exception, or is too big",
        "An exception that leaves the function is raised by the original statement, with its own traceback; nothing "
        "needs fixing. Deep recursion and very long loops are cut: capture what is inside of them.",
        checked,
        (torch.ones(3),),
        ("raised-exception", "operator-error", "recursion", "too-long"),
    ),
)
"""The groups in the order in which people are likely to meet them."""
