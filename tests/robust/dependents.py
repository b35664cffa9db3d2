"""Dependencies: nobody starts before what it waits for, and nobody waits in vain."""

from collections.abc import Iterator

from tests.robust.history import History
from tests.robust.promises import TERMINAL, Broken, Verdict
from tests.robust.record import JobRow, Record

PROMISE = "dependencies"
_SUCCESS = {"SUCCEEDED", "SUCCEEDED_WITH_GAPS"}
# The contract's conditions, written down a second time on purpose.
MEETS = {
    "SUCCEEDED": _SUCCESS,
    "SUCCEEDED_FULLY": {"SUCCEEDED"},
    "FINISHED": TERMINAL,
    "NOT_SUCCEEDED": TERMINAL - _SUCCESS,
}
UNSATISFIABLE = "DEPENDENCY_UNSATISFIABLE"


def upstreams(record: Record, job: JobRow) -> list[tuple[JobRow | None, str]]:
    """What a job waits for, None for what was purged, and what it must reach."""
    return [
        (record.jobs.get(one["job"].rpartition("/")[2]), one.get("condition", "SUCCEEDED"))
        for one in job.spec.get("depends_on", ())
    ]


def nobody_starts_too_early(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """Every condition held when the first attempt began."""
    for job in record.jobs.values():
        began = next(iter(job.of_type("attempt_started")), None)
        for upstream, condition in upstreams(record, job):
            out.looked_at[PROMISE] += 1
            if began is None or upstream is None:
                continue
            if upstream.status not in MEETS[condition]:
                evidence = f"it needs {condition}; {upstream.job_id} is {upstream.status}"
                yield Broken(PROMISE, "ran_in_spite", evidence, job.job_id)
            elif upstream.events[-1].revision > began.revision:
                evidence = f"{upstream.job_id} was not over yet"
                yield Broken(PROMISE, "ran_too_early", evidence, job.job_id)


def nobody_waits_in_vain(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """What can never start ended at once, and what could start was not ended."""
    for job in record.jobs.values():
        known = [(one, condition) for one, condition in upstreams(record, job) if one is not None]
        if not known or len(known) < len(upstreams(record, job)):
            continue
        out.looked_at[PROMISE] += 1
        is_over = all(one.status in TERMINAL for one, _ in known)
        in_vain = any(
            one.status in TERMINAL and one.status not in MEETS[condition]
            for one, condition in known
        )
        if in_vain and job.status not in TERMINAL:
            yield Broken(PROMISE, "waits_in_vain", f"{job.status}", job.job_id)
        elif in_vain and job.status != "CANCELLED":
            yield Broken(PROMISE, "ran_in_spite", f"ended {job.status}", job.job_id)
        elif is_over and not in_vain and job.failure == UNSATISFIABLE:
            yield Broken(PROMISE, "given_up_too_early", "every condition holds", job.job_id)
        elif is_over and job.status == "QUEUED":
            yield Broken(PROMISE, "waits_in_vain", "what it waits for is over", job.job_id)
