"""The table of a recorder: every different call once, with a count, in bounded memory.

A call is looked up by the bytes that `facts_of` makes of it. Knows nothing of modes or files. A table is for one
thread at a time, except for counts.
"""

from __future__ import annotations

import ctypes
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch

from passes.meta import CPU
from passes.operators.naming import NUMBERS, named_arguments, operator_name, written_by_schema
from passes.record.flags import MOST_FLAGGED, is_flagged
from passes.record.schema import Indices, Texts
from passes.record.values import NumberOf, tensor_text, value_text

MOST_BYTES_COMPARED: Final = 1 << 20  # larger tensors are not compared to detect undeclared writes
OVERHEAD: Final = 600  # bytes of objects per record, beside keys and texts (measured with tracemalloc)


@dataclass(slots=True)
class RecordedOutcome:
    """One outcome of calls with equal inputs, as columns of a corpus, and how many calls had it."""

    written: tuple[str | None, ...]
    result: str | None
    returned: Texts
    returned_storage: Indices
    returned_same: Indices
    error: str | None
    message: str | None
    count: int = 0


@dataclass(slots=True)
class RecordedInputs:
    """Calls of one operator with equal arguments, as columns of a corpus, and their outcomes."""

    op: str
    level: str
    arguments: tuple[tuple[str, str], ...]
    given: Texts
    given_storage: Indices
    given_same: Indices
    location: str
    writes: frozenset[int] | None = None  # the numbers of the tensors written to, once a call has succeeded
    outcomes: dict[bytes, RecordedOutcome] = field(default_factory=dict)


class Numbering:
    """Numbers tensors in the order in which they are added, and the memories that they share."""

    def __init__(self) -> None:
        self.tensors: list[torch.Tensor] = []
        self._memories: dict[Any, int] = {}

    def add(self, tensor: torch.Tensor) -> int:
        """Keep a tensor, and give its number."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def same(self, tensors: Sequence[torch.Tensor]) -> Indices:
        """For each tensor the number of the first added one that is the same object; -1 if none is."""
        numbers = {id(tensor): index for index, tensor in reversed(list(enumerate(self.tensors)))}
        return tuple(numbers.get(id(tensor), -1) for tensor in tensors)

    def storage(self, tensors: Sequence[torch.Tensor]) -> Indices:
        """For each tensor the number of its memory: equal numbers share memory."""
        return tuple(self._memories.setdefault(_memory(tensor), len(self._memories)) for tensor in tensors)


def _memory(tensor: torch.Tensor) -> Any:
    """A key for the memory of a tensor; the tensor itself if it has no single storage."""
    strided = tensor.layout is torch.strided and not tensor.is_nested
    return tensor.untyped_storage()._cdata if strided else ("object", id(tensor))


class Watch:
    """Detects which tensors a call writes to, declared or not."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._tensors = tensors
        self._before = [(_version(tensor), _checksum(tensor)) for tensor in tensors]

    def written(self, declared: frozenset[int]) -> frozenset[int]:
        """The numbers of the declared tensors, of those whose version rose, and of others whose bytes changed.

        Changed bytes do not show which of several tensors that share memory was written to: they count only for memory
        that no declaration or version accounts for.
        """
        numbers = set(declared)
        numbers.update(i for i, tensor in enumerate(self._tensors) if _version(tensor) != self._before[i][0])
        memories = {_memory(self._tensors[index]) for index in numbers}
        for index, tensor in enumerate(self._tensors):
            if _memory(tensor) not in memories and _checksum(tensor) != self._before[index][1]:
                numbers.add(index)
        return frozenset(numbers)


def _version(tensor: torch.Tensor) -> int | None:
    return None if tensor.is_inference() else tensor._version


def _checksum(tensor: torch.Tensor) -> int | None:
    """A checksum of the memory of a tensor; None if it is not on the CPU, or large."""
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.device.type != CPU.type:
        return None
    memory = tensor.untyped_storage()
    size = memory.nbytes()
    if not 0 < size <= MOST_BYTES_COMPARED or memory.data_ptr() == 0:
        return None
    return zlib.crc32(ctypes.string_at(memory.data_ptr(), size))


class CallTable:
    """All different calls since the last spill. `bytes` is an estimate of the memory that they take."""

    def __init__(self, most_integers: int = 0) -> None:
        self.most_integers = most_integers
        self.inputs: dict[bytes, RecordedInputs] = {}
        self.bytes = 0

    def clear(self) -> None:
        """Forget all calls. A call that is still running is added again by `resume`."""
        for inputs in self.inputs.values():
            inputs.outcomes = {}
        self.inputs.clear()
        self.bytes = 0

    def resume(self, key: bytes, inputs: RecordedInputs) -> None:
        """Add `inputs` again if the table was cleared since its call began."""
        self.inputs.setdefault(key, inputs)

    def rows(self) -> Iterator[tuple[RecordedInputs, RecordedOutcome]]:
        """Every distinct pair of inputs and outcome in the table."""
        for inputs in self.inputs.values():
            for outcome in inputs.outcomes.values():
                yield inputs, outcome

    def open(
        self, key: bytes, level: str, target: Callable[..., Any], args: Any, kwargs: Any, location: str
    ) -> tuple[RecordedInputs, Numbering, frozenset[int]]:
        """The inputs of a call about to be made, its tensors, and the numbers of those declared to be written to."""
        numbering = Numbering()
        named = named_arguments(target, args, kwargs)
        declared: set[int] = set()
        texts = []
        writes = written_by_schema(target)
        for name, value in named.items():
            before = len(numbering.tensors)
            texts.append((sys.intern(name), sys.intern(value_text(value, numbering.add))))
            if name in writes:
                declared.update(range(before, len(numbering.tensors)))
        inputs = self.inputs.get(key)
        if inputs is None:
            tensors = numbering.tensors
            metas = tuple(map(self._text, tensors))
            inputs = RecordedInputs(
                operator_name(target),
                level,
                tuple(texts),
                metas,
                numbering.storage(tensors),
                numbering.same(tensors),
                location,
            )
            self.inputs[key] = inputs
            self.bytes += OVERHEAD + len(key) + sum(map(_size, metas)) + sum(_size(text) for _, text in texts)
        else:
            numbering.storage(numbering.tensors)
        return inputs, numbering, frozenset(declared)

    def returned(self, inputs: RecordedInputs, key: bytes, numbering: Numbering, result: Any) -> RecordedOutcome:
        """Add the outcome of a call that returned `result`; `inputs.writes` must be set."""
        tensors, writes = numbering.tensors, inputs.writes or frozenset()
        outputs = Numbering()
        text = value_text(NumberOf(type(result).__name__) if isinstance(result, NUMBERS) else result, outputs.add)
        outcome = RecordedOutcome(
            written=tuple(self._text(tensor) if i in writes else None for i, tensor in enumerate(tensors)),
            result=sys.intern(text),
            returned=tuple(map(self._text, outputs.tensors)),
            returned_storage=numbering.storage(outputs.tensors),
            returned_same=numbering.same(outputs.tensors),
            error=None,
            message=None,
        )
        return self._add(inputs, key, outcome, (text, *outcome.returned))

    def raised(self, inputs: RecordedInputs, key: bytes, error: Exception) -> RecordedOutcome:
        """Add the outcome of a call that raised `error`."""
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        message = str(error)
        outcome = RecordedOutcome((None,) * len(inputs.given), None, (), (), (), name, message)
        return self._add(inputs, key, outcome, (message,))

    def _add(
        self, inputs: RecordedInputs, key: bytes, outcome: RecordedOutcome, texts: Sequence[str]
    ) -> RecordedOutcome:
        inputs.outcomes[key] = outcome
        self.bytes += OVERHEAD + len(key) + sum(map(_size, texts))
        return outcome

    def _text(self, tensor: torch.Tensor) -> str:
        return sys.intern(tensor_text(tensor, MOST_FLAGGED if is_flagged(tensor) else self.most_integers))


def _size(text: str) -> int:
    return 50 + len(text)
