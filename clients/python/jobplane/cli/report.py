"""What is said about a job at its end, and what may come next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jobplane.cli.lines import failure_text, metrics_text
from jobplane.cli.safe import Safe
from jobplane.cli.screen import colored
from jobplane.cli.session import plain
from jobplane.cli.units import size, span
from jobplane.client._event import instant
from jobplane.client._outcome import SUCCESSES, status_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from jobplane.cli.session import Session
    from jobplane.v1 import job_pb2


def write_end(
    session: Session, job: job_pb2.Job, *, artifacts: Mapping[str, int] | None = None
) -> None:
    """The end of a job in the asked form."""
    if session.output == "name":
        session.write(job.name)
    elif session.is_json:
        session.write_json(plain(job))
    else:
        session.write_folded(final_line(job), indent=4)
        if artifacts and not session.quiet:
            told = " · ".join(f"{name} {size(count)}" for name, count in artifacts.items())
            session.write(f"artifacts: {told}")
        if job.done:
            session.say_next(*next_steps(job))


def final_line(job: job_pb2.Job) -> Safe:
    """One line: id, status, how long it ran, what came of it."""
    status = status_name(job.status, job.phase)
    parts = [job.job_id, colored(status, status), span(ran_for(job)), outcome_text(job)]
    return Safe(" ").join(part for part in parts if part)


def outcome_text(job: job_pb2.Job) -> str:
    """Cause of the failure, else headline and first metrics of the result."""
    if job.HasField("failure"):
        return failure_text(job.failure)
    return "  ".join(
        part for part in (job.result.headline, metrics_text(job.result.metrics)) if part
    )


def ran_for(job: job_pb2.Job) -> timedelta:
    """Time from the start, or from the submit where there was none, to the end or now."""
    start = job.start_time if job.HasField("start_time") else job.create_time
    end = instant(job.finish_time) if job.HasField("finish_time") else datetime.now(UTC)
    return end - instant(start)


def next_steps(job: job_pb2.Job) -> tuple[str, str]:
    """Commands that make sense now."""
    if job.status not in SUCCESSES:
        return f"jobplane describe {job.job_id}", f"jobplane retry {job.job_id}"
    return f"jobplane result {job.job_id}", f"jobplane artifacts ls {job.job_id}"
