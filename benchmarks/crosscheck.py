"""The cost of a crosscheck over that of a plain call, and its findings where there is nothing to find.

`python -m benchmarks.crosscheck` checks the whole of torch's operator database, which takes some minutes.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import nn

from backends.crosscheck.calls import ConcreteCall
from backends.crosscheck.candidates import CompilerCandidate
from backends.crosscheck.sweep import CrosscheckTrial, Variation, sweep
from benchmarks.record import one
from benchmarks.suite import Effort, Row
from tracer import capture

SAMPLES = 2  # of each operator


def cost(model: nn.Module, *args: Any) -> dict[str, float]:
    """Seconds of a crosscheck and of a plain call, their ratio, the number of calls checked, and of findings."""
    reports: list[Any] = []
    captured = capture(model, backend="crosscheck", options={"report": reports.append, "shrink": 0.0})
    captured(*args)
    begun = time.perf_counter()
    captured(*args)
    plain = time.perf_counter() - begun
    checked = sum(report.seconds for report in reports)
    return {
        "seconds": checked,
        "plain": plain,
        "ratio": checked / plain,
        "calls": sum(report.checked for report in reports),
        "findings": sum(len(report.findings) for report in reports),
    }


def figures() -> dict[str, float]:
    """For a transformer layer: the time of a crosscheck over that of a call, and the number of findings."""
    torch.manual_seed(0)
    costs = cost(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval(), torch.randn(2, 16, 64))
    return {"crosscheck of a transformer layer / a call of it": costs["ratio"], "findings in it": costs["findings"]}


def checked(effort: Effort) -> Iterator[Row]:
    """The cost of checking a transformer layer, and the number of findings, which must be none."""
    cost_of, findings = figures().values()
    yield Row("crosscheck", "a check of a transformer layer / a call of it", "x", None, None, one(cost_of), None)
    yield Row("crosscheck", "findings in a transformer layer", "count", None, None, one(findings), 0.0)


def operators() -> Iterator[tuple[str, Variation, Any]]:
    """Every difference in torch's operator database, for the operators that support float32."""
    import torch.testing._utils
    from torch.testing._internal.common_methods_invocations import op_db

    # The wrappers in the database would hide from the check that an operator draws random numbers.
    torch.testing._utils.freeze_rng_state = contextlib.nullcontext  # type: ignore[assignment]
    for info in op_db:
        if torch.float32 not in info.supported_dtypes("cpu") or "jiterator" in info.name:
            continue
        for sample in itertools.islice(info.sample_inputs("cpu", torch.float32), SAMPLES):
            call = ConcreteCall(_named(info), (sample.input, *sample.args), dict(sample.kwargs))
            for variation, difference in sweep(
                CrosscheckTrial(call, CompilerCandidate(), torch.get_rng_state()), thorough=True
            ):
                yield f"{info.name} {info.variant_test_name}".strip(), variation, difference


def _named(info: Any) -> Any:
    """The operator under its own name, also where the database wraps it in a lambda."""
    name = getattr(info.op, "__name__", "<")
    if "<" not in name and "wrapper" not in name:
        return info.op

    def named(*args: Any, **kwargs: Any) -> Any:
        return info.op(*args, **kwargs)

    named.__name__ = info.name.split(".")[-1]
    return named


MEASUREMENTS: Final = {"crosscheck": checked}


def main() -> int:
    warnings.simplefilter("ignore")
    for what, figure in figures().items():
        print(f"{what}: {figure:.3g}")
    wrong: dict[str, int] = {}
    with torch.no_grad():
        for name, variation, difference in operators():
            wrong[name] = wrong.get(name, 0) + 1
            if wrong[name] == 1:
                print(
                    f"{name}, {variation.words}: {difference.kind}: {difference.what}: {difference.detail}", flush=True
                )
    print(f"{len(wrong)} operators with differences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
