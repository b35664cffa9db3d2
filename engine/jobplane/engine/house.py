"""Builds an engine and everything it stands on, and starts and stops it in order."""

import asyncio
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from jobplane.engine.api import Engine
from jobplane.engine.clock import Clock, Randomness, SystemClock, SystemRandomness
from jobplane.engine.content.store import ContentStore
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain.change import Change
from jobplane.engine.domain.errors import UnknownKindError
from jobplane.engine.domain.event import JobEvent
from jobplane.engine.domain.job import Job, JobSpec, Progress
from jobplane.engine.domain.policy import bounds_of
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.executors.port import Executor
from jobplane.engine.intake import Intake
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.library import Library
from jobplane.engine.query.token import PageTokens
from jobplane.engine.scheduler.dependencies import Dependencies
from jobplane.engine.scheduler.dispatcher import Dispatcher
from jobplane.engine.scheduler.ledger import Ledger
from jobplane.engine.scheduler.loop import Loop
from jobplane.engine.scheduler.queues import Planning
from jobplane.engine.scheduler.reaper import Reaper
from jobplane.engine.scheduler.steering import Steering
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store import shared
from jobplane.engine.store.database import Database, sqlite_url
from jobplane.engine.store.migrate import migrate
from jobplane.engine.watch.feed import Feed
from jobplane.engine.watch.hub import Hub

TOKEN_SECRET_BYTES = 32
# What one server leaves behind another finds by itself.
DEPENDENCY_INTERVAL_S = 1.0


class House:
    """Everything behind an engine: store, content, executors, loops, hub."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        registry: Registry,
        executors: dict[str, Executor],
        clock: Clock | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._executors = executors
        self._clock = clock or SystemClock()
        self._randomness = randomness or SystemRandomness()
        # Names this life of the server: what another life was running is lost.
        self._worker = self._randomness.new_id(self._clock.now())
        self.hub = Hub()
        self._steering = Steering(executors.values())
        self._build()

    def _build(self) -> None:
        settings, data = self._settings, self._settings.data_dir
        self._url = settings.database_url or sqlite_url(data / "jobplane.db")
        self.dependencies = Dependencies(clock=self._clock)
        self.database = Database(
            self._url,
            on_commit=self._committed,
            on_end=self.dependencies.follow,
            readers=settings.readers,
        )
        self.content = ContentStore(data / "content")
        self._files = ThreadPoolExecutor(settings.file_threads, thread_name_prefix="content")
        self.ledger = Ledger(
            database=self.database,
            content=self.content,
            steering=self._steering,
            clock=self._clock,
            randomness=self._randomness,
            on_progress=self._progressed,
        )
        self.dispatcher = Dispatcher(
            database=self.database,
            content=self.content,
            executors=self._executors,
            ledger=self.ledger,
            clock=self._clock,
            worker=self._worker,
            attempts_folder=data / "attempts",
            attempt_timeout_s=self._attempt_timeout_s,
        )
        self.reaper = Reaper(
            database=self.database,
            ledger=self.ledger,
            clock=self._clock,
            randomness=self._randomness,
            worker=self._worker,
            lease_s=settings.lease_s,
        )
        feed = Feed(database=self.database, hub=self.hub)
        self._feed = feed
        self._dispatch_loop = Loop(self.dispatcher.step, name="dispatcher", every_s=0.5)
        self._dependency_loop = Loop(
            self._tell_dependents, name="dependencies", every_s=DEPENDENCY_INTERVAL_S
        )
        self._loops = (
            self._dispatch_loop,
            self._dependency_loop,
            Loop(self.reaper.step, name="reaper", every_s=settings.reaper_interval_s),
            Loop(feed.step, name="feed", every_s=settings.feed_interval_s),
        )

    async def start(self) -> Engine:
        """Open the store, take up what was left, and begin to run jobs."""
        await asyncio.to_thread(self._open)
        self.hub.start(asyncio.get_running_loop())
        secret = await asyncio.to_thread(self._page_token_secret)
        crossing = Crossing(asyncio.get_running_loop())
        self.library = Library(
            database=self.database,
            content=self.content,
            tokens=PageTokens(secret),
            crossing=crossing,
            files=self._files,
        )
        engine = Engine(
            database=self.database,
            registry=self._registry,
            intake=Intake(registry=self._registry, clock=self._clock, randomness=self._randomness),
            ledger=self.ledger,
            hub=self.hub,
            clock=self._clock,
            tokens=PageTokens(secret),
            crossing=crossing,
            library=self.library,
            planning=Planning(
                database=self.database,
                clock=self._clock,
                tokens=PageTokens(secret),
                crossing=crossing,
                on_change=self._dispatch_loop.wake,
            ),
            obstacle=self._obstacle,
            watch_max_age_s=self._watch_max_age_s,
        )
        for loop in self._loops:
            loop.start()
        return engine

    def _open(self) -> None:
        self._settings.data_dir.mkdir(parents=True, exist_ok=True)
        migrate(self._url, now=self._clock.now())
        self.content.start()
        self.database.start()
        for executor in self._executors.values():
            executor.start(self.ledger)
        if self.database.dialect == "sqlite":
            # The file is ours alone, so whatever runs in it ran in an earlier life.
            self.reaper.recover()
        self._feed.start()

    def _page_token_secret(self) -> bytes:
        return self.database.write(
            lambda transaction: shared.get_or_make(
                transaction, "page_token_secret", lambda: secrets.token_bytes(TOKEN_SECRET_BYTES)
            )
        ).result()

    async def drain(self) -> None:
        """Start no more attempts, and have every watch end."""
        self.dispatcher.paused = True
        self.hub.drain()

    async def stop(self, grace_s: float) -> None:
        """End live attempts so that they can be taken up again, then close the store."""
        await self.drain()
        await asyncio.to_thread(self._close, grace_s)

    def _close(self, grace_s: float) -> None:
        self._dispatch_loop.stop()
        for executor in self._executors.values():
            executor.stop(grace_s)
        self.ledger.wait_settled(grace_s)
        self.ledger.stop()
        for loop in self._loops:
            loop.stop()
        self._files.shutdown(cancel_futures=True)
        self.database.close()

    def _committed(self, changes: Sequence[Change]) -> None:
        """What follows a commit: watchers hear, attempts are steered, claims are made."""
        self.hub.publish(changes)
        self._steering.follow(changes)
        unblocked = self.dependencies.take_unblocked()
        if unblocked or any(_frees_or_needs_a_slot(change) for change in changes):
            self._dispatch_loop.wake()
        if self.dependencies.is_left_over:
            self._dependency_loop.wake()

    def _obstacle(self, lane: str, kind: str) -> str:
        """Why no attempt of such a job can start on this server; empty when one can."""
        if lane not in self._executors:
            return f"this server runs nothing that needs {lane.lower()} slots"
        try:
            hint = self._registry.missing(self._registry.get(kind))
        except UnknownKindError:
            return f"no server runs jobs of kind {kind!r}"
        return f"kind {kind!r} is not installed: {hint}" if hint else ""

    def _tell_dependents(self) -> None:
        self.dependencies.step(self.database)
        if self.dependencies.take_unblocked():
            self._dispatch_loop.wake()

    def _progressed(self, job: Job, progress: Progress) -> None:
        event = JobEvent(
            project=job.project,
            job_id=job.job_id,
            sequence=0,
            occurred_at=progress.reported_at or self._clock.now(),
            status=job.status,
            payload=progress,
            attempt=job.attempt,
        )
        self.hub.show(event)

    def _attempt_timeout_s(self, spec: JobSpec) -> float | None:
        """The tighter of what the policy and what the spec itself ask for."""
        kind = self._registry.get(spec.kind)
        limits = [
            bounds_of(spec.policy).attempt_timeout_s,
            kind.attempt_timeout_s(self._registry.parse(kind, spec.params)),
        ]
        return min((limit for limit in limits if limit is not None), default=None)

    def _watch_max_age_s(self) -> float:
        # Spread, so that watches opened together do not come back together.
        return self._settings.watch_max_age_s * (1 - self._randomness.jitter() / 5)


def _frees_or_needs_a_slot(change: Change) -> bool:
    before = change.before
    if change.job.status is JobStatus.QUEUED:
        return True
    return before is not None and before.status.is_active and not change.job.status.is_active
