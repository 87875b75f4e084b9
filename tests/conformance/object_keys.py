"""Objects as keys of dictionaries and elements of sets: identity, `__hash__` and `__eq__` of the program's own."""

from __future__ import annotations

import collections
import dataclasses
import enum

from tests.conformance.catalogue import program


class Plain:
    def __init__(self, name):
        self.name = name


class Word:
    def __init__(self, text):
        self.text = text

    def __hash__(self):
        return hash(self.text.lower())

    def __eq__(self, other):
        return isinstance(other, Word) and self.text.lower() == other.text.lower()


@dataclasses.dataclass(frozen=True)
class Place:
    row: int
    column: int = 0


Pair = collections.namedtuple("Pair", "left right")


class Suit(enum.Enum):
    HEARTS = 1
    SPADES = 2


@program()
def identity_keys():
    a, b = Plain("a"), Plain("a")
    table = {a: 1, b: 2}
    table[a] += 10
    return table[a], table[b], len(table), a in table, Plain("a") in table, [key.name for key in table]


@program()
def keys_with_equality():
    table = {Word("One"): 1}
    table[Word("ONE")] = 2
    table[Word("two")] = 3
    return [(key.text, value) for key, value in table.items()], table[Word("TWO")], Word("three") in table, len(table)


@program()
def elements_with_equality():
    words = {Word("a"), Word("A"), Word("b")}
    words.add(Word("B"))
    words.discard(Word("a"))
    return len(words), Word("b") in words, Word("a") in words, {w.text for w in words}


@program()
def frozen_data_class_keys():
    grid = {Place(row, column): row * column for row in range(3) for column in range(3)}
    return grid[Place(2, 2)], Place(5) in grid, len({Place(1), Place(1, 0), Place(2)}), grid.get(Place(0, 9), "none")


@program()
def first_key_is_kept():
    first, second = Word("x"), Word("X")
    table = {first: 1}
    table[second] = 2
    [key] = table
    return key is first, key is second, table[second]


@program()
def named_tuple_and_tuple_are_one_key():
    table = {Pair(1, 2): "named"}
    table[1, 2] = "plain"
    return table, table[Pair(1, 2)], (1, 2) in table, len({Pair(1, 2), (1, 2)})


@program()
def tuples_of_objects_as_keys():
    a, b = Plain("a"), Plain("b")
    table = {(a, 1): "a1", (b, 1): "b1", (a, (b, 2)): "nested"}
    return table[a, 1], table[b, 1], table[a, (b, 2)], (b, 2) in table


@program()
def hash_of_own_objects():
    return hash(Word("a")) == hash(Word("A")), hash(Word("a")) == hash("a"), hash(Place(1, 2)) == hash(Place(1, 2))


@program()
def numbers_that_are_equal():
    table = {1: "int"}
    table[1.0] = "float"
    table[True] = "bool"
    return table, {0, False, 0.0}, {1: 2}.get(True)


@program()
def frozen_sets_as_keys():
    table = {frozenset([1, 2]): "a", frozenset(): "b"}
    return table[frozenset([2, 1])], table[frozenset()], frozenset([Place(1)]) == frozenset([Place(1)])


@program()
def members_and_classes_as_keys():
    table = {Suit.HEARTS: 1, int: 2, len: 3, None: 4, ...: 5, Suit: 6}
    return table[Suit.HEARTS], table[int], table[len], table[None], table[...], table[Suit], Suit.SPADES in table


@program()
def bound_methods_as_keys():
    plain = Plain("a")
    plain.go = "attribute"
    items = []
    table = {items.append: 1}
    word = Word("w")
    other = {word.__hash__: 1, word.__eq__: 2}
    return table[items.append], len(other), other[word.__hash__]


@program()
def unhashable_objects():
    class Loose:
        def __eq__(self, other):
            return True

    messages = []
    for key in (Loose(), [1], {}, {1}, (1, [2]), slice(1)):
        try:
            {key: 1}
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def hash_must_be_an_integer():
    class Wrong:
        def __hash__(self):
            return "hash"

    try:
        return {Wrong(): 1}
    except TypeError as error:
        return str(error)


@program()
def counter_of_objects():
    counts = collections.Counter([Word("a"), Word("A"), Word("b")])
    return counts[Word("a")], counts[Word("c")], sorted(counts.values())


@program()
def grouped_by_object():
    groups = collections.defaultdict(list)
    for text in ("ab", "AB", "cd"):
        groups[Word(text)].append(text)
    return list(groups.values())


@program()
def removal_by_equal_key():
    table = {Word("a"): 1, Word("b"): 2}
    del table[Word("A")]
    popped = table.pop(Word("B"))
    return popped, table, table.pop(Word("B"), "none"), table.setdefault(Word("z"), 5)


@program(({"k": 1},))
def objects_beside_constants(table):
    word = Word("k")
    table[word] = 2
    return len(table), table["k"], table[Word("K")]


@program()
def key_error_carries_the_key():
    word = Word("missing")
    try:
        {}[word]
    except KeyError as error:
        return error.args[0] is word


@program()
def membership_in_lists_and_tuples():
    words = [Word("a"), Word("b")]
    return Word("A") in words, Word("c") in tuple(words), words.index(Word("B")), words.count(Word("a")), 5 in words
