"""What autograd knows as a view: of results of graphs that are written to later, and of tensors that begin to require
gradients.
"""

import pytest
import torch

from tests.check import BACKENDS, check
from tests.same import differences
from tracer import capture, counters, graph_break


def view_and_base(x, y):
    whole = x * 1
    view = whole[1:]
    graph_break()
    view += y[:1]
    return whole, view


def view_alone(x, y):
    view = (x * 1).t()
    graph_break()
    view.mul_(y)
    return view


def view_of_a_view(x, y):
    view = (x + 1).view(-1)[1:3]
    graph_break()
    view.copy_(y[0])
    return view


def view_without_gradients(x, y):
    with torch.no_grad():
        whole = x * 1
        view = whole[1:]
    graph_break()
    view += y[:1]
    return whole, view


def one_of_several(x, y):
    first, second = (x * 1).unbind(0)
    graph_break()
    first.mul_(y[0])
    return first, second


def one_of_several_parts(x, y):
    first, *_ = (x * 1).chunk(2)
    graph_break()
    first.add_(y[:1])
    return first


VIEWS = (view_and_base, view_alone, view_of_a_view, view_without_gradients, one_of_several, one_of_several_parts)


def outcome(function, x, y):
    """What a call gives, with its gradients, or its error."""
    try:
        result = function(x, y)
    except RuntimeError as error:
        return str(error)
    tensors = result if isinstance(result, tuple) else (result,)
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    if wanted:
        torch.stack([(tensor**2).sum() for tensor in wanted]).sum().backward()
    return [(tensor.detach(), tensor.requires_grad, tensor._is_view(), tensor._version) for tensor in tensors], y.grad


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize("program", VIEWS)
def test_a_view_that_a_graph_returns_is_written_to(program, backend):
    captured = capture(program, backend=backend)
    for _ in range(2):
        runs = [
            outcome(function, torch.ones(2, 2), torch.full((2, 2), 3.0, requires_grad=True))
            for function in (program, captured)
        ]
        assert not differences(*runs)


def detached(x, y):
    view = x.detach()
    y.requires_grad_()
    return view.requires_grad, view * 2, view


def data(x, y):
    view = x.data.view(4)
    y.requires_grad_()
    return view.requires_grad, view + 1


def view(x, y):
    view = x.view(4)
    y.requires_grad_()
    return view.requires_grad, view + 1


def view_of_detached(x, y):
    view = x.detach()
    part = view[0]
    view.mul_(torch.ones(2, 2, requires_grad=True))
    return part.requires_grad, x.requires_grad, x * 2, part + 1


def written_by_a_detached_view(x, y):
    own = y * 1
    view = own.detach()[0]
    view.mul_(torch.ones(2, requires_grad=True))
    return own.requires_grad, view.requires_grad, own + view


def written_view(x, y):
    own = y * 1
    view, other = own[0], own[1]
    view.mul_(torch.ones(2, requires_grad=True))
    return own.requires_grad, other.requires_grad, own + other


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize("program", [detached, data, view, view_of_detached, written_by_a_detached_view, written_view])
def test_only_views_begin_to_require_gradients(program, backend):
    if program is view_of_detached and backend == "aot_eager":
        pytest.skip("AOTAutograd returns each view of an input as a view of that input alone")
    captured = capture(program, backend=backend)
    for same in (True, False, True):
        runs = []
        for function in (program, captured):
            x, y = torch.ones(2, 2), torch.ones(2, 2)
            runs.append([function(x, x if same else y), x, y])
        assert not differences(*runs, compiled=backend == "aot_eager")


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize(
    "program",
    [lambda x: (x.detach_(), x[1:])[1], lambda x: (x[0].detach_(), x * 2)[1], lambda x: (x * 2).view(4).detach_()],
    ids=["argument", "view of an argument", "view of a result"],
)
def test_views_cannot_be_detached_in_place(program, backend):
    for _ in range(2):
        with pytest.raises(RuntimeError, match="Can't detach views in-place"):
            capture(program, backend=backend)(torch.arange(4.0).view(2, 2))


class Counted:
    count = 0


def _through_a_view(holder, x, y):
    holder.count += 1
    x.T.add_(y)
    x.add_(1)
    return x


def _through_the_base(holder, x, y):
    holder.count += 1
    view = x.T
    x.add_(y)
    view.add_(1)
    return x, view


def _beside_another_view(holder, x, y):
    holder.count += 1
    rows, first = x.T, x[0]
    rows.add_(y)
    first.add_(1)
    return x, first


def _of_the_program(holder, x, y):
    holder.count += 1
    own = x.clone()
    rows, first = own.T, own[0]
    rows.add_(y)
    first.add_(1)
    return own, first


def _asked_before(holder, x, y):
    holder.count += 1
    x.T.add_(y)
    total = x + 1
    x.add_(1)
    return x, total


STALE = [_through_a_view, _through_the_base, _beside_another_view, _of_the_program, _asked_before]


@pytest.mark.parametrize("program", STALE)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("is_view", [True, False])
def test_a_write_to_a_tensor_that_requires_gradients_since_a_write_to_a_view(program, backend, is_view):
    """Torch refuses it as one to a leaf, unless the history of the tensor was asked for in between."""
    shape = (lambda tensor: tensor.view(2, 2)) if is_view else (lambda tensor: tensor.reshape(2, 2).clone())
    choices = {"backend": BACKENDS[backend], "recaptures": None, "gradients": False}
    check(program, make=lambda: (Counted(), shape(torch.arange(4.0)), torch.ones(2, 2, requires_grad=True)), **choices)


def _one_of(split):
    def program(x, kept):
        y = x * 1
        kept["part"] = split(y)[0]
        y.mul_(2)
        graph_break()
        kept["part"].add_(1)
        return y.sum()

    return program


def _looked_at(split):
    def program(x, kept):
        y = x * 1
        part = split(y)[0]
        y.mul_(2)
        graph_break()
        return part.grad_fn, y

    return program


def _given_back(split):
    def program(x, kept):
        y = x * 1
        kept["part"] = split(y)[0]
        y.mul_(2)
        return y.sum()

    return program


@pytest.mark.parametrize("program", [_one_of, _looked_at, _given_back])
@pytest.mark.parametrize("split", [lambda y: y.chunk(2), lambda y: y.split(1), torch.unbind, list])
@pytest.mark.parametrize("backend", BACKENDS)
def test_views_of_which_autograd_refuses_to_make_the_history_anew(program, split, backend):
    """The error, and its words, are those of the instruction that the program fails at."""
    words = []
    function = program(split)
    for each in (function, capture(function, backend=BACKENDS[backend])):
        kept = {}
        with pytest.raises(RuntimeError) as error:
            each(torch.ones(2, requires_grad=True) * 1, kept)
            kept["part"].add_(1)
        words.append(str(error.value))
    assert words[0] == words[1]
    assert counters().tracer_bugs == 0
