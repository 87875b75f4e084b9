"""Eager replay: a graph as one flat Python function.

Inputs are positional parameters, constants are globals of the function, and intermediates are locals with the names of
their nodes, deleted at their last use. When an operator raises, its exception passes through, with a note that names
the user's line. Debuggers and tracebacks show the lines. Nothing here knows how the graph was made.
"""

from __future__ import annotations

import builtins
import math
import operator
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from keyword import iskeyword
from operator import attrgetter
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple

import torch
from torch.fx import Graph, GraphModule, Node

from backends.call_rows import CallRow, CallRows
from backends.handover import Handover
from backends.repeats import NOT_COMPUTED, Call, Stretch, repetitions
from passes import python_operators
from passes.constant_text import is_spelled
from passes.generated_source import show_source, unused_filename
from passes.node_meta import stack_trace_of

Program = Callable[..., tuple[Any, ...]]
Origin = Callable[[Node], str | None]
Shown = Callable[[Node], str]
Operand = Node | CallRow
OPERANDS: Final = frozenset((Node, CallRow))
"""What arguments of calls refer to other calls by."""

# Calls that are written as the expression they stand for, which CPython runs faster.
EXPRESSIONS: Final = {
    **{row.function: f"{{}} {row.symbol} {{}}" for row in (*python_operators.BINARY, *python_operators.COMPARISONS)},
    **{row.function: f"{row.symbol}{{}}" for row in python_operators.UNARY},
    operator.getitem: "{}[{}]",
    operator.setitem: "{}[{}] = {}",
}

WRITTEN: Final = frozenset((bool, int, str, type(None), type(...)))
"""Types of constants that CPython loads as fast as a global, and that people like to read."""

HEADER: Final = "def graph({}):\n  try:\n"
FIRST_LINE: Final = 3  # the line after the header
LINES_BEFORE_BLOCK: Final = 2
"""Lines of a block's function before that of its first call."""
FOOTER: Final = "\n  except Exception as error:\n    {}(error)\n    raise\n"


def compile_graph_module(module: GraphModule, example_inputs: list[torch.Tensor]) -> Program:
    """The backend contract: a callable that takes the graph's inputs and returns a tuple of its outputs."""
    targets = {node.target for node in module.graph.nodes if node.op in ("get_attr", "call_module")}
    return compile_graph(module.graph, {target: attrgetter(target)(module) for target in targets})


def compile_handover(handover: Handover) -> Program:
    """The program of a captured graph."""
    name = f"graph of {handover.label}"
    return compile_graph(handover.graph, handover.attributes, handover.origin, name, shown=handover.shown)


def compile_graph(
    graph: Graph,
    attributes: Mapping[str, Any] | None = None,
    origin: Origin = stack_trace_of,
    name: str = "graph",
    *,
    shown: Shown | None = None,
) -> Program:
    """The program of `graph`: a Python function that takes the inputs positionally and returns a tuple.

    `attributes` are the objects that get_attr and call_module nodes name. `origin(node)` gives the user's line of a
    node that has raised, `shown(node)` what debuggers and tracebacks show of it, if not the line that runs. `name` is
    part of the file name that they show. The source is the function's attribute `source`.
    """
    writer = SourceWriter(attributes or {}, (node.name for node in graph.nodes))
    calls: list[Any] = []
    for node, dying in with_last_uses(graph):
        if node.op in NOT_COMPUTED:
            writer.place(node)
        else:
            calls.append((node, dying))
    nodes = [node for node, _ in calls]
    body = _GraphLines(writer, calls, repetitions(calls))
    names = [node.name for node in nodes]
    return _program(writer, body, names, name, nodes.__getitem__, origin, weakref.ref(graph), shown)


def compile_rows(
    rows: CallRows,
    graph: Callable[[], Graph | None],
    origin: Origin = stack_trace_of,
    name: str = "graph",
    *,
    shown: Shown | None = None,
) -> Program:
    """The program of a graph as rows, as compile_graph makes it of a graph. `graph` gives that, for those who look and
    for the line of an operator that has raised.
    """
    writer = SourceWriter({}, (row.name for row in rows.rows))
    for row in rows.inputs:
        writer.place(row)
    calls, groups = rows.calls()
    result = CallRow("output", "output")
    result.args = (tuple(rows.result),)
    calls.append((result, []))
    body = _GraphLines(writer, calls, groups)
    names = [row.name for row in rows.rows[len(rows.inputs) :]]

    def node_of(place: int) -> Node | None:
        shown_graph = graph()
        return None if shown_graph is None else [each for each in shown_graph.nodes if each.op != "placeholder"][place]

    return _program(writer, body, [*names, "output"], name, node_of, origin, graph, shown)


def _program(
    writer: SourceWriter,
    body: _GraphLines,
    names: Sequence[str],
    name: str,
    node_of: Callable[[int], Node | None],
    origin: Origin,
    graph: Callable[[], Graph | None],
    shown: Shown | None,
) -> Program:
    """The function of these lines. `names` are those of the calls, and `node_of` gives the node of one."""
    note = writer.fresh("note")
    text = "\n    ".join(body.lines)
    source = f"{HEADER.format(', '.join(writer.parameters))}    {text}{FOOTER.format(note)}"
    starts = {}
    for block in body.blocks:
        starts[block.name] = source.count("\n") + 1 + LINES_BEFORE_BLOCK
        source += block.source
    module_code = compile(source, unused_filename(name), "exec", dont_inherit=True)
    program, *functions = (
        FunctionType(code, writer.globals) for code in module_code.co_consts if type(code) is CodeType
    )
    writer.globals.update((function.__name__, function) for function in functions)
    writer.globals[note] = noter(body, node_of, origin)
    program.source = source  # type: ignore[attr-defined]
    shown_lines = {FIRST_LINE + row: names[place] for row, place in body.single_rows}
    for block in body.blocks:
        first = starts[block.name]
        shown_lines.update(enumerate(names[block.start : block.end], first))
    show_source(program, partial(_shown_source, graph, source, shown_lines, shown))
    return program


def _shown_source(graph: Callable[[], Graph | None], source: str, names: Mapping[int, str], shown: Shown | None) -> str:
    """The source of a graph's program, with what is shown of its nodes instead of the lines that run; `names` are those
    of the nodes by their lines.
    """
    alive = graph()
    if alive is None or shown is None:
        return source
    lines = source.splitlines()
    nodes = {node.name: node for node in alive.nodes}
    for line, name in names.items():
        lines[line - 1] = f"    {shown(nodes[name])}"
    return "\n".join(lines)


class _Block(NamedTuple):
    """A stretch of calls that repeats, as a function of its own: its name, its source, and the calls of its lines."""

    name: str
    source: str
    start: int
    end: int


class _GraphLines:
    """The lines of a graph's program, and the blocks that they call. `places` are the numbers of the calls that lines
    stand for, of the first of a repetition's, and `lengths` how many calls the repetitions have that begin there.
    """

    def __init__(self, writer: SourceWriter, calls: Sequence[Call], groups: Iterable[list[Stretch]]) -> None:
        self.writer = writer
        self.lines: list[str] = []
        self.places: list[int] = []
        self.lengths: dict[int, int] = {}
        self.blocks: list[_Block] = []
        done = 0
        for stretches in groups:
            self._write(calls, done, stretches[0].start)
            self._write_block(calls, stretches)
            done = stretches[-1].end
        self._write(calls, done, len(calls))

    @property
    def single_rows(self) -> list[tuple[int, int]]:
        """The lines that stand for one call, with the number of that."""
        return [(row, place) for row, place in enumerate(self.places) if place not in self.lengths]

    def place_at(self, raised: types.TracebackType) -> int:
        """The number of the call that has raised an exception."""
        place = self.places[raised.tb_lineno - FIRST_LINE]
        inner = raised.tb_next
        if place in self.lengths and inner is not None:
            row = inner.tb_lineno - inner.tb_frame.f_code.co_firstlineno - LINES_BEFORE_BLOCK
            place += min(max(row, 0), self.lengths[place] - 1)
        return place

    def _write(self, calls: Sequence[Call], start: int, end: int) -> None:
        self.lines += [self.writer.line(node, dying) for node, dying in calls[start:end]]
        self.places += range(start, end)

    def _write_block(self, calls: Sequence[Call], stretches: Sequence[Stretch]) -> None:
        """Write a function for stretches that are one, and a line that calls it for each.

        Values that die in it are handed over in a list, which it empties: the caller must not keep them alive.
        """
        writer, first = self.writer, stretches[0]
        name, held = writer.fresh("block"), writer.fresh("held")
        writer.globals[name] = None
        dying = [node.name for node in first.dying]
        parameters = [node.name for node in first.inputs if node not in first.dying]
        header = f"def {name}({', '.join([*parameters, held] if dying else parameters)}):\n"
        taking = f"  {', '.join(dying)}, = {held}; {held}.clear()\n" if dying else "\n"
        with writer.inside(first.inputs):
            lines = [f"  {writer.line(node, dead)}\n" for node, dead in calls[first.start : first.end]]
        outputs = ", ".join(node.name for node in first.outputs)
        source = f"{header}{taking}{''.join(lines)}  return {outputs}\n"
        self.blocks.append(_Block(name, source, first.start, first.end))
        for stretch in stretches:
            self.lines.append(writer.call_of_block(name, held, stretch))
            self.places.append(stretch.start)
            self.lengths[stretch.start] = stretch.end - stretch.start


def with_last_uses(graph: Graph) -> list[tuple[Node, list[Node]]]:
    """Each node with the nodes whose values are used by it for the last time."""
    seen: set[Node] = set()
    pairs = []
    for node in reversed(graph.nodes):
        dying = [used for used in node.all_input_nodes if used not in seen]
        seen.update(dying)
        pairs.append((node, dying))
    pairs.reverse()
    return pairs


def noter(lines: _GraphLines, node_of: Callable[[int], Node | None], origin: Origin) -> Callable[[Exception], None]:
    """A function that adds to an exception the user's line of the node that raised it."""

    def note(error: Exception) -> None:
        assert error.__traceback__ is not None
        node = node_of(lines.place_at(error.__traceback__))
        if node is not None:
            add_origin(error, node, origin)

    return note


class FailedNode(threading.local):
    """The graph, by identity, and the name of the node that raised last on this thread."""

    graph = 0
    node = ""


LAST_FAILURE: Final = FailedNode()


def add_origin(error: Exception, node: Node, origin: Origin) -> None:
    """Add to an exception the user's line of the node that raised it, and note the node."""
    LAST_FAILURE.graph, LAST_FAILURE.node = id(node.graph), node.name
    if where := origin(node):
        error.add_note(f"raised by {node.name}, captured from\n{where}")


class SourceWriter:
    """Writes each node as a line of Python, and collects the objects that its names stand for.

    Parameters and intermediates have the names of their nodes; constants and functions are globals with other names.
    """

    def __init__(self, attributes: Mapping[str, Any], node_names: Iterable[str]) -> None:
        self.globals: dict[str, Any] = {"__builtins__": vars(builtins)}
        self.parameters: list[str] = []
        self._attributes = attributes
        self._node_names = frozenset(node_names)
        self._places: dict[Operand, str] = {}
        self._bound: dict[int, str] = {}

    def place(self, node: Operand) -> None:
        """Name an input or an attribute, which needs no line of its own."""
        if node.op == "placeholder":
            self._places[node] = node.name
            self.parameters.append(node.name)
        else:
            self._places[node] = self.bind(self._attributes[str(node.target)])

    def line(self, node: Operand, dying: Iterable[Operand]) -> str:
        """The line that runs `node`, stores its value if it is used, and drops the values in `dying`."""
        if node.op == "output":
            return f"return {self.argument(tuple(node.args[0]))}"  # type: ignore[arg-type]
        text = self._call(node)
        if node.users:
            self._places[node] = node.name
            text = f"{node.name} = {text}"
        dead = [used.name for used in dying if used.op not in NOT_COMPUTED]
        return f"{text}; del {', '.join(dead)}" if dead else text

    @contextmanager
    def inside(self, inputs: Iterable[Operand]) -> Iterator[None]:
        """Write lines of another function, which has these nodes as parameters or local variables."""
        outer = self._places
        self._places = {node: node.name for node in inputs}
        try:
            yield
        finally:
            self._places = outer

    def call_of_block(self, name: str, held: str, stretch: Stretch) -> str:
        """The line that calls the function for a stretch, and stores what is used of its results."""
        arguments = [self._places[node] for node in stretch.inputs if node not in stretch.dying]
        text = f"{name}({', '.join([*arguments, *([held] if stretch.dying else [])])})"
        self._places.update((node, node.name) for node in stretch.outputs)
        if stretch.outputs:
            text = f"{', '.join(node.name for node in stretch.outputs)} = {text}"
        if not stretch.dying:
            return text
        dying = ", ".join(node.name for node in stretch.dying)
        return f"{held} = [{dying}]; del {dying}; {text}"

    def _call(self, node: Operand) -> str:
        target, args, kwargs = node.target, node.args, node.kwargs
        if node.op == "call_method":
            return f"{self.argument(args[0])}.{target}({self._arguments(args[1:], kwargs)})"
        if node.op == "call_module":
            return f"{self.bind(self._attributes[str(target)])}({self._arguments(args, kwargs)})"
        template = EXPRESSIONS.get(target)  # type: ignore[call-overload]
        if template and not kwargs and not (target is operator.setitem and node.users):
            return template.format(*map(self.argument, args))
        if target is getattr and len(args) == 2 and not kwargs and is_attribute_name(args[1]):
            return f"{self.argument(args[0])}.{args[1]}"
        return f"{self.bind(target)}({self._arguments(args, kwargs)})"

    def _arguments(self, args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
        parts = list(map(self.argument, args))
        for name, value in kwargs.items():
            text = self.argument(value)
            parts.append(f"**{{{name!r}: {text}}}" if iskeyword(name) else f"{name}={text}")
        return ", ".join(parts)

    def argument(self, value: Any) -> str:
        """An expression for `value`, to be used as an operand or an argument."""
        kind = type(value)
        if kind in OPERANDS:
            return self._places[value]
        if kind is bool or value is None:
            return repr(value)
        if is_written(value):
            text = "..." if value is ... else repr(value)
            return text if text[0] != "-" else f"({text})"
        if isinstance(value, list):
            return f"[{', '.join(map(self.argument, value))}]"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{self.argument(key)}: {self.argument(part)}' for key, part in value.items())}}}"
        if kind is tuple and all(type(part) in OPERANDS or is_written(part) for part in value):
            return f"({', '.join(map(self.argument, value))}{',' if len(value) == 1 else ''})"
        if kind is slice and not _holds_operand((value.start, value.stop, value.step)):
            return self.bind(value)
        if kind is slice:
            return f"{self.bind(slice)}({self._arguments((value.start, value.stop, value.step), {})})"
        if not isinstance(value, tuple) or not _holds_operand(value):
            return self.bind(value)
        if kind is tuple:
            return f"({', '.join(map(self.argument, value))},)"
        parts = self._arguments(value, {}) if hasattr(value, "_fields") else self.argument(tuple(value))
        return f"{self.bind(kind)}({parts})"

    def bind(self, value: Any) -> str:
        """The name of a global that holds `value`."""
        name = self._bound.get(id(value))
        if name is None:
            name = self._bound[id(value)] = self.fresh(getattr(value, "__name__", type(value).__name__))
            self.globals[name] = value
        return name

    def fresh(self, hint: str) -> str:
        """A name for a global that neither another one nor a node has."""
        name = f"_{''.join(letter if letter.isalnum() else '_' for letter in hint)}_{len(self.globals)}"
        while name in self._node_names:
            name = f"_{name}"
        return name


def _holds_operand(argument: Any) -> bool:
    """Whether a nested argument contains a node or a row."""
    if isinstance(argument, tuple | list):
        return any(map(_holds_operand, argument))
    if isinstance(argument, dict):
        return any(map(_holds_operand, argument.values()))
    if isinstance(argument, slice):
        return _holds_operand((argument.start, argument.stop, argument.step))
    return type(argument) in OPERANDS


def is_attribute_name(name: Any) -> bool:
    """Whether `x.name` reads the attribute: other texts, which `getattr` accepts too, would be other Python."""
    return type(name) is str and name.isidentifier() and name.isascii() and not iskeyword(name)


def is_written(value: Any) -> bool:
    """Whether a constant stands in the source itself. Infinities would need a name there."""
    kind = type(value)
    return math.isfinite(value) if kind is float else kind in WRITTEN and is_spelled(value)
