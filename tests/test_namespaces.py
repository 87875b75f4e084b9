"""A name that was set is read as it was set, whichever way the dictionary that holds it is reached."""

import sys
import types

import pytest
import torch

from tests.check import one_graph
from tracer import capture, counters, reset

config = types.ModuleType("config")
level = 1


def settled():
    return level


def helper():
    return 1


class Holder:
    pass


class Registered:
    count = 0


holder = Holder()
holder.x = 1
kept_dictionary = holder.__dict__
kept_names = config.__dict__
kept_attributes = helper.__dict__


@pytest.fixture(autouse=True)
def as_they_were():
    def restore():
        global level
        level = 1
        config.__dict__.pop("added", None)
        config.flag = "old"
        helper.__dict__.clear()
        kept_dictionary.clear()
        kept_dictionary["x"] = 1
        Registered.count = 0

    restore()
    yield
    restore()


def module_attribute(x):
    before = config.flag
    config.flag = "new"
    seen = config.flag
    config.flag = before
    return x + 1, seen, config.flag


def module_attribute_deleted(x):
    config.added = 1
    del config.added
    return x + 1, hasattr(config, "added"), getattr(config, "added", None)


def module_attribute_by_setattr(x):
    setattr(config, "flag", 3)  # noqa: B010
    seen = config.flag, getattr(config, "flag")  # noqa: B009
    delattr(config, "flag")
    missing = hasattr(config, "flag")
    config.flag = "old"
    return x + 1, seen, missing


def global_name_by_its_module(x):
    this = sys.modules[__name__]
    before = settled()
    this.level = 5
    seen = settled(), level, this.level
    this.level = 1
    return x + 1, before, seen, settled()


def global_statement_by_its_module(x):
    global level
    level = 7
    seen = sys.modules[__name__].level
    del level
    gone = hasattr(sys.modules[__name__], "level")
    level = 1
    return x + 1, seen, gone


def function_attribute(x):
    helper.calls = 1
    helper.calls += 1
    seen = helper.calls, getattr(helper, "calls"), hasattr(helper, "calls")  # noqa: B009
    del helper.calls
    return x + 1, seen, hasattr(helper, "calls")


def class_attribute(x):
    Registered.count += 1
    seen = Registered.count, Registered().count
    Registered.count = 0
    return x + 1, seen, Registered.count


WHOLE = (
    *(module_attribute, module_attribute_deleted, module_attribute_by_setattr, global_name_by_its_module),
    *(global_statement_by_its_module, function_attribute, class_attribute),
)


@pytest.mark.parametrize("program", WHOLE, ids=lambda program: program.__name__)
def test_written_name_is_read_back(program):
    one_graph(program, torch.ones(2))


def names_of_a_module(x):
    vars(config)["flag"] = "by the dictionary"
    seen = config.flag
    config.flag = "by the module"
    return x + 1, seen, vars(config)["flag"], config.__dict__["flag"], kept_names["flag"]


def names_of_a_module_kept_elsewhere(x):
    kept_names["flag"] = 2
    seen = config.flag
    config.flag = 3
    return x + 1, seen, kept_names["flag"]


def attributes_of_a_function(x):
    helper.__dict__["a"] = 1
    seen = helper.a
    helper.b = 2
    return x + 1, seen, dict(helper.__dict__), kept_attributes.get("b")


def attributes_of_an_instance(x):
    holder.__dict__["x"] = 2
    seen = holder.x
    holder.x = 3
    return x + 1, seen, holder.__dict__["x"], vars(holder)


def attributes_of_an_instance_kept_elsewhere(x):
    kept_dictionary["x"] = 2
    seen = holder.x
    holder.x = 3
    return x + 1, seen, kept_dictionary["x"]


def attributes_read_first_and_kept_elsewhere(x):
    first = holder.x, kept_dictionary["x"]
    holder.x = 3
    second = kept_dictionary["x"], list(kept_dictionary)
    kept_dictionary["x"] = 4
    return x + 1, first, second, holder.x


def names_of_a_class(x):
    Registered.count = 4
    return x + 1, Registered.__dict__["count"], vars(Registered)["count"]


def names_of_this_module(x):
    globals()["level"] = 9
    seen = level, settled()
    sys.modules[__name__].level = 1
    return x + 1, seen, globals()["level"]


def names_of_a_namespace(x):
    space = {"x": 1}
    exec("x += 1\ny = x", space)
    return x + 1, space["x"], space["y"]


MIXED = (
    *(names_of_a_module, names_of_a_module_kept_elsewhere, attributes_of_a_function, attributes_of_an_instance),
    *(attributes_of_an_instance_kept_elsewhere, attributes_read_first_and_kept_elsewhere, names_of_a_class),
    *(names_of_this_module, names_of_a_namespace),
)


@pytest.mark.parametrize("program", MIXED, ids=lambda program: program.__name__)
def test_name_is_one_through_all_doors(program):
    reset()
    captured = capture(program, strict=True)
    for _ in range(2):
        results = []
        for run in (program, captured):
            kept_dictionary.clear()
            kept_dictionary["x"] = 1
            helper.__dict__.clear()
            config.flag = "old"
            Registered.count = 0
            results.append([repr(part) for part in run(torch.ones(2))[1:]])
        assert results[0] == results[1]
    assert counters().tracer_bugs == 0


def test_instance_attribute_by_its_dictionary_stays_one_graph():
    class Counter:
        def __init__(self):
            self.n = 0

    def program(x):
        counter = Counter()
        counter.__dict__["n"] = 2
        counter.m = 3
        return x + counter.n, vars(counter), counter.__dict__["m"]

    one_graph(program, torch.ones(2))


def test_every_function_has_a_dictionary_of_its_own():
    def make():
        def function():
            pass

        return function

    def program(function):
        function.__dict__.update({"a": 1})

    functions = [make() for _ in range(3)]
    captured = capture(program)
    for function in functions:
        captured(function)
    assert [vars(function) for function in functions] == [{"a": 1}] * 3
    assert vars(make()) == {}


def test_every_instance_has_a_dictionary_of_its_own():
    def program(instance):
        instance.__dict__.setdefault("seen", []).append(1)
        return vars(instance)

    captured = capture(program)
    results = [captured(Holder()) for _ in range(3)]
    assert results == [{"seen": [1]}] * 3
    assert vars(Holder()) == {}


def test_module_attribute_set_in_one_function_is_read_in_another():
    def inner():
        config.flag = config.flag + "er"
        return config.flag

    def program(x):
        config.flag = "old"
        return x + 1, inner(), inner(), config.flag

    one_graph(program, torch.ones(2))


def test_dictionary_with_attributes_that_an_instance_keeps_its_own_in():
    class Table(dict):
        pass

    def program(x, holder, table):
        before = table["key"]
        holder.key = 5
        return x + 1, before, table.note, table["key"]

    def holder_and_table():
        holder, table = Holder(), Table(key=1)
        table.note = "attribute"
        holder.__dict__ = table
        return holder, table

    captured = capture(program)
    for _ in range(2):
        assert captured(torch.ones(2), *holder_and_table())[1:] == (1, "attribute", 5)


def test_size_of_a_dictionary_that_is_an_argument_of_its_own():
    def program(x, holder, table):
        before = len(table)
        holder.new = 1
        return x + len(table), before

    one = Holder()
    one.old = 1
    captured = capture(program)
    result, before = captured(torch.zeros(2), one, vars(one))
    assert result.tolist() == [2, 2] and before == 1


def deletes_after_a_write(box, x):
    box.__dict__["new"] = x
    del box.old
    return hasattr(box, "old"), dict(vars(box)), len(vars(box))


def counts_after_writes(box, x):
    box.new = x
    before = len(vars(box))
    del box.old
    return before, len(vars(box)), bool(box.__dict__)


def counts_after_a_deletion(box, x):
    attributes = vars(box)
    iterator = iter(attributes)
    del box.old
    return len(attributes), type(iterator).__name__


def deletes_after_a_look(box, x):
    names = list(vars(box))
    del box.old
    return names, list(vars(box)), vars(box).get("old", 5), vars(box) | {"other": x}


def deletes_what_it_wrote(box, x):
    vars(box)["new"] = x
    del box.new
    return list(vars(box).items()), hasattr(box, "new")


def deletes_and_sets_again(box, x):
    list(vars(box))
    del box.old
    box.old = x
    return list(vars(box).items()), repr(vars(box)) != "{}"


def deletes_through_both(box, x):
    attributes = vars(box)
    attributes["new"] = x
    object.__delattr__(box, "old")
    del attributes["new"]
    box.old = x + 1
    return attributes.setdefault("new", 3), list(attributes)


@pytest.mark.parametrize("make", [Holder, types.SimpleNamespace])
@pytest.mark.parametrize(
    "program",
    [
        *(counts_after_writes, counts_after_a_deletion, deletes_after_a_write, deletes_after_a_look),
        *(deletes_what_it_wrote, deletes_and_sets_again, deletes_through_both),
    ],
    ids=lambda program: program.__name__,
)
def test_what_is_deleted_is_in_no_look_at_the_dictionary(program, make):
    """The mark of a deleted attribute never shows, in the trace or in what it leaves."""

    def outcome(call):
        box = make()
        box.old, box.kept = 1, 2
        results = [repr(call(box, torch.ones(1)))]
        box.old = 3
        return [*results, repr(call(box, torch.zeros(1))), list(vars(box).items())]

    assert repr(outcome(capture(program))) == repr(outcome(program))
