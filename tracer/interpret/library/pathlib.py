"""pathlib: pure paths are interpreted, as they only compute with text. What asks the file system breaks the graph."""

from __future__ import annotations

import pathlib
import types
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from tracer.interpret.policy import interpret, pure

PURE = (pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath)
CONCRETE = (pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath)


def _functions(cls: type) -> Iterator[Any]:
    """The functions of Python that a class stores."""
    for stored in vars(cls).values():
        function = getattr(stored, "fget", None) or getattr(stored, "__func__", stored)
        if isinstance(function, types.FunctionType):
            yield function


def _flavours() -> Iterator[type]:
    """The classes that know the syntax of paths, up to 3.11."""
    for cls in PURE[1:]:
        flavour = vars(cls).get("_flavour")
        if flavour is not None and not isinstance(flavour, types.ModuleType):
            yield from type(flavour).__mro__[:-1]


_bases = pathlib.PurePath.__mro__[1:-1]  # from 3.13 on, a private class
_parents: Any = type(pathlib.PurePath("a/b").parents)
interpret(
    *(*PURE, *CONCRETE, _parents),
    *dict.fromkeys(function for cls in (*PURE, *_bases, _parents, *_flavours()) for function in _functions(cls)),
    *(function for cls in CONCRETE for function in _functions(cls) if function.__name__ in ("__new__", "__init__")),
)
_asks_for_case = getattr(import_module(pathlib.PurePath.match.__module__), "_is_case_sensitive", None)  # 3.12 and 3.13
if _asks_for_case is not None:
    pure(_asks_for_case)
