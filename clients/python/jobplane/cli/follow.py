"""Commands that stay with a job until its end: watch, wait, result."""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import click

from jobplane.cli import interrupts
from jobplane.cli.exits import Exit, exit_of_job
from jobplane.cli.refusal import tell_error
from jobplane.cli.report import final_line, write_end
from jobplane.cli.screen import screen_for
from jobplane.cli.selection import find_job
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.sets import follow_set
from jobplane.cli.units import seconds_of
from jobplane.client import Job, JobplaneError, Watch, WatchPlan, errors
from jobplane.client._outcome import outcome
from jobplane.v1 import event_pb2, job_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Span(click.ParamType[float]):
    """A time span such as 30s or 5m."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds of the text."""
        try:
            return value if isinstance(value, float) else seconds_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


TIMEOUT = click.option(
    "--timeout", type=Span(), metavar="SPAN", help="Stop waiting (exit 124); the job goes on."
)
STRICT = click.option("--strict", is_flag=True, help="Exit 10 when it succeeded with gaps.")
NO_WAIT_INPUT = click.option(
    "--no-wait-input", is_flag=True, help="Exit 9 when the job asks something."
)
CANCEL = click.option(
    "--cancel-on-interrupt", is_flag=True, help="Ctrl-C and SIGTERM cancel the job."
)
UNTIL = click.option(
    "--until",
    type=click.Choice(("running", "finished")),
    default="finished",
    help="Return once it runs, or when it has ended.",
)
VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Every event.")
THREAD_PATIENCE_S = 5.0
Ends = tuple[int, job_pb2.Job | JobplaneError]


@click.command()
@click.argument("job", required=False)
@click.option("--filter", "where", default="", help="All jobs that match, instead of one.")
@click.option("--until-finished", is_flag=True, help="With --filter: until all that match are.")
@click.option("--from-seq", type=click.IntRange(min=0), default=0, help="Only later events.")
@VERBOSE
@TIMEOUT
@STRICT
@NO_WAIT_INPUT
@CANCEL
@UNTIL
@with_session
def watch(
    session: Session,
    *,
    job: str | None,
    where: str,
    until_finished: bool,
    from_seq: int,
    **options: Any,
) -> int:
    """Show JOB live until its end, from its beginning; or all jobs that match a filter.

    JOB is an id, a unique prefix of one, or @latest. Ctrl-C detaches; the job goes on.
    """
    if bool(job) == bool(where):
        raise click.UsageError("give either JOB or --filter")
    if not job:
        return follow_set(
            session, where, until_finished=until_finished, timeout_s=options["timeout"]
        )
    return follow(session, find_job(session.client, job), after_sequence=from_seq, **options)


@click.command()
@click.argument("jobs", nargs=-1, required=True)
@click.option("--any", "any_", is_flag=True, help="Return when the first one has ended.")
@TIMEOUT
@STRICT
@with_session
def wait(
    session: Session, *, jobs: Sequence[str], any_: bool, timeout: float | None, strict: bool
) -> int:
    """Wait for the end of JOBS; exits as the first one that did not succeed."""
    handles = [find_job(session.client, job) for job in jobs]
    with interrupts.detaching(session, [handle.id for handle in handles]):
        ends = _wait_for(handles, wanted=1 if any_ else len(handles), timeout_s=timeout)
    worst = Exit.OK
    for _, end in sorted(ends, key=lambda item: item[0]):
        if isinstance(end, JobplaneError):
            raise end
        write_end(session, end)
        worst = worst or exit_of_job(end, strict=strict)
    return worst


@click.command()
@click.argument("job")
@TIMEOUT
@STRICT
@with_session
def result(session: Session, *, job: str, timeout: float | None, strict: bool) -> int:
    """Wait for JOB and print its result as JSON; a failure goes to stderr."""
    handle = find_job(session.client, job)
    with interrupts.detaching(session, [handle.id]):
        handle.wait(timeout)
    handle.refresh()
    try:
        value = outcome(handle.wire)
    except errors.JobUnsuccessful as error:
        tell_error(error, as_json=session.is_json)
        return exit_of_job(handle.wire)
    session.output = "json" if session.output == "table" else session.output
    session.write(handle.name) if session.output == "name" else session.write_json(plain(value))
    return exit_of_job(handle.wire, strict=strict)


def follow(
    session: Session,
    job: Job,
    *,
    after_sequence: int = 0,
    verbose: bool = False,
    timeout: float | None = None,
    strict: bool = False,
    no_wait_input: bool = False,
    cancel_on_interrupt: bool = False,
    until: str = "finished",
) -> int:
    """Show a job until its end; gives the exit code that says how it ended."""
    on_interrupt = job.cancel if cancel_on_interrupt else None
    plan = WatchPlan(timeout_s=timeout)
    ready: dict[str, int] = {}
    with interrupts.detaching(session, [job.id], on_interrupt=on_interrupt), ExitStack() as stack:
        screen = stack.enter_context(screen_for(session, job.id, verbose=verbose))
        events = stack.enter_context(
            job.events(
                after_sequence=after_sequence, plan=plan, on_interruption=screen.show_interruption
            )
        )
        for event in events:
            screen.show(event)
            if isinstance(event.payload, event_pb2.JobEvent.ArtifactReady):
                ready[event.payload.artifact.artifact_id] = event.payload.artifact.size_bytes
            if until == "running" and event.phase == "ACTIVE":
                break
            if no_wait_input and event.status == "AWAITING_INPUT" and _still_asks(job):
                session.say(f"job {job.id} asks; answer it with: jobplane answer {job.id}")
                return Exit.NEEDS_INPUT
    job.refresh()
    write_end(session, job.wire, artifacts=ready)
    return exit_of_job(job.wire, strict=strict) if job.done or until == "finished" else Exit.OK


def follow_logs(
    session: Session,
    job: Job,
    *,
    timeout: float | None = None,
    strict: bool = False,
    cancel_on_interrupt: bool = False,
) -> int:
    """Print what a job prints until its end; gives the exit code that says how it ended."""
    on_interrupt = job.cancel if cancel_on_interrupt else None
    with (
        interrupts.detaching(session, [job.id], on_interrupt=on_interrupt),
        job.logs(follow=True, timeout=timeout) as lines,
    ):
        for line in lines:
            session.write_raw(line.text)
        job.wait(timeout)
    # Stdout is the log alone.
    session.say(final_line(job.refresh().wire))
    return exit_of_job(job.wire, strict=strict)


def _still_asks(job: Job) -> bool:
    """Whether the question is open now: the history may tell of an older one."""
    return job.refresh().status == "AWAITING_INPUT"


def _wait_for(handles: Sequence[Job], *, wanted: int, timeout_s: float | None) -> list[Ends]:
    """Ends of that many jobs, as they come."""
    told: queue.SimpleQueue[tuple[int, JobplaneError | None]] = queue.SimpleQueue()
    plan = WatchPlan(timeout_s=timeout_s, durable_only=True, event_types=("finished",))
    with ExitStack() as stack:
        for place, handle in enumerate(handles):
            watch = stack.enter_context(handle.events(after_sequence=None, plan=plan))
            thread = threading.Thread(target=_report_end, args=(place, watch, told.put))
            # Left in the reverse order: the watch is closed, then its thread ends.
            stack.callback(thread.join, THREAD_PATIENCE_S)
            stack.callback(watch.close)
            thread.start()
        return [_next_end(told, handles) for _ in range(wanted)]


def _report_end(
    place: int, watch: Watch, report: Callable[[tuple[int, JobplaneError | None]], None]
) -> None:
    try:
        for _ in watch:
            pass
        report((place, None))
    except JobplaneError as error:
        report((place, error))


def _next_end(
    told: queue.SimpleQueue[tuple[int, JobplaneError | None]], handles: Sequence[Job]
) -> Ends:
    """Next end; in short waits, so that Ctrl-C is heard. A watch always tells in the end."""
    while True:
        with suppress(queue.Empty):
            place, error = told.get(timeout=0.5)
            return place, error or handles[place].refresh().wire
