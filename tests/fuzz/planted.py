"""Planted faults: what a wrong capture would do, one fault for each thing that the fuzzer generates and compares.

A fuzzer is believed only for the faults that it finds. SPOILED has faults of the outcome of a call, one for each thing
that is compared; UNGUARDED has guards that are left out, for each kind of change. `programs_needed` says how many
random programs it takes until a fault is seen.
"""

from __future__ import annotations

import random
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from tests.check import tensors_in
from tests.fuzz.grammar import compiles, programs
from tests.fuzz.program import Program
from tracer.guards.guard_set import GuardSet
from tracer.guards.source import Source


class Call:
    """A call of a program: its arguments, its module and what they held before; its result or error."""

    def __init__(self, namespace: dict[str, Any], args: tuple[Any, ...]) -> None:
        self.namespace = namespace
        self.args = args
        self.tensors = [value for value in args if isinstance(value, torch.Tensor)]
        self.before = [tensor.detach().clone() for tensor in self.tensors]
        self.logged = len(namespace["log"])
        self.result: Any = None
        self.error: Exception | None = None

    def replace(self, condition: Callable[[torch.Tensor], bool], change: Callable[[torch.Tensor], Any]) -> None:
        """Put others in the place of the tensors of the result that a condition holds for."""

        def replaced(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return change(value) if condition(value) else value
            if type(value) in (list, tuple):
                return type(value)(map(replaced, value))
            return value

        self.result = replaced(self.result)


def _value(call: Call) -> None:
    for tensor in tensors_in(call.result):
        if tensor.is_floating_point() and tensor.layout is torch.strided:
            tensor.data.add_(1)


def _order(call: Call) -> None:
    if type(call.result) is dict:
        call.result = dict(reversed(call.result.items()))
    elif type(call.result) is tuple:
        call.result = call.result[::-1]


def _written(call: Call) -> None:
    for tensor, before in zip(call.tensors, call.before, strict=True):
        if tensor.shape == before.shape and tensor.layout is torch.strided:
            tensor.data.copy_(before)


def _end(call: Call) -> None:
    log = call.namespace["log"]
    for event in ("gone", "finalized", "died", "local gone"):
        if event in log[call.logged :]:
            log.remove(event)


def _closed(call: Call) -> None:
    log = call.namespace["log"]
    for event in ("numbers closed", ("close", "a"), ("close", "b"), "left"):
        if event in log[call.logged :]:
            log.remove(event)


def _generator(call: Call) -> None:
    if isinstance(call.result, types.GeneratorType):
        next(call.result, None)


def _arguments_of_error(call: Call) -> None:
    if call.error is not None:
        call.error.args = ()


def _context_of_error(call: Call) -> None:
    if call.error is not None:
        call.error.__context__ = None


def _place_of_error(call: Call) -> None:
    if call.error is not None:
        call.error.__traceback__ = None


def _attribute(call: Call) -> None:
    call.namespace["box"].__dict__["count"] = 1


SPOILED: dict[str, Callable[[Call], None]] = {
    "value": _value,
    "order": _order,
    "stride": lambda call: call.replace(lambda t: t.dim() == 2 and t.shape[0] > 1, lambda t: t.t().clone().t()),
    "identity": lambda call: call.replace(lambda t: any(t is one for one in call.tensors), lambda t: t.view(t.shape)),
    "shared memory": lambda call: call.replace(lambda t: t._is_view(), lambda t: t.detach().clone()),
    "gradient": lambda call: call.replace(lambda t: t.requires_grad, lambda t: t.detach()),
    "leaf": lambda call: call.replace(lambda t: t.requires_grad and t.is_leaf, lambda t: t * 1),
    "written argument": _written,
    "attribute": _attribute,
    "end of an object": _end,
    "end of a generator or a context": _closed,
    "generator": _generator,
    "arguments of an error": _arguments_of_error,
    "context of an error": _context_of_error,
    "place of an error": _place_of_error,
    "torch's random numbers": lambda call: torch.rand(1),
    "Python's random numbers": lambda call: random.random(),
    "grad mode": lambda call: torch.set_grad_enabled(True),
    "printed text": lambda call: print("planted"),
}
"""What is done to the outcome of each call: a fault of one thing that is compared."""


def spoiling(fault: Callable[[Call], None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """In the place of `capture`: the function itself, with a fault in the outcome of each call."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def spoiled(*args: Any) -> Any:
            call = Call(function.__globals__, args)
            try:
                call.result = function(*args)
            except Exception as error:
                call.error = error
            fault(call)
            if call.error is not None:
                raise call.error
            return call.result

        return spoiled

    return wrap


Choice = Callable[[Source | None, str], bool]

_VALUES = ("equal", "same object", "type", "keys", "length", "absent", "set items", "set order", "tensor")


def _reads(*accessors: str) -> Choice:
    """Guards of values that are reached by a step of one of these kinds."""

    def chosen(source: Source | None, check: str) -> bool:
        while source is not None and check in _VALUES:
            if source.accessor in accessors:
                return True
            source = source.base
        return False

    return chosen


def _below(name: str) -> Choice:
    """Guards of values that are reached through what has this name."""
    return lambda source, check: source is not None and check in _VALUES and name in source.text


def _checks(*checks: str) -> Choice:
    return lambda source, check: check in checks


UNGUARDED: dict[str, tuple[str, Choice]] = {
    "aliasing": ("aliasing", _checks("aliasing", "same as", "not same as")),
    "numbers": ("number", lambda source, check: check in ("equal", "type", "expression") and _is_argument(source)),
    "sizes": ("size", _checks("tensor", "expression")),
    "dtypes": ("dtype", _checks("tensor")),
    "layouts": ("layout", _checks("tensor")),
    "gradients": ("autograd", _checks("tensor")),
    "settings": ("setting", _checks("state")),
    "globals": ("global", _reads("globals")),
    "attributes": ("attribute", _reads("dict")),
    "classes": ("class", _reads("type", "class attribute", "object")),
    "closures": ("closure", _reads("contents")),
    "defaults": ("default", _below("__defaults__")),
    "containers": ("container", _reads("globals")),
    "hooks": ("hook", _checks("no hooks", "absent", "keys", "length")),
    "modules": ("module", _reads("dict")),
}
"""Which guards are left out, and the kind of changes that tells."""


def _is_argument(source: Source | None) -> bool:
    return source is None or source.accessor == "argument"


@contextmanager
def without_guards(chosen: Choice) -> Iterator[None]:
    """While it is entered, captures make no guard for which `chosen(source, check)` is true."""
    add = GuardSet.add

    def add_the_others(
        guards: GuardSet, source: Source | None, check: str, expected: Any = None, line: Any = None
    ) -> None:
        if not chosen(source, check):
            add(guards, source, check, expected, line)

    GuardSet.add = add_the_others
    try:
        yield
    finally:
        GuardSet.add = add


def sample(count: int, number: int = 1, **fixed: Any) -> list[Program]:
    """Programs of the strategy, the same in every run. `fixed` is what `programs` takes."""
    written: list[Program] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(programs(**fixed))
    def collect(program: Program) -> None:
        if compiles(program.source):
            written.append(program)

    collect()
    return written


def programs_needed(candidates: list[Program], compare: Callable[[Program], str]) -> int | None:
    """How many of the programs are compared until one is told apart; None if none is."""
    return next((number for number, program in enumerate(candidates, 1) if compare(program)), None)
