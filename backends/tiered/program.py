"""The program of a tiered graph: eager at once, compiled when that has been shown to be right and faster.

    compiling ─► checking ─► timing ─► compiled ─► refused: why
        │           └──────────┴─────────────────► refused: why            (eager keeps running)
        └────────────────────────────────────────► failed: why             (the compiler raised)

Until the compiled program is chosen, callers get the eager one's results. From then on, calls are samples at which both
run on copies: the first, the second after that, the fourth after that, and so on up to every SAMPLED-th. A compiled
program that turns wrong is refused at the next sample, which is answered by the eager one.

States change in the caller's thread, between two calls; only the compiler's result arrives from the background. Nothing
here knows how a graph is compiled.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from backends.handover import Listener
from backends.tiered.attempt import GuardedAttempt
from backends.tiered.background import BACKGROUND
from backends.tiered.trial import TierComparison, compare

Program = Callable[..., Any]
State = Literal["eager", "compiling", "checking", "timing", "compiled", "refused", "failed"]

CHECKS: Final = 2
"""Calls on whose inputs both programs are compared."""

ROUNDS: Final = 7
"""Calls beside which both programs run on copies, timed."""

TRAINING_ROUNDS: Final = 3
"""The same where gradients flow, and both programs run forward and backward."""

SAMPLED: Final = 128
"""One call in so many of a compiled program is compared with the eager one, once the first samples were right."""


@dataclass(slots=True)
class TierStatus:
    """The state of a graph. `reason` says why its compiled program was refused, or how the compiler failed.

    `seconds` has `compile` (in the background), `check` (in the caller's thread), and the median times of a call,
    `eager` and `compiled`. `samples` counts the calls of the compiled program that were compared with the eager one.
    """

    state: State = "eager"
    reason: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    samples: int = 0

    def __str__(self) -> str:
        details = [f"{name} {spent * 1000:.3g} ms" for name, spent in self.seconds.items()]
        if self.state == "compiled":
            details.append(f"compared {self.samples} times since, every {SAMPLED} calls at least")
        text = ", ".join(details)
        return self.state + (f": {self.reason}" if self.reason else "") + (f" ({text})" if text else "")


class TieredProgram:
    """Called like the eager program. `status` says how far it has come.

    The function given to `on_replacement` is called with the program that stays, so that later calls pass little of
    this class; and again, with the eager one, if the compiled program turns wrong.
    """

    def __init__(self, eager: Program, label: str, tell: Listener) -> None:
        self.eager = eager
        self._staying = eager
        self.status = TierStatus()
        self._label = label
        self._tell = tell
        self._step: Callable[..., Any] | None = None
        self._compiled: Program = eager
        self._fits: Callable[..., bool] | None = None
        self._install: Callable[[Program], None] | None = None
        self._turn = threading.Lock()
        self._checks = 0
        self._spacing = 1
        self._calls_to_sample = 1
        self._times: dict[str, list[float]] = {"eager": [], "compiled": []}
        _programs.add(self)

    def after_fork(self) -> None:
        """In a forked process: no call of another thread is left that would end its turn."""
        self._turn = threading.Lock()

    def __call__(self, *inputs: Any) -> Any:
        BACKGROUND.last_call = time.perf_counter()
        step = self._step
        if step is None or not self._turn.acquire(blocking=False):
            return self._staying(*inputs)
        try:
            return step(self, *inputs)
        finally:
            self._turn.release()

    def backend_report(self) -> list[str]:
        """How far it has come, for reports."""
        return [str(self.status)]

    def on_replacement(self, install: Callable[[Program], None]) -> None:
        """Have `install` called with the program that stays."""
        self._install = install

    # From the background -------------------------------------------------------------------------

    def compiling(self) -> None:
        """Note that the compiler has begun."""
        self._move("compiling")

    def offer(self, compiled: Program, seconds: float, fits: Callable[..., bool] | None = None) -> None:
        """Take the compiler's result, which the calls that follow check.

        `fits(*inputs)`, if there is one, says whether the program was compiled for sizes like these.
        """
        self.status.seconds["compile"] = seconds
        self._compiled, self._fits = compiled, fits
        self._move("checking")
        self._step = TieredProgram._check

    def fail(self, reason: str) -> None:
        """Keep the eager program, because the compiler raised."""
        self._settle("failed", self.eager, reason)

    def refuse(self, reason: str) -> None:
        """Keep the eager program."""
        self._settle("refused", self.eager, reason)

    # In the caller's thread ----------------------------------------------------------------------

    def _check(self, *inputs: Any) -> Any:
        """Compare the programs on copies of these inputs, then answer with the eager one."""
        if self._fits is not None and not self._fits(*inputs):
            return self.eager(*inputs)
        comparison = self._compared(inputs)
        self._checks += 1
        if comparison is not None and self._checks == CHECKS:
            self._move("timing")
        elif comparison is not None and self._checks > CHECKS:
            self._note(eager=comparison.eager, compiled=comparison.compiled)
            if self._checks == CHECKS + (TRAINING_ROUNDS if comparison.trained else ROUNDS):
                self._decide()
        return self.eager(*inputs)

    def _compared(self, inputs: Sequence[Any]) -> TierComparison | None:
        """Both programs' runs on copies of these inputs; None, and the compiled one is refused, if they differ."""
        begun, comparison = time.perf_counter(), None
        # What ends a process is no way for a compiled program to answer, but a person at the keyboard is obeyed.
        with GuardedAttempt(everything=True, apart_from=(KeyboardInterrupt,)) as attempt:
            comparison = compare(self.eager, self._compiled, inputs)
        spent = time.perf_counter() - begun
        self.status.seconds["check"] = self.status.seconds.get("check", 0.0) + spent
        if comparison is None:
            self.refuse(f"it could not be checked: {attempt.words}")
        elif comparison.difference:
            self.refuse(f"its results differ: {comparison.difference}")
        else:
            return comparison
        return None

    def _sampled(self, compiled: Program, *inputs: Any) -> Any:
        """Answer with the compiled program; at a sample, compare the two first."""
        self._calls_to_sample -= 1
        if self._calls_to_sample > 0 or not self._turn.acquire(blocking=False):
            return compiled(*inputs)
        try:
            self._spacing = min(2 * self._spacing, SAMPLED)
            self._calls_to_sample = self._spacing
            self.status.samples += 1
            return (self.eager if self._compared(inputs) is None else compiled)(*inputs)
        finally:
            self._turn.release()

    def _note(self, **seconds: float) -> None:
        for name, spent in seconds.items():
            self._times[name].append(spent)

    def _decide(self) -> None:
        medians = {name: sorted(times)[len(times) // 2] for name, times in self._times.items()}
        self.status.seconds.update(medians)
        if medians["compiled"] < medians["eager"]:
            self._settle("compiled", self._sampler())
        else:
            self._settle("refused", self.eager, "it is no faster")

    def _sampler(self) -> Program:
        """A program that calls the compiled program for sizes that fit it, and the eager one for others."""
        compiled, eager, fits, sampled = self._compiled, self.eager, self._fits, self._sampled
        if fits is None:
            return partial(sampled, compiled)

        def either(*inputs: Any) -> Any:
            return sampled(compiled, *inputs) if fits(*inputs) else eager(*inputs)

        return either

    # States --------------------------------------------------------------------------------------

    def _move(self, state: State, reason: str = "") -> None:
        self.status.state, self.status.reason = state, reason
        details = {"code": self._label, "state": state, "reason": reason, "seconds": dict(self.status.seconds)}
        self._tell("tier", details)

    def _settle(self, state: State, program: Program, reason: str = "") -> None:
        self._step, self._fits = None, None
        if state != "compiled":
            self._compiled = self.eager
        self._staying = program
        self._move(state, reason)
        if self._install is not None:
            self._install(program)


_programs: Final[weakref.WeakSet[TieredProgram]] = weakref.WeakSet()


def _after_fork() -> None:
    for program in _programs:
        program.after_fork()


os.register_at_fork(after_in_child=_after_fork)
