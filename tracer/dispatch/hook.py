"""Frames that native code starts: which are handed to a cache, and while what runs.

A residual call (`map(f, items)`, an unsupported callable) may start Python frames that could be captured on their
own. While an `Interceptor` is active in a thread, each such frame is answered by the cache of its code object instead
of running. The frames themselves are met in `native/interceptor.cpp` (PEP 523); here is only the choice of code
objects. torch's own hook is not used: it keeps its decisions per code object for all its users, so that a frame we
skip would silently never be compiled by `torch.compile`, and it costs 0.8 us a frame. Nothing here knows how a frame
is captured, nor imports torch._dynamo.
"""

from __future__ import annotations

import inspect
import sysconfig
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, Protocol

import torch

from tracer._native import Interceptor, exchange_interceptor, forget_decisions, never_intercept


class Cache(Protocol):
    """What answers frames of one code object."""

    def call_bound(self, function: Any, /, *values: Any) -> Any:
        """The result of `function` called so that its parameters, in co_varnames order, have these values."""
        ...


Handler = Callable[[CodeType], Cache | None]

SUSPENDING = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
FUNCTION = inspect.CO_OPTIMIZED | inspect.CO_NEWLOCALS
COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
"""Their only argument is an iterator, which no guard can look into."""

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
"""(start of a file name, whether functions from there are captured); the longest that fits decides, else yes."""

DATACLASS_METHOD = "__create_fn__.<locals>."  # how the methods begin that dataclasses write: they compute nothing

QUIET = frozenset(
    {
        ("<frozen importlib._bootstrap>", "_find_and_load"),
        (str(TORCH / "_dynamo" / "eval_frame.py"), "_fn"),
        (str(TORCH / "_dynamo" / "eval_frame.py"), "compile_wrapper"),
    }
)
"""(file name, function) below which nothing is captured.

A module that is imported is run once; what is marked by `torch.compiler.disable` or compiled by
`torch.compile` is not ours.
"""


def is_capturable(code: CodeType) -> bool:
    """Whether frames of `code` can be, and by where they come from are worth being, captured on their own."""
    if code.co_flags & SUSPENDING or code.co_flags & FUNCTION != FUNCTION or code.co_name in COMPREHENSIONS:
        return False
    if code.co_qualname.startswith(DATACLASS_METHOD):
        return False
    return next((captured for start, captured in PLACES if code.co_filename.startswith(start)), True)


def interceptor(handler: Handler) -> Interceptor:
    """An interceptor that asks `handler` once for each capturable code object: a cache, or None to run as usual.

    `interceptor(function, *args, **kwargs)` makes a call with its frames intercepted, the function's own included;
    `interceptor.run_original(function, *args, **kwargs)` all but the function's own. Nothing is intercepted while
    handler or cache run. Caches are held weakly: who makes them keeps them, and when one is gone `handler` is asked
    again.
    """
    return Interceptor(partial(_choose, handler))


def _choose(handler: Handler, code: CodeType) -> Cache | bool | None:
    if (code.co_filename, code.co_name) in QUIET:
        return False
    return handler(code) if is_capturable(code) else None


class nested_frames:
    """While this context lasts, `active` (None: nothing) intercepts the frames that this thread starts."""

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
    """Frames of `code` run as usual from now on, whoever intercepts."""
    never_intercept(code)


def forget() -> None:
    """Ask the handlers anew for every code object; what was never to be captured stays so."""
    forget_decisions()
