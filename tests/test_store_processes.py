"""Stored captures in processes of their own: one after the other, two at once, with other hashes."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tests.stored import files

ROOT = Path(__file__).parent.parent


PROGRAM = """
import sys, torch, tracer
from tracer.commands.application import main
from tracer.events import LOG
class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)
        self.norm = torch.nn.LayerNorm(4)
    def forward(self, x):
        return x + torch.relu(self.fc(self.norm(x))) * {scale}
torch.manual_seed(0)
model = torch.nn.Sequential(*(Block() for _ in range(3)))
x = torch.arange(8.0).view(2, 4)
program = tracer.capture(model, cache=sys.argv[1])
y = program(x)
y.sum().backward()
print([event.kind for event in LOG.recent() if event.kind in ("capture", "loaded")])
print(y.tolist(), [p.grad.sum().item() for p in model.parameters()])
"""


def start(path, script, scale=2):
    script.write_text(textwrap.dedent(PROGRAM).format(scale=scale))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(script), str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )


def output_of(process):
    text, _ = process.communicate()
    assert process.returncode == 0
    events, numbers = text.splitlines()
    return events, numbers


def test_a_second_process_captures_nothing_and_changed_source_is_captured(tmp_path):
    script = tmp_path / "program.py"
    events, numbers = output_of(start(tmp_path / "cache", script))
    assert events == "['capture']"
    assert output_of(start(tmp_path / "cache", script)) == ("['loaded']", numbers)
    events, others = output_of(start(tmp_path / "cache", script, scale=3))
    assert events == "['capture']" and others != numbers


def test_processes_that_race_for_one_folder(tmp_path):
    script = tmp_path / "program.py"
    racing = [start(tmp_path / "cache", script) for _ in range(2)]
    first, second = map(output_of, racing)
    assert first[1] == second[1]
    assert output_of(start(tmp_path / "cache", script)) == ("['loaded']", first[1])
    assert len(files(tmp_path / "cache")) == 1


SETS = """
import sys, torch, tracer
from tracer.events import LOG
WORDS = ("alpha", "beta", "gamma", "delta", "eps", "zeta", "eta")
SET, FROZEN = set(WORDS), frozenset(WORDS)
class Plain:
    pass
def weigh(words):
    return sum(place * len(word) for place, word in enumerate(words))
PROGRAMS = [
    lambda x: x * weigh({"alpha", "beta", "gamma", "delta", "eps"}),
    lambda x: x * weigh(SET),
    lambda x: x * weigh(FROZEN),
    lambda x: x * weigh(list(SET | {"more"})),
    lambda x: x * weigh(set(["alpha", "beta", "gamma", "delta"])),
    lambda x: x * len(set(WORDS).pop()),
    lambda x: x * len(str(FROZEN).split()[0]),
    lambda x: x * len(",".join(FROZEN).split(",")[0]),
    lambda x: x * (hash("alpha") % 97),
    lambda x: x * ("alpha".__hash__() % 97),
    lambda x: x * (hash(Plain) % 97),
    lambda x: x * (hash(("alpha", 1)) % 97),
    lambda x: x * (id(SET) % 97),
    lambda x: x * sum(map(ord, repr(weigh))),
    lambda x: x * (2 if "alpha" in FROZEN and "beta" in SET and "q" not in {"alpha", "beta"} else 3),
    lambda x: x * (hash(3) + len(SET) + weigh({"one"})),
]
x = torch.arange(3.0)
for number, program in enumerate(PROGRAMS):
    tracer.reset()
    got = tracer.capture(program, cache=sys.argv[1])(x)
    assert torch.equal(got, program(x)), number
    print(*[event.kind for event in LOG.recent() if event.kind in ("loaded", "stored", "bug")] or ["none"])
"""


def test_orders_of_sets_hashes_and_addresses_are_of_one_process(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(SETS)
    outputs = []
    for seed in ("1", "5"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        words = [sys.executable, str(script), str(tmp_path / "cache")]
        run = subprocess.run(words, capture_output=True, text=True, env=environment)
        assert run.returncode == 0, run.stderr
        outputs.append(run.stdout.split())
    assert outputs == [["none"] * 14 + ["stored"] * 2, ["none"] * 14 + ["loaded"] * 2]
