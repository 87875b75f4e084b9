"""The Evaluator against the real operators, on torch's own samples for every operator it tests.

This is what passes/operators/catalogue.py rests on: an operator belongs in its tables only while this passes. The calls
that the Evaluator refuses are counted in tests/pins/test_fake_operators.json.
"""

from collections import Counter
from contextlib import nullcontext

import pytest
import torch
from torch.testing._internal import common_methods_invocations as opinfo
from torch.testing._internal.common_utils import set_rng_seed

from passes.operators.outcome import DataDependent, OpError, Unsupported
from tests.evaluation import evaluate, listed, observe, plain
from tests.pins import read

SAMPLES = 2
DTYPES = (torch.float32, torch.int64, torch.complex64)
# Where torch's fake kernels differ from its CPU kernels, on operators or samples too odd to matter.
KNOWN_DIFFERENCES = {
    "addbmm",  # in place it grows a scalar
    "as_strided",  # out of bounds of the storage, which a meta does not tell
    "einsum",  # called through a lambda; strides of dimensions of size 1
    "frexp",  # strides of empty tensors
    "nn.functional.dropout",  # of no element, or with p=0 in inference mode: a copy instead of the tensor itself
    "nn.functional.max_unpool2d",  # called through a Python function; channels last
    "nn.functional.rms_norm",  # strides of empty tensors
    "native_group_norm",  # refuses strides that its fake kernel takes
    "ldexp",  # fake tensors do not refuse to write floats to a tensor of no dimension that holds ints
    "linalg.pinv",  # autocast inside
    "masked_scatter",  # in place it refuses to grow
    "rand_like",  # strides of empty tensors
    "randn_like",
    "randint_like",
}
MODES = [
    pytest.param(nullcontext, id="plain"),
    pytest.param(lambda: torch.autocast("cpu", torch.bfloat16), id="autocast"),
]
SKIPPED = ("jiterator", "sparse.", "_scaled_mm", "torch.ops.aten._")


def targets(op):
    return [target for target in (op.op, op.method_variant, op.inplace_variant) if target is not None]


def copied(argument):
    if isinstance(argument, torch.Tensor):
        return argument.detach().clone().requires_grad_(argument.requires_grad)
    if isinstance(argument, list | tuple):
        return type(argument)(map(copied, argument))
    return argument


def samples(op):
    """Up to three of torch's samples of an operator for each dtype."""
    for dtype in DTYPES:
        if dtype not in op.dtypes:
            continue
        for requires_grad in (False, True) if dtype is torch.float32 and op.supports_autograd else (False,):
            # Seeding torch for each sample would take most of the time: the fixture seeds it once.
            everything = list(op.sample_inputs("cpu", dtype, requires_grad=requires_grad, set_seed=False))
            yield from everything[:: max(1, len(everything) // SAMPLES)]


def attempt(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except (OpError, DataDependent, Unsupported, RuntimeError, TypeError, ValueError, IndexError) as error:
        return error


def comparisons():
    for op in opinfo.op_db:
        if op.name not in KNOWN_DIFFERENCES and not op.name.startswith(SKIPPED):
            yield pytest.param(op, id=f"{op.name}-{op.variant_test_name}".rstrip("-"))


@pytest.fixture(scope="module", params=comparisons())
def operator(request):
    """An operator and its samples, which take half of a test's time: its modes are tested one after the other."""
    set_rng_seed(0)
    return request.param, list(samples(request.param))


@pytest.mark.parametrize("mode", MODES)
def test_operator(operator, mode, pin):
    op, refusals = operator[0], Counter()
    for sample in operator[1]:
        for target in targets(op):
            args, kwargs = (copied(sample.input), *copied(sample.args)), sample.kwargs
            if target is op.inplace_variant and isinstance(args[0], torch.Tensor):
                args = (args[0].clone(), *args[1:])
            with mode():
                evaluated = attempt(evaluate, target, *args, **kwargs)
                if isinstance(evaluated, DataDependent | Unsupported):
                    refusals[type(evaluated).__name__] += 1
                    continue
                observed = attempt(observe, target, *args, **kwargs)
            if isinstance(observed, Unsupported):
                continue
            if isinstance(observed, Exception):
                assert isinstance(evaluated, OpError), f"{args} {kwargs}: {observed!r}, evaluated {evaluated}"
                continue
            assert not isinstance(evaluated, Exception), f"{args} {kwargs}: {observed}, evaluated {evaluated!r}"
            (result, written), (real_result, really_written) = plain(evaluated), plain(observed)
            assert listed(result) == listed(real_result), f"{args} {kwargs}"
            assert really_written.items() <= written.items(), f"{args} {kwargs}"
    pin(dict(refusals), {})


def test_refusals_are_pinned_for_operators_that_exist():
    names = {f"{operator.id}-{mode.id}" for mode in MODES for operator in comparisons()}
    assert set(read("test_fake_operators")) <= names
