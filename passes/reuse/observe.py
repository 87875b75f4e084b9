"""A call run once on stand-ins, watched from below: the aten operators it makes, and what autograd saves of it.

The stand-ins are those that operators.py names for the operator, fake tensors where it names none. What was
seen is remembered by the call's metas.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from passes.meta import TensorMeta
from passes.operators.catalogue import trials
from passes.operators.evaluate import kinds
from passes.operators.modes import entered
from passes.operators.outcome import OPERATOR_ERRORS, Argument
from passes.operators.stand_ins import FakeStandIns, StandIns
from passes.operators.trial import UNSUPPORTED_ERRORS, materialise, random_numbers_put_back
from passes.reuse.calls import GraphCall, concrete

REFUSALS: Final = (*OPERATOR_ERRORS, *UNSUPPORTED_ERRORS)


@dataclass(frozen=True, slots=True)
class Argued:
    """A tensor among the arguments of an aten operator: number `index` of the call's own, None if computed."""

    index: int | None


@dataclass(frozen=True, slots=True)
class OverloadCall:
    """One aten operator that a call made, tensors among its arguments replaced by `Argued`."""

    overload: torch._ops.OpOverload
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """What one run showed.

    `saved` are the tensor arguments that autograd keeps memory of, `saves_result` whether it keeps the
    result's; `returned` is the tensor argument that came back as the result, `result` the result's meta;
    `warnings` is what the call warned of.
    """

    steps: tuple[OverloadCall, ...]
    saved: frozenset[int]
    saves_result: bool
    returned: int | None
    result: TensorMeta | None
    warnings: frozenset[str]


class Watcher:
    """Runs calls on stand-ins and remembers what was seen: None for a call that raised on all of them."""

    def __init__(self) -> None:
        self._known: dict[Any, Observed | None] = {}
        self._fake: FakeStandIns | None = None

    def watch(self, call: GraphCall) -> Observed | None:
        """What `call` does, its symbols taken as the numbers they had."""
        args, kwargs = concrete(call.args), concrete(call.kwargs)
        key = (call.target, args, kwargs, call.modes, kinds(args), kinds(kwargs))
        try:
            is_known = key in self._known
        except TypeError:  # an argument that cannot be hashed
            return self._first(call, args, kwargs)
        if not is_known:
            self._known[key] = self._first(call, args, kwargs)
        return self._known[key]

    def _first(self, call: GraphCall, args: Any, kwargs: Any) -> Observed | None:
        for stand_ins, keywords in trials(call.target, args, kwargs, call.modes):
            seen = _run(stand_ins, call, args, keywords)
            if seen is not None:
                return seen
        if self._fake is None:
            self._fake = FakeStandIns()
        return _run(self._fake, call, args, kwargs)


def _run(stand_ins: StandIns, call: GraphCall, args: Any, kwargs: Any) -> Observed | None:
    tensors: list[torch.Tensor] = []
    saved: list[torch.Tensor] = []

    def stand_in(meta: TensorMeta) -> torch.Tensor:
        tensors.append(stand_ins.make(meta))
        return tensors[-1]

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    try:
        positional = [materialise(argument, stand_in) for argument in args]
        keywords = {name: materialise(argument, stand_in) for name, argument in kwargs}
        steps = _Steps(tensors)
        with (
            _heard() as warned,
            entered(call.modes),
            random_numbers_put_back(),
            _saving(keep),
            stand_ins.active(),
            steps,
        ):
            if type(call.target) is tuple:
                result = getattr(positional[0], call.target[1])(*positional[1:], **keywords)
            else:
                result = call.target(*positional, **keywords)
    except REFUSALS:
        return None
    owners = [_storage(tensor) for tensor in tensors]
    kept = {_storage(tensor) for tensor in saved}
    single = result if isinstance(result, torch.Tensor) else None
    return Observed(
        steps=tuple(steps.found),
        saved=frozenset(index for index, owner in enumerate(owners) if owner in kept),
        saves_result=single is not None and _storage(single) in kept,
        returned=next((index for index, tensor in enumerate(tensors) if tensor is single), None),
        result=None if single is None else _meta(single, stand_ins),
        warnings=frozenset(str(warning.message) for warning in warned),
    )


@contextmanager
def _heard() -> Iterator[list[warnings.WarningMessage]]:
    """Keep warnings from the user: the real call will say them."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield warned


@contextmanager
def _saving(keep: Any) -> Iterator[None]:
    """Show `keep` every tensor that autograd saves."""
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield


class _Steps(TorchDispatchMode):
    """Writes down every aten operator that runs."""

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        super().__init__()
        self.found: list[OverloadCall] = []
        self._given = tensors

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        self.found.append(
            OverloadCall(func, self._argued(tuple(args)), tuple((k, self._argued(v)) for k, v in keywords.items()))
        )
        return func(*args, **keywords)

    def _argued(self, argument: Any) -> Argument:
        if isinstance(argument, torch.Tensor):
            return Argued(next((index for index, tensor in enumerate(self._given) if tensor is argument), None))
        if isinstance(argument, tuple | list):
            return type(argument)(map(self._argued, argument))
        return argument


def _meta(tensor: torch.Tensor, stand_ins: StandIns) -> TensorMeta:
    from_device = torch.device("cpu") if stand_ins.device.type == "meta" else tensor.device
    return TensorMeta(tuple(tensor.shape), tensor.stride(), tensor.dtype, device=from_device)


def _storage(tensor: torch.Tensor) -> Any:
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else id(tensor)
