"""Bugs as other systems have had them, each with the rule that must find it."""

import asyncio
from dataclasses import dataclass, field

import grpc
import grpc.aio

from jobplane.v1 import artifact_service_pb2, job_pb2
from jobplane.v1 import job_service_pb2 as wire
from tests.conformance.bent_server import Bend

PLANTED: dict[str, "Planted"] = {}


@dataclass(frozen=True)
class Planted:
    """A bug."""

    rule: str
    bends: dict[str, Bend] = field(default_factory=dict)
    # What the verdict must say.
    says: str = ""
    # Whether it shows as silence, which is waited for.
    is_silent: bool = False


def plant(rule, method, *, says="", is_silent=False):
    """Add the decorated bend of a method as a bug that a rule must find."""

    def add(bend):
        PLANTED[bend.__name__] = Planted(rule, {method: bend}, says, is_silent)
        return bend

    return add


def on_frames(message=wire.WatchJobResponse):
    """A bend of a stream that is written as a change of one frame: gives those to send."""

    def decorate(change):
        async def bend(request, forward):
            async for data in forward(request):
                for frame in change(message.FromString(data)):
                    yield frame.SerializeToString()

        bend.__name__ = change.__name__
        return bend

    return decorate


def without(frame, payload):
    kept = [event for event in frame.events.events if event.WhichOneof("payload") != payload]
    del frame.events.events[:]
    frame.events.events.extend(kept)
    return [frame] if kept else []


@plant("W2-finished-last", "WatchJob", says="finished")
@on_frames()
def drops_the_terminal_event(frame):
    return without(frame, "finished") if frame.HasField("events") else [frame]


@plant("W6-end", "WatchJob", says="silent")
@on_frames()
def ends_a_watch_silently(frame):
    return [] if frame.HasField("end") else [frame]


@plant("W7-late-subscriber", "WatchJob", says="no frame came within", is_silent=True)
async def leaves_a_late_subscriber_waiting(request, forward):
    async for data in forward(request):
        if wire.WatchJobResponse.FromString(data).HasField("end"):
            await asyncio.Event().wait()
        yield data


@plant("W2-each-once", "WatchJob", says="was due")
@on_frames()
def repeats_an_event(frame):
    return [frame, frame] if frame.HasField("events") else [frame]


@plant("W2-each-once", "WatchJob", says="was due")
@on_frames()
def loses_an_event(frame):
    kept = [event for event in frame.events.events if event.sequence != 3]
    if frame.HasField("events"):
        del frame.events.events[:]
        frame.events.events.extend(kept)
    return [frame]


@plant("W2-cursor", "WatchJob")
@on_frames()
def tells_a_cursor_that_lags(frame):
    if frame.HasField("events") and frame.cursor > 1:
        frame.cursor -= 1
    return [frame]


@plant("W2-resume-anywhere", "WatchJob")
def replays_from_the_start(request, forward):
    asked = wire.WatchJobRequest.FromString(request)
    asked.after_sequence = 0
    return forward(asked.SerializeToString())


@plant("W5-heartbeat", "WatchJob", says="no frame came within", is_silent=True)
@on_frames()
def sends_no_heartbeats(frame):
    return [] if frame.HasField("heartbeat") else [frame]


@plant("W1-first-frame", "WatchJob", says="no frame came within", is_silent=True)
async def begins_with_silence(request, forward):
    await asyncio.sleep(3)
    async for data in forward(request):
        yield data


@plant("W1-unknown-job", "WatchJob")
async def watches_a_job_that_is_not_there(request, forward):
    try:
        async for data in forward(request):
            yield data
    except grpc.aio.AioRpcError:
        yield wire.WatchJobResponse(snapshot={}).SerializeToString()


@plant("W10-event-types", "WatchJob")
def filters_nothing(request, forward):
    asked = wire.WatchJobRequest.FromString(request)
    del asked.event_types[:]
    return forward(asked.SerializeToString())


@plant("W11-list-then-synced", "WatchJobs")
@on_frames(wire.WatchJobsResponse)
def counts_one_too_few(frame):
    if frame.HasField("synced"):
        frame.synced.matching -= 1
    return [frame]


@plant("W11-leaves", "WatchJobs")
@on_frames(wire.WatchJobsResponse)
def keeps_who_has_left(frame):
    for change in frame.changes.changes:
        change.matches_filter = True
    return [frame]


@plant("W12-wait", "WaitJob")
async def waits_for_nothing(request, forward):
    answer = wire.WaitJobResponse.FromString(await forward(request))
    answer.condition_met = True
    return answer.SerializeToString()


@plant("idempotency-repeat", "SubmitJob", says="the job of the repeat")
async def forgets_keys(request, forward):
    asked = wire.SubmitJobRequest.FromString(request)
    asked.idempotency_key = ""
    return await forward(asked.SerializeToString())


@plant("idempotency-other-body", "SubmitJob", says="IDEMPOTENCY_KEY_REUSED is due")
async def answers_another_job_to_a_reused_key(request, forward):
    try:
        return await forward(request)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
            raise
        return await forget_key(request, forward)


async def forget_key(request, forward):
    asked = wire.SubmitJobRequest.FromString(request)
    asked.idempotency_key = ""
    answer = wire.SubmitJobResponse.FromString(await forward(asked.SerializeToString()))
    answer.deduplicated = True
    return answer.SerializeToString()


@plant("error-unknown-field", "SubmitJob")
async def ignores_unknown_fields(request, forward):
    asked = wire.SubmitJobRequest.FromString(request)
    asked.DiscardUnknownFields()
    return await forward(asked.SerializeToString())


@plant("error-not-found", "GetJob", says="(no reason)")
async def tells_no_reasons(request, forward):
    try:
        return await forward(request)
    except grpc.aio.AioRpcError as error:
        bare = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(error.code(), bare, bare, error.details()) from None


@plant("cancel-queued", "CancelJob", says="after the answer")
async def says_cancelled_and_does_nothing(request, forward):
    name = wire.CancelJobRequest.FromString(request).name
    job = job_pb2.Job(name=name, status=job_pb2.JOB_STATUS_CANCELLED, done=True)
    job.cancel_request.reason = "conformance"
    return wire.CancelJobResponse(job=job).SerializeToString()


@plant("cancel-forced", "WatchJob", says="FORCED")
@on_frames()
def forgets_that_it_was_forced(frame):
    if frame.HasField("end"):
        frame.end.job.ClearField("failure")
    return [frame]


@plant("status-retried", "ListJobEvents", says="it moved from")
async def makes_an_unlawful_move(request, forward):
    answer = wire.ListJobEventsResponse.FromString(await forward(request))
    for event in answer.events:
        if event.status_changed.to == job_pb2.JOB_STATUS_RUNNING:
            event.status_changed.to = job_pb2.JOB_STATUS_PAUSING
    return answer.SerializeToString()


@plant("status-phases", "GetJob")
async def tells_no_phase(request, forward):
    answer = wire.GetJobResponse.FromString(await forward(request))
    answer.job.ClearField("phase")
    return answer.SerializeToString()


@plant("list-pages", "ListJobs")
async def repeats_a_job_on_the_next_page(request, forward):
    asked = wire.ListJobsRequest.FromString(request)
    asked.page_size += 1
    answer = wire.ListJobsResponse.FromString(await forward(request))
    longer = wire.ListJobsResponse.FromString(await forward(asked.SerializeToString()))
    del answer.jobs[:]
    answer.jobs.extend(longer.jobs)
    return answer.SerializeToString()


@plant("list-token", "ListJobs")
async def takes_any_token(request, forward):
    try:
        return await forward(request)
    except grpc.aio.AioRpcError:
        asked = wire.ListJobsRequest.FromString(request)
        asked.page_token = ""
        return await forward(asked.SerializeToString())


@plant("count-exact", "CountJobs")
async def estimates(request, forward):
    answer = wire.CountJobsResponse.FromString(await forward(request))
    answer.total += 1
    return answer.SerializeToString()


@plant("filter-errors", "ListJobs")
async def shows_all_where_it_can_not_read_the_filter(request, forward):
    try:
        return await forward(request)
    except grpc.aio.AioRpcError:
        asked = wire.ListJobsRequest.FromString(request)
        asked.filter = asked.order_by = ""
        return await forward(asked.SerializeToString())


@plant("log-resume", "TailJobLogs")
@on_frames(wire.TailJobLogsResponse)
def loses_the_last_line_of_each_frame(frame):
    del frame.lines[-1:]
    return [frame]


@plant("log-whole", "TailJobLogs", says="without a frame that says so")
@on_frames(wire.TailJobLogsResponse)
def ends_a_log_silently(frame):
    frame.end = False
    return [frame]


@plant("read-frames", "ReadArtifact", says="crc32c")
@on_frames(artifact_service_pb2.ReadArtifactResponse)
def flips_a_bit(frame):
    frame.data = bytes([frame.data[0] ^ 1]) + frame.data[1:]
    return [frame]


@plant("read-resume", "ReadArtifact")
async def reads_from_the_start(request, forward):
    asked = artifact_service_pb2.ReadArtifactRequest.FromString(request)
    skip = asked.offset
    asked.offset = 0
    async for data in forward(asked.SerializeToString()):
        frame = artifact_service_pb2.ReadArtifactResponse.FromString(data)
        frame.offset += skip
        yield frame.SerializeToString()


@plant("upload-known", "UploadArtifact")
async def knows_no_content(request, forward):
    answer = artifact_service_pb2.UploadArtifactResponse.FromString(await forward(request))
    answer.deduplicated = False
    return answer.SerializeToString()
