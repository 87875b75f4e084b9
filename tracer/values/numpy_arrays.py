"""Arrays of numpy: each is a tensor with its memory, and torch._numpy says what its methods and operators do.

While a frame is traced, an array has the class of torch._numpy that models it; in the program it is an array of numpy.
"""

from __future__ import annotations

import types
from typing import Any

import torch

from tracer.guards.arrays import tensor_of
from tracer.guards.source import Source
from tracer.values.base import MISSING, numpy
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.kinds import SUBCLASS_WRAPPERS, Kind, Wraps, no_constant, no_graph_argument, register, remember
from tracer.values.objects import ObjectValue, object_parts
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment

ARRAY: Any = None if numpy is None else numpy.ndarray
TENSOR = "tensor"
"""The attribute of an array of torch._numpy that holds its tensor."""


def array_model() -> Any:
    """The class of torch._numpy that models arrays."""
    import torch._numpy  # only programs that use numpy need it

    return torch._numpy.ndarray  # pyright: ignore[reportPrivateImportUsage]


NUMBER: Any = None if numpy is None else numpy.generic


def _methods(cls: Any) -> dict[str, Any]:
    methods = {} if cls is None else vars(cls)
    return {name: method for name, method in methods.items() if isinstance(method, types.MethodDescriptorType)}


METHODS_OF_ARRAYS = _methods(ARRAY)
"""The methods of C that arrays have, by their names: what the program calls, and a break finds on the stack."""
METHODS_OF_NUMBERS = _methods(NUMBER)
"""Those of numpy's numbers, which are others of the same names."""


class NumpyArray(ObjectValue):
    """An array, or a number of numpy's where the model has an array without dimensions.

    `is_number` says which of the two it is, None that nobody knows; `birth` is the step that made it.
    """

    __slots__ = ("birth", "is_number")

    def __init__(
        self,
        context: Context,
        tensor: Item,
        is_number: bool | None = False,
        source: Source | None = None,
        obj: object = MISSING,
    ) -> None:
        super().__init__(array_model(), source, obj)
        self.birth = context.step
        self.is_number = is_number
        self.attributes[TENSOR] = tensor

    @property
    def tensor(self) -> Any:
        """The tensor that has the memory of the array."""
        return self.attributes[TENSOR]

    @property
    def has_no_dimensions(self) -> bool:
        """Whether it may be a number."""
        return not self.tensor.meta.shape

    def one_place(self, context: Context, writes: bool = False) -> None:
        """Arrays keep nothing in a dictionary."""

    def method(self, name: str) -> Any:
        """The C method of a name that the program finds; None if there is none."""
        methods = METHODS_OF_NUMBERS if self.is_number and self.has_no_dimensions else METHODS_OF_ARRAYS
        return methods.get(name)

    def seen_class(self) -> Any:
        """The class that the program sees; None where nobody knows whether it is a number."""
        if not self.has_no_dimensions or self.is_number is False:
            return ARRAY
        return number_class(self.tensor.meta.dtype) if self.is_number else None


def is_kept_by_numpy(item: Item, name: str) -> bool:
    """Whether an attribute belongs to an array of numpy, and not to its model alone."""
    return isinstance(item, NumpyArray) and name != TENSOR


def number_class(dtype: torch.dtype) -> Any:
    """The class of numpy's numbers of a dtype."""
    real: Any = numpy
    return real.dtype(str(dtype).rpartition(".")[2]).type


def _wrap(context: Context, obj: Any, source: Source) -> Item:
    try:
        tensor = tensor_of(obj)
    except (LookupError, TypeError, ValueError):
        return SUBCLASS_WRAPPERS[object](context, obj, source)
    context.guard(source, "type", type(obj))
    item = context.wrap(tensor, source.child("memory"))
    item.touch(context)  # the guard says that there is such a tensor
    return remember(context, NumpyArray(context, item, source=source, obj=obj))


def _graph_argument(arguments: GraphArguments, value: NumpyArray) -> GraphArgument:
    """A number is the plain one; operators take no arrays."""
    dtype = value.tensor.meta.dtype
    is_plain = value.is_number and (dtype.is_floating_point or dtype in (torch.int32, torch.int64))
    return arguments.array_number(value) if is_plain else no_graph_argument(arguments, value)


def _rebuild(emitter: Emitter, value: NumpyArray) -> Fragment:
    """A number has no memory that it could share."""
    if value.has_no_dimensions and value.is_number is None:
        raise Unrebuildable("an array without dimensions or a number of numpy", value.birth)
    tensor = value.tensor
    array = fragment("{}.numpy()", emitter.expression(tensor))
    return emitter.assign("array", fragment("{}[()]", array) if value.is_number else array)


register(
    Kind(
        wraps=Wraps(exactly={} if ARRAY is None else {ARRAY: _wrap}),
        parts=object_parts,
        constant=no_constant,
        graph_argument=_graph_argument,
        rebuild=_rebuild,
    ),
    NumpyArray,
)
