"""One compilation: a graph, the metas of its inputs, and the state of torch under which it runs.

A job holds no tensor, so that it keeps no model alive; a compiler that needs example inputs with data gets those that
are still alive. A job can be written as JSON for another process. Nothing here runs in the background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch.fx import Graph, GraphModule, Node

from backends.aot import keeping_modes, tracing
from backends.handover import Backend, Handover
from backends.tiered.transport import Unsendable, read_graph, read_value, write_graph, write_value
from passes.meta import TensorMeta
from passes.node_meta import EXAMPLE_VALUE, FAKE_VALUE, META
from passes.operators.modes import Modes, current_modes, entered
from passes.operators.outcome import rebuilt
from passes.operators.stand_ins import REAL, FakeStandIns, StandIns
from passes.references import OwnReference

EAGER_BACKWARD: Final = {"force_non_lazy_backward_lowering": True}
"""Settings of AOTAutograd: the backward is compiled at once, not in the caller's first backward."""


@dataclass(frozen=True, slots=True)
class CompilerSurroundings:
    """The state of the thread that a compiler reads."""

    modes: Modes
    threads: int

    @classmethod
    def current(cls) -> CompilerSurroundings:
        """The state of this thread."""
        return cls(current_modes(), torch.get_num_threads())

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A context with this state. Raises ValueError if a setting of the whole process has changed."""
        if current_modes().kernels != self.modes.kernels:
            raise ValueError("the kernels of attention have changed, which the program may be using now")
        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with entered(self.modes):
                yield
        finally:
            torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True)
class CompileJob:
    """`rows` is the graph as JSON, None when JSON cannot represent it; then `handover` makes the module."""

    handover: Handover
    surroundings: CompilerSurroundings
    parameters: Sequence[bool]
    inputs: Sequence[Callable[[], Any]]
    rows: Any = None
    refused: str = ""

    @classmethod
    def of(cls, handover: Handover) -> CompileJob:
        """The job of compiling a graph under the current state of this thread."""
        rows, refused = None, ""
        try:
            if handover.shape_env is not None:
                raise Unsendable("sizes that vary")
            rows = write_graph(handover.graph, handover.meta_of)
        except Unsendable as error:
            refused = str(error)
        return cls(
            handover=replace(handover, example_inputs=()),
            surroundings=CompilerSurroundings.current(),
            parameters=[isinstance(value, torch.nn.Parameter) for value in handover.example_inputs],
            inputs=list(map(_reference, handover.example_inputs, handover.metas)),
            rows=rows,
            refused=refused,
        )

    def written(self, options: Mapping[str, Any]) -> dict[str, Any] | None:
        """The job as JSON, with the options of the compiler; None when JSON cannot represent it."""
        try:
            return self.rows and {
                "graph": self.rows,
                "metas": [write_value(meta) for meta in self.handover.metas],
                "parameters": list(self.parameters),
                "modes": write_value(tuple(self.surroundings.modes)),
                "threads": self.surroundings.threads,
                "options": write_value(dict(options)),
            }
        except Unsendable:
            return None

    def module(self) -> GraphModule:
        """The graph as a module; read from JSON if possible, so that it is the same in every process."""
        if self.rows is None:
            return self.handover.module()
        module, makers = read_graph(self.rows, META), FakeStandIns()
        for node in module.graph.nodes:
            if node.meta[META] is not None:  # compilers look at these, and keep no graph without them on disk
                node.meta[FAKE_VALUE] = node.meta[EXAMPLE_VALUE] = rebuilt(node.meta[META], TensorMeta, makers.make)
        return module

    def example_inputs(self, fake: bool) -> list[Any]:
        """Fake tensors made from the metas, or the inputs of the captured call, with zeros for those that are gone."""
        if not fake:
            return [reference() for reference in self.inputs]
        from torch.fx.experimental.symbolic_shapes import ShapeEnv

        makers = FakeStandIns(self.handover.shape_env or ShapeEnv())
        return [
            _made(makers, meta, parameter) for meta, parameter in zip(self.handover.metas, self.parameters, strict=True)
        ]

    def compile(self, backend: Backend) -> tuple[Callable[..., Any], Callable[..., bool] | None]:
        """Compile the graph with `backend`; also a test of the sizes it was compiled for, if the backend narrowed them.

        Exceptions of the backend pass through. Raises ValueError if a mode of the process has changed.
        """
        shape_env = self.handover.shape_env
        guard_count = 0 if shape_env is None else len(shape_env.guards)
        from torch._functorch import config

        with ExitStack() as stack:
            stack.enter_context(self.surroundings.entered())
            stack.enter_context(config.patch(EAGER_BACKWARD))
            module, inputs = self.module(), self.example_inputs(backend.takes_fakes)
            stack.enter_context(tracing(self.handover, module, inputs))
            compiled = keeping_modes(backend.compile, module, inputs)
        narrowed = shape_env is not None and len(shape_env.guards) > guard_count
        ends = self.handover.graph.find_nodes(op="output")  # none in a worker, which only fills the cache
        results = [node for end in ends for node in end.args[0]]
        compiled = with_strides(compiled, [self.handover.meta_of(n) if isinstance(n, Node) else None for n in results])
        return compiled, _fits(shape_env, guard_count, self.handover.metas) if narrowed else None


def with_strides(compiled: Callable[..., Any], metas: Sequence[Any]) -> Callable[..., Any]:
    """A compiled program whose outputs have the strides of the graph's outputs; those with other strides are copied.

    Inductor's may differ: its decompositions lay out a concatenation with an empty tensor otherwise than torch does, as
    in the first call of a key-value cache. Applies only where sizes and strides are numbers.
    """
    wanted = [
        (index, meta.shape, meta.stride)
        for index, meta in enumerate(metas)
        if isinstance(meta, TensorMeta) and not meta.symbolic and meta.stride is not None
    ]

    def run(*inputs: Any) -> Any:
        outputs = compiled(*inputs)
        for index, shape, stride in wanted:
            value = outputs[index] if index < len(outputs) else None
            if isinstance(value, torch.Tensor) and value.shape == shape and value.stride() != stride:
                outputs = list(outputs)
                outputs[index] = torch.empty_strided(shape, stride, dtype=value.dtype, device=value.device).copy_(value)
        return outputs

    return run if wanted else compiled


def read_job(data: Mapping[str, Any]) -> CompileJob:
    """The job that `written` wrote, in another process."""
    metas = [read_value(meta, {}) for meta in data["metas"]]
    handover = Handover(Graph(), {}, (), metas, _no_module, lambda node: None)
    surroundings = CompilerSurroundings(Modes(*read_value(data["modes"], {})), data["threads"])
    return CompileJob(handover, surroundings, data["parameters"], [], data["graph"])


def _no_module() -> GraphModule:
    raise AssertionError("a job that was read has its graph in JSON")


def _fits(shape_env: Any, guard_count: int, metas: Sequence[Any]) -> Callable[..., bool]:
    """Whether inputs have sizes for which the guards after the first `guard_count` hold."""
    sizes = [
        (place, dimension, size)
        for place, meta in enumerate(metas)
        for dimension, size in ([(-1, meta)] if isinstance(meta, torch.SymInt) else enumerate(meta.shape))
        if isinstance(size, torch.SymInt) and size.node.expr.is_symbol
    ]
    text = shape_env.produce_guards_expression(
        placeholders=[size for _, _, size in sizes], guards=shape_env.guards[guard_count:]
    )

    def fits(*inputs: Any) -> bool:
        numbers = [inputs[place] if dimension < 0 else inputs[place].shape[dimension] for place, dimension, _ in sizes]
        return text is None or bool(shape_env.evaluate_guards_expression(text, numbers))

    return fits


def _reference(value: Any, meta: Any) -> Callable[[], Any]:
    """A function that returns an input as long as it is alive, then a tensor like it."""
    if not isinstance(value, torch.Tensor):
        return lambda: value
    weak, parameter = OwnReference(value), isinstance(value, torch.nn.Parameter)

    def found() -> torch.Tensor:
        alive = weak()
        return _made(REAL, _numbers(meta), parameter) if alive is None else alive

    return found


def _numbers(meta: TensorMeta) -> TensorMeta:
    """A meta in which each symbol is replaced by the number it had."""
    if not meta.symbolic:
        return meta
    values = {name: getattr(meta, name) for name in ("shape", "stride", "storage_offset")}
    return meta.replace(
        **{name: rebuilt(value, torch.SymInt, lambda size: size.node.hint) for name, value in values.items()}
    )


def _made(makers: StandIns, meta: Any, parameter: bool) -> Any:
    if not isinstance(meta, TensorMeta):
        return meta
    tensor = makers.make(meta)
    return torch.nn.Parameter(tensor, meta.requires_grad) if parameter else tensor
