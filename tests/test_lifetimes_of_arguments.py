"""When arguments die that only the call holds, and objects that are found in them."""

import functools
import sys
import weakref

import pytest
import torch

from tests.check import BACKENDS
from tracer import capture, counters, graph_break, reset
from tracer.dispatch import engine

ended = []


class Resource:
    """Notes its end."""

    def __init__(self, name="resource"):
        self.name = name
        self.amount = 2

    def __del__(self):
        ended.append(self.name)


def deleted(x, resource):
    y = x + resource.amount
    del resource
    return y, list(ended)


def reassigned(x, resource):
    resource = x + resource.amount
    return resource, list(ended)


def seen_by_a_reference(x, resource):
    reference = weakref.ref(resource)
    y = x + 1
    del resource
    return y, reference() is None


def deleted_behind_a_break(x, resource):
    graph_break()
    y = x + resource.amount
    del resource
    return y, list(ended)


def deleted_in_one_branch(x, resource):
    if resource.amount > 1:
        del resource
    return x + 1, list(ended)


def deleted_and_raised(x, resource):
    del resource
    raise ValueError(list(ended))


def given_away(x, resource):
    kept = [resource]
    del resource
    before = list(ended)
    kept.clear()
    return x + 1, before, list(ended)


def not_read(x, resource):
    return x + 1, list(ended)


TEMPORARY = [
    deleted,
    reassigned,
    seen_by_a_reference,
    deleted_behind_a_break,
    deleted_in_one_branch,
    deleted_and_raised,
    given_away,
    not_read,
]


def by_position(call, make):
    return call(torch.ones(2), make())


def by_keyword(call, make):
    return call(resource=make(), x=torch.ones(2))


def through_a_partial(call, make):
    return functools.partial(call)(torch.ones(2), make())


def unpacked(call, make):
    return call(*[torch.ones(2), make()])


def held(call, make):
    resource = make()
    return call(torch.ones(2), resource)


# From 3.12 on CPython gives the list up that a call of a Python function unpacks, but not that of another callable's.
DOORS = [by_position, by_keyword, through_a_partial, *([unpacked] if sys.version_info < (3, 12) else ()), held]


def outcome(door, call):
    """What a call gives, what ended during it and what afterwards."""
    ended.clear()
    try:
        result, error = door(call, Resource), None
    except ValueError as raised:
        result, error = None, str(raised)
    if result is not None:
        result = result[0].tolist(), *result[1:]
    return result, error, list(ended)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", TEMPORARY, ids=lambda program: program.__name__)
def test_arguments_that_only_the_call_holds_die_when_they_die_plainly(program, backend):
    reset()
    captured = capture(program, backend=BACKENDS[backend])
    for door in (*DOORS, *DOORS):
        assert outcome(door, captured) == outcome(door, program), door.__name__
    assert counters().tracer_bugs == 0


def test_temporary_tensors_take_over_nothing():
    def program(x):
        x = x * 2
        return x + 1

    reset()
    captured = capture(program)
    for _ in range(3):
        captured(torch.ones(2) + 1)
    assert (counters().graphs, counters().captures, counters().breaks) == (1, 1, {})


class Method:
    """A captured method, whose arguments are an instance and another object."""

    @capture
    def run(self, x, resource):
        reference = weakref.ref(self)
        y = x + resource.amount
        del resource, self
        return y.tolist(), list(ended), reference() is None

    def plain(self, x, resource):
        reference = weakref.ref(self)
        y = x + resource.amount
        del resource, self
        return y.tolist(), list(ended), reference() is None


def test_a_bound_method_keeps_its_instance():
    for _ in range(2):
        outcomes = []
        for name in ("plain", "run"):
            ended.clear()
            outcomes.append(getattr(Method(), name)(torch.ones(2), Resource()))
        assert outcomes[1] == outcomes[0]
        instance = Method()
        for call in (instance.run, functools.partial(instance.run)):
            ended.clear()
            values, _, is_gone = call(torch.ones(2), Resource())
            assert values == [3.0, 3.0] and not is_gone
        assert weakref.ref(instance)() is instance


def emptied(x, holder):
    first = holder[0]
    amount = first.amount
    holder.clear()
    graph_break()
    return x + amount, list(ended)


def replaced(x, holder):
    first = holder[0]
    amount = first.amount
    graph_break()
    holder[0] = None
    seen = list(ended)
    graph_break()
    return x + amount, seen, list(ended)


def loop_left(x, holder):
    for each in holder:
        graph_break()
        if each.amount:
            break
    holder.clear()
    return x + 1, list(ended)


def found_in_a_new_container(x, holder):
    pair = [holder[0], (holder[1],)]
    holder.clear()
    graph_break()
    seen = list(ended)
    pair = None
    return x + 1, seen, list(ended)


def never_read_in_a_new_container(x, holder):
    pair = {"first": [holder[0]]}
    holder.clear()
    graph_break()
    return x + 1, list(ended)


def looked_at_by_name(x, holder):
    first, second = holder
    del holder[:]
    graph_break()
    second = None
    return x + 1, second, list(ended)


ELEMENTS = [emptied, replaced, loop_left, found_in_a_new_container, never_read_in_a_new_container, looked_at_by_name]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", ELEMENTS)
def test_an_element_that_a_local_holds_lives_until_the_function_ends(program, backend):
    reset()
    captured = capture(program, backend=BACKENDS[backend])
    for _ in range(2):
        outcomes = []
        for call in (program, captured):
            holder = [Resource("first"), Resource("second")]
            ended.clear()
            result = call(torch.ones(2), holder)
            outcomes.append((result[0].tolist(), result[1:], list(ended)))
        assert outcomes[1] == outcomes[0]
    assert counters().tracer_bugs == 0


registry = {}


def test_a_capture_that_does_not_fit_its_own_call_keeps_no_argument(monkeypatch):
    """What a capture reads may change while it is made: another thread, or an import of the tracer."""
    capture_frame = engine.capture_frame

    def disturbed(request):
        captured = capture_frame(request)
        registry[len(registry)] = None
        return captured

    def program(x, number):
        return x.transpose(0, 1).reshape(-1)[number:] * len(registry)

    monkeypatch.setattr(engine, "capture_frame", disturbed)
    reset()
    captured = capture(program, dynamic=True)
    x = torch.ones(3, 5)
    reference = weakref.ref(x)
    captured(x, 7)
    del x
    assert reference() is None


class Layer(torch.nn.Module):
    def forward(self, x):
        return x + 1


def test_what_torch_compile_notes_of_every_module_shows_no_end():
    torch.compile(Layer(), backend="eager")(torch.ones(2))  # from then on TorchDynamo refers weakly to all new modules

    def call(x, layer):
        y = layer(x)
        del layer
        return y * 2

    captured = capture(call)
    reset()
    for _ in range(2):
        assert torch.equal(captured(torch.ones(2), Layer()), torch.full((2,), 4.0))
    assert counters().graphs == 1 and not counters().breaks
