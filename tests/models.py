"""The zoo: every model that tests and benchmarks use, by name.

`build(name)` gives a module in eval mode with random weights, and the arguments of one call. The
models themselves are in models_torch.py, models_huggingface.py and models_libraries.py. Nothing here
knows of captures, and nothing is downloaded.
"""

from typing import Any

import torch
from torch import nn

from tests import models_huggingface, models_libraries, models_torch

Call = tuple[nn.Module, tuple[Any, ...], dict[str, Any]]

FAMILIES = {
    "torch": models_torch,
    "huggingface": models_huggingface,
    "libraries": models_libraries,
}

NAMES: dict[str, list[str]] = {
    "torch": list(models_torch.MODELS),
    "layers": list(models_torch.LAYERS),
    "huggingface": list(models_huggingface.TABLE),
    "libraries": list(models_libraries.TABLE),
}


def build(name: str, seed: int = 0) -> Call:
    """(module in eval mode, arguments, keyword arguments); the same every time for one seed.

    Raises KeyError naming the model when no family has it.
    """
    for family in FAMILIES.values():
        if name in family.TABLE:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                return family.build(name)
    raise KeyError(f"no model {name!r} in the zoo")
