"""What libraries do around a computation: logging, memoising, copying, checkpoints, profiler ranges, scripts."""

import copy
import functools
import inspect
import logging
import weakref

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from tests.check import check, one_graph
from tracer import capture

QUIET = logging.getLogger("bytegraph.tests.quiet")
QUIET.setLevel(logging.ERROR)


def test_silent_logger_costs_no_break():
    def program(x):
        QUIET.debug("a tensor of %s", x)
        QUIET.warning("and another")
        logging.getLogger("bytegraph.tests.quiet").info("by name")
        return x + QUIET.isEnabledFor(logging.ERROR)

    one_graph(program, torch.ones(2))


def test_level_of_a_logger_is_guarded(caplog):
    logger = logging.getLogger("bytegraph.tests.changing")
    logger.setLevel(logging.ERROR)
    captured = capture(lambda x: (logger.warning("heard"), x + 1)[1], strict=True)
    captured(torch.ones(2))
    assert not caplog.records
    logger.setLevel(logging.DEBUG)
    captured(torch.ones(2))
    assert [record.getMessage() for record in caplog.records] == ["heard"]


def test_enabled_logger_breaks(caplog):
    def program(x):
        logging.getLogger("bytegraph.tests").error("heard")
        return x + 1

    check(program, torch.ones(2), breaks=["printing"])


@functools.lru_cache(maxsize=None)
def said_once(text):
    print(text)


@functools.lru_cache
def added(left, right):
    return left + right


def test_memoised_functions():
    def program(x):
        return x + added(1, 2)

    one_graph(program, torch.ones(2))


def test_what_is_memoised_with_an_effect_happens_once(capsys):
    said_once.cache_clear()
    captured = capture(lambda x: (said_once("once"), x + 1)[1], strict=True)
    for _ in range(3):
        captured(torch.ones(2))
    assert capsys.readouterr().out == "once\n"


class Holder(nn.Module):
    """Keeps a weak reference to a parameter of its own, as recurrent layers do."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2) * 3)
        self.reference = weakref.ref(self.weight)

    def forward(self, x):
        return x @ self.weight if self.reference() is self.weight else x


def test_weak_references_from_outside():
    holder = Holder()
    captured = capture(holder, fullgraph=True, strict=True)
    x = torch.ones(2, 2)
    assert torch.equal(captured(x), x @ holder.weight)
    holder.weight = nn.Parameter(torch.zeros(2, 2))
    assert captured(x) is x


class Settings:
    """A plain object with nested containers."""

    def __init__(self):
        self.sizes = [1, (2, [3])]
        self.names = {"a": self.sizes, "b": {4, 5}}


class Guarded(Settings):
    """Says itself how it is copied."""

    def __deepcopy__(self, memo):
        other = Guarded()
        other.sizes = copy.deepcopy(self.sizes, memo)
        return other


def test_deep_copies_share_what_was_shared():
    settings = Settings()

    def program(x):
        other = copy.deepcopy(settings)
        other.sizes.append(9)
        return x + len(other.names["a"]), other.names["a"] is other.sizes, len(settings.sizes), other.names

    one_graph(program, torch.ones(2))


def test_deep_copy_by_a_method_of_its_own():
    def program(x, settings):
        pair = copy.deepcopy([settings, settings.sizes])
        return x + 1, pair[0].sizes is pair[1], pair[0] is settings, type(pair[0]) is type(settings)

    one_graph(program, torch.ones(2), Guarded())


def test_signatures_are_bound():
    def target(first, second=2, *rest, **named):
        return first

    def program(x):
        bound = inspect.signature(target).bind(1, second=3)
        bound.apply_defaults()
        return x + len(bound.arguments) + bound.arguments["second"]

    one_graph(program, torch.ones(2))


@torch.jit.script
def scripted(x: torch.Tensor, scale: float) -> torch.Tensor:
    return torch.relu(x) * scale


def test_scripted_function_is_an_operator():
    captured = capture(lambda x: scripted(x, 2.0) + 1, fullgraph=True, strict=True)
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    assert torch.equal(captured(x), scripted(x, 2.0) + 1)
    captured(x).sum().backward()
    assert torch.equal(x.grad, torch.tensor([0.0, 2.0]))


def test_checkpoint_without_gradients():
    layer = nn.Linear(3, 3)

    def program(x):
        return checkpoint(layer, x, use_reentrant=False)

    with torch.no_grad():
        one_graph(program, torch.ones(3))
    check(program, torch.ones(3))


def test_ranges_of_the_profiler():
    def program(x):
        with torch.profiler.record_function("range"):
            return x + 1

    one_graph(program, torch.ones(2))


def test_attention_kernels_the_processor_does_not_have():
    def program(x):
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH, SDPBackend.EFFICIENT_ATTENTION]):
            return F.scaled_dot_product_attention(x, x, x)

    one_graph(program, torch.randn(1, 2, 3, 4))


def test_attention_kernel_chosen():
    def program(x):
        with sdpa_kernel(SDPBackend.MATH):
            return F.scaled_dot_product_attention(x, x, x)

    one_graph(program, torch.randn(1, 2, 3, 4))


def test_functional_call():
    layer = nn.Linear(2, 2)

    def program(x, weight):
        return torch.func.functional_call(layer, {"weight": weight, "bias": weight[0]}, (x,))

    one_graph(program, torch.randn(3, 2), torch.randn(2, 2))


def test_random_numbers_of_attention_are_drawn_once():
    def program(x):
        return F.scaled_dot_product_attention(x, x, x, dropout_p=0.5), torch.rand(2)

    one_graph(program, torch.randn(1, 2, 3, 4))
