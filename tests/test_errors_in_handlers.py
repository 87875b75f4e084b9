"""Operators that may refuse their data within the reach of a handler: it sees the error and the state before."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch

from passes.meta import meta_of
from passes.operators.refusals import may_refuse
from tests.check import BACKENDS, check, one_graph
from tests.same import differences
from tracer import capture, counters, graph_break

IDENTITY = torch.eye(3) * 2
GOOD, BAD = torch.tensor([0, 1]), torch.tensor([0, 9])

OPERATORS: dict[str, tuple[Callable[[torch.Tensor], Any], torch.Tensor, torch.Tensor]] = {
    "inverse": (torch.linalg.inv, IDENTITY, torch.zeros(3, 3)),
    "cholesky": (torch.linalg.cholesky, IDENTITY, -IDENTITY),
    "index": (lambda i: IDENTITY[i], GOOD, BAD),
    "scatter in place": (lambda i: torch.zeros(3).scatter_(0, i, 1.0), GOOD, BAD),
    "one hot": (lambda i: torch.nn.functional.one_hot(i, 3), GOOD, BAD),
    "embedding": (lambda i: torch.nn.functional.embedding(i, IDENTITY), GOOD, BAD),
    "multinomial": (lambda p: torch.multinomial(p, 1) * 0, torch.ones(3), torch.zeros(3)),
    "normal": (lambda s: torch.normal(0.0, s) * 0, torch.ones(3), -torch.ones(3)),
    "cross entropy": (lambda i: torch.nn.functional.cross_entropy(IDENTITY[:2], i), GOOD, BAD),
    "binary cross entropy": (
        lambda p: torch.nn.functional.binary_cross_entropy(p, torch.ones(3)),
        torch.ones(3),
        torch.ones(3) * 3,
    ),
    "integer division": (lambda i: 5 // i, torch.tensor([1, 2]), torch.tensor([1, 0])),
    "overload of a division": (
        lambda i: torch.ops.aten.floor_divide.default(5, i),
        torch.tensor([1, 2]),
        torch.tensor([1, 0]),
    ),
    "remainder": (lambda i: i % i, torch.tensor([1, 2]), torch.tensor([1, 0])),
    "bincount": (lambda i: torch.bincount(i, minlength=3), GOOD, -GOOD),
    "masked scatter": (
        lambda m: torch.zeros(3).masked_scatter(m, torch.ones(1)),
        torch.tensor([True, False, False]),
        torch.tensor([True, True, True]),
    ),
    "assertion": (lambda c: (torch._assert_async(c), IDENTITY + 1)[1], torch.tensor(True), torch.tensor(False)),
    "distribution": (
        lambda s: torch.distributions.Normal(0.0, s).log_prob(torch.ones(3)),
        torch.ones(3),
        -torch.ones(3),
    ),
    "product of booleans": (lambda x: x @ x, IDENTITY, IDENTITY.bool()),
    "result that nobody uses": (lambda x: (torch.linalg.inv(x), x * 1)[1], IDENTITY, torch.zeros(3, 3)),
}
ERRORS = (RuntimeError, IndexError, ValueError)


class Suppressing:
    def __init__(self, log):
        self.log = log

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.log.append(kind and kind.__name__)
        return True


@contextlib.contextmanager
def noting(log):
    try:
        yield
    except ERRORS as error:
        log.append(type(error).__name__)


def in_except(operator, x, log):
    try:
        return operator(x)
    except ERRORS as error:
        log.append(type(error).__name__)
        return torch.ones(1)


def in_finally_of_a_callee(operator, x, log):
    def inner():
        try:
            return operator(x)
        finally:
            log.append("done")

    return in_except(lambda _: inner(), x, log)


def in_with(operator, x, log):
    result = torch.ones(1)
    with Suppressing(log):
        result = operator(x)
    return result


def in_a_generator_as_context(operator, x, log):
    result = torch.ones(1)
    with noting(log):
        result = operator(x)
    return result


def in_a_generator_inside(operator, x, log):
    def results():
        yield operator(x)

    try:
        return next(results())
    except ERRORS as error:
        log.append(type(error).__name__)
        return torch.ones(1)


PLACES = [in_except, in_finally_of_a_callee, in_with, in_a_generator_as_context, in_a_generator_inside]


def nothing(buffer, log):
    pass


def writes(buffer, log):
    buffer.add_(1)


def draws(buffer, log):
    buffer.copy_(torch.rand(2))


def changes(buffer, log):
    log.append("changed")


SURROUNDINGS = [(nothing, nothing), (writes, nothing), (draws, nothing), (changes, writes), (changes, draws)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", OPERATORS)
def test_error_reaches_its_handler(name, backend):
    operator, good, bad = OPERATORS[name]
    for index, place in enumerate(PLACES):
        before, after = SURROUNDINGS[index % len(SURROUNDINGS)] if backend != "eager" else (nothing, nothing)
        for before, after in SURROUNDINGS if backend == "eager" else [(before, after)]:

            def program(x, buffer, log, place=place, before=before, after=after):
                before(buffer, log)
                result = place(operator, x, log)
                after(buffer, log)
                return result

            def outcomes(call):
                torch.manual_seed(0)
                seen = []
                for x in (good, bad, good):
                    buffer, log = torch.zeros(2), []
                    seen.append((call(x, buffer, log), buffer, log, torch.rand(1)))
                return seen

            captured = outcomes(capture(program, backend=BACKENDS[backend], strict=True))
            wrong = differences(outcomes(program), captured, f"{place.__name__} {before.__name__} {after.__name__}")
            assert not wrong, wrong
    assert counters().tracer_bugs == 0


def test_changes_before_the_error_are_seen_outside():
    def program(log, x):
        log.append("begun")
        return torch.linalg.inv(x)

    captured = capture(program, strict=True)
    log: list[str] = []
    captured(log, IDENTITY)
    with pytest.raises(RuntimeError):
        captured(log, torch.zeros(3, 3))
    assert log == ["begun", "begun"]


@pytest.mark.parametrize("backend", [*BACKENDS, "inductor"])
def test_assertion_outside_of_a_handler(backend):
    def program(x):
        torch._assert_async(x > 0)
        return x + 1

    captured = capture(program, backend=BACKENDS.get(backend, backend), strict=True)
    assert captured(torch.tensor(1.0)) == 2
    with pytest.raises(RuntimeError, match="Expected Tensor with single nonzero value, but got zero"):
        captured(torch.tensor(-1.0))


@contextlib.contextmanager
def without_a_handler():
    yield


def test_settings_of_torch_are_no_handlers():
    table = torch.ones(4, 3)

    def program(index, buffer):
        buffer.add_(1)
        with torch.no_grad(), contextlib.nullcontext(), torch.autocast("cpu", enabled=False):
            with torch.profiler.record_function("rows"), without_a_handler():
                rows = torch.nn.functional.embedding(index, table)
        return torch.nn.functional.dropout(rows, 0.5)

    one_graph(program, torch.tensor([1, 2]), torch.zeros(2))


def test_write_to_a_tensor_made_inside_does_not_break():
    def program(index):
        try:
            counts = torch.zeros(4)
            counts.index_add_(0, index, torch.ones(2))
            return counts / 2
        except IndexError:
            return None

    one_graph(program, torch.tensor([1, 2]))


@pytest.mark.parametrize("training", [True, False])
def test_random_numbers_do_not_break(training):
    table = torch.ones(4, 3)

    def program(index):
        rows = torch.nn.functional.dropout(torch.ones(3), 0.5, training) + torch.rand(3)
        try:
            rows = torch.nn.functional.dropout(table[index] * rows, 0.5)
        except IndexError:
            rows = rows * torch.rand(3)
        return rows + torch.rand(3)

    captured = one_graph(program, torch.tensor([1, 2])).captured
    torch.manual_seed(3)
    expected = program(torch.tensor([1, 9])), torch.rand(1)
    torch.manual_seed(3)
    assert not differences(expected, (captured(torch.tensor([1, 9])), torch.rand(1)), "refused")


@pytest.mark.parametrize("backend", BACKENDS)
def test_write_behind_does_not_break(backend):
    def program(index, counts, log):
        try:
            rows = IDENTITY[index]
        except IndexError:
            rows = IDENTITY * 3
            log.append("refused")
        counts.add_(1)
        return rows + counts

    captured = one_graph(program, torch.tensor([1, 2]), torch.zeros(3), [], backend=BACKENDS[backend]).captured
    counts, log = torch.zeros(3), []
    for index in (GOOD, BAD, GOOD):
        captured(index, counts, log)
    assert log == ["refused"]
    assert torch.equal(counts, torch.full((3,), 3.0))


def test_error_after_a_write_is_not_repeated():
    def program(index, counts, log):
        log.append("begun")
        try:
            IDENTITY[index]
        except IndexError:
            log.append("refused")
        counts.add_(1)
        return torch.linalg.inv(counts.expand(3, 3))

    captured = capture(program, strict=True)
    for call in (program, captured):
        counts: torch.Tensor = torch.zeros(3)
        with pytest.raises(RuntimeError, match="singular"):
            call(GOOD, counts, [])
        assert torch.equal(counts, torch.ones(3))


@pytest.mark.parametrize(
    ("call", "numbers"),
    [
        (lambda q: torch.nn.functional.scaled_dot_product_attention(q, q, q), False),
        (lambda q: torch.nn.functional.scaled_dot_product_attention(q, q, q, dropout_p=0.5), True),
        (lambda q: torch.dropout(q, 0.0, True), False),
        (lambda q: torch.dropout(q, 0.5, False), False),
        (lambda q: torch.dropout(q, 0.5, True), True),
        (lambda q: torch.rrelu(q, 0.1, 0.3, False), False),
        (lambda q: torch.rrelu(q, 0.1, 0.3, True), True),
        (lambda q: torch.bernoulli(q, 0.0), True),
        (lambda q: torch.empty(2).normal_(), True),
        (lambda q: q + 1, False),
    ],
)
def test_which_calls_draw(call, numbers):
    def program(q):
        try:
            return call(q)
        except RuntimeError:
            return q

    captured = capture(program, strict=True)
    captured(torch.full((1, 2, 4, 4), 0.5))
    assert ("get_random_state" in captured.entries[0].program) is numbers


@pytest.mark.parametrize("backend", BACKENDS)
def test_error_of_a_kernel_alone_whose_result_nobody_uses(backend):
    def program(x):
        try:
            shape = (x @ x).shape
        except RuntimeError:
            shape = (0,)
        return torch.ones(2) * len(shape)

    check(program, torch.ones(3, 3, dtype=torch.bool), backend=BACKENDS[backend])


@pytest.mark.parametrize("index", [1, 5])
def test_a_conversion_in_front_leaves_the_graph_repeatable(index):
    def program(x, index):
        y = x.type(torch.float64)
        try:
            return y[index]
        except IndexError:
            return x

    check(program, torch.ones(3), torch.tensor([index]), graphs=1, breaks=[])


def test_write_in_front_breaks():
    def program(x, buffer):
        buffer.add_(1)
        try:
            return torch.linalg.inv(x)
        except RuntimeError:
            return x * 3

    check(program, IDENTITY, torch.zeros(2), graphs=1, breaks=["error-in-handler"])


@pytest.mark.parametrize(
    ("target", "args", "refuses"),
    [
        (torch.add, (torch.ones(2), 1), False),
        (torch.nn.functional.linear, (torch.ones(2, 2), torch.ones(2, 2)), False),
        (torch.nn.functional.conv2d, (torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)), False),
        (("method", "__getitem__"), (torch.ones(2), 0), False),
        (("method", "__getitem__"), (torch.ones(2), GOOD), True),
        (torch.floor_divide, (GOOD, 2), False),
        (torch.floor_divide, (GOOD, GOOD), True),
        (torch.floor_divide, (torch.ones(2), GOOD), False),
        (torch.ops.aten.floor_divide.default, (GOOD, GOOD), True),
        (torch.ops.aten.remainder, (GOOD, GOOD), True),
        (torch.ops.aten.add.Tensor, (GOOD, GOOD), False),
        (("method", "__rfloordiv__"), (GOOD, 2), True),
        (torch.ops.aten.gather.default, (torch.ones(2), 0, GOOD), True),
        (torch.bernoulli, (torch.ones(2),), True),
        (torch.linalg.eigh, (IDENTITY,), True),
    ],
)
def test_which_operators_may_refuse(target, args, refuses):
    metas = tuple(meta_of(arg) if isinstance(arg, torch.Tensor) else arg for arg in args)
    assert may_refuse(target, metas, ()) is refuses


@pytest.mark.parametrize("backend", BACKENDS)
def test_tensor_as_bound_of_a_slice_that_is_assigned_to(backend):
    def program(lengths, y):
        y[3, lengths[3] :] = 0
        return y

    check(program, torch.tensor([0, 1, 2, 4]), torch.ones(5, 6), backend=BACKENDS[backend])


@pytest.mark.parametrize("dynamic", [None, True, False])
def test_size_that_becomes_negative(dynamic):
    def program(x):
        return x.new_empty(x.shape[0] - 5).shape, torch.zeros(2, x.shape[0] - 5).shape

    captured = capture(program, dynamic=dynamic, strict=True)
    for size in (9, 8, 7):
        assert captured(torch.ones(size, 2)) == program(torch.ones(size, 2))
    with pytest.raises(RuntimeError, match="negative"):
        captured(torch.ones(3, 2))
    assert captured(torch.ones(9, 2)) == program(torch.ones(9, 2))


def test_compilers_have_the_graph_of_a_model_that_embeds_within_a_handler():
    """A call whose result is used raises in compiled code as well; where nobody uses it, the graph is replayed."""
    compiled = []

    def backend(module, inputs):
        compiled.append(module)
        return module.forward

    def program(indices, used):
        try:
            found = torch.nn.functional.embedding(indices, IDENTITY)
        except IndexError:
            return IDENTITY - 1
        return found * 2 if used else IDENTITY * 2

    for used in (True, False):
        compiled.clear()
        captured = capture(program, backend=backend)
        for indices in (GOOD, BAD):
            assert torch.equal(captured(indices, used), program(indices, used))
        assert len(compiled) == used


def test_a_repeated_original_raises_as_if_it_ran_alone():
    """The error of the graph, for which the original is run, is not the context of what that raises."""
    notes = []

    def program(x):
        notes.append(1)
        return torch.linalg.inv(x) + 1

    for backend in BACKENDS.values():
        captured = capture(program, backend=backend)
        captured(IDENTITY)
        with pytest.raises(torch.linalg.LinAlgError) as raised:
            captured(torch.zeros(3, 3))
        assert raised.value.__context__ is None and raised.value.__cause__ is None


def test_a_leaf_refuses_to_be_written_after_other_changes():
    notes = []

    def program(x, key, value):
        notes.append(key)
        x[key] = value
        return x + 1

    for backend in BACKENDS.values():
        captured = capture(program, backend=backend)
        for _ in range(2):
            notes.clear()
            with pytest.raises(RuntimeError, match="leaf"):
                captured(torch.ones(3, requires_grad=True), 0, 2.0)
            assert notes == [0]


def test_a_view_made_without_gradients_is_written_behind_a_break():
    weight = torch.nn.Parameter(torch.ones(2, 2))

    def program(x):
        with torch.no_grad():
            view = weight.view(-1)
            graph_break()
            view[0] = 2
            view.mul_(3)
        return x + 1

    for backend in BACKENDS.values():
        captured = capture(program, backend=backend)
        for _ in range(2):
            weight.data.fill_(1)
            assert captured(torch.ones(1)) == 2
            assert weight.tolist() == [[6, 3], [3, 3]]


class Counter:
    count = 0


OVERLAPPING = {
    "copy": lambda x: x.copy_(x.movedim(0, -1)),
    "multiply": lambda x: x.mul_(x.chunk(2)[-1]),
    "out": lambda x: torch.add(x.T, 1, out=x),
}


@pytest.mark.parametrize("name", OVERLAPPING)
def test_changes_before_an_operand_overlaps_what_is_written(name):
    """That operands overlap only a kernel refuses, before it writes."""
    counter, operator = Counter(), OVERLAPPING[name]

    def program(x):
        counter.count += 1
        counter.last = x
        return operator(x) + 1

    for backend in (BACKENDS["eager"],):  # only the replay knows which operator raised
        captured = capture(program, backend=backend)
        for _ in range(2):
            x, y = torch.arange(4.0).view(2, 2), torch.arange(4.0).view(2, 2)
            counter.count = 0
            outcomes = [outcome_of(function, x) for function, x in ((program, x), (captured, y))]
            assert outcomes[0] == outcomes[1] and counter.count == 2 and counter.last is y
            assert torch.equal(x, y)


def outcome_of(function, x):
    try:
        return function(x).tolist()
    except RuntimeError as error:
        return str(error)


DATA_THAT_TORCH_REFUSES = {
    "complex": lambda x: x.new_tensor([1j]),
    "a complex number": lambda x: x.new_tensor(1j),
    "a type": lambda x: torch.tensor([1j], dtype=torch.float32) + x,
    "a deep list": lambda x: x.new_tensor([1, [2]]),
    "uneven lists": lambda x: torch.tensor([[1, 2], [3]]) + x,
}


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize("name", DATA_THAT_TORCH_REFUSES)
def test_data_of_the_program_that_makes_no_tensor(name, backend):
    """Tensors without data are made of anything."""
    operator = DATA_THAT_TORCH_REFUSES[name]

    def program(x):
        try:
            return operator(x)
        except (TypeError, ValueError) as error:
            return x + 1, str(error)

    check(program, torch.ones(2), breaks=["operator-error"] * 2, backend=backend)
