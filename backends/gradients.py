"""Checks gradients against slopes: compares f(x + h) - f(x - h) with 2 <g, h>, for random directions and many step
sizes.

One number is compared per direction, however many inputs there are, so that whole models can be checked; the idea is
that of the fast mode of torch.autograd.gradcheck. If a model fails, each of its operators is checked by itself.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.overrides import TorchFunctionMode

from backends.crosscheck.calls import REFUSALS, ConcreteCall
from backends.crosscheck.candidates import CompilerCandidate
from backends.crosscheck.compare import CrosscheckDifference
from backends.crosscheck.report import ending, refuse_inside_a_script, verdict, write
from backends.crosscheck.script import script
from backends.crosscheck.shrink import shrunk
from backends.crosscheck.sweep import CrosscheckTrial, Variation
from backends.crosscheck.text import CannotWrite
from backends.crosscheck.walk import steps, undisturbed
from backends.slopes import Slope, slopes_of
from backends.verdict import Verdict
from passes.operators.targets import UnknownTarget
from passes.places import source_lines

NOT_THE_USERS: Final = (__file__, f"{Path(torch.__file__).parent}/", "<")
SLOPE: Final = Variation("slope")


class GradientError(Verdict):
    """A gradient is not the slope of its function. `report` is the GradientReport."""

    def __init__(self, report: GradientReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True)
class GradientFinding:
    """One operator whose gradient is wrong, with the user's line and a script, as in CrosscheckFinding."""

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
            lines.append(f"  script: {self.path} ({verdict(self.fails, self.why)})")
        elif self.why:
            lines.append(f"  no script: {self.why}")
        return "\n".join(lines)


@dataclass
class GradientReport:
    """The slopes of the whole function, one per direction; if one is wrong, the operators whose gradients are wrong.

    `differentiable` is False if no output depends on an input in a way that autograd follows: then nothing is checked.
    """

    evaluated: str = "torch.float64"
    differentiable: bool = True
    slopes: list[Slope] = field(default_factory=list[Slope])
    findings: list[GradientFinding] = field(default_factory=list[GradientFinding])
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every slope agrees with its gradient."""
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
        """The report as data that JSON can hold."""
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
    """Check that the gradients of a function, a module or a graph at `inputs` are its slopes.

    The inputs that require gradients are varied (all floating ones if none does), and so are a module's parameters;
    neither they nor random numbers are changed. If the whole is wrong, each operator is checked by itself. Up to `most`
    of them are reported; each is shrunk, for `shrink` seconds, to a script in `folder`. Raises TypeError for an object
    that is not callable, and what the function itself raises.
    """
    if not callable(fn_or_graph):
        raise TypeError(f"gradients can be checked of a function, a module or a graph, not of {fn_or_graph!r}")
    begun = time.monotonic()
    report = GradientReport()
    call = ConcreteCall(fn_or_graph, tuple(inputs))
    with undisturbed():
        slopes, dtype = slopes_of(call, directions, seed, torch.get_rng_state())
        report.slopes, report.evaluated, report.differentiable = slopes, str(dtype), bool(slopes)
        if not report.ok:
            for step_call, state in _calls(fn_or_graph, inputs):
                difference = _operator(step_call, state, directions, seed, shrink, verify, folder)
                if difference is not None:
                    report.findings.append(difference)
                    if len(report.findings) >= most:
                        break
    report.seconds = time.monotonic() - begun
    return report


# Operators one by one -------------------------------------------------------------------------------


def _calls(fn_or_graph: Callable[..., Any], inputs: Sequence[Any]) -> Iterator[tuple[ConcreteCall, Tensor]]:
    """Each operator call with its real arguments: a graph's nodes, or the torch functions that a function calls."""
    if isinstance(fn_or_graph, GraphModule):
        yield from ((step.call, step.seed) for step in steps(fn_or_graph, inputs))
        return
    collector = _Collector()
    copied = ConcreteCall(fn_or_graph, tuple(inputs)).copied()
    with collector, collector.functions():
        copied.run()
    yield from collector.calls


class _Collector(TorchFunctionMode):
    """Keeps every call of a torch function, on copies of its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[ConcreteCall, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._keep(ConcreteCall(func, tuple(args), dict(kwargs or {}), _line()))
        return func(*args, **(kwargs or {}))

    def _keep(self, call: ConcreteCall) -> None:
        if any(tensor.is_floating_point() for tensor in call.tensors):
            self.calls.append((call.copied(), torch.get_rng_state()))

    @contextmanager
    def functions(self) -> Iterator[None]:
        """A context in which calls of the user's `torch.autograd.Function`s by this thread are kept as well."""
        original, thread = vars(torch.autograd.Function)["apply"], threading.get_ident()

        def apply(kind: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == thread:
                self._keep(ConcreteCall(kind.apply, args, kwargs, _line()))
            return original.__get__(None, kind)(*args, **kwargs)

        torch.autograd.Function.apply = classmethod(apply)  # type: ignore[assignment]
        try:
            yield
        finally:
            torch.autograd.Function.apply = original


def _line() -> str | None:
    """The innermost line that belongs neither to torch nor to bytegraph."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(NOT_THE_USERS):
        frame = frame.f_back
    if frame is None:
        return None
    file, line = frame.f_code.co_filename, frame.f_lineno
    text = "".join(source_lines(file)[line - 1 : line]).strip()
    return f'  File "{file}", line {line}, in {frame.f_code.co_name}\n    {text}'


def _operator(
    call: ConcreteCall,
    state: Tensor,
    directions: int,
    seed: int,
    shrink: float,
    verify: bool,
    folder: str | Path | None,
) -> GradientFinding | None:
    """The finding for one operator; None if its gradient is right or it has none."""

    def wrong(call: ConcreteCall) -> Slope | None:
        try:
            slopes, _ = slopes_of(call, directions, seed, state)
        except REFUSALS:
            return None
        return next((slope for slope in slopes if not slope.ok), None)

    call = call.mapped(lambda tensor: tensor.detach().requires_grad_(tensor.is_floating_point() or tensor.is_complex()))
    slope = wrong(call)
    if slope is None:
        return None
    text = path = fails = why = None
    small = call
    if shrink > 0:
        small, _ = shrunk(call, SLOPE, lambda smaller, _: wrong(smaller) is not None, shrink)
        slope = wrong(small) or slope
        try:
            refuse_inside_a_script()
            difference = CrosscheckDifference("slope", "the gradient", slope.words)
            text = script(CrosscheckTrial(small, CompilerCandidate(), state), SLOPE, difference)
            path = write(text, call.name or "gradient", folder)
            if verify:
                fails, why = ending(path)
        except (CannotWrite, UnknownTarget) as error:
            why = str(error)
    shown = None if path is None else str(path)
    return GradientFinding(call.name or call.title, call.title, slope, call.line, text, shown, fails, why)
