"""The accuracy of inferred rules on calls that they were not learned from, the time to learn and to evaluate them.

FakeTensor is measured on the same calls. `python -m benchmarks.inference` runs these measurements alone.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from rich.console import Console

from benchmarks.measure import Contestant, Spread, interleaved, spread
from benchmarks.record import corpus_of_operators, one
from benchmarks.suite import QUICK, Effort, Row
from benchmarks.table import table
from passes.infer.assessment.assess import Answers
from passes.infer.assessment.audit import fake_says, is_usable, questioned
from passes.infer.assessment.compare import check_operator
from passes.infer.engines import ENGINES, usual_jobs
from passes.infer.run import StudyJob, StudyReport, calls_of, infer, tasks_of
from passes.record.calls import Call
from passes.record.split import write_split
from passes.rules.book import Rulebook

HELD_OUT = 0.2
LIMIT_WRONG, LIMIT_UNANSWERED, LIMIT_EVALUATION = 0.001, 0.03, 5e-6
MOST_QUESTIONS = 40  # calls of one operator that FakeTensor evaluates
MOST_TIMED = 60  # operators of which one call is timed


def held_out(effort: Effort) -> Iterator[Row]:
    """Rules learned from four fifths of the signatures of a part of torch's operator database, on the other fifth."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = corpus_of_operators(str(Path(folder) / "corpus"), effort)
        job = StudyJob((str(corpus.folder),), held_out=HELD_OUT)
        tasks = tasks_of(job, levels=("aten",))
        book = Path(folder) / "book"
        reports = list(infer(book, job, tasks, ENGINES["local"], usual_jobs()))
        held = {
            report.op: calls_of(job.corpora, report.op, "aten", HELD_OUT)[1]
            for report in reports
            if report.failure is None
        }
        yield from _quality(reports, held)
        seconds = [report.seconds for report in reports]
        yield Row("inference", f"time per operator, {len(reports)} operators", "s", None, None, spread(seconds), None)
        yield from _evaluation(Rulebook(book), held, effort)


def larger(effort: Effort) -> Iterator[Row]:
    """Rules learned from the smaller calls of each operator, on its calls with larger sizes."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = corpus_of_operators(str(Path(folder) / "corpus"), effort)
        smaller, rest = Path(folder) / "smaller", Path(folder) / "larger"
        write_split(corpus, "size", HELD_OUT, smaller, rest)
        job = StudyJob((str(smaller),))
        tasks = tasks_of(job, levels=("aten",))
        book = Path(folder) / "book"
        list(infer(book, job, tasks, ENGINES["local"], usual_jobs()))
        checked = [check_operator(Rulebook(book), (str(rest),), task.op, task.level) for task in tasks]
    exact, wrong, unknown = (sum(getattr(each, name) for each in checked) for name in ("exact", "wrong", "unknown"))
    name = f"{exact + wrong + unknown:,} calls larger than those learned from"
    yield Row("rules", f"{name}: wrong among answered", "share", None, None, _share(wrong, exact), LIMIT_WRONG)
    yield Row("rules", f"{name}: unanswered", "share", None, None, _share(unknown, exact + wrong), LIMIT_UNANSWERED)


def _quality(reports: Sequence[StudyReport], held: dict[str, list[Call]]) -> Iterator[Row]:
    exact, wrong, unknown = (
        sum(getattr(each.held_out, name) for each in reports) for name in ("exact", "wrong", "unknown")
    )
    fake = [
        questioned("FakeTensor", fake_says(), list(filter(is_usable, calls))[:MOST_QUESTIONS])
        for calls in held.values()
    ]
    fake_wrong, fake_exact = (sum(getattr(each, name) for each in fake) for name in ("wrong", "exact"))
    name = f"{exact + wrong + unknown:,} calls held out"
    theirs = one(fake_wrong / max(1, fake_wrong + fake_exact))
    yield Row("rules", f"{name}: wrong among answered", "share", None, theirs, _share(wrong, exact), LIMIT_WRONG)
    yield Row("rules", f"{name}: unanswered", "share", None, None, _share(unknown, exact + wrong), LIMIT_UNANSWERED)
    imperfect = one(float(sum(each.held_out.wrong > 0 for each in reports)))
    theirs = one(float(sum(each.wrong > 0 for each in fake)))
    yield Row("rules", f"operators with an error, of {len(held)}", "count", None, theirs, imperfect, None)


def _share(part: int, rest: int) -> Spread:
    return one(part / max(1, part + rest))


def _evaluation(book: Rulebook, held: dict[str, list[Call]], effort: Effort) -> Iterator[Row]:
    """Seconds to evaluate one call of each of some operators, by its rule and by FakeTensor."""
    ours: list[float] = []
    theirs: list[float] = []
    say = fake_says()
    for op, calls in list(held.items())[:MOST_TIMED]:
        answers = Answers(book.rules(op, "aten"))
        usable = [call for call in filter(is_usable, calls) if answers.answer(call.arguments) is not None]
        if usable:
            call = usable[0]
            contestants: dict[str, Contestant] = {
                "rule": lambda answers=answers, call=call: answers.answer(call.arguments),
                "fake": lambda call=call: say(call),
            }
            samples = interleaved(contestants, 3, effort.seconds)
            ours.append(spread(samples["rule"]).median)
            theirs.append(spread(samples["fake"]).median)
    yield Row("rules", "one evaluation", "s", None, spread(theirs), spread(ours), LIMIT_EVALUATION)


MEASUREMENTS: Final = {"rules on calls held out": held_out, "rules on larger calls": larger}


def main() -> int:
    torch.set_num_threads(1)
    effort = QUICK if "--quick" in sys.argv else Effort()
    rows = [row for measurement in MEASUREMENTS.values() for row in measurement(effort)]
    Console().print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
