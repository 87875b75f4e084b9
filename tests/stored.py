"""For tests of stored captures: the events they cause, and the end of a process."""

import tracer
from tracer.events import LOG
from tracer.store.folder import Folder


def kinds():
    return [
        event.kind for event in LOG.recent() if event.kind in ("capture", "loaded", "stored", "file refused", "bug")
    ]


def files(path):
    return Folder(path).files()


def forget():
    """Stand for the end of a process where nothing else of it matters."""
    tracer.reset()
