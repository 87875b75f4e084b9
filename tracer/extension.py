"""Whether the native part is there and was built for this Python and this torch; what to do, where it was not.

Imported before what needs it. A torch that nobody tested is one warning.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

import torch  # first: its libraries are needed to load ours

TESTED: Final = ("2.13", "2.14")
"""The versions of torch that the tests pass on, patches apart (docs/platforms.md)."""

BUILD: Final = (
    "run `pip install --no-build-isolation --no-deps --force-reinstall` with the tree of bytegraph, or its sdist, and "
    "this Python; or `python setup.py build_ext --inplace` in the tree"
)
FOLDER: Final = Path(__file__).parent


def advice(error: ImportError) -> str:
    """What to do about a native part that cannot be imported."""
    if str(error).startswith("tracer._native was built for"):
        return str(error)
    if any((FOLDER / f"_native{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
        return f"the native part of bytegraph does not load with torch {torch.__version__} ({error}): {BUILD}"
    builds = sorted(path.name.split(".")[1] for path in FOLDER.glob("_native.*"))
    others = f", only for {', '.join(builds)}" if builds else ""
    return f"the native part of bytegraph was not built for {sys.implementation.cache_tag}{others}: {BUILD}"


def warn_of_untested(version: str) -> None:
    """Issue the warning about a torch that is none of TESTED."""
    if version.split(".")[:2] not in [tested.split(".") for tested in TESTED]:
        warnings.warn(
            f"bytegraph was tested with torch {' and '.join(TESTED)}, not with {version}: operators are evaluated on "
            "fake tensors where no rulebook fits, and what torch changed may break graphs",
            stacklevel=2,
        )


try:
    import_module("tracer._native")
except ImportError as error:
    raise ImportError(advice(error)) from error
warn_of_untested(torch.__version__)
