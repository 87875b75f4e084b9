"""Captures that outlive the process: what an engine asks of its folder at a miss, and writes to it after a capture.

A file that cannot be used is no error: it is passed over, with one event. What is in files, and why reading one runs
nothing, is said in docs/cache.md.
"""

from __future__ import annotations

import os
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backends.handover import NeedsStaticSizes
from tracer.dispatch.capturing import shallow_recursion
from tracer.entry import Entry
from tracer.events import Event, emit
from tracer.interpret.evaluator import rules_in_use
from tracer.store import folder
from tracer.store.content import key_of
from tracer.store.entries import EngineParts, LoadedEntry, write_entry
from tracer.store.errors import BadFile, Unfit, Unstorable
from tracer.values.shapes import NotExpressible

if TYPE_CHECKING:
    from tracer._native import FrameCache
    from tracer.options import Options

CANDIDATES: Final = 16
"""How many files are tried for one call, the ones used latest first."""

DAMAGE: Final = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, SyntaxError)
"""What reading data that no writer of ours has written may raise."""


class StoredCaptures:
    """The folder of one engine, with these options.

    `compile_graph` and `run_original` are described at tracer.frame_capture.CaptureRequest; `is_transparent` tells
    whether a cache is of a frame that only calls another.
    """

    def __init__(
        self,
        options: Options,
        parts: EngineParts,
        is_transparent: Callable[[FrameCache], bool],
    ) -> None:
        self.options = options
        self.parts = parts
        self.is_transparent = is_transparent
        self.folder = folder.Folder(options.cache_folder) if options.cache_folder else None
        """Where captures are written to, if they are."""
        self.sources = [] if self.folder is None else [self.folder]
        self.refused: set[Path] = set()
        self._keys: dict[int, tuple[types.CodeType, str | None, str | None]] = {}
        """For each code object the rules that its key is with, and the key."""

    def key(self, cache: FrameCache) -> str | None:
        """The key of the captures of a code object; None, after an event, if they are not stored."""
        code = cache.code
        rules = rules_in_use()
        entry = self._keys.get(id(code))
        if entry is None or entry[1] != rules:
            role = "transparent" if self.is_transparent(cache) else "plain"
            key = None
            try:
                key = key_of(code, self.options, role, rules)
            except Unstorable as reason:
                self._not_stored(code, reason)
            entry = self._keys[id(code)] = code, rules, key
        return entry[2]

    def read_from(self, path: str | os.PathLike[str]) -> None:
        """Ask another folder too, before those that there are."""
        added = folder.Folder(path)
        self.sources = [added, *(source for source in self.sources if source.path != added.path)]

    def files(self, key: str) -> list[Path]:
        """The files for a key, in the order in which they are tried."""
        return [file.path for source in self.sources for file in source.files(key)]

    def load(self, cache: FrameCache, function: types.FunctionType, values: tuple[Any, ...]) -> bool:
        """Add an entry of the folder whose guards hold for a call to the cache, and say whether there is one."""
        key = self.key(cache)
        if key is None:
            return False
        present = {entry.stored_as for entry in cache.entries}
        files = self.files(key)
        candidates = [path for path in files if path.name not in present and path not in self.refused]
        return any(self._add(cache, key, path, function, values) for path in candidates[:CANDIDATES])

    def _add(
        self, cache: FrameCache, key: str, path: Path, function: types.FunctionType, values: tuple[Any, ...]
    ) -> bool:
        began = time.perf_counter()
        try:
            with shallow_recursion():
                data, written = folder.read(path, key)
                loaded = LoadedEntry(data, function, cache.code, values)
                if loaded.end is not None and self.options.fullgraph:
                    raise BadFile("a graph break where none may be")
                inputs = cache.inputs_if_fits(loaded.checked, function, *values)
                if inputs is None:
                    return False
                loaded.read(inputs)
            entry = loaded.entry(self.parts)
            checked = loaded.checked
            if entry.guards is not checked.guards:  # more was assumed while the graph was compiled
                checked = entry
                if cache.inputs_if_fits(entry, function, *values) is None:
                    return False
            cache.adopt(entry, checked)
        except (Unfit, NeedsStaticSizes, NotExpressible):
            return False
        except BadFile as error:
            self._refuse(path, str(error))
            return False
        except DAMAGE as error:
            self._refuse(path, f"{type(error).__name__}: {error}")
            return False
        seconds = time.perf_counter() - began
        entry.stored_as = path.name
        entry.seconds = {"load": seconds}
        entry.why = f"from the cache, saved at {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(written))}"
        folder.touch(path)
        details = {"entry": entry.number, "path": str(path), "saved": written, "seconds": seconds}
        emit(Event("loaded", {**_place_of(cache.code), **details}))
        return True

    def _refuse(self, path: Path, why: str) -> None:
        self.refused.add(path)
        emit(Event("file refused", {"path": str(path), "why": why}))

    def store(self, cache: FrameCache, entry: Entry) -> None:
        """Write an entry to the folder of this engine, if there is one."""
        if self.folder is not None:
            self.write(cache, entry, self.folder)

    def write(self, cache: FrameCache, entry: Entry, place: folder.Folder) -> None:
        """Write an entry to a folder, if all that it holds can be written as data."""
        key = self.key(cache)
        if key is None:
            return
        code = cache.code
        try:
            path = place.write(key, write_entry(entry, self.parts.run_original))
        except Unstorable as reason:
            self._not_stored(code, reason)
            return
        except Exception as error:  # an internal error is hidden from the user here, as one of a capture is
            if self.options.raise_bugs:
                raise
            emit(Event("bug", {**_place_of(code), "error": f"{type(error).__name__}: {error}"}))
            return
        if path is not None:
            entry.stored_as = path.name
            emit(Event("stored", {**_place_of(code), "entry": entry.number, "path": str(path)}))

    @staticmethod
    def _not_stored(code: types.CodeType, reason: Unstorable) -> None:
        emit(Event("not stored", {**_place_of(code), "why": reason.what, "detail": reason.detail}))


def _place_of(code: types.CodeType) -> dict[str, Any]:
    return {"code": code.co_qualname, "file": code.co_filename, "line": code.co_firstlineno}
