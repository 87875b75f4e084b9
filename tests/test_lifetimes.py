"""Objects whose end can be seen die in a captured program when they die plainly: not later, and not earlier."""

import gc
import warnings
import weakref

import pytest
import torch

from tests.check import check
from tracer import capture, graph_break
from tracer._native import ends_visibly

ended = []


class Resource:
    """Notes its end."""

    def __init__(self, name="resource"):
        self.name = name

    def __del__(self):
        ended.append(self.name)


class Plain:
    pass


class Slotted:
    __slots__ = ("part",)


class noted:
    """A context that notes its exit."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        ended.append("exit")


kept = None


def end_at_assignment(x):
    resource = Resource("first")
    seen = [list(ended)]
    resource = Resource("second")
    seen.append(list(ended))
    resource = x * 2
    return resource, seen, list(ended)


def end_of_a_result_that_is_not_kept(x):
    Resource("dropped")
    return x + 1, list(ended)


def not_read_again(x):
    thing = Plain()
    reference = weakref.ref(thing)
    y = x + 1
    graph_break()
    return y, reference() is not None


def not_read_again_over_several_breaks(x):
    thing = Plain()
    table = weakref.WeakValueDictionary(key=thing)
    graph_break()
    x = x + 1
    graph_break()
    return x, len(table), "key" in table


def weak_reference_to_what_is_deleted(x):
    thing = Plain()
    reference = weakref.ref(thing)
    before = reference() is thing
    del thing
    return x + 1, before, reference() is None


def callback_of_a_weak_reference(x):
    thing, log = Plain(), []
    reference = weakref.ref(thing, lambda reference: log.append("gone"))
    x = x + 1
    thing = None
    return x, log, reference() is thing


def weak_set_of_what_is_deleted(x):
    thing, other = Plain(), Plain()
    members = weakref.WeakSet([thing, other])
    before = len(members)
    del thing
    return x * 2, before, len(members)


def keys_of_a_dict_that_was_emptied(x):
    thing, other = Plain(), Plain()
    table = weakref.WeakKeyDictionary({thing: 1, other: 2})
    merged = {}
    merged.update(table)
    merged.clear()
    del thing
    return x + 1, list(table.values())


def union_of_weak_tables(x):
    thing, other = Plain(), Plain()
    table = weakref.WeakKeyDictionary({thing: 1, other: 2})
    union = table | weakref.WeakKeyDictionary({other: 3})
    same = dict(union) == dict(table) | {other: 3}
    del thing
    return x * 2, same, list(union.values())


def finalize_of_what_is_deleted(x):
    thing, log = Plain(), []
    weakref.finalize(thing, log.append, "final")
    del thing
    return x - 1, log


def items(x, log):
    try:
        with torch.no_grad():
            for index in range(3):
                yield x * index
    finally:
        log.append("closed")


def generator_left_by_break(x):
    log = []
    for _ in items(x, log):
        break
    return x * 5, torch.is_grad_enabled(), log


def generator_left_by_return(x):
    log = []

    def first():
        for item in items(x, log):
            return item

    y = first()
    return y + x, torch.is_grad_enabled(), log


def generator_deleted(x):
    log = []
    generator = items(x, log)
    y = next(generator)
    before = list(log), torch.is_grad_enabled()
    del generator
    return x + y, before, log, torch.is_grad_enabled()


def generator_replaced(x):
    log = []
    generator = items(x, log)
    next(generator)
    generator = None
    return x + 1, generator, log, torch.is_grad_enabled()


def end_of_an_operand(x):
    ended.append(Resource("operand").name)
    ended.append(len([Resource("item")]))
    return x + 1, list(ended)


def named(resource):
    ended.append("called with " + resource.name)
    return resource.name


def end_of_an_argument(x):
    name = named(Resource("argument"))
    ended.append("returned")
    return x + 1, name, list(ended)


def end_in_containers(x):
    names = ["first", "second", "third", "fourth"]
    items, table = [Resource(name) for name in names], {name: Resource(name) for name in names}
    members = {Resource("member")}
    for change in (
        lambda: items.pop(),
        lambda: items.clear(),
        lambda: table.pop("first"),
        lambda: table.update(second=1),
        lambda: table.__delitem__("third"),
        lambda: members.clear(),
    ):
        change()
        ended.append("changed")
    items.append(Resource("last"))
    items[0] = x
    ended.append("replaced")
    return x + 1, list(ended)


def end_in_attributes(x):
    holder, slotted = Plain(), Slotted()
    holder.part = Resource("part")
    slotted.part = Resource("slotted part")
    graph_break()
    holder.part = x
    ended.append("attribute")
    slotted.part = x
    ended.append("slot")
    holder.other = Resource("other")
    del holder.other
    ended.append("deleted")
    return holder.part + slotted.part, list(ended)


def end_in_cell(x):
    resource = Resource("cell")

    def name():
        return resource.name

    graph_break()
    x = x + len(name())
    resource = None
    ended.append("rebound")
    return x, name is None, list(ended)


def end_in_globals(x):
    global kept
    kept = Resource("global")
    graph_break()
    kept = None
    ended.append("rebound")
    return x + 1, list(ended)


def ends_in_the_order_of_variables(x):
    def inner(x):
        second, first = None, Resource("declared second")
        second = Resource("declared first")
        graph_break()
        x = x + 1
        third = Resource("third")
        return x * 2

    y = inner(x)
    return y, list(ended)


def end_while_unwinding(x):
    try:
        named(Resource("unwound"), *torch.zeros(0), x.missing)
    except AttributeError:
        ended.append("handled")
    return x + 1, list(ended)


def end_with_an_exception(x):
    def failing():
        resource = Resource("in the frame")
        raise ValueError(resource.name)

    try:
        failing()
    except ValueError as error:
        ended.append(str(error))
    ended.append("after")
    return x + 1, list(ended)


def numbers(x):
    try:
        yield x
        yield x + 1
    finally:
        ended.append("numbers closed")


def generator_and_finaliser(x):
    g = numbers(x)
    next(g)
    y = g.send(1)
    held = Resource("held")
    del held
    return y, list(ended)


def generator_deleted_in_a_with_block(x):
    with noted():
        g = numbers(x)
        y = next(g)
        del g
    return y, list(ended)


def generator_in_a_container(x):
    box = [numbers(x), numbers(x + 1)]
    y = next(box[0]) + next(box[1])
    box.pop()
    ended.append("popped")
    box[0] = None
    ended.append("replaced")
    return y, list(ended)


def generator_in_an_attribute(x):
    holder = Plain()
    holder.items = numbers(x)
    y = next(holder.items)
    holder.items = None
    ended.append("replaced")
    return y, list(ended)


def generator_of_a_frame_that_raises(x):
    def failing():
        items = numbers(x)
        next(items)
        raise KeyError("stop")

    try:
        failing()
    except KeyError:
        ended.append("handled")
    ended.append("after")
    return x + 1, list(ended)


def delegating(x):
    try:
        yield from numbers(x)
    finally:
        ended.append("delegating closed")


def generator_that_delegates(x):
    for y in delegating(x):
        break
    ended.append("left")
    return y, list(ended)


def coroutine_not_awaited(x):
    async def later():
        return x

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        later()
        ended.append(len(caught))
    return x + 1, list(ended)


def callback_dropped_before_its_object(x):
    thing, log = Plain(), []
    reference = weakref.ref(thing, log.append)
    x = x + 1
    del reference
    del thing
    return x, log


def memoryview_dropped(x):
    data = bytearray(4)
    view = memoryview(data)
    graph_break()
    size = len(view)
    del view
    data.append(1)
    return x + size, bytes(data)


PROGRAMS = [
    end_at_assignment,
    end_of_a_result_that_is_not_kept,
    not_read_again,
    not_read_again_over_several_breaks,
    weak_reference_to_what_is_deleted,
    callback_of_a_weak_reference,
    weak_set_of_what_is_deleted,
    keys_of_a_dict_that_was_emptied,
    union_of_weak_tables,
    finalize_of_what_is_deleted,
    generator_left_by_break,
    generator_left_by_return,
    generator_deleted,
    generator_replaced,
    end_of_an_operand,
    end_of_an_argument,
    end_in_containers,
    end_in_attributes,
    end_in_cell,
    end_in_globals,
    ends_in_the_order_of_variables,
    end_while_unwinding,
    end_with_an_exception,
    generator_and_finaliser,
    generator_deleted_in_a_with_block,
    generator_in_a_container,
    generator_in_an_attribute,
    generator_of_a_frame_that_raises,
    generator_that_delegates,
    coroutine_not_awaited,
    callback_dropped_before_its_object,
    memoryview_dropped,
]


@pytest.mark.parametrize(
    "backend", ["eager", "aot_eager", lambda module, inputs: module.forward], ids=["eager", "aot_eager", "forward"]
)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_end_shows_when_it_shows_plainly(program, backend):
    ended.clear()
    gc.disable()
    try:
        check(program, torch.ones(2), backend=backend, recaptures=None)
    finally:
        gc.enable()


def namespace_of(source):
    names = {"model": torch.nn.Linear(2, 2), "__name__": "of_a_cell"}
    exec(source, names)
    return names


@pytest.mark.parametrize("statement", ["print(end='')", "pass"])
def test_namespace_of_exec_is_freed_with_its_functions(statement):
    def run():
        names = namespace_of(f"def h(x):\n  y = model(x)\n  {statement}\n  return y + 1")
        capture(names["h"])(torch.ones(1, 2))
        return weakref.ref(names["model"])

    reference = run()
    gc.collect()
    assert reference() is None


def test_arguments_of_a_capture_with_symbols_are_freed_without_the_collector():
    captured = capture(lambda x, box: x * box.factor)
    box = Plain()
    gc.disable()
    try:
        for box.factor in (2, 3, 4):
            captured(torch.ones(1), box)
        reference = weakref.ref(box)
        del box
        assert reference() is None
    finally:
        gc.enable()


def weakly_referred_to(log):
    thing = Plain()
    weakref.finalize(thing, log.append, "final").atexit = False
    return thing


def dropped_from_a_list(x, holder, log):
    thing = holder.things.pop()
    x = x + 1
    del thing
    log.append("dropped")
    return x


def dropped_from_a_dict(x, holder, log):
    holder.table["thing"] = None
    log.append("dropped")
    return x + 1


def dropped_from_an_attribute(x, holder, log):
    holder.thing = x
    log.append("dropped")
    return x + 1


def dropped_from_a_variable(x, holder, log):
    thing = vars(holder).pop("thing")
    graph_break()
    x = x + 1
    thing = None
    log.append("dropped")
    return x, thing


@pytest.mark.parametrize(
    "program",
    [dropped_from_a_list, dropped_from_a_dict, dropped_from_an_attribute, dropped_from_a_variable],
    ids=lambda program: program.__name__,
)
def test_end_that_shows_only_at_a_later_call(program):
    captured = capture(program, strict=True)
    logs = []
    for call in (program, captured):
        log = []
        for make in (Plain, Plain, lambda log=log: weakly_referred_to(log), Plain):
            holder = Plain()
            holder.thing, holder.things, holder.table = make(), [make()], {"thing": make()}
            unused = {dropped_from_a_list: "things", dropped_from_a_dict: "table"}.get(program, "thing")
            for name in {"thing", "things", "table"} - {unused}:
                delattr(holder, name)
            log.clear()
            call(torch.ones(2), holder, log)
            logs.append((program.__name__, list(log)))
    half = len(logs) // 2
    assert logs[:half] == logs[half:]
    assert (program.__name__, ["final", "dropped"]) in logs


def test_ordinary_code_after_a_break_stays_one_graph():
    def program(model, x):
        graph_break()
        for layer in model:
            x = layer(x)
        parts = [x, x + 1]
        x = parts.pop()
        del parts
        return x * 2

    report = check(program, torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), torch.ones(1, 2))
    assert report.first.graphs == 1, report.first


def test_own_references_do_not_count():
    thing = Plain()
    captured = capture(lambda x, thing, make: x + (thing is make), strict=True)
    captured(torch.ones(1), thing, thing)
    assert not ends_visibly(thing)
    reference = weakref.ref(thing)
    assert ends_visibly(thing)
    assert ends_visibly([[thing]]) is False  # `thing` lives on
    del reference
    assert not ends_visibly(thing)


def doubled(number):
    return number * 2


def test_functions_live_on_in_their_modules():
    """Weak references to them, as torch.export makes some to builtins, do not end a graph."""
    references = [weakref.ref(function) for function in (len, doubled)]

    def program(x):
        return x * len(str(x.max().item())) + doubled(ord(str(x.min().item())[0]))

    outcome = check(program, [torch.ones(2)], recaptures=None)
    assert "visible-end" not in outcome.first.breaks and all(reference() is not None for reference in references)
    assert not any(map(ends_visibly, (len, doubled))) and ends_visibly(Resource())
