"""`python -m tracer cache`: what is in a folder of stored captures, whether it is sound, and its removal."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from tracer.commands.printing import JsonOption, print_json, print_table, say
from tracer.options import CACHE_VARIABLE
from tracer.store.errors import BadFile
from tracer.store.folder import Folder, StoredFile, read
from tracer.store.graphs import operator_counts

application = typer.Typer(no_args_is_help=True, help="Look into a folder of stored captures.")

FolderArgument = Annotated[
    Path | None, typer.Argument(help=f"The folder; without one, that which {CACHE_VARIABLE} names.")
]
"""The folder that a command is about."""


SHORT = 8
"""How much of the name of a file is printed."""


class CacheError(Exception):
    """There is no such folder, or no such file in it."""


def _folder(path: Path | None) -> Folder:
    name = path or os.environ.get(CACHE_VARIABLE)
    if not name:
        raise CacheError(f"name a folder, or set {CACHE_VARIABLE}")
    if not Path(name).is_dir():
        raise CacheError(f"{name} is no folder")
    return Folder(name)


def _row(file: StoredFile) -> dict[str, Any]:
    """One file as a row: the function that was captured, or why it cannot be read."""
    row: dict[str, Any] = {"file": file.path.name, "bytes": file.size, "used": _moment(file.used)}
    try:
        data, written = read(file.path)
        name, source, line = data["place"]
        row |= {"function": str(name), "place": f"{os.path.basename(source)}:{line}", "saved": _moment(written)}
    except BadFile as error:
        row |= {"function": "", "place": str(error), "saved": ""}
    except (TypeError, ValueError, KeyError):
        row |= {"function": "", "place": "it is no entry", "saved": ""}
    return row


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


@application.command("list")
def list_files(folder: FolderArgument = None, as_json: JsonOption = False) -> None:
    """List the stored captures, the ones used latest first."""
    rows = [_row(file) for file in _folder(folder).files()]
    if as_json:
        print_json(rows)
        return
    names = ("function", "place", "bytes", "saved")
    short = [(*(row[name] for name in names), row["file"][:SHORT]) for row in rows]
    print_table("Stored captures", (*names, "file"), short)


@application.command("show")
def show(
    folder: FolderArgument = None,
    name: Annotated[str, typer.Argument(help="The beginning of the name of its file.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show one stored capture: its guards, the operators of its graph, and what it refers to."""
    fitting = [file for file in _folder(folder).files() if name and file.path.name.startswith(name)]
    if len(fitting) != 1:
        raise CacheError(f"{len(fitting)} files begin with {name!r}")
    try:
        data, written = read(fitting[0].path)
    except BadFile as error:
        raise CacheError(f"{fitting[0].path}: {error}") from None
    if as_json:
        print_json(data)
        return
    place, source, line = data["place"]
    checks = Counter(data["facts"][number][0] for number in data["guards"][1::3])
    operators = operator_counts(data["graph"]) if data["graph"] else Counter[str]()
    say(f"{place}, {source}:{line}, saved at {_moment(written)}")
    say(f"\nguards: {', '.join(f'{count} {check}' for check, count in checks.most_common())}")
    say("\nobjects known by identity:")
    for how, what in data["objects"]:
        say(f"  {_words(what)}, found by {_words(how)}")
    say(f"\noperators: {', '.join(f'{name} {count}' for name, count in operators.most_common())}")


def _words(parts: list[Any]) -> str:
    return " ".join(str(part) for part in parts if not isinstance(part, list))


@application.command("verify")
def verify(folder: FolderArgument = None, as_json: JsonOption = False) -> None:
    """Check that every file is whole and as it was written; ends with status 1 if one is not."""
    faults = []
    for file in _folder(folder).files():
        try:
            read(file.path)
        except BadFile as error:
            faults.append({"file": str(file.path), "fault": str(error)})
    if as_json:
        print_json(faults)
    else:
        for fault in faults:
            say(f"{fault['file']}: {fault['fault']}")
    if faults:
        raise typer.Exit(1)


@application.command("clear")
def clear(folder: FolderArgument = None) -> None:
    """Remove all stored captures."""
    removed = _folder(folder).shrink(limit=-1)
    say(f"{removed} files removed")
