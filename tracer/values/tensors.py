"""A tensor during the trace: a graph node and a meta, never data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracer.values.base import MISSING
from tracer.values.objects import ObjectValue

if TYPE_CHECKING:
    import torch

    from passes.meta import TensorMeta
    from tracer.guards.source import Source


class TensorValue(ObjectValue):
    """A tensor. `node` is None for an input of the frame that no operator has used yet.

    `base` is the value whose storage this one views (itself when it owns one), so that facts which
    spread over a storage (requires_grad after an in-place write) can find every view.
    """

    __slots__ = ("meta", "node", "touched", "viewed")

    def __init__(
        self,
        cls: type,
        node: torch.fx.Node | None,
        meta: TensorMeta,
        source: Source | None = None,
        obj: object = MISSING,
    ) -> None:
        super().__init__(cls, source, obj)
        self.node = node
        self.meta = meta
        self.touched = source is None
        self.viewed: TensorValue | None = None

    @property
    def base(self) -> TensorValue:
        return self.viewed or self
