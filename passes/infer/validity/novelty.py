"""Novelties: what a call has that a domain lacks: a rank, a dtype, a kind of argument, a word or a layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from passes.infer.search.observation import domain_of
from passes.infer.trials.inputs import metas_of
from passes.record.calls import Call
from passes.rules.rule import Domain

TABLES: Final = ("ranks", "dtypes", "kinds", "choices", "layouts")


class Novelty(NamedTuple):
    """One `value` of a parameter that a table of a domain lacks."""

    table: str
    parameter: str
    value: Any


def novelties_in(call: Call, parameters: Sequence[str], domain: Domain) -> Iterator[Novelty]:
    """Everything about a call that is outside of a domain. The dtype of empty tensors is nothing: see `domain_of`."""
    seen = domain_of(parameters, [call])
    empty = [name for name, value in call.arguments.items() if all(0 in meta.shape for meta in metas_of({name: value}))]
    for table in TABLES:
        values_seen = getattr(domain, table)
        for name, values in getattr(seen, table).items():
            if table == "dtypes" and name in empty:
                continue
            yield from (Novelty(table, name, value) for value in values if value not in values_seen.get(name, ()))
