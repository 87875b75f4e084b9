"""Processes that a recorded program starts anew: each records itself, unless that is not wanted."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from passes.record import Corpus

ROOT = Path(__file__).parent.parent

PROGRAM = """
import multiprocessing, subprocess, sys, torch

def work(size):
    torch.ones(size)

if __name__ == "__main__":
    code = "import os, sys, sitecustomize, torch; torch.ones(2); print(sitecustomize.__name__, os.getcwd())"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.startswith("theirs"), said
    loaded, searched = "{'passes', 'torch'} & set(sys.modules)", "any(p.endswith('record/hook') for p in sys.path)"
    code = f"import sys; assert not {loaded} and not {searched}"
    subprocess.run([sys.executable, "-c", code], check=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # which is terminated when this ends
        pool.map(work, [3])
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.map(work, [4])
"""


def run(folder, *words, **environment):
    command = [sys.executable, "-m", "tracer", "record", "-o", str(folder / "c"), *map(str, words)]
    found = subprocess.run(command, cwd=folder, env=environment | {"PATH": ""}, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def sizes(folder):
    rows = Corpus(folder / "c").sql("select arguments['size'] from calls where op = 'aten::ones' order by all")[1]
    return [size for (size,) in rows]


@pytest.mark.parametrize(("flags", "seen"), [([], ["[2]", "[3]", "[4]"]), (["--no-children"], ["[4]"])])
def test_new_processes_record_themselves(tmp_path, flags, seen):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("__name__ = 'theirs'\n")
    run(tmp_path, *flags, "program.py", PYTHONPATH=f"{ROOT}:{tmp_path / 'site'}")
    assert sizes(tmp_path) == seen
    assert len(Corpus(tmp_path / "c").files) == len(seen)


def test_workers_of_pytest(tmp_path):
    test = "import pytest, torch\n@pytest.mark.parametrize('n', [2, 3])\ndef test_it(n): torch.ones(n)\n"
    (tmp_path / "test_it.py").write_text(test)
    run(tmp_path, "--", "-m", "pytest", "-n", "2", "-q", "-p", "no:cacheprovider", "test_it.py", PYTHONPATH=str(ROOT))
    assert sizes(tmp_path) == ["[2]", "[3]"]
    assert len(Corpus(tmp_path / "c").files) == 2


TERMINATED = """
import os, signal, sys, threading, time, torch
from passes.record import Recorder
from passes.record import storage

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()  # which may be given the signal, as may any
write = storage.write

def interrupted(path, tables):
    storage.write = write
    os.kill(os.getpid(), signal.SIGTERM)
    while recorder._postponed is None:
        time.sleep(0.001)
    with recorder:
        torch.zeros(3)  # a call more, which the handler would write in the middle of this
    write(path, tables)

storage.write = interrupted
recorder = Recorder(sys.argv[1])
recorder.close_when_terminated()
with recorder:
    torch.ones(2)
recorder.spill()
"""


def test_termination_while_calls_are_written(tmp_path):
    """It is waited for what is being written; what came after is written then."""
    command = [sys.executable, "-c", TERMINATED, str(tmp_path / "c")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert found.returncode == -signal.SIGTERM, found.stderr
    seen = Corpus(tmp_path / "c").sql("select op from calls order by all")[1]
    assert [op for (op,) in seen] == ["aten::ones", "aten::zeros"]
