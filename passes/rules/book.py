"""Rulebooks: a folder with one JSON file for each operator, read when the operator is first asked for.

    BOOK/book.json                      what it was made from
    BOOK/aten/sum.dim_IntList.json      the rules of aten::sum.dim_IntList, one for each list of parameters
    BOOK/function/torch.Tensor.add_.json

One file an operator: changes are read as diffs, an inference run that was stopped goes on where it was, and a
process that captures one model reads what that model needs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from passes.modes import Modes
from passes.outcome import Arguments, Keywords, Outcome, Target
from passes.rules.answer import Answerer
from passes.rules.binding import Binder, name_of
from passes.rules.generate import Refused
from passes.rules.language import RuleError
from passes.rules.rule import VERSION, Rule, from_json, to_json

TITLE: Final = "book.json"
SHIPPED: Final = Path(__file__).parent / "books"
RETURN_TYPES: Final = vars(torch.return_types)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A rule that was seen to be wrong, and is not asked again in this process."""

    op: str
    level: str
    reason: str


class Rulebook:
    """The rules in a folder. Raises RuleError where there are none, or of another version."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.title = read_title(self.folder)
        self.quarantined: list[Quarantined] = []
        self._answerers: dict[tuple[str, str], dict[tuple[str, ...], Answerer]] = {}
        self._names: dict[Target, tuple[str, str] | None] = {}
        self._binder = Binder()

    def rules(self, op: str, level: str) -> list[Rule]:
        """The rules of one operator, empty where there are none."""
        path = path_of(self.folder, op, level)
        return read_rules(path) if path.is_file() else []

    def operators(self) -> list[tuple[str, str]]:
        """(level, name) of all operators that have rules, in order."""
        found: list[tuple[str, str]] = []
        for path in sorted(self.folder.glob("*/**/*.json")):
            level, *parts = path.relative_to(self.folder).with_suffix("").parts
            found.append((level, "::".join(parts)))
        return found

    def __iter__(self) -> Iterator[Rule]:
        for level, op in self.operators():
            yield from self.rules(op, level)

    def answer(self, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Outcome | None:
        """What a call gives, as passes.evaluate asks its rules; None where the book says nothing of it.

        A rule that says that the call is refused is silent too: the words of the error are the operator's own.
        """
        if modes.autocast or modes.inference or modes.default_dtype is not torch.float32:
            return None
        try:
            name = self._names[target]
        except KeyError:
            name = self._names[target] = name_of(target)
        except TypeError:
            return None
        if name is None:
            return None
        answerers = self._of(name)
        if not answerers:
            return None
        named, places = self._binder.bind(target, args, kwargs)
        answerer = answerers.get(tuple(named))
        if answerer is None:
            return None
        try:
            outcome = answerer.answer(named, modes.grad, places)
        except Refused:
            return None
        return outcome if outcome is None or name[0] == "aten" else _with_named_tuple(outcome, name[1])

    def _of(self, name: tuple[str, str]) -> dict[tuple[str, ...], Answerer]:
        found = self._answerers.get(name)
        if found is None:
            level, op = name
            rules = [rule for rule in self.rules(op, level) if not rule.is_unknown]
            found = self._answerers[name] = {rule.parameters: Answerer(rule) for rule in rules}
        return found

    def quarantine(self, target: Target, reason: str) -> Quarantined | None:
        """Ask the rules of an operator no more, because one was wrong. None where it has no rules."""
        name = name_of(target)
        if name is None or not self._of(name):
            return None
        self._answerers[name] = {}
        found = Quarantined(name[1], name[0], reason)
        self.quarantined.append(found)
        return found


def _with_named_tuple(outcome: Outcome, op: str) -> Outcome:
    """The tuple that functions of torch return, which has names: torch.return_types.max."""
    kind = RETURN_TYPES.get(op.rpartition(".")[2])
    if kind is None or type(outcome.result) is not tuple:
        return outcome
    return Outcome(kind(outcome.result), outcome.mutated)


def path_of(folder: Path, op: str, level: str) -> Path:
    return folder / level / (op.replace("::", "/") + ".json")


def read_title(folder: Path) -> Mapping[str, Any]:
    """What a book says of itself. Raises RuleError if it is none that can be read here."""
    path = folder / TITLE
    if not path.is_file():
        raise RuleError(f"{folder} is no rulebook: it has no {TITLE}; `python -m tracer infer CORPUS -o BOOK` makes one")
    found = _json(path)
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise RuleError(f"{path} is of another version; this program reads version {VERSION}")
    return found


def read_rules(path: Path) -> list[Rule]:
    found = _json(path)
    if not isinstance(found, list):
        raise RuleError(f"{path} holds no list of rules")
    return [from_json(each) for each in found]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RuleError(f"{path} cannot be read: {error}") from error


def write_title(folder: Path, **facts: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / TITLE, {"version": VERSION, **facts})


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
