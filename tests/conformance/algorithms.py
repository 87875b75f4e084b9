"""Longer programs that mix features, the way real code does."""

from __future__ import annotations

import collections
import functools
import heapq
import itertools
import re
import string

from .catalogue import program, raising


@program((50,))
def sieve(n):
    flags = [True] * (n + 1)
    flags[0:2] = [False, False]
    for i in range(2, int(n**0.5) + 1):
        if flags[i]:
            flags[i * i :: i] = [False] * len(flags[i * i :: i])
    return [i for i, flag in enumerate(flags) if flag]


@program((5,))
def queens(n):
    def place(row, columns, left, right):
        if row == n:
            yield []
            return
        for c in range(n):
            if c not in columns and row + c not in left and row - c not in right:
                for rest in place(row + 1, columns | {c}, left | {row + c}, right | {row - c}):
                    yield [c, *rest]

    return list(place(0, frozenset(), frozenset(), frozenset()))


@program(({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, "a"))
def breadth_first(graph, start):
    order, queue, seen = [], collections.deque([start]), {start}
    while queue:
        node = queue.popleft()
        order.append(node)
        for neighbour in graph[node]:
            if neighbour not in seen:
                seen.add(neighbour)
                queue.append(neighbour)
    return order


@program(({"a": {"b": 7, "c": 3}, "b": {"d": 2}, "c": {"b": 1, "d": 8}, "d": {}}, "a"))
def dijkstra(graph, start):
    distances, heap = {start: 0}, [(0, start)]
    while heap:
        distance, node = heapq.heappop(heap)
        if distance > distances.get(node, float("inf")):
            continue
        for neighbour, weight in graph[node].items():
            candidate = distance + weight
            if candidate < distances.get(neighbour, float("inf")):
                distances[neighbour] = candidate
                heapq.heappush(heap, (candidate, neighbour))
    return distances


@program((("shirt", "tie", "jacket"), {"tie": ["shirt"], "jacket": ["tie"]}))
def topological(nodes, needs):
    done, result = set(), []

    def visit(node, path=()):
        if node in path:
            raise ValueError(f"cycle through {node}")
        if node not in done:
            for needed in needs.get(node, ()):
                visit(needed, (*path, node))
            done.add(node)
            result.append(node)

    for node in reversed(nodes):
        visit(node)
    return result


@program(("kitten", "sitting"), ("", "abc"))
def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row = row, [i] + [0] * len(b)
        for j, y in enumerate(b, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (x != y))
    return row[-1]


@program(("AGGTAB", "GXTXAYB"))
def longest_common_subsequence(a, b):
    @functools.cache
    def best(i, j):
        if i == len(a) or j == len(b):
            return ""
        if a[i] == b[j]:
            return a[i] + best(i + 1, j + 1)
        return max(best(i + 1, j), best(i, j + 1), key=len)

    return best(0, 0)


@program(("2 * (3 + 4) - 10 / 5",), ("-(1 + 2) ** 2",), raising(SyntaxError, "2 +"))
def calculator(text):
    tokens = re.findall(r"\d+|\*\*|[-+*/()]", text)
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        token = peek()
        position += 1
        return token

    def atom():
        token = take()
        if token == "(":
            value = sums()
            assert take() == ")"
            return value
        if token == "-":
            return -power()
        if token is None or not token.isdigit():
            raise SyntaxError(f"unexpected {token!r}")
        return int(token)

    def power():
        value = atom()
        while peek() == "**":
            take()
            value **= power()
        return value

    def products():
        value = power()
        while peek() in ("*", "/"):
            value = value * power() if take() == "*" else value / power()
        return value

    def sums():
        value = products()
        while peek() in ("+", "-"):
            value = value + products() if take() == "+" else value - products()
        return value

    return sums()


@program((3,))
def hanoi(n):
    moves = []

    def move(k, source, target, spare):
        if k:
            move(k - 1, source, spare, target)
            moves.append(source + target)
            move(k - 1, spare, target, source)

    move(n, "A", "C", "B")
    return moves


@program(([[1, 2], [3, 4]], [[5, 6], [7, 8]]))
def matrix_multiply(a, b):
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


@program()
def least_recently_used():
    class Cache:
        def __init__(self, size):
            self.size, self.items = size, collections.OrderedDict()

        def __getitem__(self, key):
            self.items.move_to_end(key)
            return self.items[key]

        def __setitem__(self, key, value):
            self.items[key] = value
            self.items.move_to_end(key)
            if len(self.items) > self.size:
                self.items.popitem(last=False)

        def __contains__(self, key):
            return key in self.items

    cache = Cache(2)
    cache["a"], cache["b"] = 1, 2
    cache["a"]
    cache["c"] = 3
    return "a" in cache, "b" in cache, list(cache.items)


@program((["x = 1", "y = x + 2", "# comment", "", "z = x * y"],))
def tiny_interpreter(lines):
    environment = {}
    for number, line in enumerate(lines, 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        name, _, expression = line.partition(" = ")
        total, operation = None, None
        for word in expression.split():
            if word in "+*":
                operation = word
                continue
            value = int(word) if word.isdigit() else environment[word]
            total = value if total is None else total + value if operation == "+" else total * value
        environment[name] = (number, total)[1]
    return environment


@program()
def state_machine():
    class State:
        transitions = {}

        def __init_subclass__(cls, on=(), **rest):
            super().__init_subclass__(**rest)
            for event in on:
                State.transitions[event] = cls

        def handle(self, event):
            return self.transitions.get(event, type(self))()

    class Idle(State, on=["stop"]):
        pass

    class Running(State, on=["start", "resume"]):
        pass

    state, trace = Idle(), []
    for event in ("start", "noise", "stop", "resume"):
        state = state.handle(event)
        trace.append(type(state).__name__)
    State.transitions.clear()
    return trace


@program()
def observer():
    class Signal:
        def __init__(self):
            self.handlers = []

        def connect(self, handler):
            self.handlers.append(handler)
            return lambda: self.handlers.remove(handler)

        def __call__(self, *items, **named):
            return [handler(*items, **named) for handler in list(self.handlers)]

    signal = Signal()
    log = []
    disconnect = signal.connect(lambda x: log.append(("first", x)))
    signal.connect(lambda x: log.append(("second", x)))
    signal(1)
    disconnect()
    signal(2)
    return log


@program(([1, 2, 3, 4, 5, 6], 3))
def windows(items, n):
    iterators = itertools.tee(items, n)
    for i, iterator in enumerate(iterators):
        for _ in range(i):
            next(iterator, None)
    return list(zip(*iterators))


@program(("It was the best of times, it was the worst of times",))
def word_statistics(text):
    words = text.lower().translate(str.maketrans("", "", string.punctuation)).split()
    counts = collections.Counter(words)
    by_length = collections.defaultdict(list)
    for word in sorted(set(words)):
        by_length[len(word)].append(word)
    return counts.most_common(3), dict(by_length), max(counts.values())


@program(({"a": {"b": [1, {"c": 2}]}, "d": None},))
def flatten_tree(tree):
    def walk(node, path=""):
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, f"{path}.{key}" if path else key)
        elif isinstance(node, (list, tuple)):
            for i, value in enumerate(node):
                yield from walk(value, f"{path}[{i}]")
        else:
            yield path, node

    return dict(walk(tree))


@program((["1", "2", "x", "4"],))
def robust_parse(texts):
    good, bad = [], []
    for i, text in enumerate(texts):
        try:
            value = int(text)
        except ValueError as error:
            bad.append((i, str(error)))
            continue
        else:
            good.append(value)
        finally:
            good.append(None)
    return good, bad


@program((16,))
def fizz_buzz(n):
    return [("Fizz" * (i % 3 == 0) + "Buzz" * (i % 5 == 0)) or i for i in range(1, n)]


@program((1994,), (49,))
def roman(n):
    result = ""
    for value, letters in zip(
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1), "M CM D CD C XC L XL X IX V IV I".split()
    ):
        count, n = divmod(n, value)
        result += letters * count
    return result


@program((["eat", "tea", "tan", "ate", "nat"],))
def anagrams(words):
    groups = {}
    for word in words:
        groups.setdefault("".join(sorted(word)), []).append(word)
    return sorted(groups.values(), key=len)


@program(([3, 4, -1, 2, 1, -5],))
def largest_run(items):
    best = current = items[0]
    for x in items[1:]:
        current = max(x, current + x)
        best = max(best, current)
    return best


@program(("([]{})",), ("([)]",), ("((",))
def balanced(text):
    stack, pairs = [], {")": "(", "]": "[", "}": "{"}
    for c in text:
        if c in pairs.values():
            stack.append(c)
        elif not stack or stack.pop() != pairs[c]:
            return False
    return not stack


@program((3,))
def pascal(n):
    rows = [[1]]
    while len(rows) <= n:
        rows.append([a + b for a, b in zip([0, *rows[-1]], [*rows[-1], 0])])
    return rows


@program((4, 3))
def game_of_life(size, steps):
    live = {(1, 0), (1, 1), (1, 2)}
    for _ in range(steps):
        neighbours = collections.Counter(
            (x + dx, y + dy) for x, y in live for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy
        )
        live = {cell for cell, n in neighbours.items() if n == 3 or (n == 2 and cell in live)}
    return sorted(live), size


@program()
def vending_pipeline():
    def stage(function):
        @functools.wraps(function)
        def wrapper(items):
            for item in items:
                yield from function(item)

        return wrapper

    @stage
    def double(x):
        yield x
        yield x * 2

    @stage
    def odd(x):
        if x % 2:
            yield x

    return list(odd(double([1, 2, 3]))), double.__name__


@program()
def regular_expressions():
    pattern = re.compile(r"(?P<name>\w+)=(?P<value>\d+)")
    match = pattern.match("size=42;")
    return (
        match.group("name"),
        match.groupdict(),
        match.span(),
        pattern.findall("a=1 b=2"),
        re.sub(r"\d", lambda m: str(int(m.group()) + 1), "a1b9"),
        re.split(r"[,;]\s*", "a, b;c"),
        bool(pattern.search("nothing")),
        [m.start() for m in re.finditer("a", "banana")],
    )
