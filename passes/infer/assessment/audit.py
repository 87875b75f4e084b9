"""Audits: the learned rule, FakeTensor and the meta device compared with what the real operator returned.

Where torch's own kernels for tensors without data are wrong, a script that imports only torch reproduces it.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from passes.infer.assessment.assess import Answers, difference_of, has_numbers
from passes.infer.trials.runner import TrialRunner
from passes.infer.trials.variants import variants
from passes.meta import CPU, TensorMeta
from passes.operators.modes import Modes
from passes.operators.outcome import (
    Argument,
    DataDependent,
    ListArg,
    New,
    OpError,
    Outcome,
    Unsupported,
    leaves,
    rebuilt,
)
from passes.operators.resolve import UnknownOperator, positional, resolve
from passes.operators.stand_ins import BARE, FakeStandIns, StandIns
from passes.operators.trial import attempt
from passes.record.calls import Call, Failure, call_text, value_words
from passes.rules.generate import PredictedError
from passes.rules.rule import Rule

MODES: Final = Modes(grad=False)
RULE, FAKE, META = "the rule", "FakeTensor", "the meta device"
REFUSED: Final = "refused"
UNSEEN: Final = "written"  # which arguments were written to: kernels without data rightly write nothing
SECONDS: Final = 120.0  # after which a reproducer is taken to hang
# Values for the tensors of a reproducer, tried in turn until one reproduces the difference.
VALUES: Final = ("torch.ones", "torch.zeros")
Say = Callable[[Call], Outcome | None]


@dataclass(slots=True)
class Witness:
    """One predictor of outcomes, and how its predictions compare with the real ones."""

    name: str
    exact: int = 0
    wrong: int = 0
    silent: int = 0
    differences: Counter[str] = field(default_factory=Counter[str])
    example: Call | None = None
    prediction: str = ""
    matters: bool = False  # whether a difference is more than strides of sizes 0 and 1


@dataclass(frozen=True, slots=True)
class Audit:
    """How each witness predicts the calls of one operator."""

    op: str
    level: str
    calls: int
    witnesses: Mapping[str, Witness]

    @property
    def is_torch_wrong(self) -> bool:
        """Whether torch's fake kernel was wrong about a call."""
        return self.witnesses[FAKE].wrong > 0


def audit(
    op: str,
    level: str,
    rules: Sequence[Rule],
    calls: Sequence[Call],
    laboratory: TrialRunner | None,
    trials: int = 0,
    seed: int = 0,
) -> Audit:
    """Ask all witnesses about recorded calls, and about `trials` new ones. Raises UnknownOperator."""
    resolve(op, level)
    all_calls = list(calls)
    plain = [call for call in calls if not isinstance(call.outcome, Failure)]
    if laboratory is not None and trials and plain:
        drawn = list(variants(plain, random.Random(f"{seed} {level} {op}"), trials))
        all_calls += [seen for seen in laboratory.observe_all(op, level, drawn) if isinstance(seen, Call)]
    usable = sorted(filter(is_usable, all_calls), key=_size)
    by_name: dict[str, Say] = {
        RULE: _says_rule(Answers(rules)),
        FAKE: fake_says(),
        META: lambda call: _says_torch(BARE, call),
    }
    return Audit(op, level, len(usable), {name: questioned(name, say, usable) for name, say in by_name.items()})


def is_usable(call: Call) -> bool:
    """Whether a call returned tensors and its arguments share no memory, as stand-ins never do."""
    if isinstance(call.outcome, Failure) or has_numbers(call.outcome.result):
        return False
    metas = [leaf for leaf in leaves(tuple(call.arguments.values())) if isinstance(leaf, TensorMeta)]
    strided = all(meta.stride is not None and meta.device.type == CPU.type for meta in metas)
    return strided and call.shares == tuple(range(len(metas)))


def _size(call: Call) -> tuple[int, int]:
    """A sort key: small calls first, those with empty tensors last."""
    metas = [leaf for leaf in leaves(tuple(call.arguments.values())) if isinstance(leaf, TensorMeta)]
    counts = [int(meta.element_count) for meta in metas]
    return (int(0 in counts), sum(counts))


def questioned(name: str, say: Say, calls: Sequence[Call]) -> Witness:
    """A witness asked about every call; it keeps the first example of the difference that matters most.

    Torch's kernels without data are asked without gradients, and only rules are held to those of the recorded outcome.
    """
    witness = Witness(name)
    best = -1
    for call in calls if name == RULE else map(_without_gradients, calls):
        try:
            prediction = say(call)
        except (OpError, PredictedError) as error:
            difference, prediction_text, matters = REFUSED, str(error).partition("\n")[0], True
        else:
            if prediction is None:
                witness.silent += 1
                continue
            difference, prediction_text, matters = (
                difference_of(prediction, call),
                value_words(prediction.result),
                _matters(prediction, call),
            )
        if difference is None or (name != RULE and difference == UNSEEN):
            witness.exact += 1
            continue
        witness.wrong += 1
        witness.differences[difference] += 1
        rank = int(matters) + int(matters and difference != REFUSED)
        if rank > best:
            best, witness.example, witness.prediction, witness.matters = rank, call, prediction_text, matters
    return witness


def _matters(prediction: Outcome, call: Call) -> bool:
    """Whether outcomes differ in more than the strides of dimensions of size 1, or of empty tensors."""
    assert isinstance(call.outcome, Outcome)
    return (
        difference_of(_without_idle_strides(prediction), _with(call, _without_idle_strides(call.outcome))) is not None
    )


def _with(call: Call, outcome: Outcome) -> Call:
    return Call(call.op, call.level, call.arguments, call.shares, outcome, call.torch, call.location, call.count)


def _without_gradients(call: Call) -> Call:
    """`call` as if nothing that it returned or wrote to needed gradients."""
    assert isinstance(call.outcome, Outcome)
    written = {index: meta.replace(requires_grad=False) for index, meta in call.outcome.mutated.items()}
    result = rebuilt(call.outcome.result, New, lambda new: New(new.meta.replace(requires_grad=False), new.alias_of))
    return _with(call, Outcome(result, written))


def _without_idle_strides(outcome: Outcome) -> Outcome:
    def normal(meta: TensorMeta) -> TensorMeta:
        if meta.stride is None:
            return meta
        empty = 0 in meta.shape
        return meta.replace(
            stride=tuple(0 if empty or size == 1 else step for size, step in zip(meta.shape, meta.stride, strict=True))
        )

    written = {index: normal(meta) for index, meta in outcome.mutated.items()}
    return Outcome(rebuilt(outcome.result, New, lambda new: New(normal(new.meta), new.alias_of)), written)


def _says_rule(answers: Answers) -> Say:
    return lambda call: answers.answer(call.arguments)


def fake_says() -> Say:
    """A predictor that asks FakeTensor."""
    stand_ins = FakeStandIns()
    return lambda call: _says_torch(stand_ins, call)


def _says_torch(stand_ins: StandIns, call: Call) -> Outcome | None:
    """What torch's kernels for tensors without data return; None where they cannot know. May raise OpError."""
    args, kwargs = positional(resolve(call.op, call.level), call.arguments)
    detached = [_detached(argument) for argument in args]
    keywords = tuple((name, _detached(value)) for name, value in kwargs.items())
    try:
        return attempt(stand_ins, resolve(call.op, call.level), tuple(detached), keywords, MODES)
    except (DataDependent, Unsupported):
        return None
    except OpError as error:
        if stand_ins is BARE or isinstance(error.original, NotImplementedError):
            return None  # the device has no kernel at all
        raise


def _detached(argument: Argument) -> Argument:
    """An argument that requires no gradient: kernels below autograd are compared."""
    if isinstance(argument, TensorMeta):
        return argument.replace(requires_grad=False)
    return rebuilt(argument, TensorMeta, _detached) if isinstance(argument, tuple | ListArg) else argument


def audit_text(result: Audit) -> Iterator[str]:
    """The lines for one operator: the counts of each witness, and an example for each that was wrong."""
    wrong = [witness for witness in result.witnesses.values() if witness.wrong]
    if not wrong:
        return
    yield f"{result.op}: {result.calls:,} calls"
    for witness in result.witnesses.values():
        kinds = ", ".join(f"{name} {count}" for name, count in witness.differences.most_common())
        counts = f"exact {witness.exact:6,}   wrong {witness.wrong:5,}   silent {witness.silent:5,}"
        yield f"    {witness.name:16}{counts}{f': {kinds}' if kinds else ''}"
    for witness in wrong:
        assert witness.example is not None
        yield f"    {call_text(witness.example)}"
        yield f"    {witness.name} says {witness.prediction}{'' if witness.matters else ' (sizes 0 and 1 only)'}"


REPRODUCER: Final = '''"""{op}: what FakeTensor says of a call is not what the operator gives ({kinds}).

{call}
FakeTensor says {prediction}.
Seen with torch {torch}. Raises AssertionError as long as it is so.
"""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode


def tensor(size, stride, offset, dtype):
    needed = offset + 1 + sum((s - 1) * t for s, t in zip(size, stride)) if 0 not in size else offset
    return {values}(needed, dtype=dtype).as_strided(size, stride, offset)


def called(given):
    return torch.ops.{target}({arguments})


def facts(result, given):
    if isinstance(result, (list, tuple)):
        return [facts(part, given) for part in result]
    if not isinstance(result, torch.Tensor):
        return result
    shared = [i for i, t in enumerate(given) if t.untyped_storage()._cdata == result.untyped_storage()._cdata]
    return tuple(result.shape), result.stride(), result.storage_offset(), result.dtype, shared


given = [
{tensors}
]
mode = FakeTensorMode()
fake = [mode.from_tensor(each) for each in given]
with torch.no_grad():
    real = called(given)
    try:
        with mode:
            said = called(fake)
    except Exception as error:
        raise AssertionError(f"FakeTensor says {{type(error).__name__}}: {{error}}") from error
said, real = (facts(said, fake), facts(fake, fake)), (facts(real, given), facts(given, given))
assert said == real, f"FakeTensor says {{said[0]}}, the operator gives {{real[0]}}"
'''


def reproducer(result: Audit, values: str = VALUES[0]) -> str:
    """A script that imports only torch, and whose assertion that FakeTensor is right fails."""
    witness = result.witnesses[FAKE]
    call = witness.example
    assert call is not None
    args, kwargs = positional(resolve(call.op, call.level), call.arguments)
    metas: list[TensorMeta] = []

    def written(value: Any) -> str:
        if isinstance(value, TensorMeta):
            metas.append(value)
            return f"given[{len(metas) - 1}]"
        if isinstance(value, list | ListArg):
            return f"[{', '.join(map(written, value))}]"
        if isinstance(value, tuple):
            return f"({''.join(written(part) + ', ' for part in value)})"
        return f'float("{value}")' if isinstance(value, float) else repr(value)

    words = [*map(written, args), *(f"{name}={written(value)}" for name, value in kwargs.items())]
    namespace, _, name = call.op.partition("::")
    packet, _, overload = name.partition(".")
    return REPRODUCER.format(
        op=call.op,
        kinds=", ".join(witness.differences),
        call=call_text(call),
        prediction=witness.prediction,
        torch=torch.__version__,
        values=values,
        target=f"{namespace}.{packet}.{overload or 'default'}",
        arguments=", ".join(words),
        tensors="\n".join(
            f"    tensor({tuple(m.shape)}, {m.stride}, {m.storage_offset}, {m.dtype}),  # {i}"
            for i, m in enumerate(metas)
        ),
    )


def shown(result: Audit) -> str | None:
    """A reproducer that was run and failed as it should; None if none does, whatever values its tensors have.

    Raises subprocess.TimeoutExpired if one hangs: nothing is known of the operator then.
    """
    if "::" not in result.op:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reproducer.py"
        for values in VALUES:
            text = reproducer(result, values)
            path.write_text(text)
            ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=SECONDS)
            if ended.returncode != 0 and "AssertionError: FakeTensor says" in ended.stderr:
                return text
    return None


def file_name(result: Audit) -> str:
    """The name of the file for the script of one operator: `aten_sum_dim_IntList.py`."""
    return result.op.replace("::", "_").replace(".", "_") + ".py"


__all__ = ["Audit", "UnknownOperator", "audit", "audit_text", "file_name", "reproducer", "shown"]
