"""A real server in a process of its own."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

START_SECONDS = 30


class DevServer:
    """Runs `jobplane dev` on a free port; started again, it has the same port and data."""

    def __init__(self, data: Path) -> None:
        self.port = 0
        self._data = data
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return once the server answers."""
        script = Path(sys.executable).with_name("jobplane")
        self._data.mkdir(exist_ok=True)
        command = [str(script), "dev", "--port", str(self.port), "--http-port", "0"]
        with (self._data.parent / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--data", str(self._data)], stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.port = int(self._ready_line().split("grpc=")[1].split()[0].rpartition(":")[2])

    def kill(self) -> None:
        """End the server as a crash would."""
        self._end(lambda process: process.kill())

    def stop(self) -> None:
        """End the server in good order."""
        self._end(lambda process: process.terminate())

    def _ready_line(self) -> str:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        guard = threading.Timer(START_SECONDS, process.kill)
        guard.start()
        line = process.stdout.readline()
        guard.cancel()
        log = (self._data.parent / "server.log").read_text()
        assert line.startswith("jobplane ready "), f"not ready: {line!r}\n{log}"
        return line

    def _end(self, ask: Callable[[subprocess.Popen[str]], None]) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        ask(process)
        process.communicate(timeout=30)
