"""The beginning of every file of fake kernels: domains of arguments, and the way from tensors to facts and back.

The text of this file, below its imports, is copied into every file of fake kernels; it imports nothing but torch.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import torch


class OutsideDomain(RuntimeError):
    """The fake kernel was not verified for such arguments: its rule was learned from others."""


class Undefined(Exception):
    """A formula has no value for these arguments."""


class ListArg(tuple[Any, ...]):
    """A list among the arguments."""


@dataclass(frozen=True)
class Wrapped:
    """A number in the place of a tensor."""

    number: Any


@dataclass(frozen=True, eq=False)
class TensorMeta:
    """A tensor and the facts about it that formulas read."""

    tensor: torch.Tensor
    shape: tuple[Any, ...]
    stride: tuple[Any, ...]
    storage_offset: Any
    dtype: torch.dtype
    requires_grad: bool
    is_conj: bool
    is_neg: bool
    symbolic: bool
    contiguous: bool | None = None  # computed when first read


@dataclass(frozen=True)
class Made:
    """The facts of a result, in new memory or in that of `base`."""

    shape: tuple[Any, ...]
    stride: tuple[Any, ...]
    dtype: torch.dtype
    storage_offset: Any = 0
    base: TensorMeta | None = None


@dataclass(frozen=True)
class Domain:
    """The values of one parameter that a rule was verified for; ranks, dtypes and layouts are those of tensors.

    `layout_of` names the layout of a tensor, where tensors may lie in some `layouts` only.
    """

    kinds: tuple[str, ...]
    ranks: tuple[int, ...] = ()
    dtypes: tuple[torch.dtype, ...] = ()
    choices: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    layout_of: Callable[[TensorMeta], str] | None = None

    def has(self, value: Any) -> bool:
        """Whether an argument lies in the domain: its kind, and for a tensor its rank, dtype and layout."""
        if isinstance(value, TensorMeta):
            return "tensor" in self.kinds and self._has_tensor(value)
        kind = kind_of(value)
        if kind not in self.kinds:
            return value == () and bool({"ints", "list"} & set(self.kinds))
        if kind == "list":
            return all(part is None or self._has_tensor(part) for part in value)
        return kind not in ("str", "dtype", "memory_format", "layout") or not self.choices or str(value) in self.choices

    def _has_tensor(self, meta: TensorMeta) -> bool:
        if self.layout_of is not None and self.layout_of(meta) not in self.layouts:
            return False
        return min(self.ranks) <= len(meta.shape) <= max(self.ranks) and meta.dtype in self.dtypes

    def __str__(self) -> str:
        words = " or ".join(self.kinds)
        if self.ranks:
            dtypes = ", ".join(str(dtype).removeprefix("torch.") for dtype in self.dtypes)
            words += f" of {min(self.ranks)} to {max(self.ranks)} dimensions and type {dtypes}"
        if self.layouts:
            words += f", {' or '.join(self.layouts)}"
        return words + (f", one of {', '.join(self.choices)}" if self.choices else "")


def kind_of(value: Any) -> str:
    """The kind of an argument, as domains name it."""
    if isinstance(value, bool | torch.SymBool):
        return "bool"
    if isinstance(value, torch.SymInt):
        return "int"
    if isinstance(value, torch.SymFloat):
        return "float"
    if isinstance(value, tuple):
        if value and all(part is None or isinstance(part, TensorMeta) for part in value):
            return "list"
        return "ints"
    return "none" if value is None else type(value).__name__


def undefined(why: str = "") -> NoReturn:
    """Raise Undefined: an expression has no value for these arguments."""
    raise Undefined(why)


def described(value: Any) -> Any:
    """An argument with facts in the place of tensors."""
    if isinstance(value, list | tuple):
        return ListArg(map(described, value))
    if not isinstance(value, torch.Tensor):
        return value
    symbolic = any(isinstance(size, torch.SymInt) for size in (*value.shape, *value.stride(), value.storage_offset()))
    flags = (value.requires_grad, value.is_conj(), value.is_neg(), symbolic)
    return TensorMeta(value, tuple(value.shape), tuple(value.stride()), value.storage_offset(), value.dtype, *flags)


def made(value: Any, device: torch.device) -> Any:
    """A result with tensors in the place of facts."""
    if isinstance(value, TensorMeta):
        return value.tensor
    if isinstance(value, Made):
        if value.base is None:
            return torch.empty_strided(value.shape, value.stride, dtype=value.dtype, device=device)
        base = value.base.tensor
        base = base if base.dtype is value.dtype else base.view(value.dtype)
        return base.as_strided(value.shape, value.stride, value.storage_offset)
    return type(value)(made(part, device) for part in value) if isinstance(value, list | tuple) else value


def words(value: Any) -> str:
    """An argument as an error names it: `float32[2, 3]`, `(1, 2)`."""
    if isinstance(value, TensorMeta):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return f"({', '.join(map(words, value))})" if isinstance(value, tuple) else repr(value)


def within(op: str, domain: dict[str, Domain]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a fake kernel of a rule about facts. It raises OutsideDomain for arguments that the rule does not answer."""

    def kernel_of(rule: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(rule)

        @functools.wraps(rule)
        def kernel(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            named = {name: described(value) for name, value in bound.arguments.items()}
            tensors = [part for value in named.values() for part in (value if isinstance(value, tuple) else (value,))]
            devices = [part.tensor.device for part in tensors if isinstance(part, TensorMeta)]
            for name, value in named.items():
                if not domain[name].has(value):
                    raise OutsideDomain(
                        f"{op}: this fake kernel was not verified for {name}={words(value)}, only for {domain[name]}"
                    )
            try:
                result = rule(**named)
            except (Undefined, AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
                arguments = ", ".join(f"{name}={words(value)}" for name, value in named.items())
                raise OutsideDomain(f"{op}: this fake kernel was not verified for a call with {arguments}") from error
            return made(result, devices[0] if devices else torch.device("cpu"))

        return kernel

    return kernel_of
