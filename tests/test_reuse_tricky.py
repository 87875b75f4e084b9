"""Programs that invite memory to be used again too early, with `donate=` and `allocate=`: results, gradients, the
tensors that were not given away, and the memory that results share are those of the plain program, bit for bit.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.same import differences
from tracer import capture

X = torch.linspace(-3, 4, 32).reshape(4, 8)
W = torch.linspace(-1, 1, 64).reshape(8, 8).sin()


def loop_that_keeps(x, w):
    kept = []
    for _ in range(4):
        x = torch.tanh(x @ w)
        kept.append(x)
    return torch.stack(kept), x


def a_view_that_lives_longer(x, w):
    hidden = x.exp()
    row = hidden[1]
    hidden = hidden * 2
    return (hidden + 1).sum() + row, row


def a_view_of_a_view_that_lives_longer(x, w):
    hidden = (x + 1).t()[2:].unsqueeze(0)
    other = torch.relu(x) * 3
    return other.sigmoid() + hidden.sum(), hidden * 2


def one_tensor_twice(x, w):
    hidden = x + 1
    return hidden * hidden + hidden.t().mm(hidden).sum()


def broadcast_within(x, w):
    column = x[:, :1] + 1
    return column * (x + 2) + column


def writes_that_are_read_by_a_view(x, w):
    row = x[0]
    x.add_(1)
    return row * 2, torch.relu(x)


def a_transpose_is_overwritten(x, w):
    hidden = (x + 1).t()
    return (hidden * 2).relu() + hidden.clone().t().reshape(8, 4)


def expanded_result(x, w):
    scalar = x.sum() + 1
    return scalar.expand(4, 8) + x, scalar


def split_parts(x, w):
    first, second = (x * 2).chunk(2, 1)
    return first.exp() + second, second + 1


def random_masks(x, w):
    return functional.dropout(functional.dropout(x * 2, 0.5) + 1, 0.5) * 3


def dtype_changes(x, w):
    hidden = (x > 0).float() * x
    return (hidden.double() + 1).float() * 2, hidden.to(torch.bfloat16).float()


def masked(x, w):
    hidden = x + 1
    mask = hidden > 0
    return hidden.masked_fill(mask, 0.0) + mask, torch.where(mask, hidden, x)


def scattered(x, w):
    index = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3]])
    hidden = x + 1
    return hidden.scatter_add(0, index, x[:1]) + hidden.gather(0, index)


def cumulative(x, w):
    return torch.cumsum((x + 1).flip(0), 0).roll(1, 0) * 2 - x


def returned_and_read_on(x, w):
    hidden = torch.relu(x + 1)
    return hidden, (hidden * 2 + 1).sigmoid() * hidden


def the_same_twice(x, w):
    hidden = torch.relu(x + 1)
    return hidden, hidden, {"hidden": hidden, "view": hidden[1:]}


def normed(x, w):
    hidden = functional.layer_norm(x + 1, (8,))
    return functional.softmax(hidden * 2, -1) + functional.gelu(hidden)


def in_place_chain(x, w):
    hidden = (x + 1).mul_(2).add_(1).relu_()
    return hidden.sub(1).mul_(hidden), hidden


def saved_for_backward(x, w):
    hidden = torch.exp(x @ w)
    return torch.relu(hidden + 1) * torch.tanh(hidden * 2)


def without_gradients_between(x, w):
    with torch.no_grad():
        factor = torch.exp(x + 1) * 2 + 1
    return torch.sin(x @ w) * factor


def writes_to_the_argument_at_the_end(x, w):
    hidden = x * 2 + 1
    x.copy_(hidden)
    return hidden * 3


def sizes_that_fit_by_chance(x, w):
    square = x.t() @ x
    return (square + w).relu() @ (square * 2), square.sum()


def complex_parts(x, w):
    number = torch.complex(x, x + 1)
    return (number * number).real + number.imag, torch.view_as_real(number + 1)


def under_autocast(x, w):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = (x @ w).relu() + 1
    return hidden.float() * 2 + x


PROGRAMS = [
    *(loop_that_keeps, a_view_that_lives_longer, a_view_of_a_view_that_lives_longer, one_tensor_twice),
    *(broadcast_within, writes_that_are_read_by_a_view, a_transpose_is_overwritten, expanded_result, split_parts),
    *(random_masks, dtype_changes, masked, scattered, cumulative, returned_and_read_on, the_same_twice, normed),
    *(in_place_chain, saved_for_backward, without_gradients_between, writes_to_the_argument_at_the_end),
    *(sizes_that_fit_by_chance, complex_parts, under_autocast),
]
LAYOUTS = {
    "dense": lambda: X.clone(),
    "transposed": lambda: X.t().contiguous().t(),
    "a view": lambda: torch.cat([X, X])[2:6],
    "offset": lambda: torch.cat([X.flatten(), X.flatten()])[3:35].view(4, 8),
}


class Pool:
    """Gives memory that holds NaN, each time another."""

    def __init__(self):
        self.given = []

    def __call__(self, meta):
        memory = torch.empty_strided(meta.shape, meta.stride, dtype=meta.dtype, device=meta.device)
        self.given.append(memory.fill_(1 if memory.dtype in (torch.bool, torch.int64) else float("nan")))
        return self.given[-1]


def outcome(program, x, w, gives_away):
    """Results, the tensors that are still the caller's, the gradient of `w`, and the next random number."""
    torch.manual_seed(3)
    results = program(x, w)
    total = [part for part in torch.utils._pytree.tree_leaves(results) if part.requires_grad]
    gradient = torch.autograd.grad([part.sum() for part in total], [w]) if total else None
    return results, w, None if gives_away else x, gradient, torch.rand(1)


def told_apart(expected, found, options):
    """The differences, but for what follows from other memory: the place of a result in it, and that it was copied."""
    words = ("storage offset", "captured 'CopyBackwards'") if "allocate" in options else ()
    return [each for each in differences(expected, found, str(options)) if not any(word in each for word in words)]


@pytest.mark.parametrize("trains", [False, True], ids=["plain", "gradients"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_nobody_can_tell(program, layout, trains):
    w = W.clone().requires_grad_(trains)
    for options in ({"donate": ("x",)}, {"donate": ()}, {"allocate": Pool()}, {"allocate": Pool(), "donate": ("x",)}):
        captured = capture(program, **options)
        gives_away = bool(options.get("donate"))
        earlier = []
        for _ in range(2):
            expected = outcome(program, LAYOUTS[layout](), w, gives_away)
            found = outcome(captured, LAYOUTS[layout](), w, gives_away)
            assert not told_apart(expected, found, options)
            earlier.append((expected, found))
        for expected, found in earlier:  # a later call leaves them
            assert not told_apart(expected, found, options)


class Recurrent(nn.Module):
    """Keeps its state from call to call."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.state = torch.zeros(4, 8)

    def forward(self, x):
        self.state = torch.tanh(self.linear(x) + self.state)
        return self.state * 2, self.state


@pytest.mark.parametrize(
    "options", [{"donate": ("x",)}, {"donate": ()}, {"allocate": Pool()}], ids=["donated", "intermediates", "allocated"]
)
def test_state_that_is_kept_is_not_overwritten(options):
    torch.manual_seed(0)
    plain, model = Recurrent(), Recurrent()
    model.load_state_dict(plain.state_dict())
    captured = capture(model, **options)
    states = []
    with torch.no_grad():
        for _ in range(4):
            assert not differences(plain(X.clone()), captured(X.clone()), "results")
            states.append((plain.state, model.state))
        assert all(torch.equal(*pair) for pair in states)
