"""A store with many jobs in it: two real ones, copied in bulk through the store's own tables."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobplane.engine.domain.attempt import Assignment, Intent
from jobplane.engine.domain.job import JobSpec, RunPolicy
from jobplane.engine.domain.submission import Submission
from jobplane.engine.executors.port import Executor, Reports
from jobplane.engine.executors.settings import ExecutorSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.house import House
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store.tables import metadata
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec

PROJECT = "bench"
LANE = "THREAD"
# One job of so many waits to be claimed; the others are over.
_WAITING_EVERY = 10
# Copies lie so far apart in time, all before the two that are copied.
_STEP_US = 1000
_CACHE_KIB = 1 << 20
_LATER = (
    "created_us",
    "updated_us",
    "started_us",
    "finished_us",
    "expires_us",
    "heartbeat_us",
    "due_us",
    "ready_us",
    "rank_us",
)
_NEW_ID = """
printf('%08x-%04x-7%03x-%04x-%012x',
       (t.created_us / 1000 - n.i) >> 16, (t.created_us / 1000 - n.i) & 65535,
       abs(random()) % 4096, 32768 + abs(random()) % 16384, abs(random()) % 281474976710656)
"""
# Tables that hold rows of a job.
_OWNED = ("job_events", "job_labels", "job_metrics")


class NoSlots:
    """An executor that is always full: what is claimed, is claimed by the bench."""

    def start(self, reports: Reports) -> None:
        """Have nothing to tell."""

    def free_slots(self) -> int:
        """None."""
        return 0

    def launch(self, assignment: Assignment) -> None:
        """Leave it."""

    def control(self, fence: tuple[str, str, int], intent: Intent) -> None:
        """Have nothing to steer."""

    def stop(self, grace_s: float) -> None:
        """Have nothing to end."""


def noop(*, key: str = "", policy: RunPolicy | None = None) -> Submission:
    """A probe that does nothing, with two labels."""
    spec = ProbeSpec(isolation=ProbeSpec.ISOLATION_THREAD)
    job_spec = JobSpec("probe", spec.SerializeToString(), policy=policy or RunPolicy())
    labels = {"team": "bench", "purpose": "scale"}
    return Submission(PROJECT, job_spec, creator="bench", idempotency_key=key, labels=labels)


def house_on(folder: Path, executor: Executor) -> House:
    """A house over the store in a folder."""
    # What the bench claims has no attempt behind it, and must stay as it is.
    settings = EngineSettings(folder, lease_s=86_400.0)
    return House(settings, registry=Registry.discover(), executors={LANE: executor})


@dataclass(frozen=True, slots=True)
class Originals:
    """The keys of the jobs that are copied."""

    done: int
    waiting: int


def fill(folder: Path, count: int) -> None:
    """Make a store with `count` jobs."""
    asyncio.run(_originals(folder))
    with _connected(folder) as connection:
        keys = [row[0] for row in connection.execute("SELECT pk FROM jobs ORDER BY done DESC")]
        _copy(connection, Originals(*keys), count - len(keys))


async def _originals(folder: Path) -> None:
    """A job that ran to its end, and one that waits."""
    executor = ThreadExecutor(Registry.discover(), ExecutorSettings())
    house = house_on(folder, executor)
    engine = await house.start()
    made = await engine.submit(noop(key="done"))
    _, is_over = await engine.wait(PROJECT, made.job.job_id, after_sequence=None, timeout_s=60)
    assert is_over, "the job that is to be copied did not end"
    await house.drain()
    await engine.submit(noop(key="waiting"))
    await house.stop(5)


@contextmanager
def _connected(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection that is fast and promises nothing; no server has the file open."""
    connection = sqlite3.connect(folder / "jobplane.db", isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA threads = 2")
        yield connection
    finally:
        connection.close()


def _copy(connection: sqlite3.Connection, originals: Originals, count: int) -> None:
    """Copy the originals in turns, with the indexes away meanwhile: to build them is cheaper."""
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    connection.execute("BEGIN")
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    _copy_jobs(connection, originals, count)
    for table in _OWNED:
        _copy_owned(connection, table, originals)
    for _, statement in indexes:
        connection.execute(statement)
    connection.execute("COMMIT")


def _copy_jobs(connection: sqlite3.Connection, originals: Originals, count: int) -> None:
    values = {name: f"t.{name}" for name in _columns("jobs")}
    values |= {name: f"t.{name} - n.i * {_STEP_US}" for name in _LATER}
    values |= {"job_id": _NEW_ID, "priority": "n.i % 100"}
    del values["pk"]
    connection.execute(
        f"""
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
        INSERT INTO jobs ({", ".join(values)}) SELECT {", ".join(values.values())}
        FROM n JOIN jobs t ON t.pk = CASE n.i % :every WHEN 0 THEN :waiting ELSE :done END
        ORDER BY n.i DESC
        """,  # noqa: S608  names and expressions of our own
        {
            "count": count,
            "every": _WAITING_EVERY,
            "waiting": originals.waiting,
            "done": originals.done,
        },
    )
    connection.execute(
        "INSERT INTO idempotency_keys (project, key, job_id, fingerprint, created_us)"
        " SELECT j.project, 'copy-' || j.pk, j.job_id, k.fingerprint, j.created_us FROM jobs j"
        " CROSS JOIN (SELECT fingerprint FROM idempotency_keys LIMIT 1) k WHERE j.pk > :last",
        {"last": max(originals.done, originals.waiting)},
    )
    connection.execute(
        "UPDATE loads SET queued = (SELECT count(*) FROM jobs WHERE status = 'QUEUED')"
    )


def _copy_owned(connection: sqlite3.Connection, table: str, originals: Originals) -> None:
    """Give every copy the rows that its original has in another table."""
    names = [name for name in _columns(table) if name not in {"revision", "job_pk"}]
    connection.execute(
        f"""
        INSERT INTO {table} (job_pk, {", ".join(names)})
        SELECT j.pk, {", ".join(f"t.{name}" for name in names)}
        FROM jobs j JOIN {table} t ON t.job_pk = CASE j.done WHEN 1 THEN :done ELSE :waiting END
        WHERE j.pk > max(:done, :waiting) ORDER BY j.pk
        """,  # noqa: S608  names of our own
        {"done": originals.done, "waiting": originals.waiting},
    )


def _columns(table: str) -> Sequence[str]:
    return [column.name for column in metadata.tables[table].columns]
