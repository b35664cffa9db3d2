"""Commands that read many things: ls, count, events."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from jobplane.cli.exits import Exit
from jobplane.cli.filters import build_filter
from jobplane.cli.follow import Span
from jobplane.cli.lines import line_of
from jobplane.cli.report import outcome_text, ran_for
from jobplane.cli.screen import colored
from jobplane.cli.selection import find_job, shortened
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.sheet import csv_of
from jobplane.cli.table import table
from jobplane.cli.units import age, number, span
from jobplane.client._records import record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobplane.client import Job

HEADERS = ("ID", "KIND", "STATUS", "PROG", "ATT", "AGE", "DURATION", "OWNER", "INFO")
SPARE = ("OWNER", "ATT", "AGE", "LABELS", "SET", "QUEUE", "PROG", "DURATION")
ORDERS = {"created": "create_time", "updated": "update_time", "finished": "finish_time"}
WIDE_HEADERS = (*HEADERS[:-1], "QUEUE", "SET", "LABELS", "INFO")


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say which jobs."""
    for option in reversed(_FILTER_OPTIONS):
        command = option(command)
    return command


_FILTER_OPTIONS = (
    click.option(
        "--filter", "text", default="", help='For example: status = FAILED AND kind = "hpo"'
    ),
    click.option("--status", "statuses", multiple=True, help="One or more, with commas."),
    click.option("--kind", "kinds", multiple=True, help="One or more, with commas."),
    click.option("--label", "--tag", "labels", multiple=True, metavar="K[=V]", help="Label."),
    click.option("--owner", "owners", multiple=True, help="Who submitted; one or more."),
    click.option("--queue", default="", help="Queue."),
    click.option("--job-set", default="", help="Group."),
    click.option("--failed", is_flag=True, help="FAILED, TIMED_OUT and EVAL_FAILED."),
    click.option(
        "--since", "since_s", type=Span(), metavar="SPAN", help="Submitted within, e.g. 24h."
    ),
)


@click.command()
@filter_options
@click.option("--sort", default="", help="created, updated, finished or priority; -FIELD turns it.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most.")
@with_session
def ls(session: Session, *, sort: str, limit: int, **which: Any) -> int:
    """List jobs, newest first."""
    where = build_filter(**which)
    found = list(
        islice(
            session.client.list(where, order_by=order_of(sort), limit=limit + 1, full=True),
            limit + 1,
        )
    )
    jobs, more = found[:limit], len(found) > limit
    if session.is_json:
        session.write_messages(job.wire for job in jobs)
    elif session.output == "csv":
        _write_csv(session, jobs)
    elif session.output == "name":
        for job in jobs:
            session.write(job.name)
    elif session.quiet:
        for job in jobs:
            session.write(job.id)
    else:
        _write_table(session, jobs, more=more)
    return Exit.OK


@click.command()
@filter_options
@click.option("--by", "field", default="", help="status, kind, queue, job_set or labels.KEY.")
@with_session
def count(session: Session, *, field: str, **which: Any) -> int:
    """Count jobs, exactly; with --by one number for each value."""
    where = build_filter(**which)
    if not field:
        total = session.client.count(where)
        session.write_json({"total": total}) if session.is_json else session.write(str(total))
        return Exit.OK
    groups = session.client.count_by(field, filter=where)
    if session.is_json:
        session.write_json(groups)
        return Exit.OK
    ordered = sorted(groups.items(), key=lambda item: (-item[1], item[0]))
    session.write(table((field.upper(), "JOBS"), [(name or "-", str(n)) for name, n in ordered]))
    return Exit.OK


@click.command()
@click.argument("job")
@click.option("--from-seq", type=click.IntRange(min=0), default=0, help="Only later events.")
@with_session
def events(session: Session, *, job: str, from_seq: int) -> int:
    """Print the numbered history of JOB so far."""
    handle = find_job(session.client, job)
    history = handle.history(after_sequence=from_seq)
    if session.output == "jsonl":
        for event in history:
            session.write_json({"type": event.type, **plain(event.wire)})
        return Exit.OK
    if session.output == "json":
        session.write_json([{"type": event.type, **plain(event.wire)} for event in history])
        return Exit.OK
    rows: list[tuple[str, ...]] = []
    for event in history:
        line = line_of(event)
        text = line.text if line is not None else ""
        moment = event.time.isoformat(timespec="milliseconds") if event.time else "-"
        rows.append((str(event.sequence), moment, event.status, event.type, text))
    session.write(table(("SEQ", "TIME", "STATUS", "EVENT", "TEXT"), rows))
    return Exit.OK


def order_of(text: str) -> str:
    """Order of the contract for "-created"; its own words may be used too."""
    terms: list[str] = []
    for part in text.split(","):
        name, _, direction = part.strip().removeprefix("-").partition(" ")
        if part.strip().startswith("-"):
            direction = "desc"
        terms.append(f"{ORDERS.get(name, name)} {direction}".strip())
    return ", ".join(terms)


def _write_csv(session: Session, jobs: Sequence[Job]) -> None:
    """Every field of each job, in the words of the filter."""
    records = [record_of(job) for job in jobs]
    headers = list(dict.fromkeys(name for record in records for name in record))
    rows = [[_csv_cell(record.get(name)) for name in headers] for record in records]
    session.write(csv_of(headers, rows))


def _csv_cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return "" if value is None else str(value)


def _write_table(session: Session, jobs: Sequence[Job], *, more: bool) -> None:
    # Scripts that read a pipe get whole ids; people get the shortest that are told apart.
    short = shortened([job.id for job in jobs]) if session.live and not session.wide else {}
    headers = WIDE_HEADERS if session.wide else HEADERS
    rows = [_row(job, short, wide=session.wide) for job in jobs]
    session.write(table(headers, rows, spare=SPARE))
    counts = Counter(job.status.lower().replace("_", " ") for job in jobs)
    summary = " · ".join(f"{n} {status}" for status, n in counts.most_common())
    session.say(
        f"{len(jobs)} job{'' if len(jobs) == 1 else 's'}" + (f" · {summary}" if summary else "")
    )
    if more:
        session.say(f"there are more; ask for them with --limit {len(jobs) * 4}")


def _row(job: Job, short: dict[str, str], *, wide: bool) -> tuple[str, ...]:
    wire = job.wire
    extra = (wire.queue, wire.job_set or "-", _labels(wire.labels)) if wide else ()
    started = wire.HasField("start_time")
    limit = wire.spec.policy.max_attempts
    return (
        short.get(job.id, job.id),
        job.kind,
        colored(job.status, job.status),
        _progress(job),
        f"{job.attempt}/{limit}" if limit else str(job.attempt),
        age(job.created_at),
        span(ran_for(wire)) if started else "-",
        wire.creator or "-",
        *extra,
        _info(job),
    )


def _progress(job: Job) -> str:
    if job.status in {"SUCCEEDED", "SUCCEEDED_WITH_GAPS"}:
        return "100%"
    progress = job.progress
    if progress is None:
        return "-"
    if progress.HasField("fraction"):
        return f"{progress.fraction:.0%}"
    return number(progress.completed_units)


def _info(job: Job) -> str:
    """What a person wants to know about the job in this state."""
    wire = job.wire
    if job.done:
        return outcome_text(wire)
    if job.pending_input is not None:
        return f"needs answer: {job.pending_input.prompt} -> jobplane answer {job.id}"
    if wire.HasField("wait") and wire.wait.message:
        return wire.wait.message
    return wire.progress.message


def _labels(labels: Any) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items())) or "-"
