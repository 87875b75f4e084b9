"""Types of the extension module that `tracer/dispatch/native` is compiled to."""

from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any, Final

from tracer.guards.guard_set import Guard
from tracer.guards.source import Source

RETRY: Final[object]
RUN_ORIGINAL: Final[object]

class Entry:
    """One cached capture: `program(*values of inputs)` stands for the call when all `guards` hold."""

    def __init__(
        self,
        guards: Iterable[Guard],
        inputs: Iterable[Source],
        program: Callable[..., Any] | None,
        details: Any = None,
    ) -> None: ...
    @property
    def guards(self) -> Any: ...
    @property
    def inputs(self) -> Any: ...
    @property
    def program(self) -> Callable[..., Any] | None: ...
    details: Any
    @property
    def hits(self) -> int: ...
    @property
    def bindings(self) -> int: ...
    @property
    def is_dead(self) -> bool: ...

class FrameCache:
    """The entries of one code object; `cache(function, *args, **kwargs)` runs the one whose guards hold."""

    on_miss: Callable[[FrameCache, Any, tuple[Any, ...]], Any]
    on_limit: Callable[[FrameCache, Any, tuple[Any, ...]], object] | None
    strict: Callable[[Entry, Any, tuple[Any, ...], bool], object] | None
    recompile_limit: int
    enabled: bool

    def __init__(
        self,
        code: CodeType,
        on_miss: Callable[[FrameCache, Any, tuple[Any, ...]], Any],
        recompile_limit: int = 8,
        *,
        strict: Callable[[Entry, Any, tuple[Any, ...], bool], object] | None = None,
        on_limit: Callable[[FrameCache, Any, tuple[Any, ...]], object] | None = None,
    ) -> None: ...
    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...
    def call_bound(self, function: Callable[..., Any], /, *values: Any) -> Any: ...
    def add(self, entry: Entry, /) -> None: ...
    def remove(self, entry: Entry, /) -> bool: ...
    def clear(self) -> None: ...
    @property
    def code(self) -> CodeType: ...
    @property
    def entries(self) -> list[Entry]: ...
    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def originals(self) -> int: ...

class CapturedFunction:
    """Stands in for a function and sends its calls through a FrameCache; may be subclassed, with `__slots__ = ()`."""

    def __new__(cls, function: Callable[..., Any], cache: FrameCache) -> CapturedFunction: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...
    @property
    def __wrapped__(self) -> Callable[..., Any]: ...
    @property
    def frame_cache(self) -> FrameCache: ...
