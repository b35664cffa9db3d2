"""Commands that stay with a job until its end: watch, wait, result."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click
from jobplane.cli import interrupts
from jobplane.cli.exits import Exit, exit_of_job
from jobplane.cli.refusal import tell_error
from jobplane.cli.report import write_end
from jobplane.cli.screen import screen_for
from jobplane.cli.selection import find_job
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.units import seconds_of
from jobplane.client import Job, JobplaneError, WatchPlan, errors
from jobplane.client._outcome import outcome
from jobplane.v1 import job_pb2

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
VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Every event.")
Ends = tuple[int, job_pb2.Job | JobplaneError]


@click.command()
@click.argument("job")
@click.option("--from-seq", type=click.IntRange(min=0), default=0, help="Only later events.")
@VERBOSE
@TIMEOUT
@STRICT
@NO_WAIT_INPUT
@CANCEL
@with_session
def watch(session: Session, *, job: str, from_seq: int, **options: Any) -> int:
    """Show JOB live until its end, from its beginning.

    JOB is an id, a unique prefix of one, or @latest. Ctrl-C detaches; the job goes on.
    """
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
) -> int:
    """Show a job until its end; gives the exit code that says how it ended."""
    on_interrupt = job.cancel if cancel_on_interrupt else None
    plan = WatchPlan(timeout_s=timeout)
    with interrupts.detaching(session, [job.id], on_interrupt=on_interrupt), ExitStack() as stack:
        screen = stack.enter_context(screen_for(session, job.id, verbose=verbose))
        events = stack.enter_context(
            job.events(
                after_sequence=after_sequence, plan=plan, on_interruption=screen.show_interruption
            )
        )
        for event in events:
            screen.show(event)
            if no_wait_input and event.status == "AWAITING_INPUT" and _still_asks(job):
                session.say(f"job {job.id} asks; answer it with: jobplane answer {job.id}")
                return Exit.NEEDS_INPUT
    job.refresh()
    write_end(session, job.wire)
    return exit_of_job(job.wire, strict=strict)


def _still_asks(job: Job) -> bool:
    """Whether the question is open now: the history may tell of an older one."""
    return job.refresh().status == "AWAITING_INPUT"


def _wait_for(handles: Sequence[Job], *, wanted: int, timeout_s: float | None) -> list[Ends]:
    """Ends of that many jobs, as they come."""
    ends: queue.SimpleQueue[Ends] = queue.SimpleQueue()
    until = None if timeout_s is None else time.monotonic() + timeout_s
    for place, handle in enumerate(handles):
        threading.Thread(
            target=_report_end, args=(place, handle, timeout_s, ends.put), daemon=True
        ).start()
    taken: list[Ends] = []
    while len(taken) < wanted:
        taken.append(_next_end(ends, handles, until))
    return taken


def _report_end(
    place: int, handle: Job, timeout_s: float | None, report: Callable[[Ends], None]
) -> None:
    try:
        report((place, handle.wait(timeout_s).wire))
    except JobplaneError as error:
        report((place, error))


def _next_end(ends: queue.SimpleQueue[Ends], handles: Sequence[Job], until: float | None) -> Ends:
    """Next end; in short waits, so that Ctrl-C is heard."""
    while True:
        try:
            return ends.get(timeout=0.5)
        except queue.Empty:
            if until is not None and time.monotonic() > until + len(handles):
                raise
