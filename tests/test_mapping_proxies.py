"""types.MappingProxyType: read-only views of dictionaries that the captured function makes."""

import collections
import types
from typing import Any

import pytest
import torch

from tests.check import BACKENDS, check, one_graph
from tracer import capture


class Table(dict[str, Any]):
    def __len__(self) -> int:
        return 40


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_proxy_answers(backend: str):
    def program(x: Any, table: dict[str, Any]) -> Any:
        view = types.MappingProxyType({"x": x, "twice": x * 2})
        for name, item in view.items():
            x = x + item * len(name)
        of_argument = types.MappingProxyType(table)
        seen = (
            len(view),
            list(view),
            "x" in view,
            view.get("z", 3),
            of_argument["a"],
            {**of_argument},
            bool(of_argument),
        )
        return x * view["twice"], seen, of_argument.copy(), isinstance(view, dict)

    check(program, torch.randn(2, requires_grad=True), {"a": 1}, graphs=1, breaks=[], backend=BACKENDS[backend])


@pytest.mark.parametrize("make", [dict, collections.OrderedDict, lambda **items: collections.defaultdict(int, items)])
def test_a_proxy_shows_changes_of_its_dictionary(make: Any):
    def program(x: Any, table: Any) -> Any:
        view = types.MappingProxyType(table)
        names = view.keys()
        before = len(view)
        table["new"] = x
        del table["old"]
        return x + view["new"], before, len(view), list(names), dict(view), "old" in view

    one_graph(program, torch.ones(2), make(old=1, kept=2))


def test_a_proxy_that_leaves_the_function():
    def program(x: Any, table: Any) -> Any:
        view = types.MappingProxyType(table)
        table["new"] = x
        return x + 1, view

    table = {"old": 1}
    view = capture(program, fullgraph=True)(torch.ones(2), table)[1]
    table["late"] = 5
    assert type(view) is types.MappingProxyType and view["late"] == 5 and dict(view) == dict(table)


def test_a_proxy_cannot_be_written():
    def program(x: Any) -> Any:
        view: Any = types.MappingProxyType({"a": 1})
        try:
            view["a"] = 2
        except TypeError as error:
            return x + view["a"], str(error)
        return x

    check(program, torch.ones(2))


def test_proxies_of_other_mappings_break():
    def program(x: Any, table: Any) -> Any:
        return x + len(types.MappingProxyType(table))

    check(program, torch.ones(2), Table(a=1), recaptures=None)
