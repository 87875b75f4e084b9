"""`python -m tracer why`: what a capture does with a call of one function, and which file says so."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tracer.commands.printing import JsonOption, print_json, say
from tracer.interpret.explain_call import explain_call


def why(
    name: Annotated[str, typer.Argument(help="Its dotted name, such as torch.nn.functional.relu or str.join.")],
    as_json: JsonOption = False,
) -> None:
    """Say what a capture does with a call of a function: interpreted, an operator, replaced, or a graph break."""
    explanation = explain_call(name)
    if as_json:
        print_json(asdict(explanation))
    else:
        say(str(explanation))
