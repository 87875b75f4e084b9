"""time: each run reads its clocks for itself."""

from __future__ import annotations

import time
from typing import Any

from tracer.interpret.draws import drawn
from tracer.interpret.policy import lookaside
from tracer.reasons import CLOCK
from tracer.values.number_symbols import FloatSymbol, IntSymbol

FLOAT_CLOCKS = (time.time, time.perf_counter, time.monotonic, time.process_time, time.thread_time)
INT_CLOCKS = (time.time_ns, time.perf_counter_ns, time.monotonic_ns, time.process_time_ns, time.thread_time_ns)


def _clock(function: Any, kind: type[FloatSymbol | IntSymbol]) -> Any:
    return lambda trace: drawn(trace, function, (), CLOCK, kind)


for _function in FLOAT_CLOCKS:
    lookaside(_function)(_clock(_function, FloatSymbol))
for _function in INT_CLOCKS:
    lookaside(_function)(_clock(_function, IntSymbol))
