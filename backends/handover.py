"""What a backend is, and the form in which it receives a captured graph. Knows of no backend in particular."""

from __future__ import annotations

import enum
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
    """An option that a backend does not have, or a value that it does not accept."""


class NeedsStaticSizes(Exception):
    """A backend cannot compile this graph for varying sizes or floats; the frame may be captured again with numbers."""


def ignore(what: str, details: Mapping[str, Any]) -> None:
    """A listener that does nothing."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A graph, and everything that a backend may need to know about it.

    `example_inputs` are those of the captured call: tensors, a torch.SymInt of `shape_env` for a size that varies, and
    floats, which vary, too; `metas` has a TensorMeta for each tensor among them. `module()` makes a new module of the
    graph, with torch's metas on its nodes, which the backend may change. `meta_of(node)` is what a node stands for: a
    TensorMeta, or a structure with TensorMetas in it. `origin(node)` is the user's line of a node as a traceback shows
    it, `shown(node)` the node as a line of Python with a comment, for debuggers, and `label` the function that was
    captured. `tell(kind, details)` reports events that happen after the backend has returned. A backend that compiles
    later, in another thread, does so inside `exclusive()`, because captures see torch's tracing state.
    """

    graph: Graph
    attributes: Mapping[str, Any]
    example_inputs: Sequence[Any]
    metas: Sequence[Any]
    module: Callable[[], GraphModule]
    origin: Callable[[Node], str | None]
    meta_of: Callable[[Node], Any] = lambda node: None
    shown: Callable[[Node], str] | None = None
    shape_env: Any = None
    label: str = "graph"
    tell: Listener = ignore
    exclusive: Callable[[], AbstractContextManager[Any]] = nullcontext


class Writes(enum.Enum):
    """When a program writes to its inputs, as far as that can be told after it has raised."""

    COUNTED = "where the graph does, and the versions of the tensors tell"
    LAST = "when all that can raise has been computed"
    UNSEEN = "at any time, behind the back of versions"


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to run graphs. `compile` has torch.compile's contract, and is called inside `aot.tracing`.

    `compile_graph`, if there is one, takes the Handover instead and does everything else by itself. `takes_fakes` says
    that example inputs need no data, `takes_floats` that a graph may have floats as inputs. `probes` says that
    operators without a fake kernel, which would end a graph, are run on made-up numbers during capture to see what
    they return. `writes` says when its programs write to inputs, and `is_foreign` that the compiler is not part of
    bytegraph, so that what its programs return is looked at.
    """

    name: str
    compile: Compiler
    compile_graph: Callable[[Handover], Callable[..., Any]] | None = None
    takes_fakes: bool = False
    takes_floats: bool = False
    probes: bool = False
    writes: Writes = Writes.COUNTED
    is_foreign: bool = False
    options: Mapping[str, Any] = field(default_factory=lambda: NO_OPTIONS)
