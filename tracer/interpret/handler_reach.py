"""Whether an exception raised by the instruction that runs now would be seen by code of the program.

What counts are `except`, `finally` and `with` around it, in its frame and in the frames above. What does not: the exits
of torch's own context managers and `nullcontext`, which put settings back and let every exception pass (of those that
the trace has entered: others know settings that it does not), generators of `contextlib.contextmanager` without a
handler of their own, and the cleanup that the compiler adds around handlers.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.optim.optimizer import _use_grad_for_differentiable

from tracer.values.base import Lazy
from tracer.values.item import Item
from tracer.values.methods import BoundMethod

if TYPE_CHECKING:
    from tracer.code.decode import Handler

CLEANUP: Final = frozenset({"COPY", "SWAP", "POP_TOP", "STORE_FAST", "POP_EXCEPT", "CALL_INTRINSIC_1"})
"""What the handlers that the compiler adds run before they raise the exception again."""

_GLOBAL_HOOKS_ALWAYS_RUN: Final[dict[int, bool]] = torch.nn.modules.module._global_forward_hooks_always_called

HOOK_CALLER: Final = torch.nn.Module._call_impl.__code__
"""Its handler runs the hooks that are registered to run always, and raises the exception again."""


MODE_SETTER: Final = _use_grad_for_differentiable(lambda: None).__code__
"""Its handler, around each step of an optimizer, restores the gradient mode, which a graph that raises does itself."""


def is_handled(frame: Any) -> bool:
    """Whether a handler around the instruction of `frame` would do something about an exception, or see it."""
    code = frame.code
    handler = code.handlers[frame.index - 1]
    if handler is None or code.native is MODE_SETTER or (code.native is HOOK_CALLER and not _hooks_always_run(frame)):
        return False
    while handler is not None:
        if _observes(frame, handler):
            return True
        handler = code.handlers[handler.target]
    return False


def _hooks_always_run(frame: Any) -> bool:
    module: Any = frame.slots[0]
    return bool(_GLOBAL_HOOKS_ALWAYS_RUN) or bool(module.object._forward_hooks_always_called)


def _observes(frame: Any, handler: Handler) -> bool:
    ops = frame.code.ops
    index = handler.target
    if ops[index].name == "PUSH_EXC_INFO":
        if ops[index + 1].name != "WITH_EXCEPT_START" or handler.depth > len(frame.stack):
            return True
        leave = frame.stack[handler.depth - 1]
        if type(leave) is Lazy:
            leave = leave.realise(frame.trace)
        return _is_entered_before(leave) or not _passes_all(leave)
    while ops[index].name in CLEANUP:
        index += 1
    return ops[index].name != "RERAISE"


def _is_entered_before(leave: Item) -> bool:
    """Whether `leave` is the `__exit__` of what was entered in front of a break."""
    return isinstance(leave, BoundMethod) and leave.source is not None


def _passes_all(leave: Item) -> bool:
    """Whether `leave`, the `__exit__` of a context manager, lets every exception pass and shows none to the program."""
    function = leave.function if isinstance(leave, BoundMethod) else leave
    if isinstance(leave, BoundMethod) and function is contextlib._GeneratorContextManager.__exit__:
        return _generator_passes_all(leave.instance)
    if function is contextlib.nullcontext.__exit__:
        return True
    return (getattr(function, "__module__", None) or "").partition(".")[0] == "torch"


def _generator_passes_all(manager: Any) -> bool:
    frame = getattr(manager.attributes.get("gen"), "frame", None)
    if frame is None:
        return False
    module = frame.globals.get("__name__", "")
    return module.partition(".")[0] == "torch" or not is_handled(frame)
