"""Timetables: a plan's nominal times, and the delay of each."""

from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from jobplane.engine.domain.errors import InvalidSpecError, Violation
from jobplane.engine.schedules.cron import CronError, parse_cron
from jobplane.engine.schedules.moments import Moments, ZoneError, find_zone

if TYPE_CHECKING:
    from jobplane.engine.domain.schedule import Schedule

CACHED = 4096


def moments_of(cron: str, time_zone: str, *, prefix: str = "") -> Moments:
    """The nominal times; raises InvalidSpecError that blames the field below `prefix`."""
    violations: list[Violation] = []
    try:
        return _moments(cron, time_zone)
    except ZoneError as error:
        violations.append(Violation(f"{prefix}time_zone", str(error)))
    except CronError as error:
        violations.append(Violation(f"{prefix}cron", str(error)))
    raise InvalidSpecError(violations)


@lru_cache(maxsize=CACHED)
def _moments(cron: str, time_zone: str) -> Moments:
    return Moments(parse_cron(cron), find_zone(time_zone))


def moments_of_schedule(schedule: "Schedule") -> Moments:
    """The nominal times of a schedule."""
    return moments_of(schedule.plan.cron, schedule.plan.time_zone)


def fire_at(schedule: "Schedule", nominal: datetime) -> datetime:
    """When a nominal time of a schedule fires."""
    moments = moments_of_schedule(schedule)
    return moments.fire_at(nominal, name=schedule.name, jitter_s=schedule.plan.jitter_s)


def moved_to(schedule: "Schedule", nominal: datetime | None, *, now: datetime) -> "Schedule":
    """The schedule, with that nominal time to come next."""
    return replace(
        schedule,
        next_at=nominal,
        fire_at=None if nominal is None else fire_at(schedule, nominal),
        decided_at=now,
    )


def started(schedule: "Schedule", *, now: datetime) -> "Schedule":
    """The schedule, with its first nominal time after now to come next; none while paused."""
    plan = schedule.plan
    nominal = None if plan.paused else moments_of_schedule(schedule).next(now)
    return moved_to(schedule, nominal, now=now)


def next_times(schedule: "Schedule", *, count: int) -> tuple[datetime, ...]:
    """When the next nominal times fire; none while paused."""
    if schedule.next_at is None or schedule.fire_at is None:
        return ()
    following = moments_of_schedule(schedule).upcoming(schedule.next_at, count - 1)
    return (schedule.fire_at, *(fire_at(schedule, nominal) for nominal in following))
