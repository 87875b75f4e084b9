"""Models of transformers, small and with random weights: one graph each, and equal to eager."""

import pytest
import torch

from tests import models
from tests.check import check


@pytest.mark.parametrize("name", models.NAMES["huggingface"])
def test_model(name):
    model, args, kwargs = models.build(name)
    with torch.no_grad():
        check(model, *args, keywords=kwargs, graphs=1, breaks=[])
