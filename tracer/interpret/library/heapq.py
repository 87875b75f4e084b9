"""heapq, which CPython accelerates in C."""

from __future__ import annotations

import heapq
from typing import Any

from tracer.interpret.policy import polyfill


def require_list(heap: Any, where: str) -> None:
    """Raise the TypeError of heapq unless `heap` is a list."""
    if not isinstance(heap, list):
        raise TypeError(f"{where} must be list, not {type(heap).__name__}")


def sift_towards_root(heap: list[Any], start: int, position: int) -> None:
    """Move the item at `position` up until its parent is not greater."""
    item = heap[position]
    while position > start:
        parent = (position - 1) >> 1
        if not item < heap[parent]:
            break
        heap[position] = heap[parent]
        position = parent
    heap[position] = item


def sift_towards_leaves(heap: list[Any], position: int) -> None:
    """Move the item at `position` to a leaf along the smaller children, then up to its place."""
    end, start, item = len(heap), position, heap[position]
    child = 2 * position + 1
    while child < end:
        right = child + 1
        if right < end and not heap[child] < heap[right]:
            child = right
        heap[position] = heap[child]
        position = child
        child = 2 * position + 1
    heap[position] = item
    sift_towards_root(heap, start, position)


@polyfill(heapq.heappush)
def heap_push(heap: list[Any], item: Any, /) -> None:
    require_list(heap, "heappush() argument 1")
    heap.append(item)
    sift_towards_root(heap, 0, len(heap) - 1)


@polyfill(heapq.heappop)
def heap_pop(heap: list[Any], /) -> Any:
    require_list(heap, "heappop() argument")
    if not heap:
        raise IndexError("index out of range")
    last = heap.pop()
    if not heap:
        return last
    smallest, heap[0] = heap[0], last
    sift_towards_leaves(heap, 0)
    return smallest


@polyfill(heapq.heapreplace)
def heap_replace(heap: list[Any], item: Any, /) -> Any:
    require_list(heap, "heapreplace() argument 1")
    if not heap:
        raise IndexError("index out of range")
    smallest, heap[0] = heap[0], item
    sift_towards_leaves(heap, 0)
    return smallest


@polyfill(heapq.heappushpop)
def heap_push_pop(heap: list[Any], item: Any, /) -> Any:
    require_list(heap, "heappushpop() argument 1")
    if heap and heap[0] < item:
        item, heap[0] = heap[0], item
        sift_towards_leaves(heap, 0)
    return item


@polyfill(heapq.heapify)
def heapify(heap: list[Any], /) -> None:
    require_list(heap, "heapify() argument")
    for position in reversed(range(len(heap) // 2)):
        sift_towards_leaves(heap, position)
