"""Watches of one job: W1 to W10, W12 and W13 of the contract."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import grpc

from jobplane.conformance.frames import (
    Frame,
    brief,
    events_of,
    expect_end,
    expect_gapless,
    kind_of,
    payloads,
)
from jobplane.conformance.refusal import Refusal, blames, due, refused, refused_stream
from jobplane.conformance.rule import Chapter, SkippedRule, expect, expect_equal
from jobplane.conformance.server import span
from jobplane.v1 import job_pb2
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.conformance.frames import Frames
    from jobplane.conformance.server import Server

CHAPTER = Chapter("Watches of one job")
rule = CHAPTER.rule

FIRST_FRAME_S = 1.0
NEWS_S = 1.0
MAX_FRAME_BYTES = 1024 * 1024
MAX_WAIT_S = 60
# More watches than this are not opened to reach a limit.
REACHABLE_WATCHES = 2_000


@rule("W1-first-frame", "The first frame comes within 1 s: a snapshot, the events, or a heartbeat.")
async def _first_frame(server: Server) -> None:
    job = await server.submit_queued()
    for after, due_kind in ((None, "snapshot"), (0, "events"), (job.sequence, "heartbeat")):
        frames = server.watch(job.name, after)
        first = await frames.next(FIRST_FRAME_S + server.slack_s)
        expect_equal(kind_of(first), due_kind, f"the first frame with after_sequence={after}")
        frames.cut()


@rule("W1-unknown-job", "A watch of an unknown job is NOT_FOUND before any frame.")
async def _unknown_job(server: Server) -> None:
    frames = server.watch(f"projects/{server.project}/jobs/no-such-job")
    await refused_stream(frames, "NOT_FOUND", "JOB_NOT_FOUND")


@rule("W2-each-once", "Durable events come in their order, each once, submitted first.")
async def _each_once(server: Server) -> None:
    job = await server.submit(steps=60, metrics=True, checkpoint_every=10)
    events = events_of(await server.watch(job.name, 0).rest())
    expect_gapless(events)
    expect(bool(events), "no event came")
    names = payloads(events)
    expect_equal(names[0], "submitted", "the first event")
    expect({event.job for event in events} == {job.name}, "an event is of another job")


@rule("W2-finished-last", "The event finished comes exactly once and is the last one.")
async def _finished_last(server: Server) -> None:
    job = await server.submit(steps=3)
    names = payloads(events_of(await server.watch(job.name, 0).rest()))
    expect_equal(names.count("finished"), 1, "the number of finished events")
    expect_equal(names[-1], "finished", "the last event")


@rule("W2-batches", "A frame of events is never empty, and has at most 1 MiB.")
async def _batches(server: Server) -> None:
    job = await server.submit(steps=200, metrics=True)
    for frame in await server.watch(job.name, 0).rest():
        if kind_of(frame) == "events":
            expect(bool(frame.events.events), "a frame of events has no event")
        expect(frame.ByteSize() <= MAX_FRAME_BYTES, f"a frame has {frame.ByteSize()} bytes")


@rule("W2-cursor", "The cursor never decreases, and is the sequence of the last durable event.")
async def _cursor(server: Server) -> None:
    job = await server.submit(steps=20, step_s=0.02, metrics=True)
    last = 0
    for frame in await server.watch(job.name, 0).rest():
        expect(frame.cursor >= last, f"the cursor went from {last} back to {frame.cursor}")
        last = frame.cursor
        if durable := events_of([frame]):
            expect_equal(frame.cursor, durable[-1].sequence, "the cursor of a frame of events")


@rule("W2-resume-anywhere", "A watch that goes on after any event gets exactly what follows it.")
async def _resume_anywhere(server: Server) -> None:
    job = await server.finished(await server.submit(steps=4, metrics=True))
    for after in range(job.sequence):
        events = events_of(await server.watch(job.name, after).rest())
        expect_gapless(events, after=after)
        expect_equal(len(events), job.sequence - after, f"the events after {after}")


@rule(
    "W2-cut-and-resume", "Cut after any frame and resumed, a live watch loses and repeats nothing."
)
async def _cut_and_resume(server: Server) -> None:
    job = await server.submit(steps=30, step_s=0.03, metrics=True)
    seen: list[Frame] = []
    cursor, ended = 0, False
    while not ended:
        frames = server.watch(job.name, cursor)
        for _ in range(2):
            frame = await frames.frame()
            if frame is None:
                break
            seen.append(frame)
            cursor, ended = frame.cursor, kind_of(frame) == "end"
        frames.cut()
    expect_gapless(events_of(seen))
    expect_equal(len(events_of(seen)), (await server.get(job.name)).sequence, "the events seen")


@rule("W2-same-for-all", "All watchers of a job, and ListJobEvents, tell the same events.")
async def _same_for_all(server: Server) -> None:
    job = await server.submit(steps=20, step_s=0.02, metrics=True)
    streams = [server.watch(job.name, 0, durable_only=True) for _ in range(20)]
    told = [events_of(frames) for frames in await _all_rests(streams)]
    history = await server.history(job)
    for events in told:
        expect_equal(len(events), len(history), "the number of events that a watcher saw")
        differing = [a.sequence for a, b in zip(events, history, strict=True) if a != b]
        expect(not differing, f"a watcher saw other events at {brief(differing)}")


@rule("W2-status", "Each event carries the status after it, and the phase of that status.")
async def _status(server: Server) -> None:
    job = await server.submit(steps=2)
    for event in events_of(await server.watch(job.name, 0).rest()):
        if event.HasField("status_changed"):
            expect_equal(event.status, event.status_changed.to, f"the status at {event.sequence}")
        is_over = event.phase == job_pb2.JOB_PHASE_FINISHED
        is_terminal = event.status >= job_pb2.JOB_STATUS_SUCCEEDED
        expect_equal(is_over, is_terminal, f"whether the phase at {event.sequence} is FINISHED")


@rule("W3-prompt", "What became durable reaches an open watch within 1 s.")
async def _prompt(server: Server) -> None:
    job = await server.submit_queued()
    frames = server.watch(job.name)
    await frames.next()
    for value in range(3):
        await _relabel(server, job, str(value))
        frame = await frames.next(NEWS_S + server.slack_s)
        expect_equal(kind_of(frame), "events", "the frame after a change")
    frames.cut()


@rule(
    "W3-slow-reader",
    "A reader that takes nothing is cut: ABORTED, SLOW_CONSUMER, with a cursor.",
    slow=True,
)
async def _slow_reader(server: Server) -> None:
    job = await server.submit(steps=60_000, metrics=True)
    await server.finished(job, within_s=300)
    frames = server.watch(job.name, 0)
    first = await frames.next()
    # Nothing is read meanwhile: that is what is under test.
    await asyncio.sleep(75)
    try:
        await frames.rest()
    except grpc.RpcError as error:
        refusal = due(Refusal.of(error), "ABORTED", "SLOW_CONSUMER")
    else:
        raise SkippedRule("all frames fitted into the transport's buffers")
    expect(int(refusal.metadata["cursor"]) >= first.cursor, "the cursor went back")


@rule("W4-no-gap-at-the-start", "A watch that opens around the end of a job still gets its end.")
async def _no_gap_at_the_start(server: Server) -> None:
    async def one(number: int) -> None:
        job = await server.submit(steps=1)
        await asyncio.sleep(number % 10 * 0.01)
        frames = await server.watch(job.name, 0).rest()
        expect_gapless(events_of(frames))
        expect_end(frames)

    await asyncio.gather(*(one(number) for number in range(50)))


@rule("W5-heartbeat", "Silence is filled with heartbeats at the interval that was asked for.")
async def _heartbeat(server: Server) -> None:
    job = await server.submit_queued()
    frames = server.watch(job.name, heartbeat_s=1.0)
    await frames.next()
    for _ in range(3):
        beat = await frames.next(1.0 + server.slack_s)
        expect_equal(kind_of(beat), "heartbeat", "the frame after an interval of silence")
        expect_equal(beat.cursor, job.sequence, "the cursor of a heartbeat")
        expect_equal(beat.heartbeat.status, job_pb2.JOB_STATUS_QUEUED, "its status")
        expect(beat.heartbeat.HasField("server_time"), "a heartbeat has no server_time")
    frames.cut()


@rule("W5-bounds", "A heartbeat_interval outside of 1 s..60 s is refused.")
async def _heartbeat_bounds(server: Server) -> None:
    job = await server.submit_queued()
    for seconds in (0.5, 61):
        frames = server.watch(job.name, heartbeat_s=seconds)
        refusal = await refused_stream(frames, "INVALID_ARGUMENT", "INVALID_SPEC")
        blames(refusal, "heartbeat_interval")


@rule("W6-end", "A stream that the server ends with OK has End as its last frame, and no other.")
async def _end(server: Server) -> None:
    job = await server.submit(steps=5, step_s=0.02)
    for after in (None, 0):
        expect_end(await server.watch(job.name, after).rest())


@rule("W6-final-job", "End FINISHED carries the final job, after all of its durable events.")
async def _final_job(server: Server) -> None:
    job = await server.submit(steps=3)
    frames = await server.watch(job.name, 0).rest()
    final = frames[-1].end.job
    expect(final.done, "the job in the End is not done")
    expect_equal(len(events_of(frames)), final.sequence, "the events before the End")
    expect_equal(frames[-1].cursor, final.sequence, "the cursor of the End")
    now = await server.get(job.name)
    expect_equal((now.status, now.etag), (final.status, final.etag), "the job after the End")


@rule("W7-late-subscriber", "A watch of a finished job replays what was asked for, and ends.")
async def _late_subscriber(server: Server) -> None:
    job = await server.finished(await server.submit(steps=2))
    for after, due_first in ((None, ["snapshot", "end"]), (job.sequence, ["end"])):
        frames = await server.watch(job.name, after, heartbeat_s=1.0).rest()
        expect_equal([kind_of(frame) for frame in frames], due_first, f"after_sequence={after}")
    frames = await server.watch(job.name, 0).rest()
    expect_gapless(events_of(frames))
    expect_equal(len(events_of(frames)), job.sequence, "the events of the replay")


@rule("W8-future-cursor", "A cursor ahead of the history is OUT_OF_RANGE, and the latest is told.")
async def _future_cursor(server: Server) -> None:
    job = await server.submit_queued()
    frames = server.watch(job.name, job.sequence + 1)
    refusal = await refused_stream(frames, "OUT_OF_RANGE", "SEQUENCE_IN_FUTURE")
    latest = refusal.metadata.get("latest_sequence")
    expect_equal(latest, str(job.sequence), "latest_sequence in the metadata")


@rule("W9-cancel-ends-watches", "A cancel of a job that waits ends its watches at once.")
async def _cancel_ends_watches(server: Server) -> None:
    queued = await server.submit_queued()
    paused = await server.submit_queued()
    await server.pause(paused.name)
    asking = await server.submit(steps=2, ask_at_step=1)
    await server.in_status(asking, job_pb2.JOB_STATUS_AWAITING_INPUT)
    for job in (queued, paused, asking):
        frames = server.watch(job.name)
        await frames.next()
        answer = await server.cancel(job.name)
        expect_equal(answer.status, job_pb2.JOB_STATUS_CANCELLED, "the status in the answer")
        rest = await server.within(NEWS_S, frames.rest(), "the end of a watch after a cancel")
        expect_end(rest)
        expect("status_changed" in payloads(events_of(rest)), "no status_changed was told")


@rule("W10-event-types", "event_types filters on the server; finished passes, the cursor moves on.")
async def _event_types(server: Server) -> None:
    job = await server.submit(steps=5, metrics=True)
    frames = await server.watch(job.name, 0, event_types=["attempt_started"]).rest()
    names = payloads(events_of(frames))
    expect_equal(names, ["attempt_started", "finished"], "the events that passed")
    expect_equal(frames[-1].cursor, frames[-1].end.job.sequence, "the cursor of the End")


@rule("W10-unknown-type", "An event type that does not exist is refused with its place.")
async def _unknown_type(server: Server) -> None:
    job = await server.submit_queued()
    frames = server.watch(job.name, event_types=["finished", "no_such_event"])
    refusal = await refused_stream(frames, "INVALID_ARGUMENT", "INVALID_SPEC")
    blames(refusal, "event_types[1]")


@rule("W10-durable-only", "Progress is ephemeral, has no number, and is left out on request.")
async def _durable_only(server: Server) -> None:
    job = await server.submit(steps=40, step_s=0.03)
    every, durable = await _all_rests(
        [server.watch(job.name, 0), server.watch(job.name, 0, durable_only=True)]
    )
    for frame in every:
        for event in frame.events.events:
            is_progress = event.WhichOneof("payload") == "progress"
            expect_equal(event.ephemeral, is_progress, f"ephemeral of {event.sequence}")
            expect_equal(event.sequence == 0, is_progress, "whether an event has no number")
    kept = [event for frame in durable for event in frame.events.events]
    expect(not any(event.ephemeral for event in kept), "an ephemeral event came all the same")


@rule("W12-wait", "WaitJob returns at the change or the end, and says whether it came.")
async def _wait(server: Server) -> None:
    queued = await server.submit_queued()
    at_once = await _wait_for(server, queued, 0)
    expect(not at_once.condition_met, "the condition is met of a job that waits")
    change = asyncio.ensure_future(_wait_for(server, queued, 30, after=queued.sequence))
    # The change must come while the call waits.
    await asyncio.sleep(0.2)
    await _relabel(server, queued, "changed")
    changed = await server.within(NEWS_S, change, "the answer after a change")
    expect(changed.condition_met, "a change was not told")
    expect(changed.job.sequence > queued.sequence, "the job in the answer is the old one")
    done = await _wait_for(server, await server.submit(), 30)
    expect(done.condition_met, "the end was not told")
    expect(done.job.done, "the job in the answer is not done")


@rule("W12-bounds", "WaitJob refuses to wait for more than 60 s.")
async def _wait_bounds(server: Server) -> None:
    job = await server.submit_queued()
    call = _wait_for(server, job, MAX_WAIT_S + 1)
    blames(await refused(call, "INVALID_ARGUMENT", "INVALID_SPEC"), "timeout")


@rule("W13-frame-size", "A long replay comes in frames of at most 1 MiB, with rising cursors.")
async def _frame_size(server: Server) -> None:
    steps = 12_000
    job = await server.submit(steps=steps, metrics=True)
    await server.finished(job, within_s=90)
    frames = await server.watch(job.name, 0).rest()
    sizes = [frame.ByteSize() for frame in frames]
    expect(max(sizes) <= MAX_FRAME_BYTES, f"a frame has {max(sizes)} bytes")
    expect_gapless(events_of(frames))
    expect(len(events_of(frames)) > steps, "events are missing from the replay")


@rule("W13-too-many", "Watches over the limit are RESOURCE_EXHAUSTED; open ones go on.", alone=True)
async def _too_many(server: Server) -> None:
    limits = (await server.info()).limits
    limit = min(limits.max_watches_per_principal, limits.max_watches)
    if limit > REACHABLE_WATCHES or not limit:
        raise SkippedRule(f"the limit is {limit or 'none'}; up to {REACHABLE_WATCHES} are opened")
    job = await server.submit_queued()
    open_ones = [server.watch(job.name) for _ in range(limit)]
    try:
        await asyncio.gather(*(frames.next() for frames in open_ones))
        await refused_stream(server.watch(job.name), "RESOURCE_EXHAUSTED", "TOO_MANY_WATCHES")
        began = time.monotonic()
        await server.get(job.name)
        took = time.monotonic() - began
        expect(took < 1 + server.slack_s, f"a GetJob took {took:.1f} s meanwhile")
    finally:
        for frames in open_ones:
            frames.cut()


async def _all_rests(streams: Sequence[Frames[Frame]]) -> list[list[Frame]]:
    return await asyncio.gather(*(frames.rest() for frames in streams))


async def _wait_for(
    server: Server, job: job_pb2.Job, seconds: float, *, after: int | None = None
) -> wire.WaitJobResponse:
    request = wire.WaitJobRequest(name=job.name, timeout=span(seconds))
    if after is not None:
        request.after_sequence = after
    response: wire.WaitJobResponse = await server.jobs.WaitJob(
        request, timeout=seconds + 10 + server.slack_s, metadata=server.metadata
    )
    return response


async def _relabel(server: Server, job: job_pb2.Job, value: str) -> None:
    request = wire.UpdateJobRequest(job=job_pb2.Job(name=job.name, labels={"changed": value}))
    request.update_mask.paths.append("labels.changed")
    await server.call(server.jobs.UpdateJob, request)
