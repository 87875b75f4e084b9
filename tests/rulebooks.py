"""Small rulebooks for tests, written by hand: what rules say is the test's business, right or wrong."""

from pathlib import Path
from typing import Any

import pytest

from passes.rules.book import shipped_folder, write_rules, write_title
from passes.rules.rule import Domain, Output, Rule, always

needs_book = pytest.mark.skipif(not shipped_folder().exists(), reason="no rulebook is shipped for this torch")
"""For tests of the shipped rules."""

GRADIENT = "grad_mode and any_requires_grad(self)"
FACTS = {
    "alias": "new",
    "shape": "self.shape",
    "stride": "preserved(self)",
    "storage_offset": "0",
    "dtype": "self.dtype",
    "requires_grad": GRADIENT,
}
NUMBERS = ("int", "float", "bool", "none")


def rule(op: str, *parameters: str, level: str = "function", writes: Any = None, **facts: str) -> Rule:
    """A rule with one result, like its first tensor `self` apart from what `facts` say; any tensor is in its domain."""
    names = ("self", *parameters)
    output = Output(**{name: always(text) for name, text in (FACTS | facts).items()})
    return Rule(
        op=op,
        level=level,
        parameters=names,
        form=always("tensor_0"),
        outputs=(output,),
        writes={} if writes is None else {writes: Output(**{name: always(text) for name, text in FACTS.items()})},
        domain=Domain(
            ranks=dict.fromkeys(names, (0, 1, 2, 3, 4)),
            dtypes=dict.fromkeys(names, ("f32", "f64", "i64", "bool")),
            kinds={"self": ("tensor",), **dict.fromkeys(parameters, ("tensor", "ints", *NUMBERS))},
        ),
    )


def book(folder: Path, *rules: Rule) -> Path:
    """Write a book of these rules."""
    write_title(folder, made="by hand")
    for each in rules:
        write_rules(folder, each.op, each.level, [each])
    return folder


RELU = rule("torch.relu")
NEG = rule("torch.Tensor.neg")
TIMES = rule(
    "torch.Tensor.mul",
    "other",
    shape="broadcast(self, other)",
    stride="iterated(shape, self, other)",
    dtype="promoted(self, other)",
    requires_grad="grad_mode and any_requires_grad(self, other)",
)
RECIPROCAL = rule("torch.Tensor.reciprocal", dtype="floating(self.dtype)")
IN_PLACE = rule("torch.Tensor.mul_", "other", alias="same self", writes="self")
