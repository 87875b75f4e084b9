"""New equations for operators that take one (`ij,jk->ik`), and tensors that fit them.

An equation names the dimensions of each tensor in a list, and those of the result. Knows nothing of what an
operator does with them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from passes.infer.trials.strides import LAYOUTS, in_layout
from passes.meta import TensorMeta
from passes.rules.language import Undefined
from passes.rules.primitives.contractions import ELLIPSIS, labels_of

Draw = random.Random

LETTERS: Final = "abcdxyXY"
SIZES: Final = (1, 2, 2, 3, 3, 4, 5)
RARELY, SOMETIMES, OFTEN = 0.1, 0.3, 0.8
MOST_LABELS: Final = 4  # of one tensor


def with_another_output(equation: str, draw: Draw) -> str | None:
    """The equation with another result: its labels in another order, without one of them, or implied."""
    left, _, right = equation.partition("->")
    try:
        labels = labels_of(right)
    except Undefined:
        return None
    if draw.random() < RARELY:
        return left
    shuffled = draw.sample(labels, len(labels))
    return f"{left}->{''.join(shuffled if draw.random() < OFTEN else shuffled[1:])}"


def with_other_tensors(metas: Sequence[TensorMeta], draw: Draw) -> tuple[str, list[TensorMeta]]:
    """Another equation, and tensors that fit it; apart from shape and strides each is like one of `metas`."""
    sizes = {label: draw.choice(SIZES) for label in LETTERS}
    more = [draw.choice(SIZES) for _ in range(2)]  # sizes that the ellipsis stands for
    letters = draw.sample(LETTERS, draw.randint(1, 5))
    sides: list[list[str]] = []
    tensors: list[TensorMeta] = []
    for _ in range(draw.choice((1, 2, 2, 2, 3))):
        labels = [draw.choice(letters) for _ in range(draw.randint(1, MOST_LABELS))]
        if draw.random() < OFTEN:  # else a label may be there twice: a diagonal
            labels = list(dict.fromkeys(labels))
        shape = [1 if labels.count(x) == 1 and draw.random() < RARELY else sizes[x] for x in labels]
        if draw.random() < SOMETIMES:
            place = draw.randint(0, len(labels))
            shape[place:place] = more[draw.randint(0, len(more)) :]
            labels.insert(place, ELLIPSIS)
        sides.append(labels)
        tensors.append(_shaped(draw.choice(metas), tuple(shape), draw))
    left = ",".join("".join(labels) for labels in sides)
    all_labels = sorted({label for labels in sides for label in labels})
    right = draw.sample(all_labels, draw.randint(0, len(all_labels)))
    return (left if draw.random() < RARELY else f"{left}->{''.join(right)}"), tensors


def _shaped(meta: TensorMeta, shape: tuple[int, ...], draw: Draw) -> TensorMeta:
    """A tensor of this shape, row-major or in any layout."""
    plain = meta.replace(shape=shape, stride=(0,) * len(shape), storage_offset=0)
    layout = "row-major" if draw.random() < SOMETIMES else draw.choice(tuple(LAYOUTS))
    return in_layout(plain, layout, draw) or in_layout(plain, "row-major", draw) or plain
