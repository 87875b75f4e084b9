"""The accuracy of the shipped rules on models that they were not learned from, beside that of FakeTensor.

This module is also a zoo of these models: `python -m tracer record models -o DIR --zoo benchmarks.unseen`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch
import transformers

from benchmarks.measure import Spread
from benchmarks.record import one
from benchmarks.suite import Effort, Row
from passes.infer.assessment.assess import Answers
from passes.infer.assessment.audit import FAKE, RULE, Audit, Witness, audit
from passes.infer.assessment.compare import rules_for
from passes.infer.run import calls_of
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
    """Shares of the distinct calls of unseen models that rules, and FakeTensor, get wrong or do not answer.

    Those whose result is read from data, or whose arguments share memory, are left out.
    """
    names = [name for family in NAMES.values() for name in family][:: effort.every]
    book = Rulebook(SHIPPED_BOOK)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(folder, list(LEVELS))
        do = models.start(__name__, True, recorder)
        with torch.enable_grad():
            for name in names:
                do(name)
        recorder.close()
        operators = Corpus(folder).sql("select distinct op, level from calls")[1]
        for level in LEVELS:
            audits = [_audited(book, folder, op, level) for op, op_level in operators if op_level == level]
            yield from _rows(level, audits, len(names))


def _audited(book: Rulebook, folder: str, op: str, level: str) -> Audit:
    rules = list(rules_for(book, op, level))
    answers = Answers(rules)
    calls = [call for call in calls_of((folder,), op, level)[0] if not answers.depends_on_values(call.arguments)]
    return audit(op, level, rules, calls, None)


def _rows(level: str, audits: Sequence[Audit], count: int) -> Iterator[Row]:
    ours, theirs = ([each.witnesses[name] for each in audits] for name in (RULE, FAKE))
    label = f"{sum(each.calls for each in audits):,} calls of {count} unseen models, {level}"
    wrong, silent = "wrong among answered", "unanswered"
    yield Row("rules", f"{label}: {wrong}", "share", None, _wrong(theirs), _wrong(ours), LIMIT_WRONG)
    yield Row("rules", f"{label}: {silent}", "share", None, _silent(theirs), _silent(ours), LIMIT_UNANSWERED)


def _wrong(witnesses: Sequence[Witness]) -> Spread:
    wrong, exact = (sum(getattr(each, name) for each in witnesses) for name in ("wrong", "exact"))
    return one(wrong / max(1, wrong + exact))


def _silent(witnesses: Sequence[Witness]) -> Spread:
    silent, answered = (sum(counts) for counts in zip(*((w.silent, w.wrong + w.exact) for w in witnesses), strict=True))
    return one(silent / max(1, silent + answered))


MEASUREMENTS: Final = {"rules on unseen models": unseen_models}
