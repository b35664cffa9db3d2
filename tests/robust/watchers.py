"""Watchers: raw WatchJob streams, resumed from their cursor until the End frame."""

import asyncio

import grpc

from jobplane.v1 import event_pb2
from jobplane.v1 import job_service_pb2 as wire
from tests.robust.history import Delivery, Stream, Watch
from tests.robust.room import Room, error_info, job_name, status_name

HEARTBEAT_S = 1
LATE = 0.25
# Streams that the watcher itself cuts: at any frame, and at the one before the last.
CUTS = 0.01
CUTS_AT_END = 0.1
CUT = "cut by the watcher"
End = wire.WatchJobResponse.End


async def watch(room: Room, job_id: str, *, purpose: str, after: int | None) -> None:
    """Watch a job to its end; now and then come back for it once more."""
    seen = Watch(len(room.history.watches), job_id, purpose, HEARTBEAT_S)
    room.history.watches.append(seen)
    cursor = after
    while room.is_open:
        stream = Stream(len(seen.streams), cursor, room.now())
        seen.streams.append(stream)
        try:
            cursor = await _follow(room, seen, stream)
        finally:
            stream.closed = room.now()
        if stream.end == "FINISHED":
            break
        await room.pause(0.01, 0.06)
    if seen.is_finished and purpose == "follow" and room.rng.random() < LATE:
        # A late subscriber: with its cursor at the end, from the start, or without one.
        late = room.rng.choice((cursor, 0, None))
        await watch(room, job_id, purpose="late", after=late)


async def _follow(room: Room, seen: Watch, stream: Stream) -> int | None:
    """One stream, until it ends or breaks; gives the cursor to come back with."""
    request = wire.WatchJobRequest(name=job_name(seen.job_id), after_sequence=stream.after)
    request.heartbeat_interval.seconds = HEARTBEAT_S
    cursor, heard = stream.after, room.now()
    call = room.watch_stub(seen.number).WatchJob(request)
    try:
        async for frame in call:
            now = room.now()
            stream.first_frame = min(stream.first_frame, now)
            stream.silence = max(stream.silence, now - heard)
            heard = now
            cursor = frame.cursor
            _note_frame(seen, stream, frame, now)
            if stream.end:
                break
            if room.rng.random() < (CUTS_AT_END if _is_finished(frame) else CUTS):
                stream.broken = CUT
                break
    except grpc.aio.AioRpcError as error:
        stream.broken = f"{error.code().name} {error_info(error).reason}".strip()
    except asyncio.CancelledError:
        stream.broken = "left by the harness"
        raise
    finally:
        call.cancel()
        stream.silence = max(stream.silence, room.now() - heard)
    return cursor


def _note_frame(seen: Watch, stream: Stream, frame: wire.WatchJobResponse, now: float) -> None:
    stream.cursors.append(frame.cursor)
    match frame.WhichOneof("frame"):
        case "snapshot":
            stream.snapshot = frame.cursor
        case "events":
            for event in frame.events.events:
                seen.deliveries.append(_delivery(stream, event, now))
        case "end":
            stream.end = End.Reason.Name(frame.end.reason).removeprefix("REASON_")
            stream.end_sequence = frame.end.job.sequence
            stream.end_status = status_name(frame.end.job.status)
        case _:
            pass


def _is_finished(frame: wire.WatchJobResponse) -> bool:
    return any(event.HasField("finished") for event in frame.events.events)


def _delivery(stream: Stream, event: event_pb2.JobEvent, now: float) -> Delivery:
    return Delivery(
        stream=stream.number,
        at=now,
        sequence=event.sequence,
        type=event.WhichOneof("payload") or "",
        status=status_name(event.status),
        time_us=event.event_time.seconds * 1_000_000 + event.event_time.nanos // 1000,
    )
