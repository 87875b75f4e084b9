"""Rules as Python: source that a person can read, compiled into the function that evaluates them.

The function takes the named arguments, `at` (for each parameter the number of its first tensor among all
tensors given) and `grad_mode`, and gives an Outcome; it gives None where the rule does not know, and for
arguments outside the domain in which it was verified, unless it is asked `_anywhere`. No tensor is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from passes.meta import meta_on_cpu
from passes.operators.outcome import Outcome, Same
from passes.rules import primitives
from passes.rules.domain_check import domain_tests
from passes.rules.inline import shortened, viewed_once
from passes.rules.interned import made
from passes.rules.language import CONSTANTS, PRIMITIVES, Undefined
from passes.rules.primitives.views import view_if_any
from passes.rules.rule import UNKNOWN, Case, Cases, Output, Rule, always, identifier

Evaluation = Callable[..., Outcome | None]

assert primitives
INDENT: Final = "    "
# The variable that holds the answer to each question about an output; parameters may be called like the questions.
LOCALS: Final = {
    "shape": "shape",
    "stride": "_stride",
    "dtype": "_dtype",
    "storage_offset": "_offset",
    "requires_grad": "_grad",
}
FLAGS: Final = {"is_conj": "_conj", "is_neg": "_neg"}
MANY: Final = re.compile(r"(?P<open>[\[(])each[\])] \* (?P<count>.+)")
# What expressions raise on arguments that they do not fit.
NO_VALUE: Final = (Undefined, ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


class Refused(Exception):
    """The rule says that the operator raises; `error` is the name of the exception's type."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


NAMESPACE: Final[dict[str, Any]] = {
    **CONSTANTS,
    "_made": made,
    "_Same": Same,
    "_Outcome": Outcome,
    "_meta": meta_on_cpu,
    "_Refused": Refused,
    "_view_if_any": view_if_any,
    **{f"_{name}": each.function for name, each in PRIMITIVES.items()},
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule's function, and its source."""

    evaluate: Evaluation
    source: str


def compiled(rule: Rule) -> Compiled:
    names = [identifier(parameter) for parameter in rule.parameters]
    tests, checks = domain_tests(rule, names)
    source = shortened("\n".join(_lines(rule, names, tests)), rule) + "\n"
    namespace = NAMESPACE | checks
    exec(compile(source, f"<rule of {rule.op}>", "exec"), namespace)  # its expressions were validated
    return Compiled(namespace["rule"], source)


def _lines(rule: Rule, names: Sequence[str], tests: Sequence[str]) -> Iterator[str]:
    yield f"def rule({', '.join([*names, 'at', 'grad_mode'])}, _anywhere=False):"
    if tests:
        yield f"{INDENT}if not _anywhere:"
    for test in tests:
        yield f"{INDENT}{INDENT}if not ({test}): return None"
    for line in viewed_once([*_raising(rule.raises), *_written(rule), *_returned(rule)]):
        yield INDENT + line


_CALL: Final = re.compile(r"\b([A-Za-z_]\w*)\(")


def _python(expression: str) -> str:
    """An expression with the primitives under names that no parameter has."""
    return _CALL.sub(lambda found: f"_{found[1]}(" if found[1] in PRIMITIVES else found[0], expression)


def _raising(cases: Cases) -> Iterator[str]:
    for case in cases:
        yield f"if {_python(case.guard) or True}:"
        yield f"{INDENT}raise _Refused({case.answer!r})"


def _decision(name: str, cases: Cases, answer: Callable[[str], str] = _python) -> Iterator[str]:
    """Statements that give `name` the first answer whose guard holds, or leave the rule."""
    for number, case in enumerate(cases):
        known = case.answer != UNKNOWN
        statement = f"{name} = {answer(case.answer)}" if known else "return None"
        if not case.guard:
            yield statement if number == 0 else f"else: {statement}"
            return
        yield f"{'if' if number == 0 else 'elif'} {_python(case.guard)}: {statement}"
    yield "else: return None" if cases else "return None"


def _is_certain(cases: Cases) -> bool:
    """Whether there is one answer, whatever the arguments are."""
    return len(cases) == 1 and not cases[0].guard and cases[0].answer != UNKNOWN


def _tensor(name: str, output: Output, old: str | None = None) -> Iterator[str]:
    """Statements that give `name` the New, Same or None (not written) that an output is.

    `old` is the parameter written to, whose flags stay.
    """
    aliases = {case.answer for case in output.alias}
    made = [alias for alias in sorted(aliases) if alias == "new" or alias.startswith("view ")]
    by_shape = any(_NAME_OF_SHAPE.search(case.guard) for case in output.alias)
    if by_shape:
        yield from _decision(LOCALS["shape"], output.shape)
    asked = any("is_new" in case.guard for _, cases in output.questions() for case in cases)
    if asked or not _is_certain(output.alias):
        yield from _decision("_alias", output.alias, repr)
    for alias in sorted(aliases - {UNKNOWN} - set(made)):
        if len(aliases) > 1:
            yield f"if _alias == {alias!r}: {name} = {_same(alias)}"
        else:
            yield f"{name} = {_same(alias)}"
    if not made:
        return
    nested = len(made) < len(aliases - {UNKNOWN})
    if nested:
        yield f"if _alias in {tuple(made)!r}:"
    indent = INDENT if nested else ""
    if asked:
        yield f"{indent}is_new = _alias == 'new'"
    place = _shared_place(output)
    if place:
        yield f"{indent}_place = {_python(place)}"
    views = old is None and made != ["new"]
    tracked = "True"  # a view of a tensor that requires gradients does so without grad mode, and has no history then
    if views and "new" in made:
        tracked = "_tracked"
        yield f"{indent}_tracked = grad_mode or _alias != 'new'"
    for question, local in LOCALS.items():
        cases = getattr(output, question)
        if by_shape and question == "shape":
            continue
        if views and question == "requires_grad":
            cases = tuple(Case(*(_tracked(text, tracked) for text in (case.guard, case.answer))) for case in cases)
        if place and cases == always(f"{place}.{question}"):
            yield f"{indent}{local} = _place.{question}"
            continue
        for line in _decision(local, cases):
            yield indent + (re.sub(rf"\b{re.escape(_python(place))}", "_place", line) if place else line)
    for question, local in FLAGS.items():
        for line in _decision(local, getattr(output, question)) if getattr(output, question) else ():
            yield indent + line
    facts = "shape, _stride, _dtype, _offset, _grad"
    if old is not None:
        yield f"{indent}if not grad_mode: _grad = {old}.requires_grad"
        leaf = f"{old}.is_leaf if _grad == {old}.requires_grad else not _grad"
        yield f"{indent}{name} = _meta({facts}, {leaf}, {old}.is_conj, {old}.is_neg)"
        return
    leaf = "not (_grad and grad_mode)" if views else "not _grad"
    flags = [local if getattr(output, question) else "False" for question, local in FLAGS.items()]
    yield from _by_memory(name, made, f"{facts}, {leaf}", flags, indent)


def _by_memory(name: str, made: Sequence[str], facts: str, flags: Sequence[str], indent: str) -> Iterator[str]:
    """Statements that give `name` the New of these facts, with the tensor whose memory it has."""
    for number, alias in enumerate(made):
        more = ["None" if alias == "new" else _place(alias[5:]), *flags]
        usual = ("None", "False", "False")
        while more and more[-1] == usual[len(more) - 1]:
            more.pop()
        target = f"_made({', '.join([facts, *more])})"
        if len(made) == 1:
            yield f"{indent}{name} = {target}"
        else:
            yield f"{indent}{'if' if number == 0 else 'elif'} _alias == {alias!r}: {name} = {target}"


def _tracked(expression: str, tracked: str) -> str:
    """An expression of grad mode for a result that may be a view: where `tracked` has a value, that is asked for."""
    if tracked == "True":
        expression = expression.removeprefix("grad_mode and ")
    return re.sub(r"\bgrad_mode\b", tracked, expression)


def _shared_place(output: Output) -> str | None:
    """The call of which several facts are asked, as of `view(self, size)`: it is made once."""
    answers = [(question, cases[0].answer) for question, cases in output.questions() if cases and not cases[0].guard]
    places = [answer.removesuffix(f".{question}") for question, answer in answers if answer.endswith(f").{question}")]
    common = [place for place in places if places.count(place) > 1 and not _NAME_OF_SHAPE.search(place)]
    return common[0] if common else None


_NAME_OF_SHAPE: Final = re.compile(r"(?<!\.)\bshape\b")


def _same(alias: str) -> str:
    return "None" if alias in ("kept", "none") else f"_Same({_place(alias[5:])})"


def _place(parameter: str) -> str:
    """The number of a tensor among those given; `tensors[i]` and `tensors[0]` are of a list."""
    name, bracket, number = parameter.partition("[")
    return f"at[{name!r}] + {number[:-1]}" if bracket else f"at[{name!r}]"


def _written(rule: Rule) -> Iterator[str]:
    if rule.writes:
        yield "_mutated = {}"
    for parameter, output in rule.writes.items():
        name = identifier(parameter)
        lists = "list" in rule.domain.kinds.get(parameter, ())
        old = f"{name}[i]" if lists else name
        lines = [
            *_tensor("_written", output, old),
            f"if _written is not None: _mutated[at[{parameter!r}]{' + i' if lists else ''}] = _written",
        ]
        yield f"for i in range(len({name})):" if lists else f"if {name} is not None:"
        for line in lines:
            yield INDENT + line


def _returned(rule: Rule) -> Iterator[str]:
    many = [case for case in rule.form if MANY.fullmatch(case.answer)]
    mutated = "_mutated" if rule.writes else "{}"
    if many:
        yield from _decision("_many", rule.form, _count)
        yield "_results = []"
        yield "for i in range(_many):"
        for line in [*_tensor("_result", rule.outputs[0]), "_results.append(_result)"]:
            yield INDENT + line
        opening = {MANY.fullmatch(case.answer)["open"] for case in many}  # type: ignore[index]
        yield f"return _Outcome({'_results' if opening == {'['} else 'tuple(_results)'}, {mutated})"
        return
    answers = sorted({case.answer for case in rule.form} - {UNKNOWN})
    if not _is_certain(rule.form):
        yield from _decision("_form", rule.form, repr)
    for answer in answers:
        indent = ""
        if len(answers) > 1:
            yield f"if _form == {answer!r}:"
            indent = INDENT
        structure = answer
        for number in present(answer):
            for line in _tensor(f"_result_{number}", rule.outputs[number]):
                yield indent + line
            structure = re.sub(rf"\btensor_{number}\b", f"_result_{number}", structure)
        yield f"{indent}return _Outcome({structure}, {mutated})"


def _count(answer: str) -> str:
    found = MANY.fullmatch(answer)
    return _python(found["count"]) if found else "None"


def present(form: str) -> list[int]:
    """The numbers of the outputs that a form has: `(tensor_0, None)` has 0."""
    return [int(number) for number in re.findall(r"\btensor_(\d+)\b", form)]
