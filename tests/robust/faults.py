"""A store that fails at a chosen write, and a small day in its life."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy.exc import OperationalError

from jobplane.engine import house as houses
from jobplane.engine.api import Engine
from jobplane.engine.domain.errors import BackendUnavailableError, EngineError
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.domain.submission import Accepted
from jobplane.engine.executors.settings import ExecutorSettings, ThreadSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.kinds.base import Isolation
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store.database import Database, _InDoubtError
from jobplane.service.convert.submission import submission_from_wire
from jobplane.v1 import job_service_pb2 as wire
from tests.robust.history import History, Operation
from tests.robust.record import PROJECT
from tests.robust.shapes import SHAPES, job_spec

T = TypeVar("T")
LEASE_S = 2.5
DAY_S = 30.0
Mode = Literal["refused", "done_but_refused"]


@dataclass(slots=True)
class Fault:
    """When writes fail, and how: without effect, or after they took effect."""

    at: int
    mode: Mode = "refused"
    length: int = 1
    seen: int = 0
    fired: int = 0

    def is_now(self) -> bool:
        """Count a write; whether it fails."""
        self.seen += 1
        if not self.at <= self.seen < self.at + self.length:
            return False
        self.fired += 1
        return True


def faulty(fault: Fault) -> type[Database]:
    """A database of which some writes fail."""

    class FaultyDatabase(Database):
        def _run(self, group: list[Any], *, is_joined: bool = True) -> Any:
            fails = fault.is_now()
            if fails and fault.mode == "refused":
                raise _error()
            answer = super()._run(group, is_joined=is_joined)
            if fails:
                raise _InDoubtError(_error())
            return answer

    return FaultyDatabase


def _error() -> OperationalError:
    return OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))


def make_house(data: Path, database: type[Database] = Database) -> houses.House:
    """An engine over a folder, with work in threads only."""
    registry = Registry.discover()
    where = ExecutorSettings(threads=ThreadSettings(slots=4))
    settings = EngineSettings(
        data, lease_s=LEASE_S, reaper_interval_s=0.05, feed_interval_s=0.1, thread_slots=4
    )
    executors = {Isolation.THREAD.value: ThreadExecutor(registry, where)}
    real = houses.Database
    houses.Database = database  # the house makes its own
    try:
        return houses.House(settings, registry=registry, executors=executors)  # a protocol
    finally:
        houses.Database = real  # as it was


@dataclass(slots=True)
class Day:
    """What one small day saw."""

    history: History = field(default_factory=History)
    refusals: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        return time.monotonic() - self.began

    async def insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Repeat what the store refuses, as a client does on UNAVAILABLE."""
        while True:
            try:
                return await ask()
            except BackendUnavailableError as error:
                self.refusals.append(error.message)
                if self.now() > DAY_S:
                    raise
                await asyncio.sleep(0.02)


async def live_a_day(data: Path, fault: Fault) -> Day:
    """Submit, cancel, pause, answer, watch; insist on every call; end when all jobs have."""
    day = Day()
    house, engine = await _started(day, data, fault)
    try:
        await _work(day, engine)
        day.history.drained = True
    finally:
        await house.stop(1.0)
    return day


async def _started(day: Day, data: Path, fault: Fault) -> tuple[houses.House, Engine]:
    """A house that could start; one that could not is left, as a supervisor would."""
    while True:
        house = make_house(data, faulty(fault))
        try:
            return house, await house.start()
        except BackendUnavailableError as error:
            day.refusals.append(error.message)
            await house.stop(0.0)
            if day.now() > DAY_S:
                raise


async def _work(day: Day, engine: Engine) -> None:
    names = ("noop", "checkpoints", "artifact", "asking", "retried", "long")
    jobs = {name: (await _submit(day, engine, name)).job.job_id for name in names}
    watch = asyncio.create_task(_watch(day, engine, jobs["checkpoints"]))
    facts = {"requester": "robust", "reason": "test"}
    await day.insist(lambda: engine.cancel(PROJECT, jobs["long"], force=False, **facts))
    try:
        await day.insist(lambda: engine.pause(PROJECT, jobs["checkpoints"], **facts))
        await day.insist(lambda: engine.resume(PROJECT, jobs["checkpoints"], **facts))
    except EngineError:
        # It had ended before the pause came, or between the two.
        pass
    for job_id in jobs.values():
        await _see_end(day, engine, job_id)
    async with asyncio.timeout(5):
        await watch


async def _submit(day: Day, engine: Engine, name: str) -> Accepted:
    key = f"key-of-{name}"
    spec = job_spec(SHAPES[name], random.Random(name))
    labels = {"shape": name, "key": key, "body": name}
    request = wire.SubmitJobRequest(project=PROJECT, spec=spec, idempotency_key=key, labels=labels)
    submission = submission_from_wire(request, "robust")
    operation = Operation(0, "submit", day.now(), key=key, body=name, shape=name)
    day.history.operations.append(operation)
    accepted = await day.insist(lambda: engine.submit(submission))
    operation.end, operation.outcome = day.now(), "ok"
    operation.job_id = accepted.job.job_id
    operation.deduplicated = accepted.deduplicated
    return accepted


async def _see_end(day: Day, engine: Engine, job_id: str) -> None:
    while day.now() < DAY_S:
        job, _ = await day.insist(
            lambda: engine.wait(PROJECT, job_id, after_sequence=None, timeout_s=0.2)
        )
        if job.status.is_terminal:
            return
        if job.status is JobStatus.AWAITING_INPUT and job.pending_input is not None:
            await _answer(day, engine, job_id, job.pending_input.input_id)


async def _answer(day: Day, engine: Engine, job_id: str, asked: str) -> None:
    await day.insist(
        lambda: engine.provide_input(
            PROJECT, job_id, input_id=asked, answers={"proceed": "yes"}, responder="robust"
        )
    )


async def _watch(day: Day, engine: Engine, job_id: str) -> None:
    """Hear every event once, whatever becomes of a stream."""
    cursor, ended = 0, False
    while not ended and day.now() < DAY_S:
        frames = engine.watch(
            PROJECT,
            job_id,
            after_sequence=cursor,
            heartbeat_s=1.0,
            durable_only=True,
            event_types=(),
        )
        try:
            async for frame in frames:
                for event in getattr(frame, "events", ()):
                    assert event.sequence == cursor + 1
                    cursor = event.sequence
                    ended = event.type == "finished"
        except BackendUnavailableError as error:
            day.refusals.append(error.message)
