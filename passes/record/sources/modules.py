"""`record modules`: every module of torch's own database, on its inputs, in several layouts.

Each is built anew for each input and run forward and backward: in training mode too, where the database says that this
differs. Layers call operators with other arguments than the database of operators has: recurrent ones with lists of
weights, normalizations over several dimensions. The database seeds its random numbers itself. Its recurrent layers all
have about the same sizes, from which nobody can tell what a size depends on, so that some of drawn sizes come beside.
"""

from __future__ import annotations

import fnmatch
import itertools
import random
import warnings
from collections.abc import Callable
from typing import Any, Final

import torch
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_map_only

from passes.meta import CPU
from passes.operators.outcome import OPERATOR_ERRORS
from passes.record.recorder import Recorder
from passes.record.schema import CorpusError
from passes.record.sources.layouts import LAYOUTS, MEMORY_FORMATS, laid_out
from passes.record.sources.loss import loss_of

DTYPE: Final = torch.float32
RECURRENT: Final = ("nn.RNN", "nn.GRU", "nn.LSTM")
MOST_DRAWN: Final = 40  # recurrent layers of drawn sizes
FROZEN: Final = ("inputs", "weight", "bias")
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
                inputs = [*_inputs(info, training), *_of_drawn_sizes(name)]
                for example, layout in itertools.product(inputs, LAYOUTS):
                    run_module(recorder, info, example, layout, training)
                for example, frozen in itertools.product(inputs, FROZEN):
                    run_module(recorder, info, example, "contiguous", training, frozen)

    return do


def _inputs(info: Any, training: bool) -> list[Any]:
    if DTYPE not in info.dtypes:
        return []
    examples = info.module_inputs_func(info, device=CPU.type, dtype=DTYPE, requires_grad=True, training=training)
    every = 1 + len(examples) // MOST_INPUTS
    return list(examples[::every])


def _of_drawn_sizes(name: str) -> list[Any]:
    """Inputs of a recurrent layer in which every size is another number; none of other modules."""
    from torch.testing._internal.common_modules import FunctionInput, ModuleInput

    draw = random.Random(name)
    examples: list[Any] = []
    for _ in range(MOST_DRAWN if name in RECURRENT else 0):
        sizes = draw.sample(range(2, 12), 3)
        settings: dict[str, Any] = {each: draw.random() < 0.5 for each in ("bias", "batch_first", "bidirectional")}
        if name == "nn.RNN":
            settings["nonlinearity"] = draw.choice(("tanh", "relu"))
        if name == "nn.LSTM" and sizes[1] > 2 and draw.random() < 0.3:
            settings["proj_size"] = draw.randrange(1, sizes[1])
        batch = draw.choice(([], [1], [draw.randrange(2, 6)]))
        leading = [*batch, sizes[2]] if settings["batch_first"] else [sizes[2], *batch]
        constructor = FunctionInput(*sizes[:2], draw.choice((1, 2, 3, 4)), **settings)
        examples.append(ModuleInput(constructor, FunctionInput(torch.rand(*leading, sizes[0]))))
    return examples


def run_module(recorder: Recorder, info: Any, example: Any, layout: str, training: bool, frozen: str = "") -> None:
    """Run a new module on one input in one layout, if the input can have it: forward, and backward where it can.

    What is `frozen`, one of FROZEN, requires no gradient: backwards are asked for some gradients only.
    """
    call = example.forward_input
    if call is None:
        return
    (args, kwargs), changed = laid_out((tuple(call.args), dict(call.kwargs)), layout)
    if not changed and layout != "contiguous":
        return
    module = _built(info, example, training)
    if layout == "channels-last":
        _lay_weights(module)
    if frozen == "inputs":
        args, kwargs = tree_map_only(torch.Tensor, torch.Tensor.detach, (args, kwargs))
    for name, parameter in module.named_parameters() if frozen else ():
        if not is_lazy(parameter):  # which has no gradient to ask for, nor to turn off, before its first call
            parameter.requires_grad_(not name.startswith(frozen))
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
