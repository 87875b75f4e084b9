"""What a stored capture is keyed by: the content of code, and all that decides what a capture of it is.

Nothing here knows what is in a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import types
from collections.abc import Iterable
from functools import cache
from marshal import dumps
from pathlib import Path
from typing import Any, Final

import torch

from passes.file_facts import files_hash
from tracer.code.resume import origin
from tracer.options import Options
from tracer.store.errors import Unstorable
from tracer.version import VERSION

FORMAT: Final = 5
"""The version of the format; files of another one are other captures' files."""

OWN_PACKAGES: Final = ("tracer", "passes", "backends")
SOURCES: Final = (".py", ".so", ".json")
"""Endings of files that decide what bytegraph captures: its sources, its extensions and its rulebooks."""

LITERALS: Final = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})
"""Types of constants that hold no others."""
COMPILED: Final = LITERALS | {types.CodeType, tuple, frozenset}
"""Types of the constants that compilers write."""
WITHOUT_REFERENCES: Final = 2
"""The last format of `marshal` that says of nothing whether other objects refer to it, or whether it is interned."""


def code_hash(code: types.CodeType) -> str:
    """A hash of everything in a code object: instructions, constants with the code in them, names, lines and file.

    The rest of a function after a graph break is known by that function and where it is entered. Raises Unstorable for
    constants that no compiler writes.
    """
    entered = origin(code)
    if entered is not None:
        layout = entered.layout
        text = f"{code_hash(entered.code)} {entered.offset} {layout.stack} {layout.locals}"
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    _require_compiled(code.co_consts, code)
    return hashlib.sha256(dumps(code, WITHOUT_REFERENCES)).hexdigest()


def _require_compiled(constants: Iterable[Any], code: types.CodeType) -> None:
    """Raise Unstorable if among constants, and those in them, is one that no compiler writes."""
    kinds = set(map(type, constants))
    if not kinds <= COMPILED:
        raise Unstorable("code with constants of its own", code.co_qualname)
    if kinds <= LITERALS:
        return
    for constant in constants:
        if type(constant) is types.CodeType:
            _require_compiled(constant.co_consts, code)
        elif type(constant) in (tuple, frozenset):
            _require_compiled(constant, code)


@cache
def own_sources() -> str:
    """A hash of the names, sizes and times of bytegraph's own files, which change while it is worked on."""
    return files_hash(Path(__file__).parent.parent.parent, OWN_PACKAGES, SOURCES)


@cache
def environment() -> tuple[str, ...]:
    """All of the process that decides what a capture is, besides the program, its options and its guards."""
    return (
        sys.version,
        platform.machine(),
        torch.__version__,
        str(torch.version.git_version),
        torch.backends.cpu.get_cpu_capability(),
        f"{torch.backends.mkldnn.is_available()} {torch.cuda.is_available()}",
        f"{sys.platform} {sys.flags} {os.cpu_count()}",
        VERSION,
        own_sources(),
    )


def options_text(options: Options) -> str:
    """The options that decide what a capture is. Raises Unstorable for those that are objects of the program."""
    if not isinstance(options.backend, str):
        raise Unstorable("a backend that is a callable", repr(options.backend))
    if options.donate is not None or options.allocate is not None:
        raise Unstorable("memory that is donated or allocated", "")
    try:
        rest = json.dumps(dict(options.backend_options), sort_keys=True)
    except (TypeError, ValueError):
        raise Unstorable("options of a backend that are objects", repr(options.backend_options)) from None
    return f"{options.backend} {options.fullgraph} {options.dynamic} {rest}"


def key_of(code: types.CodeType, options: Options, role: str, rules: str | None) -> str:
    """The key of the captures of one code object, made with `rules`; `role` is what else decides how the engine
    captures it. Raises Unstorable.
    """
    if rules is None:
        raise Unstorable("a rulebook whose files are gone")
    parts: list[Any] = [FORMAT, *environment(), rules, options_text(options), role, code_hash(code)]
    return hashlib.sha256("\n".join(map(str, parts)).encode(errors="surrogatepass")).hexdigest()
