"""The two modes under which calls are seen: overloads of ATen, and functions at the C boundary.

The dispatch mode sees what reaches the dispatcher, backward passes included. The function mode sees
what the tracer puts into graphs: Python functions of torch are run through, down to the C functions that
they call. Knows nothing of records: `see(level, target, args, kwargs)` makes the call and notes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import FunctionType
from typing import Any, Final

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

See = Callable[[str, Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], Any]

# Functions whose arguments are data, or that tell about a tensor instead of computing with it.
NOT_SEEN: Final = frozenset(
    (
        torch.tensor,
        torch.as_tensor,
        torch.asarray,
        torch.from_numpy,
        torch.frombuffer,
        torch.Tensor.new_tensor,
        torch.Tensor.tolist,
        torch.Tensor.numpy,
        torch.Tensor.__len__,
        torch.Tensor.__hash__,
        torch.Tensor.__format__,
        torch.Tensor.data_ptr,
        torch.Tensor.backward,
    )
)
SEEN_PROPERTIES: Final = frozenset(("T", "mT", "H", "mH", "real", "imag", "data"))


class AtenMode(TorchDispatchMode):
    """Shows every call of an ATen overload on plain tensors."""

    def __init__(self, see: See) -> None:
        super().__init__()
        self._see = see

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if types:  # fake tensors and other subclasses, which are not what the kernels see
            return func(*args, **(kwargs or {}))
        return self._see("aten", func, args, kwargs)


class FunctionMode(TorchFunctionMode):
    """Shows every call of a function at the C boundary."""

    def __init__(self, see: See) -> None:
        super().__init__()
        self._see = see
        self._entered: list[Callable[..., Any]] = []  # Python functions of torch that are being run through

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if is_seen(func):
            return func(*args, **kwargs) if types else self._see("function", func, args, kwargs)
        inner = run_through(func)
        if inner is None or func in self._entered:
            return func(*args, **kwargs)
        self._entered.append(func)
        try:
            with self:
                return inner(*args, **kwargs)
        finally:
            self._entered.pop()


@lru_cache(maxsize=1 << 14)
def is_seen(target: Callable[..., Any]) -> bool:
    """Whether calls of `target` are noted: it is written in C, and computes with tensors."""
    name = getattr(target, "__name__", "")
    if name in ("__get__", "__set__"):
        return name == "__get__" and getattr(target.__self__, "__name__", "") in SEEN_PROPERTIES  # type: ignore[attr-defined]
    return not isinstance(target, FunctionType) and target not in NOT_SEEN


@lru_cache(maxsize=1 << 14)
def run_through(target: Callable[..., Any]) -> Callable[..., Any] | None:
    """A Python function of torch without its question whether modes want to see it; None for other callables."""
    if not isinstance(target, FunctionType):
        return None
    copy = FunctionType(
        target.__code__, _Unasked.of(target.__globals__), target.__name__, target.__defaults__, target.__closure__
    )
    copy.__kwdefaults__ = target.__kwdefaults__
    return copy


class _Unasked:
    """Copies of modules' globals in which `has_torch_function` and its kin answer False."""

    _copies: Final[dict[int, dict[str, Any]]] = {}

    @classmethod
    def of(cls, namespace: dict[str, Any]) -> dict[str, Any]:
        copy = cls._copies.get(id(namespace))
        if copy is None:
            answers = {name: _no for name in namespace if name.startswith("has_torch_function")}
            copy = cls._copies[id(namespace)] = namespace | answers
        return copy


def _no(*args: object) -> bool:
    return False
