"""Planted bugs are found, named with the user's line, and shrunk to scripts that fail by themselves."""

import ast
import subprocess
import sys

import pytest
import torch

from backends.crosscheck.report import Divergence
from tests import planted
from tests.check import check
from tracer import capture

ops = torch.ops.planted
X = torch.linspace(-2, 3, 24).reshape(4, 6)

# Runs scripts in one process that knows nothing of this repository, and prints those that end with an AssertionError.
RUN_ALL = """
import sys, pathlib
for path in sys.argv[1:]:
    try:
        exec(compile(pathlib.Path(path).read_text(), path, "exec"), {"__name__": "__main__"})
    except AssertionError:
        print("failed:", pathlib.Path(path).stem)
"""


def ignored_strides(x):
    y = x.relu() + 1
    ops.scale_(y, 2.0)
    return y.sum()


def ignored_output_strides(x):
    out = torch.zeros(x.shape)
    ops.add_into(x, x, out)
    return out * 2


def uninitialised(x):
    return ops.prefix(x.exp()) + 1


def nondeterministic(x):
    return ops.mean_of_rows(x.exp())


def reads_flat(x):
    return ops.row_sums(x * 2)


def fused(x):
    h = torch.relu(x)
    difference = h - x * x
    return difference.sum(0), h


def without_fake_kernel(x):
    return ops.row_maxima(x * 2) + 1


def as_many_as_are_positive(x):
    return ops.positives(x * 2) + 1


def wrong_slope(x):
    return ops.softsign(x * 2).sum()


# What is captured, options, the operator that is to be named, the kind, the text of its line.
BUGS = {
    "ignored strides": (ignored_strides, {}, "scale_", "values", "ops.scale_(y, 2.0)"),
    "ignored output strides": (ignored_output_strides, {}, "add_into", "values", "ops.add_into(x, x, out)"),
    "uninitialised": (uninitialised, {}, "prefix", "uninitialised", "return ops.prefix(x.exp()) + 1"),
    "nondeterministic": (nondeterministic, {}, "mean_of_rows", "nondeterministic", "return ops.mean_of_rows(x.exp())"),
    "reads flat": (reads_flat, {}, "row_sums", "values", "return ops.row_sums(x * 2)"),
    "no fake kernel": (without_fake_kernel, {}, "row_maxima", "values", "return ops.row_maxima(x * 2) + 1"),
    "wrong fusion": (fused, {"candidate": planted.wrong_fusion}, "sub", "values", "difference = h - x * x"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The first finding for each planted bug, its script unverified."""
    folder = tmp_path_factory.mktemp("scripts")
    findings = {}
    for name, (program, options, *_) in BUGS.items():
        reports = []
        options = {**options, "report": reports.append, "verify": False, "folder": str(folder / name)}
        capture(program, backend="crosscheck", options=options)(X)
        findings[name] = next((report.first for report in reports if not report.ok), None)
    return findings


@pytest.mark.parametrize("name", BUGS)
def test_found_and_named(found, name):
    _, _, operator, kind, line = BUGS[name]
    finding = found[name]
    assert finding is not None, "not found"
    assert operator in finding.operator
    assert finding.difference.kind == kind
    assert line in finding.line


def test_shrunk(found):
    """The fused product and sum are left of four operators, on one element."""
    finding = found["wrong fusion"]
    assert finding.operators == ["mul", "sub"]
    assert "1 of 1 elements" in finding.difference.detail


def test_scripts_import_only_torch(found):
    for name, finding in found.items():
        imports = {
            alias.name
            for node in ast.walk(ast.parse(finding.script))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert imports <= {"torch", "operator"}, name
        assert not [node for node in ast.walk(ast.parse(finding.script)) if isinstance(node, ast.ImportFrom)]


def test_scripts_fail_by_themselves(found):
    paths = [finding.path for finding in found.values()]
    done = subprocess.run([sys.executable, "-I", "-c", RUN_ALL, *paths], capture_output=True, text=True, cwd="/")
    failed = [line for line in done.stdout.splitlines() if line.startswith("failed:")]
    assert len(failed) == len(BUGS), done.stdout + done.stderr


def reported(program, **options):
    """What is found in a program whose input requires gradients."""
    reports = []
    options = {"report": reports.append, "verify": False, **options}
    capture(program, backend="crosscheck", options=options)(X.clone().requires_grad_())
    return [report for report in reports if not report.ok]


def test_a_wrong_gradient_is_found_where_inputs_require_one():
    (report,) = reported(wrong_slope)
    assert "softsign" in report.findings[0].operator and "ops.softsign(x * 2)" in report.findings[0].line
    assert not reported(wrong_slope, check_gradients=False)
    check(wrong_slope, X, breaks=[], backend="crosscheck", gradients=False)


def test_gradients_that_are_meant_to_be_others_are_no_findings_unless_asked_for():
    def straight_through(x):
        return (x + (x.round() - x).detach()).sum()

    assert not reported(straight_through)
    assert reported(straight_through, check_gradients=True)


def test_operators_without_fake_kernel_are_run_for_this_check_only():
    check(without_fake_kernel, X, breaks=["no-fake-kernel"])


def test_what_hangs_on_values_is_in_no_graph():
    check(as_many_as_are_positive, X, breaks=["no-fake-kernel"], backend="crosscheck")


def test_a_divergence_is_raised():
    with pytest.raises(Divergence, match="row_sums") as caught:
        capture(reads_flat, backend="crosscheck", options={"shrink": 0.0})(X)
    assert caught.value.report.first.script is None


def test_a_divergence_is_no_error_of_the_program():
    """No handler of the program waits for it, and the original is not run in place of the graph."""
    log = []

    def program(x):
        log.append(1)
        try:
            return torch.linalg.inv(x.new_ones(1, 1)) * reads_flat(x).sum()
        except AssertionError:
            return x

    with pytest.raises(Divergence, match="row_sums"):
        capture(program, backend="crosscheck", options={"shrink": 0.0})(X)


def test_a_verified_script(tmp_path):
    reports = []
    options = {"report": reports.append, "folder": str(tmp_path), "candidate": planted.wrong_fusion}
    capture(fused, backend="crosscheck", options=options)(X)
    assert reports[0].first.fails is True
    assert "fails when run" in str(reports[0])


def test_a_script_passes_once_the_bug_is_gone(found, tmp_path):
    """The same script with the operator mended does not fail: it shows the bug, not itself."""
    mended = found["reads flat"].script.replace("x.as_strided((x.numel(),), (1,), x.storage_offset())", "x.flatten()")
    assert mended != found["reads flat"].script
    path = tmp_path / "mended.py"
    path.write_text(mended)
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
