"""Rule: what is known of one operator, as data that JSON can hold.

Every question about the result has an ordered list of cases, each with a condition; the first whose condition holds
answers. A case without an answer says that nothing is known there. Nothing here evaluates a rule.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from passes.errors import RuleError
from passes.rules.grammar import UNKNOWN, Many, form_of, memory_of
from passes.rules.language import PRIMITIVES, READ, check, parsed

VERSION: Final = 2  # of the JSON; raised with every change that old readers misread
EVERYWHERE: Final = frozenset(("i", "shape", "is_new", "grad_mode"))  # names beside the parameters
# Bounds of what is compiled, as files come from anybody; the rules that are shipped stay below a fifth of them.
MOST_CHARACTERS: Final = 1000
MOST_PARTS: Final = 200


@dataclass(frozen=True, slots=True)
class Case:
    """`answer` holds where `condition` does ("" for always). Both are expressions; some answers are plain words."""

    condition: str
    answer: str


Cases = tuple[Case, ...]
WORDS: Final = ("alias", "raises", "form")  # questions whose answers are no expressions


def always(answer: str) -> Cases:
    """The cases of a question with one answer."""
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
        """Every question about the output, with its cases."""
        for question in QUESTIONS:
            yield question, getattr(self, question)


@dataclass(frozen=True, slots=True)
class Domain:
    """For which arguments a rule was verified.

    `ranks` and `dtypes` are those seen of each tensor parameter, `kinds` the types of each other parameter;
    `choices` has every word or enumeration member that was seen; of words that the rule takes apart itself (see
    `reads`) any may come. `layouts` are the classes (layout_class.py) in which tensors lay that the rule was right
    about; a parameter without an entry there is bound to none.
    """

    ranks: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    dtypes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    layouts: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


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


DOMAIN_FIELDS: Final = tuple(each.name for each in fields(Domain))
NO_PROVENANCE: Final = Provenance()
PROVENANCE_FIELDS: Final = tuple(each.name for each in fields(Provenance))


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
        """Every list of cases, with the question that it answers."""
        yield "raises", self.raises
        yield "form", self.form
        for number, output in enumerate(self.outputs):
            for question, cases in output.questions():
                yield f"result {number} {question}", cases
        for name, output in self.writes.items():
            for question, cases in output.questions():
                yield f"{name} {question}", cases


def to_json(rule: Rule) -> dict[str, Any]:
    """A rule as JSON can hold it; cases as [condition, answer]. Of words that it takes apart none are named."""
    bound = {name: choices for name, choices in rule.domain.choices.items() if not reads(rule, name)}
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
        "domain": {name: _plain(getattr(domain, name)) for name in DOMAIN_FIELDS},
        "provenance": {name: _plain(getattr(rule.provenance, name)) for name in PROVENANCE_FIELDS},
    }


def _cases_json(cases: Cases) -> list[list[str]]:
    return [[case.condition, case.answer] for case in cases]


def _output_json(output: Output) -> dict[str, Any]:
    return {question: _cases_json(cases) for question, cases in output.questions() if cases}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def from_json(stored: Any) -> Rule:
    """The rule that `to_json` wrote. Raises RuleError, naming the field, for what is none or not of the language.

    Nothing of it is evaluated: a rule may come from anybody.
    """
    if not isinstance(stored, dict) or not isinstance(stored.get("op"), str):
        raise RuleError("a rule is an object with `op`, `level`, `parameters`, `form`, ...")
    if stored.get("version") != VERSION:
        raise RuleError(f"rule of {stored['op']}: version {stored.get('version')}, this program reads {VERSION}")
    op = stored["op"]

    def part(field: str, read: Callable[[Any], Any]) -> Any:
        if field not in stored:
            raise RuleError(f"rule of {op}: the field {field!r} is missing")
        try:
            return read(stored[field])
        except RuleError as error:
            raise RuleError(f"rule of {op}, {field}: {error}") from error

    rule = Rule(
        op=op,
        level=part("level", _text),
        parameters=part("parameters", lambda names: tuple(map(_text, _list(names)))),
        raises=part("raises", _cases),
        form=part("form", _cases),
        outputs=part("outputs", lambda outputs: tuple(map(_output, _list(outputs)))),
        writes=part("writes", lambda outputs: {name: _output(each) for name, each in _object(outputs).items()}),
        domain=part("domain", _domain),
        provenance=part("provenance", _provenance),
    )
    validate(rule)
    return rule


def _text(stored: Any) -> str:
    if not isinstance(stored, str):
        raise RuleError(f"{stored!r} is not a string")
    if len(stored) > MOST_CHARACTERS:
        raise RuleError(
            f"{stored[:80]!r}... has {len(stored)} characters; a text of a rule has {MOST_CHARACTERS} at most"
        )
    return stored


def _list(stored: Any) -> list[Any]:
    if not isinstance(stored, list):
        raise RuleError(f"{stored!r} is not a list")
    return _few(stored)


def _object(stored: Any) -> dict[str, Any]:
    if not isinstance(stored, dict):
        raise RuleError(f"{stored!r} is not an object")
    return _few(stored)


def _few(stored: Any) -> Any:
    """A list or an object as it is. Raises RuleError if it has more parts than any rule, to be compiled, may have."""
    if len(stored) > MOST_PARTS:
        raise RuleError(f"there are {len(stored)} parts; rules have lists of {MOST_PARTS} at most")
    return stored


def _cases(stored: Any) -> Cases:
    for case in _list(stored):
        if not isinstance(case, list) or [type(text) for text in case] != [str, str]:
            raise RuleError(f"{case!r} is not a case, which is a list of two strings: the condition and the answer")
        for text in case:
            _text(text)
    return tuple(Case(condition, answer) for condition, answer in stored)


def _output(stored: Any) -> Output:
    answers: dict[str, Cases] = {}
    for question, cases in _known_fields(QUESTIONS, stored).items():
        try:
            answers[question] = _cases(cases)
        except RuleError as error:
            raise RuleError(f"{question}: {error}") from error
    alias, shape, stride, offset, dtype, grad, conj, neg = (answers.get(question, ()) for question in QUESTIONS)
    return Output(alias, shape, stride, offset, dtype, grad, conj, neg)


def _known_fields(names: Collection[str], stored: Any) -> dict[str, Any]:
    """An object as it is. Raises RuleError if it has a field that is not among `names`."""
    for name in _object(stored):
        if name not in names:
            raise RuleError(f"there is no field {name!r}; the fields are {', '.join(names)}")
    return stored


def _domain(stored: Any) -> Domain:
    parts = _known_fields(DOMAIN_FIELDS, stored)
    return Domain(**{name: _lists_by_name(name, part, int if name == "ranks" else str) for name, part in parts.items()})


def _provenance(stored: Any) -> Provenance:
    facts: dict[str, Any] = {}
    for name, part in _known_fields(PROVENANCE_FIELDS, stored).items():
        if name == "layouts":
            facts[name] = tuple(map(_text, _list(part)))
        elif not isinstance(part, type(getattr(NO_PROVENANCE, name))) or isinstance(part, bool):
            raise RuleError(f"{name}: {part!r} is no {type(getattr(NO_PROVENANCE, name)).__name__}")
        else:
            facts[name] = part
    return Provenance(**facts)


def _lists_by_name(field: str, stored: Any, kind: type) -> dict[str, tuple[Any, ...]]:
    """A list of numbers or of texts for each parameter."""
    for name, values in _object(stored).items():
        for value in _list(values):
            if type(value) is not kind:
                raise RuleError(f"{field} of {name}: {value!r} is no {kind.__name__}")
    return {name: tuple(values) for name, values in stored.items()}


def validate(rule: Rule) -> None:
    """Raise RuleError, naming the field and what is wrong there, unless all of a rule is of its language."""
    spellings = {parameter: identifier(parameter) for parameter in rule.parameters}
    _check_names(rule, spellings)
    names = EVERYWHERE.union(spellings.values())
    for question, cases in rule.decisions():
        for case in cases:
            try:
                if case.condition:
                    check(case.condition, names, spellings)
                _check_answer(rule, question.rpartition(" ")[2], case.answer, names, spellings)
            except RuleError as error:
                raise RuleError(f"rule of {rule.op}, {question}: {error}") from error


def _check_names(rule: Rule, spellings: Mapping[str, str]) -> None:
    """Raise RuleError unless every parameter is named once, and only parameters are written to or have a domain."""
    owners: dict[str, str] = {}
    for parameter in rule.parameters:
        name = spellings[parameter]
        if not name.isidentifier():
            raise RuleError(f"rule of {rule.op}, parameters: {name!r} is not a name")
        if name in owners:
            clash = f"{owners[name]!r} and {parameter!r} are both written {name!r} in expressions"
            raise RuleError(f"rule of {rule.op}, parameters: {clash}")
        owners[name] = parameter
    domain = rule.domain
    parts = {"writes": rule.writes, "ranks": domain.ranks, "dtypes": domain.dtypes, "kinds": domain.kinds}
    for part, by_name in {**parts, "choices": domain.choices, "layouts": domain.layouts}.items():
        if not by_name.keys() <= spellings.keys():
            unknown, *_ = by_name.keys() - spellings.keys()
            words = f"no parameter is called {unknown!r}; there are {', '.join(rule.parameters)}"
            raise RuleError(f"rule of {rule.op}, {part}: {words}")


def _check_answer(rule: Rule, question: str, answer: str, names: frozenset[str], spellings: Mapping[str, str]) -> None:
    """Raise RuleError for an answer that is none to this question."""
    if question == "raises":
        if not all(part.isidentifier() for part in answer.split(".")):
            raise RuleError(f"{answer!r} is no name of an exception")
    elif answer == UNKNOWN:
        return
    elif question == "alias":
        parameter = memory_of(answer).parameter
        if parameter and parameter not in rule.parameters:
            choices = ", ".join(rule.parameters)
            raise RuleError(f"{answer!r}: no parameter is called {parameter!r}; there are {choices}")
    elif question == "form":
        form = form_of(answer)
        tensors = [0] if isinstance(form, Many) else list(form.tensors()) if form else []
        if max(tensors, default=-1) >= len(rule.outputs):
            raise RuleError(f"{answer!r} has more tensors than the rule has outputs")
        if isinstance(form, Many):
            check(form.count, names, spellings)
    else:
        check(answer, names, spellings)


def reads(rule: Rule, parameter: str) -> bool:
    """Whether all that the rule makes of a parameter is to take it apart, as an equation: then it holds for others."""
    texts = [
        text
        for question, cases in rule.decisions()
        for case in cases
        for text in (case.condition, "" if question.rpartition(" ")[2] in WORDS else case.answer)
        if text
    ]
    name = identifier(parameter)
    uses = [use for text in texts for use in _uses(ast.Expression(parsed(text).tree), name)]
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
    """A parameter's name as expressions write it: `0` is `argument_0`, `from` is `from_`.

    Names that begin with an underscore, and `at`, are those of the compiled rule's own variables.
    """
    name = f"argument{parameter}" if parameter.startswith("_") else parameter
    name = f"argument_{name}" if name.isdigit() else name
    return f"{name}_" if keyword.iskeyword(name) or name in EVERYWHERE or name == "at" else name
