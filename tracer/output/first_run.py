"""The first run of a residual program: what rules predicted of its graph is compared with what comes.

A backend that replays the graph is stood in for by a run that looks at every call. If a rule was wrong it is
quarantined, the entry removed, and the call made anew, which captures the frame again. Afterwards the program is as
if nothing had been here: later calls pay nothing. Of what a compiler makes of a graph nothing can be seen inside:
for those, and for calls that are in no graph, the operators themselves are asked before (`refute`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any, Final

from torch.fx import Graph, Node

from backends.eager import add_origin
from passes.node_meta import origin, prediction_of
from passes.operators.verify import CheckedRun, Mispredicted, Prediction
from tracer.graph.builder import GraphBuilder
from tracer.interpret.evaluator import EVALUATOR, mismatch, quarantine
from tracer.output.program import GRAPH
from tracer.pauses import no_collections

HOOK: Final = "first_run"


def _through_hook(*inputs: Any) -> Any:
    return first_run(*inputs)  # type: ignore[name-defined]  # noqa: F821  (a global of the residual program)


Recapture = Callable[[], Any]


class FirstRun:
    """Stands before a residual program and its graph until both have run once.

    `call` is what the backend made of the graph, and does what the graph says, call by call.
    """

    def __init__(self, builder: GraphBuilder, call: Callable[..., Any]) -> None:
        self.builder = builder
        self.call = call
        self.thread: int | None = None
        self.recapture: Recapture | None = None

    def stand_before(self, function: FunctionType) -> None:
        """Let the next call of a residual program, compiled with `self.graph` for its graph, come here first."""
        self.function = function
        self.code = function.__code__
        function.__globals__[HOOK] = self.program
        function.__code__ = _through_hook.__code__

    def expect(self, recapture: Recapture) -> None:
        """This thread is about to make the first call; `recapture` makes it anew, without the entry."""
        self.thread, self.recapture = threading.get_ident(), recapture

    def program(self, *inputs: Any) -> Any:
        """The residual program, the first time."""
        function, recapture = self.function, self.recapture
        function.__code__ = self.code
        self.recapture = None
        if self.thread != threading.get_ident() or recapture is None:
            self._leave()
            return function(*inputs)
        try:
            return function(*inputs)
        except Mispredicted:
            pass  # and is as it was before: another capture, without that rule, makes the call
        finally:
            self._leave()
        return recapture()

    def _leave(self) -> None:
        """Put the backend's callable in the place of this one, unless it has been replaced already."""
        namespace = self.function.__globals__
        namespace.pop(HOOK, None)
        if getattr(namespace.get(GRAPH), "__self__", None) is self:
            namespace[GRAPH] = self.call

    def graph(self, *inputs: Any) -> Any:
        """The graph, the first time: a run that compares."""
        if self.thread != threading.get_ident():
            return self.call(*inputs)
        self.thread = None

        def failed(node: Node, error: Exception) -> None:
            add_origin(error, node, origin)

        graph, attributes = self.builder.graph, self.builder.attributes
        run = CheckedRun(graph, attributes, prediction_of, EVALUATOR.is_proven, failed)
        try:
            with no_collections():  # else it is here that what the capture left is looked through
                outputs = run.run(inputs)
        except Mispredicted as error:
            quarantine(error.prediction, error.words)
            raise
        for prediction in run.seen:
            EVALUATOR.prove(prediction.outcome)
        if run.mistake is not None:
            quarantine(run.mistake.prediction, run.mistake.words)
        return outputs


def unproven(node: Node) -> Prediction | None:
    """What a rule said of a call, if no real call was seen to agree with it so far."""
    prediction = prediction_of(node)
    return None if prediction is None or EVALUATOR.is_proven(prediction.outcome) else prediction


def unrun(predictions: Iterable[Prediction], graph: Graph) -> list[Prediction]:
    """Those that no node of the graph stands for any more: the program only wanted a shape, say."""
    run = {id(prediction_of(node)) for node in graph.nodes}
    return [prediction for prediction in predictions if id(prediction) not in run]


def refute(predictions: Iterable[Prediction | None]) -> None:
    """Ask the operators themselves about predictions that no run will show to be right.

    Raises Mispredicted for the first that is wrong, when its rule has been quarantined.
    """
    for prediction in predictions:
        if prediction is None or EVALUATOR.is_proven(prediction.outcome):
            continue
        words = mismatch(prediction)
        if words:
            quarantine(prediction, words)
            raise Mispredicted(prediction, words)
