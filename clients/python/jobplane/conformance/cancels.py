"""Cancels: an end within its bound, whatever the work does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jobplane.conformance.frames import expect_end
from jobplane.conformance.refusal import refused
from jobplane.conformance.rule import Chapter, expect, expect_equal
from jobplane.conformance.server import LABEL, short_status, span
from jobplane.conformance.statuses import expect_lawful
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec
from jobplane.v1 import job_pb2, spec_pb2
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from jobplane.conformance.server import Server

CHAPTER = Chapter("Cancels")
rule = CHAPTER.rule

GRACE_S = 1.0
# What a kill, and the end of what it killed, may add to the grace.
KILL_S = 3.0


@rule("cancel-queued", "A cancel of a job without a live attempt ends it in the answer itself.")
async def _queued(server: Server) -> None:
    job = await server.cancel((await server.submit_queued()).name)
    expect_equal(short_status(job.status), "CANCELLED", "the status in the answer")
    expect(job.done, "it is not told as done")
    expect_equal(job.cancel_request.reason, "conformance", "the reason that was kept")
    now = await server.get(job.name)
    expect_equal(short_status(now.status), "CANCELLED", "the status after the answer")


@rule("cancel-running", "A cancel of running work has a bound in the answer, and is kept.")
async def _running(server: Server) -> None:
    job = await _running_job(server, steps=1000, step_s=0.05)
    answer = await server.cancel(job.name)
    if not answer.done:
        expect_equal(short_status(answer.status), "CANCELLING", "the status in the answer")
        expect(answer.cancel_request.HasField("force_time"), "there is no force_time")
    done = await server.finished(job)
    expect_equal(short_status(done.status), "CANCELLED", "the status at the end")
    await expect_lawful(server, done)


@rule("cancel-forced", "Work that does not stop is ended at force_time, and its watch with it.")
async def _forced(server: Server) -> None:
    policy = spec_pb2.RunPolicy(cancel_grace=span(GRACE_S))
    job = await _running_job(
        server,
        steps=1000,
        step_s=0.1,
        ignore_cancel=True,
        isolation=ProbeSpec.ISOLATION_PROCESS,
        policy=policy,
    )
    frames = server.watch(job.name)
    await frames.next()
    began = time.monotonic()
    await server.cancel(job.name)
    rest = await server.within(GRACE_S + KILL_S, frames.rest(), "the end of a forced cancel")
    expect_end(rest)
    final = rest[-1].end.job
    expect_equal(short_status(final.status), "CANCELLED", "the status at the end")
    expect_equal(final.failure.reason, "FORCED", "failure.reason")
    took = time.monotonic() - began
    expect(took > GRACE_S / 2, f"the grace of {GRACE_S:g} s was not given: {took:.1f} s")


@rule("cancel-force-flag", "force skips the grace.")
async def _force_flag(server: Server) -> None:
    job = await _running_job(
        server,
        steps=1000,
        step_s=0.1,
        ignore_cancel=True,
        isolation=ProbeSpec.ISOLATION_PROCESS,
        policy=spec_pb2.RunPolicy(cancel_grace=span(600)),
    )
    await server.cancel(job.name, force=True)
    done = await server.within(KILL_S, server.finished(job), "the end of a cancel with force")
    expect_equal(short_status(done.status), "CANCELLED", "the status at the end")


@rule("cancel-repeat", "A repeated cancel, and one of a CANCELLED job, are OK and change nothing.")
async def _repeat(server: Server) -> None:
    job = await server.submit_queued()
    first = await server.cancel(job.name)
    expect_equal((await server.cancel(job.name)).etag, first.etag, "the etag after a repeat")


@rule("cancel-unknown", "A cancel of an unknown job is NOT_FOUND.")
async def _unknown(server: Server) -> None:
    call = server.cancel(f"projects/{server.project}/jobs/no-such-job")
    refusal = await refused(call, "NOT_FOUND", "JOB_NOT_FOUND")
    expect(refusal.resource.endswith("no-such-job"), "the details do not name the job")


@rule("cancel-paused", "A cancel of a PAUSED job, and of one that asks, ends it at once.")
async def _suspended(server: Server) -> None:
    paused = await server.submit_queued()
    await server.pause(paused.name)
    asking = await server.submit(steps=2, ask_at_step=1)
    await server.in_status(asking, job_pb2.JOB_STATUS_AWAITING_INPUT)
    for job in (paused, asking):
        answer = await server.cancel(job.name)
        expect_equal(short_status(answer.status), "CANCELLED", "the status in the answer")


@rule("cancel-batch", "A batch cancels what matches and is not over; a dry run only counts.")
async def _batch(server: Server) -> None:
    label = f"batch-{server.run_id}"
    jobs = [await server.submit_queued(labels={"batch": label}) for _ in range(4)]
    await server.cancel(jobs[0].name)
    request = wire.BatchCancelJobsRequest(
        project=server.project, filter=f'labels.batch = "{label}" AND labels:{LABEL}'
    )
    request.validate_only = True
    counted = await server.call(server.jobs.BatchCancelJobs, request)
    expect_equal(counted.affected, 3, "what a dry run counts")
    expect(not (await server.get(jobs[1].name)).done, "a dry run cancelled a job")
    request.validate_only = False
    cancelled = await server.call(server.jobs.BatchCancelJobs, request)
    expect_equal(cancelled.affected, 3, "the number of jobs that changed")
    for job in jobs:
        expect_equal(short_status((await server.get(job.name)).status), "CANCELLED", "a status")


async def _running_job(server: Server, **fields: object) -> job_pb2.Job:
    """A probe that has begun to work."""
    job = await server.submit(**fields)
    return await server.reaches(
        job, lambda now: now.progress.completed_units > 0, "its first step, seen in the progress"
    )
