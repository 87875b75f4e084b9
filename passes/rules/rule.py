"""Rule: what is known of one operator, as data that JSON can hold.

Every question about the result has an ordered list of guarded cases of its own; the first whose guard holds
answers. A case without an answer says that nothing is known there. Nothing here evaluates a rule.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from passes.rules.language import PRIMITIVES, READ, RuleError, check

VERSION: Final = 1  # of the JSON; raised with every change that old readers misread
UNKNOWN: Final = "unknown"
EVERYWHERE: Final = frozenset(("i", "shape", "is_new", "grad_mode"))  # names beside the parameters


@dataclass(frozen=True, slots=True)
class Case:
    """`answer` holds where `guard` does ("" for always). Both are expressions; some answers are plain words."""

    guard: str
    answer: str


Cases = tuple[Case, ...]


def always(answer: str) -> Cases:
    return (Case("", answer),)


QUESTIONS: Final = ("alias", "shape", "stride", "storage_offset", "dtype", "requires_grad", "is_conj", "is_neg")


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor that comes out: returned, or written to.

    `alias` answers `none` (there is None in its place), `kept` (it was not written to), `new`, `same NAME` (the
    argument itself) or `view NAME` (its memory); NAME may be `NAME[i]`. Where it is one or the other, the other
    questions may ask `is_new`. While a rule is learned, `rivals` has other
    answers that explained as much; they are not written to files.
    """

    alias: Cases
    shape: Cases = ()
    stride: Cases = ()
    storage_offset: Cases = ()
    dtype: Cases = ()
    requires_grad: Cases = ()
    is_conj: Cases = ()  # none: never set
    is_neg: Cases = ()
    rivals: Mapping[str, tuple[Cases, ...]] = field(default_factory=dict[str, tuple[Cases, ...]], compare=False)

    def questions(self) -> Iterator[tuple[str, Cases]]:
        for question in QUESTIONS:
            yield question, getattr(self, question)


@dataclass(frozen=True, slots=True)
class Domain:
    """For which arguments a rule was verified.

    `ranks` and `dtypes` are those seen of each tensor parameter, `kinds` the types of each other parameter;
    `choices` has every word or enumeration member that was seen; of words that the rule takes apart itself (see
    `reads`) any may come.
    """

    ranks: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    dtypes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])


@dataclass(frozen=True, slots=True)
class Provenance:
    """The evidence: `corpus` is a hash of the calls fitted, `trials` were run to falsify, `refuted` first did."""

    corpus: str = ""
    calls: int = 0
    trials: int = 0
    refuted: int = 0
    dependent: int = 0  # calls and trials whose outcome depended on the values in tensors
    torch: str = ""
    layouts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """All that is known of `op` at `level`, over its named `parameters`.

    `raises` answers with the name of an exception where a call is refused. `form` answers what is returned:
    `tensor`, `None`, `(tensor, None, tensor)`, or `[each] * N` and `(each) * N` for as many as the expression N
    says; `outputs` has one entry for each tensor there, in order, and one in all for `each`. `writes` has the
    parameters written to, as they are afterwards.
    """

    op: str
    level: str
    parameters: tuple[str, ...]
    form: Cases
    outputs: tuple[Output, ...] = ()
    writes: Mapping[str, Output] = field(default_factory=dict[str, Output])
    raises: Cases = ()
    domain: Domain = Domain()
    provenance: Provenance = Provenance()

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is answered at all: the operator is data-dependent, or was not understood."""
        return all(case.answer == UNKNOWN for case in self.form)

    def decisions(self) -> Iterator[tuple[str, Cases]]:
        """Every list of cases, with what it answers."""
        yield "raises", self.raises
        yield "form", self.form
        for number, output in enumerate(self.outputs):
            for question, cases in output.questions():
                yield f"result {number} {question}", cases
        for name, output in self.writes.items():
            for question, cases in output.questions():
                yield f"{name} {question}", cases


def to_json(rule: Rule) -> dict[str, Any]:
    """A rule as JSON can hold it; cases as [guard, answer]. Of words that it takes apart none are named."""
    bound = {name: found for name, found in rule.domain.choices.items() if not reads(rule, name)}
    domain = replace(rule.domain, choices=bound)
    return {
        "version": VERSION,
        "op": rule.op,
        "level": rule.level,
        "parameters": list(rule.parameters),
        "raises": _cases_json(rule.raises),
        "form": _cases_json(rule.form),
        "outputs": [_output_json(output) for output in rule.outputs],
        "writes": {name: _output_json(output) for name, output in rule.writes.items()},
        "domain": {question.name: _plain(getattr(domain, question.name)) for question in fields(Domain)},
        "provenance": {
            question.name: _plain(getattr(rule.provenance, question.name)) for question in fields(Provenance)
        },
    }


def _cases_json(cases: Cases) -> list[list[str]]:
    return [[case.guard, case.answer] for case in cases]


def _output_json(output: Output) -> dict[str, Any]:
    return {question: _cases_json(cases) for question, cases in output.questions() if cases}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def from_json(found: Any) -> Rule:
    """The rule that `to_json` wrote. Raises RuleError for what is none, or is not of the language."""
    if not isinstance(found, dict) or "op" not in found:
        raise RuleError("a rule is an object with `op`, `level`, `parameters`, `form`, ...")
    if found.get("version") != VERSION:
        raise RuleError(f"rule of {found['op']}: version {found.get('version')}, this program reads {VERSION}")
    try:
        rule = Rule(
            op=found["op"],
            level=found["level"],
            parameters=tuple(found["parameters"]),
            raises=_cases(found["raises"]),
            form=_cases(found["form"]),
            outputs=tuple(map(_output, found["outputs"])),
            writes={name: _output(output) for name, output in found["writes"].items()},
            domain=Domain(**{name: _tuples(part) for name, part in found["domain"].items()}),
            provenance=Provenance(**{name: _frozen(part) for name, part in found["provenance"].items()}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RuleError(f"rule of {found['op']}: {type(error).__name__}: {error}") from error
    validate(rule)
    return rule


def _cases(pairs: list[list[str]]) -> Cases:
    return tuple(Case(str(guard), str(answer)) for guard, answer in pairs)


def _output(found: dict[str, Any]) -> Output:
    unknown = found.keys() - set(QUESTIONS)
    if unknown:
        raise RuleError(f"an output has no {sorted(unknown)}; it has {QUESTIONS}")
    alias, shape, stride, offset, dtype, grad, conj, neg = (_cases(found.get(question, [])) for question in QUESTIONS)
    return Output(alias, shape, stride, offset, dtype, grad, conj, neg)


def _tuples(found: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(map(_frozen, part)) for name, part in found.items()}


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


WORDS: Final = ("alias", "raises", "form")  # questions whose answers are no expressions


def validate(rule: Rule) -> None:
    """Raise RuleError, naming what is wrong, unless every expression is one of the language."""
    names = frozenset(map(identifier, rule.parameters)) | EVERYWHERE
    for name in names:
        if not name.isidentifier():
            raise RuleError(f"rule of {rule.op}: {name!r} is no name")
    for question, cases in rule.decisions():
        for case in cases:
            if case.guard:
                check(case.guard, names)
            if case.answer != UNKNOWN and question.rpartition(" ")[2] not in WORDS:
                check(case.answer, names)


def reads(rule: Rule, parameter: str) -> bool:
    """Whether all that the rule makes of a parameter is to take it apart, as an equation: then it holds for others."""
    readers = [f"{name}(" for name, each in PRIMITIVES.items() if READ in each.takes]
    texts = [
        text
        for question, cases in rule.decisions()
        for case in cases
        for text in (case.guard, "" if question.rpartition(" ")[2] in WORDS else case.answer)
        if text
    ]
    if not any(reader in text for reader in readers for text in texts):
        return False
    name = identifier(parameter)
    uses = [use for text in texts for use in _uses(ast.parse(text, mode="eval"), name)]
    return bool(uses) and all(uses)


def _uses(tree: ast.AST, name: str) -> Iterator[bool]:
    """For every place where an expression has a name, whether a primitive takes it apart there."""
    for node in ast.walk(tree):
        takes: tuple[str, ...] = ()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in PRIMITIVES:
            takes = PRIMITIVES[node.func.id].takes
        for place, child in enumerate(node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)):
            if isinstance(child, ast.Name) and child.id == name:
                yield place < len(takes) and takes[place] == READ


def identifier(parameter: str) -> str:
    """A parameter's name as expressions write it: `0` is `argument_0`, `from` is `from_`."""
    name = f"argument_{parameter}" if parameter.isdigit() else parameter
    return f"{name}_" if keyword.iskeyword(name) or name in EVERYWHERE else name
