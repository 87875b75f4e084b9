"""How a program is registered, and how the programs of every feature are collected.

Knows nothing of what the programs do.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Call:
    """One set of arguments, and the exception type that the call must end in (None: it returns)."""

    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    raises: type[BaseException] | None = None


@dataclass(frozen=True)
class Program:
    """A function, the calls to make of it, and what to know about it.

    `watches` names globals of its module that it changes: they are compared after the call and restored.
    `may_break` says that an interpreter may refuse it (it looks at frames, say): then it must refuse, not differ.
    """

    function: Callable[..., Any]
    calls: tuple[Call, ...]
    watches: tuple[str, ...] = ()
    may_break: bool = False

    @property
    def feature(self) -> str:
        return self.function.__module__.rpartition(".")[2]

    @property
    def name(self) -> str:
        return f"{self.feature}-{self.function.__name__}"


PROGRAMS: list[Program] = []


def call(*arguments: Any, **keywords: Any) -> Call:
    """A call with keyword arguments."""
    return Call(arguments, keywords)


def raising(error: type[BaseException], *arguments: Any, **keywords: Any) -> Call:
    """A call that must end in `error`."""
    return Call(arguments, keywords, error)


def program(
    *calls: tuple[Any, ...] | Call, watches: tuple[str, ...] = (), may_break: bool = False
) -> Callable[[Function], Function]:
    """Register the decorated function; without `calls` it is called once with nothing."""
    described = tuple(each if isinstance(each, Call) else Call(each) for each in calls) or (Call(),)

    def register(function: Function) -> Function:
        PROGRAMS.append(Program(function, described, watches, may_break))
        return function

    return register


NEEDS = {"comprehensions_since_3_12": (3, 12), "since_3_12": (3, 12), "since_3_13": (3, 13)}
"""The versions of Python that modules of this package need; all others are for every version."""


def features() -> Iterator[str]:
    """Names of the modules of this package that hold programs for the Python that runs."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in ("catalogue", "compare", "split") and sys.version_info >= NEEDS.get(module.name, ()):
            yield module.name


def load() -> list[Program]:
    """Every registered program."""
    for feature in features():
        importlib.import_module(f"{__package__}.{feature}")
    return PROGRAMS
