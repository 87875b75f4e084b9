"""Which calls of a function are recorded, which two are compared, and which are instantiated from a template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tracer.interpret.templates.blueprint import CallRecord, Template
from tracer.interpret.templates.building import Building
from tracer.interpret.templates.comparison import TemplateComparison
from tracer.interpret.templates.fitting import Fit
from tracer.interpret.templates.marks import Surroundings, is_simple, kept_outside, mark, standing, surroundings
from tracer.interpret.templates.remains import Remains, remains
from tracer.interpret.templates.signature import NoTemplate, Token, is_unchanged, pair, signature
from tracer.interpret.trace import Trace
from tracer.values.item import Item

LEAST_WORK: Final = 8
"""Nodes and turns of a call from which on it is worth being recorded."""

PATIENCE: Final = 4
"""Calls in a row that fit no template, or none may be made of, after which a function is only interpreted."""

KEPT: Final = 4
"""Records and templates of one function that are kept: those of the last calls."""


class Repetition(NamedTuple):
    """Two calls in a row whose arguments are alike."""

    one: CallRecord
    other: CallRecord


class Repeats:
    """The calls of one function in one trace."""

    __slots__ = ("disappointments", "records", "repetitions", "templates", "work")

    def __init__(self) -> None:
        self.work = 0
        self.disappointments = 0
        self.records: list[CallRecord] = []
        self.repetitions: list[Repetition] = []
        self.templates: list[Template] = []

    @property
    def are_recorded(self) -> bool:
        """Whether it is worth to look at further calls."""
        return self.work >= LEAST_WORK and self.disappointments < PATIENCE


def call_again(
    trace: Trace,
    repeats: Repeats,
    filename: str,
    run: Callable[[Trace, Any, list[Item]], Item],
    callee: Any,
    slots: list[Item],
) -> Item:
    """What `run(trace, callee, slots)` gives, which interprets a call with these `slots`: by a template if one fits.

    `run` is a function of Python, which nests without taking C stack.
    """
    begun = trace.turns + len(trace.graph.made)
    if not repeats.are_recorded:
        result = run(trace, callee, slots)
        repeats.work = max(repeats.work, trace.turns + len(trace.graph.made) - begun)
        return result
    try:
        items = [*slots, *kept_outside(trace)] if is_simple(trace) else None
        tokens = None if items is None else signature(trace, items)
    except NoTemplate:
        items = tokens = None
    if items is None or tokens is None:
        repeats.disappointments += 1
        return run(trace, callee, slots)
    seen = surroundings(trace, filename)
    fit = _fit(trace, repeats, tokens, seen)
    if fit is not None:
        repeats.disappointments = 0
        return Building(fit).result()
    stands, before = standing(trace), mark(trace)
    result = run(trace, callee, slots)
    left = _left_behind(trace, items, tokens, before.known, result) if standing(trace) == stands else None
    if left is not None:
        _keep(trace, repeats, CallRecord(tokens, before, mark(trace), seen, trace.effects.changes, left))
    else:
        repeats.disappointments += 1
    return result


def _left_behind(trace: Trace, items: list[Item], tokens: list[Token], facts: int, result: Item) -> Remains | None:
    """What a call leaves behind that has just ended; None if it did what no template does."""
    try:
        if is_simple(trace) and is_unchanged(tokens, signature(trace, items)):
            return remains(trace, facts, tokens, result)
    except NoTemplate:
        pass
    return None


def _keep(trace: Trace, repeats: Repeats, record: CallRecord) -> None:
    for earlier in reversed(repeats.records):
        if pair(trace, earlier.tokens, record.tokens) is not None:
            repeats.records.remove(earlier)
            repeats.repetitions = [*repeats.repetitions, Repetition(earlier, record)][-KEPT:]
            break
    repeats.records = [*repeats.records, record][-KEPT:]


def _fit(trace: Trace, repeats: Repeats, tokens: list[Token], seen: Surroundings) -> Fit | None:
    """How a call with these arguments fits a template, None if it fits none."""
    _compare(trace, repeats, tokens)
    tried = False
    for template in reversed(repeats.templates):
        pairing = pair(trace, template.record.tokens, tokens)
        if pairing is None or frozenset(root.source for root in pairing.roots) != template.roots:
            continue
        fit = Fit(trace, template, pairing)
        if fit.holds(seen):
            return fit
        tried = True
    repeats.disappointments += tried
    return None


def _compare(trace: Trace, repeats: Repeats, tokens: list[Token]) -> None:
    """Make templates of repetitions like this call, as far as their second call is a renaming of the first."""
    for repetition in list(repeats.repetitions):
        one, other = repetition
        if pair(trace, other.tokens, tokens) is None:
            continue
        repeats.repetitions.remove(repetition)
        template = _template(trace, one, other)
        if template is None:
            repeats.disappointments += 1
        else:
            repeats.templates = [*repeats.templates, template][-KEPT:]


def _template(trace: Trace, one: CallRecord, other: CallRecord) -> Template | None:
    pairing = pair(trace, one.tokens, other.tokens)
    if pairing is None or one.seen.protected != other.seen.protected or one.seen.line is not other.seen.line:
        return None
    roots = pairing.roots
    try:
        first = Template(trace, one, [root.source for root in roots], pairing.fixed)
        second = Template(trace, other, [root.other_source for root in roots], pairing.fixed)
    except NoTemplate:
        return None
    return second if TemplateComparison(first, second, pairing).holds() else None
