"""Questions to a corpus, merging, differences; and the command line around them."""

import json
import subprocess
import sys

import pytest
import torch

from passes.record import Corpus, CorpusError, storage
from passes.record.calls import call_text
from passes.record.corpus import CorpusDifference, difference, merge
from tests.recording import only, recorded
from tracer.commands import application


def sizes(*lengths: int) -> None:
    for length in lengths:
        torch.ones(length).relu()


@pytest.fixture
def corpora(tmp_path):
    for name, lengths in (("a", (1, 2, 2)), ("b", (2, 3))):
        recorded(tmp_path / name, lambda lengths=lengths: sizes(*lengths))
    return tmp_path / "a", tmp_path / "b"


@pytest.fixture
def command(capsys):
    """Run a command; gives status, output and errors."""

    def run(*words: object):
        status = application.main([str(word) for word in words])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_statistics(corpora):
    found = Corpus(corpora[0]).statistics()
    assert (found.rows, found.signatures, found.calls, found.operators, found.errors) == (4, 4, 6, 2, 0)
    assert found.levels == ("aten",) and found.torch_versions == (torch.__version__,)
    assert found.bytes_per_call == found.bytes / 6
    assert Corpus(corpora[0]).operators() == [("aten::ones", "aten", 2, 3), ("aten::relu", "aten", 2, 3)]


def test_merge_counts_equal_calls_together(corpora, tmp_path):
    path = merge([Corpus(folder) for folder in corpora], tmp_path / "all")
    merged = Corpus(tmp_path / "all")
    assert merged.files == [path]
    assert merged.sql("select tensor(given[1]).size, count from calls where op = 'aten::relu' order by 1")[1] == [
        ([1], 1),
        ([2], 3),
        ([3], 1),
    ]
    assert merged.load()["op"].to_pylist() == sorted(merged.load()["op"].to_pylist())


def test_merge_into_a_source_replaces_its_files(corpora):
    recorded(corpora[0], lambda: sizes(9))
    before = Corpus(corpora[0]).statistics()
    merge([Corpus(corpora[0])], corpora[0])
    after = Corpus(corpora[0]).statistics()
    assert (before.files, after.files) == (2, 1) and before.calls == after.calls
    with pytest.raises(CorpusError, match="holds a corpus already"):
        merge([Corpus(corpora[0])], corpora[1])


def test_difference(corpora, tmp_path):
    left, right = map(Corpus, corpora)
    assert CorpusDifference("aten::relu", "aten", only_left=1, only_right=1, changed=0, same=1) in difference(
        left, right
    )
    assert difference(left, left) == []
    for name, x in (("some", torch.ones(3)), ("none", torch.zeros(3))):
        recorded(tmp_path / name, lambda x=x: torch.nonzero(x))
    (changed,) = difference(Corpus(tmp_path / "some"), Corpus(tmp_path / "none"))
    assert (changed.op, changed.changed) == ("aten::nonzero", 1)


def test_groups_by_operator(corpora):
    groups = Corpus(corpora[0]).by_operator()
    assert {op: table.num_rows for op, table in groups.items()} == {"aten::ones": 2, "aten::relu": 2}
    assert set(groups["aten::relu"]["op"].to_pylist()) == {"aten::relu"}
    assert Corpus(corpora[0]).load("aten::relu", ["op", "count"]).num_rows == 2


def test_groups_of_several_files(corpora):
    recorded(corpora[0], lambda: sizes(7, 8))
    table = Corpus(corpora[0]).by_operator()["aten::relu"]
    assert len(table) == 4 and len(Corpus(corpora[0]).files) == 2
    chunk = table["given"].chunks[0].flatten()
    assert set(chunk.to_pylist()) <= set(chunk.dictionary.to_pylist())
    assert len(list(Corpus(corpora[0]).calls("aten::relu"))) == 4


def test_groups_of_a_file_in_several_row_groups(tmp_path):
    recorded(tmp_path / "one", lambda: (sizes(*range(1, 9)), torch.ones(2).cos()))
    whole = Corpus(tmp_path / "one").load().combine_chunks()
    (tmp_path / "many").mkdir()
    pieces = [whole.slice(start, 5).cast(storage.arrow_schema()) for start in range(0, len(whole), 5)]
    storage.write(tmp_path / "many" / "calls-many.parquet", pieces)
    groups = Corpus(tmp_path / "many").by_operator()
    assert {op: len(table) for op, table in groups.items()} == {"aten::cos": 1, "aten::ones": 8, "aten::relu": 8}
    assert all(set(table["op"].to_pylist()) == {op} for op, table in groups.items())


def test_sql_reads_tensors_and_arguments(tmp_path):
    recorded(tmp_path, lambda: torch.ones(8)[2:].view(2, 3).T.sum(1, keepdim=True))
    facts = "tensor(given[1])"
    wanted = ", ".join(f"{facts}.{name}" for name in ("size", "stride", "storage_offset", "dtype", "device"))
    query = f"select {wanted}, arguments['keepdim']"
    assert Corpus(tmp_path).sql(f"{query} from calls where op = 'aten::sum.dim_IntList'")[1] == [
        ([3, 2], [1, 3], 2, "f32", "cpu", "true")
    ]
    with pytest.raises(CorpusError, match="nothing_such"):
        Corpus(tmp_path).sql("select nothing_such from calls")


def test_calls_as_text(tmp_path):
    y = torch.ones(4, 2)
    calls = recorded(tmp_path, lambda: (y.add_(1), torch.ones(2, 2).t(), torch.std_mean(y, 0)))
    assert call_text(only(calls, "aten::add_.Tensor")) == (
        "aten::add_.Tensor(self: f32[4, 2] stride (2, 1), other=1, alpha=1) -> argument 0 itself; "
        "writes 0: f32[4, 2] stride (2, 1)"
    )
    assert call_text(only(calls, "aten::t")).endswith("-> f32[2, 2] stride (1, 2) sharing memory with 0")
    assert "-> (f32[2] stride (1,), f32[2] stride (1,))" in call_text(only(calls, "aten::std_mean.correction"))


def test_commands_show_merge_and_compare_corpora(corpora, tmp_path, command):
    a, b = corpora
    status, out, _ = command("corpus", "stat", a, "--json")
    assert status == 0 and json.loads(out)["calls"] == 6 and json.loads(out)["most_called"][0]["op"] == "aten::ones"
    assert "aten::relu(self: f32[2] stride (1,)) -> f32[2] stride (1,)" in command("corpus", "show", a, "relu")[1]
    assert json.loads(command("corpus", "show", a, "relu", "--most", 1, "--json")[1])[0]["op"] == "aten::relu"
    query = "select op, count(*) as n from calls group by op order by op"
    assert json.loads(command("corpus", "sql", a, query, "--json")[1]) == [
        {"op": "aten::ones", "n": 2},
        {"op": "aten::relu", "n": 2},
    ]
    assert "aten::ones" in command("corpus", "sql", a, query)[1]
    assert command("corpus", "diff", a, b)[0] == 1 and command("corpus", "diff", a, a)[0] == 0
    assert json.loads(command("corpus", "merge", a, b, "-o", tmp_path / "m", "--json")[1])["calls"] == 10
    assert json.loads(command("corpus", "schema", "--json")[1])["columns"][0]["name"] == "op"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("corpus", "stat", "nowhere"), "nowhere is no folder"),
        (("corpus", "show", "{a}", "conv"), "no operator in {a} has 'conv' in its name"),
        (("corpus", "sql", "{a}", "selec"), "syntax error"),
        (("record", "opinfo", "-o", "{new}", "--dtype", "f31"), "there is no dtype 'f31'; choose from"),
        (("record", "opinfo", "-o", "{new}", "--part", "2/2"), "is not I/N"),
        (("record", "models", "-o", "{new}", "--zoo", "no.zoo"), "no zoo 'no.zoo'"),
        (("record", "-o", "{new}", "nothing.py"), "no script 'nothing.py' (a module is named by `-- -m NAME`)"),
        (("record", "-o", "{new}", "--level", "jit", "x.py"), "unknown levels ['jit']"),
        (("record", "-o", "{file}", __file__), "cannot make the folder {file} of a corpus: File exists"),
        (("corpus", "split", "{a}", "-o", "{new}", "{file}"), "cannot make the folder {file}"),
    ],
)
def test_errors_say_what_to_do(corpora, tmp_path, command, words, message):
    names = {"a": corpora[0], "new": tmp_path / "new", "file": tmp_path / "file"}
    names["file"].touch()
    status, _, errors = command(*(str(word).format(**names) for word in words))
    assert status == 2 and message.format(**names) in errors and "Traceback" not in errors


def test_record_runs_a_script_as_python_would(tmp_path, command):
    (tmp_path / "helper.py").write_text("import torch\ndef go(n): return torch.ones(n).relu()\n")
    (tmp_path / "script.py").write_text(
        "import sys, helper\nhelper.go(int(sys.argv[1]))\nprint(sys.argv[1:], __name__)\nsys.exit(3)\n"
    )
    status, out, errors = command("record", "-o", tmp_path / "c", tmp_path / "script.py", "7", "--level", "-o")
    assert status == 3 and "['7', '--level', '-o'] __main__" in out and "2 different calls" in errors
    assert Corpus(tmp_path / "c").sql("select location from calls where op = 'aten::relu'")[1] == [
        (f"{tmp_path}/helper.py:2",)
    ]


def test_record_runs_a_module(tmp_path, command, monkeypatch):
    (tmp_path / "mod.py").write_text("import sys, torch\ntorch.ones(int(sys.argv[1]))\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert command("record", "-o", tmp_path / "c", "--level", "function", "--", "-m", "mod", "4")[0] == 0
    assert Corpus(tmp_path / "c").sql("select op, arguments['size'] from calls")[1] == [("torch.ones", "[4]")]


def test_the_traceback_of_a_program_has_its_own_frames_only(tmp_path):
    (tmp_path / "s.py").write_text("def f():\n    raise LookupError('mine')\n\n\nf()\n")
    words = [sys.executable, "-m", "tracer", "record", "-o", str(tmp_path / "c"), str(tmp_path / "s.py")]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "LookupError: mine" in ended.stderr and "line 5, in <module>" in ended.stderr
    assert "tracer/commands" not in ended.stderr and "typer" not in ended.stderr


def test_a_program_that_raises_keeps_what_was_recorded(tmp_path, command):
    (tmp_path / "s.py").write_text("import torch\ntorch.ones(2)\nraise LookupError('mine')\n")
    with pytest.raises(LookupError, match="mine"):
        command("record", "-o", tmp_path / "c", tmp_path / "s.py")
    assert Corpus(tmp_path / "c").statistics().calls == 1
