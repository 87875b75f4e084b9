"""Cases: stored, replayed the same, told apart when something changed, and refused when they are damaged."""

import json

import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.fx import Graph, GraphModule

from backends.cases import CaseError, load_case, replay_case, save_case
from passes.operators.targets import UnknownTarget, target_name, target_of
from tests import planted
from tracer import capture

X = torch.linspace(-2, 3, 24).reshape(4, 6)


def model():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 3), nn.Dropout()
    return nn.Sequential(*layers)


def program(x):
    half = x[:, ::2].to(torch.bfloat16)
    pair = torch.split(half, [1, 3], dim=0)
    return torch.cat(pair, dim=-2).float().clamp(min=-1.0, max=float("inf")), x.max(dim=0).values


@pytest.fixture
def case(tmp_path):
    return save_case(capture(program), [X], tmp_path / "case")


def test_the_same_again(case):
    report = replay_case(case)
    assert report.ok and report.compared == report.calls > 5, report
    assert "the same" in str(report) and report.to_json()["ok"]


def test_a_module_in_training(tmp_path):
    captured = capture(model())
    x = torch.randn(2, 1, 6, 4)
    captured(x)
    before, state = captured[1].running_mean.clone(), torch.get_rng_state()
    save_case(captured, [x], tmp_path)
    assert torch.equal(before, captured[1].running_mean) and torch.equal(state, torch.get_rng_state())
    for backend in ("eager", "aot_eager"):
        assert replay_case(tmp_path, backend=backend).ok


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_functions_behind_pythons_and_assignments_to_elements(backend, tmp_path):
    def assigned(x):
        first, second = torch.split(x, 2)
        whole = torch.zeros_like(x)
        whole[1:3] = first
        whole[:, 0] += torch.norm(second)
        return whole

    save_case(capture(assigned), [X], tmp_path)
    report = replay_case(tmp_path, backend=backend)
    assert report.ok and report.compared == report.calls, report


def test_a_wrong_backend_is_told_by_operator(tmp_path):
    save_case(capture(lambda x: (torch.relu(x) - x) * 2), [X], tmp_path)

    def doubling(graph_module, example_inputs):
        wrong = any(node.target is torch.relu for node in graph_module.graph.nodes)
        return lambda *inputs: tuple(part * (2 if wrong else 1) for part in graph_module(*inputs))

    report = replay_case(tmp_path, backend=doubling)
    assert [difference.operator for difference in report.differences] == ["relu"]
    assert "torch.relu(x)" in report.differences[0].line


def test_another_torch(case):
    """What would show if an operator gave something else: here what is stored is changed instead."""
    text = json.loads((case / "case.json").read_text())
    row = next(row for row in text["nodes"] if row.get("target") == "torch.cat")
    assert row["line"]
    text["torch"] = "1.0"
    text["expected"][row["name"]]["result"]["stride"] = [1, 4]
    (case / "case.json").write_text(json.dumps(text))
    report = replay_case(case)
    assert report.saved_with == "1.0"
    assert [difference.kind for difference in report.differences] == ["strides"]


def test_tensors_that_share_memory_still_do(tmp_path):
    graph = Graph()
    left, right = graph.placeholder("left"), graph.placeholder("right")
    graph.call_method("add_", (left, 1.0))
    graph.output((graph.call_method("clone", (right,)),))
    base = torch.zeros(6)
    save_case(GraphModule({}, graph), [base[:4], base[2:]], tmp_path)
    assert torch.equal(base, torch.zeros(6))
    inputs = load_case(tmp_path).inputs
    inputs[0].fill_(3)
    assert inputs[1].tolist() == [3, 3, 0, 0]
    assert replay_case(tmp_path).ok


def test_a_memory_is_stored_once(tmp_path):
    weight = torch.randn(64, 64)
    save_case(capture(lambda x, w: x @ w @ w @ w), [torch.randn(2, 64), weight], tmp_path)
    with safe_open(tmp_path / "tensors.safetensors", "pt") as file:
        assert sum(file.get_slice(name).get_shape() == [4096] for name in file.keys()) == 1


def spoil(name, change):
    def spoiled(case):
        path = case / name
        path.write_bytes(change(path.read_bytes()))

    return spoiled


def edit(change):
    def edited(data):
        case = json.loads(data)
        change(case)
        return json.dumps(case).encode()

    return spoil("case.json", edited)


def call_of(case, target):
    next(row for row in case["nodes"] if row["op"] == "call_function").update(target=target)


DAMAGE = {
    "no tensors": (lambda case: (case / "tensors.safetensors").unlink(), "tensors.safetensors"),
    "no graph": (lambda case: (case / "case.json").unlink(), "case.json"),
    "tensors cut": (spoil("tensors.safetensors", lambda data: data[:40]), "damaged"),
    "graph cut": (spoil("case.json", lambda data: data[:100]), "not JSON"),
    "not text": (spoil("case.json", lambda data: b"\xff\xfe\x00"), "not JSON"),
    "a list": (spoil("case.json", lambda data: b"[]"), "version"),
    "version": (edit(lambda case: case.update(version=99)), "version is 99"),
    "field": (edit(lambda case: case.pop("inputs")), "inputs"),
    "memory": (edit(lambda case: case["inputs"][0].update(tensor="nothing")), "nothing"),
    "beyond memory": (edit(lambda case: case["inputs"][0].update(shape=[10**6, 6])), "damaged"),
    "negative": (edit(lambda case: case["inputs"][0].update(offset=-4)), "offset -4"),
    "operation": (edit(lambda case: case["nodes"][1].update(op="call_module")), "call_module"),
    "tag": (edit(lambda case: case["nodes"][1].update(args=[{"pickle": "x"}])), "pickle"),
    "dtype": (edit(lambda case: case["nodes"][1].update(args=[{"dtype": "load"}])), "torch.load is no dtype"),
}


def attribute(case):
    row = next(row for row in case["nodes"] if row["op"] == "call_function")
    row.update(target="builtins.getattr", args=[{"node": case["nodes"][0]["name"]}, "__class__"])


DAMAGE["attribute"] = (edit(attribute), "__class__")


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_case_is_one_clear_error(case, name):
    damage, words = DAMAGE[name]
    damage(case)
    with pytest.raises(CaseError, match=words):
        replay_case(case)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torch.load",
        "torch.ops.load_library",
        "torch.hub.load",
        "torch.from_file",
        "builtins.eval",
        "torch.ops.aten.from_file",
        "torch.ops.aten.save",
    ],
)
def test_nothing_but_operators_is_found(case, target):
    """A case that names something else runs what it can, and says what it could not."""
    edit(lambda text: call_of(text, target))(case)
    report = replay_case(case)
    assert any("was not run" in note for note in report.notes)
    with pytest.raises(UnknownTarget):
        target_of("call_function", target)


def test_names_lead_back():
    targets = [
        torch.add,
        torch._C._nn.linear,
        torch.nn.functional.pad,
        torch.ops.aten.add.Tensor,
        torch.ops.planted.prefix,
        getattr,
    ]
    for target in targets:
        assert target_of("call_function", target_name("call_function", target)) is target
    assert target_of("call_method", "view") == "view"
    for name in ("apply_", "__reduce_ex__", "nothing"):
        with pytest.raises(UnknownTarget):
            target_of("call_method", name)


def test_what_cannot_be_stored_writes_nothing(tmp_path):
    graph = Graph()
    graph.output((graph.call_function(planted.wrong_fusion, (graph.placeholder("x"), None)),))
    with pytest.raises(CaseError, match="not an operator of torch"):
        save_case(GraphModule({}, graph), [X], tmp_path / "none")
    assert not (tmp_path / "none").exists()

    def breaks(x):
        y = x + 1
        print(y.sum().item())
        return y * 2

    with pytest.raises(CaseError, match="one graph"):
        save_case(capture(breaks), [X], tmp_path / "none")
    with pytest.raises(TypeError, match="captured"):
        save_case(program, [X], tmp_path / "none")
    assert not (tmp_path / "none").exists()
