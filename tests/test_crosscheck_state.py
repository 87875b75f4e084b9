"""What a compiler, or what it compiled, leaves changed of the process: found by its name, and put back."""

import gc
import os
import random
import sys
import warnings

import pytest
import torch

from backends.crosscheck.process_state import STATE, changes, process_state, put_back, state_kept
from passes.operators.modes import SETTINGS
from tests.test_crosscheck_faults import assert_fails, first_finding

numpy = pytest.importorskip("numpy")
X = torch.linspace(-2, 3, 24).reshape(4, 6)
_C = torch._C
_autograd = _C._autograd


def toggle(getter, setter):
    return lambda: setter(not getter())


def pushes_hooks():
    _autograd._push_saved_tensors_default_hooks(lambda x: x, lambda x: x)


# What changes each entry of the table.
CHANGES = {
    "the stack of function modes": lambda: torch.overrides.BaseTorchFunctionMode().__enter__(),
    "the stack of dispatch modes": lambda: torch.utils._python_dispatch.BaseTorchDispatchMode().__enter__(),
    "the hooks on saved tensors": pushes_hooks,
    "whether gradients are recorded": toggle(torch.is_grad_enabled, _C._set_grad_enabled),
    "whether autocast is on": lambda: torch.set_autocast_enabled("cpu", True),
    "the dtype of autocast": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "the cache of autocast": lambda: torch.set_autocast_cache_enabled(False),
    "the default dtype": lambda: torch.set_default_dtype(torch.float64),
    "the default device": lambda: torch.set_default_device("meta"),
    "the number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "whether algorithms are deterministic": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "whether fresh memory is filled": toggle(
        _C._get_deterministic_fill_uninitialized_memory, _C._set_deterministic_fill_uninitialized_memory
    ),
    "the precision of float32 products": lambda: torch.set_float32_matmul_precision("medium"),
    "the kernels of attention": lambda: _C._set_sdp_use_flash(False),
    "whether attention may reduce in half precision": toggle(
        _C._get_math_sdp_allow_fp16_bf16_reduction, _C._set_math_sdp_allow_fp16_bf16_reduction
    ),
    "whether cuBLAS may use TF32": toggle(_C._get_cublas_allow_tf32, _C._set_cublas_allow_tf32),
    "whether cuDNN may use TF32": toggle(_C._get_cudnn_allow_tf32, _C._set_cudnn_allow_tf32),
    "whether cuDNN is used": toggle(_C._get_cudnn_enabled, _C._set_cudnn_enabled),
    "whether cuDNN tries its kernels": toggle(_C._get_cudnn_benchmark, _C._set_cudnn_benchmark),
    "whether cuDNN is deterministic": toggle(_C._get_cudnn_deterministic, _C._set_cudnn_deterministic),
    "whether oneDNN is used": toggle(_C._get_mkldnn_enabled, _C._set_mkldnn_enabled),
    "whether oneDNN is deterministic": toggle(_C._get_mkldnn_deterministic, _C._set_mkldnn_deterministic),
    "whether denormal numbers are flushed": lambda: torch.set_flush_denormal(True),
    "whether backward looks for anomalies": lambda: torch.set_anomaly_enabled(True),
    "the random numbers of torch": lambda: torch.rand(1),
    "the random numbers of Python": random.random,
    "the random numbers of NumPy": lambda: numpy.random.rand(),
    "whether torch warns again and again": lambda: torch.set_warn_always(True),
    "the filters of warnings": lambda: warnings.simplefilter("once"),
    "how tensors are printed": lambda: torch.set_printoptions(precision=2),
    "whether garbage is collected": gc.disable,
    "the limit of recursion": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1),
    "the working directory": lambda: os.chdir("/"),
}


def test_every_entry_has_a_change():
    assert CHANGES.keys() == STATE.keys()


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_noticed_and_put_back(name):
    before = process_state()
    CHANGES[name]()
    assert name in [change.state for change in put_back(before)]
    assert not changes(before, process_state())


@pytest.mark.parametrize("name", CHANGES)
def test_scripts_read_the_same(name):
    """The text that reads an entry in a script sees its change."""
    modules = {module.__name__: module for module in (gc, os, random, sys, warnings, torch, numpy)}
    with state_kept():
        before = eval(STATE[name].text, modules)
        CHANGES[name]()
        assert eval(STATE[name].text, modules) != before


def test_state_is_put_back_after_an_error():
    before = process_state()
    with pytest.raises(KeyError), state_kept():
        torch.set_default_dtype(torch.float64)
        raise KeyError
    assert not changes(before, process_state())


def test_settings_that_graphs_may_change_are_in_the_table():
    """What the interpreter puts into graphs as a setting is state that a compiled graph can leave changed."""
    read = {entry.read for entry in STATE.values()}
    grouped = {_C._get_deterministic_algorithms}  # with whether it only warns
    assert set(SETTINGS.values()) - read <= grouped


# One of each group: modes, settings, random numbers, Python's own.
LEFT = (
    "whether gradients are recorded",
    "the default dtype",
    "whether autocast is on",
    "the number of threads",
    "the random numbers of torch",
    "the random numbers of Python",
    "the filters of warnings",
    "the hooks on saved tensors",
)
AT_COMPILATION = ("the default dtype", "whether algorithms are deterministic", "the random numbers of NumPy")


@pytest.mark.parametrize("name", LEFT)
def test_what_a_compiled_graph_leaves_changed(name, tmp_path):
    def candidate(module, example_inputs):
        def run(*inputs):
            results = module(*inputs)
            CHANGES[name]()
            return results

        return run

    assert_left(name, candidate, tmp_path)


@pytest.mark.parametrize("name", AT_COMPILATION)
def test_what_a_compiler_leaves_changed(name, tmp_path):
    def candidate(module, example_inputs):
        CHANGES[name]()
        return module.forward

    assert_left(name, candidate, tmp_path)


def replaying(module, example_inputs):
    return module.forward


def assert_left(name, candidate, folder):
    assert first_finding(lambda x: torch.cos(x), [X], folder, candidate=replaying) is None  # imports what it needs
    before = process_state()
    finding = first_finding(lambda x: torch.sin(x) * 2, [X], folder, candidate=candidate)
    assert not changes(before, process_state())
    assert finding is not None and finding.difference.kind == "state", finding
    assert finding.difference.where == name
    assert_fails(finding.path)


def test_what_a_graph_changes_itself_is_no_finding(tmp_path):
    def program(x):
        torch.use_deterministic_algorithms(True)
        return torch.rand_like(x) + x

    with state_kept():
        finding = first_finding(program, [X], tmp_path, candidate=replaying)
    assert finding is None


def test_what_only_the_first_compilation_sets_up_is_no_finding(tmp_path):
    """As modules do that a compiler imports."""
    compiled = []

    def candidate(module, example_inputs):
        if not compiled:
            sys.setrecursionlimit(sys.getrecursionlimit() + 1)
        compiled.append(module)
        return module.forward

    assert first_finding(lambda x: torch.sin(x) * 2, [X], tmp_path, candidate=candidate) is None
