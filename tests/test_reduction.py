"""How instances are taken apart for copies and pickles: `__reduce__`, `__reduce_ex__` and `__getstate__`."""

import pytest
import torch

from tests.check import check, one_graph


class Counted:
    """Says the arguments of its `__new__`, some of them wrongly."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, answer=((), {})):
        self.answer = answer

    def __getnewargs_ex__(self):
        return self.answer


class Listed:
    def __getnewargs__(self):
        return [1]


class InSlots:
    __slots__ = ("a", "b")


class Texts(list):
    pass


def reducible():
    plain, slots, texts = User(), InSlots(), Texts("ab")
    plain.name, slots.a, texts.note = "n", 1, "n"
    answers = (((1,), {}), ((1,), {"k": 2}), 3, (1, 2, 3), ([], {}), ((), []))
    return [User(), plain, slots, texts, Listed(), object(), *map(Counted, answers)]


class User:
    pass


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, True, "2"])
def test_reduced_as_the_protocol_says(protocol):
    """Protocols below 2 ask copyreg, the others the class for the arguments of its `__new__`."""

    def attempt(function, *args):
        try:
            recipe, arguments, *rest = function(*args)
            return recipe.__name__, arguments, [list(part) if hasattr(part, "__next__") else part for part in rest]
        except (TypeError, ValueError) as error:
            return type(error), str(error)

    def program(x, index):
        value = reducible()[index]
        return x + 1, attempt(value.__reduce_ex__, protocol), attempt(value.__reduce__), value.__getstate__()

    for index in range(len(reducible())):
        check(program, torch.ones(2), index)


def test_state_is_the_dictionary_itself():
    def program(x):
        user = User()
        user.name = "n"
        user.__getstate__()["name"] = "m"
        return x + 1, user.name

    one_graph(program, torch.ones(2))


def test_what_keeps_its_state_in_c_is_not_pickled():
    def program(x):
        def numbers():
            yield 1

        try:
            numbers().__reduce_ex__(2)
        except TypeError as error:
            return x + 1, str(error)

    check(program, torch.ones(2))
