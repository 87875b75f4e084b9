"""Backends by name: bytegraph's own and registered ones first, then installed ones, then those of torch.compile.

Installed packages offer backends as entry points of the group `torch_dynamo_backends`, as they do for torch.compile;
they are imported when one of them is looked up.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, TypeVar, overload

from torch.fx import Graph, Node

from backends.account import heard
from backends.aot_eager import aot_eager
from backends.call_rows import CallRows
from backends.eager import compile_graph_module, compile_handover, compile_rows
from backends.handover import NO_OPTIONS, Backend, BadOptions, Compiler, Handover
from backends.inductor import inductor
from passes.node_meta import origin

GROUP: Final = "torch_dynamo_backends"

Function = TypeVar("Function", bound=Callable[..., Any])
Factory = Callable[[Mapping[str, Any]], Backend]


class UnknownBackend(ValueError):
    """A name that no backend has."""


def _replay(handover: Handover) -> Callable[..., Any]:
    program = compile_handover(handover)
    program.backend_report = _replay_report  # type: ignore[attr-defined]
    return program


def replay_rows(
    rows: CallRows, graph: Callable[[], Graph | None], label: str, shown: Callable[[Node], str]
) -> Callable[..., Any]:
    """What the backend `eager` makes of a graph as rows; `graph` and `shown` are described at compile_rows."""
    program = compile_rows(rows, graph, origin, f"graph of {label}", shown=shown)
    program.backend_report = _replay_report  # type: ignore[attr-defined]
    return heard(program)


def _replay_report() -> list[str]:
    return ["replays the graph as one Python function, operator by operator"]


EAGER: Final = Backend("eager", compile_graph_module, _replay, takes_floats=True)


def _eager(options: Mapping[str, Any]) -> Backend:
    """Run the operators one after the other, from one flat function. Takes no options."""
    if options:
        hint = '; name a backend that compiles, such as backend="inductor"' if "mode" in options else ""
        raise BadOptions(f"the backend 'eager' has no options; given are {', '.join(map(repr, options))}{hint}")
    return EAGER


def _tiered(options: Mapping[str, Any]) -> Backend:
    """Run eagerly first, then by the option `compiler` ("inductor"), once that is shown to be right and faster."""
    from backends.tiered.backend import tiered  # with threads, processes and statistics

    return tiered(options, look_up)


def _crosscheck(options: Mapping[str, Any]) -> Backend:
    """Run eagerly, after the first call of each graph is compared: the option `candidate` with a float64 reference."""
    from backends.crosscheck.backend import crosscheck_backend  # with all that it needs

    return crosscheck_backend(options, look_up)


OURS: Final[dict[str, Factory]] = {
    "eager": _eager,
    "inductor": inductor,
    "aot_eager": aot_eager,
    "tiered": _tiered,
    "crosscheck": _crosscheck,
}
_REGISTERED: Final[dict[str, Compiler]] = {}


@overload
def register_backend(backend: Function, *, name: str | None = None) -> Function: ...
@overload
def register_backend(backend: str | None = None, *, name: str | None = None) -> Callable[[Function], Function]: ...


def register_backend(backend: Any = None, *, name: str | None = None) -> Any:
    """Give `backend(graph_module, example_inputs, **options) -> callable` a name that `capture` accepts.

    Also a decorator, with or without a name; without one, the name of the function is used. Returns the function.
    Raises ValueError for a name that another backend has, TypeError for an object that is not callable.
    """
    if isinstance(backend, str):
        return functools.partial(register_backend, name=backend)
    if backend is None:
        return functools.partial(register_backend, name=name)
    if not callable(backend):
        raise TypeError(f"a backend is a callable, not {backend!r}")
    compiler: Any = backend
    chosen = name or getattr(backend, "__name__", None)
    if not isinstance(chosen, str):
        raise TypeError(f"{backend!r} has no name: give one, register_backend(..., name=...)")
    if chosen in OURS or _REGISTERED.get(chosen, compiler) is not compiler:
        raise ValueError(f"there is a backend called {chosen!r} already")
    _REGISTERED[chosen] = compiler
    return compiler


def list_backends() -> list[str]:
    """Every name that `look_up` accepts: bytegraph's own and registered backends, installed ones, torch's; sorted by
    group.
    """
    names = [*OURS, *sorted(_REGISTERED), *sorted(_installed()), *_torch_names()]
    return list(dict.fromkeys(names))


def usual_backends() -> list[str]:
    """The names of `list_backends`, without the backends by which torch tests and debugs its compilers."""
    import torch._dynamo.backends.registry as theirs

    tests = set(_torch_names()) - {*OURS, *_REGISTERED, *_installed(), *theirs.list_backends()}
    return [name for name in list_backends() if name not in tests]


def describe(name: str) -> tuple[str, str | None]:
    """Where a backend comes from, and its documentation. Raises UnknownBackend."""
    if name in OURS:
        return "bytegraph", OURS[name].__doc__
    backend = _by_name(name)
    origins = {"registered here": _REGISTERED, "an installed package": _installed()}
    return next((origin for origin, names in origins.items() if name in names), "torch"), backend.__doc__


def look_up(backend: str | Compiler | Backend, options: Mapping[str, Any] = NO_OPTIONS) -> Backend:
    """The backend for a name or a callable, with its `options` bound.

    A callable gets its options as keyword arguments or, as in torch.compile, as one mapping if it has a parameter
    called `options`. Raises UnknownBackend, a ValueError that lists the known names, BadOptions for options that the
    backend does not have, and TypeError for other objects.
    """
    if isinstance(backend, Backend):
        return backend
    if isinstance(backend, str):
        if backend in OURS:
            return OURS[backend](options)
        return replace(_wrapped(_by_name(backend), options), name=backend)
    if callable(backend):
        return _wrapped(backend, options)
    raise TypeError(f"backend must be a name or a callable, not {type(backend).__name__}")


def _wrapped(compiler: Compiler, options: Mapping[str, Any]) -> Backend:
    """A callable as a backend, with its options bound. Raises BadOptions when its signature does not accept one of
    them.
    """
    name = getattr(compiler, "__name__", type(compiler).__name__)
    if not options:
        return Backend(name, compiler, is_foreign=True)
    try:
        parameters = inspect.signature(compiler).parameters
    except ValueError:  # written in C, and without a signature
        parameters = {}
    takes_any = not parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    if "options" in parameters and parameters["options"].kind is not inspect.Parameter.VAR_KEYWORD:
        mode, rest = options.get("mode"), {key: value for key, value in options.items() if key != "mode"}
        keywords = {"options": rest, **({} if mode is None else {"mode": mode})}
    else:
        keywords = dict(options)
        unknown = [key for key in keywords if key not in list(parameters)[2:]]
        if unknown and not takes_any:
            theirs = ", ".join(list(parameters)[2:]) or "none"
            raise BadOptions(
                f"the backend {name!r} has no option {', '.join(map(repr, unknown))}; its options: {theirs}"
            )
    return Backend(name, functools.partial(compiler, **keywords), is_foreign=True, options=options)


def _by_name(name: str) -> Compiler:
    """A registered, installed or torch backend. Raises UnknownBackend."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    installed = _installed().get(name)
    if installed is not None:
        return installed.load()
    if name not in _torch_names():
        close = difflib.get_close_matches(name, list_backends(), n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UnknownBackend(f"no backend is called {name!r}; {hint}known are {', '.join(usual_backends())}")
    import torch._dynamo.backends.registry as theirs  # imports sympy, and much else

    return theirs.lookup_backend(name)


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _torch_names() -> list[str]:
    import torch._dynamo.backends.registry as theirs

    return sorted(theirs.list_backends(exclude_tags=()))
