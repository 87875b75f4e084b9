"""Random object trees, random guards on them, random changes: the native program against the slow evaluator.

Probes are strict, so any disagreement raises. What this adds to the tests by case is the order in
which versions move, containers are replaced and memory is used again.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from typing import Any

import pytest
import torch

from passes.meta import meta_of
from tests.guard_probe import Probe
from tracer.guards.checks import tensor_facts
from tracer.guards.guard_set import GuardSet
from tracer.guards.source import Source, argument, constant


class Node:
    level = 0


class Leaf(Node):
    level = 1


NAMES = ("a", "b", "c", "d")


def make(chance: random.Random, depth: int, shared: list[Any]) -> Any:
    if depth == 0 or chance.random() < 0.2:
        tensors = [torch.ones(2), torch.ones(3), torch.nn.Parameter(torch.ones(2))]
        return chance.choice([0, 1, True, None, "text", 2.5, *tensors, *shared])
    values = [make(chance, depth - 1, shared) for _ in range(chance.randint(1, 3))]
    match chance.randrange(6):
        case 0:
            return values
        case 1:
            return tuple(values)
        case 2:
            return dict(zip(NAMES, values, strict=False))
        case 3:
            return OrderedDict(zip(NAMES, values, strict=False))
        case _:
            node = chance.choice([Node, Leaf])()
            for name, value in zip(NAMES, values, strict=False):
                setattr(node, name, value)
            return node


def guard(
    chance: random.Random, guards: GuardSet, inputs: list[Source], source: Source, value: Any, depth: int = 6
) -> None:
    """Rely on some facts about `value` and, mostly, on what is below it."""
    if depth == 0 or chance.random() < 0.15:
        return
    if chance.random() < 0.3:
        inputs.append(source)
    if isinstance(value, torch.Tensor):
        guards.add(source, "tensor", tensor_facts(value, meta_of(value)))
        return
    guards.add(source, "type", type(value))
    if isinstance(value, Node):
        guards.add(source.child("type").child("class attribute", "level"), "equal", type(value).level)
        guards.add(constant(Node).child("class attribute", "level"), "equal", Node.level)
        value, source = value.__dict__, source.child("dict")
    if isinstance(value, dict):
        fact = chance.choice(["length", "keys", "absent", "none"])
        expected = {"length": len(value), "keys": tuple(value), "absent": "z"}
        if fact in expected and (fact != "absent" or "z" not in value):
            guards.add(source, fact, expected[fact])
        for name, item in value.items():
            guard(chance, guards, inputs, source.child("item", name), item, depth - 1)
    elif isinstance(value, list | tuple):
        if chance.random() < 0.5:
            guards.add(source, "length", len(value))
        for place, item in enumerate(value):
            guard(chance, guards, inputs, source.child("index", place), item, depth - 1)
    else:
        guards.add(source, "equal", value)


def containers(value: Any, found: dict[int, Any]) -> list[Any]:
    """Everything below `value` that has parts; it may be part of itself."""
    if id(value) in found:
        return []
    if isinstance(value, Node | dict | list | tuple):
        found[id(value)] = value
    parts = value.__dict__ if isinstance(value, Node) else value
    parts = parts.values() if isinstance(parts, dict) else parts if isinstance(parts, list | tuple) else ()
    for part in list(parts):
        containers(part, found)
    return list(found.values())


def change(chance: random.Random, root: Any, shared: list[Any]) -> None:
    """One change somewhere: of a value, of structure, back to an equal value, or of something irrelevant."""
    target = chance.choice(containers(root, {}))
    if isinstance(target, Node):
        match chance.randrange(5):
            case 0:
                target.__class__ = chance.choice([Node, Leaf])
                return
            case 1:
                target.__dict__ = dict(target.__dict__)
                return
            case 2:
                target.z = 1
                return
            case _:
                target = target.__dict__
    if isinstance(target, dict) and target:
        name = chance.choice(list(target))
        match chance.randrange(4):
            case 0:
                target[name] = make(chance, 1, shared)
            case 1:
                target[name] = target.pop(name)
            case 2:
                target.pop("z", None)
            case _:
                target["unread"] = target.get("unread", 0) + 1 if isinstance(target.get("unread", 0), int) else 0
    elif isinstance(target, list) and target:
        place = chance.randrange(len(target))
        match chance.randrange(3):
            case 0:
                target[place] = make(chance, 1, shared)
            case 1:
                target.append(1)
            case _:
                target.pop()


@pytest.mark.parametrize("seed", range(60))
def test_native_and_reference_agree(seed):
    def function(root, other):
        return root

    chance = random.Random(seed)
    shared = [Node(), (1, Node()), [1, 2], torch.ones(2)]
    roots = [Node(), Node()]
    for root in roots:
        for name in NAMES:
            setattr(root, name, make(chance, 4, shared))

    def capture() -> Probe:
        guards, inputs = GuardSet(), []
        guard(chance, guards, inputs, argument("root"), roots[0])
        guard(chance, guards, inputs, argument("other"), roots[1])
        captured = Probe(function, guards, inputs)
        assert captured.fits(*roots)
        return captured

    probe = capture()
    for _ in range(60):
        change(chance, chance.choice(roots), shared)
        if chance.random() < 0.1:
            Node.level = chance.choice([0, 0, 5])
        if not probe.fits(*roots) and chance.random() < 0.5:
            probe = capture()
    Node.level = 0
