"""Purges: a job that was deleted is gone for good, and no other one is."""

from collections.abc import Iterator

from tests.robust.history import OPEN_END, History
from tests.robust.promises import Broken, Verdict
from tests.robust.record import Record

PROMISE = "purge"


def deletes_hold(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """After an acknowledged delete the job is not there, nor anything of it."""
    holders = {one.job_id for one in record.artifacts}
    for one in history.operations:
        if one.verb != "delete" or not one.is_ok:
            continue
        out.looked_at[PROMISE] += 1
        if one.job_id in record.jobs or one.job_id not in record.purged:
            yield Broken(PROMISE, "delete_lost", f"#{one.number} was acknowledged", one.job_id)
        elif one.job_id in holders:
            yield Broken(PROMISE, "left_behind", "its artifacts are listed", one.job_id)


def the_purged_stay_gone(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """Whoever asked after the delete heard that the job is gone; its key makes no other."""
    gone: dict[str, float] = {}
    for one in history.operations:
        if (one.verb == "delete" and one.is_ok) or one.detail == "JOB_EXPIRED":
            gone[one.job_id] = min(gone.get(one.job_id, OPEN_END), one.end)
    for job_id in record.purged & record.jobs.keys():
        yield Broken(PROMISE, "came_back", "it has a tombstone, and a row", job_id)
    for one in history.operations:
        if one.start <= gone.get(one.job_id, OPEN_END) or one.verb == "delete":
            continue
        out.looked_at[PROMISE] += 1
        if one.is_ok:
            evidence = f"{one.verb} #{one.number} found it {one.start - gone[one.job_id]:.3f} s on"
            yield Broken(PROMISE, "came_back", evidence, one.job_id)
        elif one.outcome == "refused" and one.detail not in {"JOB_EXPIRED", "JOB_FINISHED"}:
            yield Broken(PROMISE, "gone_otherwise", f"#{one.number}: {one.detail}", one.job_id)


def deleted(history: History) -> set[str]:
    """Jobs that a client asked to delete, whatever it heard."""
    return {one.job_id for one in history.operations if one.verb == "delete"}
