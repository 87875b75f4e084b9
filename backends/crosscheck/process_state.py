"""The state of the process that a call may leave changed: one table, with how each is read and set.

A compiler, or what it compiled, that leaves one of these changed alters what the rest of the program computes, although
every result is right. Nothing here knows of graphs or calls.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import torch
from torch import _tensor_str

from passes.operators.modes import DEVICE, KERNEL_GETTERS, choose_kernels

_C: Any = torch._C
_autograd: Any = _C._autograd


class StateEntry(NamedTuple):
    """One part of the state: what reads it, as something that can be compared, and what sets it to what was read.

    `text` reads it in a script, as an expression that needs torch and the modules of Python that it names.
    """

    read: Callable[[], Any]
    write: Callable[[Any], object]
    text: str


class StateChange(NamedTuple):
    """A part of the state that was left changed. `state` is its name in STATE."""

    state: str
    before: Any
    after: Any

    @property
    def words(self) -> str:
        """`the default dtype: torch.float64 instead of torch.float32`; only the name of what is too long to print."""
        shown = f"{self.after} instead of {self.before}"
        return f"{self.state}: {shown}" if len(shown) < 100 else self.state


def _write_default_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _numpy_random() -> Any:
    """The random module of NumPy if the program has it; torch runs without."""
    numpy = sys.modules.get("numpy")  # half of it, while another thread imports it
    return getattr(numpy, "random", None)


def _read_numpy() -> Any:
    numbers = _numpy_random()
    if numbers is None:
        return None
    name, keys, *rest = numbers.get_state()
    return name, keys.tobytes(), *rest


def _write_numpy(state: Any) -> None:
    if state is not None:
        name, keys, *rest = state
        numbers = _numpy_random()
        numbers.set_state((name, sys.modules["numpy"].frombuffer(keys, dtype="uint32"), *rest))


def _write_filters(filters: tuple[Any, ...]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _flushes_denormals() -> bool:
    """Whether the processor takes the smallest numbers for zero: also those of Python."""
    smallest = sys.float_info.min
    return smallest / 2 == 0.0


def _write_hooks(hooks: Any) -> None:
    """Take hooks off until those are the innermost; hooks that were taken off are put back."""
    while (innermost := _read_hooks()) is not None and innermost != hooks:
        _autograd._pop_saved_tensors_default_hooks()
    if innermost is None and hooks is not None:
        _autograd._push_saved_tensors_default_hooks(*hooks)


def _read_hooks() -> Any:
    return _autograd._top_saved_tensors_default_hooks(True)


def _torch_setting(name: str, setter: str = "") -> StateEntry:
    """A setting of torch._C that `_get_name` tells and `_set_name` changes."""
    return StateEntry(getattr(_C, f"_get_{name}"), getattr(_C, setter or f"_set_{name}"), f"torch._C._get_{name}()")


def _mode_stack(length: Callable[[], int], at: Callable[[int], Any]) -> StateEntry:
    """The depth of a stack of modes. Modes that were left cannot be entered again."""

    def write(depth: int) -> None:
        while length() > depth:
            at(length() - 1).__exit__(None, None, None)

    return StateEntry(length, write, f"torch._C.{length.__name__}()")


STATE: Final[dict[str, StateEntry]] = {
    # Modes first: one of them may be what holds another entry.
    "the stack of function modes": _mode_stack(_C._len_torch_function_stack, _C._get_function_stack_at),
    "the stack of dispatch modes": _mode_stack(_C._len_torch_dispatch_stack, _C._get_dispatch_stack_at),
    "the hooks on saved tensors": StateEntry(
        _read_hooks, _write_hooks, "torch._C._autograd._top_saved_tensors_default_hooks(True)"
    ),
    "whether gradients are recorded": StateEntry(
        torch.is_grad_enabled, _C._set_grad_enabled, "torch.is_grad_enabled()"
    ),
    "whether autocast is on": StateEntry(
        lambda: torch.is_autocast_enabled(DEVICE),
        lambda on: torch.set_autocast_enabled(DEVICE, on),
        f"torch.is_autocast_enabled({DEVICE!r})",
    ),
    "the dtype of autocast": StateEntry(
        lambda: torch.get_autocast_dtype(DEVICE),
        lambda dtype: torch.set_autocast_dtype(DEVICE, dtype),
        f"torch.get_autocast_dtype({DEVICE!r})",
    ),
    "the cache of autocast": StateEntry(
        torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled, "torch.is_autocast_cache_enabled()"
    ),
    "the default dtype": StateEntry(torch.get_default_dtype, torch.set_default_dtype, "torch.get_default_dtype()"),
    "the default device": StateEntry(torch.get_default_device, _write_default_device, "torch.get_default_device()"),
    "the number of threads": StateEntry(torch.get_num_threads, torch.set_num_threads, "torch.get_num_threads()"),
    "whether algorithms are deterministic": StateEntry(
        lambda: (_C._get_deterministic_algorithms(), _C._get_deterministic_algorithms_warn_only()),
        lambda state: torch.use_deterministic_algorithms(state[0], warn_only=state[1]),
        "(torch._C._get_deterministic_algorithms(), torch._C._get_deterministic_algorithms_warn_only())",
    ),
    "whether fresh memory is filled": _torch_setting("deterministic_fill_uninitialized_memory"),
    "the precision of float32 products": _torch_setting("float32_matmul_precision"),
    "the kernels of attention": StateEntry(
        lambda: tuple(get() for get in KERNEL_GETTERS),
        choose_kernels,
        f"({', '.join(f'torch._C.{get.__name__}()' for get in KERNEL_GETTERS)})",
    ),
    "whether attention may reduce in half precision": _torch_setting("math_sdp_allow_fp16_bf16_reduction"),
    "whether cuBLAS may use TF32": _torch_setting("cublas_allow_tf32"),
    "whether cuDNN may use TF32": _torch_setting("cudnn_allow_tf32"),
    "whether cuDNN is used": _torch_setting("cudnn_enabled"),
    "whether cuDNN tries its kernels": _torch_setting("cudnn_benchmark"),
    "whether cuDNN is deterministic": _torch_setting("cudnn_deterministic"),
    "whether oneDNN is used": _torch_setting("mkldnn_enabled"),
    "whether oneDNN is deterministic": _torch_setting("mkldnn_deterministic"),
    "whether denormal numbers are flushed": StateEntry(
        _flushes_denormals, torch.set_flush_denormal, "sys.float_info.min / 2 == 0.0"
    ),
    "whether backward looks for anomalies": StateEntry(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda state: torch.set_anomaly_enabled(*state),
        "(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())",
    ),
    "the random numbers of torch": StateEntry(
        lambda: torch.get_rng_state().numpy().tobytes(),
        lambda state: torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8)),
        "torch.get_rng_state().tolist()",
    ),
    "the random numbers of Python": StateEntry(random.getstate, random.setstate, "random.getstate()"),
    "the random numbers of NumPy": StateEntry(_read_numpy, _write_numpy, 'str(__import__("numpy").random.get_state())'),
    "whether torch warns again and again": StateEntry(
        torch.is_warn_always_enabled, torch.set_warn_always, "torch.is_warn_always_enabled()"
    ),
    "the filters of warnings": StateEntry(lambda: tuple(warnings.filters), _write_filters, "tuple(warnings.filters)"),
    "how tensors are printed": StateEntry(
        lambda: dict(vars(_tensor_str.PRINT_OPTS)),
        lambda state: vars(_tensor_str.PRINT_OPTS).update(state),
        "dict(vars(torch._tensor_str.PRINT_OPTS))",
    ),
    "whether garbage is collected": StateEntry(
        gc.isenabled, lambda on: gc.enable() if on else gc.disable(), "gc.isenabled()"
    ),
    "the limit of recursion": StateEntry(sys.getrecursionlimit, sys.setrecursionlimit, "sys.getrecursionlimit()"),
    "the working directory": StateEntry(os.getcwd, os.chdir, "os.getcwd()"),
}

DRAWN: Final = "the random numbers of torch"


def process_state() -> dict[str, Any]:
    """The whole state, by the names in STATE."""
    return {name: entry.read() for name, entry in STATE.items()}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[StateChange]:
    """What differs between two states, in the order of STATE."""
    return [StateChange(name, before[name], after[name]) for name in STATE if before[name] != after[name]]


def put_back(state: Mapping[str, Any]) -> list[StateChange]:
    """Set the process to `state`; return what was changed since it was read."""
    changed = changes(state, process_state())
    for change in changed:
        STATE[change.state].write(change.before)
    return changed


@contextmanager
def state_kept() -> Iterator[None]:
    """A context on whose exit the state is what it was, also after an error."""
    before = process_state()
    try:
        yield
    finally:
        put_back(before)
