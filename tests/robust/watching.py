"""P5: what watchers were promised, checked stream by stream against the record."""

from collections.abc import Iterator

from tests.robust.history import Delivery, History, Stream, Watch
from tests.robust.promises import TERMINAL, Broken, Verdict
from tests.robust.record import JobRow, Record

# Silence that a watcher must not meet: three heartbeats, and what a busy machine adds.
SILENT_HEARTBEATS = 3
SLACK_S = 1.0


def watches_tell_the_record(_h: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """Ordered, unique, reliable, resumable: what a watcher heard is the job's history."""
    for watch in _h.watches:
        job = record.jobs.get(watch.job_id)
        if job is None:
            # Lost, and said so by P1.
            continue
        out.looked_at["P5"] += 1
        for error, evidence in _faults(watch, job):
            yield Broken("P5", error, f"watch {watch.number}: {evidence}", watch.job_id)


def _faults(watch: Watch, job: JobRow) -> Iterator[tuple[str, str]]:
    durable = [one for one in watch.deliveries if one.sequence > 0]
    numbers = [one.sequence for one in durable]
    if len(set(numbers)) != len(numbers):
        twice = sorted({number for number in numbers if numbers.count(number) > 1})
        yield "not_unique", f"heard {twice} more than once"
    if numbers != sorted(numbers):
        yield "not_ordered", f"heard {numbers}"
    yield from _gaps(watch, numbers)
    yield from _differences(durable, job)
    yield from _ends(watch, job)
    for stream in watch.streams:
        yield from _stream_faults(watch, stream)


def _gaps(watch: Watch, numbers: list[int]) -> Iterator[tuple[str, str]]:
    """A watcher that began at n hears n+1, n+2, ... over all its streams."""
    start = watch.streams[0].after if watch.streams else None
    if start is None:
        start = next((one.snapshot for one in watch.streams if one.snapshot is not None), None)
    if start is None:
        if numbers:
            yield "no_snapshot", "events, but no state before them"
        return
    heard = sorted(set(numbers))
    if heard and heard != list(range(start + 1, heard[-1] + 1)):
        yield "gap_in_watch", f"began after {start}, heard {heard}"
    if watch.is_finished:
        last = watch.streams[-1].end_sequence
        if (heard[-1] if heard else start) != last:
            yield "end_before_last_event", f"heard up to {heard[-1:]}, the end says {last}"


def _differences(durable: list[Delivery], job: JobRow) -> Iterator[tuple[str, str]]:
    """What was heard is what is durable."""
    rows = {event.sequence: event for event in job.events}
    for one in durable:
        row = rows.get(one.sequence)
        if row is None:
            yield "heard_what_is_not_durable", f"{one.sequence} {one.type} is not in the record"
        elif (row.type, row.status, row.time_us) != (one.type, one.status, one.time_us):
            heard, recorded = f"{one.type} {one.status}", f"{row.type} {row.status}"
            yield "heard_something_else", f"{one.sequence}: heard {heard}, recorded {recorded}"


def _ends(watch: Watch, job: JobRow) -> Iterator[tuple[str, str]]:
    """One terminal event, one End, and nothing after either."""
    finished = [one for one in watch.deliveries if one.type == "finished"]
    if len(finished) > 1:
        yield "finished_twice", f"heard {len(finished)} finished events"
    ends = [stream.end for stream in watch.streams if stream.end == "FINISHED"]
    if len(ends) > 1:
        yield "ended_twice", f"{len(ends)} End frames"
    if not ends and job.status in TERMINAL and not watch.abandoned:
        last = watch.streams[-1]
        yield (
            "watch_hangs",
            (
                f"the job is {job.status}; the last stream, after {last.after}, heard"
                f" {len(last.cursors)} frames and no End"
            ),
        )
    if ends and watch.streams[-1].end_status != job.status:
        yield "end_says_something_else", f"{watch.streams[-1].end_status}, not {job.status}"
    if finished:
        late = [
            one
            for one in watch.deliveries
            if one.at > finished[0].at and one.stream == finished[0].stream
        ]
        if late:
            yield "event_after_finished", f"heard {late[0].type} after it"


def _stream_faults(watch: Watch, stream: Stream) -> Iterator[tuple[str, str]]:
    if stream.cursors != sorted(stream.cursors):
        yield "cursor_went_back", f"cursors {stream.cursors}"
    if not stream.end and not stream.broken:
        yield "ok_without_end", f"stream {stream.number} was over without End and without error"
    if stream.broken.startswith(("OUT_OF_RANGE", "NOT_FOUND", "INTERNAL", "UNKNOWN")):
        yield "watch_refused", f"after {stream.after}: {stream.broken}"
    limit_s = SILENT_HEARTBEATS * watch.heartbeat_s + SLACK_S
    if stream.silence > limit_s:
        yield "silent", f"no frame for {stream.silence:.1f} s, heartbeat {watch.heartbeat_s:g} s"
