"""Functions of torch and torch._C that do not compute with tensors."""

from __future__ import annotations

import torch

from tracer.interpret.policy import (
    immutable,
    interpret,
    lookaside,
    pure,
    refuse,
)
from tracer.interpret.tensor_ops import ASSERTION, tensor_op
from tracer.interpret.trace import Trace
from tracer.reasons import (
    RANDOM_STATE,
)
from tracer.values.item import Item

NO_MESSAGE = "Expected Tensor with single nonzero value, but got zero"
"""What torch._assert_async says if it is given no message."""

immutable(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.qscheme)
pure(torch.device, torch.dtype, torch.iinfo, torch.layout, torch.memory_format)
pure(
    *(torch.promote_types, torch.can_cast, torch.broadcast_shapes),
    *(torch._C._log_api_usage_once, torch._C._is_tracing, torch._C._get_privateuse1_backend_name),
    *(torch._C._is_autocast_available, torch._C._autocast_supported_devices),
    torch._C._get_deterministic_algorithms_warn_only,
    *(torch._C._get_default_device, torch._C._get_mkldnn_enabled, torch.backends.mkldnn.is_available),
    *(torch._C._len_torch_dispatch_stack, torch._C._is_torch_function_all_disabled),
    torch._C._get_sdp_priority_order,
    torch._C._cpu._get_cpu_capability,  # pyright: ignore[reportAttributeAccessIssue]
)

refuse(RANDOM_STATE, torch.manual_seed, torch.seed, torch.get_rng_state, torch.set_rng_state, torch.initial_seed)
interpret(
    torch.distributed.is_available,
    torch.jit._unwrap_optional,  # pyright: ignore[reportPrivateImportUsage]
)


@lookaside(ASSERTION)
def _assert_async(trace: Trace, condition: Item, message: Item = NO_MESSAGE) -> Item:
    """The assertion with a message of its own: compilers keep no other."""
    return tensor_op(trace, ASSERTION, (condition, message))


@lookaside(torch.jit.annotate)
def _annotate(trace: Trace, kind: Item, value: Item) -> Item:
    return value
