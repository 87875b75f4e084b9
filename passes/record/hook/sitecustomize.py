"""Run by every Python process that a recorded program starts: once it has imported torch it records itself.

Python imports `sitecustomize` by itself, from here because this folder comes first on PYTHONPATH; the one that
would have been found otherwise is run all the same. Imports next to nothing: most processes never need torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[2]  # where the package `passes` is


class BehindTorch:
    """A finder on sys.meta_path that has the process recorded as soon as torch is imported."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Let the import of torch go its way, and start recording when its module has been executed."""
        if name != "torch":
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_record(module: ModuleType) -> None:
                load(module)
                record_this_process()

            spec.loader.exec_module = load_and_record  # type: ignore[method-assign]
        return spec


def record_this_process() -> None:
    """Record the operator calls of this process into the corpus that the environment names."""
    if importlib.util.find_spec("passes") is None:
        sys.path.append(str(ROOT))
    importlib.import_module("passes.record.children").record_this_process()


def run_the_other() -> None:
    """Leave no trace on sys.path, and run the `sitecustomize` that Python would have found."""
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != HERE]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = sys.modules["sitecustomize"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, BehindTorch())  # type: ignore[arg-type]
    run_the_other()
