"""The order of errors and of what lasts: whoever handles an error sees the state in which the operator left it.

A graph that raises is left, and the original runs from its beginning, so that its own handlers see the error, and what
it did to objects before is done. That is right as long as the graph has done nothing by then that cannot be undone.
Random numbers can: the generator's state is put back. Writes to tensors from outside cannot, so the graph is cut in
front of an operator that may refuse its data after such a write, or while it makes one, if the program has a handler or
has changed objects before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from passes.accelerator import type_in_use
from passes.meta import CPU
from passes.operators.catalogue import name_of
from passes.operators.outcome import New, leaves
from passes.operators.randomness import draws, is_known, never_drawing
from passes.operators.refusals import may_refuse
from tracer.guards.aliasing import any_written_overlap
from tracer.interpret.evaluator import EVALUATOR
from tracer.interpret.size_nodes import assert_assumptions
from tracer.reasons import ERROR_IN_HANDLER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from passes.operators.verify import Prediction
    from tracer.interpret.trace import Running, Trace
    from tracer.values.tensors import TensorValue


def keep_errors_in_order(trace: Trace, prediction: Prediction, tensors: Sequence[TensorValue]) -> bool:
    """Note what a call means for the errors of the graph; break in front of it if a handler would see a wrong state.

    True for a call that may refuse its data within the reach of a handler: a compiler must not leave it out.
    """
    target, args, kwargs = prediction.target, prediction.args, prediction.kwargs
    mutated = prediction.outcome.mutated
    draws_numbers = is_beyond_versions = False
    if target not in never_drawing():
        draws_numbers = draws(target, args, kwargs)
        places = _devices_of_draws(prediction) if draws_numbers else ()
        is_beyond_versions = not is_known(target, args) or places is None
        trace.draws_on_devices |= bool(places)
    written = [tensors[index] for index in mutated if tensors[index].base.source is not None]
    lasts = is_beyond_versions or bool(written)
    cannot_repeat = trace.lasting is not None or lasts
    refuses = False
    frame = trace.frame
    is_protected = frame is not None and (frame.protected or frame.handled_here)
    if is_protected:
        trace.protected = True
        refuses = may_refuse(target, args, kwargs)
        if not refuses and cannot_repeat:
            refuses = writes_what_it_reads(mutated, tensors)
        if not refuses and (cannot_repeat or not trace.replays):
            refuses = EVALUATOR.kernel_refuses(prediction, otherwise=cannot_repeat)
        if refuses and cannot_repeat:
            trace.stop(ERROR_IN_HANDLER, f"{name_of(target)}, after {trace.lasting or 'nothing'}")
    elif (
        cannot_repeat
        and trace.effects
        and (
            may_refuse(target, args, kwargs)
            or EVALUATOR.kernel_refuses(prediction, otherwise=False)
            or writes_what_it_reads(mutated, tensors)
        )
    ):
        trace.stop(ERROR_IN_HANDLER, f"{name_of(target)}, after {trace.lasting or 'nothing'} and a change of an object")
    if trace.modes is not trace.error_modes and not trace.graph.is_inner and not _is_unwound(frame):
        trace.error_modes = trace.modes
    trace.draws = trace.draws or draws_numbers
    trace.only_writes = trace.only_writes and not is_beyond_versions
    trace.counts_writes = trace.counts_writes and not (written and _behind_versions(trace, written))
    if lasts:
        if trace.lasting is None and not trace.graph.is_inner:
            assert_assumptions(trace)  # from here on, the graph could not be left where one turns out wrong
        trace.lasting = trace.lasting or name_of(target) or "a call"
    return refuses


def _is_unwound(frame: Running | None) -> bool:
    """Whether an exception would run code of the frame, or of one below it, before it leaves them."""
    while frame is not None:
        if frame.code.handlers[frame.index - 1] is not None:
            return True
        frame = frame.caller
    return False


def writes_what_it_reads(written: Iterable[int], tensors: Sequence[TensorValue]) -> bool:
    """Whether a call writes to a tensor and is given another one with memory of it, which most kernels refuse."""
    return any(
        other is not tensors[place] and (other.base is tensors[place].base or _share_memory(other, tensors[place]))
        for place in written
        for other in tensors
    )


def _share_memory(one: TensorValue, other: TensorValue) -> bool:
    """Whether two tensors are, or are views of, tensors from outside that share memory."""
    real: list[object] = [value.base.object for value in (one, other) if value.base.source is not None]
    tensors = [tensor for tensor in real if isinstance(tensor, torch.Tensor) and tensor.layout is torch.strided]
    return len(tensors) == 2 and any_written_overlap(tensors, 1)


def _behind_versions(trace: Trace, written: Sequence[TensorValue]) -> bool:
    """Whether a write to tensors from outside leaves their versions as they are: in inference mode, or by `.data`."""
    return trace.modes.inference or any(_is_data(value) for value in written)


def _is_data(value: TensorValue) -> bool:
    """Whether a view was made from what `Tensor.data` gives, which has a version of its own."""
    node = value.node
    while node is not None and node.op != "placeholder":
        if node.target is getattr and node.args[1] == "data":
            return True
        node = next((argument for argument in node.args if isinstance(argument, torch.fx.Node)), None)
    return False


def _devices_of_draws(prediction: Prediction) -> set[torch.device] | None:
    """The devices besides the CPU whose own generators a call may draw from; None if it may draw from another one."""
    if any(isinstance(leaf, torch.Generator) for leaf in leaves((prediction.args, prediction.kwargs))):
        return None
    metas = [*prediction.given, *(leaf.meta for leaf in prediction.outcome.tensors if isinstance(leaf, New))]
    places = {meta.device for meta in metas if meta.device != CPU}
    return places if not places or {place.type for place in places} == {type_in_use()} else None
