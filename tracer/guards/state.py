"""torch's global and thread-local settings that decide what a captured program means.

They are compared as one fact, `State`. Nothing here knows about guards or sources.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class State(NamedTuple):
    """Settings as they are on the calling thread. `threads` is None where their number does not matter.

    `included` and `excluded` are the dispatch keys torch adds to and takes from those of the tensors:
    every other mode (functorch, autocast of other devices, Python dispatch) shows there.
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

    @property
    def text(self) -> str:
        """The settings that are not torch's defaults, in words."""
        said = [f"{name}={getattr(self, name)}" for name, usual in DEFAULTS.items() if getattr(self, name) != usual]
        return ", ".join(said) or "the defaults"


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
}


def read_state(threads: bool = False) -> State:
    """The settings now, on this thread; the number of threads only if it matters."""
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
    )
