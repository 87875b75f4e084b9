"""sorted: sorting by `<` alone. list.sort calls it.

Up to 63 items it is CPython's binary insertion sort, comparison for comparison (so that even inconsistent orders come
out alike); above, a merge sort of such runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

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


def insertion_sort(keys: list[Any], order: list[int]) -> None:
    """CPython's `count_run` and `binarysort`."""
    size = len(order)
    if size < 2:
        return
    sorted_upto = 2
    if keys[order[1]] < keys[order[0]]:
        while sorted_upto < size and keys[order[sorted_upto]] < keys[order[sorted_upto - 1]]:
            sorted_upto += 1
        order[:sorted_upto] = order[:sorted_upto][::-1]
    else:
        while sorted_upto < size and not keys[order[sorted_upto]] < keys[order[sorted_upto - 1]]:
            sorted_upto += 1
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
