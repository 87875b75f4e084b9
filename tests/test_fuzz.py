"""The fuzzer itself: it writes valid programs of every kind, sees what differs, shrinks it and writes a test for it.

The random programs are run by `make fuzz`; found programs become tests beside what was mended.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.fuzz import grammar, planted, templates
from tests.fuzz.campaign import Campaign, Finding, explore, findings_in
from tests.fuzz.changes import CHANGES
from tests.fuzz.grammar import compiles
from tests.fuzz.observation import ABOUT, Observation, are_close
from tests.fuzz.planted import programs_needed, sample
from tests.fuzz.program import Program
from tests.fuzz.worlds import (
    BREAKS,
    DOORS,
    World,
    assert_same,
    difference,
    restore,
    run_in_world,
    settings_of_torch,
)
from tracer import is_capturing

ROOT = Path(__file__).parents[1]


def test_most_programs_run_to_their_end():
    outcomes = Counter[str]()
    for program in sample(60):
        assert compiles(program.source)
        lines = run_in_world(program, lambda function: function).calls[0]
        outcomes["raised" if lines[0].startswith("raised") else "returned"] += 1
    assert outcomes["returned"] > 35


def test_two_plain_runs_are_the_same():
    for program in sample(25):
        runs = [run_in_world(program, lambda function: function) for _ in range(2)]
        assert runs[0] == runs[1]


@pytest.mark.parametrize("name", ["NUMBERS", "TENSORS", "ANYTHING", "SIMPLE", "BLOCKS", "RESULTS"])
def test_every_template_is_valid(name):
    for template in getattr(templates, name):
        writer = grammar.Writer(lambda strategy: strategy.elements[0] if hasattr(strategy, "elements") else 1)
        assert compiles(Program(writer.fill(template, 1)).source), template


@pytest.mark.parametrize("change", [change for rows in CHANGES.values() for change in rows])
def test_every_change_can_be_made(change):
    world = World(Program("return x"), lambda function: function)
    settings = settings_of_torch()
    world.apply(change)
    restore(settings)
    world.end()
    assert not [entry for entry in world.namespace["log"] if entry[:1] == ("change",)]


@pytest.mark.parametrize("arguments", templates.ARGUMENTS)
@pytest.mark.parametrize("backend", ["eager", "aot_eager", "forward"])
def test_a_program_is_the_same_with_all_arguments(arguments, backend):
    body = "items.append(x * 2)\nbox.count += 1\nreturn x + scale, helper(y), n"
    assert_same(Program(body, arguments, ("scale = 5", "helper = other"), backend))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("breaks", BREAKS)
def test_a_program_is_the_same_through_all_doors(door, breaks):
    body = "items.append(net(x))\nbox.count += 1\nassert n < 4\nreturn x + scale, helper(y), n"
    assert_same(Program(body, changes=("args[2] = 3", "args[2] = 4"), door=door, breaks=breaks))


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
    "method": ("Box.scaled = lambda self, v: v", "Box.scaled = lambda self, v: v + 1"),
    "class attribute that is a tensor": ("Box.kept = x", "Box.kept = y"),
    "class attribute that is gone": ("del Base.factor", "pass"),
    "base": ("return x, x.view(4)", "return x, x.detach().view(4)"),
    "size of the memory": ("return torch.ones(4)[:2]", "return torch.ones(3)[:2]"),
    "hook": ("t = y * y.requires_grad_()\nt.register_hook(print)\nreturn t", "t = y * y.requires_grad_()\nreturn t"),
    "gradient": ("y.requires_grad_().sum().backward()", "y.requires_grad_().sum()"),
    "array": ("return numpy.ones(2)", "return numpy.zeros(2)"),
    "memory of an array": ("return x, x.numpy()", "return x, x.numpy().copy()"),
    "number of numpy's": ("return numpy.int64(2)", "return numpy.int32(2)"),
    "global": ("scale = 3", "scale = 3.0"),
    "random numbers": ("torch.rand(1)", "torch.rand(2)\ntorch.rand(2)"),
    "numpy's random numbers": ("numpy.random.rand()", "pass"),
    "Python's random numbers": ("random.random()", "pass"),
    "exception": ("raise ValueError(1)", "raise ValueError(2)"),
    "attribute of an exception": ("raise CustomError(1, 2)", "raise CustomError(1, 3)"),
    "cause": ("raise ValueError(1) from KeyError(2)", "raise ValueError(1)"),
    "context": (
        "try:\n    raise KeyError(2)\nfinally:\n    raise ValueError(1)",
        "try:\n    pass\nfinally:\n    raise ValueError(1)",
    ),
    "note": ("e = ValueError(1)\ne.add_note('n')\nraise e", "e = ValueError(1)\ne.add_note('m')\nraise e"),
    "line": ("raise ValueError(1)", "\nraise ValueError(1)"),
    "state at an exception": ("items.append(x)\nx.add_(None)", "x.add_(None)"),
    "printed text": ("print(1)", "print(2)"),
    "warning": ("warnings.warn('noted')", "pass"),
    "life time": ("held = Noisy(x)\ndel held\nlog.append(1)", "held = Noisy(x)\nlog.append(1)\ndel held"),
    "death": ("return weakref.ref(Box(x))", "return weakref.ref(box)"),
    "finalizer": ("return weakref.finalize(Box(x), print)", "return weakref.finalize(box, print)"),
    "number type": ("return True", "return 1"),
    "tensor attribute": ("x.kept = 1", "x.kept = 2"),
    "generator": ("return numbers(x)", "g = numbers(x)\nnext(g)\nreturn g"),
    "iterator": ("return iter([x, y])", "i = iter([x, y])\nnext(i)\nreturn i"),
    "default": ("return lambda by=1: by", "return lambda by=2: by"),
    "closure": ("def inner(): return n\nreturn inner", "def inner(): return n\nn += 1\nreturn inner"),
    "name": ("return lambda: n", "return lambda: x"),
    "partial": ("return functools.partial(helper, x)", "return functools.partial(helper, y)"),
    "default dtype": ("torch.set_default_dtype(torch.float64)", "pass"),
    "grad mode": ("torch.set_grad_enabled(True)", "torch.set_grad_enabled(False)"),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_is_observed(name):
    """Two programs that differ in one thing only are told apart."""
    lines = [run_in_world(Program(body), lambda function: function) for body in SEEN[name]]
    assert lines[0] != lines[1]


def test_what_lives_on_is_seen():
    kept = list[torch.Tensor]()

    def keeping(function):
        return lambda *args: (kept.extend(args[:1]), function(*args))[1]

    plain, keeper = (run_in_world(Program("return x"), wrap) for wrap in (lambda function: function, keeping))
    assert plain.calls == keeper.calls
    assert plain.alive == [] and "args[0]" in keeper.alive


def test_planted_faults_of_outcomes_are_seen():
    """Of each thing that is compared: random programs make it, and a fault of it is told apart."""
    unseen = dict(planted.SPOILED)
    for program in sample(300, door="function"):
        for name, fault in list(unseen.items()):
            if difference(program, planted.spoiling(fault)):
                del unseen[name]
    assert not unseen


@pytest.mark.parametrize("name", planted.UNGUARDED)
def test_left_out_guards_are_seen(name):
    """Random programs use what each kind of change changes, and a capture that takes it for granted is told apart.

    What a seed gives hangs on the modules that are loaded, whose constants Hypothesis tries: there are several seeds.
    """
    kind, chosen = planted.UNGUARDED[name]
    samples = (sample(200, number, kinds=(kind,), backend="eager", breaks="none") for number in range(1, 6))
    with planted.without_guards(chosen):
        assert any(programs_needed(candidates, difference) for candidates in samples)


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


def test_a_difference_is_shrunk_and_becomes_a_test(tmp_path):
    noted: list[Program] = []
    findings = list(explore(5, 100, noted.append, told_apart))
    assert len(findings) == 1 and "net" in findings[0].program.body
    finding = findings[0]
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
    (finding,) = findings_in(tmp_path, -11, 4)
    assert finding.program == Program("return x") and "-11" in finding.difference
    assert findings_in(tmp_path, 0, 4) == []
    (tmp_path / "log").write_text("Timeout (0:01:00)!")
    (hanging,) = findings_in(tmp_path, 1, 4)
    assert hanging.difference.startswith("hangs")


def test_a_campaign_goes_on_after_a_finding():
    """Programs that are told apart in one way do not hide those that are in another."""

    def compare(program: Program) -> str:
        return "one kind" if program.backend == "eager" else "another" if program.keep else ""

    noted: list[Program] = []
    kinds = [finding.kind for finding in explore(3, 60, noted.append, compare)]
    assert sorted(kinds) == ["another", "one kind"]
    assert len(noted) >= 60
    assert not list(explore(3, 20, noted.append, compare, known=kinds))


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


def test_gradients_of_compilers_may_differ_by_roundings_only():
    lines = [
        next(line for line in Observation(autograd=False).lines(tensor, "r") if f" {ABOUT} " in line)
        for number in (1.0, 1.0 + 2e-7, 1.0 + 1e-5, float("nan"))
        for tensor in [torch.ones(2, requires_grad=True)]
        if setattr(tensor, "grad", torch.tensor([number, 2.0])) is None
    ]
    assert are_close(lines[0], lines[1]) and are_close(lines[3], lines[3])
    assert not are_close(lines[0], lines[2]) and not are_close(lines[0], lines[3])
