"""Programs run under a recorder, as `python` would have run them: a script or `-m module`, with arguments."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from passes.record.children import recorded_children
from passes.record.recorder import Recorder
from passes.record.schema import CorpusError


def run_program(recorder: Recorder, words: Sequence[str], children: bool = True) -> int:
    """Run `script.py args...` or `-m module args...` under a recorder, and return its exit status.

    If `children`, Python processes that it starts record their calls too. Exceptions of the program propagate. Raises
    CorpusError if `words` names no program.
    """
    program = program_of(words)
    starting = recorded_children(recorder) if children else nullcontext()
    recorder.close_when_terminated()
    with starting, recorder:
        return program()


def program_of(words: Sequence[str]) -> Callable[[], int]:
    """A function that runs the program `script.py args...` or `-m module args...` and returns its exit status.

    Raises CorpusError if `words` names no program.
    """
    module = words[:1] == ["-m"]
    name, arguments = words[1 if module else 0 : 2 if module else 1], words[2 if module else 1 :]
    if not name:
        raise CorpusError("name a script, or -m and a module")
    if not module and not Path(name[0]).is_file():
        raise CorpusError(f"there is no script {name[0]!r} (a module is named by `-- -m NAME`)")
    first = "" if module else str(Path(name[0]).resolve().parent)

    def run() -> int:
        with as_if_started([name[0], *arguments], first):
            try:
                if module:
                    runpy.run_module(name[0], run_name="__main__", alter_sys=True)
                else:
                    runpy.run_path(name[0], run_name="__main__")
            except SystemExit as exit_request:
                return _status(exit_request.code)
        return 0

    return run


@contextmanager
def as_if_started(arguments: Sequence[str], first_path: str) -> Iterator[None]:
    """`sys.argv` and `sys.path` as the program expects them, put back at the end."""
    before = sys.argv, sys.path[:]
    sys.argv, sys.path[:0] = list(arguments), [first_path]
    try:
        yield
    finally:
        sys.argv, sys.path[:] = before


def _status(code: str | int | None) -> int:
    """The exit status of a process that calls `sys.exit(code)`."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
        return 1
    return code or 0
