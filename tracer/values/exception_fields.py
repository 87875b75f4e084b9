"""Fields that exceptions of single builtin classes keep in C."""

from __future__ import annotations

KEYWORD_FIELDS: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (AttributeError, ("name", "obj")),
    (NameError, ("name",)),
    (ImportError, ("name", "path")),
)
"""Fields that a constructor takes by keyword, None by default."""

DERIVED_FIELDS: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (StopIteration, ("value",)),
    (SystemExit, ("code",)),
    (ImportError, ("msg",)),
)
"""Fields that `__init__` derives from the positional arguments; before it ran, CPython has a null pointer there."""

NATIVE_FIELDS: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (OSError, ("errno", "strerror", "filename", "filename2")),
    (UnicodeDecodeError, ("encoding", "object", "start", "end", "reason")),
    (UnicodeEncodeError, ("encoding", "object", "start", "end", "reason")),
    (UnicodeTranslateError, ("object", "start", "end", "reason")),
    (SyntaxError, ("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset", "print_file_and_line")),
)
"""Fields that a constructor works out from its arguments; its exceptions are made by CPython."""


def fields_of(
    cls: type[BaseException], rows: tuple[tuple[type[BaseException], tuple[str, ...]], ...]
) -> tuple[str, ...]:
    """The names that a table of fields gives for an exception class."""
    return next((names for base, names in rows if issubclass(cls, base)), ())
