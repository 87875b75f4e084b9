"""Programs of transformers, vit-pytorch and x-transformers: one call of small models with random weights."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks import unseen
from benchmarks.zoo.program import Build
from tests import models


def programs() -> Iterator[tuple[str, Build]]:
    for name in (name for names in unseen.NAMES.values() for name in names):
        yield name, lambda name=name: _built(unseen.build(name))
    for name in models.NAMES["libraries"]:
        yield name, lambda name=name: _built(models.build(name))


def _built(
    parts: tuple[torch.nn.Module, tuple[object, ...], dict[str, object]],
) -> tuple[Callable[..., object], tuple[object, ...]]:
    model, args, kwargs = parts

    def program(model: torch.nn.Module, *args: Any) -> Any:
        return model(*args, **kwargs)

    return program, (model.eval(), *args)
