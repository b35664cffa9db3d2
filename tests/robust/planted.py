"""Planted bugs: each breaks one promise inside the server, and the harness must find it.

They are patches of the engine's own functions, made in the server process before it starts;
product code knows nothing of them.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from jobplane.engine import failpoint
from jobplane.engine.content.store import Content, ContentStore
from jobplane.engine.domain import change, lifecycle
from jobplane.engine.domain.change import Change, Draft
from jobplane.engine.domain.event import DurablePayload
from jobplane.engine.domain.job import Job
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.intake import Intake
from jobplane.engine.janitor import Sweep
from jobplane.engine.scheduler import ledger
from jobplane.engine.scheduler.dependencies import Dependencies
from jobplane.engine.scheduler.ledger import Ledger
from jobplane.engine.scheduler.reaper import Reaper
from jobplane.engine.schedules import firing
from jobplane.engine.schedules.firing import Firing
from jobplane.engine.store import content, dependencies, events, jobs, keys, purge
from jobplane.engine.store.database import Database, Transaction
from jobplane.engine.watch.feed import Feed
from jobplane.engine.watch.hub import Hub
from jobplane.engine.watch.stream import JobStream

PLANTS: dict[str, Callable[[], None]] = {}


def plant(name: str) -> None:
    """Break the engine of this process in one way."""
    PLANTS[name]()


def _bug(make: Callable[[], None]) -> Callable[[], None]:
    PLANTS[make.__name__] = make
    return make


@_bug
def early_ack() -> None:
    """Answer before the commit, not after it."""
    real = Database._order

    def order(self: Database, operation: Any, item: Any) -> "Future[Any]":
        early: Future[Any] = Future()

        def run(transaction: Transaction, items: Sequence[Any]) -> Any:
            try:
                (answer,) = operation(transaction, items)
            except Exception as error:
                answer = error
                raise
            finally:
                # A group that failed is run again, one by one.
                if early.done():
                    pass
                elif isinstance(answer, Exception):
                    early.set_exception(answer)
                else:
                    early.set_result(answer)
            return [answer]

        # One of its own for each: what is gathered would be answered together.
        real(self, run, item)
        return early

    Database._order = order  # that is the bug
    # The disk is slow enough for the difference to show.
    failpoint.reach = lambda name: time.sleep(0.005 * (name == "commit_before"))


@_bug
def silent_cancel() -> None:
    """Cancel a job that waits without telling its history."""
    real = lifecycle.cancelled

    def cancelled(job: Job, **facts: Any) -> Change:
        told = real(job, **facts)
        if job.status is not JobStatus.QUEUED or not told.events:
            return told
        return Change(job, replace(told.job, sequence=job.sequence + 1), told.events[:1])

    lifecycle.cancelled = cancelled


@_bug
def memory_sequence() -> None:
    """Count events in memory, from what this life of the server has seen."""
    counts: dict[str, int] = {}
    real = Draft.emit

    def emit(self: Draft, payload: DurablePayload) -> None:
        job_id = self._job.job_id
        counts[job_id] = counts.get(job_id, 0) + 1
        self.sequence = counts[job_id] - 1
        real(self, payload)

    Draft.emit = emit  # that is the bug
    append_all = events.append_all

    def replace_events(
        connection: Connection, histories: Sequence[tuple[int, Sequence[Any]]]
    ) -> Any:
        for job_pk, new in histories:
            for event in new:
                connection.exec_driver_sql(
                    "DELETE FROM job_events WHERE job_pk = ? AND sequence = ?",
                    (job_pk, event.sequence),
                )
        return append_all(connection, histories)

    events.append_all = replace_events


@_bug
def no_fence() -> None:
    """Take reports of an attempt whatever became of its job."""
    change.may_move = lambda _source, _target: True  # imported there

    def apply_to(
        self: Ledger, transaction: Any, live: Any, stored: Any, steps: Any, conclusion: Any
    ) -> Any:
        now = self._clock.now()
        draft = Draft(stored.job, now)
        for step in steps:
            step(transaction, stored, draft)
        made = draft.change()
        if conclusion is not None:
            end = self._concluded(draft.job, conclusion, now)
            made = Change(stored.job, end.job, (*made.events, *end.events))
        return ledger._Written(jobs.save(transaction, stored, made), None)

    Ledger._apply_to = apply_to  # that is the bug


@_bug
def no_recovery() -> None:
    """Leave to themselves the attempts that an earlier life was running."""
    Reaper.recover = lambda _self: 0  # that is the bug
    Reaper._release = lambda _self, _transaction: 0  # and its net


@_bug
def resume_hang() -> None:
    """Wait for more where a watcher comes back with the last sequence of all."""
    real = JobStream._end

    async def end(self: JobStream, subscription: Any) -> Any:
        job = subscription.job
        is_over = job is not None and job.status.is_terminal
        if is_over and self._interest.after_sequence == job.sequence:
            return None
        return await real(self, subscription)

    JobStream._end = end  # that is the bug


@_bug
def forgotten_key() -> None:
    """Make a job without binding its key."""
    keys.use = lambda *_, **__: None  # that is the bug


@_bug
def forgotten_checkpoint() -> None:
    """Start each attempt afresh."""
    real = lifecycle.begun

    def begun(job: Job, *, worker: str, now: datetime) -> Change:
        return real(replace(job, checkpoint=None), worker=worker, now=now)

    lifecycle.begun = begun


@_bug
def torn_content() -> None:
    """Give content its name before its bytes are there."""
    real = ContentStore._keep

    def keep(self: ContentStore, target: Any, path: Any, sha256: str, size: int) -> Content:
        if size > 1000:
            target.flush()
            os.ftruncate(target.fileno(), size // 2)
        return real(self, target, path, sha256, size)

    ContentStore._keep = keep  # that is the bug


@_bug
def lost_wake() -> None:
    """Tell watchers nothing: neither of commits nor of what the table holds."""
    Hub.publish = lambda _self, _changes: None  # that is the bug
    Feed.step = lambda _self: None  # and its net


@_bug
def eager_dependent() -> None:
    """Start dependents without waiting for anything."""
    dependencies.wait_for = lambda *_: None  # that is the bug
    dependencies.is_open = lambda *_: False
    Intake._new_job = _without_wait(Intake._new_job)


def _without_wait(real: Callable[..., Job]) -> Callable[..., Job]:
    return lambda *arguments: replace(real(*arguments), wait=None)


@_bug
def deaf_dependent() -> None:
    """Tell nobody who waits for it that a job has ended."""
    Dependencies.follow = lambda _self, _transaction: None  # that is the bug


@_bug
def skipped_fire() -> None:
    """Leave out each time that nobody came to at once, as if none were to be caught up."""
    firing._window_s = lambda _schedule: 20.0  # that is the bug


@_bug
def fire_beside() -> None:
    """Fire whatever runs, and whatever the policy says of it."""
    Firing._blocker = lambda _self, _transaction, _schedule, _now: ""  # that is the bug


@_bug
def undead() -> None:
    """Answer a delete, and leave the job where it is."""
    purge.job = lambda *_, **__: None  # that is the bug


@_bug
def greedy_sweep() -> None:
    """Collect content without asking who needs it."""
    content.needed = lambda *_: set()  # that is the bug


@_bug
def idle_sweep() -> None:
    """Look for content that nobody needs, and leave it there."""
    Sweep._remove = lambda _self, _due: 0  # that is the bug
