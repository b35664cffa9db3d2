"""The record: what the server's own files say after a run, read without its code."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = "robust"
_OVERDUE = (
    "SELECT job_id FROM jobs WHERE done = 1 AND expires_us <= ?1"
    " UNION ALL SELECT artifact_id FROM artifacts WHERE job_pk IS NULL AND expires_us <= ?1"
)


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of the job_events table."""

    sequence: int
    type: str
    status: str
    attempt: int
    time_us: int
    payload: dict[str, Any]
    # Its place among all events of all jobs.
    revision: int = 0


@dataclass(slots=True)
class JobRow:
    """One row of the jobs table, with its events in order of sequence."""

    job_id: str
    status: str
    done: bool
    sequence: int
    attempt: int
    failure: str
    labels: dict[str, str]
    result: dict[str, Any] | None
    spec: dict[str, Any]
    events: list[EventRow] = field(default_factory=list)

    def of_type(self, *types: str) -> list[EventRow]:
        return [event for event in self.events if event.type in types]


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """One row of the artifacts table, and what lies in its place."""

    job_id: str
    artifact_id: str
    sha256: str
    size_bytes: int
    # What is wrong with the file; empty when it is what the row says.
    trouble: str


@dataclass(slots=True)
class Record:
    """Everything that is durable."""

    jobs: dict[str, JobRow] = field(default_factory=dict)
    # By idempotency key, the job that it made.
    keys: dict[str, str] = field(default_factory=dict)
    artifacts: list[ArtifactRow] = field(default_factory=list)
    # What clients uploaded; it belongs to no job.
    uploads: list[ArtifactRow] = field(default_factory=list)
    # Jobs that were deleted, or purged when their retention was over.
    purged: set[str] = field(default_factory=set)
    # Content that jobs need besides their artifacts: job, role and digest.
    needed: list[tuple[str, str, str]] = field(default_factory=list)
    # Digests of all content, and of that which nobody needs.
    contents: set[str] = field(default_factory=set)
    orphans: set[str] = field(default_factory=set)
    # Jobs and uploads that are there though their time is over.
    overdue: list[str] = field(default_factory=list)
    # Answers of PRAGMA integrity_check and foreign_key_check, other than "ok".
    damage: list[str] = field(default_factory=list)
    # Files of content that were never finished.
    leftovers: list[str] = field(default_factory=list)


def read_record(data: Path) -> Record:
    """Read a data folder that no server holds."""
    record = Record()
    with closing(sqlite3.connect(data / "jobplane.db")) as connection:
        connection.row_factory = sqlite3.Row
        record.damage = list(_damage(connection))
        _read_jobs(connection, record)
        _read_events(connection, record)
        record.keys = {
            row["key"]: row["job_id"]
            for row in connection.execute(
                "SELECT key, job_id FROM idempotency_keys WHERE project = ?", [PROJECT]
            )
        }
        record.purged = {
            row["job_id"]
            for row in connection.execute(
                "SELECT job_id FROM tombstones WHERE project = ?", [PROJECT]
            )
        }
        record.needed = [
            tuple(row)
            for row in connection.execute(
                "SELECT j.job_id, c.role, c.sha256 FROM job_contents c"
                " JOIN jobs j ON j.pk = c.job_pk"
            )
        ]
        record.contents = contents(data)
        record.orphans = record.contents - _held(connection)
        record.overdue = [row[0] for row in connection.execute(_OVERDUE, [time.time_ns() // 1000])]
        for row in _artifacts(connection, data / "content"):
            (record.artifacts if row.job_id else record.uploads).append(row)
    incoming = data / "content" / "incoming"
    record.leftovers = sorted(path.name for path in incoming.iterdir()) if incoming.is_dir() else []
    return record


def contents(data: Path) -> set[str]:
    """Digests of all content in a data folder."""
    return {path.name for path in (data / "content").glob("??/??/*")}


def leftover(data: Path) -> bool:
    """Whether there is content that nobody needs, or something whose time is over."""
    with closing(sqlite3.connect(data / "jobplane.db")) as connection:
        found = contents(data) - _held(connection)
        return bool(found or connection.execute(_OVERDUE, [time.time_ns() // 1000]).fetchone())


def _held(connection: sqlite3.Connection) -> set[str]:
    tables = ("artifacts", "datasets", "job_contents")
    query = " UNION ".join(f"SELECT sha256 FROM {table}" for table in tables)
    return {row[0] for row in connection.execute(query)}


def _damage(connection: sqlite3.Connection) -> Iterator[str]:
    for (answer,) in connection.execute("PRAGMA integrity_check"):
        if answer != "ok":
            yield f"integrity_check: {answer}"
    for row in connection.execute("PRAGMA foreign_key_check"):
        yield f"foreign_key_check: {tuple(row)}"


def _read_jobs(connection: sqlite3.Connection, record: Record) -> None:
    labels: dict[int, dict[str, str]] = {}
    for row in connection.execute("SELECT job_pk, key, value FROM job_labels"):
        labels.setdefault(row["job_pk"], {})[row["key"]] = row["value"]
    for row in connection.execute("SELECT * FROM jobs WHERE project = ? ORDER BY pk", [PROJECT]):
        record.jobs[row["job_id"]] = JobRow(
            job_id=row["job_id"],
            status=row["status"],
            done=bool(row["done"]),
            sequence=row["sequence"],
            attempt=row["attempt"],
            failure=row["failure_reason"],
            labels=labels.get(row["pk"], {}),
            result=json.loads(row["state"]).get("result"),
            spec=json.loads(row["spec"]),
        )


def _read_events(connection: sqlite3.Connection, record: Record) -> None:
    query = (
        "SELECT j.job_id, e.* FROM job_events e JOIN jobs j ON j.pk = e.job_pk"
        " WHERE j.project = ? ORDER BY e.job_pk, e.sequence, e.revision"
    )
    for row in connection.execute(query, [PROJECT]):
        event = EventRow(
            sequence=row["sequence"],
            type=row["type"],
            status=row["status"],
            attempt=row["attempt"],
            time_us=row["occurred_us"],
            payload=json.loads(row["payload"]),
            revision=row["revision"],
        )
        record.jobs[row["job_id"]].events.append(event)


def _artifacts(connection: sqlite3.Connection, content: Path) -> Iterator[ArtifactRow]:
    query = (
        "SELECT coalesce(j.job_id, ''), a.artifact_id, a.sha256, a.size_bytes FROM artifacts a"
        " LEFT JOIN jobs j ON j.pk = a.job_pk"
    )
    for row in connection.execute(query):
        trouble = _trouble(content, row["sha256"], row["size_bytes"])
        yield ArtifactRow(*row, trouble)


def _trouble(content: Path, sha256: str, size_bytes: int) -> str:
    path = content / sha256[:2] / sha256[2:4] / sha256
    if not path.is_file():
        return "the file is not there"
    data = path.read_bytes()
    if len(data) != size_bytes:
        return f"the file has {len(data)} bytes, the row says {size_bytes}"
    return "" if hashlib.sha256(data).hexdigest() == sha256 else "the file has another digest"
