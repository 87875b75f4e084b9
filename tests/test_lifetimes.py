"""Objects whose end can be seen die in a captured program when they die plainly: not later, and not earlier."""

import gc
import weakref

import pytest
import torch

from tests.check import check
from tracer import capture, graph_break

ended = []


class Resource:
    """Notes its end."""

    def __init__(self, name="resource"):
        self.name = name

    def __del__(self):
        ended.append(self.name)


class Plain:
    pass


def end_at_assignment(x):
    resource = Resource("first")
    seen = [list(ended)]
    resource = Resource("second")
    seen.append(list(ended))
    resource = x * 2
    return resource, seen, list(ended)


def end_of_a_result_that_is_not_kept(x):
    Resource("dropped")
    return x + 1, list(ended)


def not_read_again(x):
    thing = Plain()
    reference = weakref.ref(thing)
    y = x + 1
    graph_break()
    return y, reference() is not None


def not_read_again_over_several_breaks(x):
    thing = Plain()
    table = weakref.WeakValueDictionary(key=thing)
    graph_break()
    x = x + 1
    graph_break()
    return x, len(table), "key" in table


def weak_reference_to_what_is_deleted(x):
    thing = Plain()
    reference = weakref.ref(thing)
    before = reference() is thing
    del thing
    return x + 1, before, reference() is None


def callback_of_a_weak_reference(x):
    thing, log = Plain(), []
    reference = weakref.ref(thing, lambda reference: log.append("gone"))
    x = x + 1
    thing = None
    return x, log, reference() is thing


def weak_set_of_what_is_deleted(x):
    thing, other = Plain(), Plain()
    members = weakref.WeakSet([thing, other])
    before = len(members)
    del thing
    return x * 2, before, len(members)


def finalize_of_what_is_deleted(x):
    thing, log = Plain(), []
    weakref.finalize(thing, log.append, "final")
    del thing
    return x - 1, log


def items(x, log):
    try:
        with torch.no_grad():
            for index in range(3):
                yield x * index
    finally:
        log.append("closed")


def generator_left_by_break(x):
    log = []
    for _ in items(x, log):
        break
    return x * 5, torch.is_grad_enabled(), log


def generator_left_by_return(x):
    log = []

    def first():
        for item in items(x, log):
            return item

    y = first()
    return y + x, torch.is_grad_enabled(), log


def generator_deleted(x):
    log = []
    generator = items(x, log)
    y = next(generator)
    before = list(log), torch.is_grad_enabled()
    del generator
    return x + y, before, log, torch.is_grad_enabled()


def generator_replaced(x):
    log = []
    generator = items(x, log)
    next(generator)
    generator = None
    return x + 1, generator, log, torch.is_grad_enabled()


PROGRAMS = [
    end_at_assignment,
    end_of_a_result_that_is_not_kept,
    not_read_again,
    not_read_again_over_several_breaks,
    weak_reference_to_what_is_deleted,
    callback_of_a_weak_reference,
    weak_set_of_what_is_deleted,
    finalize_of_what_is_deleted,
    generator_left_by_break,
    generator_left_by_return,
    generator_deleted,
    generator_replaced,
]


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward], ids=str)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_end_shows_when_it_shows_plainly(program, backend):
    ended.clear()
    gc.disable()
    try:
        check(program, torch.ones(2), backend=backend, recaptures=None)
    finally:
        gc.enable()


def namespace_of(source):
    names = {"model": torch.nn.Linear(2, 2), "__name__": "of_a_cell"}
    exec(source, names)
    return names


@pytest.mark.parametrize("statement", ["print(end='')", "pass"])
def test_namespace_of_exec_is_freed_with_its_functions(statement):
    def run():
        names = namespace_of(f"def h(x):\n  y = model(x)\n  {statement}\n  return y + 1")
        capture(names["h"])(torch.ones(1, 2))
        return weakref.ref(names["model"])

    reference = run()
    gc.collect()
    assert reference() is None


def test_arguments_of_a_capture_with_symbols_are_freed_without_the_collector():
    captured = capture(lambda x, box: x * box.factor)
    box = Plain()
    gc.disable()
    try:
        for box.factor in (2, 3, 4):
            captured(torch.ones(1), box)
        reference = weakref.ref(box)
        del box
        assert reference() is None
    finally:
        gc.enable()
