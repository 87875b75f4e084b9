"""What a program did before an operator raised, in every order, is there when its caller catches the error."""

import itertools
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.check import BACKENDS, check
from tests.same import differences
from tracer import capture, counters, reset

WEIGHT = torch.arange(12.0).reshape(4, 3)


class Meter:
    """An object with attributes, a list and a buffer, which programs change."""

    def __init__(self) -> None:
        self.count = 0
        self.items: list[int] = []
        self.buffer = torch.zeros(3)

    def state(self) -> Any:
        return self.count, list(self.items), self.buffer.tolist(), torch.rand(1).item()


EFFECTS: dict[str, Callable[[Meter], Any]] = {
    "attribute": lambda meter: setattr(meter, "count", meter.count + 1),
    "list": lambda meter: meter.items.append(meter.count),
    "tensor": lambda meter: meter.buffer.add_(1),
    "random": lambda meter: torch.rand(2),
}

REFUSALS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "index": lambda data: WEIGHT[data.long()],
    "factorisation": lambda data: torch.linalg.cholesky(torch.eye(2) - data.sum()),
    "classes": lambda data: torch.nn.functional.nll_loss(WEIGHT, data.long().expand(4)),
}
"""Each takes zeros and refuses nines."""

ORDERS = [order for count in range(1, 5) for order in itertools.permutations(EFFECTS, count)]


def outcomes(program: Callable[..., Any], backend: Any = None) -> list[Any]:
    """Class of the error and state of the meter after calls with good, bad and good data."""
    reset()
    torch.manual_seed(3)
    meter, seen = Meter(), []
    callee = program if backend is None else capture(program, backend=backend)
    for value in (0.0, 9.0, 0.0, 9.0):
        error = None
        try:
            callee(meter, torch.full((1,), value))
        except (IndexError, RuntimeError) as raised:
            error = type(raised)
        seen.append((error, meter.state()))
    return seen


def same_outcomes(program: Callable[..., Any], backend: Any) -> None:
    expected = outcomes(program)
    assert outcomes(program, backend) == expected
    assert expected[1][0] is not None and expected[0][0] is None
    assert counters().tracer_bugs == 0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("refusal", ["index", "classes"])
@pytest.mark.parametrize("order", [pytest.param(order, id="-".join(order)) for order in ORDERS])
def test_effects_before_an_error_remain(order, refusal, backend):
    refuse = REFUSALS[refusal]
    effects = [EFFECTS[name] for name in order]

    def program(meter, data):
        for effect in effects:
            effect(meter)
        return refuse(data) * 2

    same_outcomes(program, BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("order", list(itertools.permutations(EFFECTS, 2)), ids="-".join)
def test_effects_around_an_error_are_those_before_it(order, refusal, backend):
    refuse = REFUSALS[refusal]
    before, after = EFFECTS[order[0]], EFFECTS[order[1]]

    def program(meter, data):
        before(meter)
        result = refuse(data)
        after(meter)
        return result

    same_outcomes(program, BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", EFFECTS)
def test_effects_between_two_operators_that_may_refuse(name, backend):
    effect = EFFECTS[name]

    def program(meter, data):
        first = REFUSALS["index"](data * 0)
        effect(meter)
        return first + REFUSALS["index"](data)

    same_outcomes(program, BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
def test_effects_of_a_called_function_and_of_a_module(backend):
    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.seen = 0
            self.table = torch.nn.Embedding(4, 3)

        def forward(self, data):
            self.seen += 1
            self.calls += 1
            return self.table(data.long()).sum()

    def run(backend):
        reset()
        torch.manual_seed(3)
        model = Counting()
        callee = model if backend is None else capture(model, backend=backend)
        seen = []
        for value in (0.0, 9.0, 0.0):
            try:
                callee(torch.full((1,), value)).backward()
            except IndexError:
                seen.append("error")
            seen.append((model.seen, model.calls.item()))
        return seen

    assert run(BACKENDS[backend]) == run(None)


def ctc_loss(log_probabilities, length):
    return torch.nn.functional.ctc_loss(
        log_probabilities, torch.ones(1, 2, dtype=torch.long), length, torch.tensor([2])
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("varies", [None, True])
def test_operator_that_a_compiler_cannot_foresee_raises_as_it_does_plainly(backend, varies):
    def program(x, length, log):
        log.append(1)
        try:
            return ctc_loss(x, length)
        except RuntimeError as error:
            log.append(str(error))
            return x

    reset()
    captured = capture(program, backend=BACKENDS[backend], dynamic=varies)
    for steps, length in ((4, 4), (4, 9), (5, 5), (5, 9)):
        x, expected, found = torch.zeros(steps, 1, 3).log_softmax(-1), [], []
        plain = program(x, torch.tensor([length]), expected)
        assert torch.allclose(captured(x, torch.tensor([length]), found), plain)
        assert found == expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_operator_refused_for_varying_sizes_reaches_its_handler(backend):
    def program(x):
        try:
            return torch.nn.functional.pad(x[None], (5, 5), mode="reflect")
        except RuntimeError as error:
            return x, type(error)

    reset()
    captured = capture(program, backend=BACKENDS[backend], dynamic=True)
    for columns in (2, 3, 9, 4):
        x = torch.ones(2, columns)
        expected, found = program(x), captured(x)
        assert type(expected) is type(found)
        assert torch.equal(expected, found) if columns == 9 else found[1] is RuntimeError


@pytest.mark.parametrize("backend", BACKENDS)
def test_effects_before_an_operator_refused_for_varying_sizes(backend):
    def program(x, log):
        log.append(1)
        return torch.nn.functional.pad(x[None], (5, 5), mode="reflect")

    reset()
    captured, log = capture(program, backend=BACKENDS[backend], dynamic=True), []
    for count, columns in enumerate((2, 9, 3, 8), 1):
        if columns < 6:
            with pytest.raises(RuntimeError):
                captured(torch.ones(2, columns), log)
        else:
            assert captured(torch.ones(2, columns), log).shape == (1, 2, columns + 10)
        assert log == [1] * count


@pytest.mark.parametrize("backend", BACKENDS)
def test_error_of_a_called_function_is_the_operators_own(backend):
    def program(x, target):
        try:
            return torch.nn.functional.multi_margin_loss(x, target)
        except RuntimeError as error:
            return str(error)

    captured = capture(program, backend=BACKENDS[backend])
    for value in (0, 99, 1, 99):
        target = torch.full((2,), value)
        assert captured(torch.ones(2, 3), target) == program(torch.ones(2, 3), target)


def mutable_state():
    """What a program may change: a generator of its own, tensors of both kinds, a layer that keeps statistics."""
    with torch.inference_mode():
        inferred = torch.zeros(3)
    return types.SimpleNamespace(
        items=[],
        count=0,
        buffer=torch.zeros(3),
        inferred=inferred,
        parameter=torch.nn.Parameter(torch.zeros(3)),
        generator=torch.Generator().manual_seed(3),
        norm=torch.nn.BatchNorm1d(3),
    )


def seen_of(state):
    return (
        list(state.items),
        state.count,
        state.buffer.tolist(),
        state.inferred.tolist(),
        state.parameter.tolist(),
        state.generator.get_state().tolist(),
        state.norm.running_mean.tolist(),
    )


def runs(program, backend, inference, arguments, dynamic=None):
    """Each call's result or error, and what the state is by then."""
    with torch.inference_mode(inference):
        reset()
        state, seen = mutable_state(), []
        callee = program if backend is None else capture(program, backend=backend, dynamic=dynamic)
        for argument in arguments:
            try:
                outcome = torch.as_tensor(callee(state, argument)).tolist()
            except (IndexError, RuntimeError, OverflowError) as error:
                outcome = type(error)
            seen.append((outcome, seen_of(state)))
        return seen


def draws_from_a_generator(state, data):
    state.items.append(1)
    refused = WEIGHT[data.long()]
    return refused[0] + torch.rand(3, generator=state.generator)


def writes_an_inference_tensor(state, data):
    state.items.append(1)
    refused = WEIGHT[data.long()]
    if torch.is_inference_mode_enabled():
        state.inferred.add_(1)
    return refused


def writes_by_data_first(state, data):
    state.buffer.data.add_(1)
    return WEIGHT[data.long()]


def writes_by_data_of_a_view(state, data):
    state.buffer.data[1:].mul_(2).add_(1)
    return WEIGHT[data.long()]


def writes_by_data_last(state, data):
    state.items.append(state.count)
    refused = WEIGHT[data.long()]
    state.parameter.data[1:].add_(1)
    return refused


def keeps_statistics_last(state, data):
    state.items.append(3)
    refused = WEIGHT[data.long()]
    state.norm(torch.ones(2, 3))
    state.count += 1
    return refused


def draws_between_two_that_refuse(state, data):
    state.items.append(1)
    refused = WEIGHT[data.long()]
    drawn = torch.rand(3, generator=state.generator)
    state.count = 4
    state.buffer.add_(1)
    return refused + WEIGHT[data.long()] + drawn


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "program",
    [
        draws_from_a_generator,
        writes_an_inference_tensor,
        writes_by_data_first,
        writes_by_data_of_a_view,
        writes_by_data_last,
        keeps_statistics_last,
        draws_between_two_that_refuse,
    ],
)
def test_what_lasts_behind_the_versions_of_tensors(program, backend, inference):
    calls = [torch.full((1,), value) for value in (0.0, 9.0, 0.0, 9.0)]
    expected = runs(program, None, inference, calls)
    assert [outcome for outcome, _ in expected][1::2] == [IndexError, IndexError]
    assert runs(program, BACKENDS[backend], inference, calls) == expected
    assert counters().tracer_bugs == 0


def allocates_beyond_addresses(state, data):
    state.items.append(1)
    state.buffer.add_(1)
    state.count += 2
    return torch.zeros(2**62, 2**62).sum() + data


def allocates_beyond_memory(state, data):
    state.items.append(1)
    state.buffer.copy_(torch.ones(3))
    return torch.empty(2**50)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", [allocates_beyond_addresses, allocates_beyond_memory])
def test_changes_before_a_kernel_that_refuses_its_arguments(program, backend):
    calls = [torch.ones(1)] * 3
    expected = runs(program, None, False, calls)
    assert [outcome for outcome, _ in expected] == [RuntimeError] * 3
    assert runs(program, BACKENDS[backend], False, calls) == expected


def scales(state, number):
    state.items.append(number)
    state.buffer.add_(1)
    return torch.ones(1) * number


def adds_a_cube(state, number):
    state.items.append(1)
    state.count = number * number * number
    return torch.ones(1, dtype=torch.long) + state.count


def fills(state, number):
    state.items.append(1)
    state.buffer.add_(1)
    return torch.full((2,), number - 1)


def keeps_only(state, number):
    state.items.append(number)
    state.buffer.add_(1)
    return torch.ones(1)


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", [scales, adds_a_cube, fills, keeps_only])
def test_number_beyond_64_bits_that_operators_refuse(program, backend, dynamic):
    calls = [2, 3, 2**70, 4, 2**64 + 1, -(2**63) - 1, 5]
    expected = runs(program, None, False, calls)
    assert OverflowError in [outcome for outcome, _ in expected] or program is keeps_only
    assert runs(program, BACKENDS[backend], False, calls, dynamic) == expected
    assert counters().tracer_bugs == 0


def test_number_of_64_bits_stays_a_symbol():
    captured = capture(lambda x, number: x * (number + 1), backend="eager", dynamic=True)
    reset()
    for number in (2, 3, 2**40, -(2**61), 5):
        assert torch.equal(captured(torch.ones(1), number), torch.ones(1) * (number + 1))
    assert counters().graphs == 1


# Shapes and types ------------------------------------------------------------------------------------

ROWS = torch.ones(2, 3)
REFUSED_ARGUMENTS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]] = {
    "types of a product": (lambda x: x @ ROWS.t(), ROWS.double()),
    "types of linear": (lambda x: F.linear(x, ROWS), ROWS.double()),
    "sizes of linear": (lambda x: F.linear(x, ROWS), torch.ones(2, 4)),
    "sizes of a bias": (lambda x: F.linear(x, ROWS, x[0]), torch.ones(2, 4)),
    "types of conv1d": (lambda x: F.conv1d(x[None], ROWS[:, :2, None]), ROWS.double()),
    "sizes of stack": (lambda x: torch.stack([x, ROWS]), torch.ones(3, 3)),
    "a dimension": (lambda x: x.flip(x.dim() - 1, 1), torch.ones(3)),
    "a loss": (lambda x: F.mse_loss(x, ROWS), torch.ones(3, 4)),
}
"""An operator that takes ROWS, and what it refuses."""


def states_and_errors(program: Callable[..., Any], bad: torch.Tensor, backend: Any, dynamic: Any) -> list[Any]:
    reset()
    meter, seen = Meter(), []
    callee = program if backend is None else capture(program, backend=backend, dynamic=dynamic)
    for x in (ROWS, bad, bad, ROWS, bad):
        try:
            result: Any = callee(meter, x.clone()).tolist()
        except (IndexError, RuntimeError) as error:
            result = type(error), str(error)
        seen.append((result, meter.state()[:3]))
    return seen


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("effects", ["attribute", "attribute list tensor", "tensor attribute"])
@pytest.mark.parametrize("name", REFUSED_ARGUMENTS)
def test_effects_before_refused_arguments_remain(name, effects, dynamic, backend):
    refuse, bad = REFUSED_ARGUMENTS[name]

    def program(meter, x):
        for effect in effects.split():
            EFFECTS[effect](meter)
        return refuse(x)

    seen = states_and_errors(program, bad, BACKENDS[backend], dynamic)
    assert seen == states_and_errors(program, bad, None, dynamic)
    assert isinstance(seen[1][0], tuple) and counters().tracer_bugs == 0


@pytest.mark.parametrize("first", [ROWS, ROWS.double()], ids=["after a good call", "at the first call"])
def test_a_handler_of_refused_arguments_sees_what_was_done(first):
    meter = Meter()

    @capture(backend="eager")
    def program(x):
        meter.count += 1
        try:
            return F.linear(x, ROWS).sum()
        except RuntimeError:
            return x.sum() * meter.count

    program(first)
    assert program(ROWS.double()).item() == 12.0 and meter.count == 2


def copied_and_drawn(items, x, y):
    items.append(x)
    x.copy_(y)
    return torch.rand(2, 2) + x


def drawn_and_added(items, x, y):
    items.append(torch.rand(2))
    x.add_(y)
    return x


def written_twice(items, x, y):
    items.append(1)
    noise = F.dropout(x, 0.5)
    x.sub_(y)
    items.append(noise)
    return noise


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize("program", [copied_and_drawn, drawn_and_added, written_twice])
def test_changes_before_a_write_that_is_refused_since_tensors_overlap(program, backend):
    captured = capture(program, backend=backend)
    for overlap in (True, True, False, True):
        runs = []
        for function in (program, captured):
            torch.manual_seed(0)
            whole = torch.arange(6.0).view(3, 2)
            items: list[Any] = []
            try:
                outcome: Any = function(items, whole[:2], whole[1:] if overlap else torch.ones(2, 2))
            except RuntimeError as error:
                outcome = str(error)
            runs.append([outcome, items, whole, torch.rand(1)])
        assert not differences(*runs)


def written_after_changes(items, x, y):
    for index in range(2):
        x.add_(1)
        items.append(index)
    x.T.add_(y)
    return x


def copied_after_changes(items, x, y):
    x.mul_(2)
    items.append("multiplied")
    x[:1].copy_(y[1:] * 2)
    x[1:].copy_(y[:1])
    items.append("copied")
    x.T.sub_(y)
    return x


def handled(items, x, y):
    x.mul_(2)
    items.append("multiplied")
    try:
        torch.add(x.T, 1, out=y)
    except RuntimeError:
        items.append("refused")
    return x


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize("program", [written_after_changes, copied_after_changes, handled])
def test_changes_between_a_write_and_one_that_overlapping_memory_forbids(program, backend):
    captured = capture(program, backend=backend)
    for same in (True, False, True):
        runs = []
        for function in (program, captured):
            x, items = torch.arange(4.0).view(2, 2), list[Any]()
            try:
                outcome: Any = function(items, x, x if same else torch.ones(2, 2))
            except RuntimeError as error:
                outcome = str(error)
            runs.append([outcome, items, x])
        assert not differences(*runs)


class Noting:
    """Notes its entry and what leaves it."""

    def __init__(self, notes):
        self.notes = notes

    def __enter__(self):
        self.notes.append("enter")

    def __exit__(self, kind, error, traceback):
        self.notes.append(kind)


@pytest.mark.parametrize("backend", BACKENDS)
def test_detaching_a_view_is_refused_in_front_of_what_was_written(backend):
    def program(x, notes):
        with Noting(notes):
            x.add_(1)
            x.detach_()
        return x

    for make in (lambda: (torch.arange(4.0).view(2, 2), []), lambda: (torch.ones(2, 2), [])):
        check(program, make=make, backend=BACKENDS[backend], recaptures=None)
