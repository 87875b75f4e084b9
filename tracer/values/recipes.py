"""Recipes: how a residual program gets an object that the trace knows in full, but that is not the same in every call.

The match of a pattern, a Fraction, a date: none of them ever changes, so the trace computes with the one it has. The
program makes a new one in each call, which shows by its identity. A recipe says what to call for it, or which access
path leads to it. Nothing here knows how a residual program is written.
"""

from __future__ import annotations

import datetime
import inspect
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple

import torch

from tracer.guards.source import Source

MADE_ANEW: Final[tuple[type, ...]] = (
    *(re.Match, Fraction, inspect.Signature, torch.finfo, torch.iinfo),
    *(operator.itemgetter, operator.attrgetter, operator.methodcaller),
    *(datetime.date, datetime.time, datetime.timedelta, datetime.timezone),
)
"""Immutable classes whose instances are distinct objects although they may be equal."""


def is_unchanging(value: Any) -> bool:
    """Whether a value stands for one immutable object, that which a pure function has made for the trace."""
    return value.source.accessor == "object" and isinstance(value.object, MADE_ANEW)


class Recipe(NamedTuple):
    """`object` is `function(*args, **kwargs)`, or what `source` leads to if there is one.

    The object is kept alive, as recipes are found by its identity; the arguments are real and never change.
    """

    object: Any
    function: Callable[..., Any] | None = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    source: Source | None = None
