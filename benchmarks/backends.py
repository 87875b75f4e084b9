"""Compiling backends against torch.compile: steady state, time outside the compiler, and the cold start of `tiered`.

Each cold start is measured in a new process with empty caches on disk, `python -m benchmarks.backends`.
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
"""Seconds after which the measurement of a cold start is abandoned."""

CONTROL_CALLS = 300


def steady_state(effort: Effort) -> Iterator[Row]:
    """The time of a warm inference call with the backend inductor over that of one under torch.compile."""
    for name, build in COMPILED.items():
        subject = build()
        forget()
        calls = {key: subject.call(capturer(subject, backend="inductor")) for key, capturer in CAPTURERS.items()}
        samples = interleaved(calls, effort.rounds, effort.seconds)
        times = ratios(samples["bytegraph"], samples["dynamo"])
        yield Row("inductor: warm call / torch.compile", name, "x", None, spread([1.0]), times, 1.05)


def training_steps(effort: Effort) -> Iterator[Row]:
    """The same for the forward and backward pass of a model in training mode."""
    for name in ("GPT-2, 4 layers", "ResNet-18, narrow"):
        subject = COMPILED[name]()
        subject.program.train()
        forget()
        with torch.enable_grad():
            calls = {
                key: step(subject.call(capturer(subject, backend="inductor"))) for key, capturer in CAPTURERS.items()
            }
            samples = interleaved(calls, effort.rounds, effort.seconds)
        times = ratios(samples["bytegraph"], samples["dynamo"])
        yield Row("inductor: training step / torch.compile", name, "x", None, spread([1.0]), times, 1.05)


def step(call: Callable[[], Any]) -> Callable[[], None]:
    """A training step: the call, then backward from the mean square of its first output."""

    def stepping() -> None:
        result = call()
        output = result if isinstance(result, torch.Tensor) else result[0]
        output.float().square().mean().backward()

    return stepping


def outside_the_compiler(effort: Effort) -> Iterator[Row]:
    """Seconds of a first call that are spent neither in AOTAutograd nor in Inductor."""
    import torch._inductor.compile_fx as compile_fx

    for name, build in COMPILED.items():
        subject = build()
        times = {key: outside(subject, capturer, compile_fx) for key, capturer in CAPTURERS.items()}
        yield Row("first call, time outside Inductor", name, "s", None, times["dynamo"], times["bytegraph"], None)


def outside(subject: Subject, capturer: Callable[..., Any], compile_fx: Any) -> Spread:
    """Seconds of first calls minus those spent in `compile_fx`, whose disk caches are warm from the second call on."""
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
    """Seconds to the first result and to the final state, and the slowdown of calls while the compiler works."""
    for name in COLD:
        theirs, ours = (in_a_process(name, capturer) for capturer in ("torch.compile", "tiered"))
        first, peak = ((spread([theirs[what]]), spread([ours[what]])) for what in ("first result", "peak"))
        yield Row("cold start: first result", name, "s", None, *first, first[0].median)
        yield Row("cold start: until the final state", name, "s", None, *peak, None)
        slowdown = Spread(*ours["slowdown"], samples=ours["calls"])
        yield Row("cold start: call while compiling / eager", name, "x", None, None, slowdown, 1.25)
        yield Row("tiered: final state / eager", name, "x", None, None, spread([ours["settled"]]), 1.0)


def in_a_process(name: str, capturer: str) -> dict[str, Any]:
    """Run `measure_cold` in a new process with empty Inductor caches and return its result."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.run(
            [sys.executable, "-m", "benchmarks.backends", name, capturer],
            env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": folder},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
    return json.loads(process.stdout.splitlines()[-1])


def measure_cold(name: str, capturer: str) -> dict[str, Any]:
    """Seconds of a first call, then of calls until the program has reached its final state."""
    torch.set_num_threads(1)
    with torch.no_grad():
        subject = COLD[name]()
        eager = subject.call()
        alone = [timed_call(eager) for _ in range(CONTROL_CALLS)]
        program = (
            tracer.capture(subject.program, backend="tiered")
            if capturer == "tiered"
            else torch.compile(subject.program)
        )
        call = subject.call(program)
        begun = time.perf_counter()
        call()
        figures: dict[str, Any] = {"first result": time.perf_counter() - begun}
        if capturer != "tiered":
            return {**figures, "peak": figures["first result"]}
        (tier,) = {id(entry.tier): entry.tier for entry in program.entries if entry.tier is not None}.values()
        meanwhile = []
        while tier.state == "compiling" and time.perf_counter() - begun < PATIENCE:
            meanwhile.append(timed_call(call))
        while tier.state not in ("compiled", "refused") and time.perf_counter() - begun < PATIENCE:
            call()
        figures["peak"] = time.perf_counter() - begun
        settled = interleaved({"eager": eager, "tiered": call}, 40, 0.02)
        plain = tracer.capture(subject.program)
        subject.call(plain)()
        replayed = [timed_call(subject.call(plain)) for _ in range(CONTROL_CALLS)]
    baseline = statistics.fmean(sorted(replayed)[: int(len(replayed) * 0.95)])
    low, middle, high = statistics.quantiles([spent / baseline for spent in meanwhile], n=4)
    mean = statistics.fmean(meanwhile) / statistics.fmean(replayed)
    return {
        **figures,
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
