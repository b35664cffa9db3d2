"""Follows all jobs that match a filter, a line for each change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.cli.exits import Exit
from jobplane.cli.interrupts import NEW_LINE
from jobplane.cli.session import Session, plain

if TYPE_CHECKING:
    from jobplane.client import JobChange, JobsWatch


def follow_set(
    session: Session, where: str, *, until_finished: bool, timeout_s: float | None
) -> int:
    """Show jobs that match, then their changes, until the end that was asked for."""
    try:
        with session.client.watch_jobs(
            where, until_all_finished=until_finished, timeout=timeout_s
        ) as watch:
            _show(session, watch)
    except KeyboardInterrupt:
        session.say(NEW_LINE + "detached; the jobs go on")
        raise
    if not session.is_json:
        session.say(f"{len(watch.jobs)} jobs match, all of them finished")
    return Exit.OK


def _show(session: Session, watch: JobsWatch) -> None:
    for change in watch:
        if session.is_json:
            session.write_json(
                {
                    "job": plain(change.job.wire),
                    "matches_filter": change.matches,
                    "deleted": change.deleted,
                }
            )
        elif session.output == "name":
            session.write(change.name)
        else:
            session.write(_line(change))


def _line(change: JobChange) -> str:
    job = change.job
    if change.deleted:
        return f"{change.name.rpartition('/')[2]}  deleted"
    parts = [job.id, f"{job.status:<19}", job.kind]
    if not change.matches:
        parts.append("matches no more")
    elif job.progress is not None and job.progress.fraction and not job.done:
        parts.append(f"{job.progress.fraction:.0%}")
    elif job.failure is not None:
        parts.append(job.failure.reason)
    return "  ".join(parts)
