"""Inference runs: a book from a corpus, the same whoever does the work, resumed, and not lost with one operator."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from passes.infer import study_process
from passes.infer.engines import ENGINES, local
from passes.infer.run import StudyJob, calls_of, imperfect, infer, tasks_of
from passes.infer.study import Plan, study
from passes.infer.validity.preconditions import is_accidental, with_preconditions
from passes.infer.worker import Laboratory
from passes.meta import TensorMeta
from passes.record import Corpus, record
from passes.record.calls import Failure
from passes.rules.answer import Answerer
from passes.rules.book import Rulebook
from passes.rules.generate import PredictedError
from passes.rules.show import rule_text
from tests.recording import recorded
from tracer.commands.application import application

TRIALS = 40
SIZES = ((2, 3), (4, 1), (3, 3), (5, 2), (1, 6), (2, 3, 4), (3, 1, 2), (7,))


def program() -> None:
    for size in SIZES:
        for x in (torch.rand(size), torch.rand(size[::-1]).permute(*reversed(range(len(size))))):
            torch.relu(x)
            x.sum(dim=0)
            x.sum(dim=(-1,), keepdim=True)
            for rows in (0, 1, 3):
                torch.relu(x[:rows])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "corpus"
    with record(folder):
        program()
    return folder


@pytest.fixture(scope="module")
def book(corpus: Path) -> Path:
    """A book with the rules of two operators, made by two processes."""
    folder = corpus.parent / "book"
    ended = command("infer", corpus, "-o", folder, "--ops", "relu,sum.dim_IntList", "--jobs", "2", "--trials", TRIALS)
    assert ended.exit_code == 0, ended.output
    return folder


def command(*words: object) -> Any:
    return CliRunner().invoke(application, list(map(str, words)))


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.json"))}


def test_a_rulebook_predicts_calls_that_were_never_recorded(book: Path):
    (rule,) = Rulebook(book).rules("aten::sum.dim_IntList", "aten")
    meta = TensorMeta((6, 9), (1, 6))
    outcome = Answerer(rule).answer({"self": meta, "dim": (1,), "keepdim": True, "dtype": None})
    assert outcome is not None and outcome.result.meta is TensorMeta((6, 1), (1, 1))
    assert rule.provenance.calls >= len(SIZES) and rule.provenance.trials >= TRIALS


def test_a_resumed_run_gives_the_same_rulebook(corpus: Path, book: Path, tmp_path: Path):
    before = files(book)
    kept = command("infer", corpus, "-o", book, "--ops", "relu,sum.dim_IntList", "--trials", TRIALS, "--json")
    assert (json.loads(kept.stdout)["kept"], json.loads(kept.stdout)["studies"]) == (2, [])
    (book / "aten/aten/relu.json").unlink()
    words = ("infer", corpus, "-o", book, "--ops", "relu,sum.dim_IntList", "--trials", TRIALS, "--jobs", "1", "--json")
    again = json.loads(command(*words).stdout)
    assert [study["op"] for study in again["studies"]] == ["aten::relu"]
    assert files(book) == before
    assert (
        command("infer", corpus, "-o", book, "--ops", "sum.dim_IntList", "--seed", "1", "--engine", "no").exit_code == 2
    )


def test_other_calls_or_another_seed_change_the_hash_of_a_task(corpus: Path, tmp_path: Path):
    with record(tmp_path / "more"):
        torch.relu(torch.rand(11, 13))
    job = StudyJob((str(corpus),))
    (one,) = tasks_of(job, "relu", ("aten",))
    (other,) = tasks_of(StudyJob((str(corpus), str(tmp_path / "more"))), "relu", ("aten",))
    (seeded,) = tasks_of(StudyJob((str(corpus),), seed=1), "relu", ("aten",))
    assert len({one.hash, other.hash, seeded.hash}) == 3
    assert tasks_of(job, "relu", ("aten",)) == [one]
    assert [task.rows for task in tasks_of(job)] == sorted((task.rows for task in tasks_of(job)), reverse=True)


def test_imperfect_in_studies_only_operators_that_a_book_got_wrong(corpus: Path, book: Path, tmp_path: Path):
    tasks = tasks_of(StudyJob((str(corpus),)), "relu,sum.dim_IntList", ("aten",))
    assert imperfect(book, tasks) == [] and imperfect(tmp_path, tasks) == tasks
    log = [json.loads(line) for line in (book / "studies.jsonl").read_text().splitlines()]
    for op, change in (("aten::relu", {"clean": False}), ("aten::sum.dim_IntList", {"held_out": {"unknown": 1}})):
        lines = (json.dumps(each | change if each["op"] == op else each) for each in log)
        (tmp_path / "studies.jsonl").write_text("\n".join(lines))
        assert [task.op for task in imperfect(tmp_path, tasks)] == [op]
    words = ("infer", corpus, "-o", tmp_path / "second", "--imperfect-in", tmp_path, "--seed", 1, "--trials", TRIALS)
    ended = command(*words, "--ops", "relu,sum.dim_IntList", "--json")
    assert [study["op"] for study in json.loads(ended.stdout)["studies"]] == ["aten::sum.dim_IntList"]


def test_held_out_calls_are_not_learned_from(corpus: Path):
    fit, held = calls_of([str(corpus)], "aten::relu", "aten", held_out=0.3)
    everything, none = calls_of([str(corpus)], "aten::relu", "aten")
    assert not none and held and len(fit) + len(held) == len(everything) == len(set(map(repr, everything)))
    assert not {repr(call.arguments) for call in fit} & {repr(call.arguments) for call in held}
    assert len(calls_of([str(corpus)], "aten::relu", "aten", most=5)[0]) == 5


def test_a_study_that_hangs_is_ended_and_reported(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(study_process, "HANGING", 0.3)
    job = StudyJob((str(corpus),), trials=TRIALS)
    task = tasks_of(job, "relu", ("aten",))[0]
    (report,) = infer(tmp_path, job, [task], local.run, 1)
    assert report.failure == "no answer for 0.3 s: the study hangs"
    assert Rulebook(tmp_path).operators() == []
    with study_process.StudyProcess(StudyJob((str(corpus),))) as one:
        one.give(task)
        os.killpg(os.getpgid(one._process.pid), signal.SIGKILL)
        assert finished(one).failure == "the process was killed by SIGKILL"
        assert not one.is_usable


def finished(one: study_process.StudyProcess) -> Any:
    report = one.take()
    while report is None:
        report = one.take()
    return report


def test_an_operator_of_a_missing_library_is_reported_by_name(tmp_path: Path):
    library = torch.library.Library("test_infer_run", "DEF")
    library.define("unshipped(Tensor x) -> Tensor")
    library.impl("unshipped", lambda x: x + 1, "CPU")
    with record(tmp_path / "corpus"):
        torch.ops.test_infer_run.unshipped.default(torch.rand(3))
        torch.relu(torch.rand(3))
    words = ("infer", tmp_path / "corpus", "-o", tmp_path / "book", "--ops", "unshipped,relu", "--level", "aten")
    ended = command(*words, "--trials", 5, "--jobs", 1)
    assert ended.exit_code == 1 and "test_infer_run::unshipped" in ended.output and "--import" in ended.output
    assert Rulebook(tmp_path / "book").operators() == [("aten", "aten::relu")]


def test_preconditions_are_learned_from_failures(tmp_path: Path):
    def products() -> None:
        types = (torch.float32, torch.float64, torch.int64, torch.complex64)
        for rows, inner, columns in ((2, 3, 4), (3, 1, 2), (5, 2, 2)):
            for left in types:
                for right in types:
                    with suppress(RuntimeError):
                        torch.mm(torch.ones(rows, inner, dtype=left), torch.ones(inner, columns, dtype=right))

    recorded(tmp_path, products)
    calls, _ = calls_of([str(tmp_path)], "aten::mm", "aten")
    with Laboratory(forked=True) as laboratory:
        (found,) = study("aten::mm", "aten", calls, laboratory, Plan(trials=TRIALS)).rules
        rule = with_preconditions(found, calls, laboratory, trials=300)
    for call in calls:
        if not isinstance(call.outcome, Failure):
            assert Answerer(rule).answer(call.arguments) == Answerer(found).answer(call.arguments)
    single, double = TensorMeta((3, 4), (4, 1)), TensorMeta((4, 5), (5, 1), torch.float64)
    with pytest.raises(PredictedError, match="RuntimeError"):
        Answerer(rule).answer({"self": single, "mat2": double})
    assert "raise RuntimeError" in rule_text(rule)


@pytest.mark.parametrize(("engine", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_cluster_gives_the_same_rulebook(engine: str, package: str, corpus: Path, book: Path, tmp_path: Path):
    pytest.importorskip(package)
    job = StudyJob((str(corpus),), trials=TRIALS)
    tasks = [task for name in ("relu", "sum.dim_IntList") for task in tasks_of(job, name, ("aten",))]
    reports = list(infer(tmp_path, job, tasks, ENGINES[engine], 2))
    assert sorted(report.op for report in reports) == ["aten::relu", "aten::sum.dim_IntList"]
    assert all(report.failure is None for report in reports)
    assert files(tmp_path) == files(book)


def test_a_missing_corpus_or_operator_is_an_error(corpus: Path, tmp_path: Path):
    assert command("infer", tmp_path / "nothing", "-o", tmp_path / "book").exit_code != 0
    ended = command("infer", corpus, "-o", tmp_path / "book", "--ops", "no_such")
    assert "no_such" in str(ended.exception) and not (tmp_path / "book").exists()
    assert Corpus(corpus).operators()


@pytest.mark.parametrize(
    ("condition", "accidental"),
    [
        ("is_contiguous(x)", True),
        ("is_tensor(x) and x.stride[0] == 1", True),
        ("x.shape[-1] == 0", True),
        ("is_compact(shape, x.stride)", True),
        ("rank(x.shape) == 2", False),
        ("any_negative(stride)", False),
        ("repeats == ()", False),
        ("word == 'contiguous(x)'", False),
        ("p == -1", True),
        ("to == 0", True),
        ("p % 2 == 0", True),
        ("count(x.shape) < count(y.shape)", True),
        ("count(x.shape) == 1", True),
        ("count(x.shape) != count(y.shape)", False),
        ("pin_memory is True", True),
        ("is_float(value)", True),
        ("n < 0", False),
        ("rank(dim) != 2", False),
        ("size_at(x.shape, dim) == 0", False),
        ("x.dtype == bool", False),
        ("repeats is None", False),
    ],
)
def test_what_calls_that_fail_have_by_accident_is_no_precondition(condition, accidental):
    assert is_accidental(condition) is accidental
