"""Gradients checked against slopes: f(x + h) - f(x - h) beside 2 <g, h>, for random directions and many step sizes.

One number is compared per direction, however many inputs there are, so that whole models can be checked:
torch.autograd.gradcheck's fast mode has the idea. The error of a difference quotient falls with the step
while the curvature dominates it and rises again when rounding does (Press et al., "Numerical Recipes",
5.7); the best step is not known beforehand, so all are tried, and two neighbours must agree with the
gradient: one alone might by chance. Evaluated in float64 where that is possible, whatever dtype is checked.
"""

from __future__ import annotations

import linecache
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from backends.crosscheck.calls import REFUSALS, Call, distinct, random_state, wider
from backends.crosscheck.candidates import Candidate
from backends.crosscheck.compare import Difference
from backends.crosscheck.report import fails, write
from backends.crosscheck.script import CannotWrite, script
from backends.crosscheck.shrink import shrunk
from backends.crosscheck.sweep import Trial, Variation
from backends.crosscheck.targets import UnknownTarget
from backends.crosscheck.tolerance import unit_roundoff
from backends.crosscheck.walk import steps, undisturbed

# Per dtype that is evaluated: the steps, relative to the size of each input, and the relative error allowed.
STEPS: Final[dict[torch.dtype, tuple[tuple[float, ...], float]]] = {
    torch.float64: (tuple(10.0**-power for power in range(1, 9)), 1e-4),
    torch.float32: (tuple(10.0 ** (-power / 2) for power in range(2, 8)), 3e-2),
    torch.bfloat16: ((0.5, 0.25, 0.125, 0.0625), 0.3),
    torch.float16: ((0.25, 0.125, 0.0625, 0.03125), 0.1),
}
NOT_THE_USERS: Final = (__file__, f"{Path(torch.__file__).parent}/", "<")
SLOPE: Final = Variation("slope")


class GradientError(AssertionError):
    """A gradient is not the slope. `report` is the GradientReport."""

    def __init__(self, report: GradientReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True)
class Slope:
    """One direction: <g, h>, the difference quotient nearest to it, and the relative error at each step.

    `own` is <g, h> of the gradient in the dtype that was given, where the evaluation was in another one.
    """

    gradient: float
    slope: float
    errors: dict[float, float]
    allowed: float
    own: float | None = None
    own_allowed: float = 0.0
    scale: float = 0.0

    @property
    def ok(self) -> bool:
        return self._agrees and (self.own is None or abs(self.own - self.gradient) <= self.own_allowed * self.scale)

    @property
    def _agrees(self) -> bool:
        """Whether two steps that are next to each other give the gradient."""
        good = [error <= self.allowed for error in self.errors.values()]
        return any(left and right for left, right in pairwise(good))

    @property
    def words(self) -> str:
        if self._agrees and not self.ok:
            return f"<g, h> is {self.own:.6g} in the dtype given, and {self.gradient:.6g} in float64"
        step, error = min(self.errors.items(), key=lambda item: item[1])
        return f"<g, h> is {self.gradient:.6g}, the slope {self.slope:.6g} (step {step:.0e}, off by {error:.1e})"


@dataclass(frozen=True)
class GradientFinding:
    """One operator whose gradient is wrong, with the user's line, and a script that shows it (as in Finding)."""

    node: str
    operator: str
    slope: Slope
    line: str | None
    script: str | None = None
    path: str | None = None
    fails: bool | None = None
    why: str | None = None

    def __str__(self) -> str:
        lines = [f"{self.operator} ({self.node}): {self.slope.words}", *([self.line.rstrip()] if self.line else [])]
        if self.path:
            verdict = {True: "fails when run", False: "does not fail when run", None: "not run"}[self.fails]
            lines.append(f"  script: {self.path} ({verdict})")
        elif self.why:
            lines.append(f"  no script: {self.why}")
        return "\n".join(lines)


@dataclass
class GradientReport:
    """The slopes of the whole, one per direction; where one is wrong, the operators that are.

    `differentiable` is False where no output depends on an input in a way that autograd follows: nothing is checked.
    """

    evaluated: str = "torch.float64"
    differentiable: bool = True
    slopes: list[Slope] = field(default_factory=list[Slope])
    findings: list[GradientFinding] = field(default_factory=list[GradientFinding])
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return all(slope.ok for slope in self.slopes)

    def __str__(self) -> str:
        if not self.differentiable:
            return "gradients: nothing to differentiate"
        verdict = "right" if self.ok else "wrong"
        figures = f"{len(self.slopes)} directions, evaluated in {self.evaluated} ({self.seconds:.1f} s)"
        head = f"gradients: {verdict} in {figures}"
        whole = [f"  whole: {slope.words}" for slope in self.slopes if not slope.ok]
        unknown = [] if self.ok or self.findings else ["  no operator alone shows it"]
        return "\n".join([head, *whole, *map(str, self.findings), *unknown])

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"ok": self.ok}


def check_gradients(
    fn_or_graph: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    directions: int = 3,
    seed: int = 0,
    most: int = 1,
    shrink: float = 20.0,
    verify: bool = True,
    folder: str | Path | None = None,
) -> GradientReport:
    """Whether the gradients of a function, a module or a graph at `inputs` are its slopes.

    Varied are the inputs that require gradients (all floating ones where none does) and a module's parameters;
    neither they nor random numbers are changed. Of a wrong whole, each operator is checked by itself; up to
    `most` are reported, each shrunk for `shrink` seconds to a script in `folder`. Raises TypeError for what is
    not callable, and what the function itself raises.
    """
    if not callable(fn_or_graph):
        raise TypeError(f"gradients can be checked of a function, a module or a graph, not of {fn_or_graph!r}")
    begun = time.monotonic()
    report = GradientReport()
    call = Call(fn_or_graph, tuple(inputs))
    with undisturbed():
        slopes, dtype = _slopes(call, directions, seed, torch.get_rng_state())
        report.slopes, report.evaluated, report.differentiable = slopes, str(dtype), bool(slopes)
        if not report.ok:
            for step_call, state in _calls(fn_or_graph, inputs):
                found = _operator(step_call, state, directions, seed, shrink, verify, folder)
                if found is not None:
                    report.findings.append(found)
                    if len(report.findings) >= most:
                        break
    report.seconds = time.monotonic() - begun
    return report


def _slopes(call: Call, directions: int, seed: int, state: Tensor) -> tuple[list[Slope], torch.dtype]:
    """The slopes of a call in random directions, and the dtype they were evaluated in; none where nothing depends."""
    subject = _Subject(call, state, wide=True)
    try:
        subject.gradients()
    except REFUSALS:
        subject = _Subject(call, state, wide=False)
        if subject.gradients() is None:
            return [], subject.dtype
    if subject.gradients() is None:
        return [], subject.dtype
    own = None
    if subject.dtype is torch.float64 and any(tensor.dtype is not torch.float64 for tensor in subject.original):
        own = _Subject(call, state, wide=False)
    return [_slope(subject, own, seed + index) for index in range(directions)], subject.dtype


class _Subject:
    """A call on copies: its value, a fixed random combination of its outputs, as a function of its leaves."""

    def __init__(self, call: Call, state: Tensor, wide: bool) -> None:
        self.call = call.copied(wider if wide else lambda dtype: dtype)
        self.state = state
        varied = [i for i, tensor in enumerate(call.tensors) if tensor.requires_grad and tensor.is_floating_point()]
        parameters = self._parameters()
        if not varied and not parameters:
            varied = [i for i, one in enumerate(call.tensors) if one.is_floating_point() or one.is_complex()]
        self.inputs = [self.call.tensors[index] for index in varied]
        self.original = [call.tensors[index] for index in varied]
        if parameters:
            self.original += list(call.target.parameters())
        self.names = list(parameters)
        self.leaves = [*self.inputs, *parameters.values()]
        self.dtype = max(
            (leaf.real.dtype if leaf.is_complex() else leaf.dtype for leaf in self.leaves),
            key=lambda dtype: torch.finfo(dtype).eps,
            default=torch.float64,
        )
        self._found: list[Tensor] | None = None
        self._done = False

    def _parameters(self) -> dict[str, Tensor]:
        target = self.call.target
        if not isinstance(target, torch.nn.Module) or isinstance(target, GraphModule):
            return {}
        return {name: parameter for name, parameter in target.named_parameters() if parameter.requires_grad}

    def value(
        self, moves: Sequence[Tensor] | None = None, gradients: bool = False
    ) -> tuple[Tensor | None, list[Tensor]]:
        """The value after each leaf has moved, a float64 sum of all that depends on them; and the leaves used."""
        moved = [leaf.detach() + (0 if moves is None else moves[index]) for index, leaf in enumerate(self.leaves)]
        used = [leaf.requires_grad_(gradients) for leaf in moved]
        # Clones: the call may write to what it is given.
        given = {id(leaf): value.clone() for leaf, value in zip(self.inputs, used, strict=False)}
        parameters = {name: leaf.clone() for name, leaf in zip(self.names, used[len(self.inputs) :], strict=True)}
        call = self.call.mapped(lambda tensor: given[id(tensor)] if id(tensor) in given else tensor.clone())
        with random_state(self.state), torch.set_grad_enabled(gradients):
            result = torch.func.functional_call(call.target, parameters, call.args) if parameters else call.run()
        terms = [
            _combined(part, index)
            for index, part in enumerate(distinct(tree_leaves(result)))
            if (part.is_floating_point() or part.is_complex()) and part.layout is torch.strided and not part.is_nested
        ]
        return (torch.stack(terms).sum() if terms else None), used

    def gradients(self) -> list[Tensor] | None:
        """Of the value, by leaf; None where it depends on none of them."""
        if not self._done:
            with torch.enable_grad():
                value, leaves = self.value(gradients=True)
                if leaves and value is not None and value.requires_grad:
                    found: Any = torch.autograd.grad(value, leaves, allow_unused=True)
                    zipped = zip(leaves, found, strict=True)
                    self._found = [torch.zeros_like(leaf) if part is None else part.detach() for leaf, part in zipped]
            self._done = True
        return self._found


def _combined(part: Tensor, index: int) -> Tensor:
    generator = torch.Generator().manual_seed(index)
    weights = torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part.device)
    wide = part.real.to(torch.float64) + part.imag.to(torch.float64) if part.is_complex() else part.to(torch.float64)
    return (wide * weights).sum()


def _slope(subject: _Subject, own: _Subject | None, seed: int) -> Slope:
    generator = torch.Generator().manual_seed(seed)
    direction = [_direction(leaf, generator) for leaf in subject.leaves]
    gradients = subject.gradients()
    assert gradients is not None
    expected, size = _along(gradients, direction)
    sizes, allowed = STEPS.get(subject.dtype, STEPS[torch.float64])
    quotients = {}
    with torch.no_grad():
        for step in sizes:
            ahead, _ = subject.value([step * part for part in direction])
            behind, _ = subject.value([-step * part for part in direction])
            assert ahead is not None and behind is not None
            quotients[step] = float(ahead - behind) / (2 * step)
    errors = {step: _relative(quotient, expected, size) for step, quotient in quotients.items()}
    best = min(errors, key=lambda step: errors[step])
    slope = Slope(expected, quotients[best], errors, allowed)
    found = None if own is None else own.gradients()
    if own is None or found is None:
        return slope
    lowered = [part.to(leaf.dtype) for part, leaf in zip(direction, own.leaves, strict=True)]
    narrow, _ = _along(found, lowered)
    unit = max(unit_roundoff(leaf.dtype) for leaf in own.leaves)
    return replace(slope, own=narrow, own_allowed=max(64 * unit, 1e-2), scale=max(abs(expected), size))


def _direction(leaf: Tensor, generator: torch.Generator) -> Tensor:
    """Random, as large as the leaf is, so that a step is relative."""
    noise = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
    if leaf.is_complex():
        noise = torch.complex(noise, torch.randn(leaf.shape, generator=generator, dtype=torch.float64))
    typical = float(leaf.detach().abs().to(torch.float64).square().mean().sqrt()) if leaf.numel() else 1.0
    return (noise * (typical or 1.0)).to(device=leaf.device, dtype=leaf.dtype)


def _along(gradients: Sequence[Tensor], direction: Sequence[Tensor]) -> tuple[float, float]:
    """<g, h>, and how large it would be if its terms did not cancel: the root of the sum of their squares."""
    pairs = zip(gradients, direction, strict=True)
    terms = [(part.conj() * along).real.to(torch.float64).flatten().cpu() for part, along in pairs]
    flat = torch.cat(terms) if terms else torch.zeros(1, dtype=torch.float64)
    return float(flat.sum()), float(flat.square().sum().sqrt())


def _relative(quotient: float, expected: float, size: float) -> float:
    scale = max(abs(quotient), abs(expected), size)
    return abs(quotient - expected) / scale if scale else 0.0


# Operators one by one -------------------------------------------------------------------------------


def _calls(fn_or_graph: Callable[..., Any], inputs: Sequence[Any]) -> Iterator[tuple[Call, Tensor]]:
    """Each operator with its real arguments: of a graph its nodes, of a function what it calls."""
    if isinstance(fn_or_graph, GraphModule):
        yield from ((step.call, step.seed) for step in steps(fn_or_graph, inputs))
        return
    collector = _Collector()
    copied = Call(fn_or_graph, tuple(inputs)).copied()
    with collector:
        copied.run()
    yield from collector.calls


class _Collector(TorchFunctionMode):
    """Keeps every call of a torch function, on copies of its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Call, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = Call(func, tuple(args), dict(kwargs or {}), _line())
        if any(tensor.is_floating_point() for tensor in call.tensors):
            self.calls.append((call.copied(), torch.get_rng_state()))
        return func(*args, **(kwargs or {}))


def _line() -> str | None:
    """The innermost line that is neither torch's nor ours."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(NOT_THE_USERS):
        frame = frame.f_back
    if frame is None:
        return None
    file, line = frame.f_code.co_filename, frame.f_lineno
    return f'  File "{file}", line {line}, in {frame.f_code.co_name}\n    {linecache.getline(file, line).strip()}'


def _operator(
    call: Call, state: Tensor, directions: int, seed: int, shrink: float, verify: bool, folder: str | Path | None
) -> GradientFinding | None:
    """The finding for one operator; None where its gradient is right, or it has none."""

    def wrong(call: Call) -> Slope | None:
        try:
            found, _ = _slopes(call, directions, seed, state)
        except REFUSALS:
            return None
        return next((slope for slope in found if not slope.ok), None)

    call = call.mapped(lambda tensor: tensor.detach().requires_grad_(tensor.is_floating_point() or tensor.is_complex()))
    slope = wrong(call)
    if slope is None:
        return None
    text = path = verdict = why = None
    small = call
    if shrink > 0:
        small, _ = shrunk(call, SLOPE, lambda smaller, _: wrong(smaller) is not None, shrink)
        slope = wrong(small) or slope
        try:
            difference = Difference("slope", "the gradient", slope.words)
            text = script(Trial(small, Candidate(), state), SLOPE, difference)
            path = write(text, call.name or "gradient", folder)
            verdict = fails(path) if verify else None
        except (CannotWrite, UnknownTarget) as error:
            why = str(error)
    shown = None if path is None else str(path)
    return GradientFinding(call.name or call.title, call.title, slope, call.line, text, shown, verdict, why)
