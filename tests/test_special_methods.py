"""Special methods are looked up on the class and called, whatever they are, and what they return is checked."""

import copy
import functools
import math
import operator

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, counters, reset


class Answer:
    """An object that can be called."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, *args, **kwargs):
        return self.answer


class Bound:
    """A descriptor of the program's own."""

    def __init__(self, function):
        self.function = function

    def __get__(self, instance, owner=None):
        return functools.partial(self.function, instance)


class OfTheClass:
    """Every special method is a classmethod."""

    def _answer(cls, *args):
        return cls.__name__, args

    _answer = classmethod(_answer)
    __add__ = __radd__ = __iadd__ = __neg__ = __getitem__ = __call__ = __round__ = __divmod__ = __pow__ = _answer
    __getattr__ = __reversed__ = __enter__ = __lt__ = __eq__ = __floor__ = __trunc__ = __abs__ = _answer
    __len__ = __index__ = __int__ = __hash__ = classmethod(lambda cls: 3)
    __float__ = classmethod(lambda cls: 1.5)
    __bool__ = classmethod(lambda cls: False)
    __iter__ = classmethod(lambda cls: iter((1, 2)))
    __contains__ = classmethod(lambda cls, item: item == 9)
    __repr__ = classmethod(lambda cls: cls.__name__)
    __format__ = classmethod(lambda cls, spec: f"{cls.__name__} {spec}")
    __bytes__ = classmethod(lambda cls: b"bytes")
    __exit__ = classmethod(lambda cls, *args: True)


def test_class_methods():
    def program(x):
        item = OfTheClass()
        with item as entered:
            raise ValueError
        total = item
        total += 1
        numbers = int(item), float(item), operator.index(item), len(item), hash(item), [1, 2, 3, 4][item]
        rounded = round(item, 2), math.floor(item), math.trunc(item), abs(item), divmod(item, 2), pow(item, 2, 3)
        texts = repr(item), f"{item:>4}", bytes(item)
        others = item + 1, 1 + item, -item, item[4], item(5), reversed(item), item < 1, item == 1, item.name
        return x * len(item), entered, total, numbers, rounded, texts, others, bool(item), list(item), 9 in item

    one_graph(program, torch.ones(2))


class ByOtherThings:
    """Special methods that are callable objects, partial objects, descriptors, properties and static methods."""

    __len__ = Answer(3)
    __add__ = functools.partial(operator.mul, 5)
    __lt__ = Bound(lambda self, other: (type(self).__name__, other))
    __bool__ = staticmethod(lambda: False)
    __call__ = functools.partialmethod(lambda self, tag, item: (tag, item), "called")
    __setattr__ = Bound(lambda self, name, value: self.__dict__.__setitem__(f"{name}_", value))
    __getattr__ = Bound(lambda self, name: f"no {name}")
    __eq__ = functools.partial(operator.eq, 3)
    __hash__ = Answer(7)
    __next__ = Answer("next")
    __enter__ = Answer("entered")
    __exit__ = Answer(True)

    @property
    def __iter__(self):
        return lambda: iter("ab")

    @property
    def __int__(self):
        raise AttributeError("no number")


def test_callables_of_all_kinds():
    def program(x):
        item = ByOtherThings()
        item.scale = 3
        with item as entered:
            raise KeyError
        try:
            int(item)
        except AttributeError as error:
            refused = str(error)
        found = {item: 1}[item]
        return (
            x * len(item) * item.scale_, entered, refused, found, item + 2, item < 1, bool(item), item(4), item.other,
            item == 3, item == 4, hash(item), next(item), list(item),
        )  # fmt: skip

    one_graph(program, torch.ones(2))


class Blocked:
    """Every special method is None."""

    __iter__ = __len__ = __contains__ = __add__ = __radd__ = __bool__ = __hash__ = __reversed__ = __lt__ = None
    __neg__ = __call__ = __getitem__ = __setitem__ = __delitem__ = __int__ = __float__ = __index__ = __eq__ = None
    __str__ = __format__ = __round__ = __next__ = __divmod__ = __getattr__ = __iadd__ = __enter__ = __exit__ = None


def _enter(item):
    with item:
        pass


BLOCKED = (
    *(iter, list, tuple, set, bool, hash, reversed, operator.neg, int, float, operator.index, str, round, next, len),
    *(lambda item: 1 in item, lambda item: item + 1, lambda item: 1 + item, lambda item: item < 1, lambda item: item()),
    *(lambda item: item[1], lambda item: operator.setitem(item, 1, 2), lambda item: operator.delitem(item, 1)),
    *(lambda item: f"{item}", lambda item: divmod(item, 1), lambda item: item.name, lambda item: item == 1),
    *(lambda item: operator.iadd(item, 1), lambda item: {item: 1}, lambda item: [*item], _enter),
)


def test_none_blocks():
    def program(x):
        messages = []
        for function in BLOCKED:
            try:
                function(Blocked())
            except TypeError as error:
                messages.append(str(error))
        return x + len(messages), messages

    one_graph(program, torch.ones(2))


class Returns:
    """All conversions return one thing."""

    def __init__(self, result):
        self.result = result

    def _answer(self, *args):
        return self.result

    __int__ = __index__ = __len__ = __hash__ = __bool__ = __float__ = __complex__ = __str__ = __repr__ = _answer
    __format__ = __bytes__ = __length_hint__ = __contains__ = _answer


CONVERSIONS = (
    *(int, float, complex, operator.index, len, hash, bool, str, repr, format, bytes, operator.length_hint),
    *(lambda item: 1 in item, lambda item: [1, 2, 3][item], lambda item: f"{item}", lambda item: complex(item, 2)),
)


@pytest.mark.parametrize("result", [1, -1, 1.5, "text", b"bytes", None, 1j, 2**70], ids=repr)
def test_results_are_checked(result):
    def program(x):
        answers = []
        for function in CONVERSIONS:
            try:
                answer = function(Returns(result))
            except (TypeError, ValueError, OverflowError, IndexError) as error:
                answer = type(error).__name__, str(error)
            answers.append((type(answer).__name__, answer))
        return x + len(answers), answers

    one_graph(program, torch.ones(2))


def test_a_deprecated_conversion_is_left_to_python():
    class Odd:
        def __int__(self):
            return True

        def __float__(self):
            return torch.finfo(torch.float32).eps

    def program(x):
        return x + 1, int(Odd()), type(int(Odd())), float(Odd())

    check(program, torch.ones(2))


class Indexed:
    """Has an index only."""

    def __index__(self):
        return 65


class Floating:
    """Has a float only."""

    def __float__(self):
        return 2.5


class Whole:
    """Has an int only."""

    def __int__(self):
        return 6


@pytest.mark.parametrize("directive", ["%d", "%i", "%x", "%o", "%e", "%g", "%c"])
def test_percent_makes_numbers_by_special_methods(directive):
    def program(x):
        texts = []
        for item in (Indexed(), Floating(), Whole(), object()):
            try:
                texts.append(directive % (item,))
            except TypeError as error:
                texts.append(str(error))
        return x + 1, texts

    one_graph(program, torch.ones(2))


class Hinted:
    """Iterable, with a length hint."""

    def __init__(self, hint):
        self.hint = hint

    def __iter__(self):
        return iter((1, 2))

    def __length_hint__(self):
        if isinstance(self.hint, type):
            raise self.hint("hint")
        return self.hint


LISTING = (
    *(list, tuple, sorted, set, sum, operator.length_hint, lambda item: [*item], lambda item: (*item,)),
    *(lambda item: [0].extend(item), lambda item: dict.fromkeys(item), lambda item: operator.length_hint(item, 9)),
)


@pytest.mark.parametrize("hint", [3, -1, "text", NotImplemented, TypeError, ValueError, 2**70], ids=repr)
def test_whatever_makes_a_list_asks_the_length_hint(hint):
    def program(x):
        answers = []
        for function in LISTING:
            try:
                answers.append(function(Hinted(hint)))
            except (TypeError, ValueError, OverflowError) as error:
                answers.append((type(error).__name__, str(error)))
        return x + len(answers), answers

    one_graph(program, torch.ones(2))


class Left:
    """The class that others derive from, truly or virtually."""

    def __add__(self, other):
        return "Left.add"

    def __radd__(self, other):
        return "Left.radd"

    def __gt__(self, other):
        return "Left.gt"

    def __lt__(self, other):
        return "Left.lt"


class Inheriting(Left):
    """Nothing of its own."""


class Overriding(Left):
    """Goes first as the right operand."""

    def __radd__(self, other):
        return "Overriding.radd"

    def __gt__(self, other):
        return "Overriding.gt"


class OnlyReflected:
    """A number that sequences do not know."""

    def __radd__(self, other):
        return "radd", type(other).__name__

    def __rmul__(self, other):
        return "rmul", type(other).__name__


def test_reflected_operators():
    def program(x):
        one, two, three = Left(), Inheriting(), Overriding()
        sums = one + two, one + three, two + three, three + one, 1 + one, [1] + one
        orders = one < two, one < three, three < one
        grown, repeated = [1], [2]
        grown += OnlyReflected()
        repeated *= OnlyReflected()
        return x + 1, sums, orders, grown, repeated, (1,) + OnlyReflected(), 2.5 * OnlyReflected()

    one_graph(program, torch.ones(2))


class Meta(type):
    """Special methods of a class are looked up on its metaclass."""

    def _answer(cls, *args):
        return cls.__name__, args

    __add__ = __radd__ = __getitem__ = __neg__ = __call__ = __getattr__ = __enter__ = __reversed__ = __lt__ = _answer
    __bool__ = __exit__ = lambda cls, *args: False
    __len__ = __int__ = __index__ = lambda cls: 2
    __iter__ = lambda cls: iter("meta")
    __contains__ = lambda cls, item: item == "m"
    __repr__ = lambda cls: "a class"
    __format__ = lambda cls, spec: f"formatted {spec}"


class Managed(metaclass=Meta):
    """Has nothing itself."""

    __len__ = __iter__ = __bool__ = None


def test_special_methods_of_classes():
    def program(x):
        with Managed as entered:
            pass
        numbers = len(Managed), int(Managed), [1, 2, 3][Managed], bool(Managed)
        others = Managed + 1, 1 + Managed, Managed[3], -Managed, Managed(4), Managed.other, Managed < 1
        return x * len(Managed), entered, numbers, others, list(Managed), "m" in Managed, repr(Managed), f"{Managed:z}"

    one_graph(program, torch.ones(2))


def test_new_and_init_are_whatever_the_class_has():
    class Made:
        __new__ = Answer("made")

    class Counted:
        @classmethod
        def __init__(cls, *args):
            assert cls is Counted and args == (1, 2)

    class Refused:
        @property
        def __init__(self):
            raise AttributeError("booh")

    class Wrong:
        def __init__(self):
            return 3

    def program(x):
        answers = [Made(), type(Counted(1, 2)).__name__]
        for cls in (Refused, Wrong):
            try:
                cls()
            except (AttributeError, TypeError) as error:
                answers.append(str(error))
        return x + 1, answers

    one_graph(program, torch.ones(2))


class DotDict(dict):
    """Attributes are items, by methods written in C."""

    __getattr__ = dict.get
    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__


def test_attribute_hooks_written_in_c():
    def program(x, config):
        config.scale = 3
        config.unused = 4
        del config.unused
        return x * config.scale, config.missing, vars(config)

    one_graph(program, torch.ones(2), DotDict(a=1))


def test_what_a_classmethod_wraps_is_bound_by_its_own_get_up_to_3_12():
    class Named:
        name = classmethod(Bound(lambda cls: cls.__name__))
        title = classmethod(property(lambda cls: cls.__name__.title()))
        size = classmethod(functools.partial(len, "abc"))

    def chained(x):
        return x + 1, Named.name(), Named().name(), Named.title, Named().title

    def bound(x):
        messages = []
        for method in (Named.name, Named().title):
            try:
                method()
            except TypeError as error:
                messages.append(str(error))
        return x + 1, Named.title == Named().title, Named.title.__self__ is Named, messages

    one_graph(chained if isinstance(Named.title, str) else bound, torch.ones(2))


class Padded(list):
    """Says that it is longer than it is."""

    def __len__(self):
        return 8


class Liar(list):
    """Iterates over other items than it holds."""

    def __iter__(self):
        return iter((7, 8))


def test_subclasses_of_list_are_concatenated_by_what_they_hold():
    def program(x, padded, liar):
        return x * sum(padded), [1] + liar, liar + liar, (*liar,), len(padded), list(padded)

    one_graph(program, torch.ones(2), Padded([5]), Liar([5]))


class Counting:
    """An iterator that ends with a value."""

    def __init__(self, count):
        self.count = count

    def __iter__(self):
        return self

    def __next__(self):
        if not self.count:
            raise StopIteration("end")
        self.count -= 1
        return self.count


def test_what_next_raises_is_what_the_method_raised():
    def program(x):
        try:
            next(Counting(0))
        except StopIteration as stop:
            return x + 1, stop.value, next(Counting(0), "default"), list(Counting(2))

    one_graph(program, torch.ones(2))


@pytest.mark.parametrize(
    "new, cls", [(int.__new__, bool), (object.__new__, list), (dict.__new__, set), (list.__new__, 3)]
)
def test_new_of_another_class_is_refused(new, cls):
    def program(x):
        try:
            new(cls)
        except TypeError as error:
            return x + 1, str(error)

    check(program, torch.ones(2))


def test_the_truth_of_not_implemented_warns_every_time():
    def program(x):
        return x + 1, bool(NotImplemented)

    check(program, torch.ones(2))


class Unreadable:
    """Cannot be copied, as its `__reduce_ex__` is not found."""

    def __getattribute__(self, name):
        if name.startswith("__reduce"):
            raise AttributeError(name)
        return object.__getattribute__(self, name)


class Delegating:
    """Has a `__deepcopy__` only by `__getattr__`."""

    def __getattr__(self, name):
        if name == "__deepcopy__":
            return lambda memo: "copied"
        raise AttributeError(name)


class Logged:
    log: list = []

    def __init__(self, inner):
        self.inner, self.number = inner, 2

    def __getattribute__(self, name):
        Logged.log.append(name)
        return object.__getattribute__(self, name)


class Aliased:
    names = {"other": "inner"}

    def __init__(self, inner):
        self.inner = inner

    def __getattribute__(self, name):
        return object.__getattribute__(self, Aliased.names.get(name, name))


class Reduced:
    def __init__(self, inner):
        self.inner = inner

    def __getattribute__(self, name):
        return (lambda protocol: (list, ([7],))) if name == "__reduce_ex__" else object.__getattribute__(self, name)


class Restored:
    def __init__(self, inner):
        self.inner = inner

    def __getattribute__(self, name):
        if name == "__setstate__":
            return lambda state: Logged.log.append(sorted(state))
        return object.__getattribute__(self, name)


@pytest.mark.parametrize("kind", [Logged, Aliased, Reduced, Restored])
def test_deepcopy_asks_the_programs_own_getattribute(kind):
    def program(x, item):
        copied = copy.deepcopy(item)
        return x + 1, type(copied).__name__, copied if isinstance(copied, list) else vars(copied)

    reset()
    captured = capture(program)
    for inner in ([1], [[2], 3], Logged([4])):
        outcomes = []
        for function in (program, captured):
            Logged.log.clear()
            result, name, state = function(torch.ones(2), kind(inner))
            copied = state["inner"] if isinstance(state, dict) and "inner" in state else state
            outcomes.append((result.tolist(), name, copied is inner, type(copied).__name__, list(Logged.log)))
        assert outcomes[0] == outcomes[1]
    if kind in (Logged, Aliased):
        assert not counters().breaks


def test_deepcopy_asks_the_object_for_its_hooks():
    def program(x):
        messages = []
        try:
            copy.deepcopy(Unreadable())
        except copy.Error as error:
            messages.append(type(error).__name__)
        try:
            vars(42)
        except TypeError as error:
            messages.append(str(error))
        return x + 1, messages, copy.deepcopy(Delegating())

    check(program, torch.ones(2))


def test_a_special_method_replaced_between_calls():
    class Sized:
        __len__ = Answer(2)

    sized = Sized()

    @capture(backend="eager")
    def program(x):
        return x * len(sized)

    assert program(torch.ones(1)).item() == 2
    Sized.__len__ = staticmethod(lambda: 5)
    assert program(torch.ones(1)).item() == 5
    Sized.__len__ = lambda self: 7
    assert program(torch.ones(1)).item() == 7
