"""The watch rules W1 to W9, on both databases."""

import asyncio
import random

import pytest

from jobplane.engine.domain.errors import JobNotFoundError, SequenceInFutureError
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.watch.frame import Batch, End, EndReason, Heartbeat, Snapshot
from tests.engine.conftest import finished, probe, running, until


def run(coroutine):
    return asyncio.run(coroutine)


def watch(engine, job, after=None, heartbeat_s=15.0, durable_only=True, types=()):
    return engine.watch(
        "demo",
        job.job_id,
        after_sequence=after,
        heartbeat_s=heartbeat_s,
        durable_only=durable_only,
        event_types=types,
    )


async def frames_of(engine, job, **options):
    async with asyncio.timeout(20):
        return [frame async for frame in watch(engine, job, **options)]


def sequences(frames):
    return [e.sequence for frame in frames if isinstance(frame, Batch) for e in frame.events]


def test_an_unknown_job_is_refused_before_any_frame(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            stream = engine.watch(
                "demo", "no", after_sequence=None, heartbeat_s=1, durable_only=True, event_types=()
            )
            with pytest.raises(JobNotFoundError):
                await anext(stream)

    run(scenario())


def test_without_a_cursor_the_first_frame_is_the_state_of_now(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            job = (await engine.submit(probe())).job
            stream = watch(engine, job)
            first = await anext(stream)
            assert isinstance(first, Snapshot)
            assert first.cursor == first.job.sequence == 1
            await stream.aclose()

    run(scenario())


def test_with_nothing_new_the_first_frame_is_a_heartbeat(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            job = (await engine.submit(probe())).job
            stream = watch(engine, job, after=1)
            first = await anext(stream)
            assert isinstance(first, Heartbeat)
            assert first.status is JobStatus.QUEUED
            await stream.aclose()

    run(scenario())


def test_events_come_once_in_order_and_the_stream_says_its_end(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = (await engine.submit(probe(steps=20, metrics=True))).job
            frames = await frames_of(engine, job, after=0)
            got = sequences(frames)
            assert got == list(range(1, len(got) + 1))
            end = frames[-1]
            assert isinstance(end, End)
            assert end.reason is EndReason.FINISHED
            assert end.job.sequence == got[-1]
            cursors = [frame.cursor for frame in frames]
            assert cursors == sorted(cursors)

    run(scenario())


def test_live_and_replayed_events_are_the_same(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            job = (await engine.submit(probe(metrics=True))).job
            stream = watch(engine, job)
            await anext(stream)
            house.dispatcher.paused = False
            house.dispatcher.step()
            live = [frame async for frame in stream]
            replayed = await frames_of(engine, job, after=1)
            assert events_in(live) == events_in(replayed)
            assert all(event.revision > 0 for event in events_in(live))

    run(scenario())


def events_in(frames):
    return [e for frame in frames if isinstance(frame, Batch) for e in frame.events]


def test_progress_is_shown_live_and_not_numbered(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = (await engine.submit(probe(steps=50, step_s=0.01))).job
            frames = await frames_of(engine, job, after=0, durable_only=False)
            shown = [e for f in frames if isinstance(f, Batch) for e in f.events if e.is_ephemeral]
            assert shown
            units = [event.payload.completed_units for event in shown]
            assert units == sorted(units)

    run(scenario())


@pytest.mark.parametrize("after", [None, 0, 3])
def test_a_late_subscriber_is_not_left_waiting(settings, after):
    async def scenario():
        async with running(settings) as (_, engine):
            job = (await engine.submit(probe())).job
            done = await finished(engine, job)
            frames = await frames_of(engine, job, after=after)
            assert frames[-1].reason is EndReason.FINISHED
            if after is None:
                assert isinstance(frames[0], Snapshot)
            else:
                assert sequences(frames) == list(range(after + 1, done.sequence + 1))

    run(scenario())


def test_a_cursor_at_the_last_event_ends_at_once(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = await finished(engine, (await engine.submit(probe())).job)
            frames = await frames_of(engine, job, after=job.sequence)
            assert [type(frame) for frame in frames] == [End]

    run(scenario())


def test_a_cursor_in_the_future_is_refused(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = await finished(engine, (await engine.submit(probe())).job)
            with pytest.raises(SequenceInFutureError) as refusal:
                await frames_of(engine, job, after=job.sequence + 1)
            assert refusal.value.latest_sequence == job.sequence

    run(scenario())


def test_silence_is_filled_with_heartbeats(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            job = (await engine.submit(probe())).job
            stream = watch(engine, job, heartbeat_s=0.05)
            assert isinstance(await anext(stream), Snapshot)
            async with asyncio.timeout(10):
                beats = [await anext(stream) for _ in range(3)]
            assert all(isinstance(beat, Heartbeat) and beat.cursor == 1 for beat in beats)
            await stream.aclose()

    run(scenario())


def test_cancel_of_a_queued_job_ends_its_watches(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            job = (await engine.submit(probe())).job
            stream = watch(engine, job)
            await anext(stream)
            await engine.cancel("demo", job.job_id, requester="me", reason="", force=False)
            async with asyncio.timeout(10):
                rest = [frame async for frame in stream]
            assert rest[-1].reason is EndReason.FINISHED
            assert rest[-1].job.status is JobStatus.CANCELLED

    run(scenario())


def test_a_lost_wake_up_costs_no_event(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.hub.publish = lambda changes: None
            job = (await engine.submit(probe(steps=3, metrics=True))).job
            frames = await frames_of(engine, job, after=0)
            got = sequences(frames)
            assert got == list(range(1, len(got) + 1))
            assert frames[-1].reason is EndReason.FINISHED

    run(scenario())


def test_a_young_job_is_watched_from_memory(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            job = (await engine.submit(probe())).job
            await finished(engine, job)
            house.database.read = None
            frames = await frames_of(engine, job, after=0)
            got = sequences(frames)
            assert got == list(range(1, frames[-1].cursor + 1))
            assert frames[-1].reason is EndReason.FINISHED
            del house.database.read

    run(scenario())


def test_what_memory_missed_is_read_from_the_table(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            job = (await engine.submit(probe())).job
            house.hub.publish = lambda changes: None
            await engine.cancel("demo", job.job_id, requester="me", reason="", force=False)
            frames = await frames_of(engine, job, after=1)
            assert frames[-1].reason is EndReason.FINISHED
            # A cursor from the table is not ahead of anything.
            assert await frames_of(engine, job, after=frames[-1].cursor) == frames[-1:]

    run(scenario())


def test_a_draining_server_says_so(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            job = (await engine.submit(probe())).job
            stream = watch(engine, job)
            await anext(stream)
            await house.drain()
            async with asyncio.timeout(10):
                rest = [frame async for frame in stream]
            assert rest[-1].reason is EndReason.DRAINING
            assert rest[-1].retry_after_s is not None

    run(scenario())


def test_filtered_events_still_move_the_cursor_and_finished_always_passes(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = (await engine.submit(probe(steps=2))).job
            frames = await frames_of(engine, job, after=0, types=("attempt_started",))
            kinds = [e.type for f in frames if isinstance(f, Batch) for e in f.events]
            assert kinds == ["attempt_started", "finished"]

    run(scenario())


def test_watchers_that_join_around_the_end_all_see_it(settings):
    async def scenario():
        chance = random.Random(7)
        async with running(settings) as (_, engine):

            async def one():
                job = (await engine.submit(probe(metrics=True))).job
                for _ in range(chance.randrange(6)):
                    await asyncio.sleep(0)
                frames = await frames_of(engine, job, after=chance.choice([None, 0, 1]))
                assert frames[-1].reason is EndReason.FINISHED
                got = sequences(frames)
                assert got == list(range(got[0], got[0] + len(got))) if got else True

            await asyncio.gather(*(one() for _ in range(200)))

    run(scenario())


def test_a_watch_leaves_nothing_behind(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            job = (await engine.submit(probe())).job
            stream = watch(engine, job)
            await anext(stream)
            assert house.hub.watchers == 1
            await stream.aclose()

            async def gone():
                return house.hub.watchers == 0

            await until(gone)

    run(scenario())
