"""Files that people share are data: a changed one gives a clear error or a right answer, and runs nothing.

Rule books, case folders and corpora are changed at random: parts left out, exchanged, repeated, replaced by hostile
values, bytes flipped. A file that is still read is also used, as its reader would use it.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from backends.cases import CaseError, load_case, replay_case, save_case
from passes.meta import meta_of
from passes.node_meta import stack_trace_of
from passes.operators.outcome import OPERATOR_ERRORS, DataDependent, OpError, Unsupported
from passes.operators.resolve import UnknownOperator, resolve
from passes.record.corpus import Corpus
from passes.record.recorder import record
from passes.record.schema import CorpusError
from passes.rules.answer import Answerer
from passes.rules.book import read_rules, shipped_folder
from passes.rules.generate import PredictedError, compiled
from passes.rules.rule import RuleError
from tracer import capture
from tracer.commands.application import application

FILES = int(os.environ.get("FILES_FUZZ", "1200"))
"""Changed files of each format, in one run of the tests; a tenth as many of corpora, which take longer."""
STORED = shipped_folder("2.13.0")  # files that every torch reads, whichever they are of
BOOKS = ("neg.json", "cat.json", "sum.dim_IntList.json", "view.json", "torch.batch_norm.json")


def hostile_values(mark: Path) -> list[Any]:
    code = f"__import__('pathlib').Path({str(mark)!r}).write_text('x')"
    return [
        *(code, f"x={code}", f"x, {code}", f"self[{code}]", f"same self[{code}]", f"[each] * {code}", f"None\n{code}"),
        *(
            f"lambda: {code}",
            f"') or {code} or ('",
            f'"""\n{code}\n"""',
            f"{{{code}}}",
            "__class__",
            "forward",
            "__dict__",
        ),
        *(
            "../../etc/passwd",
            "/etc/passwd",
            "torch.os.system",
            "builtins.exec",
            "torch.ops.aten.from_file",
            "os.system",
        ),
        *("", "self", "class", "x.y", "\u212b", "\x00", "a" * 5000, [], {}, [[]], None, True, -1, 0, 1.5),
        *(
            2**63,
            -(2**63),
            10**30,
            float("nan"),
            float("inf"),
            [10**9] * 3,
            {"tensor": "x"},
            {"node": "x"},
            {"dict": [[1, 2]]},
        ),
        *({"given": 10**9}, {"size": [-1]}, {"device": "cuda:99"}, {"dtype": "os"}, {"slice": [1]}, {"float": "x"}),
    ]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a structure of JSON has its parts."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from places(part, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def changed(value: Any, rng: random.Random, hostile: list[Any]) -> Any:
    """A copy of a structure with one to three of its parts changed."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        everywhere = [path for path in places(value) if path]
        if not everywhere:
            return value
        path = rng.choice(everywhere)
        owner, key = at(value, path[:-1]), path[-1]
        way = rng.randrange(6)
        if way == 0:
            del owner[key]
        elif way == 1:
            owner[key] = copy.deepcopy(at(value, rng.choice(everywhere)))
        elif way == 2 and isinstance(owner, list):
            owner.insert(key, copy.deepcopy(owner[key]))
        elif way == 3 and isinstance(owner, dict):
            owner[str(rng.choice(hostile))] = owner.pop(key)
        elif way == 4 and isinstance(owner[key], str):
            text = owner[key]
            place = rng.randint(0, len(text))
            owner[key] = text[:place] + str(rng.choice(hostile)) + text[place:]
        else:
            owner[key] = copy.deepcopy(rng.choice(hostile))
    return value


def flipped(data: bytes, rng: random.Random) -> bytes:
    """A copy with a few bytes changed, or cut off."""
    if rng.random() < 0.2:
        return data[: rng.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def reworded(rows: Any, rng: random.Random, hostile: list[Any]) -> Any:
    """A copy of rows with one to three of their texts changed; some texts are JSON, and stay so at times."""
    rows = copy.deepcopy(rows)
    for _ in range(rng.randint(1, 3)):
        path = rng.choice([path for path in places(rows) if isinstance(at(rows, path), str)])
        owner, key = at(rows, path[:-1]), path[-1]
        try:
            text = json.dumps(changed([json.loads(owner[key])], rng, hostile)[:1])[1:-1]
        except ValueError:
            text = str(rng.choice(hostile))
        owner[key] = text
    return rows


@pytest.fixture
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that hostile code would write; neither it nor a command may be there at the end."""
    mark, commands = tmp_path / "owned", list[Any]()
    monkeypatch.setattr(os, "system", commands.append)
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **options: commands.append(words))
    yield mark
    assert not mark.exists() and not commands


def use_book(file: Path) -> None:
    for rule in read_rules(file):
        answer = compiled(rule)
        given = {name: index for index, name in enumerate(rule.parameters)}
        answer.evaluate(meta_of(torch.ones(2, 3)), given, True, _anywhere=True)


@pytest.mark.parametrize("name", BOOKS)
def test_changed_rule_books(name: str, tmp_path: Path, nothing_runs: Path) -> None:
    rng = random.Random(name)
    stored = json.loads(next(STORED.rglob(name)).read_text())
    file = tmp_path / "rules.json"
    refused = 0
    for number in range(FILES // len(BOOKS)):
        if number % 10:
            file.write_text(json.dumps(changed(stored, rng, hostile_values(nothing_runs))))
        else:
            file.write_bytes(flipped(json.dumps(stored).encode(), rng))
        try:
            use_book(file)
        except RuleError as error:
            refused += 1
            assert str(error)
        except (*OPERATOR_ERRORS, OpError, DataDependent, Unsupported, PredictedError):
            pass  # the arguments are not what the rule was made for
    assert refused


def graph_of_many_kinds(x: torch.Tensor) -> Any:
    half = x[:, ::2].to(torch.bfloat16)
    first, second = torch.split(half, [1, 3], dim=0)
    return torch.cat([first, second]).float().clamp(min=-1.0, max=float("inf")) ** 2, x.max(dim=0).values


def test_changed_cases(tmp_path: Path, nothing_runs: Path) -> None:
    rng = random.Random(0)
    folder = save_case(capture(graph_of_many_kinds), [torch.linspace(-2, 3, 24).reshape(4, 6)], tmp_path / "case")
    case, tensors = json.loads((folder / "case.json").read_text()), (folder / "tensors.safetensors").read_bytes()
    refused = 0
    for number in range(FILES):
        data = flipped(tensors, rng) if number % 10 == 0 else tensors
        (folder / "tensors.safetensors").write_bytes(data)
        text = json.dumps(changed(case, rng, hostile_values(nothing_runs)) if number % 10 else case)
        (folder / "case.json").write_text(text)
        try:
            replay_case(folder)
        except CaseError as error:
            refused += 1
            assert str(error)
    assert refused > FILES / 4


def test_a_link_in_the_place_of_a_case_file_is_refused(tmp_path: Path) -> None:
    folder = save_case(capture(graph_of_many_kinds), [torch.ones(4, 6)], tmp_path / "case")
    (folder / "case.json").rename(tmp_path / "elsewhere.json")
    (folder / "case.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(CaseError, match="symbolic link"):
        replay_case(folder)


def test_a_case_calls_nothing_that_believes_where_memory_is(tmp_path: Path) -> None:
    """Operators of inductor's own programs read beyond a tensor's memory if they are told to."""
    change = with_call("torch.ops.inductor._reinterpret_tensor.default", X, {"tuple": [1]}, {"tuple": [1]}, 1 << 40)
    assert "is not an operator on tensors" in str(replay_case(changed_case(tmp_path, change)))


@pytest.mark.parametrize("level", ["aten", "function"])
@pytest.mark.parametrize(
    "name",
    [
        *(
            "torch.os.system",
            "torch.utils.collect_env.run",
            "torch.hub.load",
            "torch.load",
            "torch.save",
            "torch.builtins.exec",
        ),
        *(
            "torch.sys.exit",
            "torch.from_file",
            "torch.Tensor.apply_",
            "torch.Tensor.__reduce_ex__",
            "torch._C._crash_if_asan",
        ),
        *(
            "operator.attrgetter",
            "operator.methodcaller",
            "operator.call",
            "torch.ctypes.CDLL",
            "torch.importlib.import_module",
        ),
        *(
            "aten::from_file",
            "prim::Print",
            "debugprims::load_tensor",
            "profiler::_record_function_enter",
            "inductor::_reinterpret_tensor",
            "inductor::_alloc_from_pool",
            "torch.nn.Linear",
            "torch.compile",
            "torch.cuda.init",
            "torch.set_num_threads",
        ),
        *(
            "torch._C._set_grad_enabled.__call__",
            "torch.classes.load_library",
            "torch.ops.load_library",
            "load_library::x",
        ),
    ],
)
def test_a_corpus_names_operators_and_nothing_else(name: str, level: str) -> None:
    with pytest.raises(UnknownOperator):
        resolve(name, level)


def test_changed_corpora(tmp_path: Path, nothing_runs: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    rng = random.Random(0)
    with record(tmp_path / "corpus", levels=("aten", "function")):
        graph_of_many_kinds(torch.ones(4, 6))
    (file,) = (tmp_path / "corpus").glob("*.parquet")
    table, whole = parquet.read_table(file), file.read_bytes()
    rows = [{**row, "arguments": dict(row["arguments"])} for row in table.to_pylist()]
    for number in range(FILES // 10):
        if number % 5:
            other = reworded(rows, rng, hostile_values(nothing_runs))
            listed = [{**row, "arguments": list(row["arguments"].items())} for row in other]
            new = pa.Table.from_pylist(listed, schema=table.schema)
            parquet.write_table(new.replace_schema_metadata(parquet.read_metadata(file).metadata), file)
        else:
            file.write_bytes(flipped(whole, rng))
        try:
            read_corpus(tmp_path / "corpus", resolve)
        except CorpusError as error:
            assert str(error)
        file.write_bytes(whole)


def test_a_corpus_with_text_that_is_none_is_refused(tmp_path: Path) -> None:
    """As a damaged page has it: Parquet's reader takes any bytes for text, and any number for an index."""
    import pyarrow as pa
    from pyarrow import parquet

    with record(tmp_path / "corpus", levels=("aten",)):
        graph_of_many_kinds(torch.ones(4, 6))
    (file,) = (tmp_path / "corpus").glob("*.parquet")
    table = parquet.read_table(file)
    bytes_of_no_text = pa.array([b"aten::neg\xc7"] * len(table), pa.binary()).view(pa.string())
    broken = table.set_column(table.schema.get_field_index("op"), "op", bytes_of_no_text)
    parquet.write_table(broken.replace_schema_metadata(parquet.read_metadata(file).metadata), file)
    with pytest.raises(CorpusError, match="is damaged"):
        read_corpus(tmp_path / "corpus", resolve)


def read_corpus(folder: Path, find: Callable[[str, str], Any]) -> None:
    for call in Corpus(folder).calls():
        try:
            find(call.op, call.level)
        except UnknownOperator:
            pass


def changed_case(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A case folder whose JSON was changed by hand."""
    folder = save_case(capture(graph_of_many_kinds), [torch.linspace(-2, 3, 24).reshape(4, 6)], tmp_path / "case")
    case = json.loads((folder / "case.json").read_text())
    change(case)
    (folder / "case.json").write_text(json.dumps(case))
    return folder


def reads_a_class(case: dict[str, Any]) -> None:
    """The node reads a harmless attribute, the stored call another."""
    row = next(row for row in case["nodes"] if row["op"] == "call_method")
    row |= {
        "op": "call_function",
        "target": "builtins.getattr",
        "args": [row["args"][0], "shape"],
        "kwargs": {"dict": []},
    }
    expected = case["expected"][row["name"]]
    expected["args"] = [{"tuple": [expected["args"][0]["tuple"][0], "__class__"]}, {"dict": []}]


def method_of_a_text(case: dict[str, Any]) -> None:
    row = next(row for row in case["nodes"] if row["op"] == "call_method")
    expected = case["expected"][row["name"]]
    expected["args"][0]["tuple"].insert(0, "a text")


def with_call(target: str, *arguments: Any, **tensor: Any) -> Callable[[dict[str, Any]], None]:
    """The first call becomes another, of a tensor of one element unless `tensor` says other sizes."""

    def change(case: dict[str, Any]) -> None:
        name, expected = next(iter(case["expected"].items()))
        row = next(row for row in case["nodes"] if row["name"] == name)
        row["op"], row["target"] = "call_function" if "." in target else "call_method", target
        given = [{**expected["tensors"][0], "shape": [1], "stride": [0], **tensor}]
        places = [{"given": 0} if argument is X else argument for argument in arguments]
        expected |= {"tensors": given, "after": given, "args": [{"tuple": places}, {"dict": []}]}
        case["expected"] = {name: expected}

    return change


X = object()  # the tensor among the arguments of a call


@pytest.mark.parametrize(
    "change, words",
    [
        (with_call("clone", X, shape=[10**10]), "accounts for"),
        (with_call("sum", X, shape=[10**4, 10**4, 10**4], stride=[0, 0, 0]), "accounts for"),
        (with_call("repeat", X, 10**10), "gives 10000000000 elements"),
        (with_call("new_zeros", X, 2 * 10**9), "gives 2000000000 elements"),
        (with_call("torch.einsum", "a,b,c->abc", X, X, X, shape=[2000]), "elements"),
        (with_call("builtins.tuple", X, shape=[10**7]), "more than 65536 tensors"),
        (with_call("torch.split", X, 1, shape=[10**7]), "more than 65536 tensors"),
        (with_call("operator.getitem", X, {"tuple": [None] * 1000}), "dimensions"),
    ],
)
def test_a_case_of_a_few_bytes_does_not_fill_the_memory(
    change: Callable[[dict[str, Any]], None], words: str, tmp_path: Path
) -> None:
    folder = changed_case(tmp_path, change)
    with pytest.raises(CaseError, match=words):
        replay_case(folder)


def test_what_a_case_accounts_for_is_replayed(tmp_path: Path) -> None:
    def expands(x: torch.Tensor) -> Any:
        return torch.zeros(1, 1).expand(512, 512) + x.repeat(2, 3).sum(), x.unbind(1), x.nonzero()

    folder = save_case(capture(expands), [torch.linspace(-2, 3, 24).reshape(4, 6)], tmp_path / "case")
    assert replay_case(folder).ok


def with_answer(question: str, answer: Any) -> Any:
    """The rule of `neg` with another answer."""
    rules = json.loads(next(STORED.rglob("neg.json")).read_text())
    owner = rules[0] if question in rules[0] else rules[0]["outputs"][0]
    owner[question] = [["", answer]] if isinstance(answer, str) else answer
    return rules


SELF = meta_of(torch.ones(2, 3))


@pytest.mark.parametrize(
    "question, answer, words",
    [
        ("shape", "1" + "+1" * 400, "nested deeper"),
        ("shape", "(" * 150 + "1" + ",)" * 150, "nested deeper"),
        ("shape", "self.shape + " + "(1,) + " * 1000 + "(1,)", "characters"),
        ("form", "[" + "tensor_0," * 1000 + "]", "characters"),
        ("dtype", [["1 == 2", "self.dtype"]] * 2000, "parts"),
        ("parameters", ["self", *(f"p{number}" for number in range(5000))], "parts"),
    ],
)
def test_rules_too_large_to_compile_are_refused(question: str, answer: Any, words: str, tmp_path: Path) -> None:
    (tmp_path / "neg.json").write_text(json.dumps(with_answer(question, answer)))
    with pytest.raises(RuleError, match=words):
        read_rules(tmp_path / "neg.json")


@pytest.mark.parametrize(
    "question, answer",
    [
        ("shape", "self.shape * 10000000000"),
        ("shape", "(1,) * 1000 * 1000 * 1000 * 1000"),
        ("shape", "10000000000 * (1,)"),
        ("dtype", "'a' * 10000000000"),
        ("dtype", "'%9999999999d' % 1"),
        ("form", "[each] * 10000000000"),
        ("form", "(each) * (99999999 * 99999999)"),
    ],
)
def test_an_answer_that_would_fill_the_memory_is_none(question: str, answer: str, tmp_path: Path) -> None:
    (tmp_path / "neg.json").write_text(json.dumps(with_answer(question, answer)))
    (rule,) = [rule for rule in read_rules(tmp_path / "neg.json") if rule.parameters == ("self",)]
    assert Answerer(rule).answer({"self": SELF}) is None


def test_a_file_of_rules_larger_than_any_is_refused(tmp_path: Path) -> None:
    (tmp_path / "neg.json").write_text(" " * (5 << 20) + "[]")
    with pytest.raises(RuleError, match="larger than"):
        read_rules(tmp_path / "neg.json")


def keyword_of_code(case: dict[str, Any]) -> None:
    """A name of an argument, which would stand in what torch.fx compiles of the one call."""
    expected = next(iter(case["expected"].values()))
    expected["args"][1]["dict"].append(["x=__import__('os').system('true'), y", 1])


def test_a_line_of_a_case_gives_no_command_to_a_terminal(tmp_path: Path) -> None:
    def change(case: dict[str, Any]) -> None:
        for row in case["nodes"]:
            row["line"] = 'File "x"\x1b]0;owned\x07, line 1\x00\r\n  x + 1'

    case = load_case(changed_case(tmp_path, change))
    lines = [stack_trace_of(node) or "" for node in case.module.graph.nodes]
    assert any(lines) and not {"\x1b", "\x07", "\x00", "\r"} & set("".join(lines))


def tensor_for_a_node(case: dict[str, Any]) -> None:
    case["nodes"][0]["args"] = [case["inputs"][0]]


@pytest.mark.parametrize(
    "change, words",
    [
        (tensor_for_a_node, "a tensor in the place of a node"),
        (reads_a_class, "reads the attribute"),
        (method_of_a_text, "method of something else than a tensor"),
        (keyword_of_code, "is not a name"),
        *(
            (lambda case, name=name: case["attributes"].update({name: 1}), "attribute cannot be called")
            for name in ("_modules", "training", "forward", "_forward_hooks", "_graph", "__class__", "graph")
        ),
    ],
)
def test_a_case_does_nothing_but_call_operators_on_tensors(
    change: Callable[[dict[str, Any]], None], words: str, tmp_path: Path
) -> None:
    with pytest.raises(CaseError, match=words):
        replay_case(changed_case(tmp_path, change))


@pytest.mark.parametrize("name", ["case.json", "tensors.safetensors"])
def test_a_case_of_a_pipe_is_refused_instead_of_waited_for(name: str, tmp_path: Path) -> None:
    folder = changed_case(tmp_path, lambda case: None)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(CaseError, match="no regular file"):
        replay_case(folder)


COMMANDS = set("\x1b\x07\x00\x08\x9b\r\u202e")
"""Characters that a terminal obeys."""


@pytest.mark.parametrize("column", ["op", "location", "message", "error", "torch", "level", "result"])
def test_text_of_a_corpus_gives_no_command_to_a_terminal(column: str, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    hostile = "x\x1b]0;owned\x07\x9b2J\u202ey\r\x08z"
    with record(tmp_path / "corpus", levels=("aten",)):
        torch.ones(3) + 1
    (file,) = (tmp_path / "corpus").glob("*.parquet")
    table = parquet.read_table(file)
    failed = {"error": "RuntimeError", "message": "x", "result": None, "returned": []}
    failed |= {"returned_storage": [], "returned_same": []}
    changes = failed if column in ("message", "error") else {}
    changes |= {column: json.dumps({"number": hostile}) if column == "result" else hostile}
    rows = [{**row, **changes} for row in table.to_pylist()]
    new = pa.Table.from_pylist(rows, schema=table.schema)
    parquet.write_table(new.replace_schema_metadata(parquet.read_metadata(file).metadata), file)
    for words in (["stat"], ["show", rows[0]["op"]], ["sql", "select * from calls"]):
        command = ["corpus", words[0], str(tmp_path / "corpus"), *words[1:]]
        output = CliRunner().invoke(application, command).output
        assert output and not COMMANDS & set(output), words


def test_text_of_a_rulebook_gives_no_command_to_a_terminal(tmp_path: Path) -> None:
    source = next(STORED.rglob("neg.json"))
    file = tmp_path / "book" / source.relative_to(STORED)
    file.parent.mkdir(parents=True)
    shutil.copy(STORED / "book.json", tmp_path / "book")
    file.write_text(source.read_text().replace('"aten::neg', '"aten::neg\\u001b]0;owned\\u0007\\u202e'))
    for words in (["show", "neg", "--book"], ["coverage", "--book"], ["diff", str(STORED)]):
        output = CliRunner().invoke(application, ["rules", *words, str(tmp_path / "book")]).output
        assert not COMMANDS & set(output), words
