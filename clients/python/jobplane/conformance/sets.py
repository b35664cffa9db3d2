"""Watches of many jobs: W11 of the contract."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

from jobplane.conformance.frames import SetFrame, expect_end, kind_of
from jobplane.conformance.refusal import refused_stream
from jobplane.conformance.rule import BrokenRuleError, Chapter, expect, expect_equal
from jobplane.v1 import job_pb2
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from jobplane.conformance.frames import Frames
    from jobplane.conformance.server import Server

CHAPTER = Chapter("Watches of many jobs")
rule = CHAPTER.rule

NEWS_S = 1.0


class _Group:
    """Jobs that one label holds together, apart from all others."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.label = uuid.uuid4().hex
        self.filter = f"labels.group = {self.label}"

    async def queued(self) -> job_pb2.Job:
        return await self._server.submit_queued(labels={"group": self.label})

    async def run(self, **fields: object) -> job_pb2.Job:
        return await self._server.submit(labels={"group": self.label}, **fields)


@rule("W11-list-then-synced", "The jobs that match come first, then Synced with their number.")
async def _list_then_synced(server: Server) -> None:
    group = _Group(server)
    names = {(await group.queued()).name for _ in range(5)}
    frames = server.watch_set(group.filter)
    listed, synced = await _until_synced(frames)
    expect_equal({change.job.name for change in listed}, names, "the jobs of the list")
    expect_equal(synced.synced.matching, 5, "Synced.matching")
    expect(all(change.matches_filter for change in listed), "a job of the list does not match")
    frames.cut()


@rule("W11-changes", "New and changed jobs are told within 1 s of their change.")
async def _changes(server: Server) -> None:
    group = _Group(server)
    frames = server.watch_set(group.filter)
    await _until_synced(frames)
    job = await group.queued()
    change = await _change_of(server, frames, job)
    expect(change.matches_filter, "a new job that matches is told as one that does not")
    await server.cancel(job.name)
    change = await _change_of(server, frames, job)
    expect_equal(change.job.status, job_pb2.JOB_STATUS_CANCELLED, "the status that was told")
    frames.cut()


@rule("W11-leaves", "A job that no longer matches is told with matches_filter=false.")
async def _leaves(server: Server) -> None:
    group = _Group(server)
    job = await group.queued()
    frames = server.watch_set(f"{group.filter} AND status = QUEUED")
    await _until_synced(frames)
    await server.cancel(job.name)
    change = await _change_of(server, frames, job)
    expect(not change.matches_filter, "a job that left is told as one that matches")
    frames.cut()


@rule("W11-deleted", "A job that was deleted is told by its name.")
async def _deleted(server: Server) -> None:
    group = _Group(server)
    job = await server.finished(await group.run())
    frames = server.watch_set(group.filter)
    await _until_synced(frames)
    await server.call(server.jobs.DeleteJob, wire.DeleteJobRequest(name=job.name))
    change = await _change_of(server, frames, job)
    expect(change.deleted, "the change does not say that the job was deleted")
    expect(not change.matches_filter, "a job that was deleted is told as one that matches")
    frames.cut()


@rule("W11-resume", "A watch that goes on from its cursor gets what came in between, and no list.")
async def _resume(server: Server) -> None:
    group = _Group(server)
    old = await group.queued()
    frames = server.watch_set(group.filter)
    _, synced = await _until_synced(frames)
    frames.cut()
    new = await group.queued()
    frames = server.watch_set(group.filter, synced.cursor)
    frame = await frames.next(NEWS_S + server.slack_s)
    expect_equal(kind_of(frame), "changes", "the first frame after the cursor")
    # Of a job that changed meanwhile a server may not know whether it matched before.
    told = {change.job.name for change in frame.changes.changes if change.matches_filter}
    expect_equal(told, {new.name}, f"the jobs told, where {old.name} was known")
    frames.cut()


@rule("W11-until-all-finished", "until_all_finished ends once all that match now are over.")
async def _until_all_finished(server: Server) -> None:
    group = _Group(server)
    jobs = [await group.run(steps=3, step_s=0.1) for _ in range(3)]
    frames = await server.watch_set(group.filter, until=True).rest()
    expect_end(frames)
    last = {change.job.name: change.job.done for change in _changes_in(frames)}
    missing = [job.name for job in jobs if not last.get(job.name)]
    expect(not missing, f"the stream ended, and these were not told as over: {missing}")


@rule("W11-heartbeat", "Silence is filled with heartbeats, each with a cursor.")
async def _heartbeat(server: Server) -> None:
    frames = server.watch_set(_Group(server).filter, heartbeat_s=1.0)
    await _until_synced(frames)
    for _ in range(2):
        beat = await _next(server, frames, 1.0)
        expect_equal(kind_of(beat), "heartbeat", "the frame after an interval of silence")
        expect(bool(beat.cursor), "a heartbeat has no cursor")
    frames.cut()


@rule("W11-foreign-cursor", "A cursor that was altered, or is of another filter, is not followed.")
async def _foreign_cursor(server: Server) -> None:
    group = _Group(server)
    frames = server.watch_set(group.filter)
    _, synced = await _until_synced(frames)
    frames.cut()
    cursor = synced.cursor
    for filter_text, bad in (("status = QUEUED", cursor), (group.filter, cursor[:-4] + "AAAA")):
        frames = server.watch_set(filter_text, bad)
        await refused_stream(frames, "INVALID_ARGUMENT", "INVALID_SPEC", "INVALID_PAGE_TOKEN")


@rule("W11-filter", "A filter that can't be read is refused before any frame.")
async def _bad_filter(server: Server) -> None:
    frames = server.watch_set("status = NO_SUCH_STATUS")
    await refused_stream(frames, "INVALID_ARGUMENT", "INVALID_FILTER")


@rule("W11-many", "A watcher that is told of many jobs at once ends up with what a list says.")
async def _many(server: Server) -> None:
    group = _Group(server)
    frames = server.watch_set(group.filter)
    await _until_synced(frames)
    jobs = await asyncio.gather(*(group.run() for _ in range(40)))
    over: set[str] = set()
    while len(over) < len(jobs):
        over |= {
            change.job.name
            for change in _changes_in([await frames.next()])
            # Of others it may be told that they don't match: a server can't always know.
            if change.matches_filter and change.job.done
        }
    expect_equal(over, {job.name for job in jobs}, "the jobs that were told as over")
    frames.cut()


async def _until_synced(
    frames: Frames[SetFrame],
) -> tuple[list[wire.WatchJobsResponse.JobChange], SetFrame]:
    """Changes of the list, and the frame that says that it is complete."""
    seen: list[SetFrame] = []
    while True:
        frame = await frames.next()
        if kind_of(frame) == "synced":
            return _changes_in(seen), frame
        expect_equal(kind_of(frame), "changes", "a frame before Synced")
        seen.append(frame)


async def _change_of(
    server: Server, frames: Frames[SetFrame], job: job_pb2.Job
) -> wire.WatchJobsResponse.JobChange:
    """The newest change of a job in the next frame."""
    frame = await _next(server, frames, NEWS_S, job.name)
    for change in reversed(_changes_in([frame])):
        if change.job.name == job.name:
            return change
    raise BrokenRuleError(f"a {kind_of(frame)} frame came, where a change of {job.name} is due")


async def _next(
    server: Server, frames: Frames[SetFrame], within_s: float, name: str = ""
) -> SetFrame:
    """The next frame, but for those that only tell of other jobs that they don't match.

    Of a job that was deleted a server may not know any more whether it matched.
    """
    ends_at = time.monotonic() + within_s + server.slack_s
    while True:
        frame = await frames.next(max(ends_at - time.monotonic(), 0.0))
        changes = frame.changes.changes
        told = [one for one in changes if one.matches_filter or one.job.name == name]
        if told or not changes:
            return frame


def _changes_in(frames: list[SetFrame]) -> list[wire.WatchJobsResponse.JobChange]:
    return [change for frame in frames for change in frame.changes.changes]
