"""Gradients of graphs that AOTAutograd compiles, where its backward cannot give them: double backward, late changes."""

import weakref

import pytest
import torch
from torch import nn

from backends import native_gradients
from tests.same import differences
from tracer import capture, graph_break, reset

BACKENDS = {"eager": "eager", "aot_eager": "aot_eager", "forward": lambda module, _: module.forward}


def squares(x, w, n):
    return (x * x * w).sum() * n


def sizes(x, w, n):
    return (torch.sin(x) @ w).sum() / x.shape[0], x.exp()


def layers(x, w, n):
    return nn.functional.layer_norm(nn.functional.softplus(x @ w), (x.shape[1],)) ** 3


def intermediate(x, w, n):
    y = x * w
    z = y.tanh() if n > 1 else y
    return z * z, y.pow(3)


def two_graphs(x, w, n):
    y = x * w
    graph_break()
    return (y * x).sum()


def under_autocast(x, w, n):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = x @ w
    return y.float() ** 2


def written_result(x, w, n):
    y = x * w
    y.mul_(x)
    return y


def written_argument(x, w, n):
    n = torch.zeros(3, 3)
    n.add_(x * w)
    return n * n


PROGRAMS = (squares, sizes, layers, intermediate, two_graphs, under_autocast, written_result, written_argument)


def derivatives(program, rows=3):
    """The first three derivatives of the sum of what `program` returns."""
    x = (torch.arange(3.0 * rows).reshape(rows, 3) / 4 - 1).requires_grad_()
    w = nn.Parameter(torch.arange(9.0).reshape(3, 3) / 8)
    outputs = program(x, w, 2)
    total = sum(output.sum() for output in (outputs if type(outputs) is tuple else (outputs,)))
    found = [total]
    for _ in range(2):
        first, second = torch.autograd.grad(total, (x, w), create_graph=True, materialize_grads=True)
        total = (first * first).sum() + (second * second).sum()
        found += [first, second]
    total.backward()
    return [tensor.detach() for tensor in found], x.grad, w.grad


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_derivatives_of_derivatives(program, backend, dynamic):
    reset()
    captured = capture(program, backend=BACKENDS[backend], dynamic=dynamic, strict=True)
    for rows in (3, 3) if program is not sizes else (3, 4, 5):
        assert not differences(derivatives(program, rows), derivatives(captured, rows))


def written_to(program, x):
    inner = x * 1
    result = program(inner)
    inner.add_(1)
    return result


@pytest.mark.parametrize(
    "run",
    [lambda program, x: program(x.clone()), written_to, lambda program, x: program(x * 1)[1:]],
    ids=["gone", "written to", "gone, a part"],
)
def test_second_derivatives_are_never_left_out(run):
    """Nothing leads from a compiled backward of tanh, which uses its result alone, to the input."""
    x = torch.linspace(-1, 1, 5, requires_grad=True)
    program = capture(lambda x: x.tanh(), backend="aot_eager")
    gradient = torch.autograd.grad(run(program, x).sum(), x, create_graph=True)[0]
    assert gradient.requires_grad
    with pytest.raises(RuntimeError, match="double backward"):
        torch.autograd.grad((gradient * x).sum(), x)


def test_first_derivatives_are_there_where_an_input_is_gone():
    def gradient(program):
        x = torch.ones(3, requires_grad=True)
        return torch.autograd.grad(program(x * 2).sum(), x, create_graph=True)[0]

    program = capture(lambda x: (x + 1).exp(), backend="aot_eager")
    result = gradient(program)
    assert result.tolist() == gradient(lambda x: (x + 1).exp()).tolist()
    with pytest.raises(RuntimeError, match="double backward"):
        result.sum().backward()


def test_a_run_keeps_no_input_alive():
    captured = capture(lambda x: (x + 1).sum(), backend="aot_eager")
    for _ in range(2):
        x = torch.ones(3, requires_grad=True) * 2
        alive = weakref.ref(x)
        result = captured(x)
        del x
        assert result.requires_grad and alive() is None


def helper(gradient):
    return gradient * 2


def applied(backward):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 1

    return type("Applied", (torch.autograd.Function,), {"forward": staticmethod(forward), "backward": backward})


def replace_method(function):
    function.backward = staticmethod(lambda ctx, gradient: gradient * 7)


def replace_code(function):
    function.backward.__code__ = (lambda ctx, gradient: gradient * 8).__code__


def replace_helper(function):
    globals()["helper"] = lambda gradient: gradient * 9


def keep(function):
    pass


CHANGES = (keep, replace_method, replace_code, replace_helper)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_backward_is_what_it_is_when_it_runs(change, backend):
    def gradients(wrap):
        function = applied(staticmethod(lambda ctx, gradient: helper(gradient) * ctx.saved_tensors[0]))
        call = wrap(lambda x: function.apply(x * 3).sum())
        found = []
        for between in (keep, change, keep):
            x = torch.arange(1.0, 3.0).requires_grad_()
            result = call(x)
            between(function)
            result.backward()
            found.append(x.grad.tolist())
        return found

    original = helper
    try:
        expected = gradients(lambda program: program)
        globals()["helper"] = original
        assert gradients(lambda program: capture(program, backend=BACKENDS[backend], strict=True)) == expected
    finally:
        globals()["helper"] = original


def test_a_late_change_is_an_error_where_the_run_cannot_be_repeated():
    function = applied(staticmethod(lambda ctx, gradient: gradient * 2))
    call = capture(lambda x: (function.apply(x) * torch.rand(2)).sum(), backend="aot_eager")
    x = torch.ones(2, requires_grad=True)
    call(x).backward()
    result, state = call(x), torch.get_rng_state()
    replace_method(function)
    with pytest.raises(RuntimeError, match="cannot be repeated"):
        result.backward()
    assert torch.equal(state, torch.get_rng_state())


def two_heads(x, one, other, third):
    hidden = x @ one
    first, second = (hidden * 2).chunk(2)
    return first.sum(), second.sum(), (other * 3).sum(), hidden.detach().sum() * third, hidden + third, x + 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dynamic", [None, True])
def test_what_no_gradient_reaches_has_none(backend, dynamic):
    """An optimizer leaves a parameter alone that has no gradient; of zeros it makes steps."""

    def gradients(function, which):
        leaves = [torch.full((2, 2), float(number), requires_grad=True) for number in (1, 2, 3)]
        results = function(torch.ones(2, 2), *leaves)
        sum(results[place].sum() for place in which).backward()
        return [leaf.grad for leaf in leaves]

    captured = capture(two_heads, backend=BACKENDS[backend], dynamic=dynamic)
    for which in [(0,), (1,), (2,), (3,), (4,), (0, 2), (3, 1), (0, 1, 2, 3, 4)]:
        for expected, observed in zip(gradients(two_heads, which), gradients(captured, which), strict=True):
            assert (expected is None) == (observed is None)
            assert expected is None or torch.equal(expected, observed)


def test_output_without_a_gradient_beside_a_written_input():
    def program(x, one, other):
        x.mul_(2)
        return (x * one).sum(), (other * 3).sum()

    captured = capture(program, backend="aot_eager")
    one, other = (torch.ones(2, requires_grad=True) for _ in range(2))
    captured(torch.ones(2), one, other)[0].backward()
    assert torch.equal(one.grad, torch.full((2,), 2.0))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("picked", [0, 1, 2])
def test_gradients_of_one_of_some_results_where_another_is_a_conjugate(backend, picked):
    def program(x):
        return x.cfloat().conj(), x - 1, x.cfloat().conj()[0].imag

    reset()
    captured, gradients = capture(program, backend=BACKENDS[backend]), []
    for function in (program, captured, captured):
        x = torch.ones(2, 2, requires_grad=True)
        results = function(x)
        results[picked].abs().sum().backward()
        gradients.append((x.grad, [(result.is_conj(), result.is_neg()) for result in results]))
    assert not differences(gradients[0], gradients[1], "first") and not differences(gradients[0], gradients[2], "next")


def _through_sparse(x):
    return (x * 2).to_sparse().to_dense() * 3


def _through_compressed(x):
    return x.to_sparse_csr().to_dense() + x


def _sparse_result(x):
    return (x * x).to_sparse(), x + 1


@pytest.mark.parametrize("program", [_through_sparse, _through_compressed, _sparse_result])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_gradients_through_tensors_that_are_not_strided(program, backend):
    reset()
    captured, gradients = capture(program, backend=BACKENDS[backend]), []
    for function in (program, captured, captured):
        x = torch.ones(2, 2, requires_grad=True)
        result = function(x)
        (result[0] if type(result) is tuple else result).to_dense().sum().backward()
        gradients.append(x.grad)
    assert torch.equal(gradients[0], gradients[1]) and torch.equal(gradients[0], gradients[2])


def _sum_and_layer(x, w):
    return w.sum() * 2, x @ w


def _mean_and_product(x, w):
    return (w[0] * 3).mean(), w * w, x @ w


def _transposed_and_product(x, w):
    return w.t() * 2, w * x


def _through_a_break(x, w):
    y = w * 1
    graph_break()
    return y.sum(), y * x


PARTIAL = (_sum_and_layer, _mean_and_product, _transposed_and_product, _through_a_break)


def _separately(function, order, retain):
    """Strides and values of gradients for one result after the other, or the error that ends them."""
    x, w = torch.arange(4.0).view(2, 2), torch.ones(2, 2, requires_grad=True)
    seen = []
    w.register_hook(lambda gradient: seen.append(gradient.stride()))
    results = function(x, w)
    try:
        for position in order:
            result = results[position].sum() if position else results[position]
            gradient = torch.autograd.grad(result, w, torch.ones_like(result), retain_graph=retain)[0]
            seen.append((gradient, gradient.stride(), gradient.requires_grad))
    except RuntimeError as error:
        seen.append(str(error))
    return seen


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PARTIAL)
@pytest.mark.parametrize("order", [(0,), (1, 0), (0, 1), (0, 0), (1, 1), (0, 1, 0), (1, 0, 1)])
@pytest.mark.parametrize("retain", [False, True])
def test_gradients_of_one_result_after_the_other(program, backend, order, retain):
    reset()
    captured = capture(program, backend=BACKENDS[backend])
    expected = _separately(program, order, retain)
    for call in ("first", "next"):
        assert not differences(expected, _separately(captured, order, retain), call)


def test_layouts_of_gradients_are_asked_once(monkeypatch):
    replays = []

    def program(x, w):
        return (w * x).sum(), w @ x

    reset()
    captured = capture(program, backend="aot_eager")
    compile_graph = native_gradients.compile_graph
    monkeypatch.setattr(native_gradients, "compile_graph", lambda *graph: _counting(compile_graph(*graph), replays))
    for _ in range(4):
        x, w = torch.ones(2, 2), torch.ones(2, 2, requires_grad=True)
        captured(x, w)[0].backward()
        assert not replays, "gradients that are added to `grad` have its strides"
    for _ in range(4):
        torch.autograd.grad(captured(x, w)[0], w)
        assert len(replays) == 1


def _counting(function, calls):
    def run(*args):
        calls.append(args)
        return function(*args)

    return run


def test_strides_that_a_hook_sees():
    def program(x, w):
        return w.sum(), w * x

    reset()
    captured, seen, x = capture(program, backend="aot_eager"), [], torch.ones(2, 2)
    for function in (program, captured, captured):
        w = torch.ones(2, 2, requires_grad=True)
        w.register_hook(lambda gradient: seen.append(gradient.stride()))
        function(x, w)[0].backward()
    assert seen == [(0, 0)] * 3


DATA_WRITES = {
    "data": lambda x, y: (LAYER.bias.data.add_(1), y - 1)[1],
    "detach": lambda x, y: (LAYER.bias.detach().add_(1), y - 1)[1],
    "by an input": lambda x, y: (LAYER.bias.data.mul_(x[0]), y * 2)[1],
    "and an output without gradients": lambda x, y: (LAYER.bias.data.add_(1), y - 1, x + 1)[1:],
    "and used": lambda x, y: y - LAYER.bias.data.add_(1),
    "and the layer": lambda x, y: (LAYER.bias.data.add_(1), LAYER(y))[1],
}
LAYER = torch.nn.Linear(2, 2)


@pytest.mark.parametrize("name", DATA_WRITES)
def test_a_write_to_the_data_of_a_parameter_gives_it_no_gradient(name):
    """The output does not hang on it by gradients."""
    program = DATA_WRITES[name]
    captured = capture(program, backend="aot_eager")

    def gradients(function):
        LAYER.zero_grad(set_to_none=True)
        with torch.no_grad():
            LAYER.bias.zero_()
        x, y = torch.arange(4.0).view(2, 2), torch.ones(2, 2, requires_grad=True)
        result = function(x, y)
        (result[0] if isinstance(result, tuple) else result).sum().backward()
        return str((LAYER.bias, LAYER.bias.grad, LAYER.weight.grad, y.grad))

    for _ in range(2):
        assert gradients(program) == gradients(captured)
