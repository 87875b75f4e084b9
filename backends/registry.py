"""Backends by name: ours, and, when a name is not among them, the ones registered with torch.compile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.fx import GraphModule

from backends.eager import Program, compile_graph, compile_graph_module

Compiler = Callable[[GraphModule, list[torch.Tensor]], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to run graphs. `compile` is torch.compile's contract: (graph module, example inputs) to a callable.

    `compile_graph` is set where a GraphModule need not be built: it takes (graph, attributes, origin).
    """

    name: str
    compile: Compiler
    compile_graph: Callable[..., Program] | None = None


EAGER: Final = Backend("eager", compile_graph_module, compile_graph)
OURS: Final = {backend.name: backend for backend in (EAGER,)}


class UnknownBackend(ValueError):
    """A name that no backend has."""


def look_up(backend: str | Compiler | Backend) -> Backend:
    """The backend that a name or a callable means.

    Raises UnknownBackend, a ValueError that lists the known names, and TypeError for other objects.
    """
    if isinstance(backend, Backend):
        return backend
    if isinstance(backend, str):
        return OURS.get(backend) or _from_torch(backend)
    if callable(backend):
        return Backend(getattr(backend, "__name__", type(backend).__name__), backend)
    raise TypeError(f"backend must be a name or a callable, not {type(backend).__name__}")


def known_names() -> list[str]:
    """Every name that `look_up` knows: ours, then torch's in alphabetical order."""
    return [*OURS, *(name for name in _torch_names() if name not in OURS)]


def _from_torch(name: str) -> Backend:
    import torch._dynamo.backends.registry as theirs  # imports sympy, and much else

    if name not in _torch_names():
        raise UnknownBackend(f"no backend is called {name!r}; known are {', '.join(known_names())}")
    return Backend(name, theirs.lookup_backend(name))


def _torch_names() -> list[str]:
    import torch._dynamo.backends.registry as theirs

    return sorted(theirs.list_backends(exclude_tags=()))
