"""Programs on devices: tensors that move, facts about devices, autocast, random numbers, streams, pinned memory.

They run on `meta`, and where DEVICE names another device in the environment (`make test DEVICE=cuda`) on that as well.
A device that this machine has not is skipped. On `stand_in` (tests/stand_in_device) they run in a process of its own.
"""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from tests import stand_in_device
from tests.check import BACKENDS, check, one_graph
from tests.imports import ROOT
from tracer import capture, counters, reset

DEVICE = os.environ.get("DEVICE", "")
if DEVICE == stand_in_device.NAME:
    stand_in_device.register()


def is_there(name):
    """Whether this machine has a device."""
    if name == "meta":
        return True
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator is not None and accelerator.type == name


def is_eager(backend):
    """Whether a backend runs the graph as it is."""
    return backend != "aot_eager"


@pytest.fixture(params=["meta", *([DEVICE] if DEVICE else [])])
def device(request):
    """The name of a device, without its index."""
    if not is_there(request.param):
        pytest.skip(f"this machine has no device {request.param!r}")
    return request.param


@pytest.fixture
def accelerator(device):
    """A device that computes."""
    if device == "meta":
        pytest.skip("tensors on meta have no data")
    return device


@pytest.fixture(params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


def ramp(device, *shape, **options):
    """Numbers on a device that are the same for each device."""
    count = int(torch.Size(shape).numel())
    numbers = (torch.arange(count, dtype=torch.float32) / count - 0.4).reshape(shape).to(device)
    return numbers.requires_grad_(**options) if options else numbers


# Tensors on devices ----------------------------------------------------------------------------------


def test_operators_run_where_their_tensors_are(device, backend):
    def program(x, weight):
        hidden = F.relu(F.linear(x, weight))
        return hidden.sum(-1, keepdim=True) + torch.ones_like(hidden), hidden.transpose(0, 1)

    one_graph(program, ramp(device, 3, 4), ramp(device, 5, 4, requires_grad=True), backend=backend)


def test_writes_and_views(device, backend):
    def program(x):
        y = x * 2
        y[0] += 1
        view = y.view(-1)[2:]
        view.mul_(3)
        x.add_(1)
        return y, view, x

    one_graph(program, ramp(device, 3, 4), backend=backend)


def test_factories_take_devices_in_every_spelling(device, backend):
    place = torch.device(device)

    def program(x):
        here = torch.zeros(2, device=x.device)
        named = torch.ones(2, device=device)
        given = torch.full((2,), 3.0, device=place)
        made = torch.arange(2, device=torch.device(device))
        return here + named + given + made, torch.empty(0, device=torch.device(device, 0)).device

    one_graph(program, ramp(device, 2), backend=backend)


def test_tensors_move_to_a_device(device, backend):
    def program(x):
        there = x.to(device)
        again = there.to(torch.device(device), non_blocking=True).to(torch.float64)
        return there * 2, again, there.to(there), x.to(device=device, dtype=torch.float16)

    one_graph(program, ramp("cpu", 3), backend=backend)


def test_tensors_come_back(accelerator, backend):
    def program(x):
        return x.cpu() + 1, x.to("cpu", torch.float64), x.to(torch.device("cpu")).to(accelerator) * 2

    one_graph(program, ramp(accelerator, 3), backend=backend)


def test_a_module_moves(device):
    def program(model, x):
        return model.to(device)(x.to(device))

    check(program, torch.nn.Linear(3, 2), ramp("cpu", 3), gradients=False, recaptures=None)


def test_a_tensor_on_two_devices_is_refused_in_the_words_of_torch(accelerator, backend):
    def program(x, y):
        try:
            return x + y
        except RuntimeError as error:
            return str(error)

    check(program, ramp(accelerator, 3), ramp("meta", 3), backend=backend)

    def raises(x, y):
        return torch.mm(x, y)

    check(raises, ramp(accelerator, 3, 3), ramp("cpu", 3, 3), backend=backend)


# Facts -----------------------------------------------------------------------------------------------


def test_facts_about_devices_are_constants(device, backend):
    def program(x):
        facts = [x.device, x.device.type, x.device.index, x.get_device(), x.is_cuda, x.is_cpu, x.is_meta]
        if x.device.type == device and x.device == torch.device(x.device):
            x = x + 1
        if str(x.device).startswith(device):
            x = x * 2
        return facts, x, x.device.type in ("cpu", "cuda"), f"{x.device}", hash(x.device) == hash(torch.device(x.device))

    one_graph(program, ramp(device, 3), backend=backend)


def test_a_device_of_a_tensor_is_guarded(device):
    def program(x):
        return x * 2 if x.device.type == "cpu" else x * 3

    captured = capture(program)
    reset()
    for place, captures in [("cpu", 1), (device, 2), ("cpu", 2), (device, 2)]:
        assert captured(ramp(place, 3)).device.type == place
        assert counters().captures == captures, place


def test_the_index_of_a_device_is_guarded(accelerator):
    if torch.accelerator.device_count() < 2:
        pytest.skip("this machine has one device")

    def program(x):
        return torch.zeros_like(x), x.device.index

    captured = capture(program)
    reset()
    for index, captures in [(0, 1), (1, 2), (0, 2)]:
        zeros, where = captured(ramp(f"{accelerator}:{index}", 3))
        assert (zeros.device.index, where, counters().captures) == (index, index, captures)


def test_the_current_device_is_guarded(accelerator, backend):
    """Not under AOTAutograd, whose fake tensors remember devices without an index by the first one."""
    if not is_eager(backend):
        pytest.skip("torch remembers the device of a factory without its index")
    if torch.accelerator.device_count() < 2:
        pytest.skip("this machine has one device")

    def program(x):
        y = torch.ones(3, device=accelerator)
        return y, y.device.index, x.to(accelerator).get_device(), x.to(accelerator) + y

    captured = capture(program, backend=backend)
    before = torch.accelerator.current_device_index()
    try:
        for index in (0, 1, 0, 1):
            torch.accelerator.set_device_index(index)
            y, where, other, total = captured(torch.ones(3))
            assert (y.get_device(), where, other, total.get_device()) == (index,) * 4
    finally:
        torch.accelerator.set_device_index(before)


def test_a_device_that_a_tensor_from_outside_is_given(device):
    """`.data =` moves the tensor under a guard that held."""
    model = torch.nn.Linear(2, 2)

    def program(x):
        return model(x.to(model.weight.device))

    captured = capture(program)
    captured(torch.ones(2))
    model.to(device)
    assert captured(torch.ones(2)).device.type == device


def test_a_branch_on_what_the_machine_has(device, backend):
    def program(x):
        if torch.cuda.is_available():
            x = x.cuda()
        place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return x + 1, place, torch.get_default_device(), torch.backends.mps.is_available()

    one_graph(program, ramp("cpu" if torch.cuda.is_available() else device, 3), backend=backend)


def test_numbers_of_devices_are_read(device):
    def program(x):
        return x + torch.cuda.device_count(), torch.accelerator.is_available()

    check(program, ramp(device, 2))


# Data ------------------------------------------------------------------------------------------------


def test_a_branch_on_data(accelerator, backend):
    def program(x):
        if x.sum() > 0:
            return x + x.max().item()
        return x - x.tolist()[0]

    check(program, ramp(accelerator, 3), backend=backend)
    check(program, ramp(accelerator, 3) + 3, backend=backend)


def test_data_that_a_device_has_not():
    def program(x):
        try:
            return (x + 1).item()
        except RuntimeError as error:
            return type(error)

    check(program, ramp("meta", 1))


def test_sizes_change(device, backend):
    def program(x):
        return x.reshape(-1, 2).sum(0) + x.shape[0]

    captured = capture(program, backend=backend)
    reset()
    for size in (4, 6, 8, 10):
        assert captured(ramp(device, size)).device.type == device
    assert counters().captures == 2


def test_arrays_of_numpy_are_refused_in_the_words_of_torch(device):
    def program(x):
        return (x + 1).numpy()

    check(program, ramp(device, 2))


# Training --------------------------------------------------------------------------------------------


def test_a_step_of_training(accelerator, backend):
    def program(model, optimizer, x):
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def make():
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)).to(accelerator)
        return model, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9), ramp(accelerator, 2, 3)

    check(program, make=make, backend=backend, recaptures=None, gradients=False)


# Autocast --------------------------------------------------------------------------------------------


def test_autocast_inside(accelerator, backend):
    def program(x, weight):
        with torch.autocast(accelerator, dtype=torch.bfloat16):
            low = x @ weight
            assert torch.is_autocast_enabled(accelerator)
            with torch.autocast(accelerator, enabled=False):
                full = x @ weight
            again = F.linear(x, weight)
        return low, full, again, x @ weight, torch.is_autocast_enabled(accelerator)

    one_graph(program, ramp(accelerator, 3, 3), ramp(accelerator, 3, 3), backend=backend)


def test_autocast_of_one_device_leaves_others_alone(accelerator, backend):
    def program(x, weight):
        with torch.autocast(accelerator, dtype=torch.bfloat16):
            here = x @ weight
            with torch.autocast("cpu", dtype=torch.float16):
                there = x.cpu() @ weight.cpu()
            return here, there, x.cpu() @ weight.cpu()

    one_graph(program, ramp(accelerator, 3, 3), ramp(accelerator, 3, 3), backend=backend)


def test_autocast_outside_is_guarded(accelerator, backend):
    def program(x, weight):
        y = x @ weight
        return y, y.dtype, torch.get_autocast_dtype(accelerator), torch.is_autocast_enabled(accelerator)

    captured = capture(program, strict=True, backend=backend)
    x = ramp(accelerator, 3, 3)
    for _ in range(2):
        for options in ({"enabled": False}, {"dtype": torch.bfloat16}, {"dtype": torch.float16}):
            with torch.autocast(accelerator, **options):
                expected, got = program(x, x), captured(x, x)
            assert torch.equal(expected[0], got[0]) and got[0].dtype == expected[1] and got[1:] == expected[1:], options


@pytest.mark.parametrize("place", ["cpu", "cuda", "xpu", "here"])
def test_the_dtype_of_autocast_is_guarded_while_it_is_off(device, place):
    place = (DEVICE or "cuda") if place == "here" else place

    def program(x):
        return x + 1, torch.get_autocast_dtype(place)

    captured = capture(program, strict=True)
    before = torch.get_autocast_dtype(place)
    try:
        for dtype in (torch.bfloat16, torch.float16, torch.bfloat16):
            torch.set_autocast_dtype(place, dtype)
            assert captured(torch.ones(1))[1] is dtype
    finally:
        torch.set_autocast_dtype(place, before)


def test_autocast_is_left_after_an_error(accelerator, backend):
    def program(x):
        with torch.autocast(accelerator, dtype=torch.float16):
            y = x @ x
            return y[torch.tensor([7], device=accelerator)]

    captured = capture(program, backend=backend)
    before = torch.get_autocast_dtype(accelerator)
    for _ in range(2):
        with pytest.raises(IndexError):
            captured(ramp(accelerator, 3, 3))
        assert not torch.is_autocast_enabled(accelerator) and torch.get_autocast_dtype(accelerator) is before


def test_autocast_without_a_device_of_it(device):
    def program(x):
        with torch.autocast("cuda", dtype=torch.float16, enabled=torch.cuda.is_available()):
            return x * 2, torch.is_autocast_enabled("cuda")

    one_graph(program, ramp(device, 2))


# Random numbers --------------------------------------------------------------------------------------


def test_random_numbers_are_those_of_the_device(accelerator, backend):
    def program(x):
        noise = torch.rand(3, device=accelerator) + torch.randn_like(x)
        return F.dropout(x, 0.5) + noise, torch.rand(2)

    one_graph(program, ramp(accelerator, 3), backend=backend if is_eager(backend) else "eager")


def test_generators_of_a_device(accelerator):
    def program(x, generator):
        y = torch.rand(3, device=accelerator, generator=generator)
        return x + y, generator.device

    generator = torch.Generator(accelerator)
    expected, captured = [], capture(program)
    for call in (program, captured):
        generator.manual_seed(5)
        expected.append([call(ramp(accelerator, 3), generator)[0] for _ in range(3)])
    assert all(map(torch.equal, *expected))


def test_a_generator_that_the_program_makes(accelerator):
    def program(x):
        generator = torch.Generator(device=accelerator)
        generator.manual_seed(3)
        return x + torch.rand(3, device=accelerator, generator=generator)

    check(program, ramp(accelerator, 3), recaptures=None)


def test_seeds_and_states_of_a_device(accelerator):
    def program(x):
        module = torch.get_device_module(accelerator)
        state = module.get_rng_state()
        first = torch.rand(3, device=accelerator)
        module.set_rng_state(state)
        second = torch.rand(3, device=accelerator)
        torch.manual_seed(5)
        return x + first - second, torch.rand(2, device=accelerator)

    check(program, ramp(accelerator, 3))


def test_random_numbers_after_an_error(accelerator, backend):
    def program(x, index):
        try:
            noise = torch.rand(3, device=accelerator) + torch.rand(3).to(accelerator)
            return (x + noise)[index]
        except IndexError:
            return torch.rand(3, device=accelerator), torch.rand(2)

    backend = backend if is_eager(backend) else "eager"
    check(program, ramp(accelerator, 3), torch.tensor([7], device=accelerator), backend=backend)
    check(program, ramp(accelerator, 3), torch.tensor([1], device=accelerator), backend=backend)


# Streams, and what else belongs to the process -------------------------------------------------------


def test_a_stream_ends_the_graph(accelerator):
    def program(x):
        stream = torch.Stream(device=accelerator)
        y = x + 1
        with stream:
            z = y * 2
        torch.accelerator.current_stream().wait_stream(stream)
        torch.accelerator.synchronize()
        return z + 1

    check(program, ramp(accelerator, 3), recaptures=None)


def test_synchronising_ends_the_graph(accelerator):
    def program(x):
        y = x + 1
        torch.get_device_module(accelerator).synchronize()
        return y * 2

    check(program, ramp(accelerator, 3), breaks=["device-state"])


def test_a_current_device_that_is_set(accelerator):
    def program(x):
        with torch.get_device_module(accelerator).device(torch.accelerator.device_count() - 1):
            y = torch.ones(3, device=accelerator)
        return y, torch.ones(3, device=accelerator) + 1, y.device

    check(program, ramp(accelerator, 3), recaptures=None)


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.cuda.synchronize(),
        lambda: torch.cuda.current_stream(),
        lambda: torch.cuda.Stream(),
        lambda: torch.cuda.Event(),
        lambda: torch.cuda.set_device(0),
        lambda: torch.cuda.current_device(),
        lambda: torch.cuda.get_device_properties(0),
        lambda: torch.cuda.memory_allocated(),
        lambda: torch.cuda.empty_cache(),
        lambda: torch.cuda.get_rng_state(),
        lambda: torch.accelerator.synchronize(),
        lambda: torch.accelerator.current_stream(),
        lambda: torch.cuda.nvtx.range_push("range"),
    ],
)
def test_functions_of_a_device_that_is_not_there(call):
    def program(x):
        y = x + 1
        try:
            call()
        except (RuntimeError, AssertionError, AttributeError, ValueError) as error:
            return y, type(error)
        return y * 2

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    check(program, torch.ones(2), recaptures=None)


# Default devices -------------------------------------------------------------------------------------


def test_a_default_device_inside(device):
    def program(x):
        with torch.device(device):
            y = torch.ones(3)
        return y, torch.ones(3), torch.get_default_device()

    check(program, ramp("cpu", 3), recaptures=None)


def test_a_default_device_outside(device):
    def program():
        y = torch.ones(3)
        return y.device.type, torch.get_default_device().type, y + 1

    captured = capture(program)
    try:
        for place in (None, device, None, device):
            torch.set_default_device(place)
            assert captured()[:2] == ((place or "cpu",) * 2)
    finally:
        torch.set_default_device(None)


# Pinned memory ---------------------------------------------------------------------------------------


def test_pinned_memory(accelerator, backend):
    def program(x):
        pinned = x.pin_memory()
        made = torch.ones(3, pin_memory=True)
        return pinned.is_pinned(), x.is_pinned(), made.is_pinned(), pinned.to(accelerator, non_blocking=True) * 2

    check(program, torch.ones(3), backend=backend, recaptures=None)


def test_pinned_memory_of_arguments(accelerator):
    def program(x):
        return x * 2 if x.is_pinned() else x * 3

    captured = capture(program)
    for x in (torch.ones(3), torch.ones(3).pin_memory(), torch.ones(3)):
        assert torch.equal(captured(x), program(x))


# The stand-in ----------------------------------------------------------------------------------------


def test_all_programs_run_on_a_device_of_their_own():
    """In a process of its own, as a process with an accelerator is another one."""
    if DEVICE:
        pytest.skip(f"the programs run on {DEVICE}")
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "DEVICE": stand_in_device.NAME, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
