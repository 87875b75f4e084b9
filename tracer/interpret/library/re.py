"""re: patterns and matches are immutable, and what their C methods compute is pure.

Patterns are compiled while tracing, and re keeps them; the other functions in front of their methods are interpreted.
Iterators over matches, and scanners, are made by each run.
"""

from __future__ import annotations

import re
from typing import Any

from tracer.interpret.policy import immutable, pure, unless

immutable(re.Pattern, re.Match)
pure(re.Pattern, re.compile, re._compile)  # type: ignore[attr-defined]


@unless(re.compile, re._compile)  # type: ignore[attr-defined]
def _prints(pattern: Any, flags: int = 0) -> str:
    return "prints what it compiles" if flags & re.DEBUG else ""


@unless(*(getattr(re.Pattern, name) for name in ("match", "fullmatch", "search", "sub", "subn", "findall", "split")))
def _asks_the_locale(pattern: re.Pattern[Any], *args: Any, **kwargs: Any) -> str:
    return "depends on the locale" if pattern.flags & re.LOCALE else ""
