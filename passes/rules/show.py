"""Rules as a person would write them down: a Python function of the named arguments, with its evidence above.

What is usual is left out: new memory, offset 0, gradients where an argument has one. Not meant to be run;
what is run is `generate.compiled(rule).source`.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from passes.operators.resolve import NOT_GIVEN, Parameter, UnknownOperator, parameters, resolve
from passes.rules.grammar import KEPT, UNKNOWN, Many, Part, form_of
from passes.rules.language import parsed
from passes.rules.rule import Case, Cases, Output, Rule, identifier

WIDTH: Final = 110
INDENT: Final = "    "
# Questions whose answers are variables, in the order in which they are printed.
TOLD: Final = ("shape", "stride", "storage_offset", "dtype", "requires_grad", "is_conj", "is_neg")
OWN_SHAPE: Final = "shape"  # the name by which expressions ask for the shape of the output that they are about


def rule_text(rule: Rule) -> str:
    """The rule of an operator for one list of parameters, as text."""
    lines = [_evidence(rule), f"def {_name(rule.op)}({', '.join(_signature(rule))}):"]
    body = ["return unknown"] if rule.is_unknown else list(_body(rule))
    return "\n".join([*lines, *(INDENT + line for line in body)])


def _evidence(rule: Rule) -> str:
    provenance = rule.provenance
    ranks = sorted({rank for seen in rule.domain.ranks.values() for rank in seen})
    facts = [f"{provenance.calls:,} calls fitted", f"{provenance.trials:,} falsification trials clean"]
    if provenance.refuted:
        facts[1] = f"{provenance.trials:,} falsification trials, {provenance.refuted:,} counterexamples learned from"
    if ranks:
        facts.append(f"ranks {ranks[0]}-{ranks[-1]}" if len(ranks) > 1 else f"rank {ranks[0]}")
    return f"# {rule.op}   {', '.join(facts)}"


def _name(op: str) -> str:
    name = op.partition("::")[2].partition(".")[0] if "::" in op else op.rpartition(".")[2]
    return f"{name}_" if keyword.iskeyword(name) else name


def _signature(rule: Rule) -> Iterator[str]:
    """The parameters with the defaults that their schema has, if there is one."""
    declared = _known_parameters(rule)
    keyword_only = False
    for name in rule.parameters:
        parameter = declared.get(name, Parameter(name))
        if parameter.by_keyword and not keyword_only and not name.isdecimal():
            keyword_only = True
            yield "*"
        usual = "" if parameter.default is NOT_GIVEN else f"={parameter.default!r}"
        yield identifier(name) + usual


def _known_parameters(rule: Rule) -> Mapping[str, Parameter]:
    try:
        return {each.name: each for each in parameters(resolve(rule.op, rule.level), rule.parameters)}
    except UnknownOperator:  # the library that has it is not imported here
        return {}


def _body(rule: Rule) -> Iterator[str]:
    for case in rule.raises:
        yield f"if {case.condition}: raise {case.answer}"
    for name, output in rule.writes.items():
        yield from _written(rule, name, output)
    if any(isinstance(form_of(case.answer), Many) for case in rule.form):
        yield from _many(rule)
        return
    texts: dict[str, str] = {}
    single = len(rule.outputs) == 1
    results: list[str] = []
    for number, output in enumerate(rule.outputs):
        lines, result = _output(rule, output, "" if single else f"_{number}", texts)
        yield from lines
        results.append(result)
    forms = [Case(case.condition, structure_text(case.answer, results)) for case in rule.form]
    if len(forms) > 1 or not single or results[0] not in ("", "new") or forms[0].answer != results[0]:
        yield from _returned(forms)


def _many(rule: Rule) -> Iterator[str]:
    """A list of as many outputs as an expression says, alike but for the number `i`."""
    yield from decision("count", [Case(case.condition, count_text(case.answer)) for case in rule.form])
    yield "for i in range(count):"
    lines, result = _output(rule, rule.outputs[0], "", {})
    for line in [*lines, f"yield {result}"]:
        yield INDENT + line


def _written(rule: Rule, name: str, output: Output) -> Iterator[str]:
    """What is written to: nothing but its values change, mostly."""
    argument = identifier(name)
    changed = [
        (question, cases)
        for question, cases in output.questions()
        if cases
        and question in ("shape", "stride", "dtype")
        and any(case.answer not in (f"{argument}.{question}", f"{argument}[i].{question}", UNKNOWN) for case in cases)
    ]
    kept = [case for case in output.alias if case.answer == KEPT]
    if not changed:
        yield f"write({argument})" + ("   # not always" if kept else "")
    for question, cases in changed:
        yield from decision(
            f"{argument}.{question}", [Case(c.condition, with_own_shape(c.answer, f"{argument}.shape")) for c in cases]
        )


def with_own_shape(text: str, shape: str) -> str:
    """An expression with another name for the output's own shape; it stays as it is spelled otherwise."""
    return with_names(text, lambda name, _: shape if name == OWN_SHAPE else None)


def with_names(text: str, replacement: Callable[[str, bool], str | None]) -> str:
    """An expression with `replacement(name, called)` in the place of each name for which it is not None.

    `called` says that the name is that of a function in a call. Everything else stays as it is spelled.
    """
    if not text:
        return text
    nodes = list(ast.walk(parsed(text).tree))
    functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    names = sorted((node for node in nodes if isinstance(node, ast.Name)), key=lambda node: node.col_offset)
    encoded = text.encode()  # columns of a tree count bytes
    for node in reversed(names):
        new = replacement(node.id, id(node) in functions)
        if new is not None:
            encoded = encoded[: node.col_offset] + new.encode() + encoded[node.end_col_offset :]
    return encoded.decode()


def _output(rule: Rule, output: Output, suffix: str, texts: dict[str, str]) -> tuple[list[str], str]:
    """Lines that tell an output, and what it is: `new`, `new(shape_0, ...)`, `self`, `view(self, ...)`.

    `texts` has the variable that has each text already.
    """
    aliases = {case.answer for case in output.alias}
    same = aliases - {UNKNOWN} and all(alias.startswith("same ") for alias in aliases - {UNKNOWN})
    if same:
        return [], " or ".join(sorted(alias.removeprefix("same ") for alias in aliases - {UNKNOWN}))
    if view := _plain_view(output):
        return [], view
    lines: list[str] = []
    variables: list[str] = []
    for question in TOLD:
        cases: Cases = getattr(output, question)
        if not cases or _is_usual(rule, question, cases):
            continue
        variable = f"{question}{suffix}"
        renamed = [
            Case(with_own_shape(c.condition, f"shape{suffix}"), with_own_shape(c.answer, f"shape{suffix}"))
            for c in cases
        ]
        text = "\n".join(decision("", renamed))
        if text in texts:
            lines.append(f"{variable} = {texts[text]}")
        else:
            texts[text] = variable
            lines += decision(variable, renamed)
        variables.append(variable)
    usual = not suffix and variables[:2] == ["shape", "stride"]
    if aliases == {"new"}:
        return lines, "new" if usual else f"new({', '.join(variables)})"
    memory = [Case(with_own_shape(c.condition, f"shape{suffix}"), _memory(c.answer, variables)) for c in output.alias]
    if len(memory) == 1:
        return lines, memory[0].answer
    return [*lines, *decision(f"result{suffix}", memory)], f"result{suffix}"


def _plain_view(output: Output) -> str | None:
    """The expression that tells all of a view, if there is one: `select(self, dim, i)`."""
    answers = {question: cases[0].answer for question, cases in output.questions() if len(cases) == 1}
    kind, _, name = answers.get("alias", "").partition(" ")
    view = answers.get("shape", "").removesuffix(".shape")
    usual = {f"{name}.dtype", f"{name}.is_conj", f"{name}.is_neg", f"{name}.storage_offset", f"{view}.storage_offset"}
    facts = [answers.get(question) for question in ("storage_offset", "dtype", "is_conj", "is_neg")]
    plain = kind == "view" and answers.get("stride") == f"{view}.stride" and f"{name}.dtype" in facts
    return view if plain and all(answer in (*usual, "False", None) for answer in facts) else None


def bare(text: str) -> str:
    """An expression without brackets around all of it."""
    inner = text[1:-1]
    try:
        ast.parse(inner, mode="eval")
    except SyntaxError:
        return text
    return inner if text[:1] == "(" and text[-1:] == ")" else text


def _memory(alias: str, variables: Sequence[str]) -> str:
    """What an answer about memory means: the argument, a view of it, or a new tensor."""
    kind, _, name = alias.partition(" ")
    facts = ", ".join(variables)
    return {"same": name, "view": f"view({name}, {facts})", "new": f"new({facts})", "none": "None"}.get(kind, UNKNOWN)


def _is_usual(rule: Rule, question: str, cases: Cases) -> bool:
    if len(cases) != 1:
        return False
    answer = cases[0].answer
    if question == "requires_grad":
        return answer == "False" if rule.level == "aten" else _is_usual_grad(parsed(answer).tree)
    return answer == {"storage_offset": "0", "is_conj": "False", "is_neg": "False"}.get(question)


def _is_usual_grad(answer: ast.expr) -> bool:
    """Whether it is that of a differentiable operator: an argument requires a gradient, and gradients are on."""
    match answer:
        case ast.BoolOp(
            op=ast.And(), values=[ast.Name(id="grad_mode"), ast.Call(func=ast.Name(id="any_requires_grad"))]
        ):
            return True
        case _:
            return False


def count_text(answer: str) -> str:
    """How many tensors a result has, as an expression; unknown where it is no list of tensors that are alike."""
    form = form_of(answer)
    return bare(form.count) if isinstance(form, Many) else UNKNOWN


def structure_text(answer: str, tensors: Sequence[str]) -> str:
    """The form of a result with a text for each of its tensors: `(new, None)`."""
    form = form_of(answer)
    return _part_text(form, tensors) if isinstance(form, Part) else answer


def _part_text(part: Part, tensors: Sequence[str]) -> str:
    if part.tensor is not None:
        return tensors[part.tensor]
    if part.kind is None:
        return "None"
    inner = ", ".join(_part_text(each, tensors) for each in part.parts)
    return f"[{inner}]" if part.kind is list else f"({inner}{',' if len(part.parts) == 1 else ''})"


def _returned(forms: Sequence[Case]) -> Iterator[str]:
    for case in forms:
        yield f"if {case.condition}: return {case.answer}" if case.condition else f"return {case.answer}"


def decision(name: str, cases: Sequence[Case], unknown: Callable[[str], str] = "{} = unknown".format) -> Iterator[str]:
    """Statements that give `name` the first answer whose condition holds: one, if that is short."""
    answered = [case for case in cases if case.answer != UNKNOWN]
    if len(cases) == 1 and answered:
        yield f"{name} = {cases[0].answer}"
        return
    short = " else ".join(f"{case.answer} if {case.condition}" if case.condition else case.answer for case in cases)
    if len(answered) == len(cases) == 2 and not cases[-1].condition and len(name) + len(short) < WIDTH:
        yield f"{name} = {short}"
        return
    for number, case in enumerate(cases):
        head = f"{'if' if number == 0 else 'elif'} {case.condition}:" if case.condition else "else:"
        statement = unknown(name) if case.answer == UNKNOWN else f"{name} = {case.answer}"
        if not case.condition and number == 0:
            yield statement
        elif len(head) + len(statement) < WIDTH:
            yield f"{head} {statement}"
        else:
            yield head
            yield INDENT + statement
    if cases and cases[-1].condition:
        yield f"else: {unknown(name)}"
