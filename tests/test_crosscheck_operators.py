"""No false alarm: torch's operators, on torch's own samples, are right in every variation, a few real bugs apart.

The whole of torch's database takes minutes (`python -m benchmarks.crosscheck`); here is a spread of it.
"""

import contextlib
import itertools
import warnings

import pytest
import torch

from backends.crosscheck.calls import ConcreteCall
from backends.crosscheck.candidates import CompilerCandidate
from backends.crosscheck.sweep import CrosscheckTrial, Variation, sweep

# Found by the sweep in torch 2.13, reproduced by hand: what is written, read, or left out against the strides.
REAL_BUGS = {
    "median": "with a dim, of a tensor whose stride there is 0, reads past the memory",
    "nanmedian": "likewise",
    "native_group_norm": "takes weights for contiguous",
    "_softmax_backward_data": "writes `out` as if it were contiguous",
    "narrow_copy": "writes `out` as if it were contiguous",
    "nn.functional.avg_pool3d": "writes `out` as if it were contiguous",
    "nn.functional.gelu": "writes to a temporary instead of a strided `out`",
    "max_pool2d_with_indices_backward": "adds to what `out` holds",
}
EVERY = 12  # one operator in so many


def unseeded(title, operator):
    """The operator under its own name: the database hides some behind lambdas."""

    def named(*args, **kwargs):
        return operator(*args, **kwargs)

    named.__name__ = title
    return named


def spread():
    from torch.testing._internal.common_methods_invocations import op_db

    titles = [info for info in op_db if torch.float32 in info.supported_dtypes("cpu")]
    chosen = [info for info in titles if info.name not in REAL_BUGS and "jiterator" not in info.name]
    return [info for info in chosen[::EVERY] if info.name != "grid_sampler_3d"]


@pytest.fixture(autouse=True)
def seeds_that_show(monkeypatch):
    """The database's wrappers of random operators hide that random numbers are drawn."""
    import torch.testing._utils

    monkeypatch.setattr(torch.testing._utils, "freeze_rng_state", contextlib.nullcontext)


@pytest.mark.parametrize("info", spread(), ids=lambda info: f"{info.name}.{info.variant_test_name}".rstrip("."))
def test_no_false_alarm(info):
    name = getattr(info.op, "__name__", "<")
    operator = info.op if "<" not in name and "wrapper" not in name else unseeded(info.name.split(".")[-1], info.op)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for sample in itertools.islice(info.sample_inputs("cpu", torch.float32), 2):
            call = ConcreteCall(operator, (sample.input, *sample.args), dict(sample.kwargs))
            found = list(sweep(CrosscheckTrial(call, CompilerCandidate(), torch.get_rng_state()), thorough=True))
            assert not found, "\n".join(f"{variation.words}: {difference}" for variation, difference in found)


def examined(target, args, kwargs, variation):
    with torch.no_grad():
        return CrosscheckTrial(ConcreteCall(target, args, kwargs), CompilerCandidate(), torch.get_rng_state()).examine(
            variation
        )


@pytest.mark.parametrize(
    "target, args, kwargs, variation",
    [
        (torch.median, (torch.tensor([5.0, 1.0]),), {"dim": 0}, Variation("layout", "expanded")),
        (torch._C._nn.gelu, (torch.randn(4, 4),), {}, Variation("out", "sliced")),
        (torch.narrow_copy, (torch.randn(3, 4), 1, 0, 3), {}, Variation("out", "rows")),
    ],
    ids=["median", "gelu", "narrow_copy"],
)
def test_real_bugs_of_torch(target, args, kwargs, variation):
    """If this fails, torch has mended one: take it out of the table."""
    assert examined(target, args, kwargs, variation) is not None


def test_conditioning_is_measured():
    """Sums that cancel, arguments of ties and singular vectors are right within what they can be."""
    large = torch.tensor([1e8, 1.0, -1e8, 1e-3])
    assert examined(torch.sum, (large,), {}, Variation("values")) is None
    assert examined(torch.argmax, (torch.ones(5),), {}, Variation("layout", "sliced")) is None
    assert examined(torch.linalg.svd, (torch.eye(4) + 1e-7 * torch.randn(4, 4),), {}, Variation("values")) is None


@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16, torch.int64, torch.complex64), ids=str)
def test_other_dtypes(dtype):
    x = (torch.randn(4, 6) * 5).to(dtype) if dtype is not torch.int64 else torch.arange(24).reshape(4, 6)
    for target, args in ((torch.sum, (x, 0)), (torch.mul, (x, x)), (torch.cat, ([x, x], 1)), (torch.cumsum, (x, 1))):
        trial = CrosscheckTrial(ConcreteCall(target, args), CompilerCandidate(), torch.get_rng_state())
        with torch.no_grad():
            assert not list(sweep(trial, thorough=True)), target
