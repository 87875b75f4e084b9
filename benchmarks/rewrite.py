"""The effect of rewriting: the time of a call of the rewritten graph over that of the captured graph.

The models are from public libraries, in small configurations with random weights and unfused attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
import transformers

import tracer
from benchmarks.measure import Spread, interleaved, ratios
from benchmarks.subjects import Subject, from_zoo
from benchmarks.suite import Effort, Row
from passes.rewrite.pipeline import Pass
from passes.rewrite.rules import FROZEN, STANDARD
from tests.models_huggingface import images, tokens
from tracer.rewriting import rewriting

UNFUSED = {"attn_implementation": "eager"}
WIDE = {
    "vocab_size": 99,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "max_position_embeddings": 256,
    **UNFUSED,
}


def _transformer(model: str, configuration: str, **fields: object) -> Subject:
    chosen = getattr(transformers, configuration)(**fields)
    return Subject(getattr(transformers, model)(chosen).eval(), (tokens(128, 2),), {"use_cache": False})


def _vit() -> torch.nn.Module:
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8}
    return transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=128, patch_size=8, **UNFUSED)).eval()


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "GPT-2": lambda: _transformer(
        "GPT2Model", "GPT2Config", vocab_size=99, n_embd=256, n_layer=4, n_head=8, n_positions=256, **UNFUSED
    ),
    "Llama": lambda: _transformer("LlamaModel", "LlamaConfig", **WIDE, num_key_value_heads=4),
    "Qwen3": lambda: _transformer("Qwen3Model", "Qwen3Config", **WIDE, num_key_value_heads=4, head_dim=32),
    "BERT": lambda: _transformer("BertModel", "BertConfig", **WIDE),
    "ViT": lambda: Subject(_vit(), (images(128),)),
    "x-transformers decoder": lambda: from_zoo("x-decoder-rmsnorm"),
    "ResNet-18, narrow": lambda: from_zoo("resnet"),
}
PASSES: dict[str, Sequence[Pass]] = {"standard": STANDARD, "frozen": FROZEN}


@dataclass(frozen=True)
class Rewritten:
    """One model under one list of passes: time over that of the captured graph, number of calls before and after, and
    how often each rule fired; `seconds` is the time that rewriting took."""

    subject: str
    passes: str
    time: Spread
    calls: tuple[int, int]
    fired: dict[str, int]
    seconds: float


def measure(rounds: int = 15, seconds: float = 0.05) -> list[Rewritten]:
    """Every subject under every list of passes."""
    rows = []
    for name, build in SUBJECTS.items():
        subject = build()
        backends = {key: rewriting("eager", passes) for key, passes in PASSES.items()}
        contestants = {"captured": subject.call(tracer.capture(subject.program))}
        for key, backend in backends.items():
            contestants[key] = subject.call(tracer.capture(subject.program, backend=backend))
        with torch.no_grad():
            samples = interleaved(contestants, rounds, seconds)
        for key, backend in backends.items():
            report = max(backend.reports, key=lambda report: report.calls)
            fired = {rule: count for rule, count in report.counts.items() if count}
            times = ratios(samples[key], samples["captured"])
            rows.append(Rewritten(name, key, times, report.calls, fired, report.seconds))
    return rows


def rewritten(effort: Effort) -> Iterator[Row]:
    """The time of a call of the rewritten graph over that of the captured graph."""
    for row in measure(min(15, effort.rounds), effort.seconds):
        label = f"{row.subject}, {row.passes}: {row.calls[0]} to {row.calls[1]} calls"
        yield Row("rewritten graph / captured", label, "x", None, None, row.time, 1.02)


MEASUREMENTS: Final = {"rewriting": rewritten}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for row in measure():
        spread = f"{row.time.median:.3f} ({row.time.low:.3f} to {row.time.high:.3f})"
        calls = f"{row.calls[0]} to {row.calls[1]} calls"
        print(f"{row.subject:24}{row.passes:10}{spread:26}{calls:20}{row.seconds * 1e3:6.0f} ms")
        print("    " + ", ".join(f"{rule} {count}" for rule, count in row.fired.items()))
