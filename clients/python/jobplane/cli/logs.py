"""The command that prints what a job printed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from jobplane.cli import interrupts
from jobplane.cli.exits import Exit
from jobplane.cli.follow import Span
from jobplane.cli.selection import find_job
from jobplane.cli.session import Session, with_session
from jobplane.client import LogLine


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends.")
@click.option("--tail", type=click.IntRange(1, 100_000), help="Only the last lines.")
@click.option("--attempt", type=click.IntRange(1), help="Of this attempt only.")
@click.option("--since", type=Span(), metavar="SPAN", help="Only of so long ago, e.g. 5m.")
@click.option("--timestamps", is_flag=True, help="Begin each line with its time.")
@with_session
def logs(
    session: Session,
    *,
    job: str,
    follow: bool,
    tail: int | None,
    attempt: int | None,
    since: float | None,
    timestamps: bool,
) -> int:
    """Print what JOB printed; with -f its next attempts too."""
    handle = find_job(session.client, job)
    began = datetime.now(UTC)
    with (
        interrupts.detaching(session, [handle.id]),
        handle.logs(follow=follow, tail=tail or 0, attempt=attempt or 0) as lines,
    ):
        for line in lines:
            if since is not None and line.time < began - timedelta(seconds=since):
                continue
            if session.is_json:
                session.write_json(_value(line))
            else:
                stamp = f"{_time(line)} " if timestamps else ""
                session.write_raw(stamp + line.text)
    return Exit.OK


def _time(line: LogLine) -> str:
    return line.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _value(line: LogLine) -> dict[str, str | int]:
    return {
        "attempt": line.attempt,
        "line": line.number,
        "time": _time(line),
        "stream": line.stream,
        "text": line.text,
    }
