"""The accelerator that this process uses, if it does: torch computes on one kind of device besides the CPU.

It is asked nothing, and not even looked for, before the program has used it, as its driver would not outlive a fork.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

import torch

KINDS: Final = ("cuda", "xpu", "mtia")
"""Types of devices of torch's own whose modules know whether they were used."""

UNNAMED: Final = "privateuseone"
"""The type of other people's devices as long as nobody has registered one."""

RandomStates = list[tuple[Any, torch.Tensor]]
"""States of generators: a device, None for the CPU, and the state of its generator."""


def module_in_use() -> ModuleType | None:
    """The module of the accelerator that this process has used, such as `torch.cuda`; None if it has used none."""
    for kind in (*KINDS, torch._C._get_privateuse1_backend_name()):
        module: Any = None if kind == UNNAMED else getattr(torch, kind, None)
        if module is not None and hasattr(module, "is_initialized") and module.is_initialized():
            return module
    return None


def type_in_use() -> str | None:
    """The type of the devices of that accelerator, such as "cuda"."""
    module = module_in_use()
    return None if module is None else module.__name__.rpartition(".")[2]


def current_index() -> int | None:
    """The device of the accelerator in use that tensors are made on where no index says another; None without one."""
    return None if module_in_use() is None else torch._C._accelerator_getDeviceIndex()


def random_states() -> RandomStates:
    """The states of the generators from which all operators draw, of the CPU and of each device in use."""
    module = module_in_use()
    states: RandomStates = [(None, torch.default_generator.get_state())]
    if module is not None and hasattr(module, "get_rng_state"):
        states += [(index, module.get_rng_state(index)) for index in range(module.device_count())]
    return states


def set_random_states(states: RandomStates) -> None:
    """Set generators to the states that `random_states` gave."""
    for index, state in states:
        if index is None:
            torch.default_generator.set_state(state)
        else:
            module: Any = module_in_use()
            module.set_rng_state(state, index)


def same_states(left: RandomStates, right: RandomStates) -> bool:
    """Whether nothing was drawn between two answers of `random_states`."""
    return len(left) == len(right) and all(
        one[0] == other[0] and torch.equal(one[1], other[1]) for one, other in zip(left, right, strict=True)
    )


@contextmanager
def random_numbers_kept() -> Iterator[None]:
    """A context on whose exit all generators are what they were."""
    states = random_states()
    try:
        yield
    finally:
        set_random_states(states)
