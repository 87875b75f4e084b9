"""Calls to try on each polyfill and on its original: arguments by C function. Knows nothing of comparing them."""

from __future__ import annotations

import bisect
import collections
import functools
import heapq
import itertools
import math
import operator
import os
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import PurePosixPath
from typing import Any

import torch

from tests.conformance.catalogue import call
from tests.polyfill_values import (
    NAN,
    Always,
    Items,
    Never,
    Shown,
    Slotted,
    Tags,
    fail,
    odd,
    some,
    stop,
)
from tracer.interpret.policy import ROWS, Polyfill

POLYFILLS = {original: row.body for original, row in ROWS.items() if isinstance(row, Polyfill)}

VIEWED = {"a": 1, "b": 2}
PAIRS = [("a", 1), ("b", 2)]

TENSORS = [torch.ones(2), torch.ones(3, dtype=torch.float64), torch.zeros(1)]

CASES: dict[Any, list[Any]] = {
    # Reductions
    math.prod: [([2, 3],), ([],), call([2], start=[1]), (5,), (["a", 2],)],
    min: [
        ([3, 1, 2],),
        (3, 1),
        ([],),
        call([], default=7),
        (),
        call(1, 2, default=3),
        call([1, -5], key=abs),
        ([1, "a"],),
        (5,),
    ],
    max: [
        ([3, 1, 2],),
        (3, 1.0, True),
        ([],),
        call([], default=None),
        (),
        call("abc", key=ord),
        ([NAN, 1],),
        call([1], key=fail),
    ],
    sorted: [
        ([3, 1, 2],),
        call([1, -3, 2], key=abs, reverse=True),
        ([1, "a"],),
        (5,),
        ("hello",),
        ([NAN, 3, 1, NAN, 2],),
    ],
    functools.reduce: [
        (operator.add, [1, 2]),
        (operator.add, [], 0),
        (operator.add, []),
        (operator.add, 5),
        (operator.sub, "ab", 1),
    ],
    # Iterators
    # Numbers
    # Constructors
    # Lists and tuples
    list.__contains__: [([1, 2], 2), ([NAN], NAN), ([Never()], 1), ([1], Always()), (Items([1]), 1)],
    tuple.__contains__: [((1, 2), 2), ((NAN,), NAN), ((), 1)],
    list.count: [([1, 1.0, True, 2], 1), ([NAN, NAN], NAN), ([1], Always())],
    tuple.count: [((1, 1.0, 2), 1)],
    list.index: [
        ([1, 2, 1], 1, 1),
        ([1, 2], 3),
        ([1, 2, 3], 3, -1),
        ([1], 1, 5),
        ([1, 2], 2, 0, -1),
        ([1], "é"),
        ([1], 1, "a"),
        ([1, 2], 2, -9, 9),
        (Items([5]), 5),
        ([1], 1, Shown()),
    ],
    tuple.index: [((1, 2), 2), ((1,), 5), ((1, 2, 1), 1, 1), ((1, 2), 2, -5, -1), ((1,), 1, "a")],
    list.remove: [([1, 2, 1], 1), ([], 1), ([2, Always()], 5)],
    torch.Size.__add__: [(torch.Size([2]), (3,)), (torch.Size([2]), torch.Size([])), (torch.Size([2]), (2.5,))],
    torch.Size.__radd__: [(torch.Size([2]), (3,)), (torch.Size([2]), [3]), (torch.Size([2]), ("a",))],
    torch._C._group_tensors_by_device_and_dtype: [
        ([[TENSORS[0], TENSORS[1], TENSORS[2]]], False),
        ([[TENSORS[0], TENSORS[1], TENSORS[2]], [None, TENSORS[2], None], []], True),
        ([[], []], True),
    ],
    torch.Size.numel: [(torch.Size([2, 3]),), (torch.Size([]),), (torch.Size([4, 0]),)],
    # deque
    deque.__contains__: [(deque([1]), 1), (deque(), 1), (deque([NAN]), NAN)],
    deque.count: [(deque([1, 1.0]), 1)],
    deque.index: [
        (deque([1, 2]), 2),
        (deque(), 1),
        (deque([1, 2, 1]), 1, 1),
        (deque([1, 2]), 1, -9, 9),
        (deque([1]), 1, 0, -1),
        (deque("ab"), "b", -1),
    ],
    deque.remove: [(deque([1, 2, 1]), 1), (deque(), 1)],
    # dict and its subclasses
    vars(dict)["fromkeys"]: [],
    collections._count_elements: [({}, "hello"), (Counter("ab"), "bc"), ({}, 5)],
    OrderedDict.__ror__: [(OrderedDict(a=1), {"b": 2}), (OrderedDict(), 5)],
    vars(OrderedDict)["fromkeys"]: [],
    # heapq, bisect
    heapq.heappush: [([1, 3], 2), ([], 1), ((), 1), ([1], "a")],
    heapq.heappop: [([1, 3, 2],), ([],), ([1],), ((),)],
    heapq.heapreplace: [([1, 3, 2], 5), ([], 1)],
    heapq.heappushpop: [([1, 3, 2], 5), ([], 1), ([2], 1)],
    os.fspath: [("a",), (b"a",), (PurePosixPath("a/b"),), (3,), (None,)],
    heapq.heapify: [([5, 2, 8, 1, 9, 0],), ([],), ((),), ([1, "a"],)],
    bisect.bisect_right: [
        ([1, 2, 2, 3], 2),
        ([], 1),
        ([1, 2], 1, 1),
        call([1, 2], 1, lo=0, hi=1),
        ([1], 1, -1),
        call([(1,), (2,)], 1, key=operator.itemgetter(0)),
    ],
    bisect.bisect_left: [
        ([1, 2, 2, 3], 2),
        ([1], 1, -1),
        call([3, 1], 2, key=operator.neg),
        call([-3, -1], 2, key=operator.neg),
    ],
    bisect.insort_right: [([1, 2, 2, 3], 2), call([-1, -3], -2, key=operator.neg)],
    bisect.insort_left: [([1, 2, 2, 3], 2.0), ([1], "a")],
    # itertools
    itertools.count: [(), (5,), (5, -2), (0.5, 0.5), ("a",), call(step=3), call(start=2, step=0)],
    itertools.cycle: [("ab",), ([],), (5,)],
    itertools.repeat: [(1,), ("x", 3), ("x", 0), ("x", -1), call(object="x", times=2), (1, "a")],
    itertools.chain: [("ab", [1]), (), (5,), ("a", 5)],
    itertools.chain.from_iterable: [(["ab", [1]],), ([],), (5,), (["a", 5],)],
    itertools.zip_longest: [("abc", [1]), (), call("a", "bc", fillvalue=0), ("a", 5), ([], "a")],
    itertools.compress: [("abcd", [1, 0, 1]), ("ab", [1, 1, 1]), (5, []), call(data="ab", selectors=[0, 1])],
    itertools.tee: [],
    itertools.accumulate: [
        ([1, 2, 3],),
        ([3, 1], max),
        call([1], initial=10),
        call([1, 2], operator.mul, initial=2),
        ([],),
        call([], initial=None),
        (5,),
        ([1, "a"],),
        ([1, 2], min),
    ],
    itertools.starmap: [(pow, [(2, 3), [3, 2]]), (pow, [(1,)]), (pow, 5), (pow, [5]), (lambda *a: a, ["ab", ()])],
    itertools.takewhile: [(odd, [1, 3, 2, 5]), (odd, []), (odd, 5), (stop, [1]), (some, [1, 3])],
    itertools.dropwhile: [(odd, [1, 3, 2, 5]), (odd, [1]), (odd, 5), (stop, [1])],
    itertools.filterfalse: [(odd, [1, 2, 3]), (None, [0, 1]), (bool, [0, 1]), (odd, 5)],
    itertools.pairwise: [("abcd",), ("a",), ([],), (5,)],
    itertools.islice: [
        ("abcde", 2),
        ("abcde", 1, 4),
        ("abcde", 0, None, 2),
        ("abc", None),
        ("abc", -1),
        ("abc", "x"),
        ("abc", 1, -1),
        ("abc", 0, 3, 0),
        ("abc", "x", 1),
        ("abc", 0, "x"),
        ("abc", 0, 1, "x"),
        (5, 1),
        ("abc", Shown()),
        ("abc", 0),
        ("abc", 3, 1),
        ("abc", None, None, None),
    ],
    itertools.groupby: [],
    itertools.product: [
        ("ab", [1, 2]),
        (),
        call("ab", repeat=2),
        call("ab", repeat=0),
        ([], "a"),
        call("a", repeat=-1),
        (5,),
        call("ab", "c", repeat=2),
        call([], repeat=0),
    ],
    itertools.combinations: [("abcd", 2), ("ab", 0), ("ab", 3), ("ab", -1), (5, 1), call("abc", r=3), ("ab", "x")],
    itertools.combinations_with_replacement: [("abc", 2), ("", 0), ("", 1), ("ab", -1), ("a", 3)],
    itertools.permutations: [("abc",), ("abcd", 2), ("ab", 3), ("ab", 0), ("ab", -1), ("ab", "x"), call("ab", r=None)],
    # operator
    operator.concat: [([1], [2]), ("a", "b"), (1, 2), ([1], 5)],
    operator.iconcat: [([1], [2]), (1, 2), ([1], "ab")],
    operator.countOf: [([1, 1.0, 2], 1), (5, 1), ([NAN], NAN), ([1], Always())],
    operator.indexOf: [([1, 2], 2), ([1], 5), (5, 1)],
    operator.call: [(max, 1, 2), call(dict, a=1), (5,)],
    functools.partial.__call__: [
        call(functools.partial(max, 5), 1),
        call(functools.partial(dict, a=1), a=2, b=3),
        (functools.partial(odd),),
    ],
    # Text
    str.join: [
        (",", "abc"),
        (",", []),
        (",", [1]),
        (",", ["a", None]),
        (",", 5),
        (",", {"k": 1}),
        ("", iter("ab")),
        (",", ["one"]),
    ],
    str.format: [
        ("{} {}", 1, "a"),
        ("{1}{0}{1}", 1, 2),
        call("{a!r:>5}{b.value}", a="x", b=Shown()),
        ("{0[k]}", {"k": 1}),
        ("{:{}.{}}", 3.14159, 8, 2),
        ("{{}}",),
        ("{}",),
        call("{a}"),
        ("{0}{}", 1, 2),
        ("{}{0}", 1, 2),
        ("{", 1),
        ("}",),
        ("{!x}", 1),
        ("{0!}", 1),
        ("{0.no}", 1),
        ("{0[5]}", []),
        ("{:x{}}", Shown(), 1),
        ("{0.inner[k][0]}", Shown()),
        ("{!a}{!s}", "é", 1),
        ("{:{:{}}}", 1, 2, 3),
        ("{0.}", 1),
        ("{0[}", 1),
        ("{a b}",),
    ],
    str.format_map: [("{a}", {"a": 1}), ("{}", {"a": 1}), ("{b}", {}), ("{a:>{w}}", {"a": 1, "w": 4})],
    str.__mod__: [
        ("%d %5d|%-5d|%05d|%+d", (1, 2, 3, 4, 5)),
        ("%s %r %10s|%-4s|%.1s", ("x", "y", "z", "w", "cut")),
        ("%.2f %e %g", (1.5, 2.0, 3)),
        ("%x %o %c %%", (255, 8, 97)),
        ("%(a)s %(b)03d", {"a": 1, "b": 2}),
        ("%*d|%-*s|%.*f", (5, 42, 4, "x", 1, 2.25)),
        ("%s", None),
        ("%s", [1]),
        ("plain", ()),
        ("%s %s", (1,)),
        ("%s", (1, 2)),
        ("%(a)s", {}),
        ("%(a)s", 1),
        ("%", 1),
        ("x", 1),
        ("x", {}),
        ("%d", "x"),
        ("%s", Shown()),
        ("%r", (Shown(),)),
        ("%a", ("é",)),
        ("%i%u", (True, 2.9)),
        ("%5%|", ()),
        ("%y", 1),
    ],
    object.__getstate__: [(Shown(),), (Slotted(),), (object(),)],
    object.__reduce_ex__: [],
    object.__reduce__: [],
    slice.__reduce__: [(slice(1, [2], None),)],
}

COMPARED = {
    list: ([], [1], [1, 2], [1, 3], [NAN], [Always()], [1, "a"], (1,), None, [[1]]),
    tuple: ((), (1,), (1, 2), (1, 3), (NAN,), (1, "a"), [1], None),
    deque: (deque(), deque([1]), deque([1, 2], 5), deque([1, 3]), deque([1, "a"]), [1]),
}
for kind, values in COMPARED.items():
    for name in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
        CASES[getattr(kind, name)] = [*itertools.product(values, values)]
        CASES[getattr(kind, name)] = [pair for pair in CASES[getattr(kind, name)] if isinstance(pair[0], kind)]

DICTS = ({}, {"a": 1}, {"a": 1.0}, {"b": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": NAN}, OrderedDict(a=1, b=2))
DICTS = (*DICTS, OrderedDict(b=2, a=1), [1])
for owner in (dict, OrderedDict):
    for name in ("__eq__", "__ne__"):
        CASES[getattr(owner, name)] = [p for p in itertools.product(DICTS, DICTS) if isinstance(p[0], owner)]

REFERENCES = (weakref.ref(call), weakref.ref(call, id), weakref.ref(Polyfill), weakref.ref({1}), weakref.ref({1}), 1)
for name in ("__eq__", "__ne__"):
    pairs = itertools.product(REFERENCES, REFERENCES)
    CASES[getattr(weakref.ReferenceType, name)] = [p for p in pairs if isinstance(p[0], weakref.ReferenceType)]

RECURSIVE: list[Any] = [1]
RECURSIVE.append(RECURSIVE)
RECURSIVE.append({"me": RECURSIVE})
SHOWN = [
    [],
    [1, "a"],
    RECURSIVE,
    (),
    (1,),
    (1, (2,)),
    {},
    {"a": [1]},
    set(),
    {1},
    frozenset(),
    frozenset([1]),
    Tags([1]),
]
SHOWN += [VIEWED.keys(), VIEWED.values(), VIEWED.items()]
SHOWN += [deque([1]), deque([1], 3), OrderedDict(), OrderedDict(a=1), defaultdict(list, a=[1]), Items([1]), [Shown()]]
for value in SHOWN:
    CASES.setdefault(type(value).__repr__, []).append((value,))

if hasattr(itertools, "batched"):  # CPython 3.12
    CASES[itertools.batched] = [
        ("abcde", 2),
        ("abcd", 2),
        ([], 1),
        call("abc", n=1),
        (5, 2),
        (5, 0),
        ("abc", 0),
        ("abc", -1),
        ("abc", "x"),
        ("abc", 2.0),
        ("abc", Shown()),
        call("abcde", 2, strict=True),
        call("abcd", 2, strict=True),
        call("abc", 2, strict=[]),
    ]
