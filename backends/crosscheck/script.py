"""Standalone scripts: one difference as a program that imports only torch, and fails as long as the difference exists.

Custom operators and compilers written in Python are copied into the script, with what they need of their module and
nothing else; operators from C++ are loaded from their library.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.node import map_arg
from torch.utils._pytree import tree_map

from backends.crosscheck.calls import ConcreteCall, is_plain, span
from backends.crosscheck.compare import CrosscheckDifference
from backends.crosscheck.sources import definitions
from backends.crosscheck.sweep import CrosscheckTrial, Variation, call_in_place, call_with_out, relaid
from backends.eager import EXPRESSIONS
from passes.node_meta import STACK_TRACE, stack_trace_of
from passes.operators.targets import UnknownTarget, target_name

LITERALS: Final = 64  # elements that are written as numbers; more are written as bytes
TEMPLATE: Final = '''"""{title}

{about}
Imports only torch; ends with an error as long as the difference is there.
"""

import torch
{definitions}
nan, inf = float("nan"), float("inf")


{program}

def inputs():
{inputs}


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


{body}'''

EXPECTED: Final = """torch.manual_seed({seed})
arguments = {arguments}
expected = observed({program}(*arguments), arguments)[{index}]
"""
FOUND: Final = """torch.manual_seed({seed})
arguments = inputs()
found = observed({run}(*arguments), arguments)[{index}]
"""
ELEMENT: Final = """{expected}{prepare}{found}
wanted, got = expected.flatten()[{place}].item(), found.flatten()[{place}].item()
print(f"element {place} of {{list(found.shape)}}: {{got}} instead of {{wanted}}, off by {{abs(got - wanted)}}")
same = got == wanted or got != got and wanted != wanted or abs(got - wanted) <= {allowed!r}
assert same, "wrong value"
"""
FACT: Final = """{expected}wanted = {fact_expected}
{found}got = {fact_found}
print(got, "instead of", wanted)
assert got == wanted, "wrong {kind}"
"""
BODIES: Final = {
    "values": ELEMENT,
    "gradient": ELEMENT,
    "shape": FACT,
    "dtype": FACT,
    "strides": FACT,
    "aliasing": FACT,
    "outputs": FACT,
    "error": "{run}(*inputs())\n",
    "uninitialised": """{expected}
torch.use_deterministic_algorithms(True, warn_only=True)  # fills the memory that torch.empty gives
{found}
same = (found == expected) | (found.isnan() & expected.isnan())
print(f"{{int((~same).sum())}} of {{same.numel()}} elements come from uninitialised memory")
assert bool(same.all()), "uninitialised memory was read"
""",
    "nondeterministic": """results = []
for _ in range(20):
    torch.manual_seed({seed})
    arguments = inputs()
    results.append(torch.stack([part.double().sum() for part in observed({run}(*arguments), arguments)]))
print("sums of the results of 20 runs:", *(result.tolist() for result in results))
assert all(torch.equal(result, results[0]) for result in results), "not the same twice"
""",
    "slope": """leaves = [wide(value) for value in inputs()]
floating = [value for value in leaves if value.is_floating_point()]
directions = [torch.randn(value.shape, dtype=value.dtype) for value in floating]
weights = [torch.randn(part.shape, dtype=torch.float64) for part in observed({run}(*leaves), [])]

def value(step=0.0, gradients=False):
    moved = [leaf.clone() for leaf in leaves]
    varied = [leaf for leaf in moved if leaf.is_floating_point()]
    for leaf, direction in zip(varied, directions):
        leaf.add_(direction, alpha=step).requires_grad_(gradients)
    torch.manual_seed({seed})
    parts = observed({run}(*[leaf.clone() for leaf in moved]), [])
    return sum((part * weight).sum() for part, weight in zip(parts, weights) if part.is_floating_point()), varied

total, varied = value(gradients=True)
gradients = torch.autograd.grad(total, varied, allow_unused=True)
along = sum(float((g * h).sum()) for g, h in zip(gradients, directions) if g is not None)
errors = []
for step in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
    slope = float(value(step)[0] - value(-step)[0]) / (2 * step)
    errors.append(abs(slope - along) / max(abs(slope), abs(along), 1e-30))
    print(f"step {{step:.0e}}: slope {{slope:.9g}}, gradient along the direction {{along:.9g}}")
assert min(errors) < 1e-4, "the gradient is not the slope"
""",
    "outside": """torch.manual_seed({seed})
arguments, before = inputs(), inputs()
{run}(*arguments)
for now, then in zip(arguments, before):
    size = then.untyped_storage().nbytes() // then.element_size()
    outside = torch.ones(size, dtype=torch.bool)
    outside.as_strided(then.shape, then.stride(), then.storage_offset()).fill_(False)
    now, then = (value.as_strided((size,), (1,), 0)[outside] for value in (now, then))
    print("memory around the tensor:", now.tolist(), "was", then.tolist())
    assert torch.equal(now.nan_to_num(0.125), then.nan_to_num(0.125)), "written outside of the tensor"
""",
}
FACTS: Final = {
    "shape": "list({}.shape)",
    "dtype": "{}.dtype",
    "strides": "[stride for size, stride in zip({0}.shape, {0}.stride()) if size > 1]",
    "aliasing": "[{0}.untyped_storage()._cdata == value.untyped_storage()._cdata for value in {1}]",
    "outputs": "{}",
}
PREPARATIONS: Final = {"threads": "torch.set_num_threads(1 if torch.get_num_threads() > 1 else 2)\n"}


class CannotWrite(ValueError):
    """A call that cannot be written as text, because it takes an object that has no source text."""


def script(trial: CrosscheckTrial, variation: Variation, difference: CrosscheckDifference) -> str:
    """The text of the script. Raises CannotWrite, UnknownTarget."""
    call, varied = trial.call, _varied(trial, variation)
    index, place = difference.index, difference.place
    program = function("program", varied)
    reference_name = "program"
    if varied.target is not call.target:
        program, reference_name = f"{program}\n\n{function('reference', call)}", "reference"
    backward = variation.kind == "gradients"
    if backward:
        program += f"\n\n{gradient_function(call)}"
    run = _candidate_text(trial, "program")
    count = len(call.tensors) if varied.target is not call.target else len(varied.tensors)
    widened = difference.kind in ("values", "gradient") and trial.right.wide
    inputs = "inputs()" if count == len(varied.tensors) else f"inputs()[:{count}]"
    contiguous = "[value.contiguous().clone() for value in {}]" if variation.kind == "layout" else "{}"
    arguments = ("[wide(value) for value in {}]" if widened else contiguous).format(inputs)
    fact = FACTS.get(difference.kind, "{}")
    parts = {
        "expected": EXPECTED.format(
            seed=0,
            arguments=arguments,
            index=index,
            program=f"gradients({reference_name})" if backward else reference_name,
        ),
        "found": FOUND.format(seed=0, run=f"gradients({run})" if backward else run, index=index),
        "prepare": PREPARATIONS.get(variation.kind, ""),
        "allowed": difference.allowed,
        "place": place,
        "kind": difference.kind,
        "seed": 0,
        "run": run,
        "fact_found": fact.format("found", "arguments"),
        "fact_expected": fact.format("expected", "arguments"),
    }
    line = f"Captured from\n{call.line}\n" if call.line else ""
    if isinstance(call.target, GraphModule) and not line:
        lines = [node.meta[STACK_TRACE] for node in call.target.graph.nodes if stack_trace_of(node)]
        line = f"Captured from\n{lines[-1]}\n" if lines else ""
    title = f"{call.title}: {difference.kind}, {variation.words}: {difference.what}: {difference.detail}"
    return TEMPLATE.format(
        title="\n".join(textwrap.wrap(title, 110)).replace('"""', "'''").replace("\\", "/"),
        about=line.replace('"""', "'''").replace("\\", "/")
        + f"Candidate: {trial.candidate.name}. torch {torch.__version__}.",
        definitions=definitions(varied, trial.candidate),
        program=program,
        inputs=textwrap.indent(input_lines(varied), "    "),
        body=BODIES[difference.kind].format(**parts),
    )


def _varied(trial: CrosscheckTrial, variation: Variation) -> ConcreteCall:
    """The call as the variation makes it."""
    if variation.kind == "layout":
        moved = relaid(trial.call, variation.layout)
        return trial.call if moved is None else moved[0]
    if variation.kind == "out":
        prepared = call_with_out(trial, variation.layout)
        return trial.call if prepared is None else prepared[0]
    if variation.kind == "in-place":
        return call_in_place(trial, variation.layout) or trial.call
    return trial.call


def _candidate_text(trial: CrosscheckTrial, program: str) -> str:
    candidate = trial.candidate
    if candidate.device is not None:
        raise CannotWrite("a difference on another device")
    if not candidate.compiles:
        return program
    if isinstance(candidate.source, str):
        return f"torch.compile({program}, backend={candidate.source!r}, fullgraph=True)"
    name = getattr(candidate.source, "__name__", None)
    if name is None:
        raise CannotWrite(f"the candidate {candidate.name} is not a function that can be copied into a script")
    return f"(lambda *values: {name}(torch.fx.symbolic_trace({program}), list(values))(*values))"


def function(name: str, call: ConcreteCall) -> str:
    """The call as a function of its tensors (for a graph: of its inputs)."""
    if isinstance(call.target, GraphModule):
        return graph_function(name, call.target)
    names = {id(tensor): f"input_{index}" for index, tensor in enumerate(call.tensors)}
    text = call_text(
        "call_method" if isinstance(call.target, str) else "call_function",
        call.target,
        tree_map(lambda leaf: ScriptText(names[id(leaf)]) if isinstance(leaf, Tensor) else leaf, call.args),
        tree_map(lambda leaf: ScriptText(names[id(leaf)]) if isinstance(leaf, Tensor) else leaf, call.kwargs),
    )
    return f"def {name}({', '.join(names.values())}):\n    return {text}\n"


def graph_function(name: str, module: GraphModule) -> str:
    """The graph as a function, with a line for each call."""
    lines: list[str] = []
    texts: dict[Any, ScriptText] = {}

    def written(value: Any) -> Any:
        return map_arg(value, lambda used: texts[used])

    parameters = [node.name for node in module.graph.nodes if node.op == "placeholder"]
    for node in module.graph.nodes:
        texts[node] = ScriptText(node.name)
        if node.op == "output":
            lines.append(f"return {text_of(tuple(written(node.args[0])))}")
        elif node.op in ("call_function", "call_method"):
            text = call_text(node.op, node.target, written(node.args), written(node.kwargs))
            lines.append(f"{node.name} = {text}")
        elif node.op != "placeholder":
            raise CannotWrite(f"{node.name} is a {node.op} node, which has no text")
    return f"def {name}({', '.join(parameters)}):\n" + textwrap.indent("\n".join(lines), "    ") + "\n"


def gradient_function(call: ConcreteCall) -> str:
    """The source of a function that turns a program into one that returns the gradients of its inputs."""
    wanted = [index for index, tensor in enumerate(call.tensors) if tensor.requires_grad]
    return textwrap.dedent(f"""\
        def gradients(program, wanted={tuple(wanted)}):
            def run(*values):
                leaves = [value.detach().clone().requires_grad_(index in wanted) for index, value in enumerate(values)]
                parts = observed(program(*[leaf.clone() for leaf in leaves]), [])
                results = [part for part in parts if part.requires_grad]
                weights = []
                for part in results:
                    generator = torch.Generator().manual_seed(part.numel())
                    weights.append(torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part.dtype))
                found = torch.autograd.grad(results, [leaves[index] for index in wanted], weights, allow_unused=True)
                return [torch.zeros_like(leaves[index]) if part is None else part for index, part in zip(wanted, found)]
            return run
        """)


class ScriptText(str):
    """A piece of source text, which is written into the script as it is."""

    __slots__ = ()


def call_text(op: str, target: Any, args: Any, kwargs: Any) -> str:
    """One call on texts and constants, as source. Raises CannotWrite, UnknownTarget."""
    words = [*map(text_of, args), *(f"{name}={text_of(value)}" for name, value in kwargs.items())]
    if op == "call_method":
        return f"{words[0]}.{target}({', '.join(words[1:])})"
    template = EXPRESSIONS.get(target) if getattr(target, "__hash__", None) else None
    if template and not kwargs and " = " not in template:
        return template.format(*(word if word.isidentifier() else f"({word})" for word in words))
    if target is getattr and len(args) == 2:
        return f"{words[0]}.{args[1]}"
    try:
        name = target_name(op, target)
    except UnknownTarget:
        if not hasattr(target, "__code__"):
            raise
        name = target.__name__
    return f"{name.removeprefix('builtins.')}({', '.join(words)})"


def text_of(value: Any) -> str:
    """The source of a constant, or of a structure of constants and texts. Raises CannotWrite."""
    if isinstance(value, ScriptText):
        return str(value)
    if isinstance(value, torch.Size):
        return text_of(tuple(value))
    if isinstance(value, tuple):
        inner = ", ".join(map(text_of, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{text_of(key)}: {text_of(part)}' for key, part in value.items())}}}"
    if isinstance(value, slice):
        return f"slice({text_of(value.start)}, {text_of(value.stop)}, {text_of(value.step)})"
    if isinstance(value, torch.device):
        return f"torch.device({str(value)!r})"
    if value is None or value is ... or isinstance(value, bool | int | float | complex | str):
        return "..." if value is ... else repr(value)
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        return str(value)
    raise CannotWrite(f"an argument is a {type(value).__name__}")


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
            lines.append(f"{memories[key]} = {_memory_text(value, list(values))}")
        begin = _begin(value, list(values))
        whole = value.is_contiguous() and value.untyped_storage().nbytes() == value.numel() * value.element_size()
        place = f"as_strided({tuple(value.shape)}, {tuple(value.stride())}, {value.storage_offset() - begin})"
        names.append(f"{memories[key]}.{f'reshape({tuple(value.shape)})' if whole else place}")
    lines.append(f"return [{', '.join(names)}]")
    return "\n".join(lines)


def _begin(value: Tensor, values: Sequence[Any]) -> int:
    """The first element of the storage that is written out: all of it if it is small, because its gaps matter."""
    return 0 if value.untyped_storage().nbytes() <= 1 << 16 else min(span(one)[0] for one in _together(value, values))


def _together(value: Tensor, values: Sequence[Any]) -> list[Tensor]:
    storage = value.untyped_storage()._cdata
    return [one for one in values if isinstance(one, Tensor) and one.untyped_storage()._cdata == storage]


def _memory_text(value: Tensor, values: Sequence[Any]) -> str:
    begin = _begin(value, values)
    whole = value.untyped_storage().nbytes() // value.element_size()
    end = whole if begin == 0 else max(span(one)[1] for one in _together(value, values))
    flat = value.detach().as_strided((end - begin,), (1,), begin).clone()
    dtype = f"dtype={flat.dtype}"
    if flat.numel() == 0:
        return f"torch.empty(0, {dtype})"
    if bool((flat == flat[0]).all()):
        return f"torch.full(({flat.numel()},), {flat[0].item()!r}, {dtype})"
    if flat.numel() <= LITERALS:
        numbers = flat.tolist()
        if not any(isinstance(number, complex) and not math.isfinite(abs(number)) for number in numbers):
            return f"torch.tensor({numbers!r}, {dtype})"
    data = bytes(flat.view(torch.uint8).tolist()) if flat.element_size() > 0 else b""
    return f"torch.frombuffer(bytearray.fromhex({data.hex()!r}), {dtype}).clone()"
