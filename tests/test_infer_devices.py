"""Rules from calls that were recorded on another device: learned without a trial, checked, and refused by captures."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from passes.infer.devices import as_on_cpu
from passes.infer.run import calls_of
from passes.meta import CPU
from passes.record import Corpus, record, storage
from passes.rules.book import Rulebook, misfit, read_title
from passes.rules.language import RuleError
from tests.test_infer_run import command
from tracer.interpret.rulebook import book_in

SIZES = ((2, 3), (4, 1), (3, 3), (5, 2), (1, 6), (2, 3, 4), (3, 1, 2), (7,), (2, 2, 3), (6, 5), (4, 7), (8,))
OTHER = "cuda"


def program(more: int = 0) -> None:
    for size in SIZES:
        size = tuple(each + more for each in size)
        for x in (torch.zeros(size), torch.zeros(size[::-1]).permute(*range(len(size))[::-1])):
            torch.relu(x)
            x.sum(dim=0)
            x.sum(dim=(-1,), keepdim=True)
            torch.empty_like(x, device="cpu")


def recorded_elsewhere(folder: Path, more: int = 0) -> Path:
    """A corpus as another machine would have recorded it: the calls of `program` on a device that this one lacks.

    Those of the CPU are in it, too.
    """
    with record(folder / "here"):
        program(more)
    rows = Corpus(folder / "here").load().to_pylist()
    (folder / "there").mkdir()
    there = [dict(row) for row in rows]
    for row in there:
        row["arguments"] = [(name, text.replace('"cpu"', f'"{OTHER}:0"')) for name, text in row["arguments"]]
        for column in ("given", "returned", "written"):
            row[column] = [text and f'{text[:-1]},"device":"{OTHER}:0"}}' for text in row[column]]
    for number, part in enumerate((rows, there)):
        table = pa.Table.from_pylist(part, schema=storage.arrow_schema())
        storage.write(folder / "there" / f"calls-{number}-0000.parquet", [table])
    return folder / "there"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_elsewhere(tmp_path_factory.mktemp("devices"))


@pytest.fixture(scope="module")
def book(corpus: Path) -> Path:
    folder = corpus.parent / "book"
    ended = command("infer", corpus, "-o", folder, "--device", OTHER, "--ops", "relu,sum,empty_like", "--jobs", 1)
    assert ended.exit_code == 0, ended.output
    return folder


def test_calls_of_one_device_are_given_as_calls_on_the_cpu(corpus: Path):
    there = calls_of([str(corpus)], "aten::empty_like", "aten", device=OTHER)[0]
    assert there and all(call.arguments["device"] == CPU for call in there)
    metas = [meta for call in there for meta in (call.arguments["self"], *(each.meta for each in call.outcome.tensors))]
    assert {meta.device for meta in metas} == {CPU}
    assert all(as_on_cpu(call, OTHER) is None for call in there)  # they are on the CPU now


def test_rules_are_learned_without_a_trial_and_right_about_other_calls_there(book: Path, tmp_path: Path):
    rules = list(Rulebook(book))
    assert {rule.op for rule in rules} == {"aten::relu", "aten::sum.dim_IntList", "aten::empty_like"}
    assert read_title(book)["device"] == OTHER and all(rule.provenance.trials == 0 for rule in rules)
    ended = command("rules", "check", book, recorded_elsewhere(tmp_path, more=3), "--json")
    checked = {each["name"]: each for each in json.loads(ended.stdout)["operators"]}
    assert ended.exit_code == 0 and all(checked[rule.op]["exact"] > 10 for rule in rules), checked


def test_rules_claim_no_layout_that_no_call_had(book: Path):
    (relu,) = Rulebook(book).rules("aten::relu", "aten")
    assert set(relu.domain.layouts["self"]) == {"contiguous", "permuted"}


def test_a_capture_on_the_cpu_refuses_the_book(book: Path):
    assert OTHER in misfit(read_title(book))
    with pytest.raises(RuleError, match=f"on {OTHER}"):
        book_in(book)
