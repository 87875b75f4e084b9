"""docs/torch_compile.md: every argument of torch.compile and every name of torch.compiler, with what it does here."""

import functools
import inspect
import re
import types
import warnings
from functools import partial

import pytest
import torch

from passes.rules.book import release
from tests.imports import ROOT
from tracer import capture, counters, reset
from tracer.options import ONLY_OF_TORCH_COMPILE

PAGE = ROOT / "docs" / "torch_compile.md"


of_the_page = pytest.mark.skipif(release(torch.__version__) != "2.13", reason="the page is that of torch 2.13")


def rows(heading):
    """The rows of the table below a heading: its columns, the first as a bare name."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [re.split(r"\s*\|\s*", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]
    return {name.strip("`"): rest for name, *rest in cells}


@of_the_page
def test_every_argument_of_torch_compile_has_a_row():
    table = rows("Arguments of torch.compile")
    assert list(table) == list(inspect.signature(torch.compile).parameters)
    ours = set(inspect.signature(capture).parameters)
    for name, (here,) in table.items():
        assert (name in ours and here.startswith(f"`{name}`")) or name not in ours, name


@of_the_page
def test_arguments_that_only_torch_compile_has_say_what_to_do_instead():
    table = inspect.signature(torch.compile).parameters
    ours = set(inspect.signature(capture).parameters)
    assert {name: table[name].default for name in table if name not in ours} == {
        name: nothing for name, (nothing, _) in ONLY_OF_TORCH_COMPILE.items()
    }


@pytest.mark.parametrize("name", ONLY_OF_TORCH_COMPILE)
def test_an_argument_that_only_torch_compile_has_is_refused_unless_it_asks_for_nothing(name):
    nothing, instead = ONLY_OF_TORCH_COMPILE[name]
    assert capture(doubled, **{name: nothing})(torch.ones(1)) == 2
    for call in (lambda: capture(doubled, **{name: "yes"}), lambda: capture(**{name: "yes"})):
        with pytest.raises(TypeError, match=f"capture takes no '{name}', an argument of torch.compile: ") as error:
            call()
        assert instead in str(error.value)


def test_any_other_argument_is_unexpected():
    with pytest.raises(TypeError, match="unexpected keyword argument 'backed'"):
        capture(doubled, backed="eager")


@of_the_page
def test_every_name_of_torch_compiler_has_a_row():
    assert list(rows("Names of torch.compiler")) == sorted(torch.compiler.__all__)


def doubled(x):
    return x * 2


def three():
    return 3


@torch.compiler.wrap_numpy
def of_arrays(array):
    return array + 1


def in_stance(x):
    with torch.compiler.set_stance("default"):
        return x + 1


DISABLED = torch.compiler.disable(lambda x: x * 2)
CONSTANT = torch.compiler.assume_constant_result(lambda: 3)
ALLOWED = torch.compiler.allow_in_graph(lambda x: x * 2)
REGION = torch.compiler.nested_compile_region(lambda x: x * 2)
COMPILED = torch.compile(lambda x: x * 2, backend="eager")

CALLS = {
    "allow_in_graph": lambda x: ALLOWED(x) + 1,
    "assume_constant_result": lambda x: x + CONSTANT(),
    "compile": lambda x: COMPILED(x) + 1,
    "cudagraph_mark_step_begin": lambda x: (x + 1, torch.compiler.cudagraph_mark_step_begin())[0],
    "disable": lambda x: DISABLED(x) + 1,
    "get_default_backend": lambda x: x + len(str(torch.compiler.get_default_backend())),
    "is_compiling": lambda x: x + bool(torch.compiler.is_compiling()) * 0,
    "is_dynamo_compiling": lambda x: x + bool(torch.compiler.is_dynamo_compiling()) * 0,
    "is_exporting": lambda x: x + bool(torch.compiler.is_exporting()),
    "list_backends": lambda x: x + len(torch.compiler.list_backends()),
    "nested_compile_region": lambda x: REGION(x) + 1,
    "reset": lambda x: (x + 1, torch.compiler.reset())[0],
    "set_stance": in_stance,
    "wrap_numpy": lambda x: of_arrays(x) * 2,
}


def test_programs_below_try_every_name_of_which_the_page_says_what_a_call_does():
    assert {name for name, (inside, _) in rows("Names of torch.compiler").items() if inside} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_in_a_captured_program_does_what_the_page_says(name):
    program, inside = CALLS[name], rows("Names of torch.compiler")[name][0]
    x = torch.tensor([1.0, 2.0])
    captured = capture(program)
    for _ in range(2):
        assert torch.equal(captured(x), program(x))
    broke = any(entry.broke for entry in captured.entries)
    assert inside == ("break" if broke else "one graph")
    assert broke or [entry.ops > 0 for entry in captured.entries] == [True]


def test_a_mode_without_a_compiler_is_told_to_name_one():
    with pytest.raises(ValueError, match="'mode'.*backend=\"inductor\""):
        capture(doubled, mode="max-autotune")


def test_stance_of_torch_counts():
    captured = capture(doubled)
    with torch.compiler.set_stance("force_eager"):
        assert captured(torch.ones(1)) == 2 and not captured.entries
    assert captured(torch.ones(1)) == 2 and len(captured.entries) == 1


def test_default_backend_of_torch_is_not_that_of_captures():
    seen = []
    before = torch.compiler.get_default_backend()
    torch.compiler.set_default_backend(lambda module, inputs: seen.append(module) or module.forward)
    try:
        assert capture(lambda x: x - 3)(torch.ones(1)) == -2 and not seen
    finally:
        torch.compiler.set_default_backend(before)


class Increment(torch.nn.Module):
    def forward(self, x):
        return x + 1


class Compiled:
    """Callables of two operators, as torch.compile and torch.compiler.disable make them; `graphs` was compiled."""

    def __init__(self):
        self.graphs = []
        self.compiled = partial(torch.compile, backend=lambda module, inputs: self.graphs.append(module) or module)

    def function(self):
        return self.compiled(self.body)

    def method(self):
        return types.MethodType(self.compiled(lambda _, x: self.body(x)), self)

    def object(self):
        return type("Object", (), {"__call__": self.compiled(lambda _, x: self.body(x))})()

    def module(self):
        return self.compiled(torch.nn.Sequential(Increment(), torch.nn.ReLU()))

    def disabled(self):
        return torch.compiler.disable(self.body)

    @staticmethod
    def body(x):
        return (x + 1).relu()


KINDS = [("function", 1), ("method", 1), ("object", 1), ("module", 1), ("disabled", 0)]


@pytest.mark.parametrize("kind, graphs", KINDS)
def test_what_torch_has_compiled_is_left_to_torch_when_it_is_captured(kind, graphs):
    """Else the wrapper of torch.compile is captured, and TorchDynamo compiles what goes on behind its breaks."""
    torch._dynamo.reset()
    reset()
    made = Compiled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Guards may run slower on Python 3.13.0")
        warnings.filterwarnings("ignore", "torch.compile has made what capture was given")
        captured = capture(getattr(made, kind)())
        for _ in range(2):
            assert torch.equal(captured(torch.ones(3)), torch.full((3,), 2.0))
    assert len(made.graphs) == graphs
    assert sum("call" in node.op for module in made.graphs for node in module.graph.nodes) == 2 * graphs
    assert counters().graphs == 0 and sum(counters().breaks.values()) == (kind != "module")


@pytest.mark.parametrize("form", [capture, capture()], ids=["call", "decorator"])
@pytest.mark.parametrize("kind, graphs", KINDS)
def test_what_captures_nothing_because_torch_has_compiled_it_is_told(kind, graphs, form):
    target = getattr(Compiled(), kind)()
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        form(target)
    told = [each for each in issued if "nothing is captured. Give capture the original" in str(each.message)]
    assert [each.filename for each in told] == [__file__] * graphs


def test_a_function_that_wraps_what_torch_has_compiled_is_captured_like_any_other():
    compiled = torch.compile(lambda x: x + 1, backend="eager")

    @functools.wraps(compiled)  # which copies the attributes of torch's
    def step(x):
        return x * 2

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        captured = capture(step)
    reset()
    assert torch.equal(captured(torch.ones(2)), torch.full((2,), 2.0))
    assert counters().graphs == 1 and not counters().breaks
