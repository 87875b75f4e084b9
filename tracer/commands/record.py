"""`record`: records the calls of a program, of torch's operator database, of everyday code or of models."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from passes.meta import DTYPE_BY_NAME
from passes.record.corpus import merge_files
from passes.record.program import run_program
from passes.record.recorder import Recorder
from passes.record.schema import FILE_PREFIX, LEVELS, CorpusError
from passes.record.sources import models, modules, operators, usage
from passes.record.storage import rows_in
from passes.record.workers import FinishedTask, in_this_process, in_workers
from tracer.commands.printing import JsonOption, print_json, say, with_progress
from tracer.commands.programs import HELP

RUN = "run"


class ProgramGroup(TyperGroup):
    """A command group in which a first word that is not a command belongs to the command `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the first word that is no command for a program to run."""
        if args and args[0] not in self.commands and args[0] not in HELP:
            args = [RUN, *args]
        return super().parse_args(ctx, args)


application = typer.Typer(
    cls=ProgramGroup,
    no_args_is_help=True,
    help="Record calls of tensor operators into a corpus: `record -o DIR script.py args...`, "
    "`record -o DIR -- -m pytest ...`, `record opinfo -o DIR`, `record modules -o DIR`, `record usage -o DIR` "
    "or `record models -o DIR`.",
)

OutputOption = Annotated[Path, typer.Option("-o", "--output", help="Folder of the corpus.")]
LevelOption = Annotated[
    list[str], typer.Option("--level", help=f"Level at which calls are recorded; repeatable: {', '.join(LEVELS)}.")
]
MemoryOption = Annotated[
    int, typer.Option("--memory", help="MiB of calls that each process keeps in memory before it writes a file.", min=1)
]
IntegersOption = Annotated[
    int, typer.Option("--integers", help="Record the elements of integer tensors with at most this many.", min=0)
]
ChildrenOption = Annotated[
    bool, typer.Option("--children/--no-children", help="Also record Python processes that the program starts.")
]
JobsOption = Annotated[
    int,
    typer.Option(
        "--jobs", help="Number of worker processes; a crash then costs one task. 0 records in this process.", min=0
    ),
]
BackwardOption = Annotated[bool, typer.Option("--backward/--no-backward", help="Also record backward passes.")]
ATEN = ["aten"]


@contextmanager
def reported(folder: Path, as_json: bool) -> Iterator[list[str]]:
    """Report at the end how many rows all processes wrote, and the failures that the caller put into the list."""
    failures: list[str] = []
    before, started = set(folder.glob(f"{FILE_PREFIX}*")), time.perf_counter()
    try:
        yield failures
    finally:
        rows = rows_in(set(folder.glob(f"{FILE_PREFIX}*")) - before)
        seconds = round(time.perf_counter() - started, 3)
        if as_json:
            print_json({"corpus": str(folder), "rows": rows, "seconds": seconds, "failures": failures})
        else:
            for failure in failures:
                say(f"failed: {failure}", err=True)
            say(f"{rows:,} different calls in {folder}, {seconds:.3g} s", err=True)


def record_all(
    make_recorder: Callable[[], Recorder],
    start: Callable[[Recorder], Callable[[str], None]],
    tasks: Sequence[str],
    jobs: int,
    as_json: bool,
) -> None:
    """Do the tasks, here or in workers, with a progress bar; then merge the files that they wrote.

    Exits with 1 if a task killed its worker.
    """
    recorder = make_recorder()
    folder = recorder.folder
    before = set(folder.glob(f"{FILE_PREFIX}*"))
    with reported(folder, as_json) as failures:
        try:
            finished = (
                in_workers(make_recorder, start, tasks, jobs) if jobs else in_this_process(recorder, start, tasks)
            )
            for _ in with_progress(names_of(finished, failures), len(tasks), "recording"):
                pass
        finally:
            recorder.close()
            written = sorted(set(folder.glob(f"{FILE_PREFIX}*")) - before)
            if len(written) > 1:
                merge_files(written, folder / f"{FILE_PREFIX}{secrets.token_hex(4)}.parquet")
    raise typer.Exit(1 if failures else 0)


def names_of(tasks: Iterable[FinishedTask], failures: list[str]) -> Iterator[str]:
    """The names of finished tasks; failures are added to `failures` in words."""
    for task in tasks:
        if task.failure:
            failures.append(f"{task.name}: {task.failure}")
        yield task.name


@application.command(
    RUN,
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
    short_help="Record a script, or -m and a module (`run` may be left out).",
)
def run(
    program: Annotated[list[str], typer.Argument(help="script.py args..., or -- -m module args...")],
    output: OutputOption,
    level: LevelOption = ATEN,
    memory: MemoryOption = 256,
    integers: IntegersOption = 0,
    children: ChildrenOption = True,
    as_json: JsonOption = False,
) -> None:
    """Run a program as python would, and record its calls. Exits with the program's own status."""
    recorder = Recorder(output, level, memory << 20, integers)
    with reported(output, as_json):
        try:
            status = run_program(recorder, program, children)
        finally:
            recorder.close()
    raise typer.Exit(status)


@application.command()
def opinfo(
    output: OutputOption,
    ops: Annotated[str, typer.Option("--ops", help="Pattern for operator names, such as '*conv*'.")] = "*",
    dtype: Annotated[
        list[str], typer.Option("--dtype", help="A dtype such as f32; repeatable. Default: the usual ones.")
    ] = [],  # noqa: B006
    layout: Annotated[
        list[str], typer.Option("--layout", help="A layout such as transposed; repeatable. Default: all.")
    ] = [],  # noqa: B006
    samples: Annotated[
        int | None, typer.Option("--samples", help="At most this many samples per operator and dtype.")
    ] = None,
    part: Annotated[
        str,
        typer.Option("--part", help="I/N: every N-th operator from number I on, to share the work between machines."),
    ] = "0/1",
    backward: BackwardOption = True,
    errors: Annotated[
        bool, typer.Option("--errors/--no-errors", help="Also record inputs that the operator refuses.")
    ] = True,
    jobs: JobsOption = 0,
    level: LevelOption = ATEN,
    memory: MemoryOption = 256,
    integers: IntegersOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Record the operators of torch's own database: samples in several layouts and dtypes, backward, errors."""
    index, parts = part_of(part)
    plan = operators.OpInfoPlan(
        pattern=ops,
        dtypes=[entry_called("dtype", name, DTYPE_BY_NAME) for name in dtype] or operators.DTYPES,
        layouts=[entry_called("layout", name, {key: key for key in operators.LAYOUTS}) for name in layout]
        or tuple(operators.LAYOUTS),
        backward=backward,
        errors=errors,
        samples=samples,
        part=index,
        parts=parts,
    )
    make_recorder = partial(Recorder, output, level, memory << 20, integers)
    record_all(make_recorder, partial(operators.start, plan), operators.titles(plan), jobs, as_json)


@application.command("models")
def record_models(
    output: OutputOption,
    names: Annotated[str, typer.Option("--names", help="Pattern for model names, such as 'gpt*'.")] = "*",
    zoo: Annotated[str, typer.Option("--zoo", help="Module with NAMES and build(name).")] = models.DEFAULT_ZOO,
    backward: BackwardOption = True,
    jobs: JobsOption = 0,
    level: LevelOption = ATEN,
    memory: MemoryOption = 256,
    integers: IntegersOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Record the models of a zoo (the tests' by default), forward and backward."""
    tasks = models.chosen(models.zoo_called(zoo), names)
    make_recorder = partial(Recorder, output, level, memory << 20, integers)
    record_all(make_recorder, partial(models.start, zoo, backward), tasks, jobs, as_json)


@application.command("usage")
def record_usage(
    output: OutputOption,
    names: Annotated[str, typer.Option("--names", help="Pattern for names of uses, such as 'first'.")] = "*",
    jobs: JobsOption = 0,
    level: LevelOption = ATEN,
    memory: MemoryOption = 256,
    integers: IntegersOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Record everyday expressions that torch's operator database has no sample of: `x[None]`, `x.data`, `2**x`."""
    make_recorder = partial(Recorder, output, level, memory << 20, integers)
    record_all(make_recorder, usage.start, usage.titles(names), jobs, as_json)


@application.command("modules")
def record_modules(
    output: OutputOption,
    names: Annotated[str, typer.Option("--names", help="Pattern for names of modules, such as 'nn.Conv*'.")] = "*",
    jobs: JobsOption = 0,
    level: LevelOption = ATEN,
    memory: MemoryOption = 256,
    integers: IntegersOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Record the modules of torch's own database: inputs in several layouts, training, backward."""
    make_recorder = partial(Recorder, output, level, memory << 20, integers)
    record_all(make_recorder, modules.start, list(modules.chosen(names)), jobs, as_json)


def part_of(text: str) -> tuple[int, int]:
    """`1/4` as two numbers. Raises CorpusError if the text is not of this form."""
    first, slash, last = text.partition("/")
    if not (slash and first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise CorpusError(f"--part {text!r} is not I/N with I from 0 to N - 1")
    return int(first), int(last)


def entry_called(what: str, name: str, table: dict[str, Any]) -> Any:
    """The entry of a table with this name. Raises CorpusError listing the names if there is none."""
    if name not in table:
        raise CorpusError(f"there is no {what} {name!r}; choose from {', '.join(sorted(table))}")
    return table[name]
