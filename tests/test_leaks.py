"""What a capture keeps alive: nothing of the user's, once the user lets go of it."""

import contextlib
import gc
import weakref

import pytest
import torch

from tests.models_torch import Mlp
from tracer import capture, graph_break, reset


def collected(*references: weakref.ref) -> bool:
    gc.collect()
    return all(reference() is None for reference in references)


def test_model_and_its_tensors_are_freed():
    model = Mlp().eval()
    captured = capture(lambda model, x: model(x), strict=True)
    x = torch.randn(2, 16)
    result = captured(model, x)
    captured(model, x)
    references = [weakref.ref(thing) for thing in (model, model.fc1, model.fc1.weight, x, result)]
    del model, x, result
    assert collected(*references)
    assert captured is not None


def test_captured_module_is_freed_with_its_graph():
    model = Mlp().eval()
    graphs = []

    def backend(graph_module, example_inputs):
        graphs.append(weakref.ref(graph_module))
        return graph_module.forward

    captured = capture(model, backend=backend)
    captured(torch.randn(2, 16))
    references = [weakref.ref(model), weakref.ref(model.fc1.weight)]
    del model, captured
    reset()
    assert collected(*references, *graphs)


def test_closure_is_freed():
    def build():
        weight = torch.ones(2)

        @capture(strict=True)
        def program(x):
            return x * weight

        program(torch.ones(2))
        return weakref.ref(weight), weakref.ref(program.__wrapped__)

    assert collected(*build())


def test_arguments_are_freed_without_the_collector():
    captured = capture(lambda x, items: (x + 1, len(items)), strict=True)
    captured(torch.ones(2), [1])
    gc.collect()
    gc.disable()
    try:
        x = torch.ones(2)
        reference = weakref.ref(x)
        result, _ = captured(x, [1])
        result_reference = weakref.ref(result)
        del x, result
        assert reference() is None and result_reference() is None
    finally:
        gc.enable()


def test_intermediates_are_freed_at_their_last_use():
    alive = []

    def program(x):
        big = x * 2
        watch(big)
        small = big.sum()
        del big
        watch(None)
        return small

    def watch(tensor):
        graph_break()
        gc.collect()
        alive.append([reference() is not None for reference in references])
        if tensor is not None:
            references.append(weakref.ref(tensor))

    references: list[weakref.ref] = []
    capture(program, strict=True)(torch.ones(1000))
    assert alive == [[], [False]]


def test_exception_leaves_nothing_behind():
    def program(x):
        y = x + 1
        raise ValueError(y.shape)

    captured = capture(program, strict=True)
    x = torch.ones(2)
    reference = weakref.ref(x)
    for _ in range(2):
        with pytest.raises(ValueError):
            captured(x)
    del x
    assert collected(reference)


def test_number_of_objects_does_not_grow_with_calls():
    model = Mlp().eval()
    captured = capture(model, strict=True)
    x = torch.randn(2, 16)
    for _ in range(10):
        captured(x)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(200):
        captured(x)
    gc.collect()
    assert len(gc.get_objects()) - before < 50


def test_number_of_objects_does_not_grow_with_dropped_captures():
    def use_once():
        def program(x):
            return x + 1

        capture(program, strict=True)(torch.ones(2))

    for _ in range(3):
        use_once()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(20):
        use_once()
    gc.collect()
    assert len(gc.get_objects()) - before < 400


def test_arguments_of_a_capture_are_freed_without_the_collector():
    def program(x, holder):
        y = x * holder["w"]
        if y.sum() > 0:
            y = y + 1
        return y

    captured = capture(program, strict=True)
    gc.collect()
    gc.disable()
    try:
        x, weight = torch.ones(3), torch.ones(3)
        references = [weakref.ref(x), weakref.ref(weight)]
        captured(x, {"w": weight})
        del x, weight
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


def refused(x):
    return x.add_(2)


def with_attributes(x):
    box = Box()
    vars(box)["value"] = x
    return box


def fails_in_a_with(x):
    with torch.no_grad(), contextlib.suppress(ValueError), contextlib.ExitStack():
        fail(x)


def logs_its_error(x):
    try:
        raise ValueError(x.shape)
    except ValueError as error:
        errors.append(error)


class Box:
    pass


def fail(x, y):
    return x


errors = []


@pytest.mark.parametrize("program", [refused, with_attributes, fails_in_a_with, logs_its_error])
def test_arguments_die_without_the_collector(program):
    """What a capture was given is in no cycle, whatever ended it: a refused operator, an error, a handler."""
    captured = capture(program)
    gc.disable()
    try:
        for _ in range(2):
            x = torch.ones(1, 2).expand(2, 2)
            with contextlib.suppress(RuntimeError, TypeError):
                captured(x)
            reference = weakref.ref(x)
            errors.clear()
            del x
            assert reference() is None
    finally:
        gc.enable()
