"""Statements over who needs which content."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Column, Connection, bindparam, delete, select

from jobplane.engine.domain.job import JobSpec
from jobplane.engine.store.statement import Statement, insertion
from jobplane.engine.store.tables import artifacts, datasets, job_contents

CHECKPOINT = "checkpoint"
_INPUT = "input:"
_INSERT = Statement(insertion(job_contents))
_DELETE = Statement(
    delete(job_contents).where(
        job_contents.c.job_pk == bindparam("job_pk"), job_contents.c.role == bindparam("role")
    )
)
_HOLDERS: tuple[Column[Any], ...] = (artifacts.c.sha256, datasets.c.sha256, job_contents.c.sha256)


def need_inputs(connection: Connection, job_pk: int, spec: JobSpec) -> None:
    """Note that a job needs its inputs for as long as it is here."""
    rows = [
        {"job_pk": job_pk, "role": f"{_INPUT}{role}", "sha256": ref.sha256}
        for role, ref in spec.inputs.items()
    ]
    if rows:
        _INSERT.run_many(connection, rows)


def need_checkpoint(connection: Connection, job_pk: int, sha256: str) -> None:
    """Note that a job needs this checkpoint, and none before it."""
    _DELETE.run(connection, {"job_pk": job_pk, "role": CHECKPOINT})
    _INSERT.run(connection, {"job_pk": job_pk, "role": CHECKPOINT, "sha256": sha256})


def needed(connection: Connection, digests: Collection[str]) -> set[str]:
    """Those of some digests that an artifact, a data set or a job needs."""
    found: set[str] = set()
    for column in _HOLDERS:
        rest = [digest for digest in digests if digest not in found]
        if rest:
            query = select(column).where(column.in_(rest)).distinct()
            found.update(connection.execute(query).scalars())
    return found
