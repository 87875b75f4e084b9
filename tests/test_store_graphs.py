"""Graphs of stored captures: replayed from their rows, repetitions once, and built when somebody looks at them."""

import gc
import weakref

import pytest
import torch
from torch import nn

import tracer
from backends.eager import compile_graph
from passes.node_meta import LINE, META
from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tests.stored import files, forget, kinds
from tests.test_store_files import contents, rewrite
from tracer.graph.builder import DeferredGraph
from tracer.store.errors import BadFile
from tracer.store.graphs import operator_counts


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(4) + 0.5)
        self.mix = nn.Linear(4, 4)

    def forward(self, x, mask):
        y = self.mix(x * self.scale).relu()
        a, b = y.split([1, 3], -1)
        y = torch.cat([b, a[..., :1]], -1) + mask
        return x + y.reshape(x.shape).sigmoid() - 0.5


class Tower(nn.Module):
    def __init__(self, depth=24):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.layers = nn.ModuleList(Layer() for _ in range(depth))
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        mask, kept = x.sum(-1, keepdim=True).neg(), []
        x = self.first(x)
        for layer in self.layers:
            x = layer(x, mask)
            kept.append(x)
        return self.last(x), kept[3], kept[7]


def twice(x):
    for _ in range(12):
        x = (x * 2).tanh().neg().abs().sqrt().sin().exp().log1p()
    x = x.reshape(-1)
    for _ in range(12):
        x = (x + 1).sin().cos().tan().atan().erf().sigmoid().square()
    return x[:-1].cos()


def indexed(x, index):
    for _ in range(70):
        x = x + x.index_select(0, index).sum()
    return x


MODELS = {"tower": lambda: (Tower(), (torch.randn(3, 4),)), "twice": lambda: (twice, (torch.randn(3, 4),))}


def call(model, *args):
    return model(*args)


def entry_of(path, model, args, program=call):
    captured = tracer.capture(program, cache=path)
    result = captured(model, *args)
    (entry,) = captured.entries
    return entry, result


def facts(entry):
    nodes = [
        (node.op, node.name, str(node.target), str(node.args), str(node.kwargs), str(node.meta[META]))
        for node in entry.graph.nodes
        if node.op != "output"
    ]
    return nodes, [str(node.meta.get(LINE)) for node in entry.graph.nodes], entry.graph_text, entry.ops


@pytest.mark.parametrize("name", MODELS)
def test_repetitions_are_written_once_and_read_as_they_were(name, tmp_path):
    model, args = MODELS[name]()
    before, expected = entry_of(tmp_path, model, args)
    written, source = facts(before), before.compiled.source
    (file,) = files(tmp_path)
    graph = contents(file.path)["graph"]
    assert graph["repeated"] and len(graph["calls"]) < before.ops / 2
    assert sum(operator_counts(graph).values()) == before.ops
    forget()
    after, result = entry_of(tmp_path, model, args)
    assert kinds() == ["loaded"] and "builder" not in vars(after._builder)
    assert after.ops == before.ops and after.compiled.source == source
    torch.testing.assert_close(result, expected, rtol=0, atol=0)
    assert facts(after) == written
    assert compile_graph(after.graph).source == source
    after.graph.lint()


def test_a_loaded_entry_keeps_neither_its_call_nor_the_model_alive(tmp_path):
    model = Tower()
    entry_of(tmp_path, model, (torch.randn(3, 4),))
    forget()
    x = torch.randn(3, 4)
    entry, result = entry_of(tmp_path, model, (x,))
    gone = weakref.ref(model), weakref.ref(x)
    del model, x, result
    gc.collect()
    assert kinds() == ["loaded"] and gone[0]() is None and gone[1]() is None
    assert isinstance(entry._builder, DeferredGraph) and entry.graph.find_nodes(op="placeholder")


def test_an_error_in_a_repetition_names_the_line_of_its_call(tmp_path):
    def program(x, index):
        return indexed(x, index)

    notes = []
    for _ in range(2):
        captured = tracer.capture(program, cache=tmp_path)
        captured(torch.ones(3), torch.tensor([0]))
        with pytest.raises(IndexError) as raised:
            captured(torch.ones(3), torch.tensor([7]))
        notes.append(raised.value.__notes__)
        forget()
    assert notes[0] == notes[1] and "index_select" in notes[1][0]


def test_details_that_cannot_be_read_are_missed_by_nobody_but_who_looks(tmp_path):
    captured = tracer.capture(indexed, cache=tmp_path)
    captured(torch.ones(3), torch.tensor([0]))
    (file,) = files(tmp_path)
    for details in ("", "[]", '{"nodes": [], "modes": []}', '{"nodes": 1}', "[" * 100_000):
        data = contents(file.path)
        data["graph"]["details"] = details
        rewrite(file.path, data)
        forget()
        captured = tracer.capture(indexed, cache=tmp_path)
        x = torch.ones(3)
        assert torch.equal(captured(x, torch.tensor([0])), indexed(x, torch.tensor([0])))
        assert kinds() == ["loaded"]
        with pytest.raises(IndexError) as raised:
            captured(x, torch.tensor([7]))
        assert not getattr(raised.value, "__notes__", [])
        with pytest.raises(BadFile):
            captured.entries[0].graph  # noqa: B018 - reading it is what raises
