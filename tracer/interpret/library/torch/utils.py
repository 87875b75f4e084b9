"""Profiler ranges and checkpoints of torch: they wrap a computation without changing its result."""

from __future__ import annotations

from torch.autograd.profiler import record_function
from torch.utils import checkpoint

from tracer.interpret.call import call
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import SKIPPED_FUNCTION
from tracer.values.item import Item

CHECKPOINT_CHOICES = frozenset({"use_reentrant", "preserve_rng_state", "determinism_check", "early_stop", "debug"})
"""Keywords that say how a checkpointed function is run again in backward."""


@lookaside(record_function.__enter__)
def _enter_range(trace: Trace, region: Item) -> Item:
    return region


@lookaside(record_function.__exit__)
def _exit_range(trace: Trace, region: Item, *error: Item) -> None:
    return None


@lookaside(checkpoint.checkpoint)
def _checkpoint(trace: Trace, function: Item, *args: Item, **kwargs: Item) -> Item:
    """A checkpointed function. Without gradients it is simply called; with gradients the graph breaks."""
    if trace.modes.grad or "context_fn" in kwargs:
        trace.stop(SKIPPED_FUNCTION, "torch.utils.checkpoint.checkpoint")
    return call(trace, function, args, {name: item for name, item in kwargs.items() if name not in CHECKPOINT_CHOICES})
