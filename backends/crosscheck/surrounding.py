"""What surrounds the program of a script in training: source of functions that run it with gradients recorded, or
backward. The same as in gradients.py, for a script that imports nothing of it.
"""

from __future__ import annotations

import textwrap
from typing import Final

from backends.crosscheck.calls import ConcreteCall
from backends.crosscheck.gradients import ALONE, EXPANDED, ONE_RESULT, SECOND_ORDER, TRANSPOSED, TWICE, differentiated
from backends.crosscheck.sweep import Variation

SURROUNDING: Final = {
    "gradients": "gradients",
    "slopes": "gradients",
    "training": "training",
    "python thread": "elsewhere",
}
"""Functions that a script calls the program by."""

ONCE: Final = "found = torch.autograd.grad(results, chosen, weights(results), allow_unused=True)"
GRADIENTS: Final[dict[str, str]] = {
    "": ONCE,
    ALONE: ONCE,
    EXPANDED: """ones = [part.new_ones(()).expand(part.shape) for part in results]
found = torch.autograd.grad(results, chosen, ones, allow_unused=True)""",
    TRANSPOSED: """swapped = [part.mT.contiguous().mT if part.dim() > 1 else part for part in weights(results)]
found = torch.autograd.grad(results, chosen, swapped, allow_unused=True)""",
    TWICE: """given = weights(results)
found = torch.autograd.grad(results, chosen, given, allow_unused=True, retain_graph=True)
others = [-part for part in given]
found, chosen = found + torch.autograd.grad(results, chosen, others, allow_unused=True), chosen * 2""",
    SECOND_ORDER: """slopes = torch.autograd.grad(results, chosen, weights(results), None, True, allow_unused=True)
slopes = [part for part in slopes if part is not None and part.requires_grad]
if slopes:
    found = torch.autograd.grad(slopes, chosen, weights(slopes), allow_unused=True)""",
    ONE_RESULT: "found = torch.autograd.grad(results[-1:], chosen, weights(results[-1:]), allow_unused=True)",
}

ELSEWHERE: Final = """\
import threading


def elsewhere(program):
    program(*inputs())  # is compiled in this thread

    def run(*values):
        results = []

        def call():
            try:
                results.append(program(*values))
            except Exception as error:
                results.append(error)

        seed()
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    return run
"""


def surrounding_text(call: ConcreteCall, variation: Variation) -> str:
    """The source of a function that turns a program into one that runs in another thread, or with gradients recorded;
    for "gradients" and "slopes", into one that returns those of its inputs.
    """
    if variation.kind == "python thread":
        return ELSEWHERE
    manner = variation.layout if variation.kind == "gradients" else ""
    wanted = differentiated(call, manner)
    text = textwrap.dedent(f"""\
        def training(program, wanted={wanted}):
            def run(*values):
                leaves = [value.detach().clone().requires_grad_(index in wanted) for index, value in enumerate(values)]
                return program(*[leaf.clone() for leaf in leaves])
            return run
        """)
    if variation.kind == "training":
        return text
    backward = textwrap.indent(GRADIENTS[manner], " " * 12)
    return f"""\
def weights(results):
    made = []
    for part in results:
        generator = torch.Generator().manual_seed(part.numel())
        made.append(torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part.dtype))
    return made


def gradients(program, wanted={wanted}):
    def run(*values):
        leaves = [value.detach().clone().requires_grad_(index in wanted) for index, value in enumerate(values)]
        results = [part for part in observed(program(*[leaf.clone() for leaf in leaves]), []) if part.requires_grad]
        chosen = [leaves[index] for index in wanted]
        found = [None] * len(chosen)
        if results:
{backward}
        return [torch.zeros_like(leaf) if part is None else part for leaf, part in zip(chosen, found)]
    return run
"""
