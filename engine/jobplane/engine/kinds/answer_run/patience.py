"""Long steps of others' code, done so that a cancel still comes through."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

_Value = TypeVar("_Value")
_POLL_S = 0.1


class TookTooLongError(Exception):
    """The step was given up at its time limit."""


def watched(
    work: Callable[[], _Value], safe_point: Callable[[], None], *, limit_s: float | None = None
) -> _Value:
    """Result of `work`, while `safe_point` is called ten times a second.

    A step that is given up goes on in its thread until the attempt's process ends.
    """
    done: list[_Value] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001  handed on to the caller below
            failed.append(error)

    thread = threading.Thread(target=run, name="answer-run-step", daemon=True)
    deadline = None if limit_s is None else monotonic() + limit_s
    thread.start()
    while thread.is_alive():
        safe_point()
        if deadline is not None and monotonic() > deadline:
            raise TookTooLongError(f"given up after {limit_s:g} s")
        thread.join(_POLL_S)
    if failed:
        raise failed[0]
    return done[0]
