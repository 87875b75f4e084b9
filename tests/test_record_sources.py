"""Built-in sources: layouts, torch's database of operators (a few of them), models (one)."""

import pytest
import torch

from passes.record import Corpus, CorpusError, Recorder
from passes.record.sources import models, modules, operators, usage
from passes.record.sources.layouts import LAYOUTS, laid_out
from tests import models as zoo


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (2, 3, 4, 5), (0, 3)], ids=str)
def test_layouts_keep_values(layout, shape):
    x = torch.randn(shape, requires_grad=True)
    found, changed = laid_out(x, layout)
    assert found is not x and found.shape == x.shape and found.requires_grad and found.is_leaf
    assert changed == (found.stride() != x.stride() or found.storage_offset() != x.storage_offset())
    if layout != "expanded":
        assert torch.equal(found, x)


def test_layouts_differ():
    x = torch.randn(2, 3, 4, 5)
    facts = {layout: (laid_out(x, layout)[0].stride(), laid_out(x, layout)[0].storage_offset()) for layout in LAYOUTS}
    # the last dimension first is not channels-last: that is the second one last
    assert len(set(facts.values())) == len(LAYOUTS)


def test_layouts_reach_into_containers():
    ((first,), named), changed = laid_out(([torch.ones(2, 3)], {"y": torch.ones(2, 3)}), "transposed")
    assert changed and first.stride() == named["y"].stride() == (1, 2)
    assert laid_out((1, "a", None), "transposed") == ((1, "a", None), False)


def of_operators(folder, **plan):
    recorder = Recorder(folder)
    names = list(operators.run(recorder, operators.OpInfoPlan(samples=2, **plan)))
    recorder.close()
    return names, Corpus(folder)


def test_operators(tmp_path):
    names, corpus = of_operators(tmp_path, pattern="cumsum")
    assert names == ["cumsum"]
    ops = {op for op, *_ in corpus.operators()}
    assert {"aten::cumsum", "aten::cumsum_"} <= ops
    backward = corpus.sql("select count(*) from calls where op = 'aten::flip'")[1]
    assert backward > [(0,)]
    dtypes = corpus.sql("select distinct tensor(given[1]).dtype from calls where op = 'aten::cumsum'")[1]
    assert {("f32",), ("i64",), ("c64",)} <= set(dtypes)
    strides = corpus.sql(
        "select count(distinct given[1]) from calls where op = 'aten::cumsum' and tensor(given[1]).dtype = 'f32'"
    )[1]
    assert strides[0][0] > 5
    assert corpus.sql("select distinct location from calls")[1] == [("opinfo cumsum",)]


def test_operators_on_error_inputs(tmp_path):
    _, corpus = of_operators(tmp_path / "with", pattern="gather", backward=False, dtypes=[torch.float32])
    assert corpus.statistics().errors > 2
    _, corpus = of_operators(
        tmp_path / "without", pattern="gather", errors=False, backward=False, layouts=["contiguous"]
    )
    assert corpus.statistics().errors == 0
    assert "aten::gather_backward" not in {op for op, *_ in corpus.operators()}


def test_operators_are_deterministic(tmp_path):
    rows = []
    for seed in (1, 2):  # of the process, which must not matter
        torch.manual_seed(seed)
        rows.append(of_operators(tmp_path / str(seed), pattern="masked_select", backward=False)[1].load().to_pylist())
    assert rows[0] == rows[1] and rows[0]


def test_parts_share_the_operators():
    whole = [id(info) for info in operators.chosen(operators.OpInfoPlan("*conv*"))]
    parts = [[id(info) for info in operators.chosen(operators.OpInfoPlan("*conv*", part=i, parts=3))] for i in range(3)]
    assert sorted(sum(parts, [])) == sorted(whole) and all(parts)
    with pytest.raises(CorpusError, match="no operator of torch's database matches 'nope'"):
        operators.chosen(operators.OpInfoPlan("nope"))


def test_usage(tmp_path):
    recorder = Recorder(tmp_path, ["function"])
    usage.start(recorder)("detach")
    usage.start(recorder)("in place")
    recorder.close()
    corpus = Corpus(tmp_path)
    ops = {op for op, *_ in corpus.operators()}
    assert {"torch.Tensor.detach", "torch.Tensor.data", "torch.Tensor.detach_", "torch.Tensor.zero_"} <= ops
    types = corpus.sql("select distinct tensor(given[1]).dtype from calls where op = 'torch.Tensor.detach'")[1]
    assert {("f32",), ("i64",), ("bool",), ("c64",)} <= set(types)
    places = corpus.sql("select distinct location from calls order by 1")[1]
    assert places == [("usage detach",), ("usage in place",)]
    # every expression has tensors of its own: what one writes to, another finds as it was
    assert corpus.sql("select count(*) from calls where op = 'torch.Tensor.zero_' and error is null")[1] > [(20,)]
    with pytest.raises(CorpusError, match="no use of tensors matches 'nope'"):
        usage.titles("nope")


def test_recurrent_layers_have_sizes_that_nothing_else_equals():
    """A hidden size that is the number of layers, say, tells nobody which of the two a result has."""
    for name in modules.RECURRENT:
        drawn = [example.constructor_input for example in modules._of_drawn_sizes(name)]
        settings = [(*each.args, each.kwargs["bidirectional"], each.kwargs["batch_first"]) for each in drawn]
        for column in zip(*settings, strict=True):
            assert len(set(column)) >= 2
        assert len({hidden for _, hidden, *_ in settings}) > 5 and {each[2] for each in settings} == {1, 2, 3, 4}
    assert modules._of_drawn_sizes("nn.Linear") == []


def test_modules(tmp_path):
    recorder = Recorder(tmp_path, ["aten"])
    modules.start(recorder)("nn.LayerNorm")
    modules.start(recorder)("nn.AvgPool2d")
    modules.start(recorder)("nn.LazyConv1d")
    recorder.close()
    corpus = Corpus(tmp_path)
    ops = {op for op, *_ in corpus.operators()}
    assert {"aten::native_layer_norm", "aten::native_layer_norm_backward", "aten::avg_pool2d"} <= ops
    places = corpus.sql("select distinct location from calls order by 1")[1]
    assert places == [("modules nn.AvgPool2d",), ("modules nn.LayerNorm",), ("modules nn.LazyConv1d",)]
    strides = "select distinct tensor(given[1]).stride from calls where op = 'aten::avg_pool2d'"
    assert len(corpus.sql(strides)[1]) > 3  # layouts
    with pytest.raises(CorpusError, match="no module of torch's database matches 'nope'"):
        modules.chosen("nope")


def test_every_use_records_a_call():
    """No expression is an error whatever it is asked of."""
    for name in usage.titles():
        for text in usage.USAGE[name].split("; "):
            assert any(_works(text, *tensors) for tensors in usage.tensors()), f"{name}: {text}"


def _works(text, x, y):
    try:
        eval(text, {"torch": torch, "F": torch.nn.functional}, {"x": x.clone(), "y": y.clone()})
    except (RuntimeError, TypeError, IndexError, ValueError, NotImplementedError):
        return False
    return True


def test_models(tmp_path):
    recorder = Recorder(tmp_path)
    assert list(models.run(recorder, pattern="mlp")) == ["mlp"]
    recorder.close()
    corpus = Corpus(tmp_path)
    ops = {op for op, *_ in corpus.operators()}
    assert {"aten::addmm", "aten::gelu", "aten::gelu_backward", "aten::bernoulli_.float"} <= ops
    assert corpus.sql("select count(*) from calls where location like '%models_torch.py:%'")[1] > [(5,)]


def test_all_models_of_the_zoo_can_be_chosen():
    assert set(models.chosen(models.zoo_called("tests.models"))) == {
        name for names in zoo.NAMES.values() for name in names
    }
    with pytest.raises(CorpusError, match="no model matches 'nope'; families are torch"):
        models.chosen(models.zoo_called("tests.models"), "nope")
    with pytest.raises(CorpusError, match="json is no zoo: it needs NAMES"):
        models.zoo_called("json")
