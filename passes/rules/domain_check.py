"""The domain of a rule as Python: whether arguments are of the kinds for which the rule was verified.

One generated function for all parameters, since every evaluation begins with it; and a check for each parameter,
which says the same and tells which one is outside.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from passes.meta import CPU, DTYPE_BY_NAME, TensorMeta
from passes.operators.outcome import Wrapped
from passes.rules import syntax
from passes.rules.layout_class import ROW_MAJOR, classes_up_to, layout_class
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
ONLY_TENSORS: Final = frozenset(("tensor",))
FLAGGED: Final = ("conj", "neg")  # kinds that let tensors with these bits in


def kind_in_domain(value: Any) -> str:
    """The kind of an argument that is no tensor, as a domain names it."""
    name = EXACT_KINDS.get(type(value))
    if name is not None:
        return name
    if isinstance(value, tuple):
        if WHOLE.issuperset(map(type, value)):
            return "ints"
        if TENSORS.issuperset(map(type, value)):
            return "list"
        return "ints" if NUMBERS.issuperset(map(type, value)) else type(value).__name__
    return type(value.number if isinstance(value, Wrapped) else value).__name__


def inside_of(rule: Rule) -> Callable[..., bool]:
    """A function of the rule's arguments, in their order: whether all are in its domain."""
    names = [f"a{number}" for number in range(len(rule.parameters))]
    tests, namespace = domain_tests(rule, names)
    tree = syntax.function("inside", names, [syntax.give(syntax.all_of(*tests))])
    return syntax.defined(tree, "inside", "<domain of a rule>", namespace)


def domain_tests(rule: Rule, names: Sequence[str]) -> tuple[list[ast.expr], dict[str, Any]]:
    """For each of the variables `names` the question whether it is in the domain, and what those questions name."""
    namespace: dict[str, Any] = {"_Meta": TensorMeta, "_type": type, "_len": len}  # parameters may be called `type`
    tests: list[ast.expr] = []
    for number, (name, parameter) in enumerate(zip(names, rule.parameters, strict=True)):
        kinds = frozenset(rule.domain.kinds.get(parameter, ()))
        if "tensor" in kinds:
            namespace[f"_dtypes_{number}"] = _dtypes(rule.domain, parameter)
        if layouts := layouts_of(rule.domain, parameter):
            namespace[f"_lies_{number}"] = lambda meta, layouts=layouts: layout_class(meta) in layouts
        if kinds != ONLY_TENSORS:
            namespace[f"_check_{number}"] = check_of(rule, parameter)
        if not kinds.isdisjoint(EXACT_KINDS.values()):
            namespace[f"_types_{number}"] = _exact_types(rule, parameter)
        tests.append(_test(kinds, rule.domain.ranks.get(parameter, ()), layouts, name, number))
    return tests, namespace


def _test(kinds: frozenset[str], ranks: Sequence[int], layouts: frozenset[str], name: str, number: int) -> ast.expr:
    value = syntax.name(name)
    others = [syntax.call(f"_check_{number}", value)]
    if not kinds.isdisjoint(EXACT_KINDS.values()):
        others.insert(0, syntax.compared(syntax.call("_type", value), ast.In(), syntax.name(f"_types_{number}")))
    if "tensor" not in kinds:
        return syntax.any_of(*others)
    dtypes = syntax.name(f"_dtypes_{number}")
    tensor = [
        syntax.attribute(value, "plain"),
        syntax.compared(syntax.attribute(value, "dtype"), ast.In(), dtypes),
        _has_rank(value, min(ranks, default=0), max(ranks, default=-1)),
    ]
    if layouts:
        lies = syntax.call(f"_lies_{number}", value)
        quick = [syntax.attribute(value, "contiguous")] if ROW_MAJOR in layouts else []
        tensor.append(syntax.any_of(*quick, lies))
    if kinds == ONLY_TENSORS:
        return syntax.all_of(is_meta(value), *tensor)
    if kinds.isdisjoint(FLAGGED):
        return syntax.choice(is_meta(value), syntax.all_of(*tensor), syntax.any_of(*others))
    # Tensors that are not plain need the full check.
    return syntax.any_of(syntax.all_of(is_meta(value), *tensor), *others)


def is_meta(value: ast.expr) -> ast.expr:
    """The question whether an argument is a tensor."""
    return syntax.compared(syntax.call("_type", value), ast.Is(), syntax.name("_Meta"))


def _has_rank(tensor: ast.expr, least: int, most: int) -> ast.expr:
    rank = syntax.call("_len", syntax.attribute(tensor, "shape"))
    if least == most:
        return syntax.compared(rank, ast.Eq(), syntax.constant(most))
    bounds = [syntax.constant(least), syntax.constant(most)]
    return ast.Compare(bounds[0], [ast.LtE(), ast.LtE()], [rank, bounds[1]], **syntax.HERE)


def _dtypes(domain: Domain, parameter: str) -> frozenset[torch.dtype]:
    return frozenset(DTYPE_BY_NAME[text] for text in domain.dtypes.get(parameter, ()) if text in DTYPE_BY_NAME)


def layouts_of(domain: Domain, parameter: str) -> frozenset[str]:
    """The layout classes to which a parameter is bound; none: to nothing."""
    layouts = frozenset(domain.layouts.get(parameter, ()))
    return (
        frozenset() if layouts.issuperset(classes_up_to(max(domain.ranks.get(parameter, ()), default=0))) else layouts
    )


def choices_of(rule: Rule, parameter: str) -> frozenset[str]:
    """The words and the like to which a parameter is bound; none: to nothing."""
    choices = frozenset(rule.domain.choices.get(parameter, ()))
    return frozenset() if choices and reads(rule, parameter) else choices


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
    dtypes, layouts = _dtypes(domain, parameter), layouts_of(domain, parameter)
    conjugates, negatives = "conj" in kinds, "neg" in kinds
    choices = choices_of(rule, parameter)
    devices = not kinds.isdisjoint(("none", "device", "str"))  # all are the CPU then, however it was spelled
    tensors, whole, lists = "tensor" in kinds, "ints" in kinds, "list" in kinds

    def tensor(meta: TensorMeta) -> bool:
        if meta.dtype not in dtypes or not least <= len(meta.shape) <= most:
            return False
        if layouts and (meta.stride is None or layout_class(meta) not in layouts):
            return False
        return meta.plain or (
            meta.stride is not None
            and meta.device == CPU
            and not meta.is_inference
            and (conjugates or not meta.is_conj)
            and (negatives or not meta.is_neg)
        )

    def check(value: Any) -> bool:
        if whole and isinstance(value, tuple):
            for part in value:
                if type(part) not in WHOLE:
                    break
            else:  # most are such
                return True
        if lists and isinstance(value, tuple):
            for part in value:
                if type(part) is not TensorMeta or not tensor(part):
                    break
            else:
                return True
        if type(value) is TensorMeta:
            return tensors and tensor(value)
        if type(value) is torch.device:
            return value.type == CPU.type and devices
        kind = kind_in_domain(value)
        if kind not in kinds:
            return False
        if kind == "list":
            return all(part is None or tensor(part) for part in value)
        if choices and isinstance(value, CHOSEN):
            return (value if type(value) is str else str(value)) in choices
        return True

    return check
