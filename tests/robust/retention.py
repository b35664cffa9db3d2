"""Retention: what somebody needs is there, and what nobody needs any more is not."""

from collections.abc import Iterator

from tests.robust.history import History
from tests.robust.promises import Broken, Verdict
from tests.robust.record import Record

PROMISE = "retention"


def nothing_needed_is_lost(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """The inputs and checkpoints of jobs are in the store of content."""
    out.looked_at[PROMISE] += len(record.needed)
    for job_id, role, sha256 in record.needed:
        if sha256 not in record.contents:
            yield Broken(PROMISE, "needed_is_lost", f"{role} {sha256[:12]}", job_id)


def nothing_expired_stays(history: History, record: Record, _: Verdict) -> Iterator[Broken]:
    """Where retention was given its time: no job, no upload and no content is left over."""
    if not history.grace_s:
        return
    for digest in sorted(record.orphans):
        yield Broken(PROMISE, "content_stays", f"nobody needs {digest[:12]}")
    for name in record.overdue:
        yield Broken(PROMISE, "expired_stays", name)
