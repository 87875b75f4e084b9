"""re: patterns and matches are immutable, and their C methods pure; the functions in front of them are interpreted."""

from __future__ import annotations

import re

from tracer.interpret.policy import immutable, pure

immutable(re.Pattern, re.Match)
pure(re.Pattern, re.compile)
