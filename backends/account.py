"""What backends did with graphs, for reports: graphs and files that torch's compilers made, and what a backend says.

Torch's compilers tell it to `torch.__trace`, the log that tools such as tlparse read. A backend of the user's own may
give the callable that it returns an attribute `backend_report`, a function that returns lines of text. Nothing is kept
unless a report is being made.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from torch._logging._internal import trace_log

HOOK: Final = "backend_report"

GRAPHS: Final = {
    "aot_inference_graph": "inference graph",
    "aot_forward_graph": "forward graph",
    "aot_backward_graph": "backward graph",
}
"""The records of AOTAutograd's graphs, and what they are called here."""

CODE: Final = "inductor_output_code"

KERNEL: Final = re.compile(r"^(\w+) = async_compile\.", re.MULTILINE)
OUTSIDE_KERNEL: Final = re.compile(r"\bextern_kernels\.(\w+)\(|torch\.ops\.(\w+\.\w+)\.\w+\(")
OPERATOR: Final = re.compile(r"= torch\.ops\.")


@dataclass(frozen=True, slots=True)
class CompilerOutput:
    """A graph or a file that a compiler made: what it is, in a few words, and its text."""

    title: str
    text: str


@dataclass(slots=True, eq=False)
class Account:
    """What became of one graph: the `backend` by name, `compiled`, the callable that runs the graph, `answer`, the one
    that the backend returned, and `parts`, what torch's compilers made.
    """

    backend: str
    compiled: Any = None
    answer: Any = None
    parts: list[CompilerOutput] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """What the callable says of itself now."""
        report = getattr(self.answer, HOOK, None)
        return [] if report is None else [str(line) for line in report()]

    @property
    def lines(self) -> list[str]:
        """What the callable says of itself now, and a line for each part."""
        return [*self.words, *(part.title for part in self.parts)]


@dataclass(slots=True, eq=False)
class Accounts:
    """The accounts of the graphs compiled while a report is made, and what was compiled `later`, at no capture."""

    graphs: list[Account] = field(default_factory=list)
    later: Account = field(default_factory=lambda: Account("later"))
    now: Account | None = None

    def of(self, compiled: Any) -> Account | None:
        """The account of a graph's callable."""
        return next((account for account in self.graphs if account.compiled is compiled), None)


_kept: list[Accounts] = []


@contextmanager
def keeping_accounts() -> Iterator[Accounts]:
    """Keep accounts of all graphs that are compiled meanwhile."""
    accounts = Accounts()
    handler = _Handler(accounts)
    _kept.append(accounts)
    trace_log.addHandler(handler)
    try:
        yield accounts
    finally:
        trace_log.removeHandler(handler)
        _kept.remove(accounts)


def accounted(backend: str, compile: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """What `compile` returns for a graph, with an account of it where such are kept."""
    before = [(accounts, accounts.now) for accounts in _kept]
    for accounts in _kept:
        accounts.now = Account(backend)
    try:
        compiled = compile()
        for accounts, _ in before:
            if (account := accounts.now) is not None:
                account.compiled = compiled
                accounts.graphs.append(account)
        return compiled
    finally:
        for accounts, account in before:
            accounts.now = account


def heard(compiled: Any) -> Any:
    """The callable that a backend has returned, noted for what it has to say: it may be wrapped from here on.

    Raises TypeError for what is no callable.
    """
    if not callable(compiled):
        raise TypeError(f"a backend must return a callable, and this one returned {compiled!r}")
    for accounts in _kept:
        if accounts.now is not None:
            accounts.now.answer = compiled
    return compiled


class _Handler(logging.Handler):
    """Takes the graphs and the code out of torch's trace."""

    def __init__(self, accounts: Accounts) -> None:
        super().__init__()
        self._accounts = accounts

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record if it has a graph or generated code."""
        metadata, text = getattr(record, "metadata", {}), getattr(record, "payload", None)
        if not isinstance(text, str):
            return
        account = self._accounts.now or self._accounts.later
        for kind, name in GRAPHS.items():
            if kind in metadata:
                account.parts.append(CompilerOutput(f"{name}: {_many(len(OPERATOR.findall(text)), 'operator')}", text))
        if CODE in metadata:
            account.parts.append(CompilerOutput(_code_title(metadata[CODE], text), text))


def _code_title(details: Any, text: str) -> str:
    kernels = KERNEL.findall(text)
    calls = [one or other for one, other in OUTSIDE_KERNEL.findall(text)]
    words = [_many(len(kernels), "kernel"), *([f"calls of {', '.join(dict.fromkeys(calls))}"] if calls else [])]
    return f"generated code: {', '.join(words)} in {details.get('filename')}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
