"""The rule compiler: a rule as a Python function, built as a syntax tree of nodes that the language of rules has.

The function takes the named arguments, `at` (for each parameter the number of its first tensor among all
tensors given) and `grad_mode`, and gives an Outcome; it gives None where the rule does not know, and for
arguments outside the domain in which it was verified, unless it is asked `_anywhere`. No tensor is made.

Rules come from files. Nothing of their text is compiled as it stands: expressions are parsed and checked by
language.py, the other answers by grammar.py, and names enter the tree as names and constants.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from passes.meta import meta_on_cpu
from passes.operators.outcome import Outcome, Same
from passes.rules import primitives, syntax
from passes.rules.domain_check import domain_tests
from passes.rules.grammar import KEPT, UNKNOWN, Many, MemoryAnswer, Part, form_of, memory_of
from passes.rules.inline import Kinds, in_python, kinds_of, viewed_once
from passes.rules.interned import made
from passes.rules.language import CONSTANTS, PRIMITIVES, Undefined, parsed, undefined
from passes.rules.primitives.views import view_if_any
from passes.rules.rule import Cases, Output, Rule, identifier
from passes.rules.syntax import Block, assign, constant, name

Evaluation = Callable[..., Outcome | None]
Translation = Callable[[str], ast.expr]  # of a case's condition or answer

assert primitives
# The variable that holds the answer to each question about an output; parameters may be called like the questions.
LOCALS: Final = {
    "shape": "shape",
    "stride": "_stride",
    "dtype": "_dtype",
    "storage_offset": "_offset",
    "requires_grad": "_grad",
}
FLAGS: Final = {"is_conj": "_conj", "is_neg": "_neg"}
GRAD_MODE: Final = "grad_mode"
# What expressions raise on arguments that they do not fit.
NO_VALUE: Final = (Undefined, ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


# What Python repeats when it is multiplied.
SEQUENCES: Final = (tuple, list, str, bytes)
MOST_OUTPUTS: Final = 1 << 16  # tensors in a list that a rule is asked for; a longer one is tried instead


def _times(left: Any, right: Any) -> Any:
    """`left * right` of numbers. A list or a text has no product: repeated, it could fill the memory."""
    if isinstance(left, SEQUENCES) or isinstance(right, SEQUENCES):
        undefined("a list or a text is multiplied")
    return left * right


def _modulo(left: Any, right: Any) -> Any:
    """`left % right` of numbers; a text on the left would be filled in, to any width."""
    if isinstance(left, SEQUENCES):
        undefined("a text is filled in")
    return left % right


def _numbers_below(count: Any) -> range:
    """The numbers of as many outputs as a rule says."""
    if count > MOST_OUTPUTS:
        undefined(f"more than {MOST_OUTPUTS} outputs")
    return range(count)


class PredictedError(Exception):
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
    "_Refused": PredictedError,
    "_view_if_any": view_if_any,
    "_times": _times,
    "_modulo": _modulo,
    "_numbers_below": _numbers_below,
    **{f"_{each.name}": each.function for each in PRIMITIVES.values()},
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule's function, and the syntax tree that it was compiled from."""

    evaluate: Evaluation
    tree: ast.Module

    @property
    def source(self) -> str:
        """The function as Python text, to be read."""
        return ast.unparse(self.tree) + "\n"


def compiled(rule: Rule) -> Compiled:
    """The function that evaluates a rule. Raises RuleError for a rule that is not of the language."""
    names = [identifier(parameter) for parameter in rule.parameters]
    tests, checks = domain_tests(rule, names)
    tree = _Compiler(rule).function(names, tests)
    return Compiled(syntax.defined(tree, "rule", f"<rule of {rule.op}>", NAMESPACE | checks), tree)


class _Compiler:
    """Statements of the function of one rule."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.kinds: Kinds = kinds_of(rule)

    def function(self, names: Sequence[str], tests: Sequence[ast.expr]) -> ast.Module:
        """The whole function: the questions of the domain first, then what is raised, written and returned."""
        body = [*self._raising(), *self._written(), *self._returned()]
        if tests:
            outside: Block = [syntax.when(syntax.negated(test), [syntax.give(constant(None))]) for test in tests]
            body = [syntax.when(syntax.negated(name("_anywhere")), outside), *viewed_once(body, self.kinds)]
        else:
            body = viewed_once(body, self.kinds)
        return syntax.function("rule", [*names, "at", GRAD_MODE], body, optional="_anywhere")

    def _python(self, text: str) -> ast.expr:
        return in_python(parsed(text).tree, self.kinds)

    def _raising(self) -> Block:
        return [
            syntax.when(
                self._python(case.condition) if case.condition else constant(True),
                [ast.Raise(syntax.call("_Refused", constant(case.answer)), None, **syntax.HERE)],
            )
            for case in self.rule.raises
        ]

    def _decision(
        self, variable: str, cases: Cases, answer: Translation, condition: Translation | None = None
    ) -> Block:
        """Statements that give `variable` the first answer whose condition holds, or leave the rule."""
        statements: Block = [syntax.give(constant(None))]
        for case in reversed(cases):
            is_known = case.answer != UNKNOWN
            answered: Block = [assign(variable, answer(case.answer)) if is_known else syntax.give(constant(None))]
            statements = (
                answered
                if not case.condition
                else [syntax.when((condition or answer)(case.condition), answered, statements)]
            )
        return statements

    def _written(self) -> Block:
        statements: Block = [assign("_mutated", syntax.dictionary())] if self.rule.writes else []
        for parameter, output in self.rule.writes.items():
            written = name(identifier(parameter))
            listed = "list" in self.rule.domain.kinds.get(parameter, ())
            old = syntax.item(written, name("i")) if listed else written
            place = _number(parameter)
            key = syntax.sum_of(place, name("i")) if listed else place
            store = syntax.assign_item("_mutated", key, name("_written"))
            body = [*self._tensor("_written", output, old), syntax.when(syntax.is_not_none(name("_written")), [store])]
            if listed:
                statements.append(syntax.repeat("i", syntax.call("range", syntax.call("len", written)), body))
            else:
                statements.append(syntax.when(syntax.is_not_none(written), body))
        return statements

    def _returned(self) -> Block:
        forms = [(case, form_of(case.answer)) for case in self.rule.form]
        if many := [form for _, form in forms if isinstance(form, Many)]:
            return self._many(many)
        certain = _is_certain(self.rule.form)
        statements = [] if certain else self._decision("_form", self.rule.form, constant, self._python)
        parts = {case.answer: form for case, form in forms if isinstance(form, Part)}
        for text, part in sorted(parts.items()):
            body: Block = []
            for number in part.tensors():
                body += self._tensor(f"_result_{number}", self.rule.outputs[number])
            body.append(self._outcome(_structure(part)))
            if len(parts) > 1:
                statements.append(syntax.when(syntax.compared(name("_form"), ast.Eq(), constant(text)), body))
            else:
                statements += body
        return statements

    def _many(self, forms: Sequence[Many]) -> Block:
        """A list or tuple of as many outputs as an expression says, alike but for their number `i`."""

        def count(text: str) -> ast.expr:
            form = form_of(text)
            return self._python(form.count) if isinstance(form, Many) else constant(None)

        append = ast.Call(syntax.attribute(name("_results"), "append"), [name("_result")], [], **syntax.HERE)
        body = [*self._tensor("_result", self.rule.outputs[0]), ast.Expr(append, **syntax.HERE)]
        results = name("_results")
        listed = {form.kind for form in forms} == {list}
        return [
            *self._decision("_many", self.rule.form, count, self._python),
            assign("_results", ast.List([], syntax.LOAD, **syntax.HERE)),
            syntax.repeat("i", syntax.call("_numbers_below", name("_many")), body),
            self._outcome(results if listed else syntax.call("tuple", results)),
        ]

    def _outcome(self, result: ast.expr) -> ast.stmt:
        mutated = name("_mutated") if self.rule.writes else syntax.dictionary()
        return syntax.give(syntax.call("_Outcome", result, mutated))

    def _tensor(self, variable: str, output: Output, old: ast.expr | None = None) -> Block:
        """Statements that give `variable` the New, Same or None (not written) that an output is.

        `old` is the argument written to, whose flags stay.
        """
        memories = {case.answer: memory_of(case.answer) for case in output.alias if case.answer != UNKNOWN}
        fresh = [text for text, memory in sorted(memories.items()) if memory.kind in ("new", "view")]
        by_shape = any("shape" in _names(case.condition) for case in output.alias)
        statements = self._decision(LOCALS["shape"], output.shape, self._python) if by_shape else []
        asked = any("is_new" in _names(case.condition) for _, cases in output.questions() for case in cases)
        if asked or not _is_certain(output.alias):
            statements += self._decision("_alias", output.alias, constant, self._python)
        several = len({case.answer for case in output.alias}) > 1
        for text, memory in sorted(memories.items()):
            if text not in fresh:
                argument = assign(variable, _same(memory))
                statements.append(syntax.when(_alias_is(text), [argument]) if several else argument)
        if not fresh:
            return statements
        facts = self._facts(output, fresh, old, by_shape, asked)
        facts += self._meta(variable, output, fresh, old, memories)
        if len(fresh) == len(memories):
            return statements + facts
        choices = ast.Tuple([constant(text) for text in fresh], syntax.LOAD, **syntax.HERE)
        return [*statements, syntax.when(syntax.compared(name("_alias"), ast.In(), choices), facts)]

    def _facts(self, output: Output, fresh: Sequence[str], old: Any, by_shape: bool, asked: bool) -> Block:
        """Statements that give each fact of an output its variable."""
        statements: Block = []
        if asked:
            statements.append(assign("is_new", _alias_is("new")))
        place = _shared_place(output)
        if place is not None:
            statements.append(assign("_place", in_python(place, self.kinds)))
        tracked: ast.expr | None = None
        if old is None and fresh != ["new"]:
            # A view of a tensor that requires gradients does so without grad mode, and has no history then.
            tracked = constant(True)
            if "new" in fresh:
                different = syntax.compared(name("_alias"), ast.NotEq(), constant("new"))
                statements.append(assign("_tracked", syntax.any_of(name(GRAD_MODE), different)))
                tracked = name("_tracked")

        def fact(text: str) -> ast.expr:
            return in_python(parsed(text).tree, self.kinds, place, "_place")

        def gradient(text: str) -> ast.expr:
            return _tracked(fact(text), tracked)

        for question, variable in {**LOCALS, **FLAGS}.items():
            cases: Cases = getattr(output, question)
            if (by_shape and question == "shape") or (question in FLAGS and not cases):
                continue
            translation = gradient if tracked is not None and question == "requires_grad" else fact
            statements += self._decision(variable, cases, translation)
        return statements

    def _meta(
        self,
        variable: str,
        output: Output,
        fresh: Sequence[str],
        old: ast.expr | None,
        memories: dict[str, MemoryAnswer],
    ) -> Block:
        """Statements that give `variable` the New, or meta of what is written to, with the facts in the variables."""
        facts = [name(LOCALS[question]) for question in ("shape", "stride", "dtype", "storage_offset", "requires_grad")]
        grad = name(LOCALS["requires_grad"])
        if old is not None:
            kept = syntax.attribute(old, "requires_grad")
            leaf = syntax.choice(
                syntax.compared(grad, ast.Eq(), kept), syntax.attribute(old, "is_leaf"), syntax.negated(grad)
            )
            flags = [syntax.attribute(old, flag) for flag in FLAGS]
            keep = syntax.when(syntax.negated(name(GRAD_MODE)), [assign(LOCALS["requires_grad"], kept)])
            return [keep, assign(variable, syntax.call("_meta", *facts, leaf, *flags))]
        leaf = syntax.negated(grad if fresh == ["new"] else syntax.all_of(grad, name(GRAD_MODE)))
        flags = [name(local) if getattr(output, flag) else None for flag, local in FLAGS.items()]
        statements: Block = []
        for text in reversed(fresh):
            more = [None if text == "new" else _tensor_number(memories[text]), *flags]
            while more and more[-1] is None:  # it is the default then
                more.pop()
            defaults = (None, False, False)
            parts = [constant(default) if part is None else part for part, default in zip(more, defaults, strict=False)]
            tensor = assign(variable, syntax.call("_made", *facts, leaf, *parts))
            statements = [tensor] if len(fresh) == 1 else [syntax.when(_alias_is(text), [tensor], statements)]
        return statements


def _is_certain(cases: Cases) -> bool:
    """Whether there is one answer, whatever the arguments are."""
    return len(cases) == 1 and not cases[0].condition and cases[0].answer != UNKNOWN


def _names(text: str) -> frozenset[str]:
    return parsed(text).names if text else frozenset()


def _alias_is(text: str) -> ast.expr:
    return syntax.compared(name("_alias"), ast.Eq(), constant(text))


def _same(memory: MemoryAnswer) -> ast.expr:
    return constant(None) if memory.kind in (KEPT, "none") else syntax.call("_Same", _tensor_number(memory))


def _number(parameter: str) -> ast.expr:
    """The number of a parameter's first tensor among those given."""
    return syntax.item(name("at"), constant(parameter))


def _tensor_number(memory: MemoryAnswer) -> ast.expr:
    """The number of a tensor among those given; `tensors[i]` and `tensors[0]` are of a list."""
    first = _number(memory.parameter)
    if not memory.index:
        return first
    return syntax.sum_of(first, name("i") if memory.index == "i" else constant(int(memory.index)))


def _structure(part: Part) -> ast.expr:
    """The result's structure, with the variable of each tensor."""
    if part.tensor is not None:
        return name(f"_result_{part.tensor}")
    if part.kind is None:
        return constant(None)
    container = ast.Tuple if part.kind is tuple else ast.List
    return container([_structure(each) for each in part.parts], syntax.LOAD, **syntax.HERE)


def _tracked(expression: ast.expr, tracked: ast.expr | None) -> ast.expr:
    """An expression of grad mode for a result that may be a view: `tracked` is asked in its place."""
    if tracked is None:
        return expression
    if isinstance(tracked, ast.Constant) and isinstance(expression, ast.BoolOp):
        first, *others = expression.values
        if isinstance(expression.op, ast.And) and _is_grad_mode(first):  # `True and ...`
            expression = syntax.all_of(*others)
    return syntax.rewritten(expression, lambda node: tracked if _is_grad_mode(node) else None)


def _is_grad_mode(node: Any) -> bool:
    return type(node) is ast.Name and node.id == GRAD_MODE


def _shared_place(output: Output) -> ast.expr | None:
    """The call of which several facts are asked, as of `view(self, size)`: it is made once."""
    places: list[ast.expr] = []
    for question, cases in output.questions():
        if question == "alias" or not cases or cases[0].condition or cases[0].answer == UNKNOWN:
            continue
        tree = parsed(cases[0].answer).tree
        if isinstance(tree, ast.Attribute) and tree.attr == question and isinstance(tree.value, ast.Call):
            places.append(tree.value)
    for number, place in enumerate(places):
        if any(syntax.alike(place, other) for other in places[number + 1 :]) and not _asks_own_shape(place):
            return place
    return None


def _asks_own_shape(expression: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == LOCALS["shape"] for node in ast.walk(expression))
