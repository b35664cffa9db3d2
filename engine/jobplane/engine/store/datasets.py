"""Statements over versions of data sets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, select

from jobplane.engine.domain.artifact import TableShape
from jobplane.engine.domain.dataset import Dataset
from jobplane.engine.store.codec import from_us, to_us
from jobplane.engine.store.statement import Statement, insertion
from jobplane.engine.store.tables import datasets


class Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """The fields of a version that no column has."""

    description: str = ""
    table: TableShape | None = None
    labels: Mapping[str, str] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Detail).decode
_INSERT = Statement(insertion(datasets))
_FIND = Statement(
    select(datasets).where(
        datasets.c.project == bindparam("project"),
        datasets.c.dataset_id == bindparam("dataset_id"),
        datasets.c.version == bindparam("version"),
    )
)
_PAGE = Statement(
    select(datasets)
    .where(datasets.c.project == bindparam("project"), datasets.c.pk < bindparam("after"))
    .order_by(datasets.c.pk.desc())
    .limit(bindparam("limit"))
)
_BATCH = 500
_LAST_PK = 2**62


@dataclass(frozen=True, slots=True)
class Slice:
    """Some versions of a list, and the key after which it goes on; None at the end."""

    items: tuple[Dataset, ...]
    next_key: int | None


def create(connection: Connection, dataset: Dataset) -> None:
    """Store a new version."""
    _INSERT.run(connection, _to_row(dataset))


def find(connection: Connection, project: str, dataset_id: str, version: str) -> Dataset | None:
    """The version, or None."""
    values = {"project": project, "dataset_id": dataset_id, "version": version}
    row = _FIND.run(connection, values).first()
    return None if row is None else _from_row(row)


def page(
    connection: Connection,
    *,
    project: str,
    after: int | None,
    limit: int,
    scan: int,
    keeps: Callable[[Dataset], bool],
) -> Slice:
    """Versions of a project, newest first: `limit` of those kept, from about `scan` rows."""
    kept: list[Dataset] = []
    key = _LAST_PK if after is None else after
    seen = 0
    while True:
        values = {"project": project, "after": key, "limit": _BATCH}
        rows = list(_PAGE.run(connection, values))
        for row in rows:
            dataset = _from_row(row)
            if keeps(dataset):
                if len(kept) == limit:
                    return Slice(tuple(kept), key)
                kept.append(dataset)
            key = row.pk
        seen += len(rows)
        if len(rows) < _BATCH:
            return Slice(tuple(kept), None)
        if seen >= scan:
            return Slice(tuple(kept), key)


def _to_row(dataset: Dataset) -> dict[str, Any]:
    return {
        "project": dataset.project,
        "dataset_id": dataset.dataset_id,
        "version": dataset.version,
        "sha256": dataset.sha256,
        "format": dataset.format,
        "media_type": dataset.media_type,
        "size_bytes": dataset.size_bytes,
        "creator": dataset.creator,
        "created_us": to_us(dataset.created_at),
        "detail": _encode(Detail(dataset.description, dataset.table, dataset.labels)),
    }


def _from_row(row: Row[Any]) -> Dataset:
    detail: Detail = _decode(row.detail)
    return Dataset(
        project=row.project,
        dataset_id=row.dataset_id,
        version=row.version,
        sha256=row.sha256,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        created_at=from_us(row.created_us),
        format=row.format,
        description=detail.description,
        creator=row.creator,
        table=detail.table,
        labels=detail.labels,
    )
