"""Tensor operators: arguments become graph arguments, the result's meta is asked for, a node is made.

What the operator does is never known here; `passes` says what it gives, and whether it writes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from passes.meta import TensorMeta
from passes.node_meta import META, MODULE, PREDICTION
from passes.operators.catalogue import operator_name, takes_any_number, takes_any_probability, takes_sizes
from passes.operators.data import hangs_on_data, read_by
from passes.operators.modes import KERNELS_OF_CPU, READS_KERNELS
from passes.operators.outcome import (
    DataDependent,
    ListArg,
    New,
    NoFakeKernel,
    OpError,
    Outcome,
    Same,
    Trial,
    Unsupported,
)
from passes.operators.refusals import may_refuse
from passes.operators.verify import Prediction
from tracer.graph.subgraph import SubGraphBuilder
from tracer.guards.aliasing import any_written_overlap
from tracer.interpret.array_indices import INDEXING, without_arrays
from tracer.interpret.attention_kernels import guard_kernels
from tracer.interpret.compilers import refuse_for_compilers
from tracer.interpret.constant_data import constant_number
from tracer.interpret.data_indices import indexed_by_data
from tracer.interpret.device_guards import guard_current_device
from tracer.interpret.error_order import keep_errors_in_order
from tracer.interpret.evaluator import EVALUATOR, cross_checked
from tracer.interpret.input_names import input_name, local_name
from tracer.interpret.size_nodes import number_node, size_node
from tracer.interpret.trace import DataRead, InputWrite, Trace
from tracer.reasons import (
    DATA_DEPENDENT_OPERATOR,
    DATA_TO_PYTHON,
    GRADIENT_STATE,
    HIGHER_ORDER,
    NO_FAKE_KERNEL,
    OPERATOR_ERROR,
    TENSOR_SUBCLASS,
    UNSUPPORTED_CALL,
    NeedsNumber,
)
from tracer.values.base import MISSING, SYMBOLS
from tracer.values.class_attributes import METHOD_DESCRIPTORS
from tracer.values.computed_numbers import compared
from tracer.values.dicts import DictValue
from tracer.values.graph_arguments import GraphArgument
from tracer.values.item import Item
from tracer.values.kinds import kind_of, no_graph_argument
from tracer.values.lists import ListValue
from tracer.values.number_symbols import ANY_NUMBER, BoolSymbol, FloatSymbol, NumberSymbol
from tracer.values.numpy_arrays import NumpyArray
from tracer.values.numpy_numbers import NumpyNumber
from tracer.values.objects import Overridden
from tracer.values.shapes import NotExpressible, anew, as_python, decided, hint_of
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue, make_tuple
from tracer.values.wrapper_tensors import WrapperTensor

DATA_READERS = frozenset(
    {"item", "tolist", "__bool__", "__int__", "__float__", "__complex__", "__index__", "is_nonzero"}
)
MAKERS = frozenset({"new_tensor", "new_full", "new", "tensor", "as_tensor", "asarray"})
ITEM_GETTERS = frozenset({"getitem", "__getitem__"})
POSITIONS = frozenset({torch.int32, torch.int64})
"""Types of tensors that are positions when they are indices; others are masks."""
LONGEST_LIST = 64
"""Numbers that `tolist` may give in a graph."""
ASSERTION: Any = vars(torch)["_assert_async"]
NO_KEYWORDS: Mapping[str, Item] = {}


def node_of(trace: Trace, value: TensorValue) -> torch.fx.Node:
    """The node that stands for a tensor; an input gets its placeholder at first use."""
    node = value.node
    if node is None:
        if not value.touched:
            value.touch(trace)
        assert value.source is not None
        name = input_name(local_name(trace, value) or value.source.text)
        node = value.node = trace.graph.placeholder(name, value.meta, value.source.text)
        trace.inputs.append((value.source, node, value.object))
    return trace.graph.reached(node, value) if trace.graph.is_inner else node


class Lowering:
    """The arguments of one call on their way into the graph; `tensors` are those among them, in order, and `numbers`
    the floats that vary, `numpy_numbers` those of numpy's, `array_numbers` those that the graph computes. Implements
    `tracer.values.graph_arguments.GraphArguments`.
    """

    __slots__ = ("array_numbers", "context", "numbers", "numpy_numbers", "tensors")

    def __init__(self, trace: Trace) -> None:
        self.context = trace
        self.tensors: list[TensorValue] = []
        self.numbers: list[NumberSymbol] = []
        self.numpy_numbers: list[NumpyNumber] = []
        self.array_numbers: list[NumpyArray] = []

    def lower(self, item: Item) -> GraphArgument:
        """An item as the graph holds it, and as the evaluator is asked about it."""
        return kind_of(item).graph_argument(self, item)

    def tensor(self, value: TensorValue) -> GraphArgument:
        """A tensor, by its node and its meta."""
        node = node_of(self.context, value)
        self.tensors.append(value)
        return node, value.meta

    def wrapper(self, value: Any) -> GraphArgument:
        """A tensor that holds others: its class is asked."""
        raise Overridden(TENSOR_SUBCLASS, f"an operator is given a {value.cls.__name__}")

    def size(self, symbol: Any) -> Any:
        """The node for a symbolic size."""
        return size_node(self.context, symbol)

    def numpy_number(self, value: NumpyNumber) -> GraphArgument:
        """A number of numpy that varies: the plain number, but for operators that make a tensor of its dtype."""
        if value.fixed:
            return value.object, value.object
        self.numpy_numbers.append(value)
        return self.lower(value.symbol)

    def array_number(self, value: NumpyArray) -> GraphArgument:
        """A number of numpy that the graph computes: the plain number that is read from it."""
        self.array_numbers.append(value)
        return self.lower(tensor_op(self.context, ("method", "item"), (value.tensor,)))

    def number(self, symbol: NumberSymbol) -> Any:
        """The node for a float that varies."""
        self.numbers.append(symbol)
        return number_node(self.context, symbol)

    def fixes_numbers(self, target: Any, keys: Sequence[Any]) -> bool:
        """Whether there were numbers that vary, and `target` asks more of them: they are constants from here on.

        Sub-graphs are given none: the operators that call them take tensors and sizes.
        """
        if not self.numbers and not self.numpy_numbers:
            return False
        if not self.context.graph.is_inner and self._takes_numbers(target, keys):
            return False
        for value in self.numpy_numbers:
            value.fix(self.context)
        for number in self.numbers:
            number.number()
        return True

    def _takes_numbers(self, target: Any, keys: Sequence[Any]) -> bool:
        """Whether what `target` gives, values apart, is the same for others of these numbers."""
        key = tuple(keys)
        if self.numpy_numbers and (not self.tensors or name_of(target) in MAKERS):  # makes its dtype
            return False
        if not self.numbers and (name_of(target) in ITEM_GETTERS or takes_sizes(target, key)):
            return True
        if takes_any_number(target, key):
            return True
        # Compilers are given tensors for floats, which is no probability.
        takes_probabilities = self.context.replays and takes_any_probability(target, key)
        return takes_probabilities and all(map(self._is_probability, self.numbers))

    def _is_probability(self, number: NumberSymbol) -> bool:
        """Whether a float is above zero and at most one, which is guarded."""
        if type(number) is not FloatSymbol or number.value is None or not 0 < number.value <= 1:
            return False
        above = compared(self.context, operator.gt, number, 0.0)
        return above is True and compared(self.context, operator.le, number, 1.0) is True


def tensor_op(
    trace: Trace, target: Any, args: Sequence[Item], kwargs: Mapping[str, Item] = NO_KEYWORDS, remembered: bool = True
) -> Item:
    """One call of an operator: the items it returns.

    What the operator gives is `remembered` for the next call, unless that hangs on more than the arguments.
    """
    if type(target) in METHOD_DESCRIPTORS:
        target = ("method", target.__name__)
    if target in INDEXING and len(args) > 1:
        args = [args[0], without_arrays(trace, args[1], tensor_op), *args[2:]]
    arguments = Lowering(trace)
    tensors = arguments.tensors
    nodes: list[Any] = []
    keys: list[Any] = []
    for arg in args:
        node, key = arguments.lower(arg)
        nodes.append(node)
        keys.append(key)
    node_kwargs: dict[str, Any] = {}
    key_kwargs: tuple[tuple[str, Any], ...] = ()
    if kwargs:
        lowered = [(name, arguments.lower(arg)) for name, arg in kwargs.items()]
        node_kwargs = {name: pair[0] for name, pair in lowered}
        key_kwargs = tuple((name, pair[1]) for name, pair in lowered)
    if arguments.array_numbers and (not tensors or name_of(target) in MAKERS):
        no_graph_argument(arguments, arguments.array_numbers[0])  # it would make a tensor of their dtype
    if arguments.fixes_numbers(target, keys):
        return tensor_op(trace, target, args, kwargs, remembered)
    try:
        outcome = _evaluated(trace, target, tuple(keys), key_kwargs, remembered)
        prediction = Prediction(target, tuple(keys), key_kwargs, trace.modes, outcome)
        if trace.options.strict:
            prediction = cross_checked(prediction, trace.options.raise_bugs)
            outcome = prediction.outcome
    except (OpError, DataDependent, NoFakeKernel, Unsupported) as error:
        return _unforeseen(trace, (target, args), (nodes, node_kwargs), (tuple(keys), key_kwargs), tensors, error)
    result = outcome.result
    if not trace.replays:
        refuse_for_compilers(trace, name_of(target), (*args, *kwargs.values()), "out" in kwargs, outcome, tensors)
    if type(result) is New:
        refuses = keep_errors_in_order(trace, prediction, tensors)
        meta, mutates = result.meta, bool(outcome.mutated)
        node = trace.graph.call(target, nodes, node_kwargs, meta, trace.location, mutates, trace.modes)
        record_prediction(trace, node, prediction, refuses)
        value = new_tensor(trace, node, result, tensors)
        if outcome.mutated:
            mutate(trace, tensors, outcome.mutated)
        return value
    needs_node = outcome.mutated or any(type(leaf) is New for leaf in outcome.tensors) or is_assertion(prediction)
    if not needs_node:
        return unfold(trace, result, None, tensors)
    refuses = keep_errors_in_order(trace, prediction, tensors)
    mutate(trace, tensors, outcome.mutated)
    meta, writes = result_meta(result, tensors), bool(outcome.mutated)
    node = trace.graph.call(target, nodes, node_kwargs, meta, trace.location, writes, trace.modes)
    record_prediction(trace, node, prediction, refuses)
    return unfold(trace, result, node, tensors)


def in_optimizer(trace: Trace) -> bool:
    """Whether the frame that runs is one of torch.optim."""
    return trace.frame is not None and trace.frame.globals.get("__name__", "").startswith("torch.optim.")


def _unforeseen(
    trace: Trace,
    call: tuple[Any, Sequence[Item]],
    nodes: tuple[list[Any], dict[str, Any]],
    keys: tuple[tuple[Any, ...], tuple[tuple[str, Any], ...]],
    tensors: list[TensorValue],
    error: Exception,
) -> Item:
    """What a call gives of which the evaluator has said `error`: symbols, if data is all that it lacks; else breaks.

    `call` is the target and its arguments; `nodes` and `keys` are described at `operator_on_data`.
    """
    target, args = call
    takes_data = trace.shapes is not None and trace.shapes.data and not trace.graph.is_inner
    if takes_data and (isinstance(error, DataDependent) or (isinstance(error, OpError) and hangs_on_data(keys))):
        item = indexed_by_data(trace, target, args, tensor_op)
        if item is not NotImplemented:
            return item
    if isinstance(error, OpError):
        trace.stop(OPERATOR_ERROR, str(error))
    if isinstance(error, NoFakeKernel):
        trace.stop(NO_FAKE_KERNEL, str(error))
    if isinstance(error, Unsupported):
        trace.stop(UNSUPPORTED_CALL, f"{name_of(target)}: {error}")
    return operator_on_data(trace, target, nodes, keys, tensors)


def operator_on_data(
    trace: Trace,
    target: Any,
    nodes: tuple[list[Any], dict[str, Any]],
    keys: tuple[tuple[Any, ...], tuple[tuple[str, Any], ...]],
    tensors: list[TensorValue],
) -> Item:
    """A call whose result hangs on the data of a tensor: symbols stand for what does, or the graph breaks.

    `nodes` are the arguments as the graph holds them, `keys` as the evaluator is asked about them.
    """
    name = name_of(target)
    if name == "item" and in_optimizer(trace) and tensors[0].meta.dtype.is_floating_point:
        number = trace.graph.call(target, nodes[0], None, ANY_NUMBER, trace.location, modes=trace.modes)
        return FloatSymbol(None, nodes=(number,), raises=True)
    if name in DATA_READERS and (number := constant_number(trace, tensors[0], name)) is not MISSING:
        return number
    reason = DATA_TO_PYTHON if name in DATA_READERS else DATA_DEPENDENT_OPERATOR
    if trace.shapes is None or not trace.shapes.data or trace.graph.is_inner:
        trace.stop(reason, name)
    _refuse_long_list(trace, target, keys[0])
    try:
        numbers = read_by(target, *keys)
        if numbers is None:
            outcome = EVALUATOR.evaluate_on_data(target, *keys, trace.modes, trace.shapes.opened())
        else:
            outcome = Outcome(numbers, {}, Trial("numbers", "they hang on data"))
    except OpError as error:
        trace.stop(OPERATOR_ERROR, str(error))
    except (DataDependent, Unsupported):
        if hangs_on_data(keys):
            raise NeedsNumber(reason, name) from None
        trace.stop(reason, name)
    if outcome.mutated:
        trace.stop(reason, name)
    prediction = Prediction(target, *keys, trace.modes, outcome)
    refuses = keep_errors_in_order(trace, prediction, tensors)
    meta = outcome.result.meta if type(outcome.result) is New else None
    node = trace.graph.call(target, nodes[0], nodes[1], meta, trace.location, False, trace.modes)
    record_prediction(trace, node, prediction, refuses)
    trace.shapes.reads_data = True
    trace.data_read = DataRead(trace.step, reason, name)
    return _unfold_data(trace, outcome.result, node, tensors)


def _refuse_long_list(trace: Trace, target: Any, args: tuple[Any, ...]) -> None:
    """Break at `tolist` of many numbers, each of which would be a call of the graph, unless there must be one graph."""
    if target != ("method", "tolist") or trace.options.fullgraph or type(args[0]) is not TensorMeta:
        return
    if math.prod(map(hint_of, args[0].shape)) > LONGEST_LIST:
        trace.stop(DATA_TO_PYTHON, "tolist of many numbers")


def _unfold_data(trace: Trace, result: Any, node: torch.fx.Node, tensors: list[TensorValue]) -> Item:
    """Items for the structure of a result in which symbols stand for data; each symbol is bound to a node."""
    assert trace.shapes is not None
    kind = type(result)
    if kind is New:
        return new_tensor(trace, node, result, tensors)
    if kind is Same:
        return tensors[result.index]
    if result is float or kind is torch.SymFloat:
        node.meta[META] = ANY_NUMBER
        return FloatSymbol(None, nodes=(node,))
    if result is bool or kind is torch.SymBool:
        node.meta[META] = True
        return BoolSymbol(None, nodes=(node,))
    if kind is torch.SymInt:
        node.meta[META] = result
        trace.shapes.bind(result.node._expr, node)
        return result
    if isinstance(result, (tuple, list)) and kind is not torch.Size:
        items: list[Item] = []
        for index, part in enumerate(result):
            meta = part.meta if type(part) is New else None
            inner = trace.graph.call(operator.getitem, (node, index), None, meta, trace.location)
            items.append(_unfold_data(trace, part, inner, tensors))
        if kind is list:
            return ListValue(list, items)
        return make_tuple(items) if kind is tuple else TupleValue(kind, items)
    return as_python(result)


def _evaluated(trace: Trace, target: Any, args: tuple[Any, ...], kwargs: Any, remembered: bool) -> Outcome:
    """The outcome of a call, by running it on made-up numbers if all else fails and the backend wants that."""
    if target in READS_KERNELS:
        guard_kernels(trace, KERNELS_OF_CPU)
    evaluate = EVALUATOR.evaluate if remembered else EVALUATOR.evaluate_once
    try:
        return evaluate(target, args, kwargs, trace.modes)
    except DataDependent:
        if not trace.graph.is_vectorised or name_of(target) not in ITEM_GETTERS:
            raise
        indices = args[1] if type(args[1]) is tuple else (args[1],)
        if not all(type(index) is TensorMeta and index.dtype in POSITIONS for index in indices):
            raise
        outcome, _ = EVALUATOR.tried(torch.ops.aten.index.Tensor, (args[0], ListArg(indices)), (), trace.modes)
        return replace(outcome, trial=Trial("getitem", "an index of many positions at once"))
    except NoFakeKernel:
        if not trace.probes:
            raise
        return EVALUATOR.probed(target, args, kwargs, trace.modes)


def is_assertion(prediction: Prediction) -> bool:
    """Whether a call returns nothing and is made for the error that it raises about its data: `torch._assert_async`."""
    outcome = prediction.outcome
    return outcome.result is None and may_refuse(prediction.target, prediction.args, prediction.kwargs)


def record_prediction(trace: Trace, node: torch.fx.Node, prediction: Prediction, refuses: bool) -> None:
    """Keep the prediction for a node; what rules predict is compared with the first real run."""
    node.meta[PREDICTION] = prediction
    node.meta[MODULE] = trace.module
    if refuses:
        trace.refusing.append(node)
    if trace.lasting and (trace.lasting_node is None or trace.lasting_node._erased):
        trace.lasting_node = node
    if prediction.outcome.trial is None:
        trace.predictions.append(prediction)


def name_of(target: Any) -> str:
    """The name of an operator, as messages show it."""
    return target[1] if isinstance(target, tuple) else getattr(target, "__name__", str(target))


def result_meta(result: Any, tensors: list[TensorValue]) -> TensorMeta | None:
    """The meta of a result that is one of the arguments, None for any other."""
    return tensors[result.index].meta if type(result) is Same else None


def new_tensor(trace: Trace, node: torch.fx.Node, new: New, tensors: list[TensorValue]) -> TensorValue:
    """The value for a tensor that an operator makes, noted as a view of the argument that it aliases."""
    value = TensorValue(torch.Tensor, node, new.meta)
    if new.meta.requires_grad and new.meta.is_leaf:
        trace.leaves.append(value)
    if not new.meta.plain and is_on_current_device(new.meta, tensors):
        guard_current_device(trace)
    if new.meta.symbolic:
        if trace.shapes is not None and trace.shapes.data:
            bind_sizes(trace, node, new.meta)
        assume_sizes(trace, new.meta, tensors)
    if new.alias_of is not None:
        of = tensors[new.alias_of]
        value.viewed = of.base
        if not detaches(node):
            value.root = of.root
            trace.views.setdefault(id(value.root), [value.root]).append(value)
    return value


def is_on_current_device(meta: TensorMeta, tensors: Sequence[TensorValue]) -> bool:
    """Whether a new tensor may be where it is because no argument said another device."""
    is_indexed = meta.device != torch.device(meta.device.type)
    return is_indexed and all(value.meta.device != meta.device for value in tensors)


def detaches(node: torch.fx.Node) -> bool:
    """Whether autograd does not know what a call gives as a view of what it is given, though they share memory."""
    return operator_name(node.target) == "detach" or (node.target is getattr and node.args[1] == "data")


def bind_sizes(trace: Trace, node: torch.fx.Node, meta: TensorMeta) -> None:
    """Have the graph read the sizes of a new tensor that are symbols for data, and not known from elsewhere.

    The symbol itself counts, not what the algebra takes it to be equal to. Raises NotExpressible for one inside a
    larger expression.
    """
    assert trace.shapes is not None
    bound = trace.shapes.nodes.keys() | trace.shapes.sources.keys()
    for dim, size in enumerate(meta.shape):
        expression = size.node._expr if isinstance(size, torch.SymInt) else None
        if expression is None or expression.free_symbols <= bound:
            continue
        if not expression.is_symbol or trace.graph.is_inner:
            raise NotExpressible(f"no call of the graph gives {expression}")
        length = trace.graph.call(("method", "size"), (node, dim), None, size, trace.location)
        trace.shapes.bind(expression, length)
        bound = bound | {expression}


def assume_sizes(trace: Trace, meta: TensorMeta, tensors: list[TensorValue]) -> None:
    """Guard that computed sizes are not negative: the operator would refuse them, even if nothing needs its result."""
    sizes = {id(size) for tensor in tensors for size in tensor.meta.shape}
    for size in meta.shape:
        if isinstance(size, torch.SymInt) and id(size) not in sizes and not decided(size >= 0):
            trace.stop(OPERATOR_ERROR, f"the size {size} is negative")


def unfold(trace: Trace, result: Any, node: torch.fx.Node | None, tensors: list[TensorValue]) -> Item:
    """Items for a result's structure; parts of a tuple are taken out by `operator.getitem` nodes."""
    kind = type(result)
    if kind is Same:
        return tensors[result.index].owner or tensors[result.index]
    if kind is New:
        assert node is not None
        return new_tensor(trace, node, result, tensors)
    if kind is dict:
        keys, parts = zip(*result.items(), strict=True) if result else ((), ())
        return DictValue(dict, dict(zip(keys, _parts(trace, keys, parts, node, tensors), strict=True)))
    if isinstance(result, (tuple, list)) and kind is not torch.Size:
        items = _parts(trace, range(len(result)), result, node, tensors)
        if kind is list:
            return ListValue(list, items)
        return make_tuple(items) if kind is tuple else TupleValue(kind, items)
    return anew(result if kind in SYMBOLS else as_python(result))


def _parts(
    trace: Trace, keys: Iterable[Any], parts: Iterable[Any], node: torch.fx.Node | None, tensors: list[TensorValue]
) -> list[Item]:
    """Items for the parts of a result that is a container, which `operator.getitem` takes out by these keys."""
    items: list[Item] = []
    for key, part in zip(keys, parts, strict=True):
        inner = node
        if node is not None and type(part) in (New, tuple, list, dict):
            meta = part.meta if type(part) is New else None
            inner = trace.graph.call(operator.getitem, (node, key), None, meta, trace.location)
        items.append(unfold(trace, part, inner, tensors))
    return items


def note_write(trace: Trace, base: TensorValue, redefines: bool, differentiated: bool) -> None:
    """The storage of `base` was written to; note it if that is an input's."""
    source = base.source
    if source is not None:
        write = trace.written.get(source) or InputWrite(base, trace.location, redefines, differentiated)
        trace.written[source] = write._replace(
            redefines=write.redefines or redefines, differentiated=write.differentiated or differentiated
        )


def mutate(trace: Trace, tensors: list[TensorValue], mutated: Mapping[int, TensorMeta]) -> None:
    """An operator wrote to some of its arguments."""
    for index, meta in mutated.items():
        value = tensors[index]
        if isinstance(value.base.owner, WrapperTensor):
            trace.stop(TENSOR_SUBCLASS, "a write to a tensor that another holds")
        if meta is not value.meta and value.base.owner is not None and value.base.source is not None:
            trace.stop(TENSOR_SUBCLASS, "a write that changes more than the data of a tensor from outside")
        if meta is not value.meta:
            refuse_with_new_gradients(trace, value.meta, meta)
        before, value.meta = value.meta, meta
        if isinstance(trace.graph, SubGraphBuilder) and not trace.graph.is_own(value.base.node):
            trace.stop(HIGHER_ORDER, "a tensor from outside of it is written to")
        differentiated = meta.requires_grad and trace.modes.grad
        if differentiated:
            _refuse_leaf(trace, value)
            if value.is_stale:
                _write_to_stale(trace, value)
            if any(map(_is_one_of_several, trace.views.get(id(value.root), ()))):
                trace.writes_to_stale = True
        note_write(trace, value.base, meta is not before, differentiated)
        if any(other.base is value.base for place, other in enumerate(tensors) if place != index):
            trace.operands_overlap = True
        if meta.requires_grad and not before.requires_grad:
            trace.leaves.append(value)
            spread_gradient(trace, value)


def refuse_with_new_gradients(trace: Trace, before: TensorMeta, after: TensorMeta) -> None:
    """Break where a tensor changes its shape or dtype behind an assignment of `grad`.

    Those are made behind the graph, where torch compares a gradient with what its tensor is then.
    """
    if (before.shape, before.dtype) == (after.shape, after.dtype):
        return
    if any(isinstance(value, TensorValue) and "grad" in value.written for value in trace.effects.changed.values()):
        trace.stop(GRADIENT_STATE, "a tensor changes its shape after a gradient was assigned")


def _is_one_of_several(view: TensorValue) -> bool:
    """Whether a view is one of those that one call gives, as of `chunk`.

    Of such a view autograd refuses to make the history anew after a write to the memory, also when it is only asked.
    """
    return view.node is not None and view.node.target is operator.getitem


def _refuse_leaf(trace: Trace, written: TensorValue) -> None:
    """Break in front of a write to a view of a leaf, which is an error as a write to the leaf is.

    The evaluator foresees that for the leaf alone. Whether an input is one is guarded.
    """
    base = written.base
    base.guard_leaf(trace)
    if base is not written and base.meta.is_leaf and base.meta.requires_grad:
        trace.stop(OPERATOR_ERROR, "a write to a view of a leaf that requires gradients")


def _write_to_stale(trace: Trace, value: TensorValue) -> None:
    """Torch refuses this write unless the history of the tensor has been made anew, which a compiler does not know."""
    if value.base.source is not None:
        trace.stop(OPERATOR_ERROR, "a write to a tensor that requires gradients since a write to a view of it")
    trace.writes_to_stale = True


def spread_gradient(trace: Trace, written: TensorValue) -> None:
    """A tensor requires gradients since a write to it, and with it those that autograd knows as views of the same one.

    The histories of those are made anew only when they are asked for: until then torch refuses writes to them. Breaks
    where other inputs share its memory, as only the real tensors know which of them autograd counts as views.
    """
    base = written.root
    for view in trace.views.get(id(base), ()):
        view.is_stale = view is not written
        if not view.meta.requires_grad and view.meta.dtype.is_floating_point:
            view.meta = view.meta.replace(requires_grad=True, is_leaf=False)
    if base.source is None:
        return
    real: Any = base.object
    base.is_stale = base is not written
    tensors = [value for value in trace.known.values() if isinstance(value, TensorValue) and value is not base]
    others: list[Any] = [value.object for value in tensors if value.touched]
    if any(any_written_overlap([real, other], 1) for other in others):
        trace.stop(GRADIENT_STATE, f"{base.source.text}, which shares memory with another input, requires grad")
    trace.requiring.append(real)
