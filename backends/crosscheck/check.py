"""The check itself: from a graph, its inputs and a candidate to a CrosscheckReport.

Torch's operators are checked one by one, as the graph calls them. A compiler compiles the whole graph; if the result is
wrong, bisection finds the operator that causes it. Each finding is shrunk and written as a script.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_flatten

from backends.crosscheck.bisection import fewest, first_wrong
from backends.crosscheck.calls import REFUSALS, ConcreteCall, attempt
from backends.crosscheck.candidates import CompilerCandidate
from backends.crosscheck.compare import CrosscheckDifference, error_words, stale
from backends.crosscheck.contents import (
    ONLY_IF_TORCH_IS_RIGHT,
    differentiated_contents,
    joined_inputs,
    other_contents,
)
from backends.crosscheck.gradients import MANNERS
from backends.crosscheck.operators import UNINITIALISED, is_registered, is_torchs, name_of
from backends.crosscheck.reference import reference, shares_memory
from backends.crosscheck.report import CrosscheckFinding, CrosscheckReport, ending, refuse_inside_a_script, write
from backends.crosscheck.script import script
from backends.crosscheck.shrink import shrunk
from backends.crosscheck.sizes import other_sizes
from backends.crosscheck.sweep import PLAIN, THOROUGH, CrosscheckTrial, Variation, seeded, sweep
from backends.crosscheck.text import CannotWrite
from backends.crosscheck.walk import calls_of, copied_inputs, part, snapshot, steps, undisturbed
from backends.handover import BadOptions
from passes.node_meta import stack_trace_of
from passes.operators.modes import sets_modes
from passes.operators.targets import UnknownTarget

Progress = Callable[[int, int, str], None]
# What a compiler's whole graph is put through.
WHOLE: Final = tuple(map(Variation, ("values", "repeat", "poison", "other values", "threads", "python thread")))
TRAINED: Final = (Variation("training"), *(Variation("gradients", manner) for manner in ("", *MANNERS)))
POISONED: Final = Variation("poison")
REPEATED: Final = Variation("repeat")
DECLARED: Final = Variation("writes")
WHOLE_LAYOUTS: Final = tuple(
    Variation("layout", layout) for layout in ("transposed", "sliced", "offset", "expanded", "channels-last")
)
REPEATS: Final = 1  # how often an operator that is called alike again and again is put through the whole sweep


@dataclass(frozen=True)
class CrosscheckSettings:
    """How much is checked. `operators`: one by one (None: unless the candidate compiles). `most`: stop at so many
    findings.

    `layouts`: the sweep over layouts, `out=`, in place and threads. `sizes`: a compiled graph with sizes of 0, of 1 and
    large ones. `contents`: a compiled graph with equal elements, zeros of both signs, large numbers, NaN, infinities,
    negative integers, extreme bytes, masks of one value, and with one tensor or one memory for two inputs. `gradients`:
    those of a compiled graph too, if its inputs require them. `shrink`: seconds to spend on shrinking a finding; 0
    leaves it as it is, without a script. `verify`: run each script. `folder`: the folder for scripts (None: temporary
    files).
    """

    layouts: bool = True
    sizes: bool = True
    contents: bool = True
    operators: bool | None = None
    gradients: bool = True
    most: int = 1
    shrink: float = 30.0
    verify: bool = True
    folder: str | Path | None = None
    progress: Progress | None = None


OWN: Final = ("candidate", "candidate_options", "device", "dtype", "report", "check_gradients")
SETTINGS: Final = tuple(CrosscheckSettings.__dataclass_fields__)


def settings_of(options: Mapping[str, Any]) -> CrosscheckSettings:
    """The settings. Raises BadOptions for names that are not settings."""
    unknown = [name for name in options if name not in SETTINGS]
    if unknown:
        raise BadOptions(
            f"crosscheck has no option {', '.join(map(repr, unknown))}; its options: {', '.join((*OWN, *SETTINGS))}"
        )
    return CrosscheckSettings(**options)


def check(
    module: GraphModule, inputs: Sequence[Any], candidate: CompilerCandidate, settings: CrosscheckSettings
) -> CrosscheckReport:
    """Check the candidate on this graph with these inputs, which are not changed; neither are random numbers or modes.

    Errors that the graph raises by itself pass through.
    """
    begun = time.monotonic()
    report = CrosscheckReport(candidate.name, calls=len(calls_of(module.graph)))
    inputs = _in_dtype(inputs, candidate)
    with undisturbed():
        if candidate.compiles:
            _check_whole(module, inputs, candidate, settings, report)
        if settings.operators or (settings.operators is None and not candidate.compiles):
            _check_operators(module, inputs, candidate, settings, report)
        elif len(report.findings) < settings.most:
            _check_declarations(module, inputs, settings, report)
    report.untried = _untried(candidate, settings)
    report.seconds = time.monotonic() - begun
    return report


def _in_dtype(inputs: Sequence[Any], candidate: CompilerCandidate) -> list[Any]:
    """Copies of the inputs, in the candidate's dtype if it has one."""
    copies = copied_inputs(inputs)
    if candidate.dtype is None:
        return copies
    return [
        value.detach().to(candidate.dtype).requires_grad_(value.requires_grad)
        if isinstance(value, Tensor) and value.is_floating_point()
        else value
        for value in copies
    ]


def _untried(candidate: CompilerCandidate, settings: CrosscheckSettings) -> list[str]:
    """What such a check does not look for."""
    untried: list[str] = []
    if not settings.layouts:
        untried.append("other layouts of inputs (layouts=True)")
    if candidate.compiles and not settings.operators:
        untried.append("other layouts of tensors inside of the graph (operators=True)")
    if candidate.compiles:
        untried.append("memory that compiled code allocates without torch")
    if candidate.compiles and not settings.sizes:
        untried.append("other sizes (sizes=True)")
    if candidate.compiles and not settings.contents:
        untried.append("values that are treated in a way of their own, such as NaN and equal ones (contents=True)")
    if candidate.compiles and not settings.gradients:
        untried.append("gradients (gradients=True)")
    return untried


# One by one -----------------------------------------------------------------------------------------


def _check_operators(
    module: GraphModule,
    inputs: Sequence[Any],
    candidate: CompilerCandidate,
    settings: CrosscheckSettings,
    report: CrosscheckReport,
) -> None:
    seen: dict[Any, int] = {}
    for step in steps(module, inputs):
        if settings.progress:
            settings.progress(report.checked, report.calls, step.call.title)
        report.checked += 1
        if not _is_checkable(step.call):
            continue
        signature = _signature(step.call)
        seen[signature] = seen.get(signature, 0) + 1
        thorough = settings.layouts and seen[signature] <= REPEATS
        report.variations += len(PLAIN) + (len(THOROUGH) if thorough else 0)
        trial = CrosscheckTrial(step.call, candidate, step.seed)
        try:
            difference = next(sweep(trial, thorough), None)
        except REFUSALS as error:
            report.notes.append(f"{step.node.name} ({step.call.title}) was not compared: {error_words(error)}")
            continue
        if trial.right.outcome.error is not None:
            report.notes.append(
                f"{step.node.name} ({step.call.title}) was not run again: {error_words(trial.right.outcome.error)}"
            )
        if trial.remark:
            report.notes.append(f"{step.node.name} ({step.call.title}): {trial.remark}")
        if difference is None:
            continue
        if difference[0] not in PLAIN and candidate.device is None and not candidate.compiles and is_torchs(step.call):
            report.latent.append(_finding(trial, *difference, step.node.name, replace(settings, shrink=0.0)))
            continue
        report.findings.append(_finding(trial, *difference, step.node.name, settings))
        if len(report.findings) >= settings.most:
            return
    if any(name_of(ConcreteCall(node.target, ())) in UNINITIALISED for node in calls_of(module.graph)):
        difference = _stale(module, inputs, settings)
        report.findings.extend([] if difference is None else [difference])


def _check_declarations(
    module: GraphModule, inputs: Sequence[Any], settings: CrosscheckSettings, report: CrosscheckReport
) -> None:
    """Check what a compiler believes of operators that others registered."""
    if not any(is_registered(node.target) for node in calls_of(module.graph)):
        return
    for step in steps(module, inputs):
        trial = CrosscheckTrial(step.call, CompilerCandidate(), step.seed)
        difference = trial.examine(DECLARED) if is_registered(step.call.target) else None
        if difference is not None:
            report.findings.append(_finding(trial, DECLARED, difference, step.node.name, settings))
            if len(report.findings) >= settings.most:
                return


def _stale(module: GraphModule, inputs: Sequence[Any], settings: CrosscheckSettings) -> CrosscheckFinding | None:
    """The first operator whose result depends on memory that the graph allocated and did not fill.

    Searched for only if an output of the graph depends on such memory, because it may be filled later.
    """
    call = ConcreteCall(module, tuple(snapshot(list(inputs))), name="graph")
    undefined = reference(call, torch.get_rng_state()).undefined
    if not any(mask is not None and bool(mask.any()) for mask in undefined):
        return None
    state = torch.get_rng_state()
    plain = [attempt(step.call.copied(), seed=step.seed) for step in steps(module, inputs, fill=False)]
    torch.set_rng_state(state)
    poisoned = [(step, attempt(step.call.copied(), seed=step.seed)) for step in steps(module, inputs, fill=True)]
    for before, (step, after) in zip(plain, poisoned, strict=False):
        if name_of(step.call) in UNINITIALISED or step.call.target is operator.setitem or after.error is not None:
            continue
        difference = stale(step.call, before._replace(arguments=[]), step.call, after._replace(arguments=[]))
        views = any(_shares(part, after.arguments) for part in after.outputs)
        if difference is not None and not views:
            trial = CrosscheckTrial(step.call, CompilerCandidate(), step.seed)
            return _finding(trial, Variation("poison"), difference, step.node.name, replace(settings, shrink=0.0))
    return None


def _shares(part: Any, arguments: Sequence[Tensor]) -> bool:
    return isinstance(part, Tensor) and shares_memory([part, *arguments[:1]])


def _is_checkable(call: ConcreteCall) -> bool:
    """Whether the call computes something to compare: reading an attribute does not, nor does entering a mode."""
    return call.target is not getattr and not sets_modes(call.target)


def _signature(call: ConcreteCall) -> Any:
    """Equal for calls of one operator on tensors of equal shape, strides and dtype, with equal constants."""
    leaves, structure = tree_flatten((call.args, call.kwargs))
    facts = [
        (leaf.shape, leaf.stride() if leaf.layout is torch.strided else (), leaf.dtype)
        if isinstance(leaf, Tensor)
        else repr(leaf)
        for leaf in leaves
    ]
    return str(call.target), str(structure), str(facts)


# As a whole -----------------------------------------------------------------------------------------


def _check_whole(
    module: GraphModule,
    inputs: Sequence[Any],
    candidate: CompilerCandidate,
    settings: CrosscheckSettings,
    report: CrosscheckReport,
) -> None:
    call = ConcreteCall(module, tuple(snapshot(list(inputs))), name="graph")
    variations = [*WHOLE, *(WHOLE_LAYOUTS if settings.layouts else ())]
    if settings.gradients and torch.is_grad_enabled() and any(tensor.requires_grad for tensor in call.tensors):
        variations[1:1] = TRAINED
    trial = CrosscheckTrial(call, candidate, torch.get_rng_state())
    report.checked = report.calls if settings.operators is None else 0
    if trial.right.outcome.error is not None:
        raise trial.right.outcome.error
    for done, variation in enumerate(variations):
        if settings.progress:
            settings.progress(done, len(variations), f"whole graph {variation.words}")
        report.variations += 1
        try:
            difference = trial.examine(variation)
        except REFUSALS as error:
            report.notes.append(f"the graph {variation.words} was not compared: {error_words(error)}")
            continue
        if difference is not None:
            report.findings.append(_located(candidate, variation, difference, settings, trial))
            if len(report.findings) >= settings.most:
                return
    for kind, others in OTHER_CALLS.items():
        if all(getattr(settings, option) for option in OPTIONS[kind]) and len(report.findings) < settings.most:
            _check_others(kind, others(call), candidate, settings, report)


OTHER_CALLS: Final[dict[str, Callable[[ConcreteCall], Iterator[tuple[str, ConcreteCall]]]]] = {
    "size": other_sizes,
    "content": other_contents,
    "joined": joined_inputs,
    "slopes": differentiated_contents,
}
OPTIONS: Final = {
    "size": ("sizes",),
    "content": ("contents",),
    "joined": ("contents",),
    "slopes": ("contents", "gradients"),
}
REJECTABLE: Final = ("size", "joined")
"""What a compiler may reject, which is no wrong answer."""


def _check_others(
    kind: str,
    others: Iterator[tuple[str, ConcreteCall]],
    candidate: CompilerCandidate,
    settings: CrosscheckSettings,
    report: CrosscheckReport,
) -> None:
    """Check the graph, compiled anew, on other tensors."""
    for words, other in others:
        report.variations += 1
        variation, trial = Variation(kind, words), CrosscheckTrial(other, candidate, torch.get_rng_state())
        if words in ONLY_IF_TORCH_IS_RIGHT and not trial.is_right_in_torch:
            continue
        try:
            difference = trial.examine(variation)
        except REFUSALS as error:
            report.notes.append(f"the graph {variation.words} was not compared: {error_words(error)}")
            continue
        if difference is not None and not (difference.kind == "error" and kind in REJECTABLE):
            report.findings.append(_located(candidate, variation, difference, settings, trial))
            if len(report.findings) >= settings.most:
                return


def _located(
    candidate: CompilerCandidate,
    variation: Variation,
    difference: CrosscheckDifference,
    settings: CrosscheckSettings,
    whole: CrosscheckTrial,
) -> CrosscheckFinding:
    """The finding at the first operator that shows the difference."""
    module, inputs = whole.call.target, whole.call.args
    if variation.kind in ("values", "repeat"):
        # What hangs on unwritten memory, or is wrong at some calls only: one call of a part says little.
        variation = next((other for other in (POISONED, REPEATED) if whole.examine(other) is not None), variation)

    def wrong(call: ConcreteCall, seed: Tensor) -> bool:
        """A part that a compiler cannot compile says nothing of the whole that it can."""
        other = CrosscheckTrial(call, candidate, seed).examine(variation)
        return other is not None and (other.kind != "error" or difference.kind == "error")

    end = first_wrong(module, inputs, wrong)
    if end is None:
        return _finding(whole, variation, difference, "graph", settings)
    node = calls_of(module.graph)[end - 1]
    chosen = fewest(module, inputs, end, wrong, settings.shrink)
    with undisturbed():
        call, seed = part(module, inputs, chosen)
    trial = CrosscheckTrial(call, candidate, seed)
    again = trial.examine(variation) or difference
    return _finding(trial, variation, again, node.name, settings, node, chosen)


# What was found -------------------------------------------------------------------------------------


def _finding(
    trial: CrosscheckTrial,
    variation: Variation,
    difference: CrosscheckDifference,
    name: str,
    settings: CrosscheckSettings,
    node: Node | None = None,
    chosen: Sequence[Node] = (),
) -> CrosscheckFinding:
    """The finding, shrunk, with its script."""
    name_of_operator = trial.call.title if node is None else _title(node)
    line = trial.call.line if node is None else stack_trace_of(node)
    operators = [_title(one) for one in chosen] or [name_of_operator]
    text = path = verdict = why = None
    if settings.shrink > 0:
        trial, variation, difference = _small(trial, variation, difference, settings.shrink)
        try:
            refuse_inside_a_script()
            text = script(trial, variation, difference)
            path = write(text, name, settings.folder)
            if settings.verify:
                verdict, why = ending(path)
        except (CannotWrite, UnknownTarget) as error:
            why = str(error)
    shown = None if path is None else str(path)
    return CrosscheckFinding(name, name_of_operator, variation, difference, line, operators, text, shown, verdict, why)


def _small(
    trial: CrosscheckTrial, variation: Variation, difference: CrosscheckDifference, seconds: float
) -> tuple[CrosscheckTrial, Variation, CrosscheckDifference]:
    """The difference on the smallest call that shows it."""

    def differs(trial: CrosscheckTrial, variation: Variation) -> bool:
        try:
            again = trial.examine(variation)
        except REFUSALS:
            return False
        return again is not None and again.kind == difference.kind

    # Under the random numbers that the script will begin with, because what is shrunk may need them.
    trial = seeded(trial, lambda other: differs(other, variation))

    def shows(call: ConcreteCall, variation: Variation) -> bool:
        return differs(CrosscheckTrial(call, trial.candidate, trial.seed), variation)

    call, variation = shrunk(trial.call, variation, shows, seconds)
    small = CrosscheckTrial(call, trial.candidate, trial.seed)
    return small, variation, small.examine(variation) or difference


def _title(node: Node) -> str:
    return ConcreteCall(node.target if node.op != "call_module" else node.name, ()).title
