"""Statements over artifacts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, select, update

from jobplane.engine.domain.artifact import Artifact, ArtifactType, TableShape
from jobplane.engine.store.codec import from_us, to_us
from jobplane.engine.store.statement import Statement, insertion
from jobplane.engine.store.tables import artifacts, jobs


class Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """The fields of an artifact that nothing filters by."""

    filename: str = ""
    table: TableShape | None = None
    labels: Mapping[str, str] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Detail).decode
_INSERT = Statement(insertion(artifacts))
_DELETE = Statement(
    delete(artifacts).where(
        artifacts.c.job_pk == bindparam("job_pk"),
        artifacts.c.artifact_id == bindparam("artifact_id"),
    )
)
_OF_JOB = (
    select(artifacts)
    .join(jobs, jobs.c.pk == artifacts.c.job_pk)
    .where(jobs.c.project == bindparam("project"), jobs.c.job_id == bindparam("job_id"))
)
_FIND = Statement(_OF_JOB.where(artifacts.c.artifact_id == bindparam("artifact_id")))
_BY_CONTENT = Statement(
    select(artifacts)
    .where(artifacts.c.project == bindparam("project"), artifacts.c.sha256 == bindparam("sha256"))
    # An upload says more of the content than a job's output does.
    .order_by(artifacts.c.job_pk.is_not(None), artifacts.c.pk)
    .limit(1)
)
_UPLOAD = Statement(
    select(artifacts)
    .where(
        artifacts.c.project == bindparam("project"),
        artifacts.c.sha256 == bindparam("sha256"),
        artifacts.c.job_pk.is_(None),
    )
    .with_for_update()
)
_PAGE = Statement(
    _OF_JOB.where(artifacts.c.artifact_id > bindparam("after"))
    .order_by(artifacts.c.artifact_id)
    .limit(bindparam("limit"))
)
_UPLOADS = Statement(
    select(artifacts)
    .where(
        artifacts.c.project == bindparam("project"),
        artifacts.c.job_pk.is_(None),
        artifacts.c.pk < bindparam("after"),
    )
    .order_by(artifacts.c.pk.desc())
    .limit(bindparam("limit"))
)
_PROLONG = Statement(
    update(artifacts)
    .where(
        artifacts.c.project == bindparam("of_project"),
        artifacts.c.sha256 == bindparam("of_sha256"),
        artifacts.c.job_pk.is_(None),
    )
    .values(expires_us=bindparam("expires_us"))
)
_BATCH = 500
_LAST_PK = 2**62


@dataclass(frozen=True, slots=True)
class Slice:
    """Some artifacts of a list, and the key after which it goes on; None at the end."""

    items: tuple[Artifact, ...]
    next_key: int | str | None


def put(connection: Connection, artifact: Artifact, *, job_pk: int) -> None:
    """Store an artifact; one of the same name from an earlier attempt is replaced."""
    _DELETE.run(connection, {"job_pk": job_pk, "artifact_id": artifact.artifact_id})
    _INSERT.run(connection, {"job_pk": job_pk, **_to_row(artifact)})


def find(connection: Connection, project: str, job_id: str, artifact_id: str) -> Artifact | None:
    """The artifact, or None."""
    values = {"project": project, "job_id": job_id, "artifact_id": artifact_id}
    row = _FIND.run(connection, values).first()
    return None if row is None else _from_row(row, job_id)


def find_by_name(connection: Connection, name: str) -> Artifact | None:
    """The artifact of a resource name: a job's output, or uploaded content."""
    match name.split("/"):
        case ["projects", project, "artifacts", sha256]:
            return find_content(connection, project, sha256)
        case ["projects", project, "jobs", job_id, "artifacts", *parts] if parts:
            return find(connection, project, job_id, "/".join(parts))
        case _:
            return None


def find_content(connection: Connection, project: str, sha256: str) -> Artifact | None:
    """Some artifact of a project that has this content, or None."""
    row = _BY_CONTENT.run(connection, {"project": project, "sha256": sha256}).first()
    if row is None:
        return None
    found = _from_row(row, "")
    if row.job_pk is None:
        return found
    # Of an output only the bytes count here: what a job said of it is the job's.
    return replace(
        found,
        artifact_id=found.sha256,
        filename=found.filename or found.artifact_id.rpartition("/")[2],
        attempt=0,
        stage="",
        labels={},
    )


def find_upload(connection: Connection, project: str, sha256: str) -> Artifact | None:
    """The uploaded content, held against other writers until the transaction ends; or None."""
    row = _UPLOAD.run(connection, {"project": project, "sha256": sha256}).first()
    return None if row is None else _from_row(row, "")


def shelve(connection: Connection, artifact: Artifact) -> None:
    """Store uploaded content."""
    _INSERT.run(connection, {"job_pk": None, **_to_row(artifact)})


def prolong(connection: Connection, artifact: Artifact, expires_at: datetime | None) -> Artifact:
    """Uploaded content that stays at least so long."""
    if artifact.expires_at is None:
        return artifact
    if expires_at is not None and expires_at <= artifact.expires_at:
        return artifact
    values = {
        "of_project": artifact.project,
        "of_sha256": artifact.sha256,
        "expires_us": to_us(expires_at) if expires_at else None,
    }
    _PROLONG.run(connection, values)
    return replace(artifact, expires_at=expires_at)


def page(
    connection: Connection,
    *,
    project: str,
    job_id: str,
    after: int | str | None,
    limit: int,
    scan: int,
    keeps: Callable[[Artifact], bool],
) -> Slice:
    """Artifacts of a job by id, or, without a job, uploads, newest first.

    At most `limit` of those kept, from about `scan` rows.
    """
    kept: list[Artifact] = []
    seen = 0
    while True:
        rows = _rows(connection, project, job_id, after)
        for row in rows:
            artifact = _from_row(row, job_id)
            if keeps(artifact):
                if len(kept) == limit:
                    return Slice(tuple(kept), after)
                kept.append(artifact)
            after = row.artifact_id if job_id else row.pk
        seen += len(rows)
        if len(rows) < _BATCH:
            return Slice(tuple(kept), None)
        if seen >= scan:
            return Slice(tuple(kept), after)


def _rows(
    connection: Connection, project: str, job_id: str, after: int | str | None
) -> list[Row[Any]]:
    values = {"project": project, "limit": _BATCH}
    if job_id:
        values |= {"job_id": job_id, "after": "" if after is None else after}
        return list(_PAGE.run(connection, values))
    values["after"] = _LAST_PK if after is None else after
    return list(_UPLOADS.run(connection, values))


def _to_row(artifact: Artifact) -> dict[str, Any]:
    return {
        "project": artifact.project,
        "artifact_id": artifact.artifact_id,
        "type": artifact.type.value,
        "media_type": artifact.media_type,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "attempt": artifact.attempt,
        "stage": artifact.stage,
        "created_us": to_us(artifact.created_at),
        "expires_us": to_us(artifact.expires_at) if artifact.expires_at else None,
        "detail": _encode(Detail(artifact.filename, artifact.table, artifact.labels)),
    }


def _from_row(row: Row[Any], job_id: str) -> Artifact:
    detail: Detail = _decode(row.detail)
    return Artifact(
        project=row.project,
        job_id=job_id,
        artifact_id=row.artifact_id,
        type=ArtifactType(row.type),
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        created_at=from_us(row.created_us),
        attempt=row.attempt,
        stage=row.stage,
        filename=detail.filename,
        table=detail.table,
        expires_at=from_us(row.expires_us) if row.expires_us else None,
        labels=detail.labels,
    )
