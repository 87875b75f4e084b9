"""Guards in the few rows that a person reads."""

import torch

from tests.models_torch import Mlp
from tracer import capture
from tracer.guards.digest import Row, digest, ranges, table

SCALE = 3


def rows_of(program, *args) -> dict[str, str]:
    captured = capture(program)
    captured(*args)
    (entry,) = captured.entries
    return {row.thing: row.words for row in digest(entry.guards)}


def test_layers_that_differ_only_in_their_index_share_a_row():
    class Stack(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(4, 4, bias=False) for _ in range(3))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    rows = rows_of(lambda model, x: model(x), Stack(), torch.ones(1, 4))
    assert rows["model.layers[0..2].weight"].startswith("torch.nn.Parameter f32[4, 4]")
    assert "Stack, same structure as captured (" in rows["model"] and " modules, " in rows["model"]
    assert not any(thing.startswith("model.layers[1]") for thing in rows)


def test_small_objects_have_a_row_for_each_part():
    def program(items, table, x):
        return x * len(items) + table["a"] + SCALE

    rows = rows_of(program, [1, 2], {"a": 2}, torch.ones(1))
    assert rows["items"] == "list, length 2"
    assert rows["table['a']"] == "== 2"
    assert rows["SCALE"] == "== 3"
    assert rows["torch"].startswith(("settings", "1 "))


def test_variables_of_closures_count_as_data():
    scale = 2.5
    assert rows_of(lambda x: x * scale, torch.ones(1))["scale"] == "== 2.5"


def test_code_is_one_row_for_each_module():
    rows = rows_of(lambda model, x: model(x), Mlp().eval(), torch.ones(1, 16))
    assert rows["torch.nn.modules.linear"].endswith("facts)")
    assert " as captured (" in rows["tests.models_torch"]


def test_every_guard_is_listed_on_request():
    captured = capture(lambda x: x + 1)
    captured(torch.ones(1))
    (entry,) = captured.entries
    assert len(entry.guards.text.splitlines()) == len(entry.guards)
    assert captured.dump(what="every guard").strip() == entry.guards.text.strip()


def test_ranges():
    assert ranges(["a[0].b[1]", "a[1].b[1]", "a[2].b[1]"]) == "a[0..2].b[1]"
    assert ranges(["a[0]", "a[4]"]) == "a[0, ... 4]"
    assert ranges(["a.b"]) == "a.b"


def test_table_keeps_columns_in_line():
    text = table([Row("x", "is short", "a.py:1"), Row("longer", "", ""), Row("y" * 99, "too long", "a.py:2")])
    assert text.splitlines() == ["x       is short  a.py:1", "longer", "y" * 99 + "  too long  a.py:2"]
