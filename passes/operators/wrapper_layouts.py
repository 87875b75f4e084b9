"""Tensors that hold tensors: instances of wrapper subclasses with `__torch_dispatch__`, as layouts and as stand-ins.

A layout is all that is known of such a tensor without its values: its class, its own facts, the context that its
`__tensor_flatten__` gives, and what is known of the tensors inside. Equal layouts are one object. Nothing here knows
how a program was captured.
"""

from __future__ import annotations

import enum
import struct
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import torch

from passes.meta import TensorMeta, meta_of
from passes.operators.outcome import Unsupported
from passes.operators.stand_ins import with_history
from passes.subclasses import overrides_disabled

DISPATCH: Final = "__torch_dispatch__"
RAGGED: Final = "ragged"
"""Stands in a layout for a size or stride that is known by identity: of a jagged tensor, by that of its offsets."""


@dataclass(frozen=True, eq=False)
class WrapperLayout:
    """What is known of a tensor that holds others: `facts` of its own, in `parts` metas or layouts of those inside."""

    cls: type
    facts: tuple[Any, ...]
    context: Any
    parts: Mapping[str, Any]

    symbolic: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The class and the sizes: `TwoTensor[2, 3]`."""
        return f"{self.cls.__name__}[{', '.join(map(str, self.facts[0]))}]"

    words = name


_layouts: Final[dict[tuple[Any, ...], list[weakref.ref[WrapperLayout]]]] = {}
"""The layouts that somebody holds, by all but their contexts, which may not be hashable."""


def is_wrapper_class(cls: type) -> bool:
    """Whether instances of a class hold tensors that they can be taken apart to, and made of again."""
    return (
        issubclass(cls, torch.Tensor)
        and any(DISPATCH in vars(base) for base in cls.__mro__[: cls.__mro__.index(torch.Tensor)])
        and hasattr(cls, "__tensor_flatten__")
        and hasattr(cls, "__tensor_unflatten__")
    )


def layout_of(tensor: Any) -> WrapperLayout:
    """The layout of a tensor that holds others. Raises Unsupported where it cannot be told from another."""
    with overrides_disabled():
        names, context = tensor.__tensor_flatten__()
        parts = {name: _part_layout(getattr(tensor, name)) for name in names}
        facts = (
            tuple(map(_known_size, tensor.shape)),
            tuple(map(_known_size, tensor.stride())),
            *(_known_size(tensor.storage_offset()), tensor.dtype, tensor.device, tensor.layout),
            *(tensor.requires_grad, tensor.is_leaf, tensor.is_conj(), tensor.is_neg(), tensor.is_inference()),
        )
    key = (type(tensor), facts, *parts.items())
    for reference in _layouts.get(key, ()):
        layout = reference()
        if layout is not None and _same_context(layout.context, context):
            return layout
    layout = WrapperLayout(type(tensor), facts, _copied(context), parts)
    _layouts.setdefault(key, []).append(weakref.ref(layout, partial(_forget, key)))
    return layout


def _forget(key: tuple[Any, ...], reference: weakref.ref[WrapperLayout]) -> None:
    alike = _layouts[key]
    alike.remove(reference)
    if not alike:
        del _layouts[key]


def layout_or_none(tensor: Any) -> WrapperLayout | None:
    """The layout of a tensor that holds others; None of any other object, and where none can be told."""
    try:
        return layout_of(tensor) if is_wrapper_class(type(tensor)) else None
    except Unsupported:
        return None


def _part_layout(part: Any) -> Any:
    if type(part) is not torch.Tensor and is_wrapper_class(type(part)):
        return layout_of(part)
    try:
        return meta_of(part)
    except NotImplementedError as error:
        raise Unsupported(str(error)) from error


def _known_size(size: Any) -> Any:
    return size if type(size) is int else RAGGED


IDENTICAL: Final = (
    type(None),
    bool,
    int,
    str,
    bytes,
    complex,
    type,
    torch.dtype,
    torch.device,
    torch.layout,
    enum.Enum,
)


def _same_context(ours: Any, theirs: Any) -> bool:
    """Whether two contexts are equal, so that no code can tell one from the other."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, tuple | list):
        return len(ours) == len(theirs) and all(map(_same_context, ours, theirs))
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(_same_context(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, float):
        return struct.pack("d", ours) == struct.pack("d", theirs)
    return bool(ours == theirs)


def _copied(context: Any) -> Any:
    """A context whose containers nobody else can change. Raises Unsupported for an object that equals only itself."""
    if type(context) in (tuple, list):
        return type(context)(_copied(part) for part in context)
    if type(context) is dict:
        return {key: _copied(part) for key, part in context.items()}
    if isinstance(context, torch.Tensor):
        raise Unsupported("a tensor in what __tensor_flatten__ gives besides names")
    if not isinstance(context, (*IDENTICAL, float)) and type(context).__eq__ is object.__eq__:
        raise Unsupported(f"a {type(context).__name__} in what __tensor_flatten__ gives")
    return context


def stand_in_of(
    tensor: Any, part: Callable[[str, Any], torch.Tensor], active: Callable[[], AbstractContextManager[None]]
) -> torch.Tensor:
    """A tensor like a real one that holds others, made of what `part` gives for those by their names.

    `active` is entered while the class makes it. Raises Unsupported if that is not like the real one.
    """
    layout = layout_of(tensor)
    with overrides_disabled():
        names, context = tensor.__tensor_flatten__()
        inner = {name: part(name, getattr(tensor, name)) for name in names}
        size, stride = tensor.size(), tensor.stride()
        needs_grad, is_leaf = tensor.requires_grad, tensor.is_leaf
    with active(), overrides_disabled():
        stand_in = type(tensor).__tensor_unflatten__(inner, context, size, stride)
        if not is_leaf:
            stand_in = with_history(stand_in.detach())
        elif needs_grad != stand_in.requires_grad:
            stand_in.requires_grad_(needs_grad)
    if layout_or_none(stand_in) is not layout:
        raise Unsupported(f"a {type(tensor).__name__} that its __tensor_unflatten__ makes otherwise")
    return stand_in


def storages(tensor: Any) -> list[int]:
    """What identifies the memories of a tensor, or of the tensors that it holds."""
    if type(tensor) is not torch.Tensor and is_wrapper_class(type(tensor)):
        with overrides_disabled():
            names, _ = tensor.__tensor_flatten__()
            return [memory for name in names for memory in storages(getattr(tensor, name))]
    return [tensor.untyped_storage()._cdata] if tensor.layout is torch.strided else []


def versions(tensor: Any) -> list[int | None]:
    """How often a tensor was written to, and those that it holds."""
    version = None if tensor.is_inference() else tensor._version
    if type(tensor) is torch.Tensor or not is_wrapper_class(type(tensor)):
        return [version]
    with overrides_disabled():
        names, _ = tensor.__tensor_flatten__()
        return [version, *(inner for name in names for inner in versions(getattr(tensor, name)))]


def specialised(meta: TensorMeta) -> TensorMeta:
    """A meta with the numbers of its symbols, which are fixed by that."""
    if not meta.symbolic:
        return meta
    return meta.replace(
        shape=tuple(map(int, meta.shape)),
        stride=None if meta.stride is None else tuple(map(int, meta.stride)),
        storage_offset=int(meta.storage_offset),
    )
