"""Numbers that numpy computes are constants; its arrays are tensors with their memory, in one graph with others."""

import numpy as np
import pytest
import torch

from tests.check import check, one_graph
from tests.same import differences
from tracer import capture, counters, graph_break, reset


def test_functions_of_numbers():
    def program(x):
        width = int(np.prod(x.shape))
        return x * np.sqrt(x.shape[-1]) + np.log(3.0) / np.mean([1, 2]), x.view(width), np.float32(2) * x

    one_graph(program, torch.ones(2, 3))


def test_a_number_of_numpy_across_a_break():
    def program(x):
        scale = np.sqrt(x.shape[0])
        graph_break()
        return x / scale + np.int64(3)

    check(program, torch.ones(4), breaks=["explicit"])


BACKENDS = ["eager", "aot_eager", lambda gm, inputs: gm.forward]
WEIGHTS = np.arange(6.0).reshape(2, 3)


def differs(plain, result):
    """What tells two results with arrays and numbers of numpy apart; None if nothing does."""
    if type(plain) is not type(result):
        return type(plain), type(result)
    if isinstance(plain, tuple | list):
        return next(filter(None, map(differs, plain, result)), None) if len(plain) == len(result) else len(result)
    if not isinstance(plain, np.ndarray | np.generic | torch.Tensor):
        return None if plain == result else (plain, result)
    left, right = np.asarray(plain), np.asarray(result)
    strides = [
        [stride for stride, size in zip(each.strides, each.shape, strict=True) if size > 1] for each in (left, right)
    ]
    equal = left.dtype == right.dtype and left.shape == right.shape and np.allclose(left, right, equal_nan=True)
    return None if equal and strides[0] == strides[1] else (plain, result)


def to_tensor_and_back(x):
    return torch.from_numpy(np.sqrt(np.abs(x.numpy()))) + 1, x.numpy() * 2


def made_in_the_function(x):
    table = np.zeros((2, 3), dtype=np.float32)
    table[0, 1] = 5
    table[1] += 2
    table[:, 2] *= 3
    mask = np.triu(np.ones((3, 3)), k=1).astype("uint8")
    steps = torch.tensor(np.linspace(0, 1, 3), dtype=torch.float32)
    return x + torch.from_numpy(table), torch.from_numpy(mask) == 0, x * steps, np.arange(3)


def from_outside(x):
    return x + torch.from_numpy(WEIGHTS).float(), WEIGHTS * 2, WEIGHTS


def reductions(x):
    array = x.numpy()
    axes = array.sum(axis=0), np.mean(array, axis=1), np.cumsum(array, axis=1), array.argsort(axis=-1)
    return np.sum(array), array.max(), array.std(), np.any(array < 0), array.argmax(), np.linalg.norm(array), *axes


def shapes(x):
    array = x.numpy()
    views = array.T, array.reshape(-1), np.transpose(array, (1, 0)), np.expand_dims(array, 0), array[0], array[..., 1]
    facts = array.shape, array.ndim, array.size, len(array), isinstance(array, np.ndarray), type(array)
    return *views, facts, np.concatenate([array, array]), np.stack([array, array], axis=1), np.tile(array, (2, 1))


def products(x):
    array = x.numpy()
    return (
        array @ array.T,
        np.einsum("ij,kj->ik", array, array),
        np.dot(array[0], array[1]),
        np.outer(array[0], array[1]),
    )


def loops(x):
    for weight in np.array([0.5, 2.0], dtype=np.float32):
        x = x * torch.tensor(weight)
    return x, [row * 2 for row in WEIGHTS]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "program", [to_tensor_and_back, made_in_the_function, from_outside, reductions, shapes, products, loops]
)
def test_arrays_are_part_of_one_graph(program, backend):
    reset()
    captured = capture(program, strict=True, fullgraph=True, backend=backend)
    for seed in (0, 1):
        torch.manual_seed(seed)
        x = torch.randn(2, 3)
        assert differs(program(x.clone()), captured(x.clone())) is None
    assert counters().captures == 1


def test_arrays_share_memory_as_in_numpy():
    def program(x):
        array = x.numpy()
        copies = [array.astype(np.float32), array.flatten(), +array, np.array(array), array.copy(), array[array > 0]]
        views = [array.reshape(-1), array.T, array[0], array[::-1], np.asarray(array), torch.as_tensor(array)]
        for place, each in enumerate([*copies, *views]):
            each[0] = place
        array += 1
        return x, array, copies, views

    captured = capture(program, strict=True)
    for _ in range(2):
        x = torch.randn(2, 3)
        assert differs(program(x.clone()), captured(x.clone())) is None


def test_numbers_of_numpy_do_not_change():
    def program(x):
        total = x.numpy().sum()
        same = total
        total += 1
        return total, same, type(total).__name__, isinstance(total, np.floating), x + float(total)

    captured = capture(program, strict=True)
    for _ in range(2):
        assert differs(program(torch.ones(3)), captured(torch.ones(3))) is None


def test_what_the_model_answers_in_another_way_is_numpys():
    def program(x):
        counts = np.arange(4)
        mixed = np.outer(x.numpy(), [1, 2]), np.concatenate([x.numpy(), counts]), np.where(counts > 1, counts, 2.5)
        others = np.median(counts), np.array(3.0), counts.tolist(), counts.dtype, str(counts), x.numpy()[::-1]
        return np.sqrt(counts), counts / 2, counts.mean(), x.numpy() * np.float64(2), mixed, *others

    captured = capture(program, strict=True)
    for _ in range(2):
        assert differs(program(torch.ones(3)), captured(torch.ones(3))) is None


def test_what_numpy_refuses_it_refuses_itself():
    def program(x):
        refused = []
        for attempt in (
            lambda: x.numpy() @ np.zeros((7, 2)),
            lambda: x.numpy().nothing,
            lambda: np.zeros(2).reshape(3),
            lambda: (x * 2).requires_grad_().numpy(),
            lambda: torch.from_numpy(np.array(["a"])),
            lambda: setattr(np.zeros(2), "nothing", 1),
        ):
            try:
                attempt()
            except (ValueError, AttributeError, RuntimeError, TypeError) as error:
                refused.append((type(error), str(error)))
        return refused

    assert capture(program, strict=True)(torch.ones(3)) == program(torch.ones(3))


def test_arrays_of_other_kinds_are_guarded():
    def program(x, array):
        return x + torch.from_numpy(array * 2).sum()

    captured = capture(program, strict=True)
    arrays = [np.ones(2), np.ones(3), np.ones(2, dtype="float32"), np.ones((2, 2))[:, 0], np.ones(4)[::-1], np.ones(2)]
    arrays[-1].flags.writeable = False
    for array in arrays:
        assert differs(program(torch.ones(3), array), captured(torch.ones(3), array)) is None


def test_an_array_argument_that_is_written_to():
    def program(x, array, other):
        array += 1
        return x + torch.from_numpy(other).sum(), array

    captured = capture(program, strict=True)
    for make in (lambda: (np.ones(3), np.zeros(3)), lambda: [np.ones(3)] * 2, lambda: (np.ones(4)[:3], np.zeros(3))):
        plain, given = make(), make()
        assert differs(program(torch.ones(3), *plain), captured(torch.ones(3), *given)) is None
        assert differs(list(plain), list(given)) is None


@pytest.mark.parametrize("backend", [BACKENDS[0], BACKENDS[2]])  # AOTAutograd makes views of inputs of such results
@pytest.mark.parametrize("back", [torch.from_numpy, torch.as_tensor])
def test_a_tensor_of_an_array_counts_its_writes_anew(back, backend):
    def program(x):
        x.add_(1)
        y = back(x.detach().numpy())
        z = back(x.detach().numpy())
        z.mul_(2)
        return y, z

    captured = capture(program, backend=backend)
    for _ in range(2):
        plain, given = torch.ones(2, 2), torch.ones(2, 2)
        expected, results = program(plain), captured(given)
        assert [result._version for result in results] == [result._version for result in expected] == [0, 1]
        assert given._version == plain._version == 1 and torch.equal(given, plain)
        assert all(torch.equal(*pair) for pair in zip(results, expected, strict=True))
        assert all(result.data_ptr() == given.data_ptr() for result in results)


@pytest.mark.parametrize(
    "part", [lambda a: a[1:], lambda a: a[:2], lambda a: a.T, lambda a: a.reshape(-1), lambda a: a]
)
@pytest.mark.parametrize("back", [torch.from_numpy, torch.as_tensor])
@pytest.mark.parametrize("backend", BACKENDS)
def test_tensor_of_a_part_of_an_array_has_a_storage_of_that_part(part, back, backend):
    def program(x, array, whole):
        tensors = [back(part(array)), back(part(np.ones((4, 4)))), back(part(x.numpy())), back(part(whole[0].numpy()))]
        tensors[0].mul_(2)
        return [(t, t.storage_offset(), t.untyped_storage().nbytes()) for t in tensors], torch.from_numpy(array + 1)

    reset()
    captured = capture(program, backend=backend)
    for _ in range(2):
        worlds = [(torch.ones(4, 4), np.ones((4, 4)), torch.ones(2, 4, 4)) for _ in range(2)]
        plain, observed = program(*worlds[0]), captured(*worlds[1])
        assert not differences(plain, observed, "result", backend == "aot_eager")
        assert np.array_equal(worlds[0][1], worlds[1][1])
        for one, other in zip(plain[0], observed[0], strict=True):
            assert one[0].untyped_storage().nbytes() == other[0].untyped_storage().nbytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_tensor_classes_take_arrays(backend):
    """In the memory of an array of the same dtype, and as a copy of another."""

    def program(x, array):
        ones = np.ones((2, 3)) / 3
        ones[0] = 5
        tensors = torch.Tensor(ones), torch.FloatTensor(array), torch.LongTensor(np.argsort(array[0])), x.new(array)
        torch.DoubleTensor(ones).mul_(2)
        torch.FloatTensor(array).add_(1)
        views = torch.Tensor(array.astype(np.int64).T), torch.DoubleTensor(array[:, ::2])
        return tensors, torch.DoubleTensor(ones), views, x[tensors[2]]

    reset()
    captured = capture(program, fullgraph=True, strict=True, backend=backend)
    for _ in range(2):
        worlds = [(torch.ones(3), np.array([[2.5, 1.5, 0.5], [1, 2, 3]], dtype="float32")) for _ in range(2)]
        assert not differences(program(*worlds[0]), captured(*worlds[1]), "result", backend == "aot_eager")
        assert np.array_equal(worlds[0][1], worlds[1][1])


def test_tensor_classes_of_arrays_without_dimensions_are_left_to_torch():
    check(lambda x: (x + 1, torch.Tensor(np.array(3)).shape, torch.Tensor(np.array(3.0))), torch.ones(2), graphs=None)


def test_arrays_in_the_index_of_a_tensor():
    def program(x):
        positions, mask = np.array([0, 2], dtype=np.int32), np.array([True, False, True])
        y = x.clone()
        y[:, positions] = 0.0
        y[np.array([1])] += 1
        return x[positions], x[:, np.array([[0, 1], [2, 0]])], x[:, mask], y

    one_graph(program, torch.rand(3, 3, requires_grad=True))


def test_rows_of_an_array_of_positions_are_parts_of_the_index():
    check(lambda x: x[np.array([[0, 1], [1, 2]])], torch.arange(9.0).view(3, 3), breaks=None)


def test_arrays_from_outside_in_an_index_and_their_numbers():
    reset()

    def program(x, table, positions):
        first = table[0]
        table[0] += 1
        return x * first, x + table.sum(), x.mean() / table[1], [x * each for each in table], x[positions]

    captured = capture(program, fullgraph=True, strict=True)
    tables = np.array([1.0, 2.0]), np.array([1.0, 2.0])
    for positions in ([0, 2], [1, 2]):
        results = [
            function(torch.arange(3.0), table, np.array(positions))
            for function, table in zip((program, captured), tables, strict=True)
        ]
        assert not differs(*results) and not differs(*tables)
    assert counters().graphs == 1


def test_a_number_is_a_copy_of_what_the_array_held():
    def program(x):
        table = np.array([1.0, 2.0])
        first = table[0]
        table[0] = 5
        return x * first, x * table[0]

    one_graph(program, torch.ones(3))


def test_iterators_of_arrays():
    def program(x):
        return type(iter(np.arange(2))).__name__, [x * step for step in np.arange(3)], list(zip(np.ones(2), "ab"))

    one_graph(program, torch.ones(3))
