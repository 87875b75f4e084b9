"""The application: which groups of commands there are, and how errors meant for people are shown."""

from __future__ import annotations

import platform
import sys
import traceback
from types import TracebackType
from typing import Annotated, Final

import torch
import typer

from backends.cases import CaseError
from backends.handover import BadOptions
from backends.registry import UnknownBackend
from passes.record.schema import CorpusError
from passes.rules.language import RuleError
from tracer.commands import (
    audit,
    backends,
    bench,
    cache,
    check,
    corpus,
    explain,
    graph,
    infer,
    programs,
    record,
    report,
    rules,
    why,
)
from tracer.commands.printing import say
from tracer.interpret.explain_call import UnknownName
from tracer.stacks import RUNNER
from tracer.version import VERSION

# What a person did wrong: its words are shown without a traceback.
USER_ERRORS: Final[tuple[type[Exception], ...]] = (
    CorpusError,
    RuleError,
    UnknownBackend,
    BadOptions,
    CaseError,
    check.CheckError,
    programs.ProgramError,
    bench.BenchError,
    cache.CacheError,
    UnknownName,
)

application = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": list(programs.HELP)},
    add_completion=False,
    pretty_exceptions_enable=False,
)
application.add_typer(record.application, name="record")
application.add_typer(corpus.application, name="corpus")
application.command("backends")(backends.backends)
application.command("infer")(infer.infer_rules)
application.command("audit")(audit.audit_operators)
application.add_typer(rules.application, name="rules")
application.command("check")(check.check)
application.command("explain", cls=programs.ProgramCommand, context_settings=programs.WORDS_BELONG_TO_THE_PROGRAM)(
    explain.explain
)
application.command("graph", cls=programs.ProgramCommand, context_settings=programs.WORDS_BELONG_TO_THE_PROGRAM)(
    graph.graph
)
application.command("report", cls=programs.ProgramCommand, context_settings=programs.WORDS_BELONG_TO_THE_PROGRAM)(
    report.report
)
application.command("why")(why.why)
application.command("bench")(bench.bench)
application.add_typer(cache.application, name="cache")


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"bytegraph {VERSION}, torch {torch.__version__}, Python {platform.python_version()}")
        raise typer.Exit


@application.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """See what is captured; record operators, learn their rules; check what backends compute."""


def main(words: list[str] | None = None) -> int:
    """Run the command; what a person did wrong becomes one line on stderr and status 2, or the status of the
    program that was run if that failed. Other errors propagate.
    """
    try:
        application(words, standalone_mode=True)
    except USER_ERRORS as error:
        say(f"error: {error}", err=True)
        return error.status if isinstance(error, programs.NothingCaptured) and error.status else 2
    except SystemExit as exit_request:
        return exit_request.code if isinstance(exit_request.code, int) else 0
    except Exception:
        sys.excepthook = _shown
        raise
    return 0


def _shown(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    """Show what ended this process; of a program that we ran only its own frames, as `python` shows them."""
    every = list(traceback.walk_tb(frames))
    last = max((number for number, (frame, _) in enumerate(every) if frame.f_code.co_filename == RUNNER), default=-1)
    for _ in range(last + 1):
        frames = frames and frames.tb_next
    traceback.print_exception(kind, error, frames)
