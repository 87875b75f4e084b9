"""`corpus`: shows recorded calls in numbers, one by one or by SQL; merges, splits and compares corpora."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from passes.record.calls import call_text
from passes.record.corpus import Corpus, difference
from passes.record.corpus import merge as merge_corpora
from passes.record.schema import COLUMNS, TENSOR_FACTS, VERSION, CorpusError
from passes.record.split import DEFAULT_SHARE, SPLITS, write_split
from tracer.commands.printing import JsonOption, print_json, print_table, say

application = typer.Typer(no_args_is_help=True, help="Look into a corpus; merge, split or compare corpora.")

FolderArgument = Annotated[Path, typer.Argument(help="Folder of the corpus.")]


@application.command()
def stat(
    folder: FolderArgument,
    most: Annotated[int, typer.Option("--most", help="Operators that are listed.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Numbers of calls, signatures, operators, errors, bytes per call; and the operators called most."""
    corpus = Corpus(folder)
    operators = corpus.operators()
    statistics = corpus.statistics()
    facts = asdict(statistics) | {"bytes_per_call": round(statistics.bytes_per_call, 3)}
    headings = ("op", "level", "rows", "calls")
    if as_json:
        print_json(facts | {"most_called": [dict(zip(headings, row, strict=True)) for row in operators[:most]]})
        return
    words = (
        (name.replace("_", " "), ", ".join(value) if isinstance(value, tuple) else value)
        for name, value in facts.items()
    )
    print_table(str(folder), ("figure", "value"), words)
    print_table(f"most called of {len(operators)}", headings, operators[:most])


@application.command()
def show(
    folder: FolderArgument,
    op: Annotated[str, typer.Argument(help="An operator, or a part of the names of several operators.")],
    most: Annotated[int, typer.Option("--most", help="Rows per operator.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """The calls of one operator, the most frequent first: arguments, results, aliases, writes, errors."""
    corpus = Corpus(folder)
    names = corpus.matching(op)
    if not names:
        raise CorpusError(f"no operator in {folder} has {op!r} in its name; see `corpus stat {folder}`")
    if as_json:
        rows = [row for name in names for row in islice(corpus.load(name).to_pylist(), most)]
        print_json([row | {"arguments": dict(row["arguments"])} for row in rows])
        return
    for name in names:
        for call in corpus.calls(name, most):
            say(f"{call.count:>8}  {call_text(call)}  {call.location}".rstrip())


@application.command()
def sql(folder: FolderArgument, query: str, as_json: JsonOption = False) -> None:
    """Query the table `calls` in SQL. `tensor(given[1]).size` reads the facts of a tensor; see `corpus schema`."""
    names, rows = Corpus(folder).sql(query)
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(f"{len(rows):,} rows", names, rows)


@application.command()
def merge(
    sources: Annotated[list[Path], typer.Argument(help="Corpora; the target may be among them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the merged corpus.")],
    memory: Annotated[int, typer.Option("--memory", help="MiB of memory for merging.", min=64)] = 256,
    as_json: JsonOption = False,
) -> None:
    """Merge several corpora (or the parts of one) into one file; equal calls are counted together."""
    from rich.console import Console

    corpora = [Corpus(source) for source in sources]
    with Console(stderr=True).status(f"merging {sum(len(corpus.files) for corpus in corpora)} files ..."):
        path = merge_corpora(corpora, output, memory << 20)
    merged = Corpus(output).statistics()
    if as_json:
        print_json({"file": path, "rows": merged.rows, "calls": merged.calls, "bytes": merged.bytes})
    else:
        say(f"{path}: {merged.rows:,} different calls of {merged.calls:,}, {merged.bytes:,} bytes", err=True)


@application.command()
def split(
    folder: FolderArgument,
    output: Annotated[
        tuple[Path, Path],
        typer.Option("-o", "--output", help="Folder of the calls to learn from, and folder of those held out."),
    ],
    by: Annotated[str, typer.Option("--by", help=f"What is held out: {', '.join(SPLITS)}.")] = "signature",
    share: Annotated[float, typer.Option("--share", help="Share of the calls that is held out.")] = DEFAULT_SHARE,
    as_json: JsonOption = False,
) -> None:
    """Split a corpus into calls to learn from and calls held out; equal corpora are split alike."""
    rows = write_split(Corpus(folder), by, share, *output)
    if as_json:
        print_json([{"folder": path, "rows": count} for path, count in zip(output, rows, strict=True)])
    else:
        say(f"{rows[0]:,} different calls in {output[0]}, {rows[1]:,} held out in {output[1]}", err=True)


@application.command()
def diff(left: Path, right: Path, as_json: JsonOption = False) -> None:
    """List operators with calls in one corpus only, or with other outcomes. Exits with 1 if there are any."""
    differences = difference(Corpus(left), Corpus(right))
    if as_json:
        print_json([asdict(row) for row in differences])
    elif differences:
        rows = ((r.op, r.level, r.only_left, r.only_right, r.changed, r.same) for r in differences)
        print_table("signatures", ("op", "level", "only left", "only right", "other outcome", "same"), rows)
    else:
        say("no difference", err=True)
    raise typer.Exit(1 if differences else 0)


@application.command()
def schema(as_json: JsonOption = False) -> None:
    """List the columns of a corpus, and the facts that `tensor(text)` reads in SQL."""
    if as_json:
        print_json({"version": VERSION, "columns": [asdict(column) for column in COLUMNS], "tensor": TENSOR_FACTS})
        return
    print_table(
        f"calls (schema version {VERSION})",
        ("column", "type", "meaning"),
        ((c.name, c.type, c.meaning) for c in COLUMNS),
    )
    rows = ((name, kind, usual or "") for name, (kind, usual) in TENSOR_FACTS.items())
    print_table("tensor(text)", ("fact", "type", "if absent"), rows)
