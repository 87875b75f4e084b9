"""Stand-ins: tensors made from metas, so that an operator can be run for its metas alone.

Three kinds of them. *Real* ones are numbers on the CPU, exact and fast as long as they are small. *Bare*
ones live on torch's meta device and have no data. *Fake* ones are torch's FakeTensors, which answer for
almost every operator, slowly. Which operator may be run on which kind is a matter of catalogue.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Final

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch._subclasses.fake_tensor import log as torch_log

from passes.importing import import_apart
from passes.meta import CPU, TensorMeta

META_DEVICE: Final = torch.device("meta")


class StandIns:
    """One kind of stand-in: zeros on `device`, which stands for the CPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def active(self) -> AbstractContextManager[None]:
        """Entered while the operator runs, for the tensors that it makes."""
        return nullcontext()

    def make(self, meta: TensorMeta) -> torch.Tensor:
        """A tensor with the facts of `meta` (its device apart) that shares nothing with any other."""
        with torch.inference_mode(meta.is_inference):
            tensor = self._detached(meta)
            if not meta.is_leaf:
                return with_history(tensor)
            return tensor.requires_grad_() if meta.requires_grad else tensor

    def _detached(self, meta: TensorMeta) -> torch.Tensor:
        return _strided(meta, self.device)


def with_history(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor` with a grad_fn: what is computed from one that requires gradients, and no view."""
    with torch.enable_grad():
        return _WithHistory.apply(torch.empty((), requires_grad=True), [tensor])  # type: ignore[no-any-return]


class _WithHistory(torch.autograd.Function):
    """Gives a tensor a grad_fn without making it a view: it comes in a list, unseen by autograd."""

    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, box: list[torch.Tensor]) -> torch.Tensor:
        return box[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[None, None]:
        raise AssertionError("a stand-in has no gradient")


def _strided(meta: TensorMeta, device: torch.device) -> torch.Tensor:
    if meta.stride is None:
        raise NotImplementedError(f"no stand-in for a tensor of layout {meta.layout}")
    if not isinstance(meta.storage_offset, int) or meta.storage_offset != 0:
        needed = meta.storage_offset + _span(meta)
        whole = torch.empty((needed,), dtype=meta.dtype, device=device)
        tensor = torch.empty((0,), dtype=meta.dtype, device=device)
        tensor.set_(whole.untyped_storage(), meta.storage_offset, meta.shape, meta.stride)  # type: ignore[call-overload]
    else:
        tensor = torch.empty_strided(meta.shape, meta.stride, dtype=meta.dtype, device=device)
    if device is CPU:
        tensor.untyped_storage().fill_(0)  # type: ignore[attr-defined]
    if meta.is_conj:
        torch._C._set_conj(tensor, True)
    if meta.is_neg:
        torch._C._set_neg(tensor, True)
    return tensor


def _span(meta: TensorMeta) -> Any:
    """Elements from the first to the last one, both included."""
    if any(map(_is_zero, meta.shape)):
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(meta.shape, meta.stride or (), strict=True))


def _is_zero(size: Any) -> bool:
    """Whether a size is zero; of one that hangs on data it is not asked."""
    if not isinstance(size, torch.SymInt):
        return size == 0
    from torch.fx.experimental.symbolic_shapes import guard_or_false

    return guard_or_false(size == 0)


class RealStandIns(StandIns):
    """Zeros, or zero and one by turns. Kernels run on one thread: waking others takes longer than the work."""

    def __init__(self, device: torch.device, alternating: bool = False) -> None:
        super().__init__(device)
        self._alternating = alternating

    def _detached(self, meta: TensorMeta) -> torch.Tensor:
        tensor = super()._detached(meta)
        if self._alternating:
            memory = torch.empty((0,), dtype=meta.dtype, device=self.device)
            memory.set_(tensor.untyped_storage())  # type: ignore[call-overload]
            memory.copy_(torch.arange(memory.numel()) % 2)
        return tensor

    @contextmanager
    def active(self) -> Iterator[None]:
        """While operators run on these stand-ins: one thread, as they are tiny."""
        threads = torch.get_num_threads()  # of the calling thread only, as is what is set here
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


class FakeStandIns(StandIns):
    """FakeTensors of one FakeTensorMode.

    Making the first one imports sympy and torch._dynamo (a second or so): torch's mode does that.
    """

    def __init__(self, shape_env: Any = None, symbols_for_data: bool = False) -> None:
        super().__init__(CPU)
        self.symbols_for_data = symbols_for_data
        import_apart("torch.nested._internal.nested_tensor", "torch._dynamo")
        self.shape_env = shape_env
        self._mode = FakeTensorMode(shape_env=shape_env, static_shapes=shape_env is None)
        self._mode.cache_enabled = False  # ours answers before; theirs costs more than it saves on a miss

    @contextmanager
    def active(self) -> Iterator[None]:
        """While operators run on these stand-ins: under the fake mode, without torch's log of errors."""
        quiet = torch_log.disabled
        torch_log.disabled = True  # an operator that raises is our answer, not an error to be logged
        try:
            # Kernels that take symbols are Python's; those in C++ make numbers of them, or refuse.
            if self.shape_env is None:
                with self._mode:
                    yield
            else:
                with self._mode, enable_python_dispatcher(), _data(self.shape_env, self.symbols_for_data):
                    yield
        finally:
            torch_log.disabled = quiet

    def _detached(self, meta: TensorMeta) -> torch.Tensor:
        return FakeTensor(self._mode, _strided(meta, META_DEVICE), meta.device)


@contextmanager
def _data(shape_env: Any, symbols: bool) -> Iterator[None]:
    """A context in which operators that need the data of a tensor make new symbols of a ShapeEnv for it, or raise."""
    before = shape_env.settings
    shape_env.settings = replace(before, allow_scalar_outputs=symbols, allow_dynamic_output_shape_ops=symbols)
    try:
        yield
    finally:
        shape_env.settings = before
        shape_env.pending_fresh_unbacked_symbols.clear()  # who asked binds them, in a graph of its own


REAL: Final = RealStandIns(CPU)
ALTERNATING: Final = RealStandIns(CPU, alternating=True)
BARE: Final = StandIns(META_DEVICE)
