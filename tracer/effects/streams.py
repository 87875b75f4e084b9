"""What a residual program asks of a stream before it counts on writing to it after its graph."""

from __future__ import annotations

import types
from typing import Any

WRITES_IN_C = (types.MethodDescriptorType, types.WrapperDescriptorType)


def is_plain(stream: Any) -> bool:
    """Whether a stream of text takes what is written without running code of the program; None takes nothing."""
    if stream is None:
        return True
    methods = [getattr(type(stream), name, None) for name in ("write", "flush")]
    return all(isinstance(method, WRITES_IN_C) for method in methods) and not stream.closed
