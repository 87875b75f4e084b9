"""Answers regained: layouts that a rule was never tried in, and withdrawals wider than what contradicted the rule.

Trials that draw layouts at random do not confirm a class that hardly any call has: a matrix of one column that is
spaced, an expanded gradient. Here they are made for each class that a domain lacks. Knows nothing of how rules are
found.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

from passes.infer.assessment.assess import Answers, difference_of, tally
from passes.infer.search.observation import is_plain
from passes.infer.trials.inputs import metas_of
from passes.infer.trials.runner import TrialRunner
from passes.infer.trials.strides import LAYOUTS, in_layout, reshaped
from passes.infer.trials.variant import CallVariant, Draw, argument_facts, each, identity, is_small, key_of
from passes.infer.trials.variants import variants
from passes.infer.validity.layouts import Place, in_layouts, places_in
from passes.infer.validity.trials_together import observed, trials_of
from passes.infer.validity.withdraw import BROAD, EXACT, withdrawn_where_wrong
from passes.meta import TensorMeta
from passes.operators.outcome import Argument, Outcome
from passes.record.calls import Call, Failure
from passes.rules.generate import PredictedError
from passes.rules.layout_class import OUTERMOST_FIRST, ROW_MAJOR, classes_up_to, layout_class
from passes.rules.rule import UNKNOWN, Case, Rule

ENOUGH: Final = 6  # trials that must confirm a layout while none contradicts it
ENOUGH_AGAIN: Final = 20  # trials that must confirm an answer that was withdrawn
ROUNDS: Final = 3  # times that a rule is put together, and tried on calls that it was not put together from
TRIALS: Final = 30  # for each layout of each parameter and round
DRAWN: Final = 24  # layouts drawn for a tensor, to find one of a class
MOST_BASES: Final = 60  # recorded calls that trials are made from
AROUND: Final = 150  # variants of recorded calls
AROUND_DOUBTS: Final = 40  # variants of those that each withdrawal is about
CLEARLY: Final = 1.02  # times as many calls that are answered rightly, for a rule to be replaced


def regained(rules: Sequence[Rule], calls: Sequence[Call], laboratory: TrialRunner, seed: int = 0) -> list[Rule]:
    """The rules of one operator, each with the answers that trials made from recorded `calls` confirm.

    A rule stays as it is unless it answers clearly more calls then, all of them rightly, and those that it answered.
    """
    plain = [call for call in calls if not isinstance(call.outcome, Failure) and is_plain(call)]
    return [rule if rule.is_unknown else _regained(rule, plain, laboratory, seed) for rule in rules]


def _regained(rule: Rule, recorded: Sequence[Call], laboratory: TrialRunner, seed: int) -> Rule:
    same = [call for call in recorded if tuple(call.arguments) == rule.parameters]
    draw = random.Random(f"{seed} regained {rule.level} {rule.op} {rule.parameters}")
    sweep = trials_of(rule, laboratory, seed)
    bases = _novel([*same, *sweep], draw)
    if not bases or not (missing_places(rule) or _doubts(rule)):
        return rule
    trials = [*same, *sweep, *_trials(rule, bases, laboratory, draw, f"{seed} first")]
    confirmed: list[Rule] = []
    for number in range(ROUNDS):
        trials += _doubtful(rule, trials, laboratory, draw)
        candidates = list(_candidates(rule, trials))
        fresh = _trials(rule, bases, laboratory, draw, f"{seed} {number} again")
        fresh += _doubtful(rule, [*trials, *fresh], laboratory, draw)
        trials += fresh
        confirmed += [each for each in candidates if not _new_errors(rule, each, fresh)]
    return _best(rule, confirmed, trials, same)


def _candidates(rule: Rule, trials: Sequence[Call]) -> Iterator[Rule]:
    """Rules that answer more: in layouts that nothing refutes, or in all that were tried but for some conditions."""
    wider = with_doubts_settled(in_confirmed_layouts(rule, trials), trials)
    everywhere = replace(wider, domain=replace(wider.domain, layouts=_tried_layouts(rule, trials)))
    yield wider
    for breadth in (EXACT, BROAD):
        yield withdrawn_where_wrong(everywhere, trials, breadth)


def _best(rule: Rule, confirmed: Sequence[Rule], trials: Sequence[Call], recorded: Sequence[Call]) -> Rule:
    """The confirmed rule that answers most trials, clearly more than the one there was, and all that it answered."""
    before = _answered(rule, recorded)

    def is_sound(each: Rule) -> bool:
        kept = all(after for earlier, after in zip(before, _answered(each, recorded), strict=True) if earlier)
        return kept and not _new_errors(rule, each, trials)

    exact = {id(each): tally(rule.op, [each], trials).exact for each in (rule, *confirmed)}
    best = max((each for each in confirmed if is_sound(each)), key=lambda each: exact[id(each)], default=rule)
    return best if exact[id(best)] > CLEARLY * exact[id(rule)] else rule


def _new_errors(rule: Rule, wider: Rule, calls: Sequence[Call]) -> int:
    """How many calls a wider rule is wrong about that the rule does not answer: others are no matter of width."""
    is_answered = _answered(rule, calls)
    return tally(rule.op, [wider], [call for call, old in zip(calls, is_answered, strict=True) if not old]).wrong


def _tried_layouts(rule: Rule, trials: Sequence[Call]) -> dict[str, tuple[str, ...]]:
    """The layouts of the domain, and those in which enough trials had a tensor."""
    count = Counter(place for call in trials for place in places_in(call))
    return _with_layouts(rule, {place for place, number in count.items() if number >= ENOUGH})


def _with_layouts(rule: Rule, places: Collection[Place]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(sorted({*_layouts(rule, name), *(layout for each, layout in places if each == name)}))
        for name in rule.domain.ranks
    }


def _doubtful(rule: Rule, calls: Sequence[Call], laboratory: TrialRunner, draw: Draw) -> list[Call]:
    """Trials like the calls that each withdrawal leaves without an answer, in every layout."""
    inputs: list[CallVariant] = []
    for doubt in _doubts(rule):
        there = silenced_by(rule, doubt, calls)
        inputs += in_layouts(there, draw)
        inputs += variants(there, draw, AROUND_DOUBTS)
    return observed(rule, laboratory, inputs)


def _doubts(rule: Rule) -> list[Case]:
    return [case for case in rule.form if case.answer == UNKNOWN]


def silenced_by(rule: Rule, doubt: Case, calls: Sequence[Call]) -> list[Call]:
    """The calls that a rule answers but for one withdrawal."""
    before, after = _answered(rule, calls), _answered(_without(rule, doubt), calls)
    return [call for call, with_it, without in zip(calls, before, after, strict=True) if without and not with_it]


def _without(rule: Rule, doubt: Case) -> Rule:
    return replace(rule, form=tuple(case for case in rule.form if case != doubt))


def with_doubts_settled(rule: Rule, trials: Sequence[Call]) -> Rule:
    """The rule without the withdrawals that enough trials contradict; those that some support hold for fewer calls."""
    for doubt in _doubts(rule):
        without, there = _without(rule, doubt), silenced_by(rule, doubt, trials)
        answers = tally(rule.op, [without], there)
        if answers.exact < ENOUGH_AGAIN:
            continue
        narrower = withdrawn_where_wrong(without, there) if answers.wrong else without
        limits = [case for case in narrower.form if case not in without.form]
        settled = [Case(f"{_enclosed(doubt.condition)} and {_enclosed(case.condition)}", UNKNOWN) for case in limits]
        if all(case.condition != "True" for case in limits):
            rule = replace(rule, form=_in_place(rule.form, doubt, settled))
    return rule


def _enclosed(condition: str) -> str:
    return f"({condition})" if " and " in condition or " or " in condition else condition


def _in_place(cases: Sequence[Case], old: Case, new: Sequence[Case]) -> tuple[Case, ...]:
    return tuple(part for case in cases for part in (new if case == old else (case,)))


def _answered(rule: Rule, calls: Sequence[Call]) -> list[bool]:
    """Whether the rule answers each call, rightly or wrongly."""
    answers = Answers([rule])
    return [_answer(answers, call) is not None for call in calls]


def _answer(answers: Answers, call: Call) -> Outcome | PredictedError | None:
    try:
        return answers.answer(call.arguments)
    except PredictedError as refusal:
        return refusal


def missing_places(rule: Rule) -> set[Place]:
    """The layouts of each parameter in which a rule does not answer though tensors of its ranks may have them."""
    return {
        (name, layout)
        for name, ranks in rule.domain.ranks.items()
        for layout in classes_up_to(max(ranks, default=0))
        if layout not in _layouts(rule, name)
    }


def _layouts(rule: Rule, name: str) -> Sequence[str]:
    return rule.domain.layouts.get(name) or classes_up_to(max(rule.domain.ranks[name], default=0))


def in_confirmed_layouts(rule: Rule, trials: Sequence[Call]) -> Rule:
    """The rule, also in the layouts that it lacks and that enough trials confirm; any that one contradicts stay out."""
    missing = missing_places(rule)
    answers = Answers([replace(rule, domain=replace(rule.domain, layouts={}))])
    right: Counter[Place] = Counter()
    wrong: list[set[Place]] = []
    for call in trials:
        places = places_in(call) & missing
        prediction = _answer(answers, call) if places else None
        if isinstance(prediction, Outcome) and difference_of(prediction, call) is None:
            right.update(places)
        elif prediction is not None:
            wrong.append(places)
    accepted = {place for place, count in right.items() if count >= ENOUGH} - _cover(wrong, right)
    return replace(rule, domain=replace(rule.domain, layouts=_with_layouts(rule, accepted)))


def _cover(wrong: Sequence[set[Place]], right: Counter[Place]) -> set[Place]:
    """Places one of which every wrong call has: first those in which most calls are wrong, of the calls there."""
    cover: set[Place] = set()
    left = list(wrong)
    while left := [places for places in left if not places & cover]:
        counts = Counter(place for places in left for place in places)
        cover.add(max(counts, key=lambda place: (counts[place] / (1 + right[place]), place)))
    return cover


def _trials(rule: Rule, bases: Sequence[Call], laboratory: TrialRunner, draw: Draw, seed: object) -> list[Call]:
    """Trials in every layout that the rule lacks, of calls like the recorded ones, and those of a sweep."""
    facts = argument_facts(bases)
    inputs = [*variants(bases, draw, AROUND)]
    inputs += [each for place in sorted(missing_places(rule)) for each in _at(place, bases, draw)]
    distinct = {identity(each): each for each in inputs if is_small(each, facts)}
    return [*observed(rule, laboratory, list(distinct.values())), *trials_of(rule, laboratory, seed)]


def _at(place: Place, bases: Sequence[Call], draw: Draw) -> Iterator[CallVariant]:
    """Inputs with a tensor of one parameter in a layout of one class: the others lie as they did, or likewise."""
    name, layout = place
    able = [call for call in bases if any(_may_lie(meta, layout) for meta in metas_of({name: call.arguments[name]}))]
    for _ in range(TRIALS if able else 0):
        call = draw.choice(able)
        base = CallVariant(dict(call.arguments), call.shares)
        if draw.random() < 0.5 or layout in classes_up_to(1):
            base = _with_ones(base, draw) or base
        alike = draw.random() < 0.5
        arguments = {
            other: each(value, lambda leaf: _lying(leaf, layout, draw)) if other == name or alike else value
            for other, value in base.arguments.items()
        }
        if any(layout_class(meta) == layout for meta in metas_of({name: arguments[name]})):
            yield CallVariant(arguments, tuple(range(len(metas_of(arguments)))))


def _may_lie(meta: TensorMeta, layout: str) -> bool:
    """Whether a tensor of this rank may be of a class of layouts."""
    return layout in classes_up_to(meta.rank) and (meta.rank in OUTERMOST_FIRST or layout != "channels-last")


def _with_ones(variant: CallVariant, draw: Draw) -> CallVariant | None:
    """The inputs with all sizes but one as 1, in all tensors and the numbers that equal them, as some matrices are."""
    sizes = sorted({int(size) for meta in metas_of(variant.arguments) for size in meta.shape if size > 1})
    if not sizes:
        return None
    kept = draw.choice(sizes)

    def narrow(leaf: Argument) -> Argument:
        if type(leaf) is TensorMeta:
            return reshaped(leaf, tuple(size if size in (0, kept) else 1 for size in leaf.shape))
        return 1 if type(leaf) is int and leaf in sizes and leaf != kept else leaf

    return CallVariant({name: each(value, narrow) for name, value in variant.arguments.items()}, variant.shares)


def _lying(leaf: Argument, layout: str, draw: Draw) -> Argument:
    """A tensor in a layout of a class, if one of those drawn is of it; anything else as it is."""
    if type(leaf) is not TensorMeta:
        return leaf
    if layout == ROW_MAJOR:
        return in_layout(leaf, "row-major", draw) or leaf
    drawn = (in_layout(leaf, draw.choice(tuple(LAYOUTS)), draw) for _ in range(DRAWN))
    return next((meta for meta in drawn if meta is not None and layout_class(meta) == layout), leaf)


def _novel(calls: Sequence[Call], draw: Draw) -> list[Call]:
    """Calls to make trials from, no kind of them left out: those whose numbers, ranks and dtypes differ come first."""
    by_kind: dict[object, list[Call]] = {}
    for call in calls:
        by_kind.setdefault(_kind(call), []).append(call)
    first = [draw.choice(alike) for alike in by_kind.values()]
    rest = [call for call in calls if call not in first]
    most = max(0, MOST_BASES - len(first))
    return [*draw.sample(first, min(len(first), MOST_BASES)), *draw.sample(rest, min(len(rest), most))]


def _kind(call: Call) -> object:
    return tuple(
        key_of(each(value, lambda leaf: (leaf.rank, leaf.dtype) if type(leaf) is TensorMeta else leaf))
        for value in call.arguments.values()
    )
