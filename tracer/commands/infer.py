"""`infer`: learns a rulebook from corpora, operator by operator, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from passes.infer.engines import ENGINES, usual_jobs
from passes.infer.fake_kernels.emit import fake_kernels, of_schema
from passes.infer.run import Engine, StudyJob, StudyReport, Task, imperfect, infer, tasks_of, to_do
from passes.meta import CPU
from passes.operators.resolve import UnknownOperator
from passes.record.schema import LEVELS
from passes.rules.book import Rulebook
from passes.rules.language import RuleError
from passes.rules.rule import Rule
from tracer.commands.printing import JsonOption, print_json, print_table, say, with_progress

TORCHS_OWN = ("aten::", "prims::", "prim::", "torch.")
BOTH = "both"
USUAL = StudyJob(())
JOBS = usual_jobs()


Corpora = Annotated[list[Path], typer.Argument(help="Folders of the corpora, taken together.")]
OutputOption = Annotated[
    Path,
    typer.Option("-o", "--output", help="Folder of the rulebook; rules already learned from the same calls are kept."),
]
OperatorsOption = Annotated[str, typer.Option("--ops", help="Operators: 'add*', 'aten::sum.*', several with commas.")]
LevelOption = Annotated[
    str, typer.Option("--level", help=f"Level of the recorded calls: {', '.join(LEVELS)} or {BOTH}.")
]
JobsOption = Annotated[int, typer.Option("--jobs", help="Number of studies at a time.", min=1)]
EngineOption = Annotated[str, typer.Option("--engine", help=f"What hands out the studies: {', '.join(ENGINES)}.")]
TrialsOption = Annotated[int, typer.Option("--trials", help="Trials in each round of a study.", min=1)]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of all random choices.")]
TermsOption = Annotated[
    int, typer.Option("--terms", help="Expressions that a study compares with calls before its last round.", min=1)
]
HeldOutOption = Annotated[
    float, typer.Option("--held-out", help="Share of signatures kept to check the rules on.", min=0, max=1)
]
ModulesOption = Annotated[
    list[str] | None, typer.Option("--import", help="Module that registers operators; repeatable.")
]
EmitFakeOption = Annotated[
    Path | None, typer.Option("--emit-fake", help="Write fake kernels of custom operators into this Python file.")
]
ImperfectOption = Annotated[
    Path | None,
    typer.Option(
        "--imperfect-in", help="Study only operators that this book lacks, or predicts wrongly or not at all."
    ),
]
SiblingsOption = Annotated[
    bool,
    typer.Option("--siblings", help="Study operators with few calls also on calls of those with like parameters."),
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", help="Type of device whose recorded calls are studied; nothing is tried on another one."),
]
AgainOption = Annotated[
    bool, typer.Option("--again", help="Study all operators again, even if their calls have not changed.")
]


def infer_rules(
    corpora: Corpora,
    output: OutputOption,
    ops: OperatorsOption = "*",
    level: LevelOption = BOTH,
    jobs: JobsOption = JOBS,
    engine: EngineOption = "local",
    trials: TrialsOption = USUAL.trials,
    seed: SeedOption = 0,
    terms: TermsOption = USUAL.terms,
    held_out: HeldOutOption = 0.0,
    modules: ModulesOption = None,
    emit_fake: EmitFakeOption = None,
    imperfect_in: ImperfectOption = None,
    siblings: SiblingsOption = False,
    device: DeviceOption = CPU.type,
    again: AgainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Learn rules from recorded calls, try to refute them on the real operators, and write a rulebook.

    A run that was stopped continues where it stopped. Exits with 1 if a study failed.
    """
    job = StudyJob(tuple(map(str, corpora)), trials, seed, terms, held_out, tuple(modules or ()), siblings, device)
    levels = LEVELS if level == BOTH else (_one_of(LEVELS, level, "--level"),)
    run = ENGINES[_one_of(tuple(ENGINES), engine, "--engine")]
    tasks = tasks_of(job, ops, levels)
    if imperfect_in is not None:
        tasks = imperfect(imperfect_in, tasks)
    waiting = tasks if again else to_do(output, tasks)
    reports: list[StudyReport] = []
    for _ in with_progress(_named(output, job, waiting, run, jobs, reports), len(waiting), "studying"):
        pass
    reports.sort(key=lambda report: (report.level, report.op))
    if as_json:
        print_json({"book": output, "kept": len(tasks) - len(waiting), "studies": [_facts(each) for each in reports]})
    else:
        _show(output, len(tasks) - len(waiting), reports, held_out)
    if emit_fake is not None:
        _emit(emit_fake, output, tasks, job.modules)
    raise typer.Exit(1 if any(report.failure for report in reports) else 0)


def _emit(file: Path, folder: Path, tasks: list[Task], modules: tuple[str, ...]) -> None:
    """Write the fake kernels of custom operators into a file. Raises RuleError if none can be written."""
    for module in modules:
        import_module(module)
    book = Rulebook(folder)
    usable: list[Rule] = []
    custom = [task for task in tasks if not task.op.startswith(TORCHS_OWN)]
    overloads_last = sorted(custom, key=lambda task: (task.level == "aten", task.op))
    for op, level in {task.op: task.level for task in overloads_last}.items():
        try:
            rule = of_schema(book.rules(op, level), op)
            fake_kernels([rule])
        except (RuleError, UnknownOperator) as error:
            say(f"no fake kernel: {error}", err=True)
        else:
            usable.append(rule)
    if not usable:
        raise RuleError("no fake kernel was written: no rule of a custom operator allows one")
    file.write_text(fake_kernels(usable), encoding="utf-8")
    say(f"{file}: fake kernels of {', '.join(rule.op for rule in usable)}", err=True)


def _one_of(choices: tuple[str, ...], choice: str, option: str) -> str:
    if choice not in choices:
        raise typer.BadParameter(f"{choice!r} is none of {', '.join(choices)}", param_hint=option)
    return choice


def _named(
    folder: Path, job: StudyJob, tasks: list[Task], run: Engine, jobs: int, reports: list[StudyReport]
) -> Iterator[str]:
    """The name of each operator as its study ends; its report is added to `reports`."""
    for report in infer(folder, job, tasks, run, jobs):
        reports.append(report)
        yield report.op


def _facts(report: StudyReport) -> dict[str, Any]:
    return asdict(report) | {"rules": len(report.rules), "unknown": report.is_unknown}


def _show(folder: Path, kept: int, reports: list[StudyReport], held_out: float) -> None:
    for report in reports:
        if report.failure:
            hint = " (--import it)" if report.failure.startswith(UnknownOperator.__name__) else ""
            say(f"failed: {report.op}: {report.failure}{hint}", err=True)
        elif report.crashes:
            say(f"{report.op}: {len(report.crashes)} trials crashed, first {report.crashes[0]}", err=True)
    if held_out:
        imperfect = [each for each in reports if each.held_out.wrong or each.held_out.unknown]
        sides = [(each.op, each.held_out) for each in imperfect]
        rows = ((op, h.exact, h.wrong, h.unknown, h.data_dependent, _words(h.differences)) for op, h in sides)
        print_table("held out", ("op", "exact", "wrong", "unknown", "data-dependent", "wrong in"), rows)
    answering = [report for report in reports if report.failure is None and not report.is_unknown]
    exact, wrong = (sum(getattr(each.held_out, name) for each in reports) for name in ("exact", "wrong"))
    words = [
        f"{folder}: {len(answering)} of {len(reports)} operators have rules, {kept} were not studied again",
        f"{sum(each.calls for each in reports):,} calls fitted, {sum(each.trials for each in reports):,} trials, "
        f"{sum(each.refuted for each in reports):,} of which refuted a rule",
        *([f"held out: {exact:,} exact, {wrong:,} wrong"] if held_out else []),
        f"{sum(each.seconds for each in reports):.0f} s of study",
    ]
    say("; ".join(words), err=True)


def _words(differences: Any) -> str:
    return ", ".join(f"{name} {count}" for name, count in differences.items())
