"""Compares what the Evaluator says of a call with what the real call does."""

from __future__ import annotations

from typing import Any

import torch

from passes.meta import TensorMeta, meta_of
from passes.operators.evaluate import Evaluator
from passes.operators.modes import current_modes
from passes.operators.outcome import DictArg, ListArg, Outcome, SliceArg, rebuilt
from passes.operators.stand_ins import REAL
from passes.operators.trial import Findings

EVALUATOR = Evaluator()


def encode(argument: Any) -> Any:
    """A real argument as the Evaluator takes it."""
    if isinstance(argument, torch.Tensor):
        return meta_of(argument)
    if isinstance(argument, list):
        return ListArg(map(encode, argument))
    if isinstance(argument, dict):
        return DictArg((key, encode(value)) for key, value in argument.items())
    if isinstance(argument, slice):
        return SliceArg(encode(argument.start), encode(argument.stop), encode(argument.step))
    return tuple(map(encode, argument)) if type(argument) is tuple else argument


def evaluate(target: Any, *args: Any, **kwargs: Any) -> Outcome:
    """The Evaluator's outcome under the current modes."""
    keywords = tuple((name, encode(value)) for name, value in kwargs.items())
    return EVALUATOR.evaluate(target, encode(args), keywords, current_modes())


def observe(target: Any, *args: Any, **kwargs: Any) -> Outcome:
    """What the real call returns, and which arguments it changes (writes are not seen in inference mode)."""
    tensors: list[tuple[TensorMeta, torch.Tensor]] = []

    def note(argument: Any) -> None:
        if isinstance(argument, torch.Tensor):
            tensors.append((meta_of(argument), argument))
        elif isinstance(argument, dict):
            note(tuple(argument.values()))
        elif isinstance(argument, list | tuple):
            for part in argument:
                note(part)

    note((args, kwargs))
    versions = [None if tensor.is_inference() else tensor._version for _, tensor in tensors]
    if isinstance(target, tuple):
        result = getattr(args[0], target[1])(*args[1:], **kwargs)
    else:
        result = target(*args, **kwargs)
    findings = Findings(REAL, tensors)
    return Outcome(findings.describe(result), findings.mutated(versions))


def plain(outcome: Outcome) -> Any:
    """An outcome as something that compares: torch.return_types do not compare by value."""
    return rebuilt(outcome.result, torch.Size, lambda size: ("size", *size)), dict(outcome.mutated)


def listed(structure: Any) -> Any:
    if isinstance(structure, tuple | list):
        return [type(structure), *map(listed, structure)]
    return structure


def agree(target: Any, *args: Any, **kwargs: Any) -> Outcome:
    """Assert that evaluation and reality agree; gives the outcome."""
    evaluated = evaluate(target, *args, **kwargs)
    observed = observe(target, *args, **kwargs)
    (result, written), (real_result, really_written) = plain(evaluated), plain(observed)
    assert listed(result) == listed(real_result)
    assert really_written.items() <= written.items()
    return evaluated
