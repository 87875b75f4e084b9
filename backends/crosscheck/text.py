"""Values as source text: constants, structures of them, and the memory of tensors. Nothing here knows of calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from backends.crosscheck.calls import span

LITERALS: Final = 64  # elements that are written as numbers; more are written as bytes


class CannotWrite(ValueError):
    """A call that cannot be written as text, because it takes an object that has no source text."""


class ScriptText(str):
    """A piece of source text, which is written into the script as it is."""

    __slots__ = ()


def text_of(value: Any) -> str:
    """The source of a constant, or of a structure of constants and texts. Raises CannotWrite."""
    if isinstance(value, ScriptText):
        return str(value)
    if isinstance(value, torch.Size):
        return text_of(tuple(value))
    if isinstance(value, tuple):
        inner = ", ".join(map(text_of, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{text_of(key)}: {text_of(part)}' for key, part in value.items())}}}"
    if isinstance(value, slice):
        return f"slice({text_of(value.start)}, {text_of(value.stop)}, {text_of(value.step)})"
    if isinstance(value, torch.device):
        return f"torch.device({str(value)!r})"
    if value is None or value is ... or isinstance(value, bool | int | float | complex | str):
        return "..." if value is ... else repr(value)
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        return str(value)
    raise CannotWrite(f"an argument is a {type(value).__name__}")


def begin_of(value: Tensor, values: Sequence[Any]) -> int:
    """The first element of the storage that is written out: all of it if it is small, because its gaps matter."""
    return 0 if value.untyped_storage().nbytes() <= 1 << 16 else min(span(one)[0] for one in _together(value, values))


def _together(value: Tensor, values: Sequence[Any]) -> list[Tensor]:
    storage = value.untyped_storage()._cdata
    return [one for one in values if isinstance(one, Tensor) and one.untyped_storage()._cdata == storage]


def memory_text(value: Tensor, values: Sequence[Any]) -> str:
    """The memory that a tensor views, as far as it is written out, as a flat tensor."""
    begin = begin_of(value, values)
    whole = value.untyped_storage().nbytes() // value.element_size()
    end = whole if begin == 0 else max(span(one)[1] for one in _together(value, values))
    flat = value.detach().as_strided((end - begin,), (1,), begin).clone()
    dtype = f"dtype={flat.dtype}"
    if flat.numel() == 0:
        return f"torch.empty(0, {dtype})"
    if bool((flat == flat[0]).all()) and (flat.is_complex() or len(set(flat.signbit().tolist())) == 1):
        return f"torch.full(({flat.numel()},), {flat[0].item()!r}, {dtype})"
    if flat.numel() <= LITERALS:
        numbers = flat.tolist()
        if not any(isinstance(number, complex) and not math.isfinite(abs(number)) for number in numbers):
            return f"torch.tensor({numbers!r}, {dtype})"
    data = bytes(flat.view(torch.uint8).tolist()) if flat.element_size() > 0 else b""
    return f"torch.frombuffer(bytearray.fromhex({data.hex()!r}), {dtype}).clone()"
