"""Statements over loads: how many jobs wait and run, counted in each change's transaction."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    text,
)

from jobplane.engine.domain.job import Job
from jobplane.engine.domain.standing import shape_of
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.store.statement import Statement
from jobplane.engine.store.tables import jobs, loads


class Line(NamedTuple):
    """Jobs that compete alike: whatever keeps one of them from a start keeps all."""

    lane: str
    project: str
    queue: str
    kind: str
    shape: str


class Load(NamedTuple):
    """How many jobs wait, and how many have a live attempt."""

    queued: int
    active: int


class Deltas:
    """Changes of loads that a group of writes made and has not stored yet."""

    def __init__(self) -> None:
        self._by_line: defaultdict[Line, list[int]] = defaultdict(lambda: [0, 0])

    def note(self, before: Job | None, after: Job, *, lane: str) -> None:
        """Count a job where it is now, and no more where it was."""
        if before is not None:
            self._add(before, lane, -1)
        self._add(after, lane, 1)

    def _add(self, job: Job, lane: str, number: int) -> None:
        if job.status is JobStatus.QUEUED:
            place = 0
        elif job.status.is_active:
            place = 1
        else:
            return
        shape = shape_of(job.spec.resources)
        self._by_line[Line(lane, job.project, job.queue, job.kind, shape)][place] += number

    def copied(self) -> dict[Line, list[int]]:
        """What is noted so far, to be gone back to."""
        return {line: list(numbers) for line, numbers in self._by_line.items()}

    def go_back(self, noted: Mapping[Line, list[int]]) -> None:
        """Forget what was noted since."""
        self._by_line.clear()
        self._by_line.update(noted)

    def flush(self, connection: Connection) -> None:
        """Store what was noted; in one order, so that writers don't lock each other out."""
        rows = [
            {**line._asdict(), "queued": queued, "active": active}
            for line, (queued, active) in sorted(self._by_line.items())
            if queued or active
        ]
        self._by_line.clear()
        if rows:
            _ADD.run_many(connection, rows)


_ADD = Statement(
    text(
        "INSERT INTO loads (lane, project, queue, kind, shape, queued, active)"
        " VALUES (:lane, :project, :queue, :kind, :shape, :queued, :active)"
        " ON CONFLICT (lane, project, queue, kind, shape) DO UPDATE"
        " SET queued = loads.queued + excluded.queued, active = loads.active + excluded.active"
    )
)
_WAITING = Statement(
    select(loads.c.lane, loads.c.project, loads.c.queue, loads.c.kind, loads.c.shape).where(
        loads.c.lane == bindparam("lane"), literal_column("queued > 0")
    )
)
_WAITING_IN = Statement(
    select(loads.c.lane, loads.c.project, loads.c.queue, loads.c.kind, loads.c.shape).where(
        loads.c.lane == bindparam("lane"),
        loads.c.project == bindparam("project"),
        loads.c.queue == bindparam("queue"),
        literal_column("queued > 0"),
    )
)
_SUMS = (
    func.coalesce(func.sum(loads.c.queued), 0).label("queued"),
    func.coalesce(func.sum(loads.c.active), 0).label("active"),
)
_OF_PROJECT = Statement(
    select(loads.c.kind, *_SUMS)
    .where(loads.c.project == bindparam("project"))
    .group_by(loads.c.kind)
)
_OF_QUEUES = select(loads.c.queue, *_SUMS).group_by(loads.c.queue)
_EMPTY = Statement(delete(loads).where(loads.c.queued == 0, loads.c.active == 0))


def drop_empty(connection: Connection) -> None:
    """Forget lines that have no job."""
    _EMPTY.run(connection)


def waiting(connection: Connection, *, lane: str) -> list[Line]:
    """Lines that have a queued job."""
    return [Line(*row) for row in _WAITING.run(connection, {"lane": lane})]


def waiting_in(connection: Connection, lane: str, project: str, queue: str) -> list[Line]:
    """Lines of a project in a queue that have a queued job."""
    values = {"lane": lane, "project": project, "queue": queue}
    return [Line(*row) for row in _WAITING_IN.run(connection, values)]


def of_project(connection: Connection, project: str) -> dict[str, Load]:
    """The load of a project by kind."""
    rows = _OF_PROJECT.run(connection, {"project": project})
    return {row.kind: Load(int(row.queued), int(row.active)) for row in rows}


def of_queues(connection: Connection) -> dict[str, Load]:
    """The load of every queue that has or had jobs."""
    rows = connection.execute(_OF_QUEUES)
    return {row.queue: Load(int(row.queued), int(row.active)) for row in rows}


def counted(connection: Connection) -> dict[Line, Load]:
    """The loads as a count of the jobs themselves, for a check of those that are kept."""
    is_queued: ColumnElement[bool] = jobs.c.status == JobStatus.QUEUED.value
    statuses = [status.value for status in JobStatus if status.is_active]
    key = (jobs.c.lane, jobs.c.project, jobs.c.queue, jobs.c.kind, jobs.c.shape)
    query = (
        select(
            *key,
            func.sum(case((is_queued, 1), else_=0)).label("queued"),
            func.sum(case((is_queued, 0), else_=1)).label("active"),
        )
        .where(jobs.c.status.in_([JobStatus.QUEUED.value, *statuses]))
        .group_by(*key)
    )
    return _by_line(connection.execute(query).mappings())


def kept(connection: Connection) -> dict[Line, Load]:
    """The loads as they are kept, without those that are zero."""
    query = select(loads).where((loads.c.queued != 0) | (loads.c.active != 0))
    return _by_line(connection.execute(query).mappings())


def _by_line(rows: Any) -> dict[Line, Load]:
    return {Line(*_line(row)): Load(int(row["queued"]), int(row["active"])) for row in rows}


def _line(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    return row["lane"], row["project"], row["queue"], row["kind"], row["shape"]
