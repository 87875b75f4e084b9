"""Planted bugs: custom operators and a compiler, each with one mistake that real ones have been seen to make.

The values they give for the ordinary call are right (the non-deterministic one and the gradient apart), so
that tests which compare ordinary results would not find them.
"""

import operator

import torch

counter = [0]  # calls of `mean_of_rows`


@torch.library.custom_op("planted::scale_", mutates_args={"x"})
def scale_(x: torch.Tensor, factor: float) -> None:
    """Works in a contiguous temporary and never copies back: right for contiguous tensors only."""
    temporary = x.contiguous()
    temporary.mul_(factor)


@torch.library.custom_op("planted::add_into", mutates_args={"out"})
def add_into(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> None:
    """Writes as many elements as there are from where `out` begins, whatever its strides."""
    flat = out.as_strided((out.numel(),), (1,), out.storage_offset())
    flat.copy_((x + y).flatten())


@torch.library.custom_op("planted::prefix", mutates_args=())
def prefix(x: torch.Tensor) -> torch.Tensor:
    """Leaves the last column unwritten, which is often zero in fresh memory, and adds to it."""
    result = torch.empty_like(x, memory_format=torch.contiguous_format)
    result[..., :-1] = x[..., :-1]
    return result


@prefix.register_fake
def _(x):
    return x.new_empty(x.shape)


@torch.library.custom_op("planted::mean_of_rows", mutates_args=())
def mean_of_rows(x: torch.Tensor) -> torch.Tensor:
    """Adds what depends on how often it was called: a race, in effect."""
    counter[0] += 1
    return x.mean(dim=-1) + 1e-3 * (counter[0] % 2)


@mean_of_rows.register_fake
def _(x):
    return x.new_empty(x.shape[:-1])


@torch.library.custom_op("planted::softsign", mutates_args=())
def softsign(x: torch.Tensor) -> torch.Tensor:
    """x / (1 + |x|), with a gradient that forgets the square."""
    return x / (1 + x.abs())


@softsign.register_fake
def _(x):
    return torch.empty_like(x)


def _keep(ctx, inputs, output):
    ctx.save_for_backward(inputs[0])


def _backward(ctx, gradient):
    (x,) = ctx.saved_tensors
    return gradient / (1 + x.abs())


softsign.register_autograd(_backward, setup_context=_keep)


@torch.library.custom_op("planted::row_sums", mutates_args=())
def row_sums(x: torch.Tensor) -> torch.Tensor:
    """Reads the memory of its input one element after the other."""
    memory = x.as_strided((x.numel(),), (1,), x.storage_offset())
    return memory.view(x.shape).sum(-1)


@row_sums.register_fake
def _(x):
    return x.new_empty(x.shape[:-1])


@torch.library.custom_op("planted::row_maxima", mutates_args=())
def row_maxima(x: torch.Tensor) -> torch.Tensor:
    """Reads memory as `row_sums` does, and has no fake kernel."""
    memory = x.as_strided((x.numel(),), (1,), x.storage_offset())
    return memory.view(x.shape).amax(-1)


@torch.library.custom_op("planted::positives", mutates_args=())
def positives(x: torch.Tensor) -> torch.Tensor:
    """No bug: as many elements as are positive, and no fake kernel either."""
    return x[x > 0].clone()


def wrong_fusion(graph_module, example_inputs):
    """A compiler that makes one addcmul of a product and a sum, and takes a difference for a sum."""
    for node in list(graph_module.graph.nodes):
        if node.op == "call_function" and node.target in (operator.add, torch.add, operator.sub, torch.sub):
            left, right = node.args
            product = right if getattr(right, "target", None) in (operator.mul, torch.mul) else None
            if product is not None and len(product.users) == 1:
                with graph_module.graph.inserting_before(node):
                    fused = graph_module.graph.call_function(torch.addcmul, (left, *product.args))
                node.replace_all_uses_with(fused)
                graph_module.graph.erase_node(node)
    graph_module.recompile()
    return graph_module.forward
