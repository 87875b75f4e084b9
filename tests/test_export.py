"""`export`: the graph module is called like the function, also after the state of what it reads has changed."""

import collections
import copy
import inspect
import io
import operator
import pickle

import pytest
import torch
from torch._decomp import core_aten_decompositions
from torch.export import Dim

from tests.same import differences
from tracer import ExportError, GraphBreakError, capture, export, reset, to_exported_program

X, Y = torch.arange(12.0).reshape(4, 3), torch.linspace(-1, 1, 12).reshape(4, 3)
Pair = collections.namedtuple("Pair", "first second")
WEIGHT = torch.tensor([1.0, 2.0, 3.0])


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)])
        self.norm = torch.nn.BatchNorm1d(3)
        self.register_buffer("shift", torch.ones(3))

    def forward(self, x, doubled=False):
        for layer in self.layers:
            x = layer(x).relu()
        x = self.norm(x) + self.shift
        return {"twice": x * 2} if doubled else {"once": x}


def agrees(fn, *args, others=(), aten=(False, True), **kwargs):
    """Assert that an export of a call computes what the function does, for these and `others` as arguments."""
    exported = None
    for aten_graph in aten:
        exported = export(fn, *copy.deepcopy(args), aten_graph=aten_graph, **copy.deepcopy(kwargs))
        exported.graph_module.graph.lint()
        wanted = {name: value for name, value in kwargs.items() if name != "dynamic_shapes"}
        for these in (args, *others):
            plain, graph = copy.deepcopy((these, wanted)), copy.deepcopy((these, wanted))
            torch.manual_seed(1)
            expected = fn(*plain[0], **plain[1])
            torch.manual_seed(1)
            observed = exported(*graph[0], **graph[1])
            assert not differences((expected, plain), (observed, graph))
    return exported


def targets(exported):
    return [node.target for node in exported.graph_module.graph.nodes if node.op == "call_function"]


def test_results_have_the_structure_of_the_function():
    agrees(lambda x, y: {"sum": x + y, "rest": [x * 1, (y * 2,)]}, X, Y)
    agrees(lambda x, y: (y, y, x + y, y), X, Y)
    agrees(lambda x: (x + 1, 5, None, "text", 2.5, torch.float32), X)
    agrees(lambda pair: Pair(pair.second * 2, pair.first), Pair(X, Y))
    agrees(lambda x: x, X)
    agrees(lambda: torch.ones(2) * 3)


def test_arguments_have_the_structure_of_the_call():
    agrees(lambda d, l: d["a"] + l[0] + l[1][0], {"b": X, "a": Y}, [X, (Y,)])
    agrees(lambda *args, **kwargs: args[0] * args[1] + kwargs["other"], X, Y, other=X)
    exported = agrees(lambda x, /, y, *, scale=2.0: (x + y) * scale, X, Y)
    assert torch.equal(exported(X, y=Y), (X + Y) * 2.0)
    with pytest.raises(TypeError):
        exported(X)
    with pytest.raises(TypeError):
        export(lambda x: x, X, Y)


def test_operators_are_those_of_the_program_or_of_aten():
    def program(x):
        return torch.nn.functional.silu(x) + 1

    assert [node.name for node in export(program, X)[0].graph.nodes] == ["x", "silu", "add", "output"]
    aten = torch.ops.aten
    assert targets(export(program, X, aten_graph=True)) == [aten.silu.default, aten.add.Tensor]
    table = core_aten_decompositions()
    assert aten.silu.default not in targets(
        export(program, X, aten_graph=True, decomposition_table={aten.silu.default: table[aten.silu.default]})
    )
    with pytest.raises(TypeError, match="aten_graph"):
        export(program, X, decomposition_table=table)


@pytest.mark.parametrize("training", [False, True])
def test_a_module_keeps_its_parameters_and_buffers_by_name(training):
    net = Net().train(training)
    exported = agrees(net, X, doubled=True)
    assert set(dict(exported.graph_module.named_parameters())) == set(dict(net.named_parameters()))
    assert exported.graph_module.layers.get_parameter("1.weight") is net.layers[1].weight
    with torch.no_grad():
        net.layers[0].weight.mul_(2)  # seen by the module, which holds the same parameters
    assert not differences(net.eval()(X), export(net, X)(X))
    exported(X, doubled=True)["twice"].sum().backward()
    assert net.layers[0].weight.grad is not None


def test_modules_reached_in_other_ways():
    net = Net().eval()
    for exported in (agrees(net.forward, X), agrees(lambda x: net(x), X), agrees(capture(net), X)):
        assert len(list(exported.graph_module.parameters())) == 6
    exported = export(lambda module, x: module(x)["once"], net, X)
    assert "module.layers.0.weight" in dict(exported.graph_module.named_parameters())
    assert torch.equal(exported(net, X), net(X)["once"])
    with pytest.raises(ExportError, match="module is another Net"):
        exported(copy.deepcopy(net), X)
    agrees(lambda x: x * WEIGHT, X)
    agrees(capture(lambda x: x + 1), X)
    agrees(torch.relu, X)


def test_writes_to_tensors_are_in_the_graph():
    def program(x, y):
        x.add_(1)
        y.mul_(x)
        return x.sum()

    agrees(program, X.clone(), Y.clone())


def test_nothing_is_run_by_an_export():
    seen = []
    x = X.clone()

    @torch.library.custom_op("bytegraph_export::seen", mutates_args=())
    def operator_(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x.clone()

    @operator_.register_fake
    def _(x):
        return torch.empty_like(x)

    export(lambda x: operator_(x.add_(1)), x)
    assert not seen and torch.equal(x, X)


@pytest.mark.parametrize("aten_graph", [False, True])
def test_dimensions_that_vary(aten_graph):
    batch = Dim("batch", min=2, max=64)
    other = (torch.randn(7, 3), torch.randn(7, 3))
    shapes = {"x": {0: batch}, "y": {0: batch}}
    agrees(
        lambda x, y: (torch.cat([x, y]).reshape(x.shape[0] * 2, -1), x.shape[0] + 1),
        *(X, Y),
        others=[other],
        aten=[aten_graph],
        dynamic_shapes=shapes,
    )
    agrees(Net().eval(), X, others=[other[:1]], aten=[aten_graph], dynamic_shapes=({0: Dim.DYNAMIC},))
    agrees(
        lambda d: d["x"] * 2, {"x": X}, others=[({"x": other[0]},)], aten=[aten_graph], dynamic_shapes=[{"x": [batch]}]
    )


def test_a_dimension_that_cannot_vary_is_an_error_that_says_where():
    def program(x):
        return x + 1 if x.shape[0] == 4 else x - 1

    with pytest.raises(ExportError, match=r"x\.size\(0\) is to vary, .* for 4 alone \(test_export.py:\d+\)"):
        export(program, X, dynamic_shapes={"x": {0: Dim("batch")}})
    agrees(program, X, dynamic_shapes={"x": {0: Dim.AUTO}})
    with pytest.raises(ExportError, match=r"is 1 in the example"):
        export(program, X[:1], dynamic_shapes={"x": {0: Dim("batch")}})
    with pytest.raises(ExportError, match=r"names 'z', but the arguments are x"):
        export(program, X, dynamic_shapes={"z": {0: Dim("batch")}})


def test_an_input_that_the_graph_was_captured_for_must_be_what_it_was():
    exported = agrees(lambda x, n, unused: x * n, X, 3, 4)
    assert torch.equal(exported(X, 3, 5), X * 3)
    with pytest.raises(ExportError, match="n is 4, but the graph was exported for 3"):
        exported(X, 4, 4)
    with pytest.raises(ExportError, match="n is 3.0"):
        exported(X, 3.0, 4)
    guards = str(exported.guards)
    assert "== 3" in guards and "f32[4, 3]" in guards


def test_a_break_is_an_error_that_says_where_and_why():
    def program(x):
        if x.sum() > 0:
            return x
        return -x

    with pytest.raises(GraphBreakError, match=r"data-dependent-jump(.|\n)*if x.sum\(\) > 0(.|\n)*torch.cond"):
        export(program, X)

    def generator(x):
        yield x

    with pytest.raises(GraphBreakError, match="generator"):
        export(generator, X)


class Counter:
    count = 0


COUNTER = Counter()


def test_a_change_of_an_object_is_an_error():
    def program(x, items):
        COUNTER.count += 1
        items.append(x)
        return x + 1

    items = []
    with pytest.raises(ExportError, match=r"the function changes COUNTER \(test_export.py:\d+\), items"):
        export(program, X, items)
    assert COUNTER.count == 0 and not items
    with pytest.raises(ExportError, match="returns a Counter, which torch's pytrees take for one object"):
        export(lambda x: COUNTER, X)


def test_a_change_of_a_setting_of_the_process_is_an_error(monkeypatch):
    # Importing torch's own tests, as recording their samples does, forbids to set such flags for the whole process.
    monkeypatch.setitem(torch.backends.flags_frozen.__globals__, "__allow_nonbracketed_mutation_flag", True)

    def program(x):
        torch.set_default_dtype(torch.float64)
        torch.backends.cudnn.benchmark = True
        return torch.ones(1) + x

    with pytest.raises(ExportError, match=r"settings of the process \(_set_default_dtype, _set_cudnn_benchmark\)"):
        export(program, X)
    assert torch.get_default_dtype() is torch.float32 and not torch.backends.cudnn.benchmark


def test_a_parameter_that_the_function_makes_has_no_operator():
    def program(x):
        made = torch.nn.Parameter(x * 2)
        return made, made * x

    made, product = export(program, X)(X)
    assert type(made) is torch.nn.Parameter and product.requires_grad and torch.equal(made, X * 2)
    with pytest.raises(ExportError, match="makes a parameter"):
        export(program, X, aten_graph=True)


def test_functions_of_functions_and_sizes_from_data():
    agrees(lambda x: torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,)), X, others=[(-X,)])
    agrees(lambda x: x[x > 2] * 2, X, others=[(-X,), (Y * 9,)])
    agrees(lambda x: torch.full((2,), x.sum().item()), X, others=[(Y + 1,)])

    def without_gradients(x):
        with torch.no_grad():
            y = x * 2
        return y + x

    agrees(without_gradients, X.clone().requires_grad_())


def test_the_module_can_be_copied_and_pickled():
    exported = export(Net().eval(), X)
    for module in (copy.deepcopy(exported.graph_module), pickle.loads(pickle.dumps(exported.graph_module))):
        assert not differences(module(X), exported(X))
    captured = capture(exported.graph_module, fullgraph=True)
    assert not differences(captured(X), exported(X))
    reset()


def test_an_exported_program_is_saved_loaded_and_run():
    net = Net().eval()
    shapes = {"x": {0: Dim("batch", min=2, max=64)}}
    program = to_exported_program(net, X, dynamic_shapes=shapes)
    assert isinstance(program, torch.export.ExportedProgram)
    program.graph_module.graph.lint()
    assert set(program.state_dict) >= {"layers.0.weight", "norm.running_mean", "shift"}
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    for x in (X, torch.randn(9, 3)):
        assert not differences(net(x), loaded(x))
    with pytest.raises(Exception, match="64"):
        loaded(torch.randn(65, 3))
    again = export(operator.add, X, Y).to_exported_program()
    assert torch.equal(again.module()(Y, Y), Y + Y)
    exported = export(operator.sub, X, Y)
    assert torch.equal(to_exported_program(exported).module()(X, X), X - X)


def test_an_exported_program_writes_to_its_buffers():
    net = Net()
    twin = copy.deepcopy(net)
    module = to_exported_program(net, X).module()
    assert not differences(twin(X), module(X))
    assert torch.equal(module.norm.running_mean, twin.norm.running_mean)


class InputByItsName(torch.nn.Module):
    def forward(self, input, type=None):
        return input.relu() if type is None else input + type


def test_parameters_keep_their_names_though_they_are_those_of_builtins():
    x, y = torch.ones(3, 2), torch.ones(2)
    module = InputByItsName()
    graph_module, _ = export(module, x, type=y)
    assert list(inspect.signature(graph_module.forward).parameters) == ["input", "type"]
    assert torch.equal(graph_module(x, type=y), module(x, type=y))
    program = to_exported_program(module, x)
    assert program.graph_signature.user_inputs == ("input",)


def test_dimensions_of_a_parameter_with_the_name_of_a_builtin_vary():
    dynamic = {"input": {0: torch.export.Dim("rows", min=2)}}
    program = to_exported_program(InputByItsName(), input=torch.ones(3, 2), dynamic_shapes=dynamic)
    assert program.module()(input=torch.ones(5, 2)).shape == (5, 2)


def test_a_name_that_the_code_needs_is_not_that_of_a_parameter():
    def function(x, slice):
        return x[1:] * slice

    graph_module, _ = export(function, torch.ones(3), torch.ones(2))
    assert torch.equal(graph_module(torch.ones(3), torch.ones(2)), torch.ones(2))


def test_arguments_by_name_are_told_apart_in_any_order():
    def scaled(x, factor, *, offsets):
        return x * factor + offsets["first"] - offsets["second"]

    x, offsets = torch.ones(2), {"first": torch.ones(2), "second": 3}
    exported = export(scaled, x, 2, offsets=offsets)
    expected = scaled(x, 2, offsets=offsets)
    assert torch.equal(exported(offsets=offsets, factor=2, x=x), expected)
    assert torch.equal(exported(x, offsets=offsets, factor=2), expected)
    with pytest.raises(ExportError, match="factor is 3, but the graph was exported for 2"):
        exported(offsets=offsets, factor=3, x=x)
    with pytest.raises(TypeError, match="missing 1 required"):
        exported(offsets=offsets, x=x)
