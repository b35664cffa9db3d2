"""Planted bugs: each breaks one promise inside the server, and the harness must find it.

They are patches of the engine's own functions, made in the server process before it starts;
product code knows nothing of them.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from jobplane.engine.content.store import Content, ContentStore
from jobplane.engine.domain import change, lifecycle
from jobplane.engine.domain.change import Change, Draft
from jobplane.engine.domain.event import DurablePayload
from jobplane.engine.domain.job import Job
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.scheduler.ledger import Ledger
from jobplane.engine.scheduler.reaper import Reaper
from jobplane.engine.store import database, events, keys
from jobplane.engine.store.database import Database
from jobplane.engine.store.statement import Statement
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

    def commit_group(self: Database, group: list[Any]) -> None:
        changes: list[Change] = []
        with self._writer_engine.begin() as connection:
            for order in group:
                transaction = database.Transaction(connection)
                try:
                    order.future.set_result(order.operation(transaction))
                except Exception as error:  # noqa: BLE001  as the real one
                    order.future.set_exception(error)
                changes.extend(transaction.changes)
            time.sleep(0.02)
        self._on_commit(changes)

    Database._commit_group = commit_group  # type: ignore[method-assign]  # that is the bug


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

    Draft.emit = emit  # type: ignore[method-assign]  # that is the bug
    insertion: Any = events._INSERT._clause
    events._INSERT = Statement(insertion.prefix_with("OR REPLACE"))


@_bug
def no_fence() -> None:
    """Take reports of an attempt whatever became of its job."""
    change.may_move = lambda _source, _target: True  # type: ignore[attr-defined]  # imported there

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
        return database_save(transaction, stored, made)

    from jobplane.engine.store.jobs import save as database_save  # noqa: PLC0415  only here

    Ledger._apply_to = apply_to  # type: ignore[method-assign]  # that is the bug


@_bug
def no_recovery() -> None:
    """Leave to themselves the attempts that an earlier life was running."""
    Reaper.recover = lambda _self: 0  # type: ignore[method-assign]  # that is the bug
    Reaper._release = lambda _self, _transaction: 0  # type: ignore[method-assign]  # and its net


@_bug
def resume_hang() -> None:
    """Wait for more where a watcher comes back with the last sequence of all."""
    real = JobStream._end

    async def end(self: JobStream, subscription: Any) -> Any:
        job = subscription.job
        if job is not None and job.status.is_terminal:
            if self._interest.after_sequence == job.sequence:
                return None
        return await real(self, subscription)

    JobStream._end = end  # type: ignore[method-assign]  # that is the bug


@_bug
def forgotten_key() -> None:
    """Make a job without binding its key."""
    keys.use = lambda *_, **__: None  # type: ignore[assignment]  # that is the bug


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

    ContentStore._keep = keep  # type: ignore[method-assign]  # that is the bug


@_bug
def lost_wake() -> None:
    """Tell watchers nothing: neither of commits nor of what the table holds."""
    from jobplane.engine.watch.feed import Feed  # noqa: PLC0415  only here
    from jobplane.engine.watch.hub import Hub  # noqa: PLC0415  only here

    Hub.publish = lambda _self, _changes: None  # type: ignore[method-assign]  # that is the bug
    Feed.step = lambda _self: None  # type: ignore[method-assign]  # and its net
