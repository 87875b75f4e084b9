"""sorted: sorting by `<` alone. list.sort calls it.

Up to 63 items it is CPython's binary insertion sort, comparison for comparison (so that even inconsistent orders come
out alike); above, a merge sort of such runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from tracer.interpret.policy import polyfill

RUN = 64


def sort_items(items: list[Any], key: Callable[[Any], Any] | None, reverse: Any) -> None:
    """Sort a list that nobody else sees."""
    keys = [key(item) for item in items] if key is not None else items
    if reverse:
        items.reverse()
        if keys is not items:
            keys.reverse()
    order = [*range(len(items))]
    merge_sort(keys, order)
    items[:] = [items[position] for position in order]
    if reverse:
        items.reverse()


def merge_sort(keys: list[Any], order: list[int]) -> None:
    """Put positions in `order` so that their keys ascend, stably."""
    size = len(order)
    if size < RUN:
        insertion_sort(keys, order)
        return
    half = size // 2
    left, right = order[:half], order[half:]
    merge_sort(keys, left)
    merge_sort(keys, right)
    order[:] = merge(keys, left, right)


def merge(keys: list[Any], left: list[int], right: list[int]) -> list[int]:
    """Merge two sorted runs of indices by their keys; of equal keys the left run's come first."""
    merged = []
    i = j = 0
    while i < len(left) and j < len(right):
        if keys[right[j]] < keys[left[i]]:
            merged.append(right[j])
            j += 1
        else:
            merged.append(left[i])
            i += 1
    return merged + left[i:] + right[j:]


class _Counted(int):
    """A number that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other: int) -> bool:
        _Counted.comparisons += 1
        return int(self) < other


def _joins_equals() -> bool:
    sorted([_Counted(2), _Counted(1), _Counted(1)])
    return _Counted.comparisons == 3


JOINS_EQUALS: Final = _joins_equals()
"""Whether equal items are taken into descending runs, as from 3.13 on."""


def count_run(keys: list[Any], order: list[int]) -> int:
    """How many items at the beginning ascend, or descended strictly and are reversed now."""
    size = len(order)
    count = 2
    if keys[order[1]] < keys[order[0]]:
        while count < size and keys[order[count]] < keys[order[count - 1]]:
            count += 1
        order[:count] = order[:count][::-1]
    else:
        while count < size and not keys[order[count]] < keys[order[count - 1]]:
            count += 1
    return count


def count_run_with_equals(keys: list[Any], order: list[int]) -> int:
    """As `count_run`, of 3.13: a descending run may have equal items, which keep their order."""
    size = len(order)
    count = ascending(keys, order, 1)
    if count == size:
        return size
    if count > 1:
        if keys[order[0]] < keys[order[count - 1]]:
            return count
        order[:count] = order[:count][::-1]  # all are equal
    count += 1
    equals = 0
    while count < size:
        if keys[order[count]] < keys[order[count - 1]]:
            reverse_last(order, count, equals)
            equals = 0
        elif keys[order[count - 1]] < keys[order[count]]:
            break
        else:
            equals += 1
        count += 1
    reverse_last(order, count, equals)
    order[:count] = order[:count][::-1]
    return ascending(keys, order, count)


def ascending(keys: list[Any], order: list[int], count: int) -> int:
    """To where the items ascend that do so up to `count`."""
    while count < len(order) and not keys[order[count]] < keys[order[count - 1]]:
        count += 1
    return count


def reverse_last(order: list[int], count: int, equals: int) -> None:
    """Reverse the items in front of `count` of which `equals` are equal to the one before them."""
    if equals:
        start = count - equals - 1
        order[start:count] = order[start:count][::-1]


def insertion_sort(keys: list[Any], order: list[int]) -> None:
    """CPython's `count_run` and `binarysort`."""
    size = len(order)
    if size < 2:
        return
    sorted_upto = count_run_with_equals(keys, order) if JOINS_EQUALS else count_run(keys, order)
    while sorted_upto < size:
        pivot = order[sorted_upto]
        low, high = 0, sorted_upto
        while low < high:
            middle = (low + high) >> 1
            if keys[pivot] < keys[order[middle]]:
                high = middle
            else:
                low = middle + 1
        del order[sorted_upto]
        order.insert(low, pivot)
        sorted_upto += 1


@polyfill(sorted, pure=True, returns_items=True)
def sorted_list(iterable: Iterable[Any], /, *, key: Callable[[Any], Any] | None = None, reverse: Any = False) -> Any:
    items = list(iterable)
    sort_items(items, key, reverse)
    return items
