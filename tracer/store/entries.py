"""One entry as data, and the entry that such data stands for in this process and for the call at hand."""

from __future__ import annotations

import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import torch

from passes.operators.modes import Modes, restore
from tracer._native import NativeEntry
from tracer.code.decode import decode
from tracer.entry import Entry, GuardList
from tracer.graph.builder import GraphBuilder
from tracer.guards.explain import CallFrame
from tracer.guards.source import Source
from tracer.output.graph_errors import FailedBefore
from tracer.output.program import ResidualProgram, let_replace
from tracer.store.branches import read_branch, read_break, write_branch, write_break
from tracer.store.errors import BadFile, Unstorable, part_of
from tracer.store.graphs import GraphWriter, StoredGraph, are_plain_names, is_name
from tracer.store.guards import StoredGuards, write_guards
from tracer.store.named import is_named, is_passed, names_of, objects_in
from tracer.store.paths import TableReader, TableWriter, written_code
from tracer.store.programs import (
    FINDINGS,
    HELPERS,
    PROGRAM_BUILTINS,
    Program,
    StatementNodes,
    read_statement,
    statement_of,
    write_statement,
)


def write_entry(entry: Entry, run_original: Callable[..., Any]) -> dict[str, Any]:
    """An entry as JSON. Raises Unstorable for one that holds what is not written as data."""
    if entry.too_long:
        raise Unstorable("a function that is followed for too long")
    if entry.memory is not None:
        raise Unstorable("memory that is donated or allocated")
    if entry.of_process:
        raise Unstorable("what only this process has", entry.of_process)
    code = entry.code
    assert code is not None, "an entry that no capture made"
    tables = TableWriter(entry.guards, code.native)
    tables.symbol_sources = entry.symbols
    facts, guards = write_guards(tables, entry.guards)
    inputs = [tables.source(source) for source in entry.inputs]
    graph = None if entry.builder is None else GraphWriter(tables).write(entry.builder)
    program = None if entry.residual is None else _write_program(tables, entry, entry.residual, run_original)
    paths = {"sources": tables.sources, "steps": tables.steps}
    rows = {**paths, "objects": tables.objects, "metas": tables.metas, "lines": tables.lines, "symbols": tables.symbols}
    place = [code.qualname, code.filename, code.native.co_firstlineno]
    return {
        "place": place,
        **rows,
        "facts": facts,
        "guards": guards,
        "inputs": inputs,
        "graph": graph,
        "program": program,
        "end": write_break(entry.end),
        "held": entry.arguments_are_held,
        "transparent": entry.transparent,
    }


def _write_program(
    tables: TableWriter, entry: Entry, residual: ResidualProgram, run_original: Callable[..., Any]
) -> dict[str, Any]:
    constants = {
        name: ["globals"] if name in entry.own_globals else _write_constant(tables, value, run_original)
        for name, value in residual.constants.items()
        if value is not PROGRAM_BUILTINS
    }
    if not all(map(is_name, (residual.name, *residual.parameters, *constants))):
        raise Unstorable("names of a program that are not plain")
    assert entry.code is not None
    names = names_of(written_code(entry.code.native))
    for target in (tables.targets[number] for row in constants.values() for number in objects_in(row)):
        if not is_named(target, names):
            raise Unstorable("a function that the code does not name", repr(target))
    program = _names_of(residual.parameters, constants, dict(zip(residual.parameters, entry.inputs, strict=True)))
    if program.clash():
        raise Unstorable("a name that stands for two things", program.clash())
    statements = [
        [write_statement(each, program, tables), each.comment, tables.line(each.origin)] for each in residual.statements
    ]
    facts = {"name": residual.name, "parameters": residual.parameters, "replay": residual.must_replay}
    return {**facts, "calls": residual.calls_graph, "constants": constants, "statements": statements}


def _names_of(parameters: list[str], constants: Mapping[str, Any], sources: Mapping[str, Source]) -> Program:
    """`sources` are the access paths of the parameters that may be functions or namespaces."""
    kinds = {name: " ".join(row) if row[0] == "helper" else str(row[0]) for name, row in constants.items()}
    functions = frozenset(name for name, source in sources.items() if _is_function(source))
    globals_ = [name for name, source in sources.items() if source.accessor == "globals" and _is_function(source.base)]
    return Program(parameters, kinds, functions, frozenset(globals_))


def _is_function(source: Source | None) -> bool:
    """Whether an access path is the frame's own function."""
    return source is not None and source.base is None and source.accessor == "function"


def _write_constant(tables: TableWriter, constant: Any, run_original: Callable[..., Any]) -> list[Any]:
    kind: Any = type(constant)
    if kind is tuple and constant == FINDINGS:
        return ["findings"]
    if kind is types.MethodType and constant == run_original:
        return ["original"]
    branch = write_branch(constant)
    if branch is not None:
        return ["branch", *branch]
    helper = next((name for name, each in HELPERS.items() if each is constant or _is_same_method(each, constant)), None)
    if helper is not None:
        return ["helper", helper]
    if kind in (partial, Restoration) and constant.func is restore:
        modes, chooses, settings = constant.args
        if settings:
            raise Unstorable("settings of the process")
        return ["restore", [tables.value(field) for field in modes], chooses]
    if kind is FailedBefore:
        return ["failed before", sorted(constant.names), constant.compiled]
    if kind in CONTAINERS:
        return ["value", ["o", tables.object(constant)]]
    if kind in (str, bytes, int, float, complex):
        raise Unstorable("a number or text known by identity", kind.__name__)
    return ["value", tables.value(constant)]


CONTAINERS: Final = (dict, list, set, OrderedDict, deque)
"""Types of constants that are one object, which a copy is not."""


def _is_same_method(helper: Any, constant: Any) -> bool:
    return type(helper) is types.BuiltinFunctionType and type(constant) is type(helper) and helper == constant


# Reading ---------------------------------------------------------------------------------------------


TENSORS: Final = frozenset({torch.Tensor, torch.nn.Parameter})
"""Types of inputs that are no functions and no namespaces."""


class EngineParts(NamedTuple):
    """What an engine makes of the parts of an entry, as tracer.frame_capture.CaptureRequest describes it."""

    compile_graph: Callable[..., Callable[..., Any]]
    run_original: Callable[..., Any]
    make_branch: Callable[..., Any]


class LoadedEntry:
    """What an entry in a file is made of, for one call: its guards at once, the rest when they are known to hold."""

    def __init__(self, data: Any, function: Any, code: types.CodeType, values: tuple[Any, ...]) -> None:
        """Raises BadFile, and Unfit if what the file refers to is not here or another."""
        if type(data) is not dict:
            raise BadFile("no entry")
        self.code = code
        self.data = data
        self.tables = TableReader(data, CallFrame.bound(function, code, values), code)
        guards = StoredGuards(self.tables, data)
        self.checked = NativeEntry(guards, guards.inputs, None)
        """The guards alone, for a cache to check."""
        self.checked.arguments_are_held = data.get("held") is True
        self.guards: Any = guards
        self.inputs = guards.inputs
        self.values: Sequence[Any] = ()
        self.special: dict[int, Source] = {}
        """The access paths of the inputs that are no plain tensors, by their number."""
        self.names = names_of(written_code(code))
        self.graph: StoredGraph | None = None
        self.end = read_break(data.get("end"))
        is_skipped = data.get("program") is None and self.end is not None
        self.program = None if is_skipped else part_of(data, "program", dict)
        self.calls_of_graph: list[StatementNodes] = []

    def read(self, values: Sequence[Any]) -> None:
        """Read what the guards, which hold, are for; `values` are what the inputs lead to. Raises BadFile and Unfit."""
        self.values = values
        special = [place for place, each in enumerate(values) if type(each) not in TENSORS]
        self.special = {place: self.tables.source(self.checked.guards.input_numbers[place]) for place in special}
        for place, source in self.special.items():
            self._refuse_unnamed(source, values[place])
        if self.data.get("graph") is not None:
            self.graph = StoredGraph(self.data["graph"], self.tables)

    def _refuse_unnamed(self, source: Source, target: Any) -> None:
        """Raise BadFile if a program is given a function that its code does not name, and its caller did not pass."""
        if not _is_function(source) and not is_passed(source, self.tables.resolve):
            self._require_name(target, source.key)

    def _require_name(self, target: Any, key: Any = None) -> None:
        if not is_named(target, self.names, key):
            raise BadFile(f"a program is given {target!r:.200}, which its code does not name")

    def entry(self, parts: EngineParts) -> Entry:
        """The entry, once `read` has been called. Raises BadFile and Unfit, and what a backend raises.

        Its guards are those of `checked`, unless compiling its graph has assumed more.
        """
        code, end = decode(self.code), self.end
        if self.program is None:
            is_transparent = self.data.get("transparent") is True
            return Entry(self.guards, self.inputs, None, code=code, end=end, skipped=True, transparent=is_transparent)
        residual = self._residual(self.program, parts)
        graph = None
        if residual.calls_graph:
            builder = GraphBuilder() if self.graph is None else self.graph
            inputs = self._graph_inputs(residual)
            graph = parts.compile_graph(builder, inputs, None, self.code.co_qualname, residual.must_replay)
            assumptions = self.tables.sizes.assumptions(self.guards)
            if assumptions:
                self.guards = GuardList([*self.guards, *assumptions])
        function = residual.compile(graph)
        let_replace(function, graph)
        entry = Entry(
            self.guards,
            self.inputs,
            function,
            code=code,
            program=residual.source,
            statements=residual.statements,
            builder=self.graph,
            end=end,
            compiled=graph,
        )
        entry.arguments_are_held = self.checked.arguments_are_held
        entry.residual = residual
        entry.own_globals = tuple(name for name, row in self.program["constants"].items() if row[0] == "globals")
        entry.symbols = self.tables.sizes.access_paths
        self.tables.release()
        return entry

    def _residual(self, facts: dict[str, Any], parts: EngineParts) -> ResidualProgram:
        parameters = part_of(facts, "parameters", list)
        constants = part_of(facts, "constants", dict)
        name = facts.get("name")
        are_plain = is_name(name) and are_plain_names(parameters) and are_plain_names([*constants])
        if not are_plain or len(parameters) != len(self.inputs):
            raise BadFile("a program whose names are none")
        if not all(type(row) is list and row for row in constants.values()):
            raise BadFile("a constant that is none")
        program = _names_of(parameters, constants, {parameters[place]: each for place, each in self.special.items()})
        if program.clash():
            raise BadFile(f"{program.clash()} stands for two things")
        statements = []
        for row in part_of(facts, "statements", list):
            if type(row) is not list or len(row) != 3:
                raise BadFile("no statement")
            nodes = read_statement(row[0], program, self.tables)
            statements.append(statement_of(nodes, row[1], self.tables.line(row[2])))
            if statements[-1].runs_graph:
                self.calls_of_graph.append(nodes)
        for number in (number for row in constants.values() for number in objects_in(row)):
            self._require_name(self.tables.object(number))
        values = {name: self._constant(row, parts) for name, row in constants.items()}
        if not all(self._is_namespace(values[name]) for name in program.maker_globals):
            raise BadFile("a function with globals of its own")
        return ResidualProgram(
            name=str(name),
            inputs=self.inputs,  # type: ignore[arg-type]
            parameters=parameters,
            constants={**values, "__builtins__": PROGRAM_BUILTINS},
            statements=statements,
            graph_inputs=set(),
            calls_graph=facts.get("calls") is True,
            must_replay=facts.get("replay") is True,
        )

    def _is_namespace(self, value: Any) -> bool:
        spaces = [vars(module) for module in list(sys.modules.values()) if type(module) is types.ModuleType]
        return any(value is space for space in (self.tables.call.function.__globals__, *spaces))

    def _constant(self, row: list[Any], parts: EngineParts) -> Any:
        kind, *rest = row
        if kind == "globals":
            return self.tables.call.function.__globals__
        if kind == "findings":
            return FINDINGS
        if kind == "original":
            return parts.run_original
        if kind == "branch":
            return read_branch(rest, self.code, parts.make_branch)
        if kind == "helper" and len(rest) == 1 and type(rest[0]) is str and rest[0] in HELPERS:
            return HELPERS[rest[0]]
        if kind == "restore" and len(rest) == 2 and type(rest[0]) is list and len(rest[0]) == len(Modes._fields):
            return Restoration(Modes(*map(self.tables.value, rest[0])), rest[1] is True)
        if kind == "failed before" and len(rest) == 2 and self.graph is not None and type(rest[0]) is list:
            return FailedBefore(self.graph.builder.graph, frozenset(map(str, rest[0])), rest[1] is True)
        if kind == "value" and len(rest) == 1:
            return self.tables.value(rest[0])
        raise BadFile(f"a constant of the kind {kind!r}")

    def _graph_inputs(self, residual: ResidualProgram) -> list[Any]:
        """What this call gives the graph, in the order of its inputs."""
        by_name = dict(zip(residual.parameters, self.values, strict=True))
        if len(self.calls_of_graph) != 1:
            raise BadFile("a program that does not call its graph once")
        names = self.calls_of_graph[0].graph_arguments()
        if self.graph is not None and len(names) != len(self.graph.rows.inputs):
            raise BadFile("a graph that is given other inputs than it has")
        return [None if name is None else by_name.get(name) for name in names]


class Restoration:
    """Sets the modes that a graph may have changed to what they were."""

    def __init__(self, modes: Modes, chooses: bool) -> None:
        self.func, self.args = restore, (modes, chooses, ())

    def __call__(self) -> None:
        self.func(*self.args)
