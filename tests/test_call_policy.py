"""The call policy: its order, that `explain_call` says what a capture does, that every callable has one row."""

import array
import collections
import datetime
import functools
import json
import operator
import sys
import time
import types
import typing
import zlib

import numpy
import pytest
import torch
import torch._numpy
from torch.optim.optimizer import _get_value

import tracer
from tests.check import check, one_graph
from tracer import capture, counters, disable, explain_call, reset
from tracer.commands.application import main
from tracer.interpret import call
from tracer.interpret.deciders import DECIDERS, KINDS, decision
from tracer.interpret.explain_call import UnknownName, resolve
from tracer.interpret.policy import IMMUTABLE, MODULES, ROWS, Interpreted, Polyfill, polyfill, pure
from tracer.values.base import LITERALS
from tracer.values.getters import ComparisonKey


def doubled(x, *rest):
    return x * 2


class Scaled:
    def __init__(self, factor=2):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor

    def method(self, x):
        return x * self.factor


class Ordered(collections.OrderedDict):
    pass


class Box(typing.Generic[typing.TypeVar("Content")]):
    def __init__(self, content):
        self.content = content


@functools.lru_cache
def remembered(n):
    return n + 1


@disable
def marked(x):
    return x * 2


hidden = torch.compiler.disable(_get_value)
"""As torch hides functions of its optimizers from TorchDynamo, once that is imported."""


@torch.compile(backend="eager")
def compiled(x):
    return x * 2


@torch.compiler.assume_constant_result
def constant():
    return 3


@tracer.allow_in_graph
def shifted(x):
    return x.relu() + 1


def divided(x):
    return eval("4 / x")


@tracer.substitute_in_graph(divided)
def _divided(x):
    return 4 / x


tracer.disallow_in_graph(torch.negative)
scaled = Scaled()
partial = functools.partial(doubled)
static = staticmethod(doubled)
getter = operator.itemgetter(0)
alias = Box[int]
scanner = json.scanner.c_make_scanner(json.JSONDecoder())
bound = scaled.method
from_keys = Ordered.fromkeys
counted = vars(int)["from_bytes"]
number = 5


def make(factor):
    def scale(x):
        return x * factor

    return scale


def make_disabled(factor):
    return disable(make(factor))


def defines(x):
    def inner(y):
        return y * 2

    return inner(x)


def compared(left, right):
    return left - right


def catches(x):
    try:
        return number(x)
    except TypeError:
        return x * 3


# Decider: a callable that it takes, a program that calls it, and the id of the break if that is one.
SAMPLES = {
    "numpy_builtin": (numpy.arange, lambda x: x + torch.from_numpy(numpy.arange(2)), None),
    "numpy_function_in_python": (numpy.ones, lambda x: x + torch.from_numpy(numpy.ones(2)), None),
    "method_of_numpy": (numpy.ndarray.cumsum, lambda x: x + torch.from_numpy(x.numpy().cumsum()), None),
    "model_of_numpy": (torch._numpy.sqrt, lambda x: x + torch.from_numpy(numpy.sqrt(x.numpy())), None),
    "bound_method": (bound, lambda x: bound(x), None),
    "partial_object": (partial, lambda x: partial(x), None),
    "comparison_key": (ComparisonKey(compared), lambda x: x * functools.cmp_to_key(compared)(5).obj, None),
    "callable_object": (scaled, lambda x: scaled(x), None),
    "not_callable": (number, catches, None),
    "lookaside": (len, lambda x: x * len([1, 2]), None),
    "unbound_class_method": (counted, lambda x: x * counted(int, b"a", "big"), None),
    "class_method": (from_keys, lambda x: x * len(from_keys("ab")), None),
    "disallowed_callable": (torch.negative, lambda x: torch.negative(x), "disabled"),
    "marked_operator": (shifted, lambda x: shifted(x), None),
    "substituted_function": (divided, lambda x: x * divided(1), None),
    "constant_function": (constant, lambda x: x * constant(), None),
    "hidden_optimizer_function": (hidden, lambda x: x * hidden(2), None),
    "disabled_function": (marked, lambda x: marked(x), "disabled"),
    "compiled_function": (compiled, lambda x: compiled(x), None),
    "tensor_operator": (torch.add, lambda x: torch.add(x, x), None),
    "pure_function": (ord, lambda x: x * ord("a"), None),
    "polyfill": (functools.reduce, lambda x: functools.reduce(operator.add, [x, x]), None),
    "refused_function": (json.dumps, lambda x: x * len(json.dumps([1])), "skipped-function"),
    "python_function": (doubled, lambda x: doubled(x), None),
    "refused_class": (json.JSONEncoder, lambda x: x * len(json.JSONEncoder().encode(1)), "skipped-function"),
    "instantiated_class": (Scaled, lambda x: Scaled(3).method(x), None),
    "cached_function": (remembered, lambda x: x * remembered(1), None),
    "getter": (getter, lambda x: getter([x]) * 2, None),
    "wrapped_function": (static, lambda x: static(x), None),
    "python_call_method": (alias, lambda x: x * alias(3).content, None),
    "refused_callable": (time.gmtime, lambda x: x * 2 * bool(time.gmtime()), "clock"),
    "unknown_callable": (zlib.adler32, lambda x: x * zlib.adler32(b"a"), "unsupported-call"),
}

# Deciders of callables that only a trace knows: a program, and its arguments behind the tensor.
TRACED = {
    "unread_object": (lambda x, functions: functions[0](x), ([doubled],)),
    "bound_special_method": (lambda x: x * getattr(1, "__add__")(2), ()),
    "method_of_a_constant": (lambda x: x * len(getattr(", ", "join")(["a", "b"])), ()),
    "function_of_the_trace": (defines, ()),
    "cached_function_of_the_trace": (lambda x: functools.cache(lambda n: x * n)(2), ()),
    "compiled_function_of_the_trace": (lambda x: torch.compile(lambda n: n * 2, backend="eager")(x), ()),
    "nested_function": (lambda x, function: function(x), (make(2),)),
    "nested_function_with_row": (lambda x, function: function(x), (make_disabled(2),)),
}


@pytest.fixture
def taken(monkeypatch):
    """The names of the deciders that took a call since the test began."""
    names = []

    def decide(function):
        decider, action = decision(function)
        names.append(decider.__name__)
        return action

    monkeypatch.setattr(call, "decide", decide)
    reset()
    return names


@pytest.mark.parametrize("name", SAMPLES)
def test_explanation_is_what_a_capture_does(name, taken):
    function, program, broken = SAMPLES[name]
    explanation = explain_call(function)
    assert explanation.decider == name
    captured = capture(program, strict=True)
    torch.testing.assert_close(captured(torch.ones(2)), program(torch.ones(2)))
    assert list(counters().breaks) == ([] if broken is None else [broken])
    assert name in taken
    assert (broken is None) is ("graph breaks" not in f"{explanation}")
    if broken is not None:
        assert f"breaks with {broken}" in explanation.why


@pytest.mark.parametrize("name", TRACED)
def test_callables_that_only_a_trace_knows(name, taken):
    program, arguments = TRACED[name]
    check(program, make=lambda: (torch.ones(2), *arguments), recaptures=None)
    assert name in taken


def test_objects_whose_call_is_written_in_c():
    assert "graph breaks with unsupported-call" in explain_call(scanner).why
    check(lambda x: x * scanner("2", 0)[0], torch.ones(2), breaks=["unsupported-call"], recaptures=None)


def test_classes_whose_instances_are_made_in_c():
    assert "graph breaks with unsupported-call" in explain_call(array.array).why
    check(lambda x: x * (array.array("d") is not None), torch.ones(2), breaks=["unsupported-call"], recaptures=None)


def test_functions_of_numpy(taken):
    numpy = pytest.importorskip("numpy")
    assert explain_call(numpy.sqrt).decider == "numpy_function"
    one_graph(lambda x: x * float(numpy.sqrt(4.0)), torch.ones(2))
    assert "numpy_function" in taken


def test_functions_that_are_allowed_in_graphs(taken, monkeypatch):
    rules = types.SimpleNamespace(_allowed_callable_ids={id(doubled)})
    monkeypatch.setitem(sys.modules, "torch._dynamo.trace_rules", rules)
    assert explain_call(doubled).decider == "marked_operator"
    one_graph(lambda x: doubled(x), torch.ones(2))
    assert "marked_operator" in taken


def test_every_decider_has_a_sample():
    others = {"numpy_function"}
    assert {decider.__name__ for decider in DECIDERS} == {*SAMPLES, *TRACED, *others}


def test_every_decider_is_in_the_order_once_and_says_what_it_takes():
    assert len(set(DECIDERS)) == len(DECIDERS) and set(DECIDERS) == set(KINDS)
    for decider in DECIDERS:
        assert decider.__doc__.partition("\n")[0].endswith("."), decider.__name__


def test_an_explanation_names_who_was_asked_before_in_order():
    explanation = explain_call(zlib.adler32)
    order = [decider.__name__ for decider in DECIDERS]
    assert [*explanation.passed, explanation.decider] == sorted(
        [*explanation.passed, explanation.decider], key=order.index
    )
    assert explanation.decider == order[-1]


# Rows ------------------------------------------------------------------------------------------------


def test_a_callable_has_one_row():
    with pytest.raises(AssertionError, match="has rows in"):
        pure(len)
    with pytest.raises(AssertionError, match="has rows in"):
        polyfill(len)(doubled)
    assert explain_call(len).decider == "lookaside"


def module_of(function):
    """The Python module that a callable is of: of a method, that of its class."""
    owner = getattr(function, "__objclass__", None) or getattr(function, "__self__", None)
    owner = owner if isinstance(owner, type) else function
    return (getattr(owner, "__module__", None) or "builtins").lstrip("_")


KINDS_OF_ROWS = sorted({type(row) for row in ROWS.values()}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS_OF_ROWS, ids=lambda kind: kind.__name__)
def test_rows_stand_in_the_file_of_their_module(kind):
    elsewhere = []
    for function, row in ROWS.items():
        file = row.file.removeprefix("tracer.interpret.library.")
        module = module_of(function)
        fits = file.partition(".")[0] == module.partition(".")[0] or module.startswith(OUR_OWN)
        if type(row) is kind and not fits and (module, file) not in ODD_HOMES:
            elsewhere.append((function, module, file))
    assert not elsewhere


OUR_OWN = ("tracer", "passes.targets", "tests")  # modules whose functions stand with what they are called for

# A class or function says it is of one module, and belongs to another.
ODD_HOMES = {
    ("io", "builtins.input_output"),  # open
    ("posix", "os"),
    ("torch._tensor", "copy"),  # their __deepcopy__
    ("torch.nn.parameter", "copy"),
    ("builtins", "types"),  # functions, methods, generators, modules
    ("builtins", "torch.operators"),
    ("builtins", "torch.functions"),
    ("builtins", "torch.settings"),
    ("builtins", "torch.overrides"),  # getters of C
}


def test_every_literal_is_immutable():
    assert set(IMMUTABLE) >= LITERALS


def test_interpreted_rows_are_needed():
    for function, row in ROWS.items():
        if isinstance(row, Interpreted):
            parts = function.__module__.split(".")
            assert any(".".join(parts[:count]) in MODULES for count in range(1, len(parts) + 1)), function


def test_polyfills_are_pure_where_their_original_is():
    for function, row in ROWS.items():
        owner = getattr(function, "__objclass__", None)
        if isinstance(row, Polyfill) and owner in IMMUTABLE and owner is not slice:  # its bounds may be any objects
            assert row.pure, function


# What must not happen while tracing --------------------------------------------------------------------


class Dated(datetime.datetime):
    pass


@pytest.mark.parametrize("program", [datetime.datetime.now, datetime.date.today, datetime.datetime.utcnow, Dated.now])
def test_the_time_of_day_is_no_constant(program):
    explanation = explain_call(program)
    assert explanation.then.why.startswith("the graph breaks with clock")
    check(lambda x: (x + 1, program() is None), torch.ones(1), breaks=["clock"], recaptures=None)


class Holder:
    pass


@pytest.mark.parametrize("delete", [False, True])
def test_classes_are_not_changed_while_tracing(delete):
    def program(x):
        Holder.field = 1
        if delete:
            type.__delattr__(Holder, "field")
        else:
            type.__setattr__(Holder, "other", 2)
        return x + hasattr(Holder, "field") + hasattr(Holder, "other")

    check(program, torch.ones(1), breaks=["unsupported-mutation"], recaptures=None)


# The command -----------------------------------------------------------------------------------------


def test_why_says_who_takes_a_call(capsys):
    assert main(["why", "math.prod"]) == 0
    printed = capsys.readouterr().out
    assert "taken by   polyfill:" in printed and "tracer/interpret/library/math.py" in printed


def test_why_as_json(capsys):
    assert main(["why", "datetime.datetime.now", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["decider"] == "class_method" and printed["then"]["decider"] == "refused_callable"
    assert (
        printed["passed"][0] == "not_callable" and printed["takes"] and printed["then"]["where"].endswith("datetime.py")
    )


@pytest.mark.parametrize(
    "name, message",
    [
        ("torch.nn.functional.reluu", "torch.nn.functional has no 'reluu'; did you mean 'relu' or "),
        ("relu", "did you mean 'torch.relu' or 'torch.Tensor.relu'"),
        ("join", "did you mean 'str.join' or "),
        ("maths.floor", "no module or built-in function is called 'maths'; did you mean 'math.floor' or "),
        ("str.joined", "str has no 'joined'; did you mean 'join'"),
        ("math.floor.qqqq", "math.floor has no 'qqqq'"),
    ],
)
def test_unknown_names_are_told_in_one_line(name, message, capsys):
    with pytest.raises(UnknownName):
        explain_call(name)
    assert main(["why", name]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: cannot find {name}: ") and message in printed and printed.count("\n") == 1


class Watched:
    read = False

    @property
    def attribute(self):
        Watched.read = True

    def method(self):
        return 1


watched = Watched()


def test_names_are_resolved_without_running_anything():
    here = __name__
    assert resolve(f"{here}.watched.attribute") is vars(Watched)["attribute"] and not Watched.read
    assert resolve(f"{here}.watched.method") == watched.method
    assert resolve("torch.ops.aten.relu.default") is torch.ops.aten.relu.default
    assert resolve("len") is len and resolve("collections.abc.Callable") is collections.abc.Callable
