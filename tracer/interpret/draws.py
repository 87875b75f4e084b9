"""Numbers that each run draws for itself, from a clock or a generator of random numbers.

The trace knows no number, only that there is one: it can be computed with, kept and given to operators. What needs it
to go on, such as a branch, breaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracer.effects.log import Draw
from tracer.interpret.trace import Trace
from tracer.reasons import CLOCK, Reason
from tracer.values.item import Item
from tracer.values.number_symbols import FloatSymbol, IntSymbol


def drawn(
    trace: Trace,
    function: Any,
    args: Sequence[Item],
    reason: Reason,
    kind: type[FloatSymbol | IntSymbol],
    owner: Item = None,
) -> Item:
    """The symbol for what `function(*args)` gives in each run; `owner` is the generator that this changes."""
    name = f"{'time' if reason is CLOCK else 'random'}.{function.__name__}"
    if trace.shapes is None or not trace.shapes.draws or trace.graph.is_inner:
        trace.stop(reason, name)
    draw = Draw(function, args, name, reason, owner, trace.graph.call_count == 0)
    trace.effects.draws.append(draw)
    return kind(None, draw=draw)
