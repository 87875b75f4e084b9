"""Calls as the tracer makes them, bound to the names under which they are recorded, and answered by those rules."""

import operator
from dataclasses import replace

import pytest
import torch

from passes.infer.assessment.defaults import contradicted, default_dtype
from passes.infer.worker import Laboratory
from passes.meta import TensorMeta, meta_of
from passes.operators.modes import Modes
from passes.operators.naming import named_arguments, operator_name
from passes.operators.outcome import ListArg, New, Same, SliceArg, Wrapped
from passes.record.modes import FunctionMode
from passes.rules.answer import Answerer
from passes.rules.binding import bindings, held_kinds, is_told_by_types, types_of_call
from passes.rules.book import Rulebook, add_to_title
from passes.rules.rule import always
from tests.evaluation import encode
from tests.rulebooks import IN_PLACE, NEG, RECIPROCAL, RELU, TIMES, book, rule

X = torch.linspace(-1, 1, 6).reshape(2, 3)
ROW = torch.ones(3)
WHOLE = torch.arange(1, 7).reshape(2, 3)
MASK = X > 0


def recorded(target, args, kwargs):
    """The calls that the recorder sees: names of operators, with arguments by name."""
    seen = []

    def see(level, function, given, keywords):
        seen.append((operator_name(function), named_arguments(function, given, keywords)))
        return function(*given, **keywords)

    with FunctionMode(see):
        if isinstance(target, tuple):
            getattr(args[0], target[1])(*args[1:], **kwargs)
        else:
            target(*args, **kwargs)
    return seen


CALLS = [
    (torch.add, (X, ROW), {"alpha": 2}),
    (torch.Tensor.add, (X, 1), {}),
    (("method", "transpose"), (X, 0, 1), {}),
    (("method", "view"), (X, 3, 2), {}),
    (("method", "view"), (X, (3, 2)), {}),
    (("method", "view"), (X, [3, 2]), {}),
    (("method", "view"), (X, torch.Size((3, 2))), {}),
    (("method", "view"), (X, torch.int32), {}),
    (("method", "permute"), (X, 1, 0), {}),
    (("method", "expand"), (ROW, 2, -1), {}),
    (("method", "sum"), (X,), {"dim": -1, "keepdim": True}),
    (("method", "to"), (X, torch.float64), {}),
    (("method", "masked_fill"), (X, MASK, 0.0), {}),
    (("method", "mean"), (X,), {"axis": -1, "keepdims": True}),
    (torch.sum, (), {"input": X, "dim": 1}),
    (torch.sub, (X,), {"x2": ROW}),
    (torch.cat, ([X, X],), {"dim": -1}),
    (torch.where, (MASK, X, 0.0), {}),
    (torch.gather, (X,), {"dim": 1, "index": WHOLE % 3}),
    (torch.zeros, (2, 3), {"dtype": torch.float64}),
    (torch.zeros, ((2, 3),), {}),
    (torch.arange, (5,), {}),
    (torch._C._nn.linear, (X, torch.ones(4, 3)), {}),
    (torch._C._nn.scaled_dot_product_attention, (X[None], X[None], X[None]), {"is_causal": True}),
    (torch.layer_norm, (X, (3,), ROW, None), {}),
    (operator.getitem, (X, 0), {}),
    (operator.getitem, (X, (slice(None), None, ..., 1)), {}),
    (operator.getitem, (X, (slice(0, 1), WHOLE % 2)), {}),
    (operator.getitem, (X, MASK), {}),
    *((each, (X, ROW), {}) for each in (operator.add, operator.sub, operator.truediv, operator.pow, operator.lt)),
    *((operation, (WHOLE, 2), {}) for operation in (operator.floordiv, operator.mod, operator.and_, operator.eq)),
    *((operation, (2, WHOLE), {}) for operation in (operator.add, operator.sub, operator.mul, operator.floordiv)),
    *((each, (2, WHOLE), {}) for each in (operator.mod, operator.pow, operator.and_, operator.lt, operator.ge)),
    *((operation, (X.clone(), 2), {}) for operation in (operator.iadd, operator.imul, operator.itruediv)),
    (operator.invert, (MASK,), {}),
    *((operation, (X,), {}) for operation in (operator.neg, abs)),
    (getattr, (X, "T"), {}),
    (getattr, (X, "mT"), {}),
]  # fmt: skip


def comparable(value):
    if isinstance(value, Wrapped):
        return Wrapped, value.number
    if isinstance(value, list | tuple) and not isinstance(value, SliceArg):
        return [comparable(part) for part in value]
    return value


@pytest.mark.parametrize(("target", "args", "kwargs"), CALLS, ids=lambda value: getattr(value, "__name__", None))
def test_call_of_the_tracer_is_bound_like_a_recorded_one(target, args, kwargs):
    ((name, named),) = recorded(target, args, kwargs)
    given, keywords = encode(args), tuple((key, encode(value)) for key, value in kwargs.items())
    binding = next(bindings(target, given, keywords))
    assert binding.op == name
    assert binding.parameters == tuple(named)
    expected = [comparable(encode(value)) for value in named.values()]
    assert [comparable(value) for value in binding.values(given, keywords)] == expected


def test_binding_is_shared_by_calls_of_one_form():
    given = (meta_of(X), 3, 2)
    binding = next(bindings(("method", "view"), given, ()))
    assert binding.values((meta_of(ROW), 1, 3), ()) == (meta_of(ROW), (1, 3))


def test_index_keys_are_passed_on_unchanged():
    key = (SliceArg(None, 2, None), None, ..., meta_of(WHOLE))
    (self, handed) = next(bindings(operator.getitem, (meta_of(X), key), ())).values((meta_of(X), key), ())
    assert self is meta_of(X)
    assert handed == key
    assert type(handed[0]) is SliceArg


def test_places_are_positions_of_tensors_in_the_call():
    keywords = (("dim", 1), ("index", meta_of(WHOLE)))
    places = next(bindings(torch.gather, (meta_of(X),), keywords)).places
    assert (places["self"], places["index"]) == (0, 1)
    listed = (ListArg((meta_of(X), meta_of(X))), meta_of(WHOLE), meta_of(X))
    assert list(next(bindings(torch.linalg.multi_dot, listed[:1], ())).places.values()) == [0]
    places = next(bindings(torch.where, (meta_of(MASK), meta_of(X), meta_of(X)), ())).places
    assert list(places.values()) == [0, 1, 2]


@pytest.fixture
def rules(tmp_path):
    return Rulebook(book(tmp_path, RELU, NEG, TIMES, RECIPROCAL, IN_PLACE, rule("torch.sub", "other", "alpha")))


def meta(outcome):
    assert isinstance(outcome.result, New)
    return outcome.result.meta


def test_rule_of_the_function_answers_for_the_method(rules):
    x = meta_of(X)
    assert meta(rules.answer(("method", "relu"), (x,), (), Modes())).shape == (2, 3)
    assert meta(rules.answer(torch.neg, (x,), (), Modes())).shape == (2, 3)
    assert meta(rules.answer(operator.sub, (x, 1), (), Modes())).shape == (2, 3)
    assert rules.answer(torch.exp, (x,), (), Modes()) is None


def test_rule_of_an_operator_answers_for_its_alias(rules):
    x = meta_of(X)
    for target in (torch.negative, ("method", "negative")):
        assert meta(rules.answer(target, (x,), (), Modes())).shape == (2, 3)
    assert meta(rules.answer(torch.multiply, (x, x), (), Modes())).shape == (2, 3)
    assert meta(rules.answer(torch.relu, (), (("input", x),), Modes())).shape == (2, 3)


def test_rule_of_the_function_answers_for_the_property(tmp_path):
    rules = Rulebook(book(tmp_path, rule("torch.real", dtype="float")))
    x = meta_of(X)
    for target, args in ((getattr, (x, "real")), (torch.Tensor.real.__get__, (x,)), (torch.real, (x,))):
        assert meta(rules.answer(target, args, (), Modes())).dtype is torch.float32
    assert rules.answer(getattr, (x, "imag"), (), Modes()) is None


def test_schema_without_self_serves_method_and_function(tmp_path):
    repeated = rule("torch.repeat_interleave", "repeats", "dim", "output_size", shape="with_size(self.shape, dim, 6)")
    rules = Rulebook(book(tmp_path, repeated))
    assert meta(rules.answer(("method", "repeat_interleave"), (meta_of(X), 3, 0), (), Modes())).shape == (6, 3)


def test_number_as_left_operand(rules):
    x = meta_of(WHOLE)
    assert meta(rules.answer(operator.mul, (2, x), (), Modes())).dtype is torch.int64
    assert meta(rules.answer(operator.truediv, (2, x), (), Modes())).dtype is torch.float32
    written = rules.answer(operator.imul, (x, 2), (), Modes())
    assert written.result == Same(0)
    assert written.mutated == {0: x}


def test_rules_answer_under_a_default_dtype_that_they_were_tried_under(tmp_path):
    named = replace(NEG, outputs=(replace(NEG.outputs[0], dtype=always("float32")),))
    folder = book(tmp_path, RECIPROCAL, RELU, named)
    x, modes = meta_of(WHOLE), Modes(default_dtype=torch.float64)
    assert not Answerer(named).holds_for_any_default
    with default_dtype(torch.float64):
        assert Rulebook(folder).answer(torch.reciprocal, (x,), (), modes) is None  # never tried there
        add_to_title(folder, defaults={"f64": ["torch.relu"]})
        tried = Rulebook(folder)
        assert meta(tried.answer(torch.reciprocal, (x,), (), modes)).dtype is torch.float64
        assert tried.answer(torch.relu, (x,), (), modes) is None  # wrong there
        assert tried.answer(torch.neg, (x,), (), modes) is None  # names the default of the calls it was learned from
        assert tried.why_not(torch.neg, (x,), (), modes).reason == "the rule was not confirmed under this default dtype"
    assert tried.answer(torch.reciprocal, (x,), (), modes) is None  # it is not the default of this process


def test_rules_are_tried_under_another_default_dtype():
    literal = replace(RECIPROCAL, outputs=(replace(RECIPROCAL.outputs[0], dtype=always("wide(self.dtype)")),))
    with default_dtype(torch.float64), Laboratory(forked=True) as laboratory:
        assert list(contradicted([RECIPROCAL, RELU, literal], laboratory)) == [literal]


def test_rule_is_silent_outside_its_domain_and_says_why(rules):
    def why(target, *args, modes=Modes()):  # noqa: B008
        assert rules.answer(target, args, (), modes) is None
        return rules.why_not(target, args, (), modes).reason

    x = meta_of(X)
    assert why(torch.relu, x.replace(dtype=torch.float16)) == "self is outside the domain"
    assert why(torch.relu, x.replace(device=torch.device("meta"))) == "self is outside the domain"
    assert why(torch.relu, x, modes=Modes(autocast=True)) == "autocast"
    assert why(torch.relu, x, modes=Modes(default_dtype=torch.bfloat16)) == "another default dtype"
    assert why(torch.exp, x) == "no rule"
    assert why(operator.mul, x, TensorMeta((5,), (1,))).startswith("the rule has no answer: sizes do not")


def test_quarantined_rule_answers_for_neither_name(rules):
    x = meta_of(X)
    found = rules.quarantine(torch.relu, "wrong", (x,), ())
    assert found.op == "torch.relu"
    for target in (torch.relu, ("method", "relu")):
        assert rules.answer(target, (x,), (), Modes()) is None
    assert rules.why_not(torch.relu, (x,), (), Modes()).reason.startswith("quarantined")
    assert rules.answer(operator.neg, (x,), (), Modes()) is not None


def kind_of_call(target, *args, **kwargs):
    call = target, encode(args), tuple(kwargs.items())
    return types_of_call(*call), None if is_told_by_types(*call) else held_kinds(*call)


def test_calls_of_different_forms_have_their_own_bindings():
    calls = [
        kind_of_call(torch.add, X, 1),
        kind_of_call(torch.add, X, 1.0),
        kind_of_call(torch.add, X, alpha=1),
        kind_of_call(torch.add, X, other=1),
        kind_of_call(torch.cat, (X,)),
        kind_of_call(torch.cat, (X, X)),
        kind_of_call(torch.cat, ((X, 1),)),
        kind_of_call(torch.cat, (X, 1)),
        kind_of_call(getattr, X, "shape"),
        kind_of_call(getattr, X, "T"),
    ]
    assert len(set(calls)) == len(calls)
    assert kind_of_call(torch.add, X, 2) == calls[0] and kind_of_call(torch.cat, (ROW,)) == calls[4]
