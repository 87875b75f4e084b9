"""The names of our packages beside the user's own: `passes` and `backends` are words that a program may use, too.

A folder of the user's with such a name, beside the script, and ours are one package: a module that the one has not is
looked for in the other. Only what is in both, or a file with such a name, cannot be had together; an ImportError says
which it is. Imported before anything else of ours, so nothing here imports ours at its top.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Final

ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARED: Final = ("passes", "backends")
"""Our packages whose names a program may use for its own."""


class OtherFolders:
    """The last finder of `sys.meta_path`: modules of the shared packages that the folder which was found has not."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module in ours, or in one of that name on `sys.path`; None for modules of other packages."""
        package, _, module = name.partition(".")
        if package not in SHARED or not module or "." in module:
            return None
        return PathFinder.find_spec(name, [os.path.join(folder, package) for folder in (ROOT, *sys.path)], target)


def share(name: str) -> None:
    """Make the package of this name hold our modules, whoever's it is. Raises ImportError where that cannot be."""
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is None:  # not imported: it may be the script that runs
        raise ImportError(_hidden(name, str(spec and spec.origin), "is no package"))
    package = import_module(name)
    places, ours = list(package.__path__), os.path.join(ROOT, name)
    if any(os.path.realpath(place) == os.path.realpath(ours) for place in places):
        return
    both = sorted(_modules(ours) & {*vars(package), *(module for place in places for module in _modules(place))})
    if both:
        raise ImportError(_hidden(name, places[0], f"has a {', '.join(both)} as well"))


def _modules(folder: str) -> set[str]:
    names = os.listdir(folder) if os.path.isdir(folder) else ()
    return {name.removesuffix(".py") for name in names if not name.startswith("__")}


def _hidden(name: str, place: str, fact: str) -> str:
    return f"{place} hides the package {name!r} of bytegraph, and {fact}: rename it, or move it off sys.path"


if OtherFolders not in sys.meta_path:
    sys.meta_path.append(OtherFolders)
for _name in SHARED:
    share(_name)
