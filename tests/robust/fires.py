"""Schedules: each nominal time has at most one job, and what may not be left out has one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tests.robust.fast_schedules import SPEED, fast, real
from tests.robust.history import History, Operation
from tests.robust.promises import TERMINAL, Broken, Verdict
from tests.robust.record import JobRow, Record
from tests.robust.schedulers import CAUGHT_UP_S, TIMINGS, Timing

MINUTE = timedelta(minutes=1)
# Schedules are paused once they have caught up, but for so much.
BUSY = timedelta(seconds=CAUGHT_UP_S + 1) * SPEED
PROMISE = "schedules"


def fires(record: Record, timing: Timing) -> dict[datetime, list[JobRow]]:
    """By nominal time, the jobs of a schedule; those by hand are left out."""
    keys = {job_id: key for key, job_id in record.keys.items()}
    found: dict[datetime, list[JobRow]] = {}
    for job in record.jobs.values():
        _, _, at = keys.get(job.job_id, "").partition(f"{timing.name}@")
        if at and not at.startswith("trigger:"):
            found.setdefault(datetime.fromisoformat(at), []).append(job)
    return found


def a_time_has_one_job(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """No job of a schedule is there without a key, which only one job can have."""
    keyed = set(record.keys.values())
    for job in record.jobs.values():
        if timing := TIMINGS.get(job.labels.get("schedule", "")):
            out.looked_at[PROMISE] += 1
            if job.job_id not in keyed:
                yield Broken(PROMISE, "fired_twice", f"{timing.id} without a key", job.job_id)
    for key, job_id in record.keys.items():
        if "/schedules/" in key and job_id not in record.jobs and job_id not in record.purged:
            yield Broken(PROMISE, "fired_without_a_job", key, job_id)


def no_time_is_left_out(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """Where every time that was missed is caught up, every time from the first on fired."""
    for timing in TIMINGS.values():
        if timing.overlap != "ALLOW":
            continue
        found = sorted(fires(record, timing))
        out.looked_at[PROMISE] += len(found)
        for before, after in pairwise(found):
            if after - before != MINUTE:
                evidence = f"{timing.id} fired {before.isoformat()}, then {after.isoformat()}"
                yield Broken(PROMISE, "time_left_out", evidence)
        made = _answered(history, "create_schedule", timing)
        ended = _answered(history, "pause_schedule", timing)
        if made is None or ended is None:
            continue
        due = _shown(history, made.end) + MINUTE
        until = _shown(history, ended.start) - BUSY
        if due < until and (not found or found[0] > due):
            yield Broken(PROMISE, "time_left_out", f"{timing.id} did not begin by {due}")
        if found and found[-1] < until - MINUTE:
            yield Broken(PROMISE, "time_left_out", f"{timing.id} ended with {found[-1]}")


def jobs_do_not_overlap(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """Unless a schedule allows it, its next job comes when the one before it is over."""
    for timing in TIMINGS.values():
        if timing.overlap == "ALLOW":
            continue
        jobs = [job for found in fires(record, timing).values() for job in found]
        jobs.sort(key=lambda job: job.events[0].revision)
        for before, after in pairwise(jobs):
            out.looked_at[PROMISE] += 1
            over = before.events[-1].revision if before.status in TERMINAL else None
            if over is None or over > after.events[0].revision:
                evidence = f"{timing.id}: {before.job_id} was open"
                yield Broken(PROMISE, "jobs_overlap", evidence, after.job_id)


def triggers_hold(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """An acknowledged trigger made one job."""
    for one in history.operations:
        if one.verb == "trigger" and one.is_ok:
            out.looked_at[PROMISE] += 1
            if one.key not in record.keys:
                yield Broken(PROMISE, "trigger_lost", f"#{one.number} {one.key}", one.job_id)


def caught_up(history: History, record: Record) -> int:
    """How many times fired that came while no server was up."""
    downs = [(before.ended, after.ready) for before, after in pairwise(history.lives)]
    moments = [
        real(nominal).timestamp() - history.began_at
        for timing in TIMINGS.values()
        for nominal in fires(record, timing)
    ]
    return sum(any(down < moment < up for down, up in downs) for moment in moments)


def _answered(history: History, verb: str, timing: Timing) -> Operation | None:
    """The call after which it is known to be done."""
    for one in history.operations:
        known = one.is_ok or one.detail == "ALREADY_EXISTS"
        if one.verb == verb and one.key == timing.id and known:
            return one
    return None


def _shown(history: History, at: float) -> datetime:
    return fast(datetime.fromtimestamp(history.began_at + at, UTC))
