"""What is said of rules: as text, in figures, beside another book, beside recorded calls, beside torch's own."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from passes.infer.assessment.audit import FAKE, RULE, audit, shown
from passes.infer.assessment.compare import family
from passes.infer.run import calls_of
from passes.record import record
from passes.rules.book import Rulebook, write_rules, write_title
from passes.rules.language import RuleError
from passes.rules.rule import UNKNOWN, Case, Domain, Output, Provenance, Rule, always
from passes.rules.show import rule_text
from tests import rulebooks
from tracer.commands.application import application

SUM = Rule(
    "aten::sum.dim_IntList",
    "aten",
    ("self", "dim", "keepdim", "dtype"),
    always("tensor_0"),
    (
        Output(
            always("new"),
            always("reduced_or_all(self.shape, dim, keepdim)"),
            always("contiguous(shape)"),
            always("0"),
            (Case("dtype is not None", "dtype"), Case("", "summed(self.dtype)")),
            always("False"),
        ),
    ),
    raises=(Case("dtype == bool", "RuntimeError"),),
    domain=Domain(
        {"self": (0, 1, 2, 3, 4, 5)},
        {"self": ("f32", "i64")},
        {"self": ("tensor",), "dim": ("ints", "none"), "keepdim": ("bool",), "dtype": ("dtype", "none")},
    ),
    provenance=Provenance("", 1204, 400),
)
SPLIT = Rule(
    "aten::unbind.int",
    "aten",
    ("self", "dim"),
    always("[each] * (size_at(self.shape, dim))"),
    (
        Output(
            always("view self"),
            always("select(self, dim, i).shape"),
            always("select(self, dim, i).stride"),
            always("select(self, dim, i).storage_offset"),
            always("self.dtype"),
            always("False"),
        ),
    ),
    domain=Domain({"self": (2,)}, {"self": ("f32",)}, {"self": ("tensor",), "dim": ("int",)}),
)
NONZERO = Rule("aten::nonzero", "aten", ("self",), always(UNKNOWN))
DIVIDED = Rule(
    "aten::div.Tensor_mode",
    "aten",
    ("self", "other", "rounding_mode"),
    always("tensor_0"),
    (
        Output(
            always("new"),
            always("broadcast(self, other)"),
            always("iterated(shape, self, other)"),
            always("0"),
            always("promoted(self, other)"),
            always("False"),
        ),
    ),
    domain=Domain(
        {"self": (0, 1, 2), "other": (0, 1, 2)},
        {"self": ("f32",), "other": ("f32",)},
        {"self": ("tensor",), "other": ("tensor",), "rounding_mode": ("str",)},
        {"rounding_mode": ("floor",)},
    ),
)


def test_a_rule_reads_like_a_function():
    assert rule_text(SUM) == (
        "# aten::sum.dim_IntList   1,204 calls fitted, 400 falsification trials clean, ranks 0-5\n"
        "def sum(self, dim, keepdim=False, *, dtype=None):\n"
        "    if dtype == bool: raise RuntimeError\n"
        "    shape = reduced_or_all(self.shape, dim, keepdim)\n"
        "    stride = contiguous(shape)\n"
        "    dtype = dtype if dtype is not None else summed(self.dtype)"
    )
    assert rule_text(SPLIT).splitlines()[1:] == [
        "def unbind(self, dim=0):",
        "    count = size_at(self.shape, dim)",
        "    for i in range(count):",
        "        yield select(self, dim, i)",
    ]
    assert rule_text(NONZERO).endswith("def nonzero(self):\n    return unknown")


def test_two_outputs_a_write_and_cases_without_an_answer():
    same = Output(always("same self"))
    cases = (Case("is_empty(self)", "shape"), Case("rank(self.shape) == 3", UNKNOWN), Case("", "contiguous(shape)"))
    other = replace(SUM.outputs[0], shape=always("self.shape"), stride=cases, dtype=always("self.dtype"))
    kept = {fact: always(f"self.{fact}") for fact in ("shape", "stride", "storage_offset", "dtype")}
    written = Output(always("new"), kept["shape"], kept["stride"], kept["storage_offset"], kept["dtype"])
    rule = Rule("lib::f", "aten", ("self",), always("(tensor_0, tensor_1)"), (same, other), {"self": written})
    assert rule_text(rule).splitlines()[1:] == [
        "def f(self):",
        "    write(self)",
        "    shape_1 = self.shape",
        "    if is_empty(self): stride_1 = shape_1",
        "    elif rank(self.shape) == 3: stride_1 = unknown",
        "    else: stride_1 = contiguous(shape_1)",
        "    dtype_1 = self.dtype",
        "    return (self, new(shape_1, stride_1, dtype_1))",
    ]


def test_the_family_of_an_operator_follows_from_its_rules():
    assert [family([rule]) for rule in (SUM, SPLIT, NONZERO, DIVIDED)] == [
        "reduction",
        "view",
        "unknown",
        "element-wise",
    ]


def book_of(folder: Path, *rules: Rule) -> Path:
    write_title(folder, torch=torch.__version__)
    for rule in rules:
        write_rules(folder, rule.op, rule.level, [rule])
    return folder


def command(*words: object) -> Any:
    return CliRunner().invoke(application, list(map(str, words)))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    with record(tmp_path / "corpus"):
        for size in ((2, 3), (4, 1), (3,), (2, 3, 2)):
            torch.rand(size).sum(dim=(0,))
        torch.rand(2, 3).nonzero()
        torch.rand(2, 3).unbind(1)
        with pytest.raises(IndexError):
            torch.ones(2).sum(dim=(5,))  # not counted
    return tmp_path / "corpus"


def test_show_finds_operators_by_parts_of_their_names(tmp_path: Path):
    book = book_of(tmp_path / "book", SUM, SPLIT)
    for name in ("sum", "aten::sum.dim_IntList", "sum.dim_IntList", "dim_Int"):
        assert command("rules", "show", name, "--book", book).stdout == rule_text(SUM) + "\n"
    assert (
        "def rule(self, dim, keepdim, dtype, at, grad_mode, _anywhere=False):"
        in command("rules", "show", "sum", "--source", "--book", book).stdout
    )
    assert json.loads(command("rules", "show", "unbind", "--json", "--book", book).stdout)[0]["op"] == SPLIT.op
    missing = command("rules", "show", "no_such", "--book", book)
    assert isinstance(missing.exception, RuleError) and "no_such" in str(missing.exception)


def test_check_counts_exact_predictions_and_fails_on_a_wrong_one(tmp_path: Path, corpus: Path):
    book = book_of(tmp_path / "book", SUM, SPLIT, NONZERO)
    words = ("rules", "check", book, corpus, "--level", "aten", "--ops", "sum.dim_IntList,nonzero,unbind.int", "--json")
    checked = command(*words)
    found = {row["family"]: row for row in json.loads(checked.stdout)["families"]}
    assert checked.exit_code == 0
    assert (found["reduction"]["exact"], found["view"]["exact"], found["unknown"]["unknown"]) == (4, 1, 1)
    wrong = replace(SUM, outputs=(replace(SUM.outputs[0], shape=always("self.shape")),))
    write_rules(book, wrong.op, wrong.level, [wrong])
    checked = command(*words[:-1])
    assert checked.exit_code == 1 and "aten::sum.dim_IntList: 4 of 4 wrong, in shape 4" in checked.output


def test_check_asks_synonyms_where_a_rule_gives_no_answer(tmp_path: Path):
    tensor = torch.rand(2, 3)
    with record(tmp_path / "corpus", levels=["function"]):
        tensor.relu()
    narrow = rulebooks.rule("torch.Tensor.relu")
    narrow = replace(narrow, domain=replace(narrow.domain, ranks={"self": (1,)}))
    book = book_of(tmp_path / "book", narrow)
    totals = json.loads(command("rules", "check", book, tmp_path / "corpus", "--json").stdout)["families"]
    assert [(each["exact"], each["unknown"]) for each in totals if each["family"] == "all"] == [(0, 1)]
    write_rules(book, "torch.relu", "function", [rulebooks.RELU])
    totals = json.loads(command("rules", "check", book, tmp_path / "corpus", "--json").stdout)["families"]
    assert [(each["exact"], each["unknown"]) for each in totals if each["family"] == "all"] == [(1, 0)]


def test_check_says_what_the_evidence_lacks(tmp_path: Path):
    with record(tmp_path / "corpus", levels=["function"]):
        torch.rand(2, 3).relu()
    rule = rulebooks.rule("torch.Tensor.relu")
    domain = replace(rule.domain, ranks={"self": (1, 2, 4)}, dtypes={"self": ("f32", "i64", "bool", "bf16", "c64")})
    narrow = replace(rule, domain=replace(domain, layouts={"self": ("contiguous", "sliced", "spaced", "repeated")}))
    checked = command("rules", "check", book_of(tmp_path / "book", narrow), tmp_path / "corpus", "--json")
    (total,) = (each for each in json.loads(checked.stdout)["families"] if each["family"] == "all")
    layouts = ("channels-last", "permuted", "permuted slice", "expanded", "overlapping")
    assert total["lacks"] == {f"layout {each}": 1 for each in layouts} | {"dtype f64": 1, "rank 0": 1, "rank 3": 1}


def test_widen_gives_a_rule_the_layouts_that_trials_confirm(tmp_path: Path):
    with record(tmp_path / "corpus", levels=["function"]):
        for size in range(2, 8):
            torch.rand(size, 3).relu()
    rule = rulebooks.rule("torch.Tensor.relu")
    rule = replace(rule, outputs=(replace(rule.outputs[0], stride=always("iterated(shape, self)")),))
    narrow = replace(rule, domain=replace(rule.domain, layouts={"self": ("contiguous",)}))
    book, out = book_of(tmp_path / "book", narrow), tmp_path / "wider"
    words = ("rules", "widen", book, "-o", out, "--corpus", tmp_path / "corpus", "--json")
    assert json.loads(command(*words).stdout) == {"changed": [rule.op]}
    (wider,) = Rulebook(out).rules(rule.op, "function")
    assert {*wider.domain.layouts["self"]} >= {"contiguous", "channels-last", "permuted", "sliced", "expanded"}


def test_coverage_names_what_is_unknown(tmp_path: Path, corpus: Path):
    book = book_of(tmp_path / "book", SUM, NONZERO)
    found = json.loads(command("rules", "coverage", "--book", book, "--json").stdout)
    assert [row["op"] for row in found["unknown"]] == ["aten::nonzero"]
    on_calls = command(
        "rules", "coverage", "--book", book, "--corpus", corpus, "--ops", "sum.dim_IntList,nonzero", "--json"
    )
    rows = {row["family"]: row for row in json.loads(on_calls.stdout)["families"]}
    assert rows["reduction"]["answered"] == "100.00%" and rows["all"]["answered"] == "80.00%"


def test_diff_lists_differences_in_cases_domains_and_operators(tmp_path: Path):
    left = book_of(tmp_path / "left", SUM, SPLIT)
    other = replace(
        SUM,
        outputs=(replace(SUM.outputs[0], dtype=always("summed(self.dtype)")),),
        domain=replace(SUM.domain, ranks={"self": (1, 2)}),
        provenance=Provenance("", 7),
    )
    right = book_of(tmp_path / "right", other, NONZERO)
    told = command("rules", "diff", left, right)
    assert told.exit_code == 1
    assert told.stdout.splitlines() == [
        "+ aten::nonzero",
        "aten::sum.dim_IntList: result 0 dtype",
        "    - dtype if dtype is not None; summed(self.dtype)",
        "    + summed(self.dtype)",
        "aten::sum.dim_IntList: ranks of self",
        "    - 0, 1, 2, 3, 4, 5",
        "    + 1, 2",
        "- aten::unbind.int",
    ]
    assert command("rules", "diff", left, left).exit_code == 0
    assert list(Rulebook(left)) == [SUM, SPLIT]


def test_merge_takes_the_better_rules(tmp_path: Path, corpus: Path):
    wrong = replace(SUM, outputs=(replace(SUM.outputs[0], shape=always("self.shape")),))
    silent = replace(SUM, form=always(UNKNOWN))
    knowing = replace(silent, provenance=replace(SUM.provenance, dependent=3))  # results depend on values
    conditional = replace(
        SUM, form=(*(Case(f"rank(self.shape) == {rank}", "tensor_0") for rank in range(4)), *SUM.form)
    )
    hushed = replace(SUM, form=(Case("rank(self.shape) == 7", UNKNOWN), *SUM.form))  # as right, and says less
    pairs = (
        *((silent, SUM, SUM), (SUM, wrong, SUM), (wrong, silent, silent)),
        *((knowing, SUM, knowing), (conditional, SUM, SUM)),
        (hushed, SUM, SUM),
    )
    for number, (left, right, taken) in enumerate(pairs):
        books = book_of(tmp_path / f"left{number}", left), book_of(tmp_path / f"right{number}", right)
        out = tmp_path / f"out{number}"
        assert command("rules", "merge", *books, corpus, "-o", out).exit_code == 0
        assert Rulebook(out).rules(SUM.op, "aten") == [taken]
    out = tmp_path / "none"
    assert command("rules", "merge", tmp_path / "right1", tmp_path / "left2", corpus, "-o", out).exit_code == 0
    assert Rulebook(out).operators() == []


def test_a_constant_shape_of_one_call_is_not_merged(tmp_path: Path):
    with record(tmp_path / "corpus"):
        torch.rand(2, 3).sum(dim=(0,))
    fixed = replace(SUM, outputs=(replace(SUM.outputs[0], shape=always("(3,)"), stride=always("(1,)")),))
    books = book_of(tmp_path / "left", fixed), book_of(tmp_path / "right", SUM)
    assert command("rules", "merge", *books, tmp_path / "corpus", "-o", tmp_path / "out").exit_code == 0
    assert Rulebook(tmp_path / "out").rules(SUM.op, "aten") == [SUM]


def test_gradients_are_not_asked_of_kernels_without_data(tmp_path: Path):
    with record(tmp_path / "corpus", levels=("function",)):
        torch.Tensor.sum(torch.rand(3, requires_grad=True))
    calls, _ = calls_of([str(tmp_path / "corpus")], "torch.Tensor.sum", "function")
    fake = audit("torch.Tensor.sum", "function", [], calls, None).witnesses[FAKE]
    assert (fake.exact, fake.wrong, fake.silent) == (1, 0, 0)


def test_audit_shows_where_torch_is_wrong_and_the_rule_is_not(tmp_path: Path):
    with record(tmp_path / "corpus"):
        matrix = torch.rand(5, 10).t()
        torch.div(matrix, torch.rand(()), rounding_mode="floor")
        torch.div(torch.rand(3), torch.rand(3), rounding_mode="floor")
    calls, _ = calls_of([str(tmp_path / "corpus")], DIVIDED.op, "aten")
    found = audit(DIVIDED.op, "aten", [DIVIDED], calls, None)
    assert (found.witnesses[RULE].exact, found.witnesses[RULE].wrong) == (2, 0)
    assert found.witnesses[FAKE].differences == {"stride": 1} and found.witnesses[FAKE].matters
    script = shown(found)
    assert script is not None
    assert "passes" not in script and "tracer" not in script and "assert said == real" in script
    book = book_of(tmp_path / "book", DIVIDED)
    told = command("audit", "div.Tensor_mode", "--corpus", tmp_path / "corpus", "--book", book, "--trials", 0)
    assert told.exit_code == 0 and "FakeTensor says f32[10, 5] stride (5, 1)" in told.output
    words = ("audit", "div.Tensor_mode", "--corpus", tmp_path / "corpus", "--book", book, "--trials", 0, "--json")
    (facts,) = json.loads(command(*words).output)
    assert facts["witnesses"][FAKE]["differences"] == {"stride": 1}
