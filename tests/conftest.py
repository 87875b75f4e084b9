"""What every test needs: internal errors propagate, one thread, and nothing left over from the test before.

Also the `snapshot` fixture: printed output is compared with a file in tests/snapshots; `pytest --update-snapshots`
writes the files, to be reviewed as a diff. tests/pins.py has `pin`, which does the same for values, and tests/costs.py
measures what each test costs.
"""

import gc
import getpass
import logging
import logging.handlers
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["BYTEGRAPH_RAISE_BUGS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
import torch

from tests.costs import Ledger, Meter
from tests.pins import PinWriter, pin  # noqa: F401 - a fixture
from tests.printed import normalized

torch.set_num_threads(1)

SNAPSHOTS = Path(__file__).parent / "snapshots"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="write tests/snapshots, and the output in docs/")
    parser.addoption("--update-pins", action="store_true", help="write tests/pins")
    parser.addoption("--costs", metavar="FILE", help="write the seconds of CPU that each test cost")
    parser.addoption("--update-slow", action="store_true", help="write tests/slow.txt from what the tests cost")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Meter())
    if not hasattr(config, "workerinput"):  # once for all processes of a run
        file = config.getoption("--costs")
        config.pluginmanager.register(Ledger(file and Path(file), config.getoption("--update-slow")))
        config.pluginmanager.register(PinWriter())


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Import the test modules without garbage collections: what they make stays, and would be searched in vain."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    if "tracer.dispatch.engine" in sys.modules:
        from tests.graph_programs import install

        install()


class LogRecords(logging.handlers.BufferingHandler):
    """What is logged during a test: `records`, and their messages as `text`. It runs no code that is captured."""

    def __init__(self) -> None:
        super().__init__(capacity=sys.maxsize)

    @property
    def records(self) -> list[logging.LogRecord]:
        return self.buffer

    @property
    def text(self) -> str:
        return "\n".join(record.getMessage() for record in self.records)

    @contextmanager
    def at_level(self, level: int, logger: str | None = None) -> Iterator[None]:
        chosen = logging.getLogger(logger)
        before = chosen.level
        chosen.setLevel(level)
        try:
            yield
        finally:
            chosen.setLevel(before)


@pytest.fixture
def caplog() -> Iterator[LogRecords]:
    """In the place of pytest's, whose plugin goes through all loggers of torch and transformers six times a test."""
    handler = LogRecords()
    logging.getLogger().addHandler(handler)
    try:
        yield handler
    finally:
        logging.getLogger().removeHandler(handler)


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Compare text with the snapshot named after the test."""
    path = SNAPSHOTS / f"{request.node.name}.txt"

    def compare(text: str) -> None:
        text = normalized(text)
        if request.config.getoption("--update-snapshots"):
            SNAPSHOTS.mkdir(exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"no snapshot {path.name}: run pytest --update-snapshots and review it"
        assert text == path.read_text()

    return compare


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever is written where no folder is named (scripts of checks, graphs that a backend failed on) is pytest's.

    Inductor keeps its cache where it was: it makes later runs faster.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}")
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("files"))
    yield
    tempfile.tempdir = before


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    """Seeds before each test; caches, counters and torch's modes as they were after it."""
    torch.default_generator.manual_seed(0)  # torch.manual_seed records a traceback for each kind of device: 2 ms
    random.seed(0)
    np.random.seed(0)
    yield
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    tracer = sys.modules.get("tracer")
    if tracer is not None and hasattr(tracer, "reset"):
        tracer.reset()
