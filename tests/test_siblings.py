"""Operators that no corpus has, studied on calls that their siblings were recorded with."""

import random
from pathlib import Path

import torch
from typer.testing import CliRunner

from passes.infer.trials.siblings import bound_to, operators_without_calls, siblings_of
from passes.meta import TensorMeta
from passes.operators.outcome import ListArg
from passes.record import record
from passes.rules.answer import Answerer
from passes.rules.book import Rulebook
from tests.recording import recorded
from tracer.commands.application import application

RECORDED = frozenset(
    ("aten", f"aten::{name}") for name in ("fmod.Tensor", "hardswish", "index.Tensor", "upsample_nearest2d", "relu")
)


def test_operators_without_calls_are_those_that_can_be_called_here():
    missing = set(operators_without_calls(RECORDED))
    assert {("aten", "aten::fmod.Scalar"), ("aten", "aten::hardswish_"), ("function", "torch.det")} <= missing
    assert not missing & RECORDED
    assert ("aten", "aten::fmod.Tensor_out") not in missing  # the result has a place already
    assert ("function", "torch.relu") in missing
    both = RECORDED | {("function", "torch.Tensor.relu")}
    assert ("function", "torch.relu") not in set(operators_without_calls(both))  # its method is known


def test_siblings_have_the_same_name_or_all_parameters():
    assert siblings_of(("aten", "aten::fmod.Scalar"), RECORDED) == [("aten", "aten::fmod.Tensor")]
    assert siblings_of(("aten", "aten::hardswish_"), RECORDED) == [("aten", "aten::hardswish")]
    assert siblings_of(("aten", "aten::_unsafe_index.Tensor"), RECORDED) == [("aten", "aten::index.Tensor")]
    assert siblings_of(("aten", "aten::fft_fft"), RECORDED) == []


def test_calls_are_bound_to_other_parameters(tmp_path: Path):
    def program() -> None:
        for size in ((2, 3), (4,), (3, 1, 5)):
            torch.fmod(torch.rand(size), torch.rand(size))
        torch.nn.functional.interpolate(torch.rand(1, 2, 3, 4), scale_factor=2)

    calls = [call for call in recorded(tmp_path, program) if call.op == "aten::fmod.Tensor"]
    bound = list(bound_to(("aten", "aten::fmod.Scalar"), calls, random.Random(0)))
    assert [each.arguments["self"] for each in bound] == [call.arguments["self"] for call in calls]
    assert all(isinstance(each.arguments["other"], bool | int | float) for each in bound)
    ups = [call for call in recorded(tmp_path / "ups", program) if call.op == "aten::upsample_nearest2d"]
    for each in bound_to(("aten", "aten::upsample_nearest2d.vec"), ups, random.Random(0)):
        assert isinstance(each.arguments["input"], TensorMeta)  # under another name
        assert isinstance(each.arguments["output_size"], ListArg)
        assert each.arguments["scale_factors"] is None or len(each.arguments["scale_factors"]) == 2


def test_an_operator_without_a_call_is_learned_from_its_siblings(tmp_path: Path):
    with record(tmp_path / "corpus"):
        for size in ((2, 3), (4,), (3, 1, 5), (6, 2), (2, 2, 2, 2)):
            for dtype in (torch.float32, torch.float64):
                torch.nn.functional.hardswish(torch.rand(size).to(dtype))
                torch.nn.functional.hardswish(torch.rand(size[::-1]).to(dtype).permute(*reversed(range(len(size)))))
    words = ("infer", tmp_path / "corpus", "-o", tmp_path / "book", "--ops", "hardswish_", "--trials", 40, "--jobs", 1)
    assert CliRunner().invoke(application, [*map(str, words), "--siblings"]).exit_code == 0
    (rule,) = Rulebook(tmp_path / "book").rules("aten::hardswish_", "aten")
    outcome = Answerer(rule).answer({"self": TensorMeta((3, 5), (1, 3))})
    assert outcome is not None and list(outcome.mutated) == [0]
