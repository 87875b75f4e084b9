"""The fuzzer itself: it writes valid programs of every kind, sees what differs, shrinks it and writes a test for it.

The random programs are run by `make fuzz`; found programs become tests beside what was mended.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz import grammar
from tests.fuzz.campaign import Campaign, Finding, explore, finding_in
from tests.fuzz.grammar import compiles, programs
from tests.fuzz.observation import Observation
from tests.fuzz.program import Program
from tests.fuzz.worlds import World, assert_same, difference
from tracer import is_capturing

ROOT = Path(__file__).parents[1]


def sample(count: int) -> list[Program]:
    """Programs of the strategy, the same in every run."""
    written: list[Program] = []

    @seed(1)
    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(programs())
    def collect(program: Program) -> None:
        written.append(program)

    collect()
    return written


@pytest.mark.slow
def test_most_programs_run_to_their_end():
    outcomes = Counter[str]()
    for program in sample(60):
        assert compiles(program.source)
        world = World(program, lambda function: function)
        list(world.step(None))
        outcomes["raised" if world.failed else "returned"] += 1
    assert outcomes["returned"] > 35


@pytest.mark.slow
def test_two_plain_runs_are_the_same():
    for program in sample(25):
        runs = [list(World(program, lambda function: function).step(program.changes[0])) for _ in range(2)]
        assert runs[0] == runs[1]


@pytest.mark.parametrize("name", ["NUMBERS", "TENSORS", "ANYTHING", "SIMPLE", "BLOCKS", "RESULTS"])
def test_every_template_is_valid(name):
    for template in getattr(grammar, name):
        writer = grammar.Writer(lambda strategy: strategy.elements[0] if hasattr(strategy, "elements") else 1)
        assert compiles(Program(writer.fill(template, 1)).source), template


@pytest.mark.parametrize("change", grammar.CHANGES)
def test_every_change_can_be_made(change):
    world = World(Program("return x"), lambda function: function)
    grad = torch.is_grad_enabled()
    world.apply(change)
    torch.set_grad_enabled(grad)
    assert not [entry for entry in world.namespace["log"] if entry[:1] == ("change",)]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", grammar.ARGUMENTS)
@pytest.mark.parametrize("backend", ["eager", "aot_eager", "forward"])
def test_a_program_is_the_same_with_all_arguments(arguments, backend):
    body = "items.append(x * 2)\nbox.count += 1\nreturn x + scale, helper(y), n"
    assert_same(Program(body, arguments, ("scale = 5", "helper = other"), backend))


SEEN = {
    "value": ("return x + 1", "return x + 1.5"),
    "stride": ("return x.t()", "return x.t().contiguous()"),
    "identity": ("return [x, x]", "return [x, x.view(2, 2)]"),
    "shared memory": ("return x, x[0]", "return x, x[0].clone()"),
    "autograd": ("return x.clone().requires_grad_()", "return x.clone()"),
    "leaf": ("return (y.requires_grad_() * 1).detach().requires_grad_()", "return y.requires_grad_() * 1"),
    "written argument": ("x.add_(1)\nreturn 1", "x + 1\nreturn 1"),
    "attribute": ("box.count += 1", "box.count += 2"),
    "class attribute": ("Box.factor = 3", "Box.factor = 4"),
    "global": ("scale = 3", "scale = 3.0"),
    "random numbers": ("torch.rand(1)", "torch.rand(2)\ntorch.rand(2)"),
    "exception": ("raise ValueError(1)", "raise ValueError(2)"),
    "life time": ("held = Noisy(x)\ndel held\nlog.append(1)", "held = Noisy(x)\nlog.append(1)\ndel held"),
    "number type": ("return True", "return 1"),
    "tensor attribute": ("x.kept = 1", "x.kept = 2"),
    "generator": ("return numbers(x)", "g = numbers(x)\nnext(g)\nreturn g"),
    "grad mode": ("torch.set_grad_enabled(True)", "torch.set_grad_enabled(False)"),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_is_observed(name):
    """Two programs that differ in one thing only are told apart."""
    lines = [list(World(Program(body), lambda function: function).step(None)) for body in SEEN[name]]
    assert lines[0] != lines[1]


def test_a_difference_between_calls_is_seen():
    program = Program("return x", changes=("args[2] = 3", "pass"))
    assert difference(program) == ""
    wrong = World(program, lambda function: lambda x, y, n, extra: x if n == 2 else x + 1)
    right = World(program, lambda function: function)
    assert list(wrong.step(None)) == list(right.step(None))
    assert list(wrong.step("args[2] = 3")) != list(right.step("args[2] = 3"))


def told_apart(program: Program) -> str:
    """Stands for a wrong capture: every program that uses `net` is told apart."""
    return "call 1: plain 1 captured 2" if "net" in program.body else ""


@pytest.mark.slow
def test_a_difference_is_shrunk_and_becomes_a_test(tmp_path):
    noted: list[Program] = []
    finding = explore(5, 100, noted.append, told_apart)
    assert finding is not None and "net" in finding.program.body
    assert len(finding.program.body) <= min(len(program.body) for program in noted if told_apart(program))
    assert len(finding.program.body.splitlines()) <= 2 and finding.program.changes == ("pass",)
    file = tmp_path / "test_written.py"
    file.write_text(finding.test)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in run.stdout, run.stdout + run.stderr


def test_findings_of_one_kind_are_one():
    one = Finding(Program("return x"), "call 1: plain    log[2]: 'a'\n captured log[2]: 'b'", 1)
    two = Finding(Program("return y"), "call 3: plain    log[5]: 'c'\n captured log[5]: 'd'", 2)
    assert one.kind == two.kind
    assert one.kind != Finding(Program("return y"), "internal error", 3).kind


def test_a_process_that_dies_is_blamed_on_its_program(tmp_path):
    (tmp_path / "log").write_text("Fatal Python error: Segmentation fault")
    (tmp_path / "current").write_text('{"body": "return x", "changes": ["pass"]}')
    finding = finding_in(tmp_path, -11, 4)
    assert finding is not None and finding.program == Program("return x") and "-11" in finding.difference
    assert finding_in(tmp_path, 0, 4) is None
    (tmp_path / "log").write_text("Timeout (0:01:00)!")
    hanging = finding_in(tmp_path, 1, 4)
    assert hanging is not None and hanging.difference.startswith("hangs")


@pytest.mark.slow
def test_a_campaign_explores_in_processes():
    campaign = Campaign(programs=20, first_seed=100, jobs=1)
    campaign.run()
    assert campaign.explored == 20


def test_aliases_are_numbered_in_the_order_of_the_walk():
    tensor = torch.ones(2)
    lines = list(Observation().lines([tensor, tensor, tensor.view(2)], "r"))
    assert "r[1]: the same as #1" in lines
    assert sum("memory 0" in line for line in lines) == 2
    assert not is_capturing()
