"""Closures, cells, nonlocal variables and functions made inside a captured program."""

import functools

import torch

from tests.check import check, one_graph
from tracer import capture, counters, graph_break, reset


def test_free_variable_is_read():
    scale = 3.0

    def program(x):
        return x * scale

    one_graph(program, torch.ones(2))


def test_free_tensor_is_an_input_of_the_graph():
    weight = torch.arange(2.0, requires_grad=True)

    def program(x):
        return x * weight

    report = one_graph(program, torch.ones(2))
    weight.data.fill_(5)
    torch.testing.assert_close(report.captured(torch.ones(2)), torch.full((2,), 5.0))


def test_free_variable_is_guarded():
    scale = 3

    def program(x):
        return x * scale

    report = one_graph(program, torch.ones(2))
    scale = 4
    torch.testing.assert_close(report.captured(torch.ones(2)), torch.full((2,), 4.0))


def test_nonlocal_assignment():
    calls, last = 0, None

    def program(x):
        nonlocal calls, last
        calls += 1
        last = x + calls
        return last

    check(program, torch.ones(2), graphs=1, breaks=[])


def test_nonlocal_assignment_on_both_sides_of_a_break():
    trail = ()

    def program(x):
        nonlocal trail
        trail += ("before",)
        y = x + len(trail)
        graph_break()
        trail += ("after",)
        return y * len(trail)

    check(program, torch.ones(2), graphs=2, breaks=["explicit"])


def test_two_functions_share_a_cell():
    total = 0

    def add(amount):
        nonlocal total
        total += amount

    def program(x):
        add(2)
        add(3)
        return x * total

    one_graph(program, torch.ones(2))


def test_inner_function_reads_a_local():
    def program(x):
        y = x + 1

        def inner(z):
            return y * z

        y = y + 1
        return inner(2)

    one_graph(program, torch.ones(2))


def test_inner_function_changes_a_local():
    def program(x):
        count = 0

        def tick():
            nonlocal count
            count += 1
            return count

        return x + tick() + tick(), count

    one_graph(program, torch.ones(2))


def test_argument_that_is_a_cell():
    def program(x, y):
        def swap():
            nonlocal x, y
            x, y = y, x

        swap()
        return x - y

    one_graph(program, torch.ones(2), torch.zeros(2))


def test_lambda_defaults_bind_early():
    def program(x):
        early = [lambda value, index=index: value + index for index in range(3)]
        late = [lambda value: value + index for index in range(3)]
        return [f(x) for f in early], [f(x) for f in late]

    one_graph(program, torch.ones(2))


def test_closure_is_returned_and_still_works():
    def program(x):
        y = x * 2
        history = []

        def inner(z):
            history.append(len(history))
            return y + z, history

        return inner

    report = one_graph(program, torch.ones(2))
    inner = report.outcomes[-1].result
    torch.testing.assert_close(inner(1)[0], torch.full((2,), 3.0))
    assert inner(1)[1] == [0, 1]


def test_two_returned_closures_share_their_cell():
    def program(x):
        value = x

        def get():
            return value

        def put(new):
            nonlocal value
            value = new

        return get, put

    report = check(program, torch.ones(2))
    get, put = report.outcomes[-1].result
    put("changed")
    assert get() == "changed"


def test_closure_lives_across_a_break():
    def program(x):
        count = 0

        def tick():
            nonlocal count
            count += 1
            return x + count

        first = tick()
        graph_break()
        second = tick()
        return first, second, count

    check(program, torch.ones(2), breaks=["explicit"])


def test_recursion_through_a_cell():
    def program(x, depth):
        def down(value, left):
            return value if left == 0 else down(value * 2, left - 1)

        return down(x, depth)

    one_graph(program, torch.ones(2), 4)


def test_decorated_function_called_inside():
    def doubled(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs) * 2

        return wrapper

    @doubled
    def shifted(value, by=1):
        return value + by

    def program(x):
        return shifted(x) + shifted(x, by=3), shifted.__name__

    one_graph(program, torch.ones(2))


def test_empty_cell_raises_name_error():
    def program(x):
        def inner():
            return later

        if x.dim() == 1:
            result = inner()
        later = 1
        return result

    check(program, torch.ones(2), recaptures=None)


def test_three_levels_of_nesting():
    def program(x):
        def outer(a):
            def middle(b):
                def inner(c):
                    return x + a * b - c

                return inner

            return middle

        return outer(2)(3)(4)

    one_graph(program, torch.ones(2))


def test_class_cell_and_super():
    class Base:
        def scale(self, x):
            return x * 2

    class Derived(Base):
        def scale(self, x):
            return super().scale(x) + __class__.offset

        offset = 5

    instance = Derived()

    def program(x):
        return instance.scale(x)

    one_graph(program, torch.ones(2))


def test_a_new_closure_across_each_break():
    def program(x, factor):
        def scaled(value, offset=2, *, twice=False):
            return value * factor + offset + twice

        graph_break()
        first = scaled(x)
        combined = lambda value: scaled(value, twice=True) + first  # noqa: E731
        graph_break()
        return combined(x), scaled is combined

    check(program, torch.ones(2), 3, calls=4)


def test_a_closure_of_an_instance_is_shared_by_instances():
    class Scale(torch.nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.function = lambda x: x * factor

        def forward(self, x):
            return self.function(x)

    reset()
    call = capture(lambda module, x: module(x), strict=True)
    for factor, captures in ((2.0, 1), (2.0, 1), (3.0, 2)):
        assert torch.equal(call(Scale(factor), torch.ones(2)), torch.full((2,), factor))
        assert counters().captures == captures


def test_a_closure_known_by_its_code_is_still_itself():
    def outer(x, function, table):
        return x + (1 if function is chosen else 2) + table[function] + function(x)

    chosen = (lambda: lambda x: x * 2)()
    other = (lambda: lambda x: x * 3)()
    check(lambda x: outer(x, chosen, {chosen: 1}) + outer(x, other, {other: 5}), torch.ones(2))


def test_a_cell_without_its_function_has_its_content():
    def program(x):
        def inner():
            return inner, x

        return inner.__closure__

    plain, (function, content) = program(torch.ones(2)), capture(program)(torch.ones(2))
    assert [type(cell.cell_contents) for cell in plain] == [type(cell.cell_contents) for cell in (function, content)]
    assert content.cell_contents.tolist() == [1, 1]
    assert function.cell_contents.__closure__[1] is content


def test_variable_that_a_comprehension_hides_is_back_after_a_break():
    """The comprehension has a cell of its own, and is inlined from Python 3.12 on."""

    def program(x, n):
        y = x * 2
        functions = [(graph_break(), lambda: y + 1)[1] for y in range(n)]
        return [function() for function in functions], y + 1

    check(program, torch.ones(2), 3, recaptures=None)


def test_variable_that_was_unbound_before_a_comprehension_is_again():
    def program(x, n):
        i = 1
        del i
        rows = [(x + i, graph_break())[0] for i in range(n)]
        try:
            return i
        except UnboundLocalError as error:
            return str(error), rows

    check(program, torch.ones(2), 3, recaptures=None)
