"""`audit`: finds where torch's own kernels for tensors without data are wrong, and writes scripts that show it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Annotated, Any

import typer

from passes.infer.assessment.audit import FAKE, META, RULE, Audit, audit, audit_text, file_name, shown
from passes.infer.run import StudyJob, Task, calls_of, tasks_of
from passes.infer.worker import Laboratory
from passes.operators.resolve import UnknownOperator
from passes.record.calls import call_text
from passes.rules.book import Rulebook
from tracer.commands.printing import JsonOption, print_json, print_table, say, with_progress
from tracer.commands.rules import DEFAULT_BOOK, BookOption

MOST_CALLS = 600  # recorded calls of one operator
APART = ("name", "example")  # of a witness's fields: the key, and what JSON has as text


def audit_operators(
    ops: Annotated[str, typer.Argument(help="Pattern for operators, such as 'add*'; several with commas.")] = "*",
    corpora: Annotated[list[Path] | None, typer.Option("--corpus", help="Folder of a corpus; repeatable.")] = None,
    book: BookOption = DEFAULT_BOOK,
    trials: Annotated[int, typer.Option("--trials", help="New calls of each operator.", min=0)] = 100,
    calls: Annotated[
        int, typer.Option("--calls", help="Recorded calls of each operator, at most.", min=1)
    ] = MOST_CALLS,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the new calls.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for scripts that reproduce wrong predictions; each is run first."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare what rules, FakeTensor and the meta device predict with what the operators return."""
    if not corpora:
        raise typer.BadParameter("name at least one corpus: `record opinfo -o DIR` makes one", param_hint="--corpus")
    folders = tuple(map(str, corpora))
    tasks = tasks_of(StudyJob(folders), ops, ("aten",))
    rules = Rulebook(book)
    audits: list[Audit] = []
    scripts: dict[str, Path] = {}
    for _ in with_progress(_audited(tasks, folders, rules, calls, trials, seed, audits), len(tasks), "auditing"):
        pass
    if output is not None:
        scripts = _write(output, [each for each in audits if each.is_torch_wrong])
    if as_json:
        print_json([_facts(each) | {"script": scripts.get(each.op)} for each in audits])
        return
    for each in audits:
        for line in audit_text(each):
            say(line)
        if each.op in scripts:
            say(f"    shown by {scripts[each.op]}")
    _summary(audits)


def _audited(
    tasks: list[Task], folders: tuple[str, ...], book: Rulebook, most: int, trials: int, seed: int, audits: list[Audit]
) -> Iterator[str]:
    """The name of each operator when it was audited; the audit is added to `audits`."""
    with ExitStack() as at_the_end:
        laboratory = at_the_end.enter_context(Laboratory()) if trials else None
        for task in tasks:
            calls, _ = calls_of(folders, task.op, task.level, most=most)
            try:
                audits.append(
                    audit(task.op, task.level, book.rules(task.op, task.level), calls, laboratory, trials, seed)
                )
            except UnknownOperator as error:
                say(f"{task.op}: {error}", err=True)
            yield task.op


def _write(folder: Path, audits: list[Audit]) -> dict[str, Path]:
    """Write a script for each operator that FakeTensor predicts wrongly, if one reproduces that."""
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, Path] = {}
    names = (each.op for each in audits)
    for each, _ in zip(audits, with_progress(names, len(audits), "showing"), strict=True):
        try:
            text = shown(each)
        except TimeoutExpired as error:
            say(f"{each.op}: its script did not end within {error.timeout:g} s", err=True)
            continue
        if text is not None:
            written[each.op] = folder / file_name(each)
            written[each.op].write_text(text, encoding="utf-8")
    return written


def _summary(audits: list[Audit]) -> None:
    rows = []
    for name in (RULE, FAKE, META):
        witnesses = [each.witnesses[name] for each in audits]
        wrong = [witness for witness in witnesses if witness.wrong]
        rows.append(
            (
                name,
                sum(witness.exact for witness in witnesses),
                sum(witness.wrong for witness in witnesses),
                sum(witness.silent for witness in witnesses),
                len(wrong),
                sum(witness.matters for witness in wrong),
                sum("stride" in witness.differences for witness in wrong),
            )
        )
    headings = ("predicted by", "exact", "wrong", "silent", "ops wrong", "that matter", "in strides")
    print_table(f"{len(audits)} operators", headings, rows)


def _facts(result: Audit) -> dict[str, Any]:
    return {
        "op": result.op,
        "calls": result.calls,
        "witnesses": {
            name: {each.name: getattr(witness, each.name) for each in fields(witness) if each.name not in APART}
            | {"example": None if witness.example is None else call_text(witness.example)}
            for name, witness in result.witnesses.items()
        },
    }
