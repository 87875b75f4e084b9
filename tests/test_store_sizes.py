"""Stored captures whose sizes, ints or floats vary."""

import json

import pytest
import torch

import tracer
from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tests.stored import files, forget, kinds
from tests.test_store_files import contents, rewrite


def sizes(x, y):
    z = x.reshape(-1) * x.shape[0]
    return torch.cat([z, y]).sum() + x.shape[1] // 2, x.shape[0] * 2 + min(x.shape)


def integer(x, n):
    return x * n + torch.zeros(n).sum(), n + 1, x * n**2


def floating(x, rate):
    return x * rate, rate / 2


def in_loop(x, turns=4):
    for turn in range(turns):
        x = x * 2
        tracer.graph_break()
        x = x + turn
    return x


class Counting(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls + 1


PROGRAMS = {
    "sizes": (sizes, [(torch.ones(rows, 4), torch.ones(2)) for rows in (3, 5, 7, 9, 1)]),
    "integer": (integer, [(torch.ones(2), n) for n in (3, 4, 5, 6, 0, 1, -0)]),
    "floating": (floating, [(torch.ones(2), rate) for rate in (0.5, 0.25, 0.1, 0.0, -0.0)]),
    "loop": (in_loop, [(torch.ones(2),)] * 2),
}


def values(result):
    return [each.tolist() if isinstance(each, torch.Tensor) else each for each in result]


def called(program, calls, path, **options):
    captured = tracer.capture(program, cache=path, **options)
    for args in calls:
        assert repr(values(captured(*args))) == repr(values(program(*args)))
    return kinds()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_later_process_captures_nothing(name, backend, tmp_path):
    program, calls = PROGRAMS[name]
    first = called(program, calls, tmp_path, backend=backend)
    assert first.count("capture") == first.count("stored") > 1
    forget()
    assert set(called(program, calls, tmp_path, backend=backend)) == {"loaded"}
    forget()
    assert set(called(program, calls[::-1], tmp_path, backend=backend)) == {"loaded"}


def test_an_entry_for_sizes_that_vary_is_the_entry_of_a_call_of_others(tmp_path):
    program, calls = PROGRAMS["sizes"]
    called(program, calls[:2], tmp_path)
    forget()
    captured = tracer.capture(program, cache=tmp_path)
    captured(torch.ones(11, 4), torch.ones(2))
    assert kinds() == ["loaded"]
    (entry,) = captured.entries
    assert "11" not in entry.graph_text and "x.size(0) >= 2" in entry.guards.text


def test_no_algebra_is_asked_for_what_no_guard_compares(tmp_path, monkeypatch):
    def rows(x):
        return x.t() * x.shape[0], x.sum(0)

    calls = [(torch.ones(4, n).t(),) for n in (3, 5)] + [(torch.ones(n, 4),) for n in (3, 5)]
    called(rows, calls, tmp_path)
    forget()
    monkeypatch.setattr("tracer.store.sizes.Shapes", None)
    others = [(torch.ones(4, 7).t(),), (torch.ones(7, 4),), (torch.ones(9, 4),)]
    captured = tracer.capture(rows, cache=tmp_path)
    for args in others:
        assert repr(values(captured(*args))) == repr(values(rows(*args)))
    assert kinds() == ["loaded", "loaded"]
    loaded = [entry.guards.text for entry in captured.entries]
    assert all("f32[" in text and "[7, 4]" not in text for text in loaded)


def test_a_varying_size_of_a_file_is_a_short_text(tmp_path):
    program, calls = PROGRAMS["sizes"]
    called(program, calls[:2], tmp_path)
    for text in ("s" * 1000, "s\n", 5, None):
        for file in files(tmp_path):
            data = contents(file.path)
            data["metas"] = [[["t", ["varies", text]], *rest] for _, *rest in data["metas"]]
            rewrite(file.path, data)
        forget()
        assert "loaded" not in called(program, calls[:2], tmp_path) and "bug" not in kinds()


@pytest.mark.parametrize("shape", [(1, 4), (0, 4), (3, 5), (4,)], ids=str)
def test_sizes_that_no_guard_allows_are_captured(shape, tmp_path):
    program, calls = PROGRAMS["sizes"]
    called(program, calls[:3], tmp_path)
    forget()
    x = torch.ones(shape)
    if len(shape) == 2:
        assert "capture" in called(program, [(x, torch.ones(2))], tmp_path)
    else:
        with pytest.raises(IndexError):
            tracer.capture(program, cache=tmp_path)(x, torch.ones(2))


def test_a_counter_of_a_module_is_found_again(tmp_path):
    events = []
    for _ in range(2):
        model, captured = Counting(), []
        program = tracer.capture(model, cache=tmp_path)
        for _ in range(6):
            captured.append(program(torch.ones(2)).tolist())
        assert captured == [[n + 1.0] * 2 for n in range(1, 7)] and model.calls == 6
        events.append(kinds())
        forget()
    assert set(events[1]) == {"loaded"}


HOSTILE = {
    "power": ["Pow", ["symbol", 0], 1 << 40],
    "no symbol": ["symbol", 7],
    "call": ["exec", 1],
    "nested": None,
    "condition": ["Equality", ["symbol", 0], 3],
    "division": ["Mod", ["symbol", 0], 0],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_sizes_that_are_none(name, tmp_path):
    program, calls = PROGRAMS["sizes"]
    called(program, calls[:2], tmp_path)
    for file in files(tmp_path):
        data = contents(file.path)
        tree = HOSTILE[name] or json.loads('["Add",' * 300 + "1" + ",1]" * 300)
        data["metas"] = [[["t", ["size of", tree]], *rest] for _, *rest in data["metas"]]
        rewrite(file.path, data)
    forget()
    assert "loaded" not in called(program, calls[:2], tmp_path)
    assert "bug" not in kinds()
