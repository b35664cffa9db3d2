"""What a server says of itself before any job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.conformance.refusal import blames, refused
from jobplane.conformance.rule import Chapter, expect, expect_equal
from jobplane.v1 import job_service_pb2 as job_wire
from jobplane.v1 import kind_service_pb2, system_service_pb2

if TYPE_CHECKING:
    from jobplane.conformance.server import Server

CHAPTER = Chapter("The server itself")
rule = CHAPTER.rule

HEALTH = "/grpc.health.v1.Health/Check"
# A HealthCheckResponse with the status SERVING.
SERVING = b"\x08\x01"
LIMITS = (
    "max_message_bytes",
    "max_spec_bytes",
    "max_result_bytes",
    "max_labels",
    "max_page_size",
    "max_page_bytes",
    "max_batch_items",
    "max_watches_per_principal",
    "max_watches",
    "max_filter_bytes",
    "max_artifact_bytes",
    "max_inline_bytes",
    "max_table_rows",
)


@rule("server-health", "grpc.health.v1 answers SERVING, for the server and for JobService.")
async def _health(server: Server) -> None:
    service = b"jobplane.v1.JobService"
    for request in (b"", b"\x0a" + bytes([len(service)]) + service):
        expect_equal(await server.send(HEALTH, request), SERVING, "the answer of Check")


@rule("server-info", "GetServerInfo tells the version, the API versions, the kinds and the time.")
async def _info(server: Server) -> None:
    info = await server.info()
    expect(bool(info.version), "the version is missing")
    expect("jobplane.v1" in info.api_versions, f"api_versions is {list(info.api_versions)}")
    expect(info.HasField("server_time"), "server_time is missing")
    kinds = {kind.name: kind.available for kind in info.kinds}
    expect(kinds.get("kinds/probe", False), "the kind probe is not available")


@rule("server-limits", "GetServerInfo tells the limits that this server enforces.")
async def _limits(server: Server) -> None:
    limits = (await server.info()).limits
    missing = [name for name in LIMITS if not getattr(limits, name)]
    expect(not missing, f"told as having no limit: {missing}")


@rule("server-limits-hold", "What is over a limit that GetServerInfo tells is refused.")
async def _limits_hold(server: Server) -> None:
    limits = (await server.info()).limits
    labels = {f"label-{number}": "" for number in range(limits.max_labels)}
    call = server.call(server.jobs.SubmitJob, server.submission(labels=labels))
    blames(await refused(call, "INVALID_ARGUMENT", "INVALID_SPEC"), "labels")
    item = job_wire.BatchSubmitJobsRequest.Item(request=server.submission(validate_only=True))
    items = [item] * (limits.max_batch_items + 1)
    batch = job_wire.BatchSubmitJobsRequest(project=server.project, items=items)
    call = server.call(server.jobs.BatchSubmitJobs, batch)
    blames(await refused(call, "INVALID_ARGUMENT", "INVALID_SPEC"), "items")
    text = "priority = 1" + " " * limits.max_filter_bytes
    call = server.call(
        server.jobs.CountJobs, job_wire.CountJobsRequest(project=server.project, filter=text)
    )
    blames(await refused(call, "INVALID_ARGUMENT", "INVALID_FILTER"), "filter")


@rule("server-kinds", "ListKinds and GetKind describe what can be run.")
async def _kinds(server: Server) -> None:
    listed = await server.call(server.kinds.ListKinds, kind_service_pb2.ListKindsRequest())
    expect("kinds/probe" in {kind.name for kind in listed.kinds}, "probe is not listed")
    request = kind_service_pb2.GetKindRequest(name="kinds/probe")
    kind = (await server.call(server.kinds.GetKind, request)).kind
    expect(bool(kind.description), "probe has no description")


@rule("server-unknown-answer", "Where the server can't find an answer, it says so; it is never OK.")
async def _unknown_answer(server: Server) -> None:
    request = system_service_pb2.GetModelAgeRequest(project=server.project, family="no-such-family")
    call = server.call(server.system.GetModelAge, request)
    await refused(call, "NOT_FOUND", "NOT_FOUND")
