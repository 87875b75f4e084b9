"""Recorded calls: rows of a corpus as objects (in the forms of passes/operators/outcome.py), and in words.

They are for rows that are looked at one by one; questions about all rows are asked through corpus.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from passes.meta import CPU, TensorMeta
from passes.operators.outcome import Argument, DictArg, ListArg, New, Outcome, Same, SliceArg, Wrapped
from passes.record.schema import CorpusError, Row
from passes.record.values import NumberOf, Opaque, TensorAt, tensor_meta, value_from


@dataclass(frozen=True, slots=True)
class Failure:
    """The exception that a call raised: the name of its type, and its message."""

    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Call:
    """One recorded call: `arguments` by name with a TensorMeta for each tensor, and the outcome.

    Tensors among the arguments are numbered from 0, left to right, as in Outcome. `shares` has for each of them the
    number of the first one that it shares memory with (its own, mostly). `count` calls were equal to this one.
    """

    op: str
    level: str
    arguments: Mapping[str, Argument]
    shares: tuple[int, ...]
    outcome: Outcome | Failure
    torch: str
    location: str
    count: int


def call_of(row: Row) -> Call:
    """The call in a row. Raises CorpusError for a row that nobody recorded so, and for nested tensors without metas."""
    try:
        return _call_of(row)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, RecursionError) as error:
        raise CorpusError(f"a recorded call of {row.get('op')!r} cannot be read: {error}") from error


def _call_of(row: Row) -> Call:
    metas = [tensor_meta(text) for text in row["given"]]
    arguments = {name: _with_tensors(value_from(text), metas) for name, text in dict(row["arguments"]).items()}
    storage = row["given_storage"]
    shares = tuple(storage.index(number) for number in storage)
    outcome = Failure(row["error"], row["message"]) if row["error"] is not None else _outcome_of(row)
    return Call(row["op"], row["level"], arguments, shares, outcome, row["torch"], row["location"], row["count"])


def _outcome_of(row: Row) -> Outcome:
    returned: list[New | Same] = []
    for text, storage, same in zip(row["returned"], row["returned_storage"], row["returned_same"], strict=True):
        if same >= 0:
            returned.append(Same(same))
        else:
            owners = row["given_storage"]
            returned.append(New(tensor_meta(text), owners.index(storage) if storage in owners else None))
    mutated = {i: tensor_meta(text) for i, text in enumerate(row["written"]) if text is not None}
    return Outcome(_with_tensors(value_from(row["result"]), returned), mutated)


def _with_tensors(value: Argument, tensors: Sequence[Any]) -> Argument:
    """`value` with tensors in the place of their numbers."""
    kind = type(value)
    if kind is TensorAt:
        return tensors[value.index]
    if kind is SliceArg:
        return SliceArg(*(_with_tensors(part, tensors) for part in value))
    if kind in (tuple, ListArg, DictArg):
        return kind(_with_tensors(part, tensors) for part in value)
    return value


def call_text(call: Call) -> str:
    """One line: `aten::add.Tensor(self: f32[2, 3] stride (3, 1), other=1, alpha=1) -> f32[2, 3] stride (3, 1)`."""
    arguments = ", ".join(
        f"{name}: {value_words(value)}" if isinstance(value, TensorMeta) else f"{name}={value_words(value)}"
        for name, value in call.arguments.items()
    )
    head = f"{call.op}({arguments})"
    if isinstance(call.outcome, Failure):
        first_line = call.outcome.message.partition("\n")[0]
        return f"{head} raises {call.outcome.error}: {first_line}"
    written = "".join(f"; writes {index}: {meta_words(meta)}" for index, meta in call.outcome.mutated.items())
    return f"{head} -> {value_words(call.outcome.result)}{written}"


def meta_words(meta: TensorMeta) -> str:
    """The facts of a meta in words, without usual ones such as the device cpu."""
    words = [meta.text]
    if meta.device.type != CPU.type:
        words.append(str(meta.device))
    if meta.storage_offset != 0:
        words.append(f"offset {meta.storage_offset}")
    words += [fact.removeprefix("is_") for fact in ("requires_grad", "is_conj", "is_neg") if getattr(meta, fact)]
    return " ".join(words)


def value_words(value: Argument) -> str:
    """An argument or a result as a person would write it."""
    match value:
        case TensorMeta():
            return meta_words(value)
        case New(meta, alias_of):
            return meta_words(meta) + ("" if alias_of is None else f" sharing memory with {alias_of}")
        case Same(index):
            return f"argument {index} itself"
        case Wrapped(number):
            return repr(number)
        case NumberOf(type_name) | Opaque(type_name):
            return f"<{type_name}>"
        case SliceArg(start, stop, step):
            return ":".join("" if part is None else value_words(part) for part in (start, stop, step))
        case ListArg():
            return f"[{', '.join(map(value_words, value))}]"
        case tuple():
            return f"({', '.join(map(value_words, value))}{',' if len(value) == 1 else ''})"
        case _:
            return repr(value)
