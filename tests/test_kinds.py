"""Kinds of value: every class of item is registered, and every kind answers every question."""

import functools
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from dataclasses import fields

import pytest
import torch

from tracer.guards.source import constant
from tracer.interpret.interpreter import MACHINE
from tracer.interpret.trace import Trace
from tracer.values.base import LITERALS, SYMBOLS, Value
from tracer.values.concrete import concrete
from tracer.values.iterators import IteratorValue
from tracer.values.kinds import BORN, KINDS, WRAPPERS, Kind, Wraps, kind_of, register
from tracer.values.sequences import SequenceValue

ABSTRACT = {Value, IteratorValue, SequenceValue}
QUESTIONS = [question.name for question in fields(Kind)]


def classes_of_values(cls: type = Value) -> Iterator[type]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from classes_of_values(subclass)


@pytest.mark.parametrize("cls", sorted(set(classes_of_values()) - ABSTRACT, key=str))
def test_class_of_values_is_registered(cls: type):
    assert cls in KINDS


@pytest.mark.parametrize("cls", [tuple, slice, torch.Size, object, *SYMBOLS])
def test_class_of_raw_objects_is_registered(cls: type):
    assert cls in KINDS


def test_literals_are_registered():
    assert LITERALS <= set(KINDS)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("cls", sorted(KINDS, key=str), ids=str)
def test_kind_answers(cls: type, question: str):
    answer = getattr(KINDS[cls], question)
    assert isinstance(answer, Wraps) if question == "wraps" else callable(answer)


@pytest.mark.parametrize("question", QUESTIONS)
def test_kind_without_an_answer_is_refused(question: str):
    answers = {name: getattr(KINDS[slice], name) for name in QUESTIONS if name != question}
    with pytest.raises(TypeError, match=question):
        Kind(**answers)


def test_class_has_one_kind():
    with pytest.raises(AssertionError, match="slice has two kinds"):
        register(KINDS[slice], slice)


def test_real_type_is_wrapped_in_one_way():
    class Other(Value):
        pass

    kind = Kind(Wraps(exactly=WRAPPERS), *(getattr(KINDS[slice], name) for name in QUESTIONS[1:]))
    try:
        with pytest.raises(AssertionError, match="wrapped in two ways"):
            register(kind, Other)
    finally:
        del KINDS[Other]


def test_value_of_a_class_that_is_not_registered_has_no_kind():
    class Unregistered(Value):
        pass

    with pytest.raises(KeyError):
        kind_of(Unregistered(int))


class Word(str):
    pass


class Numbers(list[int]):
    pass


OBJECTS = [
    *(None, 1, 2.5, "text", Word("text"), torch.float32, ..., (1, 2), ((1,), "x"), torch.Size([2, 3]), slice(1, 2)),
    *([1, [2]], deque([1], maxlen=3), Numbers([1]), {"a": [1]}, OrderedDict(a=1), defaultdict(list, a=[1])),
    *({1, 2}, frozenset({1}), len, int, types, test_class_has_one_kind),
    *(functools.partial(max, 1), ValueError("text"), torch.nn.ReLU(), types.SimpleNamespace(a=1)),
]


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: type(obj).__name__)
def test_wrapped_object_is_equal_to_its_constant(obj: object):
    trace = Trace(MACHINE)
    item = trace.wrap(obj, constant(obj))
    real = concrete(trace, item, instances=True)
    assert real == obj
    assert type(real) is type(obj)
    if isinstance(item, Value):
        assert KINDS[type(item)].wraps is not BORN
