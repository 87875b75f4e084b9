"""Backends by name: registration, entry points, torch's own, options, and what is said of wrong names."""

import importlib.metadata

import pytest
import torch

import tracer
from backends.first_answer import FirstAnswer
from backends.handover import BadOptions
from backends.registry import UnknownBackend, describe, list_backends, look_up, register_backend, usual_backends
from tracer import capture
from tracer.commands.application import main

X = torch.arange(4.0)


def double(x):
    return x * 2


@pytest.fixture(autouse=True)
def own_registrations(monkeypatch):
    monkeypatch.setattr("backends.registry._REGISTERED", {})
    yield
    tracer.reset()


def recording(seen):
    def mine(module, example_inputs, **options):
        seen.append((module, example_inputs, options))
        return module.forward

    return mine


def test_a_registered_backend_is_called_by_its_name():
    seen = []
    mine = register_backend(recording(seen))
    assert torch.equal(capture(double, backend="mine")(X), X * 2)
    ((module, example_inputs, options),) = seen
    assert isinstance(module, torch.fx.GraphModule) and example_inputs[0] is X and options == {}
    assert "mine" in list_backends() and look_up("mine").compile is mine


@pytest.mark.parametrize("register", [register_backend(name="yours"), register_backend("yours")])
def test_a_decorator_with_a_name(register):
    @register
    def backend(module, example_inputs):
        return module.forward

    assert callable(backend) and "yours" in list_backends() and "backend" not in list_backends()


def test_names_are_given_once():
    first = register_backend(recording([]))
    assert register_backend(first) is first
    with pytest.raises(ValueError, match="called 'mine' already"):
        register_backend(recording([]))
    with pytest.raises(ValueError, match="called 'inductor' already"):
        register_backend(recording([]), name="inductor")
    with pytest.raises(TypeError, match="callable, not 3"):
        register_backend(3)


class Distribution(importlib.metadata.Distribution):
    """An installed package that offers a backend."""

    metadata = {"Name": "elsewhere"}  # type: ignore[assignment]

    def read_text(self, filename):
        text = "[torch_dynamo_backends]\nelsewhere = tests.test_backends_registry:installed\nmine = nowhere:at_all\n"
        return text if filename == "entry_points.txt" else None

    def locate_file(self, path):
        return path


def installed(module, example_inputs, factor=1):
    return lambda *inputs: tuple(output * factor for output in module.forward(*inputs))


def test_installed_packages_offer_backends(monkeypatch):
    """They are found by their entry points, imported when asked for, and come after what is registered here."""
    monkeypatch.setattr(importlib.metadata, "distributions", lambda **_: [Distribution()])
    assert {"elsewhere", "mine"} <= set(list_backends())
    assert torch.equal(capture(double, backend="elsewhere", options={"factor": 3})(X), X * 6)
    mine = register_backend(recording([]))
    assert look_up("mine").compile is mine


def test_torchs_backends_are_found():
    assert {"eager", "inductor", "aot_eager", "tiered", "aot_eager_decomp_partition"} <= set(list_backends())
    assert torch.equal(capture(double, backend="aot_eager_decomp_partition")(X), X * 2)


@pytest.mark.parametrize(
    "name, close", [("induktor", "'inductor'"), ("teired", "'tiered'"), ("aot-eager", "'aot_eager'")]
)
def test_unknown_names_are_told_at_capture_with_the_closest(name, close):
    with pytest.raises(
        UnknownBackend, match=rf"no backend is called '{name}'; did you mean {close}\? known are eager, "
    ):
        capture(double, backend=name)


# Options ------------------------------------------------------------------------------------------------


def test_options_reach_a_callable_as_keywords():
    seen = []
    capture(double, backend=recording(seen), options={"level": 3, "passes": ["a", {"b": 1}]})(X)
    assert seen[0][2] == {"level": 3, "passes": ["a", {"b": 1}]}


def test_options_reach_a_callable_as_torch_compile_gives_them():
    seen = []

    def theirs(module, example_inputs, *, options=None, mode=None):
        seen.append((options, mode))
        return module.forward

    capture(double, backend=theirs, options={"level": 3}, mode="fast")(X)
    torch.compile(double, backend=theirs, options={"level": 3})(X)
    assert seen == [({"level": 3}, "fast"), ({"level": 3}, None)]


def test_engines_are_shared_by_equal_options_only():
    seen = []
    backend = recording(seen)
    for level in (1, 1, True, 2):
        capture(double, backend=backend, options={"level": level})(X)
    assert [options["level"] for _, _, options in seen] == [1, True, 2]


def strict_backend(module, example_inputs, level=0):
    return module.forward


@pytest.mark.parametrize(
    "backend, options, words",
    [
        (strict_backend, {"levle": 1}, "'strict_backend' has no option 'levle'; its options: level"),
        ("eager", {"level": 1}, "'eager' has no options; given are 'level'"),
        ("aot_eager", {"level": 1}, "'aot_eager' has no options"),
        ("inductor", {"max_autotun": True}, "no option 'max_autotun'; did you mean 'max_autotune'"),
        ("inductor", {"mode": "fastest"}, "mode must be one of .*max-autotune.*, not 'fastest'"),
        ("inductor", {"max_autotune": "yes"}, "'max_autotune' is a bool, not 'yes'"),
        ("tiered", {"compiler": "tiered"}, "cannot be 'tiered' itself"),
        ("tiered", {"compiler": "inductr"}, "did you mean 'inductor'"),
        ("tiered", {"max_autotun": True}, "did you mean 'max_autotune'"),
    ],
)
def test_wrong_options_are_told_at_capture(backend, options, words):
    with pytest.raises(ValueError, match=words):
        capture(double, backend=backend, options=options)
    with pytest.raises(TypeError, match="options must be a mapping"):
        capture(double, backend=backend, options=[1])


def test_modes_and_settings_of_inductor():
    backend = look_up("inductor", {"mode": "max-autotune-no-cudagraphs", "epilogue-fusion": False})
    assert backend.options["max_autotune"] is True and backend.options["epilogue_fusion"] is False
    assert issubclass(BadOptions, ValueError)


def test_the_graph_that_people_see_is_not_the_backends_to_change():
    def vandal(module, example_inputs):
        program = torch.fx.Interpreter(torch.fx.GraphModule({}, module.graph)).run
        for node in reversed(module.graph.nodes):
            if node.op == "call_function":
                node.meta["mine"] = True
                node.name = "changed"
        return program

    captured = capture(double, backend=vandal)
    assert torch.equal(captured(X), X * 2)
    assert "changed" not in captured.dump(what="graph")


# Command ------------------------------------------------------------------------------------------------


def plain(x):
    return x + 1, x * 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda outputs: outputs[0], "returned a Tensor of shape (2,), and not a tuple with one item for each output"),
        (lambda outputs: outputs[:1], "returned 1 item, and the graph has 2 outputs"),
        (lambda outputs: (*outputs, None), "returned 3 items, and the graph has 2 outputs"),
        (lambda outputs: None, "returned None, and not a tuple"),
        (iter, "returned a tuple_iterator, and not a tuple"),
    ],
)
@pytest.mark.parametrize("dynamic", [False, True])
def test_an_answer_that_is_not_one_tuple_of_the_outputs_is_refused(answer, words, dynamic):
    def careless(module, inputs):
        return lambda *inputs: answer(module(*inputs))

    captured = capture(plain, backend=careless, dynamic=dynamic)  # with sizes that vary, errors of graphs are repeated
    for _ in range(2):  # a second call is no better than the first
        with pytest.raises(TypeError, match="what the backend 'careless' has compiled") as raised:
            captured(torch.ones(2))
        assert words in str(raised.value)


@pytest.mark.parametrize("answer", [tuple, list])
def test_a_right_answer_is_looked_at_once(answer):
    def careful(module, inputs):
        return lambda *inputs: answer(module(*inputs))

    captured = capture(plain, backend=careful)
    for _ in range(2):
        assert all(map(torch.equal, captured(torch.ones(2)), plain(torch.ones(2))))
    [entry] = captured.entries
    assert not isinstance(entry.function.__globals__["graph"], FirstAnswer)


def test_command_lists_backends(capsys):
    register_backend(recording([]))
    assert main(["backends", "--json"]) == 0
    printed = capsys.readouterr().out
    assert '"name": "tiered"' in printed and '"name": "mine"' in printed and '"from": "torch"' in printed


def test_first_line_of_what_a_backend_does_is_a_sentence():
    """It is all that the list of backends shows."""
    for name in usual_backends():
        origin, text = describe(name)
        assert origin == "torch" or (text or "").partition("\n")[0].endswith("."), name


def test_command_tells_of_one_backend(capsys):
    assert main(["backends", "tiered"]) == 0
    assert "compiler" in capsys.readouterr().out
    assert main(["backends", "teired"]) == 2
    assert "did you mean 'tiered'" in capsys.readouterr().err
