"""Contractions: what einsum gives, told from its equation, against the real operator; and rules that read equations."""

import random

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from passes.infer.trials import equations
from passes.infer.trials.inputs import metas_of, tensors_for
from passes.infer.trials.variant import CallVariant, argument_facts
from passes.infer.trials.variants import EQUATIONS, MUTATIONS, mutations_for
from passes.meta import TensorMeta, meta_of
from passes.operators.modes import Modes
from passes.operators.outcome import ListArg
from passes.record.calls import Call, Failure
from passes.rules.book import Rulebook, shipped_folder
from passes.rules.domain_check import check_of, inside_of
from passes.rules.language import Undefined
from passes.rules.primitives.contractions import contracted, keeps_all
from passes.rules.rule import Case, Domain, Output, Rule, always, from_json, reads, to_json
from tests.rulebooks import needs_book

DTYPES = (torch.float32, torch.float32, torch.float32, torch.int32, torch.complex64, torch.bool)
MATRIX = TensorMeta((2, 3), (3, 1))


def facts(tensor: torch.Tensor) -> tuple:
    return tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), tensor.dtype


@pytest.mark.parametrize("seed", range(20))
def test_any_equation_as_the_real_operator_has_it(seed):
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    known = 0
    for _ in range(100):
        one, mixed = draw.choice(DTYPES), draw.random() < 0.2
        like = [TensorMeta((), (), draw.choice(DTYPES) if mixed else one, is_conj=draw.random() < 0.1) for _ in "abc"]
        like = [each if each.dtype.is_complex else each.replace(is_conj=False) for each in like]
        equation, metas = equations.with_other_tensors(like, draw)
        if draw.random() < 0.3:
            equation = equations.with_another_output(equation, draw) or equation
        tensors = tensors_for(metas, list(range(len(metas))), generator)
        try:
            result = torch.einsum(equation, tensors)
        except RuntimeError:
            continue
        try:
            told = contracted(equation, metas)
        except Undefined as undefined:
            assert "two types" in str(undefined), (equation, metas)  # which works where sizes are 0 only
            continue
        known += 1
        assert tuple(told) == (*facts(result), result.is_conj(), result.is_neg()), (equation, metas)
        views = result.untyped_storage().data_ptr() == tensors[0].untyped_storage().data_ptr()
        assert not result.numel() or keeps_all(equation, metas) == views, (equation, metas)
    assert known > 50


@pytest.mark.parametrize(
    "equation, shapes, shape, stride",
    [
        ("ij,jk->ik", [(2, 3), (3, 4)], (2, 4), (4, 1)),
        ("ij,jk->ki", [(2, 3), (3, 4)], (4, 2), (2, 1)),  # the operands exchanged
        ("bij,bjk->ikb", [(5, 2, 3), (5, 3, 4)], (2, 4, 5), (4, 1, 8)),
        ("i,j->ji", [(2,), (3,)], (3, 2), (2, 1)),
        ("ii->i", [(3, 3)], (3,), (4,)),
        ("...ij->...ji", [(2, 3, 4)], (2, 4, 3), (12, 1, 4)),
        (" b i , i b ", [(2, 3), (3, 2)], (), ()),
        ("ba", [(2, 3)], (3, 2), (1, 3)),
    ],
)
def test_examples(equation, shapes, shape, stride):
    metas = [meta_of(torch.zeros(each)) for each in shapes]
    assert (
        contracted(equation, metas)[:2]
        == (shape, stride)
        == facts(torch.einsum(equation, *map(torch.zeros, shapes)))[:2]
    )


@pytest.mark.parametrize("equation", ["ij->iij", "ij->k", "i->i", "ij,jk->ik", "i1->i", "i..j->i", "......ij->ij", ""])
def test_equations_that_einsum_refuses_have_no_shape(equation):
    with pytest.raises(RuntimeError):
        torch.einsum(equation, torch.zeros(2, 3))
    with pytest.raises(Undefined):
        contracted(equation, [MATRIX])


def test_sizes_may_be_symbols():
    mode = FakeTensorMode(shape_env=ShapeEnv())
    context = StatelessSymbolicContext([DimDynamic.DYNAMIC, DimDynamic.STATIC])
    left = mode.from_tensor(torch.zeros(5, 3), symbolic_context=context)
    told = contracted("ij,jk->ki", [meta_of(left), meta_of(torch.zeros(3, 4))])
    assert told.shape == (4, left.shape[0]) and told.stride == (left.shape[0], 1)


def rule(*cases: Case) -> Rule:
    answer = always("contracted(equation, tensors).shape")
    domain = Domain(
        {"tensors": (2,)},
        {"tensors": ("f32",)},
        {"equation": ("str",), "tensors": ("list",)},
        {"equation": ("ij->ji",)},
    )
    output = Output(always("new"), (*cases, *answer), always("contiguous(shape)"), always("0"), always("float32"))
    return Rule("torch.einsum", "function", ("equation", "tensors"), always("tensor_0"), (output,), domain=domain)


def test_a_rule_that_reads_equations_holds_for_any():
    reading = rule()
    assert reads(reading, "equation") and not reads(reading, "tensors")
    assert inside_of(reading)("ij->i", ListArg((MATRIX,))) and check_of(reading, "equation")("ij->i")
    read_back = from_json(to_json(reading))
    assert not read_back.domain.choices and inside_of(read_back)("ij->i", ListArg((MATRIX,)))


def test_a_rule_that_compares_an_equation_holds_for_those_seen():
    comparing = rule(Case("equation == 'ij->ji'", "(3, 2)"))
    assert not reads(comparing, "equation")
    assert inside_of(comparing)("ij->ji", ListArg((MATRIX,))) and not inside_of(comparing)("ij->i", ListArg((MATRIX,)))


def test_equations_are_mutated_where_there_are_some():
    base = CallVariant({"equation": "ij,jk->ik", "tensors": ListArg((MATRIX, MATRIX)), "path": None}, (0, 1))
    call = Call("torch.einsum", "function", base.arguments, base.shares, Failure("", ""), "", "", 1)
    plain = Call("torch.stack", "function", {"tensors": base.arguments["tensors"]}, (0, 1), Failure("", ""), "", "", 1)
    assert (
        mutations_for(argument_facts([plain])) is MUTATIONS
        and EQUATIONS.items() <= mutations_for(argument_facts([call])).items()
    )
    draw = random.Random(0)
    for kind in EQUATIONS.values():
        made = [variant for _ in range(20) if (variant := kind(base, argument_facts([call]), draw)) is not None]
        assert len({variant.arguments["equation"] for variant in made}) > 3
        assert all(len(variant.shares) == len(metas_of(variant.arguments)) for variant in made)


LAYOUTS = {
    "transposed": lambda *shape: torch.zeros(shape[::-1]).permute(*range(len(shape))[::-1]),
    "expanded": lambda *shape: torch.zeros(1).expand(shape),
    "every second": lambda *shape: torch.zeros([2 * size for size in shape])[(slice(None, None, 2),) * len(shape)],
    "behind others": lambda *shape: torch.zeros([size + 1 for size in shape])[(slice(1, None),) * len(shape)],
}


@needs_book
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("bhij,bhjd->bihd", [(2, 3, 4, 6), (2, 3, 6, 5)]),
        ("ab->ba", [(3, 4)]),
        ("ab->a", [(3, 4)]),
        ("a,b->ab", [(3,), (4,)]),
    ],
)
def test_the_shipped_rule_answers_in_every_layout(equation, shapes, layout):
    tensors = tuple(layout(*shape) for shape in shapes)
    arguments = (equation, ListArg(map(meta_of, tensors)))
    told = Rulebook(shipped_folder()).answer(torch._VF.einsum, arguments, (), Modes())
    meta, real = told.result.meta, torch.einsum(equation, *tensors)
    assert facts(real) == (meta.shape, meta.stride, meta.storage_offset, meta.dtype)
