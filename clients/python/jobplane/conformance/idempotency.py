"""Idempotency keys: one job for one key, told apart by the body."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

from jobplane.conformance.refusal import refused
from jobplane.conformance.rule import Chapter, expect, expect_equal
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from jobplane.conformance.server import Server

CHAPTER = Chapter("Idempotency")
rule = CHAPTER.rule


def _key() -> str:
    return uuid.uuid4().hex


async def _submit(server: Server, request: wire.SubmitJobRequest) -> wire.SubmitJobResponse:
    response: wire.SubmitJobResponse = await server.call(server.jobs.SubmitJob, request)
    return response


@rule("idempotency-repeat", "The same key with the same body gives the first job, and says so.")
async def _repeat(server: Server) -> None:
    request = server.submission(steps=2, idempotency_key=_key())
    first = await _submit(server, request)
    again = await _submit(server, request)
    expect(not first.deduplicated, "the first submit is told as a repeat")
    expect_equal(again.job.name, first.job.name, "the job of the repeat")
    expect(again.deduplicated, "the repeat does not say deduplicated")


@rule("idempotency-after-the-end", "A key keeps its job when that is over.")
async def _after_the_end(server: Server) -> None:
    request = server.submission(idempotency_key=_key())
    job = await server.finished((await _submit(server, request)).job)
    again = await _submit(server, request)
    expect_equal((again.job.name, again.deduplicated), (job.name, True), "the repeat")
    expect(again.job.done, "the repeat answers an old state of the job")


@rule("idempotency-race", "Twenty submits at once with one key make one job.")
async def _race(server: Server) -> None:
    request = server.submission(idempotency_key=_key())
    answers = await asyncio.gather(*(_submit(server, request) for _ in range(20)))
    names = {answer.job.name for answer in answers}
    expect_equal(len(names), 1, "the number of jobs")
    first = [answer for answer in answers if not answer.deduplicated]
    expect_equal(len(first), 1, "the number of submits that say that they made it")


@rule("idempotency-other-body", "The same key with another body is refused, with the difference.")
async def _other_body(server: Server) -> None:
    key = _key()
    job = (await _submit(server, server.submission(steps=2, idempotency_key=key))).job
    for changed, path in (
        (server.submission(steps=3, idempotency_key=key), "spec.probe.steps"),
        (server.submission(steps=2, idempotency_key=key, priority=1), "priority"),
    ):
        refusal = await refused(
            _submit(server, changed), "ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED"
        )
        expect_equal(refusal.resource, job.name, "the job that the details name")
        expect_equal(refusal.metadata.get("first_difference"), path, "first_difference")


@rule("idempotency-reject", "With the policy REJECT a repeat is refused, with the job's id.")
async def _reject(server: Server) -> None:
    request = server.submission(
        idempotency_key=_key(), duplicate_policy=wire.DUPLICATE_POLICY_REJECT
    )
    job = (await _submit(server, request)).job
    refusal = await refused(_submit(server, request), "ALREADY_EXISTS", "DUPLICATE_REQUEST")
    expect_equal(refusal.metadata.get("job_id"), job.job_id, "job_id in the metadata")


@rule("idempotency-job-id", "A chosen job_id is taken once.")
async def _job_id(server: Server) -> None:
    request = server.submission(job_id=f"id-{_key()}", idempotency_key=_key())
    job = (await _submit(server, request)).job
    request.idempotency_key = _key()
    refusal = await refused(_submit(server, request), "ALREADY_EXISTS", "JOB_ID_TAKEN")
    expect_equal(refusal.resource, job.name, "the job that the details name")


@rule("idempotency-no-key", "Without a key each submit makes a job.")
async def _no_key(server: Server) -> None:
    request = server.submission()
    names = {(await _submit(server, request)).job.name for _ in range(2)}
    expect_equal(len(names), 2, "the number of jobs")


@rule("idempotency-validate-only", "validate_only checks everything and writes nothing.")
async def _validate_only(server: Server) -> None:
    job_id = f"id-{_key()}"
    request = server.submission(job_id=job_id, validate_only=True)
    answer = await _submit(server, request)
    expect_equal(answer.job.name, "", "the name of a job that was only validated")
    expect(answer.job.spec.HasField("probe"), "the spec with its defaults is missing")
    call = server.get(f"projects/{server.project}/jobs/{job_id}")
    await refused(call, "NOT_FOUND", "JOB_NOT_FOUND")


@rule("idempotency-batch", "A batch that is repeated makes no second jobs.")
async def _batch(server: Server) -> None:
    items = [
        wire.BatchSubmitJobsRequest.Item(request=server.submission(idempotency_key=_key()))
        for _ in range(5)
    ]
    request = wire.BatchSubmitJobsRequest(project=server.project, items=items)
    first = await server.call(server.jobs.BatchSubmitJobs, request)
    again = await server.call(server.jobs.BatchSubmitJobs, request)
    names = [result.accepted.job.name for result in first.results]
    expect_equal([one.accepted.job.name for one in again.results], names, "the jobs of the repeat")
    expect(all(one.accepted.deduplicated for one in again.results), "one was made anew")


@rule("idempotency-batch-atomic", "A batch with one bad item makes no job at all.")
async def _batch_atomic(server: Server) -> None:
    job_id = f"id-{_key()}"
    good = server.submission(job_id=job_id)
    bad = server.submission(priority=-1)
    items = [wire.BatchSubmitJobsRequest.Item(request=one) for one in (good, bad)]
    request = wire.BatchSubmitJobsRequest(project=server.project, items=items)
    call = server.call(server.jobs.BatchSubmitJobs, request)
    refusal = await refused(call, "INVALID_ARGUMENT", "INVALID_SPEC")
    expect("items[1].request.priority" in refusal.fields, f"it blames {refusal.fields}")
    call = server.get(f"projects/{server.project}/jobs/{job_id}")
    await refused(call, "NOT_FOUND", "JOB_NOT_FOUND")
