"""The evaluator of the process, the rulebook it asks, and what happens when a rule turns out to be wrong.

The book shipped for this version of torch is used from the start. The environment variable BYTEGRAPH_RULES
names another folder, or is `off`; `use_rulebook` changes it while the process runs.
"""

from __future__ import annotations

import os
from typing import Any, Final

from passes.meta import TensorMeta
from passes.operators.difference import FACTS, ROUGH_FACTS, outcome_difference
from passes.operators.evaluate import Book, Evaluator, vanishes
from passes.operators.outcome import Arguments, DataDependent, Unsupported, leaves
from passes.operators.verify import Prediction
from tracer.events import Event, emit
from tracer.options import RULES_VARIABLE
from tracer.pauses import no_forks
from tracer.reasons import TracerBug

SHIPPED: Final = "shipped"


def _book_at_start() -> Book | None:
    with no_forks:
        from tracer.interpret.rulebook import book_at_start

    return book_at_start()


EVALUATOR: Final = Evaluator(open_book=_book_at_start)
"""One memo for all captures of the process."""


def use_rulebook(folder: str | os.PathLike[str] | None = SHIPPED) -> None:
    """Predict with the rules in `folder` from now on, with none (None), or with those that are shipped ("shipped").

    For all later captures of the process; what is captured stays. The environment variable BYTEGRAPH_RULES
    chooses for the start: a folder, or `off`. Raises RuleError, a ValueError, for a folder that holds no book;
    the one before is kept then.
    """
    from tracer.interpret.rulebook import book_in, shipped_book

    if folder is None:
        EVALUATOR.book = None
    else:
        EVALUATOR.book = shipped_book() if folder == SHIPPED else book_in(folder)


def rules_in_use() -> str | None:
    """The rulebook that predicts, as a text: another for another book, and for one whose files were changed.

    None if its files are gone. The shipped book, which is one of bytegraph's own files, is not opened for it.
    """
    if not EVALUATOR.book_was_replaced and RULES_VARIABLE not in os.environ:
        return SHIPPED
    from tracer.interpret.rulebook import files_of, is_shipped

    book = EVALUATOR.book
    return SHIPPED if is_shipped(book) else files_of(book)


def mismatch(prediction: Prediction) -> str:
    """How the operator's result differs from the prediction, in words; "" if it agrees, or if that is not known.

    On real tensors every fact is compared; on fake ones, whose strides are wrong for some operators, only
    shapes and types. Raises OpError where the call would raise.
    """
    if vanishes(prediction.outcome):
        return ""  # torch's kernels were asked before the call was left out
    try:
        outcome, real = EVALUATOR.tried(prediction.target, prediction.args, prediction.kwargs, prediction.modes)
    except (DataDependent, Unsupported):
        return ""
    difference = outcome_difference(prediction.outcome, outcome, FACTS if real else ROUGH_FACTS)
    if real and difference is None:
        EVALUATOR.prove(prediction.outcome)
    return difference.words if difference else ""


def cross_checked(prediction: Prediction, raise_bugs: bool) -> Prediction:
    """A prediction, after running the operator if a rule made it (strict mode).

    A disagreement raises TracerBug if `raise_bugs`; else the rule is quarantined, and the call evaluated without.
    Raises OpError where the call would raise.
    """
    if EVALUATOR.is_proven(prediction.outcome) or not prediction.outcome.tensors:
        return prediction
    words = mismatch(prediction)
    if not words:
        return prediction
    target, args, kwargs, modes = prediction.target, prediction.args, prediction.kwargs, prediction.modes
    if raise_bugs:
        raise TracerBug(f"a rule and its operator disagree: {named(target, args)}: {words}")
    quarantine(prediction, words)
    return Prediction(target, args, kwargs, modes, EVALUATOR.evaluate(target, args, kwargs, modes))


def quarantine(prediction: Prediction, words: str) -> None:
    """Use the rules of an operator no more in this process, and say so."""
    EVALUATOR.quarantine(prediction.target, prediction.args, prediction.kwargs, words)


def _say(target: Any, args: Arguments, words: str) -> None:
    emit(Event("quarantine", {"rule": named(target, args), "found": words}))


def named(target: Any, args: Arguments) -> str:
    """A call as a person would write it."""
    name = target[1] if type(target) is tuple else getattr(target, "__name__", str(target))
    metas = [leaf for leaf in leaves(args) if type(leaf) is TensorMeta]
    return f"{name}({', '.join(meta.text for meta in metas)})"


EVALUATOR.on_quarantine = _say
