"""What a call has that no call before it had: a rank, a dtype, a kind of argument or a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from passes.infer.search.observation import domain_of
from passes.record.calls import Call
from passes.rules.rule import Domain

TABLES: Final = ("ranks", "dtypes", "kinds", "choices")


class Novelty(NamedTuple):
    """One thing that a call has and a domain has not: `value` in its table of what was seen of a parameter."""

    table: str
    parameter: str
    value: Any


def novelties_in(call: Call, parameters: Sequence[str], domain: Domain) -> Iterator[Novelty]:
    """What is outside of a domain in a call."""
    seen = domain_of(parameters, [call])
    for table in TABLES:
        known = getattr(domain, table)
        for name, values in getattr(seen, table).items():
            yield from (Novelty(table, name, value) for value in values if value not in known.get(name, ()))
