"""Commands that set one job beside another: resubmit, diff, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from jobplane.cli.exits import Exit
from jobplane.cli.parameters import changed
from jobplane.cli.report import ran_for
from jobplane.cli.screen import colored
from jobplane.cli.selection import find_job
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.sheet import csv_of
from jobplane.cli.submit import follow_options, labels_of, start
from jobplane.cli.table import table
from jobplane.cli.units import number, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobplane.client import Job

ABSENT = "-"


@click.command()
@click.argument("job")
@click.option("-p", "parameters", multiple=True, metavar="PATH=VALUE", help="Parameter to change.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Part of the spec.")
@click.option("--key", "idempotency_key", help="Idempotency key; a repeat makes no second job.")
@click.option("--queue", default="", help="Another queue.")
@click.option("--priority", type=click.IntRange(0, 1000), help="Another priority.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Label to add or change.")
@click.option(
    "--validate-only", "--dry-run", is_flag=True, help="Check and show it, submit nothing."
)
@follow_options
@with_session
def resubmit(
    session: Session,
    *,
    job: str,
    parameters: Sequence[str],
    settings: Sequence[str],
    labels: Sequence[str],
    queue: str,
    priority: int | None,
    validate_only: bool,
    **options: Any,
) -> int:
    """Submit the spec of JOB as a new job, with its queue, priority, labels and inputs.

    -p and --set change it. `retry` is for a finished job as it was, from its checkpoint.
    """
    wire = find_job(session.client, job).wire
    spec = changed(plain(wire.spec), parameters=parameters, settings=settings)
    if validate_only:
        session.client.validate(spec)
        session.output = "json" if session.output == "table" else session.output
        session.write_json(spec)
        session.say("valid; nothing was submitted")
        return Exit.OK
    return start(
        session,
        spec,
        queue=queue or wire.queue,
        job_set=wire.job_set,
        priority=wire.priority if priority is None else priority,
        labels={**wire.labels, **labels_of(labels)},
        **options,
    )


@click.command()
@click.argument("one")
@click.argument("other")
@with_session
def diff(session: Session, *, one: str, other: str) -> int:
    """Show in what the specs and settings of two jobs differ."""
    jobs = [find_job(session.client, name) for name in (one, other)]
    sides = [dict(_facts(job)) for job in jobs]
    names = sorted({name for side in sides for name in side})
    rows = [
        (name, sides[0].get(name, ABSENT), sides[1].get(name, ABSENT))
        for name in names
        if sides[0].get(name) != sides[1].get(name)
    ]
    headers = ("FIELD", jobs[0].id, jobs[1].id)
    if session.is_json:
        session.write_json([dict(zip(("field", "one", "other"), row, strict=True)) for row in rows])
    elif session.output == "csv":
        session.write(csv_of(headers, rows))
    elif rows:
        session.write(table(headers, rows))
    if not rows:
        session.say("they do not differ")
    return Exit.OK


@click.command()
@click.argument("jobs", nargs=-1, required=True)
@click.option("--metric", "metrics", multiple=True, help="One or more; all by default.")
@with_session
def compare(session: Session, *, jobs: Sequence[str], metrics: Sequence[str]) -> int:
    """Show metrics of JOBS side by side."""
    found = [find_job(session.client, job) for job in jobs]
    names = list(metrics) or sorted({name for job in found for name in job.wire.result.metrics})
    if session.is_json:
        values = [
            {
                "job": job.name,
                "kind": job.kind,
                "status": job.status,
                "metrics": {name: job.wire.result.metrics.get(name, None) for name in names},
            }
            for job in found
        ]
        session.write_json(values)
        return Exit.OK
    headers = ("JOB", "KIND", "STATUS", "DURATION", *names)
    rows = [_measured(job, names, as_csv=session.output == "csv") for job in found]
    if session.output == "csv":
        session.write(csv_of(headers, rows))
    else:
        session.write(table(headers, rows, spare=("KIND", "DURATION", *reversed(names[1:]))))
    if not names:
        session.say("none of them has a metric")
    return Exit.OK


def _measured(job: Job, names: Sequence[str], *, as_csv: bool) -> tuple[str, ...]:
    measured = job.wire.result.metrics
    told = repr if as_csv else number
    cells = [told(measured[name]) if name in measured else ABSENT for name in names]
    took = ran_for(job.wire)
    duration = f"{took.total_seconds():.3f}" if as_csv else span(took)
    status = job.status if as_csv else colored(job.status, job.status)
    return job.id, job.kind, status, duration, *cells


def _facts(job: Job) -> Iterator[tuple[str, str]]:
    """Everything that a submit says, by path."""
    wire = job.wire
    yield from _leaves("spec", plain(wire.spec))
    yield "queue", wire.queue
    yield "priority", str(wire.priority)
    yield "job_set", wire.job_set or ABSENT
    yield from _leaves("labels", dict(wire.labels))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    text, members = str(value), list[tuple[str, Any]]()
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        members = [(f"{path}.{name}", member) for name, member in named.items()]
    elif isinstance(value, list):
        listed = cast("Sequence[Any]", value)
        members = [(f"{path}[{at}]", member) for at, member in enumerate(listed)]
    for place, member in members:
        yield from _leaves(place, member)
    if not members:
        yield path, text
