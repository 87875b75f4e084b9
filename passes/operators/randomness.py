"""Which calls of torch's operators draw random numbers from the generator of the process.

torch tags operators that may draw. One with a dropout probability draws only while it is training, and only if the
probability is not zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, Final

import torch

from passes.operators.catalogue import FAMILY_OF, LIBRARY_TARGETS, REPEATABLE, family_of, name_of
from passes.operators.outcome import Arguments, Keywords, Target
from passes.torch_facts import is_apply

TRAINING: Final = ("train", "training")
PROBABILITIES: Final = ("dropout_p", "dropout", "p")
"""What schemas call the probability of dropping an element; `p` is one only where they also say whether it trains."""
NEVER_DRAW: Final = frozenset(map(id, REPEATABLE))
"""Families, by identity, of which no operator draws."""


@cache
def never_drawing() -> frozenset[Target]:
    """Targets that mean an operator that never draws, whatever the arguments are, as most calls of a program do."""
    return frozenset(target for target, family in FAMILY_OF.items() if id(family) in NEVER_DRAW)


def draws(target: Target, args: Arguments, kwargs: Keywords) -> bool:
    """Whether a call of an operator draws random numbers; those of libraries may do so without saying it."""
    if target in never_drawing() or id(family_of(target, args)) in NEVER_DRAW:
        return False
    packet = packet_of(target)
    if packet is None:
        return isinstance(target, LIBRARY_TARGETS)
    if not _may_draw(packet):
        return False
    return not any(_draws_nothing(*reading) for reading in _readings(packet, args, kwargs))


def is_known(target: Target, args: Arguments) -> bool:
    """Whether all that a call does besides writing to its arguments is said here.

    That is so for operators of torch, for those of libraries, whose schemas tell what they write to, and for `apply` of
    an autograd.Function, whose `forward` is captured on the side.
    """
    if isinstance(target, LIBRARY_TARGETS) or family_of(target, args) is not None or packet_of(target) is not None:
        return True
    return is_apply(target)


def packet_of(target: Target) -> Any:
    """torch's own operator behind a call; None for those of libraries, and for Python functions."""
    if isinstance(target, LIBRARY_TARGETS):
        packet: Any = target.overloadpacket if isinstance(target, torch._ops.OpOverload) else target
        return packet if packet._qualified_op_name.startswith(("aten::", "prims::")) else None
    module = getattr(target, "__module__", None)
    if type(target) is not tuple and not (module is None or module.startswith("torch")):
        return None
    return _named(name_of(target))


@lru_cache(maxsize=1 << 12)
def _named(name: str) -> Any:
    return getattr(torch.ops.aten, name, None)


@lru_cache(maxsize=1 << 12)
def _may_draw(packet: Any) -> bool:
    overloads: Iterator[Any] = (getattr(packet, name) for name in packet.overloads())
    return any(torch.Tag.nondeterministic_seeded in overload.tags for overload in overloads)


def _readings(packet: Any, args: Arguments, kwargs: Keywords) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Each overload that could be meant by a call, as far as its numbers tell, with the call's arguments by name."""
    for name in packet.overloads():
        schema = getattr(packet, name)._schema
        types = {argument.name: str(argument.type) for argument in schema.arguments}
        named = dict(zip(types, args, strict=False)) | dict(kwargs)
        if (
            len(args) <= len(types)
            and named.keys() <= types.keys()
            and all(_is_number_for(types[parameter], value) for parameter, value in named.items())
        ):
            yield schema, named


def _is_number_for(declared: str, value: Any) -> bool:
    """Whether a value is of the declared type, as far as that is a number."""
    if declared == "bool":
        return type(value) is bool
    return declared != "float" or type(value) in (int, float)


def _draws_nothing(schema: Any, named: Mapping[str, Any]) -> bool:
    """Whether the arguments of a call say that it does not train, or drops nothing."""
    values = {argument.name: named.get(argument.name, argument.default_value) for argument in schema.arguments}
    trains = [values[name] for name in TRAINING if name in values]
    if False in trains:
        return True
    for name in PROBABILITIES:
        if name in values and (trains or name != "p"):
            return type(values[name]) in (int, float) and values[name] == 0
    return False
