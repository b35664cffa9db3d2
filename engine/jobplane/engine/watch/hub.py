"""The hub: wakes watchers in this process when something became durable.

What it hands over is a hint and a shortcut; the table stays the truth. A watcher whose
shortcut overflowed, or that missed a wake-up, reads the table.
"""

import asyncio
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from jobplane.engine.crossing import Crossing
from jobplane.engine.domain.change import Change
from jobplane.engine.domain.event import JobEvent
from jobplane.engine.domain.job import Job
from jobplane.engine.watch.recent import JobKey, Past, Recent

# More than this many undelivered events are read again from the table.
SHORTCUT_LIMIT = 2000


class Subscription:
    """One watcher's interest in one job. Used only in the event loop."""

    def __init__(self, *, wants_progress: bool = False) -> None:
        self.wants_progress = wants_progress
        self._wake = asyncio.Event()
        self._events: list[JobEvent] = []
        self._overflowed = False
        self.progress: JobEvent | None = None
        self.job: Job | None = None
        # Newest sequence that is known to be durable.
        self.latest = 0
        self.is_deleted = False

    def recall(self, past: Past) -> None:
        """Take what was durable before."""
        self._events.extend(past.events)
        self.meet(past.job)

    def meet(self, job: Job) -> None:
        """Take the job as it was read, unless a newer one was handed over meanwhile."""
        if self.job is None or self.job.sequence < job.sequence:
            self.job = job
        self.latest = max(self.latest, job.sequence)

    @property
    def current(self) -> Job | None:
        """The job, if nothing is known that is newer."""
        job = self.job
        return None if job is None or self.is_deleted or job.sequence < self.latest else job

    def offer(self, change: Change) -> None:
        """Take what became durable."""
        self.job = change.job
        self.latest = max(self.latest, change.job.sequence)
        if len(self._events) + len(change.events) > SHORTCUT_LIMIT:
            self._events.clear()
            self._overflowed = True
        else:
            self._events.extend(change.events)
        self._wake.set()

    def advance(self, sequence: int) -> None:
        """Hear of newer events without seeing them."""
        if sequence > self.latest:
            self.latest = sequence
            self._overflowed = True
            self._wake.set()

    def show(self, progress: JobEvent) -> None:
        """Take the latest progress."""
        self.progress = progress
        self._wake.set()

    def nudge(self) -> None:
        """Wake the watcher without news."""
        self._wake.set()

    def take(self, cursor: int) -> list[JobEvent] | None:
        """The events after the cursor, or None when the table must be read."""
        events = [event for event in self._events if event.sequence > cursor]
        self._events.clear()
        self._wake.clear()
        overflowed, self._overflowed = self._overflowed, False
        # Sequences only grow, so the last one tells whether any is missing, the first or later.
        if overflowed or (events and events[-1].sequence != cursor + len(events)):
            return None
        if not events and self.latest > cursor:
            return None
        return events

    async def wait(self, timeout_s: float) -> None:
        """Wait for a wake-up, but no longer than this."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            pass


class Hub:
    """All subscriptions of this process."""

    def __init__(self) -> None:
        self._crossing: Crossing | None = None
        self._subscriptions: dict[JobKey, set[Subscription]] = {}
        self._recent = Recent()
        self._lock = threading.Lock()
        self.is_draining = False

    def start(self, crossing: Crossing) -> None:
        """Deliver by this crossing from now on."""
        self._crossing = crossing

    @property
    def watchers(self) -> int:
        """How many subscriptions are open."""
        return sum(map(len, self._subscriptions.values()))

    @property
    def may_be_behind(self) -> bool:
        """Whether somebody could be shown less than the table holds."""
        return bool(self._subscriptions or self._recent)

    @contextmanager
    def subscribed(
        self, key: JobKey, subscription: Subscription | None = None
    ) -> Generator[Subscription]:
        """Register interest; to be done before the first read of the table."""
        subscription = subscription or Subscription()
        with self._lock:
            self._subscriptions.setdefault(key, set()).add(subscription)
        if past := self._recent.of(key):
            subscription.recall(past)
        try:
            yield subscription
        finally:
            with self._lock:
                watchers = self._subscriptions[key]
                watchers.discard(subscription)
                if not watchers:
                    del self._subscriptions[key]

    def publish(self, changes: Sequence[Change]) -> None:
        """Hand durable changes to their watchers; from any thread, once per commit."""
        if changes:
            self._call(self._offer, changes)

    def show(self, event: JobEvent) -> None:
        """Hand the latest progress to its watchers; from any thread."""
        if any(one.wants_progress for one in self._of((event.project, event.job_id))):
            self._call(self._show, event)

    def advance(self, key: JobKey, sequence: int) -> None:
        """Say that a job has events up to this one; from any thread."""
        past = self._recent.of(key)
        if key in self._subscriptions or (past and past.job.sequence < sequence):
            self._call(self._advance, key, sequence)

    def nudge(self, key: JobKey) -> None:
        """Wake the watchers of a job without news; from any thread."""
        if key in self._subscriptions:
            self._call(self._nudge, key)

    def forget(self, key: JobKey) -> None:
        """Tell the watchers of a job that it was deleted; from any thread."""
        self._call(self._forget, key)

    def drain(self) -> None:
        """Have every watch end; in the event loop."""
        self.is_draining = True
        for subscription in self._all():
            subscription.nudge()

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        if self._crossing is not None:
            self._crossing.call(callback, *arguments)

    def _offer(self, changes: Sequence[Change]) -> None:
        for change in changes:
            key = (change.job.project, change.job.job_id)
            self._recent.note(key, change)
            for subscription in self._of(key):
                subscription.offer(change)

    def _show(self, event: JobEvent) -> None:
        for subscription in self._of((event.project, event.job_id)):
            subscription.show(event)

    def _advance(self, key: JobKey, sequence: int) -> None:
        past = self._recent.of(key)
        if past and past.job.sequence < sequence:
            self._recent.forget(key)
        for subscription in self._of(key):
            subscription.advance(sequence)

    def _nudge(self, key: JobKey) -> None:
        for subscription in self._of(key):
            subscription.nudge()

    def _forget(self, key: JobKey) -> None:
        self._recent.forget(key)
        for subscription in self._of(key):
            subscription.is_deleted = True
            subscription.nudge()

    def _of(self, key: JobKey) -> tuple[Subscription, ...]:
        with self._lock:
            return tuple(self._subscriptions.get(key, ()))

    def _all(self) -> list[Subscription]:
        with self._lock:
            return [one for watchers in self._subscriptions.values() for one in watchers]
