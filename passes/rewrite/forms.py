"""The form of a call: what it means, however it was spelled.

`x + y`, `torch.add(x, y)` and `x.add(y)` have one form: the operator's name in torch's schemas, and its
arguments by the schema's parameter names, defaults filled in, dimensions counted from the last. Knows
nothing of patterns: both they and the graphs they are looked for in are put into forms.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.fx import Node

from passes.meta import TensorMeta
from passes.node_meta import META, result_meta
from passes.operators.spellings import PARAMETERS, canonical


@dataclass(frozen=True, slots=True)
class Form:
    """An operator and its arguments by parameter name; nodes stand among the arguments as themselves."""

    operator: str
    arguments: Mapping[str, Any]

    @property
    def slots(self) -> list[tuple[str, Node]]:
        """The nodes among the arguments and where they stand: `self`, `weight`, `tensors.1`."""
        return [(slot, value) for slot, value in slots_of(self.arguments) if isinstance(value, Node)]


COMMUTATIVE: Final = frozenset(
    [
        "add",
        "mul",
        "eq",
        "ne",
        "minimum",
        "maximum",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "logical_and",
        "logical_or",
        "logical_xor",
    ]
)
OPERANDS: Final = ("self", "other")

# Operators on some ranks only, and the general one that does the same on those.
GENERAL: Final = {"mm": "matmul", "bmm": "matmul", "not_": "logical_not"}
CASTS: Final = {
    "float": torch.float32,
    "double": torch.float64,
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
    "int": torch.int32,
    "long": torch.int64,
    "short": torch.int16,
    "char": torch.int8,
    "byte": torch.uint8,
    "bool": torch.bool,
}
DIMENSIONS: Final = frozenset(("dim", "dims", "dim0", "dim1", "dim2", "start_dim", "end_dim"))
DIMENSION_MAKERS: Final = frozenset(("unsqueeze", "stack"))  # whose dimensions are those of the result

Simplification = Callable[[str, dict[str, Any]], tuple[str, dict[str, Any]] | None]


def form_of(node: Node, exact: bool = False) -> Form | None:
    """The form of a call node; None for other nodes.

    Forms that are `exact` tell apart what may differ in the last digit, `x / 3` from `x * (1 / 3)`.
    """
    if node.op not in ("call_function", "call_method"):
        return None
    name, args, kwargs = spelled(node)
    name = _operator(name)
    bound = _bound(name, args, kwargs)
    if bound is None:
        bound = {**{str(index): value for index, value in enumerate(args)}, **kwargs}
    else:
        _count_dimensions_from_the_last(name, bound)
    for simplify in SIMPLIFICATIONS["always"] + (() if exact else SIMPLIFICATIONS["inexact"]):
        simplified = simplify(name, bound)
        if simplified is not None:
            name, bound = simplified
    return Form(name, bound)


def _operator(name: str) -> str:
    """The operator that a name means in patterns: aliases apart, and special ones as the general one."""
    return GENERAL.get(name) or canonical(name)


def spelled(node: Node) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """What a node calls by name, with its arguments; numbers that come before a tensor change places with it."""
    target, args, kwargs = node.target, node.args, dict(node.kwargs)
    if node.op == "call_method":
        name = str(target)
    elif target is getattr:
        return ATTRIBUTES.get(args[1], lambda x: (f"attribute {args[1]}", (x,), {}))(args[0])  # type: ignore[index, arg-type]
    else:
        name = _function_name(target)
    name = name[2:-2] if name.startswith("__") and name.endswith("__") else name
    if len(args) == 2 and not kwargs and not isinstance(args[0], Node) and isinstance(args[1], Node):
        number, tensor = args
        meant = _operator(name)
        if meant in COMMUTATIVE:
            return meant, (tensor, number), {}
        if meant == "sub":
            return "rsub", (tensor, number), {}
        if meant == "div" and number == 1:
            return "reciprocal", (tensor,), {}
    if name in CASTS and len(args) == 1 and not kwargs:
        return "to", args, {"dtype": CASTS[name]}
    return name, args, kwargs


ATTRIBUTES: Final[dict[Any, Callable[[Any], tuple[str, tuple[Any, ...], dict[str, Any]]]]] = {
    "mT": lambda x: ("transpose", (x, -2, -1), {}),
    "T": lambda x: ("t", (x,), {}),
}


def _function_name(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        packet = target.overloadpacket if isinstance(target, torch._ops.OpOverload) else target
        qualified = packet._qualified_op_name
        return qualified.removeprefix("aten::")
    name = getattr(target, "__name__", type(target).__name__)
    module = getattr(target, "__module__", None) or ""
    is_torch = module.partition(".")[0] in ("", "torch", "_operator", "operator", "builtins")
    return name if is_torch else f"{module}.{name}"


@functools.cache
def _schemas(name: str) -> tuple[tuple[tuple[str, str, Any, Any], ...], ...]:
    """The parameters of each overload of an operator: (name, type, size of a list, default value)."""
    return tuple(
        tuple(
            (
                argument.name,
                str(argument.type),
                argument.N,  # type: ignore[attr-defined]
                argument.default_value if argument.has_default_value() else MISSING,
            )
            for argument in schema.arguments
        )
        for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}")
        if any("Tensor" in str(argument.type) for argument in schema.arguments)
    )


MISSING: Final = object()


def _bound(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments by name, as the first overload that takes them has it; None when there is none."""
    schemas = _schemas(name)
    for positional in _groupings(args) if schemas else ():
        for parameters in schemas:
            arguments = _bind(parameters, positional, kwargs)
            if arguments is not None:
                return arguments
    return None


def _groupings(args: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The arguments as they stand, then with a list in the place of the rest: `x.view(2, 3)` is `x.view((2, 3))`."""
    yield args
    if len(args) > 1:
        yield (args[0], tuple(args[1:]))


def _bind(
    parameters: tuple[tuple[str, str, Any, Any], ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any] | None:
    if len(args) > len(parameters):
        return None
    names = {name for name, *_ in parameters}
    keywords = {key if key in names else PARAMETERS.get(key, key): value for key, value in kwargs.items()}
    if not keywords.keys() <= names:
        return None
    bound: dict[str, Any] = {}
    for position, (name, kind, size, default) in enumerate(parameters):
        value = args[position] if position < len(args) else keywords.get(name, default)
        if value is MISSING or not _fits(value, kind) or (position < len(args) and name in keywords):
            return None
        bound[name] = _plain(value, kind, size)
    return bound


def _fits(value: Any, kind: str) -> bool:
    """Whether a parameter of a type takes a value."""
    optional = kind.startswith("Optional[")
    kind = kind.removeprefix("Optional[").removesuffix("]") if optional else kind
    if value is None:
        return optional
    if isinstance(value, Node):
        number = result_meta(value) is not None and not isinstance(value.meta[META], TensorMeta | tuple | list)
        return kind in ("int", "float", "number", "bool") if number else kind == "Tensor"
    if kind == "Tensor":
        return False
    if kind.startswith("List["):
        inner = kind.removeprefix("List[").removesuffix("]")
        if isinstance(value, list | tuple):
            return all(_fits(part, inner) for part in value)
        return inner in ("int", "float") and _fits(value, inner)
    if isinstance(value, str) or kind == "str":
        return isinstance(value, str) and kind == "str"
    if isinstance(value, float):
        return kind in ("float", "number", "complex")
    return not isinstance(value, list | tuple)


def _plain(value: Any, kind: str, size: Any) -> Any:
    """Lists as tuples, one number for all parts of a list as that list."""
    if isinstance(value, list | tuple):
        return tuple(value) * size if size and len(value) == 1 else tuple(value)
    if "List[" in kind and isinstance(value, int | float):
        return (value,) * (size or 1)
    return value


def rank_of(value: Any) -> int | None:
    """The number of dimensions of a node's tensor; None when it is no tensor."""
    meta = result_meta(value) if isinstance(value, Node) else None
    return meta.rank if isinstance(meta, TensorMeta) else None


def _count_dimensions_from_the_last(name: str, bound: dict[str, Any]) -> None:
    tensors = (part for _, value in bound.items() for part in (value if isinstance(value, tuple) else (value,)))
    rank = next((count for part in tensors if (count := rank_of(part)) is not None), None)
    if not rank:
        return
    rank += name in DIMENSION_MAKERS
    for key in DIMENSIONS & bound.keys():
        value = bound[key]
        if isinstance(value, tuple) and all(isinstance(part, int) for part in value):
            bound[key] = tuple(part - rank if part >= 0 else part for part in value)
        elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            bound[key] = value - rank


# Simplifications ---------------------------------------------------------------------------------


def _transposition(name: str, bound: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Every way to swap two dimensions is `transpose`, the smaller dimension first."""
    if name == "transpose" and all(isinstance(bound.get(key), int) for key in ("dim0", "dim1")):
        first, second = sorted((bound["dim0"], bound["dim1"]))
        return name, {**bound, "dim0": first, "dim1": second}
    if name in ("t", "numpy_T") and rank_of(bound.get("self")) == 2:
        return "transpose", {"self": bound["self"], "dim0": -2, "dim1": -1}
    if name == "permute" and rank_of(bound.get("self")) == len(bound.get("dims", ())):
        moved = [(at, to) for at, to in enumerate(bound["dims"], -len(bound["dims"])) if at != to]
        if len(moved) == 2:
            return "transpose", {"self": bound["self"], "dim0": moved[0][0], "dim1": moved[1][0]}
    return None


def _variance(name: str, bound: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """`unbiased` is a correction by one."""
    if name not in ("var", "std", "var_mean", "std_mean"):
        return None
    if "unbiased" in bound:
        rest = {key: value for key, value in bound.items() if key != "unbiased"}
        return name, {"dim": None, "keepdim": False, **rest, "correction": int(bound["unbiased"])}
    return name, {**bound, "correction": 1} if bound.get("correction") is None else bound


def _extreme(name: str, bound: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The larger or smaller elements of two tensors have operators of their own."""
    if name in ("max", "min") and bound.keys() == set(OPERANDS):
        return {"max": "maximum", "min": "minimum"}[name], bound
    return None


def _square(name: str, bound: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """`x * x` and `x.square()` are `x ** 2`."""
    if name == "square" or (name == "mul" and bound.get("self") is bound.get("other")):
        return "pow", {"self": bound["self"], "exponent": 2}
    return None


def _equation(name: str, bound: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The letters of an equation are a, b, c, in the order in which they come."""
    if name != "einsum" or not isinstance(bound.get("equation"), str):
        return None
    text = re.sub(r"\s", "", bound["equation"])
    order: dict[str, str] = {}
    for letter in filter(str.isalpha, text):
        order.setdefault(letter, chr(ord("a") + len(order)) if len(order) < 26 else letter)
    return name, {**bound, "equation": "".join(order.get(letter, letter) for letter in text)}


def _quotient(name: str, bound: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Division by a number is multiplication by its reciprocal."""
    divisor = bound.get("other")
    if name == "div" and "rounding_mode" not in bound and type(divisor) in (int, float) and divisor:
        return "mul", {"self": bound["self"], "other": 1 / divisor}
    return None


def _root(name: str, bound: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Powers of a half are roots; one over a root is `rsqrt`."""
    if name == "pow" and bound.get("exponent") in (0.5, -0.5):
        return ("sqrt" if bound["exponent"] == 0.5 else "rsqrt"), {"self": bound["self"]}
    if name == "reciprocal" and isinstance(bound.get("self"), Node):
        inner = form_of(bound["self"])
        if inner is not None and inner.operator == "sqrt" and len(bound["self"].users) == 1:
            return "rsqrt", dict(inner.arguments)
    return None


SIMPLIFICATIONS: Final[dict[str, tuple[Simplification, ...]]] = {
    "always": (_transposition, _variance, _equation, _extreme),
    "inexact": (_square, _quotient, _root),
}


def commutes(form: Form) -> bool:
    """Whether the operands may change places."""
    return (
        form.operator in COMMUTATIVE and form.arguments.get("alpha", 1) == 1 and set(OPERANDS) <= form.arguments.keys()
    )


def slots_of(arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What the arguments hold, nested parts one by one, each with its place."""
    slots: list[tuple[str, Any]] = []

    def visit(slot: str, value: Any) -> None:
        if isinstance(value, tuple | list):
            for index, part in enumerate(value):
                visit(f"{slot}.{index}", part)
        elif isinstance(value, slice):
            for name in ("start", "stop", "step"):
                visit(f"{slot}.{name}", getattr(value, name))
        elif isinstance(value, Mapping):
            for key, part in value.items():
                visit(f"{slot}.{key}", part)
        else:
            slots.append((slot, value))

    for slot, value in arguments.items():
        visit(slot, value)
    return slots


def bits(value: Any) -> Any:
    """A value with its type and bits, so that 1 and 1.0, 0.0 and -0.0 are two things; containers by their parts."""
    if isinstance(value, dict):
        return tuple(sorted((key, bits(part)) for key, part in value.items()))
    if isinstance(value, tuple | list):
        return (type(value), *map(bits, value))
    if isinstance(value, slice):
        return (slice, *map(bits, (value.start, value.stop, value.step)))
    if isinstance(value, float | complex):
        return (type(value), struct.pack("dd", value.real, value.imag))
    return value if isinstance(value, Node | TensorMeta) else (type(value), value)
