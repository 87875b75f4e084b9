"""Names, attributes and entries that a program deletes, in calls that begin with them and in calls that do not."""

import collections
import traceback

import pytest
import torch

from tracer import capture, reset


class Box:
    pass


class Slotted:
    __slots__ = ("value",)


class Stored:
    value = None


class OnlySet:
    def __set__(self, instance, value):
        instance.__dict__["kept"] = value


class OnlyDelete:
    def __delete__(self, instance):
        instance.__dict__["deleted"] = True


class Described:
    set_only = OnlySet()
    delete_only = OnlyDelete()


box, slotted, entries, ordered, layer = Box(), Slotted(), {}, collections.OrderedDict(), torch.nn.Module()


def attribute_set_and_deleted(x):
    box.value = 1
    del box.value
    return x + 1


def attribute_moved_to_the_end(x):
    box.other = 2
    box.value = 1
    del box.value
    box.value = 3
    return x + 1


def attribute_deleted_if_there(x):
    if hasattr(box, "value"):
        del box.value
    box.last = 3
    return x + 1


def slot(x):
    slotted.value = 1
    del slotted.value
    return x + 1


def entry(x):
    entries["value"] = 1
    del entries["value"]
    return x + 1


def entry_moved_to_the_end(x):
    entries["value"] = 1
    entries.pop("value")
    entries["other"] = 2
    entries["value"] = 4
    return x + 1


def entry_of_an_ordered_dictionary(x):
    ordered["value"] = 1
    del ordered["value"]
    return x + 1


def global_name(x):
    global absent
    absent = 1
    del absent
    return x + 1


def class_attribute(x):
    Stored.value = 1
    del Stored.value
    return x + 1


def function_attribute(x):
    global_name.value = 1
    del global_name.value
    return x + 1


def module_attribute(x):
    torch.value_of_a_test = 1
    del torch.value_of_a_test
    return x + 1


def layer_attribute(x):
    layer.value = 1
    del layer.value
    return x + 1


def tensor_attribute(x):
    x.value = 1
    del x.value
    return x + 1


def tensor_attribute_deleted_if_there(x):
    if hasattr(x, "value"):
        del x.value
    return x + 1


def plain_attribute(x):
    y = x + 1
    del box.value
    return y


def plain_tensor_attribute(x):
    y = x + 1
    del x.value
    return y


def plain_entry(x):
    y = x + 1
    del entries["value"]
    return y


def plain_name(x):
    global absent
    y = x + 1
    del absent
    return y


def plain_class_attribute(x):
    y = x + 1
    del Stored.value
    return y


def plain_in_a_handler(x):
    try:
        del box.value
    except AttributeError:
        return x - 1
    return x + 1


PROGRAMS = [
    attribute_set_and_deleted,
    attribute_moved_to_the_end,
    attribute_deleted_if_there,
    slot,
    entry,
    entry_moved_to_the_end,
    entry_of_an_ordered_dictionary,
    global_name,
    class_attribute,
    function_attribute,
    module_attribute,
    layer_attribute,
    tensor_attribute,
    tensor_attribute_deleted_if_there,
    plain_attribute,
    plain_tensor_attribute,
    plain_entry,
    plain_name,
    plain_class_attribute,
    plain_in_a_handler,
]

HOLDERS = [(box, "value"), (slotted, "value"), (Stored, "value"), (global_name, "value"), (torch, "value_of_a_test")]
HOLDERS += [(layer, "value")]


def prepare(x, there):
    """Everything with, or without, what the programs delete."""
    for holder, name in HOLDERS:
        if hasattr(holder, name):
            delattr(holder, name)
        if there:
            setattr(holder, name, 1)
    globals().pop("absent", None)
    for table in (entries, ordered, vars(x), *([globals()] if there else [])):
        if table is not globals():
            table.clear()
        if there:
            table["absent" if table is globals() else "value"] = 1


def state(x):
    holders = [list(vars(holder).items()) for holder in (box, global_name, x)]
    found = [hasattr(holder, name) for holder, name in HOLDERS]
    return holders, found, list(entries.items()), list(ordered.items()), "absent" in globals()


def outcome(function, x):
    try:
        return function(x).tolist()
    except Exception as error:
        return type(error), str(error), traceback.extract_tb(error.__traceback__)[-1].name


@pytest.mark.parametrize("order", [(True, False, True, False), (False, True, False, True)])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_deleted_with_and_without_it(program, order):
    reset()
    x, runs = torch.ones(2), []
    for function in (program, capture(program)):
        runs.append([])
        for there in order:
            prepare(x, there)
            runs[-1].append((outcome(function, x), state(x)))
    prepare(x, False)
    assert runs[0] == runs[1]


def set_what_only_deletes(x):
    Described().delete_only = x


def delete_what_only_sets(x):
    described = Described()
    described.set_only = x
    del described.set_only


@pytest.mark.parametrize("program", [set_what_only_deletes, delete_what_only_sets])
def test_a_descriptor_with_half_of_its_methods(program):
    reset()
    assert outcome(program, torch.ones(1)) == outcome(capture(program), torch.ones(1))


def _is_key(x, table):
    return x + 1 if "key" in table else x - 1


def _is_among_keys(x, table):
    return x + 1 if "key" in table.keys() else x - 1  # noqa: SIM118


def _item_is_not_used(x, table):
    try:
        table["key"]
    except KeyError:
        return x - 1
    return x + 1


def _default_is_set(x, table):
    table.setdefault("key", 5)
    return x + 1


def _item_is_not_none(x, table):
    return x + 1 if table.get("key") is not None else x - 1


TABLES = [dict, collections.OrderedDict, collections.Counter, lambda items: collections.defaultdict(int, items)]


@pytest.mark.parametrize("program", [_is_key, _is_among_keys, _item_is_not_used, _default_is_set, _item_is_not_none])
@pytest.mark.parametrize("make", TABLES)
@pytest.mark.parametrize("presence", [(True, False, True), (False, True, False)])
def test_whether_a_key_is_there_is_guarded_although_nothing_reads_its_item(program, make, presence):
    captured = capture(program, strict=True)
    for is_there in presence:
        table, expected = (make({"key": 1} if is_there else {}) for _ in range(2))
        assert torch.equal(captured(torch.ones(1), table), program(torch.ones(1), expected))
        assert table == expected
    assert len(captured.entries) == 2
