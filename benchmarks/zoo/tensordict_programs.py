"""Programs of tensordict: what is done with a nested TensorDict, and modules that read and write one."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import nn

from benchmarks.zoo.program import Build


def _set(data: Any) -> Any:
    data.set("d", data["a"] * 2)
    return data["d"]


USES: Final[dict[str, Callable[[Any], Any]]] = {
    "an item": lambda data: data["a"] + 1,
    "a nested item": lambda data: data["b", "c"] * 2,
    "set": _set,
    "an index": lambda data: data[0]["a"],
    "stack": lambda data: torch.stack([data, data])["a"],
    "cat": lambda data: torch.cat([data, data])["a"],
    "apply": lambda data: data.apply(lambda x: x + 1)["a"],
    "addition": lambda data: (data + 1)["b", "c"],
    "reshape": lambda data: data.reshape(3, 1)["a"],
    "keys": lambda data: list(data.keys()),
    "items": lambda data: [value for _, value in data.items(True, True)],
    "select": lambda data: data.select("a")["a"],
    "clone": lambda data: data.clone()["a"],
    "a new one": lambda data: TensorDict({"x": data["a"]}, [3])["x"],
    "flatten_keys": lambda data: data.flatten_keys(".")["b.c"],
    "update": lambda data: data.update({"a": data["a"] + 1})["a"],
    "to": lambda data: data.to(torch.float64)["a"],
    "unbind": lambda data: data.unbind(0)[1]["a"],
    "split": lambda data: data.split(1)[1]["a"],
}


def _data() -> Any:
    return TensorDict({"a": torch.randn(3, 4), "b": {"c": torch.randn(3, 2)}}, batch_size=[3])


def programs() -> Iterator[tuple[str, Build]]:
    for name, use in USES.items():
        yield name, lambda use=use: (use, (_data(),))
    yield "TensorDictModule", lambda: (_output, (TensorDictModule(nn.Linear(4, 2), ["a"], ["o"]), _data()))
    yield "TensorDictSequential", lambda: (_output, (_sequential(), _data()))


def _sequential() -> Any:
    return TensorDictSequential(
        TensorDictModule(nn.Linear(4, 2), ["a"], ["h"]), TensorDictModule(nn.Linear(2, 2), ["h"], ["o"])
    )


def _output(module: Any, data: Any) -> Any:
    return module(data)["o"]
