"""A folder of stored entries: one file each, below a folder for each key. Nothing here knows what is in an entry.

A file is written beside its place and renamed, so that whoever reads sees all of it or nothing. Its name and its first
line have the hash of what follows. Files that have not been read for longest are removed when the folder grows too
large. A folder that cannot be written to is only read.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from tracer.store.errors import BadFile

SUFFIX: Final = ".capture"
MAGIC: Final = "bytegraph-capture 4"
SIZE_VARIABLE: Final = "BYTEGRAPH_CACHE_SIZE"
SIZE_LIMIT: Final = 1 << 30
"""Bytes that a folder may take, unless the environment says otherwise."""
FILE_LIMIT: Final = 1 << 27
"""Bytes of the largest file that is read or written."""
KEY_LENGTH: Final = 32
HASH_LENGTH: Final = 64
NAME_LENGTH: Final = 8
"""Random bytes in the name of a file while it is written."""
DIGITS: Final = 11
"""Of the seconds since the epoch: more than there are in the years that calendars know."""
WRITTEN_BY_OTHERS: Final = 0o022
READABLE: Final = 0o644
"""The mode of a file: an image that root has filled is read by other users."""


class StoredFile(NamedTuple):
    """One file: where it is, its size in bytes, and when it was used last, in seconds since the epoch."""

    path: Path
    size: int
    used: float


class Folder:
    """One folder of entries."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def files(self, key: str | None = None) -> list[StoredFile]:
        """The files of one key, or all, the ones used latest first."""
        pattern = f"{key[:KEY_LENGTH]}/*{SUFFIX}" if key else f"*/*{SUFFIX}"
        files = []
        paths: list[Path] = []
        with suppress(OSError):  # a folder that cannot be read, or whose name no folder can have, has no files
            paths = list(self.path.glob(pattern))
        for path in paths:
            with suppress(OSError):  # another process may have removed it
                status = path.stat()
                files.append(StoredFile(path, status.st_size, status.st_mtime))
        return sorted(files, key=lambda file: (-file.used, file.path.name))

    def write(self, key: str, content: dict[str, Any]) -> Path | None:
        """Write an entry; None if it cannot be, or if it is there already. Raises ValueError if it is too large."""
        body = json.dumps(content, separators=(",", ":")).encode()
        if len(body) > FILE_LIMIT:
            raise ValueError(f"an entry of {len(body)} bytes")
        name = hashlib.sha256(body).hexdigest()
        place = self.path / key[:KEY_LENGTH] / (name[:KEY_LENGTH] + SUFFIX)
        header = f"{key} {round(time.time())}"
        content_hash = hashlib.sha256(header.encode() + b"\n" + body).hexdigest()
        try:
            if place.exists():
                return None
            place.parent.mkdir(parents=True, exist_ok=True)
            _write_at_once(place, f"{MAGIC}\n{content_hash}\n{header}\n".encode() + body)
            self.shrink(keep=place)
        except OSError:
            return None
        return place

    def shrink(self, limit: int | None = None, keep: Path | None = None) -> int:
        """Remove the files used longest ago until the rest takes `limit` bytes at the most; how many were removed."""
        limit = size_limit() if limit is None else limit
        total = removed = 0
        for file in self.files():
            total += file.size
            if total > limit and file.path != keep:
                with suppress(OSError):
                    file.path.unlink()
                    removed += 1
                with suppress(OSError):  # unless others are in it
                    file.path.parent.rmdir()
        return removed


def _write_at_once(place: Path, content: bytes) -> None:
    """Write a file beside its place, and rename it. Raises OSError.

    Its name there is the system's random numbers: those of `random` may be the program's own.
    """
    beside = place.with_name(f".{os.urandom(NAME_LENGTH).hex()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, READABLE)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), READABLE)
            file.write(content)
        os.replace(beside, place)
    except BaseException:
        os.unlink(beside)
        raise


def size_limit() -> int:
    """The bytes that a folder may take."""
    text = os.environ.get(SIZE_VARIABLE, "")
    return int(text) if text.isdecimal() and len(text) < 20 else SIZE_LIMIT


def read(path: Path, key: str | None = None) -> tuple[Any, float]:
    """What is in a file, as JSON, and when it was written. Raises BadFile.

    Files that others than their owner may write to, or of another owner than this user and root, are not trusted.
    """
    try:
        with open(path, "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            if status.st_uid not in (os.geteuid(), 0) or status.st_mode & WRITTEN_BY_OTHERS:
                raise BadFile("others may write to it")
            if status.st_size > FILE_LIMIT:
                raise BadFile(f"it has {status.st_size} bytes")
            text = file.read(FILE_LIMIT)
    except OSError as error:
        raise BadFile(str(error)) from None
    magic, _, rest = text.partition(b"\n")
    content_hash, _, content = rest.partition(b"\n")
    if magic != MAGIC.encode():
        raise BadFile("it is no file of this format")
    if hashlib.sha256(content).hexdigest().encode() != content_hash:
        raise BadFile("its content is not what was written")
    header, _, body = content.partition(b"\n")
    written_key, _, moment = header.partition(b" ")
    if key is not None and written_key != key.encode():
        raise BadFile("it belongs to other code")
    if not (moment.isdigit() and len(moment) <= DIGITS):
        raise BadFile("it was written at no time")
    try:
        return json.loads(body), float(moment)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"it is no JSON: {error}") from None


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def touch(path: Path) -> None:
    """Note that a file was used now, if the folder can be written to."""
    with suppress(OSError):
        os.utime(path)
