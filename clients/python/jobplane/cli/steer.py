"""Commands that steer a job: cancel, pause, resume, priority, update, answer, retry, delete."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from jobplane.cli.exits import Exit
from jobplane.cli.report import final_line
from jobplane.cli.selection import find_job
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.submit import labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.client import Job

REASON = click.option("--reason", default="", help="Kept in the history.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only tell what would be done.")


@click.command()
@click.argument("jobs", nargs=-1)
@click.option("--filter", "where", default="", help="All jobs that match and are not finished.")
@REASON
@click.option("--force", is_flag=True, help="Kill at once, without the grace period.")
@click.option("--dry-run", is_flag=True, help="Only tell which jobs, or how many, it would be.")
@click.option("-y", "--yes", is_flag=True, help="With --filter: ask nothing.")
@with_session
def cancel(
    session: Session,
    *,
    jobs: Sequence[str],
    where: str,
    reason: str,
    force: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Cancel JOBS, or all jobs that match a filter."""
    if bool(jobs) == bool(where):
        raise click.UsageError("give either JOBS or --filter")
    if where and force:
        raise click.UsageError("--force is for JOBS; a filter gives each job its grace period")
    if where:
        return _cancel_matching(session, where, reason=reason, dry_run=dry_run, yes=yes)
    handles = [find_job(session.client, job) for job in jobs]
    for handle in handles:
        _write(session, handle if dry_run else handle.cancel(reason=reason, force=force))
    if dry_run:
        session.say("nothing was cancelled: --dry-run")
    return Exit.OK


def _cancel_matching(session: Session, where: str, *, reason: str, dry_run: bool, yes: bool) -> int:
    """Count, ask, and cancel."""
    cancel_all = session.client.cancel_all
    if not (dry_run or yes):
        number = cancel_all(filter=where, dry_run=True).affected
        if not sys.stdin.isatty():
            raise click.UsageError(f"{number} jobs match; cancel them with --yes")
        click.confirm(f"cancel {number} jobs?", abort=True, err=True)
    done = cancel_all(filter=where, reason=reason, dry_run=dry_run)
    if session.is_json:
        session.write_json({"affected": done.affected, "dry_run": dry_run})
    else:
        session.write(str(done.affected))
        session.say("would be cancelled: --dry-run" if dry_run else "cancelled, or on their way")
    return Exit.OK


@click.command()
@click.argument("job")
@REASON
@DRY_RUN
@with_session
def pause(session: Session, *, job: str, reason: str, dry_run: bool) -> int:
    """Pause JOB at its next checkpoint."""
    handle = find_job(session.client, job)
    if _goes_on(session, handle, "paused", dry_run=dry_run):
        _write(session, handle.pause(reason=reason))
    return Exit.OK


@click.command()
@click.argument("job")
@REASON
@DRY_RUN
@with_session
def resume(session: Session, *, job: str, reason: str, dry_run: bool) -> int:
    """Let the paused JOB go on."""
    handle = find_job(session.client, job)
    if _goes_on(session, handle, "resumed", dry_run=dry_run):
        _write(session, handle.resume(reason=reason))
    return Exit.OK


@click.command()
@click.argument("job")
@click.argument("number", type=click.IntRange(0, 1000))
@DRY_RUN
@with_session
def priority(session: Session, *, job: str, number: int, dry_run: bool) -> int:
    """Give JOB the priority NUMBER, 0 to 1000; higher ones run first."""
    handle = find_job(session.client, job)
    if _goes_on(session, handle, f"of priority {number}", dry_run=dry_run):
        _write(session, session.client.update(handle, priority=number))
    return Exit.OK


@click.command()
@click.argument("job")
@click.option("--priority", "number", type=click.IntRange(0, 1000), help="0 to 1000.")
@click.option("--queue", default="", help="Queue to wait in.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Label to set.")
@click.option("--no-label", "dropped", multiple=True, metavar="K", help="Label to take away.")
@DRY_RUN
@with_session
def update(
    session: Session,
    *,
    job: str,
    number: int | None,
    queue: str,
    labels: Sequence[str],
    dropped: Sequence[str],
    dry_run: bool,
) -> int:
    """Change priority, queue or labels of JOB."""
    changed: dict[str, str | None] = {**labels_of(labels), **dict.fromkeys(dropped)}
    if number is None and not queue and not changed:
        raise click.UsageError("nothing to change: give --priority, --queue or --label")
    handle = find_job(session.client, job)
    if _goes_on(session, handle, "changed", dry_run=dry_run):
        done = session.client.update(handle, priority=number, queue=queue, labels=changed)
        _write(session, done)
    return Exit.OK


@click.command()
@click.argument("jobs", nargs=-1, required=True)
@DRY_RUN
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
@with_session
def delete(session: Session, *, jobs: Sequence[str], dry_run: bool, yes: bool) -> int:
    """Remove the finished JOBS for good, with their events and artifacts."""
    handles = [find_job(session.client, job) for job in jobs]
    running = [handle.id for handle in handles if not handle.done]
    if running:
        ids = " ".join(running)
        raise click.UsageError(f"{ids} is not finished; cancel it first: jobplane cancel {ids}")
    if dry_run:
        for handle in handles:
            _goes_on(session, handle, "deleted", dry_run=True)
        return Exit.OK
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"{len(handles)} jobs would be gone; delete them with --yes")
        click.confirm(f"delete {len(handles)} jobs for good?", abort=True, err=True)
    for handle in handles:
        session.client.delete(handle)
        session.say(f"{handle.id} is gone")
    return Exit.OK


@click.command()
@click.argument("job")
@click.option(
    "-a", "--answer", "answers", multiple=True, metavar="ID=VALUE", help="Answer to a question."
)
@click.option("--defaults", is_flag=True, help="Take the suggested value where none is given.")
@DRY_RUN
@with_session
def answer(
    session: Session, *, job: str, answers: Sequence[str], defaults: bool, dry_run: bool
) -> int:
    """Answer the question that JOB asks; without -a it is shown, and asked on a terminal."""
    handle = find_job(session.client, job)
    given = dict(_pair(item) for item in answers)
    asked = handle.pending_input
    if asked is not None:
        given = {**(_suggested(handle) if defaults else {}), **given}
    if asked is not None and not given:
        given = _ask(session, handle)
    input_id = asked.input_id if asked is not None else "none"
    told = " ".join(f"{name}={value}" for name, value in given.items())
    if _goes_on(session, handle, f"answered with {told}", dry_run=dry_run):
        _write(session, handle.answer(given, input_id=input_id))
    return Exit.OK


@click.command()
@click.argument("job")
@click.option("--from-checkpoint", is_flag=True, help="Keep what was done before.")
@click.option("--key", "idempotency_key", help="Idempotency key of the retry.")
@DRY_RUN
@with_session
def retry(
    session: Session,
    *,
    job: str,
    from_checkpoint: bool,
    idempotency_key: str | None,
    dry_run: bool,
) -> int:
    """Submit the finished JOB anew, as a job of its own."""
    finished = find_job(session.client, job)
    if not _goes_on(session, finished, "submitted anew", dry_run=dry_run):
        return Exit.OK
    handle = session.client.retry(
        finished,
        from_checkpoint=from_checkpoint,
        idempotency_key=idempotency_key,
    )
    _write(session, handle)
    session.say_next(f"jobplane watch {handle.id}")
    return Exit.OK


def _goes_on(session: Session, job: Job, what: str, *, dry_run: bool) -> bool:
    """Whether to do it; a dry run shows the job as it is, and says what would become of it."""
    if dry_run:
        _write(session, job)
        session.say(f"{job.id} would be {what}: --dry-run")
    return not dry_run


def _write(session: Session, job: Job) -> None:
    if session.is_json:
        session.write_json(plain(job.wire))
    elif session.output == "name":
        session.write(job.name)
    elif session.quiet:
        session.write(job.id)
    else:
        session.write(final_line(job.wire))


def _pair(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals or not name:
        raise click.UsageError(f"-a {item!r} must be ID=VALUE")
    return name, value


def _suggested(job: Job) -> dict[str, str]:
    asked = job.pending_input
    if asked is None:
        return {}
    return {item.id: item.default_value for item in asked.questions if item.default_value}


def _ask(session: Session, job: Job) -> dict[str, str]:
    """Answers that a person types; without a terminal, say how to give them."""
    asked = job.pending_input
    if asked is None:
        return {}
    if not sys.stdin.isatty():
        wanted = " ".join(f"-a {item.id}=…" for item in asked.questions)
        raise click.UsageError(f"{asked.prompt}: answer with {wanted}")
    session.say(asked.prompt)
    return {
        item.id: click.prompt(
            item.label or item.id,
            default=item.default_value or None,
            type=_type_of(item.choices),
            err=True,
        )
        for item in asked.questions
    }


def _type_of(choices: Sequence[str]) -> click.ParamType[str]:
    return click.Choice(tuple(choices)) if choices else click.STRING
