"""The program of a tiered graph: eager at once, compiled when that has been shown to be right and faster.

    compiling ─► checking ─► timing ─► compiled
        └───────────┴──────────┴─────► refused: why            (eager goes on running)

States change in the caller's thread, between two calls, except that the compiler's answer arrives from
the background. Nothing here knows how a graph is compiled.
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
    """Where a graph stands. `seconds` has `compile` (in the background), `check` (of a caller's time), and the
    medians of a call, `eager` and `compiled`; `reason` says why it was refused."""

    state: State = "eager"
    reason: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        times = ", ".join(f"{name} {spent * 1000:.3g} ms" for name, spent in self.seconds.items())
        return self.state + (f": {self.reason}" if self.reason else "") + (f" ({times})" if times else "")


class TieredProgram:
    """Called like the eager program. `status` tells how things are.

    `install(program)`, given to `on_replacement`, is called once with the program that stays, so that nothing
    of this is left in the way.
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
        self._install = install

    # From the background -------------------------------------------------------------------------

    def compiling(self) -> None:
        self._move("compiling")

    def offer(self, compiled: Program, seconds: float, fits: Callable[..., bool] | None = None) -> None:
        """The compiler's answer: to be checked in the calls that follow.

        `fits(*inputs)`, where there is one, says whether it was compiled for sizes like these.
        """
        self.status.seconds["compile"] = seconds
        self._compiled, self._fits = compiled, fits
        self._move("checking")
        self._step = TieredProgram._check

    def refuse(self, reason: str) -> None:
        """Eager stays."""
        self._settle("refused", self.eager, reason)

    # In the caller's thread ----------------------------------------------------------------------

    def _check(self, *inputs: Any) -> Any:
        """Compare the programs on copies of these inputs, then answer eagerly."""
        if self._fits is not None and not self._fits(*inputs):
            return self.eager(*inputs)
        begun, found = time.perf_counter(), None
        with GuardedAttempt() as attempt:
            found = compare(self.eager, self._compiled, inputs)
        spent = time.perf_counter() - begun
        self.status.seconds["check"] = self.status.seconds.get("check", 0.0) + spent
        self._checks += 1
        if found is None:
            self.refuse(f"it could not be checked: {attempt.words}")
        elif found.difference:
            self.refuse(f"it computes something else: {found.difference}")
        elif self._checks == CHECKS and not found.trained:
            self._move("timing")
            self._step = TieredProgram._time
        elif self._checks > CHECKS:
            self._note(eager=found.eager, compiled=found.compiled)
            if self._checks == CHECKS + TRAINING_ROUNDS:
                self._decide()
        elif self._checks == CHECKS:
            self._move("timing")
        return self.eager(*inputs)

    def _time(self, *inputs: Any) -> Any:
        """Answer with either program by turns, and note the time."""
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
        """The compiled program for the sizes that it fits, the eager one for others."""
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
