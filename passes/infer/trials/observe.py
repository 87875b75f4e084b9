"""One trial: an operator run on new inputs, and what came of it, told as the recorder tells it.

Overloads run as a dispatch mode sees them, below autograd; functions as a program calls them. Runs in the
process that asks: what may crash or hang belongs into a Laboratory (worker.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from types import TracebackType
from typing import Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from passes.infer.search.sample import TRIAL_LOCATION
from passes.infer.trials.inputs import FILLS, NotMaterialised, TooLarge, in_place_of_metas, metas_of, tensors_for
from passes.meta import TensorMeta
from passes.operators.naming import named_arguments, written_by_schema
from passes.operators.outcome import Argument, leaves
from passes.operators.resolve import Target, positional, resolve
from passes.record.calls import Call, Failure, call_of
from passes.record.schema import OUTCOME_NAMES
from passes.record.table import CallTable, Numbering, RecordedInputs, Watch

NO_MEMORY: Final = "DefaultCPUAllocator"  # what torch says when an allocation fails
KEY: Final = b"trial"  # of the only call in a table
INPUT_FACTS: Final = ("arguments", "given", "given_storage")
# Errors that no choice of values avoids.
ABOUT_TYPES: Final = ("TypeError", "NotImplementedError")
SAID_OF_TYPES: Final = ("not implemented for", "dtype", "scalar type", "data type", "the same type", "Float")

Answer = dict[str, Any]  # columns of a corpus: INPUT_FACTS, empty if they are as asked, and OUTCOME_NAMES
SEED: Final = 0
# Names of failures that are not the operator's: the trial was not made.
NOT_MADE: Final = ("TooLarge", "NotMaterialised")


@dataclass(frozen=True, slots=True)
class InputChoice:
    """How inputs are made: with what integers and matrices (inputs.FILLS), and as leaves of autograd or not."""

    fill: str = FILLS[0]
    leaves: bool = True


def observe(
    op: str,
    level: str,
    named: Mapping[str, Argument],
    shares: Sequence[int],
    fill: str | None = None,
    seed: int = SEED,
) -> Call:
    """Run the operator on new tensors with the metas in `named` that share memory as `shares` says (see Call).

    An error that another choice of values avoids is not told: a call that fails does so for its metas. With
    `fill` (inputs.FILLS) only this choice is tried. What the operator raises becomes a Failure; so does, with
    an error named in NOT_MADE, what cannot be tried. Raises resolve.UnknownOperator.
    """
    target = resolve(op, level)
    try:
        with conditions():
            answer = observed(target, level, named, shares, fill, seed)
    except NotMaterialised as error:
        return not_made(op, level, named, shares, type(error).__name__, str(error))
    return call_from(op, level, named, shares, answer)


@contextmanager
def conditions() -> Iterator[None]:
    """No warnings, gradients enabled, and random numbers as if nothing had drawn any."""
    state = torch.get_rng_state()
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            torch.set_rng_state(state)


def observed(
    target: Target,
    level: str,
    named: Mapping[str, Argument],
    shares: Sequence[int],
    fill: str | None = None,
    seed: int = SEED,
) -> Answer:
    """As `observe`, under conditions that hold already; in a form that can be sent. Raises NotMaterialised."""
    first = _attempt(target, level, named, shares, InputChoice(fill or FILLS[0]), seed)
    if first["error"] is None or fill is not None:
        return first
    for other in _others(metas_of(named), level, first):
        answer = _attempt(target, level, named, shares, other, seed)
        if answer["error"] is None:
            return answer
    return first


def call_from(
    op: str, level: str, named: Mapping[str, Argument], shares: Sequence[int], answer: Mapping[str, Any]
) -> Call:
    """The call that was observed. Its arguments are those asked for, unless torch's names for them are others."""
    row = {"op": op, "level": level, "torch": torch.__version__, "location": TRIAL_LOCATION, "count": 1, **answer}
    call = call_of(row)
    return call if answer["arguments"] else replace(call, arguments=named, shares=tuple(shares))


def not_made(
    op: str, level: str, named: Mapping[str, Argument], shares: Sequence[int], error: str, message: str
) -> Call:
    """The call that could not be tried, with an error of NOT_MADE."""
    return Call(op, level, named, tuple(shares), Failure(error, message), torch.__version__, TRIAL_LOCATION, 1)


def is_made(call: Call) -> bool:
    """Whether the trial was made, rather than refused because of its inputs."""
    return not (isinstance(call.outcome, Failure) and call.outcome.error in NOT_MADE)


def _others(metas: Sequence[TensorMeta], level: str, failed: Answer) -> Iterator[InputChoice]:
    """What else to try after a failure that may be due to values, or to a leaf that is written to."""
    message = failed["message"]
    if level == "function" and "a leaf Variable that requires grad" in message:
        yield InputChoice(leaves=False)
    elif failed["error"] not in ABOUT_TYPES and not any(words in message for words in SAID_OF_TYPES):
        if not all(meta.dtype.is_floating_point or meta.dtype.is_complex for meta in metas):
            yield InputChoice("ones")
            yield InputChoice("zeros")
        if any(meta.rank >= 2 and meta.shape[-1] == meta.shape[-2] > 1 for meta in metas):
            yield InputChoice("identity")


def _attempt(
    target: Target, level: str, named: Mapping[str, Argument], shares: Sequence[int], attempt: InputChoice, seed: int
) -> Answer:
    tensors = tensors_for(metas_of(named), shares, _generator(seed), attempt.fill, attempt.leaves)
    live = in_place_of_metas(named, tensors)
    args, kwargs = positional(target, live)
    table = CallTable()
    if not isinstance(target, torch._ops.OpOverload) and not _equal(named_arguments(target, args, kwargs), live):
        inputs, numbering, declared = table.open(KEY, level, target, args, kwargs, TRIAL_LOCATION)
    else:
        numbering = Numbering()
        numbering.tensors += tensors
        inputs = RecordedInputs("", level, (), (), numbering.storage(tensors), (), TRIAL_LOCATION)
        declared = _declared(target, live)
    watch = Watch(tensors)
    torch.default_generator.manual_seed(seed)
    result = None
    with _Caught() as caught, GUARDS[level]():
        result = target(*args, **kwargs)
    if caught.error is None:
        inputs.writes = watch.written(declared)
        outcome = table.returned(inputs, KEY, numbering, result)
    elif NO_MEMORY in str(caught.error):
        raise TooLarge(str(caught.error))
    else:
        outcome = table.raised(inputs, KEY, caught.error)
    facts = {name: getattr(inputs, name) for name in INPUT_FACTS}
    return facts | {name: getattr(outcome, name) for name in OUTCOME_NAMES}


def _equal(left: Any, right: Any) -> bool:
    """Whether two arguments are the same, down to the types of numbers and the tensors themselves."""
    if left is right:
        return True
    if type(left) is not type(right) or isinstance(left, torch.Tensor):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(map(_equal, left.values(), right.values()))
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_equal, left, right))
    return repr(left) == repr(right)  # nan is equal to nan here, and 0.0 is not -0.0


def _declared(target: Target, live: Mapping[str, Any]) -> frozenset[int]:
    """The numbers of the tensors that the schema says are written to."""
    names = written_by_schema(target)
    if not names:
        return frozenset()
    found: list[int] = []
    count = 0
    for name, value in live.items():
        tensors = sum(isinstance(leaf, torch.Tensor) for leaf in leaves(value))
        found += range(count, count + tensors) if name in names else ()
        count += tensors
    return frozenset(found)


class _Caught:
    """Keeps what an operator raises, whatever kind of Exception it is."""

    error: Exception | None = None

    def __enter__(self) -> _Caught:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None


@lru_cache(maxsize=16)
def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _below_autograd() -> AbstractContextManager[object]:
    """Dispatch as it is inside of a dispatch mode: past autograd, autocast and the kernels that track views."""
    return torch._C._ForceDispatchKeyGuard(*_keys_in_a_mode())  # type: ignore[attr-defined]


@lru_cache(maxsize=1)
def _keys_in_a_mode() -> tuple[Any, Any]:
    """The dispatch keys that a thread includes and excludes while a dispatch mode handles a call."""
    found: list[tuple[Any, Any]] = []

    class Looking(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            keys = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()  # type: ignore[attr-defined]
            found.append(keys)
            return func(*args, **(kwargs or {}))

    one = torch.ones(())
    with Looking():
        torch.neg(one)
    return found[0]


GUARDS: Final[dict[str, Callable[[], AbstractContextManager[object]]]] = {
    "aten": _below_autograd,
    "function": nullcontext,
}
