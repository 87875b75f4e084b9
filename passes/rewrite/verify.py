"""Checks of a rule on random inputs: pattern and replacement must give the same values and gradients.

Inputs come in every dtype that the rule is for and in several layouts: contiguous, transposed in memory, and
strided with an offset. Knows nothing of graphs: both functions are simply called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from passes.rewrite.pattern import RuleError


@dataclass(frozen=True)
class ExampleTensor:
    """An example of a tensor: its sizes, and its dtype unless that is swept over.

    `positive` ones are at least a half (variances), others normally distributed; integers are 0, 1 or 2.
    Without `gradient` none is asked for with respect to it (running statistics).
    """

    shape: tuple[int, ...]
    dtype: torch.dtype | None = None
    positive: bool = False
    gradient: bool = True

    def example(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """A tensor for a function to be captured with."""
        return torch.ones(self.shape, dtype=self.dtype or dtype)

    def random(self, dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
        """A tensor with random values."""
        chosen = self.dtype or dtype
        if not chosen.is_floating_point:
            return torch.randint(0, 3, self.shape, generator=generator).to(chosen)
        values = torch.randn(self.shape, generator=generator, dtype=torch.float64)
        return (values.abs() + 0.5 if self.positive else values).to(chosen)


def tensor(*shape: int, **details: Any) -> ExampleTensor:
    """An example tensor of these sizes."""
    return ExampleTensor(shape, **details)


def _transposed(values: torch.Tensor) -> torch.Tensor:
    """The same values, the dimensions laid out in memory the other way round."""
    order = tuple(reversed(range(values.dim())))
    return values.permute(order).contiguous().permute(order)


def _strided(values: torch.Tensor) -> torch.Tensor:
    """The same values in every other place of a larger tensor, from an offset on."""
    if values.dim() == 0:
        return values
    larger = values.new_zeros((*values.shape[:-1], 2 * values.shape[-1] + 1))
    larger[..., 1::2] = values
    return larger[..., 1::2]


LAYOUTS: Final[dict[str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "contiguous": torch.Tensor.contiguous,
    "transposed": _transposed,
    "strided": _strided,
}
TOLERANCES: Final = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 6e-2, torch.float16: 1e-2}


def check_spelling(
    where: str,
    pattern: Callable[..., Any],
    replacement: Callable[[Mapping[str, Any]], Any],
    example: Mapping[str, Any],
    dtypes: Sequence[torch.dtype],
    tolerance: float,
    gradients: bool = True,
) -> int:
    """Compare the two on random inputs; gives how many times that was done.

    `replacement` takes all arguments as one mapping. Raises RuleError naming dtype, layout and difference.
    """
    generator, count = torch.Generator().manual_seed(0), 0
    trained = {name for name, value in example.items() if isinstance(value, ExampleTensor) and value.gradient}
    for dtype in dtypes:
        for layout, lay_out in LAYOUTS.items():
            arguments = {
                name: lay_out(value.random(dtype, generator)) if isinstance(value, ExampleTensor) else value
                for name, value in example.items()
            }
            case = f"{where}: with {str(dtype).removeprefix('torch.')} inputs, {layout}"
            with torch.enable_grad(), torch.random.fork_rng(devices=()):
                expected = _run(lambda inputs: pattern(**inputs), arguments, trained)
                result = _run(replacement, arguments, trained)
            _compare(case, expected, result, TOLERANCES.get(dtype, 1e-4) * tolerance, gradients)
            count += 1
    return count


Run = tuple[list[torch.Tensor], dict[str, torch.Tensor]]


def _run(function: Callable[[Mapping[str, Any]], Any], arguments: Mapping[str, Any], trained: set[str]) -> Run:
    """What a function gives, and the gradients of a weighted sum of it with respect to its tensors."""
    inputs = {
        name: value.detach().requires_grad_(name in trained and value.dtype.is_floating_point)
        if isinstance(value, torch.Tensor)
        else value
        for name, value in arguments.items()
    }
    versions = {name: value._version for name, value in inputs.items() if isinstance(value, torch.Tensor)}
    results = list(_tensors(function(inputs)))
    if any(inputs[name]._version != version for name, version in versions.items()):
        raise RuleError("a pattern or its replacement writes to an argument")
    total = sum(
        (result.double() * torch.linspace(0.5, 1.5, result.numel(), dtype=torch.float64).view(result.shape)).sum()
        for result in results
        if result.requires_grad
    )
    leaves = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor) and value.requires_grad}
    if not isinstance(total, torch.Tensor) or not leaves:
        return results, {}
    gradients: Any = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    return results, {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True)
    }


def tensor_count(results: Any) -> int:
    """How many tensors a function gives. Raises RuleError for anything else among them."""
    return len(list(_tensors(results)))


def _tensors(results: Any) -> Iterator[torch.Tensor]:
    if isinstance(results, torch.Tensor):
        yield results
    elif isinstance(results, tuple | list):
        for part in results:
            yield from _tensors(part)
    else:
        raise RuleError(f"a pattern gives tensors, not {type(results).__name__}")


def _compare(case: str, expected: Run, result: Run, tolerance: float, gradients: bool) -> None:
    if len(expected[0]) != len(result[0]):
        raise RuleError(f"{case}: the pattern gives {len(expected[0])} tensors, the replacement {len(result[0])}")
    for index, (one, other) in enumerate(zip(expected[0], result[0], strict=True)):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            left, right = f"{one.dtype}{list(one.shape)}", f"{other.dtype}{list(other.shape)}"
            raise RuleError(f"{case}: result {index} is {left}, of the replacement {right}")
        _close(f"{case}: result {index}", one, other, tolerance)
    for name, gradient in expected[1].items():
        if gradients and name in result[1]:
            _close(f"{case}: the gradient of {name}", gradient, result[1][name], tolerance * 10)


def _close(what: str, expected: torch.Tensor, result: torch.Tensor, tolerance: float) -> None:
    one, other = expected.detach().double(), result.detach().double()
    scale = one.abs().max().clamp(min=1.0) if one.numel() else torch.ones(())
    if not torch.allclose(one, other, rtol=tolerance, atol=float(tolerance * scale), equal_nan=True):
        difference = (one - other).abs().max().item()
        raise RuleError(f"{what} differs from the replacement's by up to {difference:.3g} of {scale.item():.3g}")
