"""Models of vit-pytorch and x-transformers, small and with random weights: one graph each, and equal to eager."""

import pytest
import torch

from tests import models
from tests.check import check

CHANGED = {"x-decoder-alibi": 1}
"""Models that keep something of their first call, and so are captured once more at the second."""


@pytest.mark.parametrize("name", models.NAMES["libraries"])
def test_model(name):
    model, args, kwargs = models.build(name)
    with torch.no_grad():
        check(model, *args, keywords=kwargs, graphs=1, breaks=[], recaptures=CHANGED.get(name, 0))
