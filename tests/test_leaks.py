"""What a capture keeps alive: nothing of the user's, once the user lets go of it."""

import contextlib
import gc
import types
import weakref
from collections import deque

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


class Tagged(torch.Tensor):
    pass


class Overriding(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return super().__torch_function__(func, types, args, kwargs or {})


class Items(list):
    pass


class Names(dict):
    pass


class Line(deque):
    pass


def box_of_itself(x):
    box = Box()
    box.x, box.me = x, box
    return box


def parent_of_child(x):
    box = Box()
    box.child = Box()
    box.child.x, box.child.parent = x, box
    return box


def list_of_itself(x):
    items = Items([x])
    items.append(items)
    return items


def dict_of_itself(x):
    names = Names(x=x)
    names["me"] = names
    return names


def deque_of_itself(x):
    items = Line([x])
    items.append(items)
    return items


def tensor_of_itself(x):
    x.me = x
    return x


def module_of_itself(x):
    module = torch.nn.Linear(2, 2)
    object.__setattr__(module, "me", module)
    return module


CYCLES = {
    "box": (box_of_itself, lambda box: box.me.me.x + 1, lambda box: delattr(box, "me")),
    "parent": (parent_of_child, lambda box: box.child.parent.child.x + 1, lambda box: delattr(box.child, "parent")),
    "list": (list_of_itself, lambda items: items[0] + items[1][0], Items.clear),
    "dict": (dict_of_itself, lambda names: names["x"] + names["me"]["x"], Names.clear),
    "deque": (deque_of_itself, lambda items: items[0] + items[1][0], Line.clear),
    "tensor": (tensor_of_itself, lambda x: x + x.me, lambda x: delattr(x, "me")),
    "module": (module_of_itself, lambda module: module.me(torch.ones(2)), lambda m: object.__delattr__(m, "me")),
    "subclass": (lambda x: x.as_subclass(Tagged), lambda x: x.add_(1), lambda x: None),
    "overriding": (lambda x: x.as_subclass(Overriding), lambda x: x + 1, lambda x: None),
}
"""What makes an argument that refers to itself, what is computed with it, and what ends the cycle."""


@pytest.mark.parametrize("breaks", [False, True])
@pytest.mark.parametrize("name", CYCLES)
def test_an_argument_that_referred_to_itself_dies_when_it_no_longer_does(name, breaks):
    """A trace is freed without the collector although its values refer to each other as the objects do."""
    make, compute, cut = CYCLES[name]

    def program(argument):
        if breaks:
            graph_break()
        return compute(argument)

    captured = capture(program)
    gc.disable()
    try:
        for _ in range(2):
            argument = make(torch.ones(2))
            captured(argument)
            reference = weakref.ref(argument)
            cut(argument)
            del argument
            assert reference() is None
    finally:
        gc.enable()


def _looked_up(x, table, key):
    return x + table[key] if key in table else x - table.get(key, 1.0)


def _listed(x, table, key):
    for each in table:
        x = x + table[each]
    return x, (key, 1) in table


def _stored(x, table, key):
    table[key] = table.setdefault(key, 2.0) + 1.0
    return x + 1


def _taken_out(x, table, key):
    table[key, 1] = 1.0
    del table[key, 1]
    return x + table.pop(key, 4.0), key


def _function():
    def function():
        pass

    return function


@pytest.mark.parametrize("program", [_looked_up, _listed, _stored, _taken_out])
@pytest.mark.parametrize("make", [_function, lambda: type("Local", (), {}), lambda: types.ModuleType("local")])
@pytest.mark.parametrize("fill", [lambda key: {key: 1.0}, lambda key: {_function: 2.0}, lambda key: {(key, 1): 3.0}])
def test_functions_and_classes_that_are_keys_are_freed(program, make, fill):
    captured = capture(program, strict=True)
    for _ in range(2):
        key = make()
        table, expected = fill(key), fill(key)
        for _ in range(2):
            answer = captured(torch.ones(2), table, key)
            assert str(answer) == str(program(torch.ones(2), expected, key))
            assert table == expected
        reference = weakref.ref(key)
        del key, table, expected, answer
        assert collected(reference)


def test_whether_a_function_is_a_key_is_guarded():
    def program(x, table, key):
        return x + 1 if key in table else x - 1

    captured = capture(program, strict=True)
    table = {}
    key = _function()
    for _ in range(2):
        assert captured(torch.ones(1), table, key).item() == 0
    table[key] = 1
    for _ in range(2):
        assert captured(torch.ones(1), table, key).item() == 2
    del table[key]
    assert captured(torch.ones(1), table, key).item() == 0
    assert len(captured.entries) == 2
