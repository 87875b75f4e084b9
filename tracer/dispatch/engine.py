"""The engine: on a guard miss it captures the frame, caches the entry and runs it; it also continues after a break.

One Engine serves all code objects that are captured with the same options: the captured functions
themselves, their continuations, and the frames that residual code calls.
"""

from __future__ import annotations

import sys
import tempfile
import time
import types
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from backends.account import accounted
from backends.aot import compile_with
from backends.handover import Backend, Handover, NeedsStaticSizes
from backends.registry import EAGER, look_up, replay_rows
from passes.node_meta import META, origin, result_meta
from passes.torch_facts import is_fx_tracing
from tracer._native import ends_visibly, go_on, hidden, shown
from tracer.code.decode import Code, decode
from tracer.code.resume import Layout, continuation, make_function, original_place, trampoline
from tracer.dispatch.builtins_at_start import replaced_builtin
from tracer.dispatch.cache import RETRY, RUN_ORIGINAL, Entry, FrameCache, explain_misses, frame_cache, time_guards
from tracer.dispatch.capturing import (
    Interruption,
    begin_capture,
    capture_lock,
    deep_recursion,
    end_capture,
    frames_left,
    signals_interrupt,
)
from tracer.dispatch.hook import Interceptor, exchange_interceptor, interceptor, never_capture
from tracer.dispatch.reach import reaches_tensor
from tracer.dispatch.stances import answer_of_stance
from tracer.dispatch.stored import StoredCaptures
from tracer.events import LOG, Event, emit
from tracer.frame_capture import CaptureRequest, capture_frame
from tracer.graph.builder import GraphBuilder
from tracer.graph.show import line_for_debuggers, runnable_source
from tracer.guards.explain import Difference, subject
from tracer.guards.source import Source
from tracer.interpret.early_calls import EarlyCallFailed
from tracer.interpret.location import is_library_file
from tracer.options import Options
from tracer.output.first_run import FirstRun
from tracer.output.memory_options import MemoryOptions
from tracer.output.program import BranchPlace
from tracer.pauses import no_collections
from tracer.reasons import TORCH_FUNCTION_MODE, GraphBreakError
from tracer.store.entries import EngineParts
from tracer.store.graphs import StoredGraph
from tracer.values.shapes import History, NotExpressible, Shapes

LIMIT_HINTS = {
    "equal": "pass what changes as a tensor, if it is a number, or do not read it in the captured function",
    "same object": "keep one object and change it, instead of making another for each call",
    "expression": "do not decide by a size or number that changes, or pass the number as a tensor",
    "tensor": "capture with dynamic=True if sizes change, or give the tensors one dtype and layout",
}
"""What to do about a guard that fails call after call, by its check."""

UNKNOWN_TO_FAKES = (DynamicOutputShapeException, DataDependentOutputException)
"""What a compiler raises about an operator whose result it cannot predict: such a graph is replayed."""

LEFT_TO_KERNELS = (
    "has been modified by an inplace operation",  # a write to what gradients are computed from, if they are asked for
    "element of the written-to tensor refers to a single memory location",  # which some kernels take
    "attempting to assign a gradient",  # to its own stand-in for a tensor that no longer has the layout of its gradient
)
"""What a compiler raises of a graph whose replay runs, or fails in other words."""

PATIENCE = 3
"""Calls without tensors after which frames of a library are no longer captured."""

LIMIT_HINT = "keep what the guard reads as it is, or raise recompile_limit"


class Engine:
    """Captures frames under one set of options."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.backend: Backend = look_up(options.backend, options.backend_options)
        if callable(options.backend):  # a debugger sees the user's own compiler, and no other part of a capture
            self.backend = replace(self.backend, compile=partial(shown, self.backend.compile))
        of_modules = self.backend.compile_graph is None or self.backend.takes_floats
        plans_memory = options.donate is not None or options.allocate is not None
        self.takes_data = of_modules and not plans_memory
        """Whether symbols may stand for what a graph reads from tensors."""
        self.caches: dict[int, FrameCache] = {}
        self.histories: weakref.WeakKeyDictionary[FrameCache, History] = weakref.WeakKeyDictionary()
        self.living: weakref.WeakKeyDictionary[FrameCache, None] = weakref.WeakKeyDictionary()
        """Caches in use, in the order of their first capture."""
        self.transparent: weakref.WeakKeyDictionary[FrameCache, weakref.ref[torch.nn.Module]] = (
            weakref.WeakKeyDictionary()
        )
        """Caches of bytegraph's own frames around a module, which are captured whole or not at all, and the captured
        module of each."""
        self.libraries: weakref.WeakKeyDictionary[FrameCache, int] = weakref.WeakKeyDictionary()
        """How many calls of a library's frame, which residual code called, had nothing to do with tensors."""
        self.left_alone: dict[int, types.CodeType] = {}
        """Code objects whose frames are not captured on their own any more, by their id: those of libraries without
        tensors, and those that a trace followed for too long."""
        self.donated: dict[int, tuple[types.CodeType, tuple[Source, ...]]] = {}
        """The code object and the donated access paths of each function that callers donate to, by the code's id."""
        is_transparent = self.transparent.__contains__
        parts = EngineParts(self.compile_graph, self.run_original, self.make_branch)
        self.stored = StoredCaptures(options, parts, is_transparent)
        """The captures that outlive the process."""
        self.intercept: Interceptor = interceptor(self.nested_cache)
        ENGINES.add(self)

    # Caches --------------------------------------------------------------------------------------

    def cache_for(self, code: types.CodeType) -> FrameCache:
        """The cache of a code object, made when it is first asked for."""
        cache = self.caches.get(id(code))
        if cache is None:
            cache = self.caches[id(code)] = self.new_cache(code)
        return cache

    def new_cache(self, code: types.CodeType) -> FrameCache:
        """A cache that the engine does not keep: it lives as long as its captured function."""
        return frame_cache(
            code,
            self.on_miss,
            recompile_limit=self.options.recompile_limit,
            strict=self.options.strict,
            on_limit=self.on_limit,
            interceptor=None if self.options.fullgraph else self.intercept,
        )

    def nested_cache(self, code: types.CodeType) -> FrameCache | None:
        """For frames that residual code calls; None for those that are to be left alone."""
        if self.options.fullgraph or id(code) in self.left_alone:
            return None
        cache = self.cache_for(code)
        if is_library_file(code.co_filename):
            self.libraries.setdefault(cache, 0)
        return cache

    def _computes_no_tensors(self, cache: FrameCache) -> None:
        """Count a call of a library's frame without tensors; after a few, its frames run as usual from then on."""
        self.libraries[cache] += 1
        if self.libraries[cache] >= PATIENCE and self.caches.get(id(cache.code)) is cache:
            self._leave_alone(cache.code)

    def _leave_alone(self, code: types.CodeType) -> None:
        """Run the frames of a code object as usual from now on where residual code calls them."""
        self.left_alone[id(code)] = code
        self.caches.pop(id(code), None)

    def activity(self) -> dict[FrameCache, tuple[int, int]]:
        """Hits and misses of each cache in use."""
        return {cache: (cache.hits, cache.misses) for cache in self.living}

    def forget(self) -> None:
        """Drop every capture of this engine."""
        for cache in list(self.living):  # another thread may capture meanwhile
            cache.clear()
        self.living.clear()
        self.caches.clear()
        self.libraries.clear()
        self.left_alone.clear()
        self.histories.clear()

    # Misses --------------------------------------------------------------------------------------

    def on_miss(self, cache: FrameCache, function: types.FunctionType, values: tuple[Any, ...]) -> Any:
        """Capture for a call that no entry fits. Raises GraphBreakError under fullgraph."""
        if is_traced_by_torch():
            return self._called_natively(cache, values)
        if torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack():
            emit(Event("skip", {**place_of(cache.code), "why": TORCH_FUNCTION_MODE.id}))
            return RUN_ORIGINAL
        stance_answer = answer_of_stance(cache, cache.code, lambda: self._misses(cache, function, values))
        if stance_answer is not None:
            self._note_sizes(cache, values)
            return stance_answer
        if cache in self.libraries and not reaches_tensor(values):
            self._computes_no_tensors(cache)
            return RUN_ORIGINAL
        replaced = replaced_builtin()
        if replaced is not None:
            emit(Event("skip", {**place_of(cache.code), "why": f"builtins.{replaced} was replaced"}))
            return RUN_ORIGINAL
        if not begin_capture():
            return RUN_ORIGINAL
        return undisturbed(lambda depth: self._capture(cache, function, values, depth))

    def _note_sizes(self, cache: FrameCache, values: tuple[Any, ...]) -> None:
        """Note sizes and numbers of a call that is not captured, so that what changes until the next is a symbol."""
        history = self.histories.setdefault(cache, History())
        history.begin_capture()
        for name, value in zip(cache.code.co_varnames, values, strict=False):
            if type(value) is torch.Tensor:
                history.changed_dimensions(name, tuple(value.shape))
            elif type(value) in (int, float):
                history.changes(name, value)

    def _called_natively(self, cache: FrameCache, values: tuple[Any, ...]) -> Any:
        """Run the original: the captured module itself, not the one behind it, as tracers know only that."""
        captured = self.transparent.get(cache, _nothing)()
        if captured is None:
            return RUN_ORIGINAL
        _, args, kwargs = values
        original: Any = super(type(captured), captured)
        return shown(original.__call__, *args, **kwargs)

    def on_limit(self, cache: FrameCache, function: types.FunctionType, values: tuple[Any, ...]) -> None:
        """Report a miss of a cache that has reached its limit of entries, with the guard that fails most often."""
        code = cache.code
        misses = explain_misses(cache, function, values)
        guards = [failure.guard for _, failure in misses]
        [(read, _)] = Counter(map(subject, guards)).most_common(1) or [("", 0)]
        oldest_first = reversed(guards)  # as the first capture read it, before it became a symbol
        check = next((guard.check for guard in oldest_first if subject(guard) == read), "")
        details = {**place_of(code), "limit": self.options.recompile_limit, "guard": read}
        hint = LIMIT_HINTS.get(check, LIMIT_HINT)
        emit(Event("recompile limit", {**details, "hint": hint, "why": [failure.words for _, failure in misses]}))

    def _misses(self, cache: FrameCache, function: types.FunctionType, values: tuple[Any, ...]) -> list[Difference]:
        """Why the entries did not fit, the nearest first; one reason of several entries stands once."""
        return list(dict.fromkeys(failure.difference for _, failure in explain_misses(cache, function, values)))

    def _capture(self, cache: FrameCache, function: types.FunctionType, values: tuple[Any, ...], depth: int) -> Any:
        code = cache.code
        began = time.perf_counter()
        why = self._misses(cache, function, values) if cache.entries else []
        if why:
            emit(Event("miss", {**place_of(code), "why": list(map(str, why))}))
        owns = cache.owns_arguments
        history = self.histories.setdefault(cache, History())
        history.begin_capture()
        self.living.setdefault(cache)
        time_guards(cache)
        if self.stored.sources and self.stored.load(cache, function, values):
            self._note_sizes(cache, values)
            return RETRY
        request = CaptureRequest(
            function=function,
            locals=values,
            options=self.options,
            compile_graph=self.compile_graph,
            make_branch=self.make_branch,
            run_original=self.run_original,
            shapes=partial(Shapes, history, False, draws=False),
            transparent=cache in self.transparent,
            memory=self.memory_options(code),
            replays=self.backend is EAGER,
            probes=self.backend.probes,
            writes=self.backend.writes,
            why=why,
            depth=depth,
            owns_arguments=owns,
            watched=tuple(value for value in values if ends_visibly(value)) if owns else (),
        )
        try:
            entry, first_run = self._capture_with_symbols(request, history)
        except BackendFailed as failed:
            raise failed.error from failed.error.__cause__
        except Exception as error:  # the one place that hides an internal error from the user
            if self.options.raise_bugs or self.options.fullgraph:
                raise
            emit(Event("bug", {**place_of(code), "error": f"{type(error).__name__}: {error}"}))
            return RUN_ORIGINAL
        if entry.end is not None and self.options.fullgraph:
            raise GraphBreakError(entry.end.reason, entry.end.message)
        self._report(entry, code, why, time.perf_counter() - began)
        cache.add(entry)
        if cache in self.libraries and not entry.ops:
            self._computes_no_tensors(cache)
        for long in entry.too_long:
            self._leave_alone(long)
        keep = partial(self.stored.store, cache, entry)
        if first_run is None:
            keep()
        elif cache.fits(entry, function, *values):  # otherwise what the first run waits with would live on
            first_run.expect(partial(_call_anew, cache, entry, function, values), keep)
        return RETRY

    def _capture_with_symbols(self, request: CaptureRequest, history: History) -> tuple[Entry, FirstRun | None]:
        """Capture a frame with symbols for data and for sizes, if that fails with those for sizes, else with none."""
        tried: list[Shapes] = []

        def shapes(data: bool) -> Shapes:
            tried.append(Shapes(history, self.options.dynamic, data))
            return tried[-1]

        for data in (True, False) if self.takes_data else (False,):
            try:
                return capture_frame(replace(request, shapes=partial(shapes, data)))
            except (NotExpressible, NeedsStaticSizes):
                if not any(symbols.reads_data for symbols in tried):
                    break
        return capture_frame(replace(request, shapes=partial(Shapes, history, False, draws=False)))

    def memory_options(self, code: types.CodeType) -> MemoryOptions:
        """The memory options of a frame. Arguments are donated to the captured function, not to those that it calls."""
        if self.options.donate is None:
            return MemoryOptions(None, self.options.allocate)
        donor, sources = self.donated.get(id(code), (None, ()))
        return MemoryOptions(sources if donor is code else (), self.options.allocate)

    def _report(self, entry: Entry, code: types.CodeType, why: list[Difference], seconds: float) -> None:
        """Emit the events of a capture."""
        place = place_of(code)
        emit(
            Event(
                "capture",
                {
                    **place,
                    "entry": entry.number,
                    "why": list(map(str, why)),
                    "seconds": seconds,
                    "stages": entry.seconds,
                },
            )
        )
        end = entry.end
        for _ in range(entry.restarts):
            emit(Event("restart", {**place, "until": end.location.line if end else None}))
        if entry.ops:
            text = {"text": entry.graph_text} if "graph" in LOG.detailed else {}
            emit(Event("graph", {**place, "ops": entry.ops, **text}))
        if "guards" in LOG.detailed:
            emit(Event("guards", {**place, "guards": len(entry.guards), "text": entry.guards.text}))
        if entry.skipped:
            emit(Event("skip", {**place, "why": end.reason.id if end else ""}))
        if entry.broke is not None:
            emit(Event("break", {**entry.broke.facts, "code": code.co_qualname}))

    # Graphs --------------------------------------------------------------------------------------

    def compile_graph(
        self, builder: GraphBuilder | StoredGraph, example_inputs: list[Any], shape_env: Any, label: str, replay: bool
    ) -> Callable[..., Any]:
        """The callable that the backend compiles a graph to. Its errors get a note that names a dump of the graph.

        With `replay` the graph is replayed as it is: no compiler is right for every way in which inputs may overlap.
        """
        backend = EAGER if replay or any(map(is_part_of_sparse, example_inputs)) else self.backend
        if isinstance(builder, StoredGraph):
            if backend is EAGER:
                rows, graph = builder.rows, builder.readable_graph
                return accounted(backend.name, partial(replay_rows, rows, graph, label, line_for_debuggers))
            builder, shape_env = builder.builder, builder.environment
        metas = [node.meta[META] for node in builder.graph.find_nodes(op="placeholder")]
        handover = Handover(
            graph=builder.graph,
            attributes=builder.attributes,
            example_inputs=[
                meta if isinstance(meta, torch.SymInt) else example
                for meta, example in zip(metas, example_inputs, strict=True)
            ],
            metas=metas,
            module=partial(builder.copied_module, shape_env),
            origin=origin,
            meta_of=lambda node: result_meta(node),
            shown=line_for_debuggers,
            shape_env=shape_env,
            label=label,
            tell=_tell,
            exclusive=capture_lock,
        )
        try:
            return accounted(backend.name, partial(compile_with, backend, handover))
        except NeedsStaticSizes:
            raise
        except UNKNOWN_TO_FAKES:  # which an operator refuses, or accepts, by its data
            return replayed(handover)
        except Exception as error:
            if any(words in str(error) for words in LEFT_TO_KERNELS):
                return replayed(handover)
            if builder.asks_classes:  # which may not answer all that a compiler asks
                return replayed(handover)
            reads = not self.options.fullgraph and _reads_data(builder)
            if reads or any(getattr(meta, "symbolic", True) for meta in metas):
                # With numbers as sizes, an operator that torch refuses raises in the program, within its handlers.
                raise NeedsStaticSizes(f"{type(error).__name__}: {error}") from error
            with tempfile.NamedTemporaryFile(
                "w", prefix=f"bytegraph_{backend.name}_", suffix=".py", delete=False
            ) as file:
                file.write(runnable_source(builder.graph))
            error.add_note(f"raised by the backend {backend.name!r}; the graph is in {file.name}")
            raise BackendFailed(error) from error

    # After a break -------------------------------------------------------------------------------

    def make_branch(self, code: Code, offset: int, layout: Layout) -> Callable[..., Any]:
        """What a residual program calls to run the instruction that broke; see tracer.output.program.breaking."""
        return hidden(Branch(self, code, offset, layout))

    def run_original(self, function: types.FunctionType, *values: Any) -> Any:
        """Run the original function of a frame; the frames that it calls are captured on their own."""
        args, kwargs = unbind(decode(function.__code__), values)
        return self.intercept.run_original(function, *args, **kwargs)


def replayed(handover: Handover) -> Callable[..., Any]:
    """The replay of a graph that its backend cannot compile."""
    return accounted(EAGER.name, partial(compile_with, EAGER, handover))


def place_of(code: types.CodeType) -> dict[str, Any]:
    """A code object as the details of an event."""
    return {"code": code.co_qualname, "file": code.co_filename, "line": code.co_firstlineno}


def _call_anew(cache: FrameCache, entry: Entry, function: types.FunctionType, values: tuple[Any, ...]) -> Any:
    """Remove an entry that a wrong prediction went into, and repeat its call, which captures the frame again."""
    cache.remove(entry)
    return cache.call_bound(function, *values)


def _reads_data(builder: GraphBuilder) -> bool:
    """Whether a call of the graph gives a number that it reads from a tensor."""
    calls = (node for node in builder.graph.nodes if node.op == "call_function" or node.op == "call_method")
    return any(isinstance(node.meta.get(META), (int, float, torch.SymInt)) for node in calls)


def _tell(kind: str, details: Mapping[str, Any]) -> None:
    emit(Event(kind, details))


def is_traced_by_torch() -> bool:
    """Whether a tracer or transform of torch's is at work, which a captured function leaves its operators to."""
    return (
        torch._C._are_functorch_transforms_active()
        or torch._C._is_tracing()
        or is_fx_tracing()
        or torch.compiler.is_compiling()
    )


def undisturbed(work: Callable[[int], Any]) -> Any:
    """What `work` returns, given how deeply the caller's program may nest calls. It runs as a capture does that
    `begin_capture` has begun, which ends here.
    """
    before = exchange_interceptor(None)
    depth = frames_left() + 1  # this one
    try:
        with no_collections(), deep_recursion(), signals_interrupt():
            return work(depth)
    except (Interruption, EarlyCallFailed) as carrier:
        error = carrier.error
    finally:
        exchange_interceptor(before)
        end_capture()
    raise error  # out here, so that the carrier is not its context


def _nothing() -> None:
    """A reference to no module."""


class BackendFailed(Exception):
    """Carries a backend's own error past the handler of internal errors."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def is_part_of_sparse(example: Any) -> bool:
    """Whether an input shares the memory of a tensor that is not strided, as its values do: compilers know no such."""
    base = example._base if isinstance(example, torch.Tensor) else None
    return base is not None and base.layout is not torch.strided


class Branch:
    """Runs the instruction that broke natively, then calls the continuation of the instruction that follows it.

    Calling a branch only returns the step to take: the dispatcher takes it when the frame that broke is gone.
    """

    def __init__(self, engine: Engine, code: Code, offset: int, layout: Layout) -> None:
        self.intercept = engine.intercept
        self.original, original_offset = original_place(code.native, offset)
        self.place = BranchPlace(self.original, original_offset, layout)
        self.code = trampoline(code.native, offset, layout, partial(_continuation, engine, self.original))
        self.name = code.name
        never_capture(self.code)

    def __call__(self, globals: dict[str, Any], cells: tuple[types.CellType, ...], *slots: Any) -> Any:
        return go_on(self.intercept, make_function(self.code, globals, self.name, cells), *slots)


class Continuation:
    """The rest of a function after an instruction, as a code object of its own that is captured like any other.

    A trampoline calls it, and its globals are those of the function that broke: they are not kept here, as a namespace
    that `exec` was given must die with its functions.
    """

    def __init__(self, engine: Engine, original: types.CodeType, offset: int, layout: Layout) -> None:
        self.code = continuation(original, offset, layout)
        self.name = original.co_name
        never_capture(self.code)
        self.cache = engine.cache_for(self.code)

    def __call__(self, cells: tuple[types.CellType, ...], *slots: Any) -> Any:
        globals = sys._getframe(1).f_globals
        return go_on(self.cache, make_function(self.code, globals, self.name, cells), *slots)


def _continuation(engine: Engine, original: types.CodeType, offset: int, layout: Layout) -> Callable[..., Any]:
    return hidden(Continuation(engine, original, offset, layout))


def unbind(code: Code, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Bound locals as the arguments of a call."""
    positional = code.argument_count
    named = positional + code.keyword_only_count
    args = values[:positional]
    kwargs = dict(zip(code.local_names[positional:named], values[positional:named], strict=True))
    rest = list(values[named:])
    if code.has_varargs:
        args = (*args, *rest.pop(0))
    if code.has_varkeywords:
        kwargs.update(rest.pop(0))
    return args, kwargs


ENGINES: weakref.WeakSet[Engine] = weakref.WeakSet()


def engine_of(cache: FrameCache) -> Engine:
    """The engine that fills a cache."""
    engine = getattr(cache.on_miss, "__self__", None)
    assert isinstance(engine, Engine)
    return engine


def living_caches() -> list[FrameCache]:
    """The caches of all engines in which captures were made."""
    return [cache for engine in engines() for cache in list(engine.living)]


def engines() -> Iterator[Engine]:
    """Every engine in use."""
    return iter(list(ENGINES))
