"""Worker processes: tasks shared out, each recorded once, whatever becomes of a worker."""

import functools
import os
import signal

import pytest
import torch

from passes.record import Corpus, CorpusError, Recorder
from passes.record.workers import FinishedTask, in_workers
from tracer.commands import application


def start(recorder):
    """Tasks are `size`, or `size how-it-ends`; a recorder that writes when `size` is 5."""

    def do(task):
        size, _, ending = task.partition(" ")
        with recorder:
            torch.ones(int(size))
        if size == "5":
            recorder.spill()
        if ending == "killed":
            os.kill(os.getpid(), signal.SIGSEGV)
        if ending == "raises":
            raise LookupError(ending)

    return do


def start_fails(recorder):
    raise LookupError("no start")


def sizes(folder):
    return dict(Corpus(folder).sql("select arguments['size'], sum(count)::int from calls group by 1")[1])


def test_a_crash_loses_one_task_and_repeats_no_other(tmp_path):
    tasks = ["4", "5", "6", "7 killed", "8", "9 raises"]
    steps = list(in_workers(functools.partial(Recorder, tmp_path), start, tasks, jobs=1))
    assert {step for step in steps if step.failure} == {
        FinishedTask("7 killed", "killed by SIGSEGV"),
        FinishedTask("9 raises", "ended with status 1"),
    }
    assert sorted(step.name for step in steps) == tasks
    # what a task had recorded before it raised was written, for then its process could still do so
    assert sizes(tmp_path) == {f"[{size}]": 1 for size in (4, 5, 6, 8, 9)}


def test_a_worker_that_cannot_start_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match="a worker was ended with status 1 while it started"):
        list(in_workers(functools.partial(Recorder, tmp_path), start_fails, ["1"], jobs=1))


ZOO = """
import os, signal, torch
NAMES = {"all": ["small", "fatal", "large"]}

class Model(torch.nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name, self.weight = name, torch.nn.Parameter(torch.ones(len(name)))

    def forward(self, x):
        if self.name == "fatal":
            os.kill(os.getpid(), signal.SIGSEGV)
        return (self.weight * x).relu()

def build(name):
    return Model(name), (torch.ones(1),), {}
"""


def test_jobs_of_the_command_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "zoo_of_three.py").write_text(ZOO)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["record", "models", "-o", str(tmp_path / "c"), "--zoo", "zoo_of_three", "--jobs", "2"]
    assert application.main(words) == 1
    assert "failed: fatal: killed by SIGSEGV" in capsys.readouterr().err
    corpus = Corpus(tmp_path / "c")
    assert len(corpus.files) == 1
    assert corpus.sql("select location, sum(count) from calls where op = 'aten::relu' group by 1")[1] == [
        (f"model large,small at {tmp_path}/zoo_of_three.py:13", 4)
    ]


def test_several_processes_record_the_same_calls_as_one(tmp_path, capsys):
    for jobs in ("0", "1"):
        words = ["record", "opinfo", "--ops", "cumsum", "--dtype", "f32", "--samples", "2", "--jobs", jobs]
        assert application.main([*words, "-o", str(tmp_path / jobs)]) == 0
    assert application.main(["corpus", "diff", str(tmp_path / "0"), str(tmp_path / "1")]) == 0
