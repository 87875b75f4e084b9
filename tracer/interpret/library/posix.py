"""posix: the functions behind os.path that only compute with text, which CPython has in C from 3.12 and 3.13 on."""

from __future__ import annotations

import posix

from tracer.interpret.policy import pure

pure(*(vars(posix)[name] for name in ("_path_normpath", "_path_splitroot_ex") if name in vars(posix)))
