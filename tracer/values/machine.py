"""The way up: how a module below the call policy makes the traced program do something; imports nothing of ours."""

from __future__ import annotations

from typing import Any, Protocol


class Machine(Protocol):
    """The interpreter, for those that it is built on. A context carries one as `context.machine`.

    Modules above the call policy import and name the functions themselves.
    """

    def call(self, context: Any, function: Any, args: Any, kwargs: Any = ..., /) -> Any:
        """`function(*args, **kwargs)` in the traced program."""
        ...

    def bind(self, context: Any, stored: Any, item: Any, cls: Any, name: str, /) -> Any:
        """What the class attribute `stored` gives when looked up on `item`: its `__get__`, in the traced program."""
        ...

    def tensor_op(self, context: Any, target: Any, args: Any, kwargs: Any = ..., /) -> Any:
        """The items that an operator returns: a node of the graph, or facts that follow from metas."""
        ...

    def constant_data(self, context: Any, tensor: Any, /) -> Any:
        """The data of a tensor that is the same in each run; None for all others."""
        ...

    def ask_modes(self, context: Any, target: Any, args: Any, kwargs: Any = ..., /) -> Any:
        """What the mode that the program has entered makes of a call; MISSING if torch asks none about it."""
        ...

    def wrapper_op(self, context: Any, target: Any, args: Any, kwargs: Any = ..., /) -> Any:
        """The items that an operator returns for a tensor that holds others."""
        ...

    def polyfill(self, name: str, /) -> Any:
        """The Python function that stands for a protocol which CPython has in C only."""
        ...
