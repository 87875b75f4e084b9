"""`fake_kernel`: learns the fake kernel that a custom operator lacks from recorded calls, and registers it."""

from __future__ import annotations

import os
from dataclasses import replace

from passes.infer.assessment.assess import tally
from passes.infer.fake_kernels.emit import fake_kernels, of_schema, registered
from passes.infer.run import calls_of
from passes.infer.study import Plan, study
from passes.infer.validity.layouts import tried_in_layouts
from passes.infer.worker import Laboratory
from passes.operators.resolve import resolve
from passes.record.calls import Call, Failure
from passes.rules.language import RuleError
from passes.rules.rule import Rule

LEVEL = "aten"
LEAST = 0.5  # share of the recorded calls that must be explained


def fake_kernel(op: str, corpus: str | os.PathLike[str], *, trials: int = Plan().trials, seed: int = 0) -> str:
    """Learn a fake kernel for the operator `op` ("mylib::op") from its calls in `corpus`, and register it.

    The operator needs no more than a CPU kernel, which the rule is tried on in a copy of this process. Returns the
    source of the fake kernel, fit to be kept in a file. The fake kernel raises OutsideDomain for arguments that it was
    not verified for. Raises RuleError if there are no calls, or no rule explains them (their results may depend on
    data).
    """
    source = fake_kernels([inferred(op, corpus, trials=trials, seed=seed)])
    registered(source, op)
    return source


def inferred(op: str, corpus: str | os.PathLike[str], *, trials: int = Plan().trials, seed: int = 0) -> Rule:
    """The rule of a custom operator of this process, learned from its calls. Raises RuleError if there is none."""
    resolve(op, LEVEL)
    calls = _recorded(os.fspath(corpus), op)
    if all(isinstance(call.outcome, Failure) for call in calls):
        raise RuleError(f"{os.fspath(corpus)} has no call of {op} that succeeded: record some first")
    with Laboratory(forked=True) as laboratory:
        result = study(op, LEVEL, calls, laboratory, Plan(trials=trials, seed=seed))
        rules = tried_in_layouts(result.rules, calls, laboratory, seed)
    rule = of_schema(rules, op)
    explained = tally(op, [rule], calls)
    total = explained.calls + explained.data_dependent
    if explained.exact < LEAST * total:
        words = f"the rule explains {explained.exact} of {total} calls of {op}"
        raise RuleError(f"{words}: does its result depend on data?")
    return rule


def _recorded(corpus: str, op: str) -> list[Call]:
    """The calls of the operator; if only functions were recorded, the calls of the function that is the operator."""
    calls, _ = calls_of((corpus,), op, LEVEL)
    if calls:
        return calls
    called, _ = calls_of((corpus,), op, "function")
    return [replace(call, level=LEVEL) for call in called]
