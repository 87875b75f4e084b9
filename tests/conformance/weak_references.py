"""weakref: references, dictionaries, callbacks, finalizers."""

from __future__ import annotations

import gc
import weakref

from .catalogue import program


class Thing:
    def __init__(self, name="thing"):
        self.name = name


@program((Thing(),))
def reference(thing):
    ref = weakref.ref(thing)
    return ref() is thing, ref is weakref.ref(thing), ref == weakref.ref(thing), type(ref).__name__


@program(may_break=True)
def reference_dies():
    thing = Thing()
    ref = weakref.ref(thing)
    before = ref() is thing
    del thing
    gc.collect()
    return before, ref()


@program()
def weak_dictionaries():
    a, b = Thing("a"), Thing("b")
    values = weakref.WeakValueDictionary(x=a)
    values["y"] = b
    keys = weakref.WeakKeyDictionary()
    keys[a] = 1
    return values["x"] is a, sorted(values), keys[a], b in keys, len(keys)


@program()
def weak_set():
    a = Thing()
    items = weakref.WeakSet([a])
    return a in items, len(items), [x is a for x in items]


@program()
def not_referable():
    messages = []
    for value in (5, "a", [], (1,)):
        try:
            weakref.ref(value)
        except TypeError as error:
            messages.append(str(error))
    return messages


@program((Thing(),))
def proxy(thing):
    p = weakref.proxy(thing)
    p.name = "through"
    return p.name, thing.name


@program(may_break=True)
def callback():
    log = []
    thing = Thing()
    ref = weakref.ref(thing, lambda r: log.append(r is ref))
    del thing
    gc.collect()
    return log


@program(may_break=True)
def finalizer_method():
    log = []

    class Local:
        def __del__(self):
            log.append("gone")

    thing = Local()
    log.append("alive")
    del thing
    gc.collect()
    return log


@program()
def weak_method():
    class A:
        def go(self):
            return 5

    a = A()
    method = weakref.WeakMethod(a.go)
    return method()()
