"""Inputs that rules are tried with before their first use: random ones, and those that break wrong rules.

Random inputs come in every dtype that a rule is for and in several layouts. The others hold, one at a time, what
a rewrite that is right for ordinary numbers gets wrong: zeros of both signs, NaN, infinities, rows that are masked
whole, dimensions of size 1 and 0, tensors that are one tensor or share memory, each combination of inputs that
require grad, no gradients, inference, autocast, and the other value of a flag. Knows nothing of graphs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch


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


Example = Mapping[str, Any]
"""An ExampleTensor or a constant for each parameter of a pattern."""


@dataclass(frozen=True)
class RuleTrial:
    """Arguments for a pattern and its replacement, and the modes to call both under.

    In a trial that is `refusable` either may raise an error. `metas_only` says that metas alone show the difference
    from an ordinary call, so that a replacement that raises, or gives another dtype, never takes a place.
    `precision` is that of the results where it is not their dtype's.
    """

    name: str
    arguments: Mapping[str, Any]
    trained: frozenset[str]
    modes: Callable[[], AbstractContextManager[Any]] = nullcontext
    refusable: bool = True
    metas_only: bool = False
    zero_signs: bool = False
    precision: torch.dtype | None = None

    def inputs(self) -> dict[str, Any]:
        """The arguments anew; those that are one tensor stay one."""
        tensors: dict[int, torch.Tensor] = {}
        for name, value in self.arguments.items():
            if isinstance(value, torch.Tensor):
                copied = tensors.setdefault(id(value), value.detach())
                if name in self.trained and value.dtype.is_floating_point:
                    copied.requires_grad_()
        return {
            name: tensors[id(value)] if isinstance(value, torch.Tensor) else value
            for name, value in self.arguments.items()
        }


# Layouts -----------------------------------------------------------------------------------------


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


def _expanded(values: torch.Tensor) -> torch.Tensor:
    """The first slice of the values in the place of all, over the same memory."""
    return values[:1].expand(values.shape) if values.dim() else values


LAYOUTS: Final[dict[str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "contiguous": torch.Tensor.contiguous,
    "transposed": _transposed,
    "strided": _strided,
}


SPECIAL: Final = ((math.nan, "NaN"), (math.inf, "infinity"), (-math.inf, "minus infinity"))

# Trials ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RuleTrials:
    """The trials of one pattern: what its parameters are like, and which metas a rule is used for.

    `accepts(arguments)` says whether the rule's condition holds for tensors with these metas. No NaN and no infinity
    comes in those that are `finite`. `numbers` are those of the pattern, where pieces of a function may meet.
    """

    example: Example
    dtypes: Sequence[torch.dtype]
    accepts: Callable[[Mapping[str, Any]], bool] = lambda arguments: True
    zero_signs: bool = True
    finite: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    _generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def __iter__(self) -> Iterator[RuleTrial]:
        """Random inputs first, then those that break wrong rules: each kind, in the first dtype."""
        for dtype, (layout, lay_out) in itertools.product(self.dtypes, LAYOUTS.items()):
            arguments = {name: self._laid_out(value, lay_out) for name, value in self._random(dtype).items()}
            name = f"{str(dtype).removeprefix('torch.')} inputs, {layout}"
            yield self._trial(name, arguments, refusable=False)
        for trial in itertools.chain(self._values(), self._metas(), self._aliased(), self._autograd(), self._flags()):
            if self.accepts(trial.arguments):
                yield trial

    def of_values(self) -> Iterator[RuleTrial]:
        """One trial with random inputs, and those of rows that are masked whole: for the metas of one use."""
        yield self._trial("random inputs", self._random(self.dtypes[0]), refusable=False)
        yield from self._masked()

    @property
    def _tensors(self) -> dict[str, ExampleTensor]:
        return {name: value for name, value in self.example.items() if isinstance(value, ExampleTensor)}

    @property
    def _trained(self) -> frozenset[str]:
        return frozenset(name for name, value in self._tensors.items() if value.gradient)

    def _random(self, dtype: torch.dtype, example: Example | None = None) -> dict[str, Any]:
        chosen = self.example if example is None else example
        return {
            name: value.random(dtype, self._generator) if isinstance(value, ExampleTensor) else value
            for name, value in chosen.items()
        }

    def _trial(self, name: str, arguments: Mapping[str, Any], **details: Any) -> RuleTrial:
        return RuleTrial(name, arguments, details.pop("trained", self._trained), **details)

    def _laid_out(self, value: Any, lay_out: Callable[[torch.Tensor], torch.Tensor]) -> Any:
        return lay_out(value) if isinstance(value, torch.Tensor) else value

    def _floating(self, arguments: Mapping[str, Any]) -> list[str]:
        return [
            name
            for name, value in arguments.items()
            if isinstance(value, torch.Tensor) and value.dtype.is_floating_point and value.numel()
        ]

    def _values(self) -> Iterator[RuleTrial]:
        """Zeros of both signs; where pieces of a function meet; NaN and infinities in one tensor; masked rows."""
        yield self._trial("zeros of both signs", self._chosen((0.0, -0.0, 1.0, -1.0)), zero_signs=self.zero_signs)
        if self.numbers:
            yield self._trial("numbers of the pattern", self._chosen(self.numbers))
        for special, words in SPECIAL:
            for name in self._floating(self._random(self.dtypes[0])):
                if name in self.finite:
                    continue
                arguments = self._random(self.dtypes[0])
                arguments[name].view(-1)[arguments[name].numel() // 2] = special
                yield self._trial(f"{words} in {name}", arguments)
        yield from self._masked()

    def _chosen(self, choices: tuple[float, ...]) -> dict[str, Any]:
        """Values at random from some numbers, where a tensor may hold these."""
        arguments, numbers = self._random(self.dtypes[0]), torch.tensor(choices, dtype=torch.float64)
        for name in self._floating(arguments):
            if not self._tensors[name].positive:
                places = torch.randint(0, len(choices), arguments[name].shape, generator=self._generator)
                arguments[name] = numbers[places].to(arguments[name].dtype)
        return arguments

    def _masked(self) -> Iterator[RuleTrial]:
        """Rows of one tensor that are minus infinity throughout, or True and False throughout."""
        for name in self._tensors:
            arguments = self._random(self.dtypes[0])
            if not arguments[name].numel() or not arguments[name].dim():
                continue
            rows = arguments[name].view(-1, arguments[name].shape[-1])
            if rows.dtype is torch.bool:
                rows[0], rows[-1] = True, False
                yield self._trial(f"rows of {name} that are True and False throughout", arguments)
                yield self._trial(f"rows of {name} inverted", {**arguments, name: ~arguments[name]})
            elif rows.dtype.is_floating_point and name not in self.finite:
                rows[0] = -math.inf
                yield self._trial(f"a row of {name} that is minus infinity throughout", arguments)

    def _metas(self) -> Iterator[RuleTrial]:
        """Dimensions of size 1 and 0, everywhere where a size stands or in one place, and expanded tensors."""
        tensors = self._tensors
        for size, wanted in itertools.product(sorted({s for t in tensors.values() for s in t.shape}), (1, 0)):
            example = {
                name: replace(value, shape=tuple(wanted if s == size else s for s in value.shape))
                if isinstance(value, ExampleTensor)
                else value
                for name, value in self.example.items()
            }
            words = f"size {size} everywhere {wanted}"
            yield self._trial(words, self._random(self.dtypes[0], example), metas_only=True)
        for name, value in tensors.items():
            for place in range(len(value.shape)):
                shape = (*value.shape[:place], 1, *value.shape[place + 1 :])
                example = {**self.example, name: replace(value, shape=shape)}
                words = f"size 1 of {name} in dimension {place}"
                yield self._trial(words, self._random(self.dtypes[0], example), metas_only=True)
        expanded = {name: self._laid_out(value, _expanded) for name, value in self._random(self.dtypes[0]).items()}
        yield self._trial("tensors expanded over their own memory", expanded, metas_only=True)

    def _aliased(self) -> Iterator[RuleTrial]:
        """Two inputs that are one tensor, or views of one memory that overlap."""
        for one, other in itertools.combinations(self._tensors, 2):
            left, right = self._tensors[one], self._tensors[other]
            if (left.shape, left.dtype) != (right.shape, right.dtype) or left.positive != right.positive:
                continue
            arguments = self._random(self.dtypes[0])
            yield self._trial(
                f"one tensor for {one} and {other}", {**arguments, other: arguments[one]}, metas_only=True
            )
            count = math.prod(left.shape)
            memory = torch.cat([arguments[one].reshape(-1), arguments[other].reshape(-1)])
            views = memory[:count].view(left.shape), memory[1 : count + 1].view(left.shape)
            overlapping = {**arguments, one: views[0], other: views[1]}
            yield self._trial(f"views of one memory for {one} and {other}", overlapping, metas_only=True)

    def _autograd(self) -> Iterator[RuleTrial]:
        """No inputs that require grad, each alone, no gradients and inference though inputs require grad; autocast."""
        arguments = self._random(self.dtypes[0])
        yield self._trial("no inputs that require grad", arguments, trained=frozenset())
        for name in sorted(self._trained) if len(self._trained) > 1 else ():
            yield self._trial(f"gradients of {name} alone", arguments, trained=frozenset((name,)))
        yield self._trial("gradients off", arguments, modes=torch.no_grad)
        yield self._trial("inference mode", arguments, modes=torch.inference_mode)
        if self.dtypes[0] is torch.float32:
            autocast: Any = lambda: torch.autocast("cpu", torch.bfloat16, cache_enabled=False)  # noqa: E731
            yield self._trial("autocast", arguments, modes=autocast, metas_only=True, precision=torch.bfloat16)

    def _flags(self) -> Iterator[RuleTrial]:
        """Each flag among the open constants (`training`, say) the other way round."""
        for name, value in self.example.items():
            if isinstance(value, bool):
                yield self._trial(f"{name}={not value}", {**self._random(self.dtypes[0]), name: not value})
