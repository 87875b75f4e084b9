"""The backend `inductor`: torch's compiler, called with captured graphs the way torch.compile calls it.

Options are Inductor's settings by name, and `mode`, which stands for several settings at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from torch.fx import GraphModule

from backends.handover import Backend, BadOptions, Writes
from passes.importing import import_apart


def inductor(options: Mapping[str, Any]) -> Backend:
    """torch's own compiler, with its settings as options, for inference and training.

    Raises BadOptions naming every option that is not one of Inductor's settings, with similar names, and options of the
    wrong type. Without options, torch's compiler is imported at the first compilation only.
    """
    settings = _settings(options) if options else {}

    def compile(module: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        import_apart("torch._inductor.compile_fx")
        from torch._inductor.compile_fx import compile_fx

        return compile_fx(module, inputs, config_patches=settings)  # type: ignore[return-value]

    return Backend("inductor", compile, takes_fakes=True, writes=Writes.UNSEEN, options=settings)


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Inductor's settings for `options`: those that the mode stands for, overridden by the others."""
    from torch._inductor import config, list_mode_options

    chosen = {name.replace("-", "_"): value for name, value in options.items()}
    mode = chosen.pop("mode", None)
    if mode is not None and mode not in (modes := list_mode_options()):
        raise BadOptions(f"mode must be one of {', '.join(modes)}, not {mode!r}")
    settings = config.get_config_copy()
    if unknown := [name for name in chosen if name not in settings]:
        raise BadOptions("; ".join(_unknown(name, [*settings, "mode"]) for name in unknown))
    for name, value in chosen.items():
        kind = config.get_type(name)  # type: ignore[attr-defined]
        if isinstance(kind, type) and not isinstance(value, kind):
            raise BadOptions(f"inductor's option {name!r} is a {kind.__name__}, not {value!r}")
    return {**({} if mode is None else list_mode_options(mode)), **chosen}


def _unknown(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else f"; it has {len(names)}, none like it"
    return f"inductor has no option {name!r}{hint}"
