"""Intercepting frames that native code starts: which code objects are captured on their own.

A residual call (`map(f, items)`, an unsupported callable) may start Python frames that can be captured. While an
`Interceptor` is active in a thread, the cache of its code object answers such a frame instead of CPython running it.
`native/interceptor.cpp` intercepts the frames (PEP 523); this file chooses the code objects. torch's own hook is not
used: it keeps its decisions per code object for all its users, so `torch.compile` would silently never compile a frame
that we skip, and it costs 0.8 us a frame. Nothing here knows how a frame is captured, nor imports torch._dynamo.
"""

from __future__ import annotations

import inspect
import sys
import sysconfig
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, Protocol

import torch

from tracer._native import Interceptor, exchange_interceptor, forget_decisions, never_intercept


class Cache(Protocol):
    """The cache that answers the frames of one code object."""

    def call_bound(self, function: Any, /, *values: Any) -> Any:
        """The result of `function` called so that its parameters, in co_varnames order, have these values."""
        ...


Handler = Callable[[CodeType], Cache | None]

SUSPENDING = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
FUNCTION = inspect.CO_OPTIMIZED | inspect.CO_NEWLOCALS
COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
"""Comprehensions: their only argument is an iterator, whose items no guard can check."""

TORCH = Path(torch.__file__).parent
SITE_PACKAGES = TORCH.parent
OWN = Path(__file__).parents[2]

PLACES: tuple[tuple[str, bool], ...] = tuple(
    sorted(
        [
            ("<frozen ", False),
            (f"{sysconfig.get_path('stdlib')}/", False),
            (f"{sysconfig.get_path('purelib')}/", True),
            (f"{TORCH}/", False),
            (f"{TORCH / 'nn' / 'modules'}/", True),
            (f"{TORCH / 'nn' / 'modules' / 'module.py'}", False),
            *((f"{OWN / package}/", False) for package in ("tracer", "passes", "backends")),
            *(
                (f"{SITE_PACKAGES / package}/", False)
                for package in (
                    "_pytest",
                    "bytecode",
                    "functorch",
                    "hypothesis",
                    "mpmath",
                    "networkx",
                    "numpy",
                    "pluggy",
                    "pytest",
                    "rich",
                    "sympy",
                    "torchgen",
                    "tqdm",
                )
            ),
        ],
        key=lambda row: -len(row[0]),
    )
)
"""(start of a file name, whether its functions are captured). The longest start that fits decides; other files are."""

DATACLASS_METHOD = "__create_fn__.<locals>."  # methods that dataclasses generate; they compute nothing

QUIET = frozenset(
    {
        *(("<frozen importlib._bootstrap>", name) for name in ("_exec", "_find_and_load", "_find_spec", "_load")),
        ("<frozen importlib._bootstrap_external>", "exec_module"),
        (str(TORCH / "_dynamo" / "eval_frame.py"), "_fn"),
        (str(TORCH / "_dynamo" / "eval_frame.py"), "compile_wrapper"),
    }
)
"""(file name, function) of frames below which nothing is captured.

An imported module runs once, and so do the hooks that find and load it. Functions under `torch.compiler.disable` or
`torch.compile` are left to torch.
"""


def is_capturable(code: CodeType) -> bool:
    """Whether frames of `code` can be captured on their own, and are worth it by the file that they come from."""
    if code.co_flags & SUSPENDING or code.co_flags & FUNCTION != FUNCTION or code.co_name in COMPREHENSIONS:
        return False
    if code.co_qualname.startswith(DATACLASS_METHOD):
        return False
    return next((captured for start, captured in PLACES if code.co_filename.startswith(start)), True)


def is_quiet(code: CodeType) -> bool:
    """Whether nothing is captured of a frame of `code`, nor below it: QUIET says why."""
    return (code.co_filename, code.co_name) in QUIET


def interceptor(handler: Handler) -> Interceptor:
    """An interceptor that calls `handler` once for each capturable code object, for a cache or None (run it as usual).

    `interceptor(function, *args, **kwargs)` makes a call and intercepts its frames, the function's own included;
    `interceptor.run_original(function, *args, **kwargs)` intercepts all but the function's own. Nothing is intercepted
    while the handler or a cache runs. Caches are held weakly: their maker keeps them alive. When one is gone, `handler`
    is called again.
    """
    return Interceptor(partial(_choose, handler))


def _choose(handler: Handler, code: CodeType) -> Cache | bool | None:
    if is_quiet(code):
        return False
    return handler(code) if is_capturable(code) else None


class nested_frames:
    """A context in which `active` intercepts the frames that this thread starts; with None, nothing does."""

    __slots__ = ("active", "before")

    def __init__(self, active: Interceptor | None) -> None:
        self.active = active
        self.before: Interceptor | None = None

    def __enter__(self) -> None:
        self.before = exchange_interceptor(self.active)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        exchange_interceptor(self.before)


def never_capture(code: CodeType) -> None:
    """From now on frames of `code` run as usual, whichever interceptor is active."""
    never_intercept(code)


def forget() -> None:
    """Call the handlers again for every code object. Code objects of `never_capture` stay excluded."""
    forget_decisions()


def stance_of_torch() -> str | None:
    """The stance that torch.compiler.set_stance has set; None before torch has any."""
    frames = sys.modules.get("torch._dynamo.eval_frame")  # half of it, while another thread imports it
    return getattr(getattr(frames, "_stance", None), "stance", None)
