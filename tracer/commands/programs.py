"""Running somebody's program and keeping all that is captured meanwhile, for the commands that tell of it.

Knows nothing of what they print.
"""

from __future__ import annotations

import contextlib
import inspect
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from backends.account import keeping_accounts
from passes.record.program import as_if_started, program_of
from tracer.api import capture
from tracer.dispatch.cache import timing_guards
from tracer.dispatch.engine import engines, living_caches
from tracer.events import LOG, Event
from tracer.report import Explanation
from tracer.stacks import with_stacks

WORDS_BELONG_TO_THE_PROGRAM: Final = {"allow_interspersed_args": False}
"""What follows the program's name on the command line is for the program."""


HELP: Final = ("-h", "--help")
"""The options of every command that print its help."""


class ProgramCommand(TyperCommand):
    """A command that runs a program. Options that the command has are the command's, before the program and behind it;
    behind `script.py --`, all words are the script's.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move options from behind a program to its front."""
        first = 0
        while first < len(args) and args[first].startswith("-") and args[first] != "--":
            first += self._length(args[first]) or 1
        program = args[first] if first < len(args) else ""
        is_script = Path(program).is_file()
        if is_script or _function_named_by(program) is not None:
            options: list[str] = []
            others: list[str] = []
            place = first + 1
            while place < len(args) and args[place] != "--":
                length = 0 if is_script and args[place] in HELP else self._length(args[place])
                (options if length else others).extend(args[place : place + (length or 1)])
                place += length or 1
            rest = args[place:] if others else args[place + 1 :]
            args = [*args[:first], *options, program, *others, *rest]
        return super().parse_args(ctx, args)

    def _length(self, word: str) -> int:
        """The number of words that an option of this command takes up, from `word` on; 0 for other words."""
        name, equals, _ = word.partition("=")
        for parameter in self.params:
            if name in (*parameter.opts, *parameter.secondary_opts) and name.startswith("-"):
                return 1 if equals or getattr(parameter, "is_flag", False) else 2
        return int(name in HELP)


RUN_NAME: Final = "__captured__"
"""`__name__` in a script of which a function is wanted."""

ProgramArgument = Annotated[
    list[str],
    typer.Argument(
        help="script.py args..., script.py -- args..., -- -m module args..., or script.py:function, without parameters."
    ),
]


class ProgramError(ValueError):
    """A program that cannot be run, or in which nothing was captured; the message says why."""


class NothingCaptured(ProgramError):
    """A program that ran, and of which nothing was captured. `status` is the program's own exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def explained(words: Sequence[str], as_json: bool) -> tuple[Explanation, int]:
    """Run a program as python would; what was captured meanwhile, in the order of capture, and its exit status.

    With JSON to come on stdout, the program's own output goes to stderr. Exceptions of the program propagate.
    Raises ProgramError for a function that there is not, and NothingCaptured if nothing was captured.
    """
    before = {cache for engine in engines() for cache in engine.living}
    kept: dict[Any, None] = {}  # caches live as long as their functions: these are to outlive the program
    events: list[Event] = []
    with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout), _progress(words[0]) as tell:

        def hear(event: Event) -> None:
            events.append(event)
            if event.kind == "capture":
                kept.update((cache, None) for engine in engines() for cache in engine.living if cache not in before)
                tell(f"{len(kept)} frames captured, now {event.details['code']}")

        unsubscribe = LOG.subscribe(with_stacks(hear, sys._getframe()))
        try:
            with timing_guards(living_caches()), keeping_accounts() as accounts:
                status = _program(words)()
        finally:
            unsubscribe()
    entries = sorted((entry for cache in kept for entry in cache.entries), key=lambda entry: entry.number)
    if not entries:
        message = f"{words[0]} captured nothing; name a function to be captured: {words[0]}:function"
        raise NothingCaptured(message, status)
    return Explanation(entries, events, None, accounts), status


def _function_named_by(word: str) -> tuple[str, str] | None:
    """The file and the function of `script.py:function`; None for other words."""
    path, colon, name = word.rpartition(":")
    return (path, name) if colon and name.isidentifier() and Path(path).is_file() else None


def _program(words: Sequence[str]) -> Callable[[], int]:
    function_named = _function_named_by(words[0])
    if function_named is None:
        return program_of(words)
    path, name = function_named

    def run() -> int:
        with as_if_started([path, *words[1:]], str(Path(path).resolve().parent)):
            namespace = runpy.run_path(path, run_name=RUN_NAME)
            function = namespace.get(name)
            if not callable(function):
                names = sorted(key for key, value in namespace.items() if getattr(value, "__module__", "") == RUN_NAME)
                raise ProgramError(f"{path} has no function {name!r}; it has {', '.join(names) or 'none'}")
            _check_takes_nothing(function, words[0])
            (function if hasattr(function, "entries") else capture(function))()
        return 0

    return run


def _check_takes_nothing(function: Callable[..., Any], word: str) -> None:
    """Raise ProgramError for a function that cannot be called without arguments."""
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise ProgramError(f"{word} is called without arguments, and that cannot be: {error}") from error


def write_output(path: Path, text: str) -> None:
    """Write what a command was asked to write, and the folders that it goes into. Raises ProgramError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ProgramError(f"cannot write {path}: {error.strerror}") from error


@contextlib.contextmanager
def _progress(program: str) -> Iterator[Callable[[str], None]]:
    """What tells, on a terminal, how far a program has come."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"running {program}", total=None)
        yield lambda words: progress.update(task, description=f"running {program}: {words}")
