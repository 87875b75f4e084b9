"""One module of tests, in one mode, in one process: what each test comes to, as lines of JSON.

Knows nothing of other modules, of crashes or of how often it is started: a line is written before a test starts and
before each of its captured calls, so that whoever reads the lines knows what ran when the process died. A test that
takes longer than its limit ends the process, with the stacks of its threads in the log.
"""

from __future__ import annotations

import faulthandler
import importlib
import inspect
import json
import logging
import os
import random
import resource
import sys
import time
import traceback
import unittest
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from tests.cpython import assertions
from tests.cpython.exclusions import exclusion_of_test
from tracer import capture, counters, reset
from tracer.events import LOG

UNMEASURED_CASES = ("DocTestCase", "_FailedTest", "FunctionTestCase")


@dataclass(frozen=True)
class Job:
    """What a worker is to run. `done` are tests to leave out, `only` those to run (None: all), both by their ids."""

    package: str
    module: str
    mode: str
    done: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    limit: float = 20.0
    deadline: float = float("inf")
    excluded_too: bool = False
    backend: str = "eager"
    strict: bool = False
    memory: int = 8 << 30


Run = Callable[[Any, Callable[[], Any]], Any]
"""How a test method is called: (test case, its bound method)."""


class Runner:
    """Runs test cases with their methods called as `run` says; everything around a method runs natively."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.case: Any = None
        self.run: Run = plainly
        runner = self

        def call_test_method(case: Any, method: Callable[[], Any]) -> None:
            if case is runner.case:
                runner.run(case, method)
            else:
                method()

        unittest.TestCase._callTestMethod = call_test_method  # type: ignore[attr-defined]

    def outcome(self, case: Any, run: Run) -> tuple[str, str]:
        """(pass, fail, error, skip or expected failure; the message) of one run of a new instance of the case."""
        self.case, self.run = type(case)(case._testMethodName), run
        result = unittest.TestResult()
        random.seed(5)
        faulthandler.dump_traceback_later(self.limit, exit=True)
        try:
            unittest.TestSuite([self.case]).run(result)
        except BaseException as error:  # the test raised what unittest lets through: SystemExit, KeyboardInterrupt
            return "error", f"{type(error).__name__}: {error}"
        finally:
            faulthandler.cancel_dump_traceback_later()
            self.case = None
        if result.errors:
            return "error", result.errors[0][1]
        if result.failures:
            return "fail", result.failures[0][1]
        if result.skipped:
            return "skip", str(result.skipped[0][1])
        if result.expectedFailures or result.unexpectedSuccesses:
            return "expected failure", ""
        return "pass", ""


def plainly(case: Any, method: Callable[[], Any]) -> None:
    """Call a test method as unittest does."""
    method()


def captured_run(job: Job) -> Run:
    """Calls a test method captured, with a tensor operation around it; all calls share one captured function."""
    shared: list[Any] = []

    def run(case: Any, method: Any) -> None:
        if not shared:
            test = getattr(method, "__func__", method)

            def around(self: Any, tensor: torch.Tensor) -> torch.Tensor:
                larger = tensor + 1
                test(self)
                return larger * 2

            shared.append(capture(around, backend=job.backend, strict=job.strict))
        answer = shared[0](case, torch.ones(2))
        if answer.tolist() != [4.0, 4.0]:
            raise AssertionError(f"the tensor around the test is {answer}")

    return run


def work(job: Job, tell: Callable[..., None]) -> None:
    """Run the tests of the job's module. `tell(kind, **details)` is called with every step.

    Kinds: `tests` (ids), `failed import` (message), `start` (id, time), `call` (captured call, time), `end` (id,
    outcome and what else is known), `paused` (the deadline is over), `finished`.
    """
    faulthandler.enable(sys.stderr)
    resource.setrlimit(resource.RLIMIT_AS, (job.memory, job.memory))
    warnings.simplefilter("ignore")
    logging.getLogger("bytegraph").disabled = True  # what is said of captures is not what the program logs
    torch.set_num_threads(1)
    if job.mode == "followed":
        assertions.install()
    try:
        cases = load(job.package, job.module)
    except (Exception, unittest.SkipTest) as error:
        tell("failed import", message=f"{type(error).__name__}: {error}"[:300])
        return
    names = sorted(name for name in cases if job.only is None or name in job.only)
    random.Random(1).shuffle(names)
    tell("tests", ids=names)
    runner = Runner(job.limit)
    for name in names:
        if name in job.done:
            continue
        if time.time() > job.deadline:
            tell("paused")
            return
        tell("start", id=name, time=time.time())
        reason = None if job.excluded_too else exclusion_of_test(short_name(name), source_of(cases[name]))
        excluded = {"outcome": "excluded", "message": reason}
        tell("end", id=name, **(excluded if reason else measure(job, runner, cases[name], tell)))
    tell("finished")


def load(package: str, module: str) -> dict[str, Any]:
    """The test cases of a module by their ids."""
    if package == "test":
        support = importlib.import_module("test.support")
        support.verbose, support.use_resources = 0, []
    importlib.import_module(f"{package}.{module}")
    suite = unittest.defaultTestLoader.loadTestsFromName(f"{package}.{module}")
    return {
        case.id(): case
        for case in flat(suite)
        if hasattr(case, "_testMethodName")
        and type(case).__name__ not in UNMEASURED_CASES
        and not isinstance(case, unittest.IsolatedAsyncioTestCase)
    }


def flat(suite: Any) -> Iterator[Any]:
    """The test cases in nested suites."""
    for item in suite:
        if isinstance(item, unittest.BaseTestSuite):
            yield from flat(item)
        else:
            yield item


def short_name(name: str) -> str:
    """module.Class.method, without the package."""
    return name.partition(".")[2]


def source_of(case: Any) -> str:
    """The source of a test method, "" where there is none."""
    try:
        return inspect.getsource(inspect.unwrap(getattr(type(case), case._testMethodName)))
    except (OSError, TypeError, AttributeError):
        return ""


def measure(job: Job, runner: Runner, case: Any, tell: Callable[..., None]) -> dict[str, Any]:
    """What a test comes to: its `outcome`, and what is known of its plain and its captured runs."""
    began = time.perf_counter()
    outcome, message = runner.outcome(case, plainly)
    if outcome != "pass":
        return {"outcome": "fails plainly", "plain": outcome, "message": message[-300:]}
    seconds = time.perf_counter() - began
    again, message = runner.outcome(case, plainly)
    if again != "pass":
        return {"outcome": "unsteady", "plain": again, "message": message[-300:]}
    reset()
    run = captured_run(job)
    result: dict[str, Any] = {"plain": "pass", "plain seconds": round(seconds, 3)}
    began = time.perf_counter()
    for call in (1, 2):
        tell("call", number=call, time=time.time())
        outcome, message = runner.outcome(case, run)
        result.update(captured=outcome, call=call)
        if outcome != "pass":
            break
    count = counters()
    result.update(
        seconds=round(time.perf_counter() - began, 3),
        graphs=count.graphs,
        captures=count.captures,
        hits=count.hits,
        breaks=dict(count.breaks),
        errors=[f"{event.details['code']}: {event.details['error']}"[:400] for event in LOG.recent("bug")[:3]],
    )
    if outcome != "pass":
        after, _ = runner.outcome(case, plainly)
        return {**result, "outcome": "wrong", "plain after": after, "message": message[-3000:]}
    return {**result, "outcome": "internal error" if count.tracer_bugs else "same"}


def main(job: Job, events: str) -> None:
    """Run a job in this process, which ends here. The events are appended to a file."""
    with open(events, "a", buffering=1) as file:
        owner = os.getpid()

        def tell(kind: str, **details: Any) -> None:
            if os.getpid() == owner:  # a test may fork
                file.write(json.dumps({"kind": kind, **details}, default=str) + "\n")

        try:
            work(job, tell)
        except BaseException:  # recorded for whoever started the process, which ends with it
            traceback.print_exc()
            os._exit(1)
    os._exit(0)
