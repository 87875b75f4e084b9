"""Captures of one function, written to a folder and found in one when the user asks for it.

How entries become files, and what makes one fit a call, is in tracer/dispatch/stored.py; docs/cache.md is for users.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracer.captured import captured_function_of
from tracer.dispatch.engine import engine_of
from tracer.store.folder import Folder
from tracer.store.paths import written_code

if TYPE_CHECKING:
    from tracer._native import FrameCache


def save_captures(captured: Any, path: str | os.PathLike[str]) -> int:
    """Write the captures of a captured function or module to a folder, which is made if it is not there.

    Of functions that end in a graph break, the captures of what comes after it are written too, and of the functions
    that they call. Returns how many files the folder has for this function itself. An entry that cannot be written as
    data is left out, with the event `not stored`. Raises TypeError for what is not captured, and OSError if no folder
    can be there.
    """
    inner = captured_function_of(captured)
    engine = engine_of(inner.frame_cache)
    Path(path).mkdir(parents=True, exist_ok=True)
    place = Folder(path)
    for cache in _caches(captured):
        for entry in cache.entries:
            engine.stored.write(cache, entry, place)
    return _count(captured, place)


def load_captures(captured: Any, path: str | os.PathLike[str]) -> int:
    """Have a captured function or module use the captures in a folder.

    One is installed by the first call that all its guards hold for; other functions that were captured with the same
    options find theirs there too. Returns how many files there are for this function, with its code, these options and
    these versions. Raises TypeError for what is not captured, and NotADirectoryError if there is no folder.
    """
    inner = captured_function_of(captured)
    if not Path(path).is_dir():
        raise NotADirectoryError(f"no folder of captures: {os.fspath(path)!r}")
    engine_of(inner.frame_cache).stored.read_from(path)
    return _count(captured, Folder(path))


def _caches(captured: Any) -> list[FrameCache]:
    """The caches of a captured function, of the rest of it after graph breaks, and of what that calls."""
    engine = engine_of(captured_function_of(captured).frame_cache)
    caches = _own_caches(captured)
    codes = {cache.code for cache in caches}
    if any(entry.end is not None for cache in caches for entry in cache.entries):
        shared = set(engine.caches.values())
        caches += [cache for cache in engine.living if cache in shared or written_code(cache.code) in codes]
    return list(dict.fromkeys(caches))


def _own_caches(captured: Any) -> list[FrameCache]:
    inner = captured_function_of(captured)
    engine = engine_of(inner.frame_cache)
    forward = engine.caches.get(id(getattr(getattr(type(captured), "forward", None), "__code__", None)))
    return [inner.frame_cache, *([] if forward is None else [forward])]


def _count(captured: Any, place: Folder) -> int:
    stored = engine_of(captured_function_of(captured).frame_cache).stored
    keys = [stored.key(cache) for cache in _own_caches(captured)]
    return sum(len(place.files(key)) for key in keys if key is not None)
