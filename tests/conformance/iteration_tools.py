"""itertools, every function."""

from __future__ import annotations

import itertools
import operator
from itertools import islice

from .catalogue import program, raising


@program()
def chain():
    return list(itertools.chain([1], (2, 3), "a", {})), list(itertools.chain.from_iterable([[1], [2, 3]]))


@program()
def chain_is_lazy():
    def items():
        yield [1, 2]
        raise ValueError("reached")

    result = []
    try:
        for x in itertools.chain.from_iterable(items()):
            result.append(x)
    except ValueError as error:
        result.append(str(error))
    return result


@program()
def product():
    return (
        list(itertools.product([1, 2], "ab")),
        list(itertools.product(range(2), repeat=3)),
        list(itertools.product()),
        list(itertools.product([], [1])),
    )


@program(("abc",))
def combinations(text):
    return (
        list(itertools.combinations(text, 2)),
        list(itertools.combinations(text, 0)),
        list(itertools.combinations(text, 4)),
        list(itertools.combinations_with_replacement(text, 2)),
        list(itertools.permutations(text)),
        list(itertools.permutations(text, 2)),
    )


@program(raising(ValueError))
def negative_combinations():
    return itertools.combinations([1], -1)


@program()
def slices():
    return (
        list(islice(range(10), 3)),
        list(islice(range(10), 2, 5)),
        list(islice(range(10), 1, None, 3)),
        list(islice("abc", 0)),
        list(islice("abc", None)),
        list(islice("abc", 5, 9)),
    )


@program()
def islice_consumes():
    iterator = iter(range(10))
    first = list(islice(iterator, 1, 4, 2))
    return first, next(iterator)


@program(raising(ValueError))
def islice_negative():
    return islice([1], -1)


@program()
def accumulate():
    return (
        list(itertools.accumulate([1, 2, 3, 4])),
        list(itertools.accumulate([3, 1, 2], max)),
        list(itertools.accumulate([1, 2], operator.mul, initial=10)),
        list(itertools.accumulate([], initial=None)),
        list(itertools.accumulate("abc")),
    )


@program()
def groupby():
    return (
        [(k, list(g)) for k, g in itertools.groupby("aabbbca")],
        [(k, list(g)) for k, g in itertools.groupby([1, 3, 2, 4, 5], key=lambda x: x % 2)],
        [k for k, _ in itertools.groupby([1, 1, 2])],
    )


@program()
def groupby_skips_old_groups():
    groups = [g for _, g in itertools.groupby("aab")]
    return [list(g) for g in groups]


@program()
def starmap():
    return list(itertools.starmap(pow, [(2, 3), (3, 2)])), list(itertools.starmap(lambda *a: a, ["ab", ()]))


@program()
def while_kinds():
    small = lambda x: x < 3  # noqa: E731
    items = [1, 2, 3, 1, 4]
    return list(itertools.takewhile(small, items)), list(itertools.dropwhile(small, items))


@program()
def takewhile_consumes_one_more():
    iterator = iter([1, 5, 2])
    return list(itertools.takewhile(lambda x: x < 3, iterator)), list(iterator)


@program()
def zip_longest():
    return (
        list(itertools.zip_longest([1, 2, 3], "a")),
        list(itertools.zip_longest([1], "ab", [True, False, None], fillvalue=0)),
        list(itertools.zip_longest()),
    )


@program()
def tee():
    a, b = itertools.tee(x * x for x in range(4))
    first = next(a), next(a), next(b)
    c = itertools.tee([1, 2], 3)
    return first, list(a), list(b), [list(x) for x in c], len(itertools.tee([], 0))


@program()
def infinite():
    return (
        list(islice(itertools.count(), 3)),
        list(islice(itertools.count(5, -2), 4)),
        list(islice(itertools.count(0.5, 0.5), 3)),
        list(islice(itertools.cycle("ab"), 5)),
        list(itertools.cycle([])),
        list(itertools.repeat("x", 3)),
        list(islice(itertools.repeat(1), 2)),
        list(map(pow, range(4), itertools.repeat(2))),
    )


@program()
def filters():
    return (
        list(itertools.compress("abcd", [1, 0, True, None])),
        list(itertools.compress("abcd", [1])),
        list(itertools.filterfalse(lambda x: x % 2, range(5))),
        list(itertools.filterfalse(None, [0, 1, "", "a"])),
    )


@program()
def pairwise():
    return list(itertools.pairwise("abcd")), list(itertools.pairwise([1])), list(itertools.pairwise([]))


@program()
def combined():
    words = ["apple", "avocado", "bean", "corn", "cherry"]
    return {k: sorted(len(w) for w in g) for k, g in itertools.groupby(words, key=operator.itemgetter(0))}


@program()
def iterator_is_its_own_iterator():
    return [
        iter(thing) is thing
        for thing in (itertools.chain(), itertools.count(), itertools.cycle([]), itertools.repeat(1), islice([], 1))
    ]


@program()
def errors_in_functions():
    results = []
    for thing in (
        itertools.accumulate([1, "a"]),
        itertools.starmap(pow, [(1,)]),
        itertools.takewhile(lambda x: x < 1, ["a"]),
        itertools.groupby([1], key=lambda x: x.missing),
    ):
        try:
            results.append(list(thing))
        except (TypeError, AttributeError) as error:
            results.append(type(error).__name__)
    return results
