"""torch: operators, settings, modules, autograd. Importing this package registers their rows."""

from tracer.interpret.library.torch import (
    arrays,
    attention,
    autograd,
    control_flow,
    distributed,
    functions,
    hooks,
    nn,
    operators,
    regions,
    settings,
    size,
    tensor,
    transforms,
    utils,
    whole_modules,
)

__all__ = [
    "arrays",
    "attention",
    "autograd",
    "control_flow",
    "distributed",
    "functions",
    "hooks",
    "nn",
    "operators",
    "regions",
    "settings",
    "size",
    "tensor",
    "transforms",
    "utils",
    "whole_modules",
]
