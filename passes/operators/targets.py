"""Names of operators: a text for each callable that a graph may call, and the callable for a text.

A text is looked up among torch's operators and Python's operators, and nowhere else: the look-up imports nothing, and
functions that read files, or run what they are given, are not among them.
"""

from __future__ import annotations

import builtins
import operator
from functools import cache
from typing import Any, Final

import torch
import torch.overrides

from passes import python_operators
from passes.operators.modes import enter_inference, leave_inference


class UnknownTarget(ValueError):
    """A name that is not an operator's, or a callable that has no name."""


BUILTINS: Final = "abs bool complex divmod float getattr int len max min pow round slice sum tuple list"
OPERATORS: Final = """
    getitem setitem truth index contains is_ is_not
    """
# What graphs call besides torch's operators: written out, as each was thought about.
NAMED: Final[dict[str, Any]] = {
    **{f"builtins.{name}": getattr(builtins, name) for name in BUILTINS.split()},
    **{f"operator.{function.__name__}": function for function in python_operators.BY_FUNCTION},
    **{f"operator.{function.__name__}": function for function in python_operators.IN_PLACE},
    **{f"operator.{name}": getattr(operator, name) for name in OPERATORS.split()},
    "torch._C._set_grad_enabled": torch._C._set_grad_enabled,
    "torch.amp.autocast_mode._enter_autocast": torch.amp.autocast_mode._enter_autocast,
    "torch.amp.autocast_mode._exit_autocast": torch.amp.autocast_mode._exit_autocast,
    "passes.operators.modes.enter_inference": enter_inference,
    "passes.operators.modes.leave_inference": leave_inference,
}
NAMESPACES: Final = (
    "torch",
    "torch._C._nn",
    "torch._C._fft",
    "torch._C._linalg",
    "torch._C._special",
    "torch._C._sparse",
)
VARIABLE: Final = torch._C._VariableFunctions  # pyright: ignore[reportAttributeAccessIssue]
HIDDEN: Final = "torch._VF"
FUNCTIONAL: Final = "torch.nn.functional"
FORBIDDEN: Final = frozenset(("from_file", "save", "load", "_print", "set_data"))
# Operators of the interpreter, of debuggers and profilers, and of inductor's programs, which believe where memory is.
INTERNAL: Final = frozenset(("prim", "debugprims", "profiler", "inductor"))
# Attributes that a graph may read from a tensor or a size.
READABLE: Final = """
    T mT H mH real imag data grad shape dtype ndim device layout requires_grad is_leaf itemsize nbytes is_sparse
    is_quantized is_nested is_cpu is_cuda is_meta start stop step values indices
    """
ATTRIBUTES: Final = frozenset(READABLE.split())


@cache
def _functions_of_c() -> dict[str, Any]:
    """Functions of C in torch's own namespaces that are operators, and Python's operators, by their names."""
    functions: dict[str, Any] = dict(NAMED)
    for name in NAMESPACES:
        for attribute in vars(_namespace(name)):
            value = _function_of_namespace(name, attribute)
            if value is not None:
                functions[f"{name}.{attribute}"] = value
    for attribute in dir(VARIABLE):
        value = _function_of_variables(attribute)
        if value is not None:
            functions[f"{HIDDEN}.{attribute}"] = value
    return functions


def _function_of_namespace(namespace: str, attribute: str) -> Any:
    """A function of C in one of NAMESPACES that is an operator; None for whatever else has that name."""
    value = vars(_namespace(namespace)).get(attribute)
    if type(value) is not type(len) or attribute in FORBIDDEN:
        return None
    return value if namespace != "torch" or hasattr(VARIABLE, attribute) else None


def _function_of_variables(attribute: str) -> Any:
    """A function of C that one of torch's Python functions may stand before; None for whatever else has that name."""
    if attribute.startswith("_") or attribute in FORBIDDEN:
        return None
    value = getattr(VARIABLE, attribute, None)
    return value if type(value) is type(len) else None


@cache
def _functions() -> dict[str, Any]:
    """Every function of torch's own namespaces that is an operator, by its name."""
    functions = dict(_functions_of_c())
    overridable = torch.overrides.get_overridable_functions()
    for owner, prefix in ((torch, "torch"), (torch.functional, "torch.functional"), (torch.nn.functional, FUNCTIONAL)):
        for value in overridable[owner]:
            attribute = getattr(value, "__name__", "")
            if getattr(owner, attribute, None) is value and attribute not in FORBIDDEN:
                functions.setdefault(f"{prefix}.{attribute}", value)
    return functions


def _namespace(name: str) -> Any:
    namespace: Any = torch
    for step in name.split(".")[1:]:
        namespace = getattr(namespace, step)
    return namespace


@cache
def _names() -> dict[int, str]:
    return {id(value): name for name, value in reversed(_functions().items())}


def is_operator(target: Any) -> bool:
    """Whether a callable that was found by its name is an operator: what graphs call and the recorder writes."""
    if isinstance(target, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        return refusal(*str(target).split(".")[:2]) is None
    if getattr(target, "__name__", "") == "__get__":
        return getattr(getattr(target, "__self__", None), "__name__", "") in ATTRIBUTES
    if id(target) in _names():
        return True
    name = getattr(target, "__name__", "")
    return is_method(name) and getattr(torch.Tensor, name, None) is target


METHODS_OF_PYTHON: Final = frozenset(("norm", "split", "unflatten", "__rsub__", "__rpow__", "istft", "stft", "unique"))
FORBIDDEN_METHODS: Final = frozenset(
    ("apply_", "map_", "map2_", "__setstate__", "__reduce_ex__", "__class__", "__init__", "__new__")
)


def is_method(name: Any) -> bool:
    """Whether this names a tensor method that torch itself lets others override: an operator, no way into Python."""
    return (
        isinstance(name, str)
        and name not in FORBIDDEN_METHODS
        and (name in vars(torch._C.TensorBase) or (name in METHODS_OF_PYTHON and hasattr(torch.Tensor, name)))
    )


def target_name(op: str, target: Any) -> str:
    """The text for the target of a node. Raises UnknownTarget."""
    if op == "call_method":
        if not is_method(target):
            raise UnknownTarget(f"Tensor.{target} is not a tensor method that a graph may call")
        return str(target)
    if isinstance(target, torch._ops.OpOverload):
        return f"torch.ops.{target}"
    if isinstance(target, torch._ops.OpOverloadPacket):
        return f"torch.ops.{target}"
    name = _names().get(id(target))
    if name is None:
        shown = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', target)}"
        raise UnknownTarget(f"{shown} is not an operator of torch: it cannot be named in a file")
    return name


def target_of(op: str, name: str) -> Any:
    """The operator for a text. Raises UnknownTarget for any other text."""
    if op == "call_method":
        if not is_method(name):
            raise UnknownTarget(f"Tensor.{name} is not a tensor method that a graph may call")
        return name
    if name.startswith("torch.ops."):
        return _operator(name)
    namespace, _, attribute = name.rpartition(".")
    target = NAMED.get(name)
    if namespace in NAMESPACES:
        target = target or _function_of_namespace(namespace, attribute)
    elif namespace == HIDDEN:
        target = _function_of_variables(attribute)
    if target is None:  # asking torch for the others takes a while
        target = _functions_of_c().get(name) or _functions().get(name)
    if target is None:
        raise UnknownTarget(f"{name!r} is not the name of an operator of torch {torch.__version__}")
    return target


def _operator(name: str) -> Any:
    """The operator for `torch.ops.aten.add.Tensor` or `torch.ops.aten.add`, if it is registered and reads no file."""
    namespace, _, rest = name.removeprefix("torch.ops.").partition(".")
    packet_name, _, overload = rest.partition(".")
    why = refusal(namespace, packet_name)
    if why is not None:
        raise UnknownTarget(f"{name!r}{why}")
    packet = getattr(getattr(torch.ops, namespace), packet_name)
    if overload and overload not in packet.overloads():
        raise UnknownTarget(f"{name!r}: the operator has only the overloads {', '.join(packet.overloads())}")
    return getattr(packet, overload) if overload else packet


def refusal(namespace: str, name: str) -> str | None:
    """Why a file may not name an operator of the dispatcher; None if it may."""
    schemas = torch._C._jit_get_schemas_for_operator(f"{namespace}::{name}")
    if not schemas:
        return f": no operator {namespace}::{name} is registered; import what defines it"
    values = [value for schema in schemas for value in (*schema.arguments, *schema.returns)]
    of_files = any(word in value.name for value in values for word in ("file", "path"))
    of_tensors = any("Tensor" in str(value.type) for value in values)
    if of_files or name in FORBIDDEN or namespace in INTERNAL or not of_tensors:
        return " is not an operator on tensors"
    return None
