"""for and while, else, break, continue, nested loops, changing what is iterated."""

from __future__ import annotations

from .catalogue import program, raising


@program((5,), (0,))
def while_loop(n):
    total = 0
    while n > 0:
        total += n
        n -= 1
    return total


@program((5, 3), (5, 9))
def for_else(n, target):
    for i in range(n):
        if i == target:
            found = True
            break
    else:
        found = False
    return found, i


@program((3,), (10,))
def while_else(n):
    i = 0
    while i < 5:
        i += 1
        if i == n:
            break
    else:
        return "exhausted"
    return "broken", i


@program()
def continue_in_while():
    i, seen = 0, []
    while i < 6:
        i += 1
        if i % 2:
            continue
        seen.append(i)
    return seen


@program((4,))
def nested_break(n):
    seen = []
    for i in range(n):
        for j in range(n):
            if j > i:
                break
            if (i + j) % 2:
                continue
            seen.append((i, j))
        else:
            seen.append(("full", i))
    return seen


@program()
def break_out_of_two():
    for i in range(3):
        for j in range(3):
            if i * j == 2:
                break
        else:
            continue
        break
    return i, j


@program(([3, 1, 2],))
def append_while_iterating(items):
    for item in items:
        if item < 5 and len(items) < 10:
            items.append(item + 2)
    return len(items)


@program(([1, 2, 3, 4],))
def remove_while_iterating(items):
    for item in items:
        if item % 2 == 0:
            items.remove(item)
    return items


@program(raising(RuntimeError, {"a": 1}))
def dict_grows_while_iterated(mapping):
    for key in mapping:
        mapping[key + "x"] = 1


@program(raising(RuntimeError, {1, 2}))
def set_grows_while_iterated(items):
    for item in items:
        items.add(item + 10)


@program(({"a": 1, "b": 2},))
def dict_values_change_while_iterated(mapping):
    for key in mapping:
        mapping[key] *= 10
    return mapping


@program()
def loop_variable_survives():
    for i in range(3):
        pass
    for _, j in enumerate("ab"):
        k = j
    return i, j, k


@program()
def loop_variable_unbound_when_empty():
    for i in []:
        pass
    try:
        return i
    except UnboundLocalError:
        return "unbound"


@program()
def assignment_to_loop_variable():
    seen = []
    for i in range(3):
        seen.append(i)
        i = 10
    return seen, i


@program()
def targets():
    class Holder:
        pass

    holder, items, seen = Holder(), [0], []
    for holder.x in range(2):
        seen.append(holder.x)
    for items[0] in "ab":
        seen.append(items[0])
    for a, (b, *c) in [(1, (2, 3, 4))]:
        seen.append((a, b, c))
    return seen, items, holder.x


@program()
def return_from_nested_loops():
    def find(rows, target):
        for i, row in enumerate(rows):
            for j, item in enumerate(row):
                if item == target:
                    return i, j
        return None

    return find([[1, 2], [3, 4]], 3), find([[1]], 9)


@program()
def iterate_many_kinds():
    seen = []
    for source in (
        [1],
        (2,),
        {3},
        {4: 5},
        "6",
        b"7",
        range(8, 9),
        {9: 0}.items(),
        iter([10]),
        reversed([11]),
        zip([12]),
    ):
        for item in source:
            seen.append(item)
    return seen


@program((12,))
def collatz(n):
    steps = [n]
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps.append(n)
    return steps


@program()
def while_true_break():
    n = 0
    while True:
        n += 1
        if n > 10:
            break
    return n


@program()
def while_with_walrus():
    items = [1, 2, 3]
    seen = []
    while (n := len(items)) > 0:
        seen.append((n, items.pop()))
    return seen


@program()
def while_with_complex_condition():
    a, b, n = 10, 0, 0
    while (a > b and not n > 20) or n == 0:
        a, b, n = a - 1, b + 1, n + 1
    return a, b, n


@program()
def same_iterator_in_two_loops():
    iterator = iter(range(6))
    seen = []
    for a in iterator:
        for b in iterator:
            seen.append((a, b))
            break
    return seen


@program()
def not_iterable():
    try:
        for _ in 5:
            pass
    except TypeError as error:
        return str(error)


@program()
def pass_only():
    for _ in range(3):
        pass
    while False:
        pass
    return None


@program()
def long_loop():
    total = 0
    for i in range(300):
        if i % 7 == 3:
            total += i
        elif i % 5 == 0:
            total -= 1
    return total


@program(([5, 2, 9, 1],))
def bubble_sort(items):
    for i in range(len(items)):
        for j in range(len(items) - 1 - i):
            if items[j] > items[j + 1]:
                items[j], items[j + 1] = items[j + 1], items[j]
    return items


@program()
def range_kinds():
    return [
        list(range(5)),
        list(range(2, 5)),
        list(range(5, 2, -1)),
        list(range(0, 10, 3)),
        list(range(0)),
        list(range(-3, 3, 2)),
        len(range(0, 100, 7)),
        range(10)[2:8:3],
        5 in range(0, 10, 5),
        range(3) == range(0, 3),
        range(10).index(4),
        range(10)[-1],
        list(reversed(range(4))),
        (range(2, 9).start, range(9).stop, range(9).step),
    ]
