"""What a residual program does when an operator of its graph raises: the original runs, if the graph can be repeated.

Before the call of the graph, the state of the random number generator is kept where the graph draws. What cannot be
undone are writes to tensors from outside; a graph that makes some is repeated if it raised before the first of them.
Its replay notes that; for other callables the versions of those tensors tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from backends.eager import LAST_FAILURE
from backends.handover import Writes
from passes.accelerator import random_states, set_random_states
from passes.meta import TensorMeta
from passes.node_meta import META, is_write, prediction_of
from passes.operators.refusals import may_refuse
from tracer.interpret.tensor_ops import ASSERTION
from tracer.values.rebuilding import Fragment, fragment, listed

if TYPE_CHECKING:
    from torch.fx import Graph, Node

    from tracer.interpret.trace import Trace
    from tracer.output.emitter import ProgramEmitter


class FailedBefore:
    """Asked after a graph has raised: whether it did so before it has written anything, in a node of these `names`.

    An operator that may refuse its data may have begun to write when it does; others refuse their arguments before.

    `compiled` is the answer for a callable that does not replay the graph, and so does not note what raised.
    """

    def __init__(self, graph: Graph, names: frozenset[str], compiled: bool) -> None:
        self.graph = graph
        self.compiled = compiled
        self.names = names

    def __call__(self) -> bool:
        """Whether the last node that raised on this thread is one of those."""
        if LAST_FAILURE.graph != id(self.graph):
            return self.compiled
        return LAST_FAILURE.node in self.names


def _names_before(graph: Graph, end: Node) -> frozenset[str]:
    """The nodes that have not written anything if they raise, up to the first that writes, `end`."""
    nodes = list(graph.nodes)
    last = nodes.index(end) + (not _may_refuse(end)) if end in nodes else 0
    return frozenset(node.name for node in nodes[:last])


def versions_of(*tensors: torch.Tensor) -> list[int]:
    """How often each tensor was written to."""
    return [tensor._version for tensor in tensors]


def is_repeated(trace: Trace) -> bool:
    """Whether the original runs when the graph raises: a handler waits for that, or objects were changed, or output was
    written, before.

    A program that writes to inputs last raises before writes that the function has made by then. What a compiler made
    of an operator may raise another error than the operator does.
    Not if memory of the caller's may be reused by the graph, or calls of caches would be counted twice.
    An operator that writes to a tensor may refuse any whose memory overlaps with it.
    """
    if _is_in_the_dark(trace) and not _is_replayed(trace):
        return False
    if trace.protected or trace.assertions:
        return True
    if trace.effects.cached_calls or trace.options.donate is not None:
        return False
    if trace.effects.changes_generators:
        return True
    if trace.shapes is not None and (trace.shapes.asserted or trace.shapes.computes_with_data):
        return True
    if trace.replays and not trace.effects:
        return False
    nodes = trace.graph.graph.nodes
    return (
        trace.inputs_overlap
        or _varies(trace)
        or any(_may_refuse(node) or (is_write(node) and not trace.draws) for node in nodes)
    )


def _varies(trace: Trace) -> bool:
    """Whether inputs have sizes that vary, for which only a kernel knows what it refuses."""
    return any(node.meta[META].symbolic for _, node, _ in trace.inputs if isinstance(node.meta[META], TensorMeta))


def _is_replayed(trace: Trace) -> bool:
    """Whether the callable of a graph that does what lasts makes its calls one by one, and notes which has raised."""
    return trace.replays or bool(trace.refusing) or (_is_in_the_dark(trace) and _may_lose_changes(trace))


def _is_in_the_dark(trace: Trace) -> bool:
    """Whether a graph does what lasts, and neither versions nor the backend tell if it has when it raises."""
    if not trace.lasting or trace.writes is Writes.LAST:
        return bool(trace.lasting) and not trace.only_writes
    return not (trace.only_writes and trace.counts_writes and _versions_tell(trace))


def _versions_tell(trace: Trace) -> bool:
    """Whether the versions of the tensors that a graph writes to tell if it has done anything that lasts."""
    return trace.writes is Writes.COUNTED and not any(write.value.meta.is_inference for write in trace.written.values())


def _may_lose_changes(trace: Trace) -> bool:
    """Whether an operator in front of what lasts may refuse its data when the program has changed objects by then.

    Or asserts what the program raises an error of its own for.
    """
    changes = trace.effects and not trace.effects.cached_calls and trace.options.donate is None
    if not changes and not trace.assertions:
        return False
    for node in trace.graph.graph.nodes:
        if node is trace.lasting_node:
            return False
        if node in trace.assertions or (changes and _may_refuse(node)):
            return True
    return False


def _may_refuse(node: Node) -> bool:
    call = prediction_of(node)
    return call is not None and may_refuse(call.target, call.args, call.kwargs)


def emit_repetition(
    emitter: ProgramEmitter, trace: Trace, raising: list[Fragment]
) -> tuple[list[tuple[Fragment, Fragment]], list[Fragment]]:
    """What is kept before the graph is called, by names, and the statements before its repetition after an error.

    `raising` are those with which the error leaves the program where the graph cannot be repeated.
    """
    before: list[tuple[Fragment, Fragment]] = []
    after: list[Fragment] = []
    if trace.lasting and not _is_replayed(trace) and trace.writes is not Writes.LAST:
        versions, asked = emitter.fresh("versions"), emitter.constant(versions_of, "versions_of")
        asking = fragment("{}({})", asked, listed(map(emitter.parameter, trace.written)))
        before.append((versions, asking))
        after += [fragment("if {} != {}:", asking, versions), *raising]
    elif trace.lasting:
        graph = trace.graph.graph
        failed_before = FailedBefore(graph, _names_before(graph, trace.lasting_node), trace.writes is Writes.LAST)
        check = fragment("{}()", emitter.constant(failed_before, "failed_before_writes"))
        after += [fragment("if not {}:", check), *raising]
    if trace.draws:
        generator: Any = torch.default_generator
        read, write = generator.get_state, generator.set_state
        if trace.draws_on_devices:
            read, write = random_states, set_random_states
        state = emitter.fresh("random_state")
        before.append((state, fragment("{}()", emitter.constant(read, "get_random_state"))))
        after.append(fragment("{}({})", emitter.constant(write, "set_random_state"), state))
    return before, after


def loses_errors(trace: Trace) -> bool:
    """Whether a compiler might not keep the errors of a graph, for the sake of which it has some of its calls.

    Compilers drop calls whose result nobody uses, assertions apart, and write when they like. A call whose result is
    used is trusted to raise in compiled code as well.
    """
    if (trace.protected and trace.options.donate is not None) or (trace.refusing and trace.lasting):
        return True
    if _is_in_the_dark(trace) and _may_lose_changes(trace):
        return True
    unused = [node for node in trace.graph.graph.nodes if not node.users]
    return any(
        node in trace.refusing or (node.target is not ASSERTION and not is_write(node) and _may_refuse(node))
        for node in unused
    )
