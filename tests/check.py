"""`check`: run a program plainly and captured, and compare everything that can be observed.

The program is called with deep copies of its arguments, and the globals, closure cells and defaults
that it reaches are put back before each run. Compared are the result or the exception, the arguments
afterwards, those globals and cells, gradients, random state, output and warnings (by `tests/same.py`);
then graphs, breaks and cache hits. Strict mode is on: guards are checked by the slow evaluator as well.
"""

import builtins
import contextlib
import copy
import dis
import io
import random
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from passes.accelerator import random_states
from tests.same import MISSING, cell_contents, differences
from tracer import capture, counters, is_capturing, reset
from tracer.reasons import TracerBug

BACKENDS = {"eager": "eager", "aot_eager": "aot_eager", "forward": lambda module, inputs: module.forward}
"""What tests of tensors run under: our own replay, torch's compiler without code, and the graph module as it is."""


@dataclass
class Surroundings:
    """The places outside of a program's arguments that it can reach, and how to fill them afresh."""

    places: list[tuple[str, Callable[[], Any], Callable[[Any], None]]] = field(default_factory=list)

    def read(self) -> dict[str, Any]:
        return {name: read() for name, read, _ in self.places}

    def write(self, values: Mapping[str, Any]) -> None:
        for name, _, write in self.places:
            write(values[name])


@dataclass
class Outcome:
    """Everything one call did."""

    result: Any = None
    exception: BaseException | None = None
    backward_error: str | None = None
    arguments: Any = None
    keywords: Any = None
    surroundings: dict[str, Any] = field(default_factory=dict)
    torch_random: list[torch.Tensor] = field(default_factory=list)
    python_random: Any = None
    grad_enabled: bool = True
    output: str = ""
    warnings: list[tuple[type, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """What was counted in the first captured call, and in all of them; the captured callable itself."""

    first: Any
    total: Any
    captured: Any
    outcomes: list[Outcome]


def check(
    program: Callable[..., Any],
    *args: Any,
    graphs: int | None = None,
    breaks: Sequence[str] | None = None,
    ops: int | None = None,
    calls: int = 2,
    recaptures: int | None = 0,
    fresh: bool = True,
    gradients: bool = True,
    make: Callable[[], tuple[Any, ...]] | None = None,
    keywords: Mapping[str, Any] | None = None,
    **options: Any,
) -> Report:
    """Assert that `program` and its captured form cannot be told apart.

    `graphs`, `breaks` (reason ids in any order) and `ops` are those of the first captured call, None for
    any. Of the `calls`, those after the first may make `recaptures` more captures altogether (None: any
    number). `fresh` gives each call its own copies of the arguments; without it all calls share one copy.
    `make` builds the arguments instead of copying `args`, for what cannot be copied. `gradients` runs
    backward() from the result when it requires gradients. `options` go to `capture`.
    """
    reset()
    plain_callee, captured_callee = _callees(program)
    captured = capture(captured_callee, strict=True, **options)
    surroundings = _surroundings(program)
    original = surroundings.read()
    try:
        outcomes, first = [], None
        worlds = [_world(args, keywords, make, original) for _ in range(2)]
        for call in range(calls):
            if call and fresh:
                worlds = [_world(args, keywords, make, original) for _ in range(2)]
            expected = _run(plain_callee, worlds[0], surroundings, gradients)
            observed = _run(captured, worlds[1], surroundings, gradients)
            wrong = differences(expected, observed, f"call {call + 1}", is_compiler(options.get("backend")))
            if wrong:
                raise AssertionError("can be told apart:\n  " + "\n  ".join(wrong)) from observed.exception
            assert not is_capturing(), "a capture is still going on after the call"
            outcomes.append(observed)
            if first is None:
                first = counters()
    finally:
        surroundings.write(original)
    report = Report(first, counters(), captured, outcomes)
    _check_counts(report, graphs, breaks, ops, calls, recaptures)
    return report


def one_graph(program: Callable[..., Any], *args: Any, **choices: Any) -> Report:
    """`check` for a program that must be captured as one graph, without a break."""
    return check(program, *args, graphs=1, breaks=[], **choices)


def is_compiler(backend: Any) -> bool:
    """Whether a backend makes one step of autograd of a graph, as AOTAutograd does; callables in tests do not."""
    return isinstance(backend, str) and backend != "eager"


def _check_counts(
    report: Report,
    graphs: int | None,
    breaks: Sequence[str] | None,
    ops: int | None,
    calls: int,
    recaptures: int | None,
) -> None:
    first, total = report.first, report.total
    assert total.tracer_bugs == 0, f"{total.tracer_bugs} internal errors"
    if breaks is not None:
        assert Counter(first.breaks) == Counter(breaks), f"breaks: {dict(first.breaks)}, expected {list(breaks)}"
    if graphs is not None:
        assert first.graphs == graphs, f"{first.graphs} graphs, expected {graphs}; breaks: {dict(first.breaks)}"
    if ops is not None:
        assert first.ops == ops, f"{first.ops} operators, expected {ops}"
    if recaptures is not None and calls > 1:
        again = total.captures - first.captures
        assert again == recaptures, f"{again} captures after the first call, expected {recaptures}"
        if recaptures < calls - 1:
            assert total.hits > first.hits, f"no later call was served from the cache: {first} then {total}"


def _callees(program: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The program for the plain side and for the captured side: two copies when it has state of its own."""
    if isinstance(program, types.FunctionType):
        return program, program
    if isinstance(program, types.MethodType):
        if isinstance(program.__self__, type):
            return program, program
        owner, twin = copy.deepcopy(program.__self__), copy.deepcopy(program.__self__)
        return types.MethodType(program.__func__, owner), types.MethodType(program.__func__, twin)
    return copy.deepcopy(program), copy.deepcopy(program)


def _world(
    args: tuple[Any, ...],
    keywords: Mapping[str, Any] | None,
    make: Callable[[], tuple[Any, ...]] | None,
    surroundings: Mapping[str, Any],
) -> dict[str, Any]:
    """Copies of arguments and surroundings, made together so that what they share stays shared."""
    if make is not None:
        with torch.random.fork_rng():
            torch.manual_seed(11)
            args = make()
        return {"args": args, "keywords": dict(keywords or {}), "surroundings": copy.deepcopy(surroundings)}
    return copy.deepcopy({"args": args, "keywords": dict(keywords or {}), "surroundings": dict(surroundings)})


def _run(callee: Callable[..., Any], world: dict[str, Any], surroundings: Surroundings, gradients: bool) -> Outcome:
    """Call once, in these surroundings, and note everything that can be observed afterwards."""
    torch.manual_seed(7)
    random.seed(7)
    surroundings.write(world["surroundings"])
    outcome = Outcome()
    printed = io.StringIO()
    grad_enabled = torch.is_grad_enabled()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        try:
            outcome.result = callee(*world["args"], **world["keywords"])
        except TracerBug:
            raise
        except Exception as error:
            outcome.exception = error
    outcome.grad_enabled = torch.is_grad_enabled()
    torch.set_grad_enabled(grad_enabled)
    outcome.output = printed.getvalue()
    outcome.warnings = [(warning.category, str(warning.message)) for warning in issued]
    outcome.torch_random, outcome.python_random = [state for _, state in random_states()], random.getstate()
    if gradients:
        outcome.backward_error = _backward(outcome.result)
    outcome.arguments, outcome.keywords = world["args"], world["keywords"]
    outcome.surroundings = surroundings.read()
    world["surroundings"] = outcome.surroundings
    owner = callee.__self__ if isinstance(callee, types.MethodType) else callee
    if isinstance(owner, torch.nn.Module):
        outcome.surroundings["state of the module"] = (dict(owner.named_parameters()), dict(owner.named_buffers()))
    return outcome


def _backward(result: Any) -> str | None:
    """Gradients from every floating tensor of the result that requires them; the error's text if that fails."""
    tensors = [tensor for tensor in tensors_in(result) if tensor.requires_grad and tensor.is_floating_point()]
    if not tensors:
        return None
    place = tensors[0].device
    total = torch.zeros((), dtype=torch.float64, device=place)
    for tensor in tensors:
        weights = torch.linspace(0.5, 1.5, tensor.numel(), dtype=torch.float64).reshape(tensor.shape).to(tensor.device)
        total = total + (tensor.double() * weights).sum().to(place)
    try:
        total.backward()
    except RuntimeError as error:
        return str(error)
    return None


def tensors_in(value: Any, seen: set[int] | None = None) -> Iterator[torch.Tensor]:
    """The tensors in nested containers and instance dictionaries, in order, each once."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in dict.values(value):
            yield from tensors_in(item, seen)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item, seen)
    elif isinstance(getattr(value, "__dict__", None), dict) and not isinstance(value, (type, types.ModuleType)):
        yield from tensors_in(vars(value), seen)


_CODE = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)


def _surroundings(program: Callable[..., Any]) -> Surroundings:
    """Places holding data that the program, or a function of the same file that it reaches, can see."""
    surroundings = Surroundings()
    todo, seen = [_function_of(program)], set()
    while todo:
        function = todo.pop()
        if function is None or id(function) in seen:
            continue
        seen.add(id(function))
        for name in _global_names(function.__code__):
            value = function.__globals__.get(name, MISSING)
            if isinstance(value, types.FunctionType) and value.__globals__ is function.__globals__:
                todo.append(value)
            elif _is_data(value):
                _add_global(surroundings, function.__globals__, name)
        for index, cell in enumerate(function.__closure__ or ()):
            value = cell_contents(cell)
            if isinstance(value, types.FunctionType):
                todo.append(value)
            elif _is_data(value):
                _add_cell(surroundings, cell, f"cell {function.__code__.co_freevars[index]} of {function.__qualname__}")
        if function.__defaults__:
            _add_attribute(surroundings, function, "__defaults__")
        if function.__kwdefaults__:
            _add_attribute(surroundings, function, "__kwdefaults__")
    return surroundings


def _function_of(program: Callable[..., Any]) -> types.FunctionType | None:
    if isinstance(program, types.MethodType):
        program = program.__func__
    return program if isinstance(program, types.FunctionType) else None


def _global_names(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _is_data(value: Any) -> bool:
    """Whether this is something that a program may change and that can be put back: not code."""
    if isinstance(value, _CODE):
        return False
    try:
        copy.deepcopy(value)
    except (TypeError, RuntimeError):
        return False
    return True


def _add_global(surroundings: Surroundings, namespace: dict[str, Any], name: str) -> None:
    def write(value: Any) -> None:
        if value is MISSING:
            namespace.pop(name, None)
        else:
            namespace[name] = value

    if not hasattr(builtins, name):
        surroundings.places.append((f"global {name}", lambda: namespace.get(name, MISSING), write))


def _add_cell(surroundings: Surroundings, cell: types.CellType, name: str) -> None:
    def write(value: Any) -> None:
        if value is not MISSING:
            cell.cell_contents = value
        elif cell_contents(cell) is not MISSING:
            del cell.cell_contents

    surroundings.places.append((name, lambda: cell_contents(cell), write))


def _add_attribute(surroundings: Surroundings, function: types.FunctionType, name: str) -> None:
    def write(value: Any) -> None:
        setattr(function, name, value)

    surroundings.places.append((f"{function.__qualname__}.{name}", lambda: getattr(function, name), write))
