"""Statements over idempotency keys."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from jobplane.engine.store.codec import to_us
from jobplane.engine.store.statement import Statement, insertion
from jobplane.engine.store.tables import idempotency_keys

_INSERT = Statement(insertion(idempotency_keys))
_FIND = Statement(
    select(idempotency_keys.c.job_id, idempotency_keys.c.fingerprint).where(
        idempotency_keys.c.project == bindparam("project"),
        idempotency_keys.c.key == bindparam("key"),
    )
)


class Use(NamedTuple):
    """The job that a key made, and the fingerprint of the request that did."""

    job_id: str
    fingerprint: bytes


def find(connection: Connection, *, project: str, key: str) -> Use | None:
    """The use of a key, or None."""
    row = _FIND.run(connection, {"project": project, "key": key}).first()
    return None if row is None else Use(*row)


def use(
    connection: Connection,
    *,
    project: str,
    key: str,
    job_id: str,
    fingerprint: bytes,
    now: datetime,
) -> None:
    """Bind a key to a job."""
    row = {
        "project": project,
        "key": key,
        "job_id": job_id,
        "fingerprint": fingerprint,
        "created_us": to_us(now),
    }
    _INSERT.run(connection, row)
