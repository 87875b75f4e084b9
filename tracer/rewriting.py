"""Rewriting of captured graphs: patterns captured by this very tracer, pipelines of passes, a backend around another.

`passes.rewrite` knows neither how a function becomes a graph nor how a graph is checked and printed; here
it is told.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from torch.fx import Graph, GraphModule

from backends.aot import compile_with
from backends.handover import Backend, Handover
from backends.registry import look_up
from passes.errors import expect
from passes.node_meta import SOURCE
from passes.operators.evaluate import Evaluator
from passes.rewrite.pattern import Pattern, RuleError
from passes.rewrite.pipeline import Pass, Pipeline, RewriteReport, copied
from passes.rewrite.rule import RewriteRule, RewriteRules
from passes.rewrite.rules import STANDARD
from tracer.frame_capture import CaptureRequest, capture_frame
from tracer.graph.annotate import fill_stack_traces, fill_torch_metas
from tracer.graph.builder import GraphBuilder
from tracer.graph.check import check_graph
from tracer.graph.show import graph_source
from tracer.interpret.tensor_ops import EVALUATOR
from tracer.options import Options
from tracer.reasons import TracerBug
from tracer.values.shapes import History, Shapes

NO_BREAK: Final = "a pattern must be captured whole, as one graph"


def graph_of(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Graph:
    """`function(**arguments)` as one graph; the targets of its placeholders are the arguments' names.

    Raises RuleError for a function that breaks, or whose result is more than a tensor or a tuple of them.
    """
    captured: list[tuple[GraphBuilder, list[Any]]] = []

    def refuse(*details: Any) -> Any:
        raise RuleError(f"{_place(function)}: {NO_BREAK}")

    def keep(builder: GraphBuilder, examples: list[Any], *details: Any) -> Callable[..., Any]:
        captured.append((builder, examples))
        return refuse

    request = CaptureRequest(
        function=_call,
        locals=(function, dict(arguments)),
        options=Options(),
        compile_graph=keep,
        make_branch=refuse,
        run_original=refuse,
        shapes=lambda: Shapes(History(), False),
    )
    entry, _ = capture_frame(request)
    if entry.broke is not None:
        raise RuleError(f"{_place(function)}: {NO_BREAK}\n{entry.broke.message}")
    if not captured:
        raise RuleError(f"{_place(function)}: it has no tensor operation")
    builder, examples = captured[0]
    names = {id(value): name for name, value in arguments.items()}
    for node, example in zip(builder.inputs, examples, strict=True):
        if id(example) not in names:
            raise RuleError(f"{_place(function)}: it uses a tensor that is not an argument: {node.meta[SOURCE]}")
        node.target = names[id(example)]
    return builder.graph


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    return function(**arguments)


def _place(function: Callable[..., Any]) -> str:
    code = function.__code__
    return f"{code.co_filename}:{code.co_firstlineno} {function.__name__}"


RULES: Final = RewriteRules(graph_of)
"""Patterns captured so far: one store for the whole process."""


def rewrite_rule(
    replacement: Callable[..., Any], example: Mapping[str, Any], **details: Any
) -> Callable[[Callable[..., Any]], RewriteRule]:
    """A decorator: the function below it is a pattern, and this is what takes its place. Gives a RewriteRule.

    `example` and `details` (`name`, `where`, `dtypes`, `tolerance`) are those of RewriteRule. Both functions are
    captured at once. Raises RuleError when one cannot be, or when their results do not go together.
    """

    def decorate(function: Callable[..., Any]) -> RewriteRule:
        name = details.pop("name", function.__name__)
        rule = RewriteRule(name, (function,), replacement, example, **details)
        RULES.spellings(rule)
        return rule

    return decorate


def patterns(rule: RewriteRule) -> list[Pattern]:
    """The patterns of a rule as data, the largest first."""
    return [spelling.pattern for spelling in RULES.spellings(rule)]


def check_rule(rule: RewriteRule) -> int:
    """Check a rule on random inputs of every dtype and layout; gives the number of comparisons.

    Raises RuleError for a rule that is wrong, TypeError for what is no rule.
    """
    expect(rule, RewriteRule, "check_rule", "rewrite_rule(pattern, replacement, example=inputs)")
    return RULES.check(rule)


def pipeline(passes: Sequence[Pass] = STANDARD) -> Pipeline:
    """These passes, checked after each by graph/check and printed by graph/show. Raises RuleError, TypeError."""
    for step in passes:
        if not hasattr(step, "name"):
            raise TypeError(f"a pass is a RewriteRule or a GraphPass, not {step!r}")
    result = Pipeline(tuple(passes), RULES, EVALUATOR, _inconsistency, graph_source)
    result.prepare()
    return result


def _inconsistency(graph: Graph, evaluator: Evaluator) -> str:
    """The first inconsistency in the graph in words, or ""."""
    try:
        check_graph(graph, evaluator)
    except TracerBug as fault:
        return str(fault)
    return ""


def rewrite(module: GraphModule, passes: Sequence[Pass] = STANDARD) -> tuple[GraphModule, RewriteReport]:
    """A captured graph rewritten, as a new module, and what was done to it. Raises TypeError for what is no graph."""
    expect(module, GraphModule, "rewrite", "captured.entries[0].graph_module")
    return _rewritten(module, pipeline(passes))


def _rewritten(module: GraphModule, steps: Pipeline) -> tuple[GraphModule, RewriteReport]:
    held = {str(node.target) for node in module.graph.nodes if node.op in ("get_attr", "call_module")}
    graph, attributes, report = steps.run(module.graph, {name: getattr(module, name) for name in held})
    return GraphModule(attributes, graph), report


@dataclass(frozen=True, eq=False, slots=True)
class Rewriting(Backend):
    """A backend that rewrites graphs and hands them to another; `reports` has one report for each graph."""

    pipeline: Pipeline = field(kw_only=True)

    def __eq__(self, other: object) -> bool:
        return self is other  # each has reports of its own

    def __hash__(self) -> int:
        return id(self)

    @property
    def reports(self) -> list[RewriteReport]:
        """One report for each graph, in the order of compilation."""
        return self.pipeline.reports

    def __call__(self, module: GraphModule, example_inputs: list[Any]) -> Callable[..., Any]:
        """torch.compile's contract, for modules that this tracer has captured."""
        return self.compile(module, example_inputs)


def rewriting(
    backend: Any = "eager", passes: Iterable[Pass] = STANDARD, options: Mapping[str, Any] | None = None
) -> Rewriting:
    """A backend that runs `passes` over each graph before `backend`, with its `options`, gets it.

    Raises RuleError for a rule that cannot be used, TypeError for what is no pass, and what `look_up` raises.
    """
    if not isinstance(passes, Iterable) or isinstance(passes, str):
        raise TypeError(f"passes are rewrite rules and graph passes, such as those of STANDARD, not {passes!r}")
    inner, steps = look_up(backend, options or {}), pipeline(tuple(passes))

    def compile_handover(handover: Handover) -> Callable[..., Any]:
        graph, attributes, report = steps.run(handover.graph, handover.attributes)
        fired = {name: count for name, count in report.counts.items() if count}
        handover.tell("rewrite", {"code": handover.label, "calls": report.calls, "fired": fired})
        module = functools.partial(_module, graph, attributes, handover.shape_env)
        return compile_with(inner, replace(handover, graph=graph, attributes=attributes, module=module))

    def compile_module(module: GraphModule, example_inputs: list[Any]) -> Callable[..., Any]:
        return inner.compile(_rewritten(module, steps)[0], example_inputs)

    return Rewriting(f"rewriting {inner.name}", compile_module, compile_handover, inner.takes_fakes, pipeline=steps)


def _module(graph: Graph, attributes: Mapping[str, Any], shape_env: Any) -> GraphModule:
    """A module of its own for a backend, with torch's metas on its nodes."""
    copy = copied(graph)
    fill_stack_traces(copy)
    fill_torch_metas(copy, shape_env)
    return GraphModule(dict(attributes), copy)
