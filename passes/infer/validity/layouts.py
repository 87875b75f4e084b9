"""Layouts in which a rule answers: those in which the real operator agreed with it, and never disagreed.

Trials vary the layout of every tensor, at two dimensions and more and with sizes other than 1, since a fact that no
trial varied has no evidence. Knows nothing of how rules are found.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from passes.infer.assessment.assess import Answers, difference_of, tally
from passes.infer.search.observation import is_plain
from passes.infer.trials.from_domain import inputs_from
from passes.infer.trials.inputs import metas_of
from passes.infer.trials.runner import TrialRunner, trials_made
from passes.infer.trials.strides import LAYOUTS, in_layout, reshaped
from passes.infer.trials.variant import (
    CallVariant,
    Draw,
    argument_facts,
    identity,
    is_small,
    with_metas,
)
from passes.infer.validity.withdraw import BROAD, withdrawn_where_wrong
from passes.meta import TensorMeta
from passes.operators.outcome import leaves
from passes.record.calls import Call, Failure
from passes.rules.generate import PredictedError
from passes.rules.layout_class import ROW_MAJOR, classes_up_to, layout_class
from passes.rules.rule import Rule

ENOUGH: Final = 4  # trials that must confirm a layout
LEAST_ROUNDS, MOST_ROUNDS = 1, 8  # of trials
MOST_BASES: Final = 40  # recorded calls that trials in other layouts are made from
LEADING: Final = ((3,), (3, 2), (2, 4, 3))  # sizes
DRAWN: Final = 8  # calls, to find one with a tensor that can have a layout
COMBINATIONS: Final = 40  # of other arguments, to find some that the operator takes
COMMON: Final = (ROW_MAJOR, "permuted", "sliced", "channels-last")  # layouts to be tried, whatever it takes
MORE: Final = 1.05  # times as many calls that conditions must leave answered to be preferred to a list of layouts
Place = tuple[str, str]  # a parameter, and the class of the layout of a tensor there


def in_layouts(calls: Sequence[Call], draw: Draw, rounds: int = 1) -> Iterator[CallVariant]:
    """Inputs like those of `calls`, whose tensors lie in every layout: one of them, each its own way, or all alike.

    Tensors with less than two dimensions get more of them, and sizes of 1 become larger in every second input:
    layouts say nothing there.
    """
    if not calls:
        return
    facts = argument_facts(calls)
    seen: set[object] = set()
    for layout, manner in itertools.product((*LAYOUTS,) * rounds, (_one, _alike, _each)):
        call = _base(calls, layout, draw)
        base = CallVariant(dict(call.arguments), call.shares)
        metas = _raised(metas_of(base.arguments), draw)
        metas = metas if draw.random() < 0.5 else list(map(_larger, metas))
        variant = with_metas(base, manner(metas, layout, draw)) if metas else base
        if identity(variant) not in seen and is_small(variant, facts):
            seen.add(identity(variant))
            yield variant


def _base(calls: Sequence[Call], layout: str, draw: Draw) -> Call:
    """One of the calls, if possible with a tensor that can have this layout."""
    drawn = [draw.choice(calls) for _ in range(DRAWN)]
    able = (call for call in drawn if any(in_layout(meta, layout, draw) for meta in metas_of(call.arguments)))
    return next(able, drawn[0])


def _raised(metas: Sequence[TensorMeta], draw: Draw) -> list[TensorMeta]:
    """The tensors with some leading dimensions, mostly, if none of them has two dimensions."""
    if max((meta.rank for meta in metas), default=2) >= 2 or draw.random() < 0.25:
        return list(metas)
    leading = draw.choice(LEADING)
    return [reshaped(meta, (*leading, *meta.shape)) for meta in metas]


def _larger(meta: TensorMeta) -> TensorMeta:
    """The tensor with another size where it has a 1."""
    return reshaped(meta, tuple(2 if size == 1 else size for size in meta.shape))


def _one(metas: Sequence[TensorMeta], layout: str, draw: Draw) -> list[TensorMeta]:
    chosen = draw.randrange(len(metas))
    return [(in_layout(meta, layout, draw) or meta) if number == chosen else meta for number, meta in enumerate(metas)]


def _alike(metas: Sequence[TensorMeta], layout: str, draw: Draw) -> list[TensorMeta]:
    seed = draw.random()
    return [in_layout(meta, layout, random.Random(seed)) or meta for meta in metas]


def _each(metas: Sequence[TensorMeta], layout: str, draw: Draw) -> list[TensorMeta]:
    return [in_layout(meta, draw.choice((layout, *LAYOUTS)), draw) or meta for meta in metas]


def tried_in_layouts(
    rules: Sequence[Rule], calls: Sequence[Call], laboratory: TrialRunner, seed: int = 0
) -> list[Rule]:
    """The rules of one operator, for the layouts that trials confirm.

    They are made from recorded `calls` and from the rules' domains, until every layout was tried often enough. Of a
    rule that is wrong about some, what is left is tried again.
    """
    asked = [rule for rule in rules if not rule.is_unknown and rule.domain.ranks]
    evidence = {rule.parameters: LayoutEvidence(rule) for rule in asked}
    calls = [*calls, *(call for rule in asked for call in _calls_from(rule, calls, laboratory, seed))]
    for number in range(MOST_ROUNDS if asked else 0):
        trials = layout_trials(asked, calls, laboratory, f"{seed} {number}")
        for each in evidence.values():
            each.add(trials)
        if number >= LEAST_ROUNDS and not any(each.is_scarce for each in evidence.values()):
            break
    if any(each.wrong for each in evidence.values()):
        wrong = [each.rule for each in evidence.values() if each.wrong]
        fresh = [
            call for number in range(2) for call in layout_trials(wrong, calls, laboratory, f"{seed} again {number}")
        ]
        return [evidence[rule.parameters].limited(fresh) if rule in asked else rule for rule in rules]
    return [evidence[rule.parameters].confirmed() if rule in asked else rule for rule in rules]


def confirmed_by_calls(rule: Rule, calls: Sequence[Call]) -> Rule:
    """The rule for the layouts that recorded calls confirm, where nothing can be tried."""
    if rule.is_unknown or not rule.domain.ranks:
        return rule
    evidence = LayoutEvidence(rule)
    evidence.add(call for call in calls if not isinstance(call.outcome, Failure))
    return evidence.confirmed()


def _calls_from(rule: Rule, calls: Sequence[Call], laboratory: TrialRunner, seed: int) -> list[Call]:
    """Calls that the operator takes, made from the rule's domain, if hardly any was recorded."""
    if sum(tuple(call.arguments) == rule.parameters for call in calls) >= ENOUGH:
        return []
    inputs = list(inputs_from(rule, seed, ("row-major",) * COMBINATIONS, every_dtype=False, choices=COMBINATIONS))
    results = laboratory.observe_all(rule.op, rule.level, inputs) if inputs else []
    return [call for call in trials_made(results) if not isinstance(call.outcome, Failure)]


def layout_trials(rules: Sequence[Rule], calls: Sequence[Call], laboratory: TrialRunner, seed: object) -> list[Call]:
    """Trials of the operator of `rules` in every layout, made from recorded calls and from the rules' domains."""
    op, level = rules[0].op, rules[0].level
    draw = random.Random(f"{seed} layouts {level} {op}")
    good = [call for call in calls if not isinstance(call.outcome, Failure) and is_plain(call)]
    bases = good if len(good) <= MOST_BASES else draw.sample(good, MOST_BASES)
    inputs = list(in_layouts(bases, draw))
    for rule in rules:
        inputs += inputs_from(rule, seed, tuple(LAYOUTS), every_dtype=False)
    results = laboratory.observe_all(op, level, inputs) if inputs else []
    return [call for call in trials_made(results) if not isinstance(call.outcome, Failure)]


def places_in(call: Call) -> set[Place]:
    """Every parameter of a call with the classes of the layouts of its tensors."""
    return {
        (name, layout_class(meta))
        for name, value in call.arguments.items()
        for meta in leaves((value,))
        if isinstance(meta, TensorMeta)
    }


class LayoutEvidence:
    """How often a rule was right with a tensor in some layout, and the calls that it was wrong about."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.right: Counter[Place] = Counter()
        self.wrong: list[Call] = []
        self._calls: list[Call] = []
        self._answers = Answers([replace(rule, domain=replace(rule.domain, layouts={}))])

    def add(self, calls: Iterable[Call]) -> None:
        """Compare the rule with calls that succeeded, whatever layouts it is meant for."""
        for call in calls:
            if tuple(call.arguments) != self.rule.parameters:
                continue
            self._calls.append(call)
            try:
                prediction = self._answers.answer(call.arguments)
            except PredictedError:
                self.wrong.append(call)
                continue
            if prediction is not None and difference_of(prediction, call) is None:
                self.right.update(places_in(call))
            elif prediction is not None:
                self.wrong.append(call)

    @property
    def is_scarce(self) -> bool:
        """Whether a layout was tried, but not often enough; common ones have to be tried."""
        if any(count < ENOUGH for count in self.right.values()):
            return True
        refuted = self.refuted()
        ranks = self.rule.domain.ranks
        wanted = {
            (name, each) for name in ranks for each in COMMON if each in classes_up_to(max(ranks[name], default=0))
        }
        return any(self.right[place] < ENOUGH for place in wanted - refuted)

    def refuted(self) -> set[Place]:
        """Layouts to give up, so that the rule is asked about no call any more that it was wrong about: a greedy cover.

        First those in which it is wrong most often, of the calls there. Calls with contiguous tensors only are left.
        """
        refuted: set[Place] = set()
        left = [places_in(call) for call in self.wrong]
        while True:
            left = [places for places in left if not places & refuted]
            counts = Counter(place for places in left for place in places if place[1] != ROW_MAJOR)
            if not counts:
                return refuted
            refuted.add(max(counts, key=lambda place: (counts[place] / (1 + self.right[place]), place)))

    def limited(self, fresh: Sequence[Call]) -> Rule:
        """The rule where it is right: in layouts that `fresh` calls do not refute either, or but for some conditions.

        Conditions are preferred that leave clearly more calls answered and that no fresh call refutes: an operand that
        is converted, say, lies otherwise than one that is not.
        """
        if not self.wrong:
            return self.confirmed()
        everywhere = self._in_layouts(self.right.keys())
        conditional = withdrawn_where_wrong(everywhere, self._calls, BROAD)
        same = [call for call in fresh if tuple(call.arguments) == self.rule.parameters]
        count = tally(self.rule.op, [conditional], same)
        self.add(same)
        narrow = self.confirmed()
        if count.wrong == 0 and count.exact > MORE * tally(self.rule.op, [narrow], same).exact:
            return conditional
        return narrow

    def _in_layouts(self, places: Iterable[Place]) -> Rule:
        """The rule for those of some layouts that are confirmed often enough."""
        kept = [place for place in places if self.right[place] >= ENOUGH]
        layouts = {
            name: tuple(sorted(layout for each, layout in kept if each == name)) or (ROW_MAJOR,)
            for name in self.rule.domain.ranks
        }
        return replace(self.rule, domain=replace(self.rule.domain, layouts=layouts))

    def confirmed(self) -> Rule:
        """The rule for tensors in the layouts in which enough calls agree with it, and none disagrees.

        Where it is wrong about contiguous tensors, it gives no answer any more for calls like those.
        """
        rule = self._in_layouts(self.right.keys() - self.refuted())
        return withdrawn_where_wrong(rule, self._calls) if self.wrong else rule
