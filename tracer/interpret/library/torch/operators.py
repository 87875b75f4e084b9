"""Tensor operators: which functions of torch, and which methods of tensors, become nodes of the graph."""

from __future__ import annotations

import types
from typing import Any, Final

import torch

from tracer.interpret.policy import operator_modules, operators

operator_modules("torch._C._nn", "torch._C._fft", "torch._C._linalg", "torch._C._special")
operator_modules("torch._C._sparse", "torch._C._nested")

NOT_FUNCTIONS: Final = frozenset(
    {"promote_types", "can_cast", "get_device", "from_file", "_sync", "_to_functional_tensor"}
    | {"_assert_async"}  # a lookaside: see functions.py
    | {"tensor", "as_tensor", "from_numpy"}  # lookasides: see numpy.py
)
"""Functions listed beside `torch.add` whose results do not follow from metas."""

NOT_METHODS: Final = frozenset(
    {"backward", "register_hook", "register_post_accumulate_grad_hook", "retain_grad", "data_ptr", "storage", "set_"}
    | {"untyped_storage", "_typed_storage", "share_memory_", "numpy", "__array__", "resize_", "resize_as_"}
    | {"_make_subclass", "_make_wrapper_subclass", "as_subclass", "__torch_function__", "__reduce_ex__"}
    | {"_set_grad_enabled", "pin_memory", "is_pinned", "record_stream", "_is_view", "is_set_to"}
    | {"new", "storage_offset"}  # lookasides: see tensor.py
)
"""Methods of tensors whose results do not follow from metas."""

METHOD_TYPES: Final = (types.MethodDescriptorType, types.WrapperDescriptorType)

_FUNCTIONS: Any = torch._C._VariableFunctions  # pyright: ignore[reportAttributeAccessIssue]

# `torch.add` and its like: functions generated from the schemas of ATen.
operators(
    *{
        getattr(_FUNCTIONS, name)
        for name in vars(type(_FUNCTIONS))
        if not name.startswith("__") and name not in NOT_FUNCTIONS
    }
)
operators(
    *{
        method
        for method in vars(torch._C.TensorBase).values()
        if isinstance(method, METHOD_TYPES) and method.__name__ not in NOT_METHODS
    }
)
