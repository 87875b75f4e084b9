"""Literals: immutable constants, compared by value and guarded by equality.

Scalars of numpy that do not vary count as literals, too. Instances of other subclasses of int, str and the like do not.
"""

from __future__ import annotations

from typing import Any

import torch

from tracer.values.base import LITERALS
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.kinds import BORN, Kind, no_parts, register
from tracer.values.rebuilding import Emitter, Fragment


def itself(context: Context, item: Any, instances: bool) -> Any:
    """A raw object as a constant."""
    return item


def as_it_is(arguments: GraphArguments, item: Any) -> GraphArgument:
    """A raw object as a graph argument."""
    return item, item


def by_name(emitter: Emitter, item: Any) -> Fragment:
    """A raw object in a residual program: a literal of Python, or a name that is bound to it."""
    return emitter.constant(item)


LITERAL = Kind(
    wraps=BORN,
    parts=no_parts,
    constant=itself,
    graph_argument=as_it_is,
    rebuild=by_name,
)
register(LITERAL, *(LITERALS - {torch.Size}))
