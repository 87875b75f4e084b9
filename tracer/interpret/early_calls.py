"""A call of the program that is made while it is traced, before what the trace goes on with is known.

Its arguments are those of the program: the graph as it stands is run for them, on copies of what it writes to. Nothing
sees that, as long as it draws no numbers and the program has changed no object before. Then the frame is traced anew,
as the program finds it behind the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from torch.fx import Interpreter, Node

from passes.graph_module import as_module
from tracer.interpret.trace import InputWrite, Trace
from tracer.values.base import MISSING, realise
from tracer.values.concrete import concrete
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.lists import ListValue
from tracer.values.objects import ObjectValue
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue


class FrameChanged(Exception):
    """A call that was made while tracing changed what the frame finds: trace it again from its beginning."""


class EarlyCallFailed(BaseException):
    """Carries the error of a call that was made while tracing past every handler of a capture."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def obstacle(trace: Trace, sees_writes: bool) -> str:
    """Why no call can be made now in the place of one at its turn, "" if it can.

    `sees_writes`: the call may look at tensors from outside besides its arguments.
    """
    if trace.graph.is_inner:
        return "in a function that an operator is given"
    if trace.effects or trace.effects.cached_calls or trace.effects.draws or trace.settings:
        return "after a change that the program made"
    if trace.draws or not trace.only_writes or trace.runs_backward or trace.applies_functions:
        return "after an operator that cannot be run twice"
    if trace.written and (sees_writes or trace.inputs_overlap or any(map(_is_leaf, trace.written.values()))):
        return "after a write to a tensor from outside"
    if trace.modes != trace.first_modes:
        return "in other modes than those that the frame began with"
    frame = trace.frame
    while frame is not None:
        if frame.handled_here:
            return "within a handler of exceptions"
        frame = frame.caller
    return ""


def _is_leaf(write: InputWrite) -> bool:
    """Whether a tensor that was written to is one that autograd sums gradients in, which a copy is not."""
    return write.differentiated or write.redefines or write.value.meta.requires_grad


def make_early_call(
    trace: Trace, function: Callable[..., Any], args: Sequence[Item], kwargs: Mapping[str, Item]
) -> NoReturn:
    """Call `function` with what the arguments are in this run of the program, and trace the frame anew.

    Raises NotConcrete for arguments that are made in the trace and are neither tensors nor plain containers,
    EarlyCallFailed with what the call raises, else FrameChanged. There is no `obstacle`.
    """
    values = _Values(trace)
    real_args = [values.real(arg) for arg in args]
    real_kwargs = {name: values.real(arg) for name, arg in kwargs.items()}
    try:
        function(*real_args, **real_kwargs)
    except Exception as error:  # noqa: BLE001  (the program is given it)
        raise EarlyCallFailed(error) from None
    raise FrameChanged


class _Values:
    """What items stand for in this run of the program."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._computed: dict[str, Any] | None = None

    def real(self, item: Item) -> Any:
        """The real object for an item. Raises NotConcrete."""
        value = realise(self.trace, item)
        if type(value) is TensorValue and value.node is not None:
            return self._of_node(value.node)
        if isinstance(value, ObjectValue) and value.object is not MISSING:
            return value.object
        if isinstance(value, tuple):
            return tuple(map(self.real, value))
        if type(value) is TupleValue and value.cls is tuple:
            return tuple(map(self.real, value.all(self.trace)))
        if type(value) is ListValue and value.cls is list:
            return list(map(self.real, value.all(self.trace)))
        if type(value) is DictValue and value.cls is dict and value.source is None:
            return {concrete(self.trace, key): self.real(part) for key, part in value.all(self.trace).items()}
        return concrete(self.trace, value)

    def _of_node(self, node: Node) -> Any:
        if self._computed is None:
            self._computed = self._run()
        return self._computed[node.name]

    def _run(self) -> dict[str, Any]:
        """What each node of the graph gives for the inputs of the frame, by its name."""
        written = self.trace.written
        inputs = {
            node.name: example.clone() if source in written else example for source, node, example in self.trace.inputs
        }
        module = as_module(self.trace.graph.graph, self.trace.graph.attributes)
        interpreter = Interpreter(module, garbage_collect_values=False)
        try:
            interpreter.run(*(inputs[node.name] for node in module.graph.find_nodes(op="placeholder")))
        except Exception as error:  # which the program raises when it comes to that operator
            raise NotConcrete from error
        return {node.name: value for node, value in interpreter.env.items()}
