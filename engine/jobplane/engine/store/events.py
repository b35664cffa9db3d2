"""Statements over the history of jobs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, delete, func, select, text

from jobplane.engine.domain.event import JobEvent
from jobplane.engine.domain.job import Job
from jobplane.engine.store.codec import event_from_row, event_to_row, job_from_row, to_us
from jobplane.engine.store.statement import ManyInsert, Statement, insertion
from jobplane.engine.store.tables import job_events, jobs, tombstones

_INSERT = ManyInsert(job_events, returning=job_events.c.revision)
_AFTER = Statement(
    select(job_events)
    .join(jobs, jobs.c.pk == job_events.c.job_pk)
    .where(
        jobs.c.project == bindparam("project"),
        jobs.c.job_id == bindparam("job_id"),
        job_events.c.sequence > bindparam("after"),
    )
    .order_by(job_events.c.sequence)
    .limit(bindparam("limit"))
)
_AT = Statement(
    select(job_events).where(
        job_events.c.job_pk == bindparam("job_pk"), job_events.c.sequence == bindparam("sequence")
    )
)
_BEFORE = Statement(
    select(job_events)
    .join(jobs, jobs.c.pk == job_events.c.job_pk)
    .where(
        jobs.c.project == bindparam("project"),
        jobs.c.job_id == bindparam("job_id"),
        job_events.c.sequence > bindparam("after"),
        job_events.c.sequence < bindparam("before"),
    )
    .order_by(job_events.c.sequence.desc())
    .limit(bindparam("limit"))
)
_LATEST_REVISION = Statement(select(func.coalesce(func.max(job_events.c.revision), 0)))
_LATEST_DELETE = Statement(select(func.coalesce(func.max(tombstones.c.revision), 0)))
_FEED = Statement(
    select(
        jobs.c.project,
        jobs.c.job_id,
        func.max(job_events.c.sequence).label("sequence"),
        func.max(job_events.c.revision).label("revision"),
    )
    .join(jobs, jobs.c.pk == job_events.c.job_pk)
    .where(job_events.c.revision > bindparam("after"))
    .group_by(jobs.c.project, jobs.c.job_id)
)


def _moved(*, in_project: bool) -> Select[Any]:
    """Jobs as they are, with the stretch of their events between two positions."""
    stretch = (
        select(
            job_events.c.job_pk,
            func.min(job_events.c.sequence).label("first_sequence"),
            func.min(job_events.c.revision).label("first_revision"),
            func.max(job_events.c.revision).label("revision"),
        )
        .where(
            job_events.c.revision > bindparam("after"),
            job_events.c.revision <= bindparam("through"),
        )
        .group_by(job_events.c.job_pk)
        .subquery()
    )
    query = select(
        jobs, stretch.c.first_sequence, stretch.c.first_revision, stretch.c.revision
    ).join(stretch, stretch.c.job_pk == jobs.c.pk)
    if in_project:
        query = query.where(jobs.c.project == bindparam("project"))
    return query.order_by(stretch.c.revision)


_MOVED = Statement(_moved(in_project=False))
_MOVED_IN_PROJECT = Statement(_moved(in_project=True))
_BURIED = Statement(
    select(tombstones.c.project, tombstones.c.job_id, tombstones.c.revision)
    .where(
        tombstones.c.revision > bindparam("after"), tombstones.c.revision <= bindparam("through")
    )
    .order_by(tombstones.c.revision)
)
_INSERT_LAST = Statement(insertion(job_events).returning(job_events.c.revision))
_DELETE_JOB = Statement(delete(jobs).where(jobs.c.pk == bindparam("pk")))
_INSERT_TOMBSTONE = Statement(insertion(tombstones))
_ONE_MOMENT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
# Revisions are given before the commit: without this lock a late commit would hide
# below a cursor that has already passed it.
_LOCK_FEED = text("SELECT pg_advisory_xact_lock(hashtext('jobplane.feed'))")


class Advance(NamedTuple):
    """A job that has newer events, up to `sequence`."""

    project: str
    job_id: str
    sequence: int
    revision: int


class Moved(NamedTuple):
    """A job that changed in a stretch of the feed, as it is now."""

    job: Job
    first_sequence: int
    first_revision: int
    revision: int


class Buried(NamedTuple):
    """A job that was deleted."""

    project: str
    job_id: str
    revision: int


class Stretch(NamedTuple):
    """What happened between two positions of the feed."""

    moved: Sequence[Moved]
    buried: Sequence[Buried]
    # Where the stretch ends, and where the feed ended when it was read.
    through: int
    latest: int


def hold_feed(connection: Connection) -> None:
    """Keep every other server from changing a job until the transaction ends.

    What is counted after it stays so until the commit. SQLite has one writer as it is.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_FEED)


def append(connection: Connection, job_pk: int, events: Sequence[JobEvent]) -> tuple[JobEvent, ...]:
    """Add events to a job's history; gives them with their place in the feed."""
    return append_all(connection, [(job_pk, events)])[0]


def append_all(
    connection: Connection, by_job: Sequence[tuple[int, Sequence[JobEvent]]]
) -> list[tuple[JobEvent, ...]]:
    """Add events to the histories of jobs, by key; gives each job's with their places."""
    hold_feed(connection)
    rows = [event_to_row(event, job_pk) for job_pk, events in by_job for event in events]
    revisions = iter(_INSERT.run(connection, rows))
    return [
        tuple(replace(event, revision=next(revisions)) for event in events) for _, events in by_job
    ]


def is_kept(connection: Connection, event: JobEvent, *, job_pk: int) -> bool:
    """Whether exactly this event is in the history."""
    row = _AT.run(connection, {"job_pk": job_pk, "sequence": event.sequence}).first()
    if row is None:
        return False
    told = event_to_row(event, job_pk)
    return all(
        getattr(row, name) == told[name] for name in ("occurred_us", "type", "attempt", "status")
    )


def after(
    connection: Connection, project: str, job_id: str, *, sequence: int, limit: int
) -> list[JobEvent]:
    """Events after a position, oldest first."""
    values = {"project": project, "job_id": job_id, "after": sequence, "limit": limit}
    rows = _AFTER.run(connection, values).all()
    return [event_from_row(row, project=project, job_id=job_id) for row in rows]


def before(
    connection: Connection, project: str, job_id: str, *, after: int, before: int, limit: int
) -> list[JobEvent]:
    """Events between two positions, newest first."""
    values = {
        "project": project,
        "job_id": job_id,
        "after": after,
        "before": before,
        "limit": limit,
    }
    rows = _BEFORE.run(connection, values).all()
    return [event_from_row(row, project=project, job_id=job_id) for row in rows]


def hold_still(connection: Connection) -> None:
    """Have all reads of a transaction see one moment; to be called before the first."""
    if connection.dialect.name == "postgresql":
        connection.execute(_ONE_MOMENT)


def latest_revision(connection: Connection) -> int:
    """Position of the newest event, or delete, of all."""
    event: int = _LATEST_REVISION.run(connection).scalar()
    deleted: int = _LATEST_DELETE.run(connection).scalar()
    return max(event, deleted)


def advances(connection: Connection, *, after_revision: int) -> list[Advance]:
    """Jobs that have events after a position of the feed."""
    rows = _FEED.run(connection, {"after": after_revision})
    return [Advance(*row) for row in rows]


def stretch(connection: Connection, *, after: int, limit: int = 0, project: str = "") -> Stretch:
    """What happened after a position: all of it, or through the next `limit` positions.

    To be the first read of its transaction: it sees one moment of the store.
    """
    hold_still(connection)
    latest = latest_revision(connection)
    through = min(after + limit, latest) if limit else latest
    values = {"after": after, "through": through}
    if project:
        rows = _MOVED_IN_PROJECT.run(connection, {**values, "project": project})
    else:
        rows = _MOVED.run(connection, values)
    moved = [
        Moved(job_from_row(row), row.first_sequence, row.first_revision, row.revision)
        for row in rows
    ]
    buried = [Buried(*row) for row in _BURIED.run(connection, values)]
    if project:
        buried = [one for one in buried if one.project == project]
    return Stretch(moved, buried, through, latest)


def bury(connection: Connection, job: Job, *, job_pk: int, now: datetime) -> int:
    """Delete a job with its history; gives the position in the feed where that is told."""
    hold_feed(connection)
    # An event that goes with the others, for the position that it was given.
    last = {
        "job_pk": job_pk,
        "sequence": job.sequence + 1,
        "occurred_us": to_us(now),
        "attempt": job.attempt,
        "status": job.status.value,
        "type": "deleted",
        "payload": b"{}",
    }
    revision: int = _INSERT_LAST.run(connection, last).scalar()
    _DELETE_JOB.run(connection, {"pk": job_pk})
    values = {
        "project": job.project,
        "job_id": job.job_id,
        "expired_us": to_us(now),
        "revision": revision,
    }
    _INSERT_TOMBSTONE.run(connection, values)
    return revision
