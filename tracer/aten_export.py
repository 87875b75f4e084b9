"""The module of an export in operators of torch.ops.aten: torch's own tracer runs it on fake tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.graph_module import _get_attr
from torch.nn.utils.stateless import _reparametrize_module

from tracer.exported_module import ModuleWriter, Signature, unstructured
from tracer.reasons import ExportError


def aten_module(
    module: GraphModule,
    signature: Signature,
    dimensions: Mapping[int, Mapping[int, Any]],
    decomposition_table: Mapping[Any, Callable[..., Any]] | None,
) -> GraphModule:
    """`module` in operators of torch.ops.aten, decomposed; `dimensions` vary, by the id of a leaf of the signature."""
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    flat = unstructured(module)
    if any(node.target is torch.nn.Parameter for node in flat.graph.nodes):
        raise ExportError("cannot export: the function makes a parameter, which no operator of torch.ops.aten does")
    names = [str(node.target) for node in flat.graph.find_nodes(op="get_attr")]
    held = {name: value for name in names if isinstance(value := _get_attr(flat, name), torch.Tensor)}
    places = [place for place, leaf in enumerate(signature.leaves) if isinstance(leaf.value, torch.Tensor)]
    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv())
    fakes = [_fake(mode, name, tensor, ()) for name, tensor in held.items()]
    for place in places:
        leaf = signature.leaves[place]
        fakes.append(_fake(mode, leaf.name, leaf.value, dimensions.get(id(leaf.value), ())))

    def run(*tensors: torch.Tensor) -> Any:
        leaves = [leaf.value for leaf in signature.leaves]
        for place, tensor in zip(places, tensors[len(held) :], strict=True):
            leaves[place] = tensor
        with _reparametrize_module(flat, dict(zip(held, tensors, strict=False))):
            return flat(*leaves)

    sets_gradients = any(node.target is torch._C._set_grad_enabled for node in flat.graph.nodes)
    tracer = make_fx(
        run,
        dict(decomposition_table or {}),
        tracing_mode="real",
        _allow_non_fake_inputs=True,
        pre_dispatch=sets_gradients,  # behind autograd, it would be lost which operators it records
    )
    with mode:
        traced = tracer(*fakes)
    traced.graph.eliminate_dead_code()
    writer = ModuleWriter(signature, {id(tensor): name for name, tensor in held.items()})
    targets = [writer.node_of(tensor, name) for name, tensor in held.items()]
    targets += [writer.placeholders[place] for place in places]
    outputs = writer.copy(traced, dict(zip(traced.graph.find_nodes(op="placeholder"), targets, strict=True)))
    codegen: Any = module.graph._codegen
    return writer.module(outputs, codegen.pytree_info.out_spec, "ExportedGraph")


def _fake(mode: FakeTensorMode, name: str, tensor: torch.Tensor, varying: Any) -> Any:
    """A fake tensor for one from outside, with symbols for its varying dimensions."""
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic, StatelessSymbolicContext

    sizes = [DimDynamic.DYNAMIC if dim in varying else DimDynamic.STATIC for dim in range(tensor.dim())]
    context = StatelessSymbolicContext(dynamic_sizes=sizes)
    return mode.from_tensor(tensor, source=ConstantSource(name), symbolic_context=context)
