"""`capture(donate=...)`: what is overwritten, what is not and why, and that nobody can tell but by the memory."""

import pytest
import torch
from torch import nn

from tests.same import differences
from tracer import capture, explain, graph_break


def run(program, *args, donate=("x",), **choices):
    """Outputs of the program, checked bit for bit against the plain one, and the report of its first entry."""
    torch.manual_seed(3)
    expected = program(*(arg.clone() if type(arg) is torch.Tensor else arg for arg in args))
    captured = capture(program, donate=donate, **choices)
    for _ in range(2):
        torch.manual_seed(3)
        found = captured(*(arg.clone() if type(arg) is torch.Tensor else arg for arg in args))
        assert not differences(expected, found, "result")
    return found, next((view.memory.reuse for view in captured.entries if view.memory), None)


def fate(reuse, name="x"):
    return str(reuse.donated[name])


def test_a_chain_runs_in_the_donated_memory():
    def program(x):
        return (torch.relu(x + 1) * 2).sigmoid()

    x = torch.randn(8, 8)
    begin = x.data_ptr()
    captured = capture(program, donate=("x",))
    expected = program(x.clone())
    result = captured(x)
    assert torch.equal(result, expected)
    assert result.data_ptr() == begin and result is not x
    reuse = captured.entries[0].memory.reuse
    assert [done.variant for done in reuse.overwrites] == ["add_", "relu_", "mul_", "sigmoid_"]
    assert reuse.bytes_saved == 4 * 8 * 8 * 4
    assert reuse.peak_before == 2 * 8 * 8 * 4 and reuse.peak_after == 0


def test_dead_intermediates_are_overwritten_without_a_donation():
    def program(x):
        return torch.nn.functional.gelu(torch.tanh(x @ x)) - 1

    x = torch.randn(4, 4)
    kept = x.clone()
    _, reuse = run(program, x, donate=())
    assert [done.node for done in reuse.overwrites] == ["tanh", "gelu", "sub"]
    assert torch.equal(x, kept)


def test_without_donate_nothing_changes():
    captured = capture(lambda x: x + 1 + 1)
    captured(torch.ones(2))
    assert captured.entries[0].memory is None


def test_an_idle_donated_input_takes_the_result_of_a_product():
    def program(x, w):
        return torch.mm(torch.tanh(x), w).exp().sum() + torch.mm(w, w)

    _, reuse = run(program, torch.randn(4, 4), torch.randn(4, 4))
    assert any(done.variant == "mm(out=)" for done in reuse.overwrites)


REFUSALS = {
    "returned": (lambda x: (x, x + 1), "uses it after the graph"),
    "a view returned": (lambda x: (x[0], x + 1), "returned"),
    "another shape": (lambda x: x.sum(0), "no later result has its shape"),
    "another dtype": (lambda x: x.double(), "no later result has its shape"),
    "another view read": (lambda x: x + x.t(), "reads the same memory by another view"),
    "no variant": (lambda x: x.softmax(-1), "no later result"),
}


@pytest.mark.parametrize("program, why", REFUSALS.values(), ids=REFUSALS)
def test_refused(program, why):
    _, reuse = run(program, torch.randn(4, 4))
    if why == "no later result":
        assert "in place" in fate(reuse)
    else:
        assert why in fate(reuse)


def test_an_expanded_input_is_not_overwritten():
    def program(x):
        return x + 1

    x = torch.ones(3, 1).expand(3, 4)
    captured = capture(program, donate=("x",))
    assert torch.equal(captured(x), x + 1) and torch.equal(x, torch.ones(3, 4))


def test_a_view_is_not_overwritten():
    def program(x):
        return x + 1

    base = torch.zeros(4, 4)
    captured = capture(program, donate=("x",))
    captured(base[1:3])
    assert "view" in fate(captured.entries[0].memory.reuse) and not base.any()
    whole = torch.zeros(4, 4)
    again = capture(lambda x: x + 1, donate=("x",))
    assert torch.equal(again(torch.zeros(2, 4)), torch.ones(2, 4))
    assert torch.equal(again(whole[1:3]), torch.ones(2, 4)) and not whole.any()


@pytest.mark.parametrize("operation", [torch.exp, torch.tanh, lambda h: h * h, lambda h: h.pow(3), torch.sin])
def test_what_autograd_saved_is_left_alone(operation):
    def program(x, w):
        return torch.relu(operation(x * w) + 1) * 2

    x, w = torch.randn(4, 4), torch.randn(4, 4, requires_grad=True)
    program(x, w).sum().backward()
    expected, w.grad = w.grad, None
    captured = capture(program, donate=("x",))
    captured(x.clone(), w).sum().backward()
    assert torch.equal(w.grad, expected)
    reuse = captured.entries[0].memory.reuse
    assert {done.variant for done in reuse.overwrites} >= {"relu_"}
    assert any("saved it for the backward pass" in refusal.why for refusal in reuse.refusals)


def test_an_input_that_requires_grad_is_not_overwritten():
    _, reuse = run(lambda x: x + 1, torch.ones(3, requires_grad=True))
    assert "requires grad" in fate(reuse)


def test_a_view_kept_by_another_output_protects_its_memory():
    def program(x):
        h = x + 1
        v = h[0]
        return torch.relu(h), v

    _, reuse = run(program, torch.randn(4, 4))
    assert [done.node for done in reuse.overwrites] == ["add"]


def test_random_numbers_are_drawn_as_before():
    def program(x):
        return torch.nn.functional.dropout(x * 3, 0.5) + 1

    with torch.no_grad():
        _, reuse = run(program, torch.randn(16, 16))
    assert {"dropout_"} <= {done.variant for done in reuse.overwrites}


def test_behind_a_break_nothing_is_donated():
    weight = torch.ones(4)

    def program(x):
        x = x + 1
        y = weight
        graph_break()
        x = y
        graph_break()
        return x + 1

    run(program, torch.randn(4))
    assert torch.equal(weight, torch.ones(4))


def test_tensors_in_a_donated_list():
    def program(items, y):
        return items[0] + y, items[1] * y

    items = [torch.ones(3), torch.ones(3)]
    begins = [item.data_ptr() for item in items]
    captured = capture(program, donate=("items",))
    results = captured(items, torch.full((3,), 2.0))
    assert [result.data_ptr() for result in results] == begins
    assert results[0].tolist() == [3, 3, 3] and results[1].tolist() == [2, 2, 2]


def test_a_module_and_a_method():
    layer = nn.Sequential(nn.ReLU(), nn.Sigmoid())
    captured = capture(layer, donate=("input",))
    for given in ({"input": torch.randn(4)}, None):
        x = torch.randn(4)
        begin, expected = x.data_ptr(), layer(x.clone())
        result = captured(input=x) if given else captured(x)
        assert torch.equal(result, expected) and result.data_ptr() == begin

    class Adder:
        @capture(donate=("x",))
        def add(self, x):
            return x + 1

    x = torch.zeros(3)
    result = Adder().add(x)
    assert result.data_ptr() == x.data_ptr() and result.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "tensor", [torch.ones(3), torch.ones(3, dtype=torch.int32), torch.ones(3, dtype=torch.complex64)], ids=str
)
def test_strict_mode_poisons(tensor):
    def program(x):
        return x + x, x.sum()

    expected = program(tensor.clone())
    result = capture(program, donate=("x",), strict=True)(tensor)
    assert torch.equal(result[0], expected[0]) and torch.equal(result[1], expected[1])
    poisoned = tensor.isnan() if tensor.dtype != torch.int32 else tensor == torch.iinfo(torch.int32).max
    assert poisoned.all()


def test_poison_does_not_reach_what_autograd_saved():
    layer, x = nn.Linear(4, 4), torch.randn(2, 4)
    layer(x.clone()).sum().backward()
    expected = layer.weight.grad.clone()
    layer.zero_grad()
    capture(layer, donate=("input",), strict=True)(x).sum().backward()
    assert x.isnan().all() and torch.equal(layer.weight.grad, expected)


def test_the_same_storage_passed_twice():
    captured = capture(lambda x, y: (x + 1) * y.sum(), donate=("x",))
    x = torch.ones(4)
    for other in (x, x.detach(), x[1:]):
        with pytest.raises(ValueError, match="x is donated, and argument 2 has the same memory"):
            captured(x, other)
    assert torch.equal(x, torch.ones(4))
    assert torch.equal(captured(x, torch.ones(4)), torch.full((4,), 8.0))


def test_a_parameter_that_is_donated_too():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4), requires_grad=False)

        def forward(self, x):
            return x + self.weight

    scale = Scale()
    captured = capture(scale, donate=("x",))
    captured(torch.ones(4))
    with pytest.raises(ValueError, match=r"is donated, and .*weight shares its memory"):
        captured(scale.weight.detach())
    assert torch.equal(scale.weight, torch.ones(4))


def test_bad_names():
    def program(x, *, y=1):
        return x

    with pytest.raises(ValueError, match=r"has no parameter 'z'; it has x, y"):
        capture(program, donate=("z",))
    with pytest.raises(ValueError, match=r"Linear.forward has no parameter 'x'; it has input"):
        capture(nn.Linear(2, 2), donate=("x",))
    with pytest.raises(TypeError, match="donate must be a tuple"):
        capture(program, donate="x")


def test_explain_tells():
    captured = capture(lambda x: (x + 1).relu(), donate=("x",))
    text = str(explain(captured, torch.ones(256)))
    assert "2 of 2 in place, 2 KiB saved, peak 2 KiB to 0 bytes" in text
    assert "add over x: add_, 1 KiB" in text


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_every_backend_takes_the_rewritten_graph(backend):
    run(lambda x: torch.relu(x * 2) + 1, torch.randn(4, 4), backend=backend)


def test_symbolic_sizes():
    captured = capture(lambda x: torch.relu(x * 2) + 1, donate=("x",), dynamic=True)
    for size in (3, 5, 7):
        x = torch.randn(size, 4)
        begin, expected = x.data_ptr(), torch.relu(x * 2) + 1
        result = captured(x)
        assert torch.equal(result, expected) and result.data_ptr() == begin


IN_PLACE = [name[:-1] for name in dir(torch.Tensor) if name[-1] == "_" != name[0] and hasattr(torch, name[:-1])]


def gradients(result, given):
    try:
        found = torch.autograd.grad(result.sum(), given, allow_unused=True)
        return [None if gradient is None else gradient + 0 for gradient in found]
    except RuntimeError as error:
        return type(error)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_every_operator_with_an_in_place_form(requires_grad):
    """Whatever torch has in place, on one and on two tensors: results and gradients bit for bit."""
    overwritten = set()
    for name in IN_PLACE:
        for count in (1, 2):
            operator = getattr(torch, name)

            def program(x, *others):
                return operator(x * 2, *others) + 1

            given = [torch.rand(3, 3, requires_grad=requires_grad) for _ in range(count)]
            torch.manual_seed(5)
            try:
                expected = program(*given)
            except (RuntimeError, TypeError, IndexError, ValueError):
                continue
            captured = capture(program, donate=(), recompile_limit=1000)
            torch.manual_seed(5)
            found = captured(*given)
            assert not differences(expected.detach(), found.detach(), name)
            if expected.requires_grad:
                assert not differences(gradients(expected, given), gradients(found, given), f"gradients of {name}")
            for view in captured.entries:
                if view.memory:
                    overwritten |= {name for done in view.memory.reuse.overwrites if done.variant == f"{name}_"}
    assert len(overwritten) > (20 if requires_grad else 60), sorted(overwritten)


def test_a_class_and_a_list_of_names():
    @capture(donate=["x"])
    class Scaled(nn.Module):
        def forward(self, x):
            return x * 2

    x = torch.ones(3)
    assert Scaled()(x).data_ptr() == x.data_ptr()
    with pytest.raises(TypeError, match="donate must be a tuple of parameter names or None, not 3"):
        capture(lambda x: x, donate=3)
