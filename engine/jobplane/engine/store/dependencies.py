"""Statements over dependencies: conditions that are still open, and who waits for them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Integer, bindparam, delete, func, literal_column, select, text

from jobplane.engine.domain.job import Condition, Dependency, job_name
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.store.statement import Statement, insertion
from jobplane.engine.store.tables import dependency_backlog, job_dependencies, jobs

# Bound of the values in one statement.
CHUNK = 500

_INSERT = Statement(
    text(
        "INSERT INTO job_dependencies (upstream_pk, job_pk, condition)"
        " VALUES (:upstream_pk, :job_pk, :condition)"
    )
)
_DEPENDENTS = Statement(
    select(job_dependencies.c.job_pk, job_dependencies.c.condition)
    .where(job_dependencies.c.upstream_pk == bindparam("upstream_pk"))
    .order_by(job_dependencies.c.job_pk)
    .limit(bindparam("limit"))
)
_CLOSE = Statement(
    delete(job_dependencies).where(
        job_dependencies.c.upstream_pk == bindparam("upstream_pk"),
        job_dependencies.c.job_pk == bindparam("job_pk"),
    )
)
_CLOSE_ALL = Statement(
    delete(job_dependencies).where(job_dependencies.c.job_pk == bindparam("job_pk"))
)
_IS_OPEN = Statement(
    select(literal_column("1", Integer))
    .where(job_dependencies.c.job_pk == bindparam("job_pk"))
    .limit(1)
)
_OPEN = Statement(
    select(func.count(), func.min(job_dependencies.c.upstream_pk)).where(
        job_dependencies.c.job_pk == bindparam("job_pk")
    )
)
_NAME = Statement(select(jobs.c.project, jobs.c.job_id).where(jobs.c.pk == bindparam("of_pk")))
_LATER = Statement(insertion(dependency_backlog))
_BACKLOG = Statement(
    select(dependency_backlog)
    .order_by(dependency_backlog.c.upstream_pk)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_ANY_BACKLOG = Statement(select(dependency_backlog.c.upstream_pk).limit(1))
_DONE = Statement(
    delete(dependency_backlog).where(dependency_backlog.c.upstream_pk == bindparam("of_pk"))
)


class Upstream(NamedTuple):
    """A job that others may wait for, as far as they need to know it."""

    pk: int
    name: str
    status: JobStatus


class Dependent(NamedTuple):
    """A job that waits, and what it waits for."""

    pk: int
    condition: Condition


def holds(condition: Condition, status: JobStatus) -> bool:
    """Whether a job that ended so fulfils the condition."""
    match condition:
        case Condition.SUCCEEDED:
            return status in {JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_GAPS}
        case Condition.SUCCEEDED_FULLY:
            return status is JobStatus.SUCCEEDED
        case Condition.NOT_SUCCEEDED:
            return status not in {JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_GAPS}
        case Condition.FINISHED:
            return True


def find_upstreams(
    connection: Connection, project: str, job_ids: Sequence[str]
) -> dict[str, Upstream]:
    """The jobs of these ids, by id; none of them can end before the transaction does."""
    found: dict[str, Upstream] = {}
    for start in range(0, len(job_ids), CHUNK):
        query = (
            select(jobs.c.pk, jobs.c.job_id, jobs.c.status)
            .where(jobs.c.project == project, jobs.c.job_id.in_(job_ids[start : start + CHUNK]))
            .order_by(jobs.c.pk)
            .with_for_update(read=True)
        )
        for row in connection.execute(query):
            name = job_name(project, row.job_id)
            found[row.job_id] = Upstream(row.pk, name, JobStatus(row.status))
    return found


def wait_for(
    connection: Connection, job_pk: int, open_conditions: Sequence[tuple[int, Dependency]]
) -> None:
    """Have a job wait until every condition holds."""
    rows = [
        {"upstream_pk": upstream_pk, "job_pk": job_pk, "condition": dependency.condition.value}
        for upstream_pk, dependency in open_conditions
    ]
    if rows:
        _INSERT.run_many(connection, rows)


def dependents(connection: Connection, upstream_pk: int, *, limit: int) -> list[Dependent]:
    """Jobs that wait for this one."""
    rows = _DEPENDENTS.run(connection, {"upstream_pk": upstream_pk, "limit": limit})
    return [Dependent(row.job_pk, Condition(row.condition)) for row in rows]


def close(connection: Connection, upstream_pk: int, job_pks: Collection[int]) -> None:
    """Note that conditions hold."""
    rows = [{"upstream_pk": upstream_pk, "job_pk": job_pk} for job_pk in job_pks]
    if rows:
        _CLOSE.run_many(connection, rows)


def close_all(connection: Connection, job_pk: int) -> None:
    """Forget what a job waits for."""
    _CLOSE_ALL.run(connection, {"job_pk": job_pk})


def is_open(connection: Connection, job_pk: int) -> bool:
    """Whether the job waits for another."""
    return _IS_OPEN.run(connection, {"job_pk": job_pk}).first() is not None


def open_of(connection: Connection, job_pk: int) -> tuple[int, str]:
    """For how many jobs this one waits, and the name of one of them."""
    number, upstream_pk = _OPEN.run(connection, {"job_pk": job_pk}).first()
    if not number:
        return 0, ""
    row = _NAME.run(connection, {"of_pk": upstream_pk}).first()
    return number, job_name(row.project, row.job_id) if row else ""


def tell_later(connection: Connection, upstream: Upstream) -> None:
    """Keep the end of a job for dependents that this transaction does not get to."""
    row = {"upstream_pk": upstream.pk, "upstream": upstream.name, "status": upstream.status.value}
    _LATER.run(connection, row)


def backlog(connection: Connection) -> Upstream | None:
    """A job whose dependents have not all been told."""
    row = _BACKLOG.run(connection).first()
    return None if row is None else Upstream(row[0], row[1], JobStatus(row[2]))


def any_backlog(connection: Connection) -> bool:
    """Whether there is such a job."""
    return _ANY_BACKLOG.run(connection).first() is not None


def told(connection: Connection, upstream_pk: int) -> None:
    """All dependents of a job have been told."""
    _DONE.run(connection, {"of_pk": upstream_pk})
