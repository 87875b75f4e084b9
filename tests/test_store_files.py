"""Files of stored captures: none does anything but be read, whatever is in it. Folders, and the command for them."""

import hashlib
import json
import marshal
import os
import random
import shutil
import sys

import pytest
import torch

import tracer
from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tests.stored import files, forget, kinds
from tracer.commands.application import main
from tracer.interpret.evaluator import EVALUATOR
from tracer.interpret.rulebook import SHIPPED_BOOK
from tracer.store import folder
from tracer.store.content import code_hash
from tracer.store.errors import Unstorable
from tracer.store.folder import Folder


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
    "other version": lambda text: text.replace(b"capture 4", b"capture 1", 1),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_passed_over_with_one_event(name, stored):
    stored.write_bytes(DAMAGES[name](stored.read_bytes()))
    assert answers(stored) == ["file refused", "capture"]  # and the good file is there, so to speak: it is not replaced


@pytest.mark.parametrize("moment", [b"9" * 400, b"9" * 5000, b"-1", b"1e5", b"", b"9" * 18])
def test_a_time_that_no_calendar_knows_is_refused(moment, stored):
    magic, _, header, body = stored.read_bytes().split(b"\n", 3)
    content = header.split()[0] + b" " + moment + b"\n" + body
    stored.write_bytes(b"\n".join((magic, hashlib.sha256(content).hexdigest().encode(), content)))
    assert answers(stored) == ["file refused", "capture"]


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
    data["graph"]["calls"][0][0] = "torch.from_file"


def hostile_import(data):
    data["graph"]["calls"][0][0] = "ops.os.system"


def hostile_method(data):
    data["graph"]["calls"][0][0] = ".backward"


def hostile_name(data):
    data["graph"]["names"][1] = f"x = __import__('os').environ.setdefault('{MARK}', '1')"


def hostile_keyword(data):
    data["graph"]["calls"][0][2] = {f"a=__import__('os').environ.setdefault('{MARK}', '1'), b": 1}


def hostile_attribute_of_tensor(data):
    text = f"shape; __import__('os').environ.setdefault('{MARK}', '1')"
    data["graph"]["calls"][0] = ["builtins.getattr", [["n", 0], text], {}]


def hostile_private_attribute(data):
    data["graph"]["calls"][0] = ["builtins.getattr", [["n", 0], "__reduce_ex__"], {}]


def hostile_order(data):
    data["graph"]["calls"][0][1][0] = ["n", 2]


def hostile_names(data):
    data["graph"]["names"][2] = data["graph"]["names"][1]


def hostile_keyword_for_a_name(data):
    data["graph"]["names"][1] = "None"


def hostile_repetition(data):
    data["graph"]["repeated"] = [[0, 1, [[0]] * 3]]


def hostile_inputs_of_a_repetition(data):
    data["graph"]["calls"] = [["operator.add", [["n", -1], ["n", -2]], {}]]
    data["graph"]["repeated"] = [[0, 1, [[0, 0], [0, 0]]]]


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


def add_path(data, base, accessor, key):
    """Another access path: its number."""
    data["steps"].append([accessor, key])
    data["sources"] += [base, len(data["steps"]) - 1]
    return len(data["sources"]) // 2 - 1


def add_guard(data, place, kind, expected):
    data["facts"].append([kind, expected])
    data["guards"][:0] = [place, len(data["facts"]) - 1, -1]


def hostile_call(data):
    namespace = add_path(data, add_path(data, -1, "module", "os"), "dict", None)
    result = add_path(data, add_path(data, namespace, "item", "getcwd"), "call", None)
    add_guard(data, result, "equal", os.getcwd())


def hostile_sizes(data):
    data["metas"][0][0] = ["t", *[1 << 200] * 3]


def hostile_depth(data):
    data["facts"][0][1] = NEST


def hostile_meta_in_itself(data):
    data["metas"][0][0] = ["m", 0]


def hostile_object_at_itself(data):
    place = add_path(data, -1, "object", len(data["objects"]))
    data["objects"].append([["at", place], ["module", "os"]])
    add_guard(data, place, "same object", len(data["objects"]) - 1)


def hostile_circle(data):
    data["inputs"] = [add_path(data, len(data["sources"]) // 2, "dict", None)]


def hostile_traversal(data):
    add_guard(data, add_path(data, -1, "module", "../../etc/passwd"), "equal", 1)


def hostile_number(data):
    data["guards"][0] = 1 << 70


def hostile_row(data):
    data["guards"].append(0)


def hostile_key(data):
    add_path(data, 0, "item", ["l", 1])


HOSTILE = [value for name, value in list(globals().items()) if name.startswith("hostile_")]


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__.removeprefix("hostile_"))
def test_a_hostile_file_executes_nothing(change, stored):
    data = contents(stored)
    change(data)
    rewrite(stored, data)
    found = answers(stored)
    assert found[-1] == "capture" and "bug" not in found and "loaded" not in found
    assert MARK not in os.environ and os.getenv(MARK) is None


def mutated_bytes(text, chance):
    text = bytearray(text)
    for _ in range(chance.choice((1, 1, 2, 8))):
        place = chance.randrange(len(text))
        if chance.random() < 0.3:
            del text[place : place + chance.randrange(1, 50)]
        else:
            text[place] ^= 1 << chance.randrange(8)
    return bytes(text)


def test_the_name_of_a_file_that_is_written_is_not_by_the_random_numbers_of_the_program(tmp_path, monkeypatch):
    monkeypatch.setattr(random.Random, "random", lambda self: 9.0)
    tracer.capture(add, cache=tmp_path)(torch.ones(3))
    assert kinds() == ["capture", "stored"]
    (path,) = tmp_path.iterdir()
    assert len([*path.iterdir()]) == 1


def test_files_used_longest_ago_are_removed_first(tmp_path):
    place = Folder(tmp_path)
    names = [place.write(f"{number:064d}", {"text": "x" * 1000, "number": number}) for number in range(5)]
    for age, path in enumerate(names):
        os.utime(path, (1000 - age, 1000 - age))
    assert place.shrink(limit=3 * names[0].stat().st_size) == 2
    assert [path.exists() for path in names] == [True, True, True, False, False]


@pytest.mark.parametrize("name", ["a" * 300, "loop"])
def test_where_no_folder_can_be_functions_are_captured(name, tmp_path, monkeypatch):
    monkeypatch.setenv("BYTEGRAPH_CACHE_SIZE", "9" * 5000)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert torch.equal(tracer.capture(add, cache=tmp_path / name)(torch.ones(3)), torch.full((3,), 3.0))
    assert kinds() == ["capture"]
    forget()
    tracer.capture(add, cache=tmp_path)(torch.ones(3))
    assert kinds() == ["capture", "stored"]


def test_a_folder_that_cannot_be_written_to_is_only_read(stored, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError("read-only file system")

    monkeypatch.setattr(folder, "_write_at_once", refuse)
    monkeypatch.setattr(folder.os, "utime", refuse)
    assert answers(stored) == ["loaded"]
    program = tracer.capture(lambda x: x + 5, cache=stored.parent.parent)
    assert torch.equal(program(torch.ones(1)), torch.tensor([6.0]))
    assert "stored" not in kinds() and "bug" not in kinds()


# The command line -------------------------------------------------------------------------------------


def command(capsys, *words):
    status = main(["cache", *map(str, words)])
    return status, capsys.readouterr().out


def test_the_command_lists_shows_verifies_and_clears(stored, capsys):
    path = stored.parent.parent
    status, text = command(capsys, "list", path)
    assert status == 0 and "add" in text and "test_store_files.py" in text
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


SOURCE = """
def program(x):
    for each in ("two words", 1, 2.5, ("three more words", -0.0), frozenset):
        x = x if each in {"a b", "c d", 7, (1, "e")} else (lambda y: [y, "two words"])(x)
    return x
"""


def program_of(source):
    namespace = {}
    exec(compile(source, "program.py", "exec"), namespace)
    return namespace["program"]


def test_equal_code_has_one_hash_whatever_refers_to_its_constants():
    first, second = program_of(SOURCE), program_of(SOURCE)
    words = [sys.intern(each) for each in first.__code__.co_consts if type(each) is str]
    for _ in range(100):
        first(words)
    read = marshal.loads(marshal.dumps(second.__code__))
    assert len({code_hash(code) for code in (first.__code__, second.__code__, read)}) == 1


@pytest.mark.parametrize(
    "old, new",
    [
        ("2.5", "2.25"),
        ("-0.0", "0.0"),
        ('"e"', '"f"'),
        ("7", "7.0"),
        ("y, ", "x, "),
        ("1, 2.5", "True, 2.5"),
        ("\n\n", "\n"),
    ],
)
def test_other_code_has_another_hash(old, new):
    source = SOURCE.replace("\n", "\n\n", 1)
    assert old in source
    assert code_hash(program_of(source.replace(old, new, 1)).__code__) != code_hash(program_of(source).__code__)


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("constant", [[1], bytearray(b"1"), Text("1"), (1, [2]), object(), frozenset([Text("1")])])
def test_code_with_constants_that_no_compiler_writes_has_no_hash(constant):
    code = program_of(SOURCE).__code__
    nested = code.replace(co_consts=(*code.co_consts, code.replace(co_consts=(constant,))))
    with pytest.raises(Unstorable):
        code_hash(nested)


# Rules ------------------------------------------------------------------------------------------------


def test_another_book_or_a_changed_one_is_a_miss(tmp_path, monkeypatch):
    book = tmp_path / "book"
    files = SHIPPED_BOOK / "book.json", *SHIPPED_BOOK.glob("function/torch.Tensor.*a*.json")
    for file in files:
        copy = book / file.relative_to(SHIPPED_BOOK)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    program, x = (lambda x: x.relu() + 1), torch.randn(3)
    monkeypatch.setattr(EVALUATOR, "book", EVALUATOR.book)

    def run(folder):
        forget()
        tracer.use_rulebook(folder)
        tracer.capture(program, cache=tmp_path / "cache")(x)
        return kinds()

    assert run(book) == ["capture", "stored"]
    assert run(book) == ["loaded"]
    assert run("shipped") == ["capture", "stored"]
    assert run(None) == ["capture", "stored"]
    rules = next(book.glob("function/*.json"))
    rules.write_text(rules.read_text() + "\n")
    assert run(book) == ["capture", "stored"]
    assert [run(each) for each in (book, "shipped", None)] == [["loaded"]] * 3
    shutil.rmtree(book / "function")
    assert run(book) == ["capture", "stored"]


def test_a_function_that_was_asked_for_before_asks_for_the_captures_of_another_book(tmp_path, monkeypatch):
    monkeypatch.setattr(EVALUATOR, "book", EVALUATOR.book)
    program = tracer.capture(lambda x: x.relu() + 1, cache=tmp_path)
    program(torch.randn(3))
    tracer.use_rulebook(None)
    program(torch.randn(3, 3))
    assert len({path.parent for path in tmp_path.rglob("*.capture")}) == 2
