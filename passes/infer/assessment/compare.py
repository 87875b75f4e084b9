"""Comparing rules: two books with each other, and one with recorded calls, operator by operator and family by family.

The family of an operator is read off its rule: what it gives, and which primitives tell its shape and layout.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final

from passes.infer.assessment.assess import Answers, tally
from passes.infer.run import calls_of
from passes.operators.resolve import UnknownOperator, resolve
from passes.record.calls import Call, Failure, call_text
from passes.rules.binding import LEVEL_OF_FUNCTIONS, equivalents, name_of_function
from passes.rules.book import Rulebook
from passes.rules.generate import PredictedError
from passes.rules.language import PRIMITIVES
from passes.rules.rule import Cases, Domain, Rule

UNKNOWN_FAMILY: Final = "unknown"
# A family, and the primitives of which one is used by the rules of its operators; the first that fits.
BY_PRIMITIVE: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("windows", frozenset(name for name, each in PRIMITIVES.items() if each.function.__module__.endswith(".windows"))),
    ("indexing", frozenset(("indexed",))),
    ("joining", frozenset(("joined", "stacked", "joined_strides"))),
    ("reduction", frozenset(("reduced", "reduced_or_all", "summed"))),
    ("linear algebra", frozenset(("column_major", "batch"))),
    ("element-wise", frozenset(("iterated", "iterated_as", "broadcast", "preserved", "like_in_format", "promoted"))),
)
WORD: Final = re.compile(r"[A-Za-z_]\w*")
DOMAIN_WORDS: Final = tuple(each.name for each in fields(Domain))


def family(rules: Sequence[Rule]) -> str:
    """What kind of operator the rules tell of."""
    known = [rule for rule in rules if not rule.is_unknown]
    if not known:
        return UNKNOWN_FAMILY
    aliases = {case.answer.partition(" ")[0] for rule in known for output in rule.outputs for case in output.alias}
    if "view" in aliases:
        return "view"
    used = {word for rule in known for word in _words(rule)}
    for name, primitives in BY_PRIMITIVE:
        if used & primitives:
            return name
    if all("tensor" not in kinds and "list" not in kinds for rule in known for kinds in rule.domain.kinds.values()):
        return "factory"
    return "in place" if aliases == {"same"} else "other"


def _words(rule: Rule) -> Iterator[str]:
    for _, cases in rule.decisions():
        for case in cases:
            yield from WORD.findall(case.answer)


@dataclass(slots=True)
class RuleCheck:
    """Calls of one operator, or of all operators of a family, by what the rules said of them.

    `refused` calls failed as a rule said; other calls that failed are not counted: nothing is said of them.
    """

    name: str
    level: str
    family: str
    operators: int = 1
    perfect: int = 0
    exact: int = 0
    wrong: int = 0
    unknown: int = 0
    data_dependent: int = 0
    refused: int = 0
    differences: Counter[str] = field(default_factory=Counter[str])
    examples: list[str] = field(default_factory=list[str])

    @property
    def answered(self) -> float:
        """The share of calls answered, data-dependent ones apart; 1 where there are none."""
        calls = self.exact + self.wrong + self.unknown
        return (self.exact + self.wrong) / calls if calls else 1.0


SUMS: Final = ("operators", "perfect", "exact", "wrong", "unknown", "data_dependent", "refused")


def check_operator(book: Rulebook, corpora: Sequence[str], op: str, level: str) -> RuleCheck:
    """What the rules of an operator make of its calls in some corpora, as captures ask them: of its synonyms, too."""
    rules = list(_rules_for(book, op, level))
    calls, _ = calls_of(corpora, op, level)
    found = tally(op, rules, calls)
    perfect = int(not found.wrong and not found.unknown and found.exact > 0)
    examples = [f"{call_text(call)}; the rule: {said}" for call, said in found.examples if said is not None]
    counts = (found.exact, found.wrong, found.unknown, found.data_dependent, _refused(rules, calls))
    return RuleCheck(op, level, family(rules), 1, perfect, *counts, found.differences, examples)


def _rules_for(book: Rulebook, op: str, level: str) -> Iterator[Rule]:
    """The rules of an operator, then those of functions that are the same operator."""
    yield from book.rules(op, level)
    if level != LEVEL_OF_FUNCTIONS:
        return
    try:
        function = resolve(op, level)
    except UnknownOperator:
        return
    for other in equivalents(function):
        yield from book.rules(name_of_function(other)[1], level)


def _refused(rules: Sequence[Rule], calls: Iterable[Call]) -> int:
    """How many calls failed with the exception that a rule said."""
    if not any(rule.raises for rule in rules):
        return 0
    answers = Answers(rules)
    right = 0
    for call in calls:
        if isinstance(call.outcome, Failure):
            try:
                answers.answer(call.arguments)
            except PredictedError as refusal:
                right += refusal.error == call.outcome.error
    return right


def by_family(operators: Iterable[RuleCheck]) -> list[RuleCheck]:
    """The sums of each family at each level, and of all; those with most operators first."""
    sums: dict[tuple[str, str], RuleCheck] = {}
    for each in operators:
        for key in ((each.level, each.family), (each.level, "all")):
            total = sums.setdefault(key, RuleCheck(key[1], key[0], key[1], operators=0))
            for name in SUMS:
                setattr(total, name, getattr(total, name) + getattr(each, name))
            total.differences += each.differences
    return sorted(sums.values(), key=lambda each: (each.level, each.name == "all", -each.operators, each.name))


@dataclass(frozen=True, slots=True)
class RuleDifference:
    """One thing in which two books differ: `what` of the rule of `op`, as each of them has it."""

    op: str
    level: str
    what: str
    left: str
    right: str


def differences(left: Rulebook, right: Rulebook) -> Iterator[RuleDifference]:
    """What one book says otherwise than the other: operators, cases, domains. Evidence alone is no difference."""
    ours, theirs = set(left.operators()), set(right.operators())
    for level, op in sorted(ours | theirs):
        if (level, op) not in theirs:
            yield RuleDifference(op, level, "operator", "there", "")
        elif (level, op) not in ours:
            yield RuleDifference(op, level, "operator", "", "there")
        else:
            yield from _of_rules(op, level, left.rules(op, level), right.rules(op, level))


def _of_rules(op: str, level: str, left: Sequence[Rule], right: Sequence[Rule]) -> Iterator[RuleDifference]:
    ours, theirs = ({rule.parameters: rule for rule in rules} for rules in (left, right))
    for parameters in dict.fromkeys((*ours, *theirs)):
        one, other = _told(ours.get(parameters)), _told(theirs.get(parameters))
        where = f"({', '.join(parameters)}) " if len(ours) > 1 or len(theirs) > 1 else ""
        for what in dict.fromkeys((*one, *other)):
            if one.get(what, "") != other.get(what, ""):
                yield RuleDifference(op, level, where + what, one.get(what, ""), other.get(what, ""))


def _told(rule: Rule | None) -> Mapping[str, str]:
    """What a rule says, each thing as text."""
    if rule is None:
        return {}
    found = {what: _cases(cases) for what, cases in rule.decisions() if cases}
    for word in DOMAIN_WORDS:
        for name, values in getattr(rule.domain, word).items():
            found[f"{word} of {name}"] = ", ".join(map(str, values))
    return found


def _cases(cases: Cases) -> str:
    return "; ".join(f"{case.answer} if {case.guard}" if case.guard else case.answer for case in cases)
