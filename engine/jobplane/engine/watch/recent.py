"""What happened last, kept in memory: who begins to watch a young job need not read the table."""

from collections import OrderedDict
from typing import NamedTuple

from jobplane.engine.domain.change import Change
from jobplane.engine.domain.event import JobEvent
from jobplane.engine.domain.job import Job
from jobplane.engine.query.page import size_of

JobKey = tuple[str, str]
MAX_JOBS = 2000
# Larger ones, and older parts of a long history, are read from the table.
MAX_JOB_BYTES = 16 * 1024
MAX_EVENTS = 32


class Past(NamedTuple):
    """A job, and the end of its history."""

    job: Job
    events: tuple[JobEvent, ...]


class Recent:
    """The jobs that changed last. Written in the event loop only."""

    def __init__(self) -> None:
        self._pasts: OrderedDict[JobKey, Past] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._pasts)

    def of(self, key: JobKey) -> Past | None:
        """What is known of a job."""
        return self._pasts.get(key)

    def note(self, key: JobKey, change: Change) -> None:
        """Remember what became durable."""
        past = self._pasts.pop(key, None)
        if size_of(change.job) > MAX_JOB_BYTES:
            return
        events = change.events
        if past is not None and events and past.job.sequence == events[0].sequence - 1:
            events = past.events + events
        self._pasts[key] = Past(change.job, events[-MAX_EVENTS:])
        if len(self._pasts) > MAX_JOBS:
            self._pasts.popitem(last=False)

    def forget(self, key: JobKey) -> None:
        """Read the table from now on."""
        self._pasts.pop(key, None)
