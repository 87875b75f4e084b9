"""Sizes that are computed: operators nobody wrote a rule for, learned of a few calls and asked about other sizes."""

import importlib
import itertools
import math
import random
from pathlib import Path

import pytest
import torch

from passes.infer.assessment.assess import tally
from passes.infer.search.arithmetic import bracketed
from passes.infer.search.learn import learn
from passes.infer.study import Plan, study
from passes.infer.validity.in_distribution import limited_to_ordinary, ordinary
from passes.infer.worker import Laboratory
from passes.record import Corpus, record

library = torch.library.Library("test_arithmetic", "DEF")


def packed(x):
    return x.new_zeros(*x.shape[:-1], (x.shape[-1] + 7) // 8)


def blocks(x, block):
    return x.new_zeros(math.ceil(x.numel() / block)), x.new_zeros(math.ceil(x.numel() / 2), 1)


def windows(x, size):
    rows, columns = (math.ceil(length / size) for length in x.shape[1:3])
    return x.new_zeros(x.shape[0] * rows * columns, size, size, x.shape[3])


def patches(x, size):
    return x.new_zeros(x.shape[0], (x.shape[2] // size) * (x.shape[3] // size), size * size * x.shape[1])


def frames(x, length, hop):
    return x.new_zeros(*x.shape[:-1], length // 2 + 1, 1 + (x.shape[-1] - length) // hop)


def displaced(x, most, step):
    return x.new_zeros(x.shape[0], (2 * (most // step) + 1) ** 2, *x.shape[2:])


def aligned(x, block, experts):
    return x.new_zeros(x.numel() + experts * (block - 1))


def triangle(x):
    return x.new_zeros(*x.shape[:-1], x.shape[-1] * (x.shape[-1] + 1) // 2)


def cropped(x, top, height):
    return x.new_zeros(*x.shape[:-2], max(0, min(height, x.shape[-2] - top)), x.shape[-1])


def enlarged(x, by):
    return x.new_zeros(*x.shape[:-2], math.floor(x.shape[-2] * by), math.floor(x.shape[-1] * by))


def strung(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors])


def filled(tensors):
    return tensors[0].new_zeros(len(tensors), max(tensor.shape[0] for tensor in tensors))


def pooled(x, kind, size):
    if kind == "all":
        return x.new_zeros(x.shape[:-2])
    sizes = (length // size if kind == "down" else -(-length // size) for length in x.shape[-2:])
    return x.new_zeros(*x.shape[:-2], *sizes)


def shape(draw, least, most=None):
    return [draw.randint(1, 9) for _ in range(draw.randint(least, most or least))]


CASES = {
    packed: ("Tensor x", lambda d: (torch.zeros(*shape(d, 0, 2), d.randint(1, 40)),)),
    blocks: ("Tensor x, int block", lambda d: (torch.zeros(shape(d, 1, 3)), d.choice((4, 8, 16)))),
    windows: ("Tensor x, int size", lambda d: (torch.zeros(shape(d, 4)), d.randint(1, 5))),
    patches: ("Tensor x, int size", lambda d: (torch.zeros(shape(d, 4)), d.randint(1, 4))),
    frames: (
        "Tensor x, int length, int hop",
        lambda d: (torch.zeros(*shape(d, 0, 2), d.randint(20, 60)), d.choice((4, 7, 16)), d.randint(1, 6)),
    ),
    displaced: ("Tensor x, int most, int step", lambda d: (torch.zeros(shape(d, 4)), d.randint(1, 9), d.randint(1, 3))),
    aligned: (
        "Tensor x, int block, int experts",
        lambda d: (torch.zeros(shape(d, 2)), d.choice((2, 4, 8)), d.randint(1, 9)),
    ),
    triangle: ("Tensor x", lambda d: (torch.zeros(shape(d, 1, 3)),)),
    cropped: (
        "Tensor x, int top, int height",
        lambda d: (torch.zeros(shape(d, 3)), d.randint(0, 6), d.randint(1, 6)),
    ),
    enlarged: ("Tensor x, float by", lambda d: (torch.zeros(shape(d, 4)), d.choice((0.5, 1.5, 2.0, 3.0)))),
    strung: ("Tensor[] tensors", lambda d: ([torch.zeros(shape(d, 1, 3)) for _ in range(d.randint(1, 4))],)),
    filled: ("Tensor[] tensors", lambda d: ([torch.zeros(shape(d, 1)) for _ in range(d.randint(1, 4))],)),
    pooled: (
        "Tensor x, str kind, int size",
        lambda d: (torch.zeros(shape(d, 4)), d.choice(("all", "down", "up")), d.randint(1, 4)),
    ),
}

for function, (arguments, _) in CASES.items():
    outputs = "(Tensor, Tensor)" if function is blocks else "Tensor"
    library.define(f"{function.__name__}({arguments}) -> {outputs}")
    library.impl(function.__name__, function, "CPU")


def recorded(folder: Path, function, seed: int, count: int):
    draw = random.Random(seed)
    with record(folder):
        for _ in range(count):
            getattr(torch.ops.test_arithmetic, function.__name__)(*CASES[function][1](draw))
    return list(Corpus(folder).calls(f"test_arithmetic::{function.__name__}"))


@pytest.mark.parametrize("function", CASES, ids=lambda function: function.__name__)
def test_sizes_of_other_calls_follow_from_a_few(tmp_path, function):
    calls = recorded(tmp_path / "few", function, 0, 40)
    others = recorded(tmp_path / "others", function, 1, 60)
    name = f"test_arithmetic::{function.__name__}"
    (found,) = learn(name, "aten", calls)
    asked = tally(name, [found.rule], others)
    assert asked.exact == len(others)


CROP = """
import torch

library = torch.library.Library("arithmetic_crop", "DEF")
library.define("crop(Tensor x, int start, int length) -> Tensor")
library.impl("crop", lambda x, start, length: x[..., start : start + length].clone(), "CPU")
"""


def test_negative_numbers_in_lists_are_not_ordinary(tmp_path):
    library.define("shaped(Tensor x, int[] sizes, int more) -> Tensor")
    library.impl("shaped", lambda x, sizes, more: x.new_zeros([*map(abs, sizes), abs(more)]), "CPU")
    with record(tmp_path):
        for sizes, more in itertools.product(([2, 3], [1], [4, 0, 2], [-2, 1]), (1, 3, -1)):
            torch.ops.test_arithmetic.shaped(torch.zeros(2), sizes, more)
    calls = list(Corpus(tmp_path).calls("test_arithmetic::shaped"))
    recorded = [call for call in calls if min(*call.arguments["sizes"], call.arguments["more"], 0) == 0]
    assert ordinary(recorded, calls) == recorded and len(recorded) == 6
    (found,) = learn("test_arithmetic::shaped", "aten", recorded)
    conditions = [case.condition for case in limited_to_ordinary(found.rule, recorded).form]
    assert conditions[:2] == ["any_negative(sizes)", "more < 0"]


FIXED = """
import torch

library = torch.library.Library("arithmetic_fixed", "DEF")
library.define("fixed(Tensor x) -> Tensor")
library.impl("fixed", lambda x: x.new_zeros(7), "CPU")
"""


def test_negative_numbers_do_not_spoil_the_rule_for_others(tmp_path, monkeypatch):
    """A slice with a negative start is another thing: nothing is said of it, and of the others all."""
    (tmp_path / "arithmetic_crop.py").write_text(CROP)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("arithmetic_crop")
    corpora = []
    for seed in (0, 1):
        draw = random.Random(seed)
        with record(tmp_path / str(seed)):
            for _ in range(40):
                x = torch.zeros(*shape(draw, 0, 2), draw.randint(6, 12))
                torch.ops.arithmetic_crop.crop(x, draw.randint(0, 5), draw.randint(1, 9))
        corpora.append(list(Corpus(tmp_path / str(seed)).calls("arithmetic_crop::crop")))
    calls, others = corpora
    with Laboratory(["arithmetic_crop"]) as laboratory:
        found = study("arithmetic_crop::crop", "aten", calls, laboratory, Plan(trials=80))
    asked = tally("arithmetic_crop::crop", found.rules, others)
    assert asked.exact == len(others)


def test_a_rule_does_not_answer_for_a_number_that_never_varied(tmp_path):
    """All calls had one size of patches: of others nothing is known, though a formula may explain these."""
    calls = recorded(tmp_path / "few", patches, 0, 40)
    (kind,) = {call.arguments["size"] for call in calls if call.arguments["size"] == 2}
    same = [call for call in calls if call.arguments["size"] == kind]
    others = [call for call in recorded(tmp_path / "others", patches, 1, 60) if call.arguments["size"] != kind]
    name = "test_arithmetic::patches"
    found = study(name, "aten", same, None, Plan())
    assert tally(name, found.rules, same).exact == len(same)
    asked = tally(name, found.rules, others)
    assert (asked.exact, asked.wrong) == (0, 0) and others


def test_a_constant_shape_of_two_calls_is_not_believed(tmp_path, monkeypatch):
    (tmp_path / "arithmetic_fixed.py").write_text(FIXED)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("arithmetic_fixed")
    with record(tmp_path / "corpus"):
        for size in (2, 3, 5, 8):
            torch.ops.arithmetic_fixed.fixed(torch.zeros(size))
    calls = list(Corpus(tmp_path / "corpus").calls("arithmetic_fixed::fixed"))
    with Laboratory(["arithmetic_fixed"]) as laboratory:
        for some, known in ((calls[:2], 0), (calls, len(calls))):
            found = study("arithmetic_fixed::fixed", "aten", some, laboratory, Plan(trials=40, rounds=2))
            assert tally("arithmetic_fixed::fixed", found.rules, calls).exact == known


def test_contiguous_keeps_strides_that_are_row_major(tmp_path):
    """Those of sizes 1 are arbitrary then: one expression tells them all."""
    library.define("compacted(Tensor x, int number) -> Tensor")
    library.impl("compacted", lambda x, number: (x * number).contiguous(), "CPU")
    with record(tmp_path):
        for sizes, number in itertools.product(((4, 3, 5), (2, 6, 3), (5, 4), (3, 1, 4, 4)), (1, 2)):
            for order in itertools.permutations(range(len(sizes))):
                torch.ops.test_arithmetic.compacted(torch.zeros(sizes).permute(order), number)
    calls = list(Corpus(tmp_path).calls("test_arithmetic::compacted"))
    (found,) = learn("test_arithmetic::compacted", "aten", calls)
    assert len(found.rule.outputs[0].stride) == 1
    assert tally("test_arithmetic::compacted", [found.rule], calls).exact == len(calls)


@pytest.mark.parametrize(
    ("text", "operand"),
    [
        ("a + b", "(a + b)"),
        ("(a + b)", "(a + b)"),
        ("(a + b) * (c + d)", "((a + b) * (c + d))"),
        ("a < b", "(a < b)"),
        ("x.shape[-1]", "x.shape[-1]"),
        ("-(-a // b)", "-(-a // b)"),
        ("smaller(larger(a, b), c + 1)", "smaller(larger(a, b), c + 1)"),
    ],
)
def test_an_expression_is_bracketed_as_an_operand_if_it_has_to_be(text, operand):
    assert bracketed(text) == operand
