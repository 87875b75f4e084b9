"""What `import tracer` imports, and that the rest can be imported whatever state the program is in then."""

import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import tracer
from backends.crosscheck.process_state import process_state
from passes.importing import import_apart
from passes.operators.trial import is_about_data
from tracer.compiled_by_torch import warn_of_compiled
from tracer.guards.arrays import NoTensor, tensor_of

STATES = """
import torch, tracer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

class OfFunctions(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        raise AssertionError(f"importing the interpreter calls {func}")

class OfOperators(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        raise AssertionError(f"importing the interpreter calls {func}")

torch.manual_seed(3)
expected = torch.get_rng_state()
torch.set_default_dtype(torch.float64)
with torch.inference_mode(), OfOperators(), OfFunctions():
    captured = tracer.capture(lambda x: x + 1)
assert torch.equal(torch.get_rng_state(), expected)
torch.set_default_dtype(torch.float32)
x = torch.ones(3, requires_grad=True)
captured(x).sum().backward()
assert torch.equal(x.grad, torch.ones(3))
assert tracer.counters().graphs == 1
"""

WITHOUT_A_CAPTURE = """
import sys, tracer
tracer.reset()
assert tracer.counters().graphs == 0 and not tracer.is_capturing() and tracer.graph_break("nothing") is None
with tracer.stance("force_eager"):
    pass
assert "tracer.captured" not in sys.modules
"""

HEAVY = ("tracer.interpret", "tracer.values", "tracer.dispatch.engine", "tracer.page", "passes.infer", "passes.record")


def in_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_importing_leaves_the_interpreter_for_later():
    code = f"import sys, bytegraph; print([name for name in sys.modules if name.startswith({HEAVY!r})])"
    assert in_new_process(code).strip() == "[]"


@pytest.mark.slow
def test_the_interpreter_is_imported_in_any_state_of_the_program():
    in_new_process(STATES)


@pytest.mark.slow
def test_reset_counters_and_marks_need_no_capture():
    in_new_process(WITHOUT_A_CAPTURE)


def test_no_module_hides_a_public_name():
    """Importing a module later would put it in the place of the function of the same name."""
    modules = {path.stem for path in Path(tracer.__file__).parent.iterdir()}
    assert not modules & set(tracer.__all__)


def test_import_apart_waits_for_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_imported.py").write_text("import threading\nbegun.set()\nassert go.wait(60)\nwhole = True\n")
    begun, go = threading.Event(), threading.Event()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("builtins.begun", begun, raising=False)
    monkeypatch.setattr("builtins.go", go, raising=False)
    other = threading.Thread(target=import_apart, args=("half_imported",))
    other.start()
    assert begun.wait(60)
    threading.Timer(0.05, go.set).start()
    import_apart("half_imported")
    assert sys.modules.pop("half_imported").whole
    other.join()


@pytest.mark.parametrize("name", ["torch._dynamo", "torch.fx.experimental.symbolic_shapes", "numpy"])
def test_nothing_is_asked_of_a_module_that_another_thread_imports(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.ones(2)
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    warn_of_compiled(torch.nn.ReLU(), 1)
    assert not is_about_data(RuntimeError())
    assert process_state()
    if name == "numpy":
        with pytest.raises(NoTensor):
            tensor_of(array)
