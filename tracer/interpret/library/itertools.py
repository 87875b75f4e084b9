"""itertools, every function, as generators that the program takes for what itertools makes."""

from __future__ import annotations

import inspect
import itertools
import operator
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tracer.interpret.library.builtins.iteration import iterator_next
from tracer.interpret.library.shared import NotGiven, same
from tracer.interpret.policy import lookaside, polyfill, stands_for

BATCHES: Any = getattr(itertools, "batched", None)
"""`itertools.batched`, since CPython 3.12."""
TAKES_STRICT = BATCHES is not None and "strict" in inspect.signature(BATCHES).parameters

# Endless ---------------------------------------------------------------------------------------------


@polyfill(itertools.count)
def count(start: Any = 0, step: Any = 1) -> Iterator[Any]:
    for number in (start, step):
        kind = type(number)
        if not hasattr(kind, "__index__") and not hasattr(kind, "__float__") and not hasattr(kind, "__complex__"):
            raise TypeError("a number is required")
    return count_from(start, step)


@stands_for(itertools.count)
def count_from(number: Any, step: Any) -> Iterator[Any]:
    """What `count` yields."""
    while True:
        yield number
        number = number + step


@polyfill(itertools.cycle)
def cycle(iterable: Iterable[Any], /) -> Iterator[Any]:
    return cycle_over(iter(iterable))


@stands_for(itertools.cycle)
def cycle_over(iterator: Iterator[Any]) -> Iterator[Any]:
    """What `cycle` yields."""
    seen = []
    for item in iterator:
        seen.append(item)
        yield item
    while seen:
        for item in seen:
            yield item


@polyfill(itertools.repeat)
def repeat(object: Any, times: Any = None) -> Iterator[Any]:
    return repeat_upto(object, None if times is None else operator.index(times))


@stands_for(itertools.repeat)
def repeat_upto(item: Any, times: int | None) -> Iterator[Any]:
    """What `repeat` yields; without end if `times` is None."""
    while times is None or times > 0:
        yield item
        if times is not None:
            times -= 1


# Several iterables -----------------------------------------------------------------------------------


@polyfill(itertools.chain)
def chain(*iterables: Iterable[Any]) -> Iterator[Any]:
    return chain_over(iter(iterables))


@polyfill(itertools.chain.from_iterable)
def chain_from_iterable(iterables: Iterable[Iterable[Any]], /) -> Iterator[Any]:
    return chain_over(iter(iterables))


@stands_for(itertools.chain)
def chain_over(iterables: Iterator[Iterable[Any]]) -> Iterator[Any]:
    """What `chain` yields."""
    for iterable in iterables:
        for item in iterable:  # noqa: UP028  `yield from` would forward send and throw
            yield item


@polyfill(itertools.zip_longest)
def zip_longest(*iterables: Iterable[Any], fillvalue: Any = None) -> Iterator[Any]:
    iterators: list[Any] = []
    for iterable in iterables:
        iterators.append(iter(iterable))
    return zip_to_the_last(iterators, fillvalue)


@stands_for(itertools.zip_longest)
def zip_to_the_last(iterators: list[Any], fill: Any) -> Iterator[Any]:
    """What `zip_longest` yields."""
    active = len(iterators)
    while active:
        items = []
        for position in range(len(iterators)):
            iterator = iterators[position]
            item = NotGiven if iterator is NotGiven else next(iterator, NotGiven)
            if item is NotGiven:
                if iterator is not NotGiven:
                    iterators[position] = NotGiven
                    active -= 1
                    if active == 0:
                        return
                item = fill
            items.append(item)
        yield tuple(items)


@polyfill(itertools.compress)
def compress(data: Iterable[Any], selectors: Iterable[Any]) -> Iterator[Any]:
    return compress_over(iter(data), iter(selectors))


@stands_for(itertools.compress)
def compress_over(data: Iterator[Any], selectors: Iterator[Any]) -> Iterator[Any]:
    """What `compress` yields."""
    for item in data:
        selector = next(selectors, NotGiven)
        if selector is NotGiven:
            return
        if selector:
            yield item


@polyfill(itertools.tee)
def tee(iterable: Iterable[Any], n: Any = 2, /) -> tuple[Iterator[Any], ...]:
    number = operator.index(n)
    if number < 0:
        raise ValueError("n must be >= 0")
    if number == 0:
        return ()
    iterator = iter(iterable)
    link: list[Any] = [NotGiven, None]
    return tuple([tee_over(iterator, link) for _ in range(number)])


@stands_for(itertools._tee)  # type: ignore[attr-defined]
def tee_over(iterator: Iterator[Any], link: list[Any]) -> Iterator[Any]:
    """One of the iterators: walks a chain of [item, next link] that whoever comes first makes longer."""
    while True:
        if link[1] is None:
            item = next(iterator, NotGiven)
            if item is NotGiven:
                return
            link[0], link[1] = item, [NotGiven, None]
        item, link = link
        yield item


# One iterable ----------------------------------------------------------------------------------------


@polyfill(itertools.accumulate)
def accumulate(iterable: Iterable[Any], func: Any = None, *, initial: Any = None) -> Iterator[Any]:
    return accumulate_over(iter(iterable), func, initial)


@stands_for(itertools.accumulate)
def accumulate_over(iterator: Iterator[Any], function: Any, total: Any) -> Iterator[Any]:
    """What `accumulate` yields."""
    if total is None:
        total = next(iterator, NotGiven)
        if total is NotGiven:
            return
    yield total
    for item in iterator:
        try:
            total = total + item if function is None else function(total, item)
        except StopIteration:
            return
        yield total


@polyfill(itertools.starmap)
def starmap(function: Callable[..., Any], iterable: Iterable[Any], /) -> Iterator[Any]:
    return starmap_over(function, iter(iterable))


@stands_for(itertools.starmap)
def starmap_over(function: Callable[..., Any], iterator: Iterator[Any]) -> Iterator[Any]:
    """What `starmap` yields."""
    for items in iterator:
        arguments = tuple(items)
        try:
            result = function(*arguments)
        except StopIteration:
            return
        yield result


@polyfill(itertools.takewhile)
def takewhile(predicate: Callable[[Any], Any], iterable: Iterable[Any], /) -> Iterator[Any]:
    return take_over(predicate, iter(iterable))


@stands_for(itertools.takewhile)
def take_over(predicate: Callable[[Any], Any], iterator: Iterator[Any]) -> Iterator[Any]:
    """What `takewhile` yields."""
    for item in iterator:
        try:
            answer = predicate(item)
        except StopIteration:
            return
        if not answer:
            return
        yield item


@polyfill(itertools.dropwhile)
def dropwhile(predicate: Callable[[Any], Any], iterable: Iterable[Any], /) -> Iterator[Any]:
    return drop_over(predicate, iter(iterable))


@stands_for(itertools.dropwhile)
def drop_over(predicate: Callable[[Any], Any], iterator: Iterator[Any]) -> Iterator[Any]:
    """What `dropwhile` yields."""
    for item in iterator:
        try:
            answer = predicate(item)
        except StopIteration:
            return
        if not answer:
            yield item
            break
    for item in iterator:
        yield item


@polyfill(itertools.filterfalse)
def filterfalse(function: Callable[[Any], Any] | None, iterable: Iterable[Any], /) -> Iterator[Any]:
    return filter_over(None if function is bool else function, iter(iterable), False)


@polyfill(itertools.pairwise)
def pairwise(iterable: Iterable[Any], /) -> Iterator[Any]:
    return pairs_over(iter(iterable))


@stands_for(itertools.pairwise)
def pairs_over(iterator: Iterator[Any]) -> Iterator[Any]:
    """What `pairwise` yields."""
    previous = next(iterator, NotGiven)
    if previous is NotGiven:
        return
    for item in iterator:
        yield previous, item
        previous = item


if BATCHES is not None:

    @polyfill(BATCHES)
    def batches(iterable: Iterable[Any], n: int, **options: Any) -> Iterator[Any]:
        if options and (len(options) > 1 or "strict" not in options or not TAKES_STRICT):
            raise TypeError("batched() takes at most 2 arguments (3 given)")
        size = operator.index(n)
        if size < 1:
            raise ValueError("n must be at least one")
        return batches_over(iter(iterable), size, bool(options.get("strict")))

    @stands_for(BATCHES)
    def batches_over(iterator: Iterator[Any], size: int, strict: bool) -> Iterator[Any]:
        """What `batched` yields."""
        while True:
            batch = []
            for item in iterator:
                batch.append(item)
                if len(batch) == size:
                    break
            if strict and 0 < len(batch) < size:
                raise ValueError("batched(): incomplete batch")
            if not batch:
                return
            yield tuple(batch)


@polyfill(itertools.islice)
def islice(iterable: Iterable[Any], /, *bounds: Any) -> Iterator[Any]:
    stop = islice_stop(bounds[0] if len(bounds) == 1 else bounds[1])
    start = 0 if len(bounds) == 1 or bounds[0] is None else islice_number(bounds[0])
    if start < 0 or (stop is not None and stop < 0):
        raise ValueError("Indices for islice() must be None or an integer: 0 <= x <= sys.maxsize.")
    step = 1 if len(bounds) < 3 or bounds[2] is None else islice_number(bounds[2])
    if step < 1:
        raise ValueError("Step for islice() must be a positive integer or None.")
    return islice_over(iter(iterable), start, stop, step)


def islice_number(bound: Any) -> int:
    """-1 for what is no index, as C has it."""
    if not hasattr(type(bound), "__index__"):
        return -1
    number = operator.index(bound)
    return number if number <= sys.maxsize else -1


def islice_stop(bound: Any) -> int | None:
    """The second bound of `islice` as an integer or None. Raises the ValueError of `islice`."""
    stop = None if bound is None else islice_number(bound)
    if stop == -1:
        raise ValueError("Stop argument for islice() must be None or an integer: 0 <= x <= sys.maxsize.")
    return stop


@stands_for(itertools.islice)
def islice_over(iterator: Iterator[Any], following: int, stop: int | None, step: int) -> Iterator[Any]:
    """What `islice` yields."""
    position = 0
    while True:
        while position < following:
            if next(iterator, NotGiven) is NotGiven:
                return
            position += 1
        if stop is not None and position >= stop:
            return
        item = next(iterator, NotGiven)
        if item is NotGiven:
            return
        position += 1
        following += step
        if stop is not None and following > stop:
            following = stop
        yield item


@polyfill(itertools.groupby)
def groupby(iterable: Iterable[Any], key: Callable[[Any], Any] | None = None) -> Iterator[Any]:
    return groups_over(iter(iterable), key)


@stands_for(itertools.groupby)
def groups_over(iterator: Iterator[Any], key: Callable[[Any], Any] | None) -> Iterator[Any]:
    """`state` is shared with the groups: [current key, current item, number of the current group]."""
    state: list[Any] = [NotGiven, NotGiven, 0]
    if not groupby_step(iterator, key, state):
        return
    while True:
        target = state[0]
        yield target, one_group(iterator, key, state, target, state[2])
        state[2] += 1
        while same(target, state[0]):
            if not groupby_step(iterator, key, state):
                return


def groupby_step(iterator: Iterator[Any], key: Callable[[Any], Any] | None, state: list[Any]) -> bool:
    """Read the next item and its key into `state`; False at the end."""
    item = next(iterator, NotGiven)
    if item is NotGiven:
        return False
    state[0], state[1] = item if key is None else key(item), item
    return True


@stands_for(itertools._grouper)  # type: ignore[attr-defined]
def one_group(
    iterator: Iterator[Any], key: Callable[[Any], Any] | None, state: list[Any], target: Any, number: int
) -> Iterator[Any]:
    """The items of group `number`, until the key changes or the next group is asked for."""
    while state[2] == number:
        if state[1] is NotGiven and not groupby_step(iterator, key, state):
            return
        if not same(target, state[0]):
            return
        item, state[1] = state[1], NotGiven
        yield item


# Combinatorics ---------------------------------------------------------------------------------------


@polyfill(itertools.product)
def product(*iterables: Iterable[Any], repeat: Any = 1) -> Iterator[Any]:
    times = operator.index(repeat)
    if times < 0:
        raise ValueError("repeat argument cannot be negative")
    pools = [tuple(iterable) for iterable in iterables] if times else []
    return product_over(pools * times)


@stands_for(itertools.product)
def product_over(pools: list[tuple[Any, ...]]) -> Iterator[Any]:
    """What `product` yields."""
    for pool in pools:
        if not pool:
            return
    indices = [0] * len(pools)
    while True:
        yield tuple([pools[position][index] for position, index in enumerate(indices)])
        position = len(pools) - 1
        while position >= 0:
            indices[position] += 1
            if indices[position] < len(pools[position]):
                break
            indices[position] = 0
            position -= 1
        if position < 0:
            return


@polyfill(itertools.combinations)
def combinations(iterable: Iterable[Any], r: Any) -> Iterator[Any]:
    pool, length = tuple(iterable), operator.index(r)
    if length < 0:
        raise ValueError("r must be non-negative")
    return combinations_over(pool, length)


@stands_for(itertools.combinations)
def combinations_over(pool: tuple[Any, ...], length: int) -> Iterator[Any]:
    """What `combinations` yields."""
    size = len(pool)
    indices = [*range(length)]
    while length <= size:
        yield tuple([pool[index] for index in indices])
        position = length - 1
        while position >= 0 and indices[position] == position + size - length:
            position -= 1
        if position < 0:
            return
        indices[position] += 1
        for later in range(position + 1, length):
            indices[later] = indices[later - 1] + 1


@polyfill(itertools.combinations_with_replacement)
def combinations_with_replacement(iterable: Iterable[Any], r: Any) -> Iterator[Any]:
    pool, length = tuple(iterable), operator.index(r)
    if length < 0:
        raise ValueError("r must be non-negative")
    return replacements_over(pool, length)


@stands_for(itertools.combinations_with_replacement)
def replacements_over(pool: tuple[Any, ...], length: int) -> Iterator[Any]:
    """What `combinations_with_replacement` yields."""
    size = len(pool)
    if not size and length:
        return
    indices = [0] * length
    while True:
        yield tuple([pool[index] for index in indices])
        position = length - 1
        while position >= 0 and indices[position] == size - 1:
            position -= 1
        if position < 0:
            return
        indices[position:] = [indices[position] + 1] * (length - position)


@polyfill(itertools.permutations)
def permutations(iterable: Iterable[Any], r: Any = None) -> Iterator[Any]:
    pool = tuple(iterable)
    if r is not None and not isinstance(r, int):
        raise TypeError("Expected int as r")
    length = len(pool) if r is None else r
    if length < 0:
        raise ValueError("r must be non-negative")
    return permutations_over(pool, length)


@stands_for(itertools.permutations)
def permutations_over(pool: tuple[Any, ...], length: int) -> Iterator[Any]:
    """What `permutations` yields."""
    size = len(pool)
    if length > size:
        return
    indices, cycles = [*range(size)], [*range(size, size - length, -1)]
    yield tuple([pool[index] for index in indices[:length]])
    position = length - 1
    while position >= 0:
        cycles[position] -= 1
        if cycles[position] == 0:
            indices[position:] = [*indices[position + 1 :], indices[position]]
            cycles[position] = size - position
            position -= 1
        else:
            other = size - cycles[position]
            indices[position], indices[other] = indices[other], indices[position]
            yield tuple([pool[index] for index in indices[:length]])
            position = length - 1


@stands_for(itertools.filterfalse)
def filter_over(function: Callable[[Any], Any] | None, iterator: Iterator[Any], keep: bool) -> Iterator[Any]:
    """Items for which the truth of `function(item)` (of the item itself for None) is `keep`."""
    for item in iterator:
        try:
            answer = item if function is None else function(item)
        except StopIteration:
            return
        if (not answer) is not keep:
            yield item


for _cls in vars(itertools).values():
    if isinstance(_cls, type) and hasattr(_cls, "__next__"):
        lookaside(_cls.__next__)(iterator_next)  # type: ignore[attr-defined]
        lookaside(_cls.__iter__)(lambda trace, iterator: iterator)  # type: ignore[attr-defined]
