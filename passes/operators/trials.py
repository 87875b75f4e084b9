"""Trials of an operator on the stand-ins that suit it: those that catalogue.py names, small real ones, fake ones last.

Whoever wants to know what a call gives names attempts in an order, and `first_outcome` makes them: for a prediction
(`Trials.attempted`), for its check (`Trials.checked`), and for what the real kernel refuses (`is_refused`).

Knows nothing of rules, but whether a book has studied an operator; nor of what was evaluated before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from passes.meta import CPU, TensorMeta
from passes.operators.catalogue import element_span, is_small_enough, reshapes, trials
from passes.operators.modes import Modes
from passes.operators.outcome import (
    Arguments,
    DataDependent,
    Keywords,
    OpError,
    Outcome,
    Target,
    Unsupported,
    leaves,
)
from passes.operators.refusals import may_refuse
from passes.operators.stand_ins import REAL, FakeStandIns, StandIns
from passes.operators.trial import attempt

DIVISION_BY_ZERO: Final = "ZeroDivisionError"  # what kernels say of integers, and stand-ins are zeros
AFFORDABLE: Final = 1 << 22  # elements of real stand-ins for a trial that nobody waits for


class StudiedOperators(Protocol):
    """What a trial asks of a rulebook."""

    def is_told_by_metas(self, target: Target, args: Arguments, kwargs: Keywords) -> bool:
        """Whether calls of the operator were studied, and what none of them gave hung on the values in tensors."""
        ...


class Attempt(NamedTuple):
    """One way to try a call. An error for which `raises` is the call's own; after another the next attempt is made."""

    stand_ins: StandIns
    keywords: Keywords
    raises: Callable[[OpError], bool]


def first_outcome(
    target: Target, args: Arguments, modes: Modes, attempts: Iterable[Attempt]
) -> tuple[Outcome, StandIns]:
    """The outcome of the first attempt that gives one, and its stand-ins; what the last one raised if none does."""
    failure: OpError | DataDependent | Unsupported | None = None
    try:
        for stand_ins, keywords, raises in attempts:
            try:
                return attempt(stand_ins, target, args, keywords, modes), stand_ins
            except OpError as error:
                if raises(error):
                    raise
                failure = error
            except (DataDependent, Unsupported) as error:
                failure = error
        assert failure is not None
        raise failure
    finally:
        failure = None  # which has this frame, and so the stand-ins and all that calls it, in its traceback


def is_about_arguments(error: OpError) -> bool:
    """Whether what a kernel raised on zeros it raises whatever the values: a division by them it does not."""
    return DIVISION_BY_ZERO not in str(error.original)


def always(error: OpError) -> bool:
    """For the attempt that has the last word."""
    return True


def never(error: OpError) -> bool:
    """For an attempt whose errors say nothing of the call."""
    return False


def is_refused(target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> bool | None:
    """Whether the real kernel refuses a call for its shapes and types; None where zeros cannot tell."""
    try:
        first_outcome(target, args, modes, [Attempt(REAL, kwargs, is_about_arguments)])
    except OpError as error:
        return is_about_arguments(error)
    except (DataDependent, Unsupported):
        return None
    return False


class Trials:
    """Runs operators on stand-ins. It keeps the mode of the fake tensors, which is slow to make."""

    def __init__(self) -> None:
        self._fake: FakeStandIns | None = None

    def forget(self) -> None:
        """Drop the fake tensors' mode, as for a process that starts anew."""
        self._fake = None

    def attempted(
        self,
        target: Target,
        args: Arguments,
        kwargs: Keywords,
        modes: Modes,
        shape_env: Any,
        book: StudiedOperators | None,
        real_first: bool = False,
    ) -> tuple[Outcome, StandIns]:
        """The outcome on the first stand-ins that give one, and those.

        What real stand-ins raise is what the call raises, a division by their zeros apart. Those without
        data may fail for want of it, so fake tensors have the last word. With `real_first`, real stand-ins come first
        if their memory is affordable and no size is a symbol.
        """

        def is_of_the_call(error: OpError) -> bool:
            return is_about_arguments(error) and not may_refuse(target, args, kwargs)

        def attempts() -> Iterator[Attempt]:
            if real_first and shape_env is None and is_affordable(args, kwargs):
                yield Attempt(REAL, kwargs, is_of_the_call)
            for stand_ins, keywords in () if shape_env is not None else trials(target, args, kwargs, modes):
                yield Attempt(stand_ins, keywords, is_about_arguments if stand_ins is REAL else never)
            if shape_env is None and _may_run(target, args, kwargs, book):
                yield Attempt(REAL, kwargs, never)  # it may refuse zeros only
            yield Attempt(self.fakes(shape_env), kwargs, always)

        outcome, stand_ins = first_outcome(target, args, modes, attempts())
        if isinstance(stand_ins, FakeStandIns):
            _refuse_growth(target, args, outcome)
        return outcome, stand_ins

    def fakes(self, shape_env: Any) -> FakeStandIns:
        """The fake tensors for a ShapeEnv, or for plain numbers; the last ones are kept."""
        if self._fake is None or self._fake.shape_env is not shape_env:
            self._fake = FakeStandIns(shape_env)
        return self._fake


def _may_run(target: Target, args: Arguments, kwargs: Keywords, book: StudiedOperators | None) -> bool:
    """Whether a call that no table tells how to try can be run on real zeros: a small one, studied for the book.

    Torch's fake kernels are wrong about many strides, and slower than a small run.
    """
    if book is None or not is_small_enough(target, args, kwargs):
        return False
    return book.is_told_by_metas(target, args, kwargs)


def _refuse_growth(target: Target, args: Arguments, outcome: Outcome) -> None:
    """Raise what torch raises when an in-place operator would need more room, which fake tensors make."""
    if not outcome.mutated or reshapes(target):
        return
    metas = [leaf for leaf in leaves(args) if type(leaf) is TensorMeta]
    for index, after in outcome.mutated.items():
        if index < len(metas) and metas[index].shape != after.shape:
            shape, wanted = list(metas[index].shape), list(after.shape)
            words = f"output with shape {shape} doesn't match the broadcast shape {wanted}"
            raise OpError(RuntimeError(words))


def is_affordable(args: Arguments, kwargs: Keywords) -> bool:
    """Whether real stand-ins for the tensors can be made, and take little memory. Not to be asked about symbols."""
    metas = [leaf for leaf in leaves((args, kwargs)) if type(leaf) is TensorMeta]
    if any(meta.symbolic or meta.device != CPU or meta.stride is None for meta in metas):
        return False
    return sum(map(element_span, metas)) <= AFFORDABLE
