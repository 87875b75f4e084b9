"""The zoo's own counts and page; what becomes of the programs of libraries is measured by `make zoo`."""

import torch

from benchmarks.zoo.outcome import Outcome, by_bytegraph, by_dynamo, is_worse, run
from benchmarks.zoo.page import REASONS, Row, Table, page
from benchmarks.zoo.program import call, calling, calling_new, evaluating

ONE, SEVERAL = Outcome("one", 1, 0), Outcome("several", 2, 1, "data-dependent-jump (loss.py:3)")


def branching(x):
    if x.sum() > 0:
        return x + 1
    return x - 1


def plainly(program):
    return program


def test_a_program_is_run_on_both_sides():
    for program, kind, graphs in ((torch.sin, "one", 1), (branching, "several", 2)):
        build = calling(program, torch.ones(2))
        plain = run(build, plainly)
        for outcome in (by_bytegraph(build, plain), by_dynamo(build, plain)):
            assert (outcome.kind, outcome.graphs) == (kind, graphs)


def test_a_wrong_result_and_an_error_are_told_apart():
    plain = run(calling(torch.cos, torch.ones(2)), plainly)
    wrong = by_bytegraph(calling(torch.sin, torch.ones(2)), plain)
    assert wrong.kind == "wrong" and "2 of 2 differ, by at most 0.301; the first: plain 0.540" in wrong.detail
    assert by_bytegraph(calling(torch.mm, torch.ones(2)), plain).kind == "error"


def test_each_run_builds_its_own_arguments():
    x = torch.ones(2)
    first, second = (run(calling(torch.Tensor.add_, x, 1), plainly)[-1].value for _ in range(2))
    assert first.equal(second) and x.equal(torch.ones(2))
    program, (model, argument) = calling_new(evaluating(lambda: torch.nn.Dropout()), x)()
    assert program is call and not model.training and argument is not x


def test_more_graphs_than_torch_dynamo_are_worse():
    assert is_worse(SEVERAL, ONE) and not is_worse(ONE, SEVERAL)
    assert is_worse(Outcome("several", 3, 1), SEVERAL) and not is_worse(SEVERAL, SEVERAL)
    assert is_worse(Outcome("wrong", 1, 0), Outcome("none", 0, 1))
    assert not is_worse(Outcome("none", 0, 0), ONE)


def test_the_page_counts_programs_and_says_why_there_are_more_graphs():
    rows = Row("loss", SEVERAL, ONE), Row("norm", ONE, ONE), Row("pool", ONE, Outcome("error", 0, 0, "ValueError: |"))
    text = page({"kornia": Table("kornia 0.9", rows)}, ["tensordict"])
    assert "| kornia (kornia 0.9) | 3 | 2 | 0 | 0 | 0 | 1 | 2 | 1 | 0 | 0 | 0 |" in text
    assert "| kornia, loss | 1 graph | 2 graphs | data-dependent-jump (loss.py:3) |" in text
    assert "| kornia, pool | TorchDynamo | error | ValueError: \\| |  |" in text
    explained = page({"kornia": Table("kornia 0.9", (Row("canny", SEVERAL, ONE),))}, [])
    assert f"| {SEVERAL.detail} | {REASONS['kornia', 'canny']} |" in explained
    assert "Not run: tensordict." in text
