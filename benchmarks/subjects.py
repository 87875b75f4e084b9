"""The programs that are measured, with the arguments of one call, and the two ways of capturing them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers

import tracer
from tests import models
from tests.models_huggingface import tokens

Program = Callable[..., Any]
Backend = Callable[[torch.fx.GraphModule, list[torch.Tensor]], Program]


@dataclass(frozen=True)
class Subject:
    """A program and the arguments of one call."""

    program: Program
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def call(self, program: Program | None = None) -> Callable[[], object]:
        """A function of no arguments that makes one call of the program, or of another one in its place."""
        chosen, args, kwargs = self.program if program is None else program, self.args, self.kwargs
        return lambda: chosen(*args, **kwargs)


def add_one(x: torch.Tensor) -> torch.Tensor:
    return x + 1


class AddOne(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def gpt2(layers: int = 12) -> Subject:
    """GPT-2's body: 12 layers, 64 wide."""
    configuration = transformers.GPT2Config(
        vocab_size=99,
        n_embd=64,
        n_layer=layers,
        n_head=4,
        n_positions=64,
        bos_token_id=1,
        eos_token_id=2,
        use_cache=False,
    )
    return Subject(transformers.GPT2Model(configuration).eval(), (tokens(8, 1),))


def qwen3(layers: int = 36) -> Subject:
    """Qwen3's body: 36 layers, 64 wide; 398 parameters and 545 modules."""
    configuration = transformers.Qwen3Config(
        vocab_size=99,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        use_cache=False,
    )
    return Subject(transformers.Qwen3Model(configuration).eval(), (tokens(8, 1),))


def from_zoo(name: str) -> Subject:
    """A model of tests/models.py."""
    model, args, kwargs = models.build(name)
    return Subject(model, args, kwargs)


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "x + 1, 8 floats": lambda: Subject(add_one, (torch.ones(8),)),
    "GPT-2, 12 layers": gpt2,
    "Qwen3, 36 layers": qwen3,
}
CALLED: dict[str, Callable[[], Subject]] = {
    "x + 1, as a module": lambda: Subject(AddOne(), (torch.ones(8),)),
    **SUBJECTS,
}
"""Those that overhead per call is measured with."""
REPLAYED: dict[str, Callable[[], Subject]] = {
    "MLP": lambda: from_zoo("mlp"),
    "ResNet-18, narrow": lambda: from_zoo("resnet"),
    "torch.nn.Transformer": lambda: from_zoo("torch-transformer"),
    "ViT, 2 layers": lambda: from_zoo("vit"),
    **{name: build for name, build in SUBJECTS.items() if name != "x + 1, 8 floats"},
}
SMALL = [*models.NAMES["torch"], *models.NAMES["layers"]]


def forget() -> None:
    """Empty the caches of both capturers."""
    tracer.reset()
    torch.compiler.reset()


def by_bytegraph(subject: Subject, backend: str | Backend = "eager") -> Program:
    return tracer.capture(subject.program, backend=backend)


def by_dynamo(subject: Subject, backend: str | Backend = "eager") -> Program:
    return torch.compile(subject.program, backend=backend)


CAPTURERS: dict[str, Callable[..., Program]] = {"bytegraph": by_bytegraph, "dynamo": by_dynamo}


def precomputed(graph_module: torch.fx.GraphModule, example_inputs: list[torch.Tensor]) -> Program:
    """A backend whose graphs return precomputed outputs, so that only the capturer's own overhead is left."""
    outputs = graph_module(*example_inputs)

    def replay(*inputs: torch.Tensor) -> Any:
        return outputs

    return replay
