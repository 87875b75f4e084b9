"""Other default dtypes: which rules hold where numbers and integers become floats of another type.

Corpora are recorded with torch's own default. Rules ask torch for it, so that most of them hold for any; here they are
tried with another one. Knows nothing of files.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import torch

from passes.infer.assessment.assess import tally
from passes.infer.trials.from_domain import SHAPES, inputs_from
from passes.infer.trials.runner import TrialRunner, trials_made
from passes.operators.resolve import UnknownOperator
from passes.record.calls import Failure
from passes.rules.answer import Answerer
from passes.rules.rule import Rule

DTYPES_ASKED: Final = ("i64", "bool", "f32", "c64")
LAYOUTS_ASKED: Final = ("row-major",)
SHAPES_ASKED: Final = {rank: SHAPES[rank][-1:] for rank in (0, 2, 3, 4)}
CHOICES: Final = 4  # combinations of arguments that are no tensors
SEEDS: Final = (0, 1, 2)  # of what is drawn: dtypes of several tensors, and other arguments
MOST_TRIALS: Final = 24  # of one rule with each seed


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Another default dtype of this process, and of those that are forked from it meanwhile."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def contradicted(rules: Iterable[Rule], laboratory: TrialRunner) -> Iterator[Rule]:
    """The rules that a trial contradicts under the default dtype of now, which the laboratory has too.

    Rules that are asked under no other default are left out.
    """
    for rule in rules:
        if rule.is_unknown or not Answerer(rule).holds_for_any_default:
            continue
        drawn = (inputs_from(rule, seed, LAYOUTS_ASKED, DTYPES_ASKED, SHAPES_ASKED, choices=CHOICES) for seed in SEEDS)
        inputs = [variant for variants in drawn for variant in itertools.islice(variants, MOST_TRIALS)]
        try:
            results = laboratory.observe_all(rule.op, rule.level, inputs) if inputs else []
        except UnknownOperator:
            continue
        calls = [call for call in trials_made(results) if not isinstance(call.outcome, Failure)]
        if tally(rule.op, [rule], calls).wrong:
            yield rule
