"""One program in two worlds, plain and captured: every call, every change between calls, and the first difference."""

from __future__ import annotations

import itertools
import random
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from tests.check import tensors_in
from tests.fuzz.observation import Observation, text_of
from tests.fuzz.program import Program
from tests.fuzz.surroundings import SOURCE
from tracer import capture, counters, reset

_HIDDEN = ("__builtins__", "__warningregistry__", "program", "call")
_MODULE = compile(SOURCE, "<surroundings>", "exec")


def forward_of(gm: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
    """The simplest backend there is: the module's own forward."""
    return gm.forward


ERRORS_OF_OPERATORS = (RuntimeError, IndexError, OverflowError, TypeError)

BACKENDS: dict[str, Any] = {"eager": "eager", "aot_eager": "aot_eager", "forward": forward_of}


class World:
    """A module of its own with the program in it, and the arguments of its next call."""

    def __init__(self, program: Program, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        sys.modules["surroundings"] = module = types.ModuleType("surroundings")  # dataclasses look there
        self.namespace = vars(module)
        torch.manual_seed(1)
        torch.utils.hooks.RemovableHandle.next_id = 0  # numbers the hooks of the whole process
        exec(_MODULE, self.namespace)
        exec(compile(program.source, "<program>", "exec"), self.namespace)
        self.namespace["args"] = eval(program.arguments, self.namespace)
        self.call = wrap(self.namespace["program"])
        self.program = program
        self.results: list[Any] = []
        self.failed = False

    def step(self, change: str | None) -> Iterator[str]:
        """Apply a change, call the program, and observe everything."""
        if change is not None:
            self.apply(change)
        torch.manual_seed(7)
        random.seed(7)
        grad = torch.is_grad_enabled()
        outcome: list[Any] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                outcome.append(self.call(*self.namespace["args"]))
            except Exception as error:
                outcome.append(error.with_traceback(None))
        left = torch.is_grad_enabled()
        torch.set_grad_enabled(grad)
        if isinstance(outcome[0], Exception):
            yield f"raised: {type(outcome[0]).__name__} {_first_line(outcome[0])}"
            if isinstance(outcome[0], ERRORS_OF_OPERATORS):  # nothing handles it, and it may end the graph early
                self.failed = True
                return
            outcome = [type(outcome[0])]
        backward = self.backward(outcome[0])
        self.results = [*self.results, outcome] if self.program.keep else [outcome]
        del outcome
        state = {name: value for name, value in self.namespace.items() if name not in _HIDDEN}
        classes = {name: dict(vars(value)) for name, value in state.items() if _is_class_of_module(value)}
        observation = Observation(autograd=self.program.backend != "aot_eager")
        yield from observation.lines(self.results, "results")
        yield from observation.lines({name: value for name, value in state.items() if not _is_code(value)}, "globals")
        for name, attributes in classes.items():
            yield f"{name}: " + str({key: value for key, value in attributes.items() if isinstance(value, int | str)})
        yield f"backward: {backward}"
        yield f"grad mode left: {left}"
        yield f"random: {hash(random.getstate())} {hash(tuple(torch.get_rng_state().tolist()))}"

    def apply(self, change: str) -> None:
        """Execute a change; what it raises ends it, in both worlds alike."""
        try:
            exec(compile(change, "<change>", "exec"), self.namespace)
        except Exception as error:
            self.namespace["log"].append(("change", type(error).__name__))

    def backward(self, result: Any) -> str:
        """Gradients from the tensors of a result, and the kind of error if that fails."""
        tensors = [tensor for tensor in tensors_in(result) if tensor.requires_grad and tensor.is_floating_point()]
        if not tensors:
            return "nothing to do"
        try:
            with torch.enable_grad():
                sum((tensor.double() ** 2).sum() for tensor in tensors).backward(retain_graph=True)
        except RuntimeError as error:
            return f"RuntimeError {str(error)[:40]}"
        return "done"


def _first_line(error: Exception) -> str:
    return text_of(error).partition("\n")[0]


def _is_class_of_module(value: Any) -> bool:
    return isinstance(value, type) and value.__module__ == "surroundings"


def _is_code(value: Any) -> bool:
    return isinstance(value, type | types.ModuleType) or callable(value) and not hasattr(value, "__dict__")


def difference(program: Program) -> str:
    """The first way in which the captured program can be told apart from the plain one; "" if there is none."""
    reset()
    options = {"backend": BACKENDS[program.backend], "dynamic": program.dynamic}
    grad = torch.is_grad_enabled()
    try:
        plain = _run(World(program, lambda function: function))
        torch.set_grad_enabled(grad)
        captured = _run(World(program, lambda function: capture(function, **options)))
    finally:
        torch.set_grad_enabled(grad)
    for call, (one, two) in enumerate(itertools.zip_longest(plain, captured, fillvalue=()), 1):
        for left, right in itertools.zip_longest(one, two):
            if left != right:
                return f"call {call}: plain    {left}\n        captured {right}"
    if counters().tracer_bugs:
        return "internal error"
    return ""


def _run(world: World) -> list[list[str]]:
    """The lines of each call, up to the first that raises."""
    calls: list[list[str]] = []
    for change in (None, *world.program.changes):
        calls.append(list(world.step(change)))
        if world.failed:
            break
    return calls


def assert_same(program: Program) -> None:
    """Fail with the first difference between the plain and the captured program."""
    found = difference(program)
    assert not found, f"{found}\n{program}"
