"""Frames of a watch of many jobs: a job is encoded once for all its watchers."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from jobplane.engine.domain.job import Job
from jobplane.engine.watch.frame import EndReason
from jobplane.engine.watch.set_frame import (
    Beat,
    Changes,
    JobChange,
    Reset,
    SetEnd,
    SetFrame,
    Synced,
)
from jobplane.service.convert.frame import varint
from jobplane.service.convert.job import job_to_wire
from jobplane.service.convert.scalar import EnumMap, duration_to_wire, timestamp_to_wire
from jobplane.v1 import job_pb2
from jobplane.v1 import job_service_pb2 as wire

_REASONS = EnumMap(wire.WatchJobResponse.End.Reason, EndReason, "REASON_")
_DELIMITED = 2
_FIELDS = wire.WatchJobsResponse.DESCRIPTOR.fields_by_name
_CURSOR_TAG = bytes([_FIELDS["cursor"].number << 3 | _DELIMITED])
_CHANGES_TAG = bytes([_FIELDS["changes"].number << 3 | _DELIMITED])
_CHANGE_TAG = bytes(
    [wire.WatchJobsResponse.Changes.DESCRIPTOR.fields_by_name["changes"].number << 3 | _DELIMITED]
)
# Room for the cursor and the lengths around the changes of one frame.
_OVERHEAD = 1024
# What an entry of the cache takes besides its bytes: it keeps a whole job alive.
_ENTRY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class EncodedSetFrame:
    """A frame ready to be sent, and where its reader stands after it."""

    cursor: str
    data: bytes


class ChangeCache:
    """Encoded changes, the latest ones, up to a size in memory."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        # An entry keeps its job alive, so that its identity stays its own.
        self._entries: OrderedDict[tuple[int, bool, bool], tuple[Job, bytes]] = OrderedDict()

    def encode(self, change: JobChange, *, full: bool) -> bytes:
        """Give the change as one element of a frame's list, tag and length included."""
        if change.job is None:
            return _encoded(change, full=full)
        key = (id(change.job), change.matches, full)
        if key not in self._entries:
            self._keep(key, change.job, _encoded(change, full=full))
        return self._entries[key][1]

    def _keep(self, key: tuple[int, bool, bool], job: Job, data: bytes) -> None:
        self._entries[key] = (job, data)
        self._bytes += len(data) + _ENTRY_BYTES
        while self._bytes > self._max_bytes and len(self._entries) > 1:
            _, (_, oldest) = self._entries.popitem(last=False)
            self._bytes -= len(oldest) + _ENTRY_BYTES


def _encoded(change: JobChange, *, full: bool) -> bytes:
    job = (
        job_pb2.Job(name=change.name) if change.job is None else job_to_wire(change.job, full=full)
    )
    body = wire.WatchJobsResponse.JobChange(
        job=job, matches_filter=change.matches, deleted=change.job is None
    ).SerializeToString()
    return _CHANGE_TAG + varint(len(body)) + body


def encode_set_frame(
    frame: SetFrame, cache: ChangeCache, max_bytes: int, *, full: bool
) -> Iterator[EncodedSetFrame]:
    """Give the frame; changes that are too large for one come as several."""
    if isinstance(frame, Changes):
        yield from _parts(frame, cache, max_bytes - _OVERHEAD, full=full)
    else:
        yield EncodedSetFrame(frame.cursor, _to_wire(frame).SerializeToString())


def _parts(
    frame: Changes, cache: ChangeCache, room: int, *, full: bool
) -> Iterator[EncodedSetFrame]:
    parts: list[bytes] = []
    size = 0
    for index, change in enumerate(frame.changes):
        data = cache.encode(change, full=full)
        if parts and size + len(data) > room:
            yield _changes(frame.cursor_after(index - 1), parts)
            parts, size = [], 0
        parts.append(data)
        size += len(data)
    yield _changes(frame.cursor, parts)


def _changes(cursor: str, parts: list[bytes]) -> EncodedSetFrame:
    body, place = b"".join(parts), cursor.encode()
    data = b"".join((_CURSOR_TAG, varint(len(place)), place, _CHANGES_TAG, varint(len(body)), body))
    return EncodedSetFrame(cursor, data)


def _to_wire(frame: Synced | Reset | Beat | SetEnd) -> wire.WatchJobsResponse:
    message = wire.WatchJobsResponse(cursor=frame.cursor)
    match frame:
        case Synced():
            message.synced.matching = frame.matching
            message.synced.SetInParent()
        case Reset():
            message.reset.reason = frame.reason
        case Beat():
            beat = wire.WatchJobResponse.Heartbeat(server_time=timestamp_to_wire(frame.server_time))
            message.heartbeat.CopyFrom(beat)
        case SetEnd():
            end = wire.WatchJobResponse.End(
                reason=_REASONS.to_wire(frame.reason),
                retry_after=duration_to_wire(frame.retry_after_s),
            )
            message.end.CopyFrom(end)
    return message
