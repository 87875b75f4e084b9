"""One program in two worlds, plain and captured: every call, every change between calls, and the first difference."""

from __future__ import annotations

import contextlib
import io
import itertools
import random
import sys
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy
import torch

from tests.check import tensors_in
from tests.fuzz.observation import ANYTHING, Observation, are_close
from tests.fuzz.program import Program
from tests.fuzz.surroundings import SOURCE
from tracer import capture, counters, reset
from tracer.interpret.forced_breaks import every_other, everywhere, forced_breaks

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

_HIDDEN = ("__builtins__", "__warningregistry__", "program", "args")
_INHERENT = frozenset(("__dict__", "__weakref__", "__module__", "__doc__", "__slotnames__"))
"""What is no attribute that a program sets: `__slotnames__` is where CPython remembers what it found out for a copy."""
_MODULE = compile(SOURCE, "<surroundings>", "exec")


def forward_of(gm: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
    """The simplest backend there is: the module's own forward."""
    return gm.forward


BACKENDS: dict[str, Any] = {"eager": "eager", "aot_eager": "aot_eager", "forward": forward_of}
BREAKS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "none": contextlib.nullcontext,
    "every other": lambda: forced_breaks(every_other),
    "everywhere": lambda: forced_breaks(everywhere),
}


class Caller(torch.nn.Module):
    """A module that calls the program in its `forward`."""

    def __init__(self, program: Callable[..., Any]) -> None:
        super().__init__()
        self.program = program
        self.calls = 0

    def forward(self, *args: Any) -> Any:
        """Call the program."""
        self.calls += 1
        return self.program(*args)


def by_keywords(program: Callable[..., Any]) -> Callable[..., Any]:
    """A function that passes arguments on by their names."""
    return lambda x, y, n, extra: program(extra=extra, n=n, y=y, x=x)


def in_handler(program: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls the program where an error of it is handled."""

    def handling(*args: Any) -> Any:
        try:
            return program(*args)
        except Exception as error:
            return type(error).__name__, str(error)

    return handling


def from_c(program: Callable[..., Any]) -> Callable[..., Any]:
    """A function that has C code call the program."""
    return lambda *args: next(map(program, *([argument] for argument in args)))


DOORS: dict[str, Callable[[Callable[..., Any], Wrap], Callable[..., Any]]] = {
    "function": lambda program, wrap: wrap(program),
    "keywords": lambda program, wrap: by_keywords(wrap(program)),
    "module": lambda program, wrap: wrap(Caller(program)),
    "handler": lambda program, wrap: wrap(in_handler(program)),
    "C": lambda program, wrap: wrap(from_c(program)),
}
"""What is captured of a program, and how it is called; `wrap` captures."""


def settings_of_torch() -> tuple[Any, ...]:
    """torch's settings of this thread that a program or a change may leave otherwise."""
    return (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_inference_mode_enabled(),
    )


def restore(settings: tuple[Any, ...]) -> None:
    """Set what `settings_of_torch` answered."""
    if settings == settings_of_torch():
        return
    grad, dtype, deterministic, autocast, _ = settings
    torch.set_grad_enabled(grad)
    torch.set_default_dtype(dtype)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_autocast_enabled("cpu", autocast)


class World:
    """A module of its own with the program in it, and the arguments of its next call."""

    def __init__(self, program: Program, wrap: Wrap) -> None:
        sys.modules["surroundings"] = module = types.ModuleType("surroundings")  # dataclasses look there
        self.namespace = vars(module)
        torch.manual_seed(1)
        torch.utils.hooks.RemovableHandle.next_id = 0  # numbers the hooks of the whole process
        exec(_MODULE, self.namespace)
        self.classes = [(value, dict(vars(value))) for value in self.namespace.values() if _is_class_of_module(value)]
        exec(compile(program.source, "<program>", "exec"), self.namespace)
        self.namespace["args"] = eval(program.arguments, self.namespace)
        self.call = DOORS[program.door](self.namespace["program"], wrap)
        self.program = program
        self.results: list[Any] = []

    def step(self, change: str | None) -> Iterator[str]:
        """Apply a change, call the program, and observe everything."""
        if change is not None:
            self.apply(change)
        torch.manual_seed(7)
        random.seed(7)
        numpy.random.seed(7)
        before = settings_of_torch()
        outcome: list[Any] = []
        output = io.StringIO()
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(output):
            warnings.simplefilter("always")
            try:
                outcome.append(self.call(*self.namespace["args"]))
            except Exception as error:
                outcome.append(error)
            warned = [str(one.message) for one in caught if str(one.message) == "noted"]
        left = settings_of_torch()
        restore(before)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield from self.observe(outcome)
        yield f"printed: {output.getvalue()!r}, warned: {warned}, settings left: {left}"
        states = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # pyright: ignore
        yield f"random: {' '.join(str(hash(str(state))) for state in states)}"

    def observe(self, outcome: list[Any]) -> Iterator[str]:
        """The lines for the outcome of a call, and for all that is left of the program's state."""
        autograd = self.program.backend != "aot_eager"
        if isinstance(outcome[0], Exception):
            yield from Observation(autograd).lines(outcome[0], "raised")
            outcome[0] = type(outcome[0])
        backward = self.backward(outcome[0])
        self.results = [*self.results, outcome] if self.program.keep else [outcome]
        del outcome
        state = {name: value for name, value in self.namespace.items() if name not in _HIDDEN}
        observation = Observation(autograd)
        yield from observation.lines(self.results, "results")
        yield from observation.lines(self.namespace["args"], "args")
        yield from observation.lines({name: value for name, value in state.items() if not _is_code(value)}, "globals")
        for cls, attributes in self.classes:
            now = vars(cls)
            changed = {key: now[key] for key in now if key not in _INHERENT and attributes.get(key) is not now[key]}
            yield from observation.lines(changed, cls.__name__)
            yield f"{cls.__name__} has lost {[key for key in attributes if key not in now]}"
        yield f"backward: {backward}"

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
        except Exception as error:  # from a `backward` of the program, or from a hook
            return type(error).__name__
        return "done"

    def end(self) -> list[str]:
        """Let go of everything but the captured function, and say which tensors live on."""
        held = {**self.namespace, "results": self.results}
        alive = {
            f"{name}[{index}]": weakref.ref(item)
            for name in ("args", "results", "items")
            for index, item in enumerate(tensors_in(held.get(name)))
        }
        del held
        for handle in self.namespace["global_hooks"]:
            handle.remove()
        self.results, self.namespace["args"] = [], []
        for name in [name for name, value in self.namespace.items() if name != "log" and not _is_code(value)]:
            del self.namespace[name]
        self.namespace["log"].clear()
        return [name for name, reference in alive.items() if reference() is not None]


@dataclass(frozen=True)
class Run:
    """What was observed of a program: the lines of each call, and the tensors that are `alive` at the end."""

    calls: list[list[str]]
    alive: list[str]


def _is_class_of_module(value: Any) -> bool:
    return isinstance(value, type) and value.__module__ == "surroundings"


def _is_code(value: Any) -> bool:
    return isinstance(value, type | types.ModuleType) or callable(value) and not hasattr(value, "__dict__")


def difference(program: Program, wrap: Wrap | None = None) -> str:
    """The first way in which the captured program can be told apart from the plain one; "" if there is none.

    `wrap` captures what it is given; by default as the program says.
    """
    reset()
    options = {"backend": BACKENDS[program.backend], "dynamic": program.dynamic}
    plain = run_in_world(program, lambda function: function)
    with BREAKS[program.breaks]():
        captured = run_in_world(program, wrap or (lambda function: capture(function, **options)))
    for call, (one, two) in enumerate(zip(plain.calls, captured.calls, strict=True), 1):
        for left, right in itertools.zip_longest(one, two):
            if left != right and not _is_alike(left, right):
                return f"call {call}: plain    {left}\n        captured {right}"
    if leaked := [name for name in captured.alive if name not in plain.alive]:
        return f"alive at the end: {leaked}"
    if counters().tracer_bugs:
        return "internal error"
    return ""


def _is_alike(left: str | None, right: str | None) -> bool:
    if not left or not right:
        return False
    return are_close(left, right) or (right.endswith(ANYTHING) and left.startswith(right.removesuffix(ANYTHING)))


def run_in_world(program: Program, wrap: Wrap) -> Run:
    """Call a program in a new world, once and once more after each change, and end that world."""
    settings = settings_of_torch()
    try:
        world = World(program, wrap)
        return Run([list(world.step(change)) for change in (None, *program.changes)], world.end())
    finally:
        restore(settings)


def assert_same(program: Program) -> None:
    """Fail with the first difference between the plain and the captured program."""
    found = difference(program)
    assert not found, f"{found}\n{program}"
