"""Doing what a template says, in place of a call that fits it."""

from __future__ import annotations

from typing import Any

from torch.fx import Node

from passes.node_meta import MODULE
from tracer.interpret.templates.blueprint import NodeRow, name_below
from tracer.interpret.templates.fitting import Fit
from tracer.reasons import TracerBug
from tracer.values.base import MISSING, Lazy, Value
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.tensors import TensorValue


class Building:
    """One instantiation: guards first, then values, nodes, and the result of the call."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.trace = fit.trace
        self.template = fit.template
        self.items: dict[int, Item] = dict(fit.pairing.items)
        self.nodes: dict[Any, Any] = dict(fit.pairing.nodes)

    def result(self) -> Item:
        """Add all that the call would have added; what it would have returned."""
        trace, template, paths = self.trace, self.template, self.fit.paths
        for row in template.rows:
            assert row.source is not None
            trace.guards.repeat(paths[row.source], row.check, self.fit.expected(row), row.line)
        self._meet_objects()
        for source, literal in template.literals:
            other = self.fit.objects[source]
            trace.note_place(other, paths[source])
            self.items.setdefault(id(literal), other)
        for row in template.nodes:
            self._add(row)
        trace.predictions += template.predictions
        trace.turns += template.record.after.turns - template.record.before.turns
        trace.instantiated += 1
        return self._item(template.record.left.result)

    def _meet_objects(self) -> None:
        """Values of the objects from outside, which the trace meets in the order in which the call would have."""
        trace, objects, paths = self.trace, self.fit.objects, self.fit.paths
        touched = self.template.record.left.touched
        for value in self.template.met:
            self.items[id(value)] = trace.known[id(objects[value.source])]
        for value in self.template.new:
            other = trace.wrap(objects[value.source], paths[value.source])
            if type(other) is not type(value):
                raise TracerBug(f"{value!r} has {other!r} in its place")
            self.items[id(value)] = other
            if type(value) is TensorValue:
                other.touched = id(value) in touched
        for pair in self.fit.pairing.roots:
            if id(pair.value) in touched:
                pair.other.touched = True

    def _add(self, row: NodeRow) -> None:
        trace, node, source = self.trace, row.node, row.source
        if source is None:
            arguments, keywords = self._arguments(node.args), self._arguments(node.kwargs)
            added = trace.graph.repeat(node, arguments, keywords, row.name)
            module = added.meta.get(MODULE)
            if module is not None:
                added.meta[MODULE] = self.fit.paths.get(module, module)
            if row.refuses:
                trace.refusing.append(added)
        else:
            path, real = self.fit.paths[source], self.fit.objects[source]
            value = trace.known[id(real)]
            added = value.node = trace.graph.placeholder(name_below(row, path), value.meta, path.text)
            trace.inputs.append((path, added, real))
        self.nodes[node] = added

    def _arguments(self, argument: Any) -> Any:
        """An argument of a node, with the nodes of this call."""
        kind: Any = type(argument)
        if kind is Node:
            return self.nodes.get(argument, argument)
        if kind is tuple:
            return tuple(map(self._arguments, argument))
        if isinstance(argument, list):
            return [self._arguments(part) for part in argument]
        if isinstance(argument, dict):
            return {key: self._arguments(part) for key, part in argument.items()}
        if isinstance(argument, slice):
            return slice(*map(self._arguments, (argument.start, argument.stop, argument.step)))
        return argument

    def _item(self, item: Item) -> Item:
        """The item in the place of one that the call of the template has, or returns."""
        if type(item) is Lazy and item.known is not MISSING:
            return self._item(item.known)
        other = self.items.get(id(item))
        if other is not None:
            return other
        if not isinstance(item, Value):
            return tuple(map(self._item, item)) if type(item) is tuple else item
        if item.source is not None:
            path = self.fit.paths.get(item.source)
            return item if path is None else Lazy(self.fit.objects[item.source], path)
        return self._tensor(item) if isinstance(item, TensorValue) else self._container(item)

    def _tensor(self, value: TensorValue) -> TensorValue:
        other = self.items[id(value)] = TensorValue(value.cls, self.nodes[value.node], value.meta)
        if value.viewed is not None:
            other.viewed = self._item(value.viewed)
        root = value.root
        if root is not value:
            other.root = self._item(root)
            if id(value) in self.template.record.left.views:
                self.trace.views.setdefault(id(other.root), [other.root]).append(other)
        return other

    def _container(self, value: Any) -> Any:
        kind = type(value)
        other = self.items[id(value)] = kind(value.cls)
        if kind is DictValue:
            other.items.update((key, self._item(part)) for key, part in value.items.items())
        else:
            other.items.extend(map(self._item, value.items))
        return other
