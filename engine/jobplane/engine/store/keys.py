"""Statements over idempotency keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from jobplane.engine.store.codec import to_us
from jobplane.engine.store.statement import ManyFind, ManyInsert
from jobplane.engine.store.tables import idempotency_keys

_INSERT = ManyInsert(idempotency_keys)
_FIND = ManyFind(
    select(idempotency_keys.c.key, idempotency_keys.c.job_id, idempotency_keys.c.fingerprint).where(
        idempotency_keys.c.project == bindparam("project")
    ),
    idempotency_keys.c.key,
)


class Use(NamedTuple):
    """The job that a key made, and the fingerprint of the request that did."""

    key: str
    job_id: str
    fingerprint: bytes


def find(connection: Connection, project: str, keys: Sequence[str]) -> dict[str, Use]:
    """Those of some keys of a project that are in use."""
    rows = _FIND.run(connection, {"project": project}, keys)
    return {row.key: Use(*row) for row in rows}


def use(connection: Connection, project: str, uses: Sequence[Use], *, now: datetime) -> None:
    """Bind keys of a project to jobs."""
    rows = [{"project": project, **one._asdict(), "created_us": to_us(now)} for one in uses]
    _INSERT.run(connection, rows)
