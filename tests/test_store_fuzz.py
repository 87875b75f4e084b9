"""Files of stored captures of many kinds, changed at random: each is refused or read, and none does harm.

Graph breaks and the rests of functions, sizes and floats that vary, effects on lists, globals and attributes, modules,
modes and closures. `STORE_FUZZ` is how many files a run changes.
"""

import hashlib
import json
import os
import random
import subprocess

import pytest
import torch

import tracer
from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tests.stored import files, forget, kinds
from tests.test_store_breaks import at_branch, in_callee, in_loop, in_with, with_cells
from tests.test_store_files import MARK, contents, mutated_bytes, rewrite
from tests.test_store_sizes import floating, integer, sizes
from tests.test_store_sizes import in_loop as turning

FILES = int(os.environ.get("STORE_FUZZ", "600"))
COUNTER = {"calls": 0, "last": None}


class Layered(torch.nn.Module):
    """Parameters, buffers that are written to, random numbers, counters and a list of results."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.norm = torch.nn.BatchNorm1d(4)
        self.dropout = torch.nn.Dropout(0.5)
        self.seen = []

    def forward(self, x, power=2):
        self.seen.append(power)
        return self.dropout(self.norm(self.linear(x))) ** power


def with_effects(x, items, scale=2):
    COUNTER["calls"] += 1
    COUNTER["last"] = x * scale
    items.append(x + 1)
    x.add_(1)
    tracer.graph_break()
    items[0] = x * scale
    del items[-1:]
    return items, {"x": x, "pair": (scale, [x])}


def under_modes(x):
    with torch.no_grad():
        y = x @ x
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = x @ x
    return y, z.float(), torch.is_grad_enabled()


def layered(x, model):
    return model(x) + len(model.seen)


X = torch.linspace(-1, 2, 16).reshape(4, 4)
# What is captured, its arguments for each call, made anew for each, and options.
PROGRAMS = {
    "branch": (at_branch, lambda: [(X.clone(),), (-X,)], {}),
    "loop": (in_loop, lambda: [(X.clone(),)], {}),
    "with": (in_with, lambda: [(X.clone(),)], {}),
    "cells": (with_cells, lambda: [(X.clone(),)], {}),
    "callee": (in_callee, lambda: [(X.clone(),)], {}),
    "turns": (turning, lambda: [(X.clone(), 3)], {}),
    "sizes": (sizes, lambda: [(torch.ones(rows, 4), torch.ones(2)) for rows in (3, 5)], {"dynamic": True}),
    "integer": (integer, lambda: [(torch.ones(2), number) for number in (3, 4)], {"dynamic": True}),
    "floating": (floating, lambda: [(torch.ones(2), rate) for rate in (0.5, 0.25)], {"dynamic": True}),
    "effects": (with_effects, lambda: [(X.clone(), [X])], {}),
    "modes": (under_modes, lambda: [(X.clone().requires_grad_(),)], {}),
    "module": (layered, lambda: [(X.clone(), Layered())], {}),
}
VALUES = [
    *(None, -1, 0, 1, 2, 255, 256, 1 << 31, 1 << 70, -(1 << 63), 1.5, True, "", "x", "\x00", "\u212b", "self", "class"),
    *([], {}, [[]], ["o", 0], ["n", 0], ["@", 0], ["m", 0], ["t"], ["l", 1], ["v", 0], ["s", 0]),
    *("__class__", "__globals__", "__reduce__", "../../etc/passwd", "os.system", "ops.os.system", "torch.load"),
    *(["name", "os", "system"], ["module", "os"], ["builtin", "builtins", "exec", "builtins"], ["at", 0], ["call", 0]),
    f"__import__('os').environ.setdefault('{MARK}', '1')",
]


def parts(data):
    """Each place in a structure of JSON, as its owner and key."""
    found, waiting = [], [data]
    while waiting:
        node = waiting.pop()
        for key in range(len(node)) if isinstance(node, list) else list(node):
            found.append((node, key))
            if isinstance(node[key], list | dict):
                waiting.append(node[key])
    return found


def changed(data, chance):
    """A copy with one to three places changed: replaced, left out, repeated, or exchanged for one of the same type."""
    data = json.loads(json.dumps(data))
    for _ in range(chance.choice((1, 1, 2, 3))):
        everywhere = parts(data)
        if not everywhere:
            return data
        node, key = chance.choice(everywhere)
        alike = [owner[place] for owner, place in everywhere if type(owner[place]) is type(node[key])]
        way = chance.randrange(6)
        if way == 0:
            del node[key]
        elif way == 1 and isinstance(node, list):
            node.insert(key, json.loads(json.dumps(node[key])))
        elif way == 2 and type(node[key]) is int:
            node[key] += chance.choice((-2, -1, 1, 2))
        elif way == 3:
            node[key] = json.loads(json.dumps(chance.choice(VALUES)))
        else:
            node[key] = json.loads(json.dumps(chance.choice(alike)))
    return data


def with_header(text, chance):
    """A file with another first line of its content, and the hash of that."""
    magic, _, header, body = text.split(b"\n", 3)
    key, _, moment = header.partition(b" ")
    header = chance.choice(
        (key, key + b" " + b"9" * 400, key + b" -" + b"9" * 30, b" " + moment, key + b" 1e5", key + b" " + b"9" * 5000)
    )
    content = header + b"\n" + body
    return magic + b"\n" + hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def run(name, folder):
    """Call the program of that name as a new process would; whether all of it went as usual."""
    program, calls, options = PROGRAMS[name]
    torch.manual_seed(0)
    captured = tracer.capture(program, cache=folder, **options)
    state = torch.get_rng_state(), torch.is_grad_enabled()
    try:
        for args in calls():
            captured(*args)
    finally:  # a program that was made to deceive may leave these as it likes
        torch.set_grad_enabled(state[1])
        torch.set_rng_state(state[0])


def fuzz(name, folder, count, chance):
    """Change the files of one program `count` times; how often one of them was refused."""
    run(name, folder)
    stored = {file.path: file.path.read_bytes() for file in files(folder)}
    forget()
    run(name, folder)
    assert "loaded" in kinds()
    forget()
    refused = 0
    for number in range(count):
        path = chance.choice(list(stored))
        if number % 10 == 0:
            path.write_bytes(mutated_bytes(stored[path], chance))
        elif number % 10 == 1:
            path.write_bytes(with_header(stored[path], chance))
        else:
            rewrite(path, changed(contents(path), chance))
        try:
            run(name, folder)
        except Exception:  # a program that was made to deceive may fail, as Python programs do
            assert "loaded" in kinds(), path.read_bytes()[:5000]
        events = kinds()
        assert "bug" not in events, path.read_bytes()[:5000]
        assert MARK not in os.environ
        refused += "file refused" in events
        for file in files(folder):
            if file.path not in stored:
                file.path.unlink()
        path.write_bytes(stored[path])
        forget()
    return refused


@pytest.mark.parametrize("name", PROGRAMS)
def test_changed_files(name, tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(os, "system", commands.append)
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **options: commands.append(words))
    assert fuzz(name, tmp_path / "captures", FILES // len(PROGRAMS), random.Random(name)) and not commands
