"""TensorMeta: everything known about a tensor while a frame is traced, except its values.

Metas are interned: equal facts are the same object, so comparing and hashing one is comparing an
address. Nothing here knows about graphs, guards or how an operator's result is predicted.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import torch

Size = int | torch.SymInt
Shape = tuple[Size, ...]

DTYPE_NAMES: Final[dict[torch.dtype, str]] = {
    torch.float64: "f64",
    torch.float32: "f32",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.int8: "i8",
    torch.uint64: "u64",
    torch.uint32: "u32",
    torch.uint16: "u16",
    torch.uint8: "u8",
    torch.bool: "bool",
    torch.complex128: "c128",
    torch.complex64: "c64",
    torch.complex32: "c32",
}


def torch_names(kind: type) -> dict[Any, str]:
    """The shortest name of every member of `torch` of one type: `{torch.strided: "strided", ...}`."""
    names = sorted((name for name, member in vars(torch).items() if type(member) is kind), key=len, reverse=True)
    return {getattr(torch, name): name for name in names}


# Names of all element types: the short ones where there are any, else torch's.
DTYPES: Final[dict[torch.dtype, str]] = torch_names(torch.dtype) | DTYPE_NAMES
DTYPE_BY_NAME: Final = {name: dtype for dtype, name in DTYPES.items()}

CPU: Final = torch.device("cpu")

FACT_NAMES: Final = (
    "shape",
    "stride",
    "storage_offset",
    "dtype",
    "device",
    "layout",
    "requires_grad",
    "is_leaf",
    "is_conj",
    "is_neg",
    "is_inference",
)
PLACES: Final = {name: place for place, name in enumerate(FACT_NAMES)}
FLAG_WORDS: Final = {"is_conj": "conjugate bit", "is_neg": "negative bit", "is_inference": "inference tensor"}

Facts = tuple[Any, ...]


class TensorMeta:
    """Shape, stride, storage offset, dtype, device, layout and autograd facts of one tensor.

    Immutable and interned: `TensorMeta(...) is TensorMeta(...)` for equal facts. Sizes are in
    elements; a size may be a torch.SymInt, which counts as equal by its expression. `stride` is None
    for tensors that have none (sparse layouts).
    """

    __slots__ = (*FACT_NAMES, "contiguous", "plain", "symbolic")

    shape: Shape
    stride: Shape | None
    storage_offset: Size
    dtype: torch.dtype
    device: torch.device
    layout: torch.layout
    requires_grad: bool
    is_leaf: bool
    is_conj: bool
    is_neg: bool
    is_inference: bool
    contiguous: bool | None  # whether strides are row-major, as torch asks it; None for symbols, and without strides
    plain: bool  # whether it is a strided tensor on the CPU to which none of FLAG_WORDS applies
    symbolic: bool  # whether a size, stride or offset is a torch.SymInt

    def __new__(
        cls,
        shape: Shape,
        stride: Shape | None,
        dtype: torch.dtype = torch.float32,
        *,
        storage_offset: Size = 0,
        device: torch.device = CPU,
        layout: torch.layout = torch.strided,
        requires_grad: bool = False,
        is_leaf: bool = True,
        is_conj: bool = False,
        is_neg: bool = False,
        is_inference: bool = False,
    ) -> TensorMeta:
        return _intern(
            (
                tuple(shape),
                None if stride is None else tuple(stride),
                storage_offset,
                dtype,
                device,
                layout,
                requires_grad,
                is_leaf,
                is_conj,
                is_neg,
                is_inference,
            )
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"TensorMeta is immutable: cannot set {name!r} (use .replace)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"TensorMeta is immutable: cannot delete {name!r}")

    def __copy__(self) -> TensorMeta:
        return self

    def __deepcopy__(self, memo: object) -> TensorMeta:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _intern, (self.facts,)

    @property
    def facts(self) -> Facts:
        """All facts as one tuple, in the order of FACT_NAMES."""
        return _facts_of(self)

    def replace(self, **changes: Any) -> TensorMeta:
        """The meta that differs from this one in the named facts only."""
        facts = list(_facts_of(self))
        for name, fact in changes.items():
            if name not in PLACES:
                raise TypeError(f"TensorMeta has no fact {name!r}; it has {FACT_NAMES}")
            facts[PLACES[name]] = fact
        return _intern(tuple(facts))

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def element_count(self) -> Size:
        """The number of elements: the product of the sizes, symbols among them."""
        return math.prod(self.shape)

    @property
    def name(self) -> str:
        """Element type and shape: `f32[2, 16]`."""
        dtype = DTYPE_NAMES.get(self.dtype) or str(self.dtype).removeprefix("torch.")
        return f"{dtype}[{', '.join(map(str, self.shape))}]"

    @property
    def text(self) -> str:
        """Element type, shape and stride: `f32[2, 16] stride (16, 1)`."""
        if self.stride is None:
            return f"{self.name} {str(self.layout).removeprefix('torch.')}"
        if not self.stride:
            return self.name
        return f"{self.name} stride ({', '.join(map(str, self.stride))}{',' if self.rank == 1 else ''})"

    @property
    def words(self) -> str:
        """`text` with all that differs from a plain tensor: `f32[4] stride (1,) cpu, requires grad`."""
        parts = [f"{self.text} {self.device}", "requires grad" if self.requires_grad else "no grad"]
        if not self.is_leaf:
            parts.append("not a leaf")
        if self.storage_offset != 0:
            parts.append(f"offset {self.storage_offset}")
        parts += [word for fact, word in FLAG_WORDS.items() if getattr(self, fact)]
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"<TensorMeta {self.words}>"


_facts_of: Final[Callable[[TensorMeta], Facts]] = operator.attrgetter(*FACT_NAMES)
_interned: dict[Facts, TensorMeta] = {}
QUANTIZED: Final = frozenset((torch.qint8, torch.quint8, torch.qint32, torch.quint4x2, torch.quint2x4))

SYMBOLIC_TABLE: Final = "_bytegraph_metas"  # the attribute of a ShapeEnv that holds its metas: both die together


def meta_of(tensor: torch.Tensor, is_leaf: bool | None = None) -> TensorMeta:
    """The meta of a real or fake tensor. With `is_leaf` given, autograd is not asked for that, which makes anew the
    history of a view whose memory was written to through another one.

    Raises NotImplementedError for tensors that more must be known of than its facts: nested and quantized ones.
    """
    layout = tensor.layout
    if layout is not torch.strided or tensor.is_nested:
        return _meta_of_unstrided(tensor)
    if is_leaf is None:
        is_leaf = _is_leaf(tensor)
    facts = (
        tensor.shape,
        tensor.stride(),
        tensor.storage_offset(),
        tensor.dtype,
        tensor.device,
        layout,
        tensor.requires_grad,
        is_leaf,
        tensor.is_conj(),
        tensor.is_neg(),
        tensor.is_inference(),
    )
    try:
        return _interned[facts]
    except (KeyError, TypeError):  # TypeError: a torch.SymInt cannot be hashed
        if tensor.is_quantized:
            raise NotImplementedError(
                "a quantized tensor has no TensorMeta: its scale is not one of the facts"
            ) from None
        return _intern((tuple(facts[0]), *facts[1:]))


def _is_leaf(tensor: torch.Tensor) -> bool:
    try:
        return tensor.is_leaf
    except RuntimeError:  # a view made without gradients of what was written since, whose history torch refuses to make
        return False


def meta_on_cpu(
    shape: Shape,
    stride: Shape,
    dtype: torch.dtype,
    storage_offset: Size,
    requires_grad: bool,
    is_leaf: bool,
    is_conj: bool = False,
    is_neg: bool = False,
) -> TensorMeta:
    """The meta of a strided tensor on the CPU, from facts in their order: what rules make, at every evaluation."""
    strided = (tuple(shape), tuple(stride), storage_offset, dtype, CPU, torch.strided)
    return _intern((*strided, requires_grad, is_leaf, is_conj, is_neg, False))


def _meta_of_unstrided(tensor: torch.Tensor) -> TensorMeta:
    if tensor.is_nested:
        raise NotImplementedError("a nested tensor has no TensorMeta: its sizes are tensors themselves")
    return TensorMeta(
        tensor.shape,
        None,
        tensor.dtype,
        device=tensor.device,
        layout=tensor.layout,
        requires_grad=tensor.requires_grad,
        is_leaf=tensor.is_leaf,
        is_inference=tensor.is_inference(),
    )


def _intern(facts: Facts) -> TensorMeta:
    try:
        meta = _interned.get(facts)
        table, key, symbolic = _interned, facts, False
    except TypeError:
        table, key = _symbolic_key(facts)
        meta, symbolic = table.get(key), True
    if meta is None:
        meta = object.__new__(TensorMeta)
        for name, fact in zip(FACT_NAMES, facts, strict=True):
            object.__setattr__(meta, name, fact)
        if symbolic or meta.stride is None:
            object.__setattr__(meta, "contiguous", None)
        else:
            object.__setattr__(meta, "contiguous", are_contiguous(meta.shape, meta.stride))
        flagged = meta.is_conj or meta.is_neg or meta.is_inference
        object.__setattr__(meta, "plain", meta.stride is not None and meta.device == CPU and not flagged)
        object.__setattr__(meta, "symbolic", symbolic)
        table[key] = meta
    return meta


def are_contiguous(shape: Sequence[Any], strides: Sequence[Any]) -> bool:
    """Whether strides are row-major; those of sizes 1 do not matter, and nothing does when it is empty."""
    expected: Any = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=False):
        if size != 1:
            if stride != expected:
                return 0 in shape
            expected = expected * size
    return True


def _symbolic_key(facts: Facts) -> tuple[dict[Facts, TensorMeta], Facts]:
    """The table of the symbols' ShapeEnv, and `facts` with every torch.SymInt as its expression."""
    shape, stride, offset, *rest = facts
    symbol = next(size for size in (*shape, *(stride or ()), offset) if isinstance(size, torch.SymInt))
    table = symbol.node.shape_env.__dict__.setdefault(SYMBOLIC_TABLE, {})
    key = (
        tuple(map(_expression, shape)),
        None if stride is None else tuple(map(_expression, stride)),
        _expression(offset),
        *rest,
    )
    return table, key


def _expression(size: Size) -> object:
    return size.node.expr if isinstance(size, torch.SymInt) else size
