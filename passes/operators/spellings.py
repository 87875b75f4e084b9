"""One operator, many spellings: what torch's aliases, Python's operators and parameters mean in torch's own names.

The one table of names that mean the same. Aliases are those that torch's documentation calls "Alias for", as in
torch/csrc/jit/passes/normalize_ops.cpp; parameters those of torch/csrc/utils/python_arg_parser.cpp.
"""

from __future__ import annotations

from typing import Final

_ALIASES: Final = """
    absolute=abs arccos=acos arccosh=acosh arcsin=asin arcsinh=asinh arctan=atan arctan2=atan2 arctanh=atanh clip=clamp
    divide=div fix=trunc ger=outer greater=gt greater_equal=ge less=lt less_equal=le moveaxis=movedim multiply=mul
    negative=neg not_equal=ne subtract=sub swapaxes=transpose swapdims=transpose true_divide=div
    """
_OF_LISTS: Final = "concat=cat concatenate=cat"
_OPERATORS: Final = """
    abs=abs add=add and=bitwise_and eq=eq floordiv=floor_divide ge=ge gt=gt invert=bitwise_not le=le lt=lt matmul=matmul
    mod=remainder mul=mul ne=ne neg=neg or=bitwise_or pos=positive pow=pow radd=add rmul=mul sub=sub truediv=div
    xor=bitwise_xor
    """
_IN_PLACE: Final = ("add", "and", "floordiv", "mod", "mul", "or", "pow", "sub", "truediv", "xor")


def _pairs(text: str) -> dict[str, str]:
    return {name: meant for name, _, meant in (pair.partition("=") for pair in text.split())}


# Alias by alias what torch calls the operator, in-place variants included. All take `self` first.
ALIASES: Final = _pairs(_ALIASES) | {f"{alias}_": f"{name}_" for alias, name in _pairs(_ALIASES).items()}
# What each of Python's operators on tensors is in torch, without the underscores: `truediv` is div, `iadd` is add_.
OPERATORS: Final = _pairs(_OPERATORS) | {f"i{name}": f"{_pairs(_OPERATORS)[name]}_" for name in _IN_PLACE}
SPELLINGS: Final = {**ALIASES, **_pairs(_OF_LISTS), **OPERATORS, "and_": "bitwise_and", "or_": "bitwise_or"}
# What Python calls parameters beside the names that schemas have. Any of them may be a schema's own name elsewhere.
PARAMETERS: Final = {
    "axis": "dim",
    "keepdims": "keepdim",
    "input": "self",
    "x": "self",
    "a": "self",
    "x1": "self",
    "x2": "other",
}


def canonical(name: str) -> str:
    """What torch's schemas call the operator of this name: `divide`, `__truediv__` and `truediv` are all `div`.

    A name without other spellings stays as it is, special methods that are no operator among them.
    """
    bare = name[2:-2] if name.startswith("__") and name.endswith("__") else name
    return SPELLINGS.get(bare, name)
