"""The checker: reads a whole store and names everything that breaks a promise."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from jobplane.engine.content.store import ContentStore
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.store.database import open_engine

SHOWN = 20
CHUNK_BYTES = 1 << 20
_TERMINAL = f"({', '.join(repr(status.value) for status in JobStatus if status.is_terminal)})"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    rule: str
    subject: str
    detail: str


# Each query gives subject and detail of every row that breaks the rule.
_RULES = {
    "a history is 1..n without a gap": """
        SELECT j.project || '/' || j.job_id,
               'sequence ' || j.sequence || ', events ' || count(e.sequence)
               || ', last ' || coalesce(max(e.sequence), 0)
        FROM jobs j LEFT JOIN job_events e ON e.job_pk = j.pk
        GROUP BY j.pk, j.project, j.job_id, j.sequence
        HAVING count(e.sequence) <> j.sequence OR coalesce(max(e.sequence), 0) <> j.sequence
    """,
    "a job's status is that of its last event": """
        SELECT j.project || '/' || j.job_id, j.status || ' against ' || e.status
        FROM jobs j JOIN job_events e ON e.job_pk = j.pk AND e.sequence = j.sequence
        WHERE e.status <> j.status
    """,
    "a finished job has one finished event, the last": f"""
        SELECT j.project || '/' || j.job_id, j.status || ', finished events ' ||
               (SELECT count(*) FROM job_events f WHERE f.job_pk = j.pk AND f.type = 'finished')
        FROM jobs j LEFT JOIN job_events e ON e.job_pk = j.pk AND e.sequence = j.sequence
        WHERE (j.status IN {_TERMINAL}) <> (coalesce(e.type, '') = 'finished')
           OR (SELECT count(*) FROM job_events f WHERE f.job_pk = j.pk AND f.type = 'finished')
              <> (CASE WHEN j.status IN {_TERMINAL} THEN 1 ELSE 0 END)
    """,  # noqa: S608 - statuses of ours, nothing of a caller's
    "done says whether the status is terminal": f"""
        SELECT project || '/' || job_id, status || ', done ' || done FROM jobs
        WHERE (status IN {_TERMINAL}) <> (done = 1)
    """,  # noqa: S608 - the same
    "a stopping or suspended job has a deadline": """
        SELECT project || '/' || job_id, status FROM jobs
        WHERE status IN ('PAUSING', 'CANCELLING', 'AWAITING_INPUT') AND due_us IS NULL
    """,
    "only an active job has a worker": """
        SELECT project || '/' || job_id, status || ', worker ' || worker FROM jobs
        WHERE (worker <> '') <> (status IN ('RUNNING', 'PAUSING', 'CANCELLING'))
    """,
    "loads are a count of the jobs": """
        WITH counted AS (
          SELECT lane, project, queue, kind, shape,
                 sum(CASE WHEN status = 'QUEUED' THEN 1 ELSE 0 END) AS queued,
                 sum(CASE WHEN status = 'QUEUED' THEN 0 ELSE 1 END) AS active
          FROM jobs WHERE status IN ('QUEUED', 'RUNNING', 'PAUSING', 'CANCELLING')
          GROUP BY lane, project, queue, kind, shape
        ), both_sides AS (
          SELECT lane, project, queue, kind, shape, queued, active FROM counted
          UNION ALL
          SELECT lane, project, queue, kind, shape, -queued, -active FROM loads
        )
        SELECT project || '/' || queue || '/' || kind,
               'queued off by ' || sum(queued) || ', active off by ' || sum(active)
        FROM both_sides GROUP BY lane, project, queue, kind, shape
        HAVING sum(queued) <> 0 OR sum(active) <> 0
    """,
    "a job waits only for jobs that are not over": """
        SELECT j.project || '/' || j.job_id, 'waits for ' || u.job_id || ', ' || u.status
        FROM job_dependencies d JOIN jobs j ON j.pk = d.job_pk JOIN jobs u ON u.pk = d.upstream_pk
        WHERE u.done = 1
          AND NOT EXISTS (SELECT 1 FROM dependency_backlog b WHERE b.upstream_pk = u.pk)
    """,
    "a key leads to a job": """
        SELECT k.project || '/' || k.key, k.job_id FROM idempotency_keys k
        WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.project = k.project AND j.job_id = k.job_id)
          AND NOT EXISTS (
            SELECT 1 FROM tombstones t WHERE t.project = k.project AND t.job_id = k.job_id)
    """,
}


class Checker:
    """Looks at one store; nothing is changed."""

    def __init__(self, *, url: str, content: ContentStore) -> None:
        self._url = make_url(url)
        self._content = content

    def findings(self, *, digests: bool = False) -> list[Finding]:
        """All that is wrong; `digests` reads every artifact and compares its content too."""
        engine = open_engine(self._url, read_only=True, size=1)
        try:
            with engine.connect() as connection:
                return [
                    *self._integrity(connection),
                    *self._rules(connection),
                    *self._artifacts(connection, digests=digests),
                ]
        finally:
            engine.dispose()

    def _integrity(self, connection: Connection) -> Iterator[Finding]:
        if connection.dialect.name != "sqlite":
            return
        for row in connection.execute(text("PRAGMA integrity_check")):
            if row[0] != "ok":
                yield Finding("the file is whole", "database", str(row[0]))
        for row in connection.execute(text("PRAGMA foreign_key_check")):
            yield Finding("references lead somewhere", str(row[0]), f"row {row[1]} to {row[2]}")

    def _rules(self, connection: Connection) -> Iterator[Finding]:
        for rule, query in _RULES.items():
            for subject, detail in connection.execute(text(f"{query} LIMIT {SHOWN}")):
                yield Finding(rule, subject, detail)

    def _artifacts(self, connection: Connection, *, digests: bool) -> Iterator[Finding]:
        rows = connection.execute(
            text("SELECT DISTINCT sha256, size_bytes FROM artifacts ORDER BY sha256")
        )
        for sha256, size in rows:
            path = self._content.path_of(sha256)
            if not path.is_file():
                yield Finding("a listed artifact is readable", sha256, "its content is missing")
            elif path.stat().st_size != size:
                detail = f"{path.stat().st_size} bytes, listed with {size}"
                yield Finding("a listed artifact is readable", sha256, detail)
            elif digests and _digest(path) != sha256:
                yield Finding("an artifact is what was stored", sha256, "its digest differs")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
