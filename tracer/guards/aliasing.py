"""Which tensors share memory: the addresses that a tensor spans, and whether a written tensor overlaps another one.

The native guard program computes the same (`memory_span` in tracer/dispatch/native/tensors.cpp). Nothing here knows
which tensors a graph writes to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import torch

from tracer.guards.source import Source

storage_address: Final[Callable[[torch.Tensor], int]] = vars(torch._C)["_data_address"]
"""Where the storage of a tensor begins, asked without copying a storage that is copied on write."""


class Aliasing(NamedTuple):
    """Of the tensors at `sources`, the first `written` are written to.

    `overlapping` is whether one of those shares memory with another of the tensors.
    """

    sources: tuple[Source, ...]
    written: int
    overlapping: bool

    @property
    def text(self) -> str:
        """The condition, as a person reads it."""
        written = _listed([source.text for source in self.sources[: self.written]])
        others = _listed([source.text for source in self.sources[self.written :]])
        verb = "shares" if self.written == 1 else "share"
        sharing = f"{verb} {'' if self.overlapping else 'no '}memory with "
        among = "each other" if not others else others if self.written == 1 else f"each other or {others}"
        return f"{written} {sharing}{among}"


def _listed(texts: list[str], most: int = 3) -> str:
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def memory_span(tensor: torch.Tensor) -> tuple[int, int]:
    """The addresses in which the elements of a strided tensor lie: (first, one after the last).

    A tensor without elements, or without data, is where its storage is. Raises TypeError for other layouts.
    """
    if tensor.layout is not torch.strided:
        raise TypeError(f"a tensor of layout {tensor.layout} has no single span of memory")
    storage = tensor.untyped_storage()
    data = storage_address(tensor) if tensor.numel() else 0
    if not data:
        return storage._cdata, storage._cdata + 1
    last = sum(int((size - 1) * stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    width = tensor.element_size()
    begin = data + int(tensor.storage_offset()) * width
    return begin, begin + (last + 1) * width


def any_written_overlap(tensors: Sequence[torch.Tensor], written: int) -> bool:
    """Whether one of the first `written` tensors shares memory with another one."""
    spans = sorted((*memory_span(tensor), index < written) for index, tensor in enumerate(tensors))
    end = written_end = 0  # of the spans, and of the written spans, that begin before
    for begin, stop, is_written in spans:
        if begin < (end if is_written else written_end):
            return True
        end = max(end, stop)
        if is_written:
            written_end = max(written_end, stop)
    return False
