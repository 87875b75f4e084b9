"""Models in plain torch and every layer of torch.nn, captured as one graph and equal to eager."""

import pytest
import torch

from tests import models
from tests.check import check

# Layers that cannot be one graph, and a reason for which they break.
BREAKING: dict[str, str] = {
    "AdaptiveLogSoftmaxWithLoss": "data-dependent-operator",
    "CrossMapLRN2d": "autograd-function",
}


@pytest.mark.parametrize("name", models.NAMES["torch"])
def test_model(name):
    model, args, kwargs = models.build(name)
    with torch.no_grad():
        check(model, *args, keywords=kwargs, graphs=1, breaks=[])


@pytest.mark.parametrize("name", models.NAMES["torch"])
def test_model_with_gradients(name):
    model, args, kwargs = models.build(name)
    check(model.train(), *args, keywords=kwargs, graphs=1, breaks=[])


@pytest.mark.parametrize("name", models.NAMES["layers"])
def test_layer(name):
    layer, args, kwargs = models.build(name)
    if name in BREAKING:
        assert BREAKING[name] in check(layer, *args, keywords=kwargs).first.breaks
    else:
        check(layer, *args, keywords=kwargs, breaks=[])
