"""Modes: the state of torch that decides what an operator returns, besides its arguments.

Knows nothing of operators. Modes of the thread (gradients, inference, autocast) can be entered for the
length of an evaluation. The default dtype, determinism and the kernels of attention are of the process, but entered,
too: a program that has calls evaluated under others than the current ones sets them itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

import torch

from passes.accelerator import current_index, type_in_use
from passes.meta import CPU

DEVICE: Final = CPU.type  # the device that each process has

Autocast = tuple[str, bool, torch.dtype]
"""Of one type of devices: whether autocast is on for it, and its dtype."""

KERNELS: Final = ("flash", "math", "mem_efficient", "cudnn", "overrideable")
"""Kernels of scaled_dot_product_attention that can be switched on and off; first those that the CPU has."""

KERNELS_OF_CPU: Final = 2

KERNEL_GETTERS: Final = tuple(getattr(torch._C, f"_get_{name}_sdp_enabled") for name in KERNELS)
KERNEL_SETTERS: Final = tuple(getattr(torch._C, f"_set_sdp_use_{name}") for name in KERNELS)
"""Functions that tell whether a kernel is switched on, and that switch it, in the order of `KERNELS`."""

ALL_KERNELS: Final = (True,) * len(KERNELS)
"""All kernels switched on, as torch begins."""

READS_KERNELS: Final = frozenset(
    (
        torch.nn.functional.scaled_dot_product_attention,
        torch.ops.aten.scaled_dot_product_attention,
        torch.ops.aten.scaled_dot_product_attention.default,
        vars(torch)["_fused_sdp_choice"],
        vars(torch)["_native_multi_head_attention"],
        vars(torch)["_transformer_encoder_layer_fwd"],
    )
)
"""Operators that return something else, or refuse, by the kernels that are switched on."""


SETTINGS: Final[dict[Any, Callable[[], Any]]] = {
    torch._C._set_default_dtype: torch.get_default_dtype,
    torch._C._set_deterministic_algorithms: torch._C._get_deterministic_algorithms,
    torch.use_deterministic_algorithms: torch._C._get_deterministic_algorithms,
    torch._C._set_deterministic_fill_uninitialized_memory: torch._C._get_deterministic_fill_uninitialized_memory,
    torch._C._set_float32_matmul_precision: torch._C._get_float32_matmul_precision,
    torch._C._set_cublas_allow_tf32: torch._C._get_cublas_allow_tf32,
    torch._C._set_cudnn_allow_tf32: torch._C._get_cudnn_allow_tf32,
    torch._C._set_cudnn_enabled: torch._C._get_cudnn_enabled,
    torch._C._set_cudnn_benchmark: torch._C._get_cudnn_benchmark,
    torch._C._set_cudnn_deterministic: torch._C._get_cudnn_deterministic,
    torch._C._set_math_sdp_allow_fp16_bf16_reduction: torch._C._get_math_sdp_allow_fp16_bf16_reduction,
}
"""Functions that change a setting of the process, and for each the one that tells it."""


class Modes(NamedTuple):
    """Trace-time state of torch. Hashable: it is part of every memo's key."""

    grad: bool = True
    inference: bool = False
    autocast: bool = False
    autocast_dtype: torch.dtype = torch.bfloat16
    default_dtype: torch.dtype = torch.float32
    deterministic: bool = False
    kernels: tuple[bool, ...] = ALL_KERNELS
    elsewhere: Autocast | None = None  # autocast of the accelerator in use; the fields above are those of the CPU
    device_index: int | None = None  # its current device


def current_modes() -> Modes:
    """The modes that this thread runs under."""
    return Modes(
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled(DEVICE),
        torch.get_autocast_dtype(DEVICE),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        tuple(enabled() for enabled in KERNEL_GETTERS),
        autocast_elsewhere(),
        current_index(),
    )


def autocast_elsewhere() -> Autocast | None:
    """Autocast of the accelerator that this process uses, None if there is none."""
    kind = type_in_use()
    if kind is None or not torch.amp.is_autocast_available(kind):
        return None
    return kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)


def set_autocast(autocast: Autocast) -> None:
    """Set what `autocast_elsewhere` gives."""
    kind, enabled, dtype = autocast
    if torch.is_autocast_enabled(kind) != enabled:
        torch.set_autocast_enabled(kind, enabled)
    if torch.get_autocast_dtype(kind) != dtype:
        torch.set_autocast_dtype(kind, dtype)


class _Guards(threading.local):
    """Inference modes that a graph has entered on this thread and not left yet, innermost last."""

    def __init__(self) -> None:
        self.entered: list[Any] = []


_guards = _Guards()


SETTERS: Final = frozenset(
    (
        torch._C._set_grad_enabled,
        torch.set_autocast_enabled,
        torch.set_autocast_dtype,
        torch.set_autocast_cache_enabled,
        torch.autocast_increment_nesting,
        torch.autocast_decrement_nesting,
        torch.clear_autocast_cache,
        *KERNEL_SETTERS,
        *SETTINGS,
    )
)
"""Functions of a graph that change modes. To ask what they return must not run them."""


def sets_modes(target: object) -> bool:
    """Whether calling a target changes the modes that later calls run under."""
    return target in SETTERS or target is enter_inference or target is leave_inference


def enter_inference(enabled: bool) -> None:
    """What `with torch.inference_mode(enabled)` does at its beginning, as a call of a graph."""
    guard = torch._C._InferenceMode(enabled)
    guard.__enter__()
    _guards.entered.append(guard)


def leave_inference() -> None:
    """The matching exit; a graph must exit every mode it enters."""
    _guards.entered.pop().__exit__(None, None, None)


MODE_KEYS: Final = ("Python", "PythonTLSSnapshot", "PythonDispatcher", "PreDispatch", "Functionalize")
"""Dispatch keys of this thread by which torch finds the modes that watch operators, such as that of fake tensors."""


def _abandon_inference(depth: int) -> None:
    """Leave inference modes until `depth` of them are left.

    torch puts back all dispatch keys that there were on entering. An error may have ended what watched operators since
    then (or begun after that), so those of such modes stay as they are.
    """
    while len(_guards.entered) > depth:
        included = [(key, torch._C._dispatch_tls_is_dispatch_key_included(key)) for key in MODE_KEYS]
        leave_inference()
        for key, value in included:
            torch._C._dispatch_tls_set_dispatch_key_included(key, value)


def restore(modes: Modes, kernels: bool = False, settings: Iterable[tuple[Callable[[Any], Any], Any]] = ()) -> None:
    """Set this thread's modes to `modes`, as leaving the contexts entered since then would; if `kernels`, also those
    of attention. `settings` are functions that change settings of the process, and what to set them to.
    """
    _abandon_inference(0)
    torch._C._set_grad_enabled(modes.grad)
    set_autocast((DEVICE, modes.autocast, modes.autocast_dtype))
    if modes.elsewhere is not None:
        set_autocast(modes.elsewhere)
    if kernels:
        choose_kernels(modes.kernels)
    for setter, value in settings:
        setter(value)


def choose_kernels(kernels: tuple[bool, ...]) -> None:
    """Switch on the kernels of attention that `kernels` says, and the others off."""
    for choose, enabled in zip(KERNEL_SETTERS, kernels, strict=True):
        choose(enabled)


@contextmanager
def entered(modes: Modes) -> Iterator[None]:
    """Run under `modes`, whatever this thread's are, unseen by its autocast cache and hooks on saved tensors.

    What the evaluation itself changes of them is put back, also when it raises.
    """
    current = current_modes()
    cached, depth = torch.is_autocast_cache_enabled(), len(_guards.entered)
    with ExitStack() as stack:
        stack.callback(_put_back, current, cached, depth)
        if current.kernels != modes.kernels:
            choose_kernels(modes.kernels)
        if current.default_dtype != modes.default_dtype:
            torch.set_default_dtype(modes.default_dtype)
        if current.deterministic != modes.deterministic:
            torch.use_deterministic_algorithms(modes.deterministic)
        if current.inference != modes.inference:
            stack.enter_context(torch.inference_mode(modes.inference))
        if torch.is_grad_enabled() != modes.grad:
            stack.enter_context(torch.set_grad_enabled(modes.grad))
        if modes.elsewhere is not None and current.elsewhere != modes.elsewhere:
            set_autocast(modes.elsewhere)
        is_elsewhere = modes.elsewhere is not None and modes.elsewhere[1]
        if is_elsewhere and cached:
            torch.set_autocast_cache_enabled(False)
        if current.autocast or modes.autocast:
            stack.enter_context(
                torch.autocast(DEVICE, dtype=modes.autocast_dtype, enabled=modes.autocast, cache_enabled=False)
            )
        if torch._C._autograd._top_saved_tensors_default_hooks(True) is not None:  # type: ignore[attr-defined]
            stack.enter_context(torch.autograd.graph.saved_tensors_hooks(_itself, _itself))
        yield


@contextmanager
def modes_kept() -> Iterator[None]:
    """A context on whose exit modes and settings are what they were, whatever is called in it, also after an error."""
    current, cached, depth = current_modes(), torch.is_autocast_cache_enabled(), len(_guards.entered)
    settings = [(setter, getter, getter()) for setter, getter in SETTINGS.items()]
    try:
        yield
    finally:
        _put_back(current, cached, depth)
        for setter, getter, value in settings:
            if getter() != value:
                setter(value)


def _put_back(modes: Modes, cached: bool, depth: int) -> None:
    """Undo what an evaluation did to the modes: an operator that sets one may be among what is evaluated."""
    _abandon_inference(depth)
    if torch.is_grad_enabled() != modes.grad:
        torch._C._set_grad_enabled(modes.grad)
    set_autocast((DEVICE, modes.autocast, modes.autocast_dtype))
    if modes.elsewhere is not None:
        set_autocast(modes.elsewhere)
    if torch.is_autocast_cache_enabled() != cached:
        torch.set_autocast_cache_enabled(cached)
    if torch.get_default_dtype() != modes.default_dtype:
        torch.set_default_dtype(modes.default_dtype)
    if torch.are_deterministic_algorithms_enabled() != modes.deterministic:
        torch.use_deterministic_algorithms(modes.deterministic)
    if tuple(enabled() for enabled in KERNEL_GETTERS) != modes.kernels:
        choose_kernels(modes.kernels)


def _itself(saved: Any) -> Any:
    return saved
