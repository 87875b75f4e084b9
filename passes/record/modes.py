"""The two torch modes that see calls: of ATen overloads, and of functions at the C boundary.

The dispatch mode sees what reaches the dispatcher, backward passes included. The function mode sees what the tracer
puts into graphs: it runs through Python functions of torch down to the C functions that they call. Knows nothing of
records: `see(level, target, args, kwargs)` makes the call and records it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import FunctionType
from typing import Any, Final

import torch
from torch.autograd.graph import increment_version
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

See = Callable[[str, Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], Any]

# Functions whose arguments or results are data, or that ask about a tensor instead of computing with it.
NOT_SEEN: Final = frozenset(
    [
        "tensor",
        "as_tensor",
        "asarray",
        "from_numpy",
        "frombuffer",
        "new_tensor",
        "tolist",
        "numpy",
        "__array__",
        "__bool__",
        "__complex__",
        "__contains__",
        "__float__",
        "__format__",
        "__hash__",
        "__index__",
        "__int__",
        "__len__",
        "__repr__",
        "backward",
        "data_ptr",
        "dim",
        "dim_order",
        "element_size",
        "get_device",
        "is_coalesced",
        "is_complex",
        "is_conj",
        "is_contiguous",
        "is_floating_point",
        "is_inference",
        "is_neg",
        "is_nonzero",
        "is_pinned",
        "is_shared",
        "is_signed",
        "ndimension",
        "nelement",
        "numel",
        "register_hook",
        "retain_grad",
        "size",
        "sparse_dim",
        "storage",
        "storage_offset",
        "stride",
        "type",
        "untyped_storage",
        "get_default_dtype",
        "is_grad_enabled",
        "set_default_dtype",
        "_set_grad_enabled",
    ]
)
PLAIN: Final = frozenset((torch.Tensor, torch.nn.Parameter, torch.nn.Buffer))
SEEN_PROPERTIES: Final = frozenset(("T", "mT", "H", "mH", "real", "imag", "data"))


class AtenMode(TorchDispatchMode):
    """Passes every call of an ATen overload on plain tensors to `see`."""

    def __init__(self, see: See) -> None:
        super().__init__()
        self._see = see

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if types:  # fake tensors and other subclasses: kernels do not get these
            return func(*args, **(kwargs or {}))
        lists = lists_written(func)
        if not lists:
            return self._see("aten", func, args, kwargs)
        with torch._C.DisableTorchFunction():
            before = [(each, each._version) for place in lists for each in args[place] if not each.is_inference()]
        result = self._see("aten", func, args, kwargs)
        with torch._C.DisableTorchFunction():
            increment_version([each for each, version in before if each._version == version])
        return result


class FunctionMode(TorchFunctionMode):
    """Passes every call of a function at the C boundary to `see`."""

    def __init__(self, see: See) -> None:
        super().__init__()
        self._see = see
        self._entered: list[Callable[..., Any]] = []  # Python functions of torch that are being run through

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if is_seen(func):
            return self._see("function", func, args, kwargs) if PLAIN.issuperset(types) else func(*args, **kwargs)
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
def lists_written(target: torch._ops.OpOverload) -> tuple[int, ...]:
    """Where an overload takes lists of tensors that it writes to, which torch does not count below a dispatch mode."""
    return tuple(
        place
        for place, parameter in enumerate(target._schema.arguments)
        if str(parameter.type) == "List[Tensor]" and parameter.alias_info is not None and parameter.alias_info.is_write
    )


@lru_cache(maxsize=1 << 14)
def is_seen(target: Callable[..., Any]) -> bool:
    """Whether calls of `target` are recorded: it is written in C, and computes with tensors."""
    if isinstance(target, torch._ops.OpOverload):
        return target.namespace != "aten"  # those are what AtenMode calls
    name = getattr(target, "__name__", "")
    if name in ("__get__", "__set__"):
        return name == "__get__" and getattr(target.__self__, "__name__", "") in SEEN_PROPERTIES  # type: ignore[attr-defined]
    return not isinstance(target, FunctionType) and name not in NOT_SEEN


@lru_cache(maxsize=1 << 14)
def run_through(target: Callable[..., Any]) -> Callable[..., Any] | None:
    """A copy of a Python function of torch that does not ask modes to handle it; None for other callables."""
    if not isinstance(target, FunctionType):
        return None
    return _copied(target, _UnhandledGlobals.of(target.__globals__))


def _copied(function: FunctionType, namespace: dict[str, Any]) -> FunctionType:
    """The function with other globals."""
    copy = FunctionType(function.__code__, namespace, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


class _UnhandledGlobals:
    """Copies of modules' globals in which `has_torch_function` and its variants answer False.

    The module's own functions that ask them are copied, too: one that `target` has its work done by, or itself, would
    ask modes to handle the call of `target` once more.
    """

    _copies: Final[dict[int, dict[str, Any]]] = {}

    @classmethod
    def of(cls, namespace: dict[str, Any]) -> dict[str, Any]:
        copy = cls._copies.get(id(namespace))
        if copy is None:
            questions = frozenset(name for name in namespace if name.startswith("has_torch_function"))
            copy = cls._copies[id(namespace)] = namespace | dict.fromkeys(questions, _no)
            for name, value in namespace.items():
                if (
                    isinstance(value, FunctionType)
                    and value.__globals__ is namespace
                    and not questions.isdisjoint(value.__code__.co_names)
                ):
                    copy[name] = _copied(value, copy)
        return copy


def _no(*args: object) -> bool:
    return False
