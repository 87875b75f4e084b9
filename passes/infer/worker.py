"""The laboratory: trials in another process, so that an operator that crashes or hangs costs one trial only.

A keeper process, started once, forks a runner for every batch; a runner that dies is replaced by one that goes on after
the trial that killed it. Requests and answers are lines of JSON in the forms of a corpus, answers with the number of
their trial. Knows nothing of what the trials are for.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final, NoReturn, Self

import torch

from passes.infer.trials.inputs import NotMaterialised, fill_pools
from passes.infer.trials.observe import INPUT_FACTS, SEED, call_from, conditions, not_made, observe, observed
from passes.infer.trials.texts import arguments_from, texts_of
from passes.infer.trials.variant import CallVariant
from passes.meta import TensorMeta
from passes.operators.resolve import Target, UnknownOperator, resolve
from passes.processes import command_of, environment
from passes.record.calls import Call
from passes.record.schema import OUTCOME_NAMES, CorpusError

MOST_MEMORY: Final = 512 << 20  # bytes of address space that a runner may take beyond what it starts with
FLUSHED: Final = 1 << 16  # bytes of answers that are sent together
PROGRESS: Final = struct.Struct("qq")  # in memory that keeper and runner share: the trial that runs, answers sent
TRIAL_SECONDS: Final = 2.0  # of the processor, after which a trial is taken to hang and ended
TIMEOUT: Final = "timeout"
GIVEN_UP: Final = "given up after many crashes"
GARBLED: Final = "its answer is garbled"  # an operator that writes beyond its tensors may write into a text
MOST_CRASHES: Final = 40  # of one request, each of which costs a process
PATIENCE: Final = 8  # seconds of the clock for each of the processor's, as other processes may be running
ANSWERED: Final = (*INPUT_FACTS, *OUTCOME_NAMES)  # the parts of an answer, in this order

Crashes = dict[int, str]


@dataclass(frozen=True, slots=True)
class Crash:
    """A trial that killed its process: `reason` is `timeout`, the signal's name, or how the process ended."""

    op: str
    level: str
    variant: CallVariant
    reason: str


class LaboratoryError(RuntimeError):
    """The keeper of a laboratory ended, or cannot be started."""


class Laboratory:
    """Runs trials in another process, which starts when the laboratory is entered and ends when it is left.

    `modules`, which register operators, are imported there first. With `forked` the process is a copy of this one and
    has all its operators: the only way for operators of a script or a notebook, and safe as long as no other thread
    of this process uses torch.
    """

    def __init__(self, modules: Sequence[str] = (), forked: bool = False) -> None:
        self._modules = tuple(modules)
        self._start = _fork_keeper if forked else _spawn_keeper
        self._keeper: Keeper | None = None

    def __enter__(self) -> Self:
        self._keeper = self._start(self._modules)
        return self

    def __exit__(self, *failure: object) -> None:
        if self._keeper is not None:
            self._keeper.close()
        self._keeper = None

    def observe_all(
        self,
        op: str,
        level: str,
        variants: Sequence[CallVariant],
        seconds: float = TRIAL_SECONDS,
        fill: str | None = None,
    ) -> list[Call | Crash]:
        """The call that each variant is, as `observe` gives it, or the Crash that it ends in.

        A trial is taken to hang after `seconds` of the processor. `fill` is as in `observe`. Raises UnknownOperator if
        the process has no operator of this name, and LaboratoryError if the keeper was killed; another one answers the
        next request.
        """
        if self._keeper is None:
            raise LaboratoryError("a laboratory must be entered first: `with Laboratory() as laboratory:`")
        texts = [(*texts_of(variant.arguments), variant.shares) for variant in variants]
        request = {"op": op, "level": level, "seconds": seconds, "fill": fill, "variants": texts}
        try:
            answers = self._keeper.ask(request, len(variants))
        except LaboratoryError:
            self._keeper.close()
            self._keeper = self._start(self._modules)
            raise
        return [_call_or_crash(op, level, variant, answer) for variant, answer in zip(variants, answers, strict=True)]


def _call_or_crash(op: str, level: str, variant: CallVariant, answer: Any) -> Call | Crash:
    match answer:
        case {"crash": reason}:
            return Crash(op, level, variant, reason)
        case {"refused": error, "message": message}:
            return not_made(op, level, *variant, error, message)
        case _:
            try:
                return call_from(op, level, *variant, dict(zip(ANSWERED, answer, strict=True)))
            except CorpusError as error:  # as_strided gives tensors of negative sizes
                return Crash(op, level, variant, str(error))


class Keeper:
    """The asking end of a keeper process."""

    def __init__(self, pid: int, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._pid = pid
        self._requests = requests
        self._answers = answers

    def ask(self, request: Mapping[str, Any], expected: int) -> list[Any]:
        """The answers to the trials of a request. Raises UnknownOperator or LaboratoryError."""
        try:
            self._requests.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
            self._requests.flush()
        except OSError as error:
            raise LaboratoryError(f"the laboratory's process has ended: {error}") from error
        answers: dict[int, Any] = {}
        number = -1
        while number != expected:  # what is sent last has this number
            line = self._answers.readline()
            if not line.endswith(b"\n"):
                raise LaboratoryError(f"the laboratory's process ended after {len(answers)} of {expected} answers")
            number, answer = _read(line)
            if type(answer) is dict and "unknown" in answer:
                raise UnknownOperator(answer["unknown"])
            answers[number] = answer
        return [answers.get(number, {"crash": GARBLED}) for number in range(expected)]

    def close(self) -> None:
        """End the process, by closing what it reads from."""
        for end in (self._requests, self._answers):
            with suppress(BrokenPipeError):  # it has ended already
                end.close()
        os.waitpid(self._pid, 0)


def _read(line: bytes) -> tuple[int, Any]:
    """The number of a trial and its answer; -1 for a line that cannot be read."""
    number, _, text = line.partition(b" ")
    try:
        return int(number), json.loads(text)
    except ValueError:
        return -1, None


def _spawn_keeper(modules: Sequence[str]) -> Keeper:
    """A keeper in a new Python process, which finds modules where this one does."""
    command = command_of("passes.infer.worker", *modules)
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment())
    assert process.stdin is not None and process.stdout is not None
    return Keeper(process.pid, process.stdin, process.stdout)


def _fork_keeper(modules: Sequence[str]) -> Keeper:
    """A keeper in a copy of this process."""
    (asked, ask), (answered, answer) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ask)
        os.close(answered)
        _ending(partial(keep, os.fdopen(asked, "rb"), answer, modules))
    os.close(asked)
    os.close(answer)
    return Keeper(pid, os.fdopen(ask, "wb"), os.fdopen(answered, "rb"))


def _ending(work: Callable[[], None]) -> NoReturn:
    """End a forked process after its work, without the exit handlers of the original process."""
    status = 1
    try:
        work()
        status = 0
    finally:
        if status:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        os._exit(status)


def keep(requests: IO[bytes], answers: int, modules: Sequence[str]) -> None:
    """Answer requests until their stream closes."""
    for module in modules:
        import_module(module)
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _warm_up()
    for line in requests:
        _answer(json.loads(line), answers)


def _warm_up() -> None:
    """Make what a process makes once (torch imports much at some first calls), so that no runner has to."""
    with conditions():
        fill_pools(SEED)
    meta = TensorMeta((2, 2), (2, 1))
    for op, level in (("aten::neg", "aten"), ("torch.neg", "function")):
        observe(op, level, {"self": meta}, (0,))


def _answer(request: dict[str, Any], answers: int) -> None:
    """Run all trials of a request, whatever they do to the processes that run them."""
    try:
        target = resolve(request["op"], request["level"])
    except UnknownOperator as error:
        _send(answers, _line(0, {"unknown": error.args[0]}))
        return
    crashes: Crashes = {}
    count = len(request["variants"])
    with mmap.mmap(-1, PROGRESS.size) as progress:
        sent = 0
        while sent < count:
            pid = os.fork()
            if pid == 0:
                _ending(partial(_run, target, request, sent, crashes, progress, answers))
            _, status = os.waitpid(pid, 0)
            running, sent = PROGRESS.unpack(progress)
            if status != 0:
                trial = blamed(running, sent, crashes)
                if trial is None:
                    break
                crashes[trial] = _reason(status)
                if len(crashes) > MOST_CRASHES:
                    crashes.update(dict.fromkeys(range(running + 1, count), GIVEN_UP))
        for number in range(sent, count):
            _send(answers, _line(number, {"crash": crashes.get(number, GIVEN_UP)}))
    _send(answers, _line(count, None))


def blamed(running: int, first: int, crashes: Mapping[int, str]) -> int | None:
    """The trial to blame for a crash: the running one, or, if it was blamed already, the latest earlier one.

    That one may have spoilt memory that a later trial used. None if all trials from `first` on were blamed already.
    """
    return next((number for number in range(running, first - 1, -1) if number not in crashes), None)


def _reason(status: int) -> str:
    if not os.WIFSIGNALED(status):
        return f"exit {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    return TIMEOUT if number in (signal.SIGALRM, signal.SIGPROF) else signal.Signals(number).name


def _run(
    target: Target, request: Mapping[str, Any], first: int, crashes: Crashes, progress: mmap.mmap, answers: int
) -> None:
    """Run the trials from number `first` on and send their answers. Any of them may kill this process."""
    for limit in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(limit, signal.SIG_DFL)
    _limit_memory()
    variants, unsent, sent = request["variants"], bytearray(), first
    with conditions(), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        for index in range(first, len(variants)):
            PROGRESS.pack_into(progress, 0, index, sent)
            if index in crashes:
                answer: Any = {"crash": crashes[index]}
            else:
                signal.setitimer(signal.ITIMER_PROF, request["seconds"])
                signal.setitimer(signal.ITIMER_REAL, PATIENCE * request["seconds"])
                answer = _trial(target, request["level"], variants[index], request["fill"])
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.setitimer(signal.ITIMER_PROF, 0)
            unsent += _line(index, answer)
            if len(unsent) > FLUSHED or index + 1 == len(variants):
                _send(answers, unsent)
                sent = index + 1
                PROGRESS.pack_into(progress, 0, index, sent)
                unsent.clear()


def _trial(target: Target, level: str, variant: Sequence[Any], fill: str | None) -> Any:
    arguments, tensors, shares = variant
    try:
        answer = observed(target, level, arguments_from((arguments, tensors)), shares, fill)
    except NotMaterialised as error:
        return {"refused": type(error).__name__, "message": str(error)}
    return [answer[name] for name in ANSWERED]


def _line(number: int, answer: Any) -> bytes:
    """The line that answers trial `number`."""
    return b"%d %s\n" % (number, json.dumps(answer, separators=(",", ":")).encode())


def _limit_memory() -> None:
    """Make large allocations fail instead of exhausting the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _send(answers: int, text: bytes | bytearray) -> None:
    left = memoryview(text)
    while left:
        left = left[os.write(answers, left) :]


if __name__ == "__main__":
    answers_to = os.dup(1)
    os.dup2(2, 1)
    keep(sys.stdin.buffer, answers_to, sys.argv[1:])
