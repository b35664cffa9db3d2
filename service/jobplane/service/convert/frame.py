"""Frames of a watch: encoded here, so that an event is encoded once for all its watchers."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from jobplane.engine.domain.event import JobEvent
from jobplane.engine.watch.frame import Batch, End, EndReason, Frame, Heartbeat, Snapshot
from jobplane.service.convert.event import event_to_wire
from jobplane.service.convert.job import STATUSES, job_to_wire
from jobplane.service.convert.scalar import EnumMap, duration_to_wire, optional, timestamp_to_wire
from jobplane.v1 import job_service_pb2 as wire

_REASONS = EnumMap(wire.WatchJobResponse.End.Reason, EndReason, "REASON_")

_DELIMITED = 2
_FIELDS = wire.WatchJobResponse.DESCRIPTOR.fields_by_name
_CURSOR_TAG = bytes([_FIELDS["cursor"].number << 3])
_EVENTS_TAG = bytes([_FIELDS["events"].number << 3 | _DELIMITED])
_EVENT_TAG = bytes(
    [wire.WatchJobResponse.Events.DESCRIPTOR.fields_by_name["events"].number << 3 | _DELIMITED]
)
# Room for the cursor and the lengths around the events of one frame.
_OVERHEAD = 32
# What an entry of the cache takes besides its bytes: mostly more than they do.
_ENTRY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame ready to be sent, and where its reader stands after it."""

    cursor: int
    data: bytes


class EventCache:
    """Encoded events, the latest ones, up to a size in memory."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        # An entry keeps its ephemeral event alive, so that its identity stays its own.
        self._entries: OrderedDict[object, tuple[JobEvent | None, bytes]] = OrderedDict()

    def encode(self, event: JobEvent) -> bytes:
        """Give the event as one element of a frame's list, tag and length included."""
        key = _key(event)
        entry = self._entries.get(key)
        if entry is not None:
            return entry[1]
        body = event_to_wire(event).SerializeToString()
        data = _EVENT_TAG + varint(len(body)) + body
        self._keep(key, event, data)
        return data

    def _keep(self, key: object, event: JobEvent, data: bytes) -> None:
        self._entries[key] = (event if event.is_ephemeral else None, data)
        self._bytes += len(data) + _ENTRY_BYTES
        while self._bytes > self._max_bytes:
            _, (_, oldest) = self._entries.popitem(last=False)
            self._bytes -= len(oldest) + _ENTRY_BYTES


def _key(event: JobEvent) -> object:
    """Identity of a durable event; an id can come again after a delete, but not at that time."""
    if event.is_ephemeral:
        return id(event)
    return (event.project, event.job_id, event.sequence, event.occurred_at)


def encode_frame(frame: Frame, cache: EventCache, max_bytes: int) -> Iterator[EncodedFrame]:
    """Give the frame; a batch that is too large for one comes as several."""
    if isinstance(frame, Batch):
        yield from _batches(frame, cache, max_bytes - _OVERHEAD)
    else:
        yield EncodedFrame(frame.cursor, frame_to_wire(frame).SerializeToString())


def _batches(batch: Batch, cache: EventCache, room: int) -> Iterator[EncodedFrame]:
    """A part's cursor is its last durable event; the whole batch's belongs to the last part."""
    parts: list[bytes] = []
    size = 0
    cursor = next((event.sequence - 1 for event in batch.events if event.sequence), batch.cursor)
    for event in batch.events:
        data = cache.encode(event)
        if parts and size + len(data) > room:
            yield _events(cursor, parts)
            parts, size = [], 0
        parts.append(data)
        size += len(data)
        cursor = event.sequence or cursor
    yield _events(batch.cursor, parts)


def _events(cursor: int, parts: list[bytes]) -> EncodedFrame:
    body = b"".join(parts)
    data = _CURSOR_TAG + varint(cursor) + _EVENTS_TAG + varint(len(body)) + body
    return EncodedFrame(cursor, data)


def varint(number: int) -> bytes:
    """Base-128 form of a number that is not negative."""
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits to a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def frame_to_wire(frame: Snapshot | Heartbeat | End) -> wire.WatchJobResponse:
    """Give a frame that carries no events."""
    message = wire.WatchJobResponse(cursor=frame.cursor)
    match frame:
        case Snapshot():
            message.snapshot.job.CopyFrom(job_to_wire(frame.job))
            message.snapshot.history_truncated = frame.history_truncated
        case Heartbeat():
            message.heartbeat.CopyFrom(_heartbeat(frame))
        case End():
            message.end.CopyFrom(_end(frame))
    return message


def _heartbeat(frame: Heartbeat) -> wire.WatchJobResponse.Heartbeat:
    return wire.WatchJobResponse.Heartbeat(
        server_time=timestamp_to_wire(frame.server_time),
        status=STATUSES.to_wire(frame.status),
        worker_heartbeat_time=timestamp_to_wire(frame.worker_heartbeat_at),
    )


def _end(frame: End) -> wire.WatchJobResponse.End:
    return wire.WatchJobResponse.End(
        reason=_REASONS.to_wire(frame.reason),
        job=optional(frame.job, job_to_wire),
        retry_after=duration_to_wire(frame.retry_after_s),
    )
