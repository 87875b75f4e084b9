"""Objects born in a captured function and handed out: cycles, shared identity, things that contain themselves."""

import collections

import pytest
import torch

from tests.check import check


class Node:
    def __init__(self, value):
        self.value = value
        self.children = []
        self.parent = None

    def add(self, child):
        self.children.append(child)
        child.parent = self
        return self


class Slotted:
    __slots__ = ("peer", "value")


def list_in_itself(x):
    items = [x + 1]
    items.append(items)
    return items


def dictionary_in_itself(x):
    table = {"x": x * 2}
    table["me"] = table
    return table, table["me"]


def tuple_in_its_list(x):
    pair = ([x],)
    pair[0].append(pair)
    return pair


def deque_in_itself(x):
    queue = collections.deque([x], 3)
    queue.append(queue)
    return queue


def tree(x):
    root = Node(x + 1)
    root.add(Node(x + 2).add(Node(x + 3)))
    return root.children, root


def function_in_its_own_list(x):
    functions = []

    def given():
        return functions

    functions.append(given)
    return functions, x + 1


def shared_parts(x):
    inner = [x + 1]
    outer = [inner, inner]
    return outer, inner, {"outer": outer, "pair": (inner, outer)}


def slots_in_a_cycle(x):
    first, second = Slotted(), Slotted()
    first.peer, second.peer, first.value = second, first, x + 1
    return [first, second]


def error_that_holds_itself(x):
    error = ValueError("a", x + 1)
    error.me = error
    return error


def error_that_was_caught(x):
    try:
        raise KeyError("z")
    except KeyError as error:
        error.add_note("caught")
        kept = error
    return kept, x + 1


def default_dictionary(x):
    table = collections.defaultdict(list)
    table["a"].append(x + 1)
    table["b"] = table
    return table["a"], table["c"]


def methods_of_what_is_returned(x):
    node = Node(x + 1)
    return node.add, node


def aliases_between_tuple_and_dictionary(x):
    pair = (x + 1, [1])
    return pair, {"pair": pair}, pair[1]


@pytest.mark.parametrize(
    "program",
    [
        list_in_itself,
        dictionary_in_itself,
        tuple_in_its_list,
        deque_in_itself,
        tree,
        function_in_its_own_list,
        shared_parts,
        slots_in_a_cycle,
        error_that_holds_itself,
        error_that_was_caught,
        default_dictionary,
        methods_of_what_is_returned,
        aliases_between_tuple_and_dictionary,
    ],
)
def test_born_objects(program):
    check(program, torch.ones(2), breaks=[])


def test_list_argument_appended_to_itself():
    def program(items, x):
        items.append(items)
        items.append(x + 1)
        return items

    check(program, [], torch.ones(2), breaks=[])


def test_dictionary_argument_within_a_new_list():
    def program(table, x):
        table["self"] = table
        holder = [table]
        table["holder"] = holder
        return holder, x + 1

    check(program, {}, torch.ones(2), breaks=[])


def test_box_around_the_list_that_holds_it():
    def program(items, x):
        items.append({"items": items, "x": x + 1})
        return len(items)

    check(program, [], torch.ones(2), breaks=[])


def test_half_consumed_iterators():
    def program(items, table, x):
        first, second, third = iter(items), iter(table.items()), reversed(items)
        next(first), next(second), next(third)
        return first, second, third, iter("abc"), x + 1

    check(program, [1, 2, 3], {"a": 1, "b": 2}, torch.ones(2), breaks=[], calls=1)


def test_attributes_deleted_and_set_again():
    def program(node, x):
        del node.value
        node.value = x + 1
        node.new = node
        del node.parent
        return list(vars(node))

    check(program, Node(1), torch.ones(2), breaks=[])


def test_slots_of_an_argument():
    def program(slotted, x):
        slotted.peer = slotted
        slotted.value = x + 1
        del slotted.peer
        return hasattr(slotted, "peer")

    def make():
        slotted = Slotted()
        slotted.peer = None
        return slotted, torch.ones(2)

    check(program, make=make, breaks=[])


def test_class_attributes_written_and_deleted():
    class Settings:
        scale = 2

    def program(x):
        Settings.extra = x + 1
        Settings.scale += 1
        total = Settings.extra * Settings.scale
        del Settings.extra
        Settings.scale -= 1
        return total, hasattr(Settings, "extra")

    check(program, torch.ones(2), breaks=[])


def test_raised_error_has_the_lines_of_the_program():
    def inner(x):
        raise ValueError("deep")

    def program(x):
        try:
            inner(x + 1)
        except ValueError as error:
            kept = error
        traceback = kept.__traceback__
        names = []
        while traceback is not None:
            names.append((traceback.tb_frame.f_code.co_name, traceback.tb_lineno))
            traceback = traceback.tb_next
        return names

    check(program, torch.ones(2), calls=1)
