"""`record modules`: every module of torch's own database, on its inputs, in several layouts.

Each is built anew for each input and run forward and backward: in training mode too, where the database says that this
differs. Layers call operators with other arguments than the database of operators has: recurrent ones with lists of
weights, normalizations over several dimensions. The database seeds its random numbers itself.
"""

from __future__ import annotations

import fnmatch
import itertools
import warnings
from collections.abc import Callable
from typing import Any, Final

import torch
from torch.nn.parameter import is_lazy

from passes.meta import CPU
from passes.operators.outcome import OPERATOR_ERRORS
from passes.record.recorder import Recorder
from passes.record.schema import CorpusError
from passes.record.sources.layouts import LAYOUTS, MEMORY_FORMATS, laid_out
from passes.record.sources.loss import loss_of

DTYPE: Final = torch.float32
MOST_INPUTS: Final = 24  # of one module in one mode; some modules of the database have hundreds that differ little


def chosen(pattern: str = "*") -> dict[str, Any]:
    """The modules of the database whose names match. Raises CorpusError if there are none."""
    from torch.testing._internal.common_modules import module_db

    infos = {info.name: info for info in module_db if fnmatch.fnmatch(info.name, pattern)}
    if not infos:
        raise CorpusError(f"no module of torch's database matches {pattern!r}; try 'nn.Conv*' or '*Norm*'")
    return infos


def start(recorder: Recorder) -> Callable[[str], None]:
    """The function that runs the module with a name on all of its inputs."""
    infos = chosen()

    def do(name: str) -> None:
        recorder.place = lambda: f"modules {name}"
        info = infos[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for training in (False, True) if info.train_and_eval_differ else (False,):
                for example, layout in itertools.product(_inputs(info, training), LAYOUTS):
                    run_module(recorder, info, example, layout, training)

    return do


def _inputs(info: Any, training: bool) -> list[Any]:
    if DTYPE not in info.dtypes:
        return []
    examples = info.module_inputs_func(info, device=CPU.type, dtype=DTYPE, requires_grad=True, training=training)
    every = 1 + len(examples) // MOST_INPUTS
    return list(examples[::every])


def run_module(recorder: Recorder, info: Any, example: Any, layout: str, training: bool) -> None:
    """Run a new module on one input in one layout, if the input can have it: forward, and backward where it can."""
    call = example.forward_input
    if call is None:
        return
    (args, kwargs), changed = laid_out((tuple(call.args), dict(call.kwargs)), layout)
    if not changed and layout != "contiguous":
        return
    module = _built(info, example, training)
    if layout == "channels-last":
        _lay_weights(module)
    with recorder:
        try:
            result = module(*args, **kwargs)
            loss = loss_of(result)
            if loss is not None:
                loss.backward()
        except OPERATOR_ERRORS:
            return


def _built(info: Any, example: Any, training: bool) -> torch.nn.Module:
    make = example.constructor_input
    return info.module_cls(*make.args, **make.kwargs).to(DTYPE).train(training)


def _lay_weights(module: torch.nn.Module) -> None:
    """Put the weights that can be in a memory format of channels last into it."""
    for parameter in module.parameters():
        if not is_lazy(parameter) and parameter.dim() in MEMORY_FORMATS:
            parameter.data = parameter.data.contiguous(memory_format=MEMORY_FORMATS[parameter.dim()])
