"""The options of `capture`, as one frozen object that is passed in.

Nothing here knows of backends or captures; a name is resolved to a backend elsewhere. The
process-wide choices, whether an internal error propagates and where captures are kept, come from the environment.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

Backend = str | Callable[..., Any]

RAISE_BUGS = os.environ.get("BYTEGRAPH_RAISE_BUGS", "") not in ("", "0")
"""True where a TracerBug propagates to the user (tests) instead of running the original function."""

CACHE_VARIABLE: Final = "BYTEGRAPH_CACHE"
"""Names the folder of stored captures for all functions whose options name none."""
RULES_VARIABLE: Final = "BYTEGRAPH_RULES"
"""The environment's variable for the folder of the rulebook, or `off`."""


ONLY_OF_TORCH_COMPILE: Final[dict[str, tuple[Any, str]]] = {
    "model": (None, "give what is to be captured as the first argument: capture(model)"),
    "name": (None, "captures are named after the function and its line"),
    "disable": (False, 'call the function itself, set BYTEGRAPH_DISABLE=1, or use tracer.stance("force_eager")'),
    "isolate_recompiles": (
        False,
        "captures of one function with equal options share their entries; raise recompile_limit if they are too many",
    ),
    "shapes_spec": (None, "use dynamic=True, or torch._dynamo.mark_dynamic and mark_static on a tensor"),
}
"""Arguments of torch.compile that `capture` has not: the value that asks for nothing, and what to do in their place."""


def refuse_others(arguments: Mapping[str, Any]) -> None:
    """Raise TypeError naming the first of these arguments that asks for something, and what to do in its place."""
    for name, value in arguments.items():
        if name not in ONLY_OF_TORCH_COMPILE:
            raise TypeError(f"capture() got an unexpected keyword argument {name!r}")
        nothing, instead = ONLY_OF_TORCH_COMPILE[name]
        if value is not nothing:
            raise TypeError(f"capture takes no {name!r}, an argument of torch.compile: {instead}")


@dataclass(frozen=True, slots=True)
class Options:
    """Choices for one captured callable.

    `backend` is a name or a callable; `fullgraph` turns a graph break into a GraphBreakError; `dynamic`
    says whether sizes are symbols (None: from the second capture on); `recompile_limit` is the number of
    entries one code object may have; `strict` checks every guard verdict against the slow evaluator;
    `backend_options` are handed to the backend. `donate` names parameters whose tensors may be overwritten
    (None: no tensor is overwritten, not even a dead one); `allocate` gives the memory for graphs' outputs. `cache` is
    the folder in which captures outlive the process (None: what the environment says; empty: they do not).
    """

    backend: Backend = "eager"
    fullgraph: bool = False
    dynamic: bool | None = None
    recompile_limit: int = 8
    strict: bool = False
    backend_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    raise_bugs: bool = RAISE_BUGS
    donate: tuple[str, ...] | None = None
    allocate: Callable[..., Any] | None = None
    cache: str | None = None

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError naming the option, what it takes and what was given."""
        if not (isinstance(self.backend, str) or callable(self.backend)):
            raise TypeError(f"backend must be a name or a callable, not {self.backend!r}")
        for name in ("fullgraph", "strict", "raise_bugs"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.dynamic is not None and not isinstance(self.dynamic, bool):
            raise TypeError(f"dynamic must be True, False or None, not {self.dynamic!r}")
        if not isinstance(self.recompile_limit, int) or isinstance(self.recompile_limit, bool):
            raise TypeError(f"recompile_limit must be an int, not {self.recompile_limit!r}")
        if self.recompile_limit < 1:
            raise ValueError(f"recompile_limit must be at least 1, not {self.recompile_limit}")
        if self.donate is not None and not _are_names(self.donate):
            raise TypeError(f"donate must be a tuple of parameter names or None, not {self.donate!r}")
        if self.allocate is not None and not callable(self.allocate):
            raise TypeError(f"allocate must be a callable or None, not {self.allocate!r}")
        if self.cache is not None and not isinstance(self.cache, str):
            raise TypeError(f"cache must be the path of a folder or None, not {self.cache!r}")
        if self.cache is not None and os.path.exists(self.cache) and not os.path.isdir(self.cache):
            raise ValueError(f"cache must be the path of a folder, and {self.cache!r} is a file")
        if not isinstance(self.backend_options, Mapping):
            raise TypeError(f"backend_options must be a mapping, not {self.backend_options!r}")

    @property
    def cache_folder(self) -> str:
        """The path of the folder in which captures outlive the process; empty where they do not."""
        return os.environ.get(CACHE_VARIABLE, "") if self.cache is None else self.cache


def _are_names(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


DEFAULTS: Final = Options()
