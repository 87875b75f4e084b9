"""Spills and files: bounded memory, nothing half-written, what a killed or forked process leaves behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from passes.record import Corpus, CorpusError, Recorder, record, storage
from passes.record.schema import COLUMNS, NAMES, VERSION

ROOT = Path(__file__).parent.parent


def many_calls(count: int, first: int = 1) -> None:
    for size in range(first, first + count):
        torch.empty(size)


def test_memory_is_bounded_and_nothing_is_lost(tmp_path):
    with record(tmp_path, memory=1 << 18) as recorder:
        many_calls(1000)
        assert recorder._table.bytes < 1 << 18
        x = torch.ones(3)
        for _ in range(5):
            x + 1
            many_calls(200)
    corpus = Corpus(tmp_path)
    assert len(corpus.files) > 3
    assert corpus.sql("select count(distinct arguments), sum(count) from calls where op like 'aten::empty%'")[1] == [
        (1000, 2000)
    ]
    assert corpus.sql("select sum(count) from calls where op = 'aten::add.Tensor'")[1] == [(5,)]
    assert corpus.sql("select min(count) from calls")[1] == [(1,)]


def test_spill_between_the_start_and_the_end_of_a_call(tmp_path):
    with torch.library._scoped_library("storage_test", "FRAGMENT") as library:
        library.define("spilling(Tensor x) -> Tensor")
        recorder = Recorder(tmp_path)
        library.impl("spilling", lambda x: (recorder.spill(), x * 2)[1], "CPU")
        with recorder:
            for _ in range(3):
                torch.ops.storage_test.spilling(torch.ones(2))
        recorder.close()
    assert Corpus(tmp_path).sql("select sum(count) from calls where op = 'storage_test::spilling'")[1] == [(3,)]


def test_a_killed_process_leaves_whole_files_only(tmp_path):
    program = f"""
        import os, signal, torch
        from passes.record import storage, Recorder
        recorder = Recorder({str(tmp_path)!r})
        with recorder:
            torch.ones(2) + 1
            recorder.spill()
            torch.ones(3) + 1
            def killed(batches):
                yield from batches
                os.kill(os.getpid(), signal.SIGKILL)
            write = storage.write
            storage.write = lambda path, batches: write(path, killed(batches))
            recorder.spill()
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert found.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    corpus = Corpus(tmp_path)
    assert corpus.sql("select tensor(given[1]).size from calls where op = 'aten::add.Tensor'")[1] == [([2],)]


def test_killed_at_any_time(tmp_path):
    """What the process said to have written is there, however it is killed; SIGTERM loses nothing at all."""
    program = f"""
        import itertools, sys, torch
        from passes.record import Recorder
        recorder = Recorder({str(tmp_path)!r}, memory=1 << 20)
        recorder.close_when_terminated()
        with recorder:
            for size in itertools.count(1):
                parts = recorder.parts
                torch.empty(size)
                if sys.argv[1] == "SIGTERM" or recorder.parts > parts:
                    print(size - 1, flush=True)
    """
    for name, lines in (("SIGKILL", 4), ("SIGTERM", 300)):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), name],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(lines)]
        process.send_signal(getattr(signal, name))
        assert process.wait() == -getattr(signal, name)
        written = Corpus(tmp_path).sql("select max(arguments['size'][2:-2]::int), count(distinct arguments) from calls")
        ((largest, different),) = written[1]
        assert largest == different >= said[-1] > 0
        for file in Corpus(tmp_path).files:
            file.unlink()


def test_failed_write_leaves_nothing(tmp_path):
    def failing():
        raise OSError("disk full")
        yield

    with pytest.raises(OSError, match="disk full"):
        storage.write(tmp_path / "calls-x.parquet", failing())
    assert not list(tmp_path.iterdir())


def test_a_forked_process_writes_its_own_shard(tmp_path):
    recorder = Recorder(tmp_path)
    with recorder:
        torch.ones(2)
        pid = os.fork()
        if pid == 0:
            torch.zeros(3)
            recorder.close()
            os._exit(0)
        os.waitpid(pid, 0)
    recorder.close()
    corpus = Corpus(tmp_path)
    assert sorted(corpus.sql("select op, sum(count) from calls group by op")[1]) == [
        ("aten::ones", 1),
        ("aten::zeros", 1),
    ]
    assert len({file.name.rsplit("-", 1)[0] for file in corpus.files}) == 2


def test_processes_of_multiprocessing_write_when_they_end(tmp_path):
    with record(tmp_path):
        process = multiprocessing.get_context("fork").Process(target=many_calls, args=(3,))
        process.start()
        process.join()
    assert process.exitcode == 0
    assert Corpus(tmp_path).statistics().calls == 3


def test_files_are_sorted_and_carry_the_version(tmp_path):
    import pyarrow.parquet as parquet

    with record(tmp_path):
        x = torch.ones(2, 2)
        x.t().relu().add(1).sum()
    (file,) = Corpus(tmp_path).files
    table = parquet.read_table(file)
    assert table.schema.names == list(NAMES) == [column.name for column in COLUMNS]
    assert table["op"].to_pylist() == sorted(table["op"].to_pylist())
    metadata = parquet.read_metadata(file)
    assert metadata.metadata[b"bytegraph_corpus_version"] == str(VERSION).encode()
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_other_versions_and_other_files_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table({"op": ["x"]}), tmp_path / "calls-a.parquet")
    with pytest.raises(CorpusError, match=r"calls-a.parquet has no version of the corpus schema"):
        Corpus(tmp_path)
    schema = pa.schema([("op", pa.string())], {"bytegraph_corpus_version": "99"})
    parquet.write_table(pa.table({"op": ["x"]}, schema=schema), tmp_path / "calls-a.parquet")
    with pytest.raises(CorpusError, match=rf"version 99 .*this program reads version {VERSION}"):
        Corpus(tmp_path)
    (tmp_path / "calls-a.parquet").write_text("no Parquet")
    with pytest.raises(CorpusError, match="is no Parquet file"):
        Corpus(tmp_path)
    with pytest.raises(CorpusError, match="is no folder"):
        Corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="nothing was recorded"):
        Corpus(ROOT / "tests")


def test_entering_again_goes_on(tmp_path):
    recorder = Recorder(tmp_path)
    for _ in range(3):
        with recorder:
            torch.ones(2)
        torch.ones(5)
    recorder.close()
    recorder.close()
    assert Corpus(tmp_path).sql("select arguments['size'], count from calls")[1] == [("[2]", 3)]


def test_a_recorder_is_light_to_import():
    heavy = ["pyarrow", "duckdb", "rich", "typer", "torch.testing._internal.common_methods_invocations"]
    program = f"import sys, passes, passes.record; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"
