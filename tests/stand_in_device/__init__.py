"""A device for tests that have no other: `stand_in`, two of them, which compute on the CPU (device.cpp).

`register()` builds it, once for each Python and torch, and makes it a device of this process like any other: with
`torch.stand_in`, `tensor.stand_in()`, generators, streams, autocast and pinned memory. A process that has it has an
accelerator, which other tests do not expect: tests/test_devices.py runs in a process of its own for it.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import torch
from torch.utils import cpp_extension

HERE = Path(__file__).parent
NAME = "stand_in"


def register() -> None:
    """Make the device known to torch."""
    if hasattr(torch, NAME):
        return
    python = "{}.{}".format(*sys.version_info[:2])
    folder = HERE.parents[1] / "build" / NAME / f"python{python}-torch{torch.__version__}"
    folder.mkdir(parents=True, exist_ok=True)
    cpp_extension.load(
        NAME,
        [str(HERE / "device.cpp")],
        extra_cflags=["-O0", "-w"],
        build_directory=str(folder),
        is_python_module=False,
    )
    torch.utils.rename_privateuse1_backend(NAME)
    torch._register_device_module(NAME, _module())
    torch.utils.generate_methods_for_privateuse1_backend(for_packed_sequence=False, for_storage=True)


class device:
    """`with torch.stand_in.device(1)`: the current device inside."""

    def __init__(self, index: int) -> None:
        self.index = index

    def __enter__(self) -> None:
        self.before = current_device()
        set_device(self.index)

    def __exit__(self, *exception: object) -> None:
        set_device(self.before)


def current_device() -> int:
    return torch.accelerator.current_device_index()


def set_device(index: Any) -> None:
    torch.accelerator.set_device_index(_index(index))


def _index(index: Any) -> int:
    index = torch.device(index).index if isinstance(index, (str, torch.device)) else index
    return current_device() if index is None or index < 0 else index


def default_generator(index: Any = -1) -> torch.Generator:
    return torch.ops.stand_in.default_generator(_index(index))


def get_rng_state(index: Any = -1) -> torch.Tensor:
    return default_generator(index).get_state()


def set_rng_state(state: torch.Tensor, index: Any = -1) -> None:
    default_generator(index).set_state(state)


def manual_seed_all(seed: int) -> None:
    for index in range(2):
        default_generator(index).manual_seed(seed)


def _module() -> types.ModuleType:
    module = types.ModuleType(f"torch.{NAME}")
    for function in (device, current_device, set_device, get_rng_state, set_rng_state, manual_seed_all):
        setattr(module, function.__name__, function)
    module.manual_seed = lambda seed: default_generator().manual_seed(seed)
    module.default_generators = tuple(map(default_generator, range(2)))
    module.device_count = lambda: 2
    module.is_available = module.is_initialized = lambda: True
    module._is_in_bad_fork = lambda: False
    module._lazy_init = lambda: None
    module.synchronize = torch.accelerator.synchronize
    module.get_amp_supported_dtype = lambda: [torch.float16, torch.bfloat16]
    module.Stream = torch.Stream
    module.current_stream = lambda device=None: torch.accelerator.current_stream(device)
    return module
