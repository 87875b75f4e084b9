"""The domain of a rule as Python: whether arguments are of the kinds for which the rule was verified.

One generated function for all parameters, since every evaluation begins with it; and a check for each parameter,
which says the same and tells which one is outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from passes.meta import CPU, TensorMeta
from passes.record.values import DTYPE_BY_NAME, Wrapped
from passes.rules.rule import Domain, Rule, reads

EXACT_KINDS: Final[dict[type, str]] = {
    type(None): "none",
    bool: "bool",
    int: "int",
    torch.SymInt: "int",
    torch.dtype: "dtype",
    float: "float",
    complex: "complex",
    str: "str",
}
CHOSEN: Final = (str, torch.dtype, torch.memory_format, torch.layout)  # of which a domain may have some only
WHOLE: Final = frozenset((int, bool, torch.SymInt))
NUMBERS: Final = frozenset((*WHOLE, float, complex, type(None)))
TENSORS: Final = frozenset((TensorMeta, type(None)))


def kind_in_domain(value: Any) -> str:
    """The kind of an argument that is no tensor, as a domain names it."""
    name = EXACT_KINDS.get(type(value))
    if name is not None:
        return name
    if isinstance(value, Wrapped):
        return type(value.number).__name__
    if isinstance(value, tuple):
        types = set(map(type, value))
        if types <= WHOLE:
            return "ints"
        if types <= TENSORS:
            return "list"
        return "ints" if types <= NUMBERS else type(value).__name__
    return type(value).__name__


def inside_of(rule: Rule) -> Callable[..., bool]:
    """A function of the rule's arguments, in their order: whether all are in its domain."""
    names = [f"a{number}" for number in range(len(rule.parameters))]
    namespace: dict[str, Any] = {"Meta": TensorMeta, "CPU": CPU}
    tests: list[str] = []
    for name, parameter in zip(names, rule.parameters, strict=True):
        namespace[f"exact_{name}"] = _exact_types(rule, parameter)
        namespace[f"other_{name}"] = check_of(rule, parameter)
        namespace[f"dtypes_{name}"] = _dtypes(rule.domain, parameter)
        tests.append(_text(rule.domain, parameter, name))
    source = f"def inside({', '.join(names)}):\n    return {' and '.join(tests) or 'True'}\n"
    exec(source, namespace)  # of names that were made here, and numbers
    return namespace["inside"]


def _text(domain: Domain, parameter: str, name: str) -> str:
    kinds = frozenset(domain.kinds.get(parameter, ()))
    other = f"(type({name}) in exact_{name} or other_{name}({name}))"
    if "tensor" not in kinds:
        return other
    tensor = _tensor_text(domain, parameter, name)
    return tensor if kinds <= {"tensor", "conj", "neg"} else f"({tensor} if type({name}) is Meta else {other})"


def _tensor_text(domain: Domain, parameter: str, name: str) -> str:
    kinds, ranks = domain.kinds[parameter], domain.ranks.get(parameter, ())
    flags = [f"not {name}.is_{flag}" for flag in ("conj", "neg") if flag not in kinds]
    tests = [
        f"type({name}) is Meta",
        f"{name}.dtype in dtypes_{name}",
        f"{min(ranks, default=0)} <= len({name}.shape) <= {max(ranks, default=-1)}",
        f"{name}.stride is not None",
        f"({name}.device is CPU or {name}.device == CPU)",
        f"not {name}.is_inference",
        *flags,
    ]
    return f"({' and '.join(tests)})"


def _dtypes(domain: Domain, parameter: str) -> frozenset[torch.dtype]:
    return frozenset(DTYPE_BY_NAME[text] for text in domain.dtypes.get(parameter, ()) if text in DTYPE_BY_NAME)


def choices_of(rule: Rule, parameter: str) -> frozenset[str]:
    """The words and the like to which a parameter is bound; none: to nothing."""
    found = frozenset(rule.domain.choices.get(parameter, ()))
    return frozenset() if found and reads(rule, parameter) else found


def _exact_types(rule: Rule, parameter: str) -> frozenset[type]:
    """Types of which every value is in the domain."""
    kinds, chosen = rule.domain.kinds.get(parameter, ()), bool(choices_of(rule, parameter))
    return frozenset(type_ for type_, kind in EXACT_KINDS.items() if kind in kinds and not (chosen and type_ in CHOSEN))


def check_of(rule: Rule, parameter: str) -> Callable[[Any], bool]:
    """Whether an argument is one for which the rule was verified."""
    domain = rule.domain
    kinds = frozenset(domain.kinds.get(parameter, ()))
    ranks = domain.ranks.get(parameter, ())
    least, most = min(ranks, default=0), max(ranks, default=-1)
    dtypes = _dtypes(domain, parameter)
    conjugates, negatives = "conj" in kinds, "neg" in kinds
    choices = choices_of(rule, parameter)
    devices = not kinds.isdisjoint(("none", "device", "str"))  # all are the CPU then, however it was said
    tensors = "tensor" in kinds

    def tensor(meta: TensorMeta) -> bool:
        return (
            meta.dtype in dtypes
            and least <= len(meta.shape) <= most
            and meta.stride is not None
            and meta.device == CPU
            and not meta.is_inference
            and (conjugates or not meta.is_conj)
            and (negatives or not meta.is_neg)
        )

    def check(value: Any) -> bool:
        if type(value) is TensorMeta:
            return tensors and tensor(value)
        if type(value) is torch.device:
            return value.type == "cpu" and devices
        kind = kind_in_domain(value)
        if kind not in kinds:
            return kind == "ints" and value == () and "list" in kinds
        if kind == "list":
            return all(part is None or tensor(part) for part in value)
        if choices and isinstance(value, CHOSEN):
            return (value if type(value) is str else str(value)) in choices
        return True

    return check
