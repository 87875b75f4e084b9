"""Checks of a rule: pattern and replacement must give the same values and gradients for each trial.

A trial is inputs with the modes that both functions are called under (inputs.py makes them). Knows nothing of
graphs: both functions are simply called.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import torch

from passes.accelerator import random_numbers_kept
from passes.rewrite.inputs import RuleTrial
from passes.rewrite.pattern import RuleError

TOLERANCES: Final = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 6e-2, torch.float16: 1e-2}
REFUSALS: Final = (RuntimeError, ValueError, IndexError, TypeError, AttributeError, ArithmeticError)
"""What operators raise for arguments that they do not take."""
Run = tuple[list[torch.Tensor], dict[str, torch.Tensor]]


def check_spelling(
    where: str,
    pattern: Callable[..., Any],
    replacement: Callable[[Mapping[str, Any]], Any],
    trials: Iterable[RuleTrial],
    tolerance: float,
    gradients: bool = True,
) -> int:
    """Compare the two in each trial; gives the number of comparisons.

    `replacement` takes all arguments as one mapping. Raises RuleError naming the trial and the difference.
    """
    count = 0
    for trial in trials:
        case = f"{where}: with {trial.name}"
        with torch.enable_grad(), random_numbers_kept(), warnings.catch_warnings(action="ignore"):
            expected = _run(lambda inputs: pattern(**inputs), trial)
            if expected is None and trial.metas_only:
                continue  # no use has such metas; some kernels believe them and write where they should not
            result = _run(replacement, trial)
        if expected is None or result is None:
            if (expected is None) == (result is None) or trial.metas_only:
                continue  # where metas alone decide, a replacement that raises is refused before it takes a place
            raise RuleError(f"{case}: only {'the pattern' if expected is None else 'the replacement'} raises an error")
        _compare(case, trial, expected, result, tolerance, gradients)
        count += 1
    return count


def _run(function: Callable[[Mapping[str, Any]], Any], trial: RuleTrial) -> Run | None:
    """What a function gives, and the gradients of a weighted sum of it with respect to its tensors.

    None where it refuses the arguments of a trial that is `refusable`.
    """
    inputs = trial.inputs()
    versions = {
        name: value._version
        for name, value in inputs.items()
        if isinstance(value, torch.Tensor) and not value.is_inference()
    }
    try:
        with trial.modes():
            results = list(tensors_of(function(inputs)))
    except RuleError:
        raise
    except REFUSALS:
        if trial.refusable:
            return None
        raise
    if any(inputs[name]._version != version for name, version in versions.items()):
        raise RuleError("a pattern or its replacement writes to an argument")
    return results, _gradients(results, inputs)


def _gradients(results: list[torch.Tensor], inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The gradients of a weighted sum of the results with respect to the inputs that ask for one."""
    leaves = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor) and value.requires_grad}
    sums = [
        (wide := _wide(result)).mul(_weights(wide)).sum().real for result in results if result.requires_grad and leaves
    ]
    if not sums:
        return {}
    gradients: Any = torch.autograd.grad(torch.stack(sums).sum(), list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True)
    }


def _weights(result: torch.Tensor) -> torch.Tensor:
    return torch.linspace(0.5, 1.5, result.numel(), dtype=torch.float64).view(result.shape)


def tensor_count(results: Any) -> int:
    """How many tensors a function gives. Raises RuleError for anything else among them."""
    return len(list(tensors_of(results)))


def tensors_of(results: Any) -> Iterator[torch.Tensor]:
    """The tensors that a function gives, in their order. Raises RuleError for anything else among them."""
    if isinstance(results, torch.Tensor):
        yield results
    elif isinstance(results, tuple | list):
        for part in results:
            yield from tensors_of(part)
    else:
        raise RuleError(f"a pattern gives tensors, not {type(results).__name__}")


def _compare(case: str, trial: RuleTrial, expected: Run, result: Run, tolerance: float, gradients: bool) -> None:
    if len(expected[0]) != len(result[0]):
        raise RuleError(f"{case}: the pattern gives {len(expected[0])} tensors, the replacement {len(result[0])}")
    for index, (one, other) in enumerate(zip(expected[0], result[0], strict=True)):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            if trial.metas_only:
                return  # such a replacement is refused when it is to take a place
            left, right = f"{one.dtype}{list(one.shape)}", f"{other.dtype}{list(other.shape)}"
            raise RuleError(f"{case}: result {index} is {left}, of the replacement {right}")
        if gradients and one.requires_grad != other.requires_grad:
            which = "the pattern" if one.requires_grad else "the replacement"
            raise RuleError(f"{case}: result {index} requires grad of {which} only")
        allowed = TOLERANCES.get(trial.precision or one.dtype, 1e-4) * tolerance
        _close(f"{case}: result {index}", one, other, allowed, trial.zero_signs)
    for name, gradient in expected[1].items() if gradients else ():
        allowed = TOLERANCES.get(trial.precision or gradient.dtype, 1e-4) * tolerance * 10
        one, other = map(_finite_or_nan, (gradient, result[1][name]))
        _close(f"{case}: the gradient of {name}", one, other, allowed, False)


def _close(what: str, expected: torch.Tensor, result: torch.Tensor, tolerance: float, zero_signs: bool) -> None:
    """Raise RuleError where values differ by more than `tolerance`; NaN and infinities must be in the same places."""
    one, other = _wide(expected.detach()), _wide(result.detach())
    finite = one[one.isfinite()].abs()
    scale = max(1.0, finite.max().item()) if finite.numel() else 1.0
    close = torch.isclose(one, other, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    if not close.all():
        index = int(torch.nonzero(~close.reshape(-1))[0])
        left, right = one.reshape(-1)[index].item(), other.reshape(-1)[index].item()
        raise RuleError(f"{what} differs from the replacement's: {left:.4g} and {right:.4g}, of up to {scale:.3g}")
    if zero_signs and not one.is_complex():
        zeros = (one == 0) & (other == 0)
        if (one.signbit() != other.signbit())[zeros].any():
            raise RuleError(f"{what} is a zero of another sign than the replacement's")


def _finite_or_nan(gradient: torch.Tensor) -> torch.Tensor:
    """NaN in the place of infinities: which of the two comes depends on the order of the products of a chain."""
    return torch.where(gradient.isfinite(), gradient, math.nan)


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values.to(torch.complex128 if values.is_complex() else torch.float64)
