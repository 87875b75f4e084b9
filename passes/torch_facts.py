"""What depends on the version of torch: the one place that knows more than one of them.

Each fact is found by looking at the torch that is there, never by comparing version numbers, so that it also holds for
versions that nobody here has seen. `tests/test_torch_facts.py` has a test for each.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch.autograd import Function
from torch.fx import _symbolic_trace


def function_behind(method: Any) -> Any:
    """What a class method calls with the class: its Python function, or the descriptor itself if C implements it."""
    return getattr(method, "__func__", method)


FUNCTION_APPLY: Any = function_behind(vars(Function)["apply"])
"""What `torch.autograd.Function.apply` runs: a function of Python up to torch 2.13, a method of C from 2.14 on."""


def applies_like_torch(cls: type) -> bool:
    """Whether `cls.apply` is the one of `torch.autograd.Function`, not one that a subclass defines."""
    return function_behind(inspect.getattr_static(cls, "apply", None)) is FUNCTION_APPLY


def is_apply(target: Any) -> bool:
    """Whether a callable is that `apply`, bound to a class."""
    owner = getattr(target, "__self__", None)
    if not isinstance(owner, type) or not issubclass(owner, Function):
        return False
    return target == vars(Function)["apply"].__get__(None, owner)


def _flag_of_process() -> bool:
    return _symbolic_trace._is_fx_tracing_flag  # pyright: ignore[reportAttributeAccessIssue]


is_fx_tracing: Callable[[], bool] = getattr(_symbolic_trace, "_get_is_fx_tracing", _flag_of_process)
"""Whether `torch.fx.symbolic_trace` runs: a flag of the process up to torch 2.13, one of the thread from 2.14 on."""
