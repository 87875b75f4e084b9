"""What the traced program drew from clocks and from generators of random numbers, drawn by each run itself.

What was drawn before the graph's first call is drawn before the graph, and so is what the graph is given, with all that
was drawn before that. The rest is drawn after the graph. If the graph raises and the original runs instead, or the
frame is captured again, generators are put back first.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from tracer.output.emitter import ProgramEmitter
from tracer.output.graph_errors import is_repeated
from tracer.output.statements import Statement
from tracer.values.rebuilding import Fragment, fragment, listed
from tracer.values.shapes import NotExpressible

if TYPE_CHECKING:
    from tracer.effects.log import Draw
    from tracer.interpret.trace import Trace


def states_of(*generators: Any) -> list[Any]:
    """The states of generators of random numbers, of Python's or numpy's."""
    return [
        generator.getstate() if isinstance(generator, Random) else generator.get_state() for generator in generators
    ]


def put_back(states: list[Any], *generators: Any) -> None:
    """Give generators the states that they had."""
    for generator, state in zip(generators, states, strict=True):
        if isinstance(generator, Random):
            generator.setstate(state)
        else:
            generator.set_state(state)


class Drawing:
    """The statements that draw, `before` the graph and `after` it, and those that undo it: `restoring`.

    Raises NotExpressible where a graph is called that could not be left with the generators as they were.
    """

    def __init__(self, emitter: ProgramEmitter, trace: Trace, taken: list[Any], calls: bool) -> None:
        self.emitter = emitter
        self.restoring: list[Fragment] = []
        draws = trace.effects.draws
        places = [place for place, draw in enumerate(draws) if not calls or draw.begins or draw in taken]
        count = max(places, default=-1) + 1
        self.before = [self._statement(draw) for draw in draws[:count]]
        self.after = [self._statement(draw) for draw in draws[count:]]
        owners = {id(draw.owner): draw.owner for draw in draws[:count] if draw.owner is not None}
        if calls and owners:
            if not is_repeated(trace):
                raise NotExpressible("random numbers are drawn, but the graph could not be left without that")
            generators = listed(map(emitter.expression, owners.values()))
            states = emitter.fresh("generator_states")
            kept = fragment("{}({})", emitter.constant(states_of, "states_of"), generators)
            self.before.insert(0, Statement(f"{states.text} = {kept.text}", kept.reads, states.reads))
            self.restoring = [fragment("{}({}, {})", emitter.constant(put_back, "put_back"), states, generators)]

    def _statement(self, draw: Draw) -> Statement:
        call = fragment(
            "{}({})", self.emitter.constant(draw.function, draw.name), listed(map(self.emitter.expression, draw.args))
        )
        name = self.emitter.drawn(draw)
        return Statement(f"{name.text} = {call.text}", call.reads, name.reads)
