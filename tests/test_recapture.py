"""When a call is served from the cache, when the program is captured anew, and what is said about it."""

import sys
import threading

import pytest
import torch

from tests.check import check
from tracer import capture, counters, explain, reset


class Config:
    """Options of a program, read by attribute."""

    def __init__(self):
        self.scale = 2
        self.nested = {"names": ["a", "b"], "flag": True}


def test_hits_are_counted():
    captured = capture(lambda x: x + 1, strict=True)
    for _ in range(5):
        captured(torch.ones(2))
    assert counters().captures == 1 and counters().hits == 4


def read_config(config, x):
    y = x * config.scale
    if config.nested["flag"]:
        y = y + len(config.nested["names"])
    return y


CHANGES = {
    "attribute": lambda config: setattr(config, "scale", 3),
    "type of attribute": lambda config: setattr(config, "scale", 2.0),
    "item": lambda config: config.nested.update(flag=False),
    "length": lambda config: config.nested["names"].append("c"),
    "another dict": lambda config: setattr(config, "nested", {"names": [], "flag": True}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_that_matters_is_noticed(change):
    config, x = Config(), torch.ones(2, dtype=torch.int64)
    captured = capture(read_config, strict=True)
    captured(config, x)
    change(config)
    expected, observed = read_config(config, x), captured(config, x)
    assert torch.equal(expected, observed) and expected.dtype is observed.dtype
    assert counters().captures == 2


UNSEEN = {
    "attribute not read": lambda config: setattr(config, "other", 3),
    "content not read": lambda config: config.nested["names"].__setitem__(0, "z"),
    "key not read": lambda config: config.nested.update(unused=1),
    "equal value": lambda config: setattr(config, "scale", int("2")),
}


@pytest.mark.parametrize("change", UNSEEN.values(), ids=UNSEEN)
def test_change_that_does_not_matter_is_a_hit(change):
    config, x = Config(), torch.ones(2)
    captured = capture(read_config, strict=True)
    captured(config, x)
    change(config)
    assert torch.equal(captured(config, x), read_config(config, x))
    assert counters().captures == 1


def test_entries_of_several_shapes_stay():
    captured = capture(lambda x: x * 2, strict=True, dynamic=False)
    shapes = [(2,), (3,), (2, 2), ()]
    for shape in shapes * 3:
        assert captured(torch.ones(shape)).shape == shape
    assert counters().captures == len(shapes)


def test_beyond_the_limit_the_original_runs():
    captured = capture(lambda x, n: x * n, strict=True, recompile_limit=3, dynamic=False)
    for n in range(10):
        assert torch.equal(captured(torch.ones(2), n), torch.full((2,), float(n)))
    assert counters().captures == 3
    captured(torch.ones(2), 0)
    assert counters().captures == 3


def test_size_that_changes_becomes_dynamic():
    captured = capture(lambda x: x * x.shape[0] + x.sum(), strict=True)
    for size in (4, 5, 6, 7, 20):
        x = torch.randn(size)
        assert torch.equal(captured(x), x * size + x.sum())
    assert counters().captures == 2


def test_dynamic_sizes_in_branches_and_views():
    def program(x):
        rows, columns = x.shape
        if rows > 8:
            x = x[:8]
        return x.reshape(-1, columns // 2), torch.arange(rows), x.new_zeros(rows + 1).shape[0]

    captured = capture(program, strict=True)
    for rows in (3, 5, 6, 9, 12, 8, 2):
        x = torch.randn(rows, 4)
        expected, observed = program(x), captured(x)
        assert (
            all(map(torch.equal, expected[:2], observed[:2]))
            and expected[2] == observed[2]
            and type(observed[2]) is int
        )
    assert counters().captures <= 4


def test_dynamic_from_the_start_and_never():
    always = capture(lambda x: x + x.shape[0], dynamic=True, strict=True)
    for size in (3, 4, 5):
        assert torch.equal(always(torch.zeros(size)), torch.full((size,), float(size)))
    assert counters().captures == 1
    never = capture(lambda x: x - x.shape[0], dynamic=False, strict=True)
    for size in (3, 4, 5):
        never(torch.zeros(size))
    assert counters().captures == 4


@pytest.mark.parametrize(
    "program",
    [
        lambda x: x.view(x.size()[:-1] + (2, 2)),
        lambda x: x.view((1,) + x.size()),  # noqa: RUF005
        lambda x: x.new_zeros(torch.Size((x.shape[0], 3))),
        lambda x: x + x.shape.numel() + x[0].shape.numel(),
        lambda x: x + max(x.shape) + max(list(x.shape)),
        lambda x: x.new_zeros(sorted(x.shape)),
        lambda x: torch.nn.functional.pad(x, (0, 1), value=2.0),
        lambda x: x[:, None, :].baddbmm(x[:, :, None], x[:, None, :], beta=0.5),
    ],
)
def test_sizes_that_are_joined_stay_dynamic(program):
    captured = capture(program, dynamic=True, strict=True)
    for rows in (5, 6, 9):
        x = torch.randn(rows, 4)
        assert torch.equal(program(x), captured(x))
    assert counters().captures == 1


def test_sizes_of_zero_and_one_are_special():
    def program(x, y):
        return x + y

    captured = capture(program, strict=True)
    for size in (3, 4, 1, 0, 5):
        x, y = torch.ones(size, 2), torch.ones(size, 2)
        assert torch.equal(captured(x, y), program(x, y))


def test_explanation_names_the_guard_that_failed():
    config = Config()
    captured = capture(read_config, strict=True)
    captured(config, torch.ones(2))
    config.scale = 5
    captured(config, torch.ones(2))
    text = str(explain(captured, config, torch.ones(2)))
    assert "config.scale" in text


def test_a_program_that_changes_what_it_reads_needs_few_captures():
    config = Config()

    def program(x):
        config.scale = min(config.scale + 1, 4)
        return x * config.scale

    check(program, torch.ones(2), calls=2)


def test_threads_share_one_capture():
    captured = capture(lambda x: (x + 1).relu() * 2, strict=True)
    results, errors = [], []
    barrier = threading.Barrier(8)

    def work(value):
        barrier.wait()
        try:
            for _ in range(20):
                results.append((value, captured(torch.full((3,), float(value))).sum().item()))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(results) == 160 and all(observed == (value + 1) * 2 * 3 for value, observed in results)
    assert counters().captures == 1


def test_captured_functions_call_each_other():
    inner = capture(lambda x: x + 1, strict=True)
    outer = capture(lambda x: inner(x) * 2, strict=True)
    for _ in range(2):
        assert outer(torch.ones(1)).item() == 4


def test_recursive_captured_function():
    @capture(strict=True)
    def down(x, depth):
        return x if depth == 0 else down(x * 2, depth - 1)

    assert down(torch.ones(1), 3).item() == 8


def test_capture_next_to_torch_compile():
    compiled = torch.compile(lambda x: x * 3, backend="eager")
    captured = capture(lambda x: x + 1, strict=True)
    x = torch.ones(1)
    assert [captured(x).item(), compiled(x).item(), captured(x).item(), compiled(x).item()] == [2, 3, 2, 3]
    torch.compiler.reset()


def test_a_list_that_only_grows_is_not_guarded():
    log: list[torch.Tensor] = []

    def program(x):
        log.append(x.sum())
        return x + 1

    captured = capture(program, strict=True)
    for value in range(5):
        captured(torch.full((2,), float(value)))
    assert [entry.item() for entry in log] == [0, 2, 4, 6, 8]
    assert counters().captures == 1


def test_counter_becomes_a_symbol():
    config = Config()

    def program(x):
        config.scale += 1
        return x * config.scale

    captured = capture(program, strict=True)
    for call in range(8):
        assert captured(torch.ones(2))[0].item() == config.scale == call + 3
    assert counters().captures == 3


def test_captures_stop_when_none_serves_a_second_call():
    """A function known by its identity, and a new one with every call: each entry dies before it is hit."""

    def program(x, function):
        return {function: x + 1}[function]

    reset()
    captured = capture(program, strict=True, recompile_limit=2)
    for _ in range(30):
        function = (lambda: lambda: None)()
        assert torch.equal(captured(torch.ones(2), function), torch.full((2,), 2.0))
    assert counters().captures == 2 * 4 + 1


def test_a_torch_function_mode_sees_what_it_would_have_seen():
    class Doubling(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is torch.nn.functional.relu:
                return function(*args, **(kwargs or {})) * 2
            return function(*args, **(kwargs or {}))

    captured = capture(lambda x: torch.nn.functional.relu(x) + 1, strict=True)
    assert captured(torch.ones(1)).item() == 2
    with Doubling():
        assert captured(torch.ones(1)).item() == 3
    assert captured(torch.ones(1)).item() == 2
    assert counters().skips == 1


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
@pytest.mark.parametrize(
    "ask", [lambda y: y.grad is None, lambda y: y.grad is not None, lambda y: not hasattr(y.grad, "dtype")]
)
def test_whether_there_is_a_gradient_is_guarded(ask, backend):
    def program(x, y):
        return x + 1 if ask(y) else x + 2

    reset()
    captured = capture(program, backend=backend)
    x, y = torch.zeros(2), torch.ones(2, requires_grad=True)
    for gradient in (torch.ones(2), None, torch.zeros(2), None):
        y.grad = gradient
        assert torch.equal(captured(x, y), program(x, y))


class Holder:
    """A tensor in an attribute that may be missing."""


class Slotted:
    """The same, in a slot."""

    __slots__ = ("value",)


QUESTIONS = {
    "hasattr": lambda holder: hasattr(holder, "value"),
    "getattr": lambda holder: getattr(holder, "value", None) is None,
    "isinstance": lambda holder: isinstance(getattr(holder, "value", 3), int),
    "read": lambda holder: holder.value is holder,
    "deleted": lambda holder: delattr(holder, "value"),
}


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
@pytest.mark.parametrize("make", [lambda: torch.ones(2), lambda: torch.nn.Parameter(torch.ones(2))])
@pytest.mark.parametrize("kind", [Holder, Slotted])
@pytest.mark.parametrize("question", QUESTIONS)
def test_that_a_tensor_is_there_is_guarded(question, kind, make, backend):
    """A tensor that no operator is given: its absence changes what the program does all the same."""
    ask = QUESTIONS[question]

    def program(holder, x):
        try:
            return x + 1 if ask(holder) else x + 2
        except AttributeError:
            return x + 3

    def results(function):
        holder = kind()
        for state in ("made", "same", "deleted", "made", "number", "made"):
            if state == "made":
                holder.value = make()
            elif state == "number":
                holder.value = 3
            elif state == "deleted" and hasattr(holder, "value"):
                del holder.value
            yield function(holder, torch.zeros(2)).tolist(), hasattr(holder, "value")

    reset()
    assert list(results(capture(program, backend=backend))) == list(results(program))


def test_a_graph_that_ended_at_an_import_is_captured_anew_when_the_module_is_there(tmp_path, monkeypatch):
    (tmp_path / "imported_late_by_a_test.py").write_text("scale = 3\n")
    monkeypatch.syspath_prepend(tmp_path)

    def program(x):
        y = x + 1
        import imported_late_by_a_test

        return y * imported_late_by_a_test.scale

    reset()
    captured = capture(program)
    try:
        assert torch.equal(captured(torch.ones(2)), torch.full((2,), 6.0))
        assert counters().breaks == {"import-statement": 1}
        graphs = counters().graphs
        for _ in range(2):
            assert torch.equal(captured(torch.ones(2)), torch.full((2,), 6.0))
        assert counters().graphs == graphs + 1
        assert counters().breaks == {"import-statement": 1}
        del sys.modules["imported_late_by_a_test"]
        assert torch.equal(captured(torch.ones(2)), torch.full((2,), 6.0))
    finally:
        sys.modules.pop("imported_late_by_a_test", None)
