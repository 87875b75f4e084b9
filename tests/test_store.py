"""Captures that outlive the process: what is found again, what is not, and that no file does anything but be read.

`tracer.reset()` stands for the end of a process where nothing else of it matters; some tests start real ones.
"""

import abc
import collections.abc
import contextlib
import enum
import functools
import hashlib
import json
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import tracer
from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tracer.commands.application import main
from tracer.events import LOG
from tracer.store import folder
from tracer.store.folder import Folder

ROOT = Path(__file__).parent.parent

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


def kinds():
    return [
        event.kind for event in LOG.recent() if event.kind in ("capture", "loaded", "stored", "file refused", "bug")
    ]


def files(path):
    return Folder(path).files()


def forget():
    tracer.reset()


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
        tracer.graph_break()
        return x + 1

    tracer.capture(program, cache=tmp_path)(torch.ones(2))
    tracer.capture(lambda x: x + 1, backend=lambda module, inputs: module.forward, cache=tmp_path)(torch.ones(2))
    reasons = {event.details["why"] for event in LOG.recent("not stored")}
    assert reasons == {"a graph break", "a backend that is a callable"}
    assert len(files(tmp_path)) == 1  # the continuation of the first


# Files ------------------------------------------------------------------------------------------------


def add(x, scale=2):
    return x * scale + 1


@pytest.fixture
def stored(tmp_path):
    """A folder with one entry, and its file."""
    tracer.capture(add, cache=tmp_path)(torch.ones(3))
    (file,) = files(tmp_path)
    forget()
    return file.path


def answers(path):
    """Call the function of `stored` with its folder; the events of that."""
    result = tracer.capture(add, cache=path.parent.parent)(torch.ones(3))
    assert torch.equal(result, torch.full((3,), 3.0))
    found = kinds()
    forget()
    return found


def test_a_file_is_trusted_only_if_nobody_else_may_write_to_it(stored):
    stored.chmod(0o666)
    assert answers(stored)[:2] == ["file refused", "capture"]


DAMAGES = {
    "empty": lambda text: b"",
    "cut short": lambda text: text[: len(text) // 2],
    "one byte short": lambda text: text[:-1],
    "one bit": lambda text: text[:-20] + bytes([text[-20] ^ 1]) + text[-19:],
    "foreign": lambda text: b"\x89PNG\r\n" + text,
    "pickle": lambda text: b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "other version": lambda text: text.replace(b"capture 1", b"capture 2", 1),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_passed_over_with_one_event(name, stored):
    stored.write_bytes(DAMAGES[name](stored.read_bytes()))
    assert answers(stored) == ["file refused", "capture"]  # and the good file is there, so to speak: it is not replaced


def test_a_link_is_not_followed(stored, tmp_path):
    target = tmp_path / "elsewhere"
    stored.rename(target)
    stored.symlink_to(target)
    assert answers(stored)[0] == "file refused"


def test_a_file_of_other_code_is_not_used(stored):
    text = stored.read_bytes()

    def subtract(x, scale=2):
        return x * scale - 1

    tracer.capture(subtract, cache=stored.parent.parent)(torch.ones(3))
    (other,) = [file.path for file in files(stored.parent.parent) if file.path != stored]
    forget()
    other.write_bytes(text)
    assert torch.equal(tracer.capture(subtract, cache=stored.parent.parent)(torch.ones(3)), torch.ones(3))
    assert kinds()[0] == "file refused"


def contents(path):
    data, _ = folder.read(path)
    return data


def rewrite(path, data):
    """A file with another content, and the hash of that: what somebody writes who means harm."""
    magic, _, header, _ = path.read_bytes().split(b"\n", 3)
    text = json.dumps(data).replace(f'"{NEST}"', '["t",' * 100_000 + "0" + "]" * 100_000)
    content = header + b"\n" + text.encode()
    path.write_bytes(magic + b"\n" + hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


MARK = "store_test_mark"
NEST = "stands for lists in lists"


def hostile_node(data):
    data["graph"]["nodes"][1][0] = "torch.from_file"


def hostile_import(data):
    data["graph"]["nodes"][1][0] = "ops.os.system"


def hostile_method(data):
    data["graph"]["nodes"][1][0] = ".backward"


def hostile_name(data):
    data["graph"]["nodes"][1][1] = f"x = __import__('os').environ.setdefault('{MARK}', '1')"


def hostile_keyword(data):
    data["graph"]["nodes"][1][3] = {f"a=__import__('os').environ.setdefault('{MARK}', '1'), b": 1}


def call_of(name, *arguments):
    words = [["Constant", argument] for argument in arguments]
    return [["Expr", ["Call", ["Name", name, ["Load"]], words, []]]]


def hostile_builtin(data):
    data["program"]["statements"].insert(0, [call_of("exec", f"import os; os.environ['{MARK}'] = '1'"), "", -1])


def hostile_constant(data):
    data["objects"].append([["name", "os", "putenv"], ["builtin", "posix", "putenv", "posix"]])
    data["program"]["constants"]["run"] = ["value", ["o", len(data["objects"]) - 1]]
    data["program"]["statements"].insert(0, [call_of("run", MARK, "1"), "", -1])


def hostile_attribute(data):
    called = ["Attribute", ["Name", "x", ["Load"]], "share_memory_", ["Load"]]
    data["program"]["statements"].insert(0, [[["Expr", ["Call", called, [], []]]], "", -1])


def hostile_comment(data):
    data["program"]["statements"][0][1] = f"\n    __import__('os').environ.setdefault('{MARK}', '1')"


def hostile_line(data):
    data["lines"][0][0] = f"a\n    __import__('os').environ.setdefault('{MARK}', '1')"


def hostile_parameter(data):
    data["program"]["parameters"][0] = f"x=__import__('os').environ.setdefault('{MARK}', '1')"


def hostile_program_name(data):
    data["program"]["name"] = f"f(): pass\n__import__('os').environ.setdefault('{MARK}', '1')\ndef g"


def hostile_call(data):
    data["sources"] += [[-1, "module", "os"], [len(data["sources"]), "dict", None]]
    data["sources"].append([len(data["sources"]) - 1, "item", "getcwd"])
    data["sources"].append([len(data["sources"]) - 1, "call", None])
    data["guards"].insert(0, [len(data["sources"]) - 1, "equal", os.getcwd(), -1])


def hostile_sizes(data):
    data["metas"][0][0] = ["t", *[1 << 200] * 3]


def hostile_depth(data):
    data["guards"][0][2] = NEST


def hostile_meta_in_itself(data):
    data["metas"][0][0] = ["m", 0]


def hostile_object_at_itself(data):
    data["sources"].append([-1, "object", len(data["objects"])])
    data["objects"].append([["at", len(data["sources"]) - 1], ["module", "os"]])
    data["guards"].append([len(data["sources"]) - 1, "same object", len(data["objects"]) - 1, -1])


def hostile_circle(data):
    data["sources"].append([len(data["sources"]), "dict", None])
    data["inputs"] = [len(data["sources"]) - 1]


def hostile_traversal(data):
    data["sources"].append([-1, "module", "../../etc/passwd"])
    data["guards"].append([len(data["sources"]) - 1, "equal", 1, -1])


HOSTILE = [value for name, value in list(globals().items()) if name.startswith("hostile_")]


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__.removeprefix("hostile_"))
def test_a_hostile_file_executes_nothing(change, stored):
    data = contents(stored)
    change(data)
    rewrite(stored, data)
    found = answers(stored)
    assert found[-1] == "capture" and "bug" not in found and "loaded" not in found
    assert MARK not in os.environ and os.getenv(MARK) is None


def mutated(data, chance):
    """A copy of JSON with one place changed."""
    places = []

    def walk(node):
        for key in range(len(node)) if isinstance(node, list) else list(node):
            places.append((node, key))
            if isinstance(node[key], list | dict):
                walk(node[key])

    data = json.loads(json.dumps(data))
    walk(data)
    node, key = chance.choice(places)
    other, place = chance.choice(places)
    values = (
        None,
        -1,
        0,
        1,
        1 << 70,
        1.5,
        "",
        "x",
        "__class__",
        [],
        {},
        True,
        ["o", 0],
        ["n", 0],
        ["@", 0],
        other[place],
    )
    node[key] = json.loads(json.dumps(chance.choice(values)))
    return data


def mutated_bytes(text, chance):
    text = bytearray(text)
    for _ in range(chance.choice((1, 1, 2, 8))):
        place = chance.randrange(len(text))
        if chance.random() < 0.3:
            del text[place : place + chance.randrange(1, 50)]
        else:
            text[place] ^= 1 << chance.randrange(8)
    return bytes(text)


def fuzz(path, count, seed):
    """Files with changed bytes are refused; files with changed content and a hash of that are read without harm."""
    chance = random.Random(seed)
    text, data = path.read_bytes(), contents(path)
    used = 0
    for number in range(count):
        forget()
        if number % 2:
            changed = mutated_bytes(text, chance)
            path.write_bytes(changed)
            if changed != text:
                assert answers(path)[-1] == "capture"
        else:
            path.write_bytes(text)
            rewrite(path, mutated(data, chance))
            with contextlib.suppress(Exception):  # a program that was made to deceive may fail, as Python programs do
                tracer.capture(add, cache=path.parent.parent)(torch.ones(3))
            used += "loaded" in kinds()
            assert "bug" not in kinds()
        for file in files(path.parent.parent):
            if file.path != path:
                file.path.unlink()
    assert MARK not in os.environ
    return used


def test_a_few_mutated_files(stored):
    assert fuzz(stored, 60, seed=0) < 60


def test_thousands_of_mutated_files(stored):
    fuzz(stored, int(os.environ.get("STORE_FUZZ", "3000")), seed=1)


def test_files_used_longest_ago_are_removed_first(tmp_path):
    place = Folder(tmp_path)
    names = [place.write(f"{number:064d}", {"text": "x" * 1000, "number": number}) for number in range(5)]
    for age, path in enumerate(names):
        os.utime(path, (1000 - age, 1000 - age))
    assert place.shrink(limit=3 * names[0].stat().st_size) == 2
    assert [path.exists() for path in names] == [True, True, True, False, False]


@pytest.mark.parametrize("name", ["a" * 300, "file", "loop"])
def test_where_no_folder_can_be_functions_are_captured(name, tmp_path, monkeypatch):
    monkeypatch.setenv("BYTEGRAPH_CACHE_SIZE", "9" * 5000)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert torch.equal(tracer.capture(add, cache=tmp_path / name)(torch.ones(3)), torch.full((3,), 3.0))
    assert kinds() == ["capture"]
    forget()
    tracer.capture(add, cache=tmp_path)(torch.ones(3))
    assert kinds() == ["capture", "stored"]


def test_a_folder_that_cannot_be_written_to_is_only_read(stored, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError("read-only file system")

    monkeypatch.setattr(folder.tempfile, "NamedTemporaryFile", refuse)
    monkeypatch.setattr(folder.os, "utime", refuse)
    assert answers(stored) == ["loaded"]
    program = tracer.capture(lambda x: x + 5, cache=stored.parent.parent)
    assert torch.equal(program(torch.ones(1)), torch.tensor([6.0]))
    assert "stored" not in kinds() and "bug" not in kinds()


# Processes --------------------------------------------------------------------------------------------

PROGRAM = """
import sys, torch, tracer
from tracer.commands.application import main
from tracer.events import LOG
class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)
        self.norm = torch.nn.LayerNorm(4)
    def forward(self, x):
        return x + torch.relu(self.fc(self.norm(x))) * {scale}
torch.manual_seed(0)
model = torch.nn.Sequential(*(Block() for _ in range(3)))
x = torch.arange(8.0).view(2, 4)
program = tracer.capture(model, cache=sys.argv[1])
y = program(x)
y.sum().backward()
print([event.kind for event in LOG.recent() if event.kind in ("capture", "loaded")])
print(y.tolist(), [p.grad.sum().item() for p in model.parameters()])
"""


def start(path, script, scale=2):
    script.write_text(textwrap.dedent(PROGRAM).format(scale=scale))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(script), str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )


def output_of(process):
    text, _ = process.communicate()
    assert process.returncode == 0
    events, numbers = text.splitlines()
    return events, numbers


def test_a_second_process_captures_nothing_and_changed_source_is_captured(tmp_path):
    script = tmp_path / "program.py"
    events, numbers = output_of(start(tmp_path / "cache", script))
    assert events == "['capture']"
    assert output_of(start(tmp_path / "cache", script)) == ("['loaded']", numbers)
    events, others = output_of(start(tmp_path / "cache", script, scale=3))
    assert events == "['capture']" and others != numbers


def test_processes_that_race_for_one_folder(tmp_path):
    script = tmp_path / "program.py"
    racing = [start(tmp_path / "cache", script) for _ in range(2)]
    first, second = map(output_of, racing)
    assert first[1] == second[1]
    assert output_of(start(tmp_path / "cache", script)) == ("['loaded']", first[1])
    assert len(files(tmp_path / "cache")) == 1


SETS = """
import sys, torch, tracer
from tracer.events import LOG
WORDS = ("alpha", "beta", "gamma", "delta", "eps", "zeta", "eta")
SET, FROZEN = set(WORDS), frozenset(WORDS)
class Plain:
    pass
def weigh(words):
    return sum(place * len(word) for place, word in enumerate(words))
PROGRAMS = [
    lambda x: x * weigh({"alpha", "beta", "gamma", "delta", "eps"}),
    lambda x: x * weigh(SET),
    lambda x: x * weigh(FROZEN),
    lambda x: x * weigh(list(SET | {"more"})),
    lambda x: x * weigh(set(["alpha", "beta", "gamma", "delta"])),
    lambda x: x * len(set(WORDS).pop()),
    lambda x: x * len(str(FROZEN).split()[0]),
    lambda x: x * len(",".join(FROZEN).split(",")[0]),
    lambda x: x * (hash("alpha") % 97),
    lambda x: x * ("alpha".__hash__() % 97),
    lambda x: x * (hash(Plain) % 97),
    lambda x: x * (hash(("alpha", 1)) % 97),
    lambda x: x * (id(SET) % 97),
    lambda x: x * sum(map(ord, repr(weigh))),
    lambda x: x * (2 if "alpha" in FROZEN and "beta" in SET and "q" not in {"alpha", "beta"} else 3),
    lambda x: x * (hash(3) + len(SET) + weigh({"one"})),
]
x = torch.arange(3.0)
for number, program in enumerate(PROGRAMS):
    tracer.reset()
    got = tracer.capture(program, cache=sys.argv[1])(x)
    assert torch.equal(got, program(x)), number
    print(*[event.kind for event in LOG.recent() if event.kind in ("loaded", "stored", "bug")] or ["none"])
"""


def test_orders_of_sets_hashes_and_addresses_are_of_one_process(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(SETS)
    outputs = []
    for seed in ("1", "5"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        words = [sys.executable, str(script), str(tmp_path / "cache")]
        run = subprocess.run(words, capture_output=True, text=True, env=environment)
        assert run.returncode == 0, run.stderr
        outputs.append(run.stdout.split())
    assert outputs == [["none"] * 14 + ["stored"] * 2, ["none"] * 14 + ["loaded"] * 2]


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


# The command line -------------------------------------------------------------------------------------


def command(capsys, *words):
    status = main(["cache", *map(str, words)])
    return status, capsys.readouterr().out


def test_the_command_lists_shows_verifies_and_clears(stored, capsys):
    path = stored.parent.parent
    status, text = command(capsys, "list", path)
    assert status == 0 and "add" in text and "test_store.py" in text
    status, text = command(capsys, "show", path, stored.name[:8])
    assert status == 0 and "torch Tensor" in text and "operator.mul" in text
    assert command(capsys, "verify", path)[0] == 0
    stored.write_bytes(stored.read_bytes()[:-1])
    status, text = command(capsys, "verify", path)
    assert status == 1 and "its content is not what was written" in text
    status, text = command(capsys, "clear", path)
    assert status == 0 and not files(path)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    assert command(capsys, "show", tmp_path, "abc")[0] == 2
    assert command(capsys, "list", tmp_path / "nowhere")[0] == 2


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
