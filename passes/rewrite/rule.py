"""Rules: a pattern and its replacement as plain Python functions, with an example of what they are given.

`RewriteRule` is what people write. `RewriteRules` makes patterns of the functions with a tracer that it is given,
applies them to drafts, and has each checked on random inputs before its first use.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch.fx import Graph, Node

from passes.meta import TensorMeta, meta_of
from passes.node_meta import META, MODES, is_write, result_meta
from passes.operators.modes import Modes, current_modes, entered
from passes.places import line_name
from passes.reuse.calls import concrete
from passes.rewrite.draft import CannotReplace, Draft
from passes.rewrite.forms import bits
from passes.rewrite.inputs import ExampleTensor, RuleTrial, RuleTrials
from passes.rewrite.match import Finder, Match
from passes.rewrite.pattern import Pattern, RuleError, pattern_of
from passes.rewrite.verify import REFUSALS, check_spelling, tensor_count, tensors_of

Trace = Callable[[Callable[..., Any], Mapping[str, Any]], Graph]
"""Captures a function called with these arguments by name. The targets of the graph's placeholders are names."""

SYMBOLS: Final = (torch.SymInt, torch.SymFloat, torch.SymBool)
LARGEST_TRIAL: Final = 1 << 18
"""Elements up to which the inputs of a match are tried in their own sizes."""


def always(match: Match) -> str:
    """A condition that nothing has to meet."""
    return ""


@dataclass(frozen=True, eq=False)
class RewriteRule:
    """What is looked for, in one or several spellings, and what takes its place.

    `example` gives for each parameter of the functions an ExampleTensor, which makes it an open tensor, or a
    constant, which makes it an open constant: any value is found where the example's stands, so that has to
    be one that stands nowhere else. The replacement takes those of the parameters that it names; a
    parameter that a spelling lacks must have a default there. `where(match)` says why a match does not
    count, "" when it does. `dtypes` are those that the rule is checked with and used for. Without `gradients`,
    it is for what needs none. Without `zero_signs`, a zero may have the other sign: its sign is a matter of rounding.
    A rule with `finite` parameters is for those who promise that no NaN and no infinity comes there.
    """

    name: str
    patterns: Sequence[Callable[..., Any]]
    replacement: Callable[..., Any]
    example: Mapping[str, Any]
    where: Callable[[Match], str] = always
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64, torch.bfloat16)
    tolerance: float = 1.0
    gradients: bool = True
    zero_signs: bool = True
    finite: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where the first pattern was written: `attention.py:31`."""
        code = self.patterns[0].__code__
        return line_name(code.co_filename, code.co_firstlineno)


@dataclass(eq=False)
class Spelling:
    """One pattern of a rule, with what is needed to look for it and to check it."""

    rule: RewriteRule
    function: Callable[..., Any]
    pattern: Pattern
    finder: Finder
    example: Mapping[str, Any]
    checked: bool = False
    faults: dict[Any, str] = field(default_factory=dict)

    def replacement(self, arguments: Mapping[str, Any]) -> Any:
        """Call the replacement with those of the arguments that it takes."""
        return self.rule.replacement(**accepted(self.rule.replacement, arguments))

    def check(self) -> int:
        """Compare pattern and replacement in each kind of trial; gives the number of comparisons.

        Raises RuleError naming the first trial in which they differ.
        """
        rule = self.rule
        numbers = self.pattern.numbers
        trials = RuleTrials(self.example, rule.dtypes, self._accepts, rule.zero_signs, rule.finite, numbers)
        count = self._compare(trials)
        self.checked = True
        return count

    def fault_at(self, match: Match, modes: Modes) -> str:
        """How the replacement differs for tensors of the sizes and dtypes of one match, its constants and its modes.

        Matches that look alike are tried once. "" where it does not, and where trying would take too long.
        """
        metas = {name: concrete(meta) for name in match.inputs if (meta := match.meta(name)) is not None}
        key = (tuple(metas.items()), tuple((name, bits(value)) for name, value in match.constants.items()), modes)
        if key not in self.faults:
            self.faults[key] = self._fault(metas, match.constants, modes)
        return self.faults[key]

    def _fault(self, metas: Mapping[str, TensorMeta], constants: Mapping[str, Any], modes: Modes) -> str:
        if sum(meta.element_count for meta in metas.values()) > LARGEST_TRIAL or any(
            meta.device.type != "cpu" for meta in metas.values()
        ):
            return ""
        current = current_modes()
        if (current.default_dtype, current.deterministic) != (modes.default_dtype, modes.deterministic):
            return "it stands under modes of the process that have changed since"
        tensors = {
            name: ExampleTensor(
                tuple(map(int, meta.shape)), meta.dtype, self.example[name].positive, meta.requires_grad
            )
            for name, meta in metas.items()
        }
        precision = modes.autocast_dtype if modes.autocast else None
        example = {**self.example, **constants, **tensors}
        trials = RuleTrials(example, self.rule.dtypes, finite=self.rule.finite).of_values()
        try:
            self._compare(
                replace(
                    trial,
                    modes=lambda: entered(modes),
                    precision=precision,
                    metas_only=modes.autocast,
                    refusable=True,
                )
                for trial in trials
            )
        except RuleError as error:
            return str(error)
        return ""

    def _compare(self, trials: Iterable[RuleTrial]) -> int:
        where, rule = f"{self.pattern.place} {self.pattern.name}", self.rule
        return check_spelling(where, self.function, self.replacement, trials, rule.tolerance, rule.gradients)

    def _accepts(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the rule's condition holds for a call of the pattern with these arguments."""
        graph = Graph()
        inputs: dict[str, Node] = {}
        for name, value in arguments.items():
            if isinstance(value, torch.Tensor):
                inputs[name] = graph.placeholder(name)
                inputs[name].meta[META] = meta_of(value)
        try:
            with warnings.catch_warnings(action="ignore"):
                results = list(tensors_of(self.function(**arguments)))
        except REFUSALS:
            return True  # the check then asks whether the replacement raises as well
        calls = [graph.placeholder(f"call_{index}") for index in range(len(self.pattern))]
        for index, result in zip(self.pattern.outputs, results, strict=True):
            calls[index].meta[META] = meta_of(result)
        constants = {name: arguments[name] for name in self.pattern.constants}
        return not self.rule.where(Match(self.pattern, tuple(calls), inputs, constants))


@dataclass
class RewriteRules:
    """Rules made ready by one tracer: patterns, and replacements for the metas that they were needed for."""

    trace: Trace
    _spellings: dict[RewriteRule, list[Spelling]] = field(default_factory=dict)
    _replacements: dict[Any, Graph] = field(default_factory=dict)

    def spellings(self, rule: RewriteRule) -> list[Spelling]:
        """The spellings of a rule, those with the most calls first.

        Raises RuleError when a function cannot be captured whole, or does not go with the example.
        """
        spellings = self._spellings.get(rule)
        if spellings is None:
            spellings = [self._spelling(rule, function) for function in rule.patterns]
            spellings.sort(key=lambda spelling: -len(spelling.pattern))
            self._spellings[rule] = spellings
        return spellings

    def check(self, rule: RewriteRule) -> int:
        """Check every spelling of a rule on random inputs; gives the number of comparisons. Raises RuleError."""
        return sum(spelling.check() for spelling in self.spellings(rule))

    def apply(self, rule: RewriteRule, draft: Draft) -> None:
        """Replace every match in a draft. Raises RuleError when the rule fails its check."""
        index = draft.index
        for spelling in self.spellings(rule):
            refused: set[Node] = set()
            for match in spelling.finder.find(index):
                if match.outputs[0] not in refused:
                    why = self._apply(spelling, replace(match, attributes=draft.attributes), draft)
                    if why:
                        refused.add(match.outputs[0])
                        draft.refuse(rule.name, match.outputs[0], why)

    def _apply(self, spelling: Spelling, match: Match, draft: Draft) -> str:
        """Replace one match; gives why not. What the draft itself refuses it notes itself."""
        rule = spelling.rule
        result, metas = match.result, [match.meta(name) for name in match.inputs]
        if result is None or None in metas:
            return "something in it is not one tensor"
        if result.requires_grad and not rule.gradients:
            return "its gradients would differ"
        for meta in metas:
            if meta is not None and meta.dtype.is_floating_point and meta.dtype not in rule.dtypes:
                return f"the rule has not been checked for {meta.dtype}"
        why = rule.where(match) or draft.hazard(match.nodes, match.outputs, match.inputs.values())
        if why:
            return why
        if not spelling.checked:
            spelling.check()
        if why := spelling.fault_at(match, match.nodes[-1].meta[MODES]):
            return why
        try:
            graph = self._replacement(spelling, match)
        except CannotReplace as refused:
            return str(refused)
        draft.replace(
            rule.name, match.nodes, match.outputs, lambda: _copied(graph, match, draft), place=spelling.pattern.place
        )
        return ""

    def _spelling(self, rule: RewriteRule, function: Callable[..., Any]) -> Spelling:
        example = accepted(function, rule.example)
        where = f"{line_name(function.__code__.co_filename, function.__code__.co_firstlineno)} {function.__name__}"
        missing = [name for name in inspect.signature(function).parameters if name not in example]
        if missing:
            raise RuleError(f"{where}: the example of the rule {rule.name!r} gives no {missing[0]}")
        tensors = {
            name: value.example(rule.dtypes[0]) if isinstance(value, ExampleTensor) else value
            for name, value in example.items()
        }
        constants = {name: value for name, value in example.items() if not isinstance(value, ExampleTensor)}
        graph = self._whole(where, function, tensors)
        pattern = pattern_of(function, graph, constants)
        spelling = Spelling(rule, function, pattern, Finder(pattern), example)
        names = {*pattern.inputs, *pattern.constants}
        for name, parameter in inspect.signature(rule.replacement).parameters.items():
            if name not in names and parameter.default is inspect.Parameter.empty:
                raise RuleError(f"{where}: the replacement takes {name}, which the pattern has no use of")
        inputs = {name: value for name, value in tensors.items() if name in names}
        _same_outputs(where, _output_metas(graph), self._results(rule, inputs))
        return spelling

    def _results(self, rule: RewriteRule, by_name: Mapping[str, Any]) -> list[Any]:
        """The metas of what a rule's replacement gives for its example."""
        arguments = accepted(rule.replacement, by_name)
        key = (rule, tuple(arguments))
        graph = self._replacements.get(key)
        if graph is None:
            graph = self._replacements[key] = self._whole(rule.name, rule.replacement, arguments)
        return _output_metas(graph)

    def _replacement(self, spelling: Spelling, match: Match) -> Graph:
        """The replacement captured for the metas of a match; layers that look alike share it.

        Where sizes are symbols it is captured for two sets of sizes: it must be the same for both.
        """
        metas = {name: meta for name in match.inputs if (meta := match.meta(name)) is not None}
        if any(isinstance(value, SYMBOLS) for value in match.constants.values()):
            raise CannotReplace("a constant of it is a symbol")
        replacement = self._captured(
            spelling.rule, {name: concrete(meta) for name, meta in metas.items()}, match.constants
        )
        if any(meta.symbolic for meta in metas.values()):
            larger = {name: enlarged(meta) for name, meta in metas.items()}
            other = self._captured(spelling.rule, larger, match.constants)
            if [node.format_node() for node in replacement.nodes] != [node.format_node() for node in other.nodes]:
                raise CannotReplace("the replacement depends on a size that is a symbol")
        return replacement

    def _captured(self, rule: RewriteRule, metas: Mapping[str, TensorMeta], constants: Mapping[str, Any]) -> Graph:
        """A rule's replacement for tensors of these metas; captured once."""
        plain = tuple((name, bits(value)) for name, value in constants.items())
        key = (rule, tuple(metas.items()), plain)
        replacement = self._replacements.get(key)
        if replacement is None:
            inputs = {name: _stand_in(meta) for name, meta in metas.items()}
            replacement = self._traced(rule.name, rule.replacement, accepted(rule.replacement, {**inputs, **constants}))
            self._replacements[key] = replacement
        return replacement

    def _whole(self, where: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Graph:
        """A function of an example, captured with all that it gives."""
        graph = self._traced(where, function, arguments)
        if tensor_count(function(**arguments)) != len(_output_metas(graph)):
            raise RuleError(f"{where}: what {function.__name__} gives must be results of operators, each its own")
        return graph

    def _traced(self, where: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Graph:
        graph = self.trace(function, arguments)
        if any(node.op == "get_attr" for node in graph.nodes):
            raise RuleError(f"{where}: {function.__name__} holds a tensor of its own; make it an argument")
        if any(is_write(node) for node in graph.nodes):
            raise RuleError(f"{where}: {function.__name__} writes to a tensor")
        return graph


def accepted(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments that a function has parameters for."""
    parameters = inspect.signature(function).parameters
    return {name: value for name, value in arguments.items() if name in parameters}


def enlarged(meta: TensorMeta) -> TensorMeta:
    """The meta with every symbol at twice the number that it had when the graph was captured."""

    def size(value: Any) -> int:
        if not isinstance(value, torch.SymInt):
            return value
        expression, hints = value.node.expr, value.node.shape_env.backed_var_to_val
        return int(expression.xreplace({symbol: 2 * hints[symbol] for symbol in expression.free_symbols}))

    stride = None if meta.stride is None else tuple(map(size, meta.stride))
    return meta.replace(shape=tuple(map(size, meta.shape)), stride=stride, storage_offset=size(meta.storage_offset))


def _stand_in(meta: TensorMeta) -> torch.Tensor:
    """A tensor with a meta's facts whose memory nobody touches. Raises CannotReplace for one without strides."""
    if meta.stride is None:
        raise CannotReplace("a tensor without strides")
    return torch.empty_strided(meta.shape, meta.stride, dtype=meta.dtype, device=meta.device)  # type: ignore[arg-type]


def _copied(graph: Graph, match: Match, draft: Draft) -> list[Node]:
    """A captured replacement made in a draft, on the inputs of a match."""
    last, copies = max(match.nodes), dict[Node, Node]()
    for node in graph.nodes:
        if node.op == "placeholder":
            copies[node] = match.inputs[str(node.target)]
        elif node.op == "output":
            return [copies[output] for output in node.args[0]]  # type: ignore[union-attr, index]
        else:
            target = ("method", node.target) if node.op == "call_method" else node.target
            args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), copies.__getitem__)  # type: ignore[misc]
            copies[node] = draft.call(target, args, kwargs, last)  # type: ignore[arg-type]
    raise AssertionError("a captured graph ends with an output")


def _output_metas(graph: Graph) -> list[Any]:
    output = next(iter(reversed(graph.nodes)))
    return [result_meta(node) for node in output.args[0]]  # type: ignore[union-attr]


def _same_outputs(where: str, pattern: list[Any], replacement: list[Any]) -> None:
    """Raise RuleError unless pattern and replacement give as many tensors, of the same shapes and dtypes."""
    if len(pattern) != len(replacement):
        raise RuleError(f"{where}: the pattern gives {len(pattern)} tensors, the replacement {len(replacement)}")
    for index, (one, other) in enumerate(zip(pattern, replacement, strict=True)):
        if (one.shape, one.dtype, one.device) != (other.shape, other.dtype, other.device):
            raise RuleError(f"{where}: result {index} is {one.name}, of the replacement {other.name}")
