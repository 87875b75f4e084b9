"""What captured functions do about calls that no capture fits, or about all calls: the stance of the process.

Ours is set by `tracer.stance`; that of torch.compiler.set_stance counts for captures, too, unless ours is set.
"""

from __future__ import annotations

import os
import types
import weakref
from typing import Any, Final

from tracer._native import RUN_ORIGINAL, FrameCache, run_originals
from tracer.dispatch.hook import stance_of_torch

DEFAULT: Final = "default"
FORCE_EAGER: Final = "force_eager"
EAGER_ON_RECOMPILE: Final = "eager_on_recompile"
FAIL_ON_RECOMPILE: Final = "fail_on_recompile"
EAGER_THEN_COMPILE: Final = "eager_then_compile"
PLAIN_WORDS: Final = {"capture": DEFAULT, "native": FORCE_EAGER, "fail on recapture": FAIL_ON_RECOMPILE}
"""In this project's words, what torch.compiler.set_stance has other names for."""
STANCES: Final = (DEFAULT, FORCE_EAGER, EAGER_ON_RECOMPILE, FAIL_ON_RECOMPILE, EAGER_THEN_COMPILE)

DISABLED: Final = os.environ.get("BYTEGRAPH_DISABLE", "") not in ("", "0")
"""Whether the environment turns captures off: then all originals run, whatever the stance."""

run_originals(DISABLED)
_stance: str = DEFAULT
_called: weakref.WeakSet[FrameCache] = weakref.WeakSet()
"""Caches whose function was called once without a capture, as `eager_then_compile` wants."""


def exchange_stance(stance: str) -> str:
    """Set the stance; gives the one before. Raises ValueError for an unknown one."""
    global _stance
    stance = PLAIN_WORDS.get(stance, stance)
    if stance not in STANCES:
        raise ValueError(f"the stance must be one of {', '.join((*PLAIN_WORDS, *STANCES))}, not {stance!r}")
    before, _stance = _stance, stance
    run_originals(DISABLED or stance == FORCE_EAGER)
    return before


def stance_now() -> str:
    """The stance that captures take."""
    if DISABLED:
        return FORCE_EAGER
    return _stance if _stance != DEFAULT else stance_of_torch() or DEFAULT


def answer_of_stance(cache: FrameCache, code: types.CodeType, why: Any) -> Any:
    """What a call that no capture fits gets instead of a capture; None if it is to be captured.

    `why` gives, for each entry, why it did not fit. Raises RuntimeError under `fail_on_recompile`.
    """
    stance = stance_now()
    if stance in (FORCE_EAGER, EAGER_ON_RECOMPILE):
        return RUN_ORIGINAL
    if stance == FAIL_ON_RECOMPILE:
        reasons = "".join(f"\n  {words}" for words in why()) or " it was not called before"
        place = f"{code.co_qualname}, {code.co_filename}:{code.co_firstlineno}"
        raise RuntimeError(f"the stance is {FAIL_ON_RECOMPILE!r}, but no capture of {place} fits this call:{reasons}")
    if stance.endswith("then_compile") and cache not in _called:
        _called.add(cache)
        return RUN_ORIGINAL
    return None
