"""The status machine as it is seen from outside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from jobplane.conformance.refusal import refused
from jobplane.conformance.rule import Chapter, expect, expect_equal
from jobplane.conformance.server import FAR_OFF_S, short_status, span
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec
from jobplane.v1 import job_pb2, spec_pb2
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobplane.conformance.server import Server

CHAPTER = Chapter("Statuses")
rule = CHAPTER.rule

_WORK_ENDS = {"SUCCEEDED", "SUCCEEDED_WITH_GAPS", "FAILED", "EVAL_FAILED"}
# The only moves there are.
MOVES: dict[str, set[str]] = {
    "QUEUED": {"RUNNING", "PAUSED", "CANCELLED", "TIMED_OUT"},
    "RUNNING": {*_WORK_ENDS, "TIMED_OUT", "QUEUED", "PAUSING", "AWAITING_INPUT", "CANCELLING"},
    "PAUSING": {*_WORK_ENDS, "TIMED_OUT", "PAUSED", "RUNNING", "CANCELLING"},
    "PAUSED": {"QUEUED", "CANCELLED"},
    "AWAITING_INPUT": {"QUEUED", "TIMED_OUT", "CANCELLED"},
    "CANCELLING": {*_WORK_ENDS, "CANCELLED"},
}
PHASES = {
    "QUEUED": job_pb2.JOB_PHASE_WAITING,
    "RUNNING": job_pb2.JOB_PHASE_ACTIVE,
    "PAUSING": job_pb2.JOB_PHASE_ACTIVE,
    "CANCELLING": job_pb2.JOB_PHASE_ACTIVE,
    "PAUSED": job_pb2.JOB_PHASE_SUSPENDED,
    "AWAITING_INPUT": job_pb2.JOB_PHASE_SUSPENDED,
}
Status = job_pb2.JobStatus


async def expect_lawful(server: Server, job: job_pb2.Job) -> list[str]:
    """Break the rule unless a job moved by the table only; gives the statuses it went through."""
    way = ["QUEUED"]
    for event in await server.history(job):
        if event.HasField("status_changed"):
            # `from` is a word of Python.
            before = short_status(getattr(event.status_changed, "from"))
            after = short_status(event.status_changed.to)
            expect_equal(before, way[-1], f"`from` of the change at {event.sequence}")
            expect(after in MOVES.get(before, set()), f"it moved from {before} to {after}")
            way.append(after)
    expect_equal(short_status(job.status), way[-1], "the status after all changes")
    return way


def _ends(
    name: str,
    status: str,
    sentence: str,
    told: dict[str, Any],
    check: Callable[[job_pb2.Job], bool],
) -> None:
    """Add the rule that a probe which is told so ends so."""

    async def ends(server: Server) -> None:
        job = await server.finished(await server.submit(**told))
        expect_equal(short_status(job.status), status, "the status at the end")
        expect(job.done and job.phase == job_pb2.JOB_PHASE_FINISHED, "it is not told as done")
        expect(job.HasField("finish_time"), "it has no finish_time")
        expect(check(job), f"what goes with {status} is missing or wrong in {job}")
        await expect_lawful(server, job)

    rule(name, sentence)(ends)


def _policy(**fields: Any) -> spec_pb2.RunPolicy:
    return spec_pb2.RunPolicy(**fields)


_ends(
    "status-succeeded",
    "SUCCEEDED",
    "Work that ends well is SUCCEEDED, with its result.",
    {"steps": 3},
    lambda job: job.result.probe.completed_steps == 3 and not job.HasField("failure"),  # noqa: PLR2004  as told
)
_ends(
    "status-gaps",
    "SUCCEEDED_WITH_GAPS",
    "Work that leaves something out is SUCCEEDED_WITH_GAPS, and each gap is named.",
    {"gaps": 2},
    lambda job: len(job.gaps) == 2 and all(gap.reason for gap in job.gaps),  # noqa: PLR2004  as told
)
_ends(
    "status-failed",
    "FAILED",
    "Work that fails for good is FAILED after one attempt, with a reason.",
    {"fail_at_step": 1, "failure_mode": ProbeSpec.FAILURE_MODE_RAISE},
    lambda job: bool(job.failure.reason and job.failure.message) and job.attempt == 1,
)
_ends(
    "status-eval-failed",
    "EVAL_FAILED",
    "Work whose gate refuses the result is EVAL_FAILED, and is not tried again.",
    {"fail_at_step": 1, "failure_mode": ProbeSpec.FAILURE_MODE_EVAL},
    lambda job: bool(job.failure.reason) and job.attempt == 1,
)
_ends(
    "status-timed-out",
    "TIMED_OUT",
    "Work that takes longer than attempt_timeout in every attempt is TIMED_OUT.",
    {"steps": 1000, "step_s": 0.1, "policy": _policy(attempt_timeout=span(0.5), max_attempts=1)},
    lambda job: bool(job.failure.reason),
)
_ends(
    "status-retried",
    "SUCCEEDED",
    "A failure that is retryable leads to a further attempt of the same job.",
    {
        "fail_at_step": 1,
        "failure_mode": ProbeSpec.FAILURE_MODE_RAISE_RETRYABLE,
        "failing_attempts": 1,
        "policy": _policy(max_attempts=3, initial_backoff=span(0.1)),
    },
    lambda job: job.attempt == 2,  # noqa: PLR2004  as told
)
_ends(
    "status-retries-end",
    "FAILED",
    "A job that fails in each of max_attempts attempts is FAILED.",
    {
        "fail_at_step": 1,
        "failure_mode": ProbeSpec.FAILURE_MODE_RAISE_RETRYABLE,
        "policy": _policy(max_attempts=2, initial_backoff=span(0.1)),
    },
    lambda job: job.attempt == 2,  # noqa: PLR2004  as told
)
_ends(
    "status-queue-timeout",
    "TIMED_OUT",
    "A job that waits longer than queue_timeout is TIMED_OUT without an attempt.",
    {
        "policy": _policy(
            queue_timeout=span(1.0), start_time=Timestamp(seconds=int(time.time()) + FAR_OFF_S)
        )
    },
    lambda job: job.attempt == 0,
)


@rule("status-submitted", "A submit answers QUEUED at once, with defaults, names and a time.")
async def _submitted(server: Server) -> None:
    job = await server.submit_queued(job_id=f"c-{server.run_id}")
    expect_equal(short_status(job.status), "QUEUED", "the status in the answer")
    expect_equal(job.name, f"projects/{server.project}/jobs/c-{server.run_id}", "the name")
    expect_equal((job.kind, job.priority, job.queue), ("probe", 500, "default"), "the defaults")
    expect_equal((job.sequence, job.attempt, job.done), (1, 0, False), "sequence, attempt, done")
    expect(bool(job.etag) and job.HasField("create_time"), "etag or create_time is missing")
    expect(job.HasField("wait"), "it waits, and does not say for what")


@rule("status-read-your-writes", "Get and List see every write that was answered before.")
async def _read_your_writes(server: Server) -> None:
    for number in range(10):
        label = f"{server.run_id}-{number}"
        job = await server.submit_queued(labels={"read": label})
        expect_equal((await server.get(job.name)).etag, job.etag, "the etag that Get sees")
        request = wire.ListJobsRequest(project=server.project, filter=f'labels.read = "{label}"')
        page = await server.call(server.jobs.ListJobs, request)
        expect_equal([one.name for one in page.jobs], [job.name], "what List sees")


@rule("status-phases", "The phase is that of the status, and done says whether it is FINISHED.")
async def _phases(server: Server) -> None:
    queued = await server.submit_queued()
    paused = await server.pause((await server.submit_queued()).name)
    running = await server.submit(steps=1000, step_s=0.1)
    running = await server.in_status(running, job_pb2.JOB_STATUS_RUNNING)
    for job in (queued, paused, running):
        status = short_status(job.status)
        expect_equal(job.phase, PHASES[status], f"the phase of {status}")
        expect(not job.done, f"{status} is told as done")
    await server.cancel(running.name)


@rule("status-final", "A finished job changes no more: cancel, pause and resume are refused.")
async def _final(server: Server) -> None:
    job = await server.finished(await server.submit())
    for verb, reason in (
        (server.cancel, "JOB_FINISHED"),
        (server.pause, "INVALID_TRANSITION"),
        (server.resume, "INVALID_TRANSITION"),
    ):
        refusal = await refused(verb(job.name), "FAILED_PRECONDITION", reason)
        expect_equal(refusal.metadata.get("status"), "SUCCEEDED", "the status in the metadata")
    expect_equal((await server.get(job.name)).etag, job.etag, "the etag afterwards")


@rule(
    "status-pause-queued", "A pause of a QUEUED job suspends it at once; a repeat changes nothing."
)
async def _pause_queued(server: Server) -> None:
    job = await server.submit_queued()
    paused = await server.pause(job.name)
    expect_equal(short_status(paused.status), "PAUSED", "the status in the answer")
    expect_equal((await server.pause(job.name)).etag, paused.etag, "the etag after a repeat")
    resumed = await server.resume(job.name)
    expect_equal(short_status(resumed.status), "QUEUED", "the status after a resume")
    expect_equal((await server.resume(job.name)).etag, resumed.etag, "the etag after a repeat")
    await expect_lawful(server, resumed)


@rule("status-pause-running", "A pause of running work keeps it, and a resume goes on from there.")
async def _pause_running(server: Server) -> None:
    job = await server.submit(steps=30, step_s=0.05, checkpoint_every=1)
    await server.reaches(
        job, lambda now: now.progress.completed_units > 0, "its first step, seen in the progress"
    )
    await server.pause(job.name)
    paused = await server.in_status(job, job_pb2.JOB_STATUS_PAUSED)
    expect(not paused.done, "a paused job is told as done")
    await server.resume(job.name)
    done = await server.finished(job)
    expect_equal(short_status(done.status), "SUCCEEDED", "the status at the end")
    expect(done.result.probe.resumed_from_step > 0, "it began again from its first step")
    way = await expect_lawful(server, done)
    expect("PAUSED" in way, f"it was never PAUSED: {way}")


@rule("status-answer", "A job that asks holds until it is answered, then goes on.")
async def _answer(server: Server) -> None:
    job = await server.submit(steps=2, ask_at_step=1)
    asking = await server.in_status(job, job_pb2.JOB_STATUS_AWAITING_INPUT)
    expect(asking.pending_input.HasField("deadline"), "the question has no deadline")
    stale = _answers(job, "no-such-question")
    call = server.call(server.jobs.ProvideJobInput, stale)
    await refused(call, "FAILED_PRECONDITION", "INPUT_NOT_PENDING")
    call = server.pause(job.name)
    await refused(call, "FAILED_PRECONDITION", "INVALID_TRANSITION")
    answers = _answers(job, asking.pending_input.input_id)
    await server.call(server.jobs.ProvideJobInput, answers)
    done = await server.finished(job)
    expect_equal(short_status(done.status), "SUCCEEDED", "the status at the end")
    await expect_lawful(server, done)


@rule("status-retry-is-new", "A retry is a new job that names its origin, which stays as it is.")
async def _retry_is_new(server: Server) -> None:
    told = {"fail_at_step": 1, "failure_mode": ProbeSpec.FAILURE_MODE_RAISE}
    job = await server.finished(await server.submit(**told))
    request = wire.RetryJobRequest(name=job.name, idempotency_key=f"retry-{server.run_id}")
    retried = (await server.call(server.jobs.RetryJob, request)).job
    expect_equal(retried.origin_job, job.name, "origin_job")
    expect(retried.name != job.name, "it is the same job")
    again = (await server.call(server.jobs.RetryJob, request)).job
    expect_equal(again.name, retried.name, "the job of a repeat with the same key")
    expect_equal((await server.get(job.name)).etag, job.etag, "the etag of the origin")
    unfinished = wire.RetryJobRequest(name=(await server.submit_queued()).name)
    call = server.call(server.jobs.RetryJob, unfinished)
    await refused(call, "FAILED_PRECONDITION", "INVALID_TRANSITION")


@rule("status-delete", "Only a finished job can be deleted, and then it is gone.")
async def _delete(server: Server) -> None:
    queued = await server.submit_queued()
    call = server.call(server.jobs.DeleteJob, wire.DeleteJobRequest(name=queued.name))
    await refused(call, "FAILED_PRECONDITION", "INVALID_TRANSITION")
    job = await server.finished(await server.submit())
    await server.call(server.jobs.DeleteJob, wire.DeleteJobRequest(name=job.name))
    await refused(server.get(job.name), "NOT_FOUND", "JOB_EXPIRED", "JOB_NOT_FOUND")


@rule("status-update-etag", "An update is held to the etag that it was made for.")
async def _update_etag(server: Server) -> None:
    job = await server.submit_queued()
    request = wire.UpdateJobRequest(job=job_pb2.Job(name=job.name, priority=7, etag=job.etag))
    request.update_mask.paths.append("priority")
    updated = (await server.call(server.jobs.UpdateJob, request)).job
    expect_equal(updated.priority, 7, "the priority")
    expect(updated.etag != job.etag, "the etag did not change")
    await refused(server.call(server.jobs.UpdateJob, request), "ABORTED", "ETAG_MISMATCH")


def _answers(job: job_pb2.Job, input_id: str) -> wire.ProvideJobInputRequest:
    return wire.ProvideJobInputRequest(name=job.name, input_id=input_id, answers={"proceed": "yes"})
