"""`rules why`: which rule answers a call, from which evidence, or why each refuses."""

from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from passes.meta import meta_of
from passes.operators.outcome import ListArg
from passes.rules.book import Rulebook, write_rules, write_title
from passes.rules.language import RuleError
from passes.rules.rule import UNKNOWN, Case
from passes.rules.why import read_arguments, reasons, silence
from tests.rulebooks import rule
from tracer.commands.application import application


def read(text: str) -> object:
    (value,), keywords = read_arguments([text])
    assert keywords == ()
    return value


@pytest.mark.parametrize(
    ("text", "tensor"),
    [
        ("f32[3, 4]", torch.zeros(3, 4)),
        ("f32[]", torch.zeros(())),
        ("i64[0, 2]", torch.zeros(0, 2, dtype=torch.int64)),
        ("f32[4, 3] stride (1, 4)", torch.zeros(3, 4).t()),
        ("f32[3, 3] stride (4, 1) offset 1", torch.zeros(3, 4)[:, 1:]),
        ("c64[2] conj", torch.zeros(2, dtype=torch.complex64).conj()),
        ("f64[2] requires_grad", torch.zeros(2, dtype=torch.float64, requires_grad=True)),
        ("f32[2] meta", torch.zeros(2, device="meta")),
    ],
)
def test_tensors_are_read(text, tensor):
    assert read(text) == meta_of(tensor)


def test_other_arguments_are_read():
    assert read("[f32[2], f32[2]]") == ListArg([meta_of(torch.zeros(2))] * 2)
    assert read("(1, -2)") == (1, -2)
    assert read("None") is None and read("torch.float64") is torch.float64 and read("'mean'") == "mean"
    assert read_arguments(["2.5", "dim=1"]) == ((2.5,), (("dim", 1),))


@pytest.mark.parametrize("text", ["torch.load", "f32[2", "__import__('os')", "x + 1", "f32[2, 3] stride (1,)"])
def test_other_text_is_refused_and_not_run(text):
    with pytest.raises(RuleError):
        read_arguments([text])


@pytest.fixture
def book(tmp_path):
    one = rule("torch.exp", shape="self.shape", stride="iterated(shape, self)", dtype="floating(self.dtype)")
    one = replace(one, domain=replace(one.domain, layouts={"self": ("contiguous", "sliced")}))
    one = replace(one, form=(Case("rank(self.shape) == 3", UNKNOWN), *one.form))
    write_title(tmp_path)
    write_rules(tmp_path, one.op, one.level, [one])
    return tmp_path


def lines(book, text: str) -> str:
    args, kwargs = read_arguments([text])
    return "\n".join(line for each in reasons(Rulebook(book), torch.exp, args, kwargs) for line in each.lines)


def test_an_answer_has_its_cases_and_its_evidence(book):
    text = lines(book, "i64[3, 4]")
    assert "the rule of torch.exp for (self) answered" in text
    assert "returns f32[3, 4] stride (4, 1)" in text
    assert "dtype of result 0 = floating(self.dtype)" in text
    assert "calls fitted" in text and "domain: self: tensor" in text and "contiguous, sliced" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("f32[3, 4] stride (1, 3)", "its layout is permuted, and trials confirmed contiguous, sliced"),
        ("f32[3, 4] meta", "it is on meta, and the rule was learned on cpu"),
        ("f16[3, 4]", "its dtype is f16, and the rule was tried with"),
        ("f32[2, 2, 2, 2, 2, 2, 2]", "it has 7 dimensions, and the rule was tried with"),
        ("f32[2, 2, 2]", "where rank(self.shape) == 3"),
    ],
)
def test_a_refusal_says_what_is_outside(book, text, words):
    assert "refused" in lines(book, text) and words in lines(book, text)


def test_the_command_answers_and_refuses(book):
    run = CliRunner().invoke
    known = run(application, ["rules", "why", "torch.exp", "f32[2]", "--book", str(book)])
    assert known.exit_code == 0 and "torch.exp is answered by a rule" in known.stdout
    silent = run(application, ["rules", "why", "torch.exp", "f32[3, 4] stride (1, 3)", "--book", str(book)])
    assert silent.exit_code == 1 and "no rule answers this call of torch.exp" in silent.stdout
    assert silence(Rulebook(book), torch.exp, read_arguments(["f32[2]"])[0]) == ""
