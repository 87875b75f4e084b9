"""Faults of seventy kinds: found, at the right operator and line, with a script that fails by its assertion."""

import linecache
import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from backends.crosscheck.report import CHECKED, ending
from backends.gradients import check_gradients
from tests import faults
from tracer import capture

# Runs scripts in one process that knows nothing of this repository, and prints those that end with an AssertionError.
RUN_ALL = """
import sys, pathlib
for path in sys.argv[1:]:
    text = pathlib.Path(path).read_text()
    try:
        exec(compile(text, path, "exec"), {"__name__": "__main__"})
        print("passed:", path)
    except AssertionError as error:
        print("failed:" if str(error) and str(error) in text else "otherwise:", path)
    except BaseException as error:
        print("otherwise:", path, type(error).__name__, error)
"""


def first_finding(program, inputs, folder, **options):
    """What is found first, and its script, which was not run."""
    reports = []
    settings = {"report": reports.append, "verify": False, "shrink": 1.0, "folder": str(folder), **options}
    capture(program, backend="crosscheck", options=settings)(*(one.clone() for one in inputs))
    return next((report.first for report in reports if not report.ok), None)


def own_line(program):
    """The text of the line that calls the operator: the lambda's own."""
    code = program.__code__
    return linecache.getline(code.co_filename, code.co_firstlineno).strip()


def swapped(name):
    program, operator, wrong, inputs, kind = faults.SWAPS[name]

    def surrounded(*args):
        result = program(*args)
        return result, args[0] + 1

    return surrounded, program, operator, faults.swap(operator, wrong), inputs, kind


def assert_found(finding, operator, kind, line):
    assert finding is not None, "not found"
    assert operator in finding.operator, finding
    assert finding.difference.kind == kind, finding
    assert line in (finding.line or ""), finding
    assert finding.script is not None, finding.why


@pytest.mark.parametrize("name", faults.SWAPS)
def test_found_named_and_written(name, tmp_path):
    surrounded, program, operator, candidate, inputs, kind = swapped(name)
    finding = first_finding(surrounded, inputs, tmp_path, candidate=candidate)
    assert_found(finding, operator, kind, own_line(program))
    assert_fails(finding.path)


def assert_fails(*paths):
    """Each script ends with its own assertion, in a process that cannot import this repository."""
    done = subprocess.run([sys.executable, "-I", "-c", RUN_ALL, *paths], capture_output=True, text=True, cwd="/")
    ends = [line for line in done.stdout.splitlines() if line.startswith(("failed: ", "passed: ", "otherwise: "))]
    assert ends == [f"failed: {path}" for path in paths], done.stdout + done.stderr


# What is not a wrong function in the place of one operator ----------------------------------------------


@torch.library.custom_op("faults::doubled", mutates_args=())
def doubled(x: torch.Tensor) -> torch.Tensor:
    """Overwrites its input, which its schema does not say."""
    result = x * 2
    x.zero_()
    return result


@doubled.register_fake
def _(x):
    return torch.empty_like(x)


def writes_to_input(x):
    x.add_(1)
    return torch.sin(x)


def writes_to_intermediate(x):
    hidden = torch.relu(x)
    hidden.add_(1)
    return hidden * 2


def chain(x):
    hidden = torch.sin(x)
    rectified = torch.relu(hidden)
    return rectified + 1


def undeclared(x):
    hidden = torch.sin(x)
    return torch.ops.faults.doubled(hidden) + 1


def mixed_precision(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        product = x @ x.t()
        rectified = torch.relu(product)
    return rectified.float() + 1


def convolved(x):
    return torch.conv2d(x, x[:, :, :3, :3]) + 1


def reads_unwritten(x):
    """Adds memory that was never written to, multiplied by zero."""
    return torch.relu(x) + torch.empty_like(x) * 0


def ignores_zero_strides(x):
    """Reads as many elements as there are, one after the other, where a stride is zero."""
    return torch.relu(x) if 0 not in x.stride() else torch.relu(x) + torch.arange(float(len(x))).reshape(-1, 1)


def ignores_channels_last(x, weight):
    """Takes the channels of the last dimension for rows."""
    right = torch.conv2d(x, weight)
    return right.flip(-1) if x.is_contiguous(memory_format=torch.channels_last) else right


def forwarding(module, example_inputs):
    return module.forward


OTHERS = {
    "a write to an input taken for dead": (
        writes_to_input, {"candidate": faults.dropping("add_")}, "add_", "values", "x.add_(1)"),
    "a write taken for dead": (
        writes_to_intermediate, {"candidate": faults.dropping("add_")}, "add_", "values", "hidden.add_(1)"),
    "every second call": (
        chain, {"candidate": faults.every(2, "relu", lambda result: result + 1)}, "relu", "nondeterministic",
        "rectified = torch.relu(hidden)"),
    "every third call": (
        chain, {"candidate": faults.every(3, "relu", lambda result: result + 1)}, "relu", "nondeterministic",
        "rectified = torch.relu(hidden)"),
    "memory that was never written": (
        chain, {"candidate": faults.swap("relu", reads_unwritten)}, "relu", "uninitialised",
        "rectified = torch.relu(hidden)"),
    "an undeclared write": (undeclared, {}, "faults.doubled", "mutation", "torch.ops.faults.doubled(hidden)"),
    "an undeclared write in what is compiled": (
        undeclared, {"candidate": forwarding}, "faults.doubled", "mutation", "torch.ops.faults.doubled(hidden)"),
    "under autocast": (
        mixed_precision, {"candidate": faults.swap("relu", lambda x: torch.relu(x) * 1.5)}, "relu", "values",
        "rectified = torch.relu(product)"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_found_in_other_ways(name, tmp_path):
    program, options, operator, kind, line = OTHERS[name]
    finding = first_finding(program, (faults.X,), tmp_path, **options)
    assert_found(finding, operator, kind, line)
    assert_fails(finding.path)


LAID_OUT = {
    "expanded": (lambda x: torch.relu(x) + 1, faults.swap("relu", ignores_zero_strides), faults.X, "relu"),
    "channels-last": (convolved, faults.swap("conv2d", ignores_channels_last), faults.IMAGE, "conv2d"),
}


@pytest.mark.parametrize("layout", LAID_OUT)
def test_found_in_other_layouts_unasked(layout, tmp_path):
    program, candidate, tensor, operator = LAID_OUT[layout]
    finding = first_finding(program, (tensor,), tmp_path, candidate=candidate)
    assert_found(finding, operator, "values", "")
    assert first_finding(program, (tensor,), tmp_path, candidate=candidate, layouts=False, sizes=False) is None
    assert_fails(finding.path)


@pytest.mark.parametrize(
    "options", [{}, {"operators": True}, {"candidate": "eager"}], ids=["whole", "operators", "eager"]
)
def test_no_false_alarm_under_autocast(options, tmp_path):
    options = {"candidate": forwarding, **options}
    assert first_finding(mixed_precision, (faults.X,), tmp_path, **options) is None
    assert not torch.is_autocast_enabled("cpu")


def test_a_replacement_that_takes_what_is_documented(tmp_path):
    """torch.layer_norm takes one argument more than torch.nn.functional.layer_norm."""

    def documented(x, shape, weight=None, bias=None, eps=1e-5):
        return faults.two_pass_norm(x, shape, weight, bias, eps, unbiased=False)

    def program(x):
        return functional.layer_norm(x, (6,))

    candidate = faults.swap("layer_norm", documented)
    assert first_finding(program, (faults.X,), tmp_path, candidate=candidate) is None


def test_two_findings_have_two_scripts(tmp_path):
    findings = [first_finding(chain, (faults.X,), tmp_path, **OTHERS["every second call"][1]) for _ in range(2)]
    assert findings[0].path != findings[1].path
    assert len(list(tmp_path.iterdir())) == 2


def test_a_script_writes_no_script(tmp_path, monkeypatch):
    monkeypatch.setenv(CHECKED, "1")
    finding = first_finding(chain, (faults.X,), tmp_path, **OTHERS["every second call"][1])
    assert finding.path is None and "a script of a check" in finding.why


def test_a_script_that_ends_otherwise_does_not_count_as_failing(tmp_path):
    path = tmp_path / "script.py"
    for text, words in {"missing": "NameError", "assert False": "AssertionError", "assert 0, 'mine'": ""}.items():
        path.write_text(f"{text}\n")
        assert ending(path).fails is False and words in ending(path).words
    path.write_text('assert 1 == 2, "wrong value"\n')
    assert ending(path) == (True, "")


def test_what_was_not_tried_is_told():
    reports = []
    options = {"candidate": forwarding, "report": reports.append, "layouts": False, "gradients": False}
    capture(chain, backend="crosscheck", options=options)(faults.X.clone())
    text = str(reports[0])
    assert all(word in text for word in ("not tried: ", "layouts=True", "operators=True", "gradients=True"))


# Gradients --------------------------------------------------------------------------------------------


def test_a_wrong_function_of_autograd_is_named(tmp_path):
    report = check_gradients(
        lambda x: faults.WrongSine.apply(x * 2) + 1, [faults.X], folder=tmp_path, shrink=1.0, verify=False
    )
    finding = report.findings[0]
    assert finding.operator == "WrongSine.apply" and "faults.WrongSine.apply(x * 2)" in finding.line
    assert_fails(finding.path)


class OffInOneElement(torch.autograd.Function):
    """Three times its input; the gradient of one element is a percent too large."""

    @staticmethod
    def forward(ctx, x):
        return x * 3

    @staticmethod
    def backward(ctx, gradient):
        result = gradient * 3
        result.view(-1)[1234 % result.numel()] *= 1.01
        return result


def test_a_percent_in_one_of_thousands_of_elements():
    x = torch.linspace(-1, 2, 4000)
    report = check_gradients(lambda x: OffInOneElement.apply(x).sin(), [x], shrink=0.0)
    assert not report.ok and report.findings[0].operator == "OffInOneElement.apply"
    assert check_gradients(lambda x: (x * 3).sin().relu(), [x]).ok
