"""The language of rules: what is an expression, a form and a place of memory, and that a book executes nothing."""

import ast
import json
from pathlib import Path

import pytest

from passes.errors import RuleError
from passes.rules import syntax
from passes.rules.book import read_rules, shipped_folder
from passes.rules.grammar import Many, MemoryAnswer, Part, form_of, memory_of
from passes.rules.language import check, parsed
from passes.rules.rule import from_json, identifier, to_json

NEG = shipped_folder("2.13.0") / "aten" / "aten" / "neg.json"
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


SHAPE = {"alias": [["", "new"]], "shape": [["", "self.shape"]]}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("form", [["", f"(tensor_0, {CODE})[0]"]], "form: "),
        ("form", [["", f"[each] * {CODE}"]], "form: .*is no primitive"),
        ("form", [["", f"None\n{CODE}"]], "form: .*is no form of a result"),
        ("form", [["", "tensor_1"]], "form: 'tensor_1' has more tensors than the rule has outputs"),
        ("form", ["tensor_0"], "form: 'tensor_0' is not a case, which is a list of two strings"),
        ("raises", [["1 == 1", f"x') or {CODE} or ('"]], "raises: .*is no name of an exception"),
        ("writes", {f"self if {CODE} else self": SHAPE}, "writes: no parameter is called .*; there are self$"),
        ("outputs", [{"alias": [["", f"same self[{CODE}]"]]}], "result 0 alias: .*whose memory"),
        (
            "outputs",
            [{"alias": [["", "same other"]]}],
            "alias: 'same other': no parameter is called 'other'; there are",
        ),
        ("outputs", [SHAPE | {"shape": [["", CODE]]}], "result 0 shape: .*column 1: .*is no primitive"),
        (
            "outputs",
            [SHAPE | {"shape": [["", "rank(size)"]]}],
            "shape: 'rank.size.', column 6: nothing is called 'size'",
        ),
        ("outputs", [SHAPE | {"shape": [["", 7]]}], r"outputs: shape: \['', 7\] is not a case"),
        ("outputs", [SHAPE | {"colour": []}], "outputs: there is no field 'colour'; the fields are alias, shape, "),
        ("outputs", {}, "outputs: {} is not a list"),
        ("parameters", ["self", f"x={CODE}"], "parameters: .*is not a name"),
        ("parameters", ["self", "self"], "parameters: 'self' and 'self' are both written 'self' in expressions"),
        ("parameters", ["self", "_x", "argument_x"], "'_x' and 'argument_x' are both written 'argument_x'"),
        ("parameters", ["self", 1], "parameters: 1 is not a string"),
        ("domain", {"ranks": {"self": 3}}, "domain: 3 is not a list"),
        ("domain", {"ranks": {"other": [3]}}, "ranks: no parameter is called 'other'; there are self"),
        ("domain", {"sizes": {}}, "domain: there is no field 'sizes'; the fields are ranks, "),
        ("domain", {"ranks": {"self": [CODE]}}, "domain: ranks of self: .*is no int"),
        ("domain", {"dtypes": {"self": [7]}}, "domain: dtypes of self: 7 is no str"),
        ("provenance", {"calls": "many"}, "provenance: calls: 'many' is no int"),
        ("provenance", {"author": "me"}, "provenance: there is no field 'author'; the fields are corpus, "),
        ("version", 7, "version 7, this program reads 2"),
        ("op", ["aten::neg"], "a rule is an object with `op`"),
    ],
)
def test_a_book_executes_nothing_and_names_the_file_and_the_field(field, value, words, tmp_path: Path):
    mark, file = tmp_path / "mark", tmp_path / "neg.json"
    text = json.dumps([neg() | {field: value}]).replace("MARK", str(mark))
    file.write_text(text)
    with pytest.raises(RuleError, match=words) as caught:
        read_rules(file)
    assert str(caught.value).startswith(f"{file}: ") and not mark.exists()


def test_a_missing_field_is_named(tmp_path: Path):
    file = tmp_path / "neg.json"
    file.write_text(json.dumps([{name: part for name, part in neg().items() if name != "form"}]))
    with pytest.raises(RuleError, match="rule of aten::neg: the field 'form' is missing"):
        read_rules(file)


@pytest.mark.parametrize("parameter", ["_dim", "from", "i", "0"])
def test_a_parameter_has_one_spelling_in_expressions_and_the_refusal_of_another_names_it(parameter: str):
    stored = neg() | {"parameters": ["self", parameter], "writes": {parameter: {"alias": [["", "kept"]]}}}
    stored["outputs"][0]["shape"] = [["", f"with_size(self.shape, {identifier(parameter)}, 1)"]]
    assert to_json(from_json(stored)) == stored
    if parameter in ("_dim", "i"):  # the others are a keyword and a number
        stored["outputs"][0]["dtype"] = [[f"{parameter} == 1", "self.dtype"]]
    if parameter == "_dim":
        with pytest.raises(RuleError, match="dtype.*column 1: the parameter '_dim' is written 'argument_dim'"):
            from_json(stored)
    stored["parameters"][1] = identifier(parameter)
    with pytest.raises(RuleError, match=f"no parameter is called '{parameter}'; there are self, "):
        from_json(stored)


def test_trees_are_rewritten_without_being_changed():
    tree = parsed("rank(self) + rank(other)").tree
    before = ast.dump(tree)
    changed = syntax.rewritten(
        tree, lambda node: syntax.name("n") if syntax.alike(node, parsed("rank(self)").tree) else None
    )
    assert ast.unparse(changed) == "n + rank(other)" and ast.dump(tree) == before
    assert changed.right is tree.right  # type: ignore[attr-defined]
    assert syntax.rewritten(tree, lambda node: None) is tree
