"""Programs whose printed graphs, guards and explanations are held by snapshots: their lines must not move."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Mlp(nn.Module):
    """A linear layer, an activation, and a count of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(16, 4)
        self.calls = 7

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return F.relu(self.fc(x))


def step(model: Mlp, x: Tensor, log: list[Tensor]) -> Tensor:
    loss = model(x).sum()
    log.append(loss)
    if loss > 10:
        return loss * 2
    return torch.sqrt(loss)
