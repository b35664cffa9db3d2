"""The book of schedules: everything that may be asked of it and said to it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from jobplane.engine.clock import Clock, Randomness
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain.errors import (
    AlreadyExistsError,
    EtagMismatchError,
    InvalidSpecError,
    ReferenceNotFoundError,
    ResourceNotFoundError,
    Violation,
)
from jobplane.engine.domain.schedule import (
    Fire,
    FireOutcome,
    Plan,
    Schedule,
    schedule_name,
)
from jobplane.engine.domain.submission import Accepted
from jobplane.engine.intake import Intake
from jobplane.engine.query.page import MAX_PAGE_BYTES, Page, cut_page, page_limit
from jobplane.engine.query.token import PageTokens
from jobplane.engine.schedules.firing import Firing, booked, stopped, submission_of
from jobplane.engine.schedules.moments import just_before
from jobplane.engine.schedules.timetable import (
    moments_of,
    moved_to,
    next_times,
    started,
)
from jobplane.engine.store import schedules
from jobplane.engine.store.database import Database, Read, Transaction, Write

T = TypeVar("T")
log = logging.getLogger(__name__)
CALL_TIMEOUT_S = 30.0
NEXT_TIMES = 5
RECENT_JOBS = 10
DEFAULT_PREVIEW = 5
MAX_PREVIEW = 100
# Bytes of ten fires, ten jobs, names and times.
SIZE_OF_THE_REST = 12_000
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Shown:
    """A schedule, and what is computed of it."""

    schedule: Schedule
    next_times: tuple[datetime, ...]
    recent_jobs: tuple[str, ...]


class ScheduleBook:
    """Keeps schedules and triggers them by hand; the ticker fires them."""

    def __init__(
        self,
        *,
        database: Database,
        intake: Intake,
        firing: Firing,
        clock: Clock,
        randomness: Randomness,
        tokens: PageTokens,
        crossing: Crossing,
        on_change: Callable[[], None],
    ) -> None:
        self._database = database
        self._intake = intake
        self._firing = firing
        self._clock = clock
        self._randomness = randomness
        self._tokens = tokens
        self._crossing = crossing
        self._on_change = on_change

    async def create(self, project: str, schedule_id: str, plan: Plan, *, creator: str) -> Shown:
        """Store a new schedule; its template must be one that a submit would take."""
        now = self._clock.now()
        schedule = started(
            Schedule(
                project=project,
                schedule_id=schedule_id,
                plan=_checked(plan),
                creator=creator,
                created_at=now,
                updated_at=now,
                decided_at=now,
                counting_since=now,
            ),
            now=now,
        )
        await self._check_template(schedule)

        def write(transaction: Transaction) -> Shown:
            connection = transaction.connection
            if schedules.is_taken(connection, project, schedule_id):
                raise AlreadyExistsError(schedule.name)
            schedules.create(connection, schedule)
            return _shown(connection, schedule)

        return await self._changed(write)

    async def get(self, project: str, schedule_id: str) -> Shown:
        """The schedule as it stands."""

        def read(connection: Connection) -> Shown:
            found = schedules.find(connection, project, schedule_id)
            return _shown(connection, _there(found, project, schedule_id))

        return await self._read(read)

    async def list(self, project: str, *, page_size: int, page_token: str) -> Page[Shown]:
        """A page of schedules, by name."""
        limit = page_limit(page_size)
        bound = ("schedules", project)
        after = str(self._tokens.decode(page_token, bound)[0]) if page_token else ""

        def read(connection: Connection) -> tuple[tuple[Shown, ...], bool]:
            found = schedules.page(connection, project, after=after, limit=limit + 1)
            page, more = cut_page(found, limit=limit, max_bytes=MAX_PAGE_BYTES, size_of=_size_of)
            return tuple(_shown(connection, schedule) for schedule in page), more

        page, more = await self._read(read)
        token = self._tokens.encode((page[-1].schedule.schedule_id,), bound) if more else ""
        return Page(page, token)

    async def update(self, project: str, schedule_id: str, plan: Plan, *, etag: str) -> Shown:
        """Give the schedule another plan; `etag` is that of the plan it had."""
        before = (await self.get(project, schedule_id)).schedule
        await self._check_template(replace(before, plan=_checked(plan)))

        def write(transaction: Transaction) -> Shown:
            connection = transaction.connection
            held = schedules.find_to_change(connection, project, schedule_id)
            schedule = _there(held, project, schedule_id)
            if etag != schedule.etag:
                raise EtagMismatchError(schedule.name, schedule.etag)
            changed = _replanned(schedule, plan, now=self._clock.now())
            schedules.save(connection, changed)
            return _shown(connection, changed)

        return await self._changed(write)

    async def delete(self, project: str, schedule_id: str) -> None:
        """Remove the schedule; its jobs stay."""

        def write(transaction: Transaction) -> None:
            if not schedules.remove(transaction.connection, project, schedule_id):
                raise ResourceNotFoundError(schedule_name(project, schedule_id))

        await self._changed(write)

    async def trigger(
        self, project: str, schedule_id: str, *, idempotency_key: str, requester: str
    ) -> Accepted:
        """Fire now, paused or not, whatever runs; a repeat with the key gives the same job."""
        ready = self._firing.prepare((await self.get(project, schedule_id)).schedule)
        name = ready.schedule.name
        key = idempotency_key or self._randomness.new_id(self._clock.now())

        def write(transaction: Transaction) -> Accepted:
            held = schedules.find_to_change(transaction.connection, project, schedule_id)
            schedule = _there(held, project, schedule_id)
            accepted = self._firing.submit(transaction, ready, key=f"{name}@trigger:{key}")
            if not accepted.deduplicated:
                now = self._clock.now()
                fire = Fire(
                    now,
                    now,
                    FireOutcome.SUBMITTED,
                    job=accepted.job.name,
                    reason="TRIGGERED",
                    message=f"triggered by {requester}",
                )
                schedules.save(transaction.connection, booked(schedule, fire))
            return accepted

        accepted = await self._changed(write)
        fields = {"schedule": name, "job": accepted.job.name, "requester": requester}
        log.info("schedule.triggered", extra=fields)
        return accepted

    def preview(
        self, cron: str, time_zone: str, *, count: int, after: datetime | None
    ) -> tuple[datetime, ...]:
        """The first nominal times from a moment on."""
        if not 0 <= count <= MAX_PREVIEW:
            raise InvalidSpecError([Violation("count", f"must be 0 to {MAX_PREVIEW}")])
        moments = moments_of(cron, time_zone)
        start = self._clock.now() if after is None else after
        return tuple(moments.upcoming(just_before(start), count or DEFAULT_PREVIEW))

    async def _check_template(self, schedule: Schedule) -> None:
        """Refuse a template that a submit would refuse, whatever there is room for now."""
        submission = submission_of(schedule)
        try:
            prepared = self._intake.prepare(submission)
            await self._read(
                lambda connection: self._intake.resolve(connection, prepared.submission)
            )
        except InvalidSpecError as refusal:
            raise type(refusal)([_in_template(one) for one in refusal.violations]) from None
        except ReferenceNotFoundError as refusal:
            field = f"{_TEMPLATE}{refusal.field}"
            raise ReferenceNotFoundError(field, refusal.resource) from None

    async def _changed(self, write: Write[T]) -> T:
        answer = await self._crossing.outcome(self._database.write(write), timeout_s=CALL_TIMEOUT_S)
        self._on_change()
        return answer

    async def _read(self, read: Read[T]) -> T:
        return await self._crossing.outcome(self._database.read(read), timeout_s=CALL_TIMEOUT_S)


_SCHEDULE = "schedule."
_TEMPLATE = f"{_SCHEDULE}template."


def _in_template(violation: Violation) -> Violation:
    return Violation(f"{_TEMPLATE}{violation.field}", violation.description)


def _checked(plan: Plan) -> Plan:
    """The plan, whose times can be read; a reason to pause is kept only while it is paused."""
    moments_of(plan.cron, plan.time_zone, prefix=_SCHEDULE)
    return plan if plan.paused else replace(plan, pause_reason="")


def _replanned(schedule: Schedule, plan: Plan, *, now: datetime) -> Schedule:
    before = schedule.plan
    plan = _checked(plan)
    changed = replace(schedule, plan=plan, updated_at=now)
    if plan.paused:
        # It counts the version itself.
        return stopped(changed, plan.pause_reason, now=now)
    changed = replace(changed, version=schedule.version + 1)
    if before.paused or plan.pause_after_failures != before.pause_after_failures:
        changed = replace(changed, counting_since=now)
    if before.paused or (plan.cron, plan.time_zone) != (before.cron, before.time_zone):
        return started(changed, now=now)
    return moved_to(changed, schedule.next_at, now=now)


def _there(found: Schedule | None, project: str, schedule_id: str) -> Schedule:
    if found is None:
        raise ResourceNotFoundError(schedule_name(project, schedule_id))
    return found


def _shown(connection: Connection, schedule: Schedule) -> Shown:
    return Shown(
        schedule,
        next_times(schedule, count=NEXT_TIMES),
        schedules.recent_jobs(connection, schedule, limit=RECENT_JOBS),
    )


def _size_of(schedule: Schedule) -> int:
    """About how many bytes a schedule takes on the wire, at most."""
    return SIZE_OF_THE_REST + len(_encode(schedule.plan))
