"""The same call, writing its result to given memory: in-place and `out=` variants, found through schemas.

Candidates are the operator's own name with an underscore or with `out=`, and the overloads that torch's
schemas offer for the one aten operator the call makes. A candidate is taken only if, run on stand-ins, it
makes the same aten operators with the same constants in the same order, the last of them writing in place, and
if random data gives the same bits (falsify.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.fx import Node

from passes.meta import TensorMeta
from passes.operators.evaluate import kinds
from passes.operators.outcome import Arguments, Keywords, ListArg, leaves
from passes.reuse.calls import GraphCall, concrete
from passes.reuse.falsify import agree
from passes.reuse.observe import Argued, Observed, OverloadCall, Watcher

HOMES: Final = (torch, torch._C._nn, torch._C._special, torch._C._linalg, torch._C._fft)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class WritingVariant:
    """A call that writes its result over a tensor.

    `args` and `kwargs` hold `Argued(index)` for the tensor arguments of the original call, by number, and
    for the tensor written to, which in an `out=` variant may be one more.
    """

    target: Any
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]

    @property
    def text(self) -> str:
        """The variant's name: `relu_`, `add(out=)`."""
        name = self.target[1] if type(self.target) is tuple else getattr(self.target, "__name__", str(self.target))
        return f"{name}(out=)" if any(key == "out" for key, _ in self.kwargs) else name


class WritingVariants:
    """Finds variants, with one watcher for all calls."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self._verdicts: dict[Any, bool | None] = {}

    def in_place(self, call: GraphCall, over: int) -> WritingVariant | None:
        """The variant of `call` that overwrites its tensor argument number `over`."""
        seen = self.watcher.watch(call)
        if seen is None:
            return None
        for candidate in (*_in_place(call, seen, over), *_onto(call, seen, Argued(over), pointwise=True)):
            if self._is_same(call, seen, candidate, over, call.metas[over]):
                return candidate
        return None

    def with_out(self, call: GraphCall, buffer: TensorMeta) -> WritingVariant | None:
        """The variant of `call` that writes to one more tensor, which has the facts of `buffer`."""
        seen = self.watcher.watch(call)
        if seen is None or (call.modes.grad and any(meta.requires_grad for meta in call.metas)):
            return None
        extra = len(call.tensors)
        for candidate in _onto(call, seen, Argued(extra), pointwise=False):
            if self._is_same(call, seen, candidate, extra, buffer):
                return candidate
        return None

    def _is_same(
        self, call: GraphCall, seen: Observed, candidate: WritingVariant, over: int, buffer: TensorMeta
    ) -> bool:
        """Whether the candidate does what the call did, and gives back the tensor written to."""
        metas = [*call.metas, buffer]

        def meta(argument: Any) -> Any:
            return metas[argument.index or 0] if isinstance(argument, Argued) else argument

        order = [leaf.index or 0 for leaf in leaves((candidate.args, candidate.kwargs)) if isinstance(leaf, Argued)]
        args = tuple(_changed(argument, meta) for argument in candidate.args)
        kwargs = tuple((name, _changed(argument, meta)) for name, argument in candidate.kwargs)
        variant = GraphCall(candidate.target, args, kwargs, call.modes, ())
        behaviour = self.watcher.watch(variant)
        if behaviour is None or behaviour.returned is None or behaviour.result != seen.result:
            return False
        if not behaviour.warnings <= seen.warnings:  # of an output that had to be resized, say
            return False
        if order[behaviour.returned] != over or not _alike(seen.steps, behaviour.steps, order):
            return False
        verdict = self._tried(call, variant, behaviour.returned, order)
        return over < len(call.tensors) if verdict is None else verdict

    def _tried(self, call: GraphCall, variant: GraphCall, written: int, order: list[int]) -> bool | None:
        """What data says, asked once for each pair of calls."""
        key = (call.target, call.modes, variant.target, *map(concrete, (call.args, call.kwargs, variant.args)), written)
        kind = (*key, *map(kinds, (call.args, call.kwargs, variant.args)), tuple(order))
        try:
            is_known = kind in self._verdicts
        except TypeError:  # an argument that cannot be hashed
            return agree(call, variant, written, order)
        if not is_known:
            self._verdicts[kind] = agree(call, variant, written, order)
        return self._verdicts[kind]


def _in_place(call: GraphCall, seen: Observed, over: int) -> Iterator[WritingVariant]:
    """Candidates that are in place by name: `x.relu_()` for `torch.relu(x)`."""
    args, kwargs = _numbered(call)
    if args and args[0] == Argued(over):
        name = f"{_name(call.target)}_"
        if hasattr(torch.Tensor, name):
            yield WritingVariant(("method", name), args, kwargs)
        yield from (WritingVariant(function, args, kwargs) for function in _functions(name))
    for step in _single(seen):
        if not (step.args and step.args[0] == Argued(over)):
            continue
        name = f"{step.overload._schema.name.partition('::')[2]}_"
        if hasattr(torch.Tensor, name):
            yield WritingVariant(("method", name), step.args, step.kwargs)
        packet = getattr(getattr(torch.ops, step.overload.namespace), name, None)
        for overload in _overloads(packet):
            if _mutable(overload) == [0]:
                yield WritingVariant(overload, step.args, step.kwargs)


def _onto(call: GraphCall, seen: Observed, buffer: Argued, *, pointwise: bool) -> Iterator[WritingVariant]:
    """Candidates with `out=buffer`. Only pointwise operators may write onto what they read."""
    steps = tuple(step for step in _single(seen) if torch.Tag.pointwise in step.overload.tags)
    if pointwise and not steps:
        return
    args, kwargs = _numbered(call)
    if all(name != "out" for name, _ in kwargs):
        targets = [] if type(call.target) is tuple else [call.target]
        for target in (*targets, *_functions(_name(call.target))):
            yield WritingVariant(target, args, (*kwargs, ("out", buffer)))
    for step in steps:
        for overload in _overloads(step.overload.overloadpacket):
            if overload._schema.arguments and overload._schema.arguments[-1].name == "out":
                yield WritingVariant(overload, step.args, (*step.kwargs, ("out", buffer)))


def _single(seen: Observed) -> tuple[OverloadCall, ...]:
    """The one aten operator that the call is, if it is one on the call's own tensors."""
    if len(seen.steps) != 1 or any(leaf == Argued(None) for leaf in leaves((seen.steps[0].args, seen.steps[0].kwargs))):
        return ()
    return seen.steps


def _alike(before: tuple[OverloadCall, ...], after: tuple[OverloadCall, ...], order: list[Any]) -> bool:
    """Whether two runs made the same operators of the same arguments, views apart, the later one writing at its end.

    `order` numbers the tensors of the later run as the earlier one does.
    """
    left, right = [step for step in before if _computes(step)], [step for step in after if _computes(step)]
    if len(left) != len(right) or not right or not _mutable(right[-1].overload):
        return False
    same_until_then = all(old.overload is new.overload for old, new in zip(left[:-1], right[:-1], strict=True))
    return (
        same_until_then
        and _form(left[-1].overload) == _form(right[-1].overload)
        and all(_named(old, range(len(order))) == _named(new, order) for old, new in zip(left, right, strict=True))
    )


def _computes(step: OverloadCall) -> bool:
    returns = step.overload._schema.returns
    return not (returns and all(result.alias_info is not None and not result.alias_info.is_write for result in returns))


def _form(overload: torch._ops.OpOverload) -> tuple[str, list[tuple[str, str]]]:
    """An operator's name and its arguments, however it gives its result."""
    schema = overload._schema
    arguments = [(argument.name, str(argument.type)) for argument in schema.arguments if not argument.is_out]
    return schema.name.removesuffix("_"), arguments


def _named(step: OverloadCall, order: Sequence[Any]) -> dict[str, Any]:
    """The arguments of a step by name, those left out that are their default or where the result goes."""
    arguments = step.overload._schema.arguments
    by_name = {argument.name: value for argument, value in zip(arguments, step.args, strict=False)} | dict(step.kwargs)
    defaults = {argument.name: argument.default_value for argument in arguments if argument.has_default_value()}
    named = {}
    for argument in arguments:
        value = by_name.get(argument.name, defaults.get(argument.name))
        if not argument.is_out and not (argument.name in defaults and defaults[argument.name] == value):
            named[argument.name] = [_numbered_leaf(leaf, order) for leaf in leaves(value)]
    return named


def _numbered_leaf(leaf: Any, order: Sequence[Any]) -> Any:
    if isinstance(leaf, Argued):
        return None if leaf.index is None else order[leaf.index]
    return type(leaf), leaf


def _mutable(overload: torch._ops.OpOverload) -> list[int]:
    """Positions of the arguments that an overload writes to."""
    return [
        index
        for index, argument in enumerate(overload._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]


def _overloads(packet: Any) -> Iterator[torch._ops.OpOverload]:
    if isinstance(packet, torch._ops.OpOverloadPacket):
        yield from (getattr(packet, name) for name in packet.overloads())


def _functions(name: str) -> list[Any]:
    """The functions of torch's own that are called `name`."""
    return [vars(home)[name] for home in HOMES if callable(vars(home).get(name))]


def _name(target: Any) -> str:
    return target[1] if type(target) is tuple else getattr(target, "__name__", "").strip("_")


def _numbered(call: GraphCall) -> tuple[tuple[Any, ...], Keywords]:
    """The call's arguments with `Argued(number)` for its tensors."""
    count = iter(range(len(call.tensors)))
    args: Arguments = tuple(_changed(argument, lambda leaf: _counted(leaf, count)) for argument in call.args)
    return args, tuple((name, _changed(argument, lambda leaf: _counted(leaf, count))) for name, argument in call.kwargs)


def _counted(leaf: Any, count: Iterator[int]) -> Any:
    return Argued(next(count)) if type(leaf) is TensorMeta else leaf


def _changed(argument: Any, change: Any) -> Any:
    """A nested argument with `change(leaf)` for every leaf."""
    if isinstance(argument, list):
        return ListArg(_changed(part, change) for part in argument)
    if isinstance(argument, tuple) and hasattr(argument, "_fields"):
        return type(argument)(*(_changed(part, change) for part in argument))
    if isinstance(argument, tuple):
        return type(argument)(_changed(part, change) for part in argument)
    return change(argument)


def spelled(argument: Any, nodes: list[Node]) -> Any:
    """An argument of a variant as a graph holds it: `nodes` are the tensors by number."""
    if isinstance(argument, Argued):
        return nodes[argument.index or 0]
    if isinstance(argument, tuple) and hasattr(argument, "_fields"):
        return slice(*(spelled(part, nodes) for part in argument))
    if isinstance(argument, tuple | list):
        parts = [spelled(part, nodes) for part in argument]
        return parts if isinstance(argument, ListArg | list) else tuple(parts)
    return argument
