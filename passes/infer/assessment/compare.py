"""Comparisons of rulebooks: two with each other, and one with recorded calls, by operator and by family.

The family of an operator follows from its rule: from what is returned, and from the primitives for shape and layout.
"""

from __future__ import annotations

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
from passes.rules.domain_check import layouts_of
from passes.rules.generate import PredictedError
from passes.rules.language import PRIMITIVES, parsed
from passes.rules.layout_class import classes_up_to
from passes.rules.rule import WORDS, Cases, Domain, Rule
from passes.rules.show import count_text

UNKNOWN_FAMILY: Final = "unknown"
# Families, and primitives of which the rules of their operators use one. The first family that fits counts.
BY_PRIMITIVE: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("windows", frozenset(name for name, each in PRIMITIVES.items() if each.function.__module__.endswith(".windows"))),
    ("indexing", frozenset(("indexed",))),
    ("joining", frozenset(("joined", "stacked", "joined_strides"))),
    ("reduction", frozenset(("reduced", "reduced_or_all", "summed"))),
    ("linear algebra", frozenset(("column_major", "batch"))),
    ("element-wise", frozenset(("iterated", "iterated_as", "broadcast", "preserved", "like_in_format", "promoted"))),
)
USUAL_DTYPES: Final = ("f32", "f64", "bf16", "i64", "bool", "c64")
USUAL_RANKS: Final = range(5)
DOMAIN_WORDS: Final = tuple(each.name for each in fields(Domain))


def family(rules: Sequence[Rule]) -> str:
    """The family of the operator that these rules are of."""
    answering = [rule for rule in rules if not rule.is_unknown]
    if not answering:
        return UNKNOWN_FAMILY
    aliases = {case.answer.partition(" ")[0] for rule in answering for output in rule.outputs for case in output.alias}
    if "view" in aliases:
        return "view"
    used = {name for rule in answering for name in _primitives(rule)}
    for name, primitives in BY_PRIMITIVE:
        if used & primitives:
            return name
    if all("tensor" not in kinds and "list" not in kinds for rule in answering for kinds in rule.domain.kinds.values()):
        return "factory"
    return "in place" if aliases == {"same"} else "other"


def _primitives(rule: Rule) -> Iterator[str]:
    """The primitives in the rule's answers, the numbers of outputs that it gives among them."""
    for question, cases in rule.decisions():
        for case in cases:
            if question == "form":
                yield from parsed(count_text(case.answer)).primitives
            elif question.rpartition(" ")[2] not in WORDS:
                yield from parsed(case.answer).primitives


@dataclass(slots=True)
class RuleCheck:
    """How rules predicted the calls of one operator, or of all operators of a family.

    `perfect` counts operators without a wrong or missing prediction. `refused` calls failed as a rule predicted; other
    calls that failed are not counted, for rules do not predict them.
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
    lacks: Counter[str] = field(default_factory=Counter[str])  # what so many rules were never tried with
    examples: list[str] = field(default_factory=list[str])

    @property
    def answered(self) -> float:
        """Share of calls with a prediction, data-dependent ones left out; 1 where there are no calls."""
        calls = self.exact + self.wrong + self.unknown
        return (self.exact + self.wrong) / calls if calls else 1.0


SUMS: Final = ("operators", "perfect", "exact", "wrong", "unknown", "data_dependent", "refused")


def check_operator(book: Rulebook, corpora: Sequence[str], op: str, level: str) -> RuleCheck:
    """How a book predicts the calls of an operator in some corpora, asking rules as captures do: of synonyms too."""
    rules = list(rules_for(book, op, level))
    calls, _ = calls_of(corpora, op, level, device=book.device)
    result = tally(op, rules, calls)
    perfect = int(not result.wrong and not result.unknown and result.exact > 0)
    examples = [
        f"{call_text(call)}; the rule predicts {prediction}"
        for call, prediction in result.examples
        if prediction is not None
    ]
    counts = (result.exact, result.wrong, result.unknown, result.data_dependent, _refused(rules, calls))
    lacks = Counter(each for rule in rules for each in evidence_lacks(rule))
    return RuleCheck(op, level, family(rules), 1, perfect, *counts, result.differences, lacks, examples)


def evidence_lacks(rule: Rule) -> set[str]:
    """What no trial of a rule had that its tensors may have: usual dtypes, ranks up to 4, classes of layouts."""
    lacks: set[str] = set()
    for name, ranks in {} if rule.is_unknown else rule.domain.ranks.items():
        layouts = layouts_of(rule.domain, name)
        missing = {*classes_up_to(max(ranks, default=0))} - layouts if layouts else set[str]()
        lacks |= {f"layout {each}" for each in missing}
        lacks |= {f"dtype {each}" for each in USUAL_DTYPES if each not in rule.domain.dtypes.get(name, ())}
        lacks |= {f"rank {each}" for each in USUAL_RANKS if each not in ranks}
    return lacks


def rules_for(book: Rulebook, op: str, level: str) -> Iterator[Rule]:
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
    """How many calls failed with the exception that a rule predicted."""
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
    """Sums for each family at each level, and for all of a level; families with most operators first."""
    sums: dict[tuple[str, str], RuleCheck] = {}
    for each in operators:
        for key in ((each.level, each.family), (each.level, "all")):
            total = sums.setdefault(key, RuleCheck(key[1], key[0], key[1], operators=0))
            for name in SUMS:
                setattr(total, name, getattr(total, name) + getattr(each, name))
            total.differences += each.differences
            total.lacks += each.lacks
    return sorted(sums.values(), key=lambda each: (each.level, each.name == "all", -each.operators, each.name))


@dataclass(frozen=True, slots=True)
class RuleDifference:
    """One difference between two books: `what` about the rule of `op`, as each of them has it."""

    op: str
    level: str
    what: str
    left: str
    right: str


def differences(left: Rulebook, right: Rulebook) -> Iterator[RuleDifference]:
    """Operators, cases and domains in which two books differ. Other evidence for the same rule is no difference."""
    left_operators, right_operators = set(left.operators()), set(right.operators())
    for level, op in sorted(left_operators | right_operators):
        if (level, op) not in right_operators:
            yield RuleDifference(op, level, "operator", "there", "")
        elif (level, op) not in left_operators:
            yield RuleDifference(op, level, "operator", "", "there")
        else:
            yield from _of_rules(op, level, left.rules(op, level), right.rules(op, level))


def _of_rules(op: str, level: str, left: Sequence[Rule], right: Sequence[Rule]) -> Iterator[RuleDifference]:
    left_operators, right_operators = ({rule.parameters: rule for rule in rules} for rules in (left, right))
    for parameters in dict.fromkeys((*left_operators, *right_operators)):
        one, other = _facts(left_operators.get(parameters)), _facts(right_operators.get(parameters))
        where = f"({', '.join(parameters)}) " if len(left_operators) > 1 or len(right_operators) > 1 else ""
        for what in dict.fromkeys((*one, *other)):
            if one.get(what, "") != other.get(what, ""):
                yield RuleDifference(op, level, where + what, one.get(what, ""), other.get(what, ""))


def _facts(rule: Rule | None) -> Mapping[str, str]:
    """The cases and the domain of a rule, each part as text."""
    if rule is None:
        return {}
    result = {what: _cases(cases) for what, cases in rule.decisions() if cases}
    for word in DOMAIN_WORDS:
        for name, values in getattr(rule.domain, word).items():
            result[f"{word} of {name}"] = ", ".join(map(str, values))
    return result


def _cases(cases: Cases) -> str:
    return "; ".join(f"{case.answer} if {case.condition}" if case.condition else case.answer for case in cases)
