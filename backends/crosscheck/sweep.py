"""The sweep: all the ways in which one call is run, as a table of variations.

    writes ► poison ► repeat ► values ► threads ► layouts of the inputs ► layouts of `out=` ► layouts of `self` in place

Each row runs the candidate on copies and returns a CrosscheckDifference or None. A row that does not apply to a call
(no such layout, no `out=`) returns None, and so does a layout that the operator rejects: rejecting is no wrong answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.utils._pytree import tree_leaves

from backends.crosscheck import compare
from backends.crosscheck.calls import REFUSALS, ConcreteCall, ConcreteOutcome, attempt, is_plain
from backends.crosscheck.candidates import CompilerCandidate
from backends.crosscheck.compare import CrosscheckDifference
from backends.crosscheck.declarations import undeclared
from backends.crosscheck.gradients import ONE_RESULT, OTHERS_ZERO, in_training, with_gradients
from backends.crosscheck.layouts import LAYOUTS, WRITABLE, gaps_written, laid_out, layout_words
from backends.crosscheck.operators import READS_STORAGE, UNINITIALISED, name_of
from backends.crosscheck.poison import poisoned_memory, threads
from backends.crosscheck.python_threads import in_another_thread
from backends.crosscheck.reference import ReferenceRun, reference, shares_memory
from passes.meta import meta_of
from passes.operators.difference import strides_that_matter
from passes.operators.modes import Modes, current_modes
from passes.operators.stand_ins import FakeStandIns


class Variation(NamedTuple):
    """One way to run a call: what is varied, and to which layout, sizes or manner of going backward."""

    kind: str
    layout: str = ""

    @property
    def words(self) -> str:
        """The variation as part of a sentence."""
        return WORDS[self.kind].format(layout=self.layout).rstrip()


AGAIN: Final = 2  # further runs: of two that take turns, the second differs
AGAIN_COMPILED: Final = 7  # further runs of one compiled program, which may go wrong at every second or eighth call
OTHER_SEED: Final = 99  # of torch.manual_seed, where a program is run for the first time
SEEDS: Final = range(16)  # of torch.manual_seed: what shows under the first of them is written with its number
WORDS: Final = {
    "writes": "beside its declaration",
    "poison": "over poisoned memory",
    "repeat": "run again",
    "values": "as it was called",
    "other values": "with other values than it was compiled for",
    "threads": "on another number of threads",
    "python thread": "called from another thread of Python",
    "layout": "with {layout} inputs",
    "out": "with a {layout} tensor as `out=`",
    "in-place": "in place on a {layout} tensor",
    "size": "with {layout}",
    "content": "with {layout}",
    "joined": "with {layout}",
    "training": "with gradients recorded",
    "gradients": "backward {layout}",
    "slopes": "backward, with {layout}",
    "slope": "backward, beside the slope",
}


@dataclass
class CrosscheckTrial:
    """A call, a candidate, and what is known about them so far. `seed` is the state of the random numbers.

    `remark` is a message that is not a difference. `modes` are those that the call runs under.
    """

    call: ConcreteCall
    candidate: CompilerCandidate
    seed: Tensor
    remark: str | None = None
    modes: Modes = field(default_factory=current_modes)

    @cached_property
    def right(self) -> ReferenceRun:
        """The reference of the call."""
        return reference(self.call, self.seed)

    @cached_property
    def plain(self) -> tuple[ConcreteCall, ConcreteOutcome]:
        """The candidate's run on the unchanged call: its arguments afterwards, and its outcome."""
        return self.run(self.call.copied())

    def run(self, call: ConcreteCall) -> tuple[ConcreteCall, ConcreteOutcome]:
        """Run the candidate on a call; return the call, whose arguments it may have changed, and the outcome."""
        return call, attempt(call, self.candidate.run, self.seed, self.candidate.refusals)

    def examine(self, variation: Variation) -> CrosscheckDifference | None:
        """The first difference that this variation shows; None also if the call itself raises."""
        with torch.set_grad_enabled(self.modes.grad):
            if self.right.outcome.error is not None:
                return None
            return EXAMINATIONS[variation.kind](self, variation.layout)

    @property
    def is_right_in_torch(self) -> bool:
        """Whether the call's own result, in its own dtype, is right."""
        return compare.values(self.call, self.right.outcome, self.right) is None

    def beside(
        self, call: ConcreteCall, outcome: ConcreteOutcome, right: ReferenceRun | None = None
    ) -> CrosscheckDifference | None:
        """The difference between a run of the candidate and the right result."""
        right = right or self.right
        near = right.outcome if isinstance(self.call.target, GraphModule) else None
        return compare.values(call, outcome, right, near)


def seed_state(number: int) -> Tensor:
    """The state of the random numbers after torch.manual_seed(number)."""
    return torch.Generator().manual_seed(number).get_state()


def seeded(trial: CrosscheckTrial, shows: Callable[[CrosscheckTrial], bool]) -> CrosscheckTrial:
    """The trial under the first of SEEDS that shows the difference, or else under the random numbers that it had."""
    for number in SEEDS:
        other = CrosscheckTrial(trial.call, trial.candidate, seed_state(number))
        if shows(other):
            return other
        if not trial.right.outcome.drew:
            break
    return trial


def _declared(trial: CrosscheckTrial, _: str) -> CrosscheckDifference | None:
    """What a registered operator does otherwise than it declares."""
    return undeclared(trial.call, trial.seed)


def _poison(trial: CrosscheckTrial, _: str) -> CrosscheckDifference | None:
    if name_of(trial.call) in UNINITIALISED or _hangs_on_nothing(trial):
        return None
    if trial.candidate.compiles:  # in ordinary memory: what is looked at is what the compiled program allocates
        trial = replace(trial, candidate=trial.candidate.compiling_once())
        call, outcome = trial.run(trial.call.copied())
    else:
        call, outcome = trial.plain
    if outcome.error is not None:
        return None
    with poisoned_memory():
        again, poisoned = trial.run(trial.call.copied())
    return compare.stale(call, outcome, again, poisoned) if poisoned.error is None else None


def with_other_values(call: ConcreteCall) -> ConcreteCall | None:
    """A copy of the call with the elements of floating tensors in the opposite order and half as large; None without
    such tensors.

    Indices and lengths stay: others might be none.
    """
    floating = [tensor for tensor in call.tensors if _is_variable(tensor)]
    if not any(tensor.numel() > 1 for tensor in floating) or shares_memory(call.tensors):
        return None
    if any(0 in tensor.stride() for tensor in floating):
        return None
    copy = call.copied()
    with torch.no_grad():
        for tensor in filter(_is_variable, copy.tensors):
            tensor.copy_(tensor.flatten().flip(0).reshape(tensor.shape) / 2)
    return copy


def _is_variable(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and is_plain(tensor)


def _other_values(trial: CrosscheckTrial, _: str) -> CrosscheckDifference | None:
    """What was compiled for the call, run with other values in the same tensors and with other random numbers: none of
    them may be part of the program.
    """
    other = with_other_values(trial.call)
    if other is None or not trial.candidate.compiles or _hangs_on_nothing(trial):
        return None
    right = reference(other.copied(), trial.seed)
    once, first = trial.candidate.compiling_once(), trial.call.copied()
    earlier = attempt(first, once.run, seed_state(OTHER_SEED), once.refusals)
    if right.outcome.error is not None or earlier.error is not None:
        return None
    with torch.no_grad():
        for tensor, value in zip(first.tensors, other.tensors, strict=True):
            if is_plain(tensor) and tensor.shape == value.shape:
                tensor.copy_(value)
    call, outcome = replace(trial, candidate=once).run(first)
    if outcome.error is not None:
        return CrosscheckDifference("error", "the call", compare.error_words(outcome.error))
    return trial.beside(call, outcome, right)


def _hangs_on_nothing(trial: CrosscheckTrial) -> bool:
    """Whether the call itself makes its results depend on memory that nothing was written to."""
    return any(mask is not None and bool(mask.any()) for mask in trial.right.undefined)


def _repeat(trial: CrosscheckTrial, _: str) -> CrosscheckDifference | None:
    call, outcome = trial.plain
    if outcome.error is not None or name_of(trial.call) in UNINITIALISED or _hangs_on_nothing(trial):
        return None
    remarked = trial
    if trial.candidate.compiles:
        trial = replace(trial, candidate=trial.candidate.compiling_once())
    earlier: list[ConcreteOutcome] = []
    for _again in range(AGAIN_COMPILED if trial.candidate.compiles else AGAIN):
        again = trial.run(trial.call.copied())
        if again[1].error is not None:
            return CrosscheckDifference("error", "the call", compare.error_words(again[1].error))
        if earlier and (difference := _overwritten(trial, earlier[0], again[1])) is not None:
            return difference
        earlier.append(again[1])
        difference = compare.bitwise(call, outcome, *again)
        if difference is None:
            continue
        if difference.error > difference.allowed:
            return difference
        remarked.remark = (
            f"{difference.what} is not identical bit by bit when it is run again; it is right within rounding"
        )
    return None


def _overwritten(trial: CrosscheckTrial, first: ConcreteOutcome, later: ConcreteOutcome) -> CrosscheckDifference | None:
    """A result that a later call of one program overwrites, where the graph itself does not return what it holds."""
    if not trial.candidate.compiles:
        return None
    once = trial.call.copied()
    expected = [attempt(replace(trial.call.copied(), target=once.target), seed=trial.seed) for _ in range(2)]
    return compare.overwritten(first, later, *expected)


def _values(trial: CrosscheckTrial, _: str) -> CrosscheckDifference | None:
    call, outcome = trial.plain
    if outcome.error is not None:
        return CrosscheckDifference("error", "the call", compare.error_words(outcome.error))
    if not trial.candidate.compiles:
        return trial.beside(call, outcome)
    copy, expected = trial.right.plain, trial.right.outcome
    difference = compare.metas(call, outcome, copy, expected)
    if difference is not None and difference.kind != "strides":
        return difference
    if difference is not None and _as_predicted(trial.call, outcome):
        trial.remark = (
            f"{difference.what} has the strides that torch predicts, {difference.detail} that its kernel gives"
        )
        difference = None
    return (
        trial.beside(call, outcome)
        or difference
        or compare.signs(call, outcome, trial.right)
        or _effects(trial, call, outcome, copy, expected)
    )


def _effects(
    trial: CrosscheckTrial,
    call: ConcreteCall,
    outcome: ConcreteOutcome,
    plain_call: ConcreteCall,
    expected: ConcreteOutcome,
) -> CrosscheckDifference | None:
    """What a call does besides. What only the first of two runs leaves changed is what a compiler sets up once, such as
    what its modules do when they are imported.
    """
    difference = compare.effects(call, outcome, plain_call, expected, trial.call.tensors)
    if difference is None or difference.kind != "state":
        return difference
    return _left_again(outcome, expected, lambda: trial.run(trial.call.copied())[1])


def _left_again(
    outcome: ConcreteOutcome, expected: ConcreteOutcome, run: Callable[[], ConcreteOutcome]
) -> CrosscheckDifference | None:
    """What a call leaves changed of the state of the process, and leaves changed again when it runs once more."""
    if compare.state_difference(outcome.left, expected.left) is None:
        return None
    again = run()
    names = {change.state for change in (*again.left, *expected.left)}
    left = [change for change in outcome.left if change.state in names]
    return None if again.error is not None else compare.state_difference(left, expected.left)


def _training(trial: CrosscheckTrial, _: str) -> CrosscheckDifference | None:
    """Compare the results where gradients are recorded, which a compiler may compute in another way."""
    if _hangs_on_nothing(trial):
        return None
    call = in_training(trial.call)
    right = reference(call, trial.seed)
    if right.outcome.error is not None:
        return None
    copy, plain = call.copied(), call.copied()
    outcome = attempt(copy, _run_of(trial), trial.seed, trial.candidate.refusals)
    if outcome.error is not None:
        return _differentiable(trial, outcome.error)
    difference = compare.metas(copy, outcome, plain, attempt(plain, seed=trial.seed), aliases=False)
    if difference is not None and difference.kind != "strides":
        return difference
    return compare.values(copy, outcome, right, right.outcome)


def _differentiable(trial: CrosscheckTrial, error: Exception) -> CrosscheckDifference | None:
    """The difference for an error, unless an operator has no derivative, which a compiler may ask for at once."""
    if attempt(with_gradients(trial.call).copied(), seed=trial.seed).error is not None:
        return None
    return CrosscheckDifference("error", "the call", compare.error_words(error))


def _run_of(trial: CrosscheckTrial) -> Callable[[ConcreteCall], Any]:
    """What runs a call whose target runs another one: by the candidate."""
    return lambda call: call.target.run(call, trial.candidate.run)


def _as_predicted(call: ConcreteCall, outcome: ConcreteOutcome) -> bool:
    """Whether the strides are those of torch's own fake tensors, which compilers follow: kernels may return others."""
    stand_ins = FakeStandIns()
    stand_ins._mode.allow_non_fake_inputs = True  # constants that the graph holds
    fakes = call.mapped(lambda tensor: stand_ins.make(meta_of(tensor.detach())))
    try:
        with stand_ins.active():
            predicted = tree_leaves(fakes.run())
    except REFUSALS:
        return False
    return all(
        strides_that_matter(one) == strides_that_matter(other)
        for one, other in zip(predicted, outcome.outputs, strict=False)
        if isinstance(one, Tensor) and isinstance(other, Tensor) and is_plain(other)
    )


def _threads(trial: CrosscheckTrial, _: str) -> CrosscheckDifference | None:
    count = 1 if torch.get_num_threads() > 1 else 2
    with threads(count):
        call, outcome = trial.run(trial.call.copied())
    if outcome.error is None and (difference := trial.beside(call, outcome)) is not None:
        return difference
    if not trial.candidate.compiles:
        return None
    once = replace(trial, candidate=trial.candidate.compiling_once())
    if once.run(trial.call.copied())[1].error is not None:
        return None
    with threads(count):  # what was compiled under another number
        call, outcome = once.run(trial.call.copied())
    return trial.beside(call, outcome) if outcome.error is None else None


def _python_thread(trial: CrosscheckTrial, _: str) -> CrosscheckDifference | None:
    """What was compiled and called in one thread of Python, called in another one."""
    if not trial.candidate.compiles or _hangs_on_nothing(trial):
        return None
    once = replace(trial, candidate=trial.candidate.compiling_once())
    if once.run(trial.call.copied())[1].error is not None:
        return None
    call, outcome = in_another_thread(lambda: once.run(trial.call.copied()))
    if outcome.error is not None:
        return CrosscheckDifference("error", "the call", compare.error_words(outcome.error))
    return trial.beside(call, outcome)


def relaid(call: ConcreteCall, layout: str) -> tuple[ConcreteCall, list[Tensor]] | None:
    """A copy of the call with its tensors in the layout, and the tensors that have it; None if none can."""
    changed: list[Tensor] = []

    def change(tensor: Tensor) -> Tensor:
        other = laid_out(tensor, layout)
        if other is not None:
            changed.append(other)
        return tensor if other is None else other

    if name_of(call) in READS_STORAGE | UNINITIALISED or shares_memory(call.tensors):
        return None
    moved = call.copied().mapped(change)
    return (moved, changed) if changed else None


def _layout(trial: CrosscheckTrial, layout: str) -> CrosscheckDifference | None:
    moved = relaid(trial.call, layout)
    if moved is None:
        return None
    call, changed = moved
    right = trial.right
    if layout == "expanded":
        right = reference(call, trial.seed)
        if right.outcome.error is not None:
            return None
    plain = call.copied()
    _, outcome = trial.run(call)
    if outcome.error is not None:
        return _refused(outcome.error)
    for tensor in changed:
        if written := gaps_written(tensor):
            return CrosscheckDifference("outside", "the memory of an argument", _around(written, tensor))
    if outcome.drew or right.outcome.drew:
        return None
    return trial.beside(call, outcome, right) or _other_facts(trial, call, outcome, plain)


def _other_facts(
    trial: CrosscheckTrial, call: ConcreteCall, outcome: ConcreteOutcome, plain: ConcreteCall
) -> CrosscheckDifference | None:
    """The first fact besides values and strides of what a compiler gives for a call that was laid out in another way,
    in which a compiler may choose strides of its own.
    """
    if not trial.candidate.compiles:
        return None
    expected = attempt(plain, seed=trial.seed)
    difference = None if expected.error is not None else compare.metas(call, outcome, plain, expected)
    return None if difference is not None and difference.kind == "strides" else difference


def _around(written: int, tensor: Tensor) -> str:
    return f"{written:,} elements around {layout_words(tensor)} were written to"


def _refused(error: Exception) -> CrosscheckDifference | None:
    """A difference for an index that was read from a gap; other errors mean that the layout is rejected."""
    if isinstance(error, IndexError):
        return CrosscheckDifference("error", "an index", f"{compare.error_words(error)} (read outside of its tensor)")
    return None


def call_with_out(trial: CrosscheckTrial, layout: str) -> tuple[ConcreteCall, list[Tensor]] | None:
    """The call with poisoned tensors of this layout to write to, and those tensors; None if it has no `out=`."""
    call, outputs = trial.call, trial.right.outcome.outputs
    if not outputs or not all(isinstance(part, Tensor) and is_plain(part) for part in outputs):
        return None
    if isinstance(call.target, str | torch.nn.Module) or "out" in call.kwargs or trial.right.outcome.drew:
        return None
    buffers = [buffer for part in outputs if (buffer := laid_out(torch.zeros_like(part), layout)) is not None]
    if len(buffers) < len(outputs):
        return None
    for buffer in buffers:  # so that an element that is not written to shows
        buffer.fill_(float("nan") if buffer.is_floating_point() or buffer.is_complex() else 1)
    target, keywords = _with_out(call.target, buffers)
    if target is None:
        return None
    copied = call.copied()
    return replace(copied, target=target, kwargs={**copied.kwargs, **keywords}), buffers


def _with_out(target: Any, buffers: list[Tensor]) -> tuple[Any, dict[str, Any]]:
    """The target and the keywords of a call that writes the result of `target` to the buffers."""
    packet = target.overloadpacket if isinstance(target, torch._ops.OpOverload) else target
    if isinstance(packet, torch._ops.OpOverloadPacket):
        if "out" not in packet.overloads():
            return None, {}
        names = [argument.name for argument in packet.out._schema.arguments if argument.is_out]
        return packet.out, dict(zip(names, buffers, strict=False))
    aten = getattr(torch.ops.aten, _bare_name(target), None)
    if aten is None or not any(a.is_out for name in aten.overloads() for a in getattr(aten, name)._schema.arguments):
        return None, {}
    return target, {"out": buffers[0] if len(buffers) == 1 else tuple(buffers)}


def _bare_name(target: Any) -> str:
    name = getattr(target, "__name__", "")
    return name if name.isidentifier() and not name.startswith("__") else "none_such"


def _out(trial: CrosscheckTrial, layout: str) -> CrosscheckDifference | None:
    prepared = None if trial.candidate.compiles else call_with_out(trial, layout)
    if prepared is None:
        return None
    call, buffers = prepared
    places = [(buffer.stride(), tuple(buffer.shape)) for buffer in buffers]
    outcome = attempt(call, seed=trial.seed)
    if outcome.error is not None or places != [(buffer.stride(), tuple(buffer.shape)) for buffer in buffers]:
        return None
    for buffer in buffers:
        if written := gaps_written(buffer):
            return CrosscheckDifference("outside", "the memory of `out`", _around(written, buffer))
    inputs = call.tensors[: len(call.tensors) - len(buffers)]
    return trial.beside(trial.call, ConcreteOutcome(tuple(buffers), inputs, outcome.drew, None))


def call_in_place(trial: CrosscheckTrial, layout: str) -> ConcreteCall | None:
    """`x.add_(y)` for `torch.add(x, y)`, on an x in this layout; None if there is no such method."""
    call, result = trial.call, trial.right.outcome.result
    name = call.target if isinstance(call.target, str) else _bare_name(call.target)
    if (
        name.endswith("_")
        or name in READS_STORAGE
        or not hasattr(Tensor, f"{name}_")
        or trial.right.outcome.drew
        or "out" in call.kwargs
    ):
        return None
    if not call.args or not isinstance(call.args[0], Tensor) or not isinstance(result, Tensor):
        return None
    first = call.args[0]
    if (first.shape, first.dtype) != (result.shape, result.dtype) or shares_memory(call.tensors):
        return None
    copy = call.copied()
    buffer = laid_out(copy.args[0], layout)
    if buffer is None or any(part is copy.args[0] for part in (*copy.args[1:], *copy.kwargs.values())):
        return None
    return replace(copy, target=f"{name}_", args=(buffer, *copy.args[1:]))


def _in_place(trial: CrosscheckTrial, layout: str) -> CrosscheckDifference | None:
    call = None if trial.candidate.compiles else call_in_place(trial, layout)
    if call is None:
        return None
    buffer: Tensor = call.args[0]
    place = buffer.stride(), buffer.shape
    outcome = attempt(call, seed=trial.seed)
    if outcome.error is not None or outcome.result is not buffer or place != (buffer.stride(), buffer.shape):
        return None
    if written := gaps_written(buffer):
        return CrosscheckDifference("outside", "the memory of self", _around(written, buffer))
    return trial.beside(trial.call, ConcreteOutcome(buffer, trial.call.tensors, outcome.drew, None))


def _gradients(trial: CrosscheckTrial, manner: str) -> CrosscheckDifference | None:
    """Compare the gradients of the candidate with those of the call in float64.

    In other manners than once and from all results, an error says that the candidate does not support them.
    """
    with torch.enable_grad():
        call = with_gradients(trial.call, manner)
        right = reference(call, trial.seed)
        if right.outcome.error is not None or right.outcome.result is None:
            return None
        copy = call.copied()
        outcome = attempt(copy, _run_of(trial), trial.seed, trial.candidate.refusals)
    if outcome.error is not None:
        return None if manner else CrosscheckDifference("error", "the gradients", compare.error_words(outcome.error))
    if outcome.result is None:  # nothing that it gives depends on the inputs
        zeros = [torch.zeros_like(copy.tensors[index]) for index in call.target.wanted]
        outcome = outcome._replace(result=zeros * call.target.times)
    near = right.outcome
    if manner == ONE_RESULT:  # what a compiler may take for the same: 0 times infinity is NaN
        near = attempt(with_gradients(trial.call, OTHERS_ZERO).copied(), seed=trial.seed)
    difference = compare.values(copy, outcome, right, near)
    if difference is not None:
        return replace(difference, kind="gradient")

    def again() -> ConcreteOutcome:
        with torch.enable_grad():
            return attempt(call.copied(), _run_of(trial), trial.seed, trial.candidate.refusals)

    return _left_again(outcome, right.outcome, again)


EXAMINATIONS: Final[dict[str, Callable[[CrosscheckTrial, str], CrosscheckDifference | None]]] = {
    "writes": _declared,
    "poison": _poison,
    "repeat": _repeat,
    "values": _values,
    "other values": _other_values,
    "threads": _threads,
    "python thread": _python_thread,
    "layout": _layout,
    "out": _out,
    "in-place": _in_place,
    "size": _values,
    "content": _values,
    "joined": _values,
    "training": _training,
    "gradients": _gradients,
    "slopes": lambda trial, _: _gradients(trial, ""),
}
PLAIN: Final = tuple(Variation(kind) for kind in ("writes", "poison", "repeat", "values"))
THOROUGH: Final = (
    Variation("threads"),
    *(Variation("layout", layout) for layout in LAYOUTS),
    *(Variation("out", layout) for layout in WRITABLE),
    *(Variation("in-place", layout) for layout in WRITABLE),
)


def sweep(trial: CrosscheckTrial, thorough: bool) -> Iterator[tuple[Variation, CrosscheckDifference]]:
    """Every difference that a variation of the call shows; cheap variations are tried first."""
    for variation in (*PLAIN, *(THOROUGH if thorough else ())):
        difference = trial.examine(variation)
        if difference is not None:
            yield variation, difference
