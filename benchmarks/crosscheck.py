"""The cost of a crosscheck over that of a plain call, and its findings where there is nothing to find.

`python -m benchmarks.crosscheck` checks the whole of torch's operator database, which takes some minutes;
`python -m benchmarks.crosscheck architectures [name ...]` checks 40 architectures, or those named, in training,
inference, autocast, bfloat16 and with sizes that change, with candidates that are exact: whatever is found is false.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map_only

from backends.crosscheck.calls import ConcreteCall
from backends.crosscheck.candidates import CompilerCandidate
from backends.crosscheck.sweep import CrosscheckTrial, Variation, sweep
from benchmarks.record import one
from benchmarks.suite import Effort, Row
from tests import models
from tracer import capture

SAMPLES = 2  # of each operator
ARCHITECTURES: Final = (
    *("gpt2", "bert", "llama", "qwen3", "gemma3", "t5", "vit", "whisper", "clip", "mistral", "mixtral", "qwen2"),
    *("gemma2", "phi3", "opt", "gpt-neox", "gptj", "bloom", "falcon", "olmo2", "stablelm", "starcoder2", "cohere"),
    *("distilbert", "roberta", "electra", "albert", "mpnet", "bart", "swin", "convnext", "segformer", "regnet"),
    *("mobilevit", "vit-pytorch", "max-vit", "x-decoder-rotary", "resnet", "torch-transformer", "lstm-tagger"),
)


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


# Architectures -----------------------------------------------------------------------------------


def _replay(graph_module: torch.fx.GraphModule, inputs: list[Any]) -> Any:
    return graph_module.forward


CANDIDATES: Final[dict[str, dict[str, Any]]] = {"operators": {}, "whole graph": {"candidate": _replay}}
"""Exact candidates: torch's own operators one by one, and the graph itself in the place of a compiled one."""
Condition = Callable[[Callable[..., Any], Any, Any], None]


def _inference(program: Callable[..., Any], args: Any, kwargs: Any) -> None:
    with torch.no_grad():
        program(*args, **kwargs)


def _training(program: Callable[..., Any], args: Any, kwargs: Any) -> None:
    results = [part for part in tree_leaves(program(*args, **kwargs)) if isinstance(part, torch.Tensor)]
    sum(part.float().square().mean() for part in results if part.requires_grad).backward()  # type: ignore[union-attr]


def _autocast(program: Callable[..., Any], args: Any, kwargs: Any) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        _training(program, args, kwargs)


def _sizes(program: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Batches of three sizes: from the second capture on, the size is a symbol."""
    for times in (1, 2, 3):
        repeated = tree_map_only(torch.Tensor, lambda part, times=times: torch.cat([part] * times), (args, kwargs))
        _inference(program, *repeated)


CONDITIONS: Final[dict[str, Condition]] = {
    "inference": _inference,
    "training": _training,
    "autocast": _autocast,
    "bfloat16": _inference,
    "sizes": _sizes,
}


def alarms(name: str, condition: str, candidate: str) -> tuple[int, list[str]]:
    """The number of graphs checked, and the findings where there is nothing to find.

    Raises what the model itself raises under such a condition, before anything is checked.
    """
    model, args, kwargs = models.build(name)
    if condition == "bfloat16":
        model = model.bfloat16()
        args, kwargs = tree_map_only(
            torch.Tensor, lambda part: part.bfloat16() if part.is_floating_point() else part, (args, kwargs)
        )
    model.train(condition in ("training", "autocast"))
    CONDITIONS[condition](copy.deepcopy(model), args, kwargs)
    reports: list[Any] = []
    options = {"report": reports.append, "shrink": 0.0, **CANDIDATES[candidate]}
    CONDITIONS[condition](capture(model, backend="crosscheck", options=options), args, kwargs)
    return len(reports), [str(finding) for report in reports for finding in report.findings]


def architectures(names: tuple[str, ...]) -> int:
    """Print the false alarms of each architecture under each condition; gives their number."""
    count = 0
    for name, condition, candidate in itertools.product(names, CONDITIONS, CANDIDATES):
        try:
            graphs, findings = alarms(name, condition, candidate)
        except (RuntimeError, ValueError, IndexError) as error:
            print(f"{name}, {condition}, {candidate}: does not run: {str(error).splitlines()[0]}", flush=True)
            continue
        count += len(findings)
        for finding in findings:
            print(f"{name}, {condition}, {candidate}: false alarm: {finding}", flush=True)
        print(f"{name}, {condition}, {candidate}: {graphs} graphs, {len(findings)} alarms", flush=True)
    print(f"{len(names)} architectures, {count} false alarms")
    return count


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
    if sys.argv[1:2] == ["architectures"]:
        return 1 if architectures(tuple(sys.argv[2:]) or ARCHITECTURES) else 0
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
