"""Statements over the history of jobs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select, text

from jobplane.engine.domain.event import JobEvent
from jobplane.engine.store.codec import event_from_row, event_to_row
from jobplane.engine.store.statement import ManyInsert, Statement
from jobplane.engine.store.tables import job_events, jobs

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
# Revisions are given before the commit: without this lock a late commit would hide
# below a cursor that has already passed it.
_LOCK_FEED = text("SELECT pg_advisory_xact_lock(hashtext('jobplane.feed'))")


class Advance(NamedTuple):
    """A job that has newer events, up to `sequence`."""

    project: str
    job_id: str
    sequence: int
    revision: int


def append(connection: Connection, job_pk: int, events: Sequence[JobEvent]) -> tuple[JobEvent, ...]:
    """Add events to a job's history; gives them with their place in the feed."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_FEED)
    rows = [event_to_row(event, job_pk) for event in events]
    revisions = _INSERT.run(connection, rows)
    return tuple(
        replace(event, revision=revision) for event, revision in zip(events, revisions, strict=True)
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


def latest_revision(connection: Connection) -> int:
    """Position of the newest event of all."""
    revision: int = _LATEST_REVISION.run(connection).scalar()
    return revision


def advances(connection: Connection, *, after_revision: int) -> list[Advance]:
    """Jobs that have events after a position of the feed."""
    rows = _FEED.run(connection, {"after": after_revision})
    return [Advance(*row) for row in rows]
