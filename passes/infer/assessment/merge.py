"""Merging two books: of each operator the rules that do better on recorded calls.

Another seed, or another version of the learner, finds other rules for some operators, better or worse ones.
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
PRICE_OF_CASE: Final = 2  # calls that it has to explain
PRICE_OF_SILENCE: Final = 0.1
TITLE_FACTS: Final = ("torch", "device", "machine", "seed")


@dataclass(frozen=True, slots=True)
class MergeChoice:
    """Which book's rules were taken for an operator, and how many recorded calls these answer exactly, or not."""

    op: str
    level: str
    of: str
    exact: int = 0
    unknown: int = 0


def merge(
    left: Rulebook, right: Rulebook, corpora: Sequence[str], folder: str | os.PathLike[str]
) -> Iterator[MergeChoice]:
    """Write a book with the rules of `left` or `right` for each operator: those that are exact on more calls.

    A case more has to be worth it, after the principle of minimum description length. Rules that are wrong about a
    call are left out, and such as tell a constant shape of very few calls. Those of `left` are taken where both do
    alike, and where they say nothing because results depend on values: more exact answers are more accidents then.
    """
    title = read_title(left.folder)
    write_title(Path(folder), **{fact: title[fact] for fact in TITLE_FACTS if fact in title})
    for level, op in sorted({*left.operators(), *right.operators()}):
        fit, held = calls_of(corpora, op, level)
        choice, rules = _chosen(op, level, (left.rules(op, level), right.rules(op, level)), [*fit, *held])
        if rules:
            write_rules(Path(folder), op, level, rules)
        yield choice


def _chosen(op: str, level: str, books: Sequence[list[Rule]], calls: Sequence[Call]) -> tuple[MergeChoice, list[Rule]]:
    best, kept, most = MergeChoice(op, level, NEITHER), list[Rule](), -math.inf
    few = sum(not isinstance(call.outcome, Failure) for call in calls) < FEWEST
    for name, rules in zip((LEFT, RIGHT), books, strict=True):
        if few and any(map(has_constant_shape, rules)):
            continue
        found = tally(op, rules, calls)
        worth = found.exact - _price(rules)
        if rules and not found.wrong and worth > most:
            best, kept, most = MergeChoice(op, level, name, found.exact, found.unknown), rules, worth
        if kept and all(rule.is_unknown and rule.provenance.dependent for rule in kept):
            break
    return best, kept


def _price(rules: Sequence[Rule]) -> float:
    """What the cases of rules cost; one that says where nothing is known costs mostly the answers that it withholds."""
    guarded = [case for rule in rules for _, cases in rule.decisions() for case in cases if case.guard]
    return sum(PRICE_OF_SILENCE if case.answer == UNKNOWN else PRICE_OF_CASE for case in guarded)
