"""Values as source text: constants, structures of them, and the memory of tensors. Nothing here knows of calls."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from backends.crosscheck.calls import span

LITERALS: Final = 64  # elements that are written as numbers; more are written as bytes


class CannotWrite(ValueError):
    """A call that cannot be written as text, because it takes an object that has no source text."""


def name_text(name: str) -> str:
    """A name, or several with dots between, as it may stand in source. Raises CannotWrite for any other text."""
    if all(part.isidentifier() and not keyword.iskeyword(part) for part in name.split(".")):
        return name
    raise CannotWrite(f"{name!r} is not a name")


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
    if value is None or value is ... or isinstance(value, bool):
        return "..." if value is ... else repr(value)
    if isinstance(value, complex):  # what Python prints of one loses signs of zeros, and has no word for infinities
        return f"complex({value.real!r}, {value.imag!r})"
    if isinstance(value, int | float | str):  # of a subclass, the number or text itself
        plain: Any = next(kind for kind in (int, float, str) if isinstance(value, kind))
        return plain.__repr__(value)
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
        return f"torch.full(({flat.numel()},), {text_of(flat[0].item())}, {dtype})"
    if flat.numel() <= LITERALS:
        return f"torch.tensor({text_of(flat.tolist())}, {dtype})"
    data = bytes(flat.view(torch.uint8).tolist()) if flat.element_size() > 0 else b""
    return f"torch.frombuffer(bytearray.fromhex({data.hex()!r}), {dtype}).clone()"
