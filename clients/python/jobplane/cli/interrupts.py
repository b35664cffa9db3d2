"""Ctrl-C leaves a job alone, and says how to come back to it."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobplane.cli.safe import Safe
from jobplane.client import JobplaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from jobplane.cli.session import Session

# After the ^C that a terminal shows.
NEW_LINE = Safe("\n")


@contextmanager
def detaching(
    session: Session,
    job_ids: Sequence[str],
    *,
    on_interrupt: Callable[[], object] | None = None,
) -> Generator[None]:
    """Tell what becomes of the jobs when the user interrupts the block; SIGTERM counts too."""
    before: Any = None
    is_main = threading.current_thread() is threading.main_thread()
    if is_main:
        before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        ids = " ".join(job_ids)
        if on_interrupt is None:
            session.say(NEW_LINE + f"detached; {ids} goes on. Come back with: jobplane watch {ids}")
        else:
            _cancel(session, ids, on_interrupt)
        raise
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _cancel(session: Session, ids: str, cancel: Callable[[], object]) -> None:
    try:
        cancel()
    except JobplaneError as error:
        session.say(NEW_LINE + f"{ids} could not be cancelled: {error.message}")
        return
    session.say(NEW_LINE + f"cancelled {ids}")
