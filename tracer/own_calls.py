"""What a trace does with calls of our own public functions. Importing this registers the rows."""

from __future__ import annotations

from typing import Any

from tracer.dispatch.capturing import is_capturing
from tracer.dispatch.stances import DEFAULT
from tracer.interpret.policy import lookaside
from tracer.logs import set_log
from tracer.marks import graph_break
from tracer.reasons import EXPLICIT, GLOBAL_STATE
from tracer.stances import stance


@lookaside(graph_break)
def _graph_break(trace: Any, msg: Any = "") -> None:
    trace.stop(EXPLICIT, msg)


@lookaside(is_capturing)
def _is_capturing(trace: Any) -> bool:
    trace.answers_compiling = True
    return True


@lookaside(set_log)
def _set_log(trace: Any, topics: Any = None, *, json: Any = None) -> None:
    trace.stop(GLOBAL_STATE, "set_log")


@lookaside(stance)
def _stance(trace: Any, name: Any = DEFAULT) -> None:
    trace.stop(GLOBAL_STATE, "stance")
