"""abc: what abstract classes answer to isinstance."""

from __future__ import annotations

import abc

from tracer.interpret.library.builtins.reflection import instance_check
from tracer.interpret.policy import lookaside

lookaside(abc.ABCMeta.__instancecheck__)(instance_check)
