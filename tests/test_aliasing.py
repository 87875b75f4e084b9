"""Which of a captured program's outputs are one object, and which share memory with which input."""

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture


def test_argument_returned_is_the_argument():
    def program(x):
        y = x + 1
        return x, y, x

    report = one_graph(program, torch.ones(2))
    result, (x,) = report.outcomes[-1].result, report.outcomes[-1].arguments
    assert result[0] is x and result[2] is x


def test_one_result_in_two_places_is_one_object():
    def program(x):
        y = x + 1
        return {"a": y, "b": [y, y]}

    one_graph(program, torch.ones(2))


def test_equal_results_are_two_objects():
    def program(x):
        return x + 1, x + 1

    report = one_graph(program, torch.ones(2))
    first, second = report.outcomes[-1].result
    assert first is not second and first.data_ptr() != second.data_ptr()


def test_one_tensor_given_twice():
    def program(x, y):
        return x + y, x is y

    x = torch.ones(2)
    one_graph(program, x, x)


def test_identity_of_arguments_is_guarded():
    def program(x, y):
        return x + 1 if x is y else x - 1

    x = torch.ones(2)
    report = one_graph(program, x, x)
    torch.testing.assert_close(report.captured(x, x), x + 1)
    torch.testing.assert_close(report.captured(x, x.clone()), x - 1)


def test_one_list_reached_by_two_paths():
    def program(first, second, x):
        first.append(x + 1)
        second.append(x + 2)
        return len(first), first is second

    items: list[object] = []
    check(program, items, items, torch.ones(2), graphs=1)


def test_list_given_once_then_twice():
    def program(first, second, x):
        first.append(x + 1)
        return len(second)

    report = one_graph(program, [], [], torch.ones(2))
    shared: list[object] = []
    assert report.captured(shared, shared, torch.ones(2)) == 1
    assert report.captured([], [], torch.ones(2)) == 0


def test_list_built_inside_is_stored_and_returned():
    def program(table, x):
        items = [x + 1]
        table["items"] = items
        return items

    one_graph(program, {}, torch.ones(2))


def test_every_call_makes_a_new_container():
    def program(x):
        return [x + 1], {"a": ()}, set()

    report = one_graph(program, torch.ones(2))
    first, second = (outcome.result for outcome in report.outcomes)
    assert first[0] is not second[0] and first[1] is not second[1] and first[2] is not second[2]


def test_view_of_an_argument_shares_its_memory():
    def program(x):
        return x[1:], x.view(-1), x.t()

    report = one_graph(program, torch.arange(6.0).reshape(2, 3))
    (x,), views = report.outcomes[-1].arguments, report.outcomes[-1].result
    x.fill_(7)
    assert all((view == 7).all() for view in views)


def test_detached_argument_shares_its_memory():
    def program(x):
        return x.detach(), x.data

    check(program, torch.ones(2, requires_grad=True))


def test_two_views_of_one_storage_as_arguments():
    def program(first, second):
        return first + 1, second * 2

    base = torch.arange(4.0)
    one_graph(program, base[:3], base[1:])


def test_overlapping_arguments_one_of_which_is_changed():
    def program(first, second):
        first.add_(1)
        return second * 2

    base = torch.arange(4.0)
    check(program, base[:3], base[1:])


def test_identity_of_new_tensors():
    def program(x):
        y = x + 1
        z = y
        w = y.add_(1)
        return y is z, y is w, y is x, y is not x.clone()

    one_graph(program, torch.ones(2))


def test_default_list_is_shared_between_calls():
    def program(x, seen=[]):
        seen.append(len(seen))
        return x + len(seen)

    report = check(program, torch.ones(2), calls=3)
    assert report.outcomes[-1].surroundings  # the default is among the things compared


def test_contiguous_and_to_return_the_argument_itself():
    def program(x):
        return x.contiguous() is x, x.to(torch.float32) is x, x.float(), x.expand_as(x)

    one_graph(program, torch.ones(2, 3))


def test_tuple_of_arguments_returned():
    def program(*tensors, **named):
        return tensors, named

    report = check(program, torch.ones(1), torch.ones(2), keywords={"k": torch.ones(3)})
    outcome = report.outcomes[-1]
    assert outcome.result[0][1] is outcome.arguments[1]
    assert outcome.result[1]["k"] is outcome.keywords["k"]


@pytest.mark.parametrize(
    "program",
    [
        lambda x: [x.max(0).values for _ in range(3)],
        lambda x: (x * 2, x * 2),
        lambda x: (x.sin() + 1, x.cos(), x.sin() + 1),
        lambda x: {"first": x.softmax(0), "second": x.softmax(0)},
    ],
    ids=["parts", "products", "sums", "keys"],
)
@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_equal_results_are_two_tensors(program, gradient, backend):
    captured = capture(program, backend=backend)
    for _ in range(2):
        results = captured(torch.ones(2, 2).requires_grad_(gradient))
        tensors = list(results.values()) if isinstance(results, dict) else list(results)
        assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(tensors)
