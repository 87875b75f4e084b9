"""The checks that a guard may make of the value at its source: one row of CHECKS for each kind.

The Python test of a row defines the check: slow, plain and exact. The native guard program must agree with it; its C++
code is in tracer/dispatch/native, and the numbers of the rows are handed to it when the extension is built. Nothing
here knows how a value was reached, or what happens when a check fails.
"""

from __future__ import annotations

import math
import operator
import struct
import weakref
from collections import Counter
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple, Protocol

import torch

from passes.meta import TensorMeta, meta_of
from passes.operators.difference import OutcomeDifference, meta_difference
from passes.references import OwnReference
from tracer._native import ends_visibly
from tracer.guards.aliasing import Aliasing, any_written_overlap
from tracer.guards.source import Absent, Source, Strong, class_attribute, hold, stored_keys, stored_length
from tracer.guards.state import State, read_again

# Expected values -----------------------------------------------------------------------------------


class TensorFacts(NamedTuple):
    """What the "tensor" check compares a tensor with.

    Sizes of the dimensions in `dynamic`, and every size or stride of `meta` that is symbolic, are not compared. `keys`
    is the dispatch key set: device type, layout, conjugate and negative bits, inference, Python dispatch. `asked`
    names facts that are compared only because the trace read them: "storage_offset", "is_leaf".
    """

    meta: TensorMeta
    type: type
    keys: int
    dynamic: tuple[int, ...] = ()
    asked: tuple[str, ...] = ()


def tensor_facts(
    tensor: torch.Tensor, meta: TensorMeta, dynamic: tuple[int, ...] = (), asked: tuple[str, ...] = ()
) -> TensorFacts:
    """The facts to expect where a capture found the real `tensor`, which `meta` describes."""
    return TensorFacts(meta, type(tensor), torch._C._dispatch_keys(tensor).raw_repr(), dynamic, asked)


class Expression(NamedTuple):
    """A condition over integers: a postfix program of OPERATIONS in which ("load", i) pushes the value of source i.

    Arithmetic is on signed 64-bit integers. The condition is false if it overflows, divides by zero or loads a value
    that is no int. ("load float", i) pushes an int that is ordered as the float of source i is among floats, and makes
    the condition false if that is no float, or NaN.
    """

    sources: tuple[Source, ...]
    program: tuple[tuple[str, int], ...]
    text: str = ""


def float_order(number: float) -> int:
    """An int for a float that is not NaN: equal, smaller or larger for floats that are."""
    (bits,) = struct.unpack("q", struct.pack("d", number))
    return bits if bits >= 0 else -(bits + (1 << 63))


class Operation(NamedTuple):
    """One postfix operation: its number in the native program, its number of operands, and the function it computes."""

    number: int
    arity: int
    apply: Callable[..., int]


OPERATIONS: dict[str, Operation] = {
    "load": Operation(0, 0, int),
    "constant": Operation(1, 0, int),
    "+": Operation(2, 2, lambda a, b: a + b),
    "-": Operation(3, 2, lambda a, b: a - b),
    "*": Operation(4, 2, lambda a, b: a * b),
    "//": Operation(5, 2, lambda a, b: a // b),
    "%": Operation(6, 2, lambda a, b: a % b),
    "negative": Operation(7, 1, lambda a: -a),
    "min": Operation(8, 2, min),
    "max": Operation(9, 2, max),
    "==": Operation(10, 2, lambda a, b: int(a == b)),
    "!=": Operation(11, 2, lambda a, b: int(a != b)),
    "<": Operation(12, 2, lambda a, b: int(a < b)),
    "<=": Operation(13, 2, lambda a, b: int(a <= b)),
    ">": Operation(14, 2, lambda a, b: int(a > b)),
    ">=": Operation(15, 2, lambda a, b: int(a >= b)),
    "and": Operation(16, 2, lambda a, b: int(bool(a and b))),
    "or": Operation(17, 2, lambda a, b: int(bool(a or b))),
    "not": Operation(18, 1, lambda a: int(not a)),
    "absolute": Operation(19, 1, lambda a: abs(a)),
    "load float": Operation(20, 0, float_order),
}

LOADED: dict[str, type] = {"load": int, "load float": float}
"""Operations that push what is at a source, and the type that it must have."""

# Tests ---------------------------------------------------------------------------------------------


class GuardedCall(Protocol):
    """The call that guards are evaluated on: the function object and the values of its parameters."""

    function: Any
    locals: dict[str, Any]

    def resolve(self, source: Source) -> Any:
        """The value that `source` leads to."""
        ...

    def forget(self) -> None:
        """Let go of what was resolved: how many hold an object decides whether it dies."""
        ...


def _same_bits(value: float, expected: float) -> bool:
    return struct.pack("d", value) == struct.pack("d", expected) or (math.isnan(value) and math.isnan(expected))


def _same_elements(value: Any, expected: Any) -> bool:
    return len(value) == len(expected) and all(map(equal_constants, value, expected))


TOLD_APART = frozenset((str, bytes, int, type(None), type, FunctionType, BuiltinFunctionType, torch.dtype))
"""Types of which equal objects are the same, and equal none of the others; no code of the program compares them."""


def same_members(value: Any, expected: Any) -> bool:
    """Whether two sets have equal constants as members, of which `expected` may hold some weakly, in any order.

    The native guard program calls this, too.
    """
    if len(value) != len(expected):
        return False
    kinds = (set, frozenset)
    if type(expected) in kinds and all(TOLD_APART.issuperset(map(type, members)) for members in (value, expected)):
        return value == expected
    alike, others = _by_value(value)
    expected_alike, rest = _by_value(expected)
    if alike != expected_alike:
        return False
    shared = others.keys() & rest.keys()
    candidates = [rest[key] for key in rest if key not in shared]
    for key in others.keys() - shared:
        match = next((i for i, candidate in enumerate(candidates) if equal_constants(others[key], candidate)), None)
        if match is None:
            return False
        del candidates[match]
    return not candidates


def _by_value(members: Any) -> tuple[Counter[Any], dict[int, Any]]:
    """How often a set has each value (NaN may be there twice), and the members without one, by their identity."""
    values, others = Counter[Any](), dict[int, Any]()
    for member in members:
        value = _value_of(member)
        if type(member) is OwnReference:
            member = member()
        if value is None:
            others[id(member)] = member
        else:
            values[value] += 1
    return values, others


PLAIN_VALUES = frozenset((str, bytes, int, bool, type(None)))


def _value_of(constant: Any) -> tuple[type, Any] | None:
    """What is the same for constants that are equal, and hashed without code of the program; None for other objects."""
    kind = type(constant)
    if kind in PLAIN_VALUES:
        return kind, constant
    if kind is float:
        return kind, None if math.isnan(constant) else struct.pack("d", constant)
    if kind is tuple:
        values = tuple(map(_value_of, constant))
        return None if any(value is None for value in values) else (kind, values)
    return None


def _same_order(value: Any, expected: Any) -> bool:
    return _same_elements(set_order(value), set_order(expected))


_EQUALITY: dict[type, Callable[[Any, Any], bool]] = {
    float: _same_bits,
    complex: lambda a, b: _same_bits(a.real, b.real) and _same_bits(a.imag, b.imag),
    tuple: _same_elements,
    torch.Size: _same_elements,
    frozenset: _same_order,
    set: _same_order,
    slice: lambda a, b: _same_elements((a.start, a.stop, a.step), (b.start, b.stop, b.step)),
    range: lambda a, b: (a.start, a.stop, a.step) == (b.start, b.stop, b.step),
    int: int.__eq__,
    str: str.__eq__,
    bytes: bytes.__eq__,
    **dict.fromkeys((bool, type(None), type(Ellipsis), torch.device), lambda a, b: bool(a == b)),
}


def _equality_of_base(cls: type) -> Callable[[Any, Any], bool] | None:
    """How to compare what instances of a subclass hold as instances of the base; their attributes are not compared."""
    if cls.__module__ == "numpy":
        return lambda a, b: a.tobytes() == b.tobytes()
    return next((_EQUALITY[base] for base in cls.__mro__ if base in _EQUALITY), None)


def equal_constants(value: object, expected: object) -> bool:
    """Whether both have the same type and value, so that no program can tell them apart.

    NaN equals NaN, -0.0 differs from 0.0, and 1 from True; members of containers are compared in the same way, those of
    sets in their order. An object that is no constant equals only itself. Of an instance of a subclass only the
    constant in it is compared.
    """
    if value is expected:
        return True
    if type(value) is not type(expected):
        return False
    if isinstance(value, tuple) and type(value) not in _EQUALITY:
        return _same_elements(value, expected)  # a named tuple
    equality = _EQUALITY.get(type(value)) or _equality_of_base(type(value))
    return equality is not None and equality(value, expected)


def _equals(value: object, expected: object) -> bool:
    """Equal as constants are, but for the order of a frozenset: that is guarded by itself, where it is used."""
    if type(expected) is frozenset and type(value) is frozenset:
        return same_members(value, expected)
    return equal_constants(value, expected)


def _is_held(value: object, expected: Any, _: GuardedCall) -> bool:
    target = expected()
    return value is target and (target is not None or isinstance(expected, Strong))


def _is_tensor(value: Any, expected: TensorFacts, _: GuardedCall) -> bool:
    return facts_difference(value, expected) is None


def facts_difference(value: Any, expected: TensorFacts) -> OutcomeDifference | None:
    """The first fact of `expected` in which `value` differs; None if it differs in none."""
    if type(value) is not expected.type:
        return OutcomeDifference("type", expected.type.__name__, type(value).__name__)
    return (
        _layout_difference(expected, meta_of(value))
        or meta_difference(expected.meta, meta_of(value), (*COMPARED, *expected.asked))
        or _keys_difference(expected.keys, torch._C._dispatch_keys(value))
    )


COMPARED = ("dtype", "device", "layout", "requires_grad", "is_conj", "is_neg", "is_inference")


def _layout_difference(expected: TensorFacts, actual: TensorMeta) -> OutcomeDifference | None:
    """By dimension, since sizes and strides that are symbols are left out; the native test does the same."""
    wanted = expected.meta
    if len(actual.shape) != len(wanted.shape):
        return OutcomeDifference("rank", len(wanted.shape), len(actual.shape))
    for dim, size in enumerate(wanted.shape):
        if dim not in expected.dynamic and isinstance(size, int) and actual.shape[dim] != size:
            return OutcomeDifference(f"size({dim})", size, actual.shape[dim])
    if actual.stride is None or wanted.stride is None:
        return None if actual.stride is wanted.stride else OutcomeDifference("stride", wanted.stride, actual.stride)
    for dim, stride in enumerate(wanted.stride):
        if isinstance(stride, int) and actual.stride[dim] != stride:
            return OutcomeDifference(f"stride({dim})", stride, actual.stride[dim])
    return None


def _keys_difference(expected: int, actual: torch._C.DispatchKeySet) -> OutcomeDifference | None:
    wanted = torch._C.DispatchKeySet.from_raw_repr(expected)
    return None if actual.raw_repr() == expected else OutcomeDifference("dispatch keys", wanted, actual)


def hold_keys(keys: tuple[Any, ...]) -> tuple[Any, ...]:
    """The keys to expect of a dictionary: of what equals only itself weak references, so that it may die."""
    return tuple(map(hold_key, keys))


def hold_key(key: Any) -> Any:
    """A key to expect: of what equals only itself a weak reference, and for a weak reference one of ours.

    The very object would live on here, and call back when the program has dropped it. That a key is a reference to
    what is expected, and not that itself, its type tells, which is guarded where it is read.
    """
    if type(key) is tuple:
        return hold_keys(key)
    target = key() if type(key) is weakref.ref else key
    return hold(target) if target is not None and (target is not key or has_weak_identity(key)) else key


def hold_members(members: Any) -> Any:
    """The members to expect of a set; a tuple where some are held weakly: a set would compare what they refer to."""
    keys = tuple(members)
    held = tuple(key if type(key) is weakref.ref else hold_key(key) for key in keys)
    return members if all(map(operator.is_, keys, held)) else held


def has_weak_identity(key: object) -> bool:
    """Whether a key equals only itself, and dies with its last reference: a function, a class, an instance."""
    cls = type(key)
    has_value = cls in _EQUALITY or issubclass(cls, tuple) or _equality_of_base(cls) is not None
    return bool(cls.__weakrefoffset__) and not has_value


def _has_keys(value: Any, expected: tuple[Any, ...], _: GuardedCall) -> bool:
    return isinstance(value, dict) and _are_keys(tuple(stored_keys(value)), expected)


def _are_keys(keys: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    return len(keys) == len(expected) and all(map(_is_key, keys, expected))


def _is_key(key: object, expected: Any) -> bool:
    if type(key) is tuple and type(expected) is tuple:
        return _are_keys(key, expected)
    if type(key) is weakref.ref:
        key = key()
    if key is not None and type(expected) is OwnReference and expected() is key:
        return True
    return equal_constants(key, expected)


def _is_absent(value: Any, expected: Any, _: GuardedCall) -> bool:
    if type(expected) is OwnReference:
        expected = expected()
        if expected is None:
            return False  # nobody asks for what is gone
    if isinstance(value, dict):
        return not dict.__contains__(value, expected)
    if isinstance(value, set | frozenset):
        return not _is_present(value, expected, _)
    try:
        class_attribute(value, expected)
    except Absent:
        return True
    return False


def _is_present(value: Any, expected: Any, _: GuardedCall) -> bool:
    if type(expected) is OwnReference:
        expected = expected()
        if expected is None:
            return False
    if isinstance(value, dict):
        return dict.__contains__(value, expected)
    if isinstance(value, set):
        return set.__contains__(value, expected)
    return isinstance(value, frozenset) and frozenset.__contains__(value, expected)


def _has_members(value: Any, expected: Any, _: GuardedCall) -> bool:
    return isinstance(value, set | frozenset) and same_members(value, expected)


def set_order(members: Any) -> tuple[Any, ...]:
    """What the order of a set is told by: the bytes of its table apart from itself, then its members as it lists them.

    The size of the table says where members go that are added, and in which order copies list theirs.
    """
    kind: Any = frozenset if isinstance(members, frozenset) else set
    return kind.__sizeof__(members) - type(members).__basicsize__, *kind.__iter__(members)


def _has_order(value: Any, expected: tuple[Any, ...], _: GuardedCall) -> bool:
    return isinstance(value, set | frozenset) and _are_keys(set_order(value), expected)


HOOK_TABLES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
COMPILED_CALL = "_compiled_call_impl"
"""The attribute of a module that is called in place of its hooks and its `forward`."""
GLOBAL_HOOK_TABLES = tuple(f"_global{name}" for name in HOOK_TABLES)


def _has_no_hooks(module: Any, _expected: None, _: GuardedCall) -> bool:
    stored = object.__getattribute__(module, "__dict__")
    of_all_modules = torch.nn.modules.module.__dict__
    without = all(name in stored and not dict.__len__(stored[name]) for name in HOOK_TABLES)
    return without and COMPILED_CALL not in stored and not any(of_all_modules[name] for name in GLOBAL_HOOK_TABLES)


def _expression_holds(_value: None, expected: Expression, call: GuardedCall) -> bool:
    stack: list[int] = []
    for name, operand in expected.program:
        if name == "constant":
            stack.append(operand)
            continue
        if name in LOADED:
            value = call.resolve(expected.sources[operand])
            if type(value) is not LOADED[name] or value != value:
                return False
            stack.append(OPERATIONS[name].apply(value))
        else:
            operation = OPERATIONS[name]
            operands = stack[len(stack) - operation.arity :]
            if name in ("//", "%") and operands[1] == 0:
                return False
            stack[len(stack) - operation.arity :] = [operation.apply(*operands)]
        if not -(2**63) <= stack[-1] < 2**63:
            return False
    return bool(stack[-1])


def _is_state(_value: None, expected: State, _: GuardedCall) -> bool:
    return read_again(expected) == expected


def _has_aliasing(_value: None, expected: Aliasing, call: GuardedCall) -> bool:
    tensors = [call.resolve(source) for source in expected.sources]
    return any_written_overlap(tensors, expected.written) == expected.overlapping


def _ends_unseen(value: Any, key: str | None, call: GuardedCall) -> bool:
    call.forget()
    if key is None:
        return not ends_visibly(value)
    return not isinstance(value, dict) or not ends_visibly(dict.get(value, key))


class Check(NamedTuple):
    """One kind of check.

    `number` is its number in the native guard program; `text` puts it into words; `test(value, expected, call)` decides
    it; `prepare`, if given, turns the expected value into what the guard keeps (a weak reference); `keyed` says that
    one source may be checked more than once, with different expected values.
    """

    number: int
    text: str
    test: Callable[[Any, Any, Any], bool]
    prepare: Callable[[Any], Any] | None = None
    keyed: bool = False


CHECKS: dict[str, Check] = {
    "type": Check(0, "{source} is a {expected}", lambda value, expected, _: type(value) is expected(), hold),
    "same object": Check(1, "{source} is still {expected}", _is_held, hold),
    "equal": Check(3, "{source} == {expected}", lambda value, expected, _: _equals(value, expected)),
    "tensor": Check(4, "{source} is {expected}", _is_tensor),
    "length": Check(5, "len({source}) == {expected}", lambda value, expected, _: stored_length(value) == expected),
    "keys": Check(6, "{source} has the keys {expected}", _has_keys, hold_keys),
    "absent": Check(7, "{source} has no {expected}", _is_absent, keyed=True),
    "present": Check(15, "{source} has {expected}", _is_present, keyed=True),
    "same as": Check(
        8, "{source} is {expected}", lambda value, expected, call: value is call.resolve(expected), keyed=True
    ),
    "not same as": Check(
        2, "{source} is not {expected}", lambda value, expected, call: value is not call.resolve(expected), keyed=True
    ),
    "no hooks": Check(9, "no hook is registered on {source} or for all modules", _has_no_hooks),
    "set items": Check(10, "{source} has the members {expected}", _has_members, hold_members),
    "set order": Check(16, "{source} lists its members in the order {expected}", _has_order, hold_keys),
    "expression": Check(11, "{expected}", _expression_holds, keyed=True),
    "aliasing": Check(13, "{expected}", _has_aliasing, keyed=True),
    "unseen end": Check(14, "the end of {source}{expected} does not show", _ends_unseen, keyed=True),
    "state": Check(12, "torch's settings are {expected}", _is_state, keyed=True),
}
