"""What a person sees: graph, guards, residual program, explanation, break and guard failure, word for word."""

import re

import pytest
import torch

from benchmarks.pages import PAGES, ROOT, written
from passes.rules.book import shipped_folder
from tests.snapshot_programs import Mlp, step
from tracer import GraphBreakError, capture, explain


@pytest.mark.parametrize("what", ["graph", "guards", "program"])
def test_dump_of_a_module(what, snapshot):
    captured = capture(Mlp())
    captured(torch.ones(2, 16))
    snapshot(captured.dump(what=what))


@pytest.mark.parametrize("what", ["graph", "guards", "program"])
def test_dump_of_a_function_with_a_break(what, snapshot):
    captured = capture(step)
    captured(Mlp(), torch.ones(2, 16), [])
    snapshot(captured.dump(what=what))


@pytest.mark.skipif(not shipped_folder().exists(), reason="the numbers are those of the shipped rulebook")
def test_explanation(snapshot):
    snapshot(str(explain(step, Mlp(), torch.ones(2, 16), [])))


def test_explanation_of_a_recapture(snapshot):
    captured = capture(step)
    model = Mlp()
    captured(model, torch.ones(2, 16), [])
    model.calls = 20.0
    snapshot(str(explain(captured, model, torch.ones(2, 16), [])))


def test_error_of_fullgraph(snapshot):
    with pytest.raises(GraphBreakError) as caught:
        capture(step, fullgraph=True)(Mlp(), torch.ones(2, 16), [])
    snapshot(str(caught.value))


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/benchmarks.md"])
def test_page_shows_what_is_printed(page):
    """After a change: `make pages`."""
    counts = re.compile(r"\d+ (facts?|modules?|dicts?|class|classes|functions?|names?)\b")
    assert counts.sub("", written(page)) == counts.sub("", (ROOT / page).read_text())
