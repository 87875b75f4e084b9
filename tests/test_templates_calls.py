"""Calls that differ in something subtle from an earlier one of the same function, made in one trace.

Each program is captured with and without templates, which must give the same, and must do what the plain program does.
"""

import random
import weakref

import pytest
import torch
from torch import nn

from tests.check import check
from tests.test_templates import same_as_interpreted
from tracer.interpret.templates import calls

BLOCKS = 8
COUNT = 0


class Shared:
    def __init__(self):
        self.calls = 0
        self.seen = {}


def global_counter_step(x):
    global COUNT
    COUNT += 1
    return x.sin() * COUNT


def global_counter(x):
    global COUNT
    COUNT = 0

    for _ in range(BLOCKS):
        x = global_counter_step(x)
    return x


def shared_counter_step(x, shared):
    shared.calls += 1
    return x.sin() * shared.calls


def shared_counter(x):
    shared = Shared()

    for _ in range(BLOCKS):
        x = shared_counter_step(x, shared)
    return x, shared.calls


def memo_of_a_shared_dictionary(x):
    shared = Shared()

    def step(x, number):
        if number % 3 not in shared.seen:
            shared.seen[number % 3] = number
        return x.sin() * (1 + shared.seen[number % 3])

    for number in range(BLOCKS):
        x = step(x, number)
    return x


def list_appended(x):
    seen = []

    def step(x):
        seen.append(1)
        return x.sin() + len(seen)

    for _ in range(BLOCKS):
        x = step(x)
    return x, seen


def cell_written_in_between(x):
    factor = 1

    def step(x):
        return (x.sin() * factor).relu()

    for number in range(BLOCKS):
        if number == 5:
            factor = 3
        x = step(x)
    return x


def random_numbers_step(x):
    return x.sin() + torch.rand(3) * torch.randn(3)


def random_numbers(x):

    for _ in range(BLOCKS):
        x = random_numbers_step(x)
    return x


def python_random_numbers_step(x):
    return x.sin() * random.random()


def python_random_numbers(x):

    for _ in range(4):
        x = python_random_numbers_step(x)
    return x


def dropout_in_between_step(x, p):
    return nn.functional.dropout(x.sin(), p).relu()


def dropout_in_between(x):

    for number in range(BLOCKS):
        x = dropout_in_between_step(x, 0.5 if number != 5 else 0.25)
    return x


def same_argument_twice_step(x, y):
    return x.sin() * y if x is y else x.sin() + y


def same_argument_twice(x):

    for number in range(BLOCKS):
        x = same_argument_twice_step(x, x if number in (2, 5) else x + 1)
    return x


def argument_that_is_a_view_step(x, y):
    return (x * y.sin()).relu(), y._base is x


def argument_that_is_a_view(x):

    views = []
    for number in range(BLOCKS):
        x, is_view = argument_that_is_a_view_step(x, x.view(-1) if number in (2, 5) else x + 1)
        x = x.view(-1)
        views.append(is_view)
    return x, views


def view_written_step(x):
    return x.view(-1), x.sin()


def view_written(x):

    kept = []
    for number in range(BLOCKS):
        view, x = view_written_step(x)
        if number == 5:
            view.add_(1)
        kept.append(view)
    return x, kept


def write_to_an_argument_step(x, write):
    y = x.sin().relu()
    if write:
        x.mul_(2)
    return y + x


def write_to_an_argument(x):

    for number in range(BLOCKS):
        x = write_to_an_argument_step(x, number in (3, 6))
    return x


def order_of_keywords_step(x, **options):
    for name, value in options.items():
        x = x * value if name == "times" else x + value
    return x.sin()


def order_of_keywords(x):

    for number in range(BLOCKS):
        x = (
            order_of_keywords_step(x, times=2, plus=1)
            if number not in (2, 5)
            else order_of_keywords_step(x, plus=1, times=2)
        )
    return x


def order_of_a_dictionary_step(x, table):
    for name in table:
        x = x * table[name] if name == "times" else x + table[name]
    return x.sin()


def order_of_a_dictionary(x):

    for number in range(BLOCKS):
        x = order_of_a_dictionary_step(x, {"times": 2, "plus": 1} if number not in (2, 5) else {"plus": 1, "times": 2})
    return x


def tuple_or_list_step(x, parts):
    return x.sin() * parts[0] + (10 if isinstance(parts, tuple) else len(parts))


def tuple_or_list(x):

    for number in range(BLOCKS):
        x = tuple_or_list_step(x, (1, 2) if number not in (2, 5) else [1, 2])
    return x


def containers_that_are_one_step(x, one, other):
    return x.sin() * (2 if one is other else 3) + one[0]


def containers_that_are_one(x):

    both = [1]
    for number in range(BLOCKS):
        x = containers_that_are_one_step(x, both, both if number in (2, 5) else [1])
    return x


def result_that_is_an_argument_step(x, give):
    y = x.sin().relu()
    return x if give else y


def result_that_is_an_argument(x):

    same = []
    for number in range(BLOCKS):
        y = result_that_is_an_argument_step(x, number in (2, 5))
        same.append(y is x)
        x = y + 1
    return x, same


def equal_numbers_of_other_types_step(x, number):
    return x.sin() + (1 if type(number) is bool else 2 if type(number) is int else 3) * number


def equal_numbers_of_other_types(x):

    for number in (1, 1, 1, True, 1.0, 1, 1.0, True, 1):
        x = equal_numbers_of_other_types_step(x, number)
    return x


def zeros_of_other_signs_step(x, number):
    return (x.sin().abs() + 1) * number


def zeros_of_other_signs(x):

    for number in (0.0, 0.0, 0.0, -0.0, 0.0, -0.0):
        x = zeros_of_other_signs_step(x, number)
    return 1 / x


def identity_of_numbers(x):
    big = 1000.5

    def step(x, number):
        return x.sin().relu() + (1 if number is big else 2)

    for number in (big, big, big, 2001 / 2, big):
        x = step(x, number)
    return x


def gradient_mode_step(x, weight):
    return (x * weight).sin()


def gradient_mode(x):

    weight = x.clone().requires_grad_()
    for number in range(BLOCKS):
        with torch.set_grad_enabled(number not in (3, 6)):
            x = gradient_mode_step(x, weight)
    return x.requires_grad, x.detach()


def detached_in_between_step(x, weight):
    return (x * weight).sin() + x.requires_grad


def detached_in_between(x):

    weight = x.clone().requires_grad_()
    for number in range(BLOCKS):
        x = detached_in_between_step(x.detach() if number in (3, 6) else x, weight)
    return x.detach()


def autocast_in_between_step(x):
    return x.view(1, -1) @ x.view(-1, 1) + x.sum()


def autocast_in_between(x):

    kinds = []
    for number in range(BLOCKS):
        with torch.autocast("cpu", torch.bfloat16, enabled=number in (3, 6)):
            y = autocast_in_between_step(x)
        kinds.append(y.dtype)
        x = x + y.float().view(-1)
    return x, kinds


def exception_in_one_step(x, number):
    y = x.sin().relu()
    if number == 5:
        raise ValueError(number)
    return y * 2


def exception_in_one(x):

    for number in range(BLOCKS):
        try:
            x = exception_in_one_step(x, number)
        except ValueError as error:
            x = x + error.args[0]
    return x


def strides_in_between_step(x):
    return x.sin() * x.stride(0) + x.t().relu()


def strides_in_between(x):

    x = x.view(-1, 1).expand(3, 3).contiguous()
    for number in range(BLOCKS):
        x = strides_in_between_step(x.t() if number in (3, 6) else x)
    return x


def sizes_in_between_step(x):
    return x.sin() * x.shape[0]


def sizes_in_between(x):

    for number in range(BLOCKS):
        x = sizes_in_between_step(torch.cat([x, x]) if number in (3, 6) else x)
    return x


def dtypes_in_between_step(x):
    return x.sin() * (2 if x.dtype is torch.float32 else 3)


def dtypes_in_between(x):

    for number in range(BLOCKS):
        x = dtypes_in_between_step(x.double() if number == 3 else x.float() if number == 6 else x)
    return x


def nested_functions(x):
    steps = []
    for number in range(BLOCKS):

        def step(x, number=number):
            return (x.sin() * (1 + number // 4)).relu()

        steps.append(step)
    for step in steps:
        x = step(x)
    return x


def attribute_set_on_the_next_step(x, link):
    y = x.sin() * link.scale
    if link.next is not None:
        link.next.scale = link.scale + 1
    return y


def attribute_set_on_the_next(x):
    class Link:
        def __init__(self):
            self.next = None
            self.scale = 1.0

    links = [Link() for _ in range(BLOCKS)]
    for one, other in zip(links, links[1:], strict=False):
        one.next = other
    for link in links:
        x = attribute_set_on_the_next_step(x, link)
    return x


def default_that_changes_step(x, seen=[]):  # noqa: B006
    seen.append(len(seen))
    return x.sin() + seen[-1]


def default_that_changes(x):
    default_that_changes_step.__defaults__[0].clear()

    for _ in range(BLOCKS):
        x = default_that_changes_step(x)
    return x


def iterator_consumed(x):
    numbers = iter(range(1, 20))

    def step(x):
        return x.sin() * next(numbers)

    for _ in range(BLOCKS):
        x = step(x)
    return x


def string_built_step(x, name):
    return x.sin() + len(name), name + "."


def string_built(x):

    name = ""
    for _ in range(BLOCKS):
        x, name = string_built_step(x, name)
    return x, name


def weak_references_step(x, reference):
    holder = reference()
    return x.sin() * (holder.factor if holder is not None else 5)


def weak_references(x):
    class Holder:
        pass

    holders = [Holder() for _ in range(BLOCKS)]
    for holder in holders:
        holder.factor = 2

    references = [weakref.ref(holder) for holder in holders]
    for reference in references:
        x = weak_references_step(x, reference)
    return x


def class_attribute_in_between(x):
    class Link:
        factor = 1

    def step(x):
        return x.sin() * Link.factor

    for number in range(BLOCKS):
        if number in (3, 6):
            Link.factor = number
        x = step(x)
    return x


def attribute_of_a_tensor_step(x):
    return x.sin() + getattr(x, "mark", 0)


def attribute_of_a_tensor(x):

    for number in range(BLOCKS):
        y = x + 1
        if number in (3, 6):
            y.mark = number
        x = attribute_of_a_tensor_step(y)
    return x


def kept_by_the_call(x):
    kept = []

    def step(x):
        y = x.sin().relu()
        kept.append(y)
        return y * 2

    for _ in range(BLOCKS):
        x = step(x)
    kept[5].add_(1)
    return x, kept


@pytest.mark.parametrize(
    "program",
    [
        *(global_counter, shared_counter, memo_of_a_shared_dictionary, list_appended, cell_written_in_between),
        *(random_numbers, python_random_numbers, dropout_in_between, same_argument_twice, argument_that_is_a_view),
        *(view_written, write_to_an_argument, order_of_keywords, order_of_a_dictionary, tuple_or_list),
        *(containers_that_are_one, result_that_is_an_argument, equal_numbers_of_other_types, zeros_of_other_signs),
        *(identity_of_numbers, gradient_mode, detached_in_between, autocast_in_between, exception_in_one),
        *(strides_in_between, sizes_in_between, dtypes_in_between, nested_functions, attribute_set_on_the_next),
        *(default_that_changes, iterator_consumed, string_built, weak_references, class_attribute_in_between),
        *(attribute_of_a_tensor, kept_by_the_call),
    ],
    ids=lambda program: program.__name__,
)
def test_a_call_that_differs(monkeypatch, program):
    same_as_interpreted(monkeypatch, program, torch.ones(3))
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    check(program, torch.ones(3), recaptures=None)
