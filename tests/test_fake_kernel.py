"""Fake kernels of custom operators that have a kernel for the CPU only: inferred, checked by torch, compiled."""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from passes.infer.fake_kernels.emit import fake_kernels
from passes.record import record
from passes.rules.language import PRIMITIVES, RuleError
from passes.rules.rule import Case, Domain, Output, Rule, always
from tests.recording import recorded
from tracer import capture, explain, fake_kernel
from tracer.commands.application import application

TRIALS = 40
NAMESPACE = "test_fake_kernel"


@dataclass(frozen=True)
class Custom:
    """A custom operator: its schema without the name, its kernel, calls to record, and one never recorded."""

    schema: str
    kernel: Callable[..., Any]
    calls: Callable[[], Iterator[tuple[Any, ...]]]
    new: Callable[[], tuple[Any, ...]]


def matrices(*sizes: tuple[int, ...]) -> Iterator[torch.Tensor]:
    for size in sizes:
        x = torch.rand(size)
        yield x
        yield x.transpose(-1, -2).contiguous().transpose(-1, -2)


def scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
    return x * factor


def row_norms(x: torch.Tensor, keepdim: bool = False) -> torch.Tensor:
    return x.norm(dim=-1, keepdim=keepdim)


def padded(x: torch.Tensor, before: int, after: int = 1) -> torch.Tensor:
    return torch.cat([x.new_zeros(before), x, x.new_zeros(after)])


def by_columns(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(x.shape, (1, max(1, x.shape[0])), dtype=x.dtype).copy_(x)


def stacked(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(tensors)


def extremes(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x.amax(0), x.argmax(0)


def biased(x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    return x.contiguous() if bias is None else (x.contiguous() + bias)


def attended(x: torch.Tensor, weights: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    return x * 2, x.sum(0) if weights else None


SIZES = ((2, 3), (4, 5), (7, 2), (3, 3), (1, 4))
OPERATORS = {
    "scaled": Custom(
        "(Tensor x, float factor) -> Tensor",
        scaled,
        lambda: ((x, 0.5) for x in matrices(*SIZES, (2, 3, 4))),
        lambda: (torch.rand(5, 6), 2.0),
    ),
    "row_norms": Custom(
        "(Tensor x, bool keepdim=False) -> Tensor",
        row_norms,
        lambda: ((x, keep) for x in matrices(*SIZES, (2, 3, 4)) for keep in (True, False)),
        lambda: (torch.rand(5, 6), True),
    ),
    "padded": Custom(
        "(Tensor x, int before, int after=1) -> Tensor",
        padded,
        lambda: (
            (torch.rand(size), before, after) for size in (1, 4, 7) for before in (0, 2, 3) for after in (0, 1, 5)
        ),
        lambda: (torch.rand(9), 4, 2),
    ),
    "by_columns": Custom(
        "(Tensor x) -> Tensor", by_columns, lambda: ((x,) for x in matrices(*SIZES)), lambda: (torch.rand(5, 6),)
    ),
    "stacked": Custom(
        "(Tensor[] tensors) -> Tensor",
        stacked,
        lambda: (([x] * count,) for x in matrices(*SIZES) for count in (1, 2, 3)),
        lambda: ([torch.rand(5, 6)] * 4,),
    ),
    "extremes": Custom(
        "(Tensor x) -> (Tensor, Tensor)",
        extremes,
        lambda: ((x,) for x in matrices(*SIZES, (2, 3, 4))),
        lambda: (torch.rand(5, 6),),
    ),
    "biased": Custom(
        "(Tensor x, Tensor? bias=None) -> Tensor",
        biased,
        lambda: ((x, bias) for x in matrices(*SIZES) for bias in (None, torch.rand(x.shape[1]))),
        lambda: (torch.rand(5, 6), torch.rand(6)),
    ),
    "attended": Custom(
        "(Tensor x, bool weights) -> (Tensor, Tensor?)",
        attended,
        lambda: ((x, weights) for x in matrices(*SIZES) for weights in (True, False)),
        lambda: (torch.rand(5, 6), False),
    ),
}


def operator(name: str) -> Any:
    return getattr(getattr(torch.ops, NAMESPACE), name).default


@pytest.fixture(scope="module")
def library() -> Iterator[torch.library.Library]:
    library = torch.library.Library(NAMESPACE, "DEF")
    for name, custom in OPERATORS.items():
        library.define(name + custom.schema)
        library.impl(name, custom.kernel, "CPU")
    library.define("positive(Tensor x) -> Tensor")
    library.impl("positive", lambda x: x[x > 0], "CPU")
    yield library
    library._destroy()


@pytest.mark.parametrize("name", OPERATORS)
def test_torch_accepts_the_fake_kernel_and_compiles_the_operator(
    name: str, library: torch.library.Library, tmp_path: Path
):
    custom, op = OPERATORS[name], operator(name)
    assert "no-fake-kernel" in str(explain(capture(lambda *given: op(*given)), *custom.new()))
    with record(tmp_path / "corpus"):
        for arguments in custom.calls():
            op(*arguments)
    source = fake_kernel(f"{NAMESPACE}::{name}", tmp_path / "corpus", trials=TRIALS)
    assert {node.names[0].name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import)} <= {
        *sys.stdlib_module_names,
        "torch",
    }
    arguments = custom.new()
    torch.library.opcheck(op, arguments)
    expected = op(*arguments)
    torch.testing.assert_close(capture(lambda *given: op(*given), fullgraph=True)(*arguments), expected)
    for backend, dynamic in (("eager", False), ("aot_eager", True)):
        torch._dynamo.reset()
        compiled = torch.compile(lambda *given: op(*given), backend=backend, dynamic=dynamic, fullgraph=True)
        torch.testing.assert_close(compiled(*arguments), expected)


def test_a_call_outside_of_what_was_verified_says_so(library: torch.library.Library, tmp_path: Path):
    library.define("halved(Tensor x) -> Tensor")
    library.impl("halved", lambda x: x / 2 if x.dtype is torch.float32 else x.double(), "CPU")
    op = operator("halved")
    recorded(tmp_path, lambda: [op(torch.rand(size)) for size in (1, 3, 5)])
    fake_kernel(f"{NAMESPACE}::halved", tmp_path, trials=TRIALS)
    many = torch.empty((1,) * 20, device="meta")
    with pytest.raises(RuntimeError, match=r"halved.*x=float32\[1, 1.*dimensions"):
        op(many)


def test_calls_recorded_as_functions_will_do(library: torch.library.Library, tmp_path: Path):
    op = operator("padded")
    with record(tmp_path, levels=["function"]):
        for size in range(2, 9):
            op(torch.rand(size), size % 3, size // 2)
    fake_kernel(f"{NAMESPACE}::padded", tmp_path, trials=TRIALS)
    assert op(torch.empty(7, device="meta"), 4, 2).shape == (13,)


def test_what_depends_on_data_gets_no_fake_kernel(library: torch.library.Library, tmp_path: Path):
    op = operator("positive")
    recorded(tmp_path, lambda: [op(torch.randn(size)) for size in (3, 5, 8, 13, 4)])
    with pytest.raises(RuleError, match="explains 0 of"):
        fake_kernel(f"{NAMESPACE}::positive", tmp_path, trials=TRIALS)
    with pytest.raises(RuleError, match="has no call of"):
        fake_kernel(f"{NAMESPACE}::scaled", tmp_path)


def test_infer_writes_a_file_that_torch_can_use_without_us(tmp_path: Path):
    module = tmp_path / "shipped_operators.py"
    module.write_text(
        "import torch\n"
        "library = torch.library.Library('shipped', 'DEF')\n"
        "library.define('doubled(Tensor x) -> Tensor')\n"
        "library.impl('doubled', lambda x: x.relu(), 'CPU')\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        __import__("shipped_operators")
        op = torch.ops.shipped.doubled.default
        recorded(tmp_path / "corpus", lambda: [op(torch.rand(size)) for size in ((2, 3), (4,), (1, 5, 2))])
        words = ["infer", str(tmp_path / "corpus"), "-o", str(tmp_path / "book"), "--trials", "60", "--jobs", "1"]
        words += ["--ops", "shipped::*", "--import", "shipped_operators", "--emit-fake", str(tmp_path / "fakes.py")]
        ended = CliRunner().invoke(application, words)
        assert ended.exit_code == 0, ended.output
        text = (tmp_path / "fakes.py").read_text()
        assert '@torch.library.register_fake("shipped::doubled")' in text
        assert "passes" not in text and "tracer import" not in text
        exec(compile(text, "fakes", "exec"), {"__name__": __name__})
        torch.library.opcheck(op, (torch.rand(7, 3),))
    finally:
        sys.path.remove(str(tmp_path))


def test_all_primitives_can_be_written_into_one_file(library: torch.library.Library):
    """No two of them, and nothing that they use, have one name for different things."""
    everything = f"({', '.join(f'{name}(x)' for name in PRIMITIVES)})"
    output = Output(always("new"), always(everything), always("contiguous(shape)"), always("0"), always("x.dtype"))
    domain = Domain({"x": (1,), "factor": ()}, {"x": ("f32",)}, {"x": ("tensor",), "factor": ("float",)})
    rule = Rule(f"{NAMESPACE}::scaled", "aten", ("x", "factor"), always("tensor_0"), (output,), domain=domain)
    tree = ast.parse(fake_kernels([rule]))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert sorted(defined) == sorted(set(defined))
    assert set(PRIMITIVES) <= set(defined)


def test_a_name_means_what_it_means_in_the_rule(library: torch.library.Library):
    """Parameters may be called like primitives and like dtypes of torch, and texts may hold their names."""
    library.define("shadowing(Tensor x, int rank, str float) -> Tensor")
    shape = (Case("float == 'rank(x)'", "(rank, rank(x.shape))"), Case("", "x.shape"))
    output = Output(always("new"), shape, always("contiguous(shape)"), always("0"), always("double"))
    domain = Domain({"x": (1,)}, {"x": ("f32",)}, {"x": ("tensor",), "rank": ("int",), "float": ("str",)})
    rule = Rule(f"{NAMESPACE}::shadowing", "aten", ("x", "rank", "float"), always("tensor_0"), (output,), domain=domain)
    source = fake_kernels([rule])
    for text in ("float == 'rank(x)'", "(rank, _rank(x.shape))", "contiguous(shape)", "dtype = torch.double"):
        assert text in source


def test_words_of_a_corpus_stay_texts_in_the_file(library: torch.library.Library):
    library.define("named(Tensor x, str mode) -> Tensor")
    hostile = '"),), "y": Domain(kinds=(print("owned") or "'
    output = Output(always("new"), always("x.shape"), always("contiguous(shape)"), always("0"), always("x.dtype"))
    domain = Domain({"x": (1,)}, {"x": ("f32",)}, {"x": ("tensor",), "mode": (hostile,)}, {"mode": (hostile, "a b")})
    rule = Rule(f"{NAMESPACE}::named", "aten", ("x", "mode"), always("tensor_0"), (output,), domain=domain)
    tree = ast.parse(fake_kernels([rule]))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert texts.count(hostile) == 2 and "a b" in texts
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "print"]
