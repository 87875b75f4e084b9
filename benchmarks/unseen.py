"""The accuracy of the shipped rules on models that they were not learned from: architectures that no test uses.

This module is also a zoo of these models: `python -m tracer record models -o DIR --zoo benchmarks.unseen`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any, Final

import torch
import transformers

from benchmarks.record import one
from benchmarks.suite import Effort, Row
from passes.infer.assessment.compare import RuleCheck, check_operator
from passes.record import Corpus, Recorder
from passes.record.schema import LEVELS
from passes.record.sources import models
from passes.rules.book import Rulebook
from tests.models_huggingface import GROUPED, SMALL, SPECIAL_TOKENS, VISION, images, tokens
from tracer.interpret.rulebook import SHIPPED_BOOK

NAMES: Final[dict[str, tuple[str, ...]]] = {
    "encoders": (
        *("rembert", "ernie", "xlm-roberta", "camembert", "megatron-bert", "roformer", "data2vec-text", "fnet"),
        *("splinter", "esm", "nystromformer", "yoso", "convbert", "layoutlm", "ibert", "mobilebert"),
    ),
    "decoders": (
        *("gpt_bigcode", "biogpt", "ctrl", "openai-gpt", "xglm", "olmo", "nemotron", "glm", "persimmon", "helium"),
        *("olmoe", "jetmoe", "smollm3", "exaone4", "seed_oss", "mamba", "rwkv", "ernie4_5", "arcee", "diffllama"),
    ),
    "vision": (
        *("beit", "data2vec-vision", "vit_mae", "ijepa", "dinov2_with_registers", "vit_msn", "dpt", "mobilenet_v2"),
    ),
}
SETTINGS: Final = {"encoders": SMALL, "decoders": GROUPED | {"head_dim": 8}, "vision": VISION}
LIMIT_WRONG, LIMIT_UNANSWERED = 0.0, 0.005


def build(name: str) -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
    """A small model of an architecture of transformers with random weights, and the arguments of one call."""
    family = next(family for family, names in NAMES.items() if name in names)
    config = transformers.AutoConfig.for_model(name, **SETTINGS[family])
    for token, number in SPECIAL_TOKENS.items():
        setattr(config, token, number)
    inputs = images() if family == "vision" else tokens()
    return transformers.AutoModel.from_config(config), (inputs,), {}


def unseen_models(effort: Effort) -> Iterator[Row]:
    """Shares of the distinct calls of unseen models that the shipped rules get wrong, and that they do not answer."""
    names = [name for family in NAMES.values() for name in family][:: effort.every]
    book = Rulebook(SHIPPED_BOOK)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(folder, list(LEVELS))
        do = models.start(__name__, True, recorder)
        with torch.enable_grad():
            for name in names:
                do(name)
        recorder.close()
        corpus = Corpus(folder)
        for level in LEVELS:
            operators = [
                op for op, op_level in corpus.sql("select distinct op, level from calls")[1] if op_level == level
            ]
            checked = [check_operator(book, (folder,), op, level) for op in operators]
            yield from _rows(level, checked, len(names))


def _rows(level: str, checked: list[RuleCheck], count: int) -> Iterator[Row]:
    exact, wrong, unknown = (sum(getattr(each, name) for each in checked) for name in ("exact", "wrong", "unknown"))
    label = f"{exact + wrong + unknown:,} calls of {count} unseen models, {level}"
    share = one(wrong / max(1, exact + wrong))
    yield Row("rules", f"{label}: wrong among answered", "share", None, None, share, LIMIT_WRONG)
    share = one(unknown / max(1, exact + wrong + unknown))
    yield Row("rules", f"{label}: unanswered", "share", None, None, share, LIMIT_UNANSWERED)


MEASUREMENTS: Final = {"rules on unseen models": unseen_models}
