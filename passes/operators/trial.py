"""A trial: run an operator once on stand-ins, and see what it returned, shared and changed.

Knows neither which stand-ins suit an operator nor what was found before.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)

from passes.meta import CPU, TensorMeta, meta_of
from passes.operators.hints import at_hint
from passes.operators.modes import Modes, entered
from passes.operators.outcome import (
    OPERATOR_ERRORS,
    Argument,
    Arguments,
    DataDependent,
    DictArg,
    Keywords,
    ListArg,
    New,
    NoFakeKernel,
    OpError,
    Outcome,
    Same,
    SliceArg,
    Target,
    Unsupported,
)
from passes.operators.stand_ins import META_DEVICE, RealStandIns, StandIns

DATA_DEPENDENT_ERRORS: Final = (DataDependentOutputException, DynamicOutputShapeException)
UNSUPPORTED_ERRORS: Final = (UnsupportedFakeTensorException, UnsupportedOperatorException, NotImplementedError)

NO_FAKE_KERNEL: Final = "no fake impl registered"  # what torch.library says of operators that lack one
BUILT_IN: Final = ("aten", "prims", "prim", "quantized", "c10d", "_c10d_functional", "mkldnn", "onednn")
NO_DATA: Final = "its data is not allocated yet"  # what a kernel says that reads a tensor without data

# What an operator may return beside tensors and containers of them.
CONSTANTS: Final = frozenset(
    {
        type(None),
        type(NotImplemented),
        bool,
        int,
        float,
        complex,
        str,
        torch.SymInt,
        torch.SymFloat,
        torch.SymBool,
        torch.Size,
        torch.device,
        torch.dtype,
        torch.layout,
        torch.memory_format,
    }
)

CONTAINERS: Final[dict[type, Callable[[Any], Any]]] = {
    tuple: tuple,
    ListArg: list,
    DictArg: dict,
    SliceArg: lambda parts: slice(*parts),
    torch.Size: torch.Size,
}


def attempt(stand_ins: StandIns, target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Outcome:
    """The outcome of `target(*args, **kwargs)` under `modes`, by running it on `stand_ins`.

    Raises OpError, DataDependent or Unsupported.
    """
    arguments: list[tuple[TensorMeta, torch.Tensor]] = []

    def stand_in(meta: TensorMeta) -> torch.Tensor:
        tensor = stand_ins.make(meta)
        arguments.append((meta, tensor))
        return tensor

    try:
        positional = [materialise(argument, stand_in) for argument in args]
        keywords = {name: materialise(argument, stand_in) for name, argument in kwargs}
    except UNSUPPORTED_ERRORS as error:
        raise Unsupported(str(error)) from error
    versions = [_version(tensor) for _, tensor in arguments]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the real call will say it
        result = call_on(stand_ins, target, positional, keywords, modes)
    findings = Findings(stand_ins, arguments)
    return Outcome(findings.describe(result), findings.mutated(versions))


def call_on(stand_ins: StandIns, target: Target, args: list[Any], kwargs: dict[str, Any], modes: Modes) -> Any:
    """What `target(*args, **kwargs)` returns under `modes`, where the arguments hold stand-ins. Raises as `attempt`."""
    with entered(modes), random_numbers_put_back(), stand_ins.active():
        try:
            if type(target) is tuple:
                return getattr(args[0], target[1])(*args[1:], **kwargs)
            return target(*args, **kwargs)
        except DATA_DEPENDENT_ERRORS as error:
            raise DataDependent(str(error)) from error
        except UnsupportedOperatorException as error:
            raise (NoFakeKernel if is_custom(error.func) else Unsupported)(str(error.func)) from error
        except UNSUPPORTED_ERRORS as error:
            if isinstance(stand_ins, RealStandIns):  # the kernel is not there for these types: so says the real call
                raise OpError(error.with_traceback(None)) from None
            raise Unsupported(str(error)) from error
        except OPERATOR_ERRORS as error:
            if NO_DATA in str(error) or is_about_data(error):
                raise DataDependent(str(error)) from error
            if NO_FAKE_KERNEL in str(error):
                raise NoFakeKernel(str(target)) from error
            raise OpError(error.with_traceback(None)) from None


def is_about_data(error: Exception) -> bool:
    """Whether torch's algebra raised an error because a branch of it hangs on a symbol for the data of a tensor."""
    algebra = sys.modules.get("torch.fx.experimental.symbolic_shapes")  # half of it, while another thread imports it
    raised: Any = getattr(algebra, "GuardOnDataDependentSymNode", ())
    return isinstance(error, raised)


def is_custom(operator: torch._ops.OpOverload) -> bool:
    """Whether an operator is of somebody's own library."""
    return operator.namespace not in BUILT_IN


@contextmanager
def random_numbers_put_back() -> Iterator[None]:
    """Whatever a kernel draws in a trial (attention and recurrent layers do, for their dropout) is drawn again."""
    generator = torch.default_generator
    state = generator.get_state()
    try:
        yield
    finally:
        generator.set_state(state)


def materialise(argument: Argument, stand_in: Callable[[TensorMeta], Any]) -> Any:
    """`argument` as the call takes it, with `stand_in(meta)` for every meta in it."""
    kind = type(argument)
    if kind is TensorMeta:
        return stand_in(argument)
    build = CONTAINERS.get(kind)
    if build is None:
        return argument
    return build([materialise(part, stand_in) for part in argument])


class Findings:
    """What a trial shows of the tensors it was given and of those it returned."""

    def __init__(self, stand_ins: StandIns, arguments: Sequence[tuple[TensorMeta, torch.Tensor]]) -> None:
        self._stand_ins = stand_ins
        self._given = arguments
        self._index = {id(tensor): index for index, (_, tensor) in reversed(list(enumerate(arguments)))}
        self._owners = {_storage(tensor): index for index, (_, tensor) in reversed(list(enumerate(arguments)))}

    def mutated(self, versions: Sequence[int | None]) -> dict[int, TensorMeta]:
        """The meta now of every tensor given that was written to, or whose facts changed."""
        changed = {}
        for index, (before, tensor) in enumerate(self._given):
            after = self._meta(tensor)
            if _version(tensor) != versions[index] or not _alike(before, after):
                changed[index] = after
        return changed

    def describe(self, result: Any) -> Any:
        """`result` with New or Same in the place of tensors."""
        if isinstance(result, torch.Tensor):
            return self._describe_tensor(result)
        if type(result) in CONSTANTS:
            return result
        if isinstance(result, tuple | list):
            parts = [self.describe(part) for part in result]
            return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
        if isinstance(result, dict):
            return {key: self.describe(value) for key, value in result.items()}
        raise Unsupported(f"the result is a {type(result).__name__}")

    def _describe_tensor(self, tensor: torch.Tensor) -> New | Same:
        index = self._index.get(id(tensor))
        if index is not None:
            return Same(index)
        return New(self._meta(tensor), self._owners.get(_storage(tensor)))

    def _meta(self, tensor: torch.Tensor) -> TensorMeta:
        try:
            meta = meta_of(tensor)
        except NotImplementedError as error:
            raise Unsupported(str(error)) from error
        if meta.device == self._stand_ins.device and self._stand_ins.device.type == "meta":
            return meta.replace(device=CPU)
        if meta.device.type == META_DEVICE.type and meta.device != META_DEVICE:
            return meta.replace(device=META_DEVICE)  # real tensors there have no index, whatever is asked for
        return meta


def _alike(before: TensorMeta, after: TensorMeta) -> bool:
    """Whether two metas tell the same; a symbol may be written otherwise once more is known of it."""
    if before is after or not before.symbolic:
        return before is after
    return all(at_hint(one) == at_hint(other) for one, other in zip(before.facts, after.facts, strict=True))


def _storage(tensor: torch.Tensor) -> object:
    """What identifies the memory of `tensor`; the tensor itself where it has no single storage."""
    if tensor.layout is not torch.strided:
        return tensor
    return tensor.untyped_storage()._cdata


def _version(tensor: torch.Tensor) -> int | None:
    return None if tensor.is_inference() else tensor._version
