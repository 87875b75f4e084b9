"""Lazy modules: the first call of one initialises it, and is captured as the call of the module that it becomes."""

from __future__ import annotations

import types
from typing import Any, Final

from torch.nn.modules.lazy import LazyModuleMixin

from tracer.interpret.early_calls import make_early_call, obstacle
from tracer.interpret.handler_reach import HOOK_CALLER
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import MISSING, realise
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.objects import ObjectValue

INITIALISE: Final[Any] = vars(LazyModuleMixin)["_infer_parameters"]
RUNS_HOOKS: Final = (HOOK_CALLER, *(part for part in HOOK_CALLER.co_consts if isinstance(part, types.CodeType)))
"""The code of Module._call_impl, and of the function in it that has the loop over the hooks."""


@lookaside(INITIALISE)
def _initialise(trace: Trace, module: Item, *args: Item, **kwargs: Item) -> Item:
    """Made at once where the hooks of a module begin to run: they are looked up again in the next trace."""
    module = realise(trace, module)
    if not isinstance(module, ObjectValue) or module.object is MISSING:
        trace.stop(UNSUPPORTED_CALL, "a lazy module that is made in the captured function is initialised")
    assert trace.frame is not None
    if trace.frame.code.native not in RUNS_HOOKS:
        trace.stop(UNSUPPORTED_CALL, "a lazy module is initialised where it is not called")
    is_torch_s_own = module.cls.initialize_parameters.__module__.startswith("torch.nn.modules.")
    if hindrance := obstacle(trace, sees_writes=not is_torch_s_own):
        trace.stop(UNSUPPORTED_CALL, f"a lazy module is initialised {hindrance}")
    try:
        make_early_call(trace, INITIALISE, [module, *args], kwargs)
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, "a lazy module is initialised with what only the trace knows")
