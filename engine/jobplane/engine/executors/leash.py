"""The leash: the descriptors that tie one child to the thread that follows it."""

import os
import selectors
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jobplane.engine.executors import frames
from jobplane.engine.executors.attempts import LOG_FOLDER
from jobplane.engine.executors.family import Child
from jobplane.engine.executors.output import OutputFile

_SEND_S = 30.0
_DRAIN_S = 1.0
_EXIT_S = 1.0

Hear = Callable[[list[frames.ToServer]], None]
# Takes what came on "stdout" or "stderr".
Tap = Callable[[str, bytes], None]


class Leash:
    """The line, the outputs and a bell, waited on together."""

    def __init__(self, child: Child, folder: Path, log_limit_bytes: int, tap: Tap) -> None:
        self.child = child
        child.channel.settimeout(_SEND_S)
        self._reader: frames.FrameReader[frames.ToServer] = frames.FrameReader(
            child.channel, frames.ToServer
        )
        logs = folder / LOG_FOLDER
        self.outputs = (
            OutputFile(
                child.stdout, logs / "stdout.log", log_limit_bytes, tap=partial(tap, "stdout")
            ),
            OutputFile(
                child.stderr, logs / "stderr.log", log_limit_bytes, tap=partial(tap, "stderr")
            ),
        )
        # Guards the bell: it is rung by threads that do not know when the attempt is over.
        self._lock = threading.Lock()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(child.channel, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        for output in self.outputs:
            self._selector.register(output.source, selectors.EVENT_READ, output)
        self._is_line_open = True

    def nudge(self) -> None:
        """Have the thread that waits look again."""
        with self._lock:
            if self._bell >= 0:
                os.eventfd_write(self._bell, 1)

    def turn(self, timeout_s: float, hear: Hear) -> bool:
        """Wait for something and take it; False once the child closed its line."""
        was_open = self._is_line_open
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, OutputFile):
                if not key.data.copy():
                    self._selector.unregister(key.fd)
            elif key.fd == self._bell:
                os.eventfd_read(self._bell)
            elif self._is_line_open:
                self._read(hear)
        return self._is_line_open or not was_open

    def _read(self, hear: Hear) -> None:
        try:
            arrived = self._reader.read()
        except frames.FrameError:
            self._close_line()
            raise
        if arrived is None:
            self._close_line()
        else:
            hear(arrived)

    def _close_line(self) -> None:
        self._is_line_open = False
        self._selector.unregister(self.child.channel)

    def await_exit(self) -> bool:
        """Wait a moment for the end of a child that closed its line; False if it lives on."""
        deadline = time.monotonic() + _EXIT_S
        while self.child.exit is None and time.monotonic() < deadline:
            self.turn(deadline - time.monotonic(), lambda _: None)
        return self.child.exit is not None

    def drain(self, hear: Hear) -> None:
        """Take what a child left in its line and outputs; whoever still holds them is ignored."""
        deadline = time.monotonic() + _DRAIN_S
        while len(self._selector.get_map()) > 1 and time.monotonic() < deadline:
            try:
                self.turn(deadline - time.monotonic(), hear)
            except frames.FrameError:
                continue

    def send(self, frame: frames.ToChild) -> bool:
        """Send a frame; False when the child lives but does not read."""
        try:
            self.child.channel.sendall(frames.encoded(frame))
        except TimeoutError:
            return False
        except OSError:
            # The child is gone; its end is told by its keeper.
            return True
        return True

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            os.close(self._bell)
            self._bell = -1
        self._selector.close()
        for output in self.outputs:
            output.finish()
        self.child.close()
