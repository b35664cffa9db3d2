"""Ends a blocking read that takes too long: gRPC's own blocking streams can't be timed."""

from __future__ import annotations

import threading
import time
from typing import Protocol

IDLE_S = 60.0


class Cancellable(Protocol):
    """A call that can be cancelled from another thread."""

    def cancel(self) -> object:
        """Cancel it."""
        ...


class Watchdog:
    """One thread that cancels the armed call when its time has passed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._call: Cancellable | None = None
        self._until = 0.0
        self._fired = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def arm(self, call: Cancellable, timeout_s: float) -> None:
        """Cancel the call unless it is disarmed within this time."""
        with self._changed:
            sooner = self._call is None or time.monotonic() + timeout_s < self._until
            self._call, self._until = call, time.monotonic() + timeout_s
            self._fired = False
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, daemon=True, name="jobplane-watch"
                )
                self._thread.start()
            elif sooner:
                self._changed.notify()

    def disarm(self) -> bool:
        """Leave the call alone from here on; True when it was cancelled before."""
        with self._changed:
            self._call = None
            return self._fired

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._call = None
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                left = IDLE_S if self._call is None else self._until - time.monotonic()
                if left > 0:
                    self._changed.wait(min(left, IDLE_S))
                elif self._call is not None:
                    call, self._call, self._fired = self._call, None, True
                    call.cancel()
