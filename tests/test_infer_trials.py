"""Trials: recorded calls made again from their metas, new inputs laid out as asked, crashes that cost one trial."""

import os
import random
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo  # imported by the first call under a mode: no single test is to pay for it

from passes.infer.trials.inputs import NotMaterialised, TooLarge, extent, materialise, metas_of
from passes.infer.trials.observe import is_made, observe
from passes.infer.trials.strides import LAYOUTS, in_layout, reshaped
from passes.infer.trials.texts import arguments_from, meta_text, texts_of
from passes.infer.trials.variant import CallVariant, argument_facts
from passes.infer.trials.variants import MUTATIONS, variants
from passes.infer.worker import Crash, Laboratory, blamed
from passes.meta import TensorMeta, meta_of
from passes.operators.naming import named_arguments, operator_name
from passes.operators.outcome import DictArg, ListArg, New, Same, SliceArg, Wrapped
from passes.operators.resolve import UnknownOperator, positional, resolve
from passes.record.calls import Call, Failure
from passes.record.values import Opaque, tensor_text
from tests.recording import recorded

F32 = TensorMeta((2, 3), (3, 1))
MATRIX = TensorMeta((3, 3), (1, 3))
SEED = 0


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


def program() -> None:
    """Calls of many kinds: views, in place, lists, numbers for tensors, keywords, aliases, errors, None."""
    x, y = torch.rand(4, 6), torch.rand(4, 6, requires_grad=True)
    image = torch.rand(2, 3, 8, 8).to(memory_format=torch.channels_last)
    weight = torch.rand(5, 3, 3, 3, requires_grad=True)
    torch.add(x, y, alpha=2)
    x + 1
    2**y
    x.view(2, -1), x.view(3, 8), x.t().reshape(24), x[:, ::2], x[1]
    x.clone().add_(x[0])
    torch.cat([x, y], dim=1), torch.stack((x, x))
    torch.conv2d(image, weight, padding=1).sum(dim=(1, 2), keepdim=True).mean().backward()
    torch.nn.functional.batch_norm(image, torch.zeros(3), torch.ones(3), training=True)
    torch.nn.functional.layer_norm(x, (6,))
    torch.ones(2, 3), torch.arange(1, 7), torch.full((2,), 3), torch.zeros_like(x, dtype=torch.int64)
    x.max(), x.max(1), x.sort(dim=0), x.split(2), x.unbind(), x.T, x.to(torch.float16)
    torch.where(x > 0.5, x, 0.0)
    torch.embedding(torch.rand(9, 4), torch.tensor([[0, 1], [1, 1]]))
    torch.linalg.cholesky(torch.eye(3)), torch.linalg.inv(torch.eye(3))
    x.mul(x), torch.complex(x, x).conj() * 2, x.clamp(None, 1), torch.einsum("ij,kj->ik", x, x)
    y.mul(2).add_(1)
    for wrong in (lambda: x @ x, lambda: x.view(5), lambda: torch.cat([])):
        with pytest.raises((RuntimeError, ValueError)):
            wrong()


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    return recorded(tmp_path_factory.mktemp("calls"), program, levels=("aten", "function"))


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    with Laboratory() as opened:
        yield opened


def facts(call: Call) -> Any:
    """What must be the same when a call is made again."""
    outcome = call.outcome.error if isinstance(call.outcome, Failure) else call.outcome
    return call.op, call.level, dict(call.arguments), call.shares, outcome


def test_recorded_calls_are_reproduced(calls):
    for call in calls:
        assert facts(observe(call.op, call.level, call.arguments, call.shares)) == facts(call)
    assert {call.level for call in calls} == {"aten", "function"} and len(calls) > 120


def test_the_laboratory_returns_the_calls_that_observe_returns(calls, laboratory):
    for op, level in sorted({(call.op, call.level) for call in calls}):
        own = [CallVariant(call.arguments, call.shares) for call in calls if (call.op, call.level) == (op, level)]
        assert laboratory.observe_all(op, level, own) == [observe(op, level, *variant) for variant in own]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "aten::sum.dim_IntList",
            "aten::add.Tensor",
            "aten::relu",
            "torch.add",
            "torch.Tensor.add_",
            "torch.Tensor.T",
        ),
        "torch_nn::_linear_cross_entropy_batch_chunked",
        *("torch._C._nn.l1_loss", "torch.Tensor.__getitem__", "torch.atleast_1d", "torch.linalg.inv"),
    ],
)
def test_resolve_is_the_inverse_of_operator_name(name):
    level = "aten" if "::" in name else "function"
    assert operator_name(resolve(name, level)) == name


@pytest.mark.parametrize(
    "name", ["aten::nothing", "aten::add.nothing", "nolib::op", "torch.nothing", "nothing", "os.abort"]
)
def test_unknown_operators_are_named(name):
    with pytest.raises(UnknownOperator, match=name.replace(".", r"\.")):
        resolve(name, "aten" if "::" in name else "function")


@pytest.mark.parametrize(
    ("target", "args", "kwargs"),
    [
        (torch.ops.aten.sum.dim_IntList, (1, [0]), {"dtype": torch.float64}),
        (torch.add, (1, 2), {"alpha": 3}),
        (torch.Tensor.view, (1, 2, 3), {}),
        (torch.ones, (2, 3), {"dtype": torch.int64}),
        (torch.Tensor.__rpow__, (1, 2), {}),
        (torch.Tensor.sum, (1,), {"axis": 0}),
    ],
)
def test_positional_is_the_inverse_of_named_arguments(target, args, kwargs):
    args = (torch.ones(2, 3), *args[1:]) if target is not torch.ones else args
    named = named_arguments(target, args, kwargs)
    again = named_arguments(target, *positional(target, named))
    assert list(again) == list(named)
    assert all(left is right or left == right for left, right in zip(again.values(), named.values(), strict=True))


@pytest.mark.parametrize(
    "meta",
    [
        F32,
        MATRIX,
        TensorMeta((), (), torch.float64),
        TensorMeta((3, 1), (7, 1), torch.int64, storage_offset=3),
        TensorMeta((0, 4), (5, 0), torch.bool, storage_offset=2),
        TensorMeta((2, 3), (0, 0), torch.bfloat16),
        TensorMeta((3, 3), (1, 1), torch.uint8),
        TensorMeta((2, 2), (4, 2), torch.complex64, is_conj=True),
        TensorMeta((2, 2), (2, 1), is_neg=True, requires_grad=True),
        TensorMeta((4,), (1,), torch.float8_e4m3fn),
    ],
)
def test_tensors_have_exactly_the_metas_asked_for(meta):
    made = materialise({"x": meta}, (0,), generator())["x"]
    assert meta_of(made) is meta
    assert not made._is_view()
    computed = materialise({"x": meta}, (0,), generator(), as_leaves=False)["x"]
    assert meta_of(computed) is meta.replace(is_leaf=not meta.requires_grad)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    draw = random.Random(SEED)
    shapes = [(), (3,), (2, 3), (3, 1), (0, 2), (2, 3, 4), (2, 1, 5, 4), (2, 3, 1, 4, 1)]
    made = [meta for shape in shapes if (meta := in_layout(reshaped(F32, shape), layout, draw)) is not None]
    assert made
    for meta in made:
        assert meta_of(materialise({"x": meta}, (0,), generator())["x"]) is meta


def test_a_new_shape_keeps_the_kind_of_layout():
    assert reshaped(MATRIX, (4, 5)).stride == (1, 4)
    assert reshaped(TensorMeta((2, 3), (12, 2)), (4, 5)).stride == (10, 2)
    assert reshaped(TensorMeta((2, 3), (0, 1)), (4, 5)).stride == (0, 1)
    assert reshaped(MATRIX, (2, 3, 4)).stride == (12, 4, 1)


def test_shared_memory():
    named = {"a": F32, "b": F32, "c": TensorMeta((2,), (1,), torch.int16), "d": F32}
    made = materialise(named, (0, 0, 0, 3), generator())
    assert made["a"] is made["b"] and made["a"] is not made["d"]
    assert made["c"].untyped_storage().data_ptr() == made["a"].untyped_storage().data_ptr()
    made["a"].add_(1)
    assert made["c"]._version == made["a"]._version and made["d"]._version == 0


def test_values_are_harmless_and_repeatable():
    named = {
        "x": TensorMeta((5, 8), (8, 1)),
        "index": TensorMeta((9,), (1,), torch.int64),
        "items": ListArg((F32, DictArg((("k", F32),)), SliceArg(None, 2, None), Opaque("torch._C.Generator"))),
    }
    made = materialise(named, range(4), generator())
    assert ((made["x"] > 0) & (made["x"] < 1)).all()
    assert set(made["index"].tolist()) == {0, 1}
    assert isinstance(made["items"][3], torch.Generator) and made["items"][2] == slice(None, 2, None)
    again = materialise(named, range(4), generator())
    assert torch.equal(made["x"], again["x"])
    narrow = materialise({"x": TensorMeta((1, 8), (8, 1)), "index": named["index"]}, range(2), generator())
    assert set(narrow["index"].tolist()) == {0}


@pytest.mark.parametrize(
    ("meta", "error"),
    [
        (TensorMeta((1 << 30,), (1,)), "TooLarge"),
        (TensorMeta((2,), (1,), device=torch.device("meta")), "NotMaterialised"),
        (TensorMeta((2,), None, layout=torch.sparse_coo), "NotMaterialised"),
        (TensorMeta((2,), (1,), torch.quint8), "NotMaterialised"),
    ],
)
@pytest.mark.slow  # whichever runs last pays for the process of the laboratory
def test_inputs_that_cannot_be_made_are_refused(meta, error, laboratory):
    with pytest.raises({"TooLarge": TooLarge, "NotMaterialised": NotMaterialised}[error]):
        materialise({"self": meta}, (0,), generator())
    call = observe("aten::neg", "aten", {"self": meta}, (0,))
    assert call.outcome.error == error and not is_made(call)
    assert laboratory.observe_all("aten::neg", "aten", [CallVariant({"self": meta}, (0,))]) == [call]


@pytest.mark.slow  # whichever runs last pays for the process of the laboratory
def test_a_result_too_large_is_not_a_failure_of_the_operator(laboratory):
    huge = CallVariant({"self": TensorMeta((1,), (1,)), "repeats": ListArg((1 << 34,))}, (0,))
    (call,) = laboratory.observe_all("aten::repeat", "aten", [huge])
    assert call.outcome.error == "TooLarge"


def test_values_that_an_operator_refuses_are_replaced():
    integers = TensorMeta((2, 3), (3, 1), torch.int64)
    assert not isinstance(
        observe("aten::remainder.Tensor", "aten", {"self": integers, "other": integers}, (0, 1)).outcome, Failure
    )
    assert isinstance(
        observe("aten::remainder.Tensor", "aten", {"self": integers, "other": integers}, (0, 1), fill="zeros").outcome,
        Failure,
    )
    positive = observe("aten::linalg_cholesky_ex", "aten", {"self": MATRIX, "upper": False, "check_errors": True}, (0,))
    assert not isinstance(positive.outcome, Failure)


def test_gradients_at_each_level():
    wants = F32.replace(requires_grad=True)
    named = {"self": wants, "other": Wrapped(2), "alpha": 1}
    assert observe("torch.add", "function", named, (0,)).outcome.tensors[0].meta.requires_grad
    assert not observe("aten::add.Tensor", "aten", named, (0,)).outcome.tensors[0].meta.requires_grad
    in_place = observe("torch.Tensor.add_", "function", named, (0,))
    assert in_place.outcome.result == Same(0) and in_place.outcome.mutated == {0: wants}


def test_aliases_and_undeclared_writes():
    view = observe("aten::t", "aten", {"self": F32}, (0,))
    assert view.outcome.result == New(TensorMeta((3, 2), (1, 3)), 0)
    statistics = TensorMeta((3,), (1,))
    named = named_arguments(torch.ops.aten.native_batch_norm.default, (0, None, None, 0, 0, True, 0.1, 1e-5), {})
    named |= {"input": F32, "running_mean": statistics, "running_var": statistics}
    assert observe("aten::native_batch_norm", "aten", named, (0, 1, 2)).outcome.mutated.keys() == {1, 2}


def test_a_trial_leaves_no_trace():
    before, enabled = torch.get_rng_state(), torch.is_grad_enabled()
    observe("aten::bernoulli", "aten", {"self": F32, "generator": None}, (0,))
    assert torch.equal(before, torch.get_rng_state()) and torch.is_grad_enabled() is enabled


def test_texts_are_the_corpus_forms(calls):
    for call in calls:
        assert arguments_from(texts_of(call.arguments)) == dict(call.arguments)
    strange = torch.complex(torch.ones(2, 3), torch.ones(2, 3)).t().conj()[1:]
    assert meta_text(meta_of(strange)) == tensor_text(strange)


def of(calls: list[Call], op: str) -> list[Call]:
    return [call for call in calls if call.op == op]


def test_variants_are_new_different_and_repeatable(calls):
    own = of(calls, "aten::add.Tensor")
    made = list(variants(own, random.Random(1), 300))
    assert made == list(variants(own, random.Random(1), 300))
    assert made != list(variants(own, random.Random(2), 300))
    assert len(made) == 300
    assert len({repr(variant) for variant in made}) == 300
    assert not any(
        variant.arguments == call.arguments and variant.shares == call.shares for variant in made for call in own
    )


def test_the_first_variants_are_of_all_kinds(calls):
    metas = [
        meta
        for variant in variants(of(calls, "aten::add.Tensor"), random.Random(0), 200)
        for meta in metas_of(variant.arguments)
    ]
    assert {meta.rank for meta in metas} >= {0, 1, 2, 3}
    assert len({meta.dtype for meta in metas}) >= 10
    assert any(0 in meta.shape for meta in metas) and any(1 in meta.shape for meta in metas)
    assert any(meta.storage_offset for meta in metas)
    assert any(0 in meta.stride for meta in metas if meta.element_count > 1)
    assert any(meta.stride != reshaped(F32, meta.shape).stride and 1 in meta.shape for meta in metas)
    assert all(extent(meta) <= 20_000 for meta in metas)


@pytest.mark.parametrize(
    "op", ["aten::add.Tensor", "aten::view", "aten::cat", "aten::convolution", "torch.Tensor.add_"]
)
def test_many_variants_are_valid_calls(calls, laboratory, op):
    own = of(calls, op)
    made = list(variants(own, random.Random(0), 200))
    outcomes = laboratory.observe_all(op, own[0].level, made)
    valid = [call for call in outcomes if isinstance(call, Call) and not isinstance(call.outcome, Failure)]
    assert len(valid) >= 0.2 * len(made)


@pytest.mark.parametrize("kind", MUTATIONS)
def test_each_mutation_finds_something_to_change(calls, kind):
    named = named_arguments(torch.ops.aten.sum.dim_IntList, (0, [0, 1]), {"dtype": torch.float32})
    reduced = Call(
        "aten::sum.dim_IntList",
        "aten",
        {**named, "self": F32, "dim": ListArg((0, 1))},
        (0,),
        Failure("", ""),
        "",
        "",
        1,
    )
    own = [*calls, reduced]
    draw = random.Random(0)
    found = False
    for call in own:
        base = CallVariant(dict(call.arguments), call.shares)
        seen = argument_facts([other for other in own if (other.op, other.level) == (call.op, call.level)])
        for _ in range(10):
            variant = MUTATIONS[kind](base, seen, draw)
            if variant is not None and variant != base:
                assert len(variant.shares) == len(metas_of(variant.arguments))
                found = True
    assert found


DANGEROUS = """
    import ctypes, os, sys, time
    import torch

    library = torch.library.Library("trials_danger", "DEF")
    library.define("op(Tensor x, str how) -> Tensor")

    def op(x, how):
        match how:
            case "kill": os.kill(os.getpid(), 9)
            case "segfault": ctypes.string_at(1)
            case "hang": time.sleep(60)
            case "spin": torch.ops.aten.repeat(torch.ones(1), [1]); [None for _ in iter(int, 1)]
            case "leave": os._exit(3)
            case "raise": raise KeyError("no")
            case "garble": garble(sys._getframe())
        return x + 1

    def garble(frame):  # as one does that writes beyond its tensors
        while "unsent" not in frame.f_locals:
            frame = frame.f_back
        frame.f_locals["unsent"][5:8] = b"\\xbc\\n\\xbc"

    library.impl("op", op, "CPU")
"""
CRASHES = {"kill": "SIGKILL", "segfault": "SIGSEGV", "hang": "timeout", "spin": "timeout", "leave": "exit 3"}


@pytest.fixture
def dangerous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that registers an operator which does to its process what it is told."""
    (tmp_path / "trials_danger.py").write_text(textwrap.dedent(DANGEROUS))
    monkeypatch.syspath_prepend(tmp_path)
    return "trials_danger"


def danger(how: str) -> CallVariant:
    return CallVariant({"x": F32, "how": how}, (0,))


def test_a_crash_costs_one_trial(dangerous):
    hows = ["well", "kill", "well", "segfault", "hang", "raise", "spin", "well", "leave", "well"]
    with Laboratory([dangerous]) as laboratory:
        found = laboratory.observe_all("trials_danger::op", "aten", [danger(how) for how in hows], seconds=0.3)
        assert [getattr(outcome, "reason", None) for outcome in found] == [CRASHES.get(how) for how in hows]
        assert found[1] == Crash("trials_danger::op", "aten", danger("kill"), "SIGKILL")
        assert found[5].outcome == Failure("KeyError", "'no'")
        assert all(found[i].outcome.tensors == [New(F32)] for i in (0, 2, 7, 9))
        with pytest.raises(UnknownOperator, match="trials_danger::nothing"):
            laboratory.observe_all("trials_danger::nothing", "aten", [danger("well")])
        assert laboratory.observe_all("aten::neg", "aten", [CallVariant({"self": F32}, (0,))])


def test_a_skipped_trial_is_not_blamed_again():
    """Memory that a trial before it spoilt ends the process there: blaming it for ever would never end."""
    assert blamed(5, 2, {}) == 5
    assert blamed(5, 2, {5: "SIGSEGV", 4: "SIGABRT"}) == 3
    assert blamed(5, 4, {5: "SIGSEGV", 4: "SIGABRT"}) is None


def test_a_garbled_answer_costs_one_trial(dangerous):
    hows = ["well", "garble", "well", "well", "garble"]
    with Laboratory([dangerous]) as laboratory:
        found = laboratory.observe_all("trials_danger::op", "aten", [danger(how) for how in hows])
        assert found[0] == Crash("trials_danger::op", "aten", danger("well"), "its answer is garbled")
        assert all(outcome.outcome.tensors == [New(F32)] for outcome in found[1:])
        assert laboratory.observe_all("aten::neg", "aten", [CallVariant({"self": F32}, (0,))])


def test_a_forked_laboratory_has_the_operators_of_this_process():
    with torch.library._scoped_library("trials_here", "DEF") as library:
        library.define("op(Tensor x) -> Tensor")
        library.impl("op", lambda x: x.t().contiguous(), "CPU")
        with Laboratory(forked=True) as laboratory:
            (call,) = laboratory.observe_all("trials_here::op", "aten", [CallVariant({"x": F32}, (0,))])
    assert call.outcome.tensors == [New(TensorMeta((3, 2), (2, 1)))]


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize("forked", [True, False])
def test_no_process_is_left(forked):
    before = children()
    with Laboratory(forked=forked) as laboratory:
        laboratory.observe_all("aten::neg", "aten", [CallVariant({"self": F32}, (0,))])
        assert children() > before
    assert children() == before
