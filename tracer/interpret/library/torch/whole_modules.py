"""Modules of torch that are left to run natively as a whole: their functions break the graph.

Rows of single functions of such a module stand in the files beside this one.
"""

from __future__ import annotations

from torch.fx import _symbolic_trace

from tracer.interpret.policy import interpret, interpret_modules, refuse_modules
from tracer.reasons import (
    AUTOGRAD_FUNCTION,
    BACKWARD,
    CLOCK,
    FUNCTION_TRANSFORM,
    INPUT_OUTPUT,
    RANDOM_STATE,
    SKIPPED_FUNCTION,
    TENSOR_STORAGE,
    WAITING,
)

refuse_modules(
    FUNCTION_TRANSFORM,
    *("torch._dynamo", "torch._functorch", "torch._inductor", "torch.fx", "torch.jit", "torch.export"),
)
interpret_modules("torch.fx._pytree")  # which takes the arguments of a GraphModule apart
interpret(
    _symbolic_trace.is_fx_tracing,
    _symbolic_trace.is_fx_symbolic_tracing,
    _symbolic_trace.is_fx_tracing_warning.__wrapped__,
)
if hasattr(_symbolic_trace, "_get_is_fx_tracing"):  # what the two ask, from torch 2.14 on
    interpret(_symbolic_trace._get_is_fx_tracing)  # pyright: ignore[reportAttributeAccessIssue]
refuse_modules(AUTOGRAD_FUNCTION, "torch.autograd.function")
refuse_modules(BACKWARD, "torch.autograd.graph")
refuse_modules(TENSOR_STORAGE, "torch.storage")
refuse_modules(INPUT_OUTPUT, "torch.serialization")
refuse_modules(WAITING, "torch.multiprocessing")
refuse_modules(CLOCK, "torch.profiler")
refuse_modules(RANDOM_STATE, "torch.random")
refuse_modules(
    SKIPPED_FUNCTION,
    *("torch.distributed", "torch.utils.data", "torch.utils.checkpoint", "torch.testing", "torch.masked"),
    *("torch.nested", "torch.package"),
)
