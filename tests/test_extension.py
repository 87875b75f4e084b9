"""A native part that is missing, or built for another torch or Python, is refused in words; an untested torch warns."""

import subprocess
import sys
import warnings

import pytest
import torch

from tests.imports import ROOT
from tracer import extension


def import_error(preparation: str) -> str:
    """The last line of what `import tracer` prints in a new process, after some preparation."""
    script = f"import sys, torch\n{preparation}\nimport tracer"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert process.returncode, process.stdout
    return process.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("module", ["tracer", "passes.record.recorder"])
def test_another_torch_than_the_one_built_for_is_refused(module):
    words = import_error(f"torch.__version__ = '2.99.1'\nimport {module}")
    assert f"was built for torch {'.'.join(torch.__version__.split('.')[:2])}, and torch 2.99.1 is installed" in words
    assert words.startswith("ImportError: ") and "setup.py build_ext" in words


def test_a_native_part_that_does_not_load_is_named():
    words = import_error("sys.modules['tracer._native'] = None")
    assert words.startswith(f"ImportError: the native part of bytegraph does not load with torch {torch.__version__} (")
    assert words.endswith(extension.BUILD)


def test_a_native_part_for_another_python_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(extension, "FOLDER", tmp_path)
    this = sys.implementation.cache_tag
    error = ImportError("No module named 'tracer._native'")
    assert extension.advice(error).startswith(f"the native part of bytegraph was not built for {this}: run `pip")
    (tmp_path / "_native.cpython-39-x86_64-linux-gnu.so").touch()
    assert f"not built for {this}, only for cpython-39-x86_64-linux-gnu: run `pip" in extension.advice(error)


def test_only_an_untested_torch_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for version in ("2.13.0+cpu", "2.13.7", "2.14.1+cu130"):
            extension.warn_of_untested(version)
    with pytest.warns(UserWarning, match=r"tested with torch 2\.13 and 2\.14, not with 2\.130\.0"):
        extension.warn_of_untested("2.130.0")
