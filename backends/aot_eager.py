"""The backend `aot_eager`: AOTAutograd's graphs, operator by operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.fx import GraphModule

from backends.handover import Backend, BadOptions, Writes
from passes.importing import import_apart


def aot_eager(options: Mapping[str, Any]) -> Backend:
    """Run AOTAutograd's forward and backward graphs operator by operator. Takes no options."""
    if options:
        raise BadOptions(f"the backend 'aot_eager' has no options; given are {', '.join(map(repr, options))}")
    return Backend("aot_eager", _compile_aot_eager, takes_fakes=True, writes=Writes.LAST)


def _compile_aot_eager(module: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
    import_apart("torch._dynamo.backends.debugging")
    from torch._dynamo.backends.debugging import aot_eager as compile_aot_eager

    return compile_aot_eager(module, inputs)
