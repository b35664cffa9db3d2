"""The watch of a set of jobs (W11), on both databases."""

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from jobplane.engine.clock import SystemClock
from jobplane.engine.domain.errors import (
    InvalidFilterError,
    InvalidSpecError,
    InvalidTransitionError,
)
from jobplane.engine.query.page import JobQuery
from jobplane.engine.store import events, jobs
from jobplane.engine.watch.frame import EndReason
from jobplane.engine.watch.set_frame import Beat, Changes, Reset, SetEnd, Synced
from tests.engine.conftest import finished, probe, running, until
from tests.engine.set_watcher import SetWatcher


def run(coroutine):
    return asyncio.run(coroutine)


@asynccontextmanager
async def quiet(settings):
    """An engine in which nothing starts by itself."""
    async with running(settings) as (house, engine):
        house.dispatcher.paused = True
        yield house, engine


async def listed(engine, filter="", project="demo"):
    found, token = {}, ""
    while True:
        query = JobQuery(project=project, filter=filter, page_size=1000, page_token=token)
        page = await engine.list(query)
        found |= {job.name: (job.status, job.sequence) for job in page.items}
        token = page.next_page_token
        if not token:
            return found


async def cancel(engine, job):
    await engine.cancel("demo", job.job_id, requester="me", reason="", force=False)


async def relabel(engine, job, **labels):
    await engine.update("demo", job.job_id, labels=labels, updater="me")


async def submit(engine, **fields):
    return (await engine.submit(probe(**fields))).job


async def delete(house, job):
    def write(transaction):
        stored = jobs.get_to_change(transaction.connection, job.project, job.job_id)
        events.bury(transaction.connection, stored.job, job_pk=stored.pk, now=job.created_at)

    await asyncio.wrap_future(house.database.write(write))


async def holds(watcher, engine, filter=""):
    expected = {}

    async def same():
        expected.clear()
        expected.update(await listed(engine, filter))
        return watcher.states == expected

    try:
        await until(same)
    except TimeoutError:
        assert watcher.states == expected


def test_the_list_comes_first_then_the_word_that_it_is_complete(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            made = [await submit(engine) for _ in range(3)]
            watcher = SetWatcher(engine)
            await watcher.run(frames=2)
            assert set(watcher.held) == {job.name for job in made}
            assert watcher.frames[-1] == Synced(watcher.cursor, 3)

    run(scenario())


def test_a_long_list_comes_in_pages(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            await asyncio.gather(*(submit(engine) for _ in range(450)))
            watcher = SetWatcher(engine)
            await watcher.run(frames=4)
            assert [len(f.changes) for f in watcher.frames[:3]] == [200, 200, 50]
            assert watcher.frames[3].matching == 450

    run(scenario())


def test_changes_follow_the_list(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            watcher = SetWatcher(engine, "status = QUEUED")
            watcher.start()

            async def synced():
                return watcher.synced

            await until(synced)
            job = await submit(engine)
            await holds(watcher, engine, "status = QUEUED")
            await cancel(engine, job)
            await holds(watcher, engine, "status = QUEUED")
            assert watcher.held == {}
            assert [change.matches for change in watcher.changes] == [True, False]
            assert watcher.changes[-1].job.status == "CANCELLED"
            await watcher.cut()

    run(scenario())


def test_jobs_that_never_matched_are_not_told(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            watcher = SetWatcher(engine, 'labels.team = "ours"')
            watcher.start()

            async def synced():
                return watcher.synced

            await until(synced)
            await cancel(engine, await submit(engine, labels={"team": "theirs"}))
            ours = await submit(engine, labels={"team": "ours"})
            await holds(watcher, engine, 'labels.team = "ours"')
            assert {change.name for change in watcher.changes} == {ours.name}
            await watcher.cut()

    run(scenario())


def test_a_job_that_was_deleted_is_told_by_its_name(settings):
    async def scenario():
        async with quiet(settings) as (house, engine):
            job = await submit(engine)
            watcher = SetWatcher(engine)
            await watcher.run(frames=2)
            await delete(house, job)
            await watcher.run(frames=1)
            assert watcher.held == {}
            (last,) = watcher.frames[-1].changes
            assert (last.name, last.job, last.matches) == (job.name, None, False)

    run(scenario())


def test_a_stream_that_comes_back_with_nothing_new_hears_at_once_that_all_is_well(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            await submit(engine)
            watcher = SetWatcher(engine)
            await watcher.run(frames=2)
            await watcher.run(frames=1)
            assert isinstance(watcher.frames[-1], Beat)

    run(scenario())


def test_silence_is_filled_with_heartbeats(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            stream = SetWatcher(engine).stream(heartbeat_s=0.05)
            async with asyncio.timeout(10):
                frames = [await anext(stream) for _ in range(4)]
            assert [type(frame) for frame in frames] == [Synced, Beat, Beat, Beat]
            await stream.aclose()

    run(scenario())


def test_a_cursor_goes_on_without_a_gap_after_any_frame(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            made = [await submit(engine) for _ in range(250)]
            for cut in range(1, 4):
                watcher = SetWatcher(engine)
                await watcher.run(frames=cut)
                await cancel(engine, made[cut])
                await relabel(engine, made[-cut], cut=str(cut))
                await submit(engine)
                watcher.start()
                await holds(watcher, engine)
                await watcher.cut()

    run(scenario())


def test_a_cut_inside_of_a_frame_can_be_gone_on_from(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            await asyncio.gather(*(submit(engine) for _ in range(20)))
            watcher = SetWatcher(engine)
            stream = watcher.stream()
            first = await anext(stream)
            await stream.aclose()
            for change in first.changes[:8]:
                watcher.held[change.name] = change.job
            watcher.cursor = first.cursor_after(7)
            await watcher.run(frames=2)
            assert watcher.states == await listed(engine)
            assert watcher.frames[-1].matching == 20

    run(scenario())


def test_a_job_that_left_while_nobody_watched_is_told_as_gone(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            job = await submit(engine)
            watcher = SetWatcher(engine, "status = QUEUED")
            await watcher.run(frames=2)
            await cancel(engine, job)
            await watcher.run(frames=1)
            assert watcher.held == {}

    run(scenario())


def test_what_a_filter_rules_out_for_good_is_not_told_after_a_cut(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            watcher = SetWatcher(engine, 'job_set = "a" AND status = QUEUED')
            await watcher.run(frames=1)
            await cancel(engine, await submit(engine, job_set="b"))
            await submit(engine, job_set="a")
            await watcher.run(frames=1)
            assert [change.job.job_set for change in watcher.changes] == ["a"]

    run(scenario())


def test_other_projects_are_not_told(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            watcher = SetWatcher(engine, project="other")
            watcher.start()
            await submit(engine)
            await engine.submit(replace(probe(), project="other"))

            async def told():
                return watcher.changes

            await until(told)
            # What comes while the list is read may be told twice.
            assert {change.job.project for change in watcher.changes} == {"other"}
            await watcher.cut()

    run(scenario())


def test_a_cursor_of_another_query_is_refused(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            watcher = SetWatcher(engine)
            await watcher.run(frames=1)
            for other in (SetWatcher(engine, "done = true"), SetWatcher(engine, project="other")):
                other.cursor = watcher.cursor
                with pytest.raises(InvalidSpecError) as refusal:
                    await other.run()
                assert refusal.value.violations[0].field == "cursor"

    run(scenario())


def test_an_altered_cursor_is_refused(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            watcher = SetWatcher(engine)
            await watcher.run(frames=1)
            watcher.cursor = watcher.cursor[:-2] + "AA"
            with pytest.raises(InvalidSpecError):
                await watcher.run()

    run(scenario())


def test_a_bad_filter_is_refused_before_any_frame(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            with pytest.raises(InvalidFilterError):
                await SetWatcher(engine, "status = NO").run()

    run(scenario())


def test_a_cursor_from_a_later_life_of_the_store_is_reset_and_listed_afresh(settings):
    async def scenario():
        async with quiet(settings) as (house, engine):
            job = await submit(engine)
            watcher = SetWatcher(engine)
            await watcher.run(frames=2)

            # As after the restore of an older backup.
            def rewind(transaction):
                transaction.connection.exec_driver_sql(
                    "UPDATE job_events SET revision = revision - 100"
                )

            await asyncio.wrap_future(house.database.write(rewind))
            await watcher.run(frames=3)
            assert [type(frame) for frame in watcher.frames[2:]] == [Reset, Changes, Synced]
            assert watcher.frames[2].reason == "CURSOR_UNKNOWN"
            assert set(watcher.held) == {job.name}

    run(scenario())


class LaterClock:
    """The system's clock, put forward or back."""

    def __init__(self):
        self._inner = SystemClock()
        self.ahead = timedelta()

    def now(self):
        return self._inner.now() + self.ahead


def test_a_cursor_older_than_deletes_are_remembered_is_reset(settings):
    async def scenario():
        clock = LaterClock()
        async with running(settings, clock=clock) as (house, engine):
            house.dispatcher.paused = True
            watcher = SetWatcher(engine)
            await watcher.run(frames=1)
            clock.ahead = timedelta(days=8)
            await watcher.run(frames=1)
            assert watcher.frames[-1].reason == "CURSOR_TOO_OLD"
            assert watcher.cursor != ""

    run(scenario())


def test_a_clock_that_is_put_back_holds_no_heartbeat_back(settings):
    async def scenario():
        clock = LaterClock()
        async with running(settings, clock=clock) as (_, engine):
            stream = SetWatcher(engine).stream(heartbeat_s=0.05)
            assert isinstance(await anext(stream), Synced)
            clock.ahead = -timedelta(hours=1)
            async with asyncio.timeout(10):
                assert [type(await anext(stream)) for _ in range(3)] == [Beat] * 3
            await stream.aclose()

    run(scenario())


def test_a_clock_that_is_put_forward_ends_no_stream(settings):
    async def scenario():
        clock = LaterClock()
        async with running(settings, clock=clock) as (_, engine):
            stream = SetWatcher(engine).stream(heartbeat_s=0.05)
            assert isinstance(await anext(stream), Synced)
            clock.ahead = timedelta(days=1)
            async with asyncio.timeout(10):
                assert [type(await anext(stream)) for _ in range(3)] == [Beat] * 3
            await stream.aclose()

    run(scenario())


def test_it_ends_once_all_that_match_now_are_finished(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            made = [await submit(engine, job_set="mine", steps=3) for _ in range(10)]
            await submit(engine, job_set="other", step_s=30)
            watcher = SetWatcher(engine, 'job_set = "mine"', until_all_finished=True)
            assert await watcher.ended() is EndReason.FINISHED
            assert {job.name for job in made} == set(watcher.held)
            assert all(job.status.is_terminal for job in watcher.held.values())

    run(scenario())


def test_with_nothing_left_to_wait_for_it_ends_at_once(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            await finished(engine, await submit(engine))
            watcher = SetWatcher(engine, until_all_finished=True)
            assert await watcher.ended() is EndReason.FINISHED
            assert [type(frame) for frame in watcher.frames] == [Changes, Synced, SetEnd]

    run(scenario())


def test_what_was_finished_in_the_past_does_not_end_a_watch_of_what_runs_now(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            first = await submit(engine)
            watcher = SetWatcher(engine, until_all_finished=True)
            await watcher.run(frames=2)
            # While nobody watches all are finished for a moment, then there is work again.
            await cancel(engine, first)
            second = await submit(engine)
            watcher.start()

            async def told():
                return second.name in watcher.held

            await until(told)
            assert watcher.end is None
            await cancel(engine, second)
            assert await watcher.ended() is EndReason.FINISHED

    run(scenario())


def test_jobs_that_leave_the_filter_count_as_not_waited_for(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            job = await submit(engine, labels={"wait": "yes"})
            watcher = SetWatcher(engine, "labels:wait", until_all_finished=True)
            await watcher.run(frames=2)
            watcher.start()
            await relabel(engine, job)
            assert await watcher.ended() is EndReason.FINISHED
            assert watcher.held == {}

    run(scenario())


def test_a_draining_server_says_so_and_the_next_one_goes_on(settings):
    async def scenario():
        async with quiet(settings) as (house, engine):
            await submit(engine)
            watcher = SetWatcher(engine)
            await watcher.run(frames=2)
            watcher.start()
            await house.drain()
            assert await watcher.ended() is EndReason.DRAINING
            assert watcher.frames[-1].retry_after_s is not None
            await watcher.cut()
        async with quiet(settings) as (_, engine):
            watcher._engine = engine
            await submit(engine)
            # The job of before may have started already.
            watcher.start()
            await holds(watcher, engine)
            await watcher.cut()
            assert watcher.synced == 1

    run(scenario())


def test_a_stream_that_is_old_is_ended_with_a_cursor(settings):
    async def scenario():
        async with quiet(replace(settings, watch_max_age_s=0.0)) as (_, engine):
            watcher = SetWatcher(engine)
            assert await watcher.ended() is EndReason.MAX_AGE

    run(scenario())


def test_a_lost_wake_up_costs_nothing(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.board.note = lambda changes: None
            house._feed_loop.wake = lambda: None
            watcher = SetWatcher(engine)
            watcher.start()
            for _ in range(5):
                await finished(engine, await submit(engine))
            await holds(watcher, engine)
            await watcher.cut()

    run(scenario())


def test_a_watch_leaves_nothing_behind(settings):
    async def scenario():
        async with quiet(settings) as (house, engine):
            watcher = SetWatcher(engine)
            watcher.start()

            async def watched():
                return house.board.watchers == 1

            await until(watched)
            await watcher.cut()
            assert house.board.watchers == 0

    run(scenario())


def test_a_watch_that_falls_behind_the_board_reads_the_table(settings):
    async def scenario():
        async with quiet(settings) as (house, engine):
            house.board._max_items = 3
            watcher = SetWatcher(engine)
            stream = watcher.stream()
            watcher.take(await anext(stream))
            for _ in range(30):
                await submit(engine)
            position = await asyncio.wrap_future(house.database.read(events.latest_revision))

            async def read():
                return house.board.position >= position

            await until(read)
            async with asyncio.timeout(10):
                while watcher.states != await listed(engine):
                    watcher.take(await anext(stream))
            await stream.aclose()
            assert len(house.board._order) <= 3

    run(scenario())


FILTERS = (
    "",
    "status = QUEUED",
    "done = true",
    'labels.team = "a"',
    'NOT labels.team = "b" AND done = false',
    "labels:team OR status = CANCELLED",
    "priority > 500",
)


@pytest.mark.parametrize("seed", range(3))
def test_what_a_watcher_holds_is_what_a_list_says_at_every_quiet_moment(settings, seed):
    """Over random submits, cancels, updates and deletes, and over cuts of the streams."""

    async def scenario():
        chance = random.Random(seed)
        async with running(settings) as (house, engine):
            house.board._max_items = chance.choice([3, 20_000])
            watchers = {where: SetWatcher(engine, where) for where in FILTERS}
            live = []
            for _ in range(6):
                house.dispatcher.paused = chance.random() < 0.5
                for watcher in watchers.values():
                    await step_watcher(watcher, chance)
                for _ in range(chance.randrange(30)):
                    await step(house, engine, live, chance)
                for watcher in watchers.values():
                    await watcher.cut()
                    watcher.start()
                house.dispatcher.paused = False
                await settled(engine)
                for where, watcher in watchers.items():
                    await holds(watcher, engine, where)
            for watcher in watchers.values():
                await watcher.cut()

    run(scenario())


async def step_watcher(watcher, chance):
    if chance.random() < 0.5:
        await watcher.cut()
    if watcher._task is None and chance.random() < 0.2:
        watcher.cursor = ""
        watcher.held.clear()
    if watcher._task is None and chance.random() < 0.7:
        watcher.start()


async def step(house, engine, live, chance):
    dice = chance.random()
    if dice < 0.5 or not live:
        labels = {"team": chance.choice("ab")} if chance.random() < 0.7 else {}
        live.append(await submit(engine, labels=labels, priority=chance.choice([400, 600])))
        return
    job = chance.choice(live)
    current = await engine.get("demo", job.job_id)
    if current.status.is_terminal:
        if dice > 0.9:
            live.remove(job)
            await delete(house, job)
        return
    # It may finish meanwhile.
    with suppress(InvalidTransitionError):
        if dice < 0.7:
            await cancel(engine, job)
        else:
            await relabel(engine, job, **({"team": chance.choice("ab")} if dice < 0.9 else {}))


async def settled(engine):
    async def over():
        return not (await engine.list(JobQuery(project="demo", filter="done = false"))).items

    await until(over, within_s=30)
