"""Captured forms of callables: functions, methods, modules, classes and other objects, and the engine of each.

Imported by the first use of what `tracer/api.py` offers, as the engine and the interpreter come with it.
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import types
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, Final

import torch

from backends.account import keeping_accounts
from tracer import own_calls as own_calls
from tracer.dispatch.cache import CALL_ATTRIBUTE, CapturedFunction, FrameCache, call_natively, timing_guards
from tracer.dispatch.engine import Engine, engine_of, engines, living_caches
from tracer.dispatch.hook import is_quiet
from tracer.donation import Donation, donation, module_donation
from tracer.entry import Entry
from tracer.events import LOG, Event
from tracer.guards.source import constant
from tracer.options import Options
from tracer.report import Explanation, dump_entries, listen
from tracer.values.kinds import WRAPPERS

SAVED_CAPTURES: Final = "tracer.saved_captures"
"""Imported when captures are saved or loaded, as it stands above this module."""


class Captured(CapturedFunction):
    """A captured function. Called like the original; `entries` and `dump` show what was captured."""

    def __init__(self, function: types.FunctionType, cache: FrameCache) -> None:
        # What torch.compile traces in the place of a call of this function, which it looks up without descriptors.
        object.__getattribute__(self, "__dict__")["_torchdynamo_inline"] = function

    @property
    def entries(self) -> list[Entry]:
        """The cached captures of this code object, most recently hit first."""
        return self.frame_cache.entries

    def dump(self, path: Any = None, what: str = "all") -> str:
        """What was captured, as text: "graph", "guards", "program", "bytecode" or "all"; written to `path` too.

        Raises ValueError for another `what`, and for one in the place of the path.
        """
        return dump_entries(self.__wrapped__.__code__, self.entries, what, path)

    def save(self, path: Any) -> int:
        """Write the captures of this function to a folder; see `tracer.save_captures`."""
        return import_module(SAVED_CAPTURES).save_captures(self, path)

    def load(self, path: Any) -> int:
        """Use the captures of this function that are in a folder; see `tracer.load_captures`."""
        return import_module(SAVED_CAPTURES).load_captures(self, path)

    @property
    def _torchdynamo_orig_callable(self) -> Callable[..., Any]:
        """What torch.compile compiles when it is given this function, as `_torchdynamo_wrapper_id` is its own id."""
        return self.__wrapped__

    @property
    def _torchdynamo_wrapper_id(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<captured {self.__wrapped__!r}>"


class CapturedCallable:
    """A captured object that is not a function: its calls are captured, everything else goes to the object."""

    def __init__(self, target: Any, captured: Callable[..., Any]) -> None:
        object.__setattr__(self, "__wrapped__", target)
        object.__setattr__(self, "_captured", captured)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._captured(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._captured if name in ("entries", "dump", "save", "load") else self.__wrapped__, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__wrapped__, name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return reduced(self.__wrapped__, engine_of(_function_of(self).frame_cache).options)

    def __repr__(self) -> str:
        return f"<captured {self.__wrapped__!r}>"


class DonatingFunction(CapturedCallable):
    """A captured function whose callers donate some of its arguments."""

    def __init__(self, captured: Captured, donated: Donation) -> None:
        super().__init__(captured.__wrapped__, captured)
        object.__setattr__(self, "_donation", donated)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._donation.run(self._captured, args, kwargs)

    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        return self if instance is None else types.MethodType(self, instance)


_ENGINES: dict[Any, Any] = {}
CAPTURE_ATTRIBUTE: Final = "_bytegraph_capture"  # the attribute of a captured module's class


def engine_for(options: Options) -> Engine:
    """The engine for these options. Equal options share one, so that a function defined in a loop is captured once."""
    key = (
        options.backend,
        options.fullgraph,
        options.dynamic,
        options.recompile_limit,
        options.strict,
        _hashable(options.backend_options),
        options.donate,
        options.allocate,
        options.cache_folder,
    )
    engine = _ENGINES.get(key)
    if engine is None:
        engine = _ENGINES[key] = Engine(options)
    return engine


def forget_captures() -> None:
    """Drop every capture, and the engines that options share."""
    for engine in engines():
        engine.forget()
    _ENGINES.clear()


def _hashable(value: Any) -> Any:
    """A hashable value that is equal for equal values of an option."""
    if isinstance(value, Mapping):
        return frozenset((name, _hashable(part)) for name, part in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    return frozenset(value) if isinstance(value, set) else (type(value), value)


def captured_form(engine: Engine, fn: Any) -> Any:
    """The captured form of any callable."""
    if isinstance(fn, (Captured, CapturedCallable)):
        return captured_form(engine, fn.__wrapped__)
    if isinstance(fn, types.FunctionType) and not is_quiet(fn.__code__):
        return _captured_function(engine, fn, engine.cache_for(fn.__code__))
    if isinstance(fn, types.MethodType):
        return types.MethodType(captured_form(engine, fn.__func__), fn.__self__)
    if isinstance(fn, (staticmethod, classmethod)):
        return type(fn)(captured_form(engine, fn.__func__))
    if isinstance(fn, type):
        return _captured_class(engine, fn)
    if isinstance(fn, torch.nn.Module):
        return _captured_module(engine, fn)
    if not callable(fn):
        raise TypeError(f"capture takes a callable, not {fn!r}")
    call = getattr(type(fn), "__call__", None)  # noqa: B004  (the function itself is wanted)
    if isinstance(call, types.FunctionType):
        return CapturedCallable(fn, types.MethodType(captured_form(engine, call), fn))

    @functools.wraps(fn)
    def caller(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return _captured_function(engine, caller, engine.cache_for(caller.__code__))  # pyright: ignore


def _captured_function(
    engine: Engine, fn: types.FunctionType, cache: Any, module: Any = None
) -> Captured | DonatingFunction:
    """A function whose calls are captured. With `module`, it only calls that, and its parameters are the module's."""
    names, strict = engine.options.donate, engine.options.strict
    if not names:
        return Captured(fn, cache)
    donated = donation(fn, names, strict) if module is None else module_donation(module, names, strict)
    engine.donated[id(fn.__code__)] = (fn.__code__, donated.sources)
    return DonatingFunction(Captured(fn, cache), donated)


def _captured_class(engine: Engine, cls: type) -> type:
    """An nn.Module class whose `forward` is captured, or a class whose `__call__` is."""
    name = "forward" if issubclass(cls, torch.nn.Module) else "__call__"
    method = cls.__dict__.get(name)
    if not isinstance(method, types.FunctionType):
        raise TypeError(f"capture of the class {cls.__name__}: it defines no {name}")
    setattr(cls, name, captured_form(engine, method))
    return cls


def _captured_module(engine: Engine, module: torch.nn.Module) -> torch.nn.Module:
    """A module whose call is captured. It has a class of its own and shares its attributes with the original."""
    if "__wrapped__" in vars(type(module)):  # captured already
        wrapped: Any = module.__wrapped__
        return _captured_module(engine, wrapped)
    original = type(module)
    caller = _caller(original)
    cache = engine.new_cache(caller.__code__)
    captured = _captured_function(engine, caller, cache, module)
    inner = captured if isinstance(captured, Captured) else captured._captured

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return captured(module, *args, **kwargs)

    again = partial(captured_form, engine)
    forward = _captured_method(engine, original, "forward")
    members = {
        **({} if forward is None else {"forward": forward}),
        "__copy__": lambda self: again(copy.copy(module)),
        "__deepcopy__": lambda self, memo: again(copy.deepcopy(module, memo)),
        "__call__": call,
        "__class__": property(lambda self: type(module)),
        "__wrapped__": property(lambda self: module),
        CAPTURE_ATTRIBUTE: inner,
        CALL_ATTRIBUTE: (captured, module),
        "__reduce_ex__": lambda self, protocol: reduced(module, engine.options),
        "entries": property(lambda self: _module_entries(engine, inner, original)),
        "dump": lambda self, path=None, what="all": dump_entries(caller.__code__, self.entries, what, path),
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
        "__jit_unused_properties__": [*getattr(original, "__jit_unused_properties__", ()), "__wrapped__", "entries"],
    }
    cls = type(original.__name__, (original,), members)
    call_natively(cls)
    twin = object.__new__(cls)
    object.__setattr__(twin, "__dict__", module.__dict__)
    engine.transparent[cache] = weakref.ref(twin)
    return twin


def _module_entries(engine: Engine, captured: Captured, cls: type[torch.nn.Module]) -> list[Entry]:
    """The captures of the module's call as a whole and, where that was not possible, those of its `forward`."""
    cache = engine.caches.get(id(_code_of_forward(cls)))
    inner = [] if cache is None else cache.entries
    return [entry for entry in captured.entries if not entry.skipped] + inner


def _captured_method(engine: Engine, cls: type, name: str) -> Any:
    """The function that a class has by a name, captured, for calls of the method itself; None if it is no function."""
    method = inspect.getattr_static(cls, name, None)
    return captured_form(engine, method) if isinstance(method, types.FunctionType) else None


def _function_of(target: CapturedCallable) -> Captured:
    """What the calls of a captured object go through."""
    captured: Any = target._captured
    return getattr(captured, "__func__", captured)


# On one line, so that the call in it has the line of the code object's beginning: that of the module's `forward`.
_MODULE_CALL: Final[Any] = lambda self, /, *args, **kwargs: self(*args, **kwargs)  # noqa: E731


def _caller(cls: type[torch.nn.Module]) -> types.FunctionType:
    """A function that calls a module: it has the name of the class, the place of `forward` and its own code object."""
    code = _MODULE_CALL.__code__.replace(co_name=cls.__name__, co_qualname=cls.__qualname__)
    forward = _code_behind_decorators(cls)
    if isinstance(forward, types.CodeType):
        code = code.replace(co_filename=forward.co_filename, co_firstlineno=forward.co_firstlineno)
    return types.FunctionType(code, _MODULE_CALL.__globals__, cls.__name__)


def _code_of_forward(cls: type[torch.nn.Module]) -> Any:
    """The code of a class's `forward`; None if that is no function, as that of a scripted module is none."""
    return getattr(inspect.getattr_static(cls, "forward", None), "__code__", None)


def _code_behind_decorators(cls: type[torch.nn.Module]) -> Any:
    """The code that the author of a class has written as its `forward`, which decorators may stand around."""
    return getattr(inspect.unwrap(inspect.getattr_static(cls, "forward", None)), "__code__", None)


def captured_again(target: Any, options: Options) -> Any:
    """A module or an object that was pickled while it was captured: captured again, under the same options."""
    return captured_form(engine_for(options), target)


def reduced(target: Any, options: Options) -> tuple[Any, ...]:
    """What a captured module or object is pickled as. Functions are pickled by their names; where an option has none,
    the plain object is pickled, with a warning.
    """
    nameless = [
        f"{name}={value!r}" for name in ("backend", "allocate") if not _is_named(value := getattr(options, name))
    ]
    if nameless:
        warnings.warn(
            f"a captured {type(target).__name__} is pickled as the plain one, as {' and '.join(nameless)} has no name",
            stacklevel=3,
        )
        return _itself, (target,)
    return captured_again, (target, replace(options, backend_options=dict(options.backend_options)))


def _is_named(value: Any) -> bool:
    """Whether a function can be found by its name; what is no function says itself how it is pickled."""
    if not isinstance(value, types.FunctionType):
        return True
    return getattr(sys.modules.get(value.__module__), value.__qualname__, None) is value


def _itself(target: Any) -> Any:
    return target


def _wrap_captured(context: Any, obj: Captured, source: Any) -> Any:
    """A captured function met while tracing is the function it wraps."""
    context.guard(source, "same object", obj)
    return context.wrap(obj.__wrapped__, constant(obj).child("getattr", "__wrapped__"))


WRAPPERS[Captured] = WRAPPERS[DonatingFunction] = _wrap_captured


def _inner(fn: Any) -> Captured | None:
    """The captured function behind a captured callable, such as a module or a method; None for other callables."""
    if isinstance(fn, torch.nn.Module):
        return vars(type(fn)).get(CAPTURE_ATTRIBUTE)
    if isinstance(fn, types.MethodType):
        return _inner(fn.__func__)
    if isinstance(fn, CapturedCallable):
        return _inner(fn._captured)
    return fn if isinstance(fn, Captured) else None


def captured_function_of(fn: Any) -> Captured:
    """The captured function behind a captured callable. Raises TypeError for what is not captured."""
    inner = _inner(fn)
    if inner is None:
        raise TypeError(f"{fn!r} is not captured")
    return inner


def explanation(fn: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Explanation:
    """What `tracer.explain` gives: one call of `fn`, and all captures that it used."""
    if not callable(fn):
        raise TypeError(f"explain takes a function and the arguments to call it with, explain(fn, x), not {fn!r}")
    inner = _inner(fn)
    engine = Engine(Options()) if inner is None else engine_of(inner.frame_cache)
    called = captured_form(engine, fn) if inner is None else fn
    before = engine.activity()
    events, stop = listen()
    try:
        with timing_guards(living_caches()), keeping_accounts() as accounts:
            result = called(*args, **kwargs)
    finally:
        stop()
    used = [cache for cache, counts in engine.activity().items() if before.get(cache) != counts]
    entries = [entry for cache in used for entry in sorted(cache.entries, key=lambda entry: entry.number)]
    return Explanation(entries, [*_earlier_limits(entries, events), *events], result, accounts)


def _earlier_limits(entries: list[Entry], events: list[Event]) -> list[Event]:
    """The events by which the functions of these entries have reached their limits before."""
    functions = {(entry.code.filename, entry.code.qualname) for entry in entries if entry.code is not None}
    reached = (event for event in LOG.recent("recompile limit") if event not in events)
    return [event for event in reached if (event.details["file"], event.details["code"]) in functions]
