"""Firing: what becomes of a nominal time, decided and booked in one transaction.

The job, its key and the schedule's next time are one commit: a crash leaves all of them or
none, and whoever comes to the same nominal time again finds its key used.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.errors import EngineError
from jobplane.engine.domain.schedule import (
    Fire,
    FireOutcome,
    OverlapPolicy,
    Schedule,
    fire_key,
)
from jobplane.engine.domain.submission import Accepted, Submission
from jobplane.engine.intake import Intake, Prepared
from jobplane.engine.schedules.moments import Moments, just_before
from jobplane.engine.schedules.timetable import fire_at, moments_of_schedule, moved_to
from jobplane.engine.store import jobs, schedules
from jobplane.engine.store.database import Transaction

log = logging.getLogger(__name__)
# A server that is busy is not one that was away: so late is not late.
PUNCTUAL_S = 30.0
# How many jobs one fire cancels; the others are cancelled when it is looked at again.
CANCEL_PAGE = 100
# Characters of a refusal that are kept with the schedule.
MESSAGE_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Ready:
    """A schedule as it was read, and its template made ready to submit, or why it can't be."""

    schedule: Schedule
    prepared: Prepared | None
    refusal: EngineError | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """Nominal times that nobody came to in time: the first and the last of them."""

    first: datetime
    last: datetime


class Firing:
    """Decides about one schedule at one moment."""

    def __init__(self, *, intake: Intake) -> None:
        self._intake = intake

    def prepare(self, schedule: Schedule) -> Ready:
        """What firing needs and what needs no store."""
        try:
            return Ready(schedule, self._intake.prepare(submission_of(schedule)))
        except EngineError as refusal:
            return Ready(schedule, None, refusal)

    def decide(self, transaction: Transaction, ready: Ready, *, now: datetime) -> Schedule | None:
        """The schedule after its fire; None when it is not as it was read, or not due."""
        connection = transaction.connection
        before = schedules.find_to_fire(
            connection, ready.schedule.project, ready.schedule.schedule_id
        )
        if before is None or before.version != ready.schedule.version or before.plan.paused:
            return None
        limit = before.plan.pause_after_failures
        if limit and schedules.has_failed_in_a_row(connection, before, count=limit):
            after = stopped(before, f"{limit} jobs in a row failed", now=now)
        else:
            after = self._fire(transaction, replace(ready, schedule=before), now)
        if after is not before:
            schedules.save(connection, after)
            _tell(before, after)
        return after

    def submit(self, transaction: Transaction, ready: Ready, *, key: str) -> Accepted:
        """The job that the template makes; raises what refuses it."""
        if ready.prepared is None:
            assert ready.refusal is not None
            raise ready.refusal
        submission = replace(ready.prepared.submission, idempotency_key=key)
        prepared = replace(ready.prepared, submission=submission)
        return self._intake.accept(transaction, prepared)

    def _fire(self, transaction: Transaction, ready: Ready, now: datetime) -> Schedule:
        schedule = ready.schedule
        is_due = schedule.fire_at is not None and schedule.fire_at <= now
        if is_due:
            schedule, nominal = _turn(schedule, now)
            if nominal is not None:
                return self._overlapped(
                    transaction, replace(ready, schedule=schedule), nominal, now
                )
        if schedule.waiting_at is not None and not self._blocker(transaction, schedule, now):
            waiting = schedule.waiting_at
            schedule = replace(schedule, waiting_at=None)
            return self._submitted(transaction, replace(ready, schedule=schedule), waiting, now)
        return schedule

    def _overlapped(
        self, transaction: Transaction, ready: Ready, nominal: datetime, now: datetime
    ) -> Schedule:
        """Submit, unless a job is in the way and the policy minds."""
        schedule = ready.schedule
        policy = schedule.plan.overlap
        if policy is OverlapPolicy.ALLOW:
            return self._submitted(transaction, ready, nominal, now)
        blocker = self._blocker(transaction, schedule, now)
        if schedule.waiting_at is not None:
            message = "a later fire took its place"
            schedule = booked(
                replace(schedule, waiting_at=None),
                Fire(
                    schedule.waiting_at,
                    now,
                    FireOutcome.SKIPPED,
                    job=blocker,
                    reason="REPLACED",
                    message=message,
                ),
            )
        if not blocker:
            return self._submitted(transaction, replace(ready, schedule=schedule), nominal, now)
        skips = policy is OverlapPolicy.SKIP
        fire = Fire(
            nominal,
            now,
            FireOutcome.SKIPPED if skips else FireOutcome.WAITING,
            job=blocker,
            reason="OVERLAP",
            message=f"{blocker} is not finished",
        )
        return booked(replace(schedule, waiting_at=None if skips else nominal), fire)

    def _blocker(self, transaction: Transaction, schedule: Schedule, now: datetime) -> str:
        """Name of a job that a fire must wait for, after all was done to be rid of it."""
        connection = transaction.connection
        cancels = schedule.plan.overlap is OverlapPolicy.CANCEL_RUNNING
        found = schedules.open_jobs(connection, schedule, limit=CANCEL_PAGE if cancels else 1)
        if not cancels:
            return found[0].job.name if found else ""
        blocker = ""
        for stored in found:
            change = lifecycle.cancelled(
                stored.job,
                requester=schedule.name,
                reason="the schedule fires again",
                force=False,
                now=now,
            )
            jobs.save(transaction, stored, change)
            if not change.job.status.is_terminal:
                blocker = change.job.name
        # More than a page of them: the rest is still to be cancelled.
        return blocker or (found[-1].job.name if len(found) == CANCEL_PAGE else "")

    def _submitted(
        self, transaction: Transaction, ready: Ready, nominal: datetime, now: datetime
    ) -> Schedule:
        schedule = ready.schedule
        try:
            key = fire_key(schedule.name, nominal)
            job = self.submit(transaction, ready, key=key).job.name
        except EngineError as refusal:
            fire = Fire(
                nominal,
                now,
                FireOutcome.REFUSED,
                reason=refusal.reason,
                message=refusal.message[:MESSAGE_LIMIT],
            )
        else:
            fire = Fire(nominal, now, FireOutcome.SUBMITTED, job=job)
        return booked(schedule, fire)


def submission_of(schedule: Schedule) -> Submission:
    """What a fire submits, but for its key."""
    return replace(
        schedule.plan.template,
        project=schedule.project,
        creator=schedule.creator,
        schedule=schedule.name,
    )


def stopped(schedule: Schedule, reason: str, *, now: datetime) -> Schedule:
    """The schedule, paused; a fire that waited is given up."""
    if schedule.waiting_at is not None:
        fire = Fire(schedule.waiting_at, now, FireOutcome.SKIPPED, reason="PAUSED", message=reason)
        schedule = booked(replace(schedule, waiting_at=None), fire)
    plan = replace(schedule.plan, paused=True, pause_reason=reason)
    schedule = replace(schedule, plan=plan, version=schedule.version + 1, updated_at=now)
    return moved_to(schedule, None, now=now)


def _turn(schedule: Schedule, now: datetime) -> tuple[Schedule, datetime | None]:
    """The schedule with its next time to come, and the nominal time that fires now, if any."""
    assert schedule.next_at is not None
    moments = moments_of_schedule(schedule)
    nominal, missed = _chosen(schedule, moments, now)
    used = nominal or schedule.next_at
    if missed is not None:
        used = nominal or missed.last
        message = "the server did not come to it in time"
        last = missed.last if missed.last != missed.first else None
        fire = Fire(missed.first, now, FireOutcome.MISSED, last, reason="TOO_LATE", message=message)
        schedule = booked(schedule, fire)
    return moved_to(schedule, moments.next(used), now=now), nominal


def _chosen(
    schedule: Schedule, moments: Moments, now: datetime
) -> tuple[datetime | None, Missed | None]:
    """Of the nominal times that have come, the one that fires, and those that never will."""
    first = schedule.next_at
    assert first is not None
    latest = moments.latest(first, now)
    if latest != first and fire_at(schedule, latest) > now:
        latest = moments.latest(first, just_before(latest))
    chosen = latest
    if schedule.plan.overlap is OverlapPolicy.ALLOW:
        chosen = _first_in_time(schedule, moments, now, first=first, latest=latest)
    if _is_late(schedule, chosen, now):
        return None, Missed(first, chosen)
    if chosen == first:
        return chosen, None
    return chosen, Missed(first, moments.latest(first, just_before(chosen)))


def _first_in_time(
    schedule: Schedule, moments: Moments, now: datetime, *, first: datetime, latest: datetime
) -> datetime:
    """The earliest nominal time that is not too late; the latest when all are."""
    if not _is_late(schedule, first, now):
        return first
    window_s = _window_s(schedule) + schedule.plan.jitter_s
    candidate = moments.next(max(first, now - timedelta(seconds=window_s + 1)))
    while candidate is not None and candidate < latest and _is_late(schedule, candidate, now):
        candidate = moments.next(candidate)
    return latest if candidate is None else min(candidate, latest)


def _is_late(schedule: Schedule, nominal: datetime, now: datetime) -> bool:
    late_s = (now - fire_at(schedule, nominal)).total_seconds()
    return late_s > _window_s(schedule)


def _window_s(schedule: Schedule) -> float:
    return max(schedule.plan.catchup_s, PUNCTUAL_S)


def booked(schedule: Schedule, fire: Fire) -> Schedule:
    """The schedule, with the fire among its last ones."""
    return replace(schedule, fires=schedule.with_fire(fire))


def _tell(before: Schedule, after: Schedule) -> None:
    if after.plan.paused:
        detail = {"schedule": after.name, "detail": after.plan.pause_reason}
        log.warning("schedule.paused", extra=detail)
    for fire in after.fires:
        if fire in before.fires:
            break
        fields = {
            "schedule": after.name,
            "nominal_time": fire.nominal_at.isoformat(),
            "outcome": fire.outcome.value,
            "job": fire.job,
            "reason": fire.reason,
        }
        bad = fire.outcome in {FireOutcome.MISSED, FireOutcome.REFUSED}
        log.log(logging.WARNING if bad else logging.INFO, "schedule.fired", extra=fields)
