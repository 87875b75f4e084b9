"""copy.deepcopy: values are copied as the copy module copies objects of their types, without using id().

The `__deepcopy__` of a class is called; for a class that customises pickling the copy module itself is interpreted.
"""

from __future__ import annotations

import copy
import copyreg
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import torch

from passes.rules.primitives.layouts import is_dense
from tracer.interpret.call import call
from tracer.interpret.functions import interpret_function
from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import LITERALS, MISSING, Value, realise
from tracer.values.class_attributes import class_attribute
from tracer.values.dicts import DictValue, dict_constant, dict_graph_argument, dict_parts, dict_rebuild
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, register
from tracer.values.lists import ListValue
from tracer.values.methods import BoundMethod
from tracer.values.objects import ObjectValue
from tracer.values.protocols.attribute_writes import set_attribute
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.optional_attributes import optional_attribute
from tracer.values.protocols.special_methods import is_of_program
from tracer.values.sets import SetValue
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue, make_tuple

Copies = dict[int, tuple[Item, Item]]
"""By the id() of a value: the value, kept alive, and its copy."""

COPY_METHODS = ("__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")
"""Methods by which a class says how its instances are made anew from what is pickled or copied."""


class Memo(DictValue):
    """The memo that `__deepcopy__` methods receive and pass on."""

    __slots__ = ("copies",)

    def __init__(self, copies: Copies) -> None:
        super().__init__(dict)
        self.copies = copies


register(Kind(BORN, dict_parts, dict_constant, dict_graph_argument, dict_rebuild), Memo)


@lookaside(copy.deepcopy)
def _deepcopy(trace: Trace, item: Item, memo: Item = None, *rest: Item) -> Item:
    memo = realise(trace, memo)
    if memo is not None and not isinstance(memo, Memo):
        return interpret_function(trace, copy.deepcopy, [item, memo, *rest], {})
    return deep_copy(trace, item, memo.copies if memo is not None else {})


def deep_copy(trace: Trace, item: Item, copies: Copies) -> Item:
    """`copy.deepcopy` of an item; `copies` has what was copied before, by identity."""
    item = realise(trace, item)
    if not isinstance(item, Value):
        return item if _is_atomic(item) else interpret_function(trace, copy.deepcopy, [item], {})
    earlier = copies.get(id(item))
    if earlier is not None:
        return earlier[1]
    copied = _copied(trace, item, copies)
    copies[id(item)] = item, copied
    return copied


def _is_atomic(item: Any) -> bool:
    if type(item) in LITERALS or isinstance(item, (type, types.FunctionType)):
        return True
    if type(item) is tuple:
        return all(map(_is_atomic, item))
    return type(item) in copy._deepcopy_dispatch and copy._deepcopy_dispatch[type(item)] is copy._deepcopy_atomic  # type: ignore[attr-defined]


def _copied(trace: Trace, item: Any, copies: Copies) -> Item:
    copier = COPIERS.get(item.cls)
    if copier is not None:
        return copier(trace, item, copies)
    copier = call(trace, getattr, [item, "__deepcopy__", None])
    if copier is not None:
        return call(trace, copier, [Memo(copies)])
    if not _is_plain(trace, item):
        if copies:
            trace.stop(UNSUPPORTED_CALL, f"copy.deepcopy of a {item.cls.__name__} among other objects")
        return interpret_function(trace, copy.deepcopy, [item], {})
    copied = ObjectValue(item.cls)
    copies[id(item)] = item, copied
    if _says_its_state(trace, item.cls):
        return _with_state(trace, item, copied, copies)
    attributes = _copied_attributes(trace, item, copies)
    if is_of_program(trace, copied, "__getattribute__"):
        if optional_attribute(trace, copied, "__setstate__") is not MISSING:
            trace.stop(
                UNSUPPORTED_CALL, f"copy.deepcopy of a {item.cls.__name__}, whose __getattribute__ has a __setstate__"
            )
        get_attribute(trace, copied, "__dict__")
    copied.attributes.update(attributes)
    return copied


def _says_its_state(trace: Trace, cls: type) -> bool:
    """Whether a class has methods of its own that give and take the state of an instance."""
    has_getter = class_attribute(trace, cls, "__getstate__") is not getattr(object, "__getstate__", MISSING)
    return has_getter or class_attribute(trace, cls, "__setstate__") is not MISSING


def _with_state(trace: Trace, item: ObjectValue, copied: ObjectValue, copies: Copies) -> ObjectValue:
    """Give an instance a copy of the state of another, as the copy module does with what `__reduce_ex__` returns."""
    state = realise(trace, call(trace, get_attribute(trace, item, "__getstate__"), []))
    if state is None:
        return copied
    state = deep_copy(trace, state, copies)
    if class_attribute(trace, item.cls, "__setstate__") is not MISSING:
        call(trace, get_attribute(trace, copied, "__setstate__"), [state])
    elif isinstance(state, DictValue):
        call(trace, get_attribute(trace, get_attribute(trace, copied, "__dict__"), "update"), [state])
    else:
        trace.stop(UNSUPPORTED_CALL, f"copy.deepcopy of a {item.cls.__name__} whose state is no dictionary")
    return copied


def _copied_attributes(trace: Trace, item: ObjectValue, copies: Copies) -> dict[str, Item]:
    """Copies of what the instance's dictionary holds, which `object.__getstate__` reads without asking the class."""
    attributes: Any = realise(trace, call(trace, object.__getattribute__, [item, "__dict__"]))
    present = {name: part for name, part in attributes.all(trace).items() if part is not MISSING}
    return {name: deep_copy(trace, part, copies) for name, part in present.items()}


def _is_plain(trace: Trace, item: Any) -> bool:
    """Whether copying an object means no more than to create an instance and copy the attributes."""
    cls = item.cls
    if type(item) is not ObjectValue or cls in copyreg.dispatch_table or not cls.__dictoffset__:
        return False
    if isinstance(cls.__new__, types.FunctionType) or cls.__new__ is not object.__new__ or copyreg._slotnames(cls):  # type: ignore[attr-defined]
        return False
    if not all(class_attribute(trace, cls, name) is getattr(object, name, MISSING) for name in COPY_METHODS):
        return False
    return not is_of_program(trace, item, "__getattribute__") or _finds_methods(trace, item)


def _finds_methods(trace: Trace, item: Any) -> bool:
    """Whether the program's own `__getattribute__` finds the methods of `object` by which the copy module copies."""
    for name in ("__reduce_ex__", "__reduce__", "__getstate__"):
        method = optional_attribute(trace, item, name)
        if not isinstance(method, BoundMethod) or method.function is not getattr(object, name):
            return False
    return True


@lookaside(torch.Tensor.__deepcopy__)
def _copy_tensor(trace: Trace, tensor: Item, memo: Item) -> Item:
    """A copy of a tensor that is all that its storage holds: without history, perhaps a leaf, and written to once."""
    memo = realise(trace, memo)
    if not isinstance(tensor, TensorValue) or tensor.cls is not torch.Tensor or not isinstance(memo, Memo):
        trace.stop(UNSUPPORTED_CALL, "Tensor.__deepcopy__ of a tensor of a subclass, or with a memo of the program's")
    if id(tensor) in memo.copies:
        return memo.copies[id(tensor)][1]
    _require_own_storage(trace, tensor, memo.copies)
    detached = call(trace, torch.Tensor.detach, [tensor])
    copied = call(trace, torch.Tensor.copy_, [call(trace, torch.empty_like, [detached]), detached])
    if tensor.meta.requires_grad:
        copied = call(trace, torch.Tensor.requires_grad_, [copied])
    for name in _attribute_names(trace, tensor):
        set_attribute(trace, copied, name, deep_copy(trace, get_attribute(trace, tensor, name), memo.copies))
    memo.copies[id(tensor)] = tensor, copied
    return copied


@lookaside(torch.nn.Parameter.__deepcopy__)
def _copy_parameter(trace: Trace, parameter: Item, memo: Item) -> Item:
    """A parameter with a clone of the data; which object the parameter is does not matter, as its id() would."""
    memo = realise(trace, memo)
    if not isinstance(parameter, TensorValue) or not isinstance(memo, Memo):
        trace.stop(UNSUPPORTED_CALL, "Parameter.__deepcopy__ with a memo of the program's")
    if id(parameter) not in memo.copies:
        data = call(trace, torch.Tensor.clone, [get_attribute(trace, parameter, "data")])
        needs_gradients = get_attribute(trace, parameter, "requires_grad")
        memo.copies[id(parameter)] = parameter, call(trace, parameter.cls, [data, needs_gradients])
    return memo.copies[id(parameter)][1]


def _attribute_names(trace: Trace, tensor: TensorValue) -> list[str]:
    """The names of the attributes that the program has given a tensor."""
    names = dict.fromkeys(name for name in tensor.attributes if name != "grad")
    if tensor.source is not None:
        stored = tuple(vars(tensor.object))
        trace.guard(tensor.source.child("dict"), "keys", stored)
        names = dict.fromkeys(stored) | names
    return [name for name in names if tensor.attributes.get(name) is not MISSING]


def _require_own_storage(trace: Trace, tensor: TensorValue, copies: Copies) -> None:
    """Break at a tensor that shares its storage, has a gradient, or that torch refuses to copy."""
    is_leaf = get_attribute(trace, tensor, "is_leaf")
    meta, base = tensor.meta, tensor.base
    if not is_leaf or meta.symbolic or meta.is_conj or meta.is_neg or meta.is_inference:
        trace.stop(UNSUPPORTED_CALL, "copy.deepcopy of a tensor with a history, a symbolic size or a lazy operation")
    if get_attribute(trace, tensor, "grad") is not None or realise(trace, tensor) is not base or not is_dense(meta):
        trace.stop(UNSUPPORTED_CALL, "copy.deepcopy of a tensor with a gradient, or of a view")
    if call(trace, torch.Tensor.storage_offset, [tensor]) != 0:
        trace.stop(UNSUPPORTED_CALL, "copy.deepcopy of a tensor that is a part of its storage")
    if any(isinstance(other, TensorValue) and other.base is base for other, _ in copies.values()):
        trace.stop(UNSUPPORTED_CALL, "copy.deepcopy of tensors that share memory")
    if tensor.source is None:
        return
    real: Any = tensor.object
    size = real.untyped_storage().nbytes()
    if size != real.nbytes:
        trace.stop(UNSUPPORTED_CALL, "copy.deepcopy of a tensor that is a part of its storage")
    storage = tensor.source.child("getattr", "untyped_storage").child("call")
    trace.guard(storage.child("getattr", "nbytes").child("call"), "equal", size)


def _copy_list(trace: Trace, item: ListValue, copies: Copies) -> Item:
    copied = ListValue(item.cls)
    copied.maxlen = item.maxlen
    copies[id(item)] = item, copied
    copied.items.extend([deep_copy(trace, part, copies) for part in list(item.all(trace))])
    return copied


def _copy_tuple(trace: Trace, item: TupleValue, copies: Copies) -> Item:
    parts = [realise(trace, part) for part in item.all(trace)]
    copied = [deep_copy(trace, part, copies) for part in parts]
    if all(part is copied_part for part, copied_part in zip(parts, copied, strict=True)):
        return item
    return make_tuple(copied)


def _copy_dictionary(trace: Trace, item: DictValue, copies: Copies) -> Item:
    copied = DictValue(item.cls)
    copies[id(item)] = item, copied
    if item.cls is defaultdict:
        factory = get_attribute(trace, item, "default_factory")
        copied.keep_field("default_factory", deep_copy(trace, factory, copies))
    if item.cls is OrderedDict:
        copied.attributes.update(_copied_attributes(trace, item, copies))
    for key, part in list(item.all(trace).items()):
        if part is not MISSING:
            copied.items[trace.key(deep_copy(trace, key, copies))] = deep_copy(trace, part, copies)
    return copied


def _copy_set(trace: Trace, item: SetValue, copies: Copies) -> Item:
    return SetValue(item.cls, [trace.key(deep_copy(trace, part, copies)) for part in item.in_order(trace)])


COPIERS: dict[type, Callable[[Any, Any, Copies], Item]] = {
    list: _copy_list,
    deque: _copy_list,
    tuple: _copy_tuple,
    dict: _copy_dictionary,
    OrderedDict: _copy_dictionary,
    defaultdict: _copy_dictionary,
    set: _copy_set,
    frozenset: _copy_set,
}
"""By exact type: copies a container and its items."""
