"""The call policy: who takes a call, in the order in which they are asked.

A decider looks at a callable and either answers with the action that makes the call, or passes (None). The first that
answers takes the call; the last two take whatever is left. It sees the callable alone, never the arguments, so that
its answer is valid as long as the trace lasts. Most callables written in C are taken because of a row that a file of
`tracer/interpret/library` registers: see `tracer/interpret/policy.py`.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, Final, TypeVar

import torch

from tracer.interpret import actions
from tracer.interpret.construct import class_refusal, construct, is_made_by_type
from tracer.interpret.functions import interpret_born, interpret_function, interpret_nested
from tracer.interpret.marked_calls import call_marked_operator, call_substitute, compute_marked, refuse_disallowed
from tracer.interpret.memoised import call_cached, call_cached_here
from tracer.interpret.numpy_calls import (
    call_method_of_array,
    call_method_of_number,
    call_model,
    call_numpy,
    is_modelled,
    is_of_model,
)
from tracer.interpret.policy import IMMUTABLE, ROWS, Lookaside, Operator, Polyfill, Pure, Refused, row_of
from tracer.mark_tables import (
    CONSTANT_MARK,
    is_allowed,
    is_compiled_by_torch,
    is_disallowed,
    is_nonstrict,
    substitute_of,
)
from tracer.values.base import NUMPY_FUNCTIONS, Lazy, Value
from tracer.values.cached_functions import CachedFunction
from tracer.values.class_attributes import METHOD_DESCRIPTORS
from tracer.values.compiled_functions import CompiledFunction
from tracer.values.functions import FunctionValue, NestedFunction
from tracer.values.getters import GETTERS, ComparisonKey, GetterValue
from tracer.values.item import Item
from tracer.values.methods import BoundMethod
from tracer.values.numpy_arrays import ARRAY, NUMBER
from tracer.values.partials import PartialValue

Action = Callable[..., Item]
"""Makes a call: `action(trace, function, args, kwargs)`."""

Decider = Callable[[Any], Action | None]
SomeDecider = TypeVar("SomeDecider", bound=Decider)

DISABLE_MARKS: Final = ("_bytegraph_disabled", "_torchdynamo_disable")
"""Attributes by which our `disable` and torch's mark a function."""

OPERATOR_TYPES: Final = (torch._ops.OpOverload, torch._ops.OpOverloadPacket, torch.jit.ScriptFunction)
"""Types of callables that are operators, each of them."""

KINDS: Final[dict[Decider, tuple[type, ...]]] = {}
"""Types of callables that a decider can take at all; it is asked about no others."""


def takes(*kinds: type) -> Callable[[SomeDecider], SomeDecider]:
    """Register the types of callables about which the decorated decider is asked."""

    def register(decider: SomeDecider) -> SomeDecider:
        KINDS[decider] = kinds
        return decider

    return register


# Values: callables that the trace knows more about than CPython does, or less ------------------------


@takes(BoundMethod)
def bound_method(method: BoundMethod) -> Action | None:
    """Methods bound to an instance: their function is called with the instance in front."""
    return actions.call_method


@takes(Lazy)
def unread_object(function: Lazy) -> Action | None:
    """Objects from outside that nothing has looked at yet: they are looked at, then called."""
    return actions.call_realised


@takes(FunctionValue)
def function_of_the_trace(function: FunctionValue) -> Action | None:
    """Functions that the traced program itself has defined: their code is interpreted."""
    return interpret_born


@takes(NestedFunction)
def nested_function_with_row(function: NestedFunction) -> Action | None:
    """Functions made by functions that a row or a mark is about: decided on like any other function."""
    action = decide(function.object)
    return None if action is interpret_function else actions.call_pinned


@takes(NestedFunction)
def nested_function(function: NestedFunction) -> Action | None:
    """Functions made by functions: interpreted, and guarded by their code, as every call may bring a new one."""
    return interpret_nested


@takes(PartialValue)
def partial_object(function: PartialValue) -> Action | None:
    """functools.partial objects: their function is called with the arguments they hold."""
    return actions.call_partial


@takes(ComparisonKey)
def comparison_key(function: ComparisonKey) -> Action | None:
    """What functools.cmp_to_key returns: a key is made of the argument."""
    return actions.make_comparison_key


@takes(*GETTERS, GetterValue)
def getter(function: Any) -> Action | None:
    """Instances of operator.itemgetter, attrgetter and methodcaller: a function that does the same is interpreted."""
    return actions.call_getter


@takes(CachedFunction)
def cached_function_of_the_trace(function: CachedFunction) -> Action | None:
    """Functions behind functools.lru_cache that the traced program has made: answered from their cache, or called."""
    return call_cached_here


@takes(CompiledFunction)
def compiled_function_of_the_trace(function: CompiledFunction) -> Action | None:
    """Functions that the traced program has given to torch.compile: they are called as they are."""
    return actions.call_compiled_here


@takes(Value)
def callable_object(function: Value) -> Action | None:
    """Instances of classes: the `__call__` of their class is called."""
    return actions.call_object


# Real objects ----------------------------------------------------------------------------------------


@takes(object)
def not_callable(function: Any) -> Action | None:
    """Objects that cannot be called: CPython's TypeError is raised in the program."""
    return None if callable(function) else actions.refuse_uncallable


@takes(object)
def disallowed_callable(function: Any) -> Action | None:
    """Callables marked with `disallow_in_graph`, here or for torch: a break."""
    return refuse_disallowed if is_disallowed(function) else None


@takes(object)
def marked_operator(function: Any) -> Action | None:
    """Callables marked with `allow_in_graph` or `nonstrict_trace`, here or for torch: a node of the graph."""
    return call_marked_operator if is_allowed(function) or is_nonstrict(function) else None


@takes(types.FunctionType, types.BuiltinFunctionType)
def substituted_function(function: Any) -> Action | None:
    """Functions that `substitute_in_graph`, here or for torch, has registered another for: that is interpreted."""
    return call_substitute if substitute_of(function) is not None else None


@takes(object)
def lookaside(function: Any) -> Action | None:
    """Callables with a lookaside: a function of the tracer runs in their place."""
    return actions.run_lookaside if isinstance(row_of(function), Lookaside) else None


@takes(types.MethodWrapperType)
def bound_special_method(method: types.MethodWrapperType) -> Action | None:
    """Special methods of C bound to an object, such as `(1).__add__`: called through their class."""
    return actions.call_unbound


@takes(types.BuiltinFunctionType)
def method_of_a_constant(method: types.BuiltinFunctionType) -> Action | None:
    """C methods bound to an immutable object, such as `", ".join`: called through their class."""
    owner = method.__self__
    if owner is None or method in ROWS:
        return None
    return actions.call_unbound if type(owner) in IMMUTABLE and not isinstance(owner, type) else None


@takes(types.ClassMethodDescriptorType)
def unbound_class_method(descriptor: Any) -> Action | None:
    """Class methods of C that are bound to no class yet: bound to their first argument."""
    return None if descriptor in ROWS else actions.call_bound_to_class


@takes(types.BuiltinFunctionType)
def class_method(method: types.BuiltinFunctionType) -> Action | None:
    """Class methods of C that have a row for all subclasses, such as `fromkeys` of a subclass of dict."""
    return actions.call_class_method if method not in ROWS and actions.class_method_of(method) is not None else None


@takes(types.FunctionType)
def constant_function(function: types.FunctionType) -> Action | None:
    """Functions marked with torch.compiler.assume_constant_result: run while tracing, their result is a constant."""
    return compute_marked if function.__dict__.get(CONSTANT_MARK) else None


@takes(types.FunctionType)
def hidden_optimizer_function(function: types.FunctionType) -> Action | None:
    """Functions of torch.optim that torch hides from TorchDynamo once that is imported: what they hide is called."""
    is_hidden = function.__dict__.get("_torchdynamo_disable") and function.__module__.startswith("torch.optim.")
    return actions.call_hidden if is_hidden else None


@takes(types.FunctionType)
def disabled_function(function: types.FunctionType) -> Action | None:
    """Functions marked with `disable`: a break."""
    is_disabled = any(function.__dict__.get(mark) for mark in DISABLE_MARKS)
    return actions.refuse_disabled if is_disabled and not isinstance(ROWS.get(function), Refused) else None


@takes(types.FunctionType)
def compiled_function(function: types.FunctionType) -> Action | None:
    """Functions that torch.compile has made: what they compile is called, as TorchDynamo does inside another."""
    if function.__qualname__ == "OptimizedModule.__call__" and function.__module__.startswith("torch._dynamo."):
        return actions.call_compiled_module
    return actions.call_compiled if is_compiled_by_torch(function) else None


@takes(object)
def tensor_operator(function: Any) -> Action | None:
    """Tensor operators: a node of the graph."""
    is_operator = isinstance(row_of(function), Operator) or isinstance(function, OPERATOR_TYPES)
    return actions.call_operator if is_operator else None


@takes(object)
def pure_function(function: Any) -> Action | None:
    """Functions that depend on nothing but their arguments: run by CPython if those are constants, else a break."""
    return actions.compute if isinstance(row_of(function), Pure) else None


@takes(object)
def polyfill(function: Any) -> Action | None:
    """C functions with a Python equivalent: that is interpreted; pure ones are run by CPython on constants."""
    row = row_of(function)
    if not isinstance(row, Polyfill):
        return None
    if row.of_literals:
        return actions.compute_of_literals
    return actions.compute_or_interpret if row.pure else actions.interpret_polyfill


@takes(types.FunctionType)
def numpy_function_in_python(function: types.FunctionType) -> Action | None:
    """Python functions of numpy that torch._numpy has: those are interpreted."""
    return call_numpy if is_modelled(function) else None


@takes(types.FunctionType)
def refused_function(function: types.FunctionType) -> Action | None:
    """Python functions that a row refuses, or that the row of their module does: a break."""
    return actions.refuse_row if isinstance(row_of(function), Refused) else None


@takes(types.FunctionType)
def model_of_numpy(function: types.FunctionType) -> Action | None:
    """Functions of torch._numpy: interpreted, and what they do not support is left to numpy."""
    return call_model if is_of_model(function) else None


@takes(types.FunctionType)
def python_function(function: types.FunctionType) -> Action | None:
    """All other Python functions: their code is interpreted."""
    return interpret_function


@takes(type)
def refused_class(cls: type) -> Action | None:
    """Classes of refused modules, and subclasses of torch.Tensor: a break."""
    return actions.refuse_class if is_made_by_type(cls) and class_refusal(cls) is not None else None


@takes(type)
def instantiated_class(cls: type) -> Action | None:
    """All other classes: instantiated in the trace, their `__new__` and `__init__` called."""
    return construct


@takes(*NUMPY_FUNCTIONS)
def numpy_function(function: Any) -> Action | None:
    """Functions of numpy that compute: run by it on numbers; on arrays those of torch._numpy are interpreted."""
    return call_numpy


@takes(types.MethodDescriptorType)
def method_of_numpy(method: types.MethodDescriptorType) -> Action | None:
    """Methods of numpy's arrays and numbers: those of torch._numpy are interpreted, unless CPython knows the number."""
    if method.__objclass__ is ARRAY:
        return call_method_of_array
    return call_method_of_number if method.__objclass__ is NUMBER else None


@takes(types.BuiltinFunctionType)
def numpy_builtin(function: types.BuiltinFunctionType) -> Action | None:
    """C functions of numpy, which make arrays: those of torch._numpy are interpreted."""
    return call_numpy if function.__module__ == "numpy" and not isinstance(ROWS.get(function), Refused) else None


@takes(functools._lru_cache_wrapper)
def cached_function(function: Any) -> Action | None:
    """Functions behind functools.lru_cache: answered from their cache, or interpreted."""
    return call_cached


@takes(staticmethod, classmethod)
def wrapped_function(function: Any) -> Action | None:
    """staticmethod and classmethod objects: the function inside is called."""
    return actions.call_wrapped


@takes(object)
def python_call_method(function: Any) -> Action | None:
    """Real objects whose class has a `__call__` that is not C's: that is called."""
    method = inspect.getattr_static(type(function), "__call__", None)
    return None if type(method) in METHOD_DESCRIPTORS else actions.call_special_method


@takes(object)
def refused_callable(function: Any) -> Action | None:
    """Other callables that a row refuses, or that the row of their module does: a break."""
    return actions.refuse_row if isinstance(row_of(function), Refused) else None


@takes(object)
def unknown_callable(function: Any) -> Action | None:
    """Everything else: a break, as nothing says what the call does."""
    return actions.refuse_unknown


DECIDERS: Final[tuple[Decider, ...]] = (
    bound_method,
    unread_object,
    function_of_the_trace,
    nested_function_with_row,
    nested_function,
    partial_object,
    comparison_key,
    getter,
    cached_function_of_the_trace,
    compiled_function_of_the_trace,
    callable_object,
    not_callable,
    disallowed_callable,
    marked_operator,
    substituted_function,
    lookaside,
    bound_special_method,
    method_of_a_constant,
    unbound_class_method,
    class_method,
    constant_function,
    hidden_optimizer_function,
    disabled_function,
    compiled_function,
    tensor_operator,
    pure_function,
    polyfill,
    numpy_function_in_python,
    refused_function,
    model_of_numpy,
    python_function,
    refused_class,
    instantiated_class,
    numpy_function,
    method_of_numpy,
    numpy_builtin,
    cached_function,
    wrapped_function,
    python_call_method,
    refused_callable,
    unknown_callable,
)
"""In the order in which they are asked."""

_by_kind: dict[type, tuple[Decider, ...]] = {}


def deciders_for(kind: type) -> tuple[Decider, ...]:
    """Those of DECIDERS that can take callables of a type, in the same order."""
    fitting = _by_kind.get(kind)
    if fitting is None:
        fitting = tuple(decider for decider in DECIDERS if issubclass(kind, KINDS[decider]))
        _by_kind[kind] = fitting
    return fitting


def decide(function: Item) -> Action:
    """The action that makes a call of `function`: that of the first decider that takes it."""
    return decision(function)[1]


def decision(function: Item) -> tuple[Decider, Action]:
    """The first decider that takes `function`, and its action."""
    for decider in deciders_for(type(function)):
        action = decider(function)
        if action is not None:
            return decider, action
    raise AssertionError("the last decider takes everything")
