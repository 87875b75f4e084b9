"""Whether two objects from outside are one: asked by `is`, and by dicts and sets keyed by them."""

import operator
import weakref
from collections import deque

import numpy
import pytest
import torch

from tests.check import BACKENDS, check
from tracer import capture, graph_break, reset


def called_with_two_then_one(program):
    """Results of the plain and of the captured program, called with two tensors and then twice the same one."""
    captured = capture(program, strict=True)
    one, other = torch.ones(3), torch.zeros(3)
    return [program(one, other), program(one, one)], [captured(one, other), captured(one, one)]


def test_is_of_two_arguments_is_guarded():
    plain, observed = called_with_two_then_one(lambda a, b: (a is b, a is not b))
    assert observed == plain == [(False, True), (True, False)]


def test_keys_from_outside_are_guarded_to_be_different():
    plain, observed = called_with_two_then_one(lambda a, b: (len({a: 1, b: 2}), len({a, b})))
    assert observed == plain == [(2, 2), (1, 1)]


def test_instances_as_keys():
    class Key:
        pass

    def program(a, b):
        return len({a: 1, b: 2})

    captured = capture(program, strict=True)
    one, other = Key(), Key()
    assert [captured(one, other), captured(one, one), captured(other, one)] == [2, 1, 2]


def test_defaults_of_a_closed_over_function():
    def callee(x, k=1):
        return x + k

    captured = capture(lambda x: callee(x), strict=True)
    assert captured(torch.zeros(1)) == 1
    callee.__defaults__ = (7,)
    assert captured(torch.zeros(1)) == 7


def test_storage_offset_and_leaf_are_guarded_when_asked():
    def program(x):
        return x.storage_offset(), x[1:].storage_offset(), x.is_leaf, x.grad_fn is None

    captured = capture(program, strict=True)
    base, leaf = torch.ones(6), torch.ones(3, requires_grad=True)
    for x in (base[:3], base[2:5], leaf, leaf.detach(), base[:3]):
        assert captured(x) == program(x)
    assert captured(leaf * 1)[:3] == (0, 1, False)


def test_numbers_and_tensors_defer_to_operands_of_other_types():
    class Strange:
        def __radd__(self, other):
            return "reflected"

    def program(x):
        return 1 + Strange(), 2.5 + Strange(), x + Strange()

    check(program, torch.ones(2), breaks=[])


def test_what_only_the_real_tensor_knows():
    def program(x, view):
        fresh = x + 1
        views = x._is_view(), view._is_view(), fresh._is_view(), fresh[0]._is_view(), x.detach()._is_view()
        return views, x.is_set_to(x), x.is_set_to(view), fresh.is_set_to(fresh.view(fresh.shape)), fresh

    def make():
        x = torch.arange(6.0).reshape(2, 3).clone()
        return x, x[1:]

    for backend in ("eager", "aot_eager"):
        check(program, make=make, backend=backend, recaptures=None)


def constant_of_the_code(x):
    text = "123abc1@"
    graph_break()
    again = "123abc1@"
    return text is again, text is text * 1, id(text) == id(text * 1), id(text) == id(text)


def texts_that_are_equal(x):
    text = again = "xyzpdq"
    made = text[:3] + again[3:]
    joined, other = "".join(["abc", " def"]), "abc def"
    graph_break()
    return text is again, text is made, text == made, joined is other, joined == other


def bytes_that_are_equal(x):
    data, joined = b"abc def", b"".join([b"abc", b" def"])
    graph_break()
    again = b"abc def"
    return data is joined, data is again, data == joined


def texts_in_a_list(x):
    text, joined = "abc def", "".join(["abc", " def"])
    items = [text, joined, text]
    graph_break()
    return items[0] is items[1], items[0] is items[2]


@pytest.mark.parametrize("program", [constant_of_the_code, texts_that_are_equal, bytes_that_are_equal, texts_in_a_list])
@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
def test_texts_stay_the_objects_that_they_are_behind_a_break(program, backend):
    captured = capture(program, backend=backend)
    expected = program(torch.ones(2))
    assert [captured(torch.ones(2)) for _ in range(2)] == [expected] * 2


class Bound:
    def method(self):
        return self

    def both_supers(self):
        one = other = super()
        graph_break()
        return one is other


def method_of_python(x):
    one, other = Bound().method, Bound().method
    again = one
    graph_break()
    return one is again, one is other, [one][0] is again


def method_of_c(x):
    one = [].append
    again = one
    graph_break()
    return one is again


def method_behind_a_weak_reference(x):
    method = Bound().method
    reference = weakref.ref(method)
    return reference() is None, reference() is method


def view_of_a_dict(x):
    one = again = {1: 2}.keys()
    graph_break()
    return one is again, one is {1: 2}.keys()


def super_object(x):
    return Bound().both_supers()


OBJECTS = [method_of_python, method_of_c, method_behind_a_weak_reference, view_of_a_dict, super_object]


@pytest.mark.parametrize("program", OBJECTS)
@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
def test_objects_made_while_tracing_are_one_object_behind_a_break(program, backend):
    captured = capture(lambda x: (program(x), x + 1)[0], backend=backend)
    assert [captured(torch.ones(2)) for _ in range(2)] == [program(torch.ones(2))] * 2


def test_methods_from_outside_are_one_object_or_two():
    captured = capture(lambda x, one, other: (x + 1, one is other)[1])
    one, other = Bound().method, Bound().method
    for _ in range(2):
        assert captured(torch.ones(2), one, one) is True
        assert captured(torch.ones(2), one, other) is False
        assert captured(torch.ones(2), [].append, one) is False


@pytest.mark.parametrize("argument", ["a text", b"bytes", 10**20, 1000, 2.5, "word"])
@pytest.mark.parametrize("breaks", [False, True])
def test_texts_and_numbers_among_arguments_are_given_back(argument, breaks):
    def program(x, given):
        known = given == argument
        if breaks:
            graph_break()
        return x + 1, given, known

    captured = capture(program, backend="eager", dynamic=False)
    for _ in range(3):
        again = type(argument)(argument) if type(argument) in (str, bytes) else argument + 0
        assert captured(torch.ones(2), again)[1] is again


def test_constant_that_an_argument_happens_to_be_is_not_read_from_it():
    word = "some word"

    def program(x, given):
        return x + 1, word, given

    captured = capture(program, backend="eager")
    assert captured(torch.ones(2), word)[1:] == (word, word)
    assert captured(torch.ones(2), "another")[1:] == (word, "another")


def test_numbers_of_numpy_are_new_objects_in_each_call():
    """Each call makes one of its own, which is one object wherever the call puts it."""

    def program(x, n, kept):
        number = n + 1
        kept.extend((number, numpy.add(n, 2), n.astype("float32"), numpy.int64(4)))
        return number, numpy.float32(1.5) * n, n, x + int(number), number.conjugate() is number

    for backend in ("eager", "aot_eager", lambda module, inputs: module.forward):
        identities = []
        for function in (program, capture(program, backend=backend)):
            n, kept, results = numpy.int64(3), deque[object](), list[object]()
            for _ in range(3):
                results.extend(part for part in function(torch.ones(2), n, kept) if not isinstance(part, torch.Tensor))
            objects = [*results, *kept]
            identities.append([[one is other for other in objects] for one in objects])
        assert identities[0] == identities[1]


def test_number_of_numpy_that_a_function_gives_back():
    """What `max` gives is one of its arguments, or a number that the program has made before."""

    def program(x, n):
        doubled = n * 2
        largest, clipped = max(n, 2), min(doubled, 100)
        return largest is n, clipped is doubled, largest, clipped, x + int(largest)

    for backend in BACKENDS.values():
        captured = capture(program, backend=backend)
        for n in (numpy.int64(3), numpy.int64(1), numpy.int64(70)):
            assert captured(torch.ones(2), n)[:4] == program(torch.ones(2), n)[:4]


def _again(literal):
    """An equal literal that is another object."""
    kind = type(literal)
    if kind is complex:
        return complex(literal.real, literal.imag)
    if kind in (str, bytes):
        return kind().join([literal[:1], literal[1:]])
    if kind in (int, float):
        return kind(repr(literal))
    return kind(literal.start, literal.stop) if kind in (range, slice) else kind(list(literal))


class _Pair:
    def __init__(self, first, second):
        self.first, self.second = first, second


def _arguments_are_one(pair, first, second, x):
    return first is second, first is not second, x + 1


def _attributes_are_one(pair, first, second, x):
    return pair.first is pair.second, x + 1


def _attribute_is_argument(pair, first, second, x):
    return pair.second is first, x + 1


def _behind_a_break(pair, first, second, x):
    kept = first
    graph_break()
    return kept is second, x + 1


LITERALS = [
    "a b c",
    b"xyz",
    123456789,
    1.25e10,
    1 + 2j,
    range(5),
    frozenset([1, 2]),
    torch.Size([2, 3]),
    (1, "z"),
    slice(1, 2),
]


@pytest.mark.parametrize("literal", LITERALS, ids=lambda literal: type(literal).__name__)
@pytest.mark.parametrize("program", [_arguments_are_one, _attributes_are_one, _attribute_is_argument, _behind_a_break])
@pytest.mark.parametrize("orders", [(True, False, True), (False, True, False)])
def test_equal_literals_from_outside_are_one_object_or_two(literal, program, orders):
    captured = capture(program, strict=True)
    for are_one in orders:
        second = literal if are_one else _again(literal)
        assert (second is literal) is are_one
        arguments = _Pair(literal, second), literal, second, torch.ones(2)
        assert captured(*arguments)[:-1] == program(*arguments)[:-1]


def _inner_text():
    return "a b c"


def _is_literal_of_code(x, text):
    kept = "a b c"
    return text is kept, x + 1


def _is_literal_of_callee(x, text):
    return _inner_text() is text, x + 1


def _is_literal_in_tuple(x, text):
    return operator.is_not(("a b c", 1)[0], text), x + 1


def _is_literal_behind_a_break(x, text):
    kept = "a b c"
    graph_break()
    return kept is text, x + 1


@pytest.mark.parametrize(
    "program", [_is_literal_of_code, _is_literal_of_callee, _is_literal_in_tuple, _is_literal_behind_a_break]
)
@pytest.mark.parametrize("orders", [(True, False, True), (False, True, False)])
def test_whether_a_literal_from_outside_is_that_of_the_code_is_guarded(program, orders):
    captured = capture(program, strict=True)
    literal = _inner_text()
    for are_one in orders:
        text = literal if are_one else _again(literal)
        assert captured(torch.ones(2), text)[0] == program(torch.ones(2), text)[0]


def test_a_text_that_is_compared_with_itself_is_guarded_by_its_value_only():
    def program(x, text):
        return max(text, text) is text, x + 1

    captured = capture(program)
    for _ in range(3):
        captured(torch.ones(2), _again("a b c"))
    assert len(captured.entries) == 1


def _number(digits):
    """A number that no other is, unless CPython has it once."""
    return int(digits) if "." not in digits else float(digits)


def compared(x, number, other):
    kept = number
    return x + 1, number is other, kept is number, number + 0 is other


def compared_behind_a_break(x, number, other):
    kept, size = number, x.shape[0]
    graph_break()
    return x + 1, number is other, kept is number, size is other


def compared_with_a_literal(x, number, other):
    return x + 1, number is 7, other is number, number is 1000  # noqa: F632


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", [compared, compared_behind_a_break, compared_with_a_literal])
def test_equal_numbers_that_vary_are_one_object_or_two(program, backend, dynamic):
    captured = capture(program, backend=BACKENDS[backend], dynamic=dynamic)
    for digits in ("3", "4", "1000", "2000", "7", "0.5", "1.5", "2.5"):
        number, other = _number(digits), _number(digits)
        for pair in ((number, other), (number, number), (number, _number("9"))):
            x = torch.ones(int(number))
            assert captured(x, *pair)[1:] == program(x, *pair)[1:], (digits, pair)


def sizes(x):
    size, length = x.shape, len(x)
    return [
        x.shape[0] is x.shape[0],
        size[0] is size[0],
        size[0] is x.shape[0],
        x.size(0) is x.size(0),
        x.size()[0] is x.size(-1),
        len(x) is len(x),
        length is length,
        x.numel() is x.numel(),
        x.stride(0) is x.stride(0),
        x.view(length, 1).shape[0] is size[0],
        x + 1,
    ]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_what_torch_says_of_a_tensor_is_another_number_each_time(backend):
    reset()
    captured = capture(sizes, fullgraph=True, backend=backend)
    for length in (300, 300, 400, 500, 200, 600):
        for step in (1, 300):
            x = torch.ones(length * step)[::step]
            assert sizes(x)[:-1] == captured(x)[:-1]
