"""What goes wrong with the next calls, as a test says."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """How one call goes wrong."""

    # Seconds before the server looks at the call.
    delay_s: float = 0.0
    # The call is refused as if the store were busy: UNAVAILABLE, nothing was done.
    is_refused: bool = False
    # The call is done, but its answer is lost on the way back.
    is_answer_lost: bool = False
    # A stream breaks after so many messages.
    cut_after: int | None = None


class Faults:
    """Faults of the calls to come, by method; each call takes the first that is left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: dict[str, list[Fault]] = {}
        self._methods: frozenset[str] = frozenset()

    def refuse(self, method: str, *, times: int = 1) -> None:
        """Refuse the next calls of a method, for example "SubmitJob", as if the store were busy."""
        self._plan(method, Fault(is_refused=True), times)

    def lose_answer(self, method: str, *, times: int = 1) -> None:
        """Do the next calls of a method, but answer them as if the connection were lost."""
        self._plan(method, Fault(is_answer_lost=True), times)

    def delay(self, method: str, seconds: float, *, times: int = 1) -> None:
        """Let the next calls of a method wait."""
        self._plan(method, Fault(delay_s=seconds), times)

    def cut(self, method: str, *, after: int = 0, times: int = 1) -> None:
        """Break the next streams of a method, for example "WatchJob", after so many messages."""
        self._plan(method, Fault(cut_after=after), times)

    def clear(self) -> None:
        """Let nothing go wrong from here on."""
        with self._lock:
            self._planned.clear()

    @property
    def left(self) -> int:
        """How many planned faults have not come yet."""
        with self._lock:
            return sum(map(len, self._planned.values()))

    def know(self, methods: frozenset[str]) -> None:
        """Refuse to plan faults of other methods than these: a fault that never comes hides."""
        self._methods = methods

    def take(self, method: str) -> Fault:
        """Fault of the call that just came; one without any effect when none is planned."""
        with self._lock:
            planned = self._planned.get(method)
            return planned.pop(0) if planned else Fault()

    def _plan(self, method: str, fault: Fault, times: int) -> None:
        if self._methods and method not in self._methods:
            raise ValueError(f"the server has no method {method!r}")
        with self._lock:
            self._planned.setdefault(method, []).extend([fault] * times)
