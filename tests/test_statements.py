"""Statements of residual programs: the names that they say they read and assign are those that Python sees in them."""

import ast
import builtins
import collections
import functools
import textwrap
from collections import Counter

import pytest
import torch

from tracer import capture, graph_break
from tracer.output.program import ResidualProgram
from tracer.values.rebuilding import Fragment, fragment, listed, tuple_of


class Box:
    """An instance with a value."""

    def __init__(self, value):
        self.value = value


class Queue(collections.deque):
    """A container with attributes of its own."""


def containers(x, y):
    items = [x + 1, x]
    items.append(items)
    table = collections.OrderedDict(a=items, b=(y, [y]))
    return items, table, {"x": x, "set": {1, 2}}, collections.deque([x], 3), Queue([x, y]), slice(x, y)


def instances(x, y):
    box, error = Box(x), ValueError("x", y + 1)
    box.me = box
    try:
        raise KeyError("y") from error
    except KeyError as caught:
        box.caught = caught
    return box


def functions(x, y):
    def inner(factor=x, *, offset=y):
        return factor + offset + x

    return inner, functools.partial(inner, y, offset=x), Box(x).__init__


def iterators(x, y):
    first, second, third = iter([x, y]), reversed([x, y]), iter({"x": x, "y": y}.items())
    next(first), next(second), next(third)
    return first, second, third, zip([x], [y]), map(len, [[x]]), enumerate([y]), iter("x")


def changes(x, items, table, box):
    items.append(x)
    items[0] = table
    table["x"] = x + 1
    del table["y"]
    box.value = x
    del box.extra
    return items


def broken(x, y):
    kept = [x, y + 1]
    graph_break()
    return kept, y


def sizes(x, y):
    return x.reshape(x.shape[0] * 2, -1), x.shape[0] + 1, torch.Size([x.shape[0], 3])


def handler(x, y):
    with torch.no_grad():
        try:
            return (x @ y).sum()
        except RuntimeError:
            return x


def box_with_two():
    box = Box(1)
    box.extra = 2
    return box


PROGRAMS = {
    program: lambda: (torch.ones(2, 2), torch.ones(2, 2))
    for program in (containers, instances, functions, iterators, broken, handler)
}
PROGRAMS[changes] = lambda: (torch.ones(2), [1, 2], {"y": 1}, box_with_two())
PROGRAMS[sizes] = lambda: (torch.ones(4, 2), torch.ones(2))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_names_of_every_statement(program, monkeypatch):
    programs = []
    compile = ResidualProgram.compile
    monkeypatch.setattr(ResidualProgram, "compile", lambda self, graph: programs.append(self) or compile(self, graph))
    capture(program, dynamic=program is sizes)(*PROGRAMS[program]())
    assert programs
    for made in programs:
        assigned = [name for statement in made.statements for name in statement.writes]
        for statement in made.statements:
            loaded, stored = names_of(statement.text)
            builtin = vars(builtins).keys() - {*made.constants, *made.parameters, *assigned}
            assert Counter(statement.reads) == Counter(name for name in loaded if name not in {"graph", *builtin})
            assert Counter(statement.writes) == Counter(stored)


def names_of(text):
    """The names that a statement loads, and those that it stores, by CPython's own parser."""
    tree = ast.parse(textwrap.dedent(f"def program():\n    {text}"))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    loaded = [node.id for node in names if isinstance(node.ctx, ast.Load)]
    return loaded, [node.id for node in names if not isinstance(node.ctx, ast.Load)]


def test_a_name_in_a_string_or_a_comment_is_no_mention(monkeypatch):
    """The donated tensor `x` may be overwritten, though an attribute and the line of the break are called `x`."""

    def program(x, box):
        box.x = x + 1
        graph_break()  # and x is not read again
        return box.x

    captured = capture(program, donate=("x",))
    x = torch.ones(3)
    assert captured(x, Box(0)).data_ptr() == x.data_ptr()


def test_fragments():
    x, y = Fragment("x", ("x",)), Fragment("y", ("y",))
    assert fragment("f({}, {})", x, listed([y, x])) == Fragment("f(x, y, x)", ("x", "y", "x"))
    assert tuple_of([x]).text == "(x,)" and tuple_of([x, y]).text == "(x, y)" and tuple_of([]).text == "()"
    with pytest.raises(TypeError, match="lose the names"):
        f"{x} + 1"
