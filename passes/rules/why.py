"""Why a book answers a call as it does, or not at all: the rule, its evidence and cases, or what it refused.

Calls are read from text, in the words in which tensors are printed; reading them executes nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from passes.errors import RuleError
from passes.meta import CPU, DTYPE_BY_NAME, DTYPE_NAMES, TensorMeta
from passes.operators.modes import Modes
from passes.operators.outcome import Argument, Arguments, Keywords, ListArg, New, Outcome, Same, Target, leaves
from passes.rules.answer import Answerer
from passes.rules.book import Route, Rulebook
from passes.rules.domain_check import check_of, choices_of, kind_in_domain, layouts_of
from passes.rules.generate import NO_VALUE, PredictedError
from passes.rules.layout_class import layout_class
from passes.rules.primitives.layouts import contiguous
from passes.rules.rule import UNKNOWN, Case, Cases, Rule

TENSOR: Final = re.compile(
    r"(?P<dtype>[a-z]\w*)\[(?P<shape>[\d\s,]*)\]"
    r"(?:\s+stride\s+\((?P<stride>[\d\s,]*)\))?(?:\s+(?P<device>meta|cuda|cpu|mps)\b)?"
    r"(?:\s+offset\s+(?P<offset>\d+))?(?P<flags>(?:\s+(?:requires_grad|conj|neg))*)"
)
KEYWORD: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)(.*)", re.DOTALL)
OBJECTS: Final = (torch.dtype, torch.memory_format, torch.layout)


def read_arguments(words: Sequence[str]) -> tuple[Arguments, Keywords]:
    """Arguments and keywords from text: `f32[3, 4] stride (1, 3)`, `[f32[2], f32[2]]`, `dim=1`, `torch.float64`.

    A tensor has row-major strides, offset 0 and the CPU if nothing else is said. Raises RuleError for other text.
    """
    args: list[Argument] = []
    kwargs: list[tuple[str, Argument]] = []
    for text in words:
        keyword = KEYWORD.fullmatch(text)
        if keyword is None:
            args.append(_read(text))
        else:
            kwargs.append((keyword[1], _read(keyword[2])))
    return tuple(args), tuple(kwargs)


def _read(text: str) -> Argument:
    metas: list[TensorMeta] = []

    def placed(match: re.Match[str]) -> str:
        metas.append(_meta(match))
        return f"_tensor_{len(metas) - 1}"

    named = TENSOR.sub(lambda match: placed(match) if match["dtype"] in DTYPE_BY_NAME else match[0], text)
    try:
        tree = ast.parse(named.strip(), mode="eval").body
    except SyntaxError as error:
        raise RuleError(f"{text!r} is no argument: {error.msg}") from error
    return _value(tree, metas, text)


def _meta(match: re.Match[str]) -> TensorMeta:
    shape = _numbers(match["shape"])
    stride = tuple(contiguous(shape)) if match["stride"] is None else _numbers(match["stride"])
    if len(stride) != len(shape):
        raise RuleError(f"{match[0]!r} has {len(shape)} sizes and {len(stride)} strides")
    flags = match["flags"].split()
    meta = TensorMeta(shape, stride, DTYPE_BY_NAME[match["dtype"]])
    return meta.replace(
        device=torch.device(match["device"] or CPU.type),
        storage_offset=int(match["offset"] or 0),
        requires_grad="requires_grad" in flags,
        is_conj="conj" in flags,
        is_neg="neg" in flags,
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.strip())


def _value(tree: ast.expr, metas: Sequence[TensorMeta], text: str) -> Any:
    match tree:
        case ast.Name(name) if name.startswith("_tensor_"):
            return metas[int(name.removeprefix("_tensor_"))]
        case ast.List(parts):
            return ListArg(_value(part, metas, text) for part in parts)
        case ast.Tuple(parts):
            return tuple(_value(part, metas, text) for part in parts)
        case ast.Attribute(ast.Name("torch"), name) if isinstance(getattr(torch, name, None), OBJECTS):
            return getattr(torch, name)
        case _:
            try:
                return ast.literal_eval(tree)
            except ValueError as error:
                raise RuleError(f"{text!r} is no argument: tensors are written as `f32[2, 3]`") from error


@dataclass(frozen=True, slots=True)
class RuleReason:
    """What one rule said of a call: its `outcome`, with the cases that gave it, or why it refused."""

    rule: Rule
    outcome: Outcome | None
    refusals: tuple[str, ...]
    cases: tuple[tuple[str, Case], ...]

    @property
    def lines(self) -> Iterator[str]:
        """The reason as a person reads it."""
        rule = self.rule
        name = f"the rule of {rule.op} for ({', '.join(rule.parameters)})"
        yield f"{name} {'refused' if self.outcome is None else 'answered'}"
        yield from (f"  {refusal}" for refusal in self.refusals)
        if self.outcome is not None:
            yield from (f"  returns {_words(leaf)}" for leaf in self.outcome.tensors)
            yield from (f"  writes argument {index}: {meta.text}" for index, meta in self.outcome.mutated.items())
        for question, case in self.cases:
            yield f"  {question} = {case.answer}{f', as {case.condition}' if case.condition else ''}"
        evidence = rule.provenance
        yield (
            f"  evidence: {evidence.calls:,} calls fitted, {evidence.trials:,} trials, {evidence.refuted:,} of which "
            f"refuted an earlier rule; torch {evidence.torch or 'not recorded'}"
        )
        yield from (f"  domain: {line}" for line in domain_lines(rule))


def _words(leaf: object) -> str:
    if isinstance(leaf, New):
        where = "" if leaf.alias_of is None else f", a view of argument {leaf.alias_of}"
        return leaf.meta.text + where
    return f"argument {leaf.index} itself" if isinstance(leaf, Same) else repr(leaf)


def domain_lines(rule: Rule) -> Iterator[str]:
    """The domain of a rule, a line for each parameter: kinds, ranks, dtypes, layouts and words."""
    for name in rule.parameters:
        parts = [", ".join(rule.domain.kinds.get(name, ())) or "nothing"]
        if ranks := rule.domain.ranks.get(name):
            layouts = ", ".join(sorted(layouts_of(rule.domain, name))) or "any layout"
            parts += [f"ranks {min(ranks)}-{max(ranks)}", ", ".join(rule.domain.dtypes.get(name, ())), layouts]
        if choices := choices_of(rule, name):
            parts.append(f"one of {', '.join(sorted(map(str, choices)))}")
        yield f"{name}: {'; '.join(parts)}"


def reasons(book: Rulebook, target: Target, args: Arguments, kwargs: Keywords = ()) -> list[RuleReason]:
    """What each rule said that was asked about a call, up to the first that answered; empty where none was asked."""
    answers: list[RuleReason] = []
    for route in book.routes(target, args, kwargs):
        answers.append(_reason(route, args, kwargs))
        if answers[-1].outcome is not None:
            break
    return answers


def answering_rule(book: Rulebook, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Rule | None:
    """The rule that answers a call; None if none does, or one that is asked about another call in its place."""
    for route in book.routes(target, args, kwargs):
        try:
            outcome = route.answerer.evaluate(*route.values(args, kwargs), route.places, modes.grad)
        except NO_VALUE:
            continue
        if outcome is not None:
            return route.answerer.rule
    return None


def silence(book: Rulebook, target: Target, args: Arguments, kwargs: Keywords = ()) -> str:
    """Why a book gave no answer, "" if it gave one."""
    if book.answer(target, args, kwargs, Modes()) is not None:
        return ""
    return book.why_not(target, args, kwargs, Modes()).reason


def _reason(route: Route, args: Arguments, kwargs: Keywords) -> RuleReason:
    rule, values = route.answerer.rule, route.values(args, kwargs)
    outside = tuple(
        f"{name} is outside of its domain: {outside_words(rule, name, value)}"
        for name, value in zip(rule.parameters, values, strict=True)
        if not check_of(rule, name)(value)
    )
    if outside:
        return RuleReason(rule, None, outside, ())
    try:
        outcome = _answer(rule, values, route.places)
    except PredictedError as error:
        return RuleReason(rule, None, (f"the operator raises {error.error}, says the rule",), ())
    if outcome is not None:
        return RuleReason(rule, outcome, (), tuple(_deciding(rule, values, route.places)))
    return RuleReason(rule, None, tuple(_silent(rule, values, route.places)) or ("a primitive has no value here",), ())


def _answer(rule: Rule, values: Sequence[Argument], places: Mapping[str, int]) -> Outcome | None:
    try:
        return Answerer(rule).evaluate(*values, places, True)
    except NO_VALUE:
        return None


def outside_words(rule: Rule, name: str, value: Argument) -> str:
    """What about an argument is outside of the domain of a rule, in words."""
    domain = rule.domain
    kinds = domain.kinds.get(name, ())
    metas = [leaf for leaf in leaves((value,)) if isinstance(leaf, TensorMeta)]
    kind = "tensor" if isinstance(value, TensorMeta) else kind_in_domain(value)
    if kind not in kinds:
        return f"it is of the kind {kind}, and the rule was tried with {', '.join(kinds) or 'nothing'}"
    for meta in metas:
        dtype, layouts, ranks = DTYPE_NAMES.get(meta.dtype, ""), layouts_of(domain, name), domain.ranks.get(name, ())
        if meta.device.type != CPU.type:
            return f"it is on {meta.device}, and the rule was learned on {CPU.type}"
        if dtype not in domain.dtypes.get(name, ()):
            return f"its dtype is {dtype}, and the rule was tried with {', '.join(domain.dtypes.get(name, ()))}"
        if not min(ranks, default=0) <= meta.rank <= max(ranks, default=-1):
            return f"it has {meta.rank} dimensions, and the rule was tried with {', '.join(map(str, ranks))}"
        if layouts and (meta.stride is None or layout_class(meta) not in layouts):
            lies = "not strided" if meta.stride is None else layout_class(meta)
            return f"its layout is {lies}, and trials confirmed {', '.join(sorted(layouts))}"
    if choices := choices_of(rule, name):
        return f"it is {value}, and the rule was tried with {', '.join(sorted(map(str, choices)))}"
    return "it has flags (conjugate, negative, inference) that the rule was not tried with"


def _deciding(rule: Rule, values: Sequence[Argument], places: Mapping[str, int]) -> Iterator[tuple[str, Case]]:
    """The case of each question that gave the answer: the one without which the rule has none."""
    for number, output in enumerate(rule.outputs):
        for question, cases in output.questions():
            for index, case in enumerate(cases):
                changed = replace(output, **{question: _silenced(cases, index)})
                outputs = (*rule.outputs[:number], changed, *rule.outputs[number + 1 :])
                if _answer(replace(rule, outputs=outputs), values, places) is None:
                    yield f"{question} of result {number}", case
                    break


def _silenced(cases: Cases, index: int) -> Cases:
    return (*cases[:index], Case(cases[index].condition, UNKNOWN), *cases[index + 1 :])


def _silent(rule: Rule, values: Sequence[Argument], places: Mapping[str, int]) -> Iterator[str]:
    """The cases without an answer that hold for a call, first of all those of the form of the result."""
    left = rule
    for case in rule.form:
        if case.answer != UNKNOWN:
            continue
        only = replace(rule, form=(case, Case("", "None")), outputs=(), writes={}, raises=())
        if _answer(only, values, places) is None:
            where = case.condition or "anything holds"
            yield f"trials contradicted an answer where {where}, or calls there say too little"
            left = replace(left, form=tuple(each for each in left.form if each != case))
    if left is rule:
        for question, cases in rule.decisions():
            for case in cases:
                if case.answer == UNKNOWN and question != "form":
                    where = case.condition or "no other case holds"
                    yield f"nothing explains the {question} of some calls (where {where})"
