"""Residual programs: the Python that runs instead of a captured frame when its guards hold.

    inputs ► graph ► values ► mutations ► return            (or ► the instruction that broke)

A program is ordinary source text, compiled once; linecache knows it, so that debuggers and
tracebacks show it.
"""

from __future__ import annotations

import re
import types
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import torch

from backends.inference_graphs import loses_inference
from backends.verdict import Verdict
from passes.generated_source import show_source, unused_filename
from passes.meta import TensorMeta
from passes.node_meta import META, is_write, modes_of, prediction_of
from passes.operators.hints import at_hints
from passes.operators.modes import KERNEL_SETTERS, Modes, restore
from passes.operators.randomness import draws, packet_of
from passes.operators.verify import Mispredicted
from passes.rules.primitives.layouts import is_row_major
from tracer.code.analyse import EXCEPTION, LASTI, NULL, PREVIOUS, argument_of_super, live_names
from tracer.code.decode import UNIT, Code, decode
from tracer.code.resume import Layout, kinds_at, original_place
from tracer.effects.log import Draw
from tracer.graph.show import filled
from tracer.guards.source import Source, argument
from tracer.guards.source import function as function_source
from tracer.interpret.frame import ExcInfoEntry, Frame
from tracer.interpret.letting_go import real
from tracer.interpret.location import Location
from tracer.interpret.size_nodes import assert_assumptions
from tracer.interpret.trace import Trace
from tracer.output.cached_calls import agreement, emit_cached_calls
from tracer.output.draws import Drawing
from tracer.output.emitter import ProgramEmitter
from tracer.output.graph_errors import emit_repetition, is_repeated, loses_errors
from tracer.output.memory_overlap import guard_overlaps
from tracer.output.mode_statements import take_mode_statements
from tracer.output.mutations import emit_mutations, guard_aliases
from tracer.output.output_calls import emit_output_calls, possibility
from tracer.output.statements import Statement
from tracer.reasons import TENSOR_SUBCLASS
from tracer.source_text import source_line
from tracer.values.base import MISSING, Lazy, Value, is_literal_class
from tracer.values.base import NULL as NULL_ITEM
from tracer.values.cells import cell_expression
from tracer.values.computed_numbers import REFUSALS
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.kinds import kind_of
from tracer.values.lists import ListValue
from tracer.values.rebuilding import Fragment, Unrebuildable, fragment, listed, literal
from tracer.values.sets import SetValue
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue
from tracer.values.wrapper_tensors import WrapperTensor

GRAPH = "graph"
"""The global of a residual program that is called for its graph."""

INPUTS: Final = "graph_inputs"
"""The parameter of a residual program that is a tuple of all that its graph is called with, where that is much."""

MOST_NAMED: Final = 30
"""Beyond so many arguments CPython does not call with those on its stack: it appends each to a list, and makes that a
tuple."""

_GRAPH_CALL: Final = re.compile(rf"\b{GRAPH}\(([\w\s,]*)\)")

FIRST_RUN = "first_run"
"""The global that stands before a residual program until it has run once."""


class BranchPlace(NamedTuple):
    """Where a branch, which a program calls at a graph break, goes on: at an offset of code that the user wrote."""

    code: types.CodeType
    offset: int
    layout: Layout


@dataclass(slots=True)
class ResidualProgram:
    """A residual program, not yet compiled: its `statements` use the names of `parameters` and `constants`.

    `parameters` hold what `inputs` lead to; if the last are what the graph is called with, and more than MOST_NAMED,
    the program has one tuple in their place, and those that it reads elsewhere are named before. `graph_inputs` are the
    placeholders that the pruned graph still has; `must_replay` says that the graph is not compiled, as a compiler might
    not keep what it does: an error that a handler waits for, a write to a tensor that may overlap another or requires
    gradients, or which tensors were made in inference mode. `passed` are the code objects whose frames the exceptions
    that it makes have passed through.
    """

    name: str
    inputs: list[Source]
    parameters: list[str]
    constants: dict[str, Any]
    statements: list[Statement]
    graph_inputs: set[Any]
    calls_graph: bool
    must_replay: bool = False
    passed: frozenset[types.CodeType] = frozenset()
    source: str = ""

    def mentions(self, name: str) -> int:
        """How many times the program reads a name."""
        return sum(statement.reads.count(name) for statement in self.statements)

    def _packed(self) -> int:
        """How many of the last parameters are one tuple."""
        texts = (statement.text for statement in self.statements if statement.runs_graph)
        call = next(filter(None, map(_GRAPH_CALL.search, texts)), None)
        arguments = [] if call is None else re.findall(r"\w+", call[1])
        fits = len(arguments) > MOST_NAMED and arguments == self.parameters[-len(arguments) :]
        return len(arguments) if fits and INPUTS not in self.parameters else 0

    def compile(self, graph: Callable[..., Any] | None) -> Callable[..., Any]:
        """The function itself. `graph` is what the backend returned."""
        parameters, packed, body = self.parameters, self._packed(), ""
        if packed:
            body = f"    # {INPUTS}: {parameters[-packed]}, {parameters[1 - packed]}, ..., {parameters[-1]}\n"
            parameters = [*parameters[:-packed], f"*{INPUTS}"]
        for statement in self.statements:
            is_call = packed and statement.runs_graph
            line = _GRAPH_CALL.sub(f"{GRAPH}(*{INPUTS})", statement.line, count=1) if is_call else statement.line
            body += f"    {line}\n"
        body = body or "    pass\n"
        self.source = f"{filled(f'def {self.name}(', parameters, '):')}\n{body}"
        filename = unused_filename(self.name)
        namespace: dict[str, Any] = {**self.constants, GRAPH: graph, "__name__": "bytegraph.programs"}
        exec(compile(self.source, filename, "exec"), namespace)
        function = namespace[self.name]
        show_source(function, partial(str, self.source))
        return function


@runtime_checkable
class Replaceable(Protocol):
    """A graph's callable that will give its place to another one, by calling `install(other)` once."""

    def on_replacement(self, install: Callable[[Callable[..., Any]], None]) -> None:
        """Have `install` called once, with the callable that takes this one's place."""


def let_replace(function: Callable[..., Any], graph: Any) -> None:
    """Have a graph's callable replaced in a residual program by the one to which it gives its place."""
    if isinstance(graph, Replaceable):
        graph.on_replacement(partial(_replace_graph, weakref.ref(function)))


def _replace_graph(program: weakref.ref[Any], graph: Callable[..., Any]) -> None:
    """Make a residual program call another callable for its graph from now on."""
    function = program()
    if function is not None:
        function.__globals__[GRAPH] = graph


def returning(trace: Trace, code: Code, result: Item) -> ResidualProgram:
    """The program of a frame that was captured to its end. Raises Unrebuildable."""
    emitter = ProgramEmitter(trace)
    reserve(emitter, trace, code)
    value = emitter.expression(result)
    emit_mutations(emitter, trace.effects)
    emit_cached_calls(emitter, trace.effects.cached_calls)
    emit_output_calls(emitter, trace)
    guard_aliases(trace)
    emitter.say(fragment("return {}", value))
    return _assemble(emitter, trace, code)


def breaking(trace: Trace, frame: Frame, make_branch: Callable[[Code, int, Layout], Any]) -> ResidualProgram:
    """The program of a frame up to the instruction at which it breaks, then that instruction natively.

    `make_branch(code, offset, layout)` gives a callable that takes the function's globals, the frame's cells as a
    tuple, then the saved slots; it runs the instruction and goes on. Raises Unrebuildable.
    """
    code = frame.code
    op = frame.ops[frame.index]
    emitter = ProgramEmitter(trace)
    reserve(emitter, trace, code)
    emitter.keep_identities((), code.native.co_consts)
    kinds, arguments = _stack(emitter, frame, op.offset)
    places: dict[str, Fragment] = {}
    unread: list[tuple[str, Item]] = []
    live = _kept_names(code, op.index)
    original = decode(original_place(code.native, op.offset)[0])
    first = argument_of_super(original)  # `super()` reads it, wherever a continuation keeps it
    for slot, name in enumerate(code.local_names):
        item = frame.slots[slot]
        if name not in original.local_names or item is MISSING:
            continue
        if name in live or (code is not original and name == first):
            places[name] = emitter.expression(item)
        elif name not in original.cell_names:
            unread.append((name, item))
    # A continuation closes over every cell of the original; its own cell variables begin as these, until an inlined
    # comprehension puts another in the place of one.
    repeated = 0 if code is original else len(code.cell_slots)
    cell_slots = (*code.cell_slots, *code.free_slots[repeated:])
    cells = [cell_expression(emitter, frame.slots[slot]) for slot in cell_slots]
    emit_mutations(emitter, trace.effects)
    emit_cached_calls(emitter, trace.effects.cached_calls)
    emit_output_calls(emitter, trace)
    guard_aliases(trace)
    for name, item in unread:
        if _exists(emitter, item, trace.owns_arguments):
            places[name] = emitter.expression(item)
    names = sorted(places, key=original.local_names.index)  # in this order they die
    arguments += [places[name] for name in names]
    layout = Layout(tuple(kinds), tuple(names))
    branch = emitter.constant(make_branch(code, op.offset, layout), f"branch_{op.line}")
    text = source_line(code.filename, op.line or 0).strip().rstrip(":")
    globals = emitter.parameter(function_source(code.native).child("globals"), "globals")
    handed_over = [globals, fragment("({},)" if cells else "({})", listed(cells)), *arguments]
    call = fragment("return {}({})", branch, listed(handed_over))
    emitter.say(call, f"natively `{text}`, then what follows", Location(code, op.line or 0))
    return _assemble(emitter, trace, code)


DEBUGGERS: Final = frozenset({"breakpoint", "set_trace"})
"""Names by which programs call debuggers."""


def _kept_names(code: Code, index: int) -> tuple[str, ...]:
    """Names of the locals that are handed over at op `index`: those that are read later, or that a debugger shows."""
    if DEBUGGERS.isdisjoint(code.native.co_names):
        return live_names(code, index)
    return tuple(name for name in code.local_names if name not in code.cell_names)


_LASTING: Final = (torch.Tensor, torch.nn.Module, type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
"""Classes of objects that whatever refers to them keeps, other than a local variable."""
_CONTAINERS: Final = frozenset((TupleValue, ListValue, DictValue, SetValue))
"""Kinds of containers of which a new one is handed over if it holds such objects."""


def _exists(emitter: ProgramEmitter, item: Item, owned: bool) -> bool:
    """Whether an item that nothing reads any more is a real object that the program has at hand.

    Such a local is handed over: it is alive until the function ends, which weak references to it show, also where the
    container that it was found in loses it. Nobody can refer to what exists in the trace alone, but to objects that it
    holds. Tensors and modules that the user calls a function with are the caller's, too.
    """
    if not isinstance(item, Value) or (type(item) is Lazy and item.is_literal):
        return False
    value = item.known if type(item) is Lazy else item
    if id(value) in emitter.built:
        return True
    if type(value) in _CONTAINERS and value.source is None:
        return _holds_real_objects(value)
    if item.source is None or real(item) is MISSING:
        return False
    if item.source.accessor == "argument":
        return owned or not issubclass(item.cls, _LASTING[:2])
    return not issubclass(item.cls, _LASTING)


def _holds_real_objects(container: Value) -> bool:
    """Whether a new container holds objects that may live no longer than it does, and else constants and containers."""
    seen: set[int] = set()
    waiting: list[Item] = [container]
    holds = False
    while waiting:
        item = waiting.pop()
        if type(item) is tuple:
            waiting += item
        elif isinstance(item, Value) and id(item) not in seen:
            seen.add(id(item))
            if item.source is not None:
                holds = holds or not (issubclass(item.cls, _LASTING) or is_literal_class(item.cls))
            elif type(item) in _CONTAINERS:
                waiting += kind_of(item).parts(item)
            else:
                return False
    return holds


def _stack(emitter: ProgramEmitter, frame: Frame, offset: int) -> tuple[list[str], list[Fragment]]:
    """The kind of each slot of the stack, and expressions for the slots that are passed to the branch."""
    expected = kinds_at(frame.code.native, offset)
    kinds: list[str] = []
    arguments: list[Fragment] = []
    for position, (item, kind) in enumerate(zip(frame.stack, expected, strict=True)):
        if item is NULL_ITEM or item is MISSING:
            kinds.append(NULL)
            continue
        if kind == PREVIOUS:
            kinds.append(PREVIOUS)
            assert isinstance(item, ExcInfoEntry)
            if expected[position + 1 : position + 2] != (EXCEPTION,):
                arguments.append(emitter.expression(item.now))
            continue
        kinds.append(EXCEPTION if kind == EXCEPTION else "value")
        if isinstance(item, ExcInfoEntry):  # POP_EXCEPT has put it back, and left a copy
            arguments.append(emitter.expression(item.before))
        elif kind == LASTI:
            _, place = original_place(frame.code.native, item * UNIT)
            arguments.append(literal(place // UNIT))
        else:
            arguments.append(emitter.expression(item))
    return kinds, arguments


def reserve(emitter: ProgramEmitter, trace: Trace, code: Code) -> None:
    """Reserve the names that every program uses. Raises Unrebuildable where CPython would still run a `finally`."""
    for generator in trace.generators:
        if generator.left_in_handler:
            raise Unrebuildable("a generator that was left inside a try block", generator.birth)
    if trace.function_modes:
        raise Unrebuildable("a mode of torch functions", trace.function_modes[0].step, TENSOR_SUBCLASS)
    emitter.names.update({"list", "dict", "set", "tuple", "object", "slice", "type", "super", "setattr", "delattr"})
    emitter.names.update({"float", *(refusal.__name__ for refusal in REFUSALS)})
    emitter.names.update({"iter", "enumerate", "zip", "map", "filter", "reversed"})
    emitter.names.update({code.name, GRAPH, INPUTS, FIRST_RUN})
    emitter.shapes, emitter.guards = trace.shapes, trace.guards
    emitter.keep_identities(trace.arguments, ())
    for source, _, _ in trace.inputs:
        if isinstance(source, Source):
            emitter.parameter(source)


def _graph_call(
    emitter: ProgramEmitter, trace: Trace, code: Code, arguments: list[Fragment], restoring_draws: list[Fragment]
) -> Statement:
    """The call of the graph. When an operator raises, the modes that the graph has set are restored.

    The program's own code must decide what happens then, where a handler of its own is around an operator, or where it
    had changed objects before: the original function is run from its beginning, if the graph can be repeated. What the
    run of the graph or the backend has found out about the graph is no error of the program.
    """
    text = filled(f"{GRAPH}(", [argument.text for argument in arguments], ")", indent=4)
    reads = [name for argument in arguments for name in argument.reads]
    writes = [emitter.built[id(value)].text for value in emitter.outputs]
    lines = [f"{', '.join(writes)}, = {text}" if writes else text]
    calls = [node for node in trace.graph.graph.nodes if node.op.startswith("call_")]
    sets_modes = any(modes_of(node) is None and is_write(node) for node in calls)
    chooses = any(node.target in KERNEL_SETTERS for node in calls)
    settings = tuple((setting.setter, setting.first) for setting in trace.settings.values())

    def restoring(modes: Modes, name: str) -> list[Fragment]:
        if not sets_modes:
            return []
        return [fragment("    {}()", emitter.constant(partial(restore, modes, chooses, settings), name))]

    draws_put_back = [fragment("    {}", line) for line in restoring_draws]
    puts_back = [*restoring(trace.first_modes, "restore_modes"), *draws_put_back]
    leaves_others = trace.error_modes != trace.first_modes
    raising = [*(restoring(trace.error_modes, "leave_modes") if leaves_others else []), Fragment("    raise")]
    begin: list[Fragment] = []
    handlers: list[Fragment] = []
    assigned = list(writes)
    if is_repeated(trace):
        kept, repeated = emit_repetition(emitter, trace, raising)
        findings = fragment("except {}:", emitter.constant((Mispredicted, Verdict), "Findings"))
        handlers += [findings, *puts_back, Fragment("    raise"), Fragment("except Exception:"), *puts_back]
        failed = emitter.fresh("failed")
        kept.append((failed, Fragment("False")))
        begin += [Fragment(f"{name.text} = {value.text}", value.reads) for name, value in kept]
        handlers += [fragment("    {}", line) for line in (*repeated, Fragment(f"{failed.text} = True"))]
        assigned += [name.text for name, _ in kept] + [failed.text]
        # Outside of the handler: what the original raises has no context but its own.
        handlers += [fragment("if {}:", failed), fragment("    {}", _run_original(emitter, trace, code))]
    elif sets_modes:
        handlers += [Fragment("except BaseException:"), *puts_back, *raising]
    if handlers:
        lines = [*(line.text for line in begin), "try:", f"    {lines[0]}", *(line.text for line in handlers)]
    reads += [name for line in (*begin, *handlers) for name in line.reads]
    return Statement("\n    ".join(lines), tuple(reads), tuple(assigned), runs_graph=True)


def _run_original(emitter: ProgramEmitter, trace: Trace, code: Code) -> Fragment:
    """The statement that runs the original function from its beginning instead of what follows."""
    sources = [function_source(code.native), *map(argument, code.local_names[: code.parameter_count])]
    original = emitter.constant(trace.run_original, "original")
    return fragment("return {}({})", original, listed(map(emitter.parameter, sources)))


def _conditions(emitter: ProgramEmitter, trace: Trace, code: Code) -> list[Statement]:
    """The questions with which a program begins: whether cached functions give what the trace had, and output can wait.

    If not, the original runs. It also raises, where it should, what a cached function raises now though it did not
    while tracing.
    """
    statements: list[Statement] = []
    agreeing = agreement(emitter, trace.effects.cached_calls)
    if agreeing is not None:
        agree = emitter.fresh("agree")
        lines = [
            *("try:", f"    {agree.text} = {agreeing.text}", "except Exception:", f"    {agree.text} = False"),
        ]
        statements.append(Statement("\n    ".join(lines), agreeing.reads, agree.reads))
        statements.append(_unless(emitter, trace, code, agree))
    possible = possibility(emitter, trace)
    if possible is not None:
        statements.append(_unless(emitter, trace, code, possible))
    return statements


def _unless(emitter: ProgramEmitter, trace: Trace, code: Code, condition: Fragment) -> Statement:
    """The statement that runs the original unless a condition holds."""
    original = _run_original(emitter, trace, code)
    return Statement(f"if not ({condition.text}):\n        {original.text}", (*condition.reads, *original.reads), ())


def _assemble(emitter: ProgramEmitter, trace: Trace, code: Code) -> ResidualProgram:
    outputs = emitter.outputs
    assert_assumptions(trace)
    trace.graph.output([value.node for value in outputs if value.node is not None])
    trace.graph.prune()
    used = set(trace.graph.inputs)
    taken = [source for source, node, _ in trace.inputs if node in used]
    setting = [] if outputs else take_mode_statements(emitter, trace)
    calls = bool(outputs) or trace.graph.call_count > 0
    trace.inputs_overlap = calls and guard_overlaps(trace, used)
    drawing = Drawing(emitter, trace, taken, calls)
    statements = [*setting, *drawing.after, *emitter.statements]
    if calls:
        arguments = [_input(emitter, place) for place in taken]
        statements = [_graph_call(emitter, trace, code, arguments, drawing.restoring), *statements]
    statements = [*drawing.before, *statements]
    statements = [*_conditions(emitter, trace, code), *statements]
    statements = emitter.settled([*_computing(emitter, trace, code), *statements])
    inputs = _ordered_inputs(emitter, statements, taken if calls else [])
    return ResidualProgram(
        name=emitter.fresh(f"{code.name.strip('<>')}_program").text,
        inputs=inputs,
        parameters=[emitter.parameters[source].text for source in inputs],
        constants=emitter.constants,
        statements=statements,
        graph_inputs=used,
        calls_graph=calls,
        passed=frozenset(emitter.passed),
        must_replay=calls and (trace.inputs_overlap or _must_replay(trace) or _returns_refused(trace, emitter.outputs)),
    )


def _ordered_inputs(emitter: ProgramEmitter, statements: list[Statement], taken: list[Any]) -> list[Source]:
    """What a program is given. If much of that is for its graph alone, that is last, as `taken` by the graph."""
    reads = Counter(name for statement in statements for name in statement.reads)
    sources = [place for place in taken if isinstance(place, Source)]
    if len(sources) != len(taken) or len(taken) <= MOST_NAMED:
        sources = []
    reads.subtract(emitter.parameters[source].text for source in sources)
    return [source for source, name in emitter.parameters.items() if reads[name.text] > 0] + sources


def _returns_refused(trace: Trace, outputs: list[Any]) -> bool:
    """Whether AOTAutograd has no right answer for an output.

    A view that was a leaf, as it was made without gradients, or a view of one, it makes again with gradients.
    """
    bases = trace.leaf_views
    return any(_is_refused(value) or (isinstance(value, TensorValue) and value.base in bases) for value in outputs)


def _is_refused(value: Any) -> bool:
    """Whether AOTAutograd has no right answer where the graph returns a tensor.

    It makes aliases again by operators of its own, which the class of one that holds others may answer in another way,
    and for a conjugate with gradients it compiles a backward that raises where other gradients are asked for.
    """
    if isinstance(value, WrapperTensor):
        return value.is_alias
    if not isinstance(value, TensorValue):
        return False
    return isinstance(value.base.owner, WrapperTensor) or (value.meta.is_conj and value.meta.requires_grad)


def _input(emitter: ProgramEmitter, place: Any) -> Fragment:
    """What the graph is given for one of its inputs."""
    if isinstance(place, Source):
        return emitter.parameter(place)
    return emitter.drawn(place) if isinstance(place, Draw) else emitter.expression(place)


def _computing(emitter: ProgramEmitter, trace: Trace, code: Code) -> list[Statement]:
    """The statements that compute numbers; the original runs if Python refuses one, or gives no float."""
    if not emitter.numbers:
        return []
    verdict = emitter.fresh("numbers_are_floats")
    types = ["type({})"] * len(emitter.numbers)
    are_floats = fragment(f"{' is '.join(types)} is float", *(name for name, _ in emitter.numbers))
    steps = [*emitter.numbers, (verdict, are_floats)]
    lines = ["try:", *(f"    {name.text} = {value.text}" for name, value in steps)]
    lines += [f"except ({', '.join(refusal.__name__ for refusal in REFUSALS)}):", f"    {verdict.text} = False"]
    reads = tuple(name for _, value in steps for name in value.reads)
    computing = Statement("\n    ".join(lines), reads, tuple(name.text for name, _ in steps))
    return [computing, _unless(emitter, trace, code, verdict)]


def _must_replay(trace: Trace) -> bool:
    if trace.runs_backward or trace.moves_memory or trace.writes_to_stale or trace.settings:
        return True
    if trace.wrappers is not None and trace.written:
        return True
    if (
        _draws_into_strides(trace)
        or _differentiates_sparse(trace)
        or (not trace.replays and loses_inference(trace.graph.graph))
    ):
        return True
    return trace.operands_overlap or trace.reads_in_backward or _loses_writes(trace) or loses_errors(trace)


def _differentiates_sparse(trace: Trace) -> bool:
    """Whether gradients go through a tensor that is not strided: AOTAutograd gives such a wrapper that has no layout of
    its own, at which torch raises an error, or aborts the process.
    """
    if trace.replays:
        return False
    metas = (node.meta.get(META) for node in trace.graph.graph.nodes)
    return any(type(meta) is TensorMeta and meta.layout is not torch.strided and meta.requires_grad for meta in metas)


def _draws_into_strides(trace: Trace) -> bool:
    """Whether a call that draws random numbers writes them to a tensor that is not in row-major order.

    Kernels draw in the order of the memory, compilers in that of another tensor, which they copy from. Operators of
    libraries, which may draw without saying it, compilers call as they are.
    """
    if trace.replays or not trace.draws:
        return False
    calls = [call for node in trace.graph.graph.nodes if (call := prediction_of(node)) and call.outcome.mutated]
    drawing = [call for call in calls if packet_of(call.target) and draws(call.target, call.args, call.kwargs)]
    written = [at_hints(call.given[index]) for call in drawing for index in call.outcome.mutated]
    return any(not is_row_major(meta.shape, meta.stride) for meta in written)


def _loses_writes(trace: Trace) -> bool:
    """Whether a compiler would lose what autograd makes of a write to an input, or what the input is after it.

    AOTAutograd writes to inputs after it has computed, so that what it saved of them for its backward has changed by
    then, and a write to a leaf, which is an error, passes. Where gradients are off it takes an input that gets other
    numbers and another shape for one that only gets other numbers.
    """
    return not trace.replays and any(write.differentiated or write.redefines for write in trace.written.values())
