"""Cases: a graph, its inputs and its results on disk, to be replayed under another version of torch or another backend.

    case.json           version, torch, the graph, constants, the expected result of each call
    tensors.safetensors the memory of every tensor

Nothing on disk is executed: operators are names that are looked up among torch's (passes/operators/targets.py), the
names of nodes, attributes and keywords are identifiers, constants are JSON with a tag for what JSON lacks, tensors are
bytes. Knows nothing of how a graph was captured.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.utils._pytree import tree_leaves

from backends.case_sizes import BeyondFile, most_elements, refuse_large
from backends.crosscheck.calls import REFUSALS, ConcreteCall, attempt, is_plain, span
from backends.crosscheck.candidates import CompilerCandidate, candidate_of
from backends.crosscheck.compare import error_words, metas, values
from backends.crosscheck.reference import reference
from backends.crosscheck.walk import calls_of, copied_inputs, snapshot, steps, undisturbed
from backends.handover import NO_OPTIONS
from backends.observed import observed_graph
from backends.registry import look_up
from passes.graph_module import with_named_calls
from passes.node_meta import STACK_TRACE, stack_trace_of
from passes.operators.targets import ATTRIBUTES, UnknownTarget, target_name, target_of
from passes.printable import printable

VERSION: Final = 1
GRAPH, TENSORS = "case.json", "tensors.safetensors"
NOWHERE: Final[Mapping[int, Any]] = {}
EMPTY: Final = GraphModule({}, Graph())
"""Has the attributes that every graph has, those of its instances too."""
REPEATING: Final = (operator.mul, operator.imul, operator.pow, operator.ipow, operator.lshift, operator.ilshift, pow)
NAMED_TYPES: Final[dict[str, Any]] = {
    "dtype": torch.dtype,
    "layout": torch.layout,
    "memory_format": torch.memory_format,
}


class CaseError(ValueError):
    """A folder that is not a case, or a graph that cannot be stored as one."""


@dataclass(frozen=True)
class CaseDifference:
    """One call whose result differs from the one that was saved."""

    node: str
    operator: str
    kind: str
    detail: str
    line: str | None = None

    def __str__(self) -> str:
        where = f"\n{self.line.rstrip()}" if self.line else ""
        return f"{self.operator} ({self.node}): {self.kind}: {self.detail}{where}"


@dataclass
class CaseReport:
    """The result of a replay: differences of single calls, in order, and of the graph's outputs under a compiler."""

    saved_with: str
    replayed_with: str
    backend: str
    calls: int = 0
    compared: int = 0
    differences: list[CaseDifference] = field(default_factory=list[CaseDifference])
    notes: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Whether no call and no output differs."""
        return not self.differences

    def __str__(self) -> str:
        verdict = "the same" if self.ok else f"{len(self.differences)} differences"
        head = f"case of torch {self.saved_with}, replayed by {self.backend} under {self.replayed_with}: {verdict}"
        figures = f" ({self.compared} of {self.calls} calls compared)"
        return "\n".join([head + figures, *map(str, self.differences), *(f"note: {note}" for note in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """The report as data that JSON can hold."""
        return asdict(self) | {"ok": self.ok}


# Saving ---------------------------------------------------------------------------------------------


def save_case(captured: Any, inputs: Sequence[Any], folder: str | Path) -> Path:
    """Store a graph, its inputs and the result of each of its calls; return the folder.

    `captured` is a GraphModule, with the graph's inputs, or a captured function, with its arguments. A function that
    was not captured for such arguments yet is called once, on copies; its call must be one graph. Inputs and random
    numbers are not changed. Raises CaseError, before anything is written, for what cannot be stored; ImportError
    without safetensors.
    """
    from safetensors.torch import save_file

    module, values_given = _graph_of(captured, inputs)
    store = _Store()
    try:
        case: dict[str, Any] = {
            "version": VERSION,
            "torch": torch.__version__,
            "inputs": store.values(list(values_given)),
            "random": store.tensor(torch.get_rng_state()),
            "nodes": [_node_row(node, store) for node in module.graph.nodes],
            "attributes": {name: store.value(value) for name, value in _attributes(module).items()},
        }
        with undisturbed():
            case["expected"] = {
                step.node.name: _expected(step.call, step.seed, store)
                for step in steps(module, values_given)
                if step.call.tensors
            }
    except UnknownTarget as error:
        raise CaseError(str(error)) from error
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    save_file(store.memory, path / TENSORS)
    (path / GRAPH).write_text(json.dumps(case))
    return path


def _graph_of(captured: Any, inputs: Sequence[Any]) -> tuple[GraphModule, Sequence[Any]]:
    if isinstance(captured, GraphModule):
        count = sum(node.op == "placeholder" for node in captured.graph.nodes)
        if count != len(inputs):
            raise CaseError(f"the graph takes {count} inputs, {len(inputs)} are given")
        return captured, copied_inputs(inputs)
    try:
        module, values = observed_graph(captured, inputs)
    except ValueError as error:
        raise CaseError(f"a case holds one graph: {error}") from error
    return with_named_calls(module), values


def _attributes(module: GraphModule) -> dict[str, Any]:
    if any(node.op == "call_module" for node in module.graph.nodes):
        raise CaseError("the graph calls modules, which cannot be stored; capture them, or trace through them")
    return {str(node.target): getattr(module, str(node.target)) for node in module.graph.find_nodes(op="get_attr")}


def _expected(call: ConcreteCall, seed: Tensor, store: _Store) -> dict[str, Any]:
    """The arguments of a call, its tensors listed together because they may share memory, and its result."""
    places = {id(tensor): {"given": index} for index, tensor in enumerate(call.tensors)}
    row = {
        "tensors": store.values(call.tensors),
        "args": store.value([call.args, call.kwargs], places),
        "random": store.tensor(seed),
    }
    again = call.copied()
    outcome = attempt(again, seed=seed)
    if outcome.error is not None:
        return row | {"error": type(outcome.error).__name__}
    return row | {"result": store.value(snapshot(outcome.result)), "after": store.values(snapshot(outcome.arguments))}


def _node_row(node: Node, store: _Store) -> dict[str, Any]:
    row: dict[str, Any] = {"name": node.name, "op": node.op}
    if node.target is getattr and node.args[1] not in ATTRIBUTES:
        raise CaseError(f"the graph reads the attribute {node.args[1]!r}, which cannot be stored")
    if node.op.startswith("call_"):
        row["target"] = target_name(node.op, node.target)
    elif node.op == "get_attr":
        row["target"] = str(node.target)
    row["args"], row["kwargs"] = store.value(list(node.args)), store.value(dict(node.kwargs))
    if line := stack_trace_of(node):
        row["line"] = line
    return row


class _Store:
    """Writes values as JSON and the memory of their tensors beside it; shared memory is written once."""

    def __init__(self) -> None:
        self.memory: dict[str, Tensor] = {}

    def values(self, values: Sequence[Any]) -> list[Any]:
        """Write several values whose tensors may share memory with each other."""
        tensors = [value for value in values if isinstance(value, Tensor)]
        flats: dict[Any, str] = {}
        rows = []
        for value in values:
            if not isinstance(value, Tensor) or not is_plain(value):
                rows.append(self.value(value))
                continue
            key = value.untyped_storage()._cdata
            together = [one for one in tensors if is_plain(one) and one.untyped_storage()._cdata == key]
            same = all(one.dtype is value.dtype for one in together)
            together = together if same else [value]
            begin, end = min(span(one)[0] for one in together), max(span(one)[1] for one in together)
            name = flats.get(key) if same else None
            if name is None:
                name = flats[key] = self._add(value.detach().as_strided((end - begin,), (1,), begin).clone())
            rows.append(self._row(value, name, int(value.storage_offset()) - begin))
        return rows

    def tensor(self, tensor: Tensor) -> dict[str, Any]:
        return self.values([tensor])[0]

    def _add(self, flat: Tensor) -> str:
        """The name of a piece of memory. Memory that is stored already, such as a parameter's, is not stored again."""
        flat = flat.cpu()
        name = hashlib.sha256(bytes(flat.view(torch.uint8).numpy())).hexdigest()[:32] + f" {flat.dtype}"
        self.memory[name] = flat
        return name

    def _row(self, tensor: Tensor, name: str, offset: int) -> dict[str, Any]:
        return {
            "tensor": name,
            "shape": list(tensor.shape),
            "stride": list(tensor.stride()),
            "offset": offset,
            "grad": tensor.requires_grad,
            "parameter": isinstance(tensor, torch.nn.Parameter),
        }

    def value(self, value: Any, places: Mapping[int, Any] = NOWHERE) -> Any:
        """A value as JSON; `places` holds what to write for tensors that are stored elsewhere. Raises CaseError."""
        if id(value) in places:
            return places[id(value)]
        if isinstance(value, Node):
            return {"node": value.name}
        if isinstance(value, Tensor):
            if not is_plain(value):
                raise CaseError(f"a {value.layout} tensor of type {type(value).__name__} cannot be stored")
            return self.tensor(value)
        if value is None or isinstance(value, bool | str) or type(value) is int:
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, complex):
            return {"complex": [self.value(value.real), self.value(value.imag)]}
        if value is ...:
            return {"ellipsis": True}
        if isinstance(value, torch.Size):
            return {"size": list(value)}
        for tag, kind in NAMED_TYPES.items():
            if isinstance(value, kind):
                return {tag: str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {"device": str(value)}
        if isinstance(value, slice):
            return {"slice": [self.value(part, places) for part in (value.start, value.stop, value.step)]}
        if isinstance(value, tuple):
            return {"tuple": [self.value(part, places) for part in value]}
        if isinstance(value, list):
            return [self.value(part, places) for part in value]
        if isinstance(value, dict):
            return {"dict": [[self.value(key, places), self.value(part, places)] for key, part in value.items()]}
        raise CaseError(f"a {type(value).__name__} cannot be stored")


# Loading --------------------------------------------------------------------------------------------


@dataclass
class StoredCase:
    """A case as it was read: a graph, its inputs, and the arguments and the result of each call."""

    torch: str
    module: GraphModule
    inputs: list[Any]
    random: Tensor
    calls: dict[str, tuple[ConcreteCall, Mapping[str, Any]]]
    unknown: dict[str, str]
    most: int
    """How many elements a tensor may have that a call makes."""


def load_case(folder: str | Path) -> StoredCase:
    """Read a case. Raises CaseError saying what is wrong with the folder; ImportError without safetensors."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder)
    for name in (GRAPH, TENSORS):
        if (path / name).is_symlink():
            raise CaseError(f"{path / name} is a symbolic link: a case holds its own files")
        if (path / name).exists() and not (path / name).is_file():
            raise CaseError(f"{path / name} is no regular file")
    try:
        text = (path / GRAPH).read_text()
        memory = load_file(path / TENSORS)
        case = json.loads(text)
        if not isinstance(case, dict) or case.get("version") != VERSION:
            version = case.get("version") if isinstance(case, dict) else type(case).__name__
            raise CaseError(f"{path}: the version is {version!r}, this reads {VERSION}")
        return _read(case, _Reader(memory))
    except CaseError:
        raise
    except OSError as error:
        raise CaseError(
            f"{path} is not a case: {error.strerror or error}: {error.filename or ''}".rstrip(": ")
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CaseError(f"{path / GRAPH} is not JSON: {error}") from error
    except SafetensorError as error:
        raise CaseError(f"{path / TENSORS} is damaged: {error}") from error
    except RecursionError as error:
        raise CaseError(f"{path / GRAPH} is nested too deeply") from error
    except (*REFUSALS, ValueError, LookupError, MemoryError) as error:
        raise CaseError(f"{path} is damaged: {error_words(error)}") from error


def _read(case: Mapping[str, Any], reader: _Reader) -> StoredCase:
    graph, places = Graph(), {}
    attributes = {_attribute(name): reader.value(value) for name, value in case["attributes"].items()}
    unknown: dict[str, str] = {}
    calls: dict[str, tuple[ConcreteCall, Mapping[str, Any]]] = {}
    for row in case["nodes"]:
        op, name, line = row["op"], _identifier(row["name"]), row.get("line")
        if name in places or not isinstance(line, str | None):
            raise CaseError(f"the node {name} stands there twice, or its line is no text")
        line = None if line is None else printable(line)
        reader.nodes = places
        args, kwargs = tuple(reader.value(row["args"])), reader.value(row["kwargs"])
        for key in kwargs:
            _identifier(key)
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves((args, kwargs))):
            raise CaseError(f"the node {name} has a tensor in the place of a node")
        target: Any = name if op == "placeholder" else row.get("target", name)
        if op == "call_method" and not (args and isinstance(args[0], Node)):
            raise CaseError(f"the node {name} calls a method of nothing")
        if op == "get_attr" and target not in attributes:
            raise CaseError(f"a graph reads {target!r}, which is not among its attributes")
        if op in ("call_function", "call_method"):
            try:
                target = target_of(op, target)
            except UnknownTarget as error:
                unknown[name] = str(error)
                op, target = "call_function", _missing
        elif op not in ("placeholder", "get_attr", "output"):
            raise CaseError(f"a node is a {op!r}")
        if target is getattr and (len(args) < 2 or args[1] not in ATTRIBUTES):
            raise CaseError(f"a graph reads the attribute {args[1:]!r}, which tensors do not have")
        node = places[name] = graph.create_node(op, target, args, kwargs, name=name)
        node.meta[STACK_TRACE] = line
        expected = case["expected"].get(name)
        if expected is not None and name not in unknown:
            reader.given = reader.together(expected["tensors"])
            positional, keywords = reader.value(expected["args"])
            if not isinstance(keywords, dict):
                raise CaseError(f"the keywords of the call {name} are damaged")
            for key in keywords:
                _identifier(key)
            call = ConcreteCall(target, tuple(positional), keywords, line, name)
            _check_call(call)
            plain = {"random": reader.random(expected["random"]), "error": expected.get("error")}
            if plain["error"] is None:
                plain |= {"result": reader.value(expected["result"]), "after": reader.together(expected["after"])}
                if len(plain["after"]) != len(call.tensors) or not all(isinstance(t, Tensor) for t in plain["after"]):
                    raise CaseError(f"the call {name} has other arguments afterwards")
            calls[name] = call, plain
    graph.lint()
    module = GraphModule(attributes, graph)
    inputs, random = reader.together(case["inputs"]), reader.random(case["random"])
    return StoredCase(case["torch"], module, inputs, random, calls, unknown, reader.most)


def _identifier(name: Any) -> str:
    """`name`, which becomes part of source code that torch.fx compiles. Raises CaseError if it is no identifier."""
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise CaseError(f"{name!r} is not a name")
    return name


def _attribute(name: Any) -> str:
    """`name`, which is set on a GraphModule. Raises CaseError if the module has something else by that name."""
    if hasattr(EMPTY, _identifier(name)) or name.startswith("__"):
        raise CaseError(f"a graph's attribute cannot be called {name!r}")
    return name


def _check_call(call: ConcreteCall) -> None:
    """Refuse what is no call on tensors, and what Python computes for ever or fills the memory with. Raises CaseError.

    A call is stored because it has tensors. Python's operators on numbers and lists alone can be arbitrarily
    expensive: `10 ** 10 ** 10`, `[x] * 10 ** 10`.
    """
    if not call.tensors:
        raise CaseError(f"the call {call.name} has no tensor")
    if isinstance(call.target, str) and not isinstance(call.args[0] if call.args else None, Tensor):
        raise CaseError(f"the call {call.name} is that of a method of something else than a tensor")
    if call.target is getattr and (len(call.args) < 2 or call.args[1] not in ATTRIBUTES):
        raise CaseError(f"the call {call.name} reads the attribute {call.args[1:]!r}, which tensors do not have")
    if call.target in REPEATING and not any(isinstance(argument, Tensor) for argument in call.args):
        raise CaseError(f"the call {call.name} repeats a list or computes with numbers alone")


def _missing(*args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError("this operator is not known here")


class _Reader:
    """Reads values from JSON. `nodes` are the nodes read so far, by name; `given` the tensors of a call's arguments."""

    def __init__(self, memory: Mapping[str, Tensor]) -> None:
        self.memory = memory
        self.most = most_elements(memory.values())
        self.nodes: Mapping[str, Node] = {}
        self.given: Sequence[Any] = ()

    def together(self, rows: Sequence[Any]) -> list[Any]:
        """Read values whose tensors share memory where the stored ones did."""
        fresh = {row["tensor"]: self.memory[row["tensor"]].clone() for row in rows if _is_tensor(row)}
        return [self._tensor(row, fresh[row["tensor"]]) if _is_tensor(row) else self.value(row) for row in rows]

    def _tensor(self, row: Mapping[str, Any], flat: Tensor) -> Tensor:
        if any(type(number) is not int or number < 0 for number in (*row["shape"], *row["stride"], row["offset"])):
            raise CaseError(f"a tensor has the shape {row['shape']}, stride {row['stride']}, offset {row['offset']}")
        if math.prod(row["shape"]) > self.most:
            raise CaseError(
                f"a tensor has the shape {row['shape']}; what the case holds accounts for {self.most} elements"
            )
        tensor = flat.as_strided(row["shape"], row["stride"], row["offset"])
        if row["parameter"]:
            return torch.nn.Parameter(tensor, requires_grad=row["grad"])
        return tensor.requires_grad_() if row["grad"] else tensor

    def random(self, row: Any) -> Tensor:
        """The state of a random number generator. Raises CaseError for anything else."""
        state = self.value(row)
        try:
            torch.Generator().set_state(state)
        except (TypeError, RuntimeError) as error:
            raise CaseError(f"the state of the random numbers is damaged: {error}") from error
        return state

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.value(part) for part in value]
        if not isinstance(value, dict):
            return value
        if _is_tensor(value):
            return self._tensor(value, self.memory[value["tensor"]].clone())
        ((tag, content),) = value.items()
        return READERS[tag](self, content)


def _is_tensor(row: Any) -> bool:
    return isinstance(row, dict) and "tensor" in row


def _torch_constant(kind: type) -> Callable[[_Reader, Any], Any]:
    def read(reader: _Reader, name: Any) -> Any:
        value = getattr(torch, name, None)
        if not isinstance(value, kind):
            raise CaseError(f"torch.{name} is no {kind.__name__}")
        return value

    return read


READERS: Final[dict[str, Callable[[_Reader, Any], Any]]] = {
    **{tag: _torch_constant(kind) for tag, kind in NAMED_TYPES.items()},
    "node": lambda reader, name: reader.nodes[name],
    "given": lambda reader, index: reader.given[index],
    "float": lambda reader, text: float(text),
    "complex": lambda reader, parts: complex(*map(reader.value, parts)),
    "ellipsis": lambda reader, _: ...,
    "size": lambda reader, sizes: torch.Size(sizes),
    "device": lambda reader, text: torch.device(text),
    "slice": lambda reader, parts: slice(*map(reader.value, parts)),
    "tuple": lambda reader, parts: tuple(map(reader.value, parts)),
    "dict": lambda reader, pairs: {reader.value(key): reader.value(part) for key, part in pairs},
}


# Replaying ------------------------------------------------------------------------------------------


def replay_case(
    folder: str | Path,
    *,
    backend: str | Callable[..., Any] = "eager",
    options: Mapping[str, Any] = NO_OPTIONS,
) -> CaseReport:
    """Run a case under this version of torch and `backend`, and compare every call with its stored result.

    Each call gets the stored arguments. A result differs if it is neither within rounding of a float64 reference nor
    equal to the stored one. Raises CaseError, and what looking up the backend raises.
    """
    candidate = candidate_of(backend, options, None, None, look_up)
    case = load_case(folder)
    report = CaseReport(case.torch, torch.__version__, candidate.name, calls=len(calls_of(case.module.graph)))
    report.notes += [f"{name} was not run: {why}" for name, why in case.unknown.items()]
    with undisturbed(), torch.no_grad():
        for name, (call, expected) in case.calls.items():
            try:
                refuse_large(call, case.most)
            except BeyondFile as error:
                raise CaseError(f"the call {name} is refused: {error}") from error
            difference = _replayed(call, expected, candidate)
            report.compared += 1
            if difference is not None:
                report.differences.append(CaseDifference(name, call.title, *difference, call.line))
    return report


def _replayed(call: ConcreteCall, expected: Mapping[str, Any], candidate: CompilerCandidate) -> tuple[str, str] | None:
    """How the result of a call differs from the stored one: the kind of difference, and figures."""
    copy = call.copied()
    outcome = attempt(copy, candidate.run, expected["random"])
    if outcome.error is not None or expected["error"] is not None:
        now = None if outcome.error is None else type(outcome.error).__name__
        if now == expected["error"]:
            return None
        words = "no error" if outcome.error is None else error_words(outcome.error)
        return "error", f"{words}, {expected['error'] or 'none'} then"
    then = outcome._replace(result=expected["result"], arguments=expected["after"])
    if candidate.compiles:
        outcome = outcome._replace(result=_with_nothing(outcome.outputs, then.outputs))
    if len(tree_leaves(then.result)) != len(outcome.outputs):
        return "outputs", f"{len(outcome.outputs)} parts, {len(tree_leaves(then.result))} then"
    difference = metas(copy, outcome, call, then._replace(arguments=call.tensors), aliases=False)
    if difference is None:
        right = reference(call, expected["random"])
        if right.outcome.error is not None:
            return None
        right.call = call
        if outcome.drew:  # then the numbers drawn then are what is right
            right.exact = [
                part if isinstance(part, Tensor) else None for part in (*tree_leaves(then.result), *then.arguments)
            ]
        difference = values(copy, outcome, right, then)
    return None if difference is None else (difference.kind, f"{difference.what}: {difference.detail}")


def _with_nothing(parts: Sequence[Any], expected: Sequence[Any]) -> list[Any]:
    """The results of a compiled call, with None where None is expected: compilers leave it out."""
    rest = iter(parts)
    placed = [None if part is None else next(rest, None) for part in expected]
    return [*placed, *rest]
