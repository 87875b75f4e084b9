"""The language of rules: expressions over named arguments, a small part of Python's, and its primitives.

    expression = name | constant | expression.fact | expression[constant] | primitive(expression, ...)
               | (expression, ...) | expression + - * // % expression | comparison | not, and, or
    fact       = shape | stride | storage_offset | dtype

A name is a parameter of the operator, `shape` (the output's own, in the answers to the other questions), `is_new`
(whether it has memory of its own), `i` (the number of an output among many alike) or `grad_mode`. A primitive is a
Python function registered here with the types of what it takes and gives; the types lead the search of passes/infer.
Rules come from files, so their text is checked against this grammar before Python compiles it: reading one
executes nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn, TypeVar

import torch

from passes.errors import RuleError

Function = TypeVar("Function", bound=Callable[..., Any])

FACTS: Final = frozenset(("shape", "stride", "storage_offset", "dtype", "is_conj", "is_neg"))
NODES: Final = (
    *(ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.Attribute, ast.Subscript, ast.Call),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.UnaryOp, ast.USub, ast.Not),
    *(ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
    *(ast.Is, ast.IsNot, ast.In, ast.NotIn),
)
# Types of expressions. A term of a type on the left can be used where one on the right is asked for.
SUBTYPES: Final = {
    "Tensor": ("Strided", "Operand"),
    "Product": ("Strided",),
    "Number": ("Operand",),
    "Int": ("Dims", "Number"),
    "Ints": ("Dims", "IntOrInts", "Permutation", "Numbers"),
}


NO_SPELLINGS: Final[Mapping[str, str]] = {}
DEEPEST: Final = 50  # levels of an expression; Python's compiler and what rewrites trees recurse
READ: Final = "Equation"  # the type of words that primitives take apart: an expression holds for any of them


class Undefined(Exception):
    """An expression has no value for these arguments: the rule does not speak of such a call."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """A function of the language. `takes` are types; a last one with `*` stands for any number."""

    name: str
    function: Callable[..., Any]
    takes: tuple[str, ...]
    gives: str

    @property
    def variadic(self) -> bool:
        """Whether the last parameter takes any number of arguments."""
        return bool(self.takes) and self.takes[-1].startswith("*")


PRIMITIVES: Final[dict[str, Primitive]] = {}


def primitive(signature: str) -> Callable[[Function], Function]:
    """Register a function of the language: `@primitive("Ints, Dims, Bool -> Ints")`."""
    takes, _, gives = signature.partition("->")

    def register(function: Function) -> Function:
        name = function.__name__
        types = tuple(part.strip() for part in takes.split(",") if part.strip())
        PRIMITIVES[name] = Primitive(name, function, types, gives.strip())
        return function

    return register


def undefined(why: str = "") -> NoReturn:
    """Raise Undefined: an expression has no value for these arguments."""
    raise Undefined(why)


# What rules may name besides parameters and primitives: torch's types.
CONSTANTS: Final[dict[str, Any]] = {
    name: value
    for name, value in vars(torch).items()
    if isinstance(value, torch.dtype | torch.memory_format | torch.layout)
}
CONSTANT_NAMES: Final = {value: name for name, value in sorted(CONSTANTS.items(), key=lambda pair: -len(pair[0]))}


@dataclass(frozen=True, slots=True)
class ParsedExpression:
    """An expression of the language: its tree, which nobody changes.

    `names` are those that it has to be given, `primitives` those of the functions that it calls.
    """

    tree: ast.expr
    names: frozenset[str]
    primitives: frozenset[str]


def check(text: str, names: frozenset[str], spellings: Mapping[str, str] = NO_SPELLINGS) -> None:
    """Raise RuleError, naming what is wrong and where, unless `text` is an expression of the language over `names`.

    `spellings` has the parameters that expressions write in another way than the operator does, with that way.
    """
    expression = parsed(text)
    if unknown := expression.names - names:
        first = min(unknown)
        nodes = (node for node in ast.walk(expression.tree) if isinstance(node, ast.Name) and node.id == first)
        if first in spellings:
            raise _error(text, next(nodes), f"the parameter {first!r} is written {spellings[first]!r} in expressions")
        raise _error(text, next(nodes), f"nothing is called {first!r}; the names are {', '.join(sorted(names))}")


@lru_cache(maxsize=1 << 12)  # rules say the same of many operators
def parsed(text: str) -> ParsedExpression:
    """The expression that a text is. Raises RuleError, with the column, for what is not of the language."""
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise RuleError(f"{text!r} is no expression: {error.msg}, column {error.offset}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nested deeper than Python parses
        raise RuleError(f"{text[:80]!r} is no expression: {error}") from error
    if _depth(tree) > DEEPEST:
        raise RuleError(f"{text[:80]!r} is no expression: it is nested deeper than {DEEPEST} levels")
    names: set[str] = set()
    functions: dict[int, str] = {}  # the names that are called, by their nodes, which are met after the calls
    for node in ast.walk(tree):
        if not isinstance(node, NODES):
            raise _error(text, node, f"{type(node).__name__} is not of the language of rules")
        if isinstance(node, ast.Attribute) and node.attr not in FACTS:
            raise _error(text, node, f"{node.attr!r} is no fact of a tensor; these are {sorted(FACTS)}")
        if isinstance(node, ast.Call):
            if node.keywords or not (isinstance(node.func, ast.Name) and node.func.id in PRIMITIVES):
                raise _error(text, node, f"{ast.unparse(node.func)!r} is no primitive")
            functions[id(node.func)] = node.func.id
        if isinstance(node, ast.Name) and id(node) not in functions and node.id not in CONSTANTS:
            names.add(node.id)
    return ParsedExpression(tree, frozenset(names), frozenset(functions.values()))


def _depth(tree: ast.AST) -> int:
    """The number of levels of a tree."""
    depth, level = 0, [tree]
    while level:
        depth, level = depth + 1, [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def _error(text: str, node: ast.AST, why: str) -> RuleError:
    column = getattr(node, "col_offset", None)
    return RuleError(f"{text!r}{'' if column is None else f', column {column + 1}'}: {why}")


def written(value: Any) -> str:
    """A constant as the language writes it."""
    if isinstance(value, tuple):
        return f"({''.join(written(part) + ', ' for part in value).strip()})" if value else "()"
    if isinstance(value, torch.dtype | torch.memory_format | torch.layout):
        return CONSTANT_NAMES[value]
    return repr(value)
