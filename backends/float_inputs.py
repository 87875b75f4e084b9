"""Floats that vary, for compilers: they would take a float among the inputs for a constant.

The module of a graph is given a tensor for each float, and reads its value with `item()`, as graphs of TorchDynamo do.
The value stays a Python number that way, whose type does not count when types are promoted. What is computed with
floats is computed with tensors of float64, as torch's algebra would reorder it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch.fx import GraphModule, Node

from backends.handover import NeedsStaticSizes
from passes.node_meta import EXAMPLE_VALUE, FAKE_VALUE, META

COMPUTED: Final = frozenset(
    (
        *(operator.add, operator.sub, operator.mul, operator.truediv),
        *(operator.neg, operator.pos, operator.abs, operator.pow),
    )
)
"""Operators of Python by which a graph computes floats from floats."""


def floats_as_tensors(module: GraphModule, inputs: list[Any]) -> list[int]:
    """Have `module` take a tensor for each float among its example `inputs`, and give the places of those.

    Both `module` and `inputs` are changed. Raises NeedsStaticSizes where torch would compute something else.
    """
    places = [place for place, value in enumerate(inputs) if type(value) is float]
    floats = [node for node in module.graph.nodes if _is_float(node)]
    if not floats:
        return places
    if any(map(_scales_float, module.graph.nodes)):
        raise NeedsStaticSizes("a float varies beside an alpha")
    _make_numbers_unknown(module)
    first = next(node for node in module.graph.nodes if node.op != "placeholder")
    tensors: dict[Node, Node] = {}
    for node in floats:
        if node.op == "placeholder":
            with module.graph.inserting_before(first):
                tensor = module.graph.call_method("squeeze", (node, 0))
            _read(node, tensor, first, tensors)
        elif node.op == "call_function" and node.target in COMPUTED:
            _compute(node, tensors)
    for place in places:
        inputs[place] = _tensor(inputs[place])
    for node in module.graph.find_nodes(op="call_function", target=torch.tensor):
        dtype: Any = node.kwargs.get("dtype") or torch.get_default_dtype()
        if _is_float(node.args[0]) and node.kwargs.keys() <= {"dtype"} and dtype.is_floating_point:
            with module.graph.inserting_before(node):
                tensor = _operand(node.args[0], node, tensors)
            node.op, node.target, node.args, node.kwargs = "call_method", "to", (tensor, dtype), {"copy": True}
    module.recompile()
    return places


def _make_numbers_unknown(module: GraphModule) -> None:
    """Have tensors of one number be made by torch.full: torch follows the numbers in those that torch.tensor makes, and
    computes not-a-number where they meet a float that varies.
    """
    for node in module.graph.find_nodes(op="call_function", target=torch.tensor):
        if type(node.args[0]) in (int, float, bool):
            node.target, node.args = torch.full, ((), node.args[0])


def _is_float(value: Any) -> bool:
    """Whether a node stands for a float that varies."""
    return isinstance(value, Node) and type(value.meta.get(META)) is float


def _scales_float(node: Node) -> bool:
    """Whether a call adds a float that varies, times an `alpha`: torch forgets that where it makes a float a tensor."""
    operands = (*node.args, *(value for name, value in node.kwargs.items() if name != "alpha"))
    return "alpha" in node.kwargs and any(map(_is_float, operands))


def _read(node: Node, tensor: Node, before: Node, tensors: dict[Node, Node]) -> None:
    """Put the number in `tensor`, read in front of the node `before`, in the place of `node`."""
    with node.graph.inserting_before(before):
        number = node.graph.call_method("item", (tensor,))
    tensors[number] = tensor
    number.meta[META] = node.meta[META]
    for key in (META, FAKE_VALUE, EXAMPLE_VALUE):
        node.meta.pop(key, None)
    node.replace_all_uses_with(number, delete_user_cb=lambda user: user is not tensor)


def _compute(node: Node, tensors: dict[Node, Node]) -> None:
    """Compute a float with tensors of float64, which is what Python's floats are."""
    with node.graph.inserting_before(node):
        operands = tuple(_operand(number, node, tensors) for number in node.args)
        result = node.graph.call_function(node.target, operands)  # type: ignore[arg-type]
    _read(node, result, node, tensors)
    node.graph.erase_node(node)


def _operand(number: Any, user: Node, tensors: dict[Node, Node]) -> Any:
    """A number of the graph as a tensor that `user` can take; a constant is itself."""
    if not isinstance(number, Node):
        return number
    if number not in tensors:
        tensors[number] = user.graph.call_function(torch.scalar_tensor, (number,), {"dtype": torch.float64})
    return tensors[number]


def given_floats(program: Callable[..., Any], places: Sequence[int]) -> Callable[..., Any]:
    """`program`, which takes tensors at `places`, as one that takes floats there."""
    if not places:
        return program

    def with_floats(*inputs: Any) -> Any:
        values = list(inputs)
        for place in places:
            values[place] = _tensor(values[place])
        return program(*values)

    return with_floats


def _tensor(number: float) -> torch.Tensor:
    """With one dimension: torch reads the numbers in tensors without any while it compiles."""
    return torch.tensor([number], dtype=torch.float64, device="cpu")
