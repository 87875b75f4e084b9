"""In which words the running CPython refuses what a program asks, where its versions differ.

Each is asked of CPython itself, once, with names that are then replaced by those of the program.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final


def refusal(function: Callable[..., Any], *args: Any) -> Any:
    """The error that a call raises."""
    try:
        function(*args)
    except (TypeError, ValueError, AttributeError) as error:
        return error
    raise AssertionError(f"{function} was expected to refuse {args}")


class _Owner:
    __slots__ = ("_field",)


def _form(text: str, **names: str) -> str:
    """A format that gives `text` where each of `names` stands for its value."""
    for name, value in names.items():
        text = text.replace(value, f"{{{name}}}")
    return text


_OWNER: Final = f"{_Owner.__module__}.{_Owner.__qualname__}"

UNSET_SLOT: Final = _form(str(refusal(getattr, _Owner(), "_field")), qualified=_OWNER, owner="_Owner", name="_field")
"""Of `owner.name` where nothing was stored in the slot; `qualified` is the name of its class with its module."""

_NO_PLACE = refusal(setattr, _Owner(), "_absent", None)
NO_PLACE: Final = _form(str(_NO_PLACE), owner="_Owner", name="_absent")
"""Of `owner.name = item` where there is neither a descriptor nor a dictionary."""
SAYS_WHERE_TO_PLACE: Final = _NO_PLACE.name is not None
"""Whether that error has the fields `name` and `obj`."""

NO_INSTANCE: Final = _form(str(refusal(super, _Owner, frozenset())), start="_Owner", owner="frozenset")
"""Of `super(start, owner())`."""
NO_SUBTYPE: Final = _form(str(refusal(super, _Owner, frozenset)), start="_Owner", owner="frozenset")
"""Of `super(start, owner)`."""

_KEYWORDS: dict[str, Any] = {"_absent": None}
UNKNOWN_KEYWORD: Final = _form(
    str(refusal(lambda: AttributeError(**_KEYWORDS))), owner="AttributeError", name="_absent"
)
"""Of the keyword `name` where the exception `owner` is made."""

NO_ITERABLE: Final = str(refusal(operator.setitem, [], slice(None), None))
"""Of what is no iterable assigned to a slice."""
NO_ITERABLE_IN_STEPS: Final = str(refusal(operator.setitem, [], slice(None, None, 2), None))

NO_CALLABLE: Final = str(refusal(iter, None, None))
"""Of `iter(function, sentinel)`."""

OF_NOTHING: Final = str(refusal(min, ())).removeprefix("min()")
"""What `min` and `max` of nothing say behind their names."""


def unset_slot(owner: type, name: str) -> str:
    """What `owner().name` raises where nothing was stored in the slot."""
    is_plain = owner.__module__ in ("builtins", "__main__")
    qualified = owner.__qualname__ if is_plain else f"{owner.__module__}.{owner.__qualname__}"
    return UNSET_SLOT.format(qualified=qualified, owner=owner.__name__, name=name)
