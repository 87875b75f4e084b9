"""An inference run: which operators of some corpora are to be studied, the study of one, and what is kept of it.

A task is one operator at one level; it is studied with what Job says and nothing else, so that it does not
matter which process of which machine does it, or after what. Knows nothing of how tasks are handed out.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import torch

from passes.infer.assessment.assess import tally
from passes.infer.study import Plan, study
from passes.infer.trials.runner import CrashLog, TrialRunner
from passes.infer.validity.preconditions import with_preconditions
from passes.infer.validity.widen import widened
from passes.infer.validity.withdraw import cautious
from passes.infer.worker import LaboratoryError
from passes.operators.resolve import UnknownOperator
from passes.record.calls import Call, Failure, call_of
from passes.record.corpus import Corpus
from passes.record.schema import INPUT_NAMES, LEVELS, OUTCOME_NAMES, CorpusError, Row
from passes.rules.book import path_of, write_rules, write_title
from passes.rules.rule import VERSION, from_json, to_json

MOST_ROWS: Final = 12_000  # of one operator of one corpus that are read
LOG: Final = "studies.jsonl"  # in the folder of a book: how each operator was studied
SIGNATURE: Final = f"md5(to_json([{', '.join(f'to_json({name})::varchar' for name in INPUT_NAMES)}])::varchar)"
OUTCOME: Final = f"to_json([{', '.join(f'to_json({name})::varchar' for name in OUTCOME_NAMES)}])::varchar"
SUMMED: Final = (
    f"select op, level, count(*), sum(hash({SIGNATURE}, {OUTCOME})::hugeint)::varchar from calls group by all"
)


@dataclass(frozen=True, slots=True)
class StudyJob:
    """What holds for every task: how hard to look (see Plan), and the share of signatures that are `held_out`.

    `modules` are imported before trials are made: those that register operators.
    """

    corpora: tuple[str, ...]
    trials: int = Plan().trials
    seed: int = 0
    terms: int = Plan().terms
    held_out: float = 0.0
    modules: tuple[str, ...] = ()

    def plan(self) -> Plan:
        return Plan(trials=self.trials, seed=self.seed, terms=self.terms)


@dataclass(frozen=True, slots=True)
class Task:
    """One operator to study: how many rows the corpora have of it, and a hash of them and of what Job says."""

    op: str
    level: str
    rows: int
    hash: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What the rules make of calls that they were not fitted to; those that are wrong are made to say less then."""

    exact: int = 0
    wrong: int = 0
    unknown: int = 0
    data_dependent: int = 0
    differences: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class StudyReport:
    """How a study went; `failure` says in words why there is none. `rules` are as JSON has them."""

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
        return self.failure is None and all(from_json(rule).is_unknown for rule in self.rules)


def report_from(found: Mapping[str, Any]) -> StudyReport:
    """The report that `asdict` told, from JSON."""
    known = {each.name: found[each.name] for each in fields(StudyReport) if each.name in found}
    held_out = HeldOut(**known.pop("held_out", {}))
    rules, crashes = tuple(known.pop("rules", ())), tuple(known.pop("crashes", ()))
    return StudyReport(**known, rules=rules, crashes=crashes, held_out=held_out)


# Engine: gives the reports of tasks, in the order in which they end, made by so many processes at a time.
Engine = Callable[[StudyJob, Sequence[Task], int], Iterator[StudyReport]]


def tasks_of(job: StudyJob, pattern: str = "*", levels: Sequence[str] = LEVELS) -> list[Task]:
    """The operators of the corpora whose names match, with or without the namespace; those with most calls first."""
    rows: dict[tuple[str, str], int] = {}
    sums: dict[tuple[str, str], list[int]] = {}
    for folder in job.corpora:
        for op, level, count, total in Corpus(folder).sql(SUMMED)[1]:
            if level in levels and _matches(op, pattern):
                rows[op, level] = rows.get((op, level), 0) + count
                sums.setdefault((op, level), []).append(int(total))
    conditions = [VERSION, torch.__version__, job.trials, job.terms, job.seed, job.held_out]
    found = [
        Task(op, level, count, _digest([*conditions, sum(sums[op, level])])) for (op, level), count in rows.items()
    ]
    if not found:
        raise CorpusError(
            f"no operator in {', '.join(job.corpora)} is called {pattern!r} at level {' or '.join(levels)}"
        )
    return sorted(found, key=lambda task: (-task.rows, task.op, task.level))


def _matches(op: str, pattern: str) -> bool:
    bare = op.rpartition("::")[2] if "::" in op else op.removeprefix("torch.")
    return any(fnmatchcase(name, part) for part in pattern.split(",") for name in (op, bare, bare.partition(".")[0]))


def _digest(facts: Iterable[object]) -> str:
    return hashlib.sha256(repr(list(facts)).encode()).hexdigest()[:16]


def calls_of(
    corpora: Sequence[str], op: str, level: str, held_out: float = 0.0, most: int = MOST_ROWS
) -> tuple[list[Call], list[Call]]:
    """The calls of one operator to fit to, and those held out; in an order that their contents decide.

    Of each corpus at most so many, chosen by their digests.
    """
    rows: dict[str, Row] = {}
    for folder in corpora:
        rows.update((row["signature"], row) for row in _rows(folder, op, level, most))
    fit: list[Call] = []
    held: list[Call] = []
    for signature, row in sorted(rows.items()):
        call = _call(row)
        if call is not None:
            (held if int(signature[:8], 16) < held_out * (1 << 32) else fit).append(call)
    return fit, held


def _rows(folder: str, op: str, level: str, most: int) -> list[Row]:
    """Rows with different inputs, each with a digest of them; those with the first digests if there are more."""
    found: dict[str, Row] = {}
    table = _tables(folder).get(op)
    for row in [] if table is None else table.to_pylist():
        if row["level"] == level:
            row["signature"] = hashlib.md5(_text(row, INPUT_NAMES), usedforsecurity=False).hexdigest()
            known = found.get(row["signature"])
            if known is None or _text(row, OUTCOME_NAMES) < _text(known, OUTCOME_NAMES):
                found[row["signature"]] = row
    return [row for _, row in sorted(found.items())[:most]]


def _text(row: Row, names: Sequence[str]) -> bytes:
    return json.dumps([row[name] for name in names]).encode()


@lru_cache(maxsize=4)
def _tables(folder: str) -> Mapping[str, Any]:
    """A corpus by operator, read once: a process studies many, and their rows are few bytes each."""
    return Corpus(folder).by_operator()


def _call(row: Row) -> Call | None:
    """The call that a row tells of; None if a nested tensor takes part."""
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
    fit, held = calls_of(job.corpora, task.op, task.level, job.held_out)
    try:
        found = study(task.op, task.level, fit, log, job.plan())
        rules = [
            with_preconditions(rule, fit, log, job.trials // 2, job.seed)
            if not rule.is_unknown and any(isinstance(call.outcome, Failure) for call in fit)
            else rule
            for rule in found.rules
        ]
        rules = widened(rules, fit, log, job.trials, job.seed)
    except (UnknownOperator, LaboratoryError) as error:
        return StudyReport(task.op, task.level, task.hash, failure=f"{type(error).__name__}: {error}")
    seen = tally(task.op, rules, held)
    if seen.wrong:
        rules = [cautious(rule, held, [*fit, *held]) for rule in rules]
    return StudyReport(
        task.op,
        task.level,
        task.hash,
        rules=tuple(map(to_json, rules)),
        calls=found.calls,
        trials=found.trials,
        refuted=found.refuted,
        crashes=tuple(f"{crash.reason}: {crash.variant.arguments}" for crash in log.crashes),
        clean=found.clean,
        terms=found.terms,
        seconds=round(time.perf_counter() - started, 3),
        held_out=HeldOut(seen.exact, seen.wrong, seen.unknown, seen.data_dependent, dict(seen.differences)),
    )


def read_log(folder: Path) -> dict[tuple[str, str], StudyReport]:
    """The last study of each operator that was written into a book; without the rules."""
    path = folder / LOG
    lines = path.read_text().splitlines() if path.is_file() else []
    reports = [
        report_from(json.loads(line) | {"rules": ()}) for line in lines if line.endswith("}")
    ]  # one that was cut has no end
    return {(report.level, report.op): report for report in reports}


def to_do(folder: Path, tasks: Sequence[Task]) -> list[Task]:
    """The tasks whose rules are not in the book yet, as they would be found today."""
    done = read_log(folder)
    return [task for task in tasks if not _is_done(folder, task, done.get((task.level, task.op)))]


def imperfect(folder: Path, tasks: Sequence[Task]) -> list[Task]:
    """The tasks that a book was not made of, or whose rules in it were refuted, or do not tell what was held out."""
    known = read_log(folder)

    def is_perfect(report: StudyReport | None) -> bool:
        return report is not None and report.clean and not (report.held_out.wrong or report.held_out.unknown)

    return [task for task in tasks if not is_perfect(known.get((task.level, task.op)))]


def _is_done(folder: Path, task: Task, report: StudyReport | None) -> bool:
    if report is None or report.hash != task.hash or report.failure is not None:
        return False
    return path_of(folder, task.op, task.level).is_file()


def infer(folder: Path, job: StudyJob, tasks: Sequence[Task], engine: Engine, jobs: int) -> Iterator[StudyReport]:
    """Study the tasks and write what is learned into a book as it comes; gives the report of each.

    The rules of an operator whose study failed are removed: they were learned of other calls.
    """
    write_title(folder, torch=torch.__version__, device="cpu", machine=platform.machine(), seed=job.seed)
    with (folder / LOG).open("a") as log:
        for report in engine(job, tasks, jobs):
            if report.failure is None:
                write_rules(folder, report.op, report.level, map(from_json, report.rules))
            else:
                path_of(folder, report.op, report.level).unlink(missing_ok=True)
            log.write(json.dumps(asdict(report) | {"rules": ()}) + "\n")
            log.flush()
            yield report
