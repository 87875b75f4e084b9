"""Rulebooks: a folder with one JSON file for each operator, read when the operator is first asked for.

    BOOK/book.json                      what it was made from
    BOOK/aten/sum.dim_IntList.json      the rules of aten::sum.dim_IntList, one for each list of parameters
    BOOK/function/torch.Tensor.add_.json

One file an operator: changes are read as diffs, an inference run that was stopped goes on where it was, and a
process that captures one model reads what that model needs.
"""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch

from passes.errors import RuleError
from passes.file_facts import files_hash
from passes.meta import CPU, DTYPE_BY_NAME, TensorMeta
from passes.operators.catalogue import LIBRARY_TARGETS
from passes.operators.evaluate import CONTAINERS, any_inference
from passes.operators.modes import ALL_KERNELS, READS_KERNELS, Modes
from passes.operators.outcome import Argument, Arguments, Keywords, New, Outcome, Target, leaves, rebuilt
from passes.rules.answer import Answerer
from passes.rules.binding import (
    LEVEL_OF_OVERLOADS,
    Binding,
    bindings,
    held_kinds,
    is_told_by_types,
    name_of,
    types_of_call,
)
from passes.rules.generate import NO_VALUE, PredictedError
from passes.rules.rule import VERSION, Rule, from_json, to_json

TITLE: Final = "book.json"
SHIPPED: Final = Path(__file__).parent / "books"
RETURN_TYPES: Final = {name: kind for name, kind in vars(torch.return_types).items() if isinstance(kind, type)}
NUMBERS: Final = frozenset((bool, int, float, complex))
MOST_BYTES: Final = 4 << 20  # of a file; the largest that is shipped has a third of a percent of that
# Asked at every evaluation: names of this module are found faster than those of others.
FLOAT32: Final = torch.float32
TRUEDIV, ITRUEDIV = operator.truediv, operator.itruediv


def _named_result(target: Target, kwargs: Keywords) -> type | None:
    """The named tuple that a function returns: `torch.max` its own, `torch.linalg.svd` that called linalg_svd."""
    name = target[1] if isinstance(target, tuple) else getattr(target, "__name__", "")
    has_out = any(keyword == "out" and value is not None for keyword, value in kwargs)
    return RETURN_TYPES.get(f"{name}_out" if has_out else name)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A rule that was seen to be wrong, and is not asked again in this process."""

    op: str
    level: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A call about which a book says nothing: the name of its operator, and why."""

    op: str
    reason: str


@dataclass(frozen=True, slots=True)
class Route:
    """How calls of one kind are answered: how a rule is given their arguments, the rule, the tuple it returns."""

    values: Callable[[Arguments, Keywords], Sequence[Argument]]
    places: Mapping[str, int]
    answerer: Answerer
    kind: Callable[[Any], Any] | None


class Rulebook:
    """The rules in a folder. Raises RuleError where there are none, or of another version.

    A file of rules that cannot be read raises a RuleError when a rule of it is first asked for. With `on_refusal`, that
    is called with the words of the error instead, once a file, and the book gives no answers for the operator.
    """

    def __init__(self, folder: str | os.PathLike[str], on_refusal: Callable[[str], object] | None = None) -> None:
        self.folder = Path(folder)
        self.title = read_title(self.folder)
        # For each other default dtype that the rules were tried under the operators that they were wrong about there.
        self._refuted_under = _other_defaults(self.title)
        self.quarantined: list[Quarantined] = []
        self._on_refusal = on_refusal
        self._refused: dict[tuple[str, str], str] = {}
        self._answerers: dict[tuple[str, str], dict[tuple[str, ...], Answerer]] = {}
        # By the types of a call's arguments; where those do not tell all of its kind, by what else does.
        self._routes: dict[Any, tuple[Route, ...] | dict[Any, tuple[Route, ...]]] = {}
        self._bound: dict[Any, tuple[Binding, ...]] = {}

    @property
    def device(self) -> str:
        """The type of device whose operators were studied."""
        return str(self.title.get("device", CPU.type))

    @cached_property
    def files_hash(self) -> str:
        """A hash of the names, sizes and times of the files of rules, as they are when it is first asked for."""
        return files_hash(self.folder, ("",), (".json",))

    def rules(self, op: str, level: str) -> list[Rule]:
        """The rules of one operator, empty where there are none."""
        path = path_of(self.folder, op, level)
        return read_rules(path) if path.is_file() else []

    def operators(self) -> list[tuple[str, str]]:
        """(level, name) of all operators that have rules, in order."""
        names: list[tuple[str, str]] = []
        for path in sorted(self.folder.glob("*/**/*.json")):
            level, *parts = path.relative_to(self.folder).with_suffix("").parts
            names.append((level, "::".join(parts)))
        return names

    def __iter__(self) -> Iterator[Rule]:
        for level, op in self.operators():
            yield from self.rules(op, level)

    def answer(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Outcome | None:
        """What a call gives, as passes.operators.evaluate asks its rules; None where the book says nothing of it.

        A rule that says that the call is refused is silent too: the words of the error are the operator's own.
        """
        grad_mode, inference, autocast, _, default_dtype, _, kernels, *_ = modes
        if autocast or torch.get_default_dtype() is not default_dtype:
            return None  # rules ask torch itself for the default
        if kernels != ALL_KERNELS and target in READS_KERNELS:
            return None
        if grad_mode and isinstance(target, LIBRARY_TARGETS) and is_differentiated(args, kwargs):
            return None
        if inference:
            return _in_inference(self.answer, target, args, kwargs, modes)
        if (target is TRUEDIV or target is ITRUEDIV) and type(args[0]) in NUMBERS:
            return self._divided(args, modes)
        for route in self._routes_of(target, args, kwargs):
            if default_dtype is not FLOAT32 and not self._holds_under(default_dtype, route.answerer):
                continue
            try:
                outcome = route.answerer.evaluate(*route.values(args, kwargs), route.places, grad_mode)
            except NO_VALUE:
                continue
            except PredictedError:
                return None
            if outcome is not None:
                if route.kind is not None and type(outcome.result) is tuple:
                    return Outcome(route.kind(outcome.result), outcome.mutated)
                return outcome
        if any_inference(args):  # no rule's domain has such tensors
            return _in_inference(self.answer, target, args, kwargs, modes)
        return None

    def _divided(self, args: Arguments, modes: Modes) -> Outcome | None:
        """A number divided by a tensor: torch multiplies it with the reciprocal."""
        inverse = self.answer(torch.Tensor.reciprocal, args[1:], (), modes)
        if inverse is None or not isinstance(inverse.result, New):
            return None
        return self.answer(torch.Tensor.mul, (inverse.result.meta, args[0]), (), modes)

    def _routes_of(self, target: Target, args: Arguments, kwargs: Keywords) -> tuple[Route, ...]:
        types = types_of_call(target, args, kwargs)
        try:
            by_types = self._routes[types]
        except KeyError:
            if not is_told_by_types(target, args, kwargs):
                by_types = self._routes[types] = {}
            else:
                by_types = self._routes[types] = tuple(self._found_routes(target, args, kwargs))
        except TypeError:  # a target that cannot be hashed
            return ()
        if isinstance(by_types, tuple):
            return by_types
        held = held_kinds(target, args, kwargs)
        routes = by_types.get(held)
        if routes is None:
            routes = by_types[held] = tuple(self._found_routes(target, args, kwargs))
        return routes

    def _bindings_of(self, target: Target, args: Arguments, kwargs: Keywords) -> tuple[Binding, ...]:
        key = types_of_call(target, args, kwargs), held_kinds(target, args, kwargs)
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bound[key] = tuple(bindings(target, args, kwargs))
        return bound

    def _found_routes(self, target: Target, args: Arguments, kwargs: Keywords) -> Iterator[Route]:
        for binding in self._bindings_of(target, args, kwargs):
            answerer = self._of((binding.level, binding.op)).get(binding.parameters)
            if answerer is not None:
                kind = None if binding.level == LEVEL_OF_OVERLOADS else _named_result(target, kwargs)
                yield Route(binding.values, binding.places, answerer, kind)

    def _holds_under(self, default: torch.dtype, answerer: Answerer) -> bool:
        """Whether a rule is asked under another default dtype: one that it was tried under, where it was not wrong."""
        refuted = self._refuted_under.get(default)
        return refuted is not None and answerer.rule.op not in refuted and answerer.holds_for_any_default

    def _beyond_rules(self, target: Target, modes: Modes) -> str:
        """The mode under which nothing is known, in words; none mostly."""
        if modes.autocast:
            return "autocast"
        if modes.kernels != ALL_KERNELS and target in READS_KERNELS:
            return "other kernels of attention"
        is_tried = modes.default_dtype is FLOAT32 or modes.default_dtype in self._refuted_under
        return "" if is_tried else "another default dtype"

    def routes(self, target: Target, args: Arguments, kwargs: Keywords) -> tuple[Route, ...]:
        """The rules that are asked about such a call, in this order."""
        return self._routes_of(target, args, kwargs)

    def why_not(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Unanswered:
        """The operator that a call is of, and why `answer` gives None, in a few words."""
        try:
            binding = next(iter(self._bindings_of(target, args, kwargs)), None)
        except TypeError:  # it cannot be hashed
            binding = None
        op = target_text(target) if binding is None else binding.op
        if words := self._beyond_rules(target, modes):
            return Unanswered(op, words)
        if modes.grad and isinstance(target, LIBRARY_TARGETS) and is_differentiated(args, kwargs):
            return Unanswered(op, "overloads were recorded behind autograd, and an argument requires grad")
        if any(each.op == op for each in self.quarantined):
            return Unanswered(op, "quarantined: its rule was wrong")
        if routes := self._routes_of(target, args, kwargs):
            route = routes[0]
            if modes.default_dtype is not FLOAT32 and not self._holds_under(modes.default_dtype, route.answerer):
                return Unanswered(op, "the rule was not confirmed under this default dtype")
            return Unanswered(op, route.answerer.why_not(route.values(args, kwargs), route.places, modes.grad))
        if binding is not None and (words := self._refused.get((binding.level, binding.op))):
            return Unanswered(op, f"its rules were refused: {words}")
        if binding is not None and self._of((binding.level, binding.op)):
            return Unanswered(op, f"no rule for ({', '.join(binding.parameters)})")
        return Unanswered(op, "no rule")

    def is_told_by_metas(self, target: Target, args: Arguments, kwargs: Keywords) -> bool:
        """Whether the operator of a call has rules, and what no studied call gave hung on the values in tensors.

        Rules that are quarantined count too: they may be wrong about strides.
        """
        try:
            names = {(binding.level, binding.op) for binding in self._bindings_of(target, args, kwargs)}
        except TypeError:  # it cannot be hashed
            return False
        rules = [rule for name in names for rule in self._readable_rules(name)]
        return bool(rules) and not any(rule.is_unknown or rule.provenance.dependent for rule in rules)

    def _of(self, name: tuple[str, str]) -> dict[tuple[str, ...], Answerer]:
        answerers = self._answerers.get(name)
        if answerers is None:
            rules = [rule for rule in self._readable_rules(name) if not rule.is_unknown]
            answerers = self._answerers[name] = {rule.parameters: Answerer(rule) for rule in rules}
        return answerers

    def _readable_rules(self, name: tuple[str, str]) -> list[Rule]:
        level, op = name
        try:
            return self.rules(op, level)
        except RuleError as error:
            if self._on_refusal is None:
                raise
            self._refused[name] = str(error)
            self._on_refusal(str(error))
            return []

    def quarantine(
        self, target: Target, reason: str, args: Arguments = (), kwargs: Keywords = ()
    ) -> Quarantined | None:
        """Ask the rules of an operator no more, because one was wrong. None where it has no rules.

        With the arguments of the call that showed it, those are meant that could have answered it.
        """
        asked = [(binding.level, binding.op) for binding in bindings(target, args, kwargs)] if args else []
        names = [name for name in asked or [name_of(target)] if name is not None and self._of(name)]
        for name in names:
            self._answerers[name] = {}
            self.quarantined.append(Quarantined(name[1], name[0], reason))
        self._routes.clear()
        return self.quarantined[-len(names)] if names else None


def is_differentiated(args: Arguments, kwargs: Keywords) -> bool:
    """Whether a tensor among the arguments requires grad."""
    return any(type(leaf) is TensorMeta and leaf.requires_grad for leaf in leaves((args, kwargs)))


def _in_inference(
    answer: Callable[..., Outcome | None], target: Target, args: Arguments, kwargs: Keywords, modes: Modes
) -> Outcome | None:
    """A call in inference mode, or on tensors made there: new tensors are of that kind, views are as their base is."""
    if modes.grad and not modes.inference and is_differentiated(args, kwargs):
        return None
    metas = [leaf for leaf in leaves((args, kwargs)) if type(leaf) is TensorMeta]
    plain = modes._replace(grad=False, inference=False)
    outcome = answer(target, _ordinary(args), _ordinary(kwargs), plain)
    if outcome is None:
        return None

    def made(new: New) -> New:
        inference = modes.inference if new.alias_of is None else metas[new.alias_of].is_inference
        return New(new.meta.replace(is_inference=inference), new.alias_of)

    mutated = {
        index: meta.replace(is_inference=old.is_inference, requires_grad=old.requires_grad, is_leaf=old.is_leaf)
        for index, meta in outcome.mutated.items()
        if (old := metas[index])
    }
    return Outcome(rebuilt(outcome.result, New, made), mutated)


def _ordinary(argument: Any) -> Any:
    """An argument with ordinary tensors in the place of those made in inference mode."""
    kind = type(argument)
    if kind is TensorMeta:
        return argument.replace(is_inference=False) if argument.is_inference else argument
    return CONTAINERS[kind](map(_ordinary, argument)) if kind in CONTAINERS else argument


def target_text(target: Target) -> str:
    """A target that is never recorded, by its name."""
    if isinstance(target, tuple):
        return ".".join(map(str, target))
    return getattr(target, "__qualname__", None) or type(target).__name__


def path_of(folder: Path, op: str, level: str) -> Path:
    """The file of an operator's rules in a book."""
    return folder / level / (op.replace("::", "/") + ".json")


def read_title(folder: Path) -> Mapping[str, Any]:
    """What a book says of itself. Raises RuleError if it is none that can be read here."""
    path = folder / TITLE
    if not path.is_file():
        raise RuleError(
            f"{folder} is no rulebook: it has no {TITLE}; `python -m tracer infer CORPUS -o BOOK` makes one"
        )
    title = _json(path)
    if not isinstance(title, dict) or title.get("version") != VERSION:
        raise RuleError(f"{path} is of another version; this program reads version {VERSION}")
    return title


def _other_defaults(title: Mapping[str, Any]) -> dict[torch.dtype, frozenset[str]]:
    """What a title says of other default dtypes: the names of operators by that of a dtype. Else nothing is known."""
    stored = title.get("defaults")
    if not isinstance(stored, dict):
        return {}
    return {
        DTYPE_BY_NAME[name]: frozenset(names)
        for name, names in stored.items()
        if name in DTYPE_BY_NAME and isinstance(names, list) and all(type(each) is str for each in names)
    }


def read_rules(path: Path) -> list[Rule]:
    """The rules in one file of a book. Raises RuleError, naming the file, for what is none; nothing is executed."""
    stored = _json(path)
    if not isinstance(stored, list):
        raise RuleError(f"{path} holds no list of rules")
    try:
        return [from_json(each) for each in stored]
    except RuleError as error:
        raise RuleError(f"{path}: {error}") from error


def _json(path: Path) -> Any:
    if path.exists() and not path.is_file():
        raise RuleError(f"{path} is no regular file")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RuleError(f"{path} is larger than {MOST_BYTES} bytes, as no file of rules is")
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RuleError(f"{path} cannot be read: {error}") from error
    except RecursionError as error:
        raise RuleError(f"{path} is nested too deeply") from error


def write_title(folder: Path, **facts: Any) -> None:
    """Write `book.json`: the version, the torch and device of this process unless `facts` say others, and `facts`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / TITLE, {"version": VERSION, "torch": torch.__version__, "device": CPU.type, **facts})


def copy_title(source: Path, folder: Path) -> None:
    """Write the title of another book, as it is, into a book with rules of that one."""
    title = read_title(source)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / TITLE, title)


def add_to_title(folder: Path, **facts: Any) -> None:
    """Write the title of a book again, with more facts."""
    _write(folder / TITLE, {**read_title(folder), **facts})


def shipped_folder(torch_version: str = torch.__version__, device: str = CPU.type) -> Path:
    """Where the book for a version of torch and a device is, if one is shipped."""
    return SHIPPED / f"torch-{release(torch_version)}-{device}"


def release(torch_version: str) -> str:
    """The part of a version of torch by which operators may differ: `2.13` of `2.13.0+cpu`."""
    return ".".join(torch_version.split(".")[:2])


def misfit(title: Mapping[str, Any]) -> str:
    """Why a book with this title says nothing about the operators of this process, in words; "" if it does."""
    made_for, device = title.get("torch"), title.get("device")
    if type(made_for) is not str or type(device) is not str:
        return "its title does not say for which torch and device it was made"
    if (release(made_for), device) == (release(torch.__version__), CPU.type):
        return ""
    return f"it was made for torch {made_for} on {device}, and this is torch {torch.__version__} on {CPU.type}"


def write_rules(folder: Path, op: str, level: str, rules: Iterable[Rule]) -> Path:
    """Write the rules of one operator; the file appears whole or not at all."""
    path = path_of(folder, op, level)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, [to_json(rule) for rule in rules])
    return path


def _write(path: Path, value: Any) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(_pretty(value) + "\n")
    unfinished.replace(path)


def _pretty(value: Any, indent: int = 0) -> str:
    """JSON with what is short on one line."""
    flat = json.dumps(value)
    if len(flat) + indent <= 110 or not isinstance(value, dict | list) or not value:
        return flat
    inner = " " * (indent + 1)
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(name)}: {_pretty(part, indent + 1)}" for name, part in value.items()]
        return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(inner + _pretty(part, indent + 1) for part in value) + "\n" + " " * indent + "]"
