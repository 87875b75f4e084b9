"""Sorting by `<` alone: list.sort and sorted.

Up to 63 items it is CPython's binary insertion sort, comparison for comparison (so that even inconsistent orders come
out alike); above, a merge sort of such runs. Knows nothing of who calls it.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from tracer.interpret.polyfills.registry import replaces

RUN = 64


@replaces(builtins.list.sort)
def list_sort(self: list[Any], /, *, key: Callable[[Any], Any] | None = None, reverse: Any = False) -> None:
    items = [*list.__iter__(self)]
    list.clear(self)
    try:
        sort_items(items, key, reverse)
        if list.__len__(self):
            raise ValueError("list modified during sort")
    finally:
        list.__setitem__(self, slice(None), items)


def sort_items(items: list[Any], key: Callable[[Any], Any] | None, reverse: Any) -> None:
    """Sort a list that nobody else sees; when a comparison raises, the items are left part-sorted, none lost."""
    keys = [key(item) for item in items] if key is not None else items
    if reverse:
        items.reverse()
        if keys is not items:
            keys.reverse()
    order = [*range(len(items))]
    try:
        merge_sort(keys, order)
    finally:
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
