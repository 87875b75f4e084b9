"""The program of docs/journey.md: a layer with a counter, and a step with a data-dependent branch."""

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(16, 4)
        self.calls = 7

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return torch.relu(self.fc(x))


def step(model: Mlp, x: Tensor) -> Tensor:
    loss = model(x).sum()
    if loss > 10:
        return loss * 2
    return loss.sqrt()
