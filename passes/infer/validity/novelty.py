"""Novelties: what a call has that a domain lacks: a rank, a dtype, a kind of argument, a word or a layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from passes.infer.search.observation import domain_of
from passes.record.calls import Call
from passes.rules.rule import Domain

TABLES: Final = ("ranks", "dtypes", "kinds", "choices", "layouts")


class Novelty(NamedTuple):
    """One `value` of a parameter that a table of a domain lacks."""

    table: str
    parameter: str
    value: Any


def novelties_in(call: Call, parameters: Sequence[str], domain: Domain) -> Iterator[Novelty]:
    """Everything about a call that is outside of a domain."""
    seen = domain_of(parameters, [call])
    for table in TABLES:
        values_seen = getattr(domain, table)
        for name, values in getattr(seen, table).items():
            yield from (Novelty(table, name, value) for value in values if value not in values_seen.get(name, ()))
