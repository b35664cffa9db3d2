"""The error table: the code, the reason and the field of each mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jobplane.conformance.refusal import blames, refused
from jobplane.conformance.rule import Chapter, expect, expect_equal
from jobplane.v1 import artifact_service_pb2, job_pb2, kind_service_pb2
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from jobplane.conformance.server import Server

CHAPTER = Chapter("Errors")
rule = CHAPTER.rule

SUBMIT = "/jobplane.v1.JobService/SubmitJob"
# Field 999 with the number 1: no message of the contract has it.
UNKNOWN_FIELD = b"\xb8\x3e\x01"
SPEC_FIELD = wire.SubmitJobRequest.SPEC_FIELD_NUMBER
KIND_FIELDS = (20, 31)
DELIMITED = 2

Bend = Callable[[wire.SubmitJobRequest], object]


def _bad_field(name: str, sentence: str, bend: Bend, *fields: str) -> None:
    """Add the rule that a submit bent so is refused with these fields."""

    async def check(server: Server) -> None:
        request = server.submission()
        bend(request)
        call = server.call(server.jobs.SubmitJob, request)
        blames(await refused(call, "INVALID_ARGUMENT", "INVALID_SPEC"), *fields)

    rule(name, sentence)(check)


_bad_field(
    "error-bounds",
    "A value out of bounds is refused with its path.",
    lambda request: request.MergeFrom(wire.SubmitJobRequest(priority=5000)),
    "priority",
)
_bad_field(
    "error-deep-field",
    "A bad value deep in a spec is refused with its whole path.",
    lambda request: request.spec.probe.step_duration.FromSeconds(-1),
    "spec.probe.step_duration",
)
_bad_field(
    "error-missing-kind",
    "A spec without a kind is refused.",
    lambda request: request.spec.ClearField("probe"),
    "spec.kind",
)
_bad_field(
    "error-all-at-once",
    "Everything that is wrong with a request is said at once.",
    lambda request: request.MergeFrom(
        wire.SubmitJobRequest(priority=-1, queue="NO QUEUE", job_id="../etc")
    ),
    "priority",
    "queue",
    "job_id",
)
_bad_field(
    "error-project",
    "A name that is no project id is refused.",
    lambda request: setattr(request, "project", "NO PROJECT"),
    "project",
)


@rule("error-unknown-field", "A field that the contract does not know is refused, never ignored.")
async def _unknown_field(server: Server) -> None:
    data = server.submission().SerializeToString() + UNKNOWN_FIELD
    refusal = await refused(server.send(SUBMIT, data), "INVALID_ARGUMENT", "UNKNOWN_FIELD")
    expect(any("999" in field for field in refusal.fields), f"it blames {refusal.fields}")


@rule("error-two-members", "Two members of a oneof on the wire are refused.")
async def _two_members(server: Server) -> None:
    spec = b"".join(_delimited(number, b"") for number in KIND_FIELDS)
    data = _delimited(1, server.project.encode()) + _delimited(SPEC_FIELD, spec)
    await refused(server.send(SUBMIT, data), "INVALID_ARGUMENT", "INVALID_SPEC")


@rule("error-malformed", "Bytes that are no message are MALFORMED_REQUEST.")
async def _malformed(server: Server) -> None:
    call = server.send(SUBMIT, b"\x0a\xff\xff")
    await refused(call, "INVALID_ARGUMENT", "MALFORMED_REQUEST")


@rule("error-many-violations", "400 violations arrive as INVALID_ARGUMENT, and are counted.")
async def _many_violations(server: Server) -> None:
    labels = {f"UPPER {number} {'x' * 60}": "v" for number in range(400)}
    call = server.call(server.jobs.SubmitJob, server.submission(labels=labels))
    refusal = await refused(call, "INVALID_ARGUMENT", "INVALID_SPEC")
    expect(int(refusal.metadata.get("omitted_violations", "0")) > 0, "none is told as omitted")
    expect(bool(refusal.fields), "no field is blamed")


@rule("error-unknown-kind", "A kind that is not registered is refused, with those that are.")
async def _unknown_kind(server: Server) -> None:
    request = server.submission()
    request.spec.custom.kind = "no_such_kind"
    call = server.call(server.jobs.SubmitJob, request)
    refusal = await refused(call, "INVALID_ARGUMENT", "UNKNOWN_KIND")
    expect("probe" in refusal.metadata.get("known_kinds", ""), "known_kinds lacks probe")


@rule("error-reference", "A job that depends on one that does not exist is refused.")
async def _reference(server: Server) -> None:
    request = server.submission()
    missing = f"projects/{server.project}/jobs/no-such-job"
    request.spec.depends_on.add(job=missing)
    call = server.call(server.jobs.SubmitJob, request)
    refusal = await refused(call, "INVALID_ARGUMENT", "REFERENCE_NOT_FOUND")
    blames(refusal, "spec.depends_on[0].job")
    expect_equal(refusal.resource, missing, "the resource that the details name")


@rule("error-too-large", "A spec over the limit is PAYLOAD_TOO_LARGE, with the limit.")
async def _too_large(server: Server) -> None:
    request = server.submission()
    request.spec.custom.kind = "large"
    request.spec.custom.params.update({"text": "x" * 1_000_000})
    call = server.call(server.jobs.SubmitJob, request)
    refusal = await refused(call, "INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE")
    blames(refusal, "spec")
    expect("limit_bytes" in refusal.metadata, "the limit is not told")


@rule("error-not-found", "What does not exist is NOT_FOUND, by its name.")
async def _not_found(server: Server) -> None:
    job = f"projects/{server.project}/jobs/no-such-job"
    refusal = await refused(server.get(job), "NOT_FOUND", "JOB_NOT_FOUND")
    expect_equal(refusal.resource, job, "the resource that the details name")
    done = await server.finished(await server.submit())
    artifact = artifact_service_pb2.GetArtifactRequest(name=f"{done.name}/artifacts/none.txt")
    call = server.call(server.artifacts.GetArtifact, artifact)
    await refused(call, "NOT_FOUND", "ARTIFACT_NOT_FOUND")
    kind = kind_service_pb2.GetKindRequest(name="kinds/no_such_kind")
    await refused(server.call(server.kinds.GetKind, kind), "NOT_FOUND", "NOT_FOUND")


@rule("error-result-not-ready", "Output asked for before the end is RESULT_NOT_READY.")
async def _result_not_ready(server: Server) -> None:
    job = await server.submit_queued()
    request = artifact_service_pb2.GetArtifactRequest(name=f"{job.name}/artifacts/payload.bin")
    call = server.call(server.artifacts.GetArtifact, request)
    await refused(call, "FAILED_PRECONDITION", "RESULT_NOT_READY")


@rule("error-work-is-no-rpc-error", "A failure of the work is no error of the call that reads it.")
async def _work_is_no_rpc_error(server: Server) -> None:
    job = await server.finished(await server.submit(fail_at_step=1))
    read = await server.get(job.name)
    expect_equal(read.status, job_pb2.JOB_STATUS_FAILED, "the status")
    expect(bool(read.failure.message), "the failure has no message")


@rule("error-request-id", "A refusal tells the request id, the caller's own where it sent one.")
async def _request_id(server: Server) -> None:
    own = f"conformance-{server.run_id}"
    metadata = (*server.metadata, ("x-request-id", own))
    request = wire.GetJobRequest(name=f"projects/{server.project}/jobs/no-such-job")
    call = server.jobs.GetJob(request, timeout=server.options["timeout"], metadata=metadata)
    refusal = await refused(call, "NOT_FOUND", "JOB_NOT_FOUND")
    expect_equal(refusal.trailers.get("x-request-id"), own, "x-request-id")
    expect("x-jobplane-version" in refusal.trailers, "x-jobplane-version is missing")


def _delimited(number: int, data: bytes) -> bytes:
    """A field of bytes, as it lies on the wire."""
    return _varint(number << 3 | DELIMITED) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
