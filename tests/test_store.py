"""Captures that outlive the process: what is found again, and what is not.

`tracer.reset()` stands for the end of a process where nothing else of it matters.
"""

import abc
import collections.abc
import contextlib
import enum
import functools
import sys
import typing

import pytest
import torch

import tracer
from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tests.stored import files, forget, kinds
from tracer.events import LOG

SCALE = 3
TABLE = {"bias": 1, "more": [1, 2]}


def helper(x):
    return x * 2


def other_helper(x):
    return x * 5


class Model(torch.nn.Module):
    factor = 2

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.dropout = torch.nn.Dropout(0.5)
        self.gain = 1.5
        self.last = None

    def inner(self, x):
        return self.linear(x) * self.gain

    def forward(self, x, power=2, *, shift=1):
        self.last = power
        y = self.dropout(self.inner(helper(x))) ** power
        return y * SCALE * self.factor + shift + TABLE["bias"] + len(TABLE["more"])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model()


def observed(program, *args, **kwargs):
    """What a call gives, changes and draws: results, gradients, counters and the state of the generator."""
    model, *rest = args
    model.zero_grad(set_to_none=True)
    torch.manual_seed(1)
    result = program(model, *rest, **kwargs)
    if result.requires_grad:
        result.sum().backward()
    gradients = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    return result, gradients, torch.rand(1), result.requires_grad, result.dtype, result.stride()


def assert_same(one, other):
    assert torch.equal(one[0], other[0]) and torch.equal(one[2], other[2]) and one[3:] == other[3:]
    for name, gradient in one[1].items():
        assert (gradient is None) == (other[1][name] is None)
        assert gradient is None or torch.equal(gradient, other[1][name]), name


def call(model, *args, **kwargs):
    return model(*args, **kwargs)


def captured(path):
    return tracer.capture(call, cache=path)


def test_a_later_process_captures_nothing(model, tmp_path):
    x = torch.randn(3, 4)
    first = observed(captured(tmp_path), model, x)
    assert kinds() == ["capture", "stored"]
    forget()
    program = captured(tmp_path)
    again = observed(program, model, x)
    assert kinds() == ["loaded"]
    assert_same(first, again)
    assert model.last == 2
    assert_same(observed(call, model, x), observed(program, model, x))
    assert "from the cache, saved at" in repr(program.entries[0])
    assert kinds() == ["loaded"]


def test_without_a_folder_nothing_is_written(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracer.capture(call)(model, torch.randn(3, 4))
    assert kinds() == ["capture"] and not list(tmp_path.iterdir())


def test_the_environment_names_a_folder(model, tmp_path, monkeypatch):
    monkeypatch.setenv("BYTEGRAPH_CACHE", str(tmp_path))
    tracer.capture(call)(model, torch.randn(3, 4))
    assert kinds() == ["capture", "stored"] and len(files(tmp_path)) == 1
    assert len(files(tmp_path)) == 1
    tracer.capture(call, cache="")(model, torch.randn(3, 4))
    assert kinds() == ["capture", "stored", "capture"]


def test_an_entry_is_loaded_for_another_model_of_the_same_structure(model, tmp_path):
    observed(captured(tmp_path), model, torch.randn(3, 4))
    forget()
    other = Model()
    program, x = captured(tmp_path), torch.randn(3, 4)
    assert_same(observed(call, other, x), observed(program, other, x))
    assert kinds() == ["loaded"]


def test_graph_guards_and_program_are_those_of_the_capture(model, tmp_path):
    program = captured(tmp_path)
    program(model, torch.randn(3, 4))
    (before,) = program.entries
    texts = (
        before.graph_text,
        before.guards.text,
        [str(node.meta["line"]) for node in before.graph.nodes if node.op[:4] == "call"],
    )
    ops = before.ops
    forget()
    program = captured(tmp_path)
    program(model, torch.randn(3, 4))
    (after,) = program.entries
    lines = [str(node.meta["line"]) for node in after.graph.nodes if node.op[:4] == "call"]
    assert (after.graph_text, after.guards.text, lines) == texts and after.ops == ops
    assert after.graph_module is not None
    after.graph_module.graph.lint()
    assert "graph(" in after.program and str(after)


# What changes between two processes ------------------------------------------------------------------


@contextlib.contextmanager
def patched(holder, name, value):
    """An attribute, or an item of a dict, that is another for a while."""
    get, put = (dict.__getitem__, dict.__setitem__) if isinstance(holder, dict) else (getattr, setattr)
    before = get(holder, name)
    put(holder, name, value)
    try:
        yield
    finally:
        put(holder, name, before)


@contextlib.contextmanager
def hooked(model):
    handle = model.linear.register_forward_hook(lambda module, args, output: output + 1)
    yield
    handle.remove()


def louder(self, x):
    return self.linear(x) * self.gain + 100


def defaults(power=2, shift=1):
    return lambda self, x, power=power, *, shift=shift: x * power + shift


@contextlib.contextmanager
def other_code(function, other):
    before = function.__code__
    function.__code__ = other.__code__
    yield
    function.__code__ = before


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    yield
    torch.set_default_dtype(before)


def module():
    return sys.modules[__name__]


CHANGES = {
    "a global number": lambda m: patched(module(), "SCALE", 7),
    "a global function": lambda m: patched(module(), "helper", other_helper),
    "the code of a function": lambda m: other_code(helper, other_helper),
    "an item of a global dict": lambda m: patched(TABLE, "bias", 9),
    "the length of a list in a dict": lambda m: patched(TABLE, "more", [1]),
    "a class attribute": lambda m: patched(Model, "factor", 11),
    "a method": lambda m: patched(Model, "inner", louder),
    "a default": lambda m: patched(Model.forward, "__defaults__", (3,)),
    "a default of a keyword": lambda m: patched(Model.forward, "__kwdefaults__", {"shift": 4}),
    "an attribute of the module": lambda m: patched(m, "gain", 2.5),
    "the type of an attribute": lambda m: patched(m, "gain", 2),
    "a hook": hooked,
    "a hook of all modules": lambda m: torch.nn.modules.module.register_module_forward_hook(
        lambda module, args, output: output + 1 if type(module) is torch.nn.Linear else None
    ),
    "gradients are off": lambda m: torch.no_grad(),
    "inference mode": lambda m: torch.inference_mode(),
    "autocast": lambda m: torch.autocast("cpu", torch.bfloat16),
    "the default dtype": lambda m: default_dtype(torch.float64),
    "a function of torch's": lambda m: patched(torch.nn.functional, "dropout", lambda x, *rest, **more: x + 3),
    "a method of torch's": lambda m: patched(torch.nn.Linear, "forward", lambda self, x: x - 3),
}


@contextlib.contextmanager
def entered(change):
    """A context, or something that is undone by `remove`."""
    if hasattr(change, "__enter__") and not hasattr(change, "remove"):
        with change:
            yield
    else:
        try:
            yield
        finally:
            change.remove()


@pytest.mark.parametrize("name", CHANGES)
def test_what_has_changed_between_processes_is_never_answered_by_a_stored_entry(name, model, tmp_path):
    x = torch.randn(3, 4)
    observed(captured(tmp_path), model, x)
    forget()
    with entered(CHANGES[name](model)):
        expected = observed(call, model, x)
        assert_same(expected, observed(captured(tmp_path), model, x))
        assert "loaded" not in kinds()
    forget()
    assert_same(observed(call, model, x), observed(captured(tmp_path), model, x))
    assert kinds()[0] == "loaded"  # and what was stored first still serves


ARGUMENTS = {
    "another shape": lambda x: (x[:2].clone(),),
    "another stride": lambda x: (torch.randn(4, 3).t(),),
    "another dtype of the model": None,
    "a tensor that requires gradients": lambda x: (x.clone().requires_grad_(),),
    "a subclass of Tensor": lambda x: (torch.nn.Parameter(x.clone()),),
    "another number": lambda x: (x, 3),
    "another type of number": lambda x: (x, 2.0),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_another_call_is_never_answered_by_a_stored_entry(name, model, tmp_path):
    x = torch.randn(3, 4)
    observed(captured(tmp_path), model, x)
    forget()
    make = ARGUMENTS[name]
    args = (x.double(),) if make is None else make(x)
    if make is None:
        model.double()
    assert_same(observed(call, model, *args), observed(captured(tmp_path), model, *args))
    assert "loaded" not in kinds()


def test_a_training_flag_is_guarded(model, tmp_path):
    x = torch.randn(3, 4)
    observed(captured(tmp_path), model, x)
    forget()
    model.eval()
    assert_same(observed(call, model, x), observed(captured(tmp_path), model, x))
    assert "loaded" not in kinds()


def test_a_closure_is_found_by_its_cells(tmp_path):
    def make(scale):
        def inner(x):
            return x * scale

        def outer(x):
            return inner(x) + scale

        return outer

    x = torch.ones(3)
    assert torch.equal(tracer.capture(make(2), cache=tmp_path)(x), x * 2 + 2)
    forget()
    assert torch.equal(tracer.capture(make(2), cache=tmp_path)(x), x * 2 + 2)
    assert kinds() == ["loaded"]
    forget()
    assert torch.equal(tracer.capture(make(5), cache=tmp_path)(x), x * 5 + 5)
    assert kinds()[0] == "capture"


def test_mutations_and_containers_are_as_in_the_capture(tmp_path):
    def program(x, items, table, out):
        items.append(x + 1)
        table["y"] = {"twice": x * 2, "items": (x, 3)}
        out.add_(x)
        return [x, {"a": x - 1}, (1, None, "text")]

    def run(function):
        items, table, out, x = [1], {"x": 0}, torch.zeros(3), torch.arange(3.0)
        result = function(x, items, table, out)
        return repr((result, items, table, out)), result[0] is x

    expected = run(program)
    assert run(tracer.capture(program, cache=tmp_path)) == expected
    forget()
    assert run(tracer.capture(program, cache=tmp_path)) == expected
    assert kinds() == ["loaded"]


def test_an_error_of_an_operator_is_raised_as_in_the_plain_run(tmp_path):
    def program(x, index):
        try:
            return x[index] + 1
        except IndexError:
            return x.sum()

    x = torch.arange(3.0)
    tracer.capture(program, cache=tmp_path)(x, torch.tensor([1]))
    forget()
    function = tracer.capture(program, cache=tmp_path)
    assert torch.equal(function(x, torch.tensor([1])), torch.tensor([2.0]))
    assert torch.equal(function(x, torch.tensor([9])), x.sum())
    assert kinds() == ["loaded"]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_the_backend_is_part_of_the_key(backend, model, tmp_path):
    x = torch.randn(3, 4)
    program = functools.partial(tracer.capture, call, cache=tmp_path)
    observed(program(backend=backend), model, x)
    forget()
    assert_same(observed(call, model, x), observed(program(backend=backend), model, x))
    assert kinds() == ["loaded"]
    forget()
    observed(program(backend="aot_eager" if backend == "eager" else "eager"), model, x)
    assert kinds() == ["capture", "stored"]


def test_what_is_not_data_is_counted_and_not_written(tmp_path):
    def program(x):
        try:
            raise ValueError(x)
        except ValueError:
            tracer.graph_break()
        return x + 1

    tracer.capture(program, cache=tmp_path)(torch.ones(2))
    tracer.capture(lambda x: x + 1, backend=lambda module, inputs: module.forward, cache=tmp_path)(torch.ones(2))
    reasons = {event.details["why"] for event in LOG.recent("not stored")}
    assert reasons == {
        "a graph break where the stack holds what only CPython makes",
        "a backend that is a callable",
    }
    assert len(files(tmp_path)) == 1  # the continuation of the first


def test_what_the_members_of_an_enumeration_hold_is_compared(tmp_path):
    def run(value):
        class Kind(enum.Enum):
            ONE = (1, 2)
            OTHER = (3, 4)

            def __init__(self, first, second):
                self.weight = first * value

        def program(x):
            return x * Kind.ONE.weight

        assert torch.equal(tracer.capture(program, cache=tmp_path)(torch.ones(2)), torch.ones(2) * value)
        found = kinds()
        forget()
        return found[0]

    assert [run(2), run(3), run(2)] == ["capture", "capture", "loaded"]


class Sized(abc.ABC):
    @abc.abstractmethod
    def size(self): ...


class Box(Sized):
    def size(self):
        return 2


def test_what_tells_which_classes_are_registered_may_be_asked(tmp_path):
    def program(x, box):
        return x * box.size() if isinstance(box, Sized) else x

    x = torch.ones(3)
    expected = tracer.capture(program, cache=tmp_path)(x, Box())
    forget()
    assert torch.equal(tracer.capture(program, cache=tmp_path)(x, Box()), expected)
    assert kinds() == ["loaded"]
    forget()

    class Other:
        def size(self):
            return 7

    Sized.register(Other)
    assert torch.equal(tracer.capture(program, cache=tmp_path)(x, Other()), x * 7)
    assert "loaded" not in kinds()


@pytest.mark.parametrize("registered", [True, False])
def test_which_classes_are_registered_is_of_one_process(registered, tmp_path):
    class Shape(abc.ABC):  # noqa: B024
        pass

    class Square:
        pass

    if registered:
        Shape.register(Square)

    def program(x):
        return x * 2 if isinstance(Square(), Shape) else x * 3

    assert torch.equal(tracer.capture(program, cache=tmp_path)(torch.ones(2)), torch.full((2,), 3.0 - registered))
    assert not files(tmp_path)


@pytest.mark.parametrize("hooked", [True, False])
def test_what_a_class_of_the_program_says_of_builtin_ones_is_of_one_process(hooked, tmp_path):
    class Shape(abc.ABC):  # noqa: B024
        if hooked:

            @classmethod
            def __subclasshook__(cls, other):
                return True

    if not hooked:
        Shape.register(int)

    def program(x):
        return x * 2 if isinstance(3, Shape) else x * 3

    assert torch.equal(tracer.capture(program, cache=tmp_path)(torch.ones(2)), torch.full((2,), 2.0))
    assert not files(tmp_path)


FORM = typing.Union[int, str]  # noqa: UP007
FORMS = {
    "a union": (typing.Union[int, str], typing.Union[int, str, float]),  # noqa: UP007
    "a union of types": (int | str, int | str | float),
    "an alias": (tuple[int, str], tuple[int]),
    "literals": (typing.Literal[1, 2], typing.Literal[1]),
    "a nested form": (typing.Optional[list[int]], typing.Optional[list[str]]),  # noqa: UP045
}


@pytest.mark.parametrize("name", FORMS)
def test_what_a_form_of_typing_holds_is_compared(name, tmp_path, monkeypatch):
    def program(x):
        return x * len(FORM.__args__) * (2 if FORM.__args__[0] in (int, list[int]) else 3)

    for form in FORMS[name]:
        forget()
        monkeypatch.setattr(module(), "FORM", form)
        assert torch.equal(tracer.capture(program, cache=tmp_path)(torch.ones(2)), program(torch.ones(2)))
        assert "loaded" not in kinds()
    forget()
    tracer.capture(program, cache=tmp_path)(torch.ones(2))
    assert kinds() == ["loaded"]


def test_special_methods_of_a_class_are_part_of_what_it_is(tmp_path):
    def run(members):
        cls = type("Made", (), members)

        def program(x):
            return x * 2 if isinstance(cls(), collections.abc.Iterable) else x * 3

        expected = program(torch.ones(2))
        assert torch.equal(tracer.capture(program, cache=tmp_path)(torch.ones(2)), expected)
        forget()

    run({})
    run({"__iter__": lambda self: iter(())})
