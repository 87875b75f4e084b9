"""What can be asked of a value that a guard reaches: one row of CHECKS for each kind of question.

Each test here is the definition: slow, plain and exact; the native guard program must agree with it.
Nothing here knows how the value was reached, or what is done when a check fails.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch

from passes.meta import TensorMeta, meta_of
from tracer.guards.source import Absent, Source, Strong, class_attribute, hold, stored_keys, stored_length
from tracer.guards.state import State, read_state

# Expected values -----------------------------------------------------------------------------------


class TensorFacts(NamedTuple):
    """What the "tensor" check compares.

    Sizes of the dimensions in `dynamic`, and every size or stride of `meta` that is symbolic, are left
    out. `keys` is the dispatch key set: device type, layout, conjugate and negative bits, inference,
    Python dispatch. `asked` names facts compared only if the trace read them: "storage_offset", "is_leaf".
    """

    meta: TensorMeta
    type: type
    keys: int
    dynamic: tuple[int, ...] = ()
    asked: tuple[str, ...] = ()


def tensor_facts(
    tensor: torch.Tensor, meta: TensorMeta, dynamic: tuple[int, ...] = (), asked: tuple[str, ...] = ()
) -> TensorFacts:
    """The facts to expect of the place where the real `tensor`, described by `meta`, was found."""
    return TensorFacts(meta, type(tensor), torch._C._dispatch_keys(tensor).raw_repr(), dynamic, asked)


class Expression(NamedTuple):
    """A condition over ints: `program` is postfix over OPERATIONS, ("load", i) taking the i-th source.

    Arithmetic is on 64-bit integers; overflow and division by zero make the condition false.
    """

    sources: tuple[Source, ...]
    program: tuple[tuple[str, int], ...]
    text: str = ""


class Operation(NamedTuple):
    """One postfix operation: its number in the native program, how many operands it takes, what it gives."""

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
}

# Tests ---------------------------------------------------------------------------------------------


class Frame(Protocol):
    """The call that guards are evaluated on."""

    function: Any
    locals: dict[str, Any]

    def resolve(self, source: Source) -> Any: ...


def _same_bits(found: float, expected: float) -> bool:
    return struct.pack("d", found) == struct.pack("d", expected) or (math.isnan(found) and math.isnan(expected))


def _same_elements(found: Any, expected: Any) -> bool:
    return len(found) == len(expected) and all(map(equal_constants, found, expected))


def same_members(found: Any, expected: Any) -> bool:
    rest = list(expected)
    for member in found:
        match = next((i for i, candidate in enumerate(rest) if equal_constants(member, candidate)), None)
        if match is None:
            return False
        del rest[match]
    return not rest


_EQUALITY: dict[type, Callable[[Any, Any], bool]] = {
    float: _same_bits,
    complex: lambda a, b: _same_bits(a.real, b.real) and _same_bits(a.imag, b.imag),
    tuple: _same_elements,
    torch.Size: _same_elements,
    frozenset: same_members,
    set: same_members,
    slice: lambda a, b: _same_elements((a.start, a.stop, a.step), (b.start, b.stop, b.step)),
    range: lambda a, b: (a.start, a.stop, a.step) == (b.start, b.stop, b.step),
    **dict.fromkeys((int, bool, str, bytes, type(None), type(Ellipsis), torch.device), lambda a, b: bool(a == b)),
}


def _equality_of_base(cls: type) -> Callable[[Any, Any], bool] | None:
    """For subclasses whose instances hold nothing more, as numpy's float64 is one of float."""
    if cls.__module__ == "numpy":
        return lambda a, b: a.tobytes() == b.tobytes()
    return None if cls.__dictoffset__ else next((_EQUALITY[base] for base in cls.__mro__ if base in _EQUALITY), None)


def equal_constants(found: object, expected: object) -> bool:
    """True if both have the same type and value, so that no program could tell them apart.

    NaN equals NaN, -0.0 is not 0.0, 1 is not True; members are compared likewise. What is not a
    constant is equal to itself only.
    """
    if found is expected:
        return True
    if type(found) is not type(expected):
        return False
    if isinstance(found, tuple) and type(found) not in _EQUALITY:
        return _same_elements(found, expected)  # a named tuple
    equality = _EQUALITY.get(type(found)) or _equality_of_base(type(found))
    return equality is not None and equality(found, expected)


def _is_held(found: object, expected: Any, _: Frame) -> bool:
    target = expected()
    return found is target and (target is not None or isinstance(expected, Strong))


def _is_tensor(found: Any, expected: TensorFacts, _: Frame) -> bool:
    return not list(tensor_differences(found, expected))


def tensor_differences(found: Any, expected: TensorFacts) -> Any:
    """Yields (what, found, expected) for every fact of `expected` that `found` does not have."""
    if type(found) is not expected.type:
        yield "type", type(found).__name__, expected.type.__name__
        return
    wanted, actual = expected.meta, meta_of(found)
    if len(actual.shape) != len(wanted.shape):
        yield "rank", len(actual.shape), len(wanted.shape)
        return
    for dim, size in enumerate(wanted.shape):
        if dim not in expected.dynamic and isinstance(size, int) and actual.shape[dim] != size:
            yield f"size({dim})", actual.shape[dim], size
    if (actual.stride is None) != (wanted.stride is None):
        yield "stride", actual.stride, wanted.stride
    elif actual.stride is not None and wanted.stride is not None:
        for dim, stride in enumerate(wanted.stride):
            if isinstance(stride, int) and actual.stride[dim] != stride:
                yield f"stride({dim})", actual.stride[dim], stride
    for name in ("dtype", "device", "layout", "requires_grad", "is_conj", "is_neg", "is_inference", *expected.asked):
        if getattr(actual, name) != getattr(wanted, name):
            yield name, getattr(actual, name), getattr(wanted, name)
    keys = torch._C._dispatch_keys(found)
    if keys.raw_repr() != expected.keys:
        yield "dispatch keys", keys, torch._C.DispatchKeySet.from_raw_repr(expected.keys)


def _has_keys(found: Any, expected: tuple[Any, ...], _: Frame) -> bool:
    return isinstance(found, dict) and _same_elements(tuple(stored_keys(found)), expected)


def _is_absent(found: Any, expected: Any, _: Frame) -> bool:
    if isinstance(found, dict):
        return not dict.__contains__(found, expected)
    try:
        class_attribute(found, expected)
    except Absent:
        return True
    return False


def _has_members(found: Any, expected: Any, _: Frame) -> bool:
    return isinstance(found, set | frozenset) and same_members(found, expected)


HOOK_TABLES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
GLOBAL_HOOK_TABLES = tuple(f"_global{name}" for name in HOOK_TABLES)


def _has_no_hooks(found: Any, _expected: None, _: Frame) -> bool:
    stored = object.__getattribute__(found, "__dict__")
    everywhere = torch.nn.modules.module.__dict__
    return all(name in stored and not dict.__len__(stored[name]) for name in HOOK_TABLES) and not any(
        everywhere[name] for name in GLOBAL_HOOK_TABLES
    )


def _holds(_found: None, expected: Expression, frame: Frame) -> bool:
    stack: list[int] = []
    for name, operand in expected.program:
        if name == "constant":
            stack.append(operand)
            continue
        if name == "load":
            value = frame.resolve(expected.sources[operand])
            if type(value) is not int:
                return False
            stack.append(value)
        else:
            operation = OPERATIONS[name]
            operands = stack[len(stack) - operation.arity :]
            if name in ("//", "%") and operands[1] == 0:
                return False
            stack[len(stack) - operation.arity :] = [operation.apply(*operands)]
        if not -(2**63) <= stack[-1] < 2**63:
            return False
    return bool(stack[-1])


def _is_state(_found: None, expected: State, _: Frame) -> bool:
    return read_state(threads=expected.threads is not None) == expected


class Check(NamedTuple):
    """One kind of question.

    `number` in the native program; `text` says it in words; `test(found, expected, frame)` decides it;
    `prepare` makes the expected value ready for keeping (held weakly); `keyed` if one source may be
    asked this more than once, with different expected values.
    """

    number: int
    text: str
    test: Callable[[Any, Any, Any], bool]
    prepare: Callable[[Any], Any] | None = None
    keyed: bool = False


CHECKS: dict[str, Check] = {
    "type": Check(0, "{source} is a {expected}", lambda f, e, _: type(f) is e(), hold),
    "same object": Check(1, "{source} is still {expected}", _is_held, hold),
    "equal": Check(3, "{source} == {expected}", lambda f, e, _: equal_constants(f, e)),
    "tensor": Check(4, "{source} is {expected}", _is_tensor),
    "length": Check(5, "len({source}) == {expected}", lambda f, e, _: stored_length(f) == e),
    "keys": Check(6, "{source} has the keys {expected}", _has_keys),
    "absent": Check(7, "{source} has no {expected}", _is_absent, keyed=True),
    "same as": Check(8, "{source} is {expected}", lambda f, e, frame: f is frame.resolve(e), keyed=True),
    "not same as": Check(2, "{source} is not {expected}", lambda f, e, frame: f is not frame.resolve(e), keyed=True),
    "no hooks": Check(9, "{source} has no hooks, nor have all modules", _has_no_hooks),
    "set items": Check(10, "{source} has the members {expected}", _has_members),
    "expression": Check(11, "{expected}", _holds, keyed=True),
    "state": Check(12, "torch's settings are {expected}", _is_state),
}
