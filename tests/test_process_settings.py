"""Settings of the process that a program changes: one graph, and what is set is as the plain program leaves it."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from tests.check import BACKENDS, check
from tests.same import differences
from tracer import capture, counters, graph_break, reset

PRECISION = torch.backends.cuda.matmul


def settings():
    """What the settings are that the programs change."""
    return (
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.enabled,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.utils.deterministic.fill_uninitialized_memory,
    )


def put_back():
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark = True, False
    torch.backends.cudnn.deterministic = False
    torch.utils.deterministic.fill_uninitialized_memory = True


@pytest.fixture(autouse=True)
def usual_settings(monkeypatch):
    # Importing torch's own tests, as recording their samples does, forbids to set such flags for the whole process.
    monkeypatch.setitem(torch.backends.flags_frozen.__globals__, "__allow_nonbracketed_mutation_flag", True)
    put_back()
    yield
    put_back()


def compare(program, *args, calls=2, breaks=0, **options):
    """Run plainly and captured, each from the usual settings, and compare results, errors and settings left."""
    runs = []
    for wrap in (lambda function: function, lambda function: capture(function, strict=True, **options)):
        reset()
        put_back()
        function, results = wrap(program), []
        for _ in range(calls):
            try:
                results.append((function(*args), settings()))
            except (RuntimeError, IndexError, ValueError) as error:
                results.append((type(error), str(error), settings()))
        runs.append(results)
    assert differences(runs[0], runs[1], "runs") == []
    counted = counters()
    assert (sum(counted.breaks.values()), counted.tracer_bugs) == (breaks, 0), counted


def in_doubles(x):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    made = torch.ones(2), torch.tensor(1.5), torch.arange(3) / 2, torch.Tensor([1.0]), torch.finfo().eps
    kept = torch.get_default_dtype()
    torch.set_default_dtype(before)
    return made, kept, torch.zeros(2) + x, torch.get_default_dtype()


def left_in_doubles(x):
    torch.set_default_dtype(torch.float64)
    return torch.ones(2) * x, torch.tensor([1.5])


def deterministic(x, index):
    torch.use_deterministic_algorithms(True)
    inside = torch.are_deterministic_algorithms_enabled()
    y = torch.zeros(3).index_add(0, index, x), torch.empty(2, dtype=torch.int32)
    torch.use_deterministic_algorithms(False)
    return y, inside, torch.are_deterministic_algorithms_enabled()


def debug_mode(x):
    torch.set_deterministic_debug_mode("error")
    return x.cumsum(0), torch.get_deterministic_debug_mode()


def precision(x):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    inside, y = torch.get_float32_matmul_precision(), x[None] @ x[:, None]
    torch.set_float32_matmul_precision(before)
    return before, inside, y, torch.get_float32_matmul_precision()


def switches(x):
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.deterministic = not torch.backends.cudnn.deterministic
    torch.utils.deterministic.fill_uninitialized_memory = False
    return x * 2, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic


def threads(x):
    torch.set_num_threads(torch.get_num_threads())
    return x + 1


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize("program", [in_doubles, left_in_doubles, debug_mode, precision, switches, threads])
def test_one_graph_that_changes_a_setting(program, backend):
    compare(program, torch.ones(2), calls=3, fullgraph=True, backend=backend)


def test_determinism_fills_what_is_not_written():
    compare(deterministic, torch.ones(2), torch.tensor([0, 2]), fullgraph=True)


def test_the_setting_at_the_beginning_is_guarded():
    captured = capture(in_doubles, strict=True, fullgraph=True)
    for dtype in (torch.float32, torch.float64, torch.float16, torch.float64):
        torch.set_default_dtype(dtype)
        assert differences(in_doubles(torch.ones(2)), captured(torch.ones(2)), "result") == []
        assert torch.get_default_dtype() is dtype
    read = capture(precision, strict=True, fullgraph=True)
    for setting in ("high", "highest", "high"):
        torch.set_float32_matmul_precision(setting)
        assert differences(precision(torch.ones(2)), read(torch.ones(2)), "result") == []


def test_a_graph_that_fails_leaves_the_settings_of_the_plain_program():
    def program(x, index):
        torch.set_default_dtype(torch.float64)
        torch.backends.cudnn.benchmark = True
        try:
            y = x[index]
        except IndexError:
            y = torch.zeros(1)
        torch.set_default_dtype(torch.float32)
        return y

    captured = capture(program, strict=True)
    for index in (0, 9, 1, 9):
        put_back()
        expected = program(torch.ones(2), torch.tensor([index])), settings()
        put_back()
        assert differences(expected, (captured(torch.ones(2), torch.tensor([index])), settings()), "result") == []


def test_a_break_between_two_changes():
    def program(x):
        torch.set_default_dtype(torch.float64)
        y = torch.ones(2)
        graph_break()
        z = torch.ones(2)
        torch.set_default_dtype(torch.float32)
        return y, z, torch.ones(2) + x

    compare(program, torch.ones(2), breaks=1)


def test_a_tensor_is_printed_under_the_setting_where_it_is_printed():
    def program(x):
        print(x)
        torch.set_default_dtype(torch.float64)
        print(x)
        torch.set_default_dtype(torch.float32)

    check(program, torch.ones(2), breaks=["global-state"] * 2, recaptures=None)


def test_what_torch_refuses_is_refused():
    def program(x, setting):
        try:
            if isinstance(setting, str):
                torch.set_float32_matmul_precision(setting)
            else:
                torch.set_default_dtype(setting)
        except (RuntimeError, TypeError) as error:
            return str(error)
        return x

    for setting in ("precise", torch.int64, torch.complex64, "high", torch.float16):
        compare(program, torch.ones(2), setting, breaks=0 if setting in ("high", torch.float16) else 1)


def test_gradients_and_attention_under_another_default():
    def program(x):
        torch.set_default_dtype(torch.float64)
        y = (x * torch.full((2,), 0.5)).sum()
        torch.set_default_dtype(torch.float32)
        return y, scaled_dot_product_attention(*[x.expand(1, 3, 2)] * 3)

    for backend in BACKENDS.values():
        check(program, torch.ones(2, requires_grad=True), graphs=1, breaks=[], fullgraph=True, backend=backend)
