"""sys: intern is pure."""

from __future__ import annotations

import sys

from tracer.interpret.policy import pure

pure(sys.intern)
