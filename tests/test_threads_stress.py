"""Eight threads that share captured models: changing sizes, resets, random numbers, and forks meanwhile that capture.

`STRESS_SECONDS` says for how long (2 seconds; a minute in `.ci/run`). An event tells the threads to stop; what each of
them computes is compared with what the model computes plainly.
"""

import faulthandler
import os
import random
import sys
import threading
import time
from collections.abc import Callable

import torch

from tracer import capture, disable, graph_break, reset

THREADS = 8
SECONDS = float(os.environ.get("STRESS_SECONDS", "2"))


class Counting(torch.nn.Module):
    """A model with a break, a branch on its mode and a nested module."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
        self.scale = 2.0

    def forward(self, x: torch.Tensor, rows: list[int]) -> torch.Tensor:
        x = self.inner(x) * self.scale
        graph_break()
        for row in rows:
            x = x + row
        return x.sum(0)


@disable
def expected(model: Counting, x: torch.Tensor, rows: list[int]) -> torch.Tensor:
    """What the model computes, without its code."""
    linear = model.inner[0]
    return (torch.relu(x @ linear.weight.T + linear.bias) * 2.0 + sum(rows)).sum(0)


def add(x: torch.Tensor, number: int) -> torch.Tensor:
    return torch.cat([x, x]) + number


def worker(seed: int, stop: threading.Event, calls: list[Callable[[random.Random], None]], errors: list[BaseException]):
    """Make random calls until it is told to stop, or one of them goes wrong."""
    chance = random.Random(seed)
    try:
        while not stop.is_set():
            chance.choice(calls)(chance)
    except BaseException as error:  # handed to the test's own thread
        errors.append(error)
        stop.set()


def fork_and_capture() -> None:
    """A child process captures, and ends with 0 when it computes the right number; one that hangs shows where.

    Its model is its own: torch keeps a lock in each tensor that requires gradients, which a thread may hold meanwhile.
    """
    child = os.fork()
    if child == 0:
        status = 1
        faulthandler.dump_traceback_later(90, file=sys.__stderr__)
        try:
            model, x = Counting().eval(), torch.ones(3, 4)
            with torch.no_grad():
                status = 0 if torch.allclose(capture(model)(x, [1]), expected(model, x, [1]), atol=1e-5) else 2
        finally:
            os._exit(status)
    limit = time.monotonic() + 120
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert os.waitstatus_to_exitcode(status) == 0, f"the child ended with {os.waitstatus_to_exitcode(status)}"
            return
        if time.monotonic() > limit:
            os.kill(child, 9)
            os.waitpid(child, 0)
            raise AssertionError("the child hangs")
        time.sleep(0.05)


def test_threads():
    reset()
    torch.manual_seed(0)
    model = Counting().eval()
    captured, captured_add = capture(model), capture(add)

    def call_model(chance: random.Random) -> None:
        x = torch.randn(chance.randint(1, 6), 4)
        rows = [chance.randint(0, 3) for _ in range(chance.randint(0, 2))]
        with torch.no_grad():
            assert torch.allclose(captured(x, rows), expected(model, x, rows), atol=1e-5)

    def call_function(chance: random.Random) -> None:
        x, number = torch.randn(chance.randint(1, 5)), chance.randint(0, 20)
        assert torch.equal(captured_add(x, number), torch.cat([x, x]) + number)

    def differentiate(chance: random.Random) -> None:
        x = torch.randn(2, 4, requires_grad=True)
        captured(x, []).sum().backward()
        assert x.grad is not None and x.grad.shape == x.shape

    def draw(chance: random.Random) -> None:
        torch.randn(chance.randint(1, 4) * 100_000)  # long enough for a fork to come between

    def forget(chance: random.Random) -> None:
        if chance.random() < 0.02:
            reset()

    errors: list[BaseException] = []
    stop = threading.Event()
    calls = [call_model, call_model, call_function, differentiate, draw, forget]
    threads = [threading.Thread(target=worker, args=(seed, stop, calls, errors)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    chance, end = random.Random(THREADS), time.monotonic() + SECONDS
    try:
        while time.monotonic() < end and not stop.wait(chance.random() * 0.05):
            fork_and_capture()
    finally:
        stop.set()
    for thread in threads:
        thread.join(300)
    assert not [thread for thread in threads if thread.is_alive()], "a thread hangs"
    if errors:
        raise errors[0]
