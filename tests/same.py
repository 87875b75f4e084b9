"""Are two runs of one program indistinguishable? A walk over both outcomes side by side.

Tensors must agree bit for bit and in everything their metadata says; containers and instances in type
and contents; and wherever one side holds the same object (or the same storage) twice, so must the
other. Nothing here knows of captures. The answer is a list of differences, each with the path to it.
"""

import collections
import functools
import itertools
import struct
import types
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import numpy as np
import torch

_IDENTICAL = (
    type,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.CodeType,
    torch.dtype,
    torch.layout,
    torch.memory_format,
    Enum,
    type(None),
    type(Ellipsis),
    type(NotImplemented),
    bool,
)
_EQUAL = (int, str, bytes, torch.device, range, slice)
_ITERATORS = tuple(type(iter(empty)) for empty in ([], (), "", b"", {}, {}.items(), {}.values(), set(), range(0))) + (
    type(reversed([])),
    enumerate,
    zip,
    itertools.count,
    itertools.cycle,
    itertools.chain,
    itertools.islice,
)

COMPILED = "CompiledFunctionBackward"
"""The one step of autograd that AOTAutograd's compilers make of all the steps of a graph. Nobody else may show it."""


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """uint8[bytes]: the elements of a tensor in logical order, as they are in memory."""
    return _row(tensor).view(torch.uint8)


def _row(tensor: torch.Tensor) -> torch.Tensor:
    """The elements of a tensor in logical order, one after the other in memory."""
    dense = tensor.detach()
    if dense.layout is not torch.strided:
        dense = dense.to_dense()
    memory = dense.resolve_conj().resolve_neg().contiguous()
    return memory.as_strided((memory.numel(),), (1,))  # one element may have any stride


def unequal_elements(left: torch.Tensor, right: torch.Tensor) -> str:
    """How many elements of two tensors of one meta differ in a bit, by how much at most, and the first of them."""
    if left.is_quantized:
        return f"plain {left!r}, captured {right!r}"
    plain, captured = _row(left), _row(right)
    size = plain.element_size()
    unequal = (plain.view(torch.uint8) != captured.view(torch.uint8)).view(-1, size).any(1)
    plain, captured = plain[unequal], captured[unequal]
    wide = torch.complex128 if plain.is_complex() else torch.float64
    greatest = (plain.to(wide) - captured.to(wide)).abs().max().item()
    return (
        f"{len(plain)} of {len(unequal)} differ, by at most {greatest:.3g}; "
        f"the first: plain {plain[0].item()!r}, captured {captured[0].item()!r}"
    )


def float_bits(number: float) -> bytes:
    return struct.pack("d", number)


class Comparison:
    """One walk over two object graphs. `differences` is empty at the end when they are alike.

    `compiled` says that the right one comes from a compiler, whose gradients are those of one step.
    """

    def __init__(self, compiled: bool = False) -> None:
        self.compiled = compiled
        self.differences: list[str] = []
        self._pairs: dict[int, int] = {}
        self._partners: dict[int, int] = {}
        self._storages: dict[int, int] = {}
        self._storage_partners: dict[int, int] = {}
        self._alive: list[Any] = []

    def differ(self, path: str, what: str, left: Any, right: Any) -> None:
        self.differences.append(f"{path}: {what}: plain {left!r}, captured {right!r}")

    def compare(self, left: Any, right: Any, path: str) -> None:
        """Record every way in which `right` is distinguishable from `left`."""
        if type(left) is not type(right):
            self.differ(path, "type", type(left), type(right))
        elif isinstance(left, _IDENTICAL):
            if left is not right:
                self.differ(path, "identity", left, right)
        elif type(left) in _EQUAL:
            if left != right:
                self.differ(path, "value", left, right)
        elif type(left) is float:
            if float_bits(left) != float_bits(right):
                self.differ(path, "value", left, right)
        elif type(left) is complex:
            if (float_bits(left.real), float_bits(left.imag)) != (float_bits(right.real), float_bits(right.imag)):
                self.differ(path, "value", left, right)
        elif isinstance(left, np.generic):
            if left.tobytes() != right.tobytes():
                self.differ(path, "value", left, right)
        elif self._paired(left, right, path):
            self._contents(left, right, path)

    def _paired(self, left: Any, right: Any, path: str) -> bool:
        """True when both are met for the first time; records where one is an alias and the other is not.

        Empty tuples and frozensets may be shared at will, as CPython does.
        """
        if type(left) in (tuple, frozenset) and not left and not right:
            return False
        self._alive += (left, right)
        counterpart, partner = self._pairs.get(id(left)), self._partners.get(id(right))
        if counterpart is None and partner is None:
            self._pairs[id(left)] = id(right)
            self._partners[id(right)] = id(left)
            return True
        if type(left) in (tuple, frozenset, torch.Size):
            return counterpart != id(right)  # immutable: whether two equal ones are one object is not promised
        if counterpart != id(right) or partner != id(left):
            self.differ(path, "aliasing", "met before" if counterpart else "new", "met before" if partner else "new")
        return False

    def _contents(self, left: Any, right: Any, path: str) -> None:
        for kind, compare in _CONTENTS:
            if isinstance(left, kind):
                compare(self, left, right, path)
                return
        if not self.attributes(left, right, path) and (left == right) is not True:
            self.differ(path, "equality", left, right)

    def tensor(self, left: torch.Tensor, right: torch.Tensor, path: str) -> None:
        for fact, read in _TENSOR_FACTS.items():
            one, other = fact_of(read, left), fact_of(read, right)
            may_differ = self.compiled and fact == "grad_fn" and one != "NoneType"
            if one != other and not (may_differ and other == COMPILED):
                self.differ(path, fact, one, other)
                return
        if not left.is_meta and not torch.equal(bits(left), bits(right)):
            self.differences.append(f"{path}: elements: {unequal_elements(left, right)}")
        if left.layout is torch.strided and left.untyped_storage().nbytes():
            self._storage(left.untyped_storage().data_ptr(), right.untyped_storage().data_ptr(), path)
        if fact_of(_TENSOR_FACTS["is_leaf"], left) is True:
            self.compare(left.grad, right.grad, f"{path}.grad")
        self.compare(vars(left), vars(right), f"{path}.__dict__")

    def _storage(self, left: int, right: int, path: str) -> None:
        if self._storages.setdefault(left, right) != right or self._storage_partners.setdefault(right, left) != left:
            self.differ(path, "shared memory", left in self._storages, right in self._storage_partners)

    def sequence(self, left: Any, right: Any, path: str) -> None:
        if len(left) != len(right):
            self.differ(path, "length", len(left), len(right))
        for index, (one, other) in enumerate(zip(left, right, strict=False)):
            self.compare(one, other, f"{path}[{index}]")
        self.attributes(left, right, path)

    def mapping(self, left: dict[Any, Any], right: dict[Any, Any], path: str) -> None:
        kind = collections.OrderedDict if isinstance(left, collections.OrderedDict) else dict
        left_keys, right_keys = list(kind.keys(left)), list(kind.keys(right))
        if len(left_keys) != len(right_keys):
            self.differ(path, "keys", left_keys, right_keys)
        for one, other in zip(left_keys, right_keys, strict=False):
            self.compare(one, other, f"{path} key {one!r}")
            self.compare(dict.__getitem__(left, one), dict.__getitem__(right, other), f"{path}[{one!r}]")
        self.attributes(left, right, path)

    def unordered(self, left: Any, right: Any, path: str) -> None:
        self.sequence(sorted(left, key=repr), sorted(right, key=repr), path)

    def function(self, left: types.FunctionType, right: types.FunctionType, path: str) -> None:
        if left is right:
            return
        self.compare(left.__code__, right.__code__, f"{path}.__code__")
        self.compare(left.__defaults__, right.__defaults__, f"{path}.__defaults__")
        self.compare(left.__kwdefaults__, right.__kwdefaults__, f"{path}.__kwdefaults__")
        self.compare(left.__closure__, right.__closure__, f"{path}.__closure__")
        self.compare(left.__name__, right.__name__, f"{path}.__name__")
        self.compare(vars(left), vars(right), f"{path}.__dict__")

    def method(self, left: types.MethodType, right: types.MethodType, path: str) -> None:
        self.compare(left.__func__, right.__func__, f"{path}.__func__")
        self.compare(left.__self__, right.__self__, f"{path}.__self__")

    def cell(self, left: types.CellType, right: types.CellType, path: str) -> None:
        self.compare(cell_contents(left), cell_contents(right), f"{path}.cell_contents")

    def exception(self, left: BaseException, right: BaseException, path: str) -> None:
        if str(left) != str(right):
            self.differ(path, "message", str(left), str(right))
        self.compare(left.args, right.args, f"{path}.args")
        self.compare(left.__cause__, right.__cause__, f"{path}.__cause__")
        self.compare(left.__context__, right.__context__, f"{path}.__context__")
        if left.__suppress_context__ != right.__suppress_context__:
            self.differ(path, "suppressed context", left.__suppress_context__, right.__suppress_context__)

    def iterator(self, left: Any, right: Any, path: str) -> None:
        self.compare(left.__reduce__()[1:], right.__reduce__()[1:], f"{path} (rest)")

    def generator(self, left: Any, right: Any, path: str) -> None:
        self.compare(left.gi_code, right.gi_code, f"{path}.gi_code")
        one, other = left.gi_frame, right.gi_frame
        if (one is None) != (other is None):
            self.differ(
                path, "progress", "finished" if one is None else "alive", "finished" if other is None else "alive"
            )
        elif one is not None and other is not None:
            self.compare(one.f_locals, other.f_locals, f"{path}.gi_frame.f_locals")

    def random_generator(self, left: torch.Generator, right: torch.Generator, path: str) -> None:
        self.tensor(left.get_state(), right.get_state(), f"{path}.get_state()")

    def partial(self, left: functools.partial[Any], right: functools.partial[Any], path: str) -> None:
        for name in ("func", "args", "keywords"):
            self.compare(getattr(left, name), getattr(right, name), f"{path}.{name}")

    def attributes(self, left: Any, right: Any, path: str) -> bool:
        """Instance dictionaries and slots; False when the objects have neither."""
        slots = [name for kind in type(left).__mro__ for name in _slots(kind)]
        for name in slots:
            self.compare(getattr(left, name, MISSING), getattr(right, name, MISSING), f"{path}.{name}")
        one, other = getattr(left, "__dict__", None), getattr(right, "__dict__", None)
        if not (isinstance(one, dict) and isinstance(other, dict)):
            return bool(slots)
        for name in sorted(one.keys() | other.keys()):
            if name not in _UNSEEN:
                self.compare(one.get(name, MISSING), other.get(name, MISSING), f"{path}.{name}")
        return True


class Missing(Enum):
    """Stands for an attribute or a cell that has no value."""

    MISSING = "missing"


MISSING = Missing.MISSING
_UNSEEN = {"__weakref__", "__dict__", "_compiled_call_impl"}


def _slots(kind: type) -> Iterator[str]:
    slots = vars(kind).get("__slots__", ())
    for name in (slots,) if isinstance(slots, str) else slots:
        if name not in _UNSEEN:
            yield f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name


def cell_contents(cell: types.CellType) -> Any:
    """What the cell holds; a mark of our own when it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def fact_of(read: Callable[[torch.Tensor], Any], tensor: torch.Tensor) -> Any:
    """A fact of a tensor; the error of a view whose history autograd refuses to make anew."""
    try:
        return read(tensor)
    except RuntimeError as error:
        return str(error)


_TENSOR_FACTS: dict[str, Callable[[torch.Tensor], Any]] = {
    "shape": lambda tensor: tuple(tensor.shape),
    "dtype": lambda tensor: tensor.dtype,
    "layout": lambda tensor: tensor.layout,
    "stride": lambda tensor: tensor.stride() if tensor.layout is torch.strided else None,
    "storage offset": lambda tensor: tensor.storage_offset() if tensor.layout is torch.strided else None,
    "device": lambda tensor: tensor.device,
    "requires_grad": lambda tensor: tensor.requires_grad,
    "is_leaf": lambda tensor: tensor.is_leaf,
    "grad_fn": lambda tensor: type(tensor.grad_fn).__name__,
    "is_inference": lambda tensor: tensor.is_inference(),
    "is_conj": lambda tensor: tensor.is_conj(),
    "is_neg": lambda tensor: tensor.is_neg(),
    "retains_grad": lambda tensor: tensor.retains_grad,
}

_CONTENTS: tuple[tuple[Any, Callable[[Comparison, Any, Any, str], None]], ...] = (
    (torch.Tensor, Comparison.tensor),
    (torch.Generator, Comparison.random_generator),
    (types.GeneratorType, Comparison.generator),
    (dict, Comparison.mapping),
    ((list, tuple, collections.deque), Comparison.sequence),
    ((set, frozenset), Comparison.unordered),
    (types.FunctionType, Comparison.function),
    (types.MethodType, Comparison.method),
    (types.CellType, Comparison.cell),
    (BaseException, Comparison.exception),
    (functools.partial, Comparison.partial),
    (_ITERATORS, Comparison.iterator),
)


def differences(left: Any, right: Any, path: str = "outcome", compiled: bool = False) -> list[str]:
    """Every way in which two object graphs can be told apart; `compiled` is described at Comparison."""
    comparison = Comparison(compiled)
    comparison.compare(left, right, path)
    return comparison.differences
