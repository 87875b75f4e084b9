"""torch: operators, settings, modules, autograd. Importing this package registers their rows."""

from tracer.interpret.library.torch import (
    autograd,
    functions,
    nn,
    operators,
    settings,
    size,
    tensor,
    utils,
    whole_modules,
)

__all__ = [
    "autograd",
    "functions",
    "nn",
    "operators",
    "settings",
    "size",
    "tensor",
    "utils",
    "whole_modules",
]
