"""Merging two rulebooks, keeping the better rules for each operator.

Another seed, or another version of the learner, finds other rules for some operators: better or worse ones.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from passes.infer.assessment.assess import tally
from passes.infer.run import calls_of
from passes.infer.search.learn import FEWEST
from passes.infer.validity.in_distribution import has_constant_shape
from passes.record.calls import Call, Failure
from passes.rules.book import Rulebook, read_title, write_rules, write_title
from passes.rules.rule import UNKNOWN, Rule

LEFT, RIGHT, NEITHER = "left", "right", "neither"
PRICE_OF_CASE: Final = 2  # calls that a further case has to predict to be worth it
PRICE_OF_SILENCE: Final = 0.1  # of a case without an answer
TITLE_FACTS: Final = ("torch", "device", "machine", "seed")


@dataclass(frozen=True, slots=True)
class MergeChoice:
    """Which book the rules of an operator were taken from, and how many recorded calls these predict, or do not."""

    op: str
    level: str
    of: str
    exact: int = 0
    unknown: int = 0


def merge(
    left: Rulebook, right: Rulebook, corpora: Sequence[str], folder: str | os.PathLike[str]
) -> Iterator[MergeChoice]:
    """Write a rulebook into `folder` with the rules of `left` or `right` for each operator; gives each choice.

    The rules that predict more recorded calls exactly are taken, where each case costs something (the principle of
    minimum description length). Rules that mispredict a call are left out, and constant shapes learned from very few
    calls. Those of `left` are taken where both are equal, and where they give no answer since results depend on values:
    there, more exact predictions are more accidents.
    """
    title = read_title(left.folder)
    write_title(Path(folder), **{fact: title[fact] for fact in TITLE_FACTS if fact in title})
    for level, op in sorted({*left.operators(), *right.operators()}):
        fit, held = calls_of(corpora, op, level, device=left.device)
        choice, rules = _chosen(op, level, (left.rules(op, level), right.rules(op, level)), [*fit, *held])
        if rules:
            write_rules(Path(folder), op, level, rules)
        yield choice


def _chosen(op: str, level: str, books: Sequence[list[Rule]], calls: Sequence[Call]) -> tuple[MergeChoice, list[Rule]]:
    best, best_rules, most = MergeChoice(op, level, NEITHER), list[Rule](), -math.inf
    few = sum(not isinstance(call.outcome, Failure) for call in calls) < FEWEST
    for name, rules in zip((LEFT, RIGHT), books, strict=True):
        if few and any(map(has_constant_shape, rules)):
            continue
        predicted = tally(op, rules, calls)
        worth = predicted.exact - _price(rules)
        if rules and not predicted.wrong and worth > most:
            best, best_rules, most = MergeChoice(op, level, name, predicted.exact, predicted.unknown), rules, worth
        if best_rules and all(rule.is_unknown and rule.provenance.dependent for rule in best_rules):
            break
    return best, best_rules


def _price(rules: Sequence[Rule]) -> float:
    """What the cases of rules cost. A case without an answer costs little itself: what it prevents counts."""
    conditional = [case for rule in rules for _, cases in rule.decisions() for case in cases if case.condition]
    return sum(PRICE_OF_SILENCE if case.answer == UNKNOWN else PRICE_OF_CASE for case in conditional)
