"""A program of a library as the zoo runs it: a function that builds what is called and the arguments of the calls."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

Build = Callable[[], tuple[Callable[..., Any], tuple[Any, ...]]]
"""Builds a program and its arguments anew, the same each time under the same random seed."""


def calling(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Build:
    """Calls of a function of the library with copies of these arguments."""

    def program(*inputs: Any) -> Any:
        return function(*inputs, **kwargs)

    return lambda: (program if kwargs else function, copy.deepcopy(args))


def calling_new(constructor: Callable[[], Any], *args: Any, use: Callable[..., Any] | None = None) -> Build:
    """Calls of `use(instance, *args)`, which calls the instance if it is left out; each run makes its own instance."""
    return lambda: (use or call, (constructor(), *copy.deepcopy(args)))


def call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def evaluating(constructor: Callable[[], torch.nn.Module]) -> Callable[[], torch.nn.Module]:
    """The constructor of a module in evaluation mode."""
    return lambda: constructor().eval()
