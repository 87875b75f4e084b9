"""Every captured graph is a program: it runs as a module, in torch.fx's interpreter, and as a deep copy.

`install` has each capture of the tests run its graph in these ways too, on copies of the inputs, and compares outcomes
with those of the replay by `tests/same.py`. Graphs that call Python code of the tests are not run, because the tests
count those calls; nor is a graph a second time whose text was run before.
"""

import copy
import os
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter

from backends import aot
from backends.eager import compile_graph
from backends.handover import Backend, Handover
from passes.graph_module import as_module, call_with
from passes.operators import modes
from tests.same import differences
from tracer.dispatch import engine
from tracer.pauses import no_forks

LARGEST = 1 << 22
"""Bytes of inputs beyond which a graph is written as a module, and not run."""

UNINITIALIZED = ("empty", "resize", "Tensor", "Storage")
"""What is in the names of operators whose results hold whatever was in memory."""

RUNNERS: dict[str, Callable[[GraphModule], Callable[..., Any]]] = {
    "forward": lambda module: module.forward,
    "Interpreter": lambda module: Interpreter(module).run,
    "deepcopy": copy.deepcopy,
}

PROCESS = os.getpid()

_seen: set[int] = set()


def install() -> None:
    """Check every graph that is handed to a backend from now on."""
    if engine.compile_with is aot.compile_with:
        engine.compile_with = checked_compile


def checked_compile(backend: Backend, handover: Handover) -> Callable[..., Any]:
    """What `aot.compile_with` gives, after the graph's module was checked."""
    check_program(handover)
    return aot.compile_with(backend, handover)


def check_program(handover: Handover) -> None:
    """Raise AssertionError unless the module of a graph is sound, and does what the graph's replay does."""
    module = as_module(handover.graph, handover.attributes)
    module.graph.lint()
    key = hash((module.code, tuple(map(str, handover.metas))))
    if key in _seen:
        return
    _seen.add(key)
    with no_forks:  # it imports modules of torch
        module.print_readable(print_output=False)
    inputs = list(handover.example_inputs)
    if not all(map(_is_torchs, module.graph.nodes)) or sum(map(_bytes, inputs)) > LARGEST:
        return
    if threading.current_thread() is not threading.main_thread() or os.getpid() != PROCESS:
        return  # others draw random numbers meanwhile, or did when this process was forked
    values = not any(name in str(node.target) for node in module.graph.nodes for name in UNINITIALIZED)
    generators = [held for held in vars(module).values() if isinstance(held, torch.Generator)]
    expected = _outcome(compile_graph(handover.graph, handover.attributes), inputs, generators)
    scripted = any(isinstance(held, torch.jit.ScriptFunction) for held in vars(module).values())
    for name, runner in RUNNERS.items():
        if scripted and runner is copy.deepcopy:
            continue  # torch cannot copy a scripted function
        observed = _outcome(runner(module), inputs, generators)
        if isinstance(expected, BaseException) or isinstance(observed, BaseException):
            alike = type(expected) is type(observed) and str(expected) == str(observed).split("\n\nWhile executing")[0]
            wrong = [] if alike else [f"plain {expected!r}, captured {observed!r}"]
        else:
            wrong = differences(expected, observed, name) if values else []
        assert not wrong, "\n".join([f"{name} differs from the replay:", *wrong, module.code])


def _is_torchs(node: torch.fx.Node) -> bool:
    """Whether a node calls nothing but torch, and Python's operators."""
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        return target.__module__.startswith("torch._ops.aten")
    if node.op != "call_function" or target is call_with:
        return True
    module = target.__module__ or ""
    return module.partition(".")[0] in ("torch", "_operator", "builtins", "passes")


def _bytes(value: Any) -> int:
    return value.untyped_storage().nbytes() if isinstance(value, torch.Tensor) else 0


def _outcome(program: Callable[..., Any], inputs: list[Any], generators: list[torch.Generator]) -> Any:
    """What a program returned and made of copies of its inputs; or the exception that it raised."""
    with _undisturbed(generators):
        copies = _copies(inputs)
        try:
            result = program(*copies)
        except Exception as error:
            return error.with_traceback(None)
        finally:
            after = modes.current_modes()
        return result, copies, after, torch.get_rng_state()


@contextmanager
def _undisturbed(generators: list[torch.Generator]) -> Iterator[None]:
    """Put back on exit modes, settings and the state of every random number generator."""
    state, python = torch.get_rng_state(), random.getstate()
    states = [generator.get_state() for generator in generators]
    try:
        with warnings.catch_warnings(), modes.modes_kept():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_rng_state(state)
        random.setstate(python)
        for generator, held in zip(generators, states, strict=True):
            generator.set_state(held)


def _copies(inputs: list[Any]) -> list[Any]:
    """Tensors like the inputs, which share memory with each other where those do; sizes as numbers, and floats."""
    storages: dict[int, torch.UntypedStorage] = {}
    return [
        _copy(value, storages)
        if isinstance(value, torch.Tensor)
        else value
        if type(value) is float
        else int(value.node.hint)
        for value in inputs
    ]


def _copy(tensor: torch.Tensor, storages: dict[int, torch.UntypedStorage]) -> torch.Tensor:
    storage = tensor.untyped_storage()
    memory = storages.setdefault(storage._cdata, storage.clone())
    with torch.inference_mode(tensor.is_inference()), torch.no_grad():
        copied = torch.empty((0,), dtype=tensor.dtype, device=tensor.device)
        copied.set_(memory, tensor.storage_offset(), tensor.shape, tensor.stride())
    torch._C._set_conj(copied, tensor.is_conj())
    torch._C._set_neg(copied, tensor.is_neg())
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(copied, tensor.requires_grad)
    if tensor.is_leaf:
        return copied.requires_grad_(tensor.requires_grad)
    with torch.enable_grad():
        return _History.apply(torch.empty((), requires_grad=True), [copied])


class _History(torch.autograd.Function):
    """Gives a tensor a grad_fn: it comes in a list, so that autograd does not take the result for a view of it."""

    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, box: list[torch.Tensor]) -> torch.Tensor:
        return box[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return torch.zeros(()), None
