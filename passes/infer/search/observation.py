"""Observations: recorded calls as the search sees them, and facts about them that need no search.

Knows nothing of hypotheses, cases or trials.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from passes.infer.search.kinds import kind_of
from passes.infer.search.sample import TRIAL_LOCATION, CallSample, bits
from passes.meta import CPU, DTYPE_NAMES, TensorMeta
from passes.operators.outcome import DictArg, ListArg, New, Same, SliceArg, leaves
from passes.record.calls import Call, Failure
from passes.record.values import NumberOf, Opaque
from passes.rules.answer import places_of
from passes.rules.layout_class import layout_class
from passes.rules.primitives import layouts, questions
from passes.rules.rule import UNKNOWN, Domain

Structure = Any


@dataclass(frozen=True, slots=True)
class Observation:
    """A call with the form of its result and its outputs, place by place."""

    call: Call
    form: str
    places: str  # the form with a tensor in the place of every None
    outputs: tuple[Any, ...]  # New, Same or None, by place in the result


def is_plain(call: Call) -> bool:
    """Whether all tensors are strided ones on the CPU without flags, as the language knows them."""
    metas = [leaf for leaf in leaves(tuple(call.arguments.values())) if isinstance(leaf, TensorMeta)]
    if not isinstance(call.outcome, Failure):
        metas += [leaf.meta for leaf in call.outcome.tensors if isinstance(leaf, New)]
        metas += call.outcome.mutated.values()
    return all(map(is_plain_meta, metas))


def is_plain_meta(meta: TensorMeta) -> bool:
    """Whether rules can speak of a tensor: strided, on the CPU, and not made in inference mode."""
    return meta.stride is not None and meta.device == CPU and not meta.is_inference


def observed(call: Call) -> Observation | None:
    """The observation of a call that succeeded; None for a call that failed."""
    if isinstance(call.outcome, Failure):
        return None
    outputs: list[Any] = []
    form = _form(call.outcome.result, outputs)
    return Observation(call, form, _form(call.outcome.result, [], filled=True), tuple(outputs))


def _form(result: Structure, outputs: list[Any], filled: bool = False) -> str:
    """The structure of a result, with its tensors numbered by their place in it."""
    if isinstance(result, New | Same):
        outputs.append(result)
        return f"tensor_{len(outputs) - 1}"
    if isinstance(result, tuple | list) and not isinstance(result, Opaque | NumberOf | SliceArg | DictArg | torch.Size):
        inner = ", ".join(_form(part, outputs, filled) for part in result)
        if isinstance(result, ListArg | list):
            return f"[{inner}]"
        return f"({inner}{',' if len(result) == 1 else ''})"
    outputs.append(None)
    if result is not None:
        return UNKNOWN
    return f"tensor_{len(outputs) - 1}" if filled else "None"


def spread(observations: Sequence[Observation], most: int) -> list[Observation]:
    """At most `most` of them, the rarest kinds of calls first, so that no kind is lost."""
    if len(observations) <= most:
        return list(observations)
    kinds: dict[Any, list[Observation]] = defaultdict(list)
    for each in observations:
        kinds[_kind(each)].append(each)
    queues = sorted(kinds.values(), key=len)
    selected: list[Observation] = []
    while len(selected) < most:
        for queue in queues:
            if queue and len(selected) < most:
                selected.append(queue.pop(len(queue) // 2))
        queues = [queue for queue in queues if queue]
    return selected


def _kind(each: Observation) -> Any:
    return each.form, tuple(
        (len(value.shape), value.dtype, is_row_major(value)) if isinstance(value, TensorMeta) else kind_of(value)
        for value in each.call.arguments.values()
    )


def is_row_major(meta: TensorMeta) -> bool:
    """Whether a tensor has the strides that a new contiguous tensor of its shape has."""
    return meta.stride == layouts.contiguous(meta.shape)


def hash_of(calls: Sequence[Call]) -> str:
    """A hash of calls, whatever order they are in."""
    lines = sorted(f"{call.arguments!r}{call.outcome!r}" for call in calls)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def layouts_of(observations: Sequence[Observation]) -> set[str]:
    """The names of the layouts that tensors among the arguments had."""
    names: set[str] = set()
    tests = (
        ("contiguous", layouts.is_contiguous),
        ("channels-last", layouts.like_channels_last),
        ("expanded", questions.repeats),
        ("dense", layouts.is_dense),
    )
    for each in observations:
        for meta in leaves(tuple(each.call.arguments.values())):
            if isinstance(meta, TensorMeta):
                names.add(next((word for word, test in tests if test(meta)), "strided"))
                if meta.storage_offset:
                    names.add("offset")
    return names


def answered(parameters: Sequence[str], calls: Iterable[Call]) -> list[Call]:
    """The successful plain calls with these parameters: those that a rule can predict."""
    same = (call for call in calls if tuple(call.arguments) == tuple(parameters))
    return [call for call in same if not isinstance(call.outcome, Failure) and is_plain(call)]


def domain_of(parameters: Sequence[str], calls: Sequence[Call]) -> Domain:
    """The domain of some calls: ranks, dtypes, kinds, words and layouts of each parameter.

    Kernels take empty tensors of dtypes that they lack: a dtype counts for what tensors with elements have, if any do.
    """
    ranks: dict[str, set[int]] = defaultdict(set)
    dtypes: dict[str, set[str]] = defaultdict(set)
    dtypes_of_empty: dict[str, set[str]] = defaultdict(set)
    kinds: dict[str, set[str]] = defaultdict(set)
    choices: dict[str, set[Any]] = defaultdict(set)
    layouts_seen: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        for name, value in call.arguments.items():
            kinds[name].add(sort_of(value))
            for meta in leaves((value,)):
                if isinstance(meta, TensorMeta):
                    kinds[name] |= {flag for flag in ("conj", "neg") if getattr(meta, f"is_{flag}")}
                    ranks[name].add(len(meta.shape))
                    table = dtypes_of_empty if 0 in meta.shape else dtypes
                    table[name].add(DTYPE_NAMES.get(meta.dtype) or str(meta.dtype))
                    layouts_seen[name].add(layout_class(meta))
            if isinstance(value, str):
                choices[name].add(value)
            elif isinstance(value, torch.dtype | torch.memory_format | torch.layout):
                choices[name].add(str(value))
    dtypes = {**dtypes_of_empty, **dtypes}
    return Domain(*(_in_order(table, parameters) for table in (ranks, dtypes, kinds, choices, layouts_seen)))


def _in_order(table: Mapping[str, set[Any]], parameters: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(sorted(table[name])) for name in parameters if table.get(name)}


def sort_of(value: Any) -> str:
    """The kind of an argument as a domain names it."""
    kind = kind_of(value)
    if kind == "Tensors":
        return "list"
    if kind == "Number":
        number = getattr(value, "number", value)
        return type(number).__name__
    return {"Tensor": "tensor", "Bool": "bool", "Int": "int", "Ints": "ints", "None": "none", "Dtype": "dtype"}.get(
        kind, type(value).__name__
    )


def sample_of(parameters: Sequence[str], calls: Sequence[Call], numbers: Sequence[int] | None = None) -> CallSample:
    """The calls as a sample; `numbers` are the places of the outputs asked about, if they are in lists."""
    columns = {name: [call.arguments[name] for call in calls] for name in parameters}
    tried = bits(call.location == TRIAL_LOCATION for call in calls)
    return CallSample(columns, len(calls), {} if numbers is None else {"i": list(numbers)}, tried)


def aliases_of(output: New | Same | None, call: Call, number: int | None = None) -> set[str]:
    """What an output shares memory with, in the words of rules; several where arguments share memory.

    `number` is the place of the output in a list of similar ones.
    """
    if output is None:
        return {"none"}
    if isinstance(output, New) and output.alias_of is None:
        return {"new"}
    index = output.index if isinstance(output, Same) else output.alias_of
    verb = "same" if isinstance(output, Same) else "view"
    words: set[str] = set()
    metas = [leaf for leaf in leaves(tuple(call.arguments.values())) if isinstance(leaf, TensorMeta)]
    starts = places_of(call.arguments)

    def may_be(place: int) -> bool:
        shared = call.shares[place] == call.shares[index]  # type: ignore[index]
        return shared and (verb == "view" or place == index or metas[place] is metas[index])  # type: ignore[index]

    for name, value in call.arguments.items():
        start = starts[name]
        if isinstance(value, TensorMeta) and may_be(start):
            words.add(f"{verb} {name}")
        elif kind_of(value) == "Tensors":
            there = [place for place, element in enumerate(leaves((value,))) if isinstance(element, TensorMeta)]
            places = [place for count, place in enumerate(there) if may_be(start + count)]
            words |= {f"{verb} {name}[{place}]" for place in places}
            words |= {f"{verb} {name}[i]"} if number in places else set()
    return words
