"""One trace: the state that all frames of one capture share, and the services values ask for.

The graph, the guards and the effect log grow here and nowhere else.
"""

from __future__ import annotations

import enum
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from os import path
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from passes.operators.modes import Modes, current_modes
from tracer.effects.log import DELETED, EffectLog
from tracer.graph.builder import GraphBuilder
from tracer.guards.guard_set import GuardSet
from tracer.guards.source import Source, constant
from tracer.interpret import call as calls
from tracer.interpret import concrete, tensor_attributes, tensor_ops
from tracer.interpret.policy import HOST_OBJECTS
from tracer.options import DEFAULTS, Options
from tracer.reasons import EXCEPTION_STATE, TOO_LONG, UNSUPPORTED_OPERATION, GraphBreak, Reason
from tracer.values import slots, wrap
from tracer.values.attributes import bind
from tracer.values.base import LITERALS, MISSING, PYTHON_TYPES, Item, Lazy, Value
from tracer.values.containers import SetValue, TupleValue, make_tuple
from tracer.values.context import Raised
from tracer.values.exceptions import KEYWORD_FIELDS, NATIVE_FIELDS, fields_of
from tracer.values.functions import BoundMethod, CellValue, NestedFunction
from tracer.values.iterators import END
from tracer.values.objects import ExceptionValue, ObjectValue
from tracer.values.tensors import TensorValue

if TYPE_CHECKING:
    from passes.operators.verify import Prediction
    from tracer.interpret.frame import Frame
    from tracer.interpret.shapes import Shapes

LOOP_LIMIT = 200_000
"""Backward jumps that one trace follows before it gives up."""

BUILTIN_HASHES = tuple((cls.__hash__, cls.__eq__) for cls in (object, tuple, frozenset))
"""(`__hash__`, `__eq__`) of classes whose values in payloads hash and compare as the program would."""

KEY_LIMIT = 64
"""Objects from outside that a trace puts into dicts and sets: each is guarded to be none of the others."""

HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: classes made by `class` statements; only these can change."""

INTERNAL_FOLDERS = (path.dirname(torch.__file__) + path.sep, path.dirname(path.dirname(__file__)) + path.sep)
"""Files whose lines are never shown as the user's."""

_user_files: dict[str, bool] = {}


class Location:
    """A line of the user's program: what graphs, guards and breaks refer to."""

    __slots__ = ("code", "file", "function", "line")

    def __init__(self, code: Any, line: int) -> None:
        self.code = code
        self.file: str = code.filename
        self.line = line
        self.function: str = code.name

    @property
    def text(self) -> str:
        return f"{path.basename(self.file)}:{self.line}"

    def __repr__(self) -> str:
        return f"{self.text} in {self.function}"


class Trace:
    """Implements `tracer.values.context.Context`."""

    def __init__(self, shapes: Shapes | None = None, options: Options = DEFAULTS) -> None:
        self.options = options
        self.predictions: list[Prediction] = []  # what rules said
        self.guards = GuardSet()
        self.graph = GraphBuilder()
        self.effects = EffectLog(lambda: self.location)
        self.known: dict[int, Any] = {}
        self.inputs: list[tuple[Source, Any, Any]] = []
        self.modes: Modes = current_modes()
        self.first_modes = self.modes
        self.protected = False
        self.probes = False
        self.run_original: Any = None
        self.frame: Frame | None = None
        self.handled: Item = None
        self.stop_value: Item = None
        self.step = 0
        self.loops = 0
        self.generators: list[Any] = []
        self.autocast_depth = 0
        self.settings: dict[Any, Item] = {}
        self.views: dict[int, list[TensorValue]] = {}
        self._class_attributes: dict[tuple[type, str], Item] = {}
        self._globals: dict[int, dict[str, Item]] = {}
        self._locations: dict[tuple[int, int | None], Location] = {}
        self.function_facts: dict[int, Any] = {}
        self.hashed: dict[int, list[ObjectValue]] = {}
        self.keyed: list[Value] = []
        self.opened: set[int] = set()
        self.shapes = shapes

    def close(self) -> None:
        """Let go of everything, so that no collector is needed to free what the program was given."""
        for value in self.known.values():
            if isinstance(value, ObjectValue):
                value.dictionary = None
        vars(self).clear()

    # Facts and guards ----------------------------------------------------------------------------

    @property
    def location(self) -> Location | None:
        """The user's line that runs now."""
        if self.frame is None:
            return None
        frame = self.frame.user
        line = frame.ops[frame.index - 1].line if frame.index else frame.ops[0].line
        key = (id(frame.code), line)
        found = self._locations.get(key)
        if found is None:
            found = self._locations[key] = Location(frame.code, line or 0)
        return found

    def is_user_file(self, filename: str) -> bool:
        known = _user_files.get(filename)
        if known is None:
            known = _user_files[filename] = not filename.startswith(INTERNAL_FOLDERS)
        return known

    def guard(self, source: Source | None, check: str, expected: object = None) -> None:
        self.guards.add(source, check, expected, self.location)

    def constant(self, obj: Any, source: Source | None) -> Item:
        if source is not None:
            symbol = self.shapes.integer(self, obj, source) if self.shapes is not None and type(obj) is int else None
            if symbol is not None:
                return symbol
            self.guard(source, "equal", obj)
        return obj

    def wrap(self, obj: object, source: Source) -> Item:
        return wrap.wrap(self, obj, source)

    def wrap_key(self, key: Any, source: Source | None) -> Item:
        """A dict key or set element: raw, or the value it stands for."""
        cls = type(key)
        if cls in LITERALS or cls in wrap.IDENTITY_TYPES or isinstance(key, type):
            return key
        if cls is tuple and wrap.is_constant_tuple(key):
            return key
        if isinstance(key, enum.Enum):
            return key
        if source is None:
            self._odd_key(cls)
        return self.key(self.wrap(key, source))

    def _odd_key(self, cls: type) -> NoReturn:
        self.stop(UNSUPPORTED_OPERATION, f"a {cls.__name__} as a key")

    def key(self, item: Item) -> Item:
        """An item as the key of a payload dict. Raises TypeError in the program when unhashable."""
        if type(item) is Lazy:
            item = item.realise(self)
        if not isinstance(item, Value):
            item = concrete.concrete(self, item) if type(item) in PYTHON_TYPES or type(item) is tuple else item
            self.host(hash, item)
            return item
        if type(item) is NestedFunction:
            return item.pin(self)
        if isinstance(item, TupleValue):
            for position, part in enumerate(item.all(self)):
                item.items[position] = self.key(part)
            raw = make_tuple(item.items)
            if item.cls is tuple and not isinstance(raw, Value):
                return raw
        elif isinstance(item, SetValue) and item.cls is frozenset:
            payload = item.all(self)
            return item if any(isinstance(part, Value) for part in payload) else frozenset(payload)
        elif isinstance(item, TensorValue):
            return self._known_by_identity(item)
        elif isinstance(item, BoundMethod):
            return item
        method = self.class_attribute(item.cls, "__hash__")
        if method is None:
            self.throw(TypeError, f"unhashable type: '{item.cls.__name__}'")
        if (method, self.class_attribute(item.cls, "__eq__")) in BUILTIN_HASHES:
            return self._known_by_identity(item)
        if (
            not isinstance(item, ObjectValue)
            or isinstance(item, (TupleValue, SetValue))
            or (type(method) is not types.FunctionType)
        ):
            self.stop(UNSUPPORTED_OPERATION, f"a {item.cls.__name__} with a hash of its own as a key")
        return self._hashed(item, method)

    def _known_by_identity(self, item: Value) -> Value:
        """A key that is itself: that it is none of the other keys from outside is guarded."""
        if item.source is None or item.source.accessor == "key" or any(item is other for other in self.keyed):
            return item
        if len(self.keyed) == KEY_LIMIT:
            self.stop(UNSUPPORTED_OPERATION, f"more than {KEY_LIMIT} objects from outside as keys")
        for other in self.keyed:
            slots.tell_apart(self, item, other)
        self.keyed.append(item)
        return item

    def _hashed(self, item: ObjectValue, method: Item) -> Item:
        """A key with a hash of its own: payloads take it for the first equal one of the trace."""
        number = concrete.concrete(self, self.call(method, [item]))
        if not isinstance(number, int):
            self.throw(TypeError, "__hash__ method should return an integer")
        number = int(number) if -sys.maxsize <= number <= sys.maxsize else hash(number)
        item.hash = -2 if number == -1 else number
        alike = self.hashed.setdefault(item.hash, [])
        item.twin = next((other for other in alike if other is not item and slots.equal(self, other, item)), None)
        if item.twin is None and not any(other is item for other in alike):
            alike.append(item)
        return item

    # Classes and globals -------------------------------------------------------------------------

    def class_attribute(self, cls: type, name: str) -> Item:
        found = self._class_attributes.get((cls, name), self)
        if found is not self:
            return found
        found = MISSING
        for owner in cls.__mro__:
            written = self.effects.read(owner, name, MISSING) if self.effects.namespaces else MISSING
            if written is not MISSING and written is not DELETED:
                return written
            if name in owner.__dict__ and written is not DELETED:
                found = owner.__dict__[name]
                break
        if cls.__flags__ & HEAP_TYPE:
            if found is MISSING:
                self.guard(constant(cls), "absent", name)
            else:
                self.guard(constant(cls).child("class attribute", name), "same object", found)
        self._class_attributes[cls, name] = found
        return found

    def own_class_attribute(self, cls: type, name: str) -> Item:
        written = self.effects.read(cls, name, MISSING)
        if written is not MISSING:
            return written
        found = cls.__dict__[name]
        if cls.__flags__ & HEAP_TYPE:
            self.guard(constant(cls).child("class attribute", name), "same object", found)
        return found

    def forget_class(self, cls: object) -> None:
        self._class_attributes.clear()

    def special_method(self, item: Item, cls: type, name: str) -> Item:
        """`type(item).name` bound to the item; None when there is none."""
        found = self.class_attribute(cls, name)
        return None if found is MISSING else bind(self, found, item, cls, name)

    def load_global(self, frame: Frame, name: str) -> Item:
        space = self._globals.get(id(frame.globals))
        if space is None:
            space = self._globals[id(frame.globals)] = {}
        item = space.get(name, MISSING)
        if item is MISSING:
            item = space[name] = self._read_global(frame, name)
        return item

    def _read_global(self, frame: Frame, name: str) -> Item:
        source = frame.globals_source
        globals = frame.globals
        if self.effects.read(globals, name, None) is not DELETED and name in globals:
            if source is None:
                return globals[name]
            return self.wrap(globals[name], source.child("item", name))
        if source is not None:
            self.guard(source, "absent", name)
        builtin: Any = globals.get("__builtins__", __builtins__)
        builtin = builtin.__dict__ if isinstance(builtin, types.ModuleType) else builtin
        if name not in builtin:
            self.throw(NameError, f"name '{name}' is not defined", name=name)
        if source is not None and source.base is not None:
            self.guard(source.base.child("builtins").child("item", name), "same object", builtin[name])
        return builtin[name]

    def store_global(self, frame: Frame, name: str, item: Item) -> None:
        space = self._globals.setdefault(id(frame.globals), {})
        self.effects.write(frame.globals, name, DELETED if item is MISSING else item)
        if item is MISSING:
            space.pop(name, None)
        else:
            space[name] = item

    # Calls and errors ----------------------------------------------------------------------------

    def call(self, function: Item, args: Sequence[Item], kwargs: Mapping[str, Item] | None = None) -> Item:
        return calls.call(self, function, args, kwargs or {})

    def call_until_stop(self, method: Item, args: Sequence[Item]) -> Item:
        try:
            return self.call(method, args)
        except Raised as raised:
            if not issubclass(raised.value.cls, StopIteration):
                raise
            arguments = self.unpack(raised.value.arguments)
            self.stop_value = arguments[0] if arguments else None
            return END

    def send_to(self, receiver: Item, item: Item) -> tuple[Item, Item]:
        """`receiver.send(item)` for an iterator of the program's own: (item or END, what it returned)."""
        method = self.special_method(receiver, receiver.cls, "send")
        result = self.call_until_stop(method, [item])
        return result, self.stop_value

    def stop(self, reason: Reason, detail: str = "") -> NoReturn:
        raise GraphBreak(reason, detail)

    def count_loop(self) -> None:
        self.loops += 1
        if self.loops > LOOP_LIMIT:
            self.stop(TOO_LONG, f"{LOOP_LIMIT} turns of a loop")

    def birth(self) -> int:
        return self.step

    def host(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except GraphBreak:
            raise
        except Exception as error:  # noqa: BLE001  (whatever a C function raises is the program's to handle)
            raise Raised(self.chain(self.born_exception(error))) from None

    def throw(self, cls: type[BaseException], *args: object, **fields: Item) -> NoReturn:
        exception = self.new_exception(cls, *args)
        for name, item in fields.items():
            exception.keep_field(name, item)
        raise Raised(self.chain(exception))

    def throw_from(self, cls: type[BaseException], message: str, cause: Item) -> NoReturn:
        exception = self.new_exception(cls, message)
        exception.cause = exception.handling = cause
        exception.suppress = True
        raise Raised(exception)

    def new_exception(self, cls: type[BaseException], *args: Item) -> ExceptionValue:
        return ExceptionValue(cls, make_tuple(args))

    def born_exception(self, error: BaseException) -> ExceptionValue:
        """The item for an exception that CPython has just raised."""
        exception = ExceptionValue(type(error), concrete.from_host(self, error.args))
        for name in (*fields_of(type(error), KEYWORD_FIELDS), *fields_of(type(error), NATIVE_FIELDS)):
            if getattr(error, name) is not None:
                exception.keep_field(name, concrete.from_host(self, getattr(error, name)))
        return exception

    def make_exception(self, item: Item) -> ExceptionValue:
        """What `raise item` raises."""
        item = item.realise(self) if type(item) is Lazy else item
        if isinstance(item, type) and issubclass(item, BaseException):
            item = self.call(item, [])
        if not isinstance(item, ExceptionValue):
            self.throw(TypeError, "exceptions must derive from BaseException")
        if item.object is not MISSING:
            self.stop(EXCEPTION_STATE, f"an exception from outside is raised, {item!r}")
        return item

    def chain(self, exception: ExceptionValue) -> ExceptionValue:
        """Set `__context__`, as raising inside a handler does; no chain may lead back to the exception."""
        handled = self.handled
        if handled is None or exception is handled:
            return exception
        link = handled
        while link.object is MISSING and link.handling is not None:
            if link.handling is exception:
                link.handling = None
                break
            link = link.handling
        exception.handling = handled
        return exception

    # Protocols, for values -----------------------------------------------------------------------

    def truth(self, item: Item) -> bool:
        return slots.truth(self, item)

    def next_of(self, iterator: Item) -> Item:
        return slots.next_by_method(self, iterator)

    def unpack(self, iterable: Item) -> list[Item]:
        return slots.unpack(self, iterable)

    def same_object(self, left: Any, right: Item) -> bool:
        if isinstance(left, CellValue) and isinstance(right, CellValue):
            return left.object is right.object and not left.born
        for nested, other in ((left, right), (right, left)):
            if isinstance(nested, NestedFunction) and not isinstance(other, Value):
                return nested.pin(self) is other
        return False

    def polyfill(self, name: str) -> Any:
        return calls.polyfill(name)

    def reads_on_host(self, value: Any) -> bool:
        return value.object is not MISSING and isinstance(value.object, HOST_OBJECTS)

    def host_attribute(self, value: Any, name: str) -> Item:
        return concrete.from_host(self, self.host(getattr, value.object, name))

    def settle(self, obj: Any, source: Source, name: str) -> Item:
        if type(obj) in LITERALS:
            return obj
        return concrete.from_host(self, obj)

    def size_input(self, source: Source, size: torch.SymInt) -> torch.fx.Node:
        """The graph input for a symbolic size."""
        node = self.graph.placeholder(tensor_ops.input_name(source.text), size, source.text)
        self.inputs.append((source, node, int(size.node.hint)))
        return node

    # Tensors -------------------------------------------------------------------------------------

    def tensor_op(self, target: Any, args: Sequence[Item], kwargs: Mapping[str, Item] | None = None) -> Item:
        return tensor_ops.tensor_op(self, target, args, kwargs or {})

    def tensor_touched(self, value: TensorValue) -> None:
        tensor_ops.touch(self, value)

    def tensor_rows(self, value: TensorValue) -> list[Item]:
        return self.unpack(self.tensor_op(torch.Tensor.unbind, (value, 0)))

    def tensor_attribute(self, value: TensorValue, name: str, found: Any) -> Item:
        return tensor_attributes.read(self, value, name, found)

    def set_tensor_attribute(self, value: TensorValue, name: str, item: Item) -> None:
        tensor_attributes.write(self, value, name, item)
