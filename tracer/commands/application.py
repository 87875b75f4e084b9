"""The application: which groups of commands there are, and how errors meant for people are shown."""

from __future__ import annotations

import sys

import typer

from passes.record.schema import CorpusError
from tracer.commands import corpus, record

application = typer.Typer(
    name="python -m tracer",
    help="Record calls of tensor operators, and ask what was recorded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
application.add_typer(record.application, name="record")
application.add_typer(corpus.application, name="corpus")


def main(words: list[str] | None = None) -> int:
    """Run the command; what a person did wrong becomes one line on stderr and status 2."""
    try:
        application(words, standalone_mode=True)
    except CorpusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except SystemExit as exit_request:
        return exit_request.code if isinstance(exit_request.code, int) else 0
    return 0
