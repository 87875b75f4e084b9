"""Graph breaks: what causes them, in which positions they may come, and that nothing is lost there."""

import io
import linecache
import logging
import time
import warnings

import numpy
import pytest
import torch

from tests.check import check, one_graph
from tracer import GraphBreakError, capture, counters, disable, explain, graph_break, reset


@disable
def opaque(x):
    return x * 2


def breaking(x):
    y = x + 1
    graph_break()
    return y * 2


def test_explicit():
    check(breaking, torch.ones(2), graphs=2, breaks=["explicit"])


def test_several_in_one_function():
    def program(x):
        x = x + 1
        graph_break()
        x = x + 2
        graph_break("again")
        return x + 3

    check(program, torch.ones(2), graphs=3, breaks=["explicit", "explicit"])


def test_first_and_last_statement():
    def program(x):
        graph_break()
        y = x + 1
        graph_break()
        return y

    check(program, torch.ones(2), graphs=1, breaks=["explicit", "explicit"])


def test_disabled_function():
    def program(x):
        return opaque(x + 1) + 3

    check(program, torch.ones(2), graphs=2, breaks=["disabled"])


def test_print():
    def program(x):
        y = x + 1
        print("the sum is", y.sum().item(), sep=" = ")
        return y * 2

    report = check(program, torch.ones(2), recaptures=None)
    assert report.outcomes[-1].output == "the sum is = 4.0\n"


def test_print_of_constants_only():
    def program(x):
        y = x + 1
        print("hello")
        return y * 2

    check(program, torch.ones(2), graphs=1, breaks=[])


DATA_USES = {
    "text of an item": lambda x: str(x.sum().item()),
    "long tolist": lambda x: x.expand(33, 2).tolist(),
    "int": lambda x: int(x[1]),
    "branch": lambda x: 1 if x[0] > 3 else 2,
    "complex": lambda x: complex(x[0]),
    "numpy": lambda x: x.numpy().sum().item(),
    "format": lambda x: f"{x[0]:.2f}",
    "repr": lambda x: repr(x),
    "range": lambda x: [i for i in range(int(x[1]))],
    "in": lambda x: x.sum() in (1.0, 3.0),
    "max": lambda x: max([x[0], x[1]]),
    "sorted": lambda x: sorted([3.0, x[0], x[1]])[0],
    "equal": lambda x: torch.equal(x, x),
    "branch on a size": lambda x: 1 if len(x.nonzero()) else 2,
    "index": lambda x: "abc"[x[1].long()],
}


@pytest.mark.parametrize("extract", DATA_USES.values(), ids=DATA_USES)
def test_data_of_a_tensor_reaches_python(extract):
    def program(x):
        y = x * 2
        data = extract(y)
        return data, y + 1

    report = check(program, torch.tensor([0.5, 1.0]), gradients=False, recaptures=None)
    assert sum(report.first.breaks.values()) >= 1


def test_item_is_used_afterwards():
    def program(x):
        n = (x + 1).sum().item()
        return x * n, n, str(n), x + n

    check(program, torch.ones(2), graphs=2, breaks=["data-to-python"], recaptures=None)


def test_numpy_function():
    def program(x):
        array = numpy.cumsum((x + 1).numpy())
        return torch.from_numpy(array) * 2

    check(program, torch.ones(2), recaptures=None)


def test_backward_inside():
    def program(x):
        loss = (x * x).sum()
        loss.backward()
        return x.grad * 2

    check(program, torch.ones(2, requires_grad=True), gradients=False, recaptures=None)


def test_clock_and_python_random_are_not_frozen():
    def program(x):
        return x + 1, time.perf_counter()

    captured = capture(program, strict=True)
    assert captured(torch.ones(1))[1] < captured(torch.ones(1))[1] < captured(torch.ones(1))[1]


def test_warning_is_issued_every_time():
    def program(x):
        warnings.warn("careful", UserWarning, stacklevel=1)
        return x + 1

    report = check(program, torch.ones(2), recaptures=None)
    assert [len(outcome.warnings) for outcome in report.outcomes] == [1, 1]


def test_logging(caplog):
    def program(x):
        logging.getLogger("bytegraph.test").warning("size %d", x.shape[0])
        return x + 1

    captured = capture(program, strict=True)
    with caplog.at_level(logging.WARNING):
        captured(torch.ones(2))
        captured(torch.ones(2))
    assert [record.getMessage() for record in caplog.records] == ["size 2", "size 2"]


def test_in_the_middle_of_an_expression():
    def program(x):
        return [x + 1, opaque(x) * 2, {"k": (x - 1, opaque(x + 3))}]

    check(program, torch.ones(2), breaks=["disabled", "disabled"])


def test_in_the_middle_of_a_call():
    def collect(*args, **kwargs):
        return args, kwargs

    def program(x):
        return collect(x + 1, *[x, opaque(x)], first=x * 2, second=opaque(x - 1))

    check(program, torch.ones(2), breaks=["disabled", "disabled"])


def test_in_a_method_call_with_receiver_on_the_stack():
    def program(x):
        return x.add(1).mul(opaque(x)).sub(opaque(x + 1), alpha=2)

    check(program, torch.ones(2), breaks=["disabled", "disabled"])


def test_in_a_subscript_store():
    def program(x, items):
        items[len(items) - 1] = opaque(x) + 1
        items[0] += opaque(x)
        return items

    check(program, torch.ones(2), [torch.ones(2), 0], breaks=["disabled", "disabled"])


def test_in_an_f_string():
    def program(x, n):
        return x + 1, f"{n} and {opaque(x).shape} and {n!r:>5}"

    check(program, torch.ones(2), 4, breaks=["disabled"])


def test_in_a_chained_comparison():
    def program(x):
        return 1 < opaque(x).shape[0] < opaque(x).dim() + 5, x + 1

    check(program, torch.ones(2), breaks=["disabled", "disabled"])


def test_in_a_boolean_expression():
    def program(x, flag):
        y = flag and opaque(x)
        return y + 1

    check(program, torch.ones(2), True, breaks=["disabled"])


def test_while_unpacking():
    def pair(x):
        graph_break()
        return x + 1, x + 2

    def program(x):
        first, second = pair(x)
        (a, b), *rest = pair(first), second
        return a, b, rest

    check(program, torch.ones(2))


def test_in_a_callee():
    def program(x):
        y = x + 1
        z = breaking(y)
        return z - 1

    check(program, torch.ones(2), recaptures=None)


def test_two_calls_deep():
    def middle(x):
        return breaking(x + 1) * 3

    def program(x):
        return middle(x) + middle(x * 2)

    check(program, torch.ones(2), recaptures=None)


def test_in_a_method_of_a_module():
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(2, 2)

        def forward(self, x):
            x = self.fc(x)
            graph_break()
            return torch.relu(x)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList(Block() for _ in range(3))

        def forward(self, x):
            for block in self.blocks:
                x = block(x) + 1
            return x

    check(Model(), torch.ones(2))


def test_callback_from_c_code_is_captured_as_well():
    def program(x):
        graph_break()
        return list(map(lambda i: x * i, range(3))), sorted([3, 1, 2], key=lambda i: -i)

    check(program, torch.ones(2))


def test_locals_that_are_deleted_or_unbound():
    def program(x, flag):
        a = x + 1
        if flag:
            b = a * 2
        graph_break()
        del a
        try:
            return b
        except UnboundLocalError as error:
            return str(error)

    check(program, torch.ones(2), True, breaks=["explicit"])
    check(program, torch.ones(2), False, breaks=["explicit"])


def test_every_kind_of_local_survives():
    def program(x, items):
        number, text, nothing, shape = 3, "abc", None, x.shape
        pair, table, numbers = (x + 1, 2), {"x": x * 2}, {1, 2}
        function, generator_list, half = (lambda v: v + number), [i for i in range(3)], torch.float16
        alias = items
        iterator = iter([1, 2, 3])
        next(iterator)
        graph_break()
        alias.append(4)
        return (
            number, text, nothing, shape, pair, table, numbers,
            function(x), generator_list, half, alias is items, list(iterator), len(items),
        )  # fmt: skip

    report = check(program, torch.ones(2), [])
    assert report.first.breaks["explicit"] == 1


def test_views_and_aliases_survive():
    def program(x):
        base = x + 1
        view = base[1:]
        same = base
        graph_break()
        view.add_(10)
        return base, view, same is base

    check(program, torch.ones(3), graphs=2, breaks=["explicit"])


def test_mutation_of_an_input_before_the_break_is_done_once():
    def program(x, log):
        x.add_(1)
        log.append("once")
        graph_break()
        x.mul_(2)
        return x

    check(program, torch.ones(2), [], graphs=2, breaks=["explicit"])


def test_two_paths_that_meet_share_a_continuation():
    def program(x, flag):
        y = x + 1 if flag else x - 1
        graph_break()
        return y * 2

    captured = capture(program, strict=True)
    captured(torch.ones(2), True)
    once = counters().captures
    captured(torch.ones(2), False)
    assert counters().captures == once + 1  # the function itself; its continuation is there already


def test_attribute_of_a_callee_result():
    class Holder:
        def __init__(self, value):
            self.value = value

    @disable
    def hold(x):
        return Holder(x)

    def program(x):
        held = hold(x + 1)
        held.value = held.value * 2
        return held

    check(program, torch.ones(2), breaks=["disabled"])


def test_fullgraph_raises_with_reason_and_line():
    captured = capture(breaking, fullgraph=True)
    with pytest.raises(GraphBreakError) as caught:
        captured(torch.ones(2))
    assert caught.value.reason.id == "explicit"
    assert "test_breaks.py" in str(caught.value) and "graph_break()" in str(caught.value)


def test_fullgraph_without_a_break():
    one_graph(lambda x: x + 1, torch.ones(2), fullgraph=True)


def test_explanation_of_a_break():
    def program(x):
        if x.sum() > 10:
            return x + 1
        return x - 1

    told = str(explain(program, torch.ones(2)))
    assert "data-dependent-jump" in told
    assert "if x.sum() > 10:" in told
    assert "hint: use torch.where" in told


def test_message_of_graph_break_is_told():
    def program(x):
        graph_break("because I say so")
        return x + 1

    assert "because I say so" in str(explain(program, torch.ones(2)))


def test_unsupported_opcode_or_call_never_breaks_the_program():
    def program(x):
        class Local:
            value = 3

        import collections as late

        return x + Local.value + len(late.OrderedDict(a=1)), sorted(locals())

    check(program, torch.ones(2), recaptures=None)


def test_eval_exec_and_frames():
    def program(x):
        scope = {"x": x}
        exec("y = x + 1", scope)
        return scope["y"] + eval("2 * 3")

    check(program, torch.ones(2), recaptures=None)


def test_asynchronous_functions():
    async def later(x):
        return x + 1

    def program(x):
        coroutine = later(x)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value * 2

    check(program, torch.ones(2), recaptures=None)


def test_a_break_costs_one_second_trace():
    def program(x):
        y = x + 1
        graph_break()
        return y * 2

    report = check(program, torch.ones(2), graphs=2, breaks=["explicit"])
    assert report.first.restarts == 1


def test_source_of_a_break_is_not_read_by_what_the_program_replaced(monkeypatch):
    opened = io.BytesIO(b"#coding:xxx")
    monkeypatch.setattr("tokenize._builtin_open", lambda *args: opened)
    monkeypatch.setattr("builtins.open", lambda *args: opened)
    linecache.clearcache()

    def program(x):
        y = x + 1
        graph_break()
        return y * 2

    reset()
    assert torch.equal(capture(program)(torch.ones(2)), torch.full((2,), 4.0))
    assert not opened.closed
    assert "graph_break()" in str(explain(program, torch.ones(2)))


def test_the_place_of_a_break_is_the_innermost_line_of_the_users_own(tmp_path, monkeypatch):
    library = tmp_path / "library.py"
    library.write_text("def shown(value):\n    return input(value)\n")
    monkeypatch.setattr("tracer.interpret.location.LIBRARIES", (f"{tmp_path}/",))
    namespace = {}
    exec(compile(library.read_text(), str(library), "exec"), namespace)

    def helper(x):
        namespace["shown"](
            "text",
        )
        return x + 1

    def program(x):
        return helper(x * 2) * 2

    monkeypatch.setitem(namespace, "input", input)
    with pytest.raises(GraphBreakError) as raised:
        capture(program, fullgraph=True)(torch.ones(2))
    line = helper.__code__.co_firstlineno + 1
    assert str(raised.value).splitlines()[:6] == [
        "graph break: input-output",
        f"  tests/test_breaks.py:{line} in helper",
        '      namespace["shown"](',
        "      ^^^^^^^^^^^^^^^^^^^",
        f"  reached at {library}:2 in shown",
        "      return input(value)",
    ]
    assert f"  called at tests/test_breaks.py:{line + 6} in program" in str(raised.value)


def test_the_place_of_a_break_below_a_captured_module_is_a_line_of_its_code():
    class Model(torch.nn.Module):
        def forward(self, x):
            graph_break()
            return x

    model = Model()
    with pytest.raises(GraphBreakError) as raised:
        capture(model, fullgraph=True)(torch.ones(2))
    line = Model.forward.__code__.co_firstlineno + 1
    assert f"  tests/test_breaks.py:{line} in forward\n      graph_break()\n" in str(raised.value)


def test_a_generator_breaks_where_it_is_first_suspended():
    @capture
    def numbers(x):
        y = x + 1
        yield y * 2

    assert torch.equal(next(numbers(torch.ones(2))), torch.full((2,), 4.0))
    (entry,) = numbers.entries
    assert entry.broke.message.splitlines()[2:4] == ["      yield y * 2", "      ^^^^^^^^^^^"]
