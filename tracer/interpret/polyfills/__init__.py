"""Python equivalents of functions that CPython writes in C, for the tracer to interpret.

The tracer takes them when a C function meets values that exist only in the trace. Each is plain Python that behaves
as its original does: results, order of operations, exceptions and their messages. They obey four rules.

- A method of a C type reads its receiver through that type (`list.__iter__(self)`), never through what a subclass
  overrides, because C reads the storage.
- They bottom out on what `values/` models itself: length, items, slices, iteration, membership and single-item
  insertion and removal of list, tuple, dict, set and deque; `isinstance`, `type`, `iter`, `next`, `getattr`.
- No closures over variables, no state: an iterator is a generator function; its wrapper does what the original does at
  the call (arguments checked, `iter` called) and the generator does the rest.
- Receivers have the right type and arguments the right number: who calls a polyfill has seen to it.

One difference is left: an iterator through which an exception has passed is finished, where C's could go on.
"""

from tracer.interpret.polyfills import (
    built_in,
    comparisons,
    copying,
    deques,
    dictionaries,
    function_tools,
    heaps,
    iteration_tools,
    lists,
    operators,
    ordered_dictionaries,
    representation,
    sets,
    sizes,
    sorting,
    strings,
)
from tracer.interpret.polyfills.registry import HELPERS, POLYFILLS

__all__ = [
    "HELPERS",
    "POLYFILLS",
    "built_in",
    "comparisons",
    "copying",
    "deques",
    "dictionaries",
    "function_tools",
    "heaps",
    "iteration_tools",
    "lists",
    "operators",
    "ordered_dictionaries",
    "representation",
    "sets",
    "sizes",
    "sorting",
    "strings",
]
