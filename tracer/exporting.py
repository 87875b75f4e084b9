"""Exporting: one call of a function as a graph module and the guards under which that is what the function computes.

The function is traced and never run. What no graph can repeat (a break, a change of an object that is no tensor) is an
error. torch's own export then makes an ExportedProgram of the module.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import torch
from torch.fx import GraphModule
from torch.utils import _pytree

from passes.graph_module import with_named_calls
from tracer.aten_export import aten_module
from tracer.captured import Captured, CapturedCallable
from tracer.code.decode import decode
from tracer.dispatch.capturing import begin_capture
from tracer.dispatch.engine import is_traced_by_torch, undisturbed
from tracer.entry import GuardList
from tracer.exported_module import FixedInputs, Leaf, ModuleWriter, Signature, parameter_name
from tracer.frame_capture import CaptureRequest, guards_of, trace_whole
from tracer.guards.checks import Expression
from tracer.guards.explain import CallFrame
from tracer.guards.source import Source, argument
from tracer.interpret.early_calls import FrameChanged
from tracer.interpret.trace import Trace
from tracer.options import DEFAULTS
from tracer.output.results import changes, graph_result
from tracer.reasons import ExportError
from tracer.values.rebuilding import Unrebuildable
from tracer.values.shapes import History, NotExpressible, Shapes


class Exported(tuple[GraphModule, GuardList]):
    """What `export` gives: the pair `(graph_module, guards)`. Called, it calls the graph module."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dynamic_shapes: Any

    def __new__(
        cls, graph_module: GraphModule, guards: GuardList, args: Any, kwargs: Any, dynamic_shapes: Any
    ) -> Exported:
        """The pair, with the example arguments and dynamic dimensions that it was exported for."""
        exported = super().__new__(cls, (graph_module, guards))
        exported.args, exported.kwargs, exported.dynamic_shapes = args, kwargs, dynamic_shapes
        return exported

    @property
    def graph_module(self) -> GraphModule:
        """The graph as a module, called like the function."""
        return self[0]

    @property
    def guards(self) -> GuardList:
        """What must hold of a call for the module to compute what the function does."""
        return self[1]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.graph_module(*args, **kwargs)

    def to_exported_program(self) -> Any:
        """The module as a torch.export.ExportedProgram. Raises what torch.export raises for what it does not take."""
        return torch.export.export(
            self.graph_module, self.args, self.kwargs, dynamic_shapes=self.dynamic_shapes, strict=False
        )


def export(
    fn: Any,
    *args: Any,
    aten_graph: bool = False,
    decomposition_table: Mapping[Any, Callable[..., Any]] | None = None,
    dynamic_shapes: Any = None,
    **kwargs: Any,
) -> Exported:
    """Trace `fn(*args, **kwargs)`, without running it, into one graph: `(graph_module, guards)`.

    The module is called like `fn`, takes and returns what it does, in its structure, and has the parameters, buffers
    and other tensors that it reads as attributes, those of a module `fn` by their own names. Its operators are those
    that the program calls; with `aten_graph` those of torch.ops.aten, decomposed by `decomposition_table`.

    `dynamic_shapes` says which dimensions may vary, as for torch.export.export: for each parameter, by name or in
    order, a dict or sequence of torch.export.Dim, Dim.DYNAMIC or Dim.AUTO. Other sizes are those of the example, which
    `guards` say and the module does not check. What `fn` prints, logs or warns is left out.

    Raises GraphBreakError where the graph would break, with the reason and the line, and ExportError where the
    function changes an object that is no tensor, returns what is no pytree, or fixes a dimension that should vary. A
    call of the module raises ExportError if an input that is no tensor is not what the graph was captured for.
    """
    fn = _original(fn)
    dimensions = _dimensions(fn, args, kwargs, dynamic_shapes)
    if is_traced_by_torch() or torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack():
        raise ExportError("cannot export within a mode, a transform or another tracer of torch")
    if not begin_capture():
        raise ExportError("cannot export while another capture is going on")
    traced: tuple[GraphModule, GuardList, Signature] = undisturbed(partial(_traced, fn, args, kwargs, dimensions))
    module, guards, signature = traced
    if aten_graph:
        module = aten_module(module, signature, dimensions, decomposition_table)
    elif decomposition_table is not None:
        raise TypeError("decomposition_table is for aten_graph=True")
    fixed = _fixed(guards, signature, fn, args, kwargs)
    if fixed:
        module.register_forward_pre_hook(FixedInputs(fixed), with_kwargs=True)
    return Exported(module, guards, args, kwargs, dynamic_shapes)


def to_exported_program(fn: Any, *args: Any, dynamic_shapes: Any = None, **kwargs: Any) -> Any:
    """Export a call of `fn`, or what `export` gave, as a torch.export.ExportedProgram: for torch.export.save and run.

    Raises what `export` raises, and what torch.export raises for operators that it does not take.
    """
    exported = fn if isinstance(fn, Exported) else export(fn, *args, dynamic_shapes=dynamic_shapes, **kwargs)
    return exported.to_exported_program()


# The call --------------------------------------------------------------------------------------------


def _original(fn: Any) -> Any:
    """The callable behind a captured one."""
    if isinstance(fn, types.MethodType):
        return types.MethodType(_original(fn.__func__), fn.__self__)
    wrapped = vars(type(fn)).get("__wrapped__") if isinstance(fn, torch.nn.Module) else None
    if wrapped is not None or isinstance(fn, (Captured, CapturedCallable)):
        return _original(fn.__wrapped__)
    if not callable(fn):
        raise TypeError(f"export takes a callable, not {fn!r}")
    return fn


def _call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
    return self(*args, **kwargs)


def _frame(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[types.FunctionType, tuple[Any, ...]]:
    """The function whose frame is traced, and the values of its parameters in the order of its variables."""
    function: Any = fn
    if isinstance(fn, types.MethodType):
        function, args = fn.__func__, (fn.__self__, *args)
    if not isinstance(function, types.FunctionType) or isinstance(fn, torch.nn.Module):
        return _call, (fn, args, kwargs)  # type: ignore[return-value]
    bound = inspect.Signature.from_callable(function, follow_wrapped=False).bind(*args, **kwargs)
    bound.apply_defaults()
    code = decode(function.__code__)
    return function, tuple(bound.arguments[name] for name in code.local_names[: code.parameter_count])


def _parameters(fn: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[str, Source]]:
    """The name of each argument, in order, and the path to it from the frame that `_frame` gives."""
    called = fn.forward if isinstance(fn, torch.nn.Module) else fn
    is_direct = _frame(fn, args, dict(kwargs))[0] is not _call
    try:
        parameters = list(inspect.Signature.from_callable(called, follow_wrapped=not is_direct).parameters.values())
    except (TypeError, ValueError):  # C functions that say nothing of their parameters
        parameters = []
    named: list[tuple[str, Source]] = []
    for position, _ in enumerate(args):
        parameter = parameters[min(position, len(parameters) - 1)] if parameters else None
        rest = parameter is None or parameter.kind is parameter.VAR_POSITIONAL
        variable = "args" if parameter is None else parameter.name
        place = position - len(parameters) + 1 if parameter is not None else position
        name = f"{variable}_{place}" if rest else variable
        path = argument(variable).child("index", place) if rest else argument(variable)
        named.append((name, path if is_direct else argument("args").child("index", position)))
    keywords = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    others = next((parameter.name for parameter in parameters if parameter.kind is parameter.VAR_KEYWORD), "kwargs")
    for name in kwargs:
        path = argument(name) if name in keywords else argument(others).child("item", name)
        named.append((name, path if is_direct else argument("kwargs").child("item", name)))
    return named


def _signature(
    fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Signature, list[Source], list[tuple[str, Any]]]:
    """How the module is called, the path to each leaf of the arguments, and each argument by its name."""
    named = _parameters(fn, args, kwargs)
    _, structure = _pytree.tree_flatten((args, kwargs))
    leaves: list[Leaf] = []
    paths: list[Source] = []
    values = (*args, *kwargs.values())
    for (name, path), value in zip(named, values, strict=True):
        for keys, leaf in _pytree.tree_flatten_with_path(value)[0]:
            words = f"{name}{_pytree.keystr(keys)}"
            leaves.append(Leaf(parameter_name(words), leaf, words))
            paths.append(_path(path, keys))
    names: list[str] = []
    for name, _ in named:
        name = parameter_name(name)
        while name in names:
            name = f"{name}_"
        names.append(name)
    return (
        Signature(names, [name for name, _ in named], leaves, structure),
        paths,
        [(name, value) for (name, _), value in zip(named, values, strict=True)],
    )


def _path(path: Source, keys: Sequence[Any]) -> Source:
    """The path to a leaf below an argument, as a trace walks it."""
    for key in keys:
        match key:
            case _pytree.SequenceKey(idx=index):
                path = path.child("index", index)
            case _pytree.MappingKey(key=name):
                path = path.child("item", name)
            case _:
                path = path.child("dict").child("item", getattr(key, "name", str(key)))
    return path


# Dimensions that vary --------------------------------------------------------------------------------


def _dimensions(
    fn: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], wanted: Any
) -> dict[int, dict[int, tuple[str, Any]]]:
    """The dimensions that are to vary by the id of each tensor: what to call each, and what was asked for it."""
    dimensions: dict[int, dict[int, tuple[str, Any]]] = {}
    if not wanted:
        return dimensions
    named = [name for name, _ in _parameters(fn, args, kwargs)]
    values = (*args, *kwargs.values())
    if isinstance(wanted, Mapping):
        unknown = [name for name in wanted if name not in named]
        if unknown:
            raise ExportError(f"dynamic_shapes names {unknown[0]!r}, but the arguments are {', '.join(named)}")
        rows = [(name, value, wanted[name]) for name, value in zip(named, values, strict=True) if name in wanted]
    else:
        if not isinstance(wanted, Sequence) or isinstance(wanted, str):
            raise ExportError(
                f"dynamic_shapes must have a row for each of the arguments {', '.join(named)}, such as "
                f"{{{named[0]!r}: {{0: torch.export.Dim('batch')}}}}, and is {wanted!r}"
            )
        if len(wanted) != len(values):
            raise ExportError(f"dynamic_shapes has {len(wanted)} entries for {len(values)} arguments")
        rows = list(zip(named, values, wanted, strict=True))
    for name, value, spec in rows:
        _add_dimensions(dimensions, name, value, spec)
    return dimensions


def _add_dimensions(dimensions: dict[int, dict[int, tuple[str, Any]]], name: str, value: Any, spec: Any) -> None:
    """Note what `spec`, a part of dynamic_shapes, asks for a tensor or for the tensors in a container."""
    if spec is None:
        return
    if not isinstance(value, torch.Tensor):
        if isinstance(spec, Mapping) and isinstance(value, Mapping):
            pairs = [(f"{name}[{key!r}]", value[key], part) for key, part in spec.items()]
        else:
            parts, below = _pytree.tree_flatten(value, is_leaf=lambda part: part is not value)[0], list(spec)
            pairs = [(f"{name}[{i}]", part, wish) for i, (part, wish) in enumerate(zip(parts, below, strict=True))]
        for words, part, wish in pairs:
            _add_dimensions(dimensions, words, part, wish)
        return
    wishes = spec.items() if isinstance(spec, Mapping) else enumerate(spec)
    for dim, wish in wishes:
        kind = getattr(getattr(wish, "type", None), "name", "")
        if wish is None or isinstance(wish, int) or kind == "STATIC":
            continue
        if not isinstance(dim, int) or not -value.dim() <= dim < value.dim():
            raise ExportError(f"dynamic_shapes names dimension {dim!r} of {name}, which has {value.dim()}")
        dim = range(value.dim())[dim]
        words = f"{name}.size({dim})"
        if value.shape[dim] < 2 and kind != "AUTO":
            raise ExportError(f"{words} is to vary, but is {value.shape[dim]} in the example: give one of 2 or more")
        dimensions.setdefault(id(value), {})[dim] = words, wish


def _check_dimensions(
    trace: Trace, value_at: Callable[[Source], Any], dimensions: Mapping[int, Mapping[int, tuple[str, Any]]]
) -> None:
    """Raise ExportError where the program needs the number of a dimension that is to vary."""
    shapes = trace.shapes
    if shapes is None or shapes.environment is None:
        return
    for symbol, source in shapes.sources.items():
        if source.accessor != "size" or source.base is None:
            continue
        words, wish = dimensions.get(id(value_at(source.base)), {}).get(source.key, ("", None))
        number = shapes.environment.simplify(symbol)
        if not words or not number.is_number or getattr(getattr(wish, "type", None), "name", "") == "AUTO":
            continue
        line = next((f" ({guard.line.text})" for guard in trace.guards if _is_about(guard, source) and guard.line), "")
        raise ExportError(f"{words} is to vary, but the function is right for {number} alone{line}: do not ask for it")


def _is_about(guard: Any, source: Source) -> bool:
    return isinstance(guard.expected, Expression) and source in guard.expected.sources


# The graph -------------------------------------------------------------------------------------------


def _traced(
    fn: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dimensions: Mapping[int, Mapping[int, tuple[str, Any]]],
    depth: int,
) -> tuple[GraphModule, GuardList, Signature]:
    """Trace the call. Without dimensions that must vary, what the algebra cannot express makes sizes numbers."""
    function, values = _frame(fn, args, kwargs)
    signature, paths, arguments = _signature(fn, args, kwargs)
    names = _tensor_names([("", getattr(fn, "__self__", fn)), *arguments])
    symbolic = partial(Shapes, History(), None, data=True, dimensions=dimensions, draws=False)
    attempts = [symbolic] if dimensions else [symbolic, partial(Shapes, History(), False, draws=False)]
    for last, shapes in zip((*[False] * (len(attempts) - 1), True), attempts, strict=True):
        request = CaptureRequest(
            function=function,
            locals=values,
            options=DEFAULTS,
            compile_graph=_unused,
            make_branch=_unused,
            run_original=_unused,
            shapes=shapes,
            replays=True,
            depth=depth,
        )
        traces: list[Trace] = []
        try:
            trace, frame = trace_whole(request, traces)
            call = CallFrame.bound(function, function.__code__, values)
            if trace.effects.changed:
                raise ExportError(f"cannot export: the function changes {', '.join(changes(trace))}")
            if trace.settings:
                setters = ", ".join(setting.setter.__name__ for setting in trace.settings.values())
                raise ExportError(f"cannot export: the function changes settings of the process ({setters})")
            result, positions = graph_result(trace, frame.code, frame.result, call.resolve)
            assert trace.shapes is not None
            trace.shapes.finish(trace.guard)
            _check_dimensions(trace, call.resolve, dimensions)
            module = _module(trace, signature, paths, names, call.resolve, (result, positions))
            return module, guards_of(trace), signature
        except FrameChanged:  # modules have other parameters now
            return _traced(fn, args, kwargs, dimensions, depth)
        except NotExpressible as error:
            if last:
                raise ExportError(f"cannot export with these dimensions: {error}") from None
        except Unrebuildable as error:
            raise ExportError(f"cannot export: the function returns what no graph can make ({error})") from None
        finally:
            for trace in traces:
                trace.close()
    raise AssertionError("the last attempt returns or raises")


def _unused(*args: Any) -> Any:
    raise AssertionError("an export compiles nothing and runs nothing")


def _tensor_names(owners: Sequence[tuple[str, Any]]) -> dict[int, str]:
    """The names of the parameters and buffers of modules by the id of each; the first name counts."""
    names: dict[int, str] = {}
    for prefix, owner in owners:
        if isinstance(owner, torch.nn.Module):
            tensors = [*owner.named_parameters(prefix), *owner.named_buffers(prefix)]
            for name, tensor in tensors:
                names.setdefault(id(tensor), name)
    return names


def _module(
    trace: Trace,
    signature: Signature,
    paths: Sequence[Source],
    names: Mapping[int, str],
    value_at: Callable[[Source], Any],
    outcome: tuple[Any, Mapping[int, int]],
) -> GraphModule:
    """The graph of a trace as a module with this signature; `outcome` is what `graph_result` gives."""
    assert trace.shapes is not None
    copied = with_named_calls(trace.graph.copied_module(trace.shapes.environment))
    writer = ModuleWriter(signature, names)
    taken = {node.name: source for source, node, _ in trace.inputs}
    numbers = dict(zip(paths, writer.placeholders, strict=True))
    inputs: dict[Any, Any] = {}
    for node in copied.graph.find_nodes(op="placeholder"):
        source = taken[node.name]
        value = value_at(source)
        if isinstance(value, torch.Tensor):
            inputs[node] = writer.node_of(value, source.text)
        elif source in numbers:
            inputs[node] = numbers[source]
        elif source.accessor in SIZES and source.base is not None:
            tensor = writer.node_of(value_at(source.base), source.base.text)
            inputs[node] = writer.graph.call_function(SIZES[source.accessor], (tensor, source.key))
        else:
            raise ExportError(f"cannot export: {source.text} varies, but is no argument")
    outputs = writer.copy(copied, inputs)
    leaves, structure = _pytree.tree_flatten(outcome[0])
    results = [writer.result(leaf, outputs, outcome[1]) for leaf in leaves]
    return writer.module(results, structure, "ExportedGraph")


SIZES: Final[dict[str, Any]] = {"size": torch.ops.aten.sym_size.int, "stride": torch.ops.aten.sym_stride.int}
"""Operators for what a graph reads of a tensor besides its data, by the step of the path."""


def _fixed(
    guards: GuardList, signature: Signature, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[tuple[int, Leaf]]:
    """The leaves of the arguments that are no tensors, and that a guard is about: their positions beside them."""
    _, paths, _ = _signature(fn, args, kwargs)
    seen: set[Any] = set()
    for guard in guards:
        source = guard.source
        while source is not None:
            seen.add(source)
            source = source.base
    return [
        (position, leaf)
        for position, (leaf, path) in enumerate(zip(signature.leaves, paths, strict=True))
        if path in seen and not isinstance(leaf.value, torch.Tensor)
    ]
