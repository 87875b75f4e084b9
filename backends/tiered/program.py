"""The program of a tiered graph: eager at once, compiled when that has been shown to be right and faster.

    compiling ─► checking ─► timing ─► compiled
        └───────────┴──────────┴─────► refused: why            (eager keeps running)

States change in the caller's thread, between two calls; only the compiler's result arrives from the background. Nothing
here knows how a graph is compiled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from backends.handover import Listener
from backends.tiered.attempt import GuardedAttempt
from backends.tiered.background import BACKGROUND
from backends.tiered.trial import compare

Program = Callable[..., Any]
State = Literal["eager", "compiling", "checking", "timing", "compiled", "refused"]

CHECKS: Final = 2
"""Calls on whose inputs both programs are compared."""

ROUNDS: Final = 7
"""Calls that each program takes of those that are timed."""

TRAINING_ROUNDS: Final = 3
"""Where gradients flow, calls beside which both programs run forward and backward on copies, timed."""


@dataclass(slots=True)
class TierStatus:
    """The state of a graph. `reason` says why its compiled program was refused.

    `seconds` has `compile` (in the background), `check` (in the caller's thread), and the median times of a call,
    `eager` and `compiled`.
    """

    state: State = "eager"
    reason: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        times = ", ".join(f"{name} {spent * 1000:.3g} ms" for name, spent in self.seconds.items())
        return self.state + (f": {self.reason}" if self.reason else "") + (f" ({times})" if times else "")


class TieredProgram:
    """Called like the eager program. `status` says how far it has come.

    The function given to `on_replacement` is called once, with the program that stays, so that later calls pass nothing
    of this class.
    """

    def __init__(self, eager: Program, label: str, tell: Listener) -> None:
        self.eager = eager
        self.status = TierStatus()
        self._label = label
        self._tell = tell
        self._step: Callable[..., Any] | None = None
        self._compiled: Program = eager
        self._fits: Callable[..., bool] | None = None
        self._install: Callable[[Program], None] | None = None
        self._turn = threading.Lock()
        self._checks = 0
        self._times: dict[str, list[float]] = {"eager": [], "compiled": []}

    def __call__(self, *inputs: Any) -> Any:
        BACKGROUND.last_call = time.perf_counter()
        step = self._step
        if step is None or not self._turn.acquire(blocking=False):
            return self.eager(*inputs)
        try:
            return step(self, *inputs)
        finally:
            self._turn.release()

    def on_replacement(self, install: Callable[[Program], None]) -> None:
        """Have `install` called once, with the program that stays."""
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

    def refuse(self, reason: str) -> None:
        """Keep the eager program."""
        self._settle("refused", self.eager, reason)

    # In the caller's thread ----------------------------------------------------------------------

    def _check(self, *inputs: Any) -> Any:
        """Compare the programs on copies of these inputs, then answer with the eager one."""
        if self._fits is not None and not self._fits(*inputs):
            return self.eager(*inputs)
        begun, comparison = time.perf_counter(), None
        with GuardedAttempt() as attempt:
            comparison = compare(self.eager, self._compiled, inputs)
        spent = time.perf_counter() - begun
        self.status.seconds["check"] = self.status.seconds.get("check", 0.0) + spent
        self._checks += 1
        if comparison is None:
            self.refuse(f"it could not be checked: {attempt.words}")
        elif comparison.difference:
            self.refuse(f"its results differ: {comparison.difference}")
        elif self._checks == CHECKS and not comparison.trained:
            self._move("timing")
            self._step = TieredProgram._time
        elif self._checks > CHECKS:
            self._note(eager=comparison.eager, compiled=comparison.compiled)
            if self._checks == CHECKS + TRAINING_ROUNDS:
                self._decide()
        elif self._checks == CHECKS:
            self._move("timing")
        return self.eager(*inputs)

    def _time(self, *inputs: Any) -> Any:
        """Answer with either program by turns, and record the time."""
        if self._fits is not None and not self._fits(*inputs):
            return self.eager(*inputs)
        eager, compiled = (len(times) for times in self._times.values())
        name, program = ("eager", self.eager) if eager <= compiled else ("compiled", self._compiled)
        begun = time.perf_counter()
        outputs = program(*inputs)
        self._note(**{name: time.perf_counter() - begun})
        if compiled == ROUNDS:
            self._decide()
        return outputs

    def _note(self, **seconds: float) -> None:
        for name, spent in seconds.items():
            self._times[name].append(spent)

    def _decide(self) -> None:
        medians = {name: sorted(times)[len(times) // 2] for name, times in self._times.items()}
        self.status.seconds.update(medians)
        if medians["compiled"] < medians["eager"]:
            self._settle("compiled", self._compiled if self._fits is None else self._either())
        else:
            self._settle("refused", self.eager, "it is no faster")

    def _either(self) -> Program:
        """A program that calls the compiled program for sizes that fit it, and the eager one for others."""
        compiled, eager, fits = self._compiled, self.eager, self._fits
        assert fits is not None

        def either(*inputs: Any) -> Any:
            return compiled(*inputs) if fits(*inputs) else eager(*inputs)

        return either

    # States --------------------------------------------------------------------------------------

    def _move(self, state: State, reason: str = "") -> None:
        self.status.state, self.status.reason = state, reason
        details = {"code": self._label, "state": state, "reason": reason, "seconds": dict(self.status.seconds)}
        self._tell("tier", details)

    def _settle(self, state: State, program: Program, reason: str = "") -> None:
        self._step, self._compiled, self._fits = None, self.eager, None
        if state == "compiled":
            self.eager = program
        self._move(state, reason)
        if self._install is not None:
            self._install(program)
