"""Types of the extension module that `tracer/dispatch/native` is compiled to."""

from collections.abc import Callable, Iterable, Mapping
from types import CodeType
from typing import Any, Final, Self

from tracer.guards.guard_set import Guard
from tracer.guards.source import Source

RETRY: Final[object]
RUN_ORIGINAL: Final[object]

NUMBERS: Final[Mapping[str, Mapping[str, int]]]
"""The numbers of ACCESSORS, CHECKS and OPERATIONS (tracer/guards) with which the extension was built."""

CALL_ATTRIBUTE: Final[str]
"""The attribute of a class that `call_natively` reads."""

def call_natively(cls: type, /) -> None:
    """Make calls of the instances `callable(first, *args, **kwargs)`, as `__call__` of the class has to define it, too,
    where `(callable, first)` is the attribute CALL_ATTRIBUTE of the class. Raises TypeError for a class without it.
    """

def ends_visibly(obj: object, /) -> bool:
    """Whether a program can see the end of an object that its last holder lets go of."""

def start_watching() -> bool:
    """Whether this interpreter has a watcher of dictionaries for us, which is asked for again."""

def stop_watching() -> None:
    """Give the watcher of dictionaries back; their versions are compared at every call from now on."""

def lacks_watcher() -> bool:
    """Whether this CPython has watchers of dictionaries, but had none left, or has it back."""

def watched_dictionaries() -> int:
    """How many dictionaries are watched, each counted for every root object that depends on it."""

class NativeEntry:
    """What a cache knows of a capture: `function(*values of inputs)` is called instead if all `guards` hold."""

    def __init__(
        self, guards: Iterable[Guard], inputs: Iterable[Source], function: Callable[..., Any] | None
    ) -> None: ...
    arguments_are_held: bool
    @property
    def guards(self) -> Any: ...
    @property
    def inputs(self) -> Any: ...
    @property
    def function(self) -> Callable[..., Any] | None: ...
    @property
    def hits(self) -> int: ...
    @property
    def bindings(self) -> int: ...
    @property
    def full_reads(self) -> int: ...
    @property
    def is_dead(self) -> bool: ...

class FrameCache:
    """The entries of one code object; `cache(function, *args, **kwargs)` runs the first one whose guards hold."""

    on_miss: Callable[[FrameCache, Any, tuple[Any, ...]], Any]
    on_limit: Callable[[FrameCache, Any, tuple[Any, ...]], object] | None
    strict: Callable[[Any, Any, tuple[Any, ...], bool], object] | None
    recompile_limit: int
    enabled: bool
    interceptor: Interceptor | None

    def __init__(
        self,
        code: CodeType,
        on_miss: Callable[[FrameCache, Any, tuple[Any, ...]], Any],
        recompile_limit: int = 8,
        *,
        strict: Callable[[Any, Any, tuple[Any, ...], bool], object] | None = None,
        on_limit: Callable[[FrameCache, Any, tuple[Any, ...]], object] | None = None,
    ) -> None: ...
    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...
    def call_bound(self, function: Callable[..., Any], /, *values: Any) -> Any: ...
    def add(self, entry: NativeEntry, /) -> None: ...
    def fits(self, entry: NativeEntry, function: Callable[..., Any], /, *values: Any) -> bool: ...
    def inputs_if_fits(
        self, entry: NativeEntry, function: Callable[..., Any], /, *values: Any
    ) -> tuple[Any, ...] | None: ...
    def adopt(self, entry: NativeEntry, checked: NativeEntry, /) -> None: ...
    def remove(self, entry: NativeEntry, /) -> bool: ...
    def clear(self) -> None: ...
    @property
    def code(self) -> CodeType: ...
    @property
    def entries(self) -> list[Any]: ...
    @property
    def owns_arguments(self) -> bool: ...
    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def originals(self) -> int: ...

class CapturedFunction:
    """Stands in for a function and sends its calls through a FrameCache; may be subclassed, with `__slots__ = ()`."""

    def __new__(cls, function: Callable[..., Any], cache: FrameCache) -> Self: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...
    @property
    def __wrapped__(self) -> Callable[..., Any]: ...
    @property
    def frame_cache(self) -> FrameCache: ...

class Interceptor:
    """While one is active in a thread, caches answer the frames that start in it."""

    def __init__(self, handler: Callable[[CodeType], Any]) -> None: ...
    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...
    def run_original(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...

def exchange_interceptor(new: Interceptor | None, /) -> Interceptor | None: ...
def never_intercept(code: CodeType, /) -> None: ...
def forget_decisions() -> None: ...

class Step: ...

def hidden(callable: Callable[..., Any], /) -> Callable[..., Any]:
    """What is called like `callable`, without that a debugger sees a frame of the call."""

def shown(callable: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """The result of a call within a hidden one, whose frames a debugger sees."""

def go_on(callable: Callable[..., Any], /, *args: Any) -> Step: ...
def guard_seconds(
    guards: Iterable[Guard],
    inputs: Iterable[Source],
    parameters: tuple[str, ...],
    function: Callable[..., Any],
    values: tuple[Any, ...],
    /,
) -> float:
    """The seconds that one evaluation of the guards takes for a call of `function` whose `parameters` have these
    `values`.
    """

def hit_count() -> int: ...
def run_originals(wanted: bool, /) -> bool: ...
