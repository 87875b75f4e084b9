"""Attributes of modules of Python that the module's own `__getattr__` answers (PEP 562)."""

import types

import pytest
import torch

from tests.check import BACKENDS
from tracer import capture, counters, reset

SOURCE = """
asked = []
present = 1

def __getattr__(name):
    asked.append(name)
    if name.startswith("no"):
        raise AttributeError(f"there is no {name}")
    return len(asked)
"""


def made():
    """A new module with such a function."""
    module = types.ModuleType("made_for_a_test")
    exec(SOURCE, vars(module))
    return module


module = made()


def asked_for(x):
    return x + module.answer, module.present


def with_a_default(x):
    return x + getattr(module, "nothing", 5), hasattr(module, "nowhere"), hasattr(module, "somewhere")


def refused(x):
    try:
        return x * module.nothing
    except AttributeError as error:
        return x + 1, str(error)


def there_until_it_is_deleted(x):
    return x + module.present


def change_nothing():
    pass


def store():
    module.answer = module.nothing_now = 7


def delete():
    del module.present


def replace_the_function():
    module.__getattr__ = lambda name: 100


def remove_the_function():
    del module.__getattr__


def outcome(call):
    try:
        result = call(torch.ones(2))
    except AttributeError as error:
        return str(error), list(module.asked)
    tensor, *rest = result if isinstance(result, tuple) else (result,)
    return tensor.tolist(), rest, list(module.asked)


PROGRAMS = [asked_for, with_a_default, refused, there_until_it_is_deleted]
CHANGES = [change_nothing, store, delete, replace_the_function, remove_the_function]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_function_of_a_module_runs_as_often_as_plainly(program, change, backend, monkeypatch):
    outcomes = []
    reset()
    for wrap in (lambda function: function, lambda function: capture(function, backend=BACKENDS[backend])):
        monkeypatch.setitem(globals(), "module", made())
        call = wrap(program)
        outcomes.append([outcome(call), outcome(call), change(), outcome(call), outcome(call)])
    assert outcomes[1] == outcomes[0]
    assert counters().tracer_bugs == 0


def test_a_function_that_appears_later(monkeypatch):
    def program(x):
        return x + getattr(module, "answer", 5)

    monkeypatch.setitem(globals(), "module", types.ModuleType("made_for_a_test"))
    captured = capture(program)
    assert captured(torch.zeros(2)).tolist() == [5, 5]
    module.__getattr__ = lambda name: 9
    assert captured(torch.zeros(2)).tolist() == [9, 9]
