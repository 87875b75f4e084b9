"""Blocks that differ in something subtle: what a template would get wrong if it did not know of it.

Each program is captured with and without templates, which must give the same; it must do what the plain program does;
and where its blocks are changed between calls, later calls must see that.
"""

import copy
import functools
import random
import weakref
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

import tracer
from tests.check import check
from tests.test_templates import same_as_interpreted
from tracer.interpret.templates import calls

BLOCKS = 8
COUNT = 0
Pair = namedtuple("Pair", ["left", "right"])


def made_by(factor):
    def act(x):
        return x * factor

    return act


def with_default(x, factor=2.0):
    return x * factor


class Shared:
    def __init__(self):
        self.calls = 0
        self.seen = {}


class Rich(nn.Module):
    """A block that reads something of every kind."""

    offset = 0.5

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.other = nn.Linear(4, 4)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("shift", torch.tensor(0.25))
        self.table = {"a": 1.0, "b": 2.0}
        self.numbers = [1, 2]
        self.scale = 2.0
        self.flag = 1
        self.word = "mean"
        self.act = torch.relu
        self.bound = functools.partial(with_default, factor=3.0)
        self.parts = nn.ModuleDict({"one": nn.Identity(), "two": nn.Tanh()})
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))])
        self.pair = Pair(1.0, 2.0)
        self.extra = None

    def forward(self, x):
        y = self.dropout(self.fc(x)) + self.shift + self.offset
        for key, value in self.table.items():
            y = y * value if key == "a" else y + value
        for number in self.numbers:
            y = y / number
        y = y * self.scale if self.scale > 1 else y - self.scale
        y = y.mean(-1, keepdim=True) if self.word == "mean" else y.sum(-1, keepdim=True)
        y = y + (1 if type(self.flag) is int else 3)
        y = self.bound(self.act(y))
        for part in self.parts.values():
            y = part(y)
        for weight in self.weights:
            y = y + weight
        if self.extra is not None:
            y = y + self.extra
        if self.fc is self.other:
            y = y * 7
        if self.fc.weight is self.other.weight:
            y = y * 5
        return x + self.other(y) * self.pair.left + self.pair[1]


class Stack(nn.Module):
    def __init__(self, make=Rich):
        super().__init__()
        self.blocks = nn.ModuleList(make() for _ in range(BLOCKS))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class OtherLinear(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2


class Called(nn.Linear):
    def __call__(self, x):
        return super().__call__(x) - 1


class Fallback(nn.Linear):
    def __getattr__(self, name):
        return 3.0 if name == "gain" else super().__getattr__(name)

    def forward(self, x):
        return super().forward(x) * self.gain


Linear = type("Linear", (nn.Linear,), {"forward": lambda self, x: nn.Linear.forward(self, x) + 4})


def strided_weight():
    return nn.Parameter(torch.randn(4, 8)[:, ::2])


def tie(model, block):
    block.other.weight = block.fc.weight


def tie_with_first(model, block):
    block.fc.weight = model.blocks[0].fc.weight


def views_of_one(model, block):
    base = torch.randn(8, 4)
    block.fc.weight = nn.Parameter(base[:4])
    block.other.weight = nn.Parameter(base[2:6])


def without_bias(model, block):
    block.fc.bias = None


def remove_scale(model, block):
    del block.scale
    type(block).scale = 0.5


CHANGES = {
    "forward hook": lambda model, block: block.fc.register_forward_hook(lambda module, args, out: out * 3),
    "forward pre-hook": lambda model, block: block.register_forward_pre_hook(lambda module, args: (args[0] + 1,)),
    "always called hook": lambda model, block: block.dropout.register_forward_hook(
        lambda module, args, out: out + 1, always_call=True
    ),
    "backward hook": lambda model, block: block.fc.register_full_backward_hook(
        lambda module, gradients, outputs: (gradients[0] * 2,)
    ),
    "training of a dropout": lambda model, block: block.dropout.train(not block.dropout.training),
    "training of a block": lambda model, block: block.train(not block.training),
    "probability of a dropout": lambda model, block: setattr(block.dropout, "p", 0.25),
    "dtype of a buffer": lambda model, block: block.register_buffer("shift", torch.tensor(0.25).double()),
    "integer buffer": lambda model, block: block.register_buffer("shift", torch.tensor(2)),
    "buffer that is a parameter": lambda model, block: (
        block._buffers.pop("shift"),
        setattr(block, "shift", nn.Parameter(torch.tensor(0.5))),
    ),
    "buffer of one size more": lambda model, block: block.register_buffer("shift", torch.tensor([0.25])),
    "requires_grad": lambda model, block: block.fc.bias.requires_grad_(False),
    "strides of a parameter": lambda model, block: setattr(block.fc, "weight", strided_weight()),
    "double parameter of another shape": lambda model, block: block.weights.__setitem__(0, nn.Parameter(torch.ones(1))),
    "tied parameters": tie,
    "tied blocks": tie_with_first,
    "parameters that are views of one": views_of_one,
    "shared submodule": lambda model, block: setattr(block, "other", block.fc),
    "shared submodule of the first": lambda model, block: setattr(block, "fc", model.blocks[0].fc),
    "shared list": lambda model, block: setattr(block, "numbers", model.blocks[0].numbers),
    "shared dictionary": lambda model, block: setattr(block, "table", model.blocks[1].table),
    "shared buffer": lambda model, block: block.register_buffer("shift", model.blocks[0].shift),
    "order of a dictionary": lambda model, block: setattr(block, "table", {"b": 2.0, "a": 1.0}),
    "ordered dictionary": lambda model, block: setattr(block, "table", OrderedDict(block.table)),
    "order of modules": lambda model, block: block.parts._modules.update({"one": block.parts._modules.pop("one")}),
    "longer list": lambda model, block: block.numbers.append(4),
    "tuple in place of a list": lambda model, block: setattr(block, "numbers", (1, 2)),
    "bool in place of an int": lambda model, block: setattr(block, "flag", True),
    "int in place of a float": lambda model, block: setattr(block, "scale", 2),
    "negative zero": lambda model, block: setattr(block, "scale", -0.0),
    "not a number": lambda model, block: setattr(block, "scale", float("nan")),
    "another word": lambda model, block: setattr(block, "word", "sum"),
    "equal word": lambda model, block: setattr(block, "word", "".join(["me", "an"])),
    "class attribute shadowed": lambda model, block: setattr(block, "offset", 1.5),
    "attribute removed": remove_scale,
    "closure": lambda model, block: setattr(block, "act", made_by(3.0)),
    "partial": lambda model, block: setattr(block, "bound", functools.partial(with_default, factor=4.0)),
    "partial without": lambda model, block: setattr(block, "bound", functools.partial(with_default)),
    "forward of the instance": lambda model, block: setattr(block.fc, "forward", lambda x: x * 5),
    "subclass": lambda model, block: setattr(block, "fc", OtherLinear(4, 4)),
    "subclass with a call of its own": lambda model, block: setattr(block, "fc", Called(4, 4)),
    "subclass of the same name": lambda model, block: setattr(block, "fc", Linear(4, 4)),
    "subclass with attributes of its own": lambda model, block: setattr(block, "fc", Fallback(4, 4)),
    "no bias": without_bias,
    "weights that are one": lambda model, block: block.weights.__setitem__(1, block.weights[0]),
    "weight of the first block": lambda model, block: block.weights.__setitem__(1, model.blocks[0].weights[1]),
    "another named tuple": lambda model, block: setattr(block, "pair", Pair(1.0, 3.0)),
    "extra number": lambda model, block: setattr(block, "extra", 1.0),
    "extra tensor": lambda model, block: setattr(block, "extra", torch.ones(4)),
    "extra tensor that is a parameter's": lambda model, block: setattr(block, "extra", block.fc.bias.data),
    "the block before": lambda model, block: model.blocks.__setitem__(5, model.blocks[4]),
    "no block": lambda model, block: model.blocks.__setitem__(5, nn.Identity()),
}


@pytest.fixture(autouse=True)
def class_attributes():
    yield
    if hasattr(Rich, "scale"):
        del Rich.scale


def observed(program, x):
    """Result, gradients of all parameters, and the next random number of a call."""
    torch.manual_seed(3)
    x = x.clone().requires_grad_()
    result = program(x)
    result.sum().backward()
    model = getattr(program, "__wrapped__", program)
    gradients = [None if each.grad is None else each.grad.clone() for each in model.parameters()]
    model.zero_grad(set_to_none=True)
    return [result, x.grad, torch.rand(1), *gradients]


def are_same(ones, others):
    return len(ones) == len(others) and all(
        one is other
        or (one is not None and other is not None and torch.equal(one, other) and one.dtype == other.dtype)
        or (
            one is not None
            and other is not None
            and torch.equal(one.isnan(), other.isnan())
            and bool(one.isnan().any())
        )
        for one, other in zip(ones, others, strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize("place", [2, 5])
@pytest.mark.parametrize("name", CHANGES)
def test_a_block_that_differs(monkeypatch, name, place):
    torch.manual_seed(0)
    model = Stack()
    CHANGES[name](model, model.blocks[place])
    same_as_interpreted(monkeypatch, model, torch.ones(2, 4))
    plain = copy.deepcopy(model)
    tracer.reset()
    captured = tracer.capture(model, backend="eager", strict=True)
    for _ in range(2):
        assert are_same(observed(captured, torch.ones(2, 4)), observed(plain, torch.ones(2, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_block_that_is_changed_later(monkeypatch, name):
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    torch.manual_seed(0)
    model = Stack()
    tracer.reset()
    captured = tracer.capture(model, backend="eager", strict=True)
    observed(captured, torch.ones(2, 4))
    assert captured.entries[0].instantiated
    CHANGES[name](model, model.blocks[5])
    for _ in range(2):
        assert are_same(observed(captured, torch.ones(2, 4)), observed(model, torch.ones(2, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_stored_capture_of_blocks_that_are_changed(monkeypatch, name, tmp_path):
    """In a later process one thing is changed: a stored capture answers only calls that it was made for."""
    torch.manual_seed(0)
    model = Stack()
    tracer.reset()
    observed(tracer.capture(model, backend="eager", cache=tmp_path), torch.ones(2, 4))
    tracer.reset()
    CHANGES[name](model, model.blocks[5])
    captured = tracer.capture(model, backend="eager", cache=tmp_path, strict=True)
    for _ in range(2):
        assert are_same(observed(captured, torch.ones(2, 4)), observed(model, torch.ones(2, 4)))
    tracer.reset()
    again = tracer.capture(model, backend="eager", cache=tmp_path, strict=True)
    assert are_same(observed(again, torch.ones(2, 4)), observed(model, torch.ones(2, 4)))


# Programs whose calls differ -----------------------------------------------------------------------------


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


# What a caller does with the result of a call ---------------------------------------------------------------


def list_of_two(x):
    y = x.sin().relu()
    return [y, y * 2]


def table_of_one(x):
    return {"a": x.sin().relu()}


def one_tensor(x):
    return x.sin().relu()


def one_list_twice(x, parts):
    return x.sin().relu(), [parts, parts]


def view_of_a_sum(x):
    return (x.sin() + 1).view(1, -1)


def list_appended_by_the_caller(x):
    lengths = []
    for _ in range(BLOCKS):
        out = list_of_two(x)
        lengths.append(len(out))
        out.append(x)
        x = out[0] + len(out)
    return x, lengths


def lists_appended_later(x):
    kept, lengths = [], []
    for number in range(BLOCKS):
        out = list_of_two(x)
        kept.append(out)
        lengths.append(len(out))
        x = out[0] + len(out)
        if number == 4:
            for each in kept:
                each.append(x)
    return x, lengths, kept


def key_added_by_the_caller(x):
    names = []
    for _ in range(BLOCKS):
        out = table_of_one(x)
        names.append(list(out))
        out["b"] = 1
        x = out["a"] + len(out)
    return x, names


def reshaped_later(x):
    kept, shapes = [], []
    for number in range(BLOCKS):
        out = one_tensor(x)
        kept.append(out)
        shapes.append(out.shape)
        x = out + 1
        if number == 4:
            for each in kept:
                each.unsqueeze_(0)
    return x, shapes


def gradients_required_later(x):
    kept, required = [], []
    for number in range(BLOCKS):
        out = one_tensor(x)
        kept.append(out)
        required.append(out.requires_grad)
        if number == 4:
            for each in kept:
                each.requires_grad_()
        x = out.detach() + 1
    return x, required


def attribute_set_by_the_caller(x):
    marks = []
    for number in range(BLOCKS):
        out = one_tensor(x)
        marks.append(getattr(out, "mark", None))
        out.mark = number
        x = out + 1
    return x, marks


def inner_list_changed_by_the_caller(x):
    lengths = []
    for _ in range(BLOCKS):
        x, parts = one_list_twice(x, [1])
        lengths.append((len(parts), len(parts[0]), parts[0] is parts[1]))
        parts.append(2)
        parts[0].append(5)
    return x, lengths


def view_written_by_the_caller(x):
    kept = []
    for number in range(BLOCKS):
        out = view_of_a_sum(x)
        if number == 5:
            out.mul_(2)
        kept.append((out, out._base.sum()))
        x = out[0] / 2
    return x, kept


@pytest.mark.parametrize(
    "program",
    [
        *(list_appended_by_the_caller, lists_appended_later, key_added_by_the_caller, reshaped_later),
        *(gradients_required_later, attribute_set_by_the_caller, inner_list_changed_by_the_caller),
        view_written_by_the_caller,
    ],
    ids=lambda program: program.__name__,
)
def test_a_result_that_is_changed(monkeypatch, program):
    same_as_interpreted(monkeypatch, program, torch.ones(3))
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    check(program, torch.ones(3), recaptures=None)


class Buffered(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.register_buffer("seen", torch.ones(4))

    def forward(self, x):
        return x + torch.relu(self.fc(x)) * self.seen


class Writing(nn.Module):
    """Writes to buffers of blocks before and after they are called."""

    def __init__(self, before, after):
        super().__init__()
        self.blocks = nn.ModuleList(Buffered() for _ in range(BLOCKS))
        self.before, self.after = before, after

    def forward(self, x):
        for number, block in enumerate(self.blocks):
            if number in self.before:
                block.seen.add_(1)
            x = block(x)
            if number in self.after:
                block.seen.mul_(2)
        return x, [block.seen.sum() for block in self.blocks]


@pytest.mark.parametrize(
    ("before", "after"),
    [((2, 5), ()), ((), (2, 5)), (range(8), ()), ((), range(8)), (range(8), range(8)), ((7,), (0, 1))],
)
def test_buffers_that_are_written_in_between(monkeypatch, before, after):
    model = Writing(before, after)
    same_as_interpreted(monkeypatch, model, torch.ones(2, 4))
    monkeypatch.setattr(calls, "LEAST_WORK", 1)
    check(model, torch.ones(2, 4), recaptures=None)
