"""Fake kernels as source: a rule written out as a function for torch.library.register_fake, to be reviewed and kept.

The file imports nothing but torch. The primitives that the rule uses, and whatever those use, are copied into
it as the plain functions that they are. Knows nothing of how rules are found.
"""

from __future__ import annotations

import ast
import inspect
import json
import linecache
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import Final

from passes.infer.fake_kernels import prelude
from passes.meta import DTYPE_BY_NAME
from passes.operators.resolve import NOT_GIVEN, parameters, resolve
from passes.rules.domain_check import choices_of, layouts_of
from passes.rules.generate import GRAD_MODE
from passes.rules.grammar import KEPT, Many, form_of
from passes.rules.language import CONSTANTS, PRIMITIVES, RuleError
from passes.rules.layout_class import layout_class
from passes.rules.rule import UNKNOWN, Case, Output, Rule, identifier
from passes.rules.show import INDENT, OWN_SHAPE, WIDTH, count_text, decision, structure_text, with_names

TITLE: Final = (
    '"""Fake kernels inferred from recorded calls by `python -m tracer infer --emit-fake`: read, then keep."""'
)
STOOD_FOR: Final = ("passes.meta", "passes.operators.outcome", "passes.rules.language")
FACTS: Final = ("shape", "stride", "storage_offset", "dtype")
KEPT_BY_WRITING: Final = ("shape", "stride", "storage_offset", "dtype")
COUNT: Final = "how_many"


def fake_kernels(rules: Iterable[Rule]) -> str:
    """A file that registers the fake kernels of the operators that the rules are of.

    Raises RuleError for a rule without answers, or one that predicts what a fake kernel cannot do.
    """
    written = list(rules)
    kernels = [_kernel(rule) for rule in written]
    inlined = Inlined()
    if any(layouts_of(rule.domain, name) for rule in written for name in rule.parameters):
        inlined.need(layout_class.__module__, layout_class.__name__)
    called = [name for text in kernels for name in _called(text) if name.removeprefix("_") in PRIMITIVES]
    for name in called:
        inlined.need_primitive(name.removeprefix("_"))
    renamed = [f"{name} = {name[1:]}" for name in sorted({*called}) if name.startswith("_")]
    imports, body = _prelude()
    texts = [body, *inlined.definitions, *(["\n".join(renamed)] if renamed else []), *kernels]
    used = {node.id for node in ast.walk(ast.parse("\n".join(texts))) if isinstance(node, ast.Name)}
    needed = [line for line in imports | inlined.imports if _binds(line) & {*used, "annotations"}]
    parts = [TITLE, "\n".join(sorted(needed, key=_import_order)), *texts]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def _called(text: str) -> list[str]:
    """The names of the functions that a source calls, in the order in which it calls them first."""
    calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    functions = [function for function in calls if isinstance(function, ast.Name)]
    return list(dict.fromkeys(node.id for node in sorted(functions, key=lambda node: (node.lineno, node.col_offset))))


def _binds(line: str) -> set[str]:
    """The names that an import binds."""
    imports = (node for node in ast.parse(line).body if isinstance(node, ast.Import | ast.ImportFrom))
    return {alias.asname or alias.name for node in imports for alias in node.names}


def _import_order(line: str) -> tuple[bool, bool, bool, str]:
    return "__future__" not in line, "torch" in line, line.startswith("from"), line


def _kernel(rule: Rule) -> str:
    if rule.is_unknown:
        raise RuleError(f"no rule predicts {rule.op}: its result depends on data, or its calls were not explained")
    if len(rule.outputs) == 0 and not rule.writes:
        raise RuleError(f"{rule.op} returns no tensor")
    name = identifier(rule.op.partition("::")[2].replace(".", "_"))
    op = rule.op
    evidence = rule.provenance
    lines = [
        f"# {rule.op}: {evidence.calls:,} calls fitted, {evidence.trials:,} falsification trials",
        f'@torch.library.register_fake("{op}")',
        f'@within("{op}", DOMAIN_OF_{name.upper()})',
        f"def fake_{name}({', '.join(_signature(rule))}):",
        *(INDENT + line for line in _Body(rule).lines()),
    ]
    return "\n".join(_domain(rule, name)) + "\n\n\n" + "\n".join(lines)


def _signature(rule: Rule) -> Iterator[str]:
    declared = parameters(resolve(rule.op, rule.level), rule.parameters)
    keyword_only = False
    for parameter in declared:
        if parameter.by_keyword and not keyword_only:
            keyword_only = True
            yield "*"
        yield identifier(parameter.name) + ("" if parameter.default is NOT_GIVEN else f"={parameter.default!r}")


def _domain(rule: Rule, name: str) -> Iterator[str]:
    domain = rule.domain
    yield f"DOMAIN_OF_{name.upper()} = {{"
    for parameter in rule.parameters:
        facts = {"kinds": _quoted(domain.kinds.get(parameter, ()))}
        if ranks := domain.ranks.get(parameter):
            facts |= {"ranks": list(map(str, ranks)), "dtypes": _types(domain.dtypes.get(parameter, ()))}
        if choices := sorted(choices_of(rule, parameter)):
            facts["choices"] = _quoted(choices)
        if layouts := sorted(layouts_of(domain, parameter)):
            facts["layouts"] = _quoted(layouts)
        words_of_facts = ", ".join(f"{fact}=({', '.join(words)},)" for fact, words in facts.items())
        words_of_facts += f", layout_of={layout_class.__name__}" if layouts else ""
        line = f'{INDENT}"{identifier(parameter)}": Domain({words_of_facts}),'
        yield from textwrap.wrap(line, WIDTH, subsequent_indent=3 * INDENT, break_long_words=False)
    yield "}"


def _quoted(words: Iterable[object]) -> list[str]:
    """Words as Python's string literals, without spaces, at which long lines are wrapped."""
    return [json.dumps(str(word)).replace(" ", "\\x20") for word in words]


def _types(names: Iterable[str]) -> list[str]:
    return [str(DTYPE_BY_NAME[name]) for name in names]


class _Body:
    """The statements of one kernel."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.names = frozenset(map(identifier, rule.parameters))

    def lines(self) -> Iterator[str]:
        rule = self.rule
        for case in rule.raises:
            yield f"if {self._text(case.condition, '') or True}: raise {self._error(case.answer)}"
        for name, output in rule.writes.items():
            self._require_kept(name, output)
        if any(isinstance(form_of(case.answer), Many) for case in rule.form):
            yield from self._many()
            return
        texts: list[str] = []
        for number, output in enumerate(rule.outputs):
            suffix = "" if len(rule.outputs) == 1 else f"_{number}"
            lines, text = self._output(output, suffix)
            yield from lines
            texts.append(text)
        for case in rule.form:
            condition = f"if {self._text(case.condition, '')}: " if case.condition else ""
            form = structure_text(case.answer, texts)
            yield f"{condition}{'undefined()' if form == UNKNOWN else f'return {form}'}"

    def _error(self, name: str) -> str:
        kind = name if name in vars(sys.modules["builtins"]) else "RuntimeError"
        return f'{kind}("{self.rule.op} refuses such arguments")'

    def _require_kept(self, name: str, output: Output) -> None:
        """Raise RuleError if a write changes more than values: a fake kernel cannot express that."""
        parameter = identifier(name)
        for question in KEPT_BY_WRITING:
            for case in getattr(output, question):
                if case.answer not in (f"{parameter}.{question}", f"{parameter}[i].{question}", UNKNOWN):
                    raise RuleError(f"{self.rule.op} changes the {question} of {name}, which a fake kernel cannot do")

    def _many(self) -> Iterator[str]:
        counts = [
            Case(self._text(case.condition, ""), self._text(count_text(case.answer), "")) for case in self.rule.form
        ]
        yield from decision(COUNT, counts, _undefined)
        yield "results = []"
        yield f"for i in range({COUNT}):"
        lines, text = self._output(self.rule.outputs[0], "")
        for line in [*lines, f"results.append({text})"]:
            yield INDENT + line
        yield "return results"

    def _output(self, output: Output, suffix: str) -> tuple[list[str], str]:
        """The statements for one output, and the expression that returns it."""
        aliases = {case.answer for case in output.alias}
        created = {alias for alias in aliases if alias == "new" or alias.startswith("view ")}
        lines: list[str] = []
        if created:
            for question in FACTS:
                cases = [
                    Case(self._text(case.condition, suffix), self._text(case.answer, suffix))
                    for case in getattr(output, question)
                ]
                if question != "storage_offset" or created != {"new"}:
                    lines += decision(self._variable(question, suffix), cases, _undefined)
                if question == "shape" and len(created) > 1:
                    is_new_cases = [Case(self._text(c.condition, suffix), str(c.answer == "new")) for c in output.alias]
                    lines += decision("is_new", is_new_cases, _undefined)
        cases = [Case(self._text(c.condition, suffix), self._memory(c.answer, suffix)) for c in output.alias]
        if len(cases) == 1 and cases[0].answer != UNKNOWN:
            return lines, cases[0].answer
        return [*lines, *decision(f"result{suffix}", cases, _undefined)], f"result{suffix}"

    def _variable(self, question: str, suffix: str) -> str:
        return f"{'out_' if question + suffix in self.names else ''}{question}{suffix}"

    def _memory(self, alias: str, suffix: str) -> str:
        kind, _, name = alias.partition(" ")
        if kind in ("same", "none"):
            return name or "None"
        shape, stride, offset, dtype = (self._variable(question, suffix) for question in FACTS)
        if kind == "view":
            return f"Made({shape}, {stride}, {dtype}, {offset}, {name})"
        return UNKNOWN if kind in (UNKNOWN, KEPT) else f"Made({shape}, {stride}, {dtype})"

    def _text(self, text: str, suffix: str) -> str:
        """An expression of the rule in the terms of the file: variables, torch's constants, primitives not shadowed."""
        if text == UNKNOWN:
            return text
        spellings = {OWN_SHAPE: self._variable("shape", suffix), GRAD_MODE: "torch.is_grad_enabled()"}

        def spelling(name: str, called: bool) -> str | None:
            if called:
                return f"_{name}" if name in self.names else None
            return f"torch.{name}" if name in CONSTANTS and name not in self.names else spellings.get(name)

        return with_names(text, spelling)


def _undefined(name: str) -> str:
    return "undefined()"


@dataclass
class Inlined:
    """Definitions copied from the modules of primitives, each after the definitions that it needs."""

    definitions: list[str] = field(default_factory=list[str])
    imports: set[str] = field(default_factory=set[str])
    copied: dict[str, str] = field(default_factory=dict[str, str])

    def need_primitive(self, name: str) -> None:
        """Note that the emitted source uses this primitive, so that its definition is pasted."""
        self.need(PRIMITIVES[name].function.__module__, name)

    def need(self, module: str, name: str) -> None:
        """Copy the definition of `name` in a module, once. Raises RuleError if another module defined it otherwise."""
        if hasattr(prelude, name) and not name.startswith("_") and _home(module, name) is not None:
            return
        definitions = _definitions(module)
        if name not in definitions.nodes:
            if name in definitions.imported:
                self.need(*definitions.imported[name])
            elif name in definitions.external:
                self.imports.add(definitions.external[name])
            return
        node = definitions.nodes[name]
        text = _source(node, definitions.text)
        if name in self.copied:
            if self.copied[name] != text:
                raise RuleError(f"{name} of {module} has the same name as another definition: rename one of them")
            return
        self.copied[name] = text
        for needed in _free_names(node):
            if needed != name:
                self.need(module, needed)
        self.definitions.append(text)


@dataclass(frozen=True)
class Definitions:
    """The top level of a module: definitions, names from modules of passes, and names from other modules."""

    text: str
    nodes: Mapping[str, ast.stmt]
    imported: Mapping[str, tuple[str, str]]
    external: Mapping[str, str]


@lru_cache
def _definitions(module: str) -> Definitions:
    text = inspect.getsource(sys.modules[module])
    nodes: dict[str, ast.stmt] = {}
    imported: dict[str, tuple[str, str]] = {}
    external: dict[str, str] = {}
    for node in ast.parse(text).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                nodes[name] = node
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                nodes[name] = node
            case ast.ImportFrom(module=str(source), names=names):
                for alias in names:
                    if source.startswith("passes"):
                        imported[alias.name] = source, alias.name
                    else:
                        external[alias.name] = f"from {source} import {alias.name}"
            case ast.Import(names=names):
                external |= {alias.name: f"import {alias.name}" for alias in names}
            case _:
                pass
    return Definitions(text, nodes, imported, external)


def _home(module: str, name: str) -> str | None:
    """The module that `module` imports `name` from, if the prelude stands for it."""
    source = _definitions(module).imported.get(name, ("", ""))[0]
    return source if source in STOOD_FOR else None


def _free_names(node: ast.AST) -> Iterable[str]:
    names = (inner.id for inner in ast.walk(_undecorated(node)) if isinstance(inner, ast.Name))
    return dict.fromkeys(names)


def _undecorated(node: ast.AST) -> ast.AST:
    if isinstance(node, ast.FunctionDef):
        node.decorator_list = [each for each in node.decorator_list if "primitive" not in ast.unparse(each)]
    return node


def _source(node: ast.stmt, text: str) -> str:
    """The source of a definition, without the decorator that registers it as a primitive."""
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    without_imports = [line for line in lines if not line.strip().startswith("from passes")]
    return "\n".join(without_imports)


@lru_cache
def _prelude() -> tuple[frozenset[str], str]:
    """The imports of the prelude, and the rest of its text."""
    text = inspect.getsource(prelude)
    body = [node for node in ast.parse(text).body if not isinstance(node, ast.Expr)]
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    first = next(node for node in body if node not in imports)
    start = min(first.lineno, *(each.lineno for each in getattr(first, "decorator_list", []) or [first]))
    return frozenset(map(ast.unparse, imports)), "\n".join(text.splitlines()[start - 1 :])


def registered(source: str, op: str) -> ModuleType:
    """Run the source of fake kernels as a new module, which registers them; the module is returned."""
    module = ModuleType(f"fake_kernel_of_{op.replace('::', '_').replace('.', '_')}")
    sys.modules[module.__name__] = module
    linecache.cache[f"<{module.__name__}>"] = len(source), None, source.splitlines(True), f"<{module.__name__}>"
    exec(compile(source, f"<{module.__name__}>", "exec"), vars(module))
    return module


def of_schema(rules: Sequence[Rule], op: str) -> Rule:
    """The rule for the parameters of an operator's schema. Raises RuleError if there is none."""
    names = tuple(argument.name for argument in resolve(op, "aten")._schema.arguments)  # type: ignore[attr-defined]
    for rule in rules:
        if rule.parameters == names:
            return rule
    raise RuleError(f"no rule of {op} is over its parameters {', '.join(names)}: were calls of it recorded?")
