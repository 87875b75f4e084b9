"""The first run of a residual program: compares what rules predicted of its graph with what the operators return.

For a backend that replays the graph, the first run is interpreted and every call is compared. If a rule was wrong, it
is quarantined, the entry is removed and the call is made again, which captures the frame anew. Afterwards the program
is restored, so that later calls cost nothing extra. The calls inside a compiled graph cannot be observed: for
compilers, and for calls that are in no graph, the operators are run before compilation (`refute`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from torch.fx import Graph, Node

from backends.eager import add_origin
from backends.handover import NeedsStaticSizes
from passes.node_meta import origin, prediction_of
from passes.operators.catalogue import name_of
from passes.operators.outcome import OpError
from passes.operators.verify import CheckedRun, Mispredicted, Prediction
from tracer._native import hidden, shown
from tracer.graph.builder import GraphBuilder
from tracer.interpret.evaluator import EVALUATOR, mismatch, quarantine
from tracer.output.program import FIRST_RUN, GRAPH
from tracer.pauses import no_collections


def _through_hook(*inputs: Any) -> Any:
    return first_run(*inputs)  # type: ignore[name-defined]  # noqa: F821  (a global of the residual program)


Recapture = Callable[[], Any]


def _nothing() -> None:
    """What is done about a program that was right, unless somebody waits for that."""


_MISPREDICTED = object()


class FirstRun:
    """Takes the places of a residual program and of its graph until both have run once.

    `call` is the backend's callable for the graph, which makes the graph's calls one by one.
    """

    def __init__(self, builder: GraphBuilder, call: Callable[..., Any]) -> None:
        self.builder = builder
        self.call = call
        self.thread: int | None = None
        self.recapture: Recapture | None = None
        self.confirmed: Callable[[], None] = _nothing
        self.is_right = False

    def stand_before(self, function: FunctionType) -> None:
        """Send the next call of a residual program, compiled with `self.graph` for its graph, to `program`."""
        self.function = function
        self.code = function.__code__
        function.__globals__[FIRST_RUN] = hidden(self.program)
        code = self.code
        function.__code__ = _through_hook.__code__.replace(co_filename=code.co_filename, co_name=code.co_name)

    def expect(self, recapture: Recapture, confirmed: Callable[[], None] = _nothing) -> None:
        """Announce that this thread makes the first call next; `recapture` repeats that call without the entry, and
        `confirmed` is called after it if all predictions were right.
        """
        self.thread, self.recapture, self.confirmed = threading.get_ident(), recapture, confirmed

    def program(self, *inputs: Any) -> Any:
        """The first call of the residual program."""
        function, recapture = self.function, self.recapture
        function.__code__ = self.code
        self.recapture = None
        if self.thread != threading.get_ident() or recapture is None:
            self._leave()
            return shown(function, *inputs)
        confirmed, self.confirmed = self.confirmed, _nothing
        try:
            result = shown(function, *inputs)
        except Mispredicted:
            result = _MISPREDICTED  # state is rolled back; recapture without that rule and call again
        finally:
            self._leave()
        if result is _MISPREDICTED:
            return shown(recapture)
        if self.is_right:
            confirmed()
        return result

    def _leave(self) -> None:
        """Give the program the backend's callable for its graph, unless it has been given another already.

        Another thread may have entered `_through_hook` by now, without having read its global: it goes on with the
        program itself.
        """
        namespace = self.function.__globals__
        namespace[FIRST_RUN] = self.function
        if getattr(namespace.get(GRAPH), "__self__", None) is self:
            namespace[GRAPH] = self.call

    @property
    def graph(self) -> Callable[..., Any]:
        """What is called for the graph in its first call."""
        return hidden(self._checked_run)

    def _checked_run(self, *inputs: Any) -> Any:
        """The first call of the graph: it is interpreted, and every result compared with its prediction."""
        if self.thread != threading.get_ident():
            return self.call(*inputs)
        self.thread = None

        def failed(node: Node, error: Exception) -> None:
            add_origin(error, node, origin)

        graph, attributes = self.builder.graph, self.builder.attributes
        run = CheckedRun(graph, attributes, prediction_of, EVALUATOR.is_proven, _refuses, failed)
        try:
            with no_collections():  # otherwise the capture's garbage would be collected inside this timed run
                outputs = run.run(inputs)
        except Mispredicted as error:
            if error.refusal is None:
                quarantine(error.prediction, error.words)
            else:  # the trace will see it raise, with all that the program has done by then
                EVALUATOR.remember_error(error.prediction, OpError(error.refusal))
            raise
        for prediction in run.seen:
            EVALUATOR.prove(prediction.outcome)
        if run.mistake is not None:
            quarantine(run.mistake.prediction, run.mistake.words)
        self.is_right = run.mistake is None
        return outputs


def _refuses(prediction: Prediction) -> bool:
    """Whether an operator refuses the shapes or types of a call, and a trace can be told so."""
    return EVALUATOR.is_remembered(prediction) and EVALUATOR.kernel_refuses(prediction, otherwise=False)


def unproven(node: Node) -> Prediction | None:
    """The prediction of a rule for a call, if no real call has confirmed it yet; else None."""
    prediction = prediction_of(node)
    return None if prediction is None or EVALUATOR.is_proven(prediction.outcome) else prediction


def unrun(predictions: Iterable[Prediction], graph: Graph) -> list[Prediction]:
    """The predictions whose node is no longer in the graph, because the program only used a shape, for example."""
    run = {id(prediction_of(node)) for node in graph.nodes}
    return [prediction for prediction in predictions if id(prediction) not in run]


def refute(predictions: Iterable[Prediction | None]) -> None:
    """Run the operators behind predictions that no run of the graph will confirm, and compare.

    Raises Mispredicted for the first wrong one, after quarantining its rule; a call that would raise is remembered, or,
    if its sizes vary, NeedsStaticSizes raised: with numbers for sizes, the trace will see it raise.
    """
    for prediction in predictions:
        if prediction is None or EVALUATOR.is_proven(prediction.outcome):
            continue
        try:
            words = mismatch(prediction)
        except OpError as error:
            if EVALUATOR.remember_error(prediction, error):
                raise Mispredicted(prediction, str(error)) from error
            raise NeedsStaticSizes(f"{name_of(prediction.target)}: {error}") from error  # with numbers, it is an error
        if words:
            quarantine(prediction, words)
            raise Mispredicted(prediction, words)


def refute_unused(predictions: Iterable[Prediction]) -> None:
    """Ask the kernels of calls that a graph no longer has whether they take the call, where its sizes vary.

    Fake tensors take types that kernels refuse. Raises NeedsStaticSizes for a call that would raise.
    """
    for prediction in predictions:
        if not EVALUATOR.is_remembered(prediction) and EVALUATOR.kernel_refuses(prediction, otherwise=False):
            raise NeedsStaticSizes(f"{name_of(prediction.target)} takes no arguments of these types")
