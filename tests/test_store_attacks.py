"""Stored captures that were changed to call a function which the program does not call: each is refused, none runs."""

import json
import os
import subprocess

import pytest
import torch

import tracer
from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tests.stored import files, forget, kinds
from tests.test_store_files import add_path, contents, rewrite
from tracer.store.errors import BadFile
from tracer.store.objects import fingerprint


def helper(x):
    return x + 1


def program(x, scale=2):
    y = x * scale
    tracer.graph_break()
    return helper(y) + scale


def read(name):
    return ["Name", name, ["Load"]]


def text(value):
    return ["Constant", value]


def call(name, *arguments):
    return ["Call", read(name), list(arguments), []]


def method(cls, name, *arguments):
    return ["Call", ["Attribute", read(cls), name, ["Load"]], list(arguments), []]


def assign(name, value):
    return ["Assign", [["Name", name, ["Store"]]], value]


def expression(value):
    return ["Expr", value]


class Attack:
    """A stored program that is changed: `command` is the text of a command that leaves a file behind."""

    def __init__(self, data, mark):
        self.data = data
        self.command = text(f"touch {mark}")
        self.constants = data["program"]["constants"]
        self.last = data["program"]["statements"][-1][0][0]

    def begin(self, *statements):
        self.data["program"]["statements"][:0] = [[[each], "", -1] for each in statements]

    def object(self, target, module, name):
        self.data["objects"].append([["name", module, name], fingerprint(target)])
        return ["o", len(self.data["objects"]) - 1]

    def system(self, name="run"):
        self.constants[name] = ["value", self.object(os.system, "os", "system")]

    def bound(self, helper="partial"):
        self.system()
        self.constants[helper] = ["helper", helper]
        return assign("bound", call(helper, read("run"), self.command))

    def give(self, name, *steps):
        """A parameter that an access path leads to."""
        place = -1
        for step in steps:
            place = add_path(self.data, place, *step)
        self.data["inputs"].append(place)
        self.data["program"]["parameters"].append(name)

    def given_to_the_rest(self, place, value):
        """Another argument of the call that goes on after the break: the globals, the cells, then the stack."""
        self.last[1][2][place] = value


def iterates_until(attack):
    attack.begin(attack.bound(), expression(call("list", call("iter", read("bound"), text(0)))))


def iterates_a_method(attack):
    attack.begin(attack.bound("MethodType"), expression(call("tuple", call("iter", read("bound"), text(0)))))


def extends_a_list(attack):
    items = method("list", "extend", ["List", [], ["Load"]], call("iter", read("bound"), text(0)))
    attack.begin(attack.bound(), expression(items))


def makes_a_class(attack):
    names = ["Dict", [text("__del__")], [read("bound")]]
    cls = call("type", text("A"), ["Tuple", [read("object")], ["Load"]], names)
    attack.begin(attack.bound(), assign("cls", cls), expression(method("object", "__new__", read("cls"))))


def makes_a_class_by_new(attack):
    names = ["Dict", [text("__del__")], [read("bound")]]
    cls = method("type", "__new__", read("type"), text("A"), ["Tuple", [read("object")], ["Load"]], names)
    attack.begin(attack.bound(), assign("cls", cls), expression(method("object", "__new__", read("cls"))))


def gives_a_class_a_hash(attack):
    attack.constants["cls"] = ["value", attack.object(json.JSONEncoder, "json", "JSONEncoder")]
    attack.begin(
        attack.bound(),
        expression(method("type", "__setattr__", read("cls"), text("__hash__"), read("bound"))),
        assign("one", method("object", "__new__", read("cls"))),
        expression(method("set", "add", ["Set", [text(1)]], read("one"))),
    )


def calls_another(attack):
    attack.system()
    attack.given_to_the_rest(2, read("run"))
    attack.given_to_the_rest(3, attack.command)


def calls_another_of_its_own_globals(attack):
    attack.give("run", ("function", None), ("globals", None), ("item", "os"), ("dict", None), ("item", "system"))
    attack.given_to_the_rest(2, read("run"))


def calls_what_a_class_leads_to(attack):
    steps = [("type", None), ("class attribute", "backward"), ("globals", None), ("item", "torch"), ("dict", None)]
    attack.give("run", ("argument", "x"), *steps, ("item", "os"), ("dict", None), ("item", "system"))
    attack.given_to_the_rest(2, read("run"))


def has_globals_of_its_own(attack):
    attack.system()
    attack.given_to_the_rest(0, ["Dict", [text("helper")], [read("run")]])


def assigns_to_what_it_calls(attack):
    attack.system()
    attack.constants["deque"] = ["helper", "deque"]
    attack.begin(assign("deque", read("run")), expression(call("deque", attack.command)))


def names_a_constant_as_a_builtin(attack):
    attack.system("list")
    attack.begin(expression(call("list", attack.command)))


def names_a_parameter_as_a_helper(attack):
    attack.constants["deque"] = ["helper", "deque"]
    attack.give("deque", ("module", "os"), ("dict", None), ("item", "system"))
    attack.begin(expression(call("deque", attack.command)))


def runs_another_original(attack):
    attack.constants["run"] = ["value", attack.object(subprocess.getoutput, "subprocess", "getoutput")]
    attack.constants["original"] = ["original"]
    attack.begin(expression(call("original", read("run"), attack.command, text(None), text(None))))


def reads_a_dictionary(attack):
    attack.constants["partial"] = ["helper", "partial"]
    attack.give("space", ("module", "os"), ("dict", None))
    attack.begin(assign("run", ["Subscript", read("space"), text("system"), ["Load"]]))
    attack.given_to_the_rest(2, read("run"))


def reads_an_attribute(attack):
    attack.give("os", ("module", "os"))
    attack.begin(assign("run", method("object", "__getattribute__", read("os"), text("system"))))
    attack.given_to_the_rest(2, read("run"))


def unpacks_a_list(attack):
    attack.constants["runs"] = ["value", ["l", attack.object(os.system, "os", "system")]]
    attack.begin(["Assign", [["Tuple", [["Name", "run", ["Store"]]], ["Store"]]], read("runs")])
    attack.given_to_the_rest(2, read("run"))


def makes_a_function(attack):
    attack.system()
    attack.constants["FunctionType"] = ["helper", "FunctionType"]
    attack.constants["code"] = ["value", ["o", len(attack.data["objects"])]]
    attack.data["objects"].append([["code"], fingerprint(program.__code__)])
    space = ["Dict", [text("tracer")], [read("run")]]
    attack.begin(assign("made", call("FunctionType", read("code"), space, text("made"))))
    attack.given_to_the_rest(2, read("made"))


def repeats_a_list(attack):
    attack.begin(assign("many", ["BinOp", ["List", [text(0)], ["Load"]], ["Mult"], text(1 << 60)]))


def repeats_a_text(attack):
    attack.begin(assign("many", ["BinOp", text("x"), ["Mult"], text(1 << 60)]))


def formats_a_text(attack):
    attack.begin(assign("many", ["BinOp", text("%999999999999d"), ["Mod"], text(1)]))


def doubles_a_list(attack):
    twice = assign("items", ["BinOp", read("items"), ["Add"], read("items")])
    attack.begin(assign("items", ["List", [text(0)], ["Load"]]), *[twice] * 60)


def squares_a_number(attack):
    square = assign("many", ["BinOp", read("many"), ["Mult"], read("many")])
    attack.begin(assign("many", text(1 << 60)), *[square] * 60)


def raises_to_a_power(attack):
    tower = text(1 << 60)
    for _ in range(20):
        tower = ["BinOp", tower, ["Pow"], text(64)]
    attack.begin(assign("many", tower))


def lists_a_range(attack):
    attack.begin(assign("many", call("list", call("range", text(1 << 60)))))


def lists_a_range_by_its_iterator(attack):
    attack.begin(
        assign("each", call("iter", call("range", text(1 << 60)))), assign("many", call("tuple", read("each")))
    )


def extends_by_a_range(attack):
    attack.begin(
        assign("items", ["List", [], ["Load"]]),
        expression(method("list", "extend", read("items"), call("range", text(1 << 60)))),
    )


def skips_forever(attack):
    attack.constants["advance"] = ["helper", "advance"]
    attack.begin(expression(call("advance", call("iter", call("range", text(1 << 60))), text(1 << 60))))


ATTACKS = [
    *(iterates_until, iterates_a_method, extends_a_list, makes_a_class, makes_a_class_by_new, gives_a_class_a_hash),
    *(calls_another, calls_another_of_its_own_globals, calls_what_a_class_leads_to, has_globals_of_its_own),
    *(assigns_to_what_it_calls, names_a_constant_as_a_builtin, names_a_parameter_as_a_helper, runs_another_original),
    *(reads_a_dictionary, reads_an_attribute, unpacks_a_list, makes_a_function),
    *(repeats_a_list, repeats_a_text, formats_a_text, lists_a_range, lists_a_range_by_its_iterator),
    *(extends_by_a_range, skips_forever),
]


def attacked(attack, tmp_path):
    """Change the stored capture of the program, and return a file that is not there unless the attack made it."""
    tracer.capture(program, cache=tmp_path)(torch.ones(3))
    forget()
    mark, changed = tmp_path / "owned", 0
    for file in files(tmp_path):
        data = contents(file.path)
        if data["program"] and any(row[0] == "branch" for row in data["program"]["constants"].values()):
            attack(Attack(data, mark))
            rewrite(file.path, data)
            changed += 1
    assert changed == 1
    return mark


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.__name__)
def test_nothing_else_is_called(attack, tmp_path):
    expected, mark = program(torch.ones(3)), attacked(attack, tmp_path)
    assert torch.equal(tracer.capture(program, cache=tmp_path)(torch.ones(3)), expected)
    assert not mark.exists()
    assert "capture" in kinds() and "bug" not in kinds()


@pytest.mark.parametrize(
    "attack", [doubles_a_list, squares_a_number, raises_to_a_power], ids=lambda each: each.__name__
)
def test_memory_is_not_eaten(attack, tmp_path):
    """What cannot be told before the program runs ends it there."""
    attacked(attack, tmp_path)
    with pytest.raises(BadFile, match="no number"):
        tracer.capture(program, cache=tmp_path)(torch.ones(3))
