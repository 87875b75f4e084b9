"""What the nodes of a graph carry in `meta`: one key for each fact, and functions that read it.

The first group is written by bytegraph, the second by torch's own tools and by bytegraph for backends that read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from passes.places import source_lines

if TYPE_CHECKING:
    from torch.fx import Node

META: Final = "tensor_meta_bg"
"""What the node stands for: a TensorMeta, or a structure with TensorMetas in it. Written by the tracer's GraphBuilder,
and by every pass that adds a call."""
LINE: Final = "line"
"""The user's line that made the node: a Line. Written by the tracer's GraphBuilder; passes copy it."""
MODULE: Final = "module"
"""Of a call: the module that made it, something whose `text` is its access path, such as `self.layers[2].fc`; None
where no module was running. Written by the tracer's tensor_ops."""
SOURCE: Final = "source"
"""Of a placeholder: the text of its access path, such as `self.fc.weight`. Written by the tracer's GraphBuilder."""
WRITES: Final = "writes"
"""True when the call changes something, so that it stays even when nobody uses its result; else absent. Written by the
tracer's GraphBuilder, and by passes/reuse for calls that it makes in place."""
MODES: Final = "modes"
"""The Modes that the call runs under; None when it changes them itself. Written by the tracer's GraphBuilder."""
PREDICTION: Final = "prediction"
"""The Prediction of what the call returns, for its first real run to confirm. Written by the tracer's tensor_ops."""
SYMBOL: Final = "symbol"
"""Of a call that computes a size: its torch.SymInt. Written by the tracer's size_nodes."""
UNCHANGED: Final = "unchanged"
"""Of a call of a torch.autograd.Function: a callable that tells whether its `backward`, and what that reads, is still
what it was when the graph was made. Written by the tracer; absent where no gradients are wanted."""
TANGENT: Final = "tangent"
"""True for a placeholder that the graph is linear in. Written by passes/autodiff."""

STACK_TRACE: Final = "stack_trace"
"""The user's line as a traceback shows it. Written by torch.fx's own tracer; by the tracer when a module is made."""
FAKE_VALUE: Final = "val"
"""A fake tensor like the result. Written by AOTAutograd; by the tracer for other backends."""
EXAMPLE_VALUE: Final = "example_value"
"""As `val`. Written by TorchDynamo; by the tracer for other backends."""
SHAPE_PROP: Final = "tensor_meta"
"""torch's own TensorMetadata. Written by ShapeProp; by the tracer for other backends."""
TENSOR_DICT: Final = "tensor_dict"
"""Of a placeholder: what AOTAutograd reads of it as an attribute of the tensor. Written by backends/aot.py."""


class Line(Protocol):
    """A line of the user's program."""

    @property
    def file(self) -> str:
        """The path of the file."""
        ...

    @property
    def line(self) -> int:
        """The number of the line in it."""
        ...

    @property
    def function(self) -> str:
        """The qualified name of the function."""
        ...


def result_meta(node: Node) -> Any:
    """What the node stands for: a TensorMeta or a structure with TensorMetas in it, None when nobody noted it."""
    return node.meta.get(META)


def line_of(node: Node) -> Line | None:
    """The user's line that made the node, None when nobody noted it."""
    return node.meta.get(LINE)


def module_of(node: Node) -> str | None:
    """The access path of the module that made the call, None when no module did or when nobody noted it."""
    module = node.meta.get(MODULE)
    return None if module is None else module.text


def source_of(node: Node) -> str | None:
    """The access path of a placeholder, None for other nodes and for inputs of graphs that were not captured."""
    return node.meta.get(SOURCE)


def is_write(node: Node) -> bool:
    """Whether the call changes something besides what it returns."""
    return WRITES in node.meta


def modes_of(node: Node) -> Any:
    """The Modes that the call runs under; None when it changes them, or when nobody noted them."""
    return node.meta.get(MODES)


def prediction_of(node: Node) -> Any:
    """What was predicted of the call, a passes.operators.verify.Prediction; None without one."""
    return node.meta.get(PREDICTION)


def fake_value(node: Node) -> Any:
    """The fake tensors that torch's tools noted for the node, None when they did not."""
    return node.meta.get(FAKE_VALUE)


def stack_trace_of(node: Node) -> str | None:
    """The user's line as a traceback shows it, where a module was made of the graph or torch.fx traced it."""
    return node.meta.get(STACK_TRACE)


def origin(node: Node) -> str | None:
    """The user's line that made the node, the way a traceback shows it; None when it has none."""
    line = line_of(node)
    if line is None:
        return stack_trace_of(node)
    text = "".join(source_lines(line.file)[line.line - 1 : line.line]).strip()
    return f'  File "{line.file}", line {line.line}, in {line.function}\n    {text}'
