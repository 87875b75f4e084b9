"""A captured graph on its way to a backend, and what a backend is. Knows of no backend in particular."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from torch.fx import Graph, GraphModule, Node

Compiler = Callable[[GraphModule, list[Any]], Callable[..., Any]]
"""torch.compile's contract: (graph module, example inputs) to a callable that returns a tuple."""

Listener = Callable[[str, Mapping[str, Any]], None]

NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})


class BadOptions(ValueError):
    """An option that a backend does not have, or a value that it does not take."""


class NeedsStaticSizes(Exception):
    """A backend cannot compile this graph for sizes that vary: whoever handed it over may do so with numbers."""


def ignore(what: str, details: Mapping[str, Any]) -> None:
    """A listener that does nothing."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A graph, and all that a backend may want to know of it.

    `example_inputs` are those of the call that was captured: tensors, and a torch.SymInt of `shape_env`
    where a size varies; `metas` has a TensorMeta for each tensor among them. `module()` makes the
    graph a module of its own, with torch's metas on its nodes, for the backend to change as it likes.
    `meta_of(node)` is what a node stands for: a TensorMeta, or a structure with TensorMetas in it.
    `tell(what, details)` hears of what happens after the backend has returned. Whoever compiles later and
    in another thread does so inside `exclusive()`, since torch's tracing is seen by captures.
    """

    graph: Graph
    attributes: Mapping[str, Any]
    example_inputs: Sequence[Any]
    metas: Sequence[Any]
    module: Callable[[], GraphModule]
    origin: Callable[[Node], str | None]
    meta_of: Callable[[Node], Any] = lambda node: None
    shape_env: Any = None
    label: str = "graph"
    tell: Listener = ignore
    exclusive: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to run graphs. `compile` is torch.compile's contract, called inside `aot.tracing`.

    `compile_graph`, where there is one, takes the Handover instead and does all else by itself.
    `takes_fakes` says that example inputs need no data. `probes` asks for operators without a fake kernel, which
    end a graph else: captures run them on made-up numbers to see what they return.
    """

    name: str
    compile: Compiler
    compile_graph: Callable[[Handover], Callable[..., Any]] | None = None
    takes_fakes: bool = False
    probes: bool = False
    options: Mapping[str, Any] = field(default_factory=lambda: NO_OPTIONS)
