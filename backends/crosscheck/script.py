"""Standalone scripts: one difference as a program that imports only torch, and fails as long as the difference exists.

Custom operators and compilers written in Python are copied into the script, with what they need of their module and
nothing else; operators from C++ are loaded from their library.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.node import map_arg
from torch.utils._pytree import tree_map

from backends.crosscheck.calls import ConcreteCall, attempt, is_plain, single
from backends.crosscheck.compare import CrosscheckDifference
from backends.crosscheck.gradients import CallInTraining
from backends.crosscheck.objects import ObjectTexts
from backends.crosscheck.process_state import STATE
from backends.crosscheck.script_bodies import BODIES, EXPECTED, FACTS, FOUND, PREPARATIONS
from backends.crosscheck.surrounding import SURROUNDING, surrounding_text
from backends.crosscheck.sweep import (
    OTHER_SEED,
    SEEDS,
    CrosscheckTrial,
    Variation,
    call_in_place,
    call_with_out,
    relaid,
    seed_state,
    with_other_values,
)
from backends.crosscheck.text import CannotWrite, ScriptText, begin_of, memory_text, name_text, text_of
from backends.eager import EXPRESSIONS
from passes.node_meta import STACK_TRACE, stack_trace_of
from passes.operators.modes import Modes
from passes.printable import printable

TEMPLATE: Final = '''"""{title}

{about}
Imports only torch and what the definitions below need; fails by its assertion as long as the difference is there.
"""

import torch
{definitions}
nan, inf = float("nan"), float("inf")


{program}

def inputs():
{inputs}


def seed():
    """The random numbers that each run begins with."""
    {seed}


def wide(value):
    """In float64, contiguous, in memory of its own."""
    dtype = torch.complex128 if value.is_complex() else torch.float64 if value.is_floating_point() else value.dtype
    return value.to(dtype).contiguous().clone()


def observed(result, arguments):
    """The tensors of a result, then the arguments as they are now."""
    parts = []
    for part in result if isinstance(result, (tuple, list)) else [result]:
        parts += observed(part, []) if isinstance(part, (tuple, list)) else [part]
    return parts + [value for value in arguments if isinstance(value, torch.Tensor)]


def same(left, right):
    """Whether two values are equal in every element; NaN equals NaN."""
    if not isinstance(left, torch.Tensor):
        return left == right
    return left.shape == right.shape and bool(((left == right) | ((left != left) & (right != right))).all())

{candidate}
{modes}{body}'''
COMPILED: Final = '''
def compiled({parameter}):
    """What the candidate makes of the program, at its first call."""
    made = []

    def run(*values):
        if not made:
            made.append({compile})
        return made[0](*values)

    return run


candidate = compiled({argument})
'''
GRAPH: Final = '''
def graph_module():
    """The program as a graph, which the candidate compiles."""
    graph = torch.fx.Graph()
{lines}
    return torch.fx.GraphModule({held}, graph)

'''


def script(trial: CrosscheckTrial, variation: Variation, difference: CrosscheckDifference) -> str:
    """The text of the script. Raises CannotWrite, UnknownTarget."""
    call, varied, objects = trial.call, _varied(trial, variation), ObjectTexts()
    program = function("program", varied, objects)
    reference_name = "program"
    if varied.target is not call.target:
        program, reference_name = f"{program}\n\n{function('reference', call, objects)}", "reference"
    surrounding = SURROUNDING.get(variation.kind)
    if surrounding is not None:
        program += f"\n\n{surrounding_text(call, variation)}"
    run, candidate = _candidate_texts(trial, varied, objects)
    title = f"{call.title}: {difference.kind}, {variation.words}: {difference.what}: {difference.detail}"
    about = f"{_line_text(call)}Candidate: {trial.candidate.name}. torch {torch.__version__}."
    return TEMPLATE.format(
        title=_in_docstring("\n".join(textwrap.wrap(title, 110))),
        about=_in_docstring(about),
        definitions=objects.definitions(),
        program=program,
        inputs=textwrap.indent(input_lines(varied), "    "),
        seed=_seed_text(trial),
        candidate=candidate,
        modes=modes_text(trial.modes),
        body=_body(
            trial,
            variation,
            difference,
            varied,
            reference_name if surrounding is None else f"{surrounding}({reference_name})",
            run if surrounding is None else f"{surrounding}({run})",
        ),
    )


def _in_docstring(text: str) -> str:
    """A text that neither ends a docstring nor escapes anything in one, whatever names it has."""
    return printable(text).replace('"""', "'''").replace("\\", "/")


def _body(
    trial: CrosscheckTrial,
    variation: Variation,
    difference: CrosscheckDifference,
    varied: ConcreteCall,
    reference_name: str,
    run: str,
) -> str:
    """What the script does, once everything is defined."""
    call = trial.call
    count = len(call.tensors) if varied.target is not call.target else len(varied.tensors)
    widened = difference.kind in ("values", "gradient") and trial.right.wide
    inputs = "inputs()" if count == len(varied.tensors) else f"inputs()[:{count}]"
    is_laid_out = variation.kind == "layout" and difference.kind not in FACTS
    contiguous = "[value.contiguous().clone() for value in {}]" if is_laid_out else "{}"
    fact = FACTS.get(difference.kind, "{}")
    if difference.kind not in BODIES:
        raise CannotWrite(f"no script shows what a call leaves of {difference.what}")
    return BODIES[difference.kind].format(
        expected=EXPECTED.format(
            arguments=("[wide(value) for value in {}]" if widened else contiguous).format(inputs),
            index=difference.index,
            program=reference_name,
        ),
        found=FOUND.format(run=run, index=difference.index),
        prepare=PREPARATIONS.get(variation.kind, "").replace("{other_seed}", str(OTHER_SEED)),
        allowed=difference.allowed,
        index=difference.index,
        place=difference.place,
        kind=difference.kind,
        error=difference.detail.split(":")[0],
        run=run,
        program=reference_name,
        state=STATE[difference.where].text if difference.where else "",
        fact_found=fact.format("found"),
        fact_expected=fact.format("expected"),
    )


def _line_text(call: ConcreteCall) -> str:
    """The user's line, as a traceback shows it; for a graph, that of its last call that has one."""
    if call.line:
        return f"Captured from\n{call.line}\n"
    if not isinstance(call.target, GraphModule):
        return ""
    lines = [node.meta[STACK_TRACE] for node in call.target.graph.nodes if stack_trace_of(node)]
    return f"Captured from\n{lines[-1]}\n" if lines else ""


def _seed_text(trial: CrosscheckTrial) -> str:
    """The statement that puts the random numbers where the trial begins."""
    for number in SEEDS:
        if torch.equal(seed_state(number), trial.seed):
            return f"torch.manual_seed({number})"
    data = bytes(trial.seed.tolist()).hex()
    return f"torch.set_rng_state(torch.frombuffer(bytearray.fromhex({data!r}), dtype=torch.uint8))"


def modes_text(modes: Modes) -> str:
    """Statements that set the modes under which the difference shows; "" under the ordinary ones."""
    lines = []
    if modes.autocast:
        lines.append(f'torch.set_autocast_dtype("cpu", {modes.autocast_dtype})')
        lines.append('torch.set_autocast_enabled("cpu", True)')
    if modes.default_dtype is not torch.float32:
        lines.append(f"torch.set_default_dtype({modes.default_dtype})")
    return "".join(f"{line}\n" for line in lines)


def _varied(trial: CrosscheckTrial, variation: Variation) -> ConcreteCall:
    """The call as the variation makes it."""
    if variation.kind == "layout":
        moved = relaid(trial.call, variation.layout)
        return trial.call if moved is None else moved[0]
    if variation.kind == "other values":
        return with_other_values(trial.call) or trial.call
    if variation.kind == "out":
        prepared = call_with_out(trial, variation.layout)
        return trial.call if prepared is None else prepared[0]
    if variation.kind == "in-place":
        return call_in_place(trial, variation.layout) or trial.call
    return trial.call


def _candidate_texts(trial: CrosscheckTrial, varied: ConcreteCall, objects: ObjectTexts) -> tuple[str, str]:
    """The name of what the script runs, and the text that defines it if it is compiled."""
    candidate = trial.candidate
    if candidate.device is not None:
        raise CannotWrite("a difference on another device")
    if candidate.compiler is None:
        return "program", ""
    if isinstance(candidate.source, str):
        options = f", options={text_of(dict(candidate.compiler.options))}" if candidate.compiler.options else ""
        compile = f"torch.compile(program, backend={candidate.source!r}, fullgraph=True{options})"
        return "candidate", COMPILED.format(parameter="program", argument="program", compile=compile)
    module = varied.target
    if not isinstance(module, GraphModule):
        target = module.target if isinstance(module, CallInTraining) else module
        call = replace(varied, target=target)
        result = attempt(call.copied(), seed=trial.seed).result
        module, _ = single(call, result)
    lines = textwrap.indent("\n".join(_graph_lines(module, objects)), "    ")
    held = {name: ScriptText(text) for name, text in _held_texts(module, objects).items()}
    compile = f"{objects.expression(candidate.source)}(module, list(values))"
    compiled = COMPILED.format(parameter="module", argument="graph_module()", compile=compile)
    return "candidate", GRAPH.format(lines=lines, held=text_of(held)) + compiled


def _held_texts(module: GraphModule, objects: ObjectTexts) -> dict[str, str]:
    """The constants that a graph holds, by name."""
    names = [str(node.target) for node in module.graph.nodes if node.op == "get_attr"]
    return {name: objects.expression(attrgetter(name)(module)) for name in names}


def _graph_lines(module: GraphModule, objects: ObjectTexts) -> list[str]:
    """Statements that build a graph, which is called `graph`."""
    texts: dict[Any, ScriptText] = {}
    lines: list[str] = []

    def written(value: Any) -> str:
        return text_of(map_arg(value, lambda used: texts[used]))

    for node in module.graph.nodes:
        texts[node] = ScriptText(f"{name_text(node.name)}_")  # no name of the script's own
        if node.op == "output":
            lines.append(f"graph.output({written(tuple(node.args[0]))})")
        elif node.op == "placeholder":
            lines.append(f"{texts[node]} = graph.placeholder({node.name!r})")
        elif node.op == "get_attr":
            lines.append(f"{texts[node]} = graph.get_attr({node.target!r})")
        elif node.op == "call_method":
            arguments = f"{written(tuple(node.args))}, {written(dict(node.kwargs))}"
            lines.append(f"{texts[node]} = graph.call_method({node.target!r}, {arguments})")
        elif node.op == "call_function":
            arguments = f"{written(tuple(node.args))}, {written(dict(node.kwargs))}"
            lines.append(f"{texts[node]} = graph.call_function({objects.expression(node.target)}, {arguments})")
        else:
            raise CannotWrite(f"{node.name} is a {node.op} node, which has no text")
    return lines


def function(name: str, call: ConcreteCall, objects: ObjectTexts) -> str:
    """The call as a function of its tensors (for a graph: of its inputs)."""
    if isinstance(call.target, GraphModule):
        return graph_function(name, call.target, objects)
    names = {id(tensor): f"input_{index}" for index, tensor in enumerate(call.tensors)}
    text = call_text(
        "call_method" if isinstance(call.target, str) else "call_function",
        call.target,
        tree_map(lambda leaf: ScriptText(names[id(leaf)]) if isinstance(leaf, Tensor) else leaf, call.args),
        tree_map(lambda leaf: ScriptText(names[id(leaf)]) if isinstance(leaf, Tensor) else leaf, call.kwargs),
        objects,
    )
    return f"def {name}({', '.join(names.values())}):\n    return {text}\n"


def graph_function(name: str, module: GraphModule, objects: ObjectTexts) -> str:
    """The graph as a function, with a line for each call."""
    lines: list[str] = []
    texts: dict[Any, ScriptText] = {}

    def written(value: Any) -> Any:
        return map_arg(value, lambda used: texts[used])

    parameters = [node.name for node in module.graph.nodes if node.op == "placeholder"]
    for node in module.graph.nodes:
        texts[node] = ScriptText(name_text(node.name))
        if node.op == "output":
            lines.append(f"return {text_of(tuple(written(node.args[0])))}")
        elif node.op in ("call_function", "call_method"):
            text = call_text(node.op, node.target, written(node.args), written(node.kwargs), objects)
            lines.append(f"{node.name} = {text}")
        elif node.op == "get_attr":
            lines.append(f"{node.name} = {objects.expression(attrgetter(str(node.target))(module))}")
        elif node.op != "placeholder":
            raise CannotWrite(f"{node.name} is a {node.op} node, which has no text")
    return f"def {name}({', '.join(parameters)}):\n" + textwrap.indent("\n".join(lines), "    ") + "\n"


def call_text(op: str, target: Any, args: Any, kwargs: Any, objects: ObjectTexts) -> str:
    """One call on texts and constants, as source. Raises CannotWrite, UnknownTarget."""
    words = [*map(text_of, args), *(f"{name_text(name)}={text_of(value)}" for name, value in kwargs.items())]
    if op == "call_method":
        return f"{words[0]}.{name_text(target)}({', '.join(words[1:])})"
    template = EXPRESSIONS.get(target) if getattr(target, "__hash__", None) else None
    if template and not kwargs and " = " not in template:
        return template.format(*(word if word.isidentifier() else f"({word})" for word in words))
    if target is getattr and len(args) == 2:
        return f"{words[0]}.{name_text(args[1])}"
    return f"{objects.expression(target)}({', '.join(words)})"


def input_lines(call: ConcreteCall) -> str:
    """The body of a function that makes the call's tensors, with the memory that they view."""
    values: Sequence[Any] = call.args if isinstance(call.target, GraphModule) else call.tensors
    lines: list[str] = []
    memories: dict[Any, str] = {}
    names: list[str] = []
    for value in values:
        if not isinstance(value, Tensor):
            names.append(text_of(value))
            continue
        if not is_plain(value):
            raise CannotWrite("a tensor that is not plain memory with strides")
        key = value.untyped_storage()._cdata, value.dtype
        if key not in memories:
            memories[key] = f"memory_{len(memories)}"
            lines.append(f"{memories[key]} = {memory_text(value, list(values))}")
        begin = begin_of(value, list(values))
        whole = value.is_contiguous() and value.untyped_storage().nbytes() == value.numel() * value.element_size()
        place = f"as_strided({tuple(value.shape)}, {tuple(value.stride())}, {value.storage_offset() - begin})"
        names.append(f"{memories[key]}.{f'reshape({tuple(value.shape)})' if whole else place}")
    lines.append(f"return [{', '.join(names)}]")
    return "\n".join(lines)
