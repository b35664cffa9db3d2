"""Says what happened to a job, and fails a test where something else was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jobplane.client import Event, Job


def assert_events(job: Job, expected: Sequence[str], *, exactly: bool = False) -> None:
    """Check that a job went through these statuses or events, in this order.

    A word in capitals is a status, any other a type of event. Others may lie between them,
    unless `exactly`: then the words must be the whole history, told in the same kind of words.
    """
    history = list(job.history())
    told = list(_told(history, expected)) if exactly else list(_words(history))
    if told != list(expected) if exactly else not _is_within(expected, told):
        raise AssertionError(
            f"job {job.id}: expected {' '.join(expected)}\n"
            f"  but it went {' '.join(_words(history))}"
        )


def _words(history: Iterable[Event]) -> Iterable[str]:
    """Give the type of each event, and each status once it is entered."""
    status = ""
    for event in history:
        yield event.type
        if event.status != status:
            status = event.status
            yield status


def _told(history: Iterable[Event], expected: Iterable[str]) -> Iterable[str]:
    """Give the words of the kinds that are expected."""
    kinds = {word.isupper() for word in expected}
    return (word for word in _words(history) if word.isupper() in kinds)


def _is_within(expected: Iterable[str], told: Iterable[str]) -> bool:
    rest = iter(told)
    return all(word in rest for word in expected)
