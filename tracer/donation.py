"""Donated arguments: what `capture(donate=("x",))` checks at a call of the captured function.

Which parameters may be overwritten is told by name, when the function is captured. Knows nothing of graphs.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tracer.guards.source import Source, argument


@dataclass(frozen=True, slots=True)
class Donation:
    """The parameters of one function that its callers give away: `positions` are those given by position.

    `sources` are their access paths in the function's frame.
    """

    names: tuple[str, ...]
    positions: Mapping[int, str]
    sources: tuple[Source, ...]
    strict: bool

    def run(self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The call; in strict mode what was donated is unusable afterwards.

        Raises ValueError when the memory of a donated tensor comes a second time among the arguments.
        """
        given = [(self.positions.get(index, f"argument {index + 1}"), value) for index, value in enumerate(args)]
        tensors = [(name, tensor) for name, value in (*given, *kwargs.items()) for tensor in tensors_in(value)]
        donated = [(name, tensor) for name, tensor in tensors if name in self.names]
        if donated and len(tensors) > 1:
            _check_once(tensors, donated)
        if not (self.strict and donated):
            return call(*args, **kwargs)
        # Autograd keeps inputs themselves, and would see what becomes of them; of hooks it keeps what they return.
        with torch.autograd.graph.saved_tensors_hooks(torch.Tensor.detach, torch.Tensor.detach):
            result = call(*args, **kwargs)
        for _, tensor in donated:
            poison(tensor)
        return result


def donation(function: types.FunctionType, names: tuple[str, ...], strict: bool) -> Donation:
    """What is donated of a function. Raises ValueError that lists the parameters there are."""
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    _check_names(names, parameters, function.__qualname__)
    positions = {index: name for index, name in enumerate(parameters[: code.co_argcount]) if name in names}
    return Donation(names, positions, tuple(map(argument, names)), strict)


def module_donation(module: torch.nn.Module, names: tuple[str, ...], strict: bool) -> Donation:
    """What is donated of a module's call: parameters of its `forward`, which its frame has in `args` and `kwargs`."""
    _, *parameters = inspect.signature(type(module).forward).parameters.values()
    named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    _check_names(names, tuple(one.name for one in named), f"{type(module).__qualname__}.forward")
    by_position = [one.name for one in named if one.kind is not one.KEYWORD_ONLY]
    places = {index: name for index, name in enumerate(by_position) if name in names}
    sources = [argument("args").child("index", index) for index in places]
    sources += [argument("kwargs").child("item", name) for name in names]
    return Donation(names, {index + 1: name for index, name in places.items()}, tuple(sources), strict)


def _check_names(names: tuple[str, ...], parameters: tuple[str, ...], function: str) -> None:
    unknown = [name for name in names if name not in parameters]
    if unknown:
        told = ", ".join(map(repr, unknown))
        raise ValueError(f"donate: {function} has no parameter {told}; it has {', '.join(parameters) or 'none'}")


def _check_once(tensors: list[tuple[str, torch.Tensor]], donated: list[tuple[str, torch.Tensor]]) -> None:
    places = [(name, address(tensor)) for name, tensor in tensors]
    for name, tensor in donated:
        begin = address(tensor)
        owners = [owner for owner, place in places if place == begin]
        if len(owners) > 1 and begin:
            owners.remove(name)
            raise ValueError(f"{name} is donated, and {owners[0]} has the same memory: it cannot be passed twice")


def poison(tensor: torch.Tensor) -> None:
    """Make a tensor unusable: NaN, or the largest integer, in memory of its own.

    What it held before may be a result's by now, so that is left alone.
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
    """Where the memory of a tensor begins; 0 where it has none."""
    return tensor.untyped_storage().data_ptr()
