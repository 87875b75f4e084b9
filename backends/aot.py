"""What torch's AOTAutograd needs to know about a captured graph.

TorchDynamo passes more than a graph: the fake tensor mode to use, the symbol of each size, and which inputs are
parameters. `tracing` provides the same for graphs of bytegraph, so that every backend written for torch.compile works.
"""

from __future__ import annotations

import operator
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch._subclasses.fake_tensor import log as torch_log
from torch.fx import GraphModule, Node
from torch.utils.hooks import RemovableHandle

from backends.account import heard
from backends.first_answer import FirstAnswer
from backends.float_inputs import floats_as_tensors, given_floats
from backends.handover import Backend, Compiler, Handover, NeedsStaticSizes
from backends.inference_graphs import keeping_inference
from backends.native_gradients import with_native_gradients
from backends.view_outputs import with_views_of_program
from passes.accelerator import random_states, set_random_states
from passes.importing import import_apart
from passes.meta import TensorMeta
from passes.node_meta import PREDICTION, TENSOR_DICT, is_write, result_meta
from passes.operators.modes import KERNEL_SETTERS, current_modes, modes_kept, restore
from passes.operators.outcome import New
from passes.operators.randomness import packet_of
from passes.operators.wrapper_layouts import WrapperLayout

MODE_SETTERS: Final = (
    torch._C._set_grad_enabled,
    torch.set_autocast_enabled,
    torch.set_autocast_dtype,
    *KERNEL_SETTERS,
)
"""Calls of a graph that set a mode to what they are given."""


def compile_with(backend: Backend, handover: Handover) -> Callable[..., Any]:
    """Compile a graph with `backend`. Exceptions of the backend pass through.

    Raises NeedsStaticSizes for a graph with varying sizes whose inputs overlap in memory, and for one with floats as
    inputs if the backend takes none.
    """
    if backend.compile_graph is not None:
        if not backend.takes_floats and any(type(value) is float for value in handover.example_inputs):
            raise NeedsStaticSizes("a float varies")
        return heard(backend.compile_graph(handover))
    _refuse_overlaps(handover)
    module, inputs = handover.module(), list(handover.example_inputs)
    places = floats_as_tensors(module, inputs)
    _drop_all_without_drawing(module)
    with (
        unnoticed(),
        drawing_as_written(),
        keeping_results_apart(module),
        with_gradients_of_lstm(module, inputs),
        without_anomalies(),
        tracing(handover, module, inputs),
    ):
        program = _compiled(backend, module, inputs, places)
        if handover.shape_env is not None:
            program = without_marks(program)
        program = with_views_of_program(given_floats(program, places), handover.graph)
        return with_native_gradients(program, handover)


def _compiled(backend: Backend, module: GraphModule, inputs: list[Any], floats: list[int]) -> Callable[..., Any]:
    """What the backend makes of a module. `floats` are the places of inputs that stand for floats.

    Raises NeedsStaticSizes if it fails where there are some: not every kernel takes a number that varies.
    """
    compile = partial(_heard, backend)
    if not floats:
        return keeping_modes(keeping_inference(keeping_calls(compile)), module, inputs)
    quiet = torch_log.disabled
    torch_log.disabled = True  # what fails here is captured again
    try:
        return keeping_modes(keeping_inference(keeping_calls(compile)), module, inputs)
    except Exception as error:
        raise NeedsStaticSizes("a float varies") from error
    finally:
        torch_log.disabled = quiet


def _heard(backend: Backend, module: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
    """What a backend compiles a module to. The first answer of one that is not ours is looked at."""
    outputs: Any = module.graph.output_node().args[0]
    program = heard(backend.compile(module, inputs))
    return FirstAnswer(backend.name, program, len(outputs)) if backend.is_foreign else program


@contextmanager
def without_anomalies() -> Iterator[None]:
    """A context in which AOTAutograd does not warn of a backward graph that cannot be: that is no fault of the program
    until it asks for gradients.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Error detected in ")
        yield


SIZE_MARK: Final = "_dynamo_propagated_dynamic_indices"
"""The attribute by which AOTAutograd tells TorchDynamo's next graph which sizes of an output vary."""


def without_marks(program: Callable[..., Any]) -> Callable[..., Any]:
    """`program`, whose outputs have no attributes that the plain program's have not."""

    def unmarked(*inputs: Any) -> Any:
        outputs = program(*inputs)
        for output in outputs:
            if isinstance(output, torch.Tensor):
                vars(output).pop(SIZE_MARK, None)
        return outputs

    return unmarked


def _refuse_overlaps(handover: Handover) -> None:
    """Raise NeedsStaticSizes if inputs share memory: with varying sizes, AOTAutograd cannot follow that."""
    if handover.shape_env is None:
        return
    tensors = [value for value in handover.example_inputs if isinstance(value, torch.Tensor)]
    strided = [value for value in tensors if value.layout is torch.strided]
    if len({value.untyped_storage()._cdata for value in strided}) < len(strided):
        raise NeedsStaticSizes("inputs share memory")


def keeping_calls(compile: Compiler) -> Compiler:
    """`compile`, for a program that also makes the calls of a graph whose results nobody uses.

    A graph has such calls only where they may fail on the data. AOTAutograd would leave them out, so they are outputs.
    """

    def compile_all(module: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        results = [result for node in list(module.graph.nodes) if (result := _unused_result(node)) is not None]
        if not results:
            return compile(module, inputs)
        output = module.graph.output_node()
        outputs: Any = output.args[0]
        output.args = ((*outputs, *results),)
        module.recompile()
        compiled, count = compile(module, inputs), len(outputs)
        return lambda *inputs: compiled(*inputs)[:count]

    return compile_all


def _unused_result(node: Node) -> Node | None:
    """A tensor that a call gives and nobody uses; None for other nodes."""
    prediction = node.meta.get(PREDICTION)
    if node.users or is_write(node) or prediction is None:
        return None
    result = prediction.outcome.result
    if type(result) is New:
        return node
    if not isinstance(result, tuple) or type(result[0]) is not New:
        return None
    with node.graph.inserting_after(node):
        return node.graph.call_function(operator.getitem, (node, 0))


@contextmanager
def drawing_as_written() -> Iterator[None]:
    """A context in which AOTAutograd keeps every call that draws random numbers, also one whose numbers nobody uses."""
    from torch._inductor import config

    with config.patch(fallback_random=True):
        yield


@contextmanager
def keeping_results_apart(module: GraphModule) -> Iterator[None]:
    """A context in which AOTAutograd does not make one tensor of two equal results of a graph."""
    import_apart("torch._functorch.config")
    from torch._functorch import config

    outputs: Any = module.graph.output_node().args[0]
    targets = [node.target for node in {*outputs} if isinstance(node, Node)]
    if len(set(targets)) == len(targets):
        yield
        return
    with config.patch(cse=False):
        yield


def _drop_all_without_drawing(module: GraphModule) -> None:
    """Write each dropout that drops every element as the product with zero, which its kernel computes.

    AOTAutograd would trace it into an operator that draws a number for each element, which the program does not do. Of
    no elements the kernel returns the input itself.
    """
    for part in (each for each in module.modules() if isinstance(each, GraphModule)):
        for node in list(part.graph.nodes):
            if node.op != "call_function" or packet_of(node.target) is not torch.ops.aten.dropout:
                continue
            arguments = dict(zip(("input", "p", "train"), node.args, strict=False)) | node.kwargs
            meta = result_meta(node)
            drops_all = type(arguments["p"]) in (int, float) and arguments["p"] == 1 and arguments["train"] is True
            if drops_all and isinstance(meta, TensorMeta) and 0 not in meta.shape:
                with part.graph.inserting_before(node):
                    zero = part.graph.call_function(torch.zeros, ((),), {"dtype": meta.dtype, "device": meta.device})
                    product = part.graph.call_function(torch.mul, (arguments["input"], zero))
                product.meta.update(node.meta)
                node.replace_all_uses_with(product)
                part.graph.erase_node(node)


@contextmanager
def with_gradients_of_lstm(module: GraphModule, inputs: list[Any]) -> Iterator[None]:
    """A context in which AOTAutograd traces an LSTM into operators that have gradients, where gradients are asked for.

    Unless the LSTM's input itself requires gradients, torch would take oneDNN's kernel as it is for inference, which
    leaves nothing to compute the gradients of the parameters from: the graph would fail when it runs. Under autocast,
    oneDNN's kernel gives results in the lower precision and those operators, which torch also takes for an input that
    requires gradients where none are recorded, do not. So results are cast.
    """
    parts = [part for part in module.modules() if isinstance(part, GraphModule)]
    targets = {node.target for part in parts for node in part.graph.nodes}
    for part in parts if torch.lstm in targets else ():
        _cast_results_of_lstm(part)
    has_gradients = torch.is_grad_enabled() or MODE_SETTERS[0] in targets
    if torch.lstm not in targets or not has_gradients or not any(map(_requires_grad, inputs)):
        yield
        return
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(enabled)


def _cast_results_of_lstm(module: GraphModule) -> None:
    """Give the results of each LSTM the dtype that is predicted for them."""
    for node in module.graph.find_nodes(op="call_function", target=torch.lstm):
        for part in list(node.users):
            meta = result_meta(part)
            if isinstance(meta, TensorMeta):
                with module.graph.inserting_after(part):
                    cast = module.graph.call_method("to", (part, meta.dtype))
                part.replace_all_uses_with(cast, delete_user_cb=lambda user, cast=cast: user is not cast)
    module.recompile()


def _requires_grad(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad


def keeping_modes(compile: Compiler, module: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
    """`compile(module, inputs)`, for a program that also sets the modes that the graph leaves set.

    A graph that ends in a break may leave gradients off or autocast on, and the next graph restores them. AOTAutograd
    traces what is computed under a mode, but not which mode is left set; and if gradients are off at the start of a
    graph, it takes them to be off throughout.
    """
    setters = [node for node in module.graph.nodes if node.target in MODE_SETTERS]
    if not setters:
        return compile(module, inputs)
    first = current_modes()
    for node in setters:
        node.target(*node.args)  # type: ignore[operator]
    last = current_modes()
    chooses = any(node.target in KERNEL_SETTERS for node in setters)
    restore(first, chooses)
    raises = not first.grad and any(node.target is MODE_SETTERS[0] and node.args[0] for node in setters)
    if last == first and not raises:
        with modes_kept():
            return compile(module, inputs)
    if raises:
        with module.graph.inserting_before(next(node for node in module.graph.nodes if node.op != "placeholder")):
            module.graph.call_function(MODE_SETTERS[0], (False,))
        module.recompile()
    with modes_kept(), torch.set_grad_enabled(first.grad or raises):
        compiled = compile(module, inputs)

    def program(*inputs: Any) -> Any:
        torch._C._set_grad_enabled(first.grad or raises)
        outputs = compiled(*inputs)
        restore(last, chooses)
        return outputs

    return program


@contextmanager
def unnoticed() -> Iterator[None]:
    """Restore on exit what compilers use up and a program could see: random numbers, and the numbers of hooks."""
    python, native, hooks = random.getstate(), random_states(), RemovableHandle.next_id
    try:
        yield
    finally:
        random.setstate(python)
        set_random_states(native)
        RemovableHandle.next_id = hooks


@contextmanager
def tracing(handover: Handover, module: GraphModule, inputs: list[Any]) -> Iterator[None]:
    """A context in which AOTAutograd knows about `module` and `inputs` what it knows about a graph of TorchDynamo.

    After `torch._dynamo.output_graph.OutputGraph.compile_and_call_fx_graph`.
    """
    import_apart("torch._dynamo", "torch._functorch.aot_autograd")
    from torch._dynamo.source import LocalSource, RandomValueSource
    from torch._functorch import config
    from torch._guards import CompileId, TracingContext, tracing
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    fakes = [value for value in inputs if isinstance(value, FakeTensor)]
    if fakes:
        mode = fakes[0].fake_mode
    else:
        with config.patch(fake_tensor_allow_unsafe_data_ptr_access=False):
            mode = FakeTensorMode(shape_env=handover.shape_env or ShapeEnv())
    context = TracingContext(mode)
    module.meta["dynamo_compile_id"] = CompileId(frame_id=0, frame_compile_id=0)
    # Parameters are inputs; what is left are constants of the graph.
    constants = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
    module._param_name_to_source = {name: LocalSource(name) for name in constants}  # type: ignore[assignment]
    for node, value, meta in zip(module.graph.find_nodes(op="placeholder"), inputs, handover.metas, strict=True):
        node._dynamo_source = source = LocalSource(node.name, is_input=True)
        if isinstance(value, torch.nn.Parameter):
            node.meta[TENSOR_DICT] = {"_dynamo_static_input_type": "unguarded"}
        if isinstance(value, torch.Tensor) and not fakes and isinstance(meta, TensorMeta):
            # torch would read the number in a tensor without dimensions, and guards of what it assumes of it get lost;
            # not that of a number drawn at random.
            place = source if value.dim() else RandomValueSource(len(context.tensor_to_context))
            context.tensor_to_context[value] = _symbols_of(value, meta, place, mode.shape_env)
        elif isinstance(meta, WrapperLayout) and not fakes:
            context.tensor_to_context[value] = _fixed_layout(value, meta, source)
    with tracing(context):
        yield
    if context.guards_context.aotautograd_guards:
        raise NeedsStaticSizes("inputs of varying sizes overlap in memory")


def _symbols_of(value: torch.Tensor, meta: Any, source: Any, shape_env: Any) -> Any:
    """The expression over `shape_env` of each size and stride of an input; those that are numbers stay numbers."""
    import sympy
    from torch._dynamo.source import AttrSource, TensorProperty, TensorPropertySource

    rank = value.dim() if value.layout is torch.strided else len(value.shape)
    hints = {}
    if meta.symbolic:
        properties = {
            TensorPropertySource(source, TensorProperty.STORAGE_OFFSET): meta.storage_offset,
            **{TensorPropertySource(source, TensorProperty.SIZE, d): size for d, size in enumerate(meta.shape)},
            **{TensorPropertySource(source, TensorProperty.STRIDE, d): step for d, step in enumerate(meta.stride)},
        }
        hints = {
            place.name: size.node.expr if isinstance(size, torch.SymInt) else sympy.Integer(size)
            for place, size in properties.items()
        }
    base = value._base
    # Of the tensor that an input is a view of, nothing varies: only the view itself is in the graph.
    below = None if base is None else _context(base.dim(), AttrSource(source, "_base"))
    return _context(rank, source, meta.symbolic, below, {id(shape_env): hints})


def _fixed_layout(value: torch.Tensor, layout: WrapperLayout, source: Any) -> Any:
    """How to make an input fake that holds tensors: no size of it varies, nor one of those."""
    from torch._dynamo.source import AttrSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic, SubclassSymbolicContext

    inner = {}
    for name, part in layout.parts.items():
        place, held = AttrSource(source, name), getattr(value, name)
        is_plain = isinstance(part, TensorMeta)
        inner[name] = _context(part.rank, place) if is_plain else _fixed_layout(held, part, place)
    rank = value.dim()
    return SubclassSymbolicContext(
        dynamic_sizes=[DimDynamic.STATIC] * rank,
        dynamic_strides=[DimDynamic.INFER_STRIDE] * rank,
        constraint_sizes=[None] * rank,
        constraint_strides=[None] * rank,
        tensor_source=source,
        inner_contexts=inner,
    )


def _context(
    rank: int, source: Any, varies: bool = False, below: Any = None, hints: dict[int, dict[str, Any]] | None = None
) -> Any:
    """How to make an input fake: each size is a number or, if it `varies`, the expression that `hints` has for it."""
    from torch.fx.experimental.symbolic_shapes import DimDynamic, StatefulSymbolicContext

    return StatefulSymbolicContext(
        dynamic_sizes=[DimDynamic.DYNAMIC if varies else DimDynamic.STATIC] * rank,
        dynamic_strides=[DimDynamic.DYNAMIC if varies else DimDynamic.INFER_STRIDE] * rank,
        constraint_sizes=[None] * rank,
        constraint_strides=[None] * rank,
        view_base_context=below,
        tensor_source=source,
        shape_env_to_source_to_symbol_cache=hints or {},
    )
