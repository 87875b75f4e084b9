"""The recorder: what happens to calls inside `with record("corpus"):`, and the shard that is written.

Every call is made as it would be without a recorder. A call like an earlier one costs two dictionary look-ups. Only
calls of the thread that entered the context are seen; backward passes on the CPU run in it.
"""

from __future__ import annotations

import multiprocessing.util
import os
import secrets
import signal
import socket
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self

import torch

from passes.operators.naming import NUMBERS
from passes.record import storage
from passes.record._facts import facts_of
from passes.record.flags import flagged_elements
from passes.record.location import user_location
from passes.record.modes import AtenMode, FunctionMode
from passes.record.schema import FILE_PREFIX, LEVELS, CorpusError
from passes.record.table import CallTable, RecordedInputs, RecordedOutcome, Watch

DEFAULT_MEMORY: Final = 256 << 20
MODES: Final[dict[str, Callable[[Any], Any]]] = {"aten": AtenMode, "function": FunctionMode}


class Recorder:
    """Records calls into files of `folder`, one shard per process; a spill makes one more part of it.

    `levels` are the levels at which calls are recorded (see schema.LEVELS). Calls are kept in memory, up to `memory`
    bytes, then spilled to a file. Integer tensors of at most `most_integers` elements are recorded with their elements.
    A recorder may be entered several times; `close` it at the end.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        levels: Sequence[str] = ("aten",),
        memory: int = DEFAULT_MEMORY,
        most_integers: int = 0,
    ) -> None:
        unknown = set(levels) - set(LEVELS)
        if unknown or not levels:
            raise CorpusError(f"unknown levels {sorted(unknown)}: choose from {', '.join(LEVELS)}")
        storage.require_pyarrow()
        self.folder = Path(folder)
        storage.make_folder(self.folder)
        self.settings = {
            "folder": str(self.folder.resolve()),
            "levels": list(levels),
            "memory": memory,
            "most_integers": most_integers,
        }
        self.levels = tuple(levels)
        self.memory = memory
        self.place: Callable[[], str] = user_location  # gives the location of a call
        self._most_integers = most_integers
        self._table = CallTable(most_integers)
        self._inputs = self._table.inputs
        self._entered: list[ExitStack] = []
        self._spilling: int | None = None  # the thread that is writing
        self._postponed: int | None = None  # a signal that came meanwhile
        self._new_shard()
        _recorders.add(self)
        multiprocessing.util.register_after_fork(self, Recorder._close_at_exit)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for level in self.levels:
                stack.enter_context(MODES[level](self._see))
            self._entered.append(stack.pop_all())
        return self

    def __exit__(self, *failure: object) -> None:
        self._entered.pop().close()

    def close(self) -> None:
        """Write the calls that are still in memory, and stop handling SIGTERM."""
        self.spill()
        if self._awaits_termination():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def spill(self) -> None:
        """Move all calls from memory to a new file."""
        self._spilling = threading.get_ident()
        try:
            self._spill()
        finally:
            self._spilling = None
            if self._postponed is not None:
                number, self._postponed = self._postponed, None
                os.kill(os.getpid(), number)

    def _spill(self) -> None:
        if self._inputs:
            with torch._C.DisableTorchFunction():
                table = storage.table_of(self._table.rows(), torch.__version__)
            self._table.clear()
            path = self.folder / f"{FILE_PREFIX}{self._shard}-{self.parts:04}.parquet"
            storage.write(path, [table])
            self.parts += 1

    @property
    def has_unwritten(self) -> bool:
        """Whether calls are in memory that were not written yet."""
        return bool(self._inputs)

    def start_anew(self) -> None:
        """Forget the calls of the process that this one was forked from, which writes them itself."""
        self._table.clear()
        self._new_shard()

    def _close_at_exit(self) -> None:
        """Make a process that multiprocessing forked write its shard when it, or its pool, ends."""
        multiprocessing.util.Finalize(self, self.close, exitpriority=0)
        self.close_when_terminated()

    def close_when_terminated(self) -> None:
        """Write what is in memory when the process gets SIGTERM, unless the program handles that signal itself."""
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._terminated)

    def _awaits_termination(self) -> bool:
        main = threading.current_thread() is threading.main_thread()
        return main and signal.getsignal(signal.SIGTERM) == self._terminated

    def _terminated(self, number: int, _: object) -> None:
        """Write what is in memory and end; if the signal came while this thread was writing, do so afterwards.

        Masking the signal meanwhile would not help: the kernel delivers it to a thread of some library, and Python runs
        this handler here all the same.
        """
        if self._spilling == threading.get_ident():
            self._postponed = number
            return
        self.close()
        os.kill(os.getpid(), number)

    def _new_shard(self) -> None:
        self._shard = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.parts = 0  # written, of the shard

    def _see(self, level: str, target: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        before = facts_of(self._most_integers, target, level, args, kwargs)
        if before is None:
            return target(*args, **kwargs)
        before += flagged_elements(args, kwargs)
        inputs = self._inputs.get(before)
        if inputs is None or inputs.writes is None:
            return self._see_new(before, level, target, args, kwargs)
        try:
            result = target(*args, **kwargs)
        except Exception as error:
            self._note_error(before, inputs, error)
            raise
        after = self._facts_after(target, args, kwargs, result)
        if after is None:
            return result
        outcome = inputs.outcomes.get(after)
        if outcome is None:
            outcome = self._note_result(before, after, inputs, target, args, kwargs, result)
        outcome.count += 1
        return result

    def _facts_after(self, target: object, args: object, kwargs: object, result: object) -> bytes | None:
        recorded = type(result).__name__ if type(result) in NUMBERS else result
        facts = facts_of(self._most_integers, target, args, kwargs, recorded)
        return None if facts is None else facts + flagged_elements(args, kwargs, recorded)

    def _see_new(
        self, before: bytes, level: str, target: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        self._make_room()
        with torch._C.DisableTorchFunction():
            inputs, numbering, declared = self._table.open(before, level, target, args, kwargs, self.place())
            watch = Watch(numbering.tensors)
        try:
            result = target(*args, **kwargs)
        except Exception as error:
            self._note_error(before, inputs, error)
            raise
        after = self._facts_after(target, args, kwargs, result)
        if after is None:
            self._inputs.pop(before, None)
            return result
        with torch._C.DisableTorchFunction():
            inputs.writes = watch.written(declared)
            self._table.resume(before, inputs)
            outcome = inputs.outcomes.get(after) or self._table.returned(inputs, after, numbering, result)
        outcome.count += 1
        return result

    def _note_result(
        self,
        before: bytes,
        after: bytes,
        inputs: RecordedInputs,
        target: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
    ) -> RecordedOutcome:
        """Record another outcome for known inputs: it depends on data, or the table was spilled meanwhile."""
        self._make_room()
        with torch._C.DisableTorchFunction():
            self._table.resume(before, inputs)
            _, numbering, _ = self._table.open(before, inputs.level, target, args, kwargs, inputs.location)
            return self._table.returned(inputs, after, numbering, result)

    def _note_error(self, before: bytes, inputs: RecordedInputs, error: Exception) -> None:
        self._make_room()
        self._table.resume(before, inputs)
        key = f"{type(error).__qualname__}: {error}".encode(errors="replace")
        outcome = inputs.outcomes.get(key) or self._table.raised(inputs, key, error)
        outcome.count += 1

    def _make_room(self) -> None:
        """Spill if the memory is used up."""
        if self._table.bytes > self.memory // 2:  # writing takes as much again
            self.spill()


_recorders: Final[weakref.WeakSet[Recorder]] = weakref.WeakSet()


def _after_fork() -> None:
    for recorder in _recorders:
        recorder.start_anew()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def record(
    folder: str | os.PathLike[str],
    levels: Sequence[str] = ("aten",),
    memory: int = DEFAULT_MEMORY,
    most_integers: int = 0,
) -> Iterator[Recorder]:
    """Record the calls made inside into the corpus in `folder`; the options are those of Recorder."""
    recorder = Recorder(folder, levels, memory, most_integers)
    try:
        with recorder:
            yield recorder
    finally:
        recorder.close()
