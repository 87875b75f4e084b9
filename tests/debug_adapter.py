"""A client of debugpy, the debugger of VS Code, by the Debug Adapter Protocol: runs a script, notes where it stops."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 120  # seconds, for programs that hang


def debugged_stops(script: Path, lines: Sequence[int]) -> tuple[list[tuple[str, int, list[str]]], str]:
    """Where a script stops that has breakpoints at these lines, and what it prints.

    A stop is (function, line, names of its locals).
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-Xfrozen_modules=off", "-m", "debugpy", "--listen", str(port), "--wait-for-client"]
    environment = {**os.environ, "PYDEVD_USE_SYS_MONITORING": "0"}
    process = subprocess.Popen(
        [*command, str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    try:
        adapter = Adapter(port)
        stops = adapter.run(script, lines)
        adapter.close()
        return stops, process.communicate(timeout=PATIENCE)[0]
    finally:
        process.kill()
        process.wait()


class Adapter:
    """A connection to debugpy."""

    def __init__(self, port: int) -> None:
        self._socket = _connected(port)
        self._file = self._socket.makefile("rb")
        self._number = 0

    def close(self) -> None:
        """End the connection; the script goes on by itself."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._file.close()
        self._socket.close()

    def run(self, script: Path, lines: Sequence[int]) -> list[tuple[str, int, list[str]]]:
        """Set the breakpoints and run the script to its end."""
        self._answer("initialize", adapterID="debugpy", pathFormat="path", linesStartAt1=True)
        self._send("attach", justMyCode=True)
        self._wait(lambda message: message.get("event") == "initialized")
        self._answer("setBreakpoints", source={"path": str(script)}, breakpoints=[{"line": line} for line in lines])
        self._send("configurationDone")
        stops: list[tuple[str, int, list[str]]] = []
        while (message := self._wait(lambda message: message.get("event") in ("stopped", "terminated"))) is not None:
            if message["event"] == "terminated":
                break
            thread = message["body"]["threadId"]
            frame = self._answer("stackTrace", threadId=thread)["stackFrames"][0]
            scope = self._answer("scopes", frameId=frame["id"])["scopes"][0]
            names = self._answer("variables", variablesReference=scope["variablesReference"])["variables"]
            stops.append((frame["name"], frame["line"], [name["name"] for name in names]))
            self._send("continue", threadId=thread)
        return stops

    def _send(self, command: str, **arguments: Any) -> int:
        self._number += 1
        request = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return self._number

    def _answer(self, command: str, **arguments: Any) -> Any:
        number = self._send(command, **arguments)
        message = self._wait(lambda message: message.get("request_seq") == number)
        assert message is not None and message["success"], message
        return message.get("body")

    def _wait(self, wanted: Callable[[Any], bool]) -> Any:
        """The next message of the wanted kind; None at the end of the connection."""
        while (message := self._read()) is not None and not wanted(message):
            pass
        return message

    def _read(self) -> Any:
        length = 0
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return json.loads(self._file.read(length)) if length else None


def _connected(port: int) -> socket.socket:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
