"""Compiling backends against torch.compile: steady state, time outside of the compiler, and the cold start of `tiered`.

Cold starts are measured in processes of their own, with empty caches on disk, by `python -m benchmarks.backends`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import tracer
from benchmarks.measure import Spread, interleaved, ratios, spread
from benchmarks.subjects import CAPTURERS, Subject, forget, from_zoo, gpt2, qwen3
from benchmarks.suite import Effort, Row

COMPILED: dict[str, Callable[[], Subject]] = {
    "ResNet-18, narrow": lambda: from_zoo("resnet"),
    "ViT, 2 layers": lambda: from_zoo("vit"),
    "GPT-2, 4 layers": lambda: gpt2(4),
    "Qwen3, 4 layers": lambda: qwen3(4),
}
COLD: dict[str, Callable[[], Subject]] = {name: COMPILED[name] for name in ("GPT-2, 4 layers", "ResNet-18, narrow")}

ROOT = Path(__file__).parent.parent
PATIENCE = 600.0
"""Seconds after which a cold start is given up."""

CONTROL_CALLS = 300


def steady_state(effort: Effort) -> Iterator[Row]:
    """A warm call with Inductor over one under torch.compile, inference; at most 1.05."""
    for name, build in COMPILED.items():
        subject = build()
        forget()
        calls = {who: subject.call(capturer(subject, backend="inductor")) for who, capturer in CAPTURERS.items()}
        samples = interleaved(calls, effort.rounds, effort.seconds)
        found = ratios(samples["bytegraph"], samples["dynamo"])
        yield Row("inductor: warm call / torch.compile", name, "x", None, spread([1.0]), found, 1.05)


def training_steps(effort: Effort) -> Iterator[Row]:
    """The same for forward and backward of a model in training mode."""
    for name in ("GPT-2, 4 layers", "ResNet-18, narrow"):
        subject = COMPILED[name]()
        subject.program.train()
        forget()
        with torch.enable_grad():
            calls = {
                who: step(subject.call(capturer(subject, backend="inductor"))) for who, capturer in CAPTURERS.items()
            }
            samples = interleaved(calls, effort.rounds, effort.seconds)
        found = ratios(samples["bytegraph"], samples["dynamo"])
        yield Row("inductor: training step / torch.compile", name, "x", None, spread([1.0]), found, 1.05)


def step(call: Callable[[], Any]) -> Callable[[], None]:
    """A call, then backward from the sum of its first output."""

    def stepping() -> None:
        found = call()
        output = found if isinstance(found, torch.Tensor) else found[0]
        output.float().square().mean().backward()

    return stepping


def outside_the_compiler(effort: Effort) -> Iterator[Row]:
    """Seconds of a first call that are not AOTAutograd's or Inductor's."""
    import torch._inductor.compile_fx as compile_fx

    for name, build in COMPILED.items():
        subject = build()
        found = {who: outside(subject, capturer, compile_fx) for who, capturer in CAPTURERS.items()}
        yield Row("first call outside of Inductor", name, "s", None, found["dynamo"], found["bytegraph"], None)


def outside(subject: Subject, capturer: Callable[..., Any], compile_fx: Any) -> Spread:
    """Seconds of first calls less those spent in `compile_fx`, whose caches on disk are warm from the second one on."""
    original, samples = compile_fx._compile_fx_main, []
    for _ in range(3):
        forget()
        inside = []

        def timed(*args: Any, _inside: list[float] = inside, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                _inside.append(time.perf_counter() - begun)

        compile_fx._compile_fx_main = timed
        try:
            begun = time.perf_counter()
            subject.call(capturer(subject, backend="inductor"))()
            samples.append(time.perf_counter() - begun - sum(inside))
        finally:
            compile_fx._compile_fx_main = original
    return spread(samples[1:])


def cold_start(effort: Effort) -> Iterator[Row]:
    """Seconds to the first answer and to the fastest state, and how much slower calls are while something compiles."""
    for name in COLD:
        theirs, ours = (in_a_process(name, who) for who in ("torch.compile", "tiered"))
        first, peak = ((spread([theirs[what]]), spread([ours[what]])) for what in ("first answer", "peak"))
        yield Row("cold start: first answer", name, "s", None, *first, first[0].median)
        yield Row("cold start: until the fastest state", name, "s", None, *peak, None)
        slowdown = Spread(*ours["slowdown"], samples=ours["calls"])
        yield Row("cold start: call while compiling / eager", name, "x", None, None, slowdown, 1.25)
        yield Row("tiered: last state / eager", name, "x", None, None, spread([ours["settled"]]), 1.0)


def in_a_process(name: str, who: str) -> dict[str, Any]:
    """What `measure_cold` finds in a new process, Inductor's caches empty."""
    with tempfile.TemporaryDirectory() as folder:
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.backends", name, who],
            env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": folder},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
    return json.loads(found.stdout.splitlines()[-1])


def measure_cold(name: str, who: str) -> dict[str, Any]:
    """A first call, then calls until nothing gets faster any more."""
    torch.set_num_threads(1)
    with torch.no_grad():
        subject = COLD[name]()
        eager = subject.call()
        alone = [timed_call(eager) for _ in range(CONTROL_CALLS)]
        program = (
            tracer.capture(subject.program, backend="tiered") if who == "tiered" else torch.compile(subject.program)
        )
        call = subject.call(program)
        begun = time.perf_counter()
        call()
        found: dict[str, Any] = {"first answer": time.perf_counter() - begun}
        if who != "tiered":
            return {**found, "peak": found["first answer"]}
        (tier,) = {id(entry.tier): entry.tier for entry in program.entries if entry.tier is not None}.values()
        meanwhile = []
        while tier.state == "compiling" and time.perf_counter() - begun < PATIENCE:
            meanwhile.append(timed_call(call))
        while tier.state not in ("compiled", "refused") and time.perf_counter() - begun < PATIENCE:
            call()
        found["peak"] = time.perf_counter() - begun
        settled = interleaved({"eager": eager, "tiered": call}, 40, 0.02)
        plain = tracer.capture(subject.program)
        subject.call(plain)()
        replayed = [timed_call(subject.call(plain)) for _ in range(CONTROL_CALLS)]
    baseline = statistics.fmean(sorted(replayed)[: int(len(replayed) * 0.95)])
    low, middle, high = statistics.quantiles([spent / baseline for spent in meanwhile], n=4)
    mean = statistics.fmean(meanwhile) / statistics.fmean(replayed)
    return {
        **found,
        "slowdown": [mean, low, high],
        "median slowdown": middle,
        "calls": len(meanwhile),
        "eager": statistics.median(alone),
        "settled": ratios(settled["tiered"], settled["eager"]).median,
        "tier": str(tier),
    }


def timed_call(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


MEASUREMENTS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "inductor": steady_state,
    "inductor training": training_steps,
    "outside the compiler": outside_the_compiler,
    "cold start": cold_start,
}

if __name__ == "__main__":
    print(json.dumps(measure_cold(*sys.argv[1:3])))
