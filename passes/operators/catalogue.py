"""What is known of torch's operators by name: which stand-ins they may be run on, and what they read.

Every row was checked against the real operator on torch's own samples (tests/test_fake.py does it again).
An operator that is not named here is run on fake tensors.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import torch

from passes import python_operators
from passes.meta import CPU, TensorMeta
from passes.operators.modes import Modes
from passes.operators.outcome import Arguments, Keywords, Outcome, Same, Target, leaves
from passes.operators.stand_ins import BARE, META_DEVICE, REAL, StandIns

MASKS: Final = (torch.bool, torch.uint8)
PLAIN_LIMIT: Final = 1 << 18  # elements touched by a trial on real stand-ins: well under a millisecond
SMALL: Final = 1 / 8  # of those limits, for operators that may do more with each element
CONTRACTION_LIMIT: Final = 1 << 22  # multiplications, likewise


@dataclass(frozen=True, slots=True)
class Family:
    """Operators that are tried alike.

    `work` tells what a trial on real stand-ins costs as a fraction of what is affordable, None when it is
    not to be done (random numbers would be consumed, or data-less stand-ins are faster). Only a real trial refuses data
    of the program that makes no tensor. `bare` says that torch's meta kernels agree with the CPU's; `pure` that a call
    whose result is not used may be dropped.
    """

    work: Callable[[Sequence[TensorMeta], Arguments], float] | None
    bare: bool
    pure: bool
    factory: bool = False
    cast: bool = True  # whether autocast may change what the operator does


def elementwise_work(metas: Sequence[TensorMeta], args: Arguments) -> float:
    """Elements of all tensors, or of what they broadcast to if that is more."""
    rank = max((meta.rank for meta in metas), default=0)
    widest = [max((meta.shape[-i] for meta in metas if meta.rank >= i), default=1) for i in range(1, rank + 1)]
    spans = sum(element_span(meta) for meta in metas)
    return max(math.prod(widest), spans) / PLAIN_LIMIT


def contraction_work(metas: Sequence[TensorMeta], args: Arguments) -> float:
    """Multiplications of the first tensor with the others, roughly, and the elements to be made."""
    if not metas:
        return 0.0
    first, *others = metas
    widest = max((size for meta in others for size in meta.shape), default=1)
    return max(first.element_count * widest / CONTRACTION_LIMIT, sum(map(element_span, metas)) / PLAIN_LIMIT)


def index_work(metas: Sequence[TensorMeta], args: Arguments) -> float:
    """As elementwise_work; without end when a mask is among the indices, whose values decide the shape."""
    if any(meta.dtype in MASKS for meta in metas[1:]):
        return math.inf
    return max(contraction_work(metas, args), elementwise_work(metas, args))


def range_work(metas: Sequence[TensorMeta], args: Arguments) -> float:
    """Elements of `arange(*args)`, when the arguments are numbers."""
    if len(args) not in (1, 2, 3) or not all(type(number) in (int, float) for number in args):
        return math.inf
    start, end, step = (0, *args, 1) if len(args) == 1 else (*args, 1)[:3]
    return (end - start) / step / PLAIN_LIMIT if step else math.inf


def element_span(meta: TensorMeta) -> Any:
    """Elements from the beginning of the storage to the last one of the tensor."""
    strides = meta.stride or ()
    return 1 + meta.storage_offset + sum((size - 1) * stride for size, stride in zip(meta.shape, strides, strict=False))


FAMILIES: Final = {
    "view": Family(work=None, bare=True, pure=True, cast=False),
    "factory": Family(work=None, bare=True, pure=True, cast=False, factory=True),
    "range": Family(work=range_work, bare=True, pure=True, cast=False, factory=True),
    "data": Family(work=elementwise_work, bare=True, pure=True, cast=False, factory=True),
    "random factory": Family(work=None, bare=True, pure=False, cast=False, factory=True),
    "random": Family(work=None, bare=True, pure=False, cast=False),
    "index": Family(work=index_work, bare=True, pure=False, cast=False),
    "elementwise": Family(work=elementwise_work, bare=True, pure=True),
    "lists": Family(work=elementwise_work, bare=False, pure=True, cast=False),
    "conversion": Family(work=elementwise_work, bare=False, pure=True),
    "contraction": Family(work=contraction_work, bare=True, pure=True),
    "kernel": Family(work=contraction_work, bare=False, pure=False),
}
REPEATABLE: Final = tuple(
    FAMILIES[name] for name in ("view", "factory", "range", "data", "index", "elementwise", "conversion", "contraction")
)

NAMES: Final = {
    "view": """
        T mT H mH real imag data shape dtype ndim layout requires_grad is_leaf itemsize nbytes is_sparse is_quantized
        alias as_strided atleast_1d atleast_2d atleast_3d broadcast_to chunk conj contiguous clone detach detach_
        diagonal dim dsplit element_size expand expand_as flatten hsplit is_complex is_conj is_contiguous
        is_floating_point is_inference is_neg is_same_size is_signed movedim moveaxis narrow ndimension nelement
        numel permute positive ravel requires_grad_ reshape reshape_as resolve_conj resolve_neg select size split
        split_with_sizes squeeze squeeze_ storage_offset stride swapaxes swapdims t t_ tensor_split transpose
        transpose_ unbind unflatten unfold unsqueeze unsqueeze_ view view_as view_as_real vsplit
        new_zeros new_ones new_empty new_full new_empty_strided
        zero_ fill_ repeat tile meshgrid broadcast_tensors adjoint __len__ result_type can_cast
        """,
    "factory": """
        empty empty_permuted empty_strided eye full linspace logspace ones range scalar_tensor zeros
        bartlett_window blackman_window hamming_window hann_window kaiser_window tril_indices triu_indices
        """,
    "range": "arange",
    "data": "tensor new_tensor",
    "random factory": "rand randn randint randperm",
    "random": """
        bernoulli bernoulli_ dropout dropout_ feature_dropout feature_dropout_ alpha_dropout alpha_dropout_
        feature_alpha_dropout feature_alpha_dropout_ cauchy_ exponential_ geometric_ log_normal_ normal_ uniform_
        rand_like randn_like randint_like rrelu rrelu_
        """,
    "index": """
        __getitem__ getitem __setitem__ setitem embedding gather index_select index_add index_add_ index_copy
        index_copy_ index_fill index_fill_ index_put index_put_ masked_scatter masked_scatter_ put put_ scatter
        scatter_ scatter_add scatter_add_ scatter_reduce scatter_reduce_ select_scatter slice_scatter
        diagonal_scatter take take_along_dim
        """,
    "lists": """
        _foreach_abs _foreach_abs_ _foreach_add _foreach_add_ _foreach_addcdiv _foreach_addcdiv_ _foreach_addcmul
        _foreach_addcmul_ _foreach_ceil _foreach_ceil_ _foreach_clamp_max _foreach_clamp_max_ _foreach_clamp_min
        _foreach_clamp_min_ _foreach_copy_ _foreach_div _foreach_div_ _foreach_exp _foreach_exp_ _foreach_floor
        _foreach_floor_ _foreach_lerp _foreach_lerp_ _foreach_log _foreach_log_ _foreach_max _foreach_maximum
        _foreach_maximum_ _foreach_minimum _foreach_minimum_ _foreach_mul _foreach_mul_ _foreach_neg _foreach_neg_
        _foreach_norm _foreach_pow _foreach_pow_ _foreach_reciprocal _foreach_reciprocal_ _foreach_round
        _foreach_round_ _foreach_rsqrt _foreach_rsqrt_ _foreach_sigmoid _foreach_sigmoid_ _foreach_sign _foreach_sign_
        _foreach_sqrt _foreach_sqrt_ _foreach_sub _foreach_sub_ _foreach_tanh _foreach_tanh_ _foreach_zero_
        """,
    "elementwise": """
        __abs__ __add__ __and__ __div__ __eq__ __floordiv__ __ge__ __gt__ __iadd__ __iand__ __idiv__ __ifloordiv__
        __imul__ __invert__ __ior__ __ipow__ __isub__ __itruediv__ __ixor__ __le__ __lshift__ __lt__ __mod__ __mul__
        __ne__ __neg__ __or__ __pos__ __pow__ __radd__ __rand__ __rdiv__ __rfloordiv__ __rlshift__ __rmod__ __rmul__
        __ror__ __rpow__ __rrshift__ __rshift__ __rsub__ __rtruediv__ __rxor__ __sub__ __truediv__ __xor__
        abs add and_ eq floordiv ge gt iadd iand ifloordiv ilshift imod imul invert ior ipow irshift isub
        itruediv ixor le lshift lt mod mul ne neg not or_ pos pow rshift sub truediv xor
        abs_ absolute acos acosh add_ addcdiv addcdiv_ addcmul addcmul_ all amax amin aminmax angle any arccos arcsin
        arctan arctan2 argmax argmin argsort asin asinh atan atan2 atanh binary_cross_entropy
        binary_cross_entropy_with_logits bitwise_and bitwise_and_ bitwise_left_shift bitwise_not bitwise_or
        bitwise_or_ bitwise_right_shift bitwise_xor cat ceil ceil_ celu celu_ clamp clamp_ clamp_max clamp_max_
        clamp_min clamp_min_ clip clip_ column_stack complex concat concatenate constant_pad_nd copy_ copysign
        cos cos_ cosh cosine_embedding_loss cosine_similarity count_nonzero cross_entropy_loss cummax cummin cumprod
        cumsum deg2rad diag diag_embed diff digamma div div_ divide dstack elu elu_ eq_ erf erf_ erfc erfinv exp
        exp2 exp_ expm1 flip fliplr flipud float_power floor floor_ floor_divide floor_divide_ fmax fmin fmod fmod_
        frac ge_ gelu glu greater greater_equal group_norm gt_ hardshrink hardsigmoid hardsigmoid_ hardswish hardswish_
        hardtanh hardtanh_ heaviside hinge_embedding_loss hstack huber_loss hypot i0 isclose isfinite isin isinf
        isnan isneginf isposinf isreal kl_div kthvalue l1_loss layer_norm ldexp le_ leaky_relu leaky_relu_ lerp
        lerp_ less less_equal lgamma log log10 log1p log2 log_ log_sigmoid log_softmax logaddexp logaddexp2
        logcumsumexp logical_and logical_not logical_or logical_xor logit logsumexp lt_ margin_ranking_loss
        masked_fill masked_fill_ max maximum mean median min minimum mish mish_ mse_loss msort mul mul_ multiply
        nan_to_num nan_to_num_ nanmean nanmedian nansum ne_ neg_ negative nll_loss nll_loss2d nll_loss_nd norm
        not_equal pairwise_distance pixel_shuffle pixel_unshuffle poisson_nll_loss polar pow_ prelu prod rad2deg
        reciprocal reciprocal_ relu relu6 relu6_ relu_ remainder remainder_ rms_norm roll rot90 round round_ rsqrt
        rsqrt_ rsub selu selu_ sgn sigmoid sigmoid_ sign sign_ signbit silu silu_ sin sin_ sinc sinh smooth_l1_loss
        soft_margin_loss softmax softplus softshrink sort sqrt sqrt_ square square_ stack std std_mean sub sub_
        subtract sum sum_to_size tan tanh tanh_ threshold threshold_ topk trace trapezoid tril tril_
        triplet_margin_loss triu triu_ true_divide trunc trunc_ var var_mean vector_norm view_as_complex vstack where
        xlogy
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
        avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d
        zeros_like ones_like empty_like full_like
        absolute_ acos_ acosh_ asin_ asinh_ atan_ atan2_ atanh_ bitwise_left_shift_ bitwise_not_ bitwise_right_shift_
        bitwise_xor_ copysign_ cosh_ cumprod_ cumsum_ deg2rad_ digamma_ erfc_ erfinv_ exp2_ expm1_ float_power_ frac_
        heaviside_ hypot_ i0_ ldexp_ lgamma_ log10_ log1p_ log2_ logical_and_ logical_not_ logical_or_ logical_xor_
        logit_ rad2deg_ sgn_ sinc_ sinh_ tan_ true_divide_ xlogy_
        """,
    "conversion": "bfloat16 bool byte cdouble cfloat char cpu double float half int long short to type type_as",
    "contraction": """
        __matmul__ __rmatmul__ addbmm addbmm_ addmm addmm_ addmv addmv_ addr baddbmm baddbmm_ bmm chain_matmul dot
        einsum ger inner linear matmul mm mv outer tensordot vdot vecdot imatmul
        """,
    "kernel": """
        conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d batch_norm instance_norm
        native_batch_norm native_group_norm native_layer_norm scaled_dot_product_attention upsample_nearest1d
        upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_bicubic2d upsample_linear1d
        upsample_trilinear3d grid_sampler_2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa cdist embedding_bag
        rnn_tanh rnn_relu pad reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d
        max_unpool1d max_unpool2d max_unpool3d pinv pinverse
        """,
}

# Answers that hold for the tensor and not for what stands in for it.
DEVICE_FACTS: Final[dict[str, Callable[[TensorMeta], Any]]] = {
    "device": lambda meta: meta.device,
    "get_device": lambda meta: -1 if (index := cast("int | None", meta.device.index)) is None else index,
    "is_cpu": lambda meta: meta.device.type == "cpu",
    "is_cuda": lambda meta: meta.device.type == "cuda",
    "is_meta": lambda meta: meta.device.type == "meta",
    "is_mps": lambda meta: meta.device.type == "mps",
    "is_xpu": lambda meta: meta.device.type == "xpu",
}


# Operators whose result's shape, or whose Python result, depends on the values in a tensor.
READS_VALUES: Final = """
    __bool__ __complex__ __contains__ __float__ __index__ __int__ allclose argwhere contains equal index is_nonzero
    item masked_select nonzero not_ tolist truth unique unique_consecutive _unique2 unique_dim
    """

# Operators that take any float as a factor, summand, bound, weight or filling: what they give has the same shape and
# type for each, and none is refused.
NUMBER_TAKERS: Final = """
    __add__ __eq__ __floordiv__ __ge__ __gt__ __iadd__ __ifloordiv__ __imul__ __ipow__ __isub__ __itruediv__ __le__
    __lt__ __mod__ __mul__ __ne__ __pow__ __radd__ __rfloordiv__ __rmod__ __rmul__ __rpow__ __rsub__ __rtruediv__
    __setitem__ __sub__ __truediv__
    add eq floordiv ge gt iadd ifloordiv imod imul ipow isub itruediv le lt mod mul ne pow setitem sub truediv
    add_ addcdiv addcdiv_ addcmul addcmul_ clamp clamp_ clamp_max clamp_max_ clamp_min clamp_min_ clip clip_ div div_
    divide elu eq_ float_power floor_divide fmod ge_ greater greater_equal gt_ layer_norm le_ leaky_relu lerp lerp_ less
    less_equal lt_ masked_fill masked_fill_ mul mul_ multiply ne_ nan_to_num not_equal pow_ remainder remainder_
    rms_norm rsub softplus sub sub_ subtract threshold true_divide true_divide_ where xlogy
    addbmm addbmm_ addmm addmm_ addmv addmv_ addr baddbmm baddbmm_
    fill_ full full_like new_full scalar_tensor tensor
    _foreach_add _foreach_add_ _foreach_addcdiv _foreach_addcdiv_ _foreach_addcmul _foreach_addcmul_ _foreach_div
    _foreach_div_ _foreach_lerp _foreach_lerp_ _foreach_mul _foreach_mul_ _foreach_sub _foreach_sub_
    """
# Operators that take any float above zero and up to one, likewise: with zero, some give what they were given.
PROBABILITY_TAKERS: Final = """
    alpha_dropout alpha_dropout_ bernoulli bernoulli_ dropout dropout_ feature_alpha_dropout feature_alpha_dropout_
    feature_dropout feature_dropout_
    """
# Operators of which each number is a size, a position or a dimension, so that one of numpy is as good as one of Python.
SIZE_TAKERS: Final = """
    as_strided expand movedim narrow new_empty new_ones new_zeros permute repeat reshape roll select swapaxes tile
    transpose unflatten unfold unsqueeze view
    """

# In-place operators that may change the shape of what they write to; the others raise rather than do it.
RESHAPING: Final = """
    addbmm_ as_strided_ resize_ resize_as_ set_ squeeze_ swapaxes_ swapdims_ t_ transpose_ unsqueeze_
    """

# Operators on (input, weight, bias, mean, variance, training) that write to the running statistics, unseen by
# version counters.
STATISTICIANS: Final = frozenset(
    (torch.batch_norm, torch.instance_norm, torch.native_batch_norm, "aten::native_batch_norm", "aten::batch_norm")
)

# Where operators are found by name. Dictionaries: asking a module for what it lacks is slow.
NAMESPACES: Final = (
    vars(torch),
    vars(torch._C.TensorBase) | vars(torch.Tensor),
    vars(torch._C._nn),  # type: ignore[attr-defined]
    vars(torch.nn.functional),
    {"einsum": torch._C._VariableFunctions.einsum},  # type: ignore[attr-defined]  # torch's own is a Python function
    vars(torch.linalg),
    vars(torch.special),
    vars(operator),
)
BUILTINS: Final = {len: "view", abs: "elementwise", pow: "elementwise", round: "elementwise"}
CONVERSIONS: Final = (bool, int, float, complex)
IN_PLACE_OPERATORS: Final = {"setitem", *(row.in_place_method.strip("_") for row in python_operators.BINARY)}


def _targets(names: str) -> Iterator[Target]:
    """Every target that means one of the operators `names`."""
    for name in names.split():
        yield "method", name
        yield "attribute", name
        yield f"aten::{name}"
        for target in (owner.get(name) for owner in NAMESPACES):
            if callable(target):
                yield target


FAMILY_OF: Final[dict[Target, Family]] = {
    **{target: FAMILIES[family] for family, names in NAMES.items() for target in _targets(names)},
    **{function: FAMILIES[family] for function, family in BUILTINS.items()},
}
READERS: Final = frozenset((*_targets(READS_VALUES), *CONVERSIONS))
LIBRARY_TARGETS: Final = (torch._ops.OpOverload, torch._ops.OpOverloadPacket)
TAKERS: Final = frozenset(_targets(NUMBER_TAKERS))
TAKERS_OF_PROBABILITIES: Final = frozenset(_targets(PROBABILITY_TAKERS))
TAKERS_OF_SIZES: Final = frozenset(_targets(SIZE_TAKERS))
BY_INDICES: Final = "aten::index"  # which reads values where a mask is among the indices
CHOICES: Final = frozenset(_targets("where"))  # which read values when called with a condition alone


def family_of(target: Target, args: Arguments) -> Family | None:
    """The family of the operator that `target` means; None when nothing is known of it."""
    return FAMILY_OF.get(_key(target, args))


def device_fact(target: Target, args: Arguments) -> Callable[[TensorMeta], Any] | None:
    """How to answer a question about the device of the first argument; None for other calls."""
    key = _key(target, args)
    if type(key) is tuple and len(args) == (1 if key[0] == "method" else 2) and type(args[0]) is TensorMeta:
        return DEVICE_FACTS.get(key[1])
    return None


def may_tell_by_name(target: Target) -> bool:
    """Whether `device_fact`, `reads_values` or `is_unknown_attribute` have anything to say of some calls."""
    if target is getattr or (type(target) is tuple and target[1] in DEVICE_FACTS):
        return True
    key = _key(target, ())
    return key in READERS or key in CHOICES


def reads_values(target: Target, args: Arguments, kwargs: Keywords) -> bool:
    """Whether the call gives something that depends on the values in a tensor."""
    key = _key(target, args)
    if key == BY_INDICES:
        return any(meta.dtype in MASKS for meta in leaves((args[1:], kwargs)) if type(meta) is TensorMeta)
    return key in READERS or (key in CHOICES and len(args) + len(kwargs) == 1)


def takes_any_number(target: Target, args: Arguments) -> bool:
    """Whether what the call gives, values apart, is the same for each float in the place of one of its floats."""
    return _key(target, args) in TAKERS


def takes_any_probability(target: Target, args: Arguments) -> bool:
    """Whether that is so for each float above zero and up to one."""
    return _key(target, args) in TAKERS_OF_PROBABILITIES


def takes_sizes(target: Target, args: Arguments) -> bool:
    """Whether each number that the call is given is a size, a position or a dimension."""
    return _key(target, args) in TAKERS_OF_SIZES


def written_unseen(target: Target, args: Arguments, kwargs: Keywords, outcome: Outcome) -> set[int]:
    """Tensor arguments that the call writes to, as far as its name or its schema says so."""
    if isinstance(target, LIBRARY_TARGETS):
        return _declared_written(target, args, kwargs)
    if _key(target, args) in STATISTICIANS and len(args) > 5 and args[5]:
        before = len([leaf for leaf in leaves(args[:3]) if type(leaf) is TensorMeta])
        return {before + index for index, statistic in enumerate(args[3:5]) if type(statistic) is TensorMeta}
    if not _is_in_place(name_of(target)):
        return set()
    returned = {leaf.index for leaf in outcome.tensors if isinstance(leaf, Same)}
    return returned or {index for index, leaf in enumerate(leaves(args[:1])) if type(leaf) is TensorMeta}


def _declared_written(target: Any, args: Arguments, kwargs: Keywords) -> set[int]:
    """Those that a schema of the operator marks: kernels of libraries may write without torch's counting it."""
    overloads = (
        [target] if isinstance(target, torch._ops.OpOverload) else [getattr(target, n) for n in target.overloads()]
    )
    marked: set[int | str] = set()
    for overload in overloads:
        for index, argument in enumerate(overload._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                marked |= {argument.name} if argument.kwarg_only else {argument.name, index}
    written: set[int] = set()
    count = 0
    for place, value in (*enumerate(args), *kwargs):
        tensors = sum(type(leaf) is TensorMeta for leaf in leaves((value,)))
        written |= set(range(count, count + tensors)) if place in marked else set()
        count += tensors
    return written


def reshapes(target: Target) -> bool:
    """Whether the call may change the shape of what it writes to."""
    return not _is_in_place(name_of(target)) or name_of(target) in RESHAPING.split()


def is_unknown_attribute(target: Target, args: Arguments) -> bool:
    """Whether an attribute is asked for that a stand-in may not have as the tensor has it (`grad_fn`)."""
    return target is getattr and _key(target, args) not in FAMILY_OF


def is_removable(target: Target, args: Arguments, kwargs: Keywords) -> bool:
    """Whether a call whose result nobody uses may be left out: it writes nothing, draws nothing, reads no index."""
    family = family_of(target, args)
    if family is None or not family.pure:
        return False
    return not _is_in_place(name_of(target)) and all(name != "out" for name, _ in kwargs)


def is_repeatable(target: Target, args: Arguments, kwargs: Keywords) -> bool:
    """Whether a call may be made twice and nobody can tell: it writes nothing and draws nothing."""
    family = family_of(target, args)
    if family is None or family not in REPEATABLE:
        return False
    return not _is_in_place(name_of(target)) and all(name != "out" for name, _ in kwargs)


def trials(target: Target, args: Arguments, kwargs: Keywords, modes: Modes) -> Iterator[tuple[StandIns, Keywords]]:
    """The stand-ins on which the call may be tried, with the keywords for them: the best first.

    Ends without any for operators that only fake tensors answer for.
    """
    family = family_of(target, args)
    metas = [leaf for leaf in leaves((args, kwargs)) if type(leaf) is TensorMeta]
    if family is None or any(meta.device != CPU or meta.stride is None for meta in metas):
        return
    if family.work is not None and not any(map(_may_be_a_number, metas[1:])) and family.work(metas, args) <= 1:
        yield REAL, kwargs
    if family.bare and not (family.cast and modes.autocast):
        moved = _on_meta_device(kwargs, family.factory)
        if moved is not None:
            yield BARE, moved


def is_small_enough(target: Target, args: Arguments, kwargs: Keywords) -> bool:
    """Whether a call that no family tells the work of may be run on real stand-ins: on few elements, none an index."""
    metas = [leaf for leaf in leaves((args, kwargs)) if type(leaf) is TensorMeta]
    if not metas or any(meta.device != CPU or meta.stride is None for meta in metas):
        return False
    if family_of(target, args) is not None or any(map(_may_be_a_number, metas[1:])):
        return False
    return contraction_work(metas, args) <= SMALL


def _key(target: Target, args: Arguments) -> Target:
    """What the tables know `target` by."""
    if target is getattr:
        return "attribute", args[1]
    if isinstance(target, torch._ops.OpOverload):
        target = target.overloadpacket
    if isinstance(target, torch._ops.OpOverloadPacket):
        return target._qualified_op_name
    return target


def name_of(target: Target) -> str:
    """The name of the function or method behind a target; "" where it has none."""
    return target[1] if type(target) is tuple else getattr(target, "__name__", "")


def operator_name(target: Target) -> str:
    """The name of torch's operator that a target means, whichever overload: `add` for `torch.ops.aten.add.Tensor`."""
    name = target if type(target) is str else name_of(target)
    return name.removeprefix("aten::").partition(".")[0]


@lru_cache(maxsize=1 << 12)
def _is_in_place(name: str) -> bool:
    if name.strip("_") in IN_PLACE_OPERATORS:
        return True
    return name.endswith("_") and not name.endswith("__") and name not in ("and_", "or_", "not_")


def _may_be_a_number(meta: TensorMeta) -> bool:
    """Whether an operator might take the tensor for an int: then it would read a stand-in's value."""
    return not meta.shape and not meta.dtype.is_floating_point and not meta.dtype.is_complex


def _on_meta_device(kwargs: Keywords, factory: bool) -> Keywords | None:
    """`kwargs` for tensors made on the meta device instead of the CPU; None when they name another one."""
    named = dict(kwargs)
    if "device" not in named:
        return (*kwargs, ("device", META_DEVICE)) if factory else kwargs
    if named["device"] not in (None, CPU.type, CPU):
        return None
    if named["device"] is None and not factory:
        return kwargs
    return tuple((name, META_DEVICE if name == "device" else value) for name, value in kwargs)
