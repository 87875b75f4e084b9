"""os: the path that an object stands for; what asks the system is refused with the rest of its module."""

from __future__ import annotations

import os
from typing import Any

from tracer.interpret.policy import polyfill


@polyfill(os.fspath)
def fspath(path: Any) -> Any:
    if isinstance(path, (str, bytes)):
        return path
    cls = type(path)
    if not hasattr(cls, "__fspath__"):
        raise TypeError(f"expected str, bytes or os.PathLike object, not {cls.__name__}")
    text = cls.__fspath__(path)
    if not isinstance(text, (str, bytes)):
        raise TypeError(f"expected {cls.__name__}.__fspath__() to return str or bytes, not {type(text).__name__}")
    return text
