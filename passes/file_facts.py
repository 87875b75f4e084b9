"""What files are like, as a hash that changes when one of them is written, added or removed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable


def files_hash(root: str | os.PathLike[str], folders: Iterable[str], endings: tuple[str, ...]) -> str:
    """A hash of the names, sizes and times of change of the files with these endings in folders below `root`.

    Folders whose names have a dot in them, and caches of bytecode, are left out. Raises OSError.
    """
    facts: list[str] = []
    waiting = [os.path.join(root, folder) for folder in folders]
    start = len(os.path.join(root, ""))
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(endings):
                    status = entry.stat()
                    facts.append(f"{entry.path[start:]} {status.st_size} {status.st_mtime_ns}")
                elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
                    waiting.append(entry.path)
    return hashlib.sha256("\n".join(sorted(facts)).encode(errors="surrogatepass")).hexdigest()
