"""Statements over schedules, and over the jobs that they fired."""

# Rows and compiled statements have no types of their own.
# pyright: standard

from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    String,
    bindparam,
    delete,
    exists,
    func,
    select,
    text,
    tuple_,
    update,
)

from jobplane.engine.domain.job import job_name
from jobplane.engine.domain.schedule import Fire, Plan, Schedule
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.store.codec import from_us, job_from_row, to_us
from jobplane.engine.store.jobs import Stored
from jobplane.engine.store.statement import Statement, insertion
from jobplane.engine.store.tables import jobs, schedules

_encode = msgspec.json.Encoder().encode
_decode_plan = msgspec.json.Decoder(Plan).decode
_decode_fires = msgspec.json.Decoder(tuple[Fire, ...]).decode

_WELL = frozenset({JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_GAPS})
_OPEN = text("jobs.done = 0 AND jobs.schedule <> ''")
_OF_SCHEDULE = (jobs.c.project == bindparam("project")) & (jobs.c.schedule == bindparam("name"))
_THIS = (schedules.c.project == bindparam("of_project")) & (
    schedules.c.schedule_id == bindparam("of_schedule_id")
)
_CHANGED = [
    "version",
    "plan",
    "fires",
    "next_us",
    "fire_us",
    "waiting_us",
    "decided_us",
    "counting_us",
    "updated_us",
]
_INSERT = Statement(insertion(schedules))
_GET = Statement(select(schedules).where(_THIS))
_HOLD = Statement(select(schedules).where(_THIS).with_for_update())
# A fire that another server is at is its own business.
_HOLD_IF_FREE = Statement(select(schedules).where(_THIS).with_for_update(skip_locked=True))
_SAVE = Statement(
    update(schedules).where(_THIS).values({name: bindparam(name) for name in _CHANGED})
)
_DELETE = Statement(delete(schedules).where(_THIS))
_PAGE = Statement(
    select(schedules)
    .where(
        schedules.c.project == bindparam("of_project"),
        schedules.c.schedule_id > bindparam("after"),
    )
    .order_by(schedules.c.schedule_id)
    .limit(bindparam("limit"))
)
_DUE = Statement(
    select(schedules)
    .where(
        text("fire_us IS NOT NULL"),
        schedules.c.fire_us <= bindparam("now_us"),
        tuple_(schedules.c.fire_us, schedules.c.project, schedules.c.schedule_id)
        > tuple_(
            bindparam("after_us", type_=BigInteger),
            bindparam("after_project", type_=String),
            bindparam("after_id", type_=String),
        ),
    )
    .order_by(schedules.c.fire_us, schedules.c.project, schedules.c.schedule_id)
    .limit(bindparam("limit"))
)
_FREED = Statement(
    select(schedules)
    .where(
        text("schedules.waiting_us IS NOT NULL"),
        ~exists(
            select(jobs.c.pk).where(
                jobs.c.project == schedules.c.project,
                jobs.c.schedule
                == "projects/" + schedules.c.project + "/schedules/" + schedules.c.schedule_id,
                _OPEN,
            )
        ),
    )
    .limit(bindparam("limit"))
)
_AHEAD = Statement(
    select(schedules)
    .where(text("fire_us IS NOT NULL"), schedules.c.decided_us > bindparam("after_us"))
    .order_by(schedules.c.decided_us)
    .limit(bindparam("limit"))
)
_OPEN_JOBS = Statement(
    select(jobs)
    .where(_OF_SCHEDULE, _OPEN)
    .order_by(jobs.c.pk)
    .limit(bindparam("limit"))
    .with_for_update()
)
_RECENT = Statement(
    select(jobs.c.job_id)
    .where(_OF_SCHEDULE)
    .order_by(jobs.c.created_us.desc(), jobs.c.job_id.desc())
    .limit(bindparam("limit"))
)
# A cancel says nothing about whether the work works.
_ENDINGS = Statement(
    select(jobs.c.status)
    .where(
        _OF_SCHEDULE,
        jobs.c.created_us >= bindparam("since_us"),
        jobs.c.done == 1,
        jobs.c.status != JobStatus.CANCELLED.value,
    )
    .order_by(jobs.c.created_us.desc(), jobs.c.job_id.desc())
    .limit(bindparam("limit"))
)
_COUNT = Statement(select(func.count()).select_from(schedules).where(_THIS))


class Place(NamedTuple):
    """Where a reader of due schedules is."""

    fire_us: int = -(2**62)
    project: str = ""
    schedule_id: str = ""

    @classmethod
    def of(cls, schedule: Schedule) -> "Place":
        """Just behind a schedule that is due."""
        assert schedule.fire_at is not None
        return cls(to_us(schedule.fire_at), schedule.project, schedule.schedule_id)


def is_taken(connection: Connection, project: str, schedule_id: str) -> bool:
    """Whether there is such a schedule."""
    taken: int = _COUNT.run(connection, _key(project, schedule_id)).scalar()
    return taken > 0


def create(connection: Connection, schedule: Schedule) -> None:
    """Store a new schedule."""
    row = {
        "project": schedule.project,
        "schedule_id": schedule.schedule_id,
        "creator": schedule.creator,
        "created_us": to_us(schedule.created_at),
        **_row(schedule),
    }
    _INSERT.run(connection, row)


def find(connection: Connection, project: str, schedule_id: str) -> Schedule | None:
    """The schedule, or None."""
    return _first(_GET.run(connection, _key(project, schedule_id)).first())


def find_to_change(connection: Connection, project: str, schedule_id: str) -> Schedule | None:
    """The schedule, held against other writers until the transaction ends."""
    return _first(_HOLD.run(connection, _key(project, schedule_id)).first())


def find_to_fire(connection: Connection, project: str, schedule_id: str) -> Schedule | None:
    """The schedule, held likewise; None also while another server holds it."""
    return _first(_HOLD_IF_FREE.run(connection, _key(project, schedule_id)).first())


def save(connection: Connection, schedule: Schedule) -> None:
    """Store what changed of a schedule that is held."""
    _SAVE.run(connection, _row(schedule) | _key(schedule.project, schedule.schedule_id))


def remove(connection: Connection, project: str, schedule_id: str) -> bool:
    """Delete the schedule; False when there is none."""
    return _DELETE.run(connection, _key(project, schedule_id)).rowcount == 1


def page(connection: Connection, project: str, *, after: str, limit: int) -> list[Schedule]:
    """Schedules of a project, by id."""
    values = {"of_project": project, "after": after, "limit": limit}
    return [_schedule(row) for row in _PAGE.run(connection, values)]


def due(connection: Connection, *, now: datetime, after: Place, limit: int) -> list[Schedule]:
    """Schedules whose fire time has come, the earliest first."""
    values = {
        "now_us": to_us(now),
        "after_us": after.fire_us,
        "after_project": after.project,
        "after_id": after.schedule_id,
        "limit": limit,
    }
    return [_schedule(row) for row in _DUE.run(connection, values)]


def freed(connection: Connection, *, limit: int) -> list[Schedule]:
    """Schedules with a fire that waits for no job any more."""
    return [_schedule(row) for row in _FREED.run(connection, {"limit": limit})]


def ahead(connection: Connection, *, after: datetime, limit: int) -> list[Schedule]:
    """Schedules whose next time was computed later than an instant."""
    values = {"after_us": to_us(after), "limit": limit}
    return [_schedule(row) for row in _AHEAD.run(connection, values)]


def open_jobs(connection: Connection, schedule: Schedule, *, limit: int) -> list[Stored]:
    """Jobs of the schedule that have not ended, held until the transaction ends."""
    rows = _OPEN_JOBS.run(connection, _of(schedule) | {"limit": limit})
    return [Stored(row.pk, job_from_row(row), row.lane, row.worker) for row in rows]


def recent_jobs(connection: Connection, schedule: Schedule, *, limit: int) -> tuple[str, ...]:
    """Names of the last jobs of the schedule, newest first."""
    ids = _RECENT.run(connection, _of(schedule) | {"limit": limit}).scalars()
    return tuple(job_name(schedule.project, job_id) for job_id in ids)


def has_failed_in_a_row(connection: Connection, schedule: Schedule, *, count: int) -> bool:
    """Whether the last so many jobs that ended by themselves all failed."""
    values = _of(schedule) | {"since_us": to_us(schedule.counting_since), "limit": count}
    endings = [JobStatus(status) for status in _ENDINGS.run(connection, values).scalars()]
    return len(endings) == count and _WELL.isdisjoint(endings)


def _key(project: str, schedule_id: str) -> dict[str, Any]:
    return {"of_project": project, "of_schedule_id": schedule_id}


def _of(schedule: Schedule) -> dict[str, Any]:
    return {"project": schedule.project, "name": schedule.name}


def _row(schedule: Schedule) -> dict[str, Any]:
    return {
        "version": schedule.version,
        "plan": _encode(schedule.plan),
        "fires": _encode(schedule.fires),
        "next_us": _us(schedule.next_at),
        "fire_us": _us(schedule.fire_at),
        "waiting_us": _us(schedule.waiting_at),
        "decided_us": to_us(schedule.decided_at),
        "counting_us": to_us(schedule.counting_since),
        "updated_us": to_us(schedule.updated_at),
    }


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _moment(moment_us: int | None) -> datetime | None:
    return None if moment_us is None else from_us(moment_us)


def _first(row: Row[Any] | None) -> Schedule | None:
    return None if row is None else _schedule(row)


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        project=row.project,
        schedule_id=row.schedule_id,
        plan=_decode_plan(row.plan),
        creator=row.creator,
        created_at=from_us(row.created_us),
        updated_at=from_us(row.updated_us),
        decided_at=from_us(row.decided_us),
        counting_since=from_us(row.counting_us),
        version=row.version,
        next_at=_moment(row.next_us),
        fire_at=_moment(row.fire_us),
        waiting_at=_moment(row.waiting_us),
        fires=_decode_fires(row.fires),
    )
