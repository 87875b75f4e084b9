"""`record opinfo`: every operator of torch's own database, on its samples, in several layouts and dtypes.

Each is run forward, backward, in place, by its other names, and on inputs that the database lists as errors. Samples of
indexing are also used for assignment, which the database has no samples of. Samples are made while nothing is recorded;
the database seeds their random numbers itself. Knows nothing of files.
"""

from __future__ import annotations

import fnmatch
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from passes.meta import CPU
from passes.operators.outcome import OPERATOR_ERRORS
from passes.record.recorder import Recorder
from passes.record.schema import CorpusError
from passes.record.sources.layouts import LAYOUTS, laid_out

MAIN_DTYPE: Final = torch.float32  # in which all layouts are tried; in other dtypes only the first
DTYPES: Final = (
    torch.float32,
    torch.int64,
    torch.bool,
    torch.float64,
    torch.bfloat16,
    torch.complex64,
    torch.int32,
    torch.uint8,
    torch.float16,
    torch.complex128,
    torch.int16,
    torch.int8,
)


@dataclass(frozen=True, slots=True)
class OpInfoPlan:
    """Which calls to make: operators whose names match `pattern`, every `parts`-th from `part` on.

    `samples` bounds the samples per operator and dtype, None for all; `dtypes` and `layouts` are tried in
    this order, layouts beyond the first for the main dtype only.
    """

    pattern: str = "*"
    dtypes: Sequence[torch.dtype] = DTYPES
    layouts: Sequence[str] = tuple(LAYOUTS)
    backward: bool = True
    errors: bool = True
    samples: int | None = None
    part: int = 0
    parts: int = 1


def chosen(plan: OpInfoPlan) -> list[Any]:
    """The OpInfos of the plan. Raises CorpusError if there are none."""
    from torch.testing._internal.common_methods_invocations import op_db

    infos = [info for info in op_db if fnmatch.fnmatch(_title(info), plan.pattern)]
    if not infos:
        raise CorpusError(f"no operator of torch's database matches {plan.pattern!r}; try 'add*' or '*conv*'")
    return infos[plan.part :: plan.parts]


def titles(plan: OpInfoPlan) -> list[str]:
    """The different names of the operators of the plan."""
    return [_title(info) for info in chosen(plan)]


def _title(info: Any) -> str:
    return f"{info.name}.{info.variant_test_name}" if info.variant_test_name else info.name


def start(plan: OpInfoPlan, recorder: Recorder) -> Callable[[str], None]:
    """The function that makes all calls of the operator with a name."""
    infos = {_title(info): info for info in chosen(plan)}

    def do(title: str) -> None:
        recorder.place = lambda: f"opinfo {title}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run_operator(recorder, infos[title], plan)

    return do


def run(recorder: Recorder, plan: OpInfoPlan) -> Iterator[str]:
    """Make the calls; gives the name of each operator when it is done."""
    do = start(plan, recorder)
    for title in titles(plan):
        do(title)
        yield title


def run_operator(recorder: Recorder, info: Any, plan: OpInfoPlan) -> None:
    """All calls of one operator."""
    supported = info.supported_dtypes(CPU.type)
    differentiable = info.supported_backward_dtypes(CPU.type) if info.supports_autograd and plan.backward else ()
    main = next((dtype for dtype in (MAIN_DTYPE, *plan.dtypes) if dtype in supported and dtype in plan.dtypes), None)
    for dtype in (dtype for dtype in plan.dtypes if dtype in supported):
        layouts = plan.layouts if dtype is main else plan.layouts[:1]
        for sample in _samples(info, dtype, dtype in differentiable, plan.samples):
            for layout in layouts:
                run_sample(recorder, info, sample, layout, dtype in differentiable)
            for alias in info.aliases if dtype is main else ():
                _forward(recorder, alias.op, _arranged(sample, plan.layouts[0]))
    if plan.errors and info.error_inputs_func is not None:
        for error in _made(lambda: info.error_inputs(CPU.type)):
            _forward(recorder, info.op, error.sample_input)


def _samples(info: Any, dtype: torch.dtype, requires_grad: bool, most: int | None) -> Iterator[Any]:
    samples = _made(lambda: info.sample_inputs(CPU.type, dtype, requires_grad=requires_grad))
    return itertools.islice(samples, most)


def _made(make: Callable[[], Any]) -> Iterator[Any]:
    """The samples of the database, up to the first failure: some of its generators fail for some dtypes."""
    try:
        yield from make()
    except OPERATOR_ERRORS:
        return


def run_sample(recorder: Recorder, info: Any, sample: Any, layout: str, backward: bool) -> None:
    """One sample in one layout: forward and backward, and in place if the operator can do that."""
    arranged = _arranged(sample, layout)
    if arranged is None:
        return
    result = _forward(recorder, info.op, arranged)
    if backward:
        _backward(recorder, info, arranged, result)
    in_place = info.inplace_variant
    if in_place is not None and isinstance(sample.input, torch.Tensor):
        again = _arranged(sample, layout)
        if again is not None:
            again.input.requires_grad_(False)
            _forward(recorder, in_place, again)
    if info.op is torch.Tensor.__getitem__ and isinstance(result, torch.Tensor):
        _assign(recorder, sample, layout, result.detach())


def _assign(recorder: Recorder, sample: Any, layout: str, value: torch.Tensor) -> None:
    """Assign to the elements that a sample selects: the selected values, and one number for all."""
    for assigned in (value, value.new_ones(()), 1):
        again = _arranged(sample, layout)
        again.input.requires_grad_(False)
        again.args = (*again.args, assigned)
        _forward(recorder, torch.Tensor.__setitem__, again)


def _arranged(sample: Any, layout: str) -> Any:
    """A copy of a sample with its tensors in this layout; None if that changes none of them."""
    from torch.testing._internal.opinfo.core import SampleInput

    (first, args, kwargs), changed = laid_out((sample.input, tuple(sample.args), dict(sample.kwargs)), layout)
    if layout != "contiguous" and not changed:
        return None
    return SampleInput(
        first,
        args=args,
        kwargs=kwargs,
        output_process_fn_grad=sample.output_process_fn_grad,
        broadcasts_input=sample.broadcasts_input,
        name=sample.name,
    )


def _forward(recorder: Recorder, operator: Callable[..., Any], sample: Any) -> Any:
    with recorder:
        try:
            return operator(sample.input, *sample.args, **sample.kwargs)
        except OPERATOR_ERRORS:
            return None


def _backward(recorder: Recorder, info: Any, sample: Any, result: Any) -> None:
    """Compute all gradients, from contiguous incoming gradients and from expanded ones."""
    if result is None:
        return
    outputs = [
        leaf
        for leaf in _leaves(sample.output_process_fn_grad(result))
        if isinstance(leaf, torch.Tensor) and leaf.requires_grad and leaf.layout is torch.strided
    ]
    inputs = [
        leaf
        for leaf in _leaves((sample.input, sample.args, sample.kwargs))
        if isinstance(leaf, torch.Tensor) and leaf.requires_grad
    ]
    if not outputs or not inputs:
        return
    for last, make in enumerate((torch.ones_like, lambda output: output.new_ones(()).expand(output.shape))):
        gradients = [make(output.detach()) for output in outputs]
        with recorder:
            try:
                torch.autograd.grad(outputs, inputs, gradients, retain_graph=not last, allow_unused=True)
            except OPERATOR_ERRORS:
                return


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
