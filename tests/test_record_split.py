"""Splits of a corpus: both sides together are the corpus, nothing is on both, and they are the same every time."""

import json

import pytest
import torch

from passes.record import Corpus, CorpusError, Recorder
from passes.record.corpus import merge
from passes.record.location import in_model
from passes.record.split import SPLITS, split
from tests.recording import recorded
from tracer.commands import application


def record_model(folder, name, *sizes):
    recorder = Recorder(folder)
    recorder.place = in_model(name)
    with recorder:
        for size in sizes:
            torch.ones(size)
    recorder.close()


LINE = record_model.__code__.co_firstlineno + 5


@pytest.fixture
def models(tmp_path):
    """Model `m7` makes one call that no other does, and shares one with all; there are calls of no model."""
    folder = tmp_path / "models"
    recorded(folder, lambda: [torch.zeros(size) for size in (1, 2, 3, 4)])
    for number in range(10):
        record_model(folder, f"m{number}", 100, number + 1)
    return folder


def arguments(table):
    return sorted(dict(row["arguments"])["size"] for row in table.to_pylist())


@pytest.mark.parametrize("by", SPLITS)
def test_sides_are_the_whole(models, by):
    corpus = Corpus(models)
    fit, held = split(corpus, by, 0.3)
    assert len(fit) and len(held)
    key = lambda table: {json.dumps(row, sort_keys=True) for row in table.to_pylist()}
    again = Corpus(merge([corpus], models).parent)
    assert not key(fit) & key(held) and key(fit) | key(held) == key(again.load())
    assert key(split(again, by, 0.3)[1]) == key(held)


def test_by_signature_takes_a_share_and_keeps_outcomes_together(tmp_path):
    def program():
        for size in range(1, 400):
            torch.ones(size)
        for values in ([0.0, 1.0], [1.0, 1.0]):
            torch.tensor(values).nonzero()

    recorded(tmp_path, program)
    fit, held = split(Corpus(tmp_path), "signature", 0.25)
    assert 70 < len(held) < 130
    sides = ["aten::nonzero" in side["op"].to_pylist() for side in (fit, held)]
    assert sorted(sides) == [False, True]


def test_by_size_holds_out_what_is_larger(tmp_path):
    def program():
        for size in range(1, 21):
            torch.ones(size).sin()
        torch.ones(900, 2).cos()

    recorded(tmp_path, program)
    corpus = Corpus(tmp_path)
    _, held = split(corpus, "size", 0.25)
    sines = [json.loads(row["given"][0])["size"] for row in held.to_pylist() if row["op"] == "aten::sin"]
    assert sorted(sines) == [[size] for size in range(16, 21)]
    assert "aten::cos" not in held["op"].to_pylist()  # nothing is larger than its only call


def test_by_model_holds_out_whole_models(models):
    _, held = split(Corpus(models), "model", 0.2)
    names = {row["location"].split()[1] for row in held.to_pylist()}
    assert len(names) == 2
    assert arguments(held) == sorted(f"[{int(name[1:]) + 1}]" for name in names)
    merged = merge([Corpus(models)], models)
    assert Corpus(merged.parent).sql("select location from calls where arguments['size'] = '[100]'")[1] == [
        (f"model m0,m1,m2,m3,m4,m5,m6,m7,m8,m9 at {__file__}:{LINE}",)
    ]
    _, again = split(Corpus(models), "model", 0.2)
    assert arguments(again) == arguments(held)


def test_a_call_that_was_also_made_elsewhere_is_not_held_out_with_a_model(models):
    recorded(models, lambda: [torch.ones(size) for size in range(1, 11)])
    merge([Corpus(models)], models)
    assert len(split(Corpus(models), "model", 0.2)[1]) == 0


def test_command(models, tmp_path, capsys):
    words = ["corpus", "split", str(models), "--by", "model", "-o", str(tmp_path / "fit"), str(tmp_path / "held")]
    assert application.main(words) == 0
    assert "held out in" in capsys.readouterr().err
    fit, held = (Corpus(tmp_path / name).statistics() for name in ("fit", "held"))
    assert fit.calls + held.calls == 24 and held.calls == 2
    assert application.main(words) == 2 and "holds a corpus already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("by", "share", "said"),
    [
        ("luck", 0.2, "no split by 'luck'; there are signature, size, model"),
        ("size", 1.0, "between 0 and 1, not 1"),
        ("model", 0.2, "does not say which models"),
    ],
)
def test_wrong_splits(tmp_path, by, share, said):
    recorded(tmp_path, lambda: torch.ones(2))
    with pytest.raises(CorpusError, match=said):
        split(Corpus(tmp_path), by, share)
