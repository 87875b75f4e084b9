"""Tables of the call policy: what is replaced, what is pure, what is an operator, what is refused.

Rows, not code: to teach the tracer a new C function, add it to the table that says what it is.
"""

from __future__ import annotations

import builtins
import datetime
import functools
import importlib.metadata
import importlib.util
import inspect
import math
import operator
import re
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Any

import torch

from tracer.reasons import (
    AUTOGRAD_FUNCTION,
    BACKWARD,
    CLOCK,
    DISABLED,
    FRAME_INSPECTION,
    FUNCTION_TRANSFORM,
    IMPORT_STATEMENT,
    INPUT_OUTPUT,
    PRINTING,
    PYTHON_RANDOM,
    RANDOM_STATE,
    SKIPPED_FUNCTION,
    TENSOR_HOOK,
    TENSOR_STORAGE,
    UNSUPPORTED_CALL,
    WAITING,
    WARNING,
    Reason,
)
from tracer.values.base import LITERALS, NUMPY_SCALARS

LOOKASIDES: dict[Any, Callable[..., Any]] = {}
"""Callable to what the tracer does instead: `f(trace, *args, **kwargs)`."""


TAKES_LAZY: set[Callable[..., Any]] = set()
"""Lookasides that only pass on or store what they are given: lazy arguments stay lazy."""


def lookaside(*functions: Any, lazy: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what the tracer does when the program calls one of `functions`.

    Arguments arrive realised, unless `lazy`.
    """

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            assert function not in LOOKASIDES, f"{function} has two lookasides"
            LOOKASIDES[function] = handler
        if lazy:
            TAKES_LAZY.add(handler)
        return handler

    return register


NAMED: dict[tuple[str, str], Callable[..., Any]] = {}
"""(module, qualified name) of functions whose module is not imported by ours, to their lookasides."""


def named_lookaside(module: str, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        NAMED[module, name] = handler
        return handler

    return register


# Pure C functions: their result depends on nothing but their arguments. ------------------------------

PURE_MODULES = frozenset({"math", "cmath", "_struct", "binascii", "unicodedata", "_string"})

PURE_FUNCTIONS: frozenset[Any] = frozenset(
    {
        *(abs, all, any, ascii, bin, chr, divmod, format, hash, hex, len, max, min, oct, ord, pow, repr, round),
        *(sorted, sum, callable, isinstance, issubclass),
        *(object.__eq__, object.__ne__, object.__hash__, object.__repr__, object.__str__, object.__format__),
        *(str.maketrans, int.from_bytes, float.fromhex, bytes.fromhex, dict.fromkeys),
        *(torch.promote_types, torch.can_cast, torch.get_default_dtype, torch._C._log_api_usage_once),
        *(torch._C._is_tracing, torch._C._is_autocast_available, torch._C._autocast_supported_devices),
        *(torch._C._get_deterministic_algorithms, torch._C._get_deterministic_algorithms_warn_only),
        *(torch._C._get_default_device, torch._C._get_mkldnn_enabled),
        *(re.match, re.search, re.sub, re.findall, re.split, re.fullmatch, re.escape),
        *(math.prod, functools.cmp_to_key, sys.intern),
        *(torch._C._len_torch_dispatch_stack, torch._C._len_torch_function_stack),
        *(torch._C._is_torch_function_mode_enabled, torch._C._is_torch_function_all_disabled),
        torch._C._get_privateuse1_backend_name,
        torch.backends.mkldnn.is_available,
        *(torch.cuda.is_available, torch.cuda.device_count, typing.get_origin, typing.get_args),
        *(inspect.signature, torch._C._get_sdp_priority_order),
        torch._C._cpu._get_cpu_capability,  # pyright: ignore[reportAttributeAccessIssue]
    }
)

SETTINGS: tuple[Callable[[], Any], ...] = (
    *(torch._C._get_cublas_allow_tf32, torch._C._get_cudnn_allow_tf32, torch._C._get_float32_matmul_precision),
    *(torch._C._get_flash_sdp_enabled, torch._C._get_mem_efficient_sdp_enabled, torch._C._get_math_sdp_enabled),
    *(torch._C._get_overrideable_sdp_enabled, torch._C._get_cudnn_sdp_enabled),
    *(torch._C._get_cudnn_enabled, torch._C._get_cudnn_benchmark),
    *(torch._C._get_cudnn_deterministic, torch._C._get_deterministic_fill_uninitialized_memory),
    *(torch._C._are_functorch_transforms_active, torch.get_num_threads, torch.get_num_interop_threads),
    torch._C._get_math_sdp_allow_fp16_bf16_reduction,
)
"""C functions without arguments that tell a setting of the process: guards ask them again."""

PURE_CLASSES: frozenset[type] = frozenset(
    {
        *(int, float, complex, str, bytes, bool, range),
        *(torch.device, torch.dtype, torch.Size, torch.finfo, torch.iinfo, torch.layout, torch.memory_format),
        *(datetime.timedelta, datetime.date, datetime.datetime, Fraction, re.Pattern),
        *(operator.itemgetter, operator.attrgetter, operator.methodcaller),
    }
)
"""Classes whose instances are immutable: called with constants, CPython makes them."""


HOST_FUNCTIONS: tuple[Any, ...] = (
    *(importlib.util.find_spec, importlib.metadata.version, textwrap.dedent, re.compile),
    torch.broadcast_shapes,
)
"""Python functions left to CPython when their arguments are constants: what they tell stays true."""

RETURNS_ITEMS: frozenset[Any] = frozenset({sorted, max, min, sum, math.prod, dict.fromkeys})
"""Pure functions whose result is, or holds, an object that they were given."""


def is_pure(function: Any) -> bool:
    """Whether a C function of constants may be run while tracing."""
    if function in PURE_FUNCTIONS:
        return True
    kind = type(function)
    if issubclass(kind, types.BuiltinFunctionType):
        owner = function.__self__
        if type(owner) in LITERALS or type(owner) in IMMUTABLE_OWNERS:
            return True
        if isinstance(owner, type):
            return owner in PURE_CLASSES
        return function.__module__ in PURE_MODULES
    if kind in (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType):
        return function.__objclass__ in IMMUTABLE_CLASSES or issubclass(function.__objclass__, NUMPY_SCALARS)
    if kind is types.MethodWrapperType:
        return type(function.__self__) in LITERALS or isinstance(function.__self__, type)
    return False


IMMUTABLE_CLASSES: frozenset[type] = LITERALS | {
    *(tuple, frozenset, slice, type),
    *(types.GenericAlias, re.Pattern, re.Match),
}
IMMUTABLE_OWNERS = IMMUTABLE_CLASSES | {datetime.timedelta, Fraction}

LEGACY_TENSORS: dict[Any, torch.dtype] = {
    torch.FloatTensor: torch.float32,
    torch.DoubleTensor: torch.float64,
    torch.HalfTensor: torch.float16,
    torch.LongTensor: torch.int64,
    torch.IntTensor: torch.int32,
    torch.ShortTensor: torch.int16,
    torch.CharTensor: torch.int8,
    torch.ByteTensor: torch.uint8,
    torch.BoolTensor: torch.bool,
}
"""Classes whose call makes a tensor, to the dtype it has; to `isinstance` they stand for that dtype."""


# Tensor operators -------------------------------------------------------------------------------------

OPERATOR_MODULES = frozenset(
    {
        "torch._C._nn",
        "torch._C._fft",
        "torch._C._linalg",
        "torch._C._special",
        "torch._C._sparse",
        "torch._C._nested",
    }
)

NOT_OPERATORS = frozenset(
    {"backward", "register_hook", "register_post_accumulate_grad_hook", "retain_grad", "data_ptr", "storage", "set_"}
    | {"untyped_storage", "_typed_storage", "share_memory_", "numpy", "__array__", "resize_", "resize_as_"}
    | {"_make_subclass", "_make_wrapper_subclass", "as_subclass", "__torch_function__", "__reduce_ex__"}
    | {"_set_grad_enabled", "pin_memory"}
)
"""Methods of tensors that are no function of metas."""

NAMED_NOT_OPERATORS = frozenset(
    {"promote_types", "can_cast", "get_device", "from_file", "_sync", "_to_functional_tensor"}
)

_FUNCTIONS: Any = torch._C._VariableFunctions  # pyright: ignore[reportAttributeAccessIssue]

VARIABLE_FUNCTIONS: frozenset[Any] = frozenset(
    function
    for name, function in vars(type(_FUNCTIONS)).items()
    if not name.startswith("__") and name not in NAMED_NOT_OPERATORS
    for function in (getattr(_FUNCTIONS, name),)
)
"""What `torch.add` and its like are: functions generated from ATen's schemas."""


OPERATOR_TYPES = (torch._ops.OpOverload, torch._ops.OpOverloadPacket, torch.jit.ScriptFunction)
"""Types of callables that are operators, each of them."""


def is_tensor_operator(function: Any) -> bool:
    """Whether a call of `function` becomes a node of the graph."""
    kind = type(function)
    if kind is types.BuiltinFunctionType:
        return function in VARIABLE_FUNCTIONS or function.__module__ in OPERATOR_MODULES
    if kind in (types.MethodDescriptorType, types.WrapperDescriptorType):
        return function.__objclass__ is torch._C.TensorBase and function.__name__ not in NOT_OPERATORS
    return kind in OPERATOR_TYPES


def is_marked_operator(function: Any) -> bool:
    """Whether torch.compiler.allow_in_graph was told to take a Python function for an operator."""
    rules = sys.modules.get("torch._dynamo.trace_rules")  # half of it, while another thread imports it
    return id(function) in getattr(rules, "_allowed_callable_ids", ())


# Refusals --------------------------------------------------------------------------------------------

REFUSED: dict[Any, Reason] = {
    print: PRINTING,
    input: INPUT_OUTPUT,
    open: INPUT_OUTPUT,
    exec: FRAME_INSPECTION,
    eval: FRAME_INSPECTION,
    compile: FRAME_INSPECTION,
    locals: FRAME_INSPECTION,
    globals: FRAME_INSPECTION,
    vars: FRAME_INSPECTION,
    dir: FRAME_INSPECTION,
    builtins.__import__: IMPORT_STATEMENT,
    torch.manual_seed: RANDOM_STATE,
    torch.seed: RANDOM_STATE,
    torch.get_rng_state: RANDOM_STATE,
    torch.set_rng_state: RANDOM_STATE,
    torch.initial_seed: RANDOM_STATE,
    torch.autograd.backward: BACKWARD,
    torch.autograd.grad: BACKWARD,
    torch.Tensor.backward: BACKWARD,
    torch.Tensor.register_hook: TENSOR_HOOK,
    torch.compile: FUNCTION_TRANSFORM,
    torch.vmap: FUNCTION_TRANSFORM,
}

REFUSED_MODULES: dict[str, Reason] = {
    "logging": PRINTING,
    "warnings": WARNING,
    "_warnings": WARNING,
    "time": CLOCK,
    "random": PYTHON_RANDOM,
    "_random": PYTHON_RANDOM,
    "secrets": PYTHON_RANDOM,
    "uuid": PYTHON_RANDOM,
    "threading": WAITING,
    "_thread": WAITING,
    "queue": WAITING,
    "multiprocessing": WAITING,
    "concurrent": WAITING,
    "asyncio": WAITING,
    "subprocess": INPUT_OUTPUT,
    "posix": INPUT_OUTPUT,
    "io": INPUT_OUTPUT,
    "_io": INPUT_OUTPUT,
    "pathlib": INPUT_OUTPUT,
    "shutil": INPUT_OUTPUT,
    "tempfile": INPUT_OUTPUT,
    "socket": INPUT_OUTPUT,
    "pickle": INPUT_OUTPUT,
    "json": SKIPPED_FUNCTION,
    "importlib": IMPORT_STATEMENT,
    "inspect": FRAME_INSPECTION,
    "traceback": FRAME_INSPECTION,
    "linecache": FRAME_INSPECTION,
    "ast": FRAME_INSPECTION,
    "unittest": SKIPPED_FUNCTION,
    "numpy": SKIPPED_FUNCTION,
    "torch._dynamo": FUNCTION_TRANSFORM,
    "torch._functorch": FUNCTION_TRANSFORM,
    "torch._inductor": FUNCTION_TRANSFORM,
    "torch.fx": FUNCTION_TRANSFORM,
    "torch.jit": FUNCTION_TRANSFORM,
    "torch.func": FUNCTION_TRANSFORM,
    "torch.export": FUNCTION_TRANSFORM,
    "torch.autograd.function": AUTOGRAD_FUNCTION,
    "torch.autograd.graph": BACKWARD,
    "torch.storage": TENSOR_STORAGE,
    "torch.serialization": INPUT_OUTPUT,
    "torch.multiprocessing": WAITING,
    "torch.distributed": SKIPPED_FUNCTION,
    "torch.utils.data": SKIPPED_FUNCTION,
    "torch.utils.checkpoint": SKIPPED_FUNCTION,
    "torch.profiler": CLOCK,
    "torch.testing": SKIPPED_FUNCTION,
    "torch.random": RANDOM_STATE,
    "torch.masked": SKIPPED_FUNCTION,
    "torch.nested": SKIPPED_FUNCTION,
    "torch.optim": SKIPPED_FUNCTION,
    "torch.package": SKIPPED_FUNCTION,
}
"""Modules (with all below them) whose functions are left to run natively."""

CONSTANT_MARK = "_dynamo_marked_constant"
"""Attribute by which torch.compiler.assume_constant_result marks a function."""

DISABLE_MARKS = ("_bytegraph_disabled", "_torchdynamo_disable")
"""Attributes by which our `disable` and torch's mark a function."""

FOLLOWED: frozenset[Any] = frozenset(
    function
    for cls in (inspect.Signature, inspect.BoundArguments)
    for function in vars(cls).values()
    if isinstance(function, types.FunctionType)
) | {
    *(inspect.isclass, inspect.isfunction, inspect.ismethod, inspect.isbuiltin, inspect.ismodule),
    *(inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect._has_code_flag),  # type: ignore[attr-defined]
    *(torch.func.functional_call, torch.nn.utils.stateless._functional_call),
    torch.jit._unwrap_optional,  # pyright: ignore[reportPrivateImportUsage]
    torch.distributed.is_available,
}
"""Functions of refused modules that are interpreted all the same."""

FOLLOWED_CLASSES: frozenset[type] = frozenset({inspect.BoundArguments})
"""Classes of refused modules that are instantiated all the same."""

Refusal = tuple[Reason, str]


def refusal(function: Any) -> Refusal | None:
    """Why a function is not followed; None when it may be."""
    name = f"{getattr(function, '__module__', None) or ''}.{getattr(function, '__qualname__', function)}".lstrip(".")
    if isinstance(function, Hashable) and function in REFUSED:
        return REFUSED[function], name
    if isinstance(function, types.FunctionType):
        for mark in DISABLE_MARKS:
            if function.__dict__.get(mark):
                return DISABLED, name
        if function in FOLLOWED:
            return None
    reason = _refused_module(getattr(function, "__module__", None) or "")
    return None if reason is None else (reason, name)


def class_refusal(cls: type) -> Refusal | None:
    """Why a class is not instantiated in the trace."""
    if cls in FOLLOWED_CLASSES:
        return None
    if issubclass(cls, torch.Tensor):
        return UNSUPPORTED_CALL, f"{cls.__module__}.{cls.__qualname__}"
    reason = _refused_module(cls.__module__)
    if reason is None or issubclass(cls, BaseException):
        return None
    return reason, f"{cls.__module__}.{cls.__qualname__}"


def _refused_module(module: str) -> Reason | None:
    while module:
        reason = REFUSED_MODULES.get(module)
        if reason is not None:
            return reason
        module = module.rpartition(".")[0]
    return None
