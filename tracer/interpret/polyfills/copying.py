"""What `copy` asks C for: `object.__reduce_ex__` and `object.__getstate__`.

The copy module itself is Python and is interpreted as it stands.
"""

from __future__ import annotations

import copyreg
from typing import Any

from tracer.interpret.polyfills.registry import helper, replaces


@helper
def slot_names(cls: type) -> tuple[str, ...]:
    """Names of the slots of a class and its bases."""
    return tuple(copyreg._slotnames(cls))  # type: ignore[attr-defined]


@replaces(object.__getstate__)  # type: ignore[attr-defined]
def get_state(self: Any, /) -> Any:
    """Attributes, and those in slots; None when there is nothing."""
    attributes = getattr(self, "__dict__", None)
    state = None if not attributes else dict.copy(attributes)
    in_slots = {name: getattr(self, name) for name in slot_names(type(self)) if hasattr(self, name)}
    return (state, in_slots) if in_slots else state


@replaces(object.__reduce_ex__)
def reduce_for_copy(self: Any, protocol: Any, /) -> Any:
    cls: Any = type(self)
    if cls.__reduce__ is not object.__reduce__:
        return self.__reduce__()
    if hasattr(cls, "__getnewargs_ex__"):
        args, kwargs = self.__getnewargs_ex__()
        made = (copyreg.__newobj_ex__, (cls, args, kwargs))  # type: ignore[attr-defined]
    else:
        args = self.__getnewargs__() if hasattr(cls, "__getnewargs__") else ()
        made = (copyreg.__newobj__, (cls, *args))  # type: ignore[attr-defined]
    items = iter(self) if isinstance(self, list) else None
    pairs = iter(self.items()) if isinstance(self, dict) else None
    return (*made, self.__getstate__(), items, pairs)
