"""Bound methods, `__call__` of callables, functools.wraps and super(), as values that programs look at."""

import functools
import types

import pytest
import torch
from torch import nn

from tests.check import check, one_graph
from tracer import capture, graph_break


class Holder:
    """Has methods of all kinds."""

    def plain(self, extra=1):
        """What it does."""
        return extra

    @classmethod
    def of_the_class(cls):
        return cls.__name__


def test_a_callable_is_called_by_its_call_method():
    def program(x):
        def add(item):
            return item + 1

        holder = Holder()
        functions = add.__call__, add.__call__.__call__, holder.plain.__call__, len.__call__
        answers = "text".upper.__call__(), type.__call__(int, "4"), str.join.__call__(",", ["a", "b"])
        return functions[0](x), functions[1](x), functions[2](3), functions[3]([1]), answers

    one_graph(program, torch.ones(2))


def test_attributes_of_bound_methods():
    def program(x):
        holder, items = Holder(), [1]
        method, append = holder.plain, items.append
        bound = types.MethodType(Holder.plain, holder)
        facts = method.__name__, method.__doc__, method.__self__ is holder, method.__func__ is Holder.plain
        others = append.__name__, append.__qualname__, type(append).__name__, type(method).__name__, append.__self__
        return x + 1, facts, others, bound == method, method.__defaults__, holder.of_the_class.__self__ is Holder

    one_graph(program, torch.ones(2))


def test_a_builtin_function_as_a_method_crosses_a_break():
    def program(x):
        sized, appended = types.MethodType(len, [1, 2]), [3].append
        graph_break()
        appended(4)
        return x * sized(), appended.__self__

    check(program, torch.ones(2), graphs=1, breaks=["explicit"])


@pytest.mark.parametrize("function, instance", [(1, 2), (len, None)])
def test_what_cannot_be_bound(function, instance):
    def program(x):
        try:
            types.MethodType(function, instance)
        except TypeError as error:
            return x + 1, str(error)

    one_graph(program, torch.ones(2))


def test_wraps_copies_what_it_is_told():
    def program(x):
        def inner(item: int) -> str:
            """Inner."""
            return item

        inner.level = [3]

        @functools.wraps(inner)
        def outer(item):
            return inner(item) + 1

        @functools.wraps(inner, assigned=("__name__",), updated=())
        def bare(item):
            return item

        facts = outer.__name__, outer.__doc__, outer.level is inner.level, outer.__wrapped__ is inner, vars(outer)
        return outer(x), facts[:4], sorted(facts[4]), outer.__annotations__, bare.__name__, hasattr(bare, "level")

    one_graph(program, torch.ones(2))


def test_wraps_of_an_object():
    class Callable:
        def __call__(self, item):
            return item + 1

    def program(x):
        def inner():
            """Inner."""

        outer = functools.update_wrapper(Callable(), inner)
        return outer(x), outer.__name__, outer.__doc__, sorted(vars(outer))

    one_graph(program, torch.ones(2))


def test_a_subclass_of_partial_keeps_its_class_and_attributes():
    class Named(functools.partial):
        pass

    def program(x):
        named = Named(torch.add, x)
        named.title = "sum"
        return named

    captured = capture(program, backend="eager")
    for _ in range(2):
        result = captured(torch.ones(2))
        assert type(result) is Named and result.title == "sum" and result(1).tolist() == [2, 2]


def test_a_subclass_of_set_keeps_its_attributes_and_is_not_initialised_again():
    class Members(set):
        def __init__(self, members, title):
            super().__init__(members)
            self.title = title

    class Frozen(frozenset):
        pass

    def program(x):
        members, frozen = Members([1, 2], "two"), Frozen([3])
        frozen.title = "one"
        return x + 1, members, frozen

    captured = capture(program, backend="eager")
    for _ in range(2):
        _, members, frozen = captured(torch.ones(2))
        assert type(members) is Members and members == {1, 2} and vars(members) == {"title": "two"}
        assert type(frozen) is Frozen and frozen == {3} and vars(frozen) == {"title": "one"}


def test_arguments_of_super():
    class Base:
        def name(self):
            return "base"

    class Derived(Base):
        def name(self):
            return super().name() + " derived"

        def nested(self):
            return (lambda: super(Derived, self).name())()

    def program(x):
        messages = []
        for arguments in ((int, int, int), (1, 2), (int, "text"), (list, Derived)):
            try:
                super(*arguments)
            except TypeError as error:
                messages.append(str(error))
        derived = Derived()
        return x + 1, messages, derived.name(), derived.nested(), super(Derived, derived).name()

    one_graph(program, torch.ones(2))


def test_members_of_classes_written_in_c_are_not_written():
    class Named(functools.partial):
        pass

    def program(x):
        messages = []
        for partial in (functools.partial(max, 1), Named(max, 1)):
            for name in ("func", "args", "keywords"):
                try:
                    setattr(partial, name, 3)
                except AttributeError as error:
                    messages.append(str(error))
        return x + 1, messages

    check(program, torch.ones(2))


@pytest.mark.parametrize("name", ["__name__", "__qualname__"])
def test_the_name_of_a_function_is_a_string(name):
    def program(x):
        def function():
            """Has a name."""

        setattr(function, name, "new")
        try:
            setattr(function, name, 3)
        except TypeError as error:
            return x + 1, str(error), getattr(function, name)

    one_graph(program, torch.ones(2))


class Sized(frozenset):
    """Takes more arguments than its base."""

    def __init__(self, *members):
        self.size = len(members)


@pytest.mark.parametrize(
    "call", [lambda: Sized([1], 2), lambda: tuple([1], 2), lambda: type(iter([]))(), lambda: Sized([1]).size]
)
def test_arguments_and_classes_that_refuse_to_make_instances(call):
    def program(x):
        try:
            return x + 1, call()
        except TypeError as error:
            return x + 2, str(error)

    check(program, torch.ones(2))


@pytest.mark.parametrize("base", [object, list, dict, set, tuple, int, str, Exception])
def test_an_object_with_a_finalizer_is_made_and_dies(base):
    events = []

    class Finalized(base):
        def __del__(self):
            events.append("dead")

    def program(x):
        return x + len([Finalized()])

    captured = capture(program, backend="eager")
    for _ in range(2):
        events.clear()
        captured(torch.ones(1))
        assert events == ["dead"]


def test_attributes_of_immutable_classes_cannot_be_set():
    import re

    def program(x):
        messages = []
        for cls in (re.Match, int, type, torch.dtype):
            try:
                cls.attribute = 1
            except TypeError as error:
                messages.append(str(error))
        return x + 1, messages

    one_graph(program, torch.ones(2))


class Overriding(dict):
    def __setitem__(self, key, value):
        dict.__setitem__(self, key, value * 2)

    def __getitem__(self, key):
        return dict.__getitem__(self, key) + 100

    def __len__(self):
        return 99


class OverridingList(list):
    def append(self, item):
        list.append(self, item * 3)

    def pop(self):
        return "mine"


class OverridingObject:
    def __setattr__(self, name, value):
        object.__setattr__(self, name, value + 1)

    def __eq__(self, other):
        return "mine"

    __hash__ = object.__hash__


class OverridingInt(int):
    def __add__(self, other):
        return "mine"


class Counting(type):
    made = 0

    def __call__(cls, *args):
        Counting.made += 1
        return super().__call__(*args)


class Counted(metaclass=Counting):
    def __init__(self, value):
        self.value = value


METHODS_OF_BASES = {
    "setitem": (lambda: super(Overriding, Overriding(v=1)).__setitem__, ("k", 2)),
    "getitem": (lambda: super(Overriding, Overriding(v=1)).__getitem__, ("v",)),
    "len": (lambda: super(Overriding, Overriding(v=1)).__len__, ()),
    "append": (lambda: super(OverridingList, OverridingList([3])).append, (5,)),
    "pop": (lambda: super(OverridingList, OverridingList([3, 4])).pop, ()),
    "setattr": (lambda: super(OverridingObject, OverridingObject()).__setattr__, ("k", 2)),
    "eq": (lambda: super(OverridingObject, OverridingObject()).__eq__, (5,)),
    "add": (lambda: super(OverridingInt, OverridingInt(3)).__add__, (4,)),
}


@pytest.mark.parametrize("name", METHODS_OF_BASES)
def test_a_method_of_c_that_the_class_overrides(name):
    """A method is bound to its object already: what its class calls by that name does not matter."""
    make, arguments = METHODS_OF_BASES[name]

    def program(method, x):
        return method(*arguments), x + 1

    captured = capture(program)
    for _ in range(2):
        outcomes = []
        for function in (program, captured):
            method = make()
            result, _ = function(method, torch.ones(1))
            owner = method.__self__
            contents = dict.copy(owner) if isinstance(owner, dict) else list(owner) if isinstance(owner, list) else 0
            outcomes.append((result, contents, getattr(owner, "__dict__", None)))
        assert outcomes[0] == outcomes[1]


def test_methods_of_c_of_one_name_are_told_apart():
    """The same object and the same name, but the method of another base."""
    keys = Overriding(v=1)

    def program(method, x):
        return method("v"), x + 1

    captured = capture(program)
    for method in (keys.__getitem__, super(Overriding, keys).__getitem__, keys.__getitem__):
        assert captured(method, torch.ones(1))[0] == method("v")


def test_a_metaclass_calls_its_base():
    def program(make, x):
        return make(x + 1).value

    captured = capture(program)
    make = super(Counting, Counted).__call__
    for calls in (0, 0):
        Counting.made = 0
        assert captured(make, torch.ones(1)) == 2
        assert Counting.made == calls


def collect(*args, **kwargs):
    return args, kwargs


class Collecting(functools.partial):
    pass


def late_keyword(x, partial):
    keywords = partial.keywords
    keywords["late"] = x
    return partial(), keywords is partial.keywords, partial.args is partial.args


def fewer_keywords(x, partial):
    del partial.keywords["first"]
    return partial(x), partial.keywords


def keywords_of_its_own(x, partial):
    made = functools.partial(collect, x, first=1)
    keywords = made.keywords
    keywords["second"] = x
    graph_break()
    keywords["third"] = 3
    return made(), made.keywords is keywords, made, made.args is made.args


def of_another(x, partial):
    made = functools.partial(partial, last=x)
    partial.keywords.clear()
    return made(), partial(), made.keywords is partial.keywords


def gives_it_out(x, partial):
    return partial.keywords, partial.keywords is partial.keywords, x + 1


@pytest.mark.parametrize("cls", [functools.partial, Collecting])
@pytest.mark.parametrize(
    "program", [late_keyword, fewer_keywords, keywords_of_its_own, of_another, gives_it_out], ids=lambda f: f.__name__
)
def test_the_keywords_of_a_partial_are_a_dict_that_programs_change(program, cls):
    def outcome(call):
        partial = cls(collect, first=1, second=2)
        results = []
        for number in range(3):
            try:
                results.append(call(torch.full((1,), float(number)), partial))
            except KeyError as error:
                results.append(str(error))
            results.append(dict(partial.keywords))
            if isinstance(results[0][0], dict):  # what was given out is what calls read
                results[0][0]["given out"] = number
        return repr(results)

    assert outcome(capture(program)) == outcome(program)


def test_arguments_of_a_partial_that_is_called_are_part_of_one_graph():
    def program(x, partial):
        made = functools.partial(torch.sub, x, alpha=3)
        return partial(x, x), made(x), made.keywords["alpha"], made.func

    one_graph(program, torch.ones(2), functools.partial(torch.add, alpha=2))


class Base:
    @capture
    def scaled(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return x * 2

    @classmethod
    @capture
    def of_class(cls, x):
        return x + len(cls.__name__)

    @capture
    @staticmethod
    def of_nothing(x):
        return x.relu()

    @property
    @capture
    def two(self):
        return 2


class Derived(Base):
    @capture
    def scaled(self, x):
        return super().scaled(x) + self.two


class Layer(nn.Module):
    @capture
    def forward(self, x):
        return x.relu()


def test_captured_methods_are_methods_where_captured_code_calls_them():
    def program(item, layer, x):
        method = item.scaled
        y = layer(method(x)) + layer.forward(x) + item.of_class(x) + item.of_nothing(x)
        return y + Base.scaled(item, x), method.__self__ is item, type(method).__name__, item.calls

    for item in (Base(), Derived()):
        check(program, item, Layer(), torch.randn(3), breaks=[])
        captured = capture(program, fullgraph=True)
        captured(item, Layer(), torch.randn(3))
        assert [entry.ops > 5 for entry in captured.entries] == [True]


def test_a_captured_method_that_is_replaced_is_captured_again():
    class Local:
        @capture
        def scaled(self, x):
            return x * 2

    @capture
    def program(item, x):
        return item.scaled(x)

    before = Local.scaled
    assert program(Local(), torch.ones(1)).item() == 2
    Local.scaled = capture(lambda self, x: x * 3)
    assert program(Local(), torch.ones(1)).item() == 3
    assert len(program.entries) == 2 and not any(entry.broke for entry in program.entries)
    Local.scaled = before
    assert program(Local(), torch.ones(1)).item() == 2 and len(program.entries) == 2
