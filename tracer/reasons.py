"""The catalogue of reasons for graph breaks, and the exceptions that carry them.

Every graph break names one row of this table: an id that tests and counters use, what happened, and
what the author of the captured function can do about it. Nothing here knows about frames, graphs or
guards; the code that catches a break adds where it happened.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause of graph breaks: `what` happened and a `hint` for the user, both without a full stop."""

    id: str
    what: str
    hint: str

    @property
    def remedies(self) -> list[str]:
        """What the hint says, each way to remove the break by itself; none where nothing needs fixing."""
        return [] if self.hint.startswith("nothing needs fixing") else self.hint.split(", or ")


# Asked for by the user.

EXPLICIT = Reason(
    "explicit",
    what="graph_break() was called",
    hint="remove the call to get one graph",
)
DISABLED = Reason(
    "disabled",
    what="a function marked with disable() or disallow_in_graph() is called",
    hint="remove the mark, or call the function outside of the captured function",
)

# The program needs the data of a tensor.

DATA_DEPENDENT_JUMP = Reason(
    "data-dependent-jump",
    what="the branch depends on the value of a tensor",
    hint="use torch.where, torch.cond or torch._check, or move the branch out of the captured function",
)
DATA_TO_PYTHON = Reason(
    "data-to-python",
    what="the value of a tensor is turned into a Python object",
    hint="keep the value in a tensor (no .item(), .tolist(), .numpy(), int(), float() on it)",
)
DATA_DEPENDENT_OPERATOR = Reason(
    "data-dependent-operator",
    what="the size of the operator's result depends on the value of a tensor",
    hint="use an operator whose result size follows from its inputs' sizes, such as torch.where with three arguments",
)
DATA_DEPENDENT_INDEX = Reason(
    "data-dependent-index",
    what="the value of a tensor selects an item of a Python container",
    hint="stack the items and use torch.index_select, or move the selection out of the captured function",
)

# Effects that the outside world sees at once.

PRINTING = Reason(
    "printing",
    what="output is written while the function runs",
    hint="move the print or log call out of the captured function",
)
INPUT_OUTPUT = Reason(
    "input-output",
    what="a file, socket or process is used while the function runs",
    hint="move input and output out of the captured function",
)
WARNING = Reason(
    "warning",
    what="a warning is issued while the function runs",
    hint="fix the cause of the warning, or move the call that issues it out of the captured function",
)
CLOCK = Reason(
    "clock",
    what="the program reads a clock",
    hint="read the time outside of the captured function and pass it in",
)
PYTHON_RANDOM = Reason(
    "python-random",
    what="random numbers are drawn from a generator that is not torch's",
    hint="draw from torch, or pass the numbers in",
)
RANDOM_STATE = Reason(
    "random-state",
    what="the state of a random number generator is read or set",
    hint="seed before the captured function is called",
)
DEVICE_STATE = Reason(
    "device-state",
    what="a stream, an event, the memory or the current device of an accelerator is used",
    hint="use it outside of the captured function",
)
WAITING = Reason(
    "waiting",
    what="the program waits for a lock, a thread or an event",
    hint="synchronise outside of the captured function",
)
IMPORT_STATEMENT = Reason(
    "import-statement",
    what="a module that is not loaded yet is imported",
    hint="import it at the top of the file",
)

# Autograd.

BACKWARD = Reason(
    "backward",
    what="gradients are computed while the function runs",
    hint="call backward() outside of the captured function, or accept two graphs",
)
GRADIENT_STATE = Reason(
    "gradient-state",
    what="the autograd state of a tensor is read or changed (grad, grad_fn, requires_grad_, retain_grad)",
    hint="set up gradients outside of the captured function",
)
AUTOGRAD_FUNCTION = Reason(
    "autograd-function",
    what="a custom torch.autograd.Function is applied",
    hint="write the function with differentiable operators",
)
TENSOR_HOOK = Reason(
    "tensor-hook",
    what="a hook is registered on a tensor",
    hint="register hooks outside of the captured function",
)

# Tensors that cannot be inputs or values of a graph.

TENSOR_SUBCLASS = Reason(
    "tensor-subclass",
    what="the tensor is an instance of a tensor subclass, which may redefine operators",
    hint="convert it to a plain torch.Tensor before calling the captured function",
)
TENSOR_LAYOUT = Reason(
    "tensor-layout",
    what="the tensor is not strided (sparse, nested, quantized or opaque)",
    hint="convert it to a dense tensor before calling the captured function",
)
TENSOR_STORAGE = Reason(
    "tensor-storage",
    what="the storage of a tensor is accessed or replaced (data_ptr, storage, set_, resize_, .data = ...)",
    hint="copy with copy_() instead, or move the access out of the captured function",
)
TENSOR_ATTRIBUTE = Reason(
    "tensor-attribute",
    what="an attribute of a tensor that a graph cannot represent is read or written",
    hint="keep such data beside the tensor instead of on it",
)
TENSOR_IDENTITY = Reason(
    "tensor-identity",
    what="the program uses the identity or hash of a tensor that was created in the captured function",
    hint="use a key of your own instead of id() or the tensor itself",
)

# Modes, contexts and transforms.

CONTEXT_MANAGER = Reason(
    "context-manager",
    what="a context manager that cannot be captured is entered",
    hint="enter it outside of the captured function",
)
TORCH_FUNCTION_MODE = Reason(
    "torch-function-mode",
    what="a torch function or dispatch mode is active or entered",
    hint="leave the mode before the captured function is called",
)
FUNCTION_TRANSFORM = Reason(
    "function-transform",
    what="a function transform is applied (torch.compile, torch.jit, functionalize)",
    hint="apply the transform to the captured function instead",
)
HIGHER_ORDER = Reason(
    "higher-order",
    what="a function that is passed to an operator cannot become a graph of its own",
    hint="let it compute with tensors only, return new tensors, and change nothing that exists outside of it",
)
GLOBAL_STATE = Reason(
    "global-state",
    what="process-wide state of torch is changed",
    hint="set it before the captured function is called",
)

# Python that is not traced.

UNSUPPORTED_CALL = Reason(
    "unsupported-call",
    what="a C function that the tracer knows nothing about is called",
    hint="move the call out of the captured function, or mark the function that makes it with disable()",
)
SKIPPED_FUNCTION = Reason(
    "skipped-function",
    what="a function that is never captured is called (standard library or torch internals)",
    hint="move the call out of the captured function",
)
UNSUPPORTED_ATTRIBUTE = Reason(
    "unsupported-attribute",
    what="an attribute is read or written in a way that cannot be traced",
    hint="use a plain attribute",
)
UNSUPPORTED_OPERATION = Reason(
    "unsupported-operation",
    what="a Python operation is applied to an object of a kind for which it cannot be traced",
    hint="convert the object to a plain Python object first",
)
UNSUPPORTED_OPCODE = Reason(
    "unsupported-opcode",
    what="the interpreter does not implement the bytecode instruction",
    hint="rewrite the statement in another way",
)
UNSUPPORTED_ITERATOR = Reason(
    "unsupported-iterator",
    what="an iterator that was created outside of the captured function is advanced",
    hint="pass a list or a tuple instead",
)
UNSUPPORTED_MUTATION = Reason(
    "unsupported-mutation",
    what="an object is changed in a way that the residual program cannot repeat",
    hint="change it outside of the captured function",
)
ESCAPING_GENERATOR = Reason(
    "escaping-generator",
    what="a generator created in the captured function is still running when it is returned, stored or passed on",
    hint="use a list instead",
)
ESCAPING_OBJECT = Reason(
    "escaping-object",
    what="an object that was created in the captured function cannot be rebuilt outside of it",
    hint="create it outside of the captured function",
)
VISIBLE_END = Reason(
    "visible-end",
    what="an object whose end can be seen is let go of (with a finalizer or a weak reference, or a waiting generator)",
    hint="let go of it outside of the captured function",
)
COROUTINE = Reason(
    "coroutine",
    what="a generator or a coroutine is started or resumed",
    hint="capture the function that consumes the generator, or capture the ordinary functions that it calls",
)
CLASS_DEFINITION = Reason(
    "class-definition",
    what="a class is defined while the function runs",
    hint="define it at the top of the file",
)
FRAME_INSPECTION = Reason(
    "frame-inspection",
    what="the program inspects its own frames, locals or source (dir(), inspect, sys._getframe, exec, eval)",
    hint="pass the values explicitly",
)
FRAME_OBJECT = Reason(
    "frame-object",
    what="the program takes hold of its own frame (sys._getframe, inspect.currentframe)",
    hint="nothing needs fixing here: the function runs as it is, so that the frame shows its lines and variables",
)
EXCEPTION_STATE = Reason(
    "exception-state",
    what="an exception's traceback, or the exception being handled, is used",
    hint="use only the type and the arguments of the exception",
)
RAISED_EXCEPTION = Reason(
    "raised-exception",
    what="an exception leaves the captured function",
    hint="nothing needs fixing here: the original statement raises it",
)
OPERATOR_ERROR = Reason(
    "operator-error",
    what="an operator rejects its arguments",
    hint="nothing needs fixing here: the original statement raises the error",
)
ERROR_IN_HANDLER = Reason(
    "error-in-handler",
    what="an operator may raise into a handler of the program, or after changes that it made, and cannot be repeated",
    hint="nothing needs fixing here: move writes behind the operator, or out of the try block, to get one graph",
)
NO_FAKE_KERNEL = Reason(
    "no-fake-kernel",
    what="a custom operator has no fake kernel, so that its result cannot be predicted",
    hint="register one with torch.library.register_fake, or infer one with tracer.fake_kernel(name, corpus)",
)
DEBUGGER = Reason(
    "debugger",
    what="the program calls a debugger, or sets a trace or profile function",
    hint="nothing needs fixing here: the function runs as it is, so that the debugger shows its lines and names",
)
RECURSION = Reason(
    "recursion",
    what="calls are nested too deeply to be traced",
    hint="write the recursion as a loop",
)
TOO_LONG = Reason(
    "too-long",
    what="the captured function runs more instructions than a capture may trace",
    hint="capture the body of the loop instead of the loop",
)


REASONS: dict[str, Reason] = {reason.id: reason for reason in tuple(globals().values()) if isinstance(reason, Reason)}


class GraphBreak(Exception):
    """Raised while tracing, where the graph must end. It never reaches the user."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.places: list[Any] = []
        """The user's lines in functions that the captured one was calling, the innermost first."""
        self.callees: list[tuple[Any, int]] = []
        """The code objects of the functions that were being called, and the turns of the trace when each was entered;
        the innermost first."""

    def passes(self, place: Any) -> None:
        """Add the line at which a function is left; frames of torch have the line of their caller."""
        last = self.places[-1] if self.places else None
        if place is not None and (last is None or (place.code, place.line) != (last.code, last.line)):
            self.places.append(place)

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.reason.id}: {self.reason.what}{detail}"


class NeedsNumber(GraphBreak):
    """A number that was read from a tensor, or drawn, is needed while tracing, where it is a symbol."""


class GraphBreakError(RuntimeError):
    """Raised to the user of `capture(fullgraph=True)` when the function does not fit in one graph."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ExportError(RuntimeError):
    """Raised by `export` for a function that is one graph, but does something that no graph alone can do."""


class TracerBug(AssertionError):
    """An internal error of bytegraph: what was expected, what was found instead, and where."""
