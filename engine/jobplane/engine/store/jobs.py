"""Statements over jobs, each named for its use."""

# Rows and compiled statements have no types of their own.
# pyright: standard

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    func,
    null,
    select,
    text,
    tuple_,
    update,
)

from jobplane.engine.domain.change import Change
from jobplane.engine.domain.errors import ConflictError, JobExpiredError, JobNotFoundError
from jobplane.engine.domain.job import Job, Progress, WaitReason, job_name
from jobplane.engine.domain.standing import rank_us
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.store import dependencies, events, loads, quotas
from jobplane.engine.store.codec import (
    from_us,
    job_from_row,
    job_to_row,
    new_job_to_row,
    progress_to_json,
    to_us,
)
from jobplane.engine.store.database import Transaction
from jobplane.engine.store.loads import Line
from jobplane.engine.store.statement import ManyInsert, Statement, insertion
from jobplane.engine.store.tables import job_labels, job_metrics, jobs, tombstones

# Before every rank.
FIRST_RANK = -(1 << 62)
# The place of all who have more ahead of them.
LAST_PLACE = 201


@dataclass(frozen=True, slots=True)
class Stored:
    """A job and its place in the store."""

    pk: int
    job: Job
    lane: str = ""
    worker: str = ""


_INSERT = ManyInsert(jobs, returning=jobs.c.pk)
_INSERT_LABELS = ManyInsert(job_labels)
_DELETE_LABELS = Statement(delete(job_labels).where(job_labels.c.job_pk == bindparam("pk")))
_INSERT_METRICS = Statement(insertion(job_metrics))
_FIND = select(jobs).where(
    jobs.c.project == bindparam("project"), jobs.c.job_id == bindparam("job_id")
)
_GET = Statement(_FIND)
_FIND_TO_CHANGE = Statement(_FIND.with_for_update())
_TOMBSTONE = Statement(
    select(tombstones.c.expired_us).where(
        tombstones.c.project == bindparam("project"), tombstones.c.job_id == bindparam("job_id")
    )
)
_EXISTS = Statement(
    select(jobs.c.pk).where(
        jobs.c.project == bindparam("project"), jobs.c.job_id == bindparam("job_id")
    )
)
_CHANGED = [
    "status",
    "done",
    "sequence",
    "attempt",
    "priority",
    "queue",
    "failure_reason",
    "failure_category",
    "updated_us",
    "started_us",
    "finished_us",
    "expires_us",
    "heartbeat_us",
    "ready",
    "ready_us",
    "rank_us",
    "due_us",
    "state",
    "progress",
    "worker",
]
_SAVE = Statement(
    update(jobs)
    .where(jobs.c.pk == bindparam("of_pk"), jobs.c.sequence == bindparam("of_sequence"))
    .values({name: bindparam(name) for name in _CHANGED})
)
_STARTED = [
    "status",
    "sequence",
    "attempt",
    "updated_us",
    "started_us",
    "heartbeat_us",
    "due_us",
    "state",
    "progress",
    "worker",
]
_START = Statement(
    update(jobs)
    .where(jobs.c.pk == bindparam("of_pk"), jobs.c.sequence == bindparam("of_sequence"))
    .values({name: bindparam(name) for name in _STARTED})
)
_UNCHANGED = Statement(
    select(jobs.c.pk)
    .where(jobs.c.pk == bindparam("of_pk"), jobs.c.sequence == bindparam("of_sequence"))
    .with_for_update()
)
_UNBLOCK = Statement(
    update(jobs)
    .where(jobs.c.pk == bindparam("of_pk"), text("status = 'QUEUED'"))
    .values(ready=bindparam("ready"), ready_us=bindparam("ready_us"))
)
_CANDIDATES = Statement(
    select(jobs)
    .where(
        text("status = 'QUEUED' AND ready = 1"),
        jobs.c.lane == bindparam("lane"),
        jobs.c.project == bindparam("project"),
        jobs.c.queue == bindparam("queue"),
        jobs.c.kind == bindparam("kind"),
        jobs.c.shape == bindparam("shape"),
        tuple_(jobs.c.rank_us, jobs.c.pk)
        > tuple_(bindparam("rank_us", type_=BigInteger), bindparam("after_pk", type_=BigInteger)),
    )
    .order_by(jobs.c.rank_us, jobs.c.pk)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_PROMOTE = Statement(
    update(jobs)
    .where(
        jobs.c.status == "QUEUED",
        jobs.c.ready == 0,
        jobs.c.ready_us.is_not(None),
        jobs.c.ready_us <= bindparam("now_us"),
    )
    .values(ready=1, ready_us=null())
)
_DUE = Statement(
    select(jobs)
    .where(jobs.c.due_us.is_not(None), jobs.c.due_us <= bindparam("now_us"))
    .order_by(jobs.c.due_us)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_ANY_DUE = Statement(
    select(jobs.c.pk)
    .where(jobs.c.due_us.is_not(None), jobs.c.due_us <= bindparam("now_us"))
    .limit(1)
)
_ANY_READY = Statement(
    select(jobs.c.pk)
    .where(
        jobs.c.status == "QUEUED",
        jobs.c.ready == 0,
        jobs.c.ready_us.is_not(None),
        jobs.c.ready_us <= bindparam("now_us"),
    )
    .limit(1)
)
_ANY_STALE = Statement(
    select(jobs.c.pk)
    .where(jobs.c.worker != "", jobs.c.heartbeat_us < bindparam("before_us"))
    .limit(1)
)
_LIVE = select(jobs).where(jobs.c.worker != "").order_by(jobs.c.pk).limit(bindparam("limit"))
_ABANDONED = Statement(
    _LIVE.where(jobs.c.worker != bindparam("worker")).with_for_update(skip_locked=True)
)
_STALE = Statement(
    _LIVE.where(jobs.c.heartbeat_us < bindparam("before_us")).with_for_update(skip_locked=True)
)
_LIVE_WITH_DEMAND = Statement(
    select(jobs).where(
        text("worker <> ''"), jobs.c.project == bindparam("project"), jobs.c.demand.is_not(None)
    )
)
_TOUCH = Statement(
    update(jobs)
    .where(
        jobs.c.pk == bindparam("of_pk"),
        jobs.c.attempt == bindparam("of_attempt"),
        jobs.c.worker != "",
    )
    .values(heartbeat_us=bindparam("heartbeat_us"), progress=bindparam("progress"))
)
_AHEAD = Statement(
    select(func.count()).select_from(
        select(jobs.c.pk)
        .where(
            text("status = 'QUEUED' AND ready = 1"),
            jobs.c.lane == bindparam("lane"),
            jobs.c.project == bindparam("project"),
            jobs.c.queue == bindparam("queue"),
            jobs.c.kind == bindparam("kind"),
            jobs.c.shape == bindparam("shape"),
            tuple_(jobs.c.rank_us, jobs.c.pk)
            < tuple_(bindparam("rank_us", type_=BigInteger), bindparam("of_pk", type_=BigInteger)),
        )
        .limit(bindparam("limit"))
        .subquery()
    )
)


def create(transaction: Transaction, change: Change, *, lane: str) -> Stored:
    """Store a new job with its first event."""
    return create_all(transaction, [(change, lane)])[0]


def create_all(transaction: Transaction, new: Sequence[tuple[Change, str]]) -> list[Stored]:
    """Store new jobs, each of a lane, with their first events."""
    connection = transaction.connection
    rows = [new_job_to_row(change.job, lane=lane) for change, lane in new]
    pks = _INSERT.run(connection, rows)
    stored = [Stored(pk, change.job, lane) for pk, (change, lane) in zip(pks, new, strict=True)]
    _insert_labels(connection, stored)
    numbered = events.append_all(
        connection, [(pk, change.events) for pk, (change, _) in zip(pks, new, strict=True)]
    )
    for (change, lane), its_events in zip(new, numbered, strict=True):
        transaction.changes.append(replace(change, events=its_events))
        transaction.loads.note(None, change.job, lane=lane)
    return stored


def find(connection: Connection, project: str, job_id: str) -> Stored | None:
    """The job, or None."""
    row = _GET.run(connection, {"project": project, "job_id": job_id}).first()
    return None if row is None else _stored(row)


def exists(connection: Connection, project: str, job_id: str) -> bool:
    """Whether the id is or was in use."""
    values = {"project": project, "job_id": job_id}
    return any(query.run(connection, values).first() for query in (_EXISTS, _TOMBSTONE))


def get(connection: Connection, project: str, job_id: str) -> Stored:
    """The job; a refusal says whether it never was or has expired."""
    stored = find(connection, project, job_id)
    if stored is None:
        raise _absence(connection, project, job_id)
    return stored


def get_to_change(connection: Connection, project: str, job_id: str) -> Stored:
    """The job, held against other writers until the transaction ends."""
    row = _FIND_TO_CHANGE.run(connection, {"project": project, "job_id": job_id}).first()
    if row is None:
        raise _absence(connection, project, job_id)
    return _stored(row)


def save(transaction: Transaction, stored: Stored, change: Change, *, worker: str = "") -> Stored:
    """Store a change with its events; a job that changed meanwhile is a conflict.

    `worker` names the server that runs the attempt, while one is live.
    """
    if not change.events:
        return stored
    assert change.before is not None
    job = change.job
    worker = (worker or stored.worker) if job.status.is_active else ""
    row = {
        **job_to_row(job),
        "worker": worker,
        "of_pk": stored.pk,
        "of_sequence": change.before.sequence,
    }
    if job.spec.depends_on and job.status is JobStatus.QUEUED:
        row |= _gate(transaction.connection, stored.pk, job)
    if _SAVE.run(transaction.connection, row).rowcount != 1:
        raise ConflictError
    _account(transaction, stored, change.before, job)
    if job.labels is not change.before.labels:
        _DELETE_LABELS.run(transaction.connection, {"pk": stored.pk})
        _insert_labels(transaction.connection, [Stored(stored.pk, job)])
    if job.status.is_terminal:
        _insert_metrics(transaction.connection, stored.pk, job)
    numbered = events.append(transaction.connection, stored.pk, change.events)
    transaction.changes.append(replace(change, events=numbered))
    return Stored(stored.pk, job, stored.lane, worker)


def start(
    transaction: Transaction, begun: Sequence[tuple[Stored, Change]], *, worker: str
) -> list[Stored]:
    """Store that attempts of candidates began on this server, all at once."""
    connection = transaction.connection
    rows = [
        {
            **job_to_row(change.job),
            "worker": worker,
            "of_pk": stored.pk,
            "of_sequence": stored.job.sequence,
        }
        for stored, change in begun
    ]
    if _START.run_many(connection, rows) != len(rows):
        raise ConflictError
    numbered = events.append_all(
        connection, [(stored.pk, change.events) for stored, change in begun]
    )
    started: list[Stored] = []
    for (stored, change), told in zip(begun, numbered, strict=True):
        transaction.loads.note(stored.job, change.job, lane=stored.lane)
        transaction.changes.append(replace(change, events=told))
        started.append(Stored(stored.pk, change.job, stored.lane, worker))
    return started


def _account(transaction: Transaction, stored: Stored, before: Job, job: Job) -> None:
    """Count the change where it counts: loads, consumption, and whoever waits for the job."""
    transaction.loads.note(before, job, lane=stored.lane)
    gpu_hours = job.usage.gpu_hours - before.usage.gpu_hours
    if gpu_hours > 0:
        quotas.consume(
            transaction.connection, job.project, quotas.GPU_HOURS, gpu_hours, now=job.updated_at
        )
    if job.status.is_terminal:
        transaction.ended.append((stored.pk, job))


def _gate(connection: Connection, pk: int, job: Job) -> dict[str, int | None]:
    """When a queued job with dependencies may start: they count more than its own wait."""
    if dependencies.is_open(connection, pk):
        return {"ready": 0, "ready_us": None}
    wait = job.wait
    if wait is None or wait.reason is not WaitReason.DEPENDENCY:
        return {}
    return _when_unblocked(job)


def _when_unblocked(job: Job) -> dict[str, int | None]:
    start_at = job.spec.policy.start_at
    if start_at is None or start_at <= job.updated_at:
        return {"ready": 1, "ready_us": None}
    return {"ready": 0, "ready_us": to_us(start_at)}


def unblock(connection: Connection, stored: Stored) -> None:
    """Let a job whose conditions all hold compete, from its start time on."""
    _UNBLOCK.run(connection, {"of_pk": stored.pk, **_when_unblocked(stored.job)})


def hold(connection: Connection, pks: Collection[int]) -> list[Stored]:
    """Jobs by key, in order of keys, held against other writers until the transaction ends."""
    query = select(jobs).where(jobs.c.pk.in_(pks)).order_by(jobs.c.pk).with_for_update()
    return [_stored(row) for row in connection.execute(query)]


def hold_by_id(connection: Connection, project: str, job_ids: Collection[str]) -> list[Stored]:
    """Jobs of a project that are there, held; in order of keys, so that two don't lock up."""
    query = (
        select(jobs)
        .where(jobs.c.project == project, jobs.c.job_id.in_(job_ids))
        .order_by(jobs.c.pk)
        .with_for_update()
    )
    return [_stored(row) for row in connection.execute(query)]


def guard(connection: Connection, stored: Stored) -> None:
    """Refuse, before anything is written, when the job is not as it was read."""
    values = {"of_pk": stored.pk, "of_sequence": stored.job.sequence}
    if _UNCHANGED.run(connection, values).first() is None:
        raise ConflictError


def candidates(
    connection: Connection, line: Line, *, after: tuple[int, int] | None, limit: int
) -> list[Any]:
    """Rows of jobs of a line that may start now, by rank, behind a rank and key."""
    rank_us, after_pk = after or (FIRST_RANK, 0)
    values = {**line._asdict(), "rank_us": rank_us, "after_pk": after_pk, "limit": limit}
    return list(_CANDIDATES.run(connection, values))


def stored_of(row: Any) -> Stored:
    """The job of a row of candidates."""
    return _stored(row)


def promote(connection: Connection, *, now: datetime) -> int:
    """Make claimable what waited for a time that has come; how many."""
    return _PROMOTE.run(connection, {"now_us": to_us(now)}).rowcount


def due(connection: Connection, *, now: datetime, limit: int) -> list[Stored]:
    """Jobs whose deadline has passed."""
    rows = _DUE.run(connection, {"now_us": to_us(now), "limit": limit})
    return [_stored(row) for row in rows]


def any_due(connection: Connection, *, now: datetime) -> bool:
    """Whether a deadline or a waiting time has passed."""
    values = {"now_us": to_us(now)}
    return any(query.run(connection, values).first() for query in (_ANY_DUE, _ANY_READY))


def any_stale(connection: Connection, *, before: datetime) -> bool:
    """Whether an attempt has not been heard of since `before`."""
    return _ANY_STALE.run(connection, {"before_us": to_us(before)}).first() is not None


def abandoned(connection: Connection, *, worker: str, limit: int) -> list[Stored]:
    """Jobs with an attempt on another server than `worker`."""
    rows = _ABANDONED.run(connection, {"worker": worker, "limit": limit})
    return [_stored(row) for row in rows]


def stale(connection: Connection, *, before: datetime, limit: int) -> list[Stored]:
    """Jobs whose attempt has not been heard of since `before`."""
    rows = _STALE.run(connection, {"before_us": to_us(before), "limit": limit})
    return [_stored(row) for row in rows]


def live_with_demand(connection: Connection, project: str) -> list[Stored]:
    """Jobs of a project with a live attempt that holds hardware."""
    return [_stored(row) for row in _LIVE_WITH_DEMAND.run(connection, {"project": project})]


def touch(
    connection: Connection,
    *,
    pk: int,
    attempt: int,
    heartbeat_at: datetime,
    progress: Progress | None,
) -> None:
    """Note that an attempt lives, and how far it is."""
    _TOUCH.run(
        connection,
        {
            "of_pk": pk,
            "of_attempt": attempt,
            "heartbeat_us": to_us(heartbeat_at),
            "progress": progress_to_json(progress) if progress else None,
        },
    )


def position(connection: Connection, stored: Stored) -> int:
    """Its place among the jobs of its project that could start from its queue, 1 for the next.

    Line by line, so that an index knows who is ahead, and no further than LAST_PLACE: a queue
    may be long, and who asks is a reader.
    """
    job = stored.job
    own = {"rank_us": rank_us(job), "of_pk": stored.pk}
    ahead = 0
    for line in loads.waiting_in(connection, stored.lane, job.project, job.queue):
        values = {**line._asdict(), **own, "limit": LAST_PLACE - 1 - ahead}
        ahead += _AHEAD.run(connection, values).scalar()
        if ahead >= LAST_PLACE - 1:
            break
    return ahead + 1


def _stored(row: Row[Any]) -> Stored:
    return Stored(row.pk, job_from_row(row), row.lane, row.worker)


def _absence(
    connection: Connection, project: str, job_id: str
) -> JobNotFoundError | JobExpiredError:
    expired_us = _TOMBSTONE.run(connection, {"project": project, "job_id": job_id}).scalar()
    name = job_name(project, job_id)
    if expired_us is None:
        return JobNotFoundError(name)
    return JobExpiredError(name, from_us(expired_us))


def _insert_labels(connection: Connection, stored: Iterable[Stored]) -> None:
    rows = [
        {"job_pk": one.pk, "key": key, "value": value}
        for one in stored
        for key, value in one.job.labels.items()
    ]
    _INSERT_LABELS.run(connection, rows)


def _insert_metrics(connection: Connection, pk: int, job: Job) -> None:
    metrics = job.result.metrics if job.result else {}
    if metrics:
        rows = [{"job_pk": pk, "key": key, "value": value} for key, value in metrics.items()]
        _INSERT_METRICS.run_many(connection, rows)


def count(
    connection: Connection,
    *,
    project: str,
    condition: ColumnElement[bool],
    group_by: ColumnElement[Any],
) -> dict[str, int]:
    """How many jobs of a project meet a condition, by group."""
    query = select(group_by, func.count()).where(condition).group_by(group_by)
    if project != "-":
        query = query.where(jobs.c.project == project)
    return {str(group): number for group, number in connection.execute(query)}
