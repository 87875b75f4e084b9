"""torch.compile, called inside a captured function: what it is given is traced where the result is called."""

from __future__ import annotations

import types
from typing import Any, Final

import torch

from tracer.interpret.functions import interpret_function
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import FUNCTION_TRANSFORM
from tracer.values.base import realise
from tracer.values.class_attributes import class_of
from tracer.values.compiled_functions import CompiledFunction
from tracer.values.item import Item

BACKENDS: Final = ("eager", "aot_eager", "inductor")
"""Names of backends that are always there; torch refuses a name that nobody has registered."""

KEYWORDS: Final = {"fullgraph": (bool,), "dynamic": (bool, types.NoneType), "backend": (str, types.FunctionType)}
"""Arguments that change nothing of what is computed, and the types that torch takes for them."""


@lookaside(torch.compile)
def _compile(trace: Trace, model: Item = None, **keywords: Item) -> Item:
    if model is None:
        return interpret_function(trace, _decorator, [], keywords)
    arguments = {name: realise(trace, item) for name, item in keywords.items()}
    backend = arguments.get("backend", "inductor")
    is_plain = all(class_of(item) in KEYWORDS.get(name, ()) for name, item in arguments.items())
    if not is_plain or (type(backend) is str and backend not in BACKENDS):
        trace.stop(FUNCTION_TRANSFORM, "torch.compile with these arguments")
    if class_of(model) not in (types.FunctionType, types.MethodType):
        trace.stop(FUNCTION_TRANSFORM, "torch.compile of something besides a function, called inside")
    return CompiledFunction(model, arguments)


def _decorator(**keywords: Any) -> Any:
    """What `torch.compile` returns when it is given no function yet."""

    def fn(model: Any) -> Any:
        if model is None:
            raise RuntimeError("Model can't be None")
        return torch.compile(model, **keywords)

    return fn
