"""Built-in functions that write, read, run source text or look at the frame that calls them: a break, each of them."""

from __future__ import annotations

import builtins

from tracer.interpret.policy import refuse
from tracer.reasons import FRAME_INSPECTION, IMPORT_STATEMENT, INPUT_OUTPUT, PRINTING

refuse(PRINTING, print)
refuse(INPUT_OUTPUT, input, open)
refuse(FRAME_INSPECTION, exec, eval, compile, locals, globals, dir)
refuse(IMPORT_STATEMENT, builtins.__import__)
