"""collections: OrderedDict, defaultdict, Counter, deque, ChainMap, UserDict and friends; heapq and bisect."""

from __future__ import annotations

import bisect
import collections
import heapq
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, defaultdict, deque

from .catalogue import program, raising


@program((OrderedDict(a=1, b=2, c=3),))
def ordered_dict(mapping):
    mapping.move_to_end("a")
    mapping.move_to_end("c", last=False)
    last = mapping.popitem()
    mapping["d"] = 4
    first = mapping.popitem(last=False)
    return last, first, list(mapping), list(reversed(mapping)), mapping


@program()
def ordered_dict_equality():
    a, b = OrderedDict(x=1, y=2), OrderedDict(y=2, x=1)
    return a == b, a == dict(b), dict(a) == dict(b), a | {"z": 3}, repr(a), OrderedDict.fromkeys("ab", 0)


@program(raising(KeyError))
def ordered_dict_missing():
    OrderedDict().move_to_end("nothing")


@program()
def ordered_dict_subclass():
    class Output(OrderedDict):
        def __getitem__(self, key):
            return super().__getitem__(key) if isinstance(key, str) else tuple(self.values())[key]

        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            super().__setattr__(key, value)

    output = Output()
    output["logits"] = [1]
    output["loss"] = 2
    return output[0], output["loss"], output.logits, list(output.items()), output.get("loss"), {**output}, output


@program()
def default_dict():
    groups = defaultdict(list)
    for word in ("apple", "bean", "avocado"):
        groups[word[0]].append(word)
    counts = defaultdict(int)
    for c in "hello":
        counts[c] += 1
    nested = defaultdict(lambda: defaultdict(set))
    nested["a"]["b"].add(1)
    return groups, counts, groups.get("z"), "z" in groups, nested["a"]["b"], groups.default_factory is list, len(counts)


@program(raising(KeyError))
def default_dict_without_factory():
    return defaultdict(None, a=1)["b"]


@program()
def default_dict_subclass():
    class Upper(defaultdict):
        def __missing__(self, key):
            self[key] = key.upper()
            return self[key]

    upper = Upper()
    return upper["a"], upper, upper.get("b")


@program(("mississippi",))
def counter(text):
    c = Counter(text)
    d = Counter(a=1, s=2)
    c2 = c.copy()
    c2.update("sss")
    c2.subtract({"s": 1})
    return (
        c,
        c["z"],
        c.most_common(2),
        c + d,
        c - d,
        c & d,
        c | d,
        sorted(c.elements()),
        c.total(),
        c2,
        c == Counter(text),
        c >= d,
        +Counter(a=-1, b=2),
        list(c.items()),
    )


@program((deque([1, 2, 3]),))
def deque_methods(d):
    d.append(4)
    d.appendleft(0)
    d.extend([5, 6])
    d.extendleft("ab")
    d.rotate(2)
    right, left = d.pop(), d.popleft()
    d.remove(3)
    d.insert(1, "i")
    d[0] = "first"
    del d[-1]
    d.reverse()
    return (
        right,
        left,
        d,
        d.count(1),
        d.index(1),
        len(d),
        d[0],
        4 in d,
        d.copy() == d,
        d + deque([1]),
        list(reversed(d)),
    )


@program()
def deque_with_limit():
    d = deque(range(5), maxlen=3)
    d.append(9)
    before = list(d)
    d.appendleft(8)
    d += [1, 2]
    return before, d, d.maxlen, repr(d), d * 2


@program()
def deque_errors():
    messages = []
    for action in (
        lambda: deque().pop(),
        lambda: deque().popleft(),
        lambda: deque([1])[3],
        lambda: deque([1]).remove(2),
        lambda: deque([1], 1).insert(0, 2),
        lambda: deque([1]).index(5),
    ):
        try:
            action()
        except (IndexError, ValueError) as error:
            messages.append((type(error).__name__, str(error)))
    return messages


@program()
def chain_map():
    defaults, local = {"a": 1, "b": 2}, {"b": 20}
    chain = ChainMap(local, defaults)
    chain["c"] = 3
    child = chain.new_child({"a": "child"})
    return (
        chain["a"],
        chain["b"],
        dict(chain),
        local,
        child["a"],
        len(chain),
        list(chain),
        chain.maps,
        child.parents["a"],
    )


@program()
def user_types():
    class Lower(UserDict):
        def __setitem__(self, key, value):
            super().__setitem__(key.lower(), value)

    class Numbers(UserList):
        def total(self):
            return sum(self.data)

    mapping = Lower(A=1)
    mapping.update(B=2)
    numbers = Numbers([1, 2]) + [3]
    return mapping.data, "a" in mapping, numbers.total(), type(numbers).__name__, numbers[0:2].data


@program()
def abstract_collections():
    abc = collections.abc
    return [
        isinstance([], abc.Sequence),
        isinstance({}, abc.Mapping),
        isinstance((), abc.Hashable),
        isinstance([], abc.Hashable),
        isinstance({1}, abc.Set),
        isinstance(iter([]), abc.Iterator),
        isinstance((x for x in ()), abc.Generator),
        isinstance(len, abc.Callable),
        isinstance("a", abc.Iterable),
        issubclass(dict, abc.MutableMapping),
    ]


@program()
def own_mapping():
    class Squares(collections.abc.Mapping):
        def __getitem__(self, key):
            if key > 3:
                raise KeyError(key)
            return key * key

        def __iter__(self):
            return iter(range(4))

        def __len__(self):
            return 4

    squares = Squares()
    return (
        dict(squares),
        squares.get(9, "none"),
        2 in squares,
        list(squares.items()),
        squares == {0: 0, 1: 1, 2: 4, 3: 9},
    )


@program()
def own_sequence():
    class Letters(collections.abc.Sequence):
        def __getitem__(self, i):
            return "abc"[i]

        def __len__(self):
            return 3

    letters = Letters()
    return list(letters), "b" in letters, letters.index("c"), letters.count("a"), list(reversed(letters))


@program()
def heap():
    items = [5, 2, 8, 1]
    heapq.heapify(items)
    heapq.heappush(items, 0)
    smallest = heapq.heappop(items)
    return (
        smallest,
        items,
        heapq.nsmallest(2, items),
        heapq.nlargest(2, items),
        heapq.heapreplace(items, 9),
        heapq.heappushpop(items, 3),
        list(heapq.merge([1, 4], [2, 3])),
        [heapq.heappop(items) for _ in range(len(items))],
    )


@program()
def bisection():
    items = [1, 3, 3, 5]
    bisect.insort(items, 4)
    return (
        bisect.bisect(items, 3),
        bisect.bisect_left(items, 3),
        items,
        bisect.bisect_right([(1, "a")], 1, key=lambda p: p[0]),
    )
