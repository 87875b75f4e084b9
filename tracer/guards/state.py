"""torch's global and thread-local settings on which the meaning of a captured program depends.

One guard compares all of them, as a `State`. Nothing here knows about guards or sources.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch

from passes.accelerator import current_index


class State(NamedTuple):
    """The settings of the calling thread. `threads`, their number, is None for programs that do not depend on it.

    So is `device_index`, the current device of the accelerator. `autocast_dtypes` are types of devices whose dtype of
    autocast the program depends on, each with that dtype.

    `included` and `excluded` are the dispatch keys that torch adds to and removes from those of the tensors: all modes
    without a field of their own (functorch, autocast of other devices, Python dispatch) show there.
    """

    grad: bool
    inference: bool
    autocast: bool
    autocast_dtype: torch.dtype | None
    autocast_cache: bool
    default_dtype: torch.dtype
    deterministic: bool
    deterministic_warn_only: bool
    torch_function: int
    function_modes: int
    dispatch_modes: int
    included: int
    excluded: int
    threads: int | None = None
    device_index: int | None = None
    autocast_dtypes: tuple[tuple[str, torch.dtype], ...] = ()

    @property
    def text(self) -> str:
        """The settings that differ from torch's defaults."""
        settings = [f"{name}={getattr(self, name)}" for name, usual in DEFAULTS.items() if getattr(self, name) != usual]
        return ", ".join(settings) or "the defaults"


DEFAULTS = {
    "grad": True,
    "inference": False,
    "autocast": False,
    "autocast_dtype": None,
    "autocast_cache": True,
    "default_dtype": torch.float32,
    "deterministic": False,
    "deterministic_warn_only": False,
    "torch_function": 0,
    "function_modes": 0,
    "dispatch_modes": 0,
    "threads": None,
    "device_index": None,
    "autocast_dtypes": (),
}


def read_state(threads: bool = False, device_index: bool = False, kinds: Iterable[str] = ()) -> State:
    """The current settings of this thread: with the number of threads and the current device if these are asked for,
    with the dtypes of autocast of these `kinds` of devices.
    """
    autocast = torch.is_autocast_enabled("cpu")
    return State(
        grad=torch.is_grad_enabled(),
        inference=torch.is_inference_mode_enabled(),
        autocast=autocast,
        autocast_dtype=torch.get_autocast_dtype("cpu") if autocast else None,
        autocast_cache=torch.is_autocast_cache_enabled() if autocast else True,
        default_dtype=torch.get_default_dtype(),
        deterministic=torch._C._get_deterministic_algorithms(),
        deterministic_warn_only=torch._C._get_deterministic_algorithms_warn_only(),
        torch_function=torch._C._get_torch_function_state().value,  # pyright: ignore[reportAttributeAccessIssue]
        function_modes=torch._C._len_torch_function_stack(),
        dispatch_modes=torch._C._len_torch_dispatch_stack(),
        included=torch._C._dispatch_tls_local_include_set().raw_repr(),
        excluded=torch._C._dispatch_tls_local_exclude_set().raw_repr(),
        threads=torch.get_num_threads() if threads else None,
        device_index=current_index() if device_index else None,
        autocast_dtypes=tuple((kind, torch.get_autocast_dtype(kind)) for kind in kinds),
    )


def read_again(state: State) -> State:
    """What `state` is about, as it is now."""
    return read_state(
        state.threads is not None, state.device_index is not None, [kind for kind, _ in state.autocast_dtypes]
    )
