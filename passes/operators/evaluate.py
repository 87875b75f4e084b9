"""Evaluator: the outcome of an operator call on metas, remembered for the next equal call.

Asks, in this order: the memo, what follows from the metas by themselves, the rules, a trial on the stand-ins
that catalogue.py names for the operator, and last a trial on fake tensors. Knows nothing of graphs or of who calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import torch

from passes.errors import RuleError
from passes.meta import CPU, QUANTIZED, TensorMeta
from passes.operators.argument_only import fact, may_be_fact, tensor_of_numbers
from passes.operators.catalogue import (
    contraction_work,
    device_fact,
    element_span,
    is_unknown_attribute,
    may_tell_by_name,
    operator_name,
    reads_values,
    written_unseen,
)
from passes.operators.data import MISPREDICTED, hangs_on_data, tells_of_data
from passes.operators.difference import outcome_difference
from passes.operators.hints import at_hints
from passes.operators.modes import Modes
from passes.operators.outcome import (
    Arguments,
    DataDependent,
    DictArg,
    Keywords,
    ListArg,
    New,
    NoFakeKernel,
    OpError,
    Outcome,
    SliceArg,
    Target,
    Trial,
    Unsupported,
    leaves,
)
from passes.operators.refusals import may_refuse_what_rules_allow
from passes.operators.stand_ins import ALTERNATING, REAL, FakeStandIns
from passes.operators.trial import attempt
from passes.operators.trials import AFFORDABLE, Trials, is_affordable, is_refused

# Answers for the calls it knows, None for the others. May raise OpError and DataDependent.
RuleFunction = Callable[[Target, Arguments, Keywords, Modes], Outcome | None]

# How each container that may be among the arguments is built of its parts.
CONTAINERS: Final[dict[type, Callable[[Iterable[Any]], Any]]] = {
    tuple: tuple,
    ListArg: ListArg,
    DictArg: DictArg,
    SliceArg: SliceArg._make,
    torch.Size: torch.Size,
}
CONTAINER_TYPES: Final = frozenset(CONTAINERS)
# Types of targets that are torch's or Python's own, and of names: what is known of one stays true.
LASTING: Final = frozenset((type(torch.add), type(torch.Tensor.add), torch._ops.OpOverload, tuple))
NO_BOOK: Final = "no rulebook is used"
UNALLOCATABLE: Final = 1 << 48  # elements that no machine has the memory for: a kernel refuses them at once
SYMBOLIC: Final = (torch.SymInt, torch.SymFloat, torch.SymBool)
SYMBOLIC_TABLE: Final = "_bytegraph_outcomes"  # the attribute of a ShapeEnv for outcomes with its symbols in them


class Book(Protocol):
    """A rulebook: answers as a RuleFunction does, and says why it does not."""

    def answer(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Outcome | None:
        """The outcome of a call, or None where the book says nothing about it."""
        ...

    def why_not(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> NoAnswer:
        """The operator of a call, and why `answer` gives None for it."""
        ...

    def quarantine(self, target: Target, reason: str, args: Arguments, kwargs: Keywords) -> object | None:
        """Answer no more calls of an operator, for this reason; None if there was no rule for it."""
        ...

    def is_told_by_metas(self, target: Target, args: Arguments, kwargs: Keywords) -> bool:
        """Whether calls of the operator were studied, and what none of them gave hung on the values in tensors."""
        ...


class EvaluatedCall(Protocol):
    """A call on metas, and its outcome."""

    @property
    def target(self) -> Target:
        """What is called."""
        ...

    @property
    def args(self) -> Arguments:
        """Its positional arguments."""
        ...

    @property
    def kwargs(self) -> Keywords:
        """Its keyword arguments."""
        ...

    @property
    def modes(self) -> Modes:
        """What it runs under."""
        ...

    @property
    def outcome(self) -> Outcome:
        """What it returns and changes."""
        ...


class NoAnswer(Protocol):
    """Why a book gave no answer: the operator as it calls it, and a few words."""

    @property
    def op(self) -> str:
        """The operator, as the book calls it."""
        ...

    @property
    def reason(self) -> str:
        """Why there is no answer, in a few words."""
        ...


@dataclass(slots=True)
class EvaluationCounts:
    """How many different calls rules predicted, and how often each operator had to be tried, by reason."""

    by_rules: int = 0
    trials: Counter[Trial] = field(default_factory=Counter[Trial])


class Evaluator:
    """Evaluates calls on metas, with a memo of its own. One is meant to serve a whole process.

    `rules` are functions; the rulebook, if there is one, is asked after them. `book` may be replaced; `open_book` gives
    it when it is first needed, or raises a RuleError, whose words `book_refusal` then has: no rule predicts anything.
    """

    def __init__(
        self,
        rules: Sequence[RuleFunction] = (),
        book: Book | None = None,
        open_book: Callable[[], Book | None] | None = None,
    ) -> None:
        self.tally = EvaluationCounts()
        self.on_quarantine: Callable[[Target, Arguments, str], object] = lambda target, args, reason: None
        self._rules = tuple(rules)
        self._book = book
        self._open_book = open_book
        self._known: dict[tuple[Any, ...], Outcome] = {}
        self._proven: dict[int, Outcome] = {}
        self._accepted: dict[int, Outcome] = {}
        self._errors: dict[tuple[Any, ...], Exception] = {}  # without tracebacks, whose frames hold the traced objects
        self._knowable: dict[Target, bool] = {}
        self._trials = Trials()
        self.book_refusal = ""
        self.book_was_replaced = False
        """Whether `book` is another than that which the evaluator was made with, or opens."""

    @property
    def book(self) -> Book | None:
        """The rulebook that is asked, if there is one; it is opened here when it is first needed."""
        if self._open_book is not None:
            opening, self._open_book = self._open_book, None
            try:
                self._book = opening()
            except RuleError as error:
                self.book_refusal = str(error)
        return self._book

    @book.setter
    def book(self, book: Book | None) -> None:
        """Ask another rulebook from now on; what was found with the one before is forgotten."""
        self._book, self._open_book = book, None
        self.book_refusal = ""
        self.book_was_replaced = True
        self.forget()

    def evaluate(self, target: Target, args: Arguments, kwargs: Keywords = (), modes: Modes = Modes()) -> Outcome:  # noqa: B008
        """What `target(*args, **kwargs)` returns and changes under `modes`, without running it on data.

        Raises OpError when the real call would raise, DataDependent when the answer depends on values,
        Unsupported when nobody here knows. The modes of the process in `modes` must be the current ones.
        """
        key = (target, modes, args, kwargs, kinds(args), kinds(kwargs) if kwargs else ())
        try:
            return self._known[key]
        except KeyError:
            shape_env = shape_env_of(args) or shape_env_of(kwargs)
            if shape_env is None:
                if key in self._errors:
                    raise OpError(self._errors[key]) from None
                outcome = self._known[key] = self._derive(target, args, kwargs, modes, None)
                return outcome
        except TypeError:  # a torch.SymInt cannot be hashed
            shape_env = shape_env_of(args) or shape_env_of(kwargs)
        return self._remembered_derivation(target, args, kwargs, modes, shape_env)

    def evaluate_once(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Outcome:
        """As `evaluate`, without remembering: for Python code called like an operator, which may be rewritten."""
        return self._derive(target, args, kwargs, modes, shape_env_of(args) or shape_env_of(kwargs))

    def evaluate_on_data(
        self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes, shape_env: Any
    ) -> Outcome:
        """What a call gives that is DataDependent for `evaluate`: new symbols of `shape_env` stand for data.

        Not remembered, as each such call has symbols of its own. Raises what `evaluate` does.
        """
        if operator_name(target) in MISPREDICTED:
            raise DataDependent(f"what {target!r} makes of data cannot be predicted")
        return self._on_data(FakeStandIns(shape_env, symbols_for_data=True), target, args, kwargs, modes)

    def _on_data(
        self, stand_ins: FakeStandIns, target: Target, args: Arguments, kwargs: Keywords, modes: Modes
    ) -> Outcome:
        """The outcome of a trial on sizes that hang on data, which rules do not know."""
        outcome = attempt(stand_ins, target, args, kwargs, modes)
        if tells_of_data(outcome):
            raise DataDependent(f"{target!r} tells a fact that hangs on the values in a tensor")
        trial = Trial(str(target), "sizes hang on data", True)
        return replace(self._completed(target, args, kwargs, modes, outcome), trial=trial)

    def probed(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Outcome:
        """What an operator without a fake kernel does, by running it on made-up numbers. Not remembered.

        It is run twice, on zeros and on zeros and ones. Raises NoFakeKernel where it fails on them or the two
        differ: what it returns hangs on values, then.
        """
        if shape_env_of(args) is not None or shape_env_of(kwargs) is not None:
            raise NoFakeKernel(str(target))
        try:
            outcome, again = (attempt(one, target, args, kwargs, modes) for one in (REAL, ALTERNATING))
        except (OpError, DataDependent, Unsupported) as error:
            raise NoFakeKernel(str(target)) from error
        if outcome_difference(outcome, again):
            raise NoFakeKernel(str(target))
        completed = self._completed(target, args, kwargs, modes, outcome)
        return replace(completed, trial=Trial(str(target), "no fake kernel: run on made-up numbers", False))

    def tried(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> tuple[Outcome, bool]:
        """What running the operator tells, whatever rules say, and whether it ran on real tensors. Not remembered.

        Real ones are used if their memory is affordable, and no size is a symbol.
        """
        shape_env = shape_env_of(args) or shape_env_of(kwargs)
        outcome, stand_ins = self._trials.attempted(target, args, kwargs, modes, shape_env, self._book, real_first=True)
        return self._completed(target, args, kwargs, modes, outcome), stand_ins is REAL

    def forget(self) -> None:
        """Drop the memo and the fake tensors' mode, as for a process that starts anew."""
        self._known.clear()
        self._proven.clear()
        self._accepted.clear()
        self._errors.clear()
        self._knowable.clear()
        self._trials.forget()

    def kernel_refuses(self, call: EvaluatedCall, otherwise: bool) -> bool:
        """Whether the real kernel refuses arguments of these shapes and types, whatever their values: it runs on zeros.

        `otherwise` is the answer for symbolic sizes if it takes those of the call that is captured. False if running
        it costs too much, or draws from a generator.
        """
        if id(call.outcome) in self._accepted:
            return False
        is_remembered = self.is_remembered(call)
        if otherwise and not is_remembered:
            return True
        args, kwargs = at_hints(call.args), at_hints(call.kwargs)
        operands = leaves((args, kwargs))
        metas = [leaf for leaf in operands if type(leaf) is TensorMeta]
        sized = [*metas, *(at_hints(leaf.meta) for leaf in call.outcome.tensors if type(leaf) is New)]
        if any(meta.device != CPU or meta.stride is None or meta.symbolic for meta in sized):
            return False
        if any(isinstance(operand, (torch.Generator, *SYMBOLIC)) for operand in operands):
            return False
        if AFFORDABLE < sum(map(element_span, sized)) < UNALLOCATABLE or contraction_work(metas, args) > 1:
            return False
        refused = is_refused(call.target, args, kwargs, call.modes)
        if refused is False and is_remembered:
            self._accepted[id(call.outcome)] = call.outcome
        return bool(refused)

    def is_remembered(self, call: EvaluatedCall) -> bool:
        """Whether the outcome, or the error, of such a call is remembered for all traces: no size is a symbol."""
        return shape_env_of(call.args) is None and shape_env_of(call.kwargs) is None

    def remember_error(self, call: EvaluatedCall, error: OpError) -> bool:
        """Raise `error` whenever such a call is evaluated; False if calls of its kind cannot be remembered."""
        target, args, kwargs = call.target, call.args, call.kwargs
        if not self.is_remembered(call):
            return False
        key = (target, call.modes, args, kwargs, kinds(args), kinds(kwargs) if kwargs else ())
        self._known.pop(key, None)
        self._errors[key] = error.original
        return True

    def is_proven(self, outcome: Outcome) -> bool:
        """Whether an outcome was tried, or a real call was seen to agree with it."""
        return outcome.trial is not None or id(outcome) in self._proven

    def prove(self, outcome: Outcome) -> None:
        """Note that a real call agreed with `outcome`. Sizes that are symbols are seen for one call only."""
        if not any(isinstance(leaf, New) and leaf.meta.symbolic for leaf in outcome.tensors):
            self._proven[id(outcome)] = outcome

    def quarantine(self, target: Target, args: Arguments, kwargs: Keywords, reason: str) -> object | None:
        """Ask the book no more about an operator, because one outcome was wrong, and forget all that it predicted."""
        if self._book is None:
            return None
        quarantined = self._book.quarantine(target, reason, args, kwargs)
        self.on_quarantine(target, args, reason)
        self._known = {key: outcome for key, outcome in self._known.items() if outcome.trial is not None}
        self._proven.clear()
        return quarantined

    def _remembered_derivation(
        self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes, shape_env: Any
    ) -> Outcome:
        outcomes = self._known if shape_env is None else shape_env.__dict__.setdefault(SYMBOLIC_TABLE, {})
        key = (target, modes, *_hashable((args, kwargs)), kinds(args), kinds(kwargs) if kwargs else ())
        try:
            outcome = outcomes.get(key)
        except TypeError as error:
            raise Unsupported(f"an argument of {target!r} cannot be hashed: {error}") from error
        if outcome is None:
            outcome = outcomes[key] = self._derive(target, args, kwargs, modes, shape_env)
        return outcome

    def _derive(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes, shape_env: Any) -> Outcome:
        knowable = self._may_be_known_without_rules(target)
        if knowable and (certain := _known_without_rules(target, args, kwargs, modes)) is not None:
            return certain
        if shape_env is not None and hangs_on_data((args, kwargs)):
            return self._on_data(self._trials.fakes(shape_env), target, args, kwargs, modes)
        outcome = self._ruled(target, args, kwargs, modes)
        if outcome is None and knowable and reads_values(target, args, kwargs):
            raise DataDependent(f"{target!r} reads the values of a tensor")
        if outcome is not None and vanishes(outcome):
            outcome = self._confirmed(target, args, kwargs, modes, shape_env, outcome)
        if outcome is None or may_refuse_what_rules_allow(target, args, kwargs, modes, outcome):
            outcome = self._tried(target, args, kwargs, modes, shape_env)
        return self._completed(target, args, kwargs, modes, outcome)

    def _may_be_known_without_rules(self, target: Target) -> bool:
        """Whether some calls are known without rule or trial; cached for targets that live as long as torch does."""
        if type(target) not in LASTING:
            return True
        answer = self._knowable.get(target)
        if answer is None:
            answer = self._knowable[target] = may_be_fact(target) or may_tell_by_name(target)
        return answer

    def _ruled(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Outcome | None:
        """What the rules say."""
        for rule in self._rules:
            outcome = rule(target, args, kwargs, modes)
            if outcome is not None:
                return outcome
        book = self.book
        if book is None:
            return None
        outcome = book.answer(target, args, kwargs, modes)
        if outcome is None or has_negative_size(outcome):  # then a trial says what the operator does
            return None
        self.tally.by_rules += 1
        return outcome

    def _confirmed(
        self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes, shape_env: Any, outcome: Outcome
    ) -> Outcome | None:
        """An outcome by which the call is left out of graphs, so that no run will ever show whether it is right.

        Symbols stand at their hints, so that torch's own kernels answer: those without data make copies of what those
        return as it is, so what they say is no proof against a rule.
        """
        positional, named = args, kwargs
        if shape_env is not None:
            positional, named = at_hints(args), at_hints(kwargs)
            shape_env = shape_env_of(positional) or shape_env_of(named)
        tried, stand_ins = self._trials.attempted(target, positional, named, modes, shape_env, self._book)
        if vanishes(tried):
            return outcome
        if stand_ins is not REAL and is_affordable(positional, named):
            try:
                tried, stand_ins = attempt(REAL, target, positional, named, modes), REAL
            except (OpError, DataDependent, Unsupported):
                return None  # it wants values that make sense
        if vanishes(tried):
            return outcome
        if stand_ins is REAL:
            self.quarantine(target, args, kwargs, "the result: another tensor instead of an argument itself")
        return None

    def _completed(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes, outcome: Outcome) -> Outcome:
        """`outcome` with the writes that only the operator's name tells of, and those that inference mode hides.

        Raises Unsupported for an operator that quantizes: torch's own stand-ins say that it gives ordinary numbers.
        """
        if any(type(leaf) is torch.dtype and leaf in QUANTIZED for leaf in leaves((args, kwargs))):
            raise Unsupported("the result is quantized")
        written = written_unseen(target, args, kwargs, outcome)
        if not written and not modes.inference and not any_inference(args) and not any_inference(kwargs):
            return outcome
        metas = [leaf for leaf in leaves((args, kwargs)) if type(leaf) is TensorMeta]
        if metas and (modes.inference or any(meta.is_inference for meta in metas)):
            written |= self._written_outside_inference(target, args, kwargs, modes)
        if written <= outcome.mutated.keys():
            return outcome
        mutated = {**{index: metas[index] for index in sorted(written)}, **outcome.mutated}
        return Outcome(outcome.result, mutated, outcome.trial)

    def _why(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes, fake: bool) -> Trial:
        """Why a call has to be tried."""
        if self._book is None:
            name = target[1] if type(target) is tuple else getattr(target, "__name__", type(target).__name__)
            return Trial(name, NO_BOOK, fake)
        refusal = self._book.why_not(target, args, kwargs, modes)
        return Trial(refusal.op, refusal.reason, fake)

    def _tried(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes, shape_env: Any) -> Outcome:
        """The outcome of a trial, with the reason why no rule predicted it."""
        outcome, stand_ins = self._trials.attempted(target, args, kwargs, modes, shape_env, self._book)
        trial = self._why(target, args, kwargs, modes, isinstance(stand_ins, FakeStandIns))
        self.tally.trials[trial] += 1
        return replace(outcome, trial=trial)

    def _written_outside_inference(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> set[int]:
        """The tensor arguments that the call writes to: in inference mode torch does not count writes."""
        plain_args, plain_kwargs = without_inference(args), without_inference(kwargs)
        outcome = self.evaluate(target, plain_args, plain_kwargs, modes._replace(inference=False, grad=False))
        return set(outcome.mutated)


def _known_without_rules(target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Outcome | None:
    """What the arguments and the name tell by themselves. Raises what `Evaluator.evaluate` does."""
    if fact_of := device_fact(target, args):
        return Outcome(fact_of(args[0]), {})
    if not kwargs and (answer := fact(target, args)) is not None:
        return Outcome(answer[0], {})
    if (meta := tensor_of_numbers(target, args, kwargs, modes)) is not None:
        return Outcome(New(meta), {})
    if is_unknown_attribute(target, args):
        raise Unsupported(f"attribute {args[1]!r} of a tensor")
    return None


def has_negative_size(outcome: Outcome) -> bool:
    """Whether a new tensor is said to have a size below zero, as no tensor has: rules compute what operators refuse."""
    shapes = (leaf.meta.shape for leaf in outcome.tensors if type(leaf) is New)
    return any(type(size) is int and size < 0 for shape in shapes for size in shape)


def vanishes(outcome: Outcome) -> bool:
    """Whether a call only gives back tensors that it was given."""
    if type(outcome.result) is New:
        return False
    tensors = outcome.tensors
    return bool(tensors) and not outcome.mutated and not any(isinstance(tensor, New) for tensor in tensors)


def kinds(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """The types of `arguments`, nested ones too: what tells 1 from 1.0 and True, which are equal keys.

    Containers are opened in the order in which they are met, and each one's length comes before its types.
    """
    types: list[Any] = []
    containers = [arguments]
    for container in containers:  # it grows
        types.append(len(container))
        for part in container:
            kind = type(part)
            types.append(kind)
            if kind in CONTAINER_TYPES:
                containers.append(part)
    return tuple(types)


def shape_env_of(arguments: Iterable[Any]) -> Any:
    """The ShapeEnv of the symbols among `arguments`, nested ones too, and in their metas; None if there are none."""
    for argument in arguments:
        kind = type(argument)
        if kind is TensorMeta:
            if argument.symbolic:
                return shape_env_of((*argument.shape, *(argument.stride or ()), argument.storage_offset))
        elif kind in CONTAINER_TYPES:
            if (shape_env := shape_env_of(argument)) is not None:
                return shape_env
        elif isinstance(argument, SYMBOLIC):
            return argument.node.shape_env
    return None


def any_inference(arguments: Iterable[Any]) -> bool:
    """Whether a tensor among `arguments`, nested ones too, was made in inference mode."""
    for value in arguments:
        if type(value) is TensorMeta:
            if value.is_inference:
                return True
        elif type(value) in CONTAINER_TYPES and any_inference(value):
            return True
    return False


def _hashable(argument: Any) -> Any:
    """`argument` with every symbol as its expression."""
    if type(argument) in CONTAINERS:
        return tuple(map(_hashable, argument))
    return argument.node.expr if isinstance(argument, SYMBOLIC) else argument


def without_inference(argument: Any) -> Any:
    """An argument with plain tensors, which need no gradients, in the place of those made in inference mode."""
    kind = type(argument)
    if kind is TensorMeta:
        return argument.replace(is_inference=False, requires_grad=False, is_leaf=True)
    if kind in CONTAINERS:
        return CONTAINERS[kind](map(without_inference, argument))
    return argument
