"""dict: methods, views, ordering, keys of all kinds."""

from __future__ import annotations

from .catalogue import program, raising


@program(({"a": 1},))
def reading(d):
    return d["a"], d.get("b"), d.get("b", 2), "a" in d, "b" not in d, len(d), list(d), d.get("a", 5), bool(d), bool({})


@program(raising(KeyError, {}), ({"k": 1},))
def missing_key(d):
    return d["k"]


@program(({"a": 1, "b": 2},))
def writing(d):
    d["c"] = 3
    d["a"] = 10
    del d["b"]
    d["b"] = "again"
    d["c"] += 1
    return list(d.items())


@program(({"a": 1, "b": 2, "c": 3},))
def removing(d):
    popped = d.pop("a"), d.pop("z", None), d.popitem()
    try:
        d.pop("z")
    except KeyError as error:
        args = error.args
    d.clear()
    try:
        d.popitem()
    except KeyError as error:
        return popped, args, error.args, d


@program(({"a": [1]},))
def setdefault(d):
    first = d.setdefault("a", [])
    second = d.setdefault("b", [])
    second.append(2)
    return first is d["a"], d, d.setdefault("c"), d


@program(({"a": 1},))
def updating(d):
    d.update({"b": 2})
    d.update([("c", 3), ["d", 4]])
    d.update(e=5)
    d.update({"a": 0}, f=6)
    d.update(zip("gh", (7, 8)))
    d |= {"i": 9}
    return d, d | {"a": "merged"}, {"z": 0} | d


@program()
def update_errors():
    messages = []
    for thing in (5, [1], [(1, 2, 3)], ["ab", "c"]):
        try:
            {}.update(thing)
        except (TypeError, ValueError) as error:
            messages.append((type(error).__name__, str(error)))
    return messages


@program()
def construction():
    return (
        {},
        dict(),
        dict(a=1),
        dict([("a", 1)], b=2),
        dict({"x": 1}),
        dict(zip("ab", range(2))),
        {"a": 1, **{"b": 2}},
        dict.fromkeys("ab"),
        dict.fromkeys([1, 2], []),
        {one: kind for one, kind in ((1, "int"), (1.0, "float"), (True, "bool"))},
    )


@program(({"a": 1, "b": 2},))
def views(d):
    keys, values, items = d.keys(), d.values(), d.items()
    before = list(keys), list(values), list(items)
    d["c"] = 3
    return (
        before,
        list(keys),
        len(values),
        ("c", 3) in items,
        "c" in keys,
        3 in values,
        list(reversed(d)),
        list(reversed(items)),
    )


@program(({"a": 1, "b": 2}, {"b": 2, "c": 3}))
def view_sets(d, e):
    return (
        sorted(d.keys() & e.keys()),
        sorted(d.keys() | e.keys()),
        sorted(d.keys() - e.keys()),
        sorted(d.keys() ^ e.keys()),
        d.items() & e.items(),
        d.keys() == {"a", "b"},
        d.keys() <= {"a", "b", "c"},
        d.keys().isdisjoint("xyz"),
        d.items() == {("a", 1), ("b", 2)},
    )


@program()
def equality():
    return (
        {"a": 1, "b": 2} == {"b": 2, "a": 1},
        {"a": 1} != {"a": 2},
        {} == [],
        {1: 2} == {1.0: 2.0},
        {"a": {}} == {"a": {}},
    )


@program()
def keys_of_many_kinds():
    d = {1: "a", "1": "b", (1, 2): "c", None: "d", frozenset([1]): "e", int: "f", 2.5: "g", b"k": "h"}
    return d[1], d[True], d[1.0], d[(1, 2)], d[None], d[frozenset([1])], d[int], d[2.5], d[b"k"], len(d)


@program()
def unhashable_keys():
    messages = []
    for key in ([], {}, set(), (1, [])):
        try:
            {key: 1}
        except TypeError as error:
            messages.append(str(error))
    return messages, [] in [[]], {}.get("x")


@program()
def order_is_insertion():
    d = {}
    for k in "cab":
        d[k] = 1
    del d["a"]
    d["a"] = 2
    d["c"] = 3
    return list(d), next(iter(d)), list(d.values())


@program(({"x": {"y": {"z": 1}}},))
def nested(d):
    d["x"]["y"]["z"] += 1
    d["x"]["new"] = []
    d["x"]["new"].append(d["x"]["y"])
    return d["x"]["new"][0] is d["x"]["y"]


@program()
def custom_keys():
    class Key:
        def __init__(self, n):
            self.n = n

        def __hash__(self):
            return self.n % 2

        def __eq__(self, other):
            return isinstance(other, Key) and self.n == other.n

    d = {Key(1): "one", Key(3): "three", Key(2): "two"}
    d[Key(1)] = "uno"
    return d[Key(1)], d[Key(3)], Key(5) in d, len(d)


@program(({"b": 1, "a": 3, "c": 2},))
def sorting(d):
    return (
        sorted(d),
        sorted(d.items()),
        sorted(d, key=d.get),
        max(d, key=d.get),
        min(d.values()),
        dict(sorted(d.items(), key=lambda kv: -kv[1])),
        sum(d.values()),
    )


@program(({"a": 1, "b": 2},))
def inversion(d):
    return {v: k for k, v in d.items()}, {k: v * 2 for k, v in d.items() if v > 1}, dict(map(reversed, d.items()))


@program()
def dict_of_lists():
    graph = {}
    for a, b in (("x", "y"), ("x", "z"), ("y", "z")):
        graph.setdefault(a, []).append(b)
        graph.setdefault(b, [])
    return graph


@program(({"a": 1},))
def copies(d):
    e = d.copy()
    e["b"] = 2
    f = dict(d)
    f.clear()
    return d, e, f, d is not e


@program()
def missing_hook():
    class Table(dict):
        def __missing__(self, key):
            return f"<{key}>"

    t = Table(a=1)
    return t["a"], t["b"], t.get("b"), "b" in t, len(t)


@program()
def overridden_methods():
    class Table(dict):
        def __setitem__(self, key, value):
            super().__setitem__(key, value * 10)

        def __getitem__(self, key):
            return ("got", super().__getitem__(key))

        def keys(self):
            return ["fake"]

    t = Table(a=1)
    t["b"] = 2
    t.update(c=3)
    t.setdefault("d", 4)
    return t["a"], t["b"], t.get("c"), t.pop("d"), list(t.values()), list(t), t.keys(), dict.__getitem__(t, "b")


@program()
def mapping_proxy():
    import types

    d = {"a": 1}
    proxy = types.MappingProxyType(d)
    d["b"] = 2
    try:
        proxy["c"] = 3
    except TypeError as error:
        return dict(proxy), proxy["b"], len(proxy), "a" in proxy, str(error)


@program()
def value_is_the_dict_itself():
    d = {}
    d["me"] = d
    return d["me"]["me"] is d, repr(d)
