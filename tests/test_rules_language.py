"""The language of rules: what is an expression, a form and a place of memory, and that a book executes nothing."""

import ast
import json
from pathlib import Path

import pytest

from passes.errors import RuleError
from passes.rules import syntax
from passes.rules.book import SHIPPED, read_rules
from passes.rules.grammar import Many, MemoryAnswer, Part, form_of, memory_of
from passes.rules.language import check, parsed
from passes.rules.rule import identifier

NEG = SHIPPED / "torch-2.13-cpu" / "aten" / "aten" / "neg.json"
CODE = "__import__('pathlib').Path('MARK').write_text('written')"


def neg() -> dict:
    return json.loads(NEG.read_text())[0]


def test_forms_of_results():
    assert form_of("unknown") is None
    assert form_of("tensor_0") == Part(0)
    assert form_of("(tensor_0, [None])") == Part(None, tuple, (Part(0), Part(None, list, (Part(),))))
    assert form_of("[each] * rank(bins) + 1") == Many(list, "rank(bins) + 1")
    assert form_of("(each) * chunks") == Many(tuple, "chunks")


@pytest.mark.parametrize("text", ["x", "tensor_x", "(tensor_0)[0]", "tensor_0, f()", "None\nf()", "(", "7", "\0"])
def test_what_is_no_form_is_refused(text: str):
    with pytest.raises(RuleError, match="result"):
        form_of(text)


def test_places_of_memory():
    assert memory_of("new") == MemoryAnswer("new")
    assert memory_of("same 0") == MemoryAnswer("same", "0")
    assert memory_of("view tensors[i]") == MemoryAnswer("view", "tensors", "i")
    assert memory_of("same bins[12]") == MemoryAnswer("same", "bins", "12")


@pytest.mark.parametrize("text", ["", "old", "same", "new x", "same x[", "same x[j]", "view x[i]y", "same x[f()]"])
def test_what_is_no_place_of_memory_is_refused(text: str):
    with pytest.raises(RuleError, match="memory"):
        memory_of(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("self.shape + other", r"column 14: nothing is called 'other'"),
        ("self.__class__", r"column 1: '__class__' is no fact"),
        ("rank(self) + open(self)", r"column 14: 'open' is no primitive"),
        ("rank(self, key=1)", r"'rank' is no primitive|keyword"),
        ("rank", r"nothing is called 'rank'"),
        ("[x for x in self]", "ListComp is not of the language"),
        ("self.shape[1:]", "Slice is not of the language"),
        ("(lambda: 1)()", "is no primitive"),
        ("self +", "is no expression"),
        ("(" * 5000 + ")" * 5000, "is no expression"),
        ("self\0", "is no expression"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_column(text: str, words: str):
    with pytest.raises(RuleError, match=words):
        check(text, frozenset(("self",)))


def test_a_parameter_may_be_called_like_a_primitive():
    check("rank(rank) + 1", frozenset(("rank",)))


def test_names_of_the_compiled_function_are_no_names_of_parameters():
    assert [identifier(name) for name in ("at", "_made", "i", "from", "0", "self")] == [
        *("at_", "argument_made", "i_", "from_", "argument_0", "self")
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("form", [["", f"(tensor_0, {CODE})[0]"]]),
        ("form", [["", f"[each] * {CODE}"]]),
        ("form", [["", f"None\n{CODE}"]]),
        ("form", [["", "tensor_1"]]),
        ("raises", [["1 == 1", f"x') or {CODE} or ('"]]),
        ("writes", {f"self if {CODE} else self": {"alias": [["", "new"]]}}),
        ("outputs", [{"alias": [["", f"same self[{CODE}]"]]}]),
        ("outputs", [{"alias": [["", "same other"]]}]),
        ("outputs", [{"alias": [["", "new"]], "shape": [["", CODE]]}]),
        ("outputs", [{"alias": [["", "new"]], "shape": [["", 7]]}]),
        ("parameters", ["self", f"x={CODE}"]),
        ("parameters", ["self", "self"]),
        ("parameters", ["self", 1]),
        ("domain", {"ranks": {"self": 3}}),
        ("op", ["aten::neg"]),
    ],
)
def test_a_book_executes_nothing_and_its_file_is_named(field: str, value: object, tmp_path: Path):
    mark, file = tmp_path / "mark", tmp_path / "neg.json"
    text = json.dumps([neg() | {field: value}]).replace("MARK", str(mark))
    file.write_text(text)
    with pytest.raises(RuleError) as caught:
        read_rules(file)
    assert str(file) in str(caught.value) and not mark.exists()


def test_trees_are_rewritten_without_being_changed():
    tree = parsed("rank(self) + rank(other)").tree
    before = ast.dump(tree)
    changed = syntax.rewritten(
        tree, lambda node: syntax.name("n") if syntax.alike(node, parsed("rank(self)").tree) else None
    )
    assert ast.unparse(changed) == "n + rank(other)" and ast.dump(tree) == before
    assert changed.right is tree.right  # type: ignore[attr-defined]
    assert syntax.rewritten(tree, lambda node: None) is tree
