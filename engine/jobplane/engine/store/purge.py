"""Statements that end the keeping of things: of jobs whose time is over, and of uploads."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, or_, select, text, update

from jobplane.engine.store import events, jobs
from jobplane.engine.store.codec import to_us
from jobplane.engine.store.database import Transaction
from jobplane.engine.store.jobs import Stored
from jobplane.engine.store.statement import Statement
from jobplane.engine.store.tables import artifacts, datasets, idempotency_keys, job_contents
from jobplane.engine.store.tables import jobs as jobs_table

# A key is remembered at least so long, whatever becomes of its job.
KEY_LIFE = timedelta(days=7)
# When an upload that something needs is looked at again.
LOOK_AGAIN = timedelta(days=1)

_EXPIRED = Statement(
    select(jobs_table.c.project, jobs_table.c.job_id)
    .where(
        text("expires_us IS NOT NULL"),
        jobs_table.c.expires_us <= bindparam("now_us"),
        jobs_table.c.done == 1,
    )
    .order_by(jobs_table.c.expires_us)
    .limit(bindparam("limit"))
)
_DELETE_KEY = Statement(
    delete(idempotency_keys).where(
        idempotency_keys.c.project == bindparam("project"),
        idempotency_keys.c.key == bindparam("key"),
        idempotency_keys.c.created_us < bindparam("before_us"),
    )
)
_OLD_UPLOADS = (
    select(
        artifacts.c.pk,
        or_(
            exists().where(
                datasets.c.sha256 == artifacts.c.sha256,
                datasets.c.project == artifacts.c.project,
            ),
            exists().where(job_contents.c.sha256 == artifacts.c.sha256),
        ).label("needed"),
    )
    .where(
        text("job_pk IS NULL"),
        artifacts.c.expires_us.is_not(None),
        artifacts.c.expires_us <= bindparam("now_us"),
    )
    .order_by(artifacts.c.expires_us)
    .limit(bindparam("limit"))
)
_EXPIRED_UPLOADS = Statement(_OLD_UPLOADS)
_DELETE_UPLOAD = Statement(delete(artifacts).where(artifacts.c.pk == bindparam("of_pk")))
_POSTPONE_UPLOAD = Statement(
    update(artifacts)
    .where(artifacts.c.pk == bindparam("of_pk"))
    .values(expires_us=bindparam("expires_us"))
)


class Name(NamedTuple):
    """Which job."""

    project: str
    job_id: str


def expired_jobs(connection: Connection, *, now: datetime, limit: int) -> list[Name]:
    """Finished jobs whose time is over."""
    rows = _EXPIRED.run(connection, {"now_us": to_us(now), "limit": limit})
    return [Name(row.project, row.job_id) for row in rows]


def job(transaction: Transaction, stored: Stored, *, now: datetime) -> None:
    """Delete a finished job with its history, labels and artifacts; a tombstone stays."""
    connection = transaction.connection
    if stored.job.idempotency_key:
        values = {
            "project": stored.job.project,
            "key": stored.job.idempotency_key,
            "before_us": to_us(now - KEY_LIFE),
        }
        _DELETE_KEY.run(connection, values)
    events.bury(connection, stored.job, job_pk=stored.pk, now=now)


def still_expired(transaction: Transaction, name: Name, *, now: datetime) -> Stored | None:
    """The job, held, if it is there and its time is over."""
    found = jobs.find(transaction.connection, *name)
    if found is None:
        return None
    stored = jobs.get_to_change(transaction.connection, *name)
    expires_at = stored.job.expires_at
    is_over = stored.job.status.is_terminal and expires_at is not None and expires_at <= now
    return stored if is_over else None


def uploads(connection: Connection, *, now: datetime, limit: int) -> int:
    """Delete uploads whose time is over; how many were looked at.

    One that a data set or a job needs is looked at again later.
    """
    values: dict[str, Any] = {"now_us": to_us(now), "limit": limit}
    rows = list(_EXPIRED_UPLOADS.run(connection, values))
    for row in rows:
        if row.needed:
            later = {"of_pk": row.pk, "expires_us": to_us(now + LOOK_AGAIN)}
            _POSTPONE_UPLOAD.run(connection, later)
        else:
            _DELETE_UPLOAD.run(connection, {"of_pk": row.pk})
    return len(rows)
