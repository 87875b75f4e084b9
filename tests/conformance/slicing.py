"""Indexing and slicing: lists, tuples, slice objects, __index__, assignment and deletion of slices."""

from __future__ import annotations

from .catalogue import program, raising


@program(([0, 1, 2, 3, 4, 5],), ((0, 1, 2, 3, 4, 5),), ("012345",), (range(6),))
def kinds(s):
    return s[1], s[-1], s[1:4], s[:2], s[4:], s[::2], s[::-1], s[-3:-1], s[4:1:-1], s[10:20], s[:], s[5:2], s[-100:2]


@program(([0, 1, 2, 3, 4, 5],))
def assignment(items):
    items[1:3] = ["a", "b", "c"]
    items[:0] = [-1]
    items[len(items) :] = [99]
    items[::2] = [0] * len(items[::2])
    items[2:2] = (x for x in "yz")
    items[-1] = "end"
    return items


@program(([0, 1, 2, 3, 4, 5],))
def deletion(items):
    del items[0]
    del items[-1]
    del items[1:2]
    first = items[:]
    del items[::2]
    return first, items


@program()
def wrong_assignments():
    messages = []

    def attempt(action):
        try:
            action([1, 2, 3, 4])
        except (ValueError, TypeError, IndexError) as error:
            messages.append((type(error).__name__, str(error)))

    def extended(items):
        items[::2] = [1]

    def scalar(items):
        items[0:1] = 5

    def beyond(items):
        items[9] = 1

    def text(items):
        items["a"] = 1

    def remove(items):
        del items[9]

    def zero(items):
        return items[::0]

    def real(items):
        return items[1.0]

    for action in (extended, scalar, beyond, text, remove, zero, real):
        attempt(action)
    return messages


@program()
def slice_objects():
    s = slice(1, 10, 2)
    return (
        s.start,
        s.stop,
        s.step,
        s.indices(6),
        slice(None).indices(3),
        slice(-1, None, -1).indices(4),
        [0, 1, 2, 3, 4][s],
        s == slice(1, 10, 2),
        "abcdef"[slice(2)],
        slice(1) == slice(None, 1),
    )


@program()
def index_protocol():
    class Two:
        def __index__(self):
            return 2

    items = list(range(6))
    items[Two()] = "set"
    return items[Two()], items[Two() :], items[: Two()], items[:: Two()], (1, 2, 3)[Two()], "abc"[Two()], items


@program()
def getitem_receives():
    class Show:
        def __getitem__(self, key):
            return key

        def __setitem__(self, key, value):
            self.last = (key, value)

        def __delitem__(self, key):
            self.gone = key

    show = Show()
    show[1:2, ...] = "v"
    del show[::3]
    return (
        show[1],
        show[1:2],
        show[1, 2],
        show[1:2, ::3],
        show[...],
        show[:, None],
        show[()],
        show["k"],
        show.last,
        show.gone,
    )


@program(([[1, 2], [3, 4]],))
def nested(rows):
    rows[0][1] = "x"
    rows[1][:1] = []
    rows[0], rows[1] = rows[1], rows[0]
    return rows, rows[0][0], rows[-1][-1]


@program(([1, 2, 3],))
def augmented(items):
    items[0] += 10
    items[-1] *= 2
    items[1:2] += [7, 8]
    return items


@program()
def augmented_evaluates_once():
    log = []

    def get():
        log.append("container")
        return items

    def key():
        log.append("key")
        return 0

    items = [1]
    get()[key()] += 5
    return items, log


@program(raising(IndexError, []), ([1],))
def first(items):
    return items[0]


@program(([3, 1, 2],))
def slice_copies(items):
    other = items[:]
    other.sort()
    return items, other, items[:] == items, items[:] is items, (1, 2)[:] is not None


@program(([1, 2, 3, 4, 5, 6, 7],), ([],))
def chunks(items):
    return [items[i : i + 3] for i in range(0, len(items), 3)]


@program(([1, 2, 3, 4],), ([],))
def rotations(items):
    return [items[i:] + items[:i] for i in range(len(items))]


@program()
def class_getitem():
    class Box:
        def __class_getitem__(cls, item):
            return (cls.__name__, item)

    return Box[int], Box[1, 2]
