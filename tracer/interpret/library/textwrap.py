"""textwrap: dedent of a constant is a constant; the other functions are interpreted."""

from __future__ import annotations

import textwrap

from tracer.interpret.policy import pure

pure(textwrap.dedent)
