"""`random.Random(seed)` made in a captured function, and pure paths: both are known while tracing."""

import pathlib
import random
from typing import Any

import pytest
import torch

from tests.check import BACKENDS, check
from tracer import capture


def draws(x: Any) -> Any:
    generator = random.Random(3)
    numbers = [generator.random(), generator.randint(1, 9), generator.randrange(2, 8, 3), generator.uniform(1, 2)]
    numbers += [
        generator.gauss(0, 1),
        generator.gauss(0, 1),
        generator.choice([4, 5, 6]),
        *generator.sample(range(9), 3),
    ]
    shuffled = list(range(5))
    generator.shuffle(shuffled)
    generator.seed(7)
    return x * generator.random(), numbers, shuffled, generator.choices([1, 2], k=3), generator.getrandbits(5)


def generator_that_leaves(x: Any) -> Any:
    generator = random.Random(5)
    y = x * generator.random()
    generator.gauss(0, 1)
    return y, generator


def shuffled_batches(x: Any) -> Any:
    order = list(range(x.shape[0]))
    random.Random(0).shuffle(order)
    return torch.stack([x[i] for i in order])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", [draws, shuffled_batches])
def test_numbers_of_a_generator_made_inside_are_known(program: Any, backend: str):
    check(program, torch.randn(4, requires_grad=True), graphs=1, breaks=[], backend=BACKENDS[backend])


def test_a_generator_that_leaves_goes_on_where_it_was():
    captured, x = capture(generator_that_leaves, backend="eager", fullgraph=True), torch.ones(2)
    for _ in range(2):
        result, generator = captured(x)
        expected, plain = generator_that_leaves(x)
        assert torch.equal(result, expected) and generator.getstate() == plain.getstate()
        assert generator.gauss(0, 1) == plain.gauss(0, 1) and generator.random() == plain.random()


def test_a_generator_across_a_break():
    def program(x: Any) -> Any:
        generator = random.Random(1)
        first = generator.random()
        if x.sum() > 0:
            return x * first + generator.random()
        return x

    check(program, torch.ones(2), recaptures=None)


@pytest.mark.parametrize("make", [lambda: random.Random(), lambda: random.Random("seed")])
def test_other_seeds_break(make: Any):
    def program(x: Any) -> Any:
        generator = make()
        return x + 1, type(generator.random()).__name__

    captured = capture(program, backend="eager")
    for _ in range(2):
        assert captured(torch.ones(2))[1] == "float"


def test_numbers_of_generators_from_outside_are_drawn_by_each_call():
    generator = random.Random(2)

    def program(x: Any) -> Any:
        return x * generator.random()

    captured = capture(program, backend="eager")
    plain = random.Random(2)
    for _ in range(3):
        assert torch.equal(captured(torch.ones(2)), torch.ones(2) * plain.random())


FOLDER = pathlib.PurePosixPath("/data") / "sets"


@pytest.mark.parametrize("backend", BACKENDS)
def test_pure_paths_are_computed_while_tracing(backend: str):
    def program(x: Any, folder: Any) -> Any:
        path = pathlib.PurePosixPath("a") / "b" / "c.tar.gz"
        facts = (path.name, path.suffix, path.stem, path.suffixes, str(path.parent), path.is_absolute())
        return x * len(path.parts), facts, str(folder / path.name), folder.joinpath("x").parts, path.match("*.gz")

    check(program, torch.ones(2), FOLDER, graphs=1, breaks=[], backend=BACKENDS[backend])


def test_a_path_that_leaves():
    captured = capture(lambda x: (x + 1, FOLDER / "new"), backend="eager", fullgraph=True)
    for _ in range(2):
        path = captured(torch.ones(2))[1]
        assert path == FOLDER / "new" and str(path) == "/data/sets/new" and hash(path) == hash(FOLDER / "new")


def test_a_path_that_asks_the_file_system_breaks(tmp_path: Any):
    def program(x: Any) -> Any:
        return x + (1 if (tmp_path / "none").exists() else 2)

    check(program, torch.ones(2), breaks=["input-output"], recaptures=None)
