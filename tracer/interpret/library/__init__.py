"""What the tracer does with the functions of one Python module: a file for each module, named after it.

To teach the tracer `operator.inv`, open `operator.py`; `collections.deque.rotate`, `collections/deque.py`;
`torch._C._get_tracing_state`, `torch/functions.py`; `python -m tracer why NAME` says which file has a row already. What
a row can say is in `tracer/interpret/policy.py`. Importing this package registers all rows.

Polyfills are plain Python that behaves as the C function does: results, order of operations, exceptions and their
messages. They obey four rules.

- A method of a C type reads its receiver through that type (`list.__iter__(self)`), never through what a subclass
  overrides, because C reads the storage.
- They bottom out on what `tracer/values/` models itself: length, items, slices, iteration, membership and single-item
  insertion and removal of list, tuple, dict, set and deque; `isinstance`, `type`, `iter`, `next`, `getattr`.
- No closures over variables, no state: an iterator is a generator function; its wrapper does what the original does at
  the call (arguments checked, `iter` called) and the generator does the rest.
- Receivers have the right type and arguments the right number: who calls a polyfill has seen to it.

One difference is left: an iterator through which an exception has passed is finished, where C's could go on.
"""

from tracer.interpret.library import (
    abc,
    bisect,
    builtins,
    collections,
    contextvars,
    copy,
    datetime,
    fractions,
    functools,
    heapq,
    importlib,
    inspect,
    itertools,
    logging,
    math,
    numpy_random,
    operator,
    os,
    pathlib,
    posix,
    random,
    re,
    sys,
    textwrap,
    time,
    torch,
    types,
    typing,
    warnings,
    weakref,
    whole_modules,
)

__all__ = [
    "abc",
    "bisect",
    "builtins",
    "collections",
    "contextvars",
    "copy",
    "datetime",
    "fractions",
    "functools",
    "heapq",
    "importlib",
    "inspect",
    "itertools",
    "logging",
    "math",
    "numpy_random",
    "operator",
    "os",
    "pathlib",
    "posix",
    "random",
    "re",
    "sys",
    "textwrap",
    "time",
    "torch",
    "types",
    "typing",
    "warnings",
    "weakref",
    "whole_modules",
]
