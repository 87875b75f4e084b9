"""Whether live objects fit a template: everything that a call in their place would find out is as it was then."""

from __future__ import annotations

from typing import Any

import torch

from passes.meta import meta_of
from tracer.guards.checks import CHECKS, tensor_facts
from tracer.guards.explain import UNREACHABLE
from tracer.guards.guard_set import Guard
from tracer.guards.source import ACCESSORS, Source
from tracer.interpret.templates.blueprint import Template
from tracer.interpret.templates.marks import Surroundings
from tracer.interpret.templates.signature import Pairing
from tracer.interpret.trace import Trace
from tracer.values.dicts import DictValue
from tracer.values.plain_keys import have_no_equality
from tracer.values.tensors import TensorValue


class Fit:
    """The objects and paths in the places of those of a template; implements the call that checks are made in."""

    function = None

    def __init__(self, trace: Trace, template: Template, pairing: Pairing) -> None:
        self.trace = trace
        self.template = template
        self.pairing = pairing
        self.locals: dict[str, Any] = {}
        self.paths: dict[Source, Source] = {pair.source: pair.other_source for pair in pairing.roots}
        self.objects: dict[Source, Any] = {pair.source: pair.other.object for pair in pairing.roots}
        self.metas: dict[Source, Any] = {}

    def resolve(self, source: Source) -> Any:
        """The object in the place of the one that a path of the template leads to."""
        return self.objects[source] if source in self.objects else self.template.elsewhere[source]

    def forget(self) -> None:
        """Nothing: no check that a template repeats is about when objects die."""

    def holds(self, seen: Surroundings) -> bool:
        """Whether the template may be instantiated here. Nothing is changed by asking."""
        template, record = self.template, self.template.record
        trace = self.trace
        return (
            trace.effects.changes == record.changes
            and seen.protected == record.seen.protected
            and seen.line is record.seen.line
            and seen.depth <= record.seen.depth
            and (not template.needs_module or seen.module is record.seen.module)
            and trace.turns + record.after.turns - record.before.turns < trace.next_look
            and self._resolve_all()
            and all(map(self._is_met, template.met))
            and self._are_new()
            and all(map(self._is_known_fact, template.facts))
            and all(map(self._holds, template.rows))
            and all(self._is_fixed(source, literal) for source, literal in template.literals)
        )

    def _resolve_all(self) -> bool:
        objects, paths = self.objects, self.paths
        try:
            for source in self.template.steps:
                if source not in objects:
                    base: Any = source.base
                    objects[source] = ACCESSORS[source.accessor].get(objects[base], source.key)
                    paths[source] = paths[base].child(source.accessor, source.key)
        except UNREACHABLE:
            return False
        return not any(id(place) in self.trace.effects.stored for place in objects.values())

    def _is_met(self, value: Any) -> bool:
        """The trace has met the object in its place by the same path, as it had that of the template."""
        other = self.trace.known.get(id(self.objects[value.source]))
        if other is None or type(other) is not type(value) or other.source is not self.paths[value.source]:
            return False
        return not {id(other), id(value)} & self.trace.effects.changed.keys()

    def _are_new(self) -> bool:
        """Whether the trace has met none of these objects, and they are as many as those of the template."""
        objects = self.objects
        others = {id(objects[value.source]) for value in self.template.new}
        return (
            len(others) == len(self.template.new)
            and others.isdisjoint(self.trace.known)
            and all(self._is_like(value, objects[value.source]) for value in self.template.new)
        )

    def _is_like(self, value: Any, other: Any) -> bool:
        if type(other) is not type(value.object):
            return False
        if type(value) is TensorValue:
            if value.touched or value.node is not None:
                return self._meta(value.source) is value.meta
            return other.layout is torch.strided and not other.is_quantized and not other.is_nested
        return type(value) is not DictValue or have_no_equality(dict.keys(other))

    def _meta(self, source: Any) -> Any:
        meta = self.metas.get(source)
        if meta is None:
            meta = self.metas[source] = meta_of(self.objects[source])
        return meta

    def _is_known_fact(self, row: Guard) -> bool:
        """What the trace knew before the call of the template, it knows, too."""
        assert row.source is not None
        return self.trace.guards.knows(self.paths[row.source], row.check, self.expected(row)) and self._holds(row)

    def expected(self, row: Guard) -> Any:
        """What the check of a row expects in this place: for another object, that in its place."""
        return self.paths.get(row.expected, row.expected) if isinstance(row.expected, Source) else row.expected

    def _holds(self, row: Guard) -> bool:
        check, source = row.check, row.source
        assert source is not None
        other = self.objects[source]
        if check == "type":
            return type(other) is row.expected()
        if check == "tensor":
            return isinstance(other, torch.Tensor) and tensor_facts(other, self._meta(source)) == row.expected
        try:
            return CHECKS[check].test(other, row.expected, self)
        except UNREACHABLE:
            return False

    def _is_fixed(self, source: Source, literal: Any) -> bool:
        shapes = self.trace.shapes
        if shapes is None or type(literal) not in (int, float):
            return True
        return shapes.is_fixed(self.objects[source], self.paths[source])
