"""Evaluator: the outcome of an operator call on metas, remembered for the next equal call.

Asks, in this order: the memo, the rules, a trial on the stand-ins that operators.py names for the
operator, and last a trial on fake tensors. Knows nothing of graphs or of who calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.modes import Modes
from passes.operators import device_fact, is_unknown_attribute, reads_values, reshapes, trials, written_unseen
from passes.outcome import (
    Arguments,
    DataDependent,
    DictArg,
    Keywords,
    ListArg,
    OpError,
    Outcome,
    SliceArg,
    Target,
    Unsupported,
    leaves,
)
from passes.stand_ins import REAL, FakeStandIns
from passes.trial import attempt

# Answers for the calls it knows, None for the others. May raise OpError and DataDependent.
Rule = Callable[[Target, Arguments, Keywords, Modes], Outcome | None]

# How each container that may be among the arguments is built of its parts.
CONTAINERS: Final[dict[type, Callable[[Iterable[Any]], Any]]] = {
    tuple: tuple,
    ListArg: ListArg,
    DictArg: DictArg,
    SliceArg: SliceArg._make,
    torch.Size: torch.Size,
}
CONTAINER_TYPES: Final = frozenset(CONTAINERS)
DIVISION_BY_ZERO: Final = "ZeroDivisionError"  # what kernels say of integers, and stand-ins are zeros
SYMBOLIC: Final = (torch.SymInt, torch.SymFloat, torch.SymBool)
SYMBOLIC_TABLE: Final = "_bytegraph_outcomes"  # the attribute of a ShapeEnv for outcomes with its symbols in them


class Evaluator:
    """Evaluates calls on metas, with a memo of its own. One is meant to serve a whole process."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._rules = tuple(rules)
        self._known: dict[tuple[Any, ...], Outcome] = {}
        self._fake: FakeStandIns | None = None

    def evaluate(self, target: Target, args: Arguments, kwargs: Keywords = (), modes: Modes = Modes()) -> Outcome:  # noqa: B008
        """What `target(*args, **kwargs)` returns and changes under `modes`, without running it on data.

        Raises OpError when the real call would raise, DataDependent when the answer depends on values,
        Unsupported when nobody here knows. The modes of the process in `modes` must be the current ones.
        """
        try:
            return self._known[target, modes, args, kwargs, kinds(args), kinds(kwargs) if kwargs else ()]
        except (KeyError, TypeError):  # TypeError: a torch.SymInt cannot be hashed
            return self._remembered_derivation(target, args, kwargs, modes)

    def evaluate_once(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Outcome:
        """As `evaluate`, without remembering: for Python code called like an operator, which may be rewritten."""
        return self._derive(target, args, kwargs, modes, shape_env_of(leaves((args, kwargs))))

    def forget(self) -> None:
        """Drop the memo and the fake tensors' mode, as for a process that starts anew."""
        self._known.clear()
        self._fake = None

    def _remembered_derivation(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Outcome:
        shape_env = shape_env_of(leaves((args, kwargs)))
        known = self._known if shape_env is None else shape_env.__dict__.setdefault(SYMBOLIC_TABLE, {})
        key = (target, modes, *_hashable((args, kwargs)), kinds(args), kinds(kwargs) if kwargs else ())
        try:
            outcome = known.get(key)
        except TypeError as error:
            raise Unsupported(f"an argument of {target!r} cannot be hashed: {error}") from error
        if outcome is None:
            outcome = known[key] = self._derive(target, args, kwargs, modes, shape_env)
        return outcome

    def _derive(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes, shape_env: Any) -> Outcome:
        for rule in self._rules:
            outcome = rule(target, args, kwargs, modes)
            if outcome is not None:
                return outcome
        if fact := device_fact(target, args):
            return Outcome(fact(args[0]), {})
        if is_unknown_attribute(target, args):
            raise Unsupported(f"attribute {args[1]!r} of a tensor")
        if reads_values(target, args, kwargs):
            raise DataDependent(f"{target!r} reads the values of a tensor")
        outcome = self._tried(target, args, kwargs, modes, shape_env)
        metas = [leaf for leaf in leaves((args, kwargs)) if type(leaf) is TensorMeta]
        written = written_unseen(target, args, outcome)
        if metas and (modes.inference or any(meta.is_inference for meta in metas)):
            written |= self._written_outside_inference(target, args, kwargs, modes)
        if written <= outcome.mutated.keys():
            return outcome
        return Outcome(outcome.result, {**{index: metas[index] for index in sorted(written)}, **outcome.mutated})

    def _tried(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes, shape_env: Any) -> Outcome:
        """The outcome on the first stand-ins that give one.

        What real stand-ins raise is what the call raises, a division by their zeros apart. Those without
        data may fail for want of it, so fake tensors have the last word.
        """
        for stand_ins, keywords in () if shape_env is not None else trials(target, args, kwargs, modes):
            try:
                return attempt(stand_ins, target, args, keywords, modes)
            except OpError as error:
                if stand_ins is REAL and DIVISION_BY_ZERO not in str(error.original):
                    raise
            except (DataDependent, Unsupported):
                continue
        outcome = attempt(self._fakes(shape_env), target, args, kwargs, modes)
        self._refuse_growth(target, args, outcome)
        return outcome

    def _refuse_growth(self, target: Target, args: Arguments, outcome: Outcome) -> None:
        """Raise what torch raises when an in-place operator would need more room, which fake tensors make."""
        if not outcome.mutated or reshapes(target):
            return
        metas = [leaf for leaf in leaves(args) if type(leaf) is TensorMeta]
        for index, after in outcome.mutated.items():
            if index < len(metas) and metas[index].shape != after.shape:
                shape, wanted = list(metas[index].shape), list(after.shape)
                words = f"output with shape {shape} doesn't match the broadcast shape {wanted}"
                raise OpError(RuntimeError(words))

    def _written_outside_inference(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> set[int]:
        """The tensor arguments that the call writes to: in inference mode torch does not count writes."""
        plain_args, plain_kwargs = _without_inference(args), _without_inference(kwargs)
        outcome = self.evaluate(target, plain_args, plain_kwargs, modes._replace(inference=False, grad=False))
        return set(outcome.mutated)

    def _fakes(self, shape_env: Any) -> FakeStandIns:
        if self._fake is None or self._fake.shape_env is not shape_env:
            self._fake = FakeStandIns(shape_env)
        return self._fake


def kinds(arguments: Iterable[Any]) -> tuple[Any, ...]:
    """The types of `arguments`, nested ones too: what tells 1 from 1.0 and True, which are equal keys."""
    types = tuple(map(type, arguments))
    if CONTAINER_TYPES.isdisjoint(types):
        return types
    nested: list[Any] = [types]
    for part in arguments:
        if type(part) in CONTAINER_TYPES:
            nested.append(kinds(part))
    return tuple(nested)


def shape_env_of(arguments: Iterable[Any]) -> Any:
    """The ShapeEnv of the symbols among flat `arguments` and in their metas; None if there are none."""
    for argument in arguments:
        if isinstance(argument, SYMBOLIC):
            return argument.node.shape_env
        if type(argument) is TensorMeta and argument.symbolic:
            return shape_env_of((*argument.shape, *(argument.stride or ()), argument.storage_offset))
    return None


def _hashable(argument: Any) -> Any:
    """`argument` with every symbol as its expression."""
    if type(argument) in CONTAINERS:
        return tuple(map(_hashable, argument))
    return argument.node.expr if isinstance(argument, SYMBOLIC) else argument


def _without_inference(argument: Any) -> Any:
    kind = type(argument)
    if kind is TensorMeta:
        return argument.replace(is_inference=False, requires_grad=False, is_leaf=True)
    if kind in CONTAINERS:
        return CONTAINERS[kind](map(_without_inference, argument))
    return argument
