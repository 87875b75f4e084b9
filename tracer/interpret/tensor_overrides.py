"""Calls of operators with tensors whose class has a `__torch_function__`: that is called, as torch calls it.

Which function, arguments and keywords it is given torch's own code says: it is called with a probe in the place of
each such tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from tracer.interpret.trace import Trace
from tracer.interpret.wrapper_ops import wrapper_op
from tracer.reasons import TENSOR_SUBCLASS
from tracer.values.base import MISSING, Lazy, realise
from tracer.values.class_attributes import class_attribute, class_name
from tracer.values.concrete import concrete
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.lists import ListValue
from tracer.values.methods import BoundMethod
from tracer.values.objects import OVERRIDE, ObjectValue
from tracer.values.protocols.attributes import get_attribute
from tracer.values.ragged_sizes import RaggedSize
from tracer.values.tensor_subclasses import SubclassTensor
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue, make_tuple
from tracer.values.wrapper_tensors import WrapperTensor, asks_python

Args = Sequence[Item]
Kwargs = Mapping[str, Item]


class Asked(BaseException):
    """What torch asks a class or mode with `__torch_function__`: `function(*args, **kwargs)`; None for no keywords.

    `classes` are those that override it, by which torch looks for more to ask.
    """

    def __init__(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None, classes: tuple[type, ...] = ()
    ) -> None:
        super().__init__()
        self.classes = classes
        self.function = function
        self.args_given = args
        self.kwargs_given = kwargs


class AskingTensor(torch.Tensor):
    """A tensor that stands for one of a subclass in a call of torch's own code."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise Asked(func, args, kwargs)


class AskingObject:
    """An object that is no tensor, for one whose class has `__torch_function__` all the same."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise Asked(func, args, kwargs)


class Probing:
    """Real objects for the arguments of a call, and the items that they stand for."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.items: dict[int, Item] = {}
        self.alive: list[Any] = []

    def real(self, item: Item) -> Any:
        """The object that stands for an item."""
        item = realise(self.trace, item)
        kind = type(item)
        if kind is SubclassTensor:
            real: Any = torch.zeros(()).as_subclass(AskingTensor)
        elif kind is ObjectValue and overrides(self.trace, item):
            real = AskingObject()
        elif kind is TensorValue:
            real = torch.zeros((), dtype=item.meta.dtype)
        elif kind is ListValue and item.cls is list:
            real = [self.real(part) for part in item.all(self.trace)]
        elif kind is TupleValue and item.cls is tuple:
            real = tuple(self.real(part) for part in item.all(self.trace))
        elif kind is tuple:
            return item
        else:
            return concrete(self.trace, item)
        self.items[id(real)] = item
        self.alive.append(real)
        return real

    def real_arguments(self, args: Args, kwargs: Kwargs, refusal: str) -> tuple[list[Any], dict[str, Any]]:
        """The objects for the arguments of a call; the graph breaks with `refusal` where only the trace knows one."""
        try:
            return [self.real(arg) for arg in args], {name: self.real(arg) for name, arg in kwargs.items()}
        except NotConcrete:
            self.trace.stop(TENSOR_SUBCLASS, refusal)

    def item(self, real: Any) -> Item:
        """The item that an object stands for."""
        return self.items.get(id(real), real)

    def given(self, asked: Asked) -> tuple[list[Item], dict[str, Item] | None]:
        """The items that a class or a mode was asked about."""
        named = asked.kwargs_given
        names = None if named is None else {name: self.item(arg) for name, arg in named.items()}
        return [self.item(arg) for arg in asked.args_given], names


def call_overridden(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """A call of a function of C, with tensors among its arguments whose class is asked instead."""
    if holds_wrapper(trace, (*args, *kwargs.values())):
        return wrapper_op(trace, function, args, kwargs)
    probing = Probing(trace)
    real_args, real_kwargs = probing.real_arguments(
        args, kwargs, "an operator with arguments that only the trace knows"
    )
    try:
        function(*real_args, **real_kwargs)
    except Asked as asked:
        return ask(trace, asked.function, [*args, *kwargs.values()], *probing.given(asked))
    except (TypeError, ValueError, RuntimeError):  # which the call itself is going to raise
        trace.stop(TENSOR_SUBCLASS, "an operator that refuses a tensor of a subclass")
    trace.stop(TENSOR_SUBCLASS, "a function that asks no class for its __torch_function__")


def ask(trace: Trace, function: Any, relevant: Args, args: Args, kwargs: Kwargs | None) -> Item:
    """`__torch_function__(function, types, args, kwargs)` of the classes of the `relevant` arguments.

    A subclass is asked before its bases; the first answer that is not NotImplemented counts.
    """
    overloaded: list[ObjectValue] = []
    for tensor in overriding(trace, relevant):
        if all(tensor.cls is not other.cls for other in overloaded):
            bases = (place for place, other in enumerate(overloaded) if issubclass(tensor.cls, other.cls))
            overloaded.insert(next(bases, len(overloaded)), tensor)
    if any(isinstance(tensor, WrapperTensor) for tensor in overloaded):
        return wrapper_op(trace, function, args, kwargs or {})
    types = tuple(tensor.cls for tensor in overloaded)
    for tensor in overloaded:
        method = get_attribute(trace, tensor, "__torch_function__")
        if not isinstance(method, BoundMethod) or method.instance is not tensor.cls:
            trace.stop(TENSOR_SUBCLASS, f"{class_name(tensor)}.__torch_function__ is no class method")
        question: list[Item] = [function, types, make_tuple(list(args))]
        if kwargs is not None:
            question.append(DictValue(dict, dict(kwargs)))
        result = trace.machine.call(trace, method, question)
        if result is not NotImplemented:
            return result
    trace.stop(TENSOR_SUBCLASS, "no class implements an operator")


def holds_wrapper(trace: Trace, items: Args) -> bool:
    """Whether one of `items`, or of what lists and tuples hold, is a tensor that holds tensors, or a size of one."""
    for item in items:
        value: Any = realise(trace, item)
        kind = type(value)
        if kind is WrapperTensor or kind is RaggedSize:
            return True
        if kind is tuple and holds_wrapper(trace, value):
            return True
        if (kind is ListValue or kind is TupleValue) and holds_wrapper(trace, value.all(trace)):
            return True
    return False


HOLDERS = (torch.Tensor, list, tuple)


def overrides(trace: Trace, value: ObjectValue) -> bool:
    """Whether the class of an object has `__torch_function__`."""
    return class_attribute(trace, value.cls, OVERRIDE) is not MISSING


def overriding(trace: Trace, items: Args) -> Iterator[ObjectValue]:
    """Those of `items`, and of what lists and tuples among them hold, whose classes override operators."""
    if not trace.overrides:
        return
    for item in items:
        if type(item) is Lazy and not issubclass(item.cls, HOLDERS) and not hasattr(item.cls, OVERRIDE):
            continue
        value: Any = realise(trace, item)
        kind = type(value)
        if kind is WrapperTensor:
            if asks_python(trace, value):
                yield value
        elif kind is SubclassTensor or (kind is ObjectValue and overrides(trace, value)):
            yield value
        elif kind is tuple:
            yield from overriding(trace, value)
        elif kind is ListValue or kind is TupleValue:
            yield from overriding(trace, value.all(trace))
