"""What every test needs: internal errors propagate, one thread, and nothing left over from the test before."""

import os
import random
import sys
from collections.abc import Iterator

os.environ["BYTEGRAPH_RAISE_BUGS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    """Seeds before each test; caches, counters and torch's modes as they were after it."""
    torch.manual_seed(0)
    random.seed(0)
    yield
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    tracer = sys.modules.get("tracer")
    if tracer is not None and hasattr(tracer, "reset"):
        tracer.reset()
