"""Built-in functions, and the methods of built-in classes. Importing this package registers their rows."""

from tracer.interpret.library.builtins import (
    classes,
    comparisons,
    containers,
    dictionaries,
    exceptions,
    input_output,
    iteration,
    numbers,
    objects,
    reflection,
    representation,
    sequences,
    sets,
    sorting,
    strings,
    text,
)

__all__ = [
    "classes",
    "comparisons",
    "containers",
    "dictionaries",
    "exceptions",
    "input_output",
    "iteration",
    "numbers",
    "objects",
    "reflection",
    "representation",
    "sequences",
    "sets",
    "sorting",
    "strings",
    "text",
]
