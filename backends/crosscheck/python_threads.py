"""Calls in another thread of Python, under the modes of this one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from passes.operators.modes import current_modes, entered


def in_another_thread(function: Callable[[], Any]) -> Any:
    """What `function` returns in a thread of its own. Its error passes through."""
    modes = current_modes()

    def run() -> Any:
        with entered(modes):
            return function()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()
