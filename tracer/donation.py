"""Donated arguments: what `capture(donate=("x",))` checks at a call of the captured function.

The names of the parameters are given when the function is captured. Knows nothing of graphs.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

import torch

from tracer.guards.source import Source, argument


@dataclass(frozen=True, slots=True)
class Donation:
    """The parameters of one function that its callers donate.

    `positions` holds the names of those that may be passed by position; `sources` are the access paths of all of them
    in the function's frame.
    """

    names: tuple[str, ...]
    positions: Mapping[int, str]
    sources: tuple[Source, ...]
    strict: bool

    def run(self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call; in strict mode donated tensors are unusable afterwards.

        Raises ValueError when another argument has the memory of a donated tensor.
        """
        arguments = [(self.positions.get(index, f"argument {index + 1}"), value) for index, value in enumerate(args)]
        tensors = [(name, tensor) for name, value in (*arguments, *kwargs.items()) for tensor in tensors_in(value)]
        donated = [(name, tensor) for name, tensor in tensors if name in self.names]
        if donated and len(tensors) > 1:
            _check_once(tensors, donated)
        if not (self.strict and donated):
            return call(*args, **kwargs)
        # Autograd saves the inputs themselves, which are poisoned below; with a hook it saves what the hook returns.
        with torch.autograd.graph.saved_tensors_hooks(torch.Tensor.detach, torch.Tensor.detach):
            result = call(*args, **kwargs)
        for _, tensor in donated:
            poison(tensor)
        return result


def donation(function: types.FunctionType, names: tuple[str, ...], strict: bool) -> Donation:
    """The donated parameters of a function. Raises ValueError, listing its parameters, for an unknown name."""
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    _check_names(names, parameters, function.__qualname__)
    positions = {index: name for index, name in enumerate(parameters[: code.co_argcount]) if name in names}
    return Donation(names, positions, tuple(map(argument, names)), strict)


def module_donation(module: torch.nn.Module, names: tuple[str, ...], strict: bool) -> Donation:
    """The donated parameters of a module's `forward`, found in `args` and `kwargs` of its caller's frame."""
    _, *parameters = inspect.signature(type(module).forward).parameters.values()
    named = [
        parameter for parameter in parameters if parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    ]
    _check_names(names, tuple(parameter.name for parameter in named), f"{type(module).__qualname__}.forward")
    by_position = [parameter.name for parameter in named if parameter.kind is not Parameter.KEYWORD_ONLY]
    places = {index: name for index, name in enumerate(by_position) if name in names}
    sources = [argument("args").child("index", index) for index in places]
    sources += [argument("kwargs").child("item", name) for name in names]
    return Donation(names, {index + 1: name for index, name in places.items()}, tuple(sources), strict)


def _check_names(names: tuple[str, ...], parameters: tuple[str, ...], function: str) -> None:
    unknown = [name for name in names if name not in parameters]
    if unknown:
        listed = ", ".join(map(repr, unknown))
        raise ValueError(f"donate: {function} has no parameter {listed}; it has {', '.join(parameters) or 'none'}")


def _check_once(tensors: list[tuple[str, torch.Tensor]], donated: list[tuple[str, torch.Tensor]]) -> None:
    places = [(name, address(tensor)) for name, tensor in tensors]
    for name, tensor in donated:
        begin = address(tensor)
        owners = [owner for owner, place in places if place == begin]
        if len(owners) > 1 and begin:
            owners.remove(name)
            raise ValueError(f"{name} is donated, and {owners[0]} has the same memory: it cannot be passed twice")


def poison(tensor: torch.Tensor) -> None:
    """Make a tensor unusable: fill it with NaN or the largest integer, in new memory.

    Its old memory may belong to a result by now, so that stays as it is.
    """
    with torch.no_grad(), torch.inference_mode(tensor.is_inference()):
        ruined = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
        if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
            ruined.fill_(float("nan"))
        else:
            ruined.fill_(True if tensor.dtype is torch.bool else torch.iinfo(tensor.dtype).max)
        tensor.data = ruined


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """The strided tensors in nested tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        if value.layout is torch.strided:
            yield value
    elif isinstance(value, dict | tuple | list):
        for part in dict.values(value) if isinstance(value, dict) else value:
            yield from tensors_in(part)


def address(tensor: torch.Tensor) -> int:
    """The address at which the memory of a tensor begins; 0 for a tensor without memory."""
    return tensor.untyped_storage().data_ptr()
