"""Inference runs: which operators of some corpora are to be studied, the study of one, and what is kept of it.

A task is one operator at one level. Its result depends on the task and the StudyJob alone, so that any process on any
machine may do it, in any order. Knows nothing of how tasks are handed out.
"""

from __future__ import annotations

import hashlib
import json
import platform
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import torch

from passes.infer.assessment.assess import tally
from passes.infer.devices import as_on_cpu
from passes.infer.search.observation import is_plain
from passes.infer.study import Plan, study
from passes.infer.trials.runner import CrashLog, TrialRunner, trials_made
from passes.infer.trials.siblings import bound_to, operators_without_calls, siblings_of
from passes.infer.trials.variant import CallVariant, identity
from passes.infer.validity.accidents import without_accidents
from passes.infer.validity.layouts import confirmed_by_calls, tried_in_layouts
from passes.infer.validity.preconditions import with_preconditions
from passes.infer.validity.trials_together import tried_together
from passes.infer.validity.widen import widened
from passes.infer.validity.withdraw import withdrawn_widely
from passes.infer.worker import LaboratoryError
from passes.meta import CPU
from passes.operators.resolve import UnknownOperator
from passes.record.calls import Call, Failure, call_of
from passes.record.corpus import Corpus
from passes.record.schema import INPUT_NAMES, LEVELS, OUTCOME_NAMES, CorpusError, Row
from passes.rules.book import path_of, write_rules, write_title
from passes.rules.rule import VERSION, Rule, from_json, to_json

MOST_OF_SIBLING: Final = 300  # rows of one sibling of an operator, of one corpus
MOST_OF_SIBLINGS: Final = 400  # inputs made of them
MOST_WITH_SIBLINGS: Final = 200  # calls of an operator that those of siblings are added to
MOST_ROWS: Final = 12_000  # rows that are read of one operator of one corpus
LOG: Final = "studies.jsonl"  # in the folder of a book: how each operator was studied
SIGNATURE: Final = f"md5(to_json([{', '.join(f'to_json({name})::varchar' for name in INPUT_NAMES)}])::varchar)"
OUTCOME: Final = f"to_json([{', '.join(f'to_json({name})::varchar' for name in OUTCOME_NAMES)}])::varchar"
SUMMED: Final = (
    f"select op, level, count(*), sum(hash({SIGNATURE}, {OUTCOME})::hugeint)::varchar from calls group by all"
)


@dataclass(frozen=True, slots=True)
class StudyJob:
    """What holds for every task of a run: how hard to look (see Plan), and the share of signatures `held_out`.

    `modules`, which register operators, are imported before trials are made. With `siblings`, operators of which the
    corpora have no call, or few, are studied on calls made from those of their siblings. Calls on another `device` than
    the CPU may have been recorded on another machine: rules claim what these show, as nothing can be tried.
    """

    corpora: tuple[str, ...]
    trials: int = Plan().trials
    seed: int = 0
    terms: int = Plan().terms
    held_out: float = 0.0
    modules: tuple[str, ...] = ()
    siblings: bool = False
    device: str = CPU.type

    def plan(self) -> Plan:
        """The counted work that a study of this job may do."""
        return Plan(trials=self.trials, seed=self.seed, terms=self.terms)


@dataclass(frozen=True, slots=True)
class Task:
    """One operator to study: how many rows the corpora have of it, and a hash of these rows and of the job."""

    op: str
    level: str
    rows: int
    hash: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How rules predict calls that they were not fitted to; a rule that mispredicts some is then withdrawn there."""

    exact: int = 0
    wrong: int = 0
    unknown: int = 0
    data_dependent: int = 0
    differences: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class StudyReport:
    """The result of one task: rules as JSON has them, and what finding them took; or why the study failed."""

    op: str
    level: str
    hash: str
    failure: str | None = None
    rules: tuple[Mapping[str, Any], ...] = ()
    calls: int = 0
    trials: int = 0
    refuted: int = 0
    crashes: tuple[str, ...] = ()
    clean: bool = False
    terms: int = 0
    seconds: float = 0.0  # a measurement: nothing depends on it
    held_out: HeldOut = HeldOut()

    @property
    def is_unknown(self) -> bool:
        """Whether the study ended well without a rule that answers anything."""
        return self.failure is None and all(from_json(rule).is_unknown for rule in self.rules)


def report_from(data: Mapping[str, Any]) -> StudyReport:
    """The report that `asdict` made the JSON of; facts that it lacks have their defaults."""
    facts = {each.name: data[each.name] for each in fields(StudyReport) if each.name in data}
    held_out = HeldOut(**facts.pop("held_out", {}))
    rules, crashes = tuple(facts.pop("rules", ())), tuple(facts.pop("crashes", ()))
    return StudyReport(**facts, rules=rules, crashes=crashes, held_out=held_out)


# Engine: studies tasks in so many processes at a time, and gives their reports in the order in which they end.
Engine = Callable[[StudyJob, Sequence[Task], int], Iterator[StudyReport]]


def tasks_of(job: StudyJob, pattern: str = "*", levels: Sequence[str] = LEVELS) -> list[Task]:
    """The operators of the corpora whose names match a pattern, with or without namespace; the most rows first.

    `pattern` is a shell pattern, or several with commas between them. Raises CorpusError if none matches.
    """
    rows: dict[tuple[str, str], int] = {}
    sums: dict[tuple[str, str], list[int]] = {}
    for folder in job.corpora:
        for op, level, count, total in Corpus(folder).sql(SUMMED)[1]:
            if level in levels and matches(op, pattern):
                rows[op, level] = rows.get((op, level), 0) + count
                sums.setdefault((op, level), []).append(int(total))
    conditions: list[object] = [VERSION, torch.__version__, job.trials, job.terms, job.seed, job.held_out]
    if job.device != CPU.type:
        conditions.append(job.device)
    if job.siblings:
        conditions.append(sum(int(total) for each in sums.values() for total in each))
        missing = operators_without_calls(recorded_in(job.corpora))
        rows.update({(op, level): 0 for level, op in missing if level in levels and matches(op, pattern)})
    tasks = [
        Task(op, level, count, _digest([*conditions, sum(sums.get((op, level), ()))]))
        for (op, level), count in rows.items()
    ]
    if not tasks:
        raise CorpusError(
            f"no operator in {', '.join(job.corpora)} is called {pattern!r} at level {' or '.join(levels)}"
        )
    return sorted(tasks, key=lambda task: (-task.rows, task.op, task.level))


def matches(op: str, pattern: str) -> bool:
    """Whether an operator's name, with or without namespace and overload, matches one of the shell patterns."""
    bare = op.rpartition("::")[2] if "::" in op else op.removeprefix("torch.")
    return any(fnmatchcase(name, part) for part in pattern.split(",") for name in (op, bare, bare.partition(".")[0]))


def _digest(facts: Iterable[object]) -> str:
    return hashlib.sha256(repr(list(facts)).encode()).hexdigest()[:16]


@lru_cache(maxsize=4)
def recorded_in(corpora: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """The level and name of every operator in some corpora."""
    return frozenset((level, op) for folder in corpora for op, level, *_ in Corpus(folder).operators())


def inputs_of_siblings(corpora: tuple[str, ...], op: str, level: str, seed: int = 0) -> list[CallVariant]:
    """Inputs of an operator made from calls of its siblings in some corpora; at most MOST_OF_SIBLINGS."""
    draw = random.Random(f"{seed} siblings {level} {op}")
    inputs: dict[Any, CallVariant] = {}
    for other_level, other in siblings_of((level, op), recorded_in(corpora)):
        calls = [call for call in calls_of(corpora, other, other_level, most=MOST_OF_SIBLING)[0] if is_plain(call)]
        variants = bound_to((level, op), [call for call in calls if not isinstance(call.outcome, Failure)], draw)
        inputs.update((identity(variant), variant) for variant in variants)
    return draw.sample(list(inputs.values()), min(len(inputs), MOST_OF_SIBLINGS))


def calls_of(
    corpora: Sequence[str],
    op: str,
    level: str,
    held_out: float = 0.0,
    most: int = MOST_ROWS,
    device: str = CPU.type,
) -> tuple[list[Call], list[Call]]:
    """The calls of one operator to learn from, and those held out, in an order that only their contents decide.

    Of each corpus at most `most`, chosen by their digests. Calls on another `device` than the CPU are given as if they
    had been made on the CPU, and no others are given then.
    """
    rows: dict[str, Row] = {}
    for folder in corpora:
        rows.update((row["signature"], row) for row in _rows(folder, op, level, most))
    fit: list[Call] = []
    held: list[Call] = []
    for signature, row in sorted(rows.items()):
        call = _call(row)
        if call is not None and device != CPU.type:
            call = as_on_cpu(call, device)
        if call is not None:
            (held if int(signature[:8], 16) < held_out * (1 << 32) else fit).append(call)
    return fit, held


def _rows(folder: str, op: str, level: str, most: int) -> list[Row]:
    """Rows with different inputs, each with a digest of them as `signature`; at most `most`, by their digests."""
    by_signature: dict[str, Row] = {}
    table = _tables(folder).get(op)
    for row in [] if table is None else table.to_pylist():
        if row["level"] == level:
            row["signature"] = hashlib.md5(_text(row, INPUT_NAMES), usedforsecurity=False).hexdigest()
            other = by_signature.get(row["signature"])
            if other is None or _text(row, OUTCOME_NAMES) < _text(other, OUTCOME_NAMES):
                by_signature[row["signature"]] = row
    return [row for _, row in sorted(by_signature.items())[:most]]


def _text(row: Row, names: Sequence[str]) -> bytes:
    return json.dumps([row[name] for name in names]).encode()


@lru_cache(maxsize=4)
def _tables(folder: str) -> Mapping[str, Any]:
    """A corpus by operator, kept in memory: a process studies many operators, and rows are few bytes each."""
    return Corpus(folder).by_operator()


def _call(row: Row) -> Call | None:
    """The call in a row; None if it has a nested tensor, which has no meta."""
    try:
        return call_of(row)
    except ValueError:
        return None


def study_task(job: StudyJob, task: Task, laboratory: TrialRunner) -> StudyReport:
    """Study one operator: its rules, with preconditions and in as wide a domain as trials confirm.

    An operator that the laboratory does not know, or that ends the laboratory itself, is reported as a failure.
    """
    started = time.perf_counter()
    log = CrashLog(laboratory)
    fit, held = calls_of(job.corpora, task.op, task.level, job.held_out, device=job.device)
    try:
        if job.device != CPU.type:
            result = study(task.op, task.level, fit, None, job.plan())
            rules = [confirmed_by_calls(without_accidents(rule), fit) for rule in result.rules]
        else:
            fit += _calls_of_siblings(job, task, fit, log)
            result = study(task.op, task.level, fit, log, job.plan())
            rules = _limited(list(map(without_accidents, result.rules)), job, fit, log)
    except (UnknownOperator, LaboratoryError) as error:
        return StudyReport(task.op, task.level, task.hash, failure=f"{type(error).__name__}: {error}")
    predicted = tally(task.op, rules, held)
    if predicted.wrong:
        rules = [withdrawn_widely(rule, held, [*fit, *held]) for rule in rules]
    return StudyReport(
        task.op,
        task.level,
        task.hash,
        rules=tuple(map(to_json, rules)),
        calls=result.calls,
        trials=result.trials,
        refuted=result.refuted,
        crashes=tuple(f"{crash.reason}: {crash.variant.arguments}" for crash in log.crashes),
        clean=result.clean,
        terms=result.terms,
        seconds=round(time.perf_counter() - started, 3),
        held_out=HeldOut(
            predicted.exact, predicted.wrong, predicted.unknown, predicted.data_dependent, dict(predicted.differences)
        ),
    )


def _calls_of_siblings(job: StudyJob, task: Task, fit: Sequence[Call], log: CrashLog) -> list[Call]:
    """Trials of an operator like the calls of its siblings, if the job asks for them and few calls were recorded."""
    if not job.siblings or sum(not isinstance(call.outcome, Failure) for call in fit) >= MOST_WITH_SIBLINGS:
        return []
    inputs = inputs_of_siblings(job.corpora, task.op, task.level, job.seed)
    return trials_made(log.observe_all(task.op, task.level, inputs)) if inputs else []


def _limited(learned: Sequence[Rule], job: StudyJob, fit: Sequence[Call], log: CrashLog) -> list[Rule]:
    """Rules with preconditions, in as wide a domain as trials confirm, and in no wider one."""
    rules = [
        with_preconditions(rule, fit, log, job.trials // 2, job.seed)
        if not rule.is_unknown and any(isinstance(call.outcome, Failure) for call in fit)
        else rule
        for rule in learned
    ]
    rules = widened(rules, fit, log, job.trials, job.seed)
    rules = tried_in_layouts(rules, fit, log, job.seed)
    return tried_together(rules, log, job.seed)


def read_log(folder: Path) -> dict[tuple[str, str], StudyReport]:
    """The last study of each operator that was written into a book; without the rules."""
    path = folder / LOG
    lines = path.read_text().splitlines() if path.is_file() else []
    reports = [
        report_from(json.loads(line) | {"rules": ()}) for line in lines if line.endswith("}")
    ]  # a line that was cut short has no end
    return {(report.level, report.op): report for report in reports}


def to_do(folder: Path, tasks: Sequence[Task]) -> list[Task]:
    """The tasks whose rules a book does not have yet, or has from other calls or another job."""
    done = read_log(folder)
    return [task for task in tasks if not _is_done(folder, task, done.get((task.level, task.op)))]


def imperfect(folder: Path, tasks: Sequence[Task]) -> list[Task]:
    """The operators to study again: missing from the book, refuted, or wrong or silent on held-out calls."""
    log = read_log(folder)

    def is_perfect(report: StudyReport | None) -> bool:
        return report is not None and report.clean and not (report.held_out.wrong or report.held_out.unknown)

    return [task for task in tasks if not is_perfect(log.get((task.level, task.op)))]


def _is_done(folder: Path, task: Task, report: StudyReport | None) -> bool:
    if report is None or report.hash != task.hash or report.failure is not None:
        return False
    return path_of(folder, task.op, task.level).is_file()


def infer(folder: Path, job: StudyJob, tasks: Sequence[Task], engine: Engine, jobs: int) -> Iterator[StudyReport]:
    """Study the tasks and write the rules into the book in `folder` as they come; gives the report of each.

    Earlier rules of an operator whose study failed, or gave none, are removed: they were learned from other calls.
    """
    write_title(folder, machine=platform.machine(), seed=job.seed, device=job.device)
    with (folder / LOG).open("a") as log:
        for report in engine(job, tasks, jobs):
            if report.failure is None and report.rules:
                write_rules(folder, report.op, report.level, map(from_json, report.rules))
            else:
                path_of(folder, report.op, report.level).unlink(missing_ok=True)
            log.write(json.dumps(asdict(report) | {"rules": ()}) + "\n")
            log.flush()
            yield report
