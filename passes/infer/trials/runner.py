"""Runners of trials: what a study asks to run new calls of an operator, and which crashes came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from passes.infer.search.observation import is_plain
from passes.infer.trials.observe import is_made
from passes.infer.trials.variant import CallVariant
from passes.infer.worker import TRIAL_SECONDS, Crash
from passes.record.calls import Call


class TrialRunner(Protocol):
    """Whatever runs trials: a Laboratory (passes/infer/worker.py), or a CrashLog around one."""

    def observe_all(
        self, op: str, level: str, variants: Sequence[CallVariant], seconds: float = ..., fill: str | None = ...
    ) -> list[Call | Crash]:
        """Run an operator on every variant: a call for each, or the crash that it ended in."""
        ...


@dataclass(slots=True)
class CrashLog:
    """A runner of trials that keeps every crash, whatever the trial was for: none is lost from a study's report."""

    runner: TrialRunner
    crashes: list[Crash] = field(default_factory=list[Crash])

    def observe_all(
        self,
        op: str,
        level: str,
        variants: Sequence[CallVariant],
        seconds: float = TRIAL_SECONDS,
        fill: str | None = None,
    ) -> list[Call | Crash]:
        """What the runner observes; see Laboratory.observe_all."""
        results = self.runner.observe_all(op, level, variants, seconds, fill)
        self.crashes += [each for each in results if isinstance(each, Crash)]
        return results


def trials_made(results: Sequence[Call | Crash]) -> list[Call]:
    """The trials that ran to an end: neither crashed nor refused for their inputs."""
    return [each for each in results if isinstance(each, Call) and is_plain(each) and is_made(each)]
