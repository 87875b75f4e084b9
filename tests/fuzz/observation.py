"""What can be observed of a state, as lines of text that are equal for two runs that cannot be told apart.

Objects and memory are numbered in the order in which the walk meets them, so that aliasing shows without an address.
Tensors are shown bit for bit, with everything their metadata says; instances with their attributes, whoever their class
is. Knows nothing of programs or captures.
"""

from __future__ import annotations

import collections
import functools
import itertools
import math
import re
import types
import weakref
from collections.abc import Iterator
from traceback import walk_tb
from typing import Any

import numpy
import torch

from tests.same import bits, cell_contents

_ATOMS = (int, str, bytes, bool, type(None), type(...), torch.dtype, torch.device, range, slice, torch.Size)
_CODE = (types.BuiltinFunctionType, types.ModuleType, types.CodeType, type, types.MethodDescriptorType)
_ITERATORS = (
    *(type(iter(empty)) for empty in ([], (), "", b"", {}, {}.items(), {}.values(), set(), range(0))),
    *(type(reversed([])), enumerate, zip, map, filter, itertools.count, itertools.chain, itertools.accumulate),
)
"""Iterators that say by `__reduce__` what is left of them."""
ANYTHING = "..."
"""The end of a line that is the same as any line that begins as it does."""
ABOUT = "about"
"""Before the numbers of a gradient that a compiler computes, whose sums may be in another order."""
ROUNDINGS = 8
"""How many times the rounding error of its dtype such a number may be off, relative to the largest of its tensor."""
_NOTE_OF_REPLAY = "raised by "
"""The replay of a graph notes the line of the program in what an operator raises, and does not pass through it."""
_SOURCES = ("<program>", "<surroundings>", "<change>")
_MARKS_OF_TORCH = ("_dynamo_propagated_dynamic_indices",)
"""Attributes that torch's own ahead-of-time compiler leaves on the tensors that a graph returns."""
_ADDRESS = re.compile(r"0x[0-9a-f]+")


def text_of(value: Any) -> str:
    """`str` of a value without addresses."""
    return _ADDRESS.sub("0x..", str(value))


def places_of(error: BaseException) -> list[str]:
    """The functions and lines of a program through which an exception has passed.

    Without the last line where a local was not bound: once CPython 3.11 has joined the instruction that reads it to the
    one before it, it names the line of that one.
    """
    places, traceback = list[str](), error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename in _SOURCES:
            places.append(f"{code.co_name}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    if places and type(error) is UnboundLocalError:
        places[-1] = places[-1].partition(":")[0]
    return places


def is_from_compiled_graph(error: BaseException) -> bool:
    """Whether an exception has passed through a graph module's own code, which knows no line of the program."""
    return any(frame.f_code.co_filename.startswith("<eval_with_key>") for frame, _ in walk_tb(error.__traceback__))


def are_close(left: str, right: str) -> bool:
    """Whether two lines show gradients whose numbers differ by roundings only."""
    (path, numbers), (other_path, other_numbers) = (line.partition(f" {ABOUT} ")[::2] for line in (left, right))
    if path != other_path or not numbers or not other_numbers:
        return False
    (tolerance, *one), (_, *other) = (
        [float(word.strip("[],")) for word in line.split()] for line in (numbers, other_numbers)
    )
    least = tolerance * max((abs(number) for number in one if math.isfinite(number)), default=0.0)
    return len(one) == len(other) and all(
        math.isclose(number, partner, rel_tol=tolerance, abs_tol=least) or (number != number and partner != partner)
        for number, partner in zip(one, other, strict=True)
    )


class Observation:
    """One walk over a state. `autograd` says whether gradient functions, views and versions are compared, which
    a compiler may have otherwise.
    """

    def __init__(self, autograd: bool = True) -> None:
        self.autograd = autograd
        self.numbers: dict[int, int] = {}
        self.memory: dict[int, int] = {}
        self.alive: list[Any] = []

    def lines(self, value: Any, path: str) -> Iterator[str]:
        """The lines for a value and for all that is reached from it."""
        if isinstance(value, float | complex):
            yield f"{path}: {type(value).__name__} {value!r}"
        elif type(value) in _ATOMS:
            yield f"{path}: {type(value).__name__} {text_of(repr(value))}"
        elif isinstance(value, _CODE):
            yield f"{path}: {getattr(value, '__qualname__', text_of(value))}"
        elif type(value) in (tuple, frozenset) and all(type(item) in _ATOMS for item in value):
            text = text_of(repr(value) if type(value) is tuple else sorted(map(repr, value)))
            yield f"{path}: {type(value).__name__} {text}"  # a constant: CPython, too, may use one object for two
        elif id(value) in self.numbers:
            yield f"{path}: the same as #{self.numbers[id(value)]}"
        else:
            number = self.numbers[id(value)] = len(self.numbers)
            self.alive.append(value)
            yield f"{path}: #{number} {type(value).__module__}.{type(value).__qualname__}"
            yield from self.contents(value, path)

    def contents(self, value: Any, path: str) -> Iterator[str]:
        """The lines for what an object holds."""
        if isinstance(value, torch.Tensor):
            yield from self.tensor(value, path)
            return
        if isinstance(value, dict):
            yield f"{path} keys: {[text_of(repr(key)) for key in dict.keys(value)]}"
            for key, item in dict.items(value):
                yield from self.lines(item, f"{path}[{text_of(repr(key))}]")
        elif isinstance(value, list | tuple | collections.deque):
            for index, item in enumerate(value):
                yield from self.lines(item, f"{path}[{index}]")
        elif isinstance(value, set | frozenset):
            yield f"{path}: {sorted(map(text_of, map(repr, value)))}"
        elif isinstance(value, types.FunctionType):
            code = value.__code__
            constants = [text_of(repr(one)) for one in code.co_consts if not isinstance(one, types.CodeType)]
            yield f"{path}: {value.__qualname__} {code.co_firstlineno} {code.co_varnames} {code.co_names} {constants}"
            for name in ("__defaults__", "__kwdefaults__", "__closure__"):
                yield from self.lines(getattr(value, name), f"{path}.{name}")
        elif isinstance(value, types.CellType):
            yield from self.lines(cell_contents(value), f"{path}.cell_contents")
        elif isinstance(value, types.MethodType):
            yield from self.lines(value.__func__, f"{path}.__func__")
            yield from self.lines(value.__self__, f"{path}.__self__")
        elif isinstance(value, BaseException):
            yield from self.exception(value, path)
        elif isinstance(value, types.GeneratorType):
            frame = value.gi_frame
            yield f"{path}: {value.__qualname__} {'finished' if frame is None else 'suspended'}"
            if frame is not None:
                yield from self.lines(frame.f_locals, f"{path}.gi_frame.f_locals")
        elif isinstance(value, functools.partial):
            yield from self.lines((value.func, value.args, value.keywords), f"{path} partial")
        elif isinstance(value, weakref.ReferenceType):
            yield from self.lines(value(), f"{path}()")
        elif isinstance(value, weakref.finalize):
            yield f"{path}: {'alive' if value.alive else 'dead'}"
        elif isinstance(value, _ITERATORS):
            yield from self.lines(value.__reduce__(), f"{path} left")
        elif isinstance(value, collections.abc.KeysView | collections.abc.ValuesView | collections.abc.ItemsView):
            yield f"{path}: {text_of(list(value))}"
        elif isinstance(value, numpy.ndarray):
            yield from self.array(value, path)
        elif isinstance(value, numpy.generic):
            yield f"{path}: {value!r}"
        elif isinstance(value, property | staticmethod | classmethod):
            for name in ("fget", "fset", "__func__"):
                yield from self.lines(getattr(value, name, None), f"{path}.{name}")
        yield from self.attributes(value, path)

    def attributes(self, value: Any, path: str) -> Iterator[str]:
        """The lines for an object's dictionary, in its order, and its slots."""
        for kind in type(value).__mro__:
            for name in vars(kind).get("__slots__", ()):
                if not name.startswith("__") and isinstance(vars(kind).get(name), types.MemberDescriptorType):
                    yield from self.lines(getattr(value, name, "no value"), f"{path}.{name}")
        attributes = None if isinstance(value, torch.Tensor) else getattr(value, "__dict__", None)
        if isinstance(attributes, dict):
            for name, item in [entry for entry in attributes.items() if entry[0] != "__notes__"]:
                yield from self.lines(item, f"{path}.{name}")

    def exception(self, error: BaseException, path: str) -> Iterator[str]:
        """The lines for an exception: arguments, notes and chain."""
        yield f"{path}: {text_of(error)!r}"
        for index, argument in enumerate(error.args):
            if not isinstance(argument, str):  # text is shown above, without addresses
                yield from self.lines(argument, f"{path}.args[{index}]")
        for name in ("__cause__", "__context__", "__suppress_context__"):
            yield from self.lines(getattr(error, name), f"{path}.{name}")
        notes = getattr(error, "__notes__", [])
        of_program = [note for note in notes if not note.startswith(_NOTE_OF_REPLAY)]
        yield f"{path} notes {of_program}"
        hidden = len(notes) > len(of_program) or is_from_compiled_graph(error)
        yield f"{path} passed {ANYTHING if hidden else places_of(error)}"

    def array(self, array: numpy.ndarray, path: str) -> Iterator[str]:
        """The lines for an array of numpy's: metadata, memory, elements."""
        memory = self.memory.setdefault(array.__array_interface__["data"][0], len(self.memory)) if array.size else None
        yield f"{path}: {array.dtype} {array.shape} {array.strides} memory {memory} {array.tobytes().hex()}"

    def gradient(self, gradient: torch.Tensor | None, path: str) -> Iterator[str]:
        """The lines for a gradient that a compiler has computed: its numbers, as close as they have to be."""
        if gradient is None or not gradient.is_floating_point() or gradient.layout is not torch.strided:
            yield from self.lines(gradient, f"{path}.grad")
            return
        yield f"{path}.grad: {gradient.dtype} {tuple(gradient.shape)} requires_grad={gradient.requires_grad}"
        tolerance = ROUNDINGS * torch.finfo(gradient.dtype).eps
        yield f"{path}.grad: {ABOUT} {tolerance} {gradient.double().flatten().tolist()}"

    def facts(self, tensor: torch.Tensor) -> list[Any]:
        """What is known of a tensor without its elements: metadata, memory, autograd state."""
        facts = [tuple(tensor.shape), tensor.dtype, str(tensor.device), tensor.layout]
        if tensor.layout is torch.strided:
            facts += [tensor.stride(), tensor.storage_offset()]
            storage = tensor.untyped_storage()
            facts.append(f"{storage.nbytes()} bytes")
            if storage.nbytes():
                facts.append(f"memory {self.memory.setdefault(storage.data_ptr(), len(self.memory))}")
        facts += [f"requires_grad={tensor.requires_grad}", f"leaf={tensor.is_leaf}", f"conj={tensor.is_conj()}"]
        facts += [f"neg={tensor.is_neg()}", f"hooks={len(tensor._backward_hooks or ())}"]
        facts += [f"inference={tensor.is_inference()}", f"retains={tensor.retains_grad}"]
        if self.autograd:
            facts += [type(tensor.grad_fn).__name__, f"view={tensor._is_view()}"]
            facts += [] if tensor.is_inference() else [f"version={tensor._version}"]
            facts.append(f"base #{self.numbers.get(id(tensor._base))}" if tensor._is_view() else "")
        return facts

    def tensor(self, tensor: torch.Tensor, path: str) -> Iterator[str]:
        """The lines for a tensor: metadata, memory, autograd state, elements, gradient."""
        try:
            facts = self.facts(tensor)
        except (
            RuntimeError
        ) as error:  # autograd refuses a view whose base was written to in a way that it cannot follow
            yield f"{path}: no facts, {error}"
            return
        yield f"{path}: {' '.join(map(str, facts))}"
        yield f"{path}: {bits(tensor).tolist() if tensor.numel() <= 64 else hash(tuple(bits(tensor).tolist()))}"
        if tensor.is_leaf or tensor.retains_grad:
            yield from self.lines(tensor.grad, f"{path}.grad") if self.autograd else self.gradient(tensor.grad, path)
        attributes = {name: value for name, value in vars(tensor).items() if name not in _MARKS_OF_TORCH}
        yield from self.lines(attributes, f"{path}.__dict__")
