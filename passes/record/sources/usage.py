"""`record usage`: everyday expressions that torch's operator database has no sample of, such as `x[None]` or `2**x`.

Every expression of USAGE is evaluated on tensors of several shapes, dtypes and layouts. One that fails is recorded as
a failure.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from types import CodeType
from typing import Final

import torch
import torch.nn.functional as F

from passes.operators.outcome import OPERATOR_ERRORS
from passes.record.recorder import Recorder
from passes.record.schema import CorpusError
from passes.record.sources.layouts import LAYOUTS, laid_out

SHAPES: Final = ((), (3,), (4, 3), (1, 5), (2, 4, 3), (2, 1, 4, 4), (0, 2))
DTYPES: Final = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64)

# Expressions of a tensor x and of another one of its shape, y.
USAGE: Final[dict[str, str]] = {
    "detach": "x.detach(); x.data; x.clone().detach_()",
    "type": "x.type_as(y); x.type(torch.float64); x.cpu(); x.to(y); x.to('cpu')",
    "where": "x.where(y.bool(), y); torch.where(y.bool(), x, 0); torch.where(y.bool(), 1.0, x)",
    "clip": "x.clip(0, 1); x.clamp(0, 1); x.clip(0.0, 1.0)",
    "clamp": "x.clamp(min=0); x.clamp(max=1.0); x.clamp(min=0.0); x.clamp_(0, 1)",
    "new": "x.new_tensor([1, 2]); x.new_tensor(1.0); x.new_tensor([[1, 2, 3]])",
    "none": "x[None]; x[None, None]; x[..., None]; x[None, ..., None]",
    "first": "x[0]; x[-1]; x[..., 0]; x[..., -1]",
    "inner": "x[:, None]; x[:, 0]; x[:, -1]; x[:, :1]; x[:, 1:, ...]",
    "slices": "x[1:]; x[:2]; x[..., 1:]; x[..., ::2]; x[:]; x[...]; x[-2:]",
    "assigned": "x.__setitem__(0, 1); x.__setitem__((..., 0), 2.0); x.__setitem__(slice(1), y[:1])",
    "power": "2 ** x; x ** 2; x ** 0.5; 2.0 ** x; x ** y",
    "from the right": "1 - x; 1.0 / x; 2 * x; 2.0 + x; 3 // x; 5 % x",
    "from the left": "x - 1; x / 2; x // 2; x % 3; x * 0.5; -x; abs(x)",
    "comparisons": "x > 0; x >= y; x == 1; x != y; x < 0.5; 0 <= x",
    "truth": "~x; x & y; x | y; x ^ y; x.bool().all(); x.bool().any(-1)",
    "in place": "x.__iadd__(1); x.__imul__(y); x.__isub__(y); x.__itruediv__(2); x.zero_(); x.fill_(2)",
    "parts": "x.tensor_split(2); x.split(1); x.chunk(2, -1); x.unbind(); x.unbind(-1)",
    "parts of several sizes": "x.split([1, x.shape[0] - 1]); x.tensor_split((1, 2)); x.tensor_split(3, -1)",
    "repeated": "x.repeat_interleave(2); x.repeat_interleave(2, 0); x.repeat_interleave(3, -1)",
    "as another": "x.view_as(y); x.reshape_as(y); x.expand_as(y); x.resize_as(y)",
    "turned": "x.T; x.mT; x.t(); x.H; x.mH; x.adjoint(); x.swapaxes(0, -1); x.moveaxis(0, -1)",
    "unflattened": "x.unflatten(-1, (1, -1)); x.unflatten(0, (-1, 2)); x.flatten(1); x.flatten(-2)",
    "diagonals": "torch.diag(x); torch.diag(x, 1); x.fill_diagonal_(1); x.diag_embed(); x.diagonal()",
    "like": "torch.rand_like(x); torch.randn_like(x); torch.empty_like(x); torch.full_like(x, 2)",
    "like in order": (
        "torch.empty_like(x, memory_format=torch.legacy_contiguous_format); "
        "torch.zeros_like(x, memory_format=torch.contiguous_format); torch.ones_like(x, dtype=torch.float64)"
    ),
    "sizes": "torch.eye(x.dim() + 1); torch.eye(2, 3, dtype=x.dtype); torch.hann_window(4 + x.dim())",
    "triangles": (
        "torch.triu_indices(len(x), x.shape[-1]); torch.tril_indices(len(x), x.shape[-1], 1); "
        "torch.triu_indices(3 + x.dim(), 3, -1)"
    ),
    "products": "x @ y.mT; x.mv(y[0]); torch.linalg.multi_dot([x, y.mT]); torch.chain_matmul(x, y.mT)",
    "several products": "torch.linalg.multi_dot([x, y.mT, x]); torch.tensordot(x, y, x.dim())",
    "over one dimension": "torch.tensordot(x, y.mT, 1); torch.tensordot(x, y, ([0], [0]))",
    "joined": "torch.block_diag(x, y); torch.cat([x, y], -1); torch.stack([x, y], -1); torch.hstack([x, y])",
    "meshes": (
        "torch.meshgrid(x, y, indexing='ij'); torch.meshgrid(x, y[:1], x, indexing='xy'); "
        "torch.cartesian_prod(x, y); torch.cartesian_prod(x)"
    ),
    "pooled": "torch.max_pool1d(x, 2); torch.max_pool2d(x, 2); torch.max_pool2d(x, 2, 1, 1); torch.max_pool3d(x, 1)",
    "pooled to a size": "F.adaptive_avg_pool1d(x, 1); F.adaptive_avg_pool2d(x, 1); F.avg_pool2d(x, 2)",
    "spectra": ("torch.stft(x, 4, return_complex=True); torch.stft(x, 3, 1, return_complex=True, center=False)"),
    "sampled": "torch.poisson(x.abs()); torch.bernoulli(x.clamp(0, 1)); x.exponential_(); x.normal_()",
    "reduced": "x.mean(-1, True); x.sum((0, -1)); x.max(-1); x.min(0, True); x.norm(); x.std(-1)",
    "sorted": "x.sort(-1, True); x.argsort(0); x.topk(1); x.max(); x.argmax(); x.argmax(-1, True)",
    "picked": "x[torch.arange(len(x))]; x[[0, -1]]; x[torch.zeros(2, 2, dtype=torch.long)]",
    "picked along two": "x[:, [0]]; x[[0], [0]]; x[..., torch.tensor([0, 0])]; x[torch.tensor(0)]",
    "linear": "F.linear(x, y[:1]); F.linear(x, y[:1], y[:1, 0])",
    "masked": "x.masked_fill(y.bool(), 0); x.masked_fill_(y.bool(), -1.0); x * y.bool()",
    "masked by a tensor": "x.masked_fill(y.bool(), y.new_ones(())); x.masked_fill_(y.bool(), y.new_zeros(()))",
    "at indices": (
        "x.index_add(0, torch.tensor([0]), y[:1]); x.index_add_(-1, torch.tensor([0]), y[..., :1]); "
        "x.index_copy(0, torch.tensor([0]), y[:1]); x.index_fill(-1, torch.tensor([0]), 2)"
    ),
    "broadcast": (
        "torch.broadcast_tensors(x, y); torch.broadcast_tensors(x, y[:1]); torch.broadcast_tensors(x[..., :1], y[0])"
    ),
    "in memory formats": (
        "x.to(memory_format=torch.channels_last); x.to(torch.float64, memory_format=torch.preserve_format); "
        "x.clone(memory_format=torch.contiguous_format); x.clone(memory_format=torch.channels_last); "
        "x.to(y, memory_format=torch.contiguous_format); x.float(memory_format=torch.channels_last)"
    ),
    "decomposed": (
        "torch.linalg.qr(x); torch.linalg.qr(x, mode='complete'); torch.linalg.qr(x, mode='r'); "
        "torch.linalg.eigh(x @ y.mT, UPLO='U'); torch.linalg.eigvalsh(x @ y.mT, 'L'); torch.linalg.svd(x, False)"
    ),
    "of square matrices": (
        "torch.det(x @ y.mT); torch.slogdet(x @ y.mT); torch.logdet(x @ y.mT); torch.matrix_power(x @ y.mT, 2); "
        "torch.inverse(x @ y.mT + torch.eye(x.shape[-2]))"
    ),
    "other names": (
        "torch.concat([x, y]); torch.concatenate([x, y], -1); torch.row_stack([x, y]); torch.swapaxes(x, 0, -1)"
    ),
    "norms": (
        "torch.norm(x); torch.norm(x, dim=-1); x.norm(1, 0, True); torch.norm(x, 2, (0, -1)); x.norm(float('inf'))"
    ),
    "drawn": "x.bernoulli_(0.5); x.random_(); x.random_(5); torch.randperm(x.dim() + 2); torch.multinomial(x.abs(), 1)",
    "cells": (
        "torch.rnn_relu_cell(x, y[:, :2], y[:2], y[:2, :2]); torch.rnn_tanh_cell(x, y[:, :2], y[:2], y[:2, :2]); "
        "torch.gru_cell(x, y[:, :1], y[:3], y[:3, :1]); torch.lstm_cell(x, (y[:, :1], y[:, :1]), y[:4], y[:4, :1])"
    ),
    "padded": "F.pad(x, (1, 2)); F.pad(x, (0, 1, 2, 0)); F.pad(x, (1,) * 2 * x.dim()); F.one_hot(x)",
}


def titles(pattern: str = "*") -> list[str]:
    """The names of the uses that match a pattern. Raises CorpusError if there are none."""
    names = [name for name in USAGE if fnmatch(name, pattern)]
    if not names:
        raise CorpusError(f"no use of tensors matches {pattern!r}; try 'first' or '*d'")
    return names


def start(recorder: Recorder) -> Callable[[str], None]:
    """The function that makes all calls of the use with a name."""

    def do(name: str) -> None:
        recorder.place = lambda: f"usage {name}"
        expressions = [compile(text, name, "eval") for text in USAGE[name].split("; ")]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for expression, pair in itertools.product(expressions, list(tensors())):
                run_expression(recorder, expression, *pair)

    return do


def run_expression(recorder: Recorder, expression: CodeType, x: torch.Tensor, y: torch.Tensor) -> None:
    """Evaluate one expression on copies of two tensors, which it may write to."""
    copies = {"x": _copied(x), "y": _copied(y)}
    with recorder:
        try:
            eval(expression, {"torch": torch, "F": F}, copies)  # an expression of the table above
        except OPERATOR_ERRORS:
            return


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in other memory with the same strides and offset."""
    memory = tensor.detach().as_strided((tensor.untyped_storage().nbytes() // tensor.element_size(),), (1,), 0).clone()
    copy = memory.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
    return copy.requires_grad_(tensor.requires_grad)


def tensors() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The tensors that expressions are evaluated on: pairs of each shape, dtype and layout; some require gradients."""
    for dtype in DTYPES:
        for shape in SHAPES:
            for layout in LAYOUTS if dtype is torch.float32 else ("contiguous", "transposed"):
                plain = torch.ones(shape).to(dtype)
                (x, y), changed = laid_out((plain, plain), layout)
                if changed or layout == "contiguous":
                    yield x, y
                    if dtype is torch.float32:
                        yield x.detach().requires_grad_(), y
