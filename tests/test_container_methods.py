"""Every method of the built-in containers, captured against plain, in random sequences of calls.

One container goes through all calls of a sequence, and is changed from outside before the captured function is called
again. Compared are results, exceptions with their arguments, the containers and the order of what is in them.
"""

import copy
import math
import operator
import os
from collections import Counter, OrderedDict, defaultdict, deque

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.check import check, one_graph
from tests.same import differences
from tracer import capture, counters, graph_break, reset
from tracer.interpret import trace

EXAMPLES = int(os.environ.get("BYTEGRAPH_CONTAINER_EXAMPLES", "12"))


class Ordered(OrderedDict):
    """A subclass with attributes and a method of its own."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)


class Numbers(list):
    pass


class Members(set):
    pass


class Window(deque):
    pass


class Table(dict):
    def __missing__(self, key):
        return "missing"


KINDS = {
    "list": lambda items: list(items),
    "list subclass": lambda items: Numbers(items),
    "tuple": lambda items: tuple(items),
    "set": lambda items: {item for item in items if not isinstance(item, (list, set, dict))},
    "set subclass": lambda items: Members(item for item in items if not isinstance(item, (list, set, dict))),
    "frozenset": lambda items: frozenset(item for item in items if not isinstance(item, (list, set, dict))),
    "deque": lambda items: deque(items),
    "bounded deque": lambda items: deque(items, 3),
    "deque subclass": lambda items: Window(items, 4),
    "dict": lambda items: {str(i): item for i, item in enumerate(items)},
    "dict subclass": lambda items: Table({str(i): item for i, item in enumerate(items)}),
    "OrderedDict": lambda items: OrderedDict((i, item) for i, item in enumerate(items)),
    "OrderedDict subclass": lambda items: Ordered((i, item) for i, item in enumerate(items)),
    "defaultdict": lambda items: defaultdict(list, {i: item for i, item in enumerate(items)}),
    "Counter": lambda items: Counter(str(item) for item in items),
    "str": lambda items: "".join(map(str, items)),
    "bytes": lambda items: bytes(len(str(item)) for item in items),
    "range": lambda items: range(len(items), 3 * len(items), 2),
}

NOT_CALLED = {
    *("__class__", "__new__", "__init_subclass__", "__subclasshook__", "__class_getitem__", "__sizeof__", "__reduce__"),
    *("__radd__", "__rmul__", "__rmod__", "__ror__", "__rand__", "__rsub__", "__rxor__"),
    *(
        "__format__",
        "__reduce_ex__",
        "__getstate__",
        "__dir__",
        "__getattribute__",
        "__setattr__",
        "__delattr__",
        "__doc__",
    ),
}
"""What is not a method of a container, or says how CPython keeps it."""

OPERATORS = {
    f"__{name.rstrip('_')}__": getattr(operator, name)
    for name in (
        *("add", "iadd", "mul", "imul", "mod", "or_", "ior", "and_", "iand", "sub", "isub", "xor", "ixor"),
        *("eq", "ne", "lt", "le", "gt", "ge", "contains", "getitem", "setitem", "delitem"),
    )
}
"""Special methods that are called as operators call them: called by name, C words its errors otherwise."""

ATOMS = st.sampled_from([0, 1, 2, -1, 3, 7, True, None, 1.0, "", "a", "0", "1", "ab", b"a", (1, 2), math.nan])
SEQUENCES = st.one_of(
    st.lists(ATOMS, max_size=4),
    st.lists(ATOMS, max_size=3).map(tuple),
    st.lists(st.tuples(ATOMS, ATOMS), max_size=3),
    st.sets(st.sampled_from([0, 1, 2, "a", "0", (1, 2)]), max_size=3),
    st.dictionaries(st.sampled_from([0, 1, "a", "0", None]), ATOMS, max_size=3),
    st.lists(ATOMS, max_size=3).map(deque),
    st.dictionaries(st.sampled_from([0, 1, "a", "0"]), ATOMS, max_size=3).map(OrderedDict),
    st.sampled_from(["abc", "0", b"ab", slice(1, None), slice(None, None, -1), slice(0, 2), range(3), frozenset({1})]),
)
ARGUMENTS = st.lists(st.one_of(ATOMS, SEQUENCES), max_size=3).map(tuple)


def methods_of(cls):
    return sorted(name for name in dir(cls) if name not in NOT_CALLED and callable(getattr(cls, name)))


def call_all(target, steps, x):
    """The captured program."""
    results = [x + 1]
    for name, arguments in steps:
        try:
            result = OPERATORS[name](target, *arguments) if name in OPERATORS else getattr(target, name)(*arguments)
        except Exception as error:
            result = type(error), error.args
        results.append(result)
    return results, target


def settled(value):
    """A result, with what it shows: iterators and views are compared by their items."""
    if hasattr(value, "__next__") or type(value).__name__.endswith(("_keys", "_values", "_items")):
        try:
            return type(value), list(value)
        except RuntimeError as error:
            return type(value), str(error)
    if isinstance(value, (set, frozenset)):
        return value, list(value)
    return value


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_of_calls(kind):
    names = methods_of(type(KINDS[kind]([])))

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(
        st.lists(ATOMS, max_size=4),
        st.lists(st.tuples(st.sampled_from(names), ARGUMENTS), min_size=1, max_size=8),
        st.lists(st.tuples(st.sampled_from(names), ARGUMENTS), max_size=2),
    )
    def calls_agree(items, steps, changes):
        reset()
        captured = capture(call_all, strict=True)
        worlds = [copy.deepcopy((KINDS[kind](items), steps, changes)) for _ in range(2)]
        for _ in range(2):
            seen = []
            for function, (target, own_steps, own_changes) in zip((call_all, captured), worlds, strict=True):
                results, afterwards = function(target, own_steps, torch.ones(2))
                assert afterwards is target
                seen.append(([settled(result) for result in results], settled(target), own_steps))
                call_all(target, own_changes, torch.ones(2))
            assert not differences(seen[0], seen[1], f"{kind}")
        assert counters().tracer_bugs == 0

    calls_agree()


def refusal(function, *args):
    try:
        function(*args)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize("copier", (copy.copy, copy.deepcopy), ids=lambda copier: copier.__name__)
def test_what_keeps_its_state_in_c_is_not_copied(copier):
    class Slotted:
        __slots__ = ("a", "__weakref__")

    class Filled(Slotted):
        pass

    def program(x):
        table, slotted, filled = {1: 10, "a": "b"}, Slotted(), Filled()
        slotted.a = filled.b = 3
        views = [refusal(copier, view) for view in (table.keys(), table.values(), table.items())]
        return x + 1, *views, refusal(copier, (item for item in table)), copier(slotted).a, copier(filled).b

    check(program, torch.ones(2), recaptures=None)


def questions(items, others):
    """What can be asked of two containers without changing them."""
    answers = [items == others, items != others, 5 in items, math.nan in items, repr(items)]
    if not isinstance(items, dict):
        answers += [refusal(operator.lt, items, others), refusal(operator.ge, items, others), items.count("a")]
        answers += [refusal(lambda: items.index(99)) or items.index(99)]
    return answers


@pytest.mark.parametrize("kind", [list, deque, dict.fromkeys, lambda items: deque(items, 150)])
def test_containers_of_literals_are_left_to_cpython(monkeypatch, kind):
    """Looking for the last of a hundred items is one step of a trace, not a hundred."""
    monkeypatch.setattr(trace, "STRETCH", 300)

    def program(x):
        items = kind(list(range(100)))
        others = kind([float(number) for number in range(100)])
        return x + 1, questions(items, others), questions(items, kind([1, "a"])), questions(kind([math.nan]), items)

    one_graph(program, torch.ones(2))


@pytest.mark.parametrize("kind", [list, deque, dict.fromkeys])
def test_containers_of_more_than_literals_are_compared_by_the_program(kind):
    class Five:
        def __eq__(self, other):
            return other == 5

        def __hash__(self):
            return 5

        def __repr__(self):
            return "Five()"

    def program(x, n):
        items = kind([Five(), n, (n, 1)])
        size = kind([x.shape, x.shape[0]])
        return x + 1, questions(items, kind([5, 3, (3, 1)])), 3 in items, size == kind([(n, 2), n]), len(size)

    captured = capture(program, strict=True)
    for n in (3, 5, 7, 3):
        x = torch.ones(n, 2)
        assert not differences(program(x, n), captured(x, n), "result")
    assert counters().tracer_bugs == 0


class Forgetful:
    """A key that is hashed anew each time, and counts how often."""

    hashes: list[int] = []

    def __hash__(self):
        Forgetful.hashes.append(len(Forgetful.hashes))
        return len(Forgetful.hashes)


def test_keys_of_a_dict_from_outside_are_not_hashed_by_the_tracer():
    def program(x, table):
        return x + 1, sum(dict.values(table)), len(table), [type(key).__name__ for key in dict.keys(table)]

    table = {1: 1, 2: 2} | {Forgetful(): number for number in range(3)}
    expected = program(torch.ones(2), table)
    reset()
    captured = capture(program, strict=True)
    for _ in range(2):
        Forgetful.hashes.clear()
        assert not differences(expected, captured(torch.ones(2), table), "result")
        assert not Forgetful.hashes
    assert counters().tracer_bugs == 0


@pytest.mark.parametrize("ask", [list, len, repr, lambda table: table.values(), lambda table: table.copy()])
def test_an_ordered_dict_whose_keys_are_not_found_any_more(ask):
    def program(x, table):
        try:
            return x + 1, len(list(ask(table)))
        except (KeyError, TypeError) as error:
            return x + 2, type(error)

    table = OrderedDict([(Forgetful(), number) for number in range(3)])
    reset()
    captured = capture(program, strict=True)
    for _ in range(2):
        assert captured(torch.ones(2), table)[1] == program(torch.ones(2), table)[1]
    assert counters().tracer_bugs == 0


@pytest.mark.parametrize("change", ["clear", "add", "delete", "replace"])
@pytest.mark.parametrize("merge", [dict.update, dict.__ior__])
def test_dict_changed_by_a_comparison_while_another_takes_its_items(change, merge):
    def program(x):
        class Key:
            def __hash__(self):
                return 0

            def __eq__(self, other):
                changes.get(change, int)()
                return False

        changes = {}
        source = {number: number for number in range(5)} | {Key(): 5} | {number: number for number in range(6, 9)}
        target = {Key(): 0, 1: 1}
        changes["clear"] = source.clear
        changes["add"] = lambda: source.setdefault("new", 1)
        changes["delete"] = lambda: source.pop(7, None)
        changes["replace"] = lambda: source.__setitem__(7, "replaced")
        error = None
        try:
            merge(target, source)
        except RuntimeError as raised:
            error = str(raised)
        return x + 1, error, [value for value in target.values()]

    reset()
    captured = capture(program)
    for _ in range(2):
        assert captured(torch.ones(2))[1:] == program(torch.ones(2))[1:]
    assert counters().tracer_bugs == 0


def made_inside(_):
    return OrderedDict(a=1, b=2)


def from_outside(table):
    return table


STORAGE = {
    "set": lambda table: dict.__setitem__(table, "c", 3),
    "default": lambda table: dict.setdefault(table, "c", 3),
    "update": lambda table: dict.update(table, c=3),
    "union": lambda table: dict.__ior__(table, {"c": 3}),
    "delete": lambda table: dict.__delitem__(table, "a"),
    "pop": lambda table: dict.pop(table, "b"),
    "last": lambda table: dict.popitem(table),
    "clear": lambda table: dict.clear(table),
    "swap": lambda table: (dict.pop(table, "b"), dict.update(table, c=3)),
    "copy": lambda table: dict.copy(table),
    "views": lambda table: [*dict.keys(table), *dict.values(table), *dict.items(table)],
    "iterators": lambda table: [*dict.__iter__(table), *dict.__reversed__(table)],
}


@pytest.mark.parametrize("whose", [made_inside, from_outside], ids=["inside", "outside"])
@pytest.mark.parametrize("change", STORAGE.values(), ids=STORAGE)
def test_methods_of_dict_know_nothing_of_the_order_of_an_ordered_dict(change, whose):
    def program(x, table):
        table = whose(table)
        answer = change(table)
        seen = [len(table), "c" in table, dict.get(table, "c")]
        try:
            seen.append(list(table.items()))
        except KeyError as error:
            seen.append(error.args)
        return x + 1, answer if answer is not table else "itself", seen

    captured = capture(program, strict=True)
    for _ in range(2):
        tables = OrderedDict(a=1, b=2), OrderedDict(a=1, b=2)
        expected, observed = program(torch.ones(2), tables[0]), captured(torch.ones(2), tables[1])
        assert observed[1:] == expected[1:]
        assert [*dict.items(tables[1])] == [*dict.items(tables[0])]


class Lenient:
    """Equals any text."""

    def __hash__(self):
        return hash("a")

    def __eq__(self, other):
        return isinstance(other, str)


class Inverted(set):
    def __contains__(self, member):
        return not super().__contains__(member)


MEMBERS = {"a": set("ab"), "b": set("bc"), "empty": set(), "frozen": frozenset("ab"), "numbers": {1, True, 2.5, None}}
MEMBERS |= {
    "inverted": Inverted("ab"),
    "lenient": {Lenient(), 1},
    "tuples": {("a",), "a"},
    "objects": {torch.float32, len, "a"},
}


@pytest.mark.parametrize("member", ["a", 1, 1.0, True, None, math.nan, ("a",), torch.float32])
@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_of_a_set_from_outside(name, member):
    def program(x, members):
        if member in members:
            x = x + 1
        return x, member not in members, members.__contains__(member), member in members and len(members)

    def changing(x, members):
        before = member in members
        members.add(member)
        between = member in members
        members.discard(member)
        return x + 1, before, between, member in members, members

    captured, changed = capture(program, strict=True), capture(changing, strict=True)
    for members in (MEMBERS[name], set("a"), set("b"), {1, "a"}, MEMBERS[name]):
        assert not differences(program(torch.ones(2), members), captured(torch.ones(2), members), "result")
        if isinstance(members, set):
            expected, observed = changing(torch.ones(2), members.copy()), changed(torch.ones(2), members.copy())
            assert observed[1:] == expected[1:]


def test_other_members_of_a_set_from_outside_are_not_guarded():
    def program(x, members):
        return x + 1 if "a" in members and "z" not in members else x

    reset()
    captured = capture(program, strict=True)
    for members in ({"a"}, {"a", "b"}, set("abc"), {*range(1000), "a"}):
        assert captured(torch.zeros(1), members).item() == 1
    assert counters().captures == 1
    for members in ({"b"}, {"a", "z"}, set()):
        assert captured(torch.zeros(1), members).item() == 0


@pytest.mark.parametrize("kind", [set, dict.fromkeys])
def test_a_number_that_varies_is_not_compared_with_all_of_many(kind):
    def program(x, number, numbers):
        return x + number if number in numbers else x

    reset()
    captured, numbers = capture(program, strict=True), kind(range(1000))
    for number in (1, 2, 3, 5000):
        assert captured(torch.zeros(1), number, numbers).item() == (number if number < 1000 else 0)
    captures = counters().captures
    for added in (2000, 3000):
        numbers |= kind([added])
        for number in (3, 5000):
            assert captured(torch.zeros(1), number, numbers).item() == (number if number < 1000 else 0)
    assert counters().captures == captures


def _popped_before(d, s):
    d.pop("a")
    entries = []
    for entry in d.items():
        entries.append(entry)
        graph_break()
    return entries


def _members_discarded_before(d, s):
    s.discard(1)
    members = []
    for member in s:
        members.append(member)
        graph_break()
    return members


def _values_written_meanwhile(d, s):
    keys = []
    for key in d:
        d[key] = 5
        keys.append(key)
        graph_break()
    return keys


def _reversed_after_an_insertion(d, s):
    d["z"] = 1
    keys = reversed(d)
    return next(keys), graph_break(), list(keys)


def _members_added_before_and_behind(d, s):
    s.add(77)
    members = iter(s)
    next(members)
    graph_break()
    s.add(78)
    return list(members)


def _key_put_again(d, s):
    del d["a"]
    d["a"] = 2
    keys = iter(d)
    return next(keys), graph_break(), list(keys)


def _other_keys_meanwhile(d, s):
    keys = iter(d)
    next(keys)
    del d["a"]
    d["q"] = 2
    graph_break()
    return list(keys)


def _pairs_after_an_update(d, s):
    d.update(t=1)
    pairs = zip(d, enumerate(d.items()), map(str, d.values()))
    return next(pairs), graph_break(), list(pairs)


ITERATED = [_popped_before, _members_discarded_before, _values_written_meanwhile, _reversed_after_an_insertion]
ITERATED += [_members_added_before_and_behind, _key_put_again, _other_keys_meanwhile, _pairs_after_an_update]


@pytest.mark.parametrize("program", ITERATED)
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_iterators_of_changed_tables_across_a_break(program, kind):
    check(program, kind(a=1, b=2, c=3), {1, 2, 3}, recaptures=None)


@pytest.mark.parametrize("name", ["symmetric_difference", "add"])
def test_a_refusal_names_the_class_that_the_method_was_looked_up_in(name):
    def program(x, name):
        members = Members()
        try:
            getattr(members, name)(1, 2)
        except TypeError as error:
            return x + 1, str(error)

    expected = program(torch.ones(2), name)
    assert expected[1].startswith(f"Members.{name}()")
    captured = capture(program)
    assert [captured(torch.ones(2), name)[1] for _ in range(2)] == [expected[1]] * 2


def test_the_maximal_length_of_a_deque_from_outside_is_guarded():
    def program(x, items):
        items.append(x.sum())
        return torch.stack(list(items)).sum(), len(items), items.maxlen

    class Measured(deque):
        maxlen = property(lambda self: 7)

    captured = capture(program, strict=True)
    for make in (lambda: deque([], 2), lambda: deque([], 1), lambda: deque([]), lambda: deque([], 2), Measured):
        for again in range(2):
            items, expected = make(), make()
            for each in range(2 + again):
                assert captured(torch.ones(2) * each, items) == program(torch.ones(2) * each, expected)
            assert items == expected


class NotIterable:
    __iter__ = None

    def __getitem__(self, index):
        return index


class Refusing:
    def __iter__(self):
        raise TypeError("not now")


class Broken:
    def __iter__(self):
        raise KeyError("broken")


class NoIterator:
    def __iter__(self):
        return 5


@pytest.mark.parametrize("cls", [NotIterable, Refusing, Broken, NoIterator])
def test_membership_in_what_gives_no_iterator(cls):
    def program(x):
        try:
            return x, 1 in cls()
        except (TypeError, KeyError) as error:
            return x + 1, type(error), str(error)

    check(program, torch.ones(2), graphs=1, breaks=[])
