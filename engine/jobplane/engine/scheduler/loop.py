"""Background work: a step that runs when woken, and now and then without."""

import logging
import threading
from collections.abc import Callable

from jobplane.engine.domain.errors import BackendUnavailableError

log = logging.getLogger(__name__)


class Loop:
    """One thread around one step. Steps are tested without it."""

    def __init__(self, step: Callable[[], object], *, name: str, every_s: float) -> None:
        self._step = step
        self._every_s = every_s
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first step comes at once."""
        self._wake.set()
        self._thread.start()

    def wake(self) -> None:
        """Have a step run soon; several wakes before it make one."""
        self._wake.set()

    def stop(self) -> None:
        """End after the present step; a loop that never ran, or has ended, stays so."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._every_s)
            self._wake.clear()
            if self._stopping:
                return
            try:
                self._step()
            except BackendUnavailableError as error:
                # The store heals or it does not: the next step tries again.
                log.warning(
                    "loop.store_unavailable",
                    extra={"loop": self._thread.name, "detail": error.detail},
                )
            except Exception:
                log.exception("loop.step_failed", extra={"loop": self._thread.name})
