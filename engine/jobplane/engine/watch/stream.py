"""The stream of one job: replay from a cursor, then live, with an end that is said."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobplane.engine import failpoint
from jobplane.engine.clock import Clock
from jobplane.engine.domain.errors import SequenceInFutureError
from jobplane.engine.domain.event import JobEvent
from jobplane.engine.domain.job import Job
from jobplane.engine.watch.frame import Batch, End, EndReason, Frame, Heartbeat, Snapshot
from jobplane.engine.watch.hub import Hub, Subscription

PAGE = 500
RETRY_AFTER_S = 1.0
# Who has seen everything hears of it so soon, unless there is news by then.
FIRST_BEAT_S = 0.5


@dataclass(frozen=True, slots=True)
class Interest:
    """What a watcher wants to see, and how often it wants to hear that all is well."""

    after_sequence: int | None = None
    heartbeat_s: float = 15.0
    durable_only: bool = False
    event_types: frozenset[str] = frozenset()

    def keeps(self, event: JobEvent) -> bool:
        """Whether an event passes; the last one always does."""
        return not self.event_types or event.type == "finished" or event.type in self.event_types


@dataclass(frozen=True, slots=True)
class Source:
    """Where a stream reads: the table, and the heartbeat of the live attempt."""

    read_job: Callable[[], Awaitable[Job]]
    read_events: Callable[[int, int], Awaitable[Sequence[JobEvent]]]
    heartbeat_at: Callable[[Job], datetime | None]


class JobStream:
    """One watch of one job."""

    def __init__(
        self, *, hub: Hub, source: Source, clock: Clock, interest: Interest, max_age_s: float
    ) -> None:
        self._hub = hub
        self._source = source
        self._clock = clock
        self._interest = interest
        self._max_age_s = max_age_s
        # By the loop's clock, in seconds: the wall may be set back while somebody listens.
        self._ends_at = self._heard_at = 0.0
        self._cursor = 0
        # Whether the table has events that the shortcut does not.
        self._is_behind = False

    async def frames(self, key: tuple[str, str]) -> AsyncIterator[Frame]:
        """Frames until the end of the job, of the server, or of the stream's life."""
        self._heard_at = _elapsed()
        self._ends_at = self._heard_at + self._max_age_s
        # Interest first, the table second: an event between the two is not missed.
        wanted = Subscription(wants_progress=not self._interest.durable_only)
        with self._hub.subscribed(key, wanted) as subscription:
            if first := self._first(await self._begin(subscription)):
                yield first
            while True:
                async for frame in self._news(subscription):
                    self._heard_at = _elapsed()
                    yield frame
                if end := await self._end(subscription):
                    failpoint.reach("watch_before_end")
                    yield end
                    return
                if heartbeat := self._heartbeat(subscription.job):
                    yield heartbeat
                if not self._is_behind:
                    await subscription.wait(self._patience_s())

    async def _begin(self, subscription: Subscription) -> Job:
        """The job as it is known, or as it is read where that is not enough."""
        job, after = subscription.current, self._interest.after_sequence
        if job is None or after is None or after > job.sequence:
            job = await self._source.read_job()
            subscription.meet(job)
        return job

    def _first(self, job: Job) -> Frame | None:
        """The state, for a watcher that has none."""
        after = self._interest.after_sequence
        if after is None:
            self._cursor = job.sequence
            return Snapshot(self._cursor, job)
        if after > job.sequence:
            raise SequenceInFutureError(after, job.sequence)
        self._cursor = after
        self._heard_at += FIRST_BEAT_S - self._interest.heartbeat_s
        return None

    async def _news(self, subscription: Subscription) -> AsyncIterator[Frame]:
        """Durable events in order, then the latest progress."""
        events = await self._events(subscription)
        if events and events[0].sequence != self._cursor + 1:
            # What came between was purged: say so, and go on from now.
            job = await self._source.read_job()
            self._cursor, self._is_behind = job.sequence, False
            yield Snapshot(self._cursor, job, history_truncated=True)
            return
        if events:
            self._cursor = events[-1].sequence
            if kept := tuple(event for event in events if self._interest.keeps(event)):
                yield Batch(self._cursor, kept)
        progress, subscription.progress = subscription.progress, None
        if progress and not self._is_behind and self._wants_progress(subscription.job):
            yield Batch(self._cursor, (progress,))

    async def _events(self, subscription: Subscription) -> Sequence[JobEvent]:
        """Events after the cursor: handed over, or read from the table."""
        events = subscription.take(self._cursor)
        if events is not None and not self._is_behind:
            return events
        page = await self._source.read_events(self._cursor, PAGE)
        self._is_behind = len(page) == PAGE
        return page

    def _wants_progress(self, job: Job | None) -> bool:
        if self._interest.durable_only or (job is not None and job.status.is_terminal):
            return False
        return not self._interest.event_types or "progress" in self._interest.event_types

    async def _end(self, subscription: Subscription) -> End | None:
        """The last frame, when it is time for it."""
        if subscription.is_deleted:
            return End(self._cursor, EndReason.DELETED)
        job = subscription.job
        if job is not None and job.status.is_terminal and self._cursor >= job.sequence:
            return End(self._cursor, EndReason.FINISHED, job)
        if self._hub.is_draining:
            return End(self._cursor, EndReason.DRAINING, retry_after_s=RETRY_AFTER_S)
        if _elapsed() >= self._ends_at:
            return End(self._cursor, EndReason.MAX_AGE, retry_after_s=0.0)
        if self._cursor > (job.sequence if job else 0):
            # The table was ahead of what was handed over.
            subscription.job = await self._source.read_job()
            return await self._end(subscription)
        return None

    def _heartbeat(self, job: Job | None) -> Heartbeat | None:
        if job is None or _elapsed() < self._heard_at + self._interest.heartbeat_s:
            return None
        return self._beat(job)

    def _beat(self, job: Job) -> Heartbeat:
        self._heard_at = _elapsed()
        now = self._clock.now()
        return Heartbeat(self._cursor, now, job.status, self._source.heartbeat_at(job))

    def _patience_s(self) -> float:
        """How long to wait for news: until the next heartbeat, or the end of the stream."""
        beat_at = self._heard_at + self._interest.heartbeat_s
        return max(min(beat_at, self._ends_at) - _elapsed(), 0.0)


def _elapsed() -> float:
    """Seconds that only ever grow."""
    return asyncio.get_running_loop().time()
