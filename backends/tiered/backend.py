"""The factory of the backend `tiered`: decides where one graph is compiled, and what happens to the result.

Knows nothing of how compiled programs are compared with eager ones.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from backends.eager import compile_graph_module, compile_handover
from backends.handover import Backend, BadOptions, Handover, Writes
from backends.tiered.attempt import GuardedAttempt
from backends.tiered.background import BACKGROUND, ProcessEnds
from backends.tiered.job import CompileJob
from backends.tiered.program import TieredProgram
from backends.tiered.quiet import modules_untouched
from backends.tiered.worker import WORKER

LookUp = Callable[[Any, Mapping[str, Any]], Backend]

REQUIRED: Final[dict[str, Mapping[str, Any]]] = {"inductor": {"fallback_random": True}}
"""Options that a compiler needs in order to draw the random numbers that eager draws."""

SENT: Final = "inductor"
"""The compiler whose results another process can leave on disk."""


def tiered(options: Mapping[str, Any], look_up: LookUp) -> Backend:
    """Run eagerly first, then by the option `compiler` (a name or a callable, "inductor" by default).

    All other options go to the compiler. Raises BadOptions if the compiler is `tiered` itself, and what looking it up
    raises.
    """
    rest = dict(options)
    name = rest.pop("compiler", "inductor")
    if name == "tiered":
        raise BadOptions("the compiler of 'tiered' cannot be 'tiered' itself")
    compiler = look_up(name, {**REQUIRED.get(name if isinstance(name, str) else "", {}), **rest})

    def start(handover: Handover) -> TieredProgram:
        eager = compile_handover(handover)
        program = TieredProgram(eager, handover.label, handover.tell)
        work = _Compilation(weakref.ref(program), CompileJob.of(handover), compiler, handover.exclusive)
        program.compiling()
        BACKGROUND.add(work)
        return program

    return Backend("tiered", compile_graph_module, start, writes=Writes.UNSEEN, options=options)


def load_compilers(name: str) -> None:
    """Import the modules that compiling with this compiler needs, which does not require exclusive access to torch."""
    import torch._dynamo.backends.debugging as debugging
    import torch._functorch.aot_autograd as aot_autograd

    assert debugging and aot_autograd
    if name == SENT:
        import torch._inductor.compile_fx as compile_fx

        assert compile_fx


class _Compilation:
    """The background work for one graph. It refers to the program weakly: an unreachable graph is not compiled."""

    def __init__(
        self,
        program: weakref.ref[TieredProgram],
        job: CompileJob,
        compiler: Backend,
        exclusive: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self.program = program
        self.job = job
        self.compiler = compiler
        self.exclusive = exclusive

    def __call__(self) -> None:
        begun = time.perf_counter()
        compiled = fits = worker = None
        with GuardedAttempt(everything=True, apart_from=(ProcessEnds,)) as attempt:
            if self.program() is None:
                return
            written = self.job.written(self.compiler.options) if self.compiler.name == SENT else None
            if written is not None:
                worker = WORKER.compile(written)
            if self.program() is not None:
                with BACKGROUND.hurrying():  # once in a process
                    load_compilers(self.compiler.name)
                with BACKGROUND.hurrying(), self.exclusive(), modules_untouched():
                    compiled, fits = self.job.compile(self.compiler)
        program = self.program()
        if program is None:
            return
        if worker is not None:
            program.status.seconds["worker"] = worker
        if compiled is None:
            program.fail(f"{self.compiler.name} raised {attempt.words}")
        else:
            program.offer(compiled, time.perf_counter() - begun, fits)
