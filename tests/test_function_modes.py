"""TorchFunctionModes that a captured function enters, the device of a `with` statement and the default device."""

from typing import Any

import pytest
import torch
from torch.overrides import BaseTorchFunctionMode, TorchFunctionMode

from tests.check import BACKENDS, check
from tracer import capture


class Adding(TorchFunctionMode):
    """Adds a number to each sum."""

    def __init__(self, number: float = 1.0) -> None:
        super().__init__()
        self.number = number

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return result + self.number if func in (torch.add, torch.Tensor.add) else result


class Multiplying(TorchFunctionMode):
    """Makes products of sums."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        function = torch.mul if func in (torch.add, torch.Tensor.add) else func
        return function(*args, **(kwargs or {}))


class Noting(TorchFunctionMode):
    """Notes what it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(f"{func.__name__} {len(args)} {sorted(kwargs or {})} {len(types)}")
        return func(*args, **(kwargs or {}))


def one_mode(x: Any) -> Any:
    with Adding():
        y = torch.add(x, x) + x.add(1)
    return y + x


def nested_modes(x: Any) -> Any:
    with Adding(), Multiplying():
        y = torch.add(x, x)
    with Multiplying(), Adding(2.0):
        return y + torch.add(x, x)


def mode_that_does_nothing(x: Any) -> Any:
    with BaseTorchFunctionMode():
        return torch.nn.functional.relu(x) * 2


def disabled(x: Any) -> Any:
    with Adding():
        with torch._C.DisableTorchFunction():
            y = torch.add(x, x)
        return torch.add(y, x)


def what_a_mode_is_asked(x: Any) -> Any:
    mode = Noting()
    with mode:
        y = x[0] + 1
        y = 2 * y - x.sin()
        y = torch.nn.functional.gelu(y, approximate="tanh")
        y = torch.cat([y, x]) if y.shape[0] == 3 else y
        z = torch.ones(3, dtype=torch.float32)
        z[1] = 5
        z += y.mean()
        y = -z @ x.T
    return y, mode.names


def device_in_a_with(x: Any) -> Any:
    with torch.device("cpu"):
        y = torch.ones(3)
    with torch.device("meta"):
        z = torch.zeros(2)
        device = torch.get_default_device()
    return x + y, str(z.device), str(device), str(torch.tensor([1.0]).device)


def default_device(x: Any) -> Any:
    torch.set_default_device("meta")
    y = torch.ones(3)
    torch.set_default_device(None)
    return x + torch.ones(3), str(y.device)


PROGRAMS = (one_mode, nested_modes, mode_that_does_nothing, disabled, what_a_mode_is_asked, device_in_a_with)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", (*PROGRAMS, default_device), ids=lambda program: program.__name__)
def test_a_mode_that_is_left_is_part_of_one_graph(program: Any, backend: str):
    check(program, torch.randn(3, 3, requires_grad=True), graphs=1, breaks=[], backend=BACKENDS[backend])


def test_state_of_a_mode_from_outside_is_guarded():
    mode = Adding(2.0)

    def program(x: Any) -> Any:
        with mode:
            return torch.add(x, x)

    captured, x = capture(program, backend="eager", fullgraph=True), torch.randn(3)
    assert torch.equal(captured(x), x + x + 2.0)
    mode.number = 5.0
    assert torch.equal(captured(x), x + x + 5.0)
    assert not torch.overrides._get_current_function_mode_stack()


def test_a_mode_is_left_when_an_operator_raises():
    def program(x: Any, y: Any) -> Any:
        with Adding():
            return torch.gather(x, 0, y)

    captured = capture(program, backend="eager")
    captured(torch.ones(3), torch.tensor([1]))
    with pytest.raises(RuntimeError):
        captured(torch.ones(3), torch.tensor([7]))
    assert not torch.overrides._get_current_function_mode_stack()


def test_a_default_device_that_stays_is_set_by_each_call():
    def program(x: Any) -> Any:
        y = x + 1
        torch.set_default_device("meta")
        return y

    captured = capture(program, backend="eager")
    try:
        for _ in range(2):
            captured(torch.ones(3, device="cpu"))
            assert torch.ones(1).device.type == "meta"
            torch.set_default_device(None)
    finally:
        torch.set_default_device(None)


def test_a_break_in_a_mode_runs_in_it():
    def program(x: Any) -> Any:
        with Adding():
            y = torch.add(x, x)
            if y.sum() > 0:
                y = torch.add(y, y)
        return y

    check(program, torch.ones(3), recaptures=None)
