"""Arguments and metas as the JSON text of corpora: the inverse of what passes/record/values.py reads.

Knows nothing of operators or processes. Reading the text executes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from passes.meta import CPU, DTYPES, TensorMeta
from passes.operators.outcome import Argument, DictArg, ListArg, SliceArg, rebuilt
from passes.record.values import LAYOUTS, NumberOf, Opaque, TensorAt, dumps, tensor_meta, value_from, value_json

Texts = tuple[list[tuple[str, str]], list[str]]
# The name of a tensor's fact in passes/record/values.py, how to read it of a meta, and the value that is left out.
FACTS: Final[tuple[tuple[str, Callable[[TensorMeta], Any], Any], ...]] = (
    ("storage_offset", lambda meta: meta.storage_offset, 0),
    ("device", lambda meta: str(meta.device), CPU.type),
    ("layout", lambda meta: LAYOUTS[meta.layout], "strided"),
    ("requires_grad", lambda meta: meta.requires_grad, False),
    ("conj", lambda meta: meta.is_conj, False),
    ("neg", lambda meta: meta.is_neg, False),
)


def texts_of(named: Mapping[str, Argument]) -> Texts:
    """The columns `arguments` and `given` of a call with these arguments."""
    tensors: list[str] = []

    def index_of(meta: TensorMeta) -> int:
        tensors.append(meta_text(meta))
        return len(tensors) - 1

    return [(name, argument_text(value, index_of)) for name, value in named.items()], tensors


def arguments_from(texts: Texts) -> dict[str, Argument]:
    """The arguments that `texts_of` wrote."""
    arguments, tensors = texts
    metas = [tensor_meta(text) for text in tensors]
    return {name: rebuilt(value_from(text), TensorAt, lambda at: metas[at.index]) for name, text in arguments}


@lru_cache(maxsize=1 << 16)
def meta_text(meta: TensorMeta) -> str:
    """The text that `tensor_text` gives for a tensor with this meta."""
    facts: dict[str, Any] = {"dtype": DTYPES[meta.dtype], "size": list(meta.shape)}
    if meta.stride is not None:
        facts["stride"] = list(meta.stride)
    optional = ((name, read(meta), usual) for name, read, usual in FACTS)
    return dumps(facts | {name: value for name, value, usual in optional if value != usual})


def argument_text(value: Argument, index_of: Callable[[TensorMeta], int]) -> str:
    """An argument as text; `index_of` numbers the metas in it, left to right."""
    if type(value) in (int, bool, str, type(None)):
        return _constant_text(type(value), value)
    return dumps(_argument_json(value, index_of))


@lru_cache(maxsize=1 << 12)
def _constant_text(kind: type, value: Any) -> str:
    return dumps(value)


def _argument_json(value: Argument, index_of: Callable[[TensorMeta], int]) -> Any:
    match value:
        case TensorMeta():
            return {"tensor": index_of(value)}
        case ListArg():
            return _parts(value, index_of)
        case DictArg():
            return {"dict": [_parts(pair, index_of) for pair in value]}
        case SliceArg():
            return {"slice": _parts(value, index_of)}
        case tuple():
            return {"tuple": _parts(value, index_of)}
        case Opaque(type_name):
            return {"object": type_name}
        case NumberOf(type_name):
            return {"number": type_name}
        case _:
            return value_json(value, _no_tensor)


def _parts(values: Sequence[Argument], index_of: Callable[[TensorMeta], int]) -> list[Any]:
    return [_argument_json(value, index_of) for value in values]


def _no_tensor(tensor: object) -> int:
    raise TypeError(f"an argument in terms of metas holds no {type(tensor).__name__}")
