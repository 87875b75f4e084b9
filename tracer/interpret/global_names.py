"""Global names of frames: read and guarded once for each trace, written to the effect log only."""

from __future__ import annotations

import types
from typing import Any

from tracer.effects.log import DELETED
from tracer.interpret.frame import Frame
from tracer.values.base import MISSING
from tracer.values.item import Item
from tracer.values.raising import throw


def load_global(frame: Frame, name: str) -> Item:
    """What a global name means in a frame: guarded when it is read for the first time."""
    trace = frame.trace
    if trace.effects.namespaces:
        change = trace.effects.read(frame.globals, name, MISSING)
        if change is not MISSING:
            return change if change is not DELETED else load_builtin(frame, name)
    space = trace.globals.get(id(frame.globals))
    if space is None:
        space = trace.globals[id(frame.globals)] = {}
    item = space.get(name, MISSING)
    if item is MISSING:
        item = space[name] = _read_global(frame, name)
    return item


def _read_global(frame: Frame, name: str) -> Item:
    trace = frame.trace
    source = frame.globals_source
    globals = frame.globals
    if name in globals:
        if source is None:
            return globals[name]
        return trace.wrap(globals[name], source.child("item", name))
    if source is not None:
        trace.guard(source, "absent", name)
    return load_builtin(frame, name)


def load_builtin(frame: Frame, name: str) -> Item:
    """What a name means that the globals of a frame do not have."""
    trace = frame.trace
    source = frame.globals_source
    builtin: Any = frame.globals.get("__builtins__", __builtins__)
    builtin = builtin.__dict__ if isinstance(builtin, types.ModuleType) else builtin
    change = trace.effects.read(builtin, name, MISSING)
    if change is not MISSING and change is not DELETED:
        return change
    if name not in builtin or change is DELETED:
        throw(trace, NameError, f"name '{name}' is not defined", name=name)
    if source is not None and source.base is not None:
        trace.guard(source.base.child("builtins").child("item", name), "same object", builtin[name])
    return builtin[name]


def store_global(frame: Frame, name: str, item: Item) -> None:
    """Assign a global name; MISSING as item deletes it."""
    frame.trace.effects.write(frame.globals, name, DELETED if item is MISSING else item)
