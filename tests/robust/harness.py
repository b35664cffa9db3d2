"""A run: a server that is killed again and again under load, then drained and read."""

import asyncio
import random
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jobplane.v1 import job_service_pb2 as wire
from tests.robust.clients import answerer, reader, submit_request, submitter, uploader
from tests.robust.history import History, acknowledged
from tests.robust.record import PROJECT, Record, leftover, read_record
from tests.robust.room import Room, job_name
from tests.robust.schedulers import pause_schedules, scheduler
from tests.robust.server import Server
from tests.robust.shapes import SHAPES
from tests.robust.watchers import watch

SUBMITTERS = 4
READERS = 2
# Every so many lives: one that is long enough for children to come up, one that ends on its
# way up, one that is frozen for a while, one that loses a child, one whose disk is full for a
# while, and one that is stopped gently.
LONG_EVERY = 5
EARLY_EVERY = 9
FREEZE_EVERY = 7
CHILD_KILL_EVERY = 8
FULL_EVERY = 6
GENTLE_EVERY = 14
SIT_S = 6
# A life that does not come by its failpoint is killed, and another one begun.
FAILPOINT_WITHIN_S = 6.0
FAILPOINT_LIVES = 3
# What a calm brings, and how long it is at most.
CALM_JOBS = 60
CALM_MOST_S = 60.0
# Lives of a run with a short grace, in graces: content goes two looks after its last use.
GRACES = (2.0, 3.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does."""

    folder: Path
    kills: int = 40
    seed: int = 0
    # A planted bug, for tests of the harness itself.
    plant: str = ""
    # A drain that sees no job move for so long has failed; so has one that takes longer.
    stall_s: float = 20.0
    drain_s: float = 180.0
    # A watch that has not ended so long after its job has failed.
    watches_s: float = 6.0
    # How long there is load without kills before the drain; longer where little comes of it.
    calm_s: float = 0.0
    # When it is not 0, content that nobody needs is collected so soon, lives are long enough
    # for that, and nothing but kills troubles them.
    grace_s: float = 0.0
    # How long the disk is full before the drain.
    full_s: float = 0.5
    # Jobs that sit still through the drain, and jobs in processes for each second of load.
    sitters: int = 2
    processes_per_s: float = 1.0
    # Part of all jobs that somebody cancels.
    cancels: float = 0.2
    # Part of all jobs that wait for some of those before them.
    depends: float = 0.2
    # Sorts of jobs to submit; empty means all.
    shapes: frozenset[str] = frozenset()
    # Failpoints, each of which ends a life of the server, in this order.
    failpoints: tuple[str, ...] = ()
    say: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves behind."""

    history: History
    record: Record
    wall_s: float


async def run(plan: Plan) -> Outcome:
    """Kill, drain, read."""
    began = time.monotonic()
    shutil.rmtree(plan.folder, ignore_errors=True)
    data = plan.folder / "data"
    data.mkdir(parents=True)
    history = History(seed=plan.seed, began_at=time.time(), grace_s=plan.grace_s)
    server = Server(
        data=data,
        history=history,
        clock=lambda: time.monotonic() - began,
        plant=plan.plant,
        grace_s=plan.grace_s,
    )
    await server.open()
    room = Room(port=server.port, seed=plan.seed, history=history, began=began)
    room.processes_per_s = plan.processes_per_s
    room.cancels = plan.cancels
    room.depends = plan.depends
    room.only = plan.shapes
    try:
        _start_clients(room)
        await _kill_again_and_again(plan, server)
        await _die_at_failpoints(plan, server)
        await server.start()
        await _rest(plan, room)
        if not plan.grace_s:
            await server.fill_disk(plan.full_s)
        await _drain(plan, room)
        await _look_again(plan, room)
        await _collected(plan, data)
        await room.close()
        await server.stop()
    finally:
        await room.close()
        await server.close()
    if room.trouble:
        raise ExceptionGroup("clients of the harness failed", room.trouble)  # errors, not exits
    lines = server.log.read_text(encoding="utf-8", errors="replace").splitlines()
    history.log_lines.extend(lines)
    return Outcome(history, read_record(data), time.monotonic() - began)


def _start_clients(room: Room) -> None:
    for _ in range(SUBMITTERS):
        room.spawn(submitter(room))
    for _ in range(READERS):
        room.spawn(reader(room))
    room.spawn(answerer(room))
    room.spawn(uploader(room))
    room.spawn(scheduler(room))


async def _kill_again_and_again(plan: Plan, server: Server) -> None:
    # Its own numbers, so that the times of kills do not hang on what clients draw.
    rng = random.Random(plan.seed + 1)
    for kill in range(plan.kills):
        if kill % GENTLE_EVERY == GENTLE_EVERY // 2:
            await server.start()
            await asyncio.sleep(rng.uniform(0.2, 0.8))
            await server.stop()
        await _live(kill, server, rng, grace_s=plan.grace_s)
        await server.kill()
        if (kill + 1) % 20 == 0:
            plan.say(f"{kill + 1} kills at {server.life.ended:.0f} s")


async def _live(kill: int, server: Server, rng: random.Random, *, grace_s: float) -> None:
    """One life up to the kill; some are troubled before they end."""
    if kill % EARLY_EVERY == EARLY_EVERY // 2:
        await server.fork()
        await asyncio.sleep(rng.uniform(0.0, 0.12))
        return
    await server.start()
    if grace_s:
        await asyncio.sleep(rng.uniform(*GRACES) * grace_s)
        return
    if kill % CHILD_KILL_EVERY == CHILD_KILL_EVERY // 2:
        await asyncio.sleep(rng.uniform(0.5, 1.0))
        server.kill_a_child(rng)
    if kill % FULL_EVERY == FULL_EVERY // 2:
        await server.fill_disk(rng.uniform(0.05, 0.4))
    if kill % FREEZE_EVERY == FREEZE_EVERY // 2:
        await server.freeze(rng.uniform(0.1, 0.6))
    is_long = kill % LONG_EVERY == LONG_EVERY // 2
    await asyncio.sleep(rng.uniform(0.8, 1.6) if is_long else rng.uniform(0.03, 0.5))


async def _die_at_failpoints(plan: Plan, server: Server) -> None:
    for failpoint in plan.failpoints:
        for _ in range(FAILPOINT_LIVES):
            if await server.fork_and_die(failpoint, within_s=FAILPOINT_WITHIN_S):
                break


async def _collected(plan: Plan, data: Path) -> None:
    """Give retention the time that it needs."""
    if plan.grace_s:
        with suppress(TimeoutError):
            async with asyncio.timeout(plan.stall_s):
                while await asyncio.to_thread(leftover, data):  # noqa: ASYNC110  no event tells
                    await asyncio.sleep(0.2)


async def _rest(plan: Plan, room: Room) -> None:
    """Load without trouble, for a time and for some jobs."""
    if not plan.calm_s:
        return
    began, had = room.now(), len(room.shapes)
    while room.now() - began < CALM_MOST_S:
        if room.now() - began >= plan.calm_s and len(room.shapes) - had >= CALM_JOBS:
            return
        await asyncio.sleep(0.1)


async def _drain(plan: Plan, room: Room) -> None:
    """Let everything end, with no more load and no more kills."""
    room.is_loading = False
    room.history.drain_began = began = room.now()
    await pause_schedules(room)
    await _seat(room, plan.sitters)
    moved_at, last = room.now(), -1
    while room.now() - began < plan.drain_s and room.now() - moved_at < plan.stall_s:
        left, moves = await _open_jobs(room)
        if left == 0:
            room.history.drained = True
            break
        if moves != last:
            moved_at, last = room.now(), moves
        await asyncio.sleep(0.1)
    await _wait_watches(plan, room)


async def _seat(room: Room, count: int) -> None:
    """Watched jobs on which nothing happens for a while: only heartbeats tell of life."""
    for _ in range(count):
        shape = SHAPES["noop"]
        request = submit_request(room, shape)
        request.spec.policy.start_time.FromSeconds(int(time.time()) + SIT_S)
        facts = {"key": request.idempotency_key, "body": request.labels["body"]}
        operation = await room.insist(
            room.jobs.SubmitJob, request, verb="submit", shape=shape.name, **facts
        )
        room.spawn(watch(room, operation.job_id, purpose="sit", after=0))


async def _open_jobs(room: Room) -> tuple[int, int]:
    """How many jobs are not done, and a number that changes whenever one of them moves."""
    left, moves, token = 0, 0, ""
    while True:
        request = wire.ListJobsRequest(
            project=PROJECT, filter="done = false", page_size=1000, page_token=token
        )
        page, _ = await room.call(room.jobs.ListJobs, request, verb="list")
        if page is None:
            return 1, -1
        for job in page.jobs:
            left += 1
            moves += job.sequence
        token = page.next_page_token
        if not token:
            return left, moves * 100_000 + left


async def _wait_watches(plan: Plan, room: Room) -> None:
    """Give every watch of an ended job the time to hear of it."""
    until = room.now() + plan.watches_s
    while room.now() < until:
        if all(one.is_finished for one in room.history.watches):
            return
        await asyncio.sleep(0.05)


async def _look_again(plan: Plan, room: Room) -> None:
    """Get every acknowledged job once more; watch some of them late."""
    ids = list(acknowledged(room.history.operations))
    for job_id in ids:
        request = wire.GetJobRequest(name=job_name(job_id))
        await room.call(room.jobs.GetJob, request, verb="get", job_id=job_id)
    kept = [job_id for job_id in ids if job_id not in room.doomed]
    sample = room.rng.sample(kept, min(20, len(kept)))
    for job_id in sample:
        room.spawn(watch(room, job_id, purpose="late", after=0))
    # Each is in the history once it has begun.
    await asyncio.sleep(0)
    await _wait_watches(plan, room)
