"""One trial: an operator run on new inputs, with the outcome described as the recorder does.

Overloads run below autograd, as a dispatch mode sees them; functions run as a program calls them. The trial runs in
this process: operators that may crash or hang belong into a Laboratory (passes/infer/worker.py).
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
# Exceptions and words of messages that are about types: no choice of values avoids such an error.
ABOUT_TYPES: Final = ("TypeError", "NotImplementedError")
ABOUT_TYPES_IN_MESSAGES: Final = ("not implemented for", "dtype", "scalar type", "data type", "the same type", "Float")

Answer = dict[str, Any]  # columns of a corpus: INPUT_FACTS, empty if they are as asked, and OUTCOME_NAMES
SEED: Final = 0
# Failures that are not the operator's: its inputs could not be made.
NOT_MADE: Final = ("TooLarge", "NotMaterialised")


@dataclass(frozen=True, slots=True)
class InputChoice:
    """How the inputs of a trial are made: their values (inputs.FILLS), and whether they are leaves of autograd."""

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

    An exception that other values avoid is not reported, so that a call that fails does so because of its metas. With
    `fill` (one of inputs.FILLS) no other values are tried. An exception of the operator becomes a Failure; so do inputs
    that cannot be made, with an error named in NOT_MADE. Raises resolve.UnknownOperator.
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
    """The conditions of all trials: no warnings, gradients enabled, and the random state put back at the end."""
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
    """As `observe`, inside `conditions`; the answer is columns of a corpus. Raises NotMaterialised."""
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
    """The call of a trial from its answer, which has arguments only if torch names them otherwise than `named`."""
    row = {"op": op, "level": level, "torch": torch.__version__, "location": TRIAL_LOCATION, "count": 1, **answer}
    call = call_of(row)
    return call if answer["arguments"] else replace(call, arguments=named, shares=tuple(shares))


def not_made(
    op: str, level: str, named: Mapping[str, Argument], shares: Sequence[int], error: str, message: str
) -> Call:
    """A call whose inputs could not be made, as a Failure with an error of NOT_MADE."""
    return Call(op, level, named, tuple(shares), Failure(error, message), torch.__version__, TRIAL_LOCATION, 1)


def is_made(call: Call) -> bool:
    """Whether the operator ran: its inputs could be made."""
    return not (isinstance(call.outcome, Failure) and call.outcome.error in NOT_MADE)


def _others(metas: Sequence[TensorMeta], level: str, failed: Answer) -> Iterator[InputChoice]:
    """Other inputs to try after a failure that may be due to values, or to a write to a leaf."""
    message = failed["message"]
    if level == "function" and "a leaf Variable that requires grad" in message:
        yield InputChoice(leaves=False)
    elif failed["error"] not in ABOUT_TYPES and not any(words in message for words in ABOUT_TYPES_IN_MESSAGES):
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
    with _OperatorFailure() as failure, DISPATCH[level]():
        result = target(*args, **kwargs)
    if failure.error is None:
        inputs.writes = watch.written(declared)
        outcome = table.returned(inputs, KEY, numbering, result)
    elif NO_MEMORY in str(failure.error):
        raise TooLarge(str(failure.error))
    else:
        outcome = table.raised(inputs, KEY, failure.error)
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
    """The numbers of the tensors that are written to, according to the schema."""
    names = written_by_schema(target)
    if not names:
        return frozenset()
    numbers: list[int] = []
    count = 0
    for name, value in live.items():
        tensors = sum(isinstance(leaf, torch.Tensor) for leaf in leaves(value))
        numbers += range(count, count + tensors) if name in names else ()
        count += tensors
    return frozenset(numbers)


class _OperatorFailure:
    """Keeps the exception that an operator raises."""

    error: Exception | None = None

    def __enter__(self) -> _OperatorFailure:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None


@lru_cache(maxsize=16)
def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _below_autograd() -> AbstractContextManager[object]:
    """Dispatch as inside a dispatch mode: below autograd, autocast and the tracking of views."""
    return torch._C._ForceDispatchKeyGuard(*_keys_in_a_mode())  # type: ignore[attr-defined]


@lru_cache(maxsize=1)
def _keys_in_a_mode() -> tuple[Any, Any]:
    """The dispatch keys that are included and excluded while a dispatch mode handles a call."""
    keys_seen: list[tuple[Any, Any]] = []

    class KeyReader(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            keys = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()  # type: ignore[attr-defined]
            keys_seen.append(keys)
            return func(*args, **(kwargs or {}))

    one = torch.ones(())
    with KeyReader():
        torch.neg(one)
    return keys_seen[0]


DISPATCH: Final[dict[str, Callable[[], AbstractContextManager[object]]]] = {
    "aten": _below_autograd,
    "function": nullcontext,
}
