"""Rules against fake tensors: time of one evaluation and of a first capture; share of operators predicted by rules.

`python -m benchmarks.rules share [MODEL ...] [--book FOLDER]` lists, for each model of the zoo, which operators no
rule predicted, and why; `python -m benchmarks.rules time [MODEL ...]` compares single evaluations.
"""

import argparse
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

import tracer
from benchmarks.measure import first_calls, ratios, spread
from benchmarks.subjects import SUBJECTS, Subject, forget, from_zoo
from benchmarks.suite import Effort, Row
from passes.node_meta import PREDICTION
from passes.operators.evaluate import Book, shape_env_of
from passes.operators.outcome import DataDependent, OpError, Trial, Unsupported
from passes.operators.stand_ins import FakeStandIns
from passes.operators.trial import attempt
from passes.operators.verify import Prediction
from passes.rules.book import Rulebook
from tests import models
from tracer.events import LOG
from tracer.interpret.evaluator import EVALUATOR
from tracer.interpret.rulebook import SHIPPED_BOOK

SHARE_LIMIT = 0.99
REFUSALS = (OpError, DataDependent, Unsupported)


def predictions_of(subject: Subject) -> list[Prediction]:
    """The predictions for all operators in the graphs of one call."""
    graphs = []

    def keep(module: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        graphs.append(module.graph)
        return module.forward

    forget()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject.call(tracer.capture(subject.program, backend=keep))()  # type: ignore[arg-type]
    return [node.meta[PREDICTION] for graph in graphs for node in graph.nodes if PREDICTION in node.meta]


@dataclass(frozen=True)
class Share:
    """How many of a model's operators rules predicted; the trials made for the others; the rules that were wrong."""

    model: str
    by_rules: int
    operators: int
    others: Counter[Trial]
    wrong: tuple[str, ...]

    @property
    def fraction(self) -> float:
        return self.by_rules / max(1, self.operators)


def share(name: str) -> Share:
    predictions = predictions_of(from_zoo(name))
    trials = Counter(trial for prediction in predictions if (trial := prediction.outcome.trial) is not None)
    wrong = tuple(f"{event.details['rule']}: {event.details['found']}" for event in LOG.recent("quarantine"))
    return Share(name, len(predictions) - trials.total(), len(predictions), trials, wrong)


def evaluation_times(calls: Sequence[Prediction], book: Book) -> tuple[list[float], list[float]]:
    """Seconds of each call by its rule and on fake tensors: the best of five in a row."""
    fakes = FakeStandIns()
    by_rule, by_fake = [], []
    for call in calls:
        arguments = call.target, call.args, call.kwargs, call.modes
        if book.answer(*arguments) is None:
            continue
        try:
            attempt(fakes, *arguments)
        except REFUSALS:
            continue
        by_rule.append(min(_seconds(partial(book.answer, *arguments)) for _ in range(5)))
        by_fake.append(min(_seconds(partial(attempt, fakes, *arguments)) for _ in range(5)))
    return by_rule, by_fake


def _seconds(call: partial[object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def distinct(calls: Sequence[Prediction]) -> list[Prediction]:
    """One call for each outcome, without those that have symbolic sizes."""
    by_outcome = {id(call.outcome): call for call in calls if shape_env_of((call.args, call.kwargs)) is None}
    return list(by_outcome.values())


def evaluations(effort: Effort) -> Iterator[Row]:
    """Seconds to evaluate calls of real models by rules and on fake tensors, and the ratio."""
    if EVALUATOR.book is None:
        return
    calls = [call for name in TIMED for call in distinct(predictions_of(from_zoo(name)))]
    by_rule, by_fake = evaluation_times(calls, EVALUATOR.book)
    yield Row("one evaluation", f"by a rule, {len(by_rule)} calls", "s", None, None, spread(by_rule), 5e-6)
    yield Row("one evaluation", "by fake tensors, same calls", "s", None, None, spread(by_fake), None)
    yield Row("one evaluation", "rule / fake tensors", "x", None, None, ratios(by_rule, by_fake), 0.2)


def capture_with_and_without(effort: Effort) -> Iterator[Row]:
    """Seconds of a first capture with an empty memo of operators, in turn with the rulebook and without."""
    book = EVALUATOR.book
    for name, build in SUBJECTS.items():
        if "layers" not in name:
            continue
        subject = build()
        times: dict[str, list[float]] = {"with rules": [], "without": []}
        for _ in range(2 * effort.captures + 1):
            for label, used_book in zip(times, (book, None), strict=True):
                EVALUATOR.book = used_book
                times[label] += first_calls(partial(_with_an_empty_memo, subject), 1)
        for label, samples in times.items():
            yield Row("capture with an empty memo", f"{name}, {label}", "s", None, None, spread(samples), None)
        both = ratios(*times.values())
        yield Row("capture with an empty memo", f"{name}, with rules / without", "x", None, None, both, 1.0)
    EVALUATOR.book = book


def _with_an_empty_memo(subject: Subject) -> partial[object]:
    forget()
    EVALUATOR.forget()
    return partial(subject.call(tracer.capture(subject.program)))


def shares_of_rules(effort: Effort) -> Iterator[Row]:
    """The share of operators that no rule predicts, over the models of the zoo."""
    if EVALUATOR.book is None:
        return
    names = [name for family in ("torch", "huggingface", "libraries") for name in models.NAMES[family]]
    shares = [share(name) for name in names[:: effort.every]]
    missing = sum(each.operators - each.by_rules for each in shares) / max(1, sum(each.operators for each in shares))
    label = f"operators without a rule, {len(shares)} models"
    yield Row("rules", label, "x", None, None, spread([missing]), 1 - SHARE_LIMIT)


TIMED = ("gpt2", "qwen3", "vit", "t5", "swin")
MEASUREMENTS = {"evaluation": evaluations, "rules capture": capture_with_and_without, "rules share": shares_of_rules}


def _print_shares(names: Sequence[str]) -> None:
    results = []
    for name in names:
        try:
            result = share(name)
        except (*REFUSALS, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            print(f"{name}: {type(error).__name__}: {error}")
            continue
        results.append(result)
        print(f"{name:<24} {result.by_rules:>5} of {result.operators:<5} {result.fraction:7.2%}", flush=True)
        for words in result.wrong:
            print(f"    wrong rule: {words}")
    others: Counter[tuple[str, str]] = Counter()
    where: dict[tuple[str, str], list[str]] = {}
    for each in results:
        for trial, times in each.others.items():
            others[trial.operator, trial.reason] += times
            where.setdefault((trial.operator, trial.reason), []).append(each.model)
    total = sum(each.operators for each in results)
    print(f"\nall: {sum(each.by_rules for each in results)} of {total} operators by rules; operators without a rule:")
    for (operator, reason), times in others.most_common():
        print(f"{times:>6}  {operator}: {reason}   ({', '.join(where[operator, reason][:4])})")


def _print_times(names: Sequence[str], book: Rulebook) -> None:
    calls = [call for name in names for call in distinct(predictions_of(from_zoo(name)))]
    by_rule, by_fake = evaluation_times(calls, book)
    for label, samples in (("rules", by_rule), ("fake tensors", by_fake)):
        median, mean = statistics.median(samples) * 1e6, statistics.fmean(samples) * 1e6
        print(f"{label:<13} median {median:7.1f} µs, mean {mean:7.1f} µs, {len(samples)} calls")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=__doc__)
    parser.add_argument("what", choices=("share", "time"))
    parser.add_argument("models", nargs="*")
    parser.add_argument("--book", default=SHIPPED_BOOK, help="folder of the rulebook")
    chosen = parser.parse_args(words)
    torch.set_num_threads(1)
    tracer.use_rulebook(chosen.book)
    if chosen.what == "share":
        _print_shares(chosen.models or [name for family in models.NAMES.values() for name in family])
    else:
        _print_times(chosen.models or TIMED, Rulebook(chosen.book))


if __name__ == "__main__":
    main()
