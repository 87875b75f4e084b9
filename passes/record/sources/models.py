"""`record models`: the calls of real models, forward in evaluation and training mode, and backward.

The models come from a zoo: a module with NAMES (names by family) and `build(name)`, which returns a module, positional
and keyword arguments. The project's own is tests/models.py. The calls of each model are written before the next model
runs, so that its rows name the model (see split.py).
"""

from __future__ import annotations

import fnmatch
import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import torch

from passes.operators.outcome import OPERATOR_ERRORS
from passes.record.location import in_model
from passes.record.recorder import Recorder
from passes.record.schema import MODEL_SEPARATOR, CorpusError
from passes.record.sources.loss import loss_of

DEFAULT_ZOO: Final = "tests.models"


class Zoo(Protocol):
    """A module of models."""

    NAMES: Mapping[str, Sequence[str]]

    def build(self, name: str) -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
        """A model by name, with the arguments and keyword arguments of one call."""
        ...


def zoo_called(name: str) -> Zoo:
    """The zoo that is the module of this name. Raises CorpusError, saying what is missing, if it is none."""
    try:
        zoo: Any = importlib.import_module(name)
    except ImportError as error:
        raise CorpusError(f"no zoo {name!r} ({error}); run in the project's folder, or name one with --zoo") from error
    if not (hasattr(zoo, "NAMES") and hasattr(zoo, "build")):
        raise CorpusError(f"{name} is no zoo: it needs NAMES, by family, and build(name)")
    return zoo


def chosen(zoo: Zoo, pattern: str = "*") -> list[str]:
    """The names in a zoo that match. Raises CorpusError if there are none."""
    names = [name for family in zoo.NAMES.values() for name in family if fnmatch.fnmatch(name, pattern)]
    if not names:
        raise CorpusError(f"no model matches {pattern!r}; families are {', '.join(zoo.NAMES)}")
    if unfit := [name for name in names if MODEL_SEPARATOR in name or " " in name]:
        raise CorpusError(f"models' names must be without {MODEL_SEPARATOR!r} and spaces, unlike {unfit[0]!r}")
    return list(dict.fromkeys(names))


def start(zoo_name: str, backward: bool, recorder: Recorder) -> Callable[[str], None]:
    """The function that runs the model with a name, and writes its calls."""
    zoo = zoo_called(zoo_name)

    def do(name: str) -> None:
        recorder.place = in_model(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, args, kwargs = zoo.build(name)
            run_model(recorder, model, args, kwargs, backward)
        recorder.spill()

    return do


def run(recorder: Recorder, zoo_name: str = DEFAULT_ZOO, pattern: str = "*", backward: bool = True) -> Iterator[str]:
    """Run the models; gives the name of each when it is done."""
    do = start(zoo_name, backward, recorder)
    for name in chosen(zoo_called(zoo_name), pattern):
        do(name)
        yield name


def run_model(
    recorder: Recorder, model: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], backward: bool
) -> None:
    """Run one model: in evaluation mode without gradients, then (if `backward`) in training mode with them."""
    with torch.no_grad(), recorder:
        _result(model.eval(), args, kwargs)
    if not backward:
        return
    with recorder:
        result = _result(model.train(), args, kwargs)
        loss = loss_of(result)
        if loss is not None:
            loss.backward()


def _result(model: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    try:
        return model(*args, **kwargs)
    except OPERATOR_ERRORS:
        return None
